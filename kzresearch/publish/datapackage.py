"""The tables of a bundle as CSV and as parquet, and what they hold: a Frictionless data package."""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from types import new_class
from typing import Any, NamedTuple

import dataframely as dy
import polars as pl

from kzresearch import captions, schemas, sources
from kzresearch.form_1m import codebook
from kzresearch.form_1m.reader import SOURCE as FORM_1M
from kzresearch.publish.archive import Contents, Stored
from kzresearch.resources import data_dir
from kzresearch.run.results import LINES, PARAMETER, TABLE, in_lines, lines, parquet
from kzresearch.store import OWN, store

Json = dict[str, Any]
SPREADSHEET = 2**20
"""The rows that a spreadsheet takes; the CSV of a longer table is compressed."""
TERMS = "LICENCES.md"
"""The file of a bundle that says under which terms each table is."""
_TYPES = {
    pl.String: "string",
    pl.Int64: "integer",
    pl.Float64: "number",
    pl.Boolean: "boolean",
    pl.Date: "date",
}
_PARAMETERS = {
    pl.String: dy.String,
    pl.Int64: dy.Int64,
    pl.Float64: dy.Float64,
    pl.Boolean: dy.Bool,
}
"""What a column of parameters is, by its type."""


class Table(NamedTuple):
    """The contract of a table, and what it does not say."""

    schema: type[dy.Schema]
    sources: tuple[str, ...] = ()
    """Those of a table that does not name them row by row."""
    key: tuple[str, ...] = ()
    """Columns that tell rows apart, where the schema says so by a rule."""
    part: str = ""
    """What a table is that has some of the columns only, and need not keep the schema's rules."""


TABLES = {
    "form_1m": Table(
        schemas.Form1M, key=("period", "region", "section", "row", "measure", "source")
    ),
    "workbooks": Table(schemas.Workbooks),
    "freedom_in_the_world": Table(schemas.FreedomInTheWorld),
    "population": Table(schemas.Population),
    "published": Table(schemas.Published, ("published_figures",)),
    "torture_indices": Table(schemas.TortureIndices),
    "transcribed/regions": Table(schemas.Regions, ("geokz", "kzresearch_regions")),
    "transcribed/region_titles": Table(schemas.RegionTitles, ("kzresearch_regions",)),
    "transcribed/form_1m_reported": Table(
        schemas.Form1M, part="Figures of Form 1-M that only the press reported: transcribed by hand"
    ),
    "transcribed/published_ambiguities": Table(
        schemas.Published,
        ("published_figures",),
        part="What is unclear in the published figures: the project's own words, beside each "
        "figure's id, and what of it they put right",
    ),
    "codebook": Table(schemas.Codebook, (FORM_1M,)),
}
"""Every table of `data/`, by its file's name or its folder's, and the codebook of the form."""


def add_tables(contents: Contents, names: Iterable[str]) -> list[Json]:
    """Put the bundled files of these names into a bundle, and each table in its other form too.

    What is a table in parquet gets a CSV beside it, and the other way round. The codebook of
    Form 1-M is put with them. Returns the resources of a data package, one for each table.
    """
    for name in names:
        if name.startswith(OWN):
            contents.path(f"data/{name}").write_bytes(store().file(name))
        else:
            shutil.copyfile(data_dir() / name, contents.path(f"data/{name}"))
    codebook.lines().write_csv(contents.path("data/codebook.csv"))
    found = []
    for name in sorted({*names, "codebook.csv"}):
        path = PurePosixPath(name)
        if path.suffix in {".csv", ".parquet"}:
            found.append(_add_table(contents, f"data/{name}", _table(path)))
        else:
            contents.add(f"data/{name}", "Where every table comes from")
    return found


def _table(path: PurePosixPath) -> Table:
    if path.as_posix().startswith(OWN):
        return TABLES["form_1m"]
    stem = path.with_suffix("").as_posix()
    return TABLES[stem] if stem in TABLES else TABLES[path.parent.as_posix()]


def add_results(contents: Contents, found: pl.DataFrame, ids: Sequence[str]) -> Json:
    """Add the figures of runs (see `kzresearch.run.results.table`); the resource of their CSV.

    `ids` are those of their sources.
    """
    shown = lines(found)
    contents.write(TABLE, parquet(found), "The figures that runs recorded, with cells, as parquet")
    contents.write(LINES, in_lines(found), "The figures that runs recorded, as CSV")
    given = {
        name: _PARAMETERS[type(dtype)](
            nullable=True, metadata={"description": f"parameter {name.removeprefix(PARAMETER)}"}
        )
        for name, dtype in shown.schema.items()
        if name.startswith(PARAMETER)
    }
    body = {"__doc__": schemas.Results.__doc__, **given}
    table = Table(new_class("Results", (schemas.Results,), exec_body=lambda of: of.update(body)))
    return _resource(
        LINES, contents.files[LINES], _title(PurePosixPath(LINES), table), table, shown.lazy(), ids
    )


def _add_table(contents: Contents, name: str, table: Table) -> Json:
    """Add a table that lies there as CSV or as parquet, and make the other; its resource."""
    there = contents.path(name)
    if there.suffix == ".csv":
        csv, parquet = there, there.with_suffix(".parquet")
        frame = _typed(pl.scan_csv(csv, infer_schema=False), table.schema)
        frame.sink_parquet(parquet)
    else:
        parquet, frame = there, pl.scan_parquet(there)
        csv = _csv(frame, there)
    title = _title(PurePosixPath(name), table)
    names = [path.relative_to(contents.folder).as_posix() for path in (csv, parquet)]
    for one, kind in zip(names, ("CSV", "parquet"), strict=True):
        contents.add(one, f"{title}, as {kind}")
    ids = table.sources or _named_sources(frame)
    return _resource(names[0], contents.files[names[0]], title, table, frame, ids)


def _csv(frame: pl.LazyFrame, parquet: Path) -> Path:
    """The CSV beside a parquet file; nothing is left out of it."""
    if frame.select(pl.len()).collect().item() < SPREADSHEET:
        csv = parquet.with_suffix(".csv")
        frame.sink_csv(csv)
    else:
        csv = parquet.with_suffix(".csv.gz")
        frame.sink_csv(csv, compression="gzip")
    return csv


def _typed(texts: pl.LazyFrame, schema: type[dy.Schema]) -> pl.LazyFrame:
    """A CSV's texts as what the schema says they are."""
    columns = schema.columns()
    return texts.with_columns(
        pl.col(name).str.to_date() if dtype == pl.Date else pl.col(name).cast(dtype)
        for name in texts.collect_schema()
        for dtype in [columns[name].dtype]
    )


def _title(path: PurePosixPath, table: Table) -> str:
    """`Freedom in the World`; `Form 1-M, long, January–December 2022`."""
    title = _what(table).partition(":")[0].rstrip(".")
    period = re.search(r"form_1m/(?:period=)?(20\d\d-\d\d)", path.as_posix())
    own = " (the user's own reports, without zeros)" if f"/{OWN}" in path.as_posix() else ""
    return f"{title}, {captions.months(period[1])}{own}" if period else title


def _what(table: Table) -> str:
    return table.part or (table.schema.__doc__ or "").splitlines()[0]


def _named_sources(frame: pl.LazyFrame) -> list[str]:
    """The ids of the sources that a table's rows name, in the order of `sources.toml`."""
    named = set(frame.select(pl.col("source").unique()).collect()["source"])
    return [block["id"] for block in sources.read_sources() if block["id"] in named]


def _resource(
    name: str, stored: Stored, title: str, table: Table, frame: pl.LazyFrame, ids: Sequence[str]
) -> Json:
    stem = parquet_of(name).removesuffix(".parquet").removeprefix("data/")
    return {
        "profile": "tabular-data-resource",
        "name": stem.replace("/", "-"),
        "path": name,
        "title": title,
        "description": _what(table),
        "format": "csv",
        "mediatype": "text/csv",
        "encoding": "utf-8",
        **({"compression": "gz"} if name.endswith(".gz") else {}),
        "bytes": stored.bytes,
        "hash": f"sha256:{stored.sha256}",
        "schema": _schema(table, list(frame.collect_schema()), short=not name.endswith(".gz")),
        **origin(ids),
    }


def parquet_of(csv: str) -> str:
    """The name of the parquet file beside a CSV."""
    return csv.removesuffix(".gz").removesuffix(".csv") + ".parquet"


def origin(ids: Sequence[str], workbooks: Collection[str] = ()) -> Json:
    """The sources and the terms of what was taken from them; nothing where it was from none.

    `workbooks` are those that it was taken from, by checksum, where they are known.
    """
    if not ids:
        return {}
    blocks = [sources.source_of(one, workbooks) for one in ids]
    return {"sources": [_source(block) for block in blocks], "licenses": _licences(blocks)}


def _source(block: Mapping[str, str]) -> Json:
    """A source as a data package names it; what is not known is not there."""
    told = {"title": block["title"], "path": block["address"], "citation": block["citation"]}
    return {name: text for name, text in told.items() if text}


def _licences(blocks: Iterable[Mapping[str, str]]) -> list[Json]:
    """The terms of sources, each once; where they are not known, the file that says so."""
    found = [
        {"title": block["licence"], "path": licence_address(block) or TERMS} for block in blocks
    ]
    return [one for place, one in enumerate(found) if one not in found[:place]]


def licence_address(block: Mapping[str, str]) -> str | None:
    """The address of a source's licence, where one is known that covers all of it."""
    known = "not known" not in block["licence"].lower()
    return (block["licence_address"] or None) if known else None


def _schema(table: Table, names: list[str], *, short: bool) -> Json:
    columns, whole = table.schema.columns(), not table.part
    # To compare the keys of millions of rows, a validator takes gigabytes.
    key = list(table.key or table.schema.primary_key()) if whole and short else []
    return {
        "fields": [_field(name, columns[name], rules=whole) for name in names],
        "missingValues": [""],
        **({"primaryKey": key} if key else {}),
    }


def _field(name: str, column: dy.Column, *, rules: bool) -> Json:
    """A column as a data package describes it: type, meaning, unit, and what its values are."""
    of = {
        "required": True if not column.nullable else None,
        "pattern": getattr(column, "regex", None),
        "minimum": getattr(column, "min", None),
        "maximum": getattr(column, "max", None),
    }
    given = {rule: value for rule, value in of.items() if rules and value not in {None, ""}}
    return {
        "name": name,
        "type": _TYPES[type(column.dtype)],
        **(column.metadata or {}),
        **({"constraints": given} if given else {}),
    }
