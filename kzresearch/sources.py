"""Where every table comes from, and its raw files: found, or fetched, and always checked."""

from __future__ import annotations

import hashlib
import os
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dataframely as dy
import polars as pl

from kzresearch.errors import SourceError
from kzresearch.resources import data_dir
from kzresearch.schemas import Sources

if TYPE_CHECKING:
    from IPython.display import Markdown

RAW_FOLDER = "KZRESEARCH_RAW"
"""Environment variable: a folder of raw files, laid out as the paths in `sources.toml`."""


@dataclass(frozen=True)
class RawFile:
    """One raw file of a source: where it lies in a raw folder, its checksum, where to get it."""

    source: str
    path: str
    sha256: str
    url: str = ""
    by_hand: str = ""
    region: str | None = None
    period: str | None = None


@cache
def read_sources(file: Path | None = None) -> tuple[dict[str, Any], ...]:
    """The blocks of `sources.toml`, as they stand in it."""
    file = file or data_dir() / "sources.toml"
    return tuple(tomllib.loads(file.read_text(encoding="utf-8"))["source"])


def source(source_id: str) -> dict[str, Any]:
    """One source's block."""
    return next(block for block in read_sources() if block["id"] == source_id)


def raw_files(source_id: str, file: Path | None = None) -> list[RawFile]:
    """The raw files of one source, in the order of `sources.toml`."""
    names = RawFile.__dataclass_fields__
    return [
        RawFile(source_id, **{k: v for k, v in entry.items() if k in names})
        for block in read_sources(file)
        if block["id"] == source_id
        for entry in block.get("file", [])
    ]


def load_sources() -> dy.DataFrame[Sources]:
    """Where every table comes from: producer, citation, licence, raw files with checksums.

    Returns one row per raw file, or per source that has none, as `schemas.Sources` describes;
    what is not known is null.

    Source: `data/sources.toml`.
    """
    columns = Sources.column_names()
    lines = [
        {name: ({**block, **entry}.get(name) or None) for name in columns}
        for block in read_sources()
        for entry in block.get("file", [{}])
    ]
    return Sources.validate(pl.DataFrame(lines, schema=Sources.create_empty().schema))


def references(source_ids: list[str]) -> Markdown:
    """The sources named, each with its citation, licence and address, for the end of a notebook."""
    from IPython.display import Markdown

    lines = []
    for source_id in source_ids:
        block = source(source_id)
        lines.append(f"- {block['citation']} Terms: {block['licence']}. (`{source_id}`)")
    return Markdown("\n".join(lines))


def how_to_cite(notebook: str, **parameters: object) -> Markdown:
    """How to cite a run of a notebook, for its end; the page of a run adds its run id."""
    from IPython.display import Markdown

    from kzresearch import __version__

    given = ", ".join(f"{name} {value}" for name, value in parameters.items())
    return Markdown(
        f"This is the notebook `{notebook}` ({given}) of *kzresearch*, version {__version__}. *Cite this* on "
        "the page of a run, or `kzresearch cite`, gives the citation with the run id; the sources above "
        "are to be cited for their figures."
    )


def raw_folder() -> Path | None:
    """The folder named by `KZRESEARCH_RAW`, or None where it is not set."""
    folder = os.environ.get(RAW_FOLDER)
    if not folder:
        return None
    if not Path(folder).is_dir():
        raise SourceError(f"{RAW_FOLDER} names no folder; set it to a folder of raw files")
    return Path(folder)


def raw_file(file: RawFile, cache_folder: Path | None = None) -> Path:
    """Path of a raw file whose checksum is right: from `KZRESEARCH_RAW`, else downloaded.

    Downloads are kept in the platform's cache folder and not repeated.

    Raises SourceError if the file is missing, differs from its checksum, or cannot be downloaded;
    the error says what to do by hand.
    """
    folder = raw_folder()
    if folder is None:
        return _download(file, cache_folder)
    path = folder / file.path
    if not path.is_file():
        raise SourceError(f"{file.path} is not in {RAW_FOLDER}; {_advice(file)}")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != file.sha256:
        raise SourceError(
            f"{file.path} in {RAW_FOLDER} has sha256 {found[:12]}…, expected {file.sha256[:12]}…: "
            "it is another version of the file; use the one in sources.toml"
        )
    return path


def _download(file: RawFile, cache_folder: Path | None) -> Path:
    if not file.url:
        raise SourceError(f"{file.path} has no download address; {_advice(file)}")
    import platformdirs
    import pooch
    import requests

    folder = cache_folder or platformdirs.user_cache_path("kzresearch") / "raw"
    pooch.get_logger().setLevel("ERROR")
    target = folder / file.path
    try:
        path = pooch.retrieve(
            file.url,
            known_hash=f"sha256:{file.sha256}",
            path=target.parent,
            fname=target.name,
            downloader=pooch.HTTPDownloader(progressbar=False, timeout=60),
        )
    except ValueError as error:  # how pooch reports a wrong checksum
        if "hash" not in str(error).lower():
            raise
        raise SourceError(
            f"{file.path}: the file at {file.url} is not the one in sources.toml (its checksum "
            f"differs), so it was not kept; {_advice(file)}"
        ) from None
    except (requests.RequestException, OSError) as error:
        reason = type(error).__name__
        raise SourceError(
            f"{file.path} could not be downloaded from {file.url} ({reason}); {_advice(file)}"
        ) from None
    return Path(path)


def _advice(file: RawFile) -> str:
    by_hand = file.by_hand or f"get the file with sha256 {file.sha256[:12]}… from its publisher"
    return f"{by_hand.rstrip('.')}, put it at {file.path} in a folder and set {RAW_FOLDER} to it"
