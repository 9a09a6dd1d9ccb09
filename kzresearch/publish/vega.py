"""The library that draws charts in a reader's browser, as vl-convert brings it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from functools import cache
from importlib.metadata import version

VERSION = "6.1"
"""The version of Vega-Lite that charts are drawn with, on the page and as pictures."""
SNIPPET = "window.vegaEmbed = vegaEmbed;"


@cache
def library() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script, which sets `vegaEmbed`.

    To put it together takes a second, so it is kept in the platform's cache folder, under its
    checksum; without such a folder it is put together anew.
    """
    import platformdirs
    import vl_convert

    folder = platformdirs.user_cache_path("kzresearch") / "vega"
    stem = f"{version('vl-convert-python')}-{VERSION}"
    with contextlib.suppress(OSError):
        for path in folder.glob(f"{stem}-*.js"):
            content = path.read_bytes()
            if path.stem == f"{stem}-{hashlib.sha256(content).hexdigest()}":
                return content.decode()
    script = str(vl_convert.javascript_bundle(SNIPPET, VERSION))
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as part:
            part.write(script.encode())
        os.replace(part.name, folder / f"{stem}-{hashlib.sha256(script.encode()).hexdigest()}.js")  # noqa: PTH105
    return script
