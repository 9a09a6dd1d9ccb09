"""Builds the bundled tables from raw files, to the same bytes each time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl

from kzresearch import codebook_page, language, sources, texts
from kzresearch.errors import SourceError
from kzresearch.form_1m import codebook
from kzresearch.form_1m.identity import Stated, identify
from kzresearch.form_1m.reader import SOURCE, read_form_1m
from kzresearch.form_1m.workbook import Workbook
from kzresearch.freedom_house import freedom_in_the_world
from kzresearch.population import population
from kzresearch.published import published
from kzresearch.resources import data_dir
from kzresearch.schemas import (
    Form1M,
    FreedomInTheWorld,
    Population,
    Published,
    TortureIndices,
    Workbooks,
)
from kzresearch.store import checksum
from kzresearch.torture_indices import torture_indices

TABLES: dict[str, Callable[[Path], list[Path]]]


def build_tables(out: Path, names: list[str] | None = None) -> tuple[list[Path], list[str]]:
    """Build the tables named (default: all) into `out`; what was written, and what could not be.

    A table is written whole or not at all. Raw files come from `KZRESEARCH_RAW` or are downloaded.
    """
    written, failed = [], []
    for name in names or [one for one in TABLES if one != "texts"]:  # of the code, not of raw files
        try:
            written += TABLES[name](out)
        except SourceError as error:
            failed.append(f"{name}: {error}")
    return written, failed


def _form_1m(out: Path) -> list[Path]:
    files: dict[str, list[tuple[sources.RawFile, Path]]] = {}
    for file in sources.raw_files(SOURCE):
        files.setdefault(file.period or "", []).append((file, sources.raw_file(file)))
    written, workbooks = [], []
    reported = _reported_figures()
    for period, found in files.items():
        read = read_form_1m([path for _, path in found], period)
        frame = pl.concat([read, reported.filter(pl.col("period") == period)])
        workbooks += [_describe(file, path, period, read) for file, path in found]
        written.append(_write_figures(out, period, frame))
    table = Workbooks.validate(pl.DataFrame(workbooks).sort("period", "region"))
    return [*written, _write_csv(out / "workbooks.csv", table)]


def _describe(
    file: sources.RawFile, path: Path, period: str, read: pl.DataFrame
) -> dict[str, str | None]:
    workbook = Workbook.open(path)
    identity = identify(workbook, Stated(period))
    if identity.region != file.region:
        raise SourceError(f"{file.path} is of {identity.region}, sources.toml says {file.region}")
    return {
        "sha256": workbook.sha256,
        "file": path.name,
        "form": "1-M",
        "region": identity.region,
        "region_source": identity.region_source,
        "organ_code": identity.organ_code,
        "period": identity.period,
        "period_source": identity.period_source,
        "source": SOURCE,
        "form_version": codebook.BUNDLED,
        "figures": checksum(read.filter(workbook=workbook.sha256)["value"]),
    }


def _reported(out: Path) -> list[Path]:
    """Periods that only a publication reports; those with workbooks are built with them."""
    frame = _reported_figures()
    with_workbooks = {file.period for file in sources.raw_files(SOURCE)}
    periods = [p for p in frame["period"].unique().sort() if p not in with_workbooks]
    return [_write_figures(out, p, frame.filter(pl.col("period") == p)) for p in periods]


def _reported_figures() -> pl.DataFrame:
    file = data_dir() / "transcribed" / "form_1m_reported.csv"
    return pl.read_csv(file, infer_schema=False).select(
        "period",
        "region",
        "section",
        "row",
        "measure",
        "unit",
        pl.col("value").cast(pl.Float64),
        pl.lit(None, pl.String).alias("workbook"),
        pl.lit(None, pl.String).alias("cell"),
        pl.lit("publication").alias("period_source"),
        "source",
        "note",
    )


def _write_figures(out: Path, period: str, frame: pl.DataFrame) -> Path:
    """One period's figures in the form's order: section, row, column, region."""
    order = {
        "section": codebook.section_names(),
        "row": codebook.row_names()["row"].to_list(),
        "measure": codebook.measures(),
    }
    keys = [pl.col(name).cast(pl.Enum(values)) for name, values in order.items()]
    frame = Form1M.validate(frame.sort(*keys, "region"))
    return _write_parquet(out / "form_1m" / f"{period}.parquet", frame)


def _write_parquet(path: Path, frame: pl.DataFrame) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    frame.write_parquet(temporary, compression="zstd", compression_level=19)
    return temporary.replace(path)


def _raw(*source_ids: str) -> Path:
    """The folder that holds every raw file of the sources, each checked."""
    files = [file for source_id in source_ids for file in sources.raw_files(source_id)]
    paths = [sources.raw_file(file) for file in files]
    return paths[0].parents[1]


def _freedom(out: Path) -> list[Path]:
    frame = FreedomInTheWorld.validate(freedom_in_the_world(_raw("freedom_in_the_world")))
    return [_write_csv(out / "freedom_in_the_world.csv", frame)]


def _population(out: Path) -> list[Path]:
    raw = _raw("population_2000_2023", "population_2023_revised")
    return [_write_parquet(out / "population.parquet", Population.validate(population(raw)))]


def _published(out: Path) -> list[Path]:
    frame = Published.validate(published(_raw("published_figures")))
    return [_write_csv(out / "published.csv", frame)]


def _indices(out: Path) -> list[Path]:
    frame = TortureIndices.validate(torture_indices(_raw("vdem_v14", "hrmi_cpr_v5_1")))
    return [_write_parquet(out / "torture_indices.parquet", frame)]


def _page(out: Path) -> list[Path]:
    return [_write_text(out / "README.md", codebook_page.markdown())]


def _texts(_out: Path) -> list[Path]:
    return [_write_text(language.TABLE, texts.written())]


def _write_csv(path: Path, frame: pl.DataFrame) -> Path:
    return _write_text(path, frame.write_csv())


def _write_text(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    temporary.write_text(text, encoding="utf-8", newline="\n")
    return temporary.replace(path)


TABLES = {
    "form_1m": _form_1m,
    "form_1m_reported": _reported,
    "freedom_in_the_world": _freedom,
    "population": _population,
    "published": _published,
    "torture_indices": _indices,
    "readme": _page,
    "texts": _texts,
}
