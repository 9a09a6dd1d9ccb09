"""The user's own reports on Form 1-M, beside the bundled ones: one parquet file a period.

    form_1m/period=2023-12/figures.parquet   the reports of a period: figures that are not 0
    replaced/<sha256>.parquet                a report that a corrected file has replaced
    forms/2024.toml                          a version of the form, completed by the user

A file holds the columns of the long frame, and in its own metadata what is known of each workbook, so
that a period is written, replaced or removed by one step: whatever is interrupted, it is whole. The
same reports give the same bytes. Zeros are left out, and are there again when figures are read.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cache, cached_property
from itertools import groupby
from pathlib import Path
from typing import IO, Any, NamedTuple

import dataframely as dy
import polars as pl

from kzresearch.errors import OutputError, UnknownValueError
from kzresearch.form_1m import accounting, codebook
from kzresearch.form_1m.codebook import Form
from kzresearch.form_1m.reader import SOURCE
from kzresearch.resources import STORE, store_location
from kzresearch.schemas import Form1M
from kzresearch.storage import RETRY, Storage

_FIGURES = re.compile(r"form_1m/period=(20\d\d-\d\d)/figures\.parquet")
OWN = "store/"
"""How the files of the store are told from the bundled ones where both are listed."""
_METADATA = "kzresearch"
_WHOLE, _BLANK = "kzresearch-sha256", "0" * 64
_ROWS_A_GROUP = 2**15
"""Figures that are read together: few, so that one article needs little of a period's file."""
_FOOTER = 2**15
"""Bytes that are read of a file's end: what it says of itself takes less, for all regions."""
_TRIES = 5
"""How often a file is looked at anew that is another each time."""
_MOMENT = {True: 0.5, False: 30.0}
"""Seconds for which a look at what is there holds, in a folder and elsewhere."""
_PLACE = ["section", "row", "measure"]
_KEY = [*_PLACE, "region"]


@dataclass(frozen=True)
class Report:
    """One workbook in the store: whose it is, of which period and version of the form, and who says so.

    `form_checksum` is that of the version as it was then: names of figures are taken from it. `figures` is
    the checksum of what was read from it: of all its figures, in the form's order.
    """

    sha256: str
    file: str
    region: str
    region_source: str
    organ_code: str | None
    period: str
    period_source: str
    form_version: str
    form_checksum: str
    figures: str


class Sparse(NamedTuple):
    """A report's figures without zeros: how many there are in all, the places of others, and these."""

    number: int
    places: pl.Series
    values: pl.Series

    @classmethod
    def of(cls, values: pl.Series) -> Sparse:
        """Of all figures of a report, in the order of the form's `template`."""
        places = (values != 0).arg_true()
        return cls(len(values), places, values.gather(places))

    @property
    def checksum(self) -> str:
        """Of the number of figures and of those that are not 0, with their places."""
        digest = hashlib.sha256(str(self.number).encode())
        digest.update(self.places.to_numpy().astype("<i8").tobytes())
        digest.update(self.values.to_numpy().astype("<f8").tobytes())
        return digest.hexdigest()


class Taken(NamedTuple):
    """A report and its figures."""

    report: Report
    figures: Sparse

    @classmethod
    def of(
        cls, figures: Sparse | pl.Series, *, form_checksum: str | None = None, **report: Any
    ) -> Taken:
        """A report of these figures: all of them, or without zeros.

        They are in the order of its version's template, which is as it is now, or as a checksum says.
        """
        sparse = Sparse.of(figures) if isinstance(figures, pl.Series) else figures
        form = form_checksum or codebook.form(report["form_version"]).checksum
        return cls(Report(**report, form_checksum=form, figures=sparse.checksum), sparse)


def checksum(values: pl.Series) -> str:
    """The checksum of a report's figures: all of them, in the order of the form's `template`."""
    return Sparse.of(values).checksum


class DamagedError(OutputError):
    """A period's file is not as it was written."""


class _Period(NamedTuple):
    """What a period's file says of itself."""

    tag: str
    reports: tuple[Report, ...]


class _Snapshot(NamedTuple):
    """A period's file, open or as an address, and what it says of itself."""

    source: Any
    tag: str
    reports: tuple[Report, ...]


class _Files(Storage):
    purpose = "the store"


class Store:
    """The reports in one store: a folder, or `s3://bucket/prefix`; by default the user's own.

    Nothing is made where it is not there, until something is written. Raises `OutputError` for a
    place that cannot be used.
    """

    def __init__(self, where: str | Path | None = None) -> None:
        self.where = str(where or store_location())
        self.folder = None if "://" in self.where else Path(self.where)
        if self.folder is None:
            # Unless it is told, polars reads a quarter of a period's file for what that says of itself.
            os.environ.setdefault("POLARS_CLOUD_FOOTER_READ_SIZE", str(_FOOTER))
        self._looked: tuple[float, dict[str, str]] = (-1e9, {})
        self._known: dict[str, _Period] = {}
        self._whole: dict[str, str] = {}  # period → the tag of a file found to be whole

    @cached_property
    def files(self) -> _Files:
        """The files; makes the folder."""
        return _Files(self.where)

    # What is there

    def tags(self) -> dict[str, str]:
        """Period → a tag that changes with its file; looked up anew after a moment."""
        when, found = self._looked
        if time.monotonic() - when > _MOMENT[self.folder is not None]:
            found = dict(self._look())
            self._looked = (time.monotonic(), found)
        return found

    def _look(self) -> Iterator[tuple[str, str]]:
        if self.folder is None:
            for name, tag in self.files.names("form_1m/").items():
                if match := _FIGURES.fullmatch(name):
                    yield match[1], tag
            return
        try:
            names = sorted(path.name for path in (self.folder / "form_1m").iterdir())
        except FileNotFoundError:
            return
        except OSError as error:
            raise OutputError(
                f"cannot read the store {self.where}: {(error.strerror or 'unknown').lower()}; name "
                f"a folder that can be read, with {STORE} or --store"
            ) from None
        for name in names:
            if match := _FIGURES.fullmatch(f"form_1m/{name}/figures.parquet"):
                there = self._tag(match[1])
                yield from [(match[1], there)] if there else []

    def _tag(self, period: str) -> str | None:
        """The tag of a period's file as it is at this moment; None where there is none."""
        if self.folder is None:
            return self.files.tag(_name(period))
        try:
            return _tag_of((self.folder / _name(period)).stat())
        except OSError:
            return None

    def reports(self) -> list[Report]:
        """Every report held, by period and region."""
        return [report for period in self.tags() for report in self.of(period)]

    def of(self, period: str) -> tuple[Report, ...]:
        """The reports of a period, by region."""
        return self._period(period).reports

    def _period(self, period: str) -> _Period:
        tag = self.tags().get(period, "")
        known = self._known.get(period)
        if known is None or known.tag != tag:
            known = _Period(tag, self._described(_name(period)) if tag else ())
            if any(report.period != period for report in known.reports):
                raise _damaged(_name(period))
            self._known[period] = known
        return known

    def _described(self, name: str) -> tuple[Report, ...]:
        """What a file says of its reports."""
        try:
            found = pl.read_parquet_metadata(io.BytesIO(self._footer(name)))
            reports = tuple(Report(**one) for one in json.loads(found[_METADATA])["reports"])
        except (KeyError, ValueError, TypeError, pl.exceptions.PolarsError):
            raise _damaged(name) from None
        if found[_METADATA] != _description(reports):
            raise _damaged(name)
        return reports

    def _footer(self, name: str) -> bytes:
        """The end of a parquet file, where it says what it is."""
        end = self._tail(name, _FOOTER)
        size = int.from_bytes(end[-8:-4], "little") + 8  # as the format has it
        return end if size <= _FOOTER else self._tail(name, size)

    def _tail(self, name: str, size: int) -> bytes:
        if self.folder is None:
            return self.files.tail(name, size) or b""
        # The library that reads object stores starts threads: this process may be forked.
        try:
            with (self.folder / name).open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - size))
                return file.read()
        except OSError:
            return b""

    def _address(self, name: str) -> str:
        return str(self.folder / name) if self.folder else f"{self.where.rstrip('/')}/{name}"

    def checksums(self) -> dict[str, str]:
        """What a run may read of the store: by its file, a checksum of what that holds."""
        files = {
            _name(period): json.dumps([_content(one) for one in reports])
            for period in self.tags()
            if (reports := self.of(period))
        }
        if len(codebook.forms()) > 1:  # names are taken from these files
            files |= dict(self.versions())
        return {
            f"{OWN}{name}": hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()
            for name, text in files.items()
        }

    def versions(self) -> tuple[tuple[str, str], ...]:
        """The files of the user's versions of the form: name and text."""
        found = codebook.user_files(self.where)
        return tuple((f"forms/{name}", text) for name, text in found.items())

    def draft(self, version: str, text: str) -> str:
        """Leave the draft of a version of the form for the user to complete; what is to be done, in words.

        A file that is there is not touched: it may hold what somebody has completed.
        """
        name = f"forms/{version}.toml"
        if self._is_there() and self._has(name):
            return f"{self._address(name)} is there already and was not touched; complete that one"
        self.files.write(name, text.encode())
        return (
            f"draft of a version of the form: {self._address(name)}; complete it, and ingest again"
        )

    def file(self, name: str) -> bytes:
        """The content of a file that `checksums` names."""
        return self.files.read(name.removeprefix(OWN))

    # Reading

    def scan(self, periods: Iterable[str], wanted: pl.Expr, regions: Iterable[str]) -> pl.LazyFrame:
        """The figures of periods that are wanted, zeros included, as `load_form_1m` gives them.

        `wanted` is about section, row and measure.
        """
        among = set(regions)
        with contextlib.ExitStack() as stack:  # polars keeps what it needs of the files
            held = {period: self._snapshot(period, stack) for period in periods}

            def figures(reports: list[Report]) -> pl.LazyFrame:
                found = list(dict.fromkeys(one.period for one in reports))
                values = _scanned([held[one].source for one in found], self.where)
                values = values.filter(wanted).select("period", *_KEY, "value")
                if self.folder is not None:
                    return values
                return values.map_batches(self._unchanged({one: held[one].tag for one in found}))

            reports = [one for of in held.values() for one in of.reports if one.region in among]
            return _with_zeros(figures, reports, wanted)

    def _snapshot(self, period: str, stack: contextlib.ExitStack) -> _Snapshot:
        """A period's file and what is known of it.

        In a folder the file is opened here, whatever takes its place; elsewhere it must be checked
        that what was read is no other's.
        """
        if self.folder is None:
            return _Snapshot(self._address(_name(period)), *self._period(period))
        for _ in range(_TRIES):
            with contextlib.suppress(FileNotFoundError):
                file = stack.enter_context((self.folder / _name(period)).open("rb"))
                if _tag_of(os.fstat(file.fileno())) == self._period(period).tag:
                    self.check_whole(period, file)
                    return _Snapshot(file, *self._period(period))
            self._looked = (-1e9, {})
        raise _changed(_name(period))

    def check_whole(self, period: str, file: IO[bytes] | None = None) -> None:
        """Refuse a period's file of which a bit has changed since it was written; each is looked at once.

        `file` is the one to look at where it is open: another may have taken its place since.
        """
        tag = self._period(period).tag
        if not tag or self._whole.get(period) == tag:
            return
        if not _is_whole(file.read() if file else self._bytes(_name(period))):
            raise _damaged(_name(period))
        if file:
            file.seek(0)
        self._whole[period] = tag

    def _unchanged(self, known: dict[str, str]) -> Callable[[pl.DataFrame], pl.DataFrame]:
        """Passes figures on that were read of the files that are known; they might be others' now."""

        def checked(figures: pl.DataFrame) -> pl.DataFrame:
            now = dict(self._look())
            for period, tag in known.items():
                if now.get(period) != tag:
                    self._looked = (-1e9, {})
                    raise _changed(_name(period))
            return figures

        return checked

    def replaced(self, sha256: str) -> pl.LazyFrame | None:
        """The figures of a report that was replaced; None where there is none of that checksum."""
        name = _replaced(sha256)
        if not re.fullmatch("[0-9a-f]{64}", sha256) or not self._has(name):
            return None
        held = self._sound(name).select("period", *_KEY, "value")
        return _with_zeros(lambda _: held, self._described(name), pl.lit(value=True))

    def replaced_reports(self) -> list[Report]:
        """The reports that were replaced and are still readable."""
        names = self.files.names("replaced/") if self._is_there() else {}
        held = {one.sha256 for one in self.reports()}
        kept = [one for name in names for one in self._described(name)]
        return [one for one in kept if one.sha256 not in held]

    def values(self, report: Report, *, replaced: bool = False) -> pl.Series:
        """A report's figures, in the order of its version's template, checked.

        Raises OutputError where they are not those that were read from its workbook.
        """
        name = _replaced(report.sha256) if replaced else _name(report.period)
        held = self._scan(name).filter(pl.col("region") == report.region)
        places = codebook.form(report.form_version).template().with_columns(value=0.0)
        expected = _reported(places, report).drop("value")
        try:
            figures = Form1M.validate(held.collect()).drop("value")
            found = expected.join(
                held.select(*_KEY, "value").collect(), on=_KEY, how="left", maintain_order="left"
            )
            values = found["value"].fill_null(0.0)
            sound = (
                figures.join(expected, on=figures.columns, nulls_equal=True).height
                == figures.height
            )
        except (pl.exceptions.PolarsError, dy.exc.ValidationError, dy.exc.SchemaError):
            sound = False
        if not sound or checksum(values) != report.figures:
            if replaced:
                raise _damaged(name)
            raise OutputError(
                f"the figures of {report.region} for {report.period} are not those read from "
                f"{report.file}; remove them (kzresearch store --remove {report.period} --region "
                f"{report.region}), and ingest it again"
            )
        return values

    def check(self) -> Iterator[dict[str, Any]]:
        """Every report, read again: its columns, and what was found.

        `damage` is a sentence or None, `broken` lists the hard identities that the figures break. A
        file that is damaged as a whole has a line with its period and damage alone. Of reports that
        were replaced come those that are damaged.
        """
        self._looked = (-1e9, {})
        for period in self.tags():
            try:
                reports = self.of(period)
                self.check_whole(period)
                self._check_regions(period, reports)
            except OutputError as error:
                yield {"period": period, "damage": str(error)}
                continue
            for report in reports:
                yield asdict(report) | self._found(report)
        names = self.files.names("replaced/") if self._is_there() else {}
        for name in names:
            try:
                for report in self._described(name):
                    self.values(report, replaced=True)
            except OutputError as error:
                yield {"period": None, "damage": str(error)}

    def _found(self, report: Report) -> dict[str, Any]:
        try:
            values = self.values(report)
        except OutputError as error:
            return {"damage": str(error), "broken": []}
        broken = accounting.broken(codebook.form(report.form_version), values)
        hard = broken.filter(pl.col("status") == "hard")["identity"].to_list()
        return {"damage": None, "broken": hard}

    def _check_regions(self, period: str, reports: tuple[Report, ...]) -> None:
        """Refuse a file with figures of no report: loaders do not give them, other programs do."""
        try:
            found = self._scan(_name(period)).select(pl.col("region").unique()).collect()
        except (pl.exceptions.PolarsError, OSError):
            raise _damaged(_name(period)) from None
        if not set(found["region"]) <= {one.region for one in reports}:
            raise _damaged(_name(period))

    def _is_there(self) -> bool:
        return self.folder is None or self.folder.is_dir()

    def _has(self, name: str) -> bool:
        return (self.folder / name).is_file() if self.folder else self.files.tag(name) is not None

    def _scan(self, name: str) -> pl.LazyFrame:
        if self.folder is None:
            return _scanned([self._address(name)], self.where)
        with (self.folder / name).open("rb") as file:
            return _scanned([file], self.where)

    def _sound(self, name: str) -> pl.LazyFrame:
        """A file's figures for what reads all of it, once it is found to be as it was written."""
        content = self._bytes(name)
        if not _is_whole(content):
            raise _damaged(name)
        return pl.scan_parquet(io.BytesIO(content), hive_partitioning=False)

    def _bytes(self, name: str) -> bytes:
        try:
            return (self.folder / name).read_bytes() if self.folder else self.files.read(name)
        except FileNotFoundError:
            self._looked = (-1e9, {})
            raise _changed(name) from None

    # Writing

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """One at a time may write into a folder; in an object store a change in between is refused."""
        self._looked = (-1e9, {})
        if self.folder is None:
            yield
            return
        from filelock import FileLock, Timeout

        _ = self.files
        lock = FileLock(self.folder / ".lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise OutputError(
                f"another command is writing into the store {self.where}; wait for it to end"
            ) from None
        except OSError as error:
            raise OutputError(
                f"cannot write into the store {self.where}: {(error.strerror or 'unknown').lower()}; "
                f"name another place, with {STORE} or --store"
            ) from None
        try:
            self._tidy(self.folder)
            yield
        finally:
            lock.release()

    @staticmethod
    def _tidy(folder: Path) -> None:
        """Take away what a command that was killed had begun to write."""
        for pattern in ("form_1m/period=*/figures.parquet#*", "replaced/*.parquet#*"):
            for path in folder.glob(pattern):
                path.unlink(missing_ok=True)

    def put(
        self, period: str, taken: list[Taken], replacing: Collection[str] | None = None
    ) -> None:
        """Add reports to a period, each in place of an earlier one of its region, which stays readable.

        One with the same figures stays. Whole or not at all: where `replacing` is given, OutputError
        if another report than those, by their checksums, would be replaced.
        """
        before = self._fresh(period)
        there = {(report.region, report.figures) for report in before.reports}
        taken = [one for one in taken if (one.report.region, one.report.figures) not in there]
        regions = {one.report.region for one in taken}
        stay = [report for report in before.reports if report.region not in regions]
        gone = [report for report in before.reports if report.region in regions]
        for report in gone:
            if replacing is not None and report.sha256 not in replacing:
                raise OutputError(
                    f"{self.where} has had another report of {report.region} for {period} since "
                    f"({report.file}), so nothing was written of that period; start again"
                )
        for report in gone:
            self._keep(period, report)
        if not taken:
            return
        figures = _figures(taken)
        if stay:
            figures = _by_row(pl.concat([figures, self._held_of(period, stay)]))
        self._write(period, before, [*stay, *(one.report for one in taken)], figures)

    def _held_of(self, period: str, reports: list[Report]) -> pl.DataFrame:
        """The figures of some of a period's reports, as its file has them."""
        regions = [report.region for report in reports]
        return self._sound(_name(period)).filter(pl.col("region").is_in(regions)).collect()

    def remove(self, period: str, region: str | None = None) -> list[Report]:
        """Take a period, or one region's report, out of the store; what was taken out."""
        self._looked = (-1e9, {})
        if region is None and self._is_damaged(period):
            self.files.delete(_name(period))
            self._looked = (-1e9, {})
            return []
        before = self._fresh(period)
        stay = [one for one in before.reports if region not in {None, one.region}]
        gone = [one for one in before.reports if one not in stay]
        if not gone:
            where = f"{region} for {period}" if region else period
            raise UnknownValueError(f"the store holds no report of {where}; see kzresearch store")
        if stay or self.folder is None:  # an object store cannot delete what has not changed
            held = _by_row(self._held_of(period, stay)) if stay else Form1M.create_empty()
            self._write(period, before, stay, held)
        else:
            self.files.delete(_name(period))
            self._looked = (-1e9, {})
        return gone

    def _is_damaged(self, period: str) -> bool:
        try:
            self._period(period)
        except OutputError:
            return self._tag(period) is not None
        return False

    def _fresh(self, period: str) -> _Period:
        self._looked = (-1e9, {})
        return self._period(period)

    def _keep(self, period: str, report: Report) -> None:
        """A report that is about to be replaced, under its own checksum."""
        held = self._held_of(period, [report])
        self.files.write(_replaced(report.sha256), _parquet(held, [report]))

    def _write(
        self, period: str, before: _Period, reports: list[Report], figures: pl.DataFrame
    ) -> None:
        reports = sorted(reports, key=lambda one: one.region)
        content = _parquet(figures, reports)
        self.files.swap(_name(period), content, before.tag or None)
        self._looked = (-1e9, {})


@cache
def _store(where: str) -> Store:
    return Store(where)


def store() -> Store:
    """The user's store, as the environment names it now."""
    return _store(store_location())


def _name(period: str) -> str:
    return f"form_1m/period={period}/figures.parquet"


def _options(where: str) -> dict[str, Any] | None:
    return (
        {"aws_allow_http": "true", "max_retries": RETRY["max_retries"]} if "://" in where else None
    )


def _content(report: Report) -> dict[str, str]:
    """What figures depend on: not how the file was called."""
    return asdict(replace(report, file=""))


def _same(report: Report, held: Report | None) -> bool:
    return held is not None and held.figures == report.figures


def _scanned(sources: list[Any], where: str) -> pl.LazyFrame:
    """Parquet files, of which those of a folder are open: polars opens a path twice."""
    return pl.scan_parquet(sources, storage_options=_options(where), hive_partitioning=False)


def _changed(name: str) -> OutputError:
    return OutputError(f"the store's {name} was changed while it was read; read it again")


def _tag_of(found: os.stat_result) -> str:
    """What changes with a file of a folder."""
    return f"{found.st_mtime_ns} {found.st_size} {found.st_ino}"


def _described_otherwise(one: Report, since: str) -> OutputError:
    return OutputError(
        f"version {one.form_version} of the form is described otherwise than when {one.region} for "
        f"{one.period} was {since}; describe it as it was, or remove that period (kzresearch "
        f"store --remove {one.period}) and ingest it again"
    )


def _replaced(sha256: str) -> str:
    return f"replaced/{sha256}.parquet"


def _damaged(name: str) -> DamagedError:
    period = _FIGURES.fullmatch(name)
    how = f"take it out (kzresearch store --remove {period[1]})" if period else "delete it"
    return DamagedError(
        f"the store's {name} is damaged or no file of a store; {how}, and ingest its workbooks again"
    )


def _description(reports: Iterable[Report]) -> str:
    """What a file says of its reports, with a checksum of that."""
    listed = [asdict(one) for one in reports]
    digest = hashlib.sha256(json.dumps(listed).encode()).hexdigest()
    return json.dumps({"reports": listed, "sha256": digest}, ensure_ascii=False)


def _parquet(figures: pl.DataFrame, reports: list[Report]) -> bytes:
    """A file of figures, which has in it the checksum of itself with noughts in that place."""
    buffer = io.BytesIO()
    figures.write_parquet(
        buffer,
        compression="zstd",
        compression_level=5,
        row_group_size=_ROWS_A_GROUP,
        metadata={_METADATA: _description(reports), _WHOLE: _BLANK},
    )
    content = buffer.getvalue()
    return content.replace(_BLANK.encode(), hashlib.sha256(content).hexdigest().encode(), 1)


def _is_whole(content: bytes) -> bool:
    """Whether a file is as `_parquet` made it, to the last bit."""
    try:
        digest = pl.read_parquet_metadata(io.BytesIO(content))[_WHOLE].encode()
    except (KeyError, pl.exceptions.PolarsError):
        return False
    return (
        hashlib.sha256(content.replace(digest, _BLANK.encode(), 1)).hexdigest() == digest.decode()
    )


def _figures(taken: list[Taken]) -> pl.DataFrame:
    """Figures of reports that are not 0, in the order of a file."""
    versions: dict[str, list[Taken]] = {}
    for one in sorted(taken, key=lambda one: one.report.region):
        versions.setdefault(one.report.form_version, []).append(one)
    parts = [_figures_of_version(codebook.form(version), of) for version, of in versions.items()]
    return parts[0] if len(parts) == 1 else _by_row(pl.concat(parts))


def _figures_of_version(form: Form, taken: list[Taken]) -> pl.DataFrame:
    """The same for reports of one version, by region: places are put in order before they are named."""
    for one in taken:
        if one.report.form_checksum != form.checksum:
            raise _described_otherwise(one.report, "read")
    held, number = [one.figures for one in taken], len(taken)
    ranks = _ranks(form)
    order = pl.concat(
        [ranks.gather(one.places) * number + index for index, one in enumerate(held)]
    ).arg_sort()
    report = pl.concat(
        [pl.repeat(index, len(one.places), eager=True) for index, one in enumerate(held)]
    ).gather(order)
    figures = form.template()[pl.concat([one.places for one in held]).gather(order)]
    values = pl.concat([one.values for one in held]).gather(order)
    about = _about(one.report for one in taken)[report]
    return figures.with_columns(values.alias("value"), *about).select(Form1M.column_names())


@cache
def _ranks(form: Form) -> pl.Series:
    """Of each place of the template, which it is in the order of a file."""
    places = form.template().with_columns(region=pl.lit("")).with_row_index("place")
    return _by_row(places)["place"].arg_sort().cast(pl.UInt64)


def _reported(figures: pl.DataFrame, report: Report) -> pl.DataFrame:
    """Figures of the form as those of a report."""
    about = (pl.lit(said[0]).alias(said.name) for said in _about([report]))
    return figures.with_columns(*about).select(Form1M.column_names())


def _about(reports: Iterable[Report]) -> pl.DataFrame:
    """What the long frame says of reports, a row for each."""
    lines = [(one.period, one.region, one.sha256, one.period_source, SOURCE) for one in reports]
    names = ["period", "region", "workbook", "period_source", "source"]
    return pl.DataFrame(lines, schema=dict.fromkeys(names, pl.String), orient="row")


def _with_zeros(
    figures: Callable[[list[Report]], pl.LazyFrame], reports: Iterable[Report], wanted: pl.Expr
) -> pl.LazyFrame:
    """What reports hold: figures as stored, and 0 wherever else their version of the form has a place.

    Reports of one version are read in one go, however many periods they are of.
    """
    ordered = sorted(reports, key=lambda one: (one.period, one.form_version))
    parts = []
    for version, run in groupby(ordered, lambda one: one.form_version):
        form, held = codebook.form(version), list(run)
        for one in held:
            if one.form_checksum != form.checksum:
                raise _described_otherwise(one, "taken")
        parts.append(_of_version(form, held, figures(held), wanted))
    return pl.concat(parts) if parts else pl.LazyFrame(schema=Form1M.create_empty().schema)


def _of_version(
    form: Form, reports: list[Report], figures: pl.LazyFrame, wanted: pl.Expr
) -> pl.LazyFrame:
    """Reports of one version: a number stands for a figure's place and report until all is joined.

    So little is compared, and what is filtered later need not be made.
    """
    places = _places(form, wanted).with_row_index("place").lazy()
    about = _about(reports).with_row_index("report").lazy()
    periods = pl.LazyFrame({"period": list(dict.fromkeys(one.period for one in reports))})
    number = pl.col("place").cast(pl.Int64) * len(reports) + pl.col("report")
    values = (
        figures.join(places, on=_PLACE)
        .join(about, on=["period", "region"])
        .select("value", number=number)
    )
    return (
        periods.join(places, how="cross", maintain_order="left_right")
        .join(about, on="period", maintain_order="left_right")
        .with_columns(number=number)
        .join(values, on="number", how="left", maintain_order="left")
        .with_columns(pl.col("value").fill_null(0.0))
        .select(Form1M.column_names())
    )


def _places(form: Form, wanted: pl.Expr) -> pl.DataFrame:
    """The form's places for figures that are wanted, in the order of the long frame."""
    return _in_order(form.places().filter(wanted).collect(engine="in-memory"), *_PLACE)


def _by_row(figures: pl.DataFrame) -> pl.DataFrame:
    """Figures in the order of a file: what an article has in all sections stands together.

    By the row's name, not as the form has it: the bounds of each group then tell where a row is.
    """
    rows, regions = sorted(codebook.row_names()["row"]), sorted(figures["region"].unique())
    return _in_order(figures, "row", "section", "measure", "region", row=rows, region=regions)


def _in_order(figures: pl.DataFrame, *columns: str, **values: list[str]) -> pl.DataFrame:
    """Figures in the order of these columns, as the form has their values, or as they are given."""
    known = {
        "section": codebook.section_names(),
        "row": codebook.row_names()["row"].to_list(),
        "measure": codebook.measures(),
    } | values
    number = pl.lit(0, pl.UInt64)  # in half the time of a sort by several columns
    for name in columns:
        place = pl.col(name).cast(pl.Enum(known[name])).to_physical()
        number = number * len(known[name]) + place
    return figures.sort(number)
