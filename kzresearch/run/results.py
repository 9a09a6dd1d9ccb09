"""What the runs in a folder found: one table of all recorded figures, and the index page."""

from __future__ import annotations

import io
import json
import re
import sys
import zlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kzresearch.errors import OutputError
from kzresearch.run.outputs import Outputs

if TYPE_CHECKING:
    import polars as pl

Json = dict[str, Any]
TABLE, LINES, INDEX = "results.parquet", "results.csv", "index.html"
PARAMETER = "parameter_"
"""What the names of the CSV's columns of parameters begin with."""
NONE = "none"
"""The field that stands for no parameter at all."""
COLLECTED = {TABLE, LINES, INDEX}
_RECORD = re.compile(r".+-[0-9a-f]{12}\.json")
_HEAVY = {"code", "figures", "outputs", "prose", "versions"}
"""What of a record is read from its file alone."""
_ROWS = 2_000
"""Figures of the table that are made a part of it together: a part takes memory, however small."""
_READERS = 16
"""How many records are read at once: an object store answers one by one slowly."""


def results(folder: str | Path) -> pl.DataFrame:
    """Every figure recorded by the runs in a folder (or `s3://bucket/prefix`).

    Returns one row per completed run and recorded figure: `run_id`, `notebook`, `parameters` (a
    struct with a field for each parameter of any of the notebooks: `.unnest("parameters")` makes
    columns of them, where none has the name of another column), `name`, `value` (null where no
    source reports it), `text` (what a reader is shown), `unit`, `cells` (list of {workbook, cell}),
    `sources`, `formula`, `note`. Of runs with the same notebook and parameters, made by several
    versions of notebook, code or data, the newest that was completed counts.

    Raises OutputError for a folder in which no batch has ended.

    Source: the runs' records.

    >>> _ = kz.batch("case_flow", {"region": ["KZ-75"]}, out="out", formats=(), progress=False)
    >>> kz.results("out").filter(name="sent_to_court").select("value", "unit").row(0)
    (3.0, 'offences')
    """
    import polars as pl

    if "://" not in str(folder) and not Path(folder).is_dir():
        raise OutputError(f"there is no folder {folder}; name the one that a batch was run into")
    try:
        return pl.read_parquet(io.BytesIO(Outputs(folder).read(TABLE)))
    except FileNotFoundError:
        raise OutputError(
            f"{folder} has no {TABLE}; run a batch into it, which writes it at its end"
        ) from None


def light(record: Json) -> Json:
    """A record as it is held beside hundreds of others: of its figures what is shown of them."""
    shown = {
        sys.intern(name): {part: one[part] for part in ("value", "text", "unit")}
        for name, one in record["results"].items()
    }
    return {n: what for n, what in record.items() if n not in _HEAVY} | {"results": shown}


class Kept:
    """The records in a place, each read once, and held lightly."""

    def __init__(self, outputs: Outputs) -> None:
        self._outputs = outputs
        self._read: dict[str, tuple[str, Json | None]] = {}
        self._results: dict[str, bytes] = {}  # run id → its figures, compressed

    def records(self, files: dict[str, str]) -> dict[str, Json]:
        """Name of the file → `light` record, of those files that are records; broken ones are left out."""
        names = [name for name in files if _RECORD.fullmatch(name)]
        new = [n for n in names if self._read.get(n, ("", None))[0] != files[n]]
        with ThreadPoolExecutor(_READERS) as threads:
            for name, one in zip(new, threads.map(self._record, new), strict=True):
                self._read[name] = files[name], one
        return {name: one for name in names if (one := self._read[name][1])}

    def hold(self, name: str, tag: str, record: Json) -> None:
        """A record that was just left in a file with that tag: it need not be read again."""
        self._read[name] = tag, self._light(record)

    def results(self, record: Json) -> Json:
        """The whole figures of a record that is held lightly."""
        found: Json = json.loads(zlib.decompress(self._results[record["run_id"]]))
        return found

    def _light(self, record: Json) -> Json:
        results = json.dumps(record["results"]).encode()
        self._results[record["run_id"]] = zlib.compress(results, 1)
        return light(record)

    def _record(self, name: str) -> Json | None:
        from kzresearch.records import SCHEMA

        try:
            record = json.loads(self._outputs.read(name))
            sound = (
                record["schema"] == SCHEMA
                and "status" in record
                and name.endswith(f"-{record['run_id']}.json")
            )
            return self._light(record) if sound else None
        except (AttributeError, FileNotFoundError, ValueError, KeyError, TypeError):
            return None


def prepare() -> None:
    """Import and compile what `collect` needs: while the first runs start there is time for it."""
    from kzresearch.form_1m import codebook
    from kzresearch.publish.index import index_page

    codebook.warm()
    found = table([])
    _ = parquet(found), in_lines(found), index_page([], [])


def collect(outputs: Outputs, kept: Kept) -> None:
    """Write the table, as parquet and as CSV, and the index of all runs that are there.

    Another batch may do the same at the same time: whoever writes last looks again, and writes
    again where what is there has changed, so that what is left in the end holds all.
    """
    from kzresearch.publish.index import index_page

    files = {n: tag for n, tag in outputs.files().items() if n not in COLLECTED}
    while True:
        records = kept.records(files).values()
        latest, older = newest(records)
        completed, _ = newest(one for one in records if one["status"] == "completed")
        found = table(completed, kept.results)
        outputs.write(TABLE, parquet(found))
        outputs.write(LINES, in_lines(found))
        outputs.write(INDEX, index_page(latest, {*files, *COLLECTED}, older).encode())
        now = {n: tag for n, tag in outputs.files().items() if n not in COLLECTED}
        if now == files:
            return
        files = now


def newest(records: Iterable[Json]) -> tuple[list[Json], list[Json]]:
    """The newest record of each notebook with the same parameters, and the others."""
    found: dict[str, Json] = {}
    older = []
    for one in sorted(records, key=lambda one: (one["ended"], one["run_id"])):
        key = json.dumps([one["notebook"], one["parameters"]], sort_keys=True)
        if key in found:
            older.append(found[key])
        found[key] = one
    return list(found.values()), older


def table(
    records: Sequence[Json], results: Callable[[Json], Json] = itemgetter("results")
) -> pl.DataFrame:
    """Every figure of completed runs, as `results` returns it.

    `results` gives the whole figures of a record that is held lightly.
    """
    import polars as pl

    types: dict[str, set[type]] = {}
    for one in records:
        for name, value in one["parameters"].items():
            types.setdefault(name, set()).add(type(value))
    kinds: dict[type, Any] = {str: pl.String, int: pl.Int64, float: pl.Float64, bool: pl.Boolean}
    fields = {
        n: kinds.get(next(iter(t)), pl.String) if len(t) == 1 else pl.String
        for n, t in types.items()
    }
    fields = fields or {NONE: pl.String}  # a struct has a field
    cell = pl.Struct({"workbook": pl.String, "cell": pl.String})
    schema: dict[str, Any] = {
        "run_id": pl.String,
        "notebook": pl.String,
        "parameters": pl.Struct(fields),
        "name": pl.String,
        "value": pl.Float64,
        "text": pl.String,
        "unit": pl.String,
        "cells": pl.List(cell),
        "sources": pl.List(pl.String),
        "formula": pl.String,
        "note": pl.String,
    }
    frames = [pl.DataFrame(schema=schema)]
    rows: list[Json] = []
    for one in sorted(records, key=lambda one: (one["notebook"], json.dumps(one["parameters"]))):
        given = {
            name: (str(value) if kind is pl.String and value is not None else value)
            for name, kind in fields.items()
            for value in [one["parameters"].get(name)]
        }
        of = {"run_id": one["run_id"], "notebook": one["notebook"], "parameters": given}
        rows += [{**of, "name": name, **result} for name, result in results(one).items()]
        if len(rows) > _ROWS:
            frames.append(_frame(rows, schema))
            rows = []
    frames.append(_frame(rows, schema))
    return pl.concat(frames, rechunk=True)


def _frame(rows: list[Json], schema: Json) -> pl.DataFrame:
    """A part of the table; of Python's lists polars makes its own in four times the time."""
    import polars as pl

    def column(name: str) -> pl.Series:
        dtype, values = schema[name], [row.get(name) for row in rows]
        if not isinstance(dtype, pl.List):
            return pl.Series(name, values, dtype)
        places = [place for place, ones in enumerate(values) for _ in ones or ()]
        flat = [one for ones in values for one in ones or ()]
        both = {"row": places, name: pl.Series(flat, dtype=dtype.inner)}
        lists = pl.DataFrame(both, schema_overrides={"row": pl.Int64}).group_by("row").agg(name)
        every = pl.select(row=pl.int_range(len(values)))
        found = every.join(lists, on="row", how="left", maintain_order="left")[name]
        given = pl.Series([ones is not None for ones in values], dtype=pl.Boolean)
        return found.fill_null([]).zip_with(given, found)

    return pl.DataFrame([column(name) for name in schema])


def parquet(table: pl.DataFrame) -> bytes:
    """The table as the content of a parquet file."""
    target = io.BytesIO()
    table.write_parquet(target)
    return target.getvalue()


def in_lines(table: pl.DataFrame) -> bytes:
    """The table as the content of a CSV file, which Excel reads as UTF-8; see `lines`."""
    return lines(table).write_csv(include_bom=True).encode()


def lines(table: pl.DataFrame) -> pl.DataFrame:
    """What of the table goes into a CSV: no cells, a column for each parameter."""
    import polars as pl

    given = table["parameters"].struct.unnest()
    none = given.columns == [NONE] and not given[NONE].count()
    parameters = [] if none else given.select(pl.all().name.prefix(PARAMETER)).get_columns()
    figures = pl.col("name", "value", "text", "unit", "formula", "note")
    sources = pl.col("sources").list.join("; ")
    return table.select(pl.col("run_id", "notebook"), *parameters, figures, sources)
