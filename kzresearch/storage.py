"""Files in a folder, or under a prefix of an object store; each is there whole or not at all."""

from __future__ import annotations

import contextlib
import functools
import re
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from kzresearch.errors import OutputError

P = ParamSpec("P")
T = TypeVar("T")

RETRY: Any = {
    "max_retries": 9,
    "backoff": {
        "init_backoff": timedelta(milliseconds=100),
        "max_backoff": timedelta(seconds=10),
        "base": 4,  # waits are drawn between the first one and this many times the last one
    },
    "retry_timeout": timedelta(minutes=3),
}
"""Half a minute without an answer is waited for."""


def in_words(method: Callable[P, T]) -> Callable[P, T]:
    """What the library raises, as one sentence."""

    @functools.wraps(method)
    def wrapper(*args: P.args, **named: P.kwargs) -> T:
        try:
            return method(*args, **named)
        except OutputError:
            raise
        except Exception as error:
            where: Any = args[0]
            raise OutputError(
                f"cannot use {where.where} for {where.purpose}: {_reason(error)}; what is there is "
                "kept: mend that and start again, or name another place"
            ) from None

    return wrapper


class Storage:
    """A folder, or `s3://bucket/prefix` (`gs://`, `az://`), that holds files.

    Credentials and the address of an object store are taken from the environment as its own tools
    do (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT_URL`). What fails
    there for a moment is tried again. Raises `OutputError` for a place that cannot be used.
    """

    purpose = "files"

    @in_words
    def __init__(self, where: str | Path) -> None:
        from obstore.store import LocalStore

        self.where = str(where)
        if not self.where:
            raise OutputError(f"no folder is named for {self.purpose}: name one")
        self.folder = None if "://" in self.where else Path(self.where)
        if self.folder is None:
            self._store: Any = self._remote(RETRY)
        else:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._store = LocalStore(self.folder)

    def _remote(self, retry: Any) -> Any:
        from obstore.store import from_url

        return from_url(self.where, retry_config=retry, client_options={"allow_http": True})

    @in_words
    def tag(self, name: str) -> str | None:
        """The tag of one file; None where there is none."""
        import obstore

        try:
            found = again(lambda: obstore.head(self._store, name))
        except FileNotFoundError:
            return None
        return _tag(found)

    def read(self, name: str) -> bytes:
        """What a file holds; FileNotFoundError where there is none."""
        content = self._read(name)
        if content is None:
            raise FileNotFoundError(name)
        return content

    @in_words
    def _read(self, name: str) -> bytes | None:
        import obstore

        try:
            return again(lambda: bytes(obstore.get(self._store, name).bytes()))
        except FileNotFoundError:
            return None

    @in_words
    def tail(self, name: str, size: int) -> bytes | None:
        """The last bytes of a file, all of them where it has no more; None where there is none."""
        import obstore

        how: Any = {"range": {"suffix": size}}
        try:
            return again(lambda: bytes(obstore.get(self._store, name, options=how).bytes()))
        except FileNotFoundError:
            return None

    @in_words
    def names(self, prefix: str) -> dict[str, str]:
        """Every file below a prefix, with a tag that changes with its content."""
        import obstore

        found = again(lambda: [one for page in obstore.list(self._store, prefix) for one in page])
        return {one["path"]: _tag(one) for one in sorted(found, key=lambda one: one["path"])}

    @in_words
    def write(self, name: str, content: bytes) -> str:
        """Write a file, whole or not at all, and return its tag."""
        return self._write(self._store, name, content)

    @in_words
    def swap(self, name: str, content: bytes, before: str | None) -> None:
        """Write a file in place of the one with the tag `before` (None: of none), or not at all.

        In a folder this is not checked: who writes there locks it.
        """
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        how: Any = "overwrite"
        if self.folder is None:
            how = {"e_tag": before.rsplit(" ", 1)[0]} if before else "create"
        try:
            self._write(self._store, name, content, mode=how)
        except (AlreadyExistsError, PreconditionError):
            if (
                self._read(name) == content
            ):  # written, but the answer was lost and it was asked again
                return
            raise OutputError(
                f"{self.link(name)} was changed by another command meanwhile, so it was not written; "
                "start again when that has ended"
            ) from None

    def _write(self, store: Any, name: str, content: bytes, **how: Any) -> str:
        import obstore

        # Small files in one request: parts of a large one would be seen to fail one by one.
        put = again(lambda: obstore.put(store, name, content, use_multipart=False, **how))
        return f"{put['e_tag']} {len(content)}"

    @in_words
    def delete(self, name: str) -> None:
        """Take a file away, where it is there."""
        import obstore

        with contextlib.suppress(FileNotFoundError):
            again(lambda: obstore.delete(self._store, name))

    def link(self, name: str) -> str:
        """The file as a reader would name it: a path, or an address."""
        return str(self.folder / name) if self.folder else f"{self.where.rstrip('/')}/{name}"


def _tag(found: Any) -> str:
    return f"{found['e_tag']} {found['size']}"


def again(call: Callable[[], T]) -> T:
    """What a call returns; again where its answer broke off, which the library does not try again."""
    for attempt in range(RETRY["max_retries"]):
        try:
            return call()
        except Exception as error:
            if "body error" not in str(error):
                raise
            time.sleep(0.1 * 2**attempt)
    return call()


_WORDS = (
    "No space left on device",
    "Permission denied",
    "Read-only file system",
    "Not a directory",
)


def _reason(error: Exception) -> str:
    """What went wrong, without the library's account of its own insides."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    text = str(error).split("\n\nDebug source", 1)[0]
    for known in _WORDS:
        if known in text:
            return known.lower()
    asked = re.search(r"Error performing \w+ (\w+://[^/ ]+)", text)
    if asked and "169.254.169.254" in asked[1]:
        return "no credentials are set (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)"
    if asked and (status := re.search(r"status code: (\d+ [\w ]+)", text)):
        codes = re.findall(r"<(?:Code|Message)>([^<]+)</", text)
        return f"{asked[1]} answers {status[1]}" + (
            f" ({': '.join(codes).rstrip('.')})" if codes else ""
        )
    if asked and "HTTP error" in text:
        return f"no answer from {asked[1]}"
    return text.split("\n", 1)[0] or type(error).__name__
