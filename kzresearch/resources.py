"""Where the package's data and notebooks are: beside it in a checkout, inside it in a wheel."""

from __future__ import annotations

import csv
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

STORE = "KZRESEARCH_STORE"
"""Environment variable: a folder, or s3://bucket/prefix, of the user's own reports."""
_PACKAGE = Path(__file__).resolve().parent


@cache
def _folder(name: str) -> Path:
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name


def data_dir() -> Path:
    """The folder of the bundled tables."""
    return _folder("data")


def notebooks_dir() -> Path:
    """The folder of the bundled notebooks."""
    return _folder("notebooks")


def lock_file() -> Path:
    """The file that pins what is installed, with checksums."""
    inside = _PACKAGE / "requirements.lock"
    return inside if inside.is_file() else _PACKAGE.parent / inside.name


def store_location() -> str:
    """Where the user's own reports are: `KZRESEARCH_STORE`, else a folder of the platform's."""
    if named := os.environ.get(STORE):
        return named
    import platformdirs

    return str(platformdirs.user_data_path("kzresearch") / "store")


def checkout_dir() -> Path | None:
    """The root of the git checkout the package runs from, or None for an installed wheel."""
    root = _PACKAGE.parent
    return root if (root / ".git").exists() and (root / "pyproject.toml").exists() else None


def read_texts(path: Path) -> pl.DataFrame:
    """A small CSV file as a frame of texts, null where nothing stands.

    No polars query is made, which would start threads: a process that has read one may be forked.
    """
    import polars as pl

    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    columns = zip(*rows, strict=True) if rows else ([] for _ in header)
    texts = {name: [text or None for text in of] for name, of in zip(header, columns, strict=True)}
    return pl.DataFrame(texts, schema=dict.fromkeys(header, pl.String))
