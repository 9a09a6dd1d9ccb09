"""Takes the user's own workbooks into the store, and says of each file what became of it."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import dataframely as dy
import polars as pl

from kzresearch import datasets
from kzresearch import store as stores
from kzresearch.cluster_readers import ClusterReaders
from kzresearch.errors import KzresearchError, ParameterError
from kzresearch.form_1m import codebook
from kzresearch.form_1m.identity import Stated
from kzresearch.readers import Job, Read, Readers, Refused
from kzresearch.resources import STORE
from kzresearch.run.verify import printable
from kzresearch.schemas import OUTCOMES, PERIOD, Ingested
from kzresearch.store import DamagedError, Report, Store, Taken

ENDINGS = (".xlsx", ".xlsm", ".xls", ".xlsb", ".ods")
"""Files of a folder that are looked at; a file that is named is looked at whatever it is called."""
_TOGETHER = 60
"""Reports held before they are written: a country's for three months."""
_SHOWN = 4
"""Broken identities that are named of a report; the others are counted."""
_MANIFEST = ("file", "period", "region")


@dataclass(frozen=True)
class Offered:
    """A file, and what is said of it from outside; or why nothing can be made of that."""

    path: Path
    stated: Stated | Refused

    @property
    def name(self) -> str:
        """The file's name, without what a terminal would obey."""
        return printable(self.path.name)


class Progress(NamedTuple):
    """What an ingest tells while it goes on."""

    began: Callable[[int], object] = lambda _files: None
    ended: Callable[[], object] = lambda: None
    asks: Callable[[str], bool] = lambda _question: False


def ingest(
    paths: str | Path | Sequence[str | Path] = (),
    *,
    period: str | None = None,
    region: str | None = None,
    manifest: str | Path | None = None,
    store: str | Path | None = None,
    replace: bool = False,
    jobs: int | None = None,
    dask: str | None = None,
    progress: Progress = Progress(),  # noqa: B008  a tuple of functions
) -> dy.DataFrame[Ingested]:
    """Read workbooks of Form 1-M into the user's store; loaders have them from then on.

    `paths` are files and folders, looked through to the bottom. Most files do not state their period:
    a folder named `YYYY-MM` does, a `manifest` (a CSV file with the columns `file`, `period`, `region`;
    paths from its own folder) or `period`; `region` likewise for the few that do not state it. What is
    said must not contradict the file. `store` is a folder or `s3://bucket/prefix`; default: the one that
    `KZRESEARCH_STORE` names, or a folder of the platform's. `replace` takes a file in place of another of
    the same region and period, which stays readable by its checksum. `jobs` processes read (default:
    one for each processor), or the workers of a Dask cluster.

    Returns one row per file, as `schemas.Ingested` describes: what became of it, and why. A file that is
    refused leaves no figure and stops no other. However it is stopped, the store is whole, and the same
    call goes on.

    Raises `ParameterError` for a manifest or option that is wrong, `OutputError` for a store that cannot be
    used; then nothing is read.

    >>> kz.ingest("reports/2023-12").select("file", "outcome", "region", "period").rows()
    [('Almaty.XLSX', 'taken', 'KZ-75', '2023-12'), ('Astana.XLSX', 'taken', 'KZ-71', '2023-12')]
    >>> kz.load_form_1m("2023-12", section="R1", article="146", measure="registered").height
    2
    """
    given = [paths] if isinstance(paths, (str, Path)) else list(paths)
    try:
        stated = Stated(period, region=region)
    except KzresearchError as error:
        raise ParameterError(str(error)) from None
    files = offered([Path(one) for one in given], stated, manifest)
    with _using(store) as where, where.locked():
        with _reading(dask, min(jobs or os.cpu_count() or 1, len(files)), where) as readers:
            taking = _Taking(where, replace=replace, asks=progress.asks)
            progress.began(len(files))
            for file, found in zip(files, readers.read(taking.jobs(files)), strict=True):
                taking.take(file, found)
                progress.ended()
        taking.write()
    return Ingested.validate(pl.DataFrame(taking.rows(), schema=Ingested.create_empty().schema))


@contextlib.contextmanager
def _using(where: str | Path | None) -> Iterator[Store]:
    """The store of this name, which is the user's own as long as this lasts."""
    before = os.environ.get(STORE)
    if where is not None:
        os.environ[STORE] = str(where)
    try:
        yield stores.store()
    finally:
        if where is not None:
            os.environ.pop(STORE)
            os.environ.update({STORE: before} if before is not None else {})


class _Taking:
    """An ingest under way: what became of each file, and what is still to be written."""

    def __init__(self, store: Store, *, replace: bool, asks: Callable[[str], bool]) -> None:
        self._store, self._replace, self._asks = store, replace, asks
        held = datasets.load_workbooks().iter_rows(named=True)
        self._held = {(one["region"], one["period"]): one for one in held}
        self._places = {one["figures"]: place for place, one in self._held.items()}
        self._waiting: dict[str, list[tuple[Taken, dict[str, Any]]]] = {}  # with its row below
        self._twins: dict[str, list[dict[str, Any]]] = {}  # rows with the same figures
        self._given: dict[tuple[str, str], str] = {}  # → the file
        self._replacing: set[str] = set()
        self._rows: list[dict[str, Any]] = []

    def jobs(self, files: Iterable[Offered]) -> Iterator[Job | Refused]:
        """What is to be read of each file, as it is needed."""
        for file in files:
            said = file.stated
            yield said if isinstance(said, Refused) else Job(file.name, file.path, said)

    def take(self, file: Offered, found: Read | Refused) -> None:
        """Note what was read of a file, and write what is enough for a period."""
        row: dict[str, Any] = {"file": file.name}
        self._rows.append(row)
        if isinstance(found, Refused):
            reason = printable(_for_a_command(found.reason))
            row |= {"outcome": "refused", "reason": reason}
            return
        who = found.identity
        taken = Taken.of(
            found.figures,
            sha256=found.sha256,
            file=file.name,
            region=who.region,
            region_source=who.region_source,
            organ_code=who.organ_code,
            period=who.period,
            period_source=who.period_source,
            form_version=found.form_version,
            form_checksum=found.form_checksum,
        )
        changed = _is_of_another_form(taken.report)
        outcome, why = ("refused", changed) if changed else self._outcome(taken.report)
        row |= {
            "outcome": outcome,
            "reason": why,
            "region": who.region,
            "region_source": who.region_source,
            "period": who.period,
            "period_source": who.period_source,
            "sha256": found.sha256,
            "form_version": found.form_version,
            "broken": found.broken.filter(pl.col("status") == "hard")["identity"].to_list(),
        }
        if outcome == "already there":
            self._twins.setdefault(taken.report.figures, []).append(row)
        if outcome not in {"taken", "replaced"}:
            return
        self._waiting.setdefault(who.period, []).append((taken, row))
        if sum(map(len, self._waiting.values())) >= _TOGETHER:
            self.write()

    def _outcome(self, report: Report) -> tuple[str, str | None]:
        """What becomes of a report, and why it does not become more."""
        name, place = report.file, (report.region, report.period)
        of = f"{report.region} for {report.period}"
        same = self._places.get(report.figures)
        if same == place:
            return self._already(report)
        if place in self._given:
            return "refused", (
                f"{name}: a second workbook of {of}, after {self._given[place]}; give one of the two"
            )
        if same is not None:
            return "refused", (
                f"{name}: given as {of}, it has all the figures that are held of {same[0]} for "
                f"{same[1]}; one of the two is not what it is said to be"
            )
        held = self._held.get(place)
        if held is None:
            self._hold(report)
            return "taken", None
        question = (
            f"{name} is another workbook of {of} than {held['file']} (sha256 {held['sha256']})"
        )
        if self._replace or self._asks(f"{question}: replace that one?"):
            self._places.pop(held["figures"], None)
            self._replacing.add(held["sha256"])
            self._hold(report)
            return "replaced", f"sha256 {held['sha256']}"
        return "refused", f"{question}; --replace takes it instead, and keeps that one readable"

    def _already(self, report: Report) -> tuple[str, str | None]:
        """What becomes of a report that is there, or was given before: it may be in a damaged file."""
        place = report.region, report.period
        if place not in self._given:
            try:
                self._store.check_whole(report.period)
            except DamagedError as error:
                return "refused", f"{report.file}: {error}"
        self._given.setdefault(place, report.file)
        return "already there", None

    def _hold(self, report: Report) -> None:
        """Note that a report is in the store, or will be."""
        place = report.region, report.period
        self._given[place], self._places[report.figures] = report.file, place

    def write(self) -> None:
        """Put what waits into the store, a period at a time."""
        for period in sorted(self._waiting):
            waiting, taken = self._waiting.pop(period), []
            for one, row in waiting:
                if why := _is_of_another_form(one.report):
                    self._refuse(one.report, row, why)
                else:
                    taken.append(one)
            try:
                self._store.put(period, taken, self._replacing)
            except DamagedError as error:
                for one, row in waiting:
                    self._refuse(one.report, row, f"{one.report.file}: {error}")

    def _refuse(self, report: Report, row: dict[str, Any], why: str) -> None:
        """Refuse a report that was taken, and those with it that had been found to be there then."""
        self._given.pop((report.region, report.period), None)
        self._places.pop(report.figures, None)
        for one in (row, *self._twins.pop(report.figures, ())):
            one |= {"outcome": "refused", "reason": why.replace(row["file"], one["file"], 1)}

    def rows(self) -> list[dict[str, Any]]:
        """What became of each file."""
        return self._rows


def _is_of_another_form(report: Report) -> str | None:
    """Why a report cannot be stored whose version of the form was changed since it was read."""
    try:
        if codebook.form(report.form_version).checksum == report.form_checksum:
            return None
    except KzresearchError as error:
        return f"{report.file}: {error}"
    return (
        f"{report.file}: version {report.form_version} of the form was changed while it was read; "
        "ingest it again"
    )


def _for_a_command(reason: str) -> str:
    """A reason in words that fit several files and a command."""
    period = "name its folder YYYY-MM, or give --period or --manifest"
    region = "give --region KZ-75 or --manifest"
    return reason.replace("give it: period='YYYY-MM'", period).replace(
        "give it: region='KZ-75'", region
    )


def offered(paths: list[Path], stated: Stated, manifest: str | Path | None = None) -> list[Offered]:
    """The files to be read, by folder and name, each with what is said of it from outside.

    Raises `ParameterError` where there is none, and for a manifest that is wrong.
    """
    listed = _manifest(Path(manifest)) if manifest is not None else {}
    files = dict.fromkeys(path for one in paths or listed for path in _files(one))
    if not files:
        raise ParameterError("no workbook given; name files, folders of them, or a manifest")
    said = {_real(path): one for path, one in listed.items()}
    found = [Offered(path, _said_of(path, stated, said.get(_real(path)))) for path in files]
    lacking = [path for path in listed if path not in files and not path.exists()]
    return found + [
        Offered(path, Refused(f"{path.name}: the manifest lists it, but there is no such file"))
        for path in lacking
    ]


def _files(path: Path) -> Iterator[Path]:
    """The workbooks of a folder, to the bottom; a file is itself, and a folder that cannot be read."""
    path = Path(os.path.abspath(path))  # noqa: PTH100  takes out `..` as well
    if not os.path.isdir(path):  # noqa: PTH112  false also where it may not be looked at
        yield path
        return
    unread: list[Path] = []
    for folder, folders, names in os.walk(path, onerror=lambda e: unread.append(Path(e.filename))):
        folders.sort()
        for name in sorted(names):
            # `~$` is what an open spreadsheet leaves beside the file.
            if name.lower().endswith(ENDINGS) and not name.startswith(("~$", ".")):
                yield Path(folder, name)
    yield from unread


def _real(path: Path) -> Path:
    """Where a file lies, however it is reached: what a manifest says holds for it."""
    return Path(os.path.realpath(path))


def _said_of(path: Path, stated: Stated, listed: Stated | None) -> Stated | Refused:
    """What option, manifest and folder say of a file; they must not contradict each other."""
    if os.path.isdir(path):  # noqa: PTH112
        return Refused(
            f"{printable(path.name)}: a folder that cannot be read; give the files in it"
        )
    periods = {
        "argument": stated.period,
        "manifest": listed and listed.period,
        "folder": next((p.name for p in path.parents if re.fullmatch(PERIOD, p.name)), None),
    }
    regions = {"argument": stated.region, "manifest": listed and listed.region}
    found: dict[str, Any] = {}
    for what, said in (("period", periods), ("region", regions)):
        values = {source: value for source, value in said.items() if value}
        if len(set(values.values())) > 1:
            words = ", ".join(f"{value} by {source}" for source, value in values.items())
            return Refused(
                f"{printable(path.name)}: its {what} is given differently ({words}); give one"
            )
        for source, value in values.items():
            found.setdefault(what, value)
            found.setdefault(f"{what}_source", source)
    return Stated(**found)


def _manifest(path: Path) -> dict[Path, Stated]:
    """What a manifest says of each file: paths are from its own folder."""
    found: dict[Path, Stated] = {}
    there: set[Path] = set()
    for number, line in _lines(path):
        one = path.absolute().parent / line["file"]
        try:
            said = Stated(
                line.get("period") or None, "manifest", line.get("region") or None, "manifest"
            )
            real = _real(one)
        except (KzresearchError, ValueError) as error:
            raise _wrong(path, number, str(error)) from None
        if real in there:
            raise _wrong(path, number, f"{line['file']} stands there twice")
        there.add(real)
        found[one] = said
    return found


def _lines(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """The lines of a manifest, with their numbers; empty ones are left out."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise _wrong(path, 0, f"cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise _wrong(path, 0, "is not in UTF-8") from None
    # A spreadsheet parts by semicolons where the comma is the sign of decimals.
    parted = ";" if ";" in text.partition("\n")[0] else ","
    reader = csv.DictReader(io.StringIO(text), delimiter=parted, strict=True)
    try:
        columns = reader.fieldnames or []
        if "file" not in columns or len(set(columns) & set(_MANIFEST)) < len(columns):
            raise _wrong(path, 0, f"has the columns {', '.join(columns) or 'none'}")
        for line in reader:
            if not any(line.values()):
                continue
            if not line["file"] or None in line or None in line.values():
                raise _wrong(path, reader.line_num, "has not one value for each column")
            yield reader.line_num, line
    except csv.Error as error:
        raise _wrong(path, reader.line_num, str(error)) from None


def _wrong(path: Path, line: int, what: str) -> ParameterError:
    where = f", line {line}" if line else ""
    return ParameterError(
        f"{printable(path.name)}{where}: {printable(what)}; a manifest is a CSV file with the columns "
        f"{', '.join(_MANIFEST)}, of which the first is needed"
    )


def _reading(dask: str | None, jobs: int, store: Store) -> Readers | ClusterReaders:
    """What reads: processes of this machine, or the workers of a cluster."""
    if dask is None:
        return Readers(jobs, store.where)
    return ClusterReaders(dask, store.versions())


def does_not_add_up(row: dict[str, Any]) -> str:
    """The hard identities that a report breaks, in a sentence."""
    number = len(row["broken"])
    listed = ", ".join(row["broken"][:_SHOWN]) + (" …" if number > _SHOWN else "")
    identities = "identity" if number == 1 else "identities"
    return f"{row['region']} {row['period']} breaks {number} hard {identities}: {listed}"


def report(found: pl.DataFrame, *, quiet: bool = False) -> str:
    """What became of the files, in words: those refused one by one, the others counted."""
    lines = []
    for row in found.iter_rows(named=True):
        if row["outcome"] == "refused":
            lines.append(f"refused: {row['reason']}")
        elif row["outcome"] == "replaced" and not quiet:
            lines.append(
                f"replaced: {row['region']} {row['period']} by {row['file']}; the earlier one is "
                f"readable by its {row['reason']}"
            )
    if quiet:
        return "".join(f"{printable(line)}\n" for line in lines)
    new = found.filter(pl.col("outcome").is_in(["taken", "replaced"]))
    wrong = new.filter(pl.col("broken").list.len() > 0).iter_rows(named=True)
    lines += [f"{does_not_add_up(row)}; kzresearch check names the cells" for row in wrong]
    counts = found.group_by("outcome").len()
    numbers = dict(counts.iter_rows())
    counted = [f"{numbers[name]} {name}" for name in OUTCOMES if name in numbers]
    lines.append(f"{found.height} file{'s' * (found.height != 1)}: {', '.join(counted)}")
    return "".join(f"{printable(line)}\n" for line in lines)
