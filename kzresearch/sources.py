"""Where every table comes from, and its raw files: found, or fetched, and always checked."""

from __future__ import annotations

import hashlib
import os
import queue
import re
import threading
import time
import tomllib
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import dataframely as dy
import polars as pl

from kzresearch.errors import OutputError, SourceError, unknown_value
from kzresearch.language import later, say
from kzresearch.resources import data_dir
from kzresearch.schemas import Sources

if TYPE_CHECKING:
    from IPython.display import Markdown

    from kzresearch.figures import Figure

RAW_FOLDER = "KZRESEARCH_RAW"
"""Environment variable: a folder of raw files, laid out as the paths in `sources.toml`."""


@dataclass(frozen=True)
class RawFile:
    """One raw file of a source: where it lies in a raw folder, checksum and size, where to get it."""

    source: str
    path: str
    sha256: str
    bytes: int = 0
    url: str = ""
    by_hand: str = ""
    region: str | None = None
    period: str | None = None


def read_sources(file: Path | None = None) -> tuple[dict[str, Any], ...]:
    """The blocks of `sources.toml`, as they stand in it."""
    return _blocks(file or data_dir() / "sources.toml")


@cache
def _blocks(file: Path) -> tuple[dict[str, Any], ...]:
    return tuple(tomllib.loads(file.read_text(encoding="utf-8"))["source"])


def source(source_id: str) -> dict[str, Any]:
    """One source's block."""
    return next(block for block in read_sources() if block["id"] == source_id)


def source_of(source_id: str, workbooks: Collection[str]) -> dict[str, Any]:
    """One source's block, as it is to be cited for figures from these workbooks, by checksum.

    Its `own` part holds where some are the user's own, and none is among its raw files.
    """
    block = source(source_id)
    named = {file.source for file in _every_file() if file.sha256 in workbooks}
    own = own_workbooks(workbooks) and source_id not in named
    return {**block, **block.get("own", {})} if own else block


def own_workbooks(workbooks: Collection[str]) -> set[str]:
    """Those of the workbooks, by checksum, that are in the user's store and no source's raw file."""
    others = set(workbooks) - {file.sha256 for file in _every_file()}
    if not others:  # then the store need not be asked
        return others
    from kzresearch.datasets import every_workbook

    return others.intersection(every_workbook()["sha256"])


def raw_files(source_id: str, file: Path | None = None) -> list[RawFile]:
    """The raw files of one source, in the order of `sources.toml`."""
    return [one for one in _every_file(file) if one.source == source_id]


def load_sources() -> dy.DataFrame[Sources]:
    """Where every table comes from: producer, citation, licence, raw files with checksums.

    Returns one row per raw file, or per source that has none, as `schemas.Sources` describes;
    what is not known is null.

    Source: `data/sources.toml`.

    >>> kz.load_sources().filter(path="form_1m/2022-12/Almaty.XLSX").select("id", "bytes").row(0)
    ('form_1m', 1090864)
    """
    columns = Sources.column_names()
    lines = [
        {name: ({**block, **entry}.get(name) or None) for name in columns}
        for block in read_sources()
        for entry in block.get("file", [{}])
    ]
    return Sources.validate(pl.DataFrame(lines, schema=Sources.create_empty().schema))


def references(source_ids: list[str], figures: Iterable[Figure] = ()) -> Markdown:
    """The sources named, each with its citation, licence and address: a notebook's end.

    `figures` are those recorded: where all are from the user's own workbooks, that is what is cited.

    >>> print(kz.references(["acca_2021"]).data)
    - ACCA. Kazakhstan: about 90 cases of torture were registered since the beginning of the year. ...
    """
    from IPython.display import Markdown

    workbooks = {cell.workbook for one in figures for cell in one.cells}
    lines = []
    for source_id in source_ids:
        block = source_of(source_id, workbooks)
        text = later("{citation} Terms: {licence}. (`{source}`)")
        licence = say(block["licence"])
        said = say(text, citation=say(block["citation"]), licence=licence, source=source_id)
        lines.append(f"- {said}")
    return Markdown("\n".join(lines))


def how_to_cite(notebook: str, **parameters: object) -> Markdown:
    """How to cite a run of a notebook, for its end; the page of a run adds its run id.

    >>> print(kz.how_to_cite("case_flow", period="2022-12").data)
    This is the notebook `case_flow` (period 2022-12) of *kzresearch*, version ...
    """
    from IPython.display import Markdown

    from kzresearch import __version__

    given = ", ".join(f"{say(name)} {value}" for name, value in parameters.items())
    return Markdown(
        say(
            "This is the notebook `{notebook}` ({given}) of *kzresearch*, version {version}. *Cite "
            "this* on the page of a run, or `kzresearch cite`, gives the citation with the run id; "
            "the sources above are to be cited for their figures.",
            notebook=notebook,
            given=given,
            version=__version__,
        )
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
        folder = cache_folder or _cache()
        fetch(file, folder)
        return folder / file.path
    path = folder / file.path
    if not path.is_file():
        raise SourceError(f"{file.path} is not in {RAW_FOLDER}; {_advice(file)}")
    found = _sha256(path)
    if found != file.sha256:
        raise SourceError(
            f"{file.path} in {RAW_FOLDER} has sha256 {found[:12]}…, expected {file.sha256[:12]}…: "
            "it is another version of the file; use the one in sources.toml"
        )
    return path


def fetch_folder() -> Path:
    """Where `raw_file` looks: the folder that `KZRESEARCH_RAW` names, or the platform's cache."""
    return raw_folder() or _cache()


def files_named(name: str) -> list[RawFile]:
    """The raw files that a name stands for, in the order of `sources.toml`.

    A name is the id of a source, a folder, a path, or a folder and a word of the files' names:
    `regions/2024` is every file in `regions` with 2024 in its name.

    Raises UnknownValueError, or SourceError for a source without raw files.
    """
    folder, _, word = name.rstrip("/").rpartition("/")
    before, after = r"(.*[^0-9a-z])?" if folder else "", r"([^0-9a-z].*)?"
    start = f"{re.escape(folder)}/" if folder else ""
    like = re.compile(f"{start}{before}{re.escape(word)}{after}", re.IGNORECASE)
    found = [file for file in _every_file() if name == file.source or like.fullmatch(file.path)]
    if found and word:
        return found
    ids = [block["id"] for block in read_sources()]
    if name in ids:
        raise SourceError(f"the source {name} has no raw files; nothing is to be fetched")
    raise unknown_value("source", name, list(dict.fromkeys([*map(_folder, _every_file()), *ids])))


def fetchable(folder: Path) -> list[dict[str, Any]]:
    """What can be fetched: for each folder and source its files, bytes, how many are in `folder`.

    `by_hand` lists the paths of those that are not there and have no address.
    """
    groups: dict[tuple[str, str], list[RawFile]] = {}
    for file in _every_file():
        groups.setdefault((_folder(file), file.source), []).append(file)
    rows = []
    for (name, source_id), files in groups.items():
        missing = [file for file in files if not _is(file, folder / file.path)]
        rows.append(
            {
                "folder": name,
                "source": source_id,
                "files": len(files),
                "bytes": sum(file.bytes for file in files),
                "here": len(files) - len(missing),
                "by_hand": [file.path for file in missing if not file.url],
            }
        )
    return rows


def fetch(file: RawFile, folder: Path, at: Callable[[int], object] = lambda _: None) -> bool:
    """Have a raw file at its path in `folder`, checked; False where it was there before.

    No request is made for a file that is there. What came before a download was cut off is kept
    in `.fetch` and gone on from; several processes may fetch the same file. Another version that lies
    there is kept, with its checksum added to its name. `at` is told how many bytes are there.

    Raises SourceError if the file cannot be had, with what to do by hand; OutputError if the folder
    cannot be written.
    """
    import filelock

    target, work = folder / file.path, folder / ".fetch"
    try:
        if _is(file, target):
            return False
        if not file.url:
            raise SourceError(f"{file.path} has no download address; {_advice(file)}")
        for needed in (target.parent, work):
            needed.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(work / f"{file.sha256}.lock", timeout=_seconds(file)):
            if _is(file, target):  # another process has fetched it meanwhile
                return False
            # The checksum is its name: parts of two versions of a file are never put together.
            part = _completed(file, work / f"{file.sha256}.part", at)
            if target.is_file():
                target.replace(target.with_name(f"{target.name}.{_sha256(target)[:12]}"))
            part.replace(target)
    except filelock.Timeout:
        raise SourceError(
            f"{file.path} is being fetched by another process; wait for it, or end it"
        ) from None
    except OSError as error:
        raise OutputError(
            f"{file.path} could not be written ({error.strerror or type(error).__name__}); make room or "
            "choose another folder"
        ) from None
    return True


_TRIES, _PAUSE = 4, 0.5  # seconds before the second; twice as long before each next one
_REDIRECTS = 10
_CONNECT, _SILENCE = 10, 30  # seconds
_AT_LEAST, _SLOWEST = 60, 10_000  # seconds for any file, and bytes per second on top of them
_CHUNK = 1 << 16


class _CutError(Exception):
    """A download that may be gone on with."""


def _completed(file: RawFile, part: Path, at: Callable[[int], object]) -> Path:
    """The partial file, brought to its end; where that fails, what came is kept."""
    try:
        # A download that is given up goes on in its thread until it next writes: this is closed then.
        with part.open("ab") as out:
            _in_time(file, lambda: _download(file, out, at))
    finally:
        if not part.stat().st_size:
            part.unlink()
    return part


def _download(file: RawFile, out: BinaryIO, at: Callable[[int], object]) -> None:
    """Bring the partial file to the length and checksum of `sources.toml`, in a few tries."""
    problem = ""
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(_PAUSE * 2 ** (attempt - 1))
        start, cut = out.tell(), "it ended"
        try:
            if start < file.bytes:
                start = _request(file, out, at)
        except _CutError as error:
            cut = str(error)
        size = out.tell()
        out.flush()
        if size == file.bytes and _sha256(Path(out.name)) == file.sha256:
            os.fsync(out.fileno())
            return
        problem = f"{cut} after {size:,} of {file.bytes:,} bytes"
        if size >= file.bytes:
            _empty(out)
            longer = f"it has more than {file.bytes:,} bytes"
            problem = longer if size > file.bytes else "its checksum differs"
            if not start:  # else the part may be of another version: all of it, the next time
                raise _changed(file, problem)
    raise _not_downloaded(file, problem)


def _request(file: RawFile, out: BinaryIO, at: Callable[[int], object]) -> int:
    """Add to the partial file what one request gives; the byte from which that was."""
    import requests

    start = out.tell()
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    with _faults(file), requests.Session() as session:
        session.max_redirects = _REDIRECTS
        # Else requests reads what comes with a redirect, however long, into memory.
        session.hooks["response"].append(lambda r, **_: r.close() if r.is_redirect else None)
        with session.get(
            file.url, headers=headers, stream=True, timeout=(_CONNECT, _SILENCE)
        ) as answer:
            start = _first_byte(file, answer, out)
            # One byte more than there should be tells that the file is longer. `read1` gives what
            # has come, as it came: what a server packs is not unpacked.
            while (left := file.bytes + 1 - out.tell()) > 0:
                piece = answer.raw.read1(min(left, _CHUNK), decode_content=False)
                if not piece:
                    break
                out.write(piece)
                at(out.tell())
    return start


def _first_byte(file: RawFile, answer: Any, out: BinaryIO) -> int:
    """The byte of the file with which an answer begins; the partial file ends before it."""
    status, start = answer.status_code, out.tell()
    if status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
        return start
    if status in {206, 416}:  # not the part that was asked for, or none: all of it, the next time
        _empty(out)
    if status in {206, 408, 416, 429} or status >= 500:
        raise _CutError(f"the server answers {status}")
    if status != 200:
        raise _not_downloaded(file, f"the server answers {status}")
    length = answer.headers.get("Content-Length", "")
    if length.isdecimal() and int(length) < file.bytes:
        raise _changed(file, f"it has {int(length):,} bytes, expected {file.bytes:,}")
    _empty(out)
    return 0


@contextmanager
def _faults(file: RawFile) -> Iterator[None]:
    """Errors of the network as `_CutError`, which may be tried again, or SourceError."""
    import requests
    import urllib3

    try:
        yield
    except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
        # A connection that was never made, or an address that is none (ValueError), stays so.
        passing = (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError)
        unmade = any(isinstance(why, urllib3.exceptions.MaxRetryError) for why in error.args)
        if isinstance(error, passing) and not unmade:
            silent = isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError)
            raise _CutError(
                "the server fell silent" if silent else "the connection was cut"
            ) from None
        raise _not_downloaded(file, type(error).__name__) from None
    except OSError as error:
        if error.errno:  # of the disk; those of the network are wrapped
            raise
        raise _not_downloaded(file, "REQUESTS_CA_BUNDLE names no certificates") from None


def _in_time(file: RawFile, work: Callable[[], None]) -> None:
    """Do `work`, or give it up: names that are looked up, and headers that drip, end by no time-out."""
    done: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

    def run() -> None:
        try:
            work()
            done.put(None)
        except BaseException as error:  # raised again where it is waited for
            done.put(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        error = done.get(timeout=_seconds(file))
    except queue.Empty:
        raise _not_downloaded(file, f"it did not come in {_seconds(file):,.0f} seconds") from None
    if error is not None:
        raise error


def _seconds(file: RawFile) -> float:
    """What a download may take, with all its tries."""
    return _AT_LEAST + file.bytes / _SLOWEST


def _empty(out: BinaryIO) -> None:
    out.seek(0)
    out.truncate()


def _is(file: RawFile, path: Path) -> bool:
    return path.is_file() and _sha256(path) == file.sha256


def _sha256(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _cache() -> Path:
    import platformdirs

    return platformdirs.user_cache_path("kzresearch") / "raw"


def _every_file(file: Path | None = None) -> tuple[RawFile, ...]:
    return _files(file or data_dir() / "sources.toml")


@cache
def _files(file: Path) -> tuple[RawFile, ...]:
    names = RawFile.__dataclass_fields__
    return tuple(
        RawFile(block["id"], **{k: v for k, v in entry.items() if k in names})
        for block in _blocks(file)
        for entry in block.get("file", [])
    )


def _folder(file: RawFile) -> str:
    return file.path.rpartition("/")[0]


def _changed(file: RawFile, how: str) -> SourceError:
    return SourceError(
        f"{file.path}: the file at {file.url} is not the one in sources.toml ({how}), so it was not "
        f"kept; {_advice(file)}"
    )


def _not_downloaded(file: RawFile, why: str) -> SourceError:
    return SourceError(
        f"{file.path} could not be downloaded from {file.url} ({why}); {_advice(file)}"
    )


def _advice(file: RawFile) -> str:
    by_hand = file.by_hand or f"get the file with sha256 {file.sha256[:12]}… from its publisher"
    known = {block["id"]: block["address"] for block in read_sources()}
    address = known.get(file.source, "")
    where = f" (its source's address: {address})" if address not in by_hand else ""
    return f"{by_hand.rstrip('.')}{where}, put it at {file.path} in a folder and set {RAW_FOLDER} to it"
