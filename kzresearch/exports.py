"""Tables to take away: CSV, parquet and Excel, with codebook, units and sources in them."""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, NamedTuple

import dataframely as dy
import polars as pl
from polars import selectors as cs
from xlsxwriter import Workbook
from xlsxwriter.exceptions import XlsxWriterException
from xlsxwriter.worksheet import Worksheet

from kzresearch import __version__, schemas
from kzresearch.datasets import every_workbook
from kzresearch.errors import KzresearchError, OutputError, UnknownValueError
from kzresearch.form_1m import codebook as form
from kzresearch.form_1m.reader import SOURCE as FORM_1M
from kzresearch.language import later
from kzresearch.publish.datapackage import TABLES, origin
from kzresearch.sources import load_sources, own_workbooks, source_of

Json = dict[str, Any]
PACKAGE = "datapackage"
"""The key of a parquet file's metadata under which its data package stands."""
CONTRACTS: dict[type[dy.Schema], tuple[str, ...]] = {
    schemas.CaseFlow: (),
    schemas.Checked: (),
    schemas.Results: (),
    schemas.Sources: (),
    **{table.schema: table.sources for table in TABLES.values()},
}
"""The contract of every table, with the sources of one whose rows do not name them."""
_NESTED = {
    "cells": later(
        "every cell that the figure was taken from: {workbook, cell}, workbook a sha256"
    ),
    "parameters": later("the parameters of the run"),
    "sources": later("ids in load_sources()"),
}
"""What a column of lists or structs is, in whatever table."""
_ALIKE = 3
"""How many columns a table shares with its contract at least, else none is taken for it."""
_OF_WORKBOOK = ("file", "region", "region_source", "period", "period_source")
"""What is told of each workbook among the sources: its file's name, and who stated the rest."""
_LINE = dict.fromkeys(
    ["kind", "section", "name", "meaning", "unit", "article", "title_ru", "caption", "note"],
    pl.String,
)
"""A line of a table's codebook; `kind` is table, column, row or measure."""
_TYPES: tuple[tuple[cs.Selector, str], ...] = (
    (cs.integer(), "integer"),
    (cs.float() | cs.decimal(), "number"),
    (cs.boolean(), "boolean"),
    (cs.date(), "date"),
    (cs.list() | cs.array(), "array"),
    (cs.struct(), "object"),
)

# What a spreadsheet takes for a formula: one of `=+-@`, full-width ones too, at the beginning of a
# cell, behind whatever blanks, quotes and invisible characters; and a cell that begins with a tab
# or a line's end. Excel in Russian or Kazakh parts the cells of a CSV at semicolons, so that a cell
# may begin within a text; so it may at a tab or a line's end.
_BEFORE = r"""((?:[[\s\p{C}'"]--[\t\r\n]])*"""
_FORMULA, _BREAK = rf"{_BEFORE}[=+\-@＝＋－＠])", rf"{_BEFORE}[\t\r\n])"
_CELL = r"(^|[;\t\r\n])"

_ROWS, _COLUMNS, _CHARACTERS = 2**20, 2**14, 32_767
"""What a sheet, and a cell, of Excel takes."""
_UNFIT = r"[\x00-\x08\x0b-\x1f\x{FFFE}\x{FFFF}]"
"""Characters that no XML holds, or that it does not give back."""
_WIDTHS = 8, 44
_EXPORTED = f"exported by kzresearch {__version__}"
_CREATED = datetime(1980, 1, 1, tzinfo=UTC)
"""When every workbook says that it was made, so that the same table gives the same bytes."""


class _About(NamedTuple):
    """What is told of a table, in whatever format."""

    title: str
    codebook: pl.DataFrame
    sources: pl.DataFrame


def export(frame: pl.DataFrame | pl.LazyFrame, path: str | Path) -> list[Path]:
    """Write a table as `.csv`, `.parquet` or `.xlsx`, with codebook, units and sources.

    `frame` is any that this package gives (`load_form_1m`, `case_flow`, `results` …), filtered or
    not. Excel gets the sheets `data`, `codebook` and `sources`; a parquet file has the same in its
    metadata, as a Frictionless data package; beside `name.csv` stands that as
    `name.datapackage.json`. Text that a spreadsheet could take for a formula stays text: see
    `docs/export.md`, also for how to read it back. A null is an empty cell, never 0.

    Returns the files written. An existing file is replaced, as a whole; where something fails, none.

    Raises `UnknownValueError` for another ending, `OutputError` for what cannot be written there, and
    for what the format cannot hold.

    >>> [path.name for path in kz.export(kz.load_regions(), "regions.csv")]
    ['regions.csv', 'regions.datapackage.json']
    """
    path = Path(path)
    writers = {".csv": _write_csv, ".parquet": _write_parquet, ".xlsx": _write_excel}
    if path.suffix.lower() not in writers:
        raise UnknownValueError(
            f"{path.name} ends in none of {', '.join(writers)}; name a file that does"
        )
    if not isinstance(frame, pl.DataFrame | pl.LazyFrame):
        raise KzresearchError(
            f"export takes a polars frame, not {type(frame).__name__}; give one as load_form_1m does"
        )
    frame = frame.lazy().collect()
    if not frame.width:
        raise KzresearchError("the frame to export has no columns; give one that has")
    return _whole(path, lambda home: writers[path.suffix.lower()](frame, home / path.name))


def _whole(path: Path, write: Callable[[Path], None]) -> list[Path]:
    """The files that `write` makes in a folder, put beside `path`; none where something fails."""
    if not path.parent.is_dir():
        raise OutputError(f"there is no folder {path.parent}; make it, or name another")
    if path.is_dir():
        raise OutputError(f"{path} is a folder; name a file in it")
    try:
        with tempfile.TemporaryDirectory(prefix=".kzresearch-", dir=path.parent) as home:
            write(Path(home))
            made = sorted(Path(home).iterdir(), key=lambda one: one.name == path.name)
            return [one.replace(path.with_name(one.name)) for one in made][::-1]
    except OSError as error:
        reason = (error.strerror or "the disk refused it").lower()
    except (pl.exceptions.PolarsError, XlsxWriterException) as error:
        reason = str(error).partition("\n")[0]
    raise OutputError(f"cannot write {path}: {reason}; nothing was written")


def _write_csv(frame: pl.DataFrame, path: Path) -> None:
    flat = _whole_numbers(defused(_flat(frame, path.name)))
    flat.write_csv(path)
    with path.open("rb") as file:
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
    of_file = {
        "path": path.name,
        "format": "csv",
        "mediatype": "text/csv",
        "encoding": "utf-8",
        "bytes": path.stat().st_size,
        "hash": f"sha256:{checksum}",
    }
    package = json.dumps(_package(frame, flat.columns, of_file), ensure_ascii=False, indent=1)
    path.with_suffix(f".{PACKAGE}.json").write_text(package + "\n", encoding="utf-8")


def _write_parquet(frame: pl.DataFrame, path: Path) -> None:
    package = _package(frame, frame.columns, {"format": "parquet"})
    frame.write_parquet(path, metadata={PACKAGE: json.dumps(package, ensure_ascii=False)})


def _write_excel(frame: pl.DataFrame, path: Path) -> None:
    about, flat = told_of(frame), _flat(frame, path.name)
    if what := next(_beyond_excel(flat), None):
        raise OutputError(f"{path.name}: {what}; export to .parquet, which holds it")
    # Rows are written as they come, so that memory does not grow with the table.
    options = {"constant_memory": True, "tmpdir": str(path.parent), "use_zip64": True}
    workbook = Workbook(path, options)
    workbook.set_properties({"title": about.title, "comments": _EXPORTED, "created": _CREATED})
    for name, table in (
        ("data", flat),
        ("codebook", about.codebook),
        ("sources", _flat(about.sources, path.name)),
    ):
        _write_sheet(workbook, name, table)
    workbook.close()


def defused(flat: pl.DataFrame) -> pl.DataFrame:
    """The table with an apostrophe before what a spreadsheet could take for a formula.

    So in the names of columns and in texts; numbers are left alone. `restored` is the way back.
    """
    texts = cs.string().str.replace_all(_CELL + _FORMULA, "${1}'${2}")
    return _with_names(flat, texts.str.replace(f"^{_BREAK}", "'${1}"))


def restored(table: pl.DataFrame) -> pl.DataFrame:
    """The table as it was before `defused`: for a CSV that `export` wrote, once it is read."""
    texts = cs.string().str.replace(f"^'{_BREAK}", "${1}")
    return _with_names(table, texts.str.replace_all(f"{_CELL}'{_FORMULA}", "${1}${2}"))


def _with_names(table: pl.DataFrame, changed: pl.Expr) -> pl.DataFrame:
    names = pl.DataFrame({"name": table.columns}).select(changed)["name"]
    return table.with_columns(changed).rename(dict(zip(table.columns, names, strict=True)))


def _flat(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    """Columns of text, numbers, truth and dates only: lists and structs as JSON, times as ISO 8601."""
    if refused := frame.select(cs.binary() | cs.object()).columns:
        raise OutputError(
            f"{name}: column {refused[0]!r} holds {frame[refused[0]].dtype}, which is no text; "
            "leave it out, or export to .parquet"
        )
    nested = cs.list() | cs.array() | cs.struct()
    texts = cs.categorical() | cs.enum() | cs.decimal() | cs.by_dtype(pl.Null)
    return frame.with_columns(
        *(_as_json(of) for of in frame.select(nested).columns),
        (cs.temporal() - cs.date()).dt.to_string("iso:strict"),
        texts.cast(pl.String),
    )


def _as_json(name: str) -> pl.Expr:
    text = pl.struct(v=pl.col(name)).struct.json_encode().str.slice(len('{"v":'))
    return pl.when(pl.col(name).is_not_null()).then(text.str.strip_suffix("}")).alias(name)


def _whole_numbers(flat: pl.DataFrame) -> pl.DataFrame:
    """Floating-point numbers as the shortest text that gives them back: 98, not 98.0."""
    floats = cs.float()
    whole = (floats == floats.round(0)) & (floats.abs() <= schemas.LARGEST_COUNT)
    count = floats.cast(pl.Int64, strict=False).cast(pl.String)
    return flat.with_columns(pl.when(whole).then(count).otherwise(floats.cast(pl.String)))


# --- what is told of a table


def told_of(frame: pl.DataFrame) -> _About:
    contract = contract_of(frame)
    title = (contract.__doc__ or "").splitlines()[0] if contract else "A table of kzresearch"
    of_table = {"kind": "table", "name": "data", "meaning": title, "note": _EXPORTED}
    lines = pl.DataFrame([of_table, *_columns(frame, contract)], schema=_LINE)
    if contract is schemas.Form1M:
        lines = pl.concat([lines, _form(frame)])
    return _About(title, lines, _sources(frame, contract))


def contract_of(frame: pl.DataFrame) -> type[dy.Schema] | None:
    """The contract of a table, by its columns: the one that it shares most with, if it is one."""
    columns = set(frame.schema.items())
    shared = {of: len(columns & set(of.create_empty().schema.items())) for of in CONTRACTS}
    most = max(shared.values())
    best = [of for of, number in shared.items() if number == most]
    return best[0] if most >= _ALIKE and len(best) == 1 else None


def _columns(frame: pl.DataFrame, contract: type[dy.Schema] | None) -> Iterator[dict[str, str]]:
    """A line for each column; one of the user's own has no meaning here."""
    known = contract.columns() if contract else {}
    for name, dtype in frame.schema.items():
        of = (known[name].metadata or {}) if name in known and known[name].dtype == dtype else {}
        unit = of.get("unit", "")
        if of and name == "value" and "unit" in frame.columns:
            unit = later("as the column unit says")
        meaning = of.get("description") or (_NESTED.get(name) if dtype.is_nested() else None)
        yield {"kind": "column", "name": name} | _stated(meaning=meaning, unit=unit)


def _form(frame: pl.DataFrame) -> pl.DataFrame:
    """A line for each row and measure of Form 1-M that occurs, section by section."""
    book = form.lines()
    if "section" in frame.columns:
        book = book.filter(pl.col("section").is_in(frame["section"].unique().implode()))
    lines = []
    for column, kind in (("measure", "column"), ("row", "row")):
        names = set(frame[column].unique()) if column in frame.columns else set()
        found = book.filter(pl.col("kind") == kind, pl.col("name").is_in(names)).with_columns(
            kind=pl.lit(column), meaning="label"
        )
        told = set(found["name"])  # what only a publication reports is in no section
        more = [
            {"kind": column, "name": name, "meaning": text}
            for name, text in form.measure_descriptions()
            if column == "measure" and name in names - told
        ]
        lines += [found.select(*_LINE), pl.DataFrame(more, schema=_LINE)]
    return pl.concat(lines)


def _sources(frame: pl.DataFrame, contract: type[dy.Schema] | None) -> pl.DataFrame:
    """The lines of `load_sources` that the rows name, each file by its checksum.

    The user's own workbooks have such lines too, and every workbook its region and period.
    """
    known = pl.DataFrame(load_sources())
    workbooks = _workbooks(frame)
    books = every_workbook()
    own = own_workbooks(workbooks)
    block = source_of(FORM_1M, own)
    told = {name: block.get(name) or None for name in known.columns}
    of_own = pl.DataFrame([told | {"sha256": one} for one in sorted(own)], schema=known.schema)
    files = pl.concat([known.filter(pl.col("sha256").is_in(workbooks)), of_own])
    always = CONTRACTS[contract] if contract else ()
    ids = _texts(frame, "source", "sources").union(always) - set(files["id"])
    rest = known.filter(pl.col("id").is_in(ids)).unique("id", keep="first", maintain_order=True)
    of_file = pl.lit(None).alias
    rest = rest.with_columns(of_file(name) for name in ("path", "sha256", "bytes", "url"))
    lines = pl.concat([files, rest], how="vertical_relaxed")
    return lines.join(books.select("sha256", *_OF_WORKBOOK), on="sha256", how="left")


def _workbooks(frame: pl.DataFrame) -> set[str]:
    """The checksums of the files that the rows name."""
    return _texts(frame, "workbook", "sha256", "cells")


def _texts(frame: pl.DataFrame, *names: str) -> set[str]:
    """Every text in the columns of these names, lists of texts and of cells included."""
    found: set[str] = set()
    for name in names:
        column = frame[name] if name in frame.columns else pl.Series(dtype=pl.String)
        if isinstance(column.dtype, pl.List):
            column = column.explode()
        if isinstance(column.dtype, pl.Struct) and "workbook" in column.struct.fields:
            column = column.struct.field("workbook")
        if column.dtype == pl.String:
            found.update(column.drop_nulls().unique())
    return found


def _package(frame: pl.DataFrame, columns: list[str], of_file: Json) -> Json:
    """A Frictionless data package: the table, its codebook and its sources.

    `columns` are the names of the columns as they are written.
    """
    about = told_of(frame)
    lines = about.codebook.filter(kind="column").rows(named=True)
    fields = [
        {"name": written, "type": _type(dtype)}
        | _stated(description=line["meaning"], unit=line["unit"])
        for written, dtype, line in zip(columns, frame.dtypes, lines, strict=True)
    ]
    table = {
        "profile": "tabular-data-resource",
        "name": "data",
        **of_file,
        "title": about.title,
        "schema": {"fields": fields, "missingValues": [""]},
        **origin(about.sources["id"].unique(maintain_order=True).to_list(), _workbooks(frame)),
    }
    beside = {"codebook": about.codebook, "sources": about.sources}
    return {
        "profile": "data-package",
        "title": about.title,
        "description": _EXPORTED,
        "resources": [table, *(_inline(n, rows) for n, rows in beside.items() if rows.height)],
    }


def _inline(name: str, table: pl.DataFrame) -> Json:
    """A table that stands in the data package itself; what is not known is not there."""
    fields = [{"name": n, "type": _type(dtype)} for n, dtype in table.schema.items()]
    data = [_stated(**line) for line in table.iter_rows(named=True)]
    return {"name": name, "data": data, "schema": {"fields": fields}}


def _type(dtype: pl.DataType) -> str:
    empty = pl.DataFrame(schema={"of": dtype})
    return next((kind for selector, kind in _TYPES if empty.select(selector).width), "string")


def _stated(**of: Any) -> Json:
    return {name: value for name, value in of.items() if value not in {None, ""}}


# --- Excel


def _beyond_excel(flat: pl.DataFrame) -> Iterator[str]:
    """What of a table Excel cannot hold, or would change."""
    if flat.height >= _ROWS:
        yield f"{flat.height:,} rows and a header are more than the {_ROWS:,} of a sheet of Excel"
    if flat.width > _COLUMNS:
        yield f"{flat.width:,} columns are more than the {_COLUMNS:,} of a sheet of Excel"
    text, number = cs.string(), cs.float()
    # Excel counts in UTF-16, where characters beyond the first 65,536 are two.
    length = text.str.len_chars() + text.str.count_matches(r"[\x{10000}-\x{10FFFF}]")
    unfit = {
        f"a text longer than the {_CHARACTERS:,} characters of a cell of Excel": length
        > _CHARACTERS,
        "a control character, which Excel does not keep": text.str.contains(_UNFIT),
        "a number that is not finite, which Excel does not have": ~number.is_finite(),
        "an integer beyond 2⁵³, which Excel would round": ~cs.integer()
        .cast(pl.Int128)
        .is_between(-schemas.LARGEST_COUNT, schemas.LARGEST_COUNT),
        "a date outside the years 1900 to 9999, which Excel does not have": ~cs.date().is_between(
            date(1900, 1, 1), date(9999, 12, 31)
        ),
    }
    names = pl.DataFrame([flat.columns], schema=["name"])
    for what, where in unfit.items():
        for table, place in ((names, "the name of a column"), (flat, "column {!r}, row {:,}")):
            for column in table.select(where).iter_columns():
                if (row := column.arg_true()).len():
                    yield f"{place.format(column.name, row[0] + 1)} holds {what}"


class _Sheet(Worksheet):  # type: ignore[misc]  # it has no types
    """A sheet that takes every number and text as it is."""

    def _xml_number_element(self, number: float, attributes: Any = ()) -> None:
        """A number with all its digits: the library writes 16, and some numbers have 17."""
        given = "".join(f' {key}="{value}"' for key, value in attributes)
        whole = number == round(number) and abs(number) <= schemas.LARGEST_COUNT
        shortest = int(number) if whole else number
        self.fh.write(f"<c{given}><v>{shortest!r}</v></c>")

    def _xml_rich_inline_string(self, string: str, attributes: Any = ()) -> None:
        """A text in `<r>…</r>`, which the library takes for XML of its own making."""
        self._xml_inline_string(string, False, attributes)

    @staticmethod
    def _escape_control_characters(text: Any) -> Any:
        """A text like `_x0041_`, which is Excel's way to write an A: the library misses some."""
        if not isinstance(text, str):  # of a truth value
            return text
        return re.sub("_(?=x[0-9A-Fa-f]{4}_)", "_x005F_", text)


def _write_sheet(workbook: Workbook, name: str, table: pl.DataFrame) -> None:
    sheet = workbook.add_worksheet(name, worksheet_class=_Sheet)
    head = workbook.add_format({"bold": True, "bottom": 1, "quote_prefix": True})
    quoted = workbook.add_format({"quote_prefix": True})  # stays a text when the cell is edited
    sheet.freeze_panes(1, 0)
    sheet.autofilter(0, 0, table.height, table.width - 1)
    sheet.ignore_errors({"number_stored_as_text": f"A1:XFD{_ROWS}"})  # codes are texts
    formats = [workbook.add_format({"num_format": _num_format(of)}) for of in table.iter_columns()]
    for place, column in enumerate(table.iter_columns()):
        sheet.set_column(place, place, _width(column), formats[place])
        sheet.write_string(0, place, column.name, head)
    begins = cs.string().str.contains(f"^(?:{_FORMULA}|{_BREAK})")
    formulas = {one.name: set(one.arg_true()) for one in table.select(begins).iter_columns()}
    at_risk = [formulas.get(of, set()) for of in table.columns]
    for row, values in enumerate(table.iter_rows()):
        for place, value in enumerate(values):
            if isinstance(value, str):
                as_text = quoted if row in at_risk[place] else formats[place]
                sheet.write_string(row + 1, place, value, as_text)
            elif isinstance(value, bool):
                sheet.write_boolean(row + 1, place, value, formats[place])
            elif isinstance(value, date):
                sheet.write_datetime(row + 1, place, value, formats[place])
            elif value is not None:
                sheet.write_number(row + 1, place, value, formats[place])


def _num_format(column: pl.Series) -> str:
    """Thousands are parted where a column of figures is whole; integers may be years."""
    if column.dtype == pl.Date:
        return "yyyy-mm-dd"
    return "#,##0" if column.dtype.is_float() and (column == column.round(0)).all() else "General"


def _width(column: pl.Series) -> int:
    """As wide as its name with the filter's button, or its longest value, within bounds."""
    longest = pl.select(column.cast(pl.String).str.len_chars().max()).item() or 0
    least, most = _WIDTHS
    return min(max(least, len(column.name) + 4, longest + 1), most)
