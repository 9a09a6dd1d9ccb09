"""Where runs leave their files: a folder, or a prefix of an object store; each file is there whole."""

from __future__ import annotations

import functools
import re
import secrets
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from kzresearch.errors import OutputError

P = ParamSpec("P")
T = TypeVar("T")

_RETRY: Any = {
    "max_retries": 8,
    "backoff": {
        "init_backoff": timedelta(milliseconds=100),
        "max_backoff": timedelta(seconds=10),
        "base": 2,
    },
    "retry_timeout": timedelta(minutes=3),
}
_ABANDONED = re.compile(r"#\d+$")
"""How the library names a file of a folder until it is whole; a killed process leaves it."""


def _in_words(method: Callable[P, T]) -> Callable[P, T]:
    """What the library raises, as one sentence."""

    @functools.wraps(method)
    def wrapper(*args: P.args, **named: P.kwargs) -> T:
        try:
            return method(*args, **named)
        except (FileNotFoundError, OutputError):
            raise
        except Exception as error:
            where: Any = args[0]
            raise OutputError(
                f"cannot use {where.where} for what runs leave: {_reason(error)}; what is there is "
                "kept: mend that and start again, or name another place"
            ) from None

    return wrapper


class Outputs:
    """A folder, or `s3://bucket/prefix` (`gs://`, `az://`), that holds the files of runs.

    Credentials and the address of an object store are taken from the environment as its own tools
    do (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT_URL`). What fails
    there for a moment is tried again. Raises `OutputError` for a place that cannot be used.
    """

    @_in_words
    def __init__(self, where: str | Path) -> None:
        from obstore.store import LocalStore, from_url

        self.where = str(where)
        self.folder = None if "://" in self.where else Path(self.where)
        if self.folder is None:
            self._store: Any = from_url(
                self.where,
                retry_config=_RETRY,
                client_options={"allow_http": True},
            )
        else:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._store = LocalStore(self.folder)

    @_in_words
    def files(self) -> dict[str, str]:
        """Every file's name, with a tag that changes with its content."""
        import obstore

        found = obstore.list_with_delimiter(self._store)["objects"]
        return {one["path"]: f"{one['e_tag']} {one['size']}" for one in found}

    @_in_words
    def tag(self, name: str) -> str | None:
        """The tag of one file; None where there is none."""
        import obstore

        try:
            found = obstore.head(self._store, name)
        except FileNotFoundError:
            return None
        return f"{found['e_tag']} {found['size']}"

    @_in_words
    def read(self, name: str) -> bytes:
        """What a file holds; FileNotFoundError where there is none."""
        import obstore

        return bytes(obstore.get(self._store, name).bytes())

    @_in_words
    def write(self, name: str, content: bytes) -> str:
        """Write a file, whole or not at all, and return its tag."""
        import obstore

        # Small files in one request: parts of a large one would be seen to fail one by one.
        put = obstore.put(self._store, name, content, use_multipart=False)
        return f"{put['e_tag']} {len(content)}"

    @_in_words
    def delete(self, name: str) -> None:
        """Take a file away."""
        import obstore

        obstore.delete(self._store, name)

    @_in_words
    def prepare(self) -> None:
        """Make sure that it can be written into, and take away what killed processes left."""
        probe = f".kzresearch-{secrets.token_hex(8)}"
        self.write(probe, b"")
        self.delete(probe)
        for path in self.folder.iterdir() if self.folder else ():
            # A file is written in well under a minute; a younger one may be another batch's.
            if _ABANDONED.search(path.name) and path.stat().st_mtime < time.time() - 60:
                path.unlink(missing_ok=True)

    def link(self, name: str) -> str:
        """The file as a reader would name it: a path, or an address."""
        return str(self.folder / name) if self.folder else f"{self.where.rstrip('/')}/{name}"


def _reason(error: Exception) -> str:
    """What went wrong, without the library's account of its own insides."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    text = str(error)
    for known in ("No space left on device", "Permission denied", "Read-only file system"):
        if known in text:
            return known.lower()
    first = next(iter(text.split("\n\nDebug source", 1)[0].split("\n")), "")
    return first or type(error).__name__
