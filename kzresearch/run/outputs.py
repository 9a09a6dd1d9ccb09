"""Where runs leave their files: a folder, or a prefix of an object store; each file is there whole."""

from __future__ import annotations

import contextlib
import re
import secrets
import time
from typing import Any

from kzresearch.storage import RETRY, Storage, again, in_words

_FIRST_RETRY: Any = {**RETRY, "backoff": {**RETRY["backoff"], "base": 2}}
"""A few seconds: where nothing has been there yet, the address is more likely to be wrong."""
_PROBE = ".kzresearch-"
_ABANDONED = re.compile(
    rf"(.+-[0-9a-f]{{12}}\.\w+|results\.parquet|index\.html|{re.escape(_PROBE)}[0-9a-f]+)#\d+"
    rf"|{re.escape(_PROBE)}[0-9a-f]+"
)
"""How the library names a file of a folder until it is whole, and probes: a killed process leaves them."""


class Outputs(Storage):
    """The files of runs, all in one folder or under one prefix."""

    purpose = "what runs leave"

    @in_words
    def files(self) -> dict[str, str]:
        """Every file's name, with a tag that changes with its content."""
        import obstore

        found = again(lambda: obstore.list_with_delimiter(self._store)["objects"])
        # One without a name stands for the prefix itself: some tools make it.
        return {one["path"]: f"{one['e_tag']} {one['size']}" for one in found if one["path"]}

    @in_words
    def prepare(self) -> None:
        """Make sure that it can be written into, and take away what killed processes left."""
        probe = f"{_PROBE}{secrets.token_hex(8)}"
        self._write(self._store if self.folder else self._remote(_FIRST_RETRY), probe, b"")
        self.delete(probe)
        for path in self.folder.iterdir() if self.folder else ():
            # A file is written in well under a minute; a younger one may be another batch's.
            if _ABANDONED.fullmatch(path.name):
                with contextlib.suppress(FileNotFoundError):  # another batch does the same
                    if path.is_file() and path.stat().st_mtime < time.time() - 60:
                        path.unlink()
