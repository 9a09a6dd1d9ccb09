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
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import dataframely as dy
import polars as pl

from kzresearch.errors import OutputError, UnknownValueError
from kzresearch.form_1m import accounting, codebook
from kzresearch.form_1m.codebook import Form
from kzresearch.form_1m.reader import SOURCE
from kzresearch.resources import store_location
from kzresearch.schemas import Form1M
from kzresearch.storage import Storage

_FIGURES = re.compile(r"form_1m/period=(20\d\d-\d\d)/figures\.parquet")
OWN = "store/"
"""How the files of the store are told from the bundled ones where both are listed."""
_METADATA = "kzresearch"
_ROWS_A_GROUP = 2**15
"""Figures that are read together: few, so that one article needs little of a period's file."""
_MOMENT = {True: 0.5, False: 30.0}
"""Seconds for which a look at what is there holds, in a folder and elsewhere."""
_KEY = ["section", "row", "measure", "region"]


@dataclass(frozen=True)
class Report:
    """One workbook in the store: whose it is, of which period and version of the form, and who says so.

    `figures` is the checksum of what was read from it: of all its figures, in the form's order.
    """

    sha256: str
    file: str
    region: str
    region_source: str
    organ_code: str | None
    period: str
    period_source: str
    form_version: str
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
    def of(cls, figures: Sparse | pl.Series, **report: Any) -> Taken:
        """A report of these figures: all of them, or without zeros."""
        sparse = Sparse.of(figures) if isinstance(figures, pl.Series) else figures
        return cls(Report(**report, figures=sparse.checksum), sparse)


def checksum(values: pl.Series) -> str:
    """The checksum of a report's figures: all of them, in the order of the form's `template`."""
    return Sparse.of(values).checksum


class _Period(NamedTuple):
    """What a period's file says of itself."""

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
        self._looked: tuple[float, dict[str, str]] = (-1e9, {})
        self._known: dict[str, _Period] = {}

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
        with contextlib.suppress(FileNotFoundError):
            for path in sorted((self.folder / "form_1m").iterdir()):
                if match := _FIGURES.fullmatch(f"form_1m/{path.name}/figures.parquet"):
                    with contextlib.suppress(FileNotFoundError):
                        found = (path / "figures.parquet").stat()
                        yield match[1], f"{found.st_mtime_ns} {found.st_size} {found.st_ino}"

    def reports(self) -> list[Report]:
        """Every report held, by period and region."""
        return [report for period in self.tags() for report in self._period(period).reports]

    def _period(self, period: str) -> _Period:
        tag = self.tags().get(period, "")
        known = self._known.get(period)
        if known is None or known.tag != tag:
            known = _Period(tag, _described(self._metadata(_name(period))) if tag else ())
            self._known[period] = known
        return known

    def _metadata(self, name: str) -> dict[str, Any]:
        try:
            found = pl.read_parquet_metadata(
                self._address(name), storage_options=_options(self.where)
            )
            described: dict[str, Any] = json.loads(found[_METADATA])
        except (KeyError, ValueError, OSError, pl.exceptions.PolarsError):
            raise OutputError(
                f"the store's {name} is damaged or no file of a store; remove it (kzresearch store "
                "--remove), and ingest its workbooks again"
            ) from None
        return described

    def _address(self, name: str) -> str:
        return str(self.folder / name) if self.folder else f"{self.where.rstrip('/')}/{name}"

    def checksums(self) -> dict[str, str]:
        """What a run may read of the store: by its file, a checksum of what that holds."""
        return {
            f"{OWN}{_name(period)}": hashlib.sha256(
                json.dumps([_content(one) for one in self._period(period).reports]).encode()
            ).hexdigest()
            for period in self.tags()
        }

    def versions(self) -> tuple[tuple[str, str], ...]:
        """The files of the user's versions of the form: name and text."""
        names = self.files.names("forms/") if self._is_there() else {}
        return tuple((name, self.files.read(name).decode()) for name in names)

    def file(self, name: str) -> bytes:
        """The content of a file that `checksums` names."""
        return self.files.read(name.removeprefix(OWN))

    # Reading

    def scan(self, period: str, wanted: pl.Expr, regions: Iterable[str]) -> pl.LazyFrame:
        """The figures of a period that are wanted, zeros included, as `load_form_1m` gives them.

        `wanted` is about section, row and measure.
        """
        among = set(regions)
        reports = [one for one in self._period(period).reports if one.region in among]
        return _with_zeros(self._scan(_name(period)), reports, wanted)

    def replaced(self, sha256: str) -> pl.LazyFrame | None:
        """The figures of a report that was replaced; None where there is none of that checksum."""
        name = f"replaced/{sha256}.parquet"
        if not re.fullmatch("[0-9a-f]{64}", sha256) or not self._has(name):
            return None
        return _with_zeros(self._scan(name), _described(self._metadata(name)), pl.lit(value=True))

    def replaced_reports(self) -> list[Report]:
        """The reports that were replaced and are still readable."""
        names = self.files.names("replaced/") if self._is_there() else {}
        return [one for name in names for one in _described(self._metadata(name))]

    def values(self, report: Report) -> pl.Series:
        """A report's figures, in the order of its version's template, checked.

        Raises OutputError where they are not those that were read from its workbook.
        """
        held = self._scan(_name(report.period)).filter(pl.col("region") == report.region)
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
        except (pl.exceptions.PolarsError, dy.exc.ValidationError):
            sound = False
        if not sound or checksum(values) != report.figures:
            raise OutputError(
                f"the figures of {report.region} for {report.period} are not those read from "
                f"{report.file}; remove them (kzresearch store --remove {report.period} --region "
                f"{report.region}), and ingest it again"
            )
        return values

    def check(self, report: Report) -> tuple[str | None, list[str]]:
        """What is damaged of a report, in a sentence, and the hard identities that it breaks."""
        try:
            values = self.values(report)
        except OutputError as error:
            return str(error), []
        broken = accounting.broken(codebook.form(report.form_version), values)
        return None, broken.filter(pl.col("status") == "hard")["identity"].to_list()

    def _is_there(self) -> bool:
        return self.folder is None or self.folder.is_dir()

    def _has(self, name: str) -> bool:
        return (self.folder / name).is_file() if self.folder else self.files.tag(name) is not None

    def _scan(self, name: str) -> pl.LazyFrame:
        return pl.scan_parquet(
            self._address(name), storage_options=_options(self.where), hive_partitioning=False
        )

    # Writing

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """One at a time may write into a folder; in an object store a change in between is refused."""
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
        try:
            yield
        finally:
            lock.release()

    def put(self, period: str, taken: list[Taken]) -> None:
        """Add reports to a period, each in place of an earlier one of its region, which stays readable.

        Whole or not at all.
        """
        regions = {one.report.region for one in taken}
        before = self._fresh(period)
        for report in before.reports:
            if report.region in regions:
                self._keep(period, report)
        stay = [report for report in before.reports if report.region not in regions]
        frames = [_nonzero(one) for one in taken]
        if stay:
            held = self._scan(_name(period)).filter(
                pl.col("region").is_in([r.region for r in stay])
            )
            frames.append(held.collect())
        self._write(period, before, [*stay, *(one.report for one in taken)], pl.concat(frames))

    def remove(self, period: str, region: str | None = None) -> list[Report]:
        """Take a period, or one region's report, out of the store; what was taken out."""
        before = self._fresh(period)
        stay = [one for one in before.reports if region not in {None, one.region}]
        gone = [one for one in before.reports if one not in stay]
        if not gone:
            where = f"{region} for {period}" if region else period
            raise UnknownValueError(f"the store holds no report of {where}; see kzresearch store")
        if stay:
            held = self._scan(_name(period)).filter(
                pl.col("region").is_in([r.region for r in stay])
            )
            self._write(period, before, stay, held.collect())
        else:
            self.files.delete(_name(period))
            self._looked = (-1e9, {})
        return gone

    def _fresh(self, period: str) -> _Period:
        self._looked = (-1e9, {})
        return self._period(period)

    def _keep(self, period: str, report: Report) -> None:
        """A report that is about to be replaced, under its own checksum."""
        held = self._scan(_name(period)).filter(pl.col("region") == report.region).collect()
        self.files.write(f"replaced/{report.sha256}.parquet", _parquet(held, [report]))

    def _write(
        self, period: str, before: _Period, reports: list[Report], figures: pl.DataFrame
    ) -> None:
        reports = sorted(reports, key=lambda one: one.region)
        content = _parquet(_in_order(figures), reports)
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


def _options(where: str) -> dict[str, str] | None:
    return {"aws_allow_http": "true"} if "://" in where else None


def _content(report: Report) -> dict[str, str]:
    """What figures depend on: not how the file was called."""
    return asdict(replace(report, file=""))


def _described(metadata: dict[str, Any]) -> tuple[Report, ...]:
    return tuple(Report(**one) for one in metadata["reports"])


def _parquet(figures: pl.DataFrame, reports: list[Report]) -> bytes:
    buffer = io.BytesIO()
    described = json.dumps({"reports": [asdict(one) for one in reports]}, ensure_ascii=False)
    figures.write_parquet(
        buffer,
        compression="zstd",
        compression_level=9,
        row_group_size=_ROWS_A_GROUP,
        metadata={_METADATA: described},
    )
    return buffer.getvalue()


def _nonzero(taken: Taken) -> pl.DataFrame:
    _, places, values = taken.figures
    template = codebook.form(taken.report.form_version).template()[places]
    return _reported(template.with_columns(value=values), taken.report)


def _reported(figures: pl.DataFrame, report: Report) -> pl.DataFrame:
    """Figures of the form as those of a report."""
    return figures.with_columns(_about(report)).select(Form1M.column_names())


def _about(report: Report) -> list[pl.Expr]:
    return [
        pl.lit(report.period).alias("period"),
        pl.lit(report.region).alias("region"),
        pl.lit(report.sha256).alias("workbook"),
        pl.lit(report.period_source).alias("period_source"),
        pl.lit(SOURCE).alias("source"),
    ]


def _with_zeros(figures: pl.LazyFrame, reports: Iterable[Report], wanted: pl.Expr) -> pl.LazyFrame:
    """What reports hold: figures as stored, and 0 wherever else their version of the form has a place."""
    by_form: dict[str, list[Report]] = {}
    for report in reports:
        by_form.setdefault(report.form_version, []).append(report)
    values = figures.filter(wanted).select(*_KEY, "value")
    parts = []
    for version, of_version in by_form.items():
        about = pl.concat([pl.select(_about(one)).lazy() for one in of_version])
        parts.append(
            _places(codebook.form(version))
            .filter(wanted)
            .lazy()
            .join(about, how="cross", maintain_order="left_right")
            .join(values, on=_KEY, how="left", maintain_order="left")
            .with_columns(pl.col("value").fill_null(0.0))
            .select(Form1M.column_names())
        )
    return pl.concat(parts) if parts else pl.LazyFrame(schema=Form1M.create_empty().schema)


@lru_cache(maxsize=8)
def _places(form: Form) -> pl.DataFrame:
    """The form's places for figures, in the order of the long frame."""
    return _in_order(form.template().with_columns(region=pl.lit(""))).drop("region")


def _in_order(figures: pl.DataFrame) -> pl.DataFrame:
    """Figures in the order of the long frame: section, row, measure, region."""
    order = {
        "section": codebook.section_names(),
        "row": codebook.row_names()["row"].to_list(),
        "measure": codebook.measures(),
    }
    keys = [pl.col(name).cast(pl.Enum(values)) for name, values in order.items()]
    return figures.sort(*keys, "region")
