"""What the columns of a frame mean, their units and sources: asked for, and as a caption in a notebook."""

from __future__ import annotations

from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from kzresearch.language import later, say, translated

if TYPE_CHECKING:
    import polars as pl

_CAPTIONS = {
    "CaseFlow": later("Case flow: a row for each base, disposition and part."),
    "Codebook": later("Codebook of Form 1-M: a row for each of its rows and columns."),
    "Form1M": later(
        "Form 1-M: a row for each figure, cumulative from January to the month of the period."
    ),
    "FreedomInTheWorld": later("Freedom in the World: a row for each country and edition."),
    "Population": later("Population on 1 January: a row for each figure."),
    "Published": later("Figures that others published, as they stand."),
    "Regions": later("Regions, with their codes and names."),
    "Results": later("Recorded figures: a row for each run and figure."),
    "TortureIndices": later("Indices of torture: a row for each country, year and index."),
    "Workbooks": later("Workbooks behind the figures: a row for each file."),
}
"""What a table is, by the name of its contract."""
_IN_WORDS = {"meaning", "label"}
"""Columns of `describe` and `codebook` that say what something means."""
_FEW = 3
"""How many units or sources are named one by one."""


def describe(frame: pl.DataFrame | pl.LazyFrame) -> pl.DataFrame:
    """What each column of a frame means, its unit and its source, in the reader's language.

    Frames that are filtered or derived too. Of figures of Form 1-M also what every measure and row means that occurs
    in them.

    Returns one line per column, then per measure and row: `kind` (column, measure or row), `section`,
    `name`, `meaning`, `unit`, `source` (ids in `load_sources()`), `note`. A column that no table of this
    package has, or that means one thing in one of them and another in another, has no meaning here.

    Source: the contracts in `kzresearch.schemas`, and the codebook of the form.

    >>> figures = kz.load_form_1m("2022-12", "KZ-75", "R1", "146", "registered")
    >>> kz.describe(figures.select("section", "measure", "value")).select("name", "unit").rows()
    [('section', None), ('measure', None), ('value', None), ('registered', 'offences')]
    """
    import polars as pl

    from kzresearch.exports import told_of
    from kzresearch.form_1m import codebook

    whole = frame.lazy().collect()
    told = told_of(whole)
    lines = told.codebook.filter(pl.col("kind") != "table")
    ids = ", ".join(told.sources["id"].unique(maintain_order=True)) or None
    known = _by_name(whole)
    columns = pl.col("kind") == "column"
    by_name = {
        at: pl.col("name").replace_strict(of, default=None, return_dtype=pl.String)
        for at, of in known.items()
    }
    lines = lines.with_columns(
        source=pl.lit(ids, pl.String),
        **{
            at: pl.when(columns).then(pl.coalesce(at, of)).otherwise(at)
            for at, of in by_name.items()
        },
    )
    units = [unit and translated(unit) for unit in lines["unit"]]
    return (
        codebook.in_words(lines, "meaning")
        .with_columns(pl.Series("unit", units, pl.String))
        .select("kind", "section", "name", "meaning", "unit", "source", "note")
    )


def _by_name(frame: pl.DataFrame) -> dict[str, dict[str, str]]:
    """Meanings and units of columns that have one, the same in every table that has such a column."""
    from kzresearch.exports import CONTRACTS

    meanings: dict[str, str] = {}
    units: dict[str, str] = {}
    for name, dtype in frame.schema.items():
        every = [of.columns()[name] for of in CONTRACTS if name in of.columns()]
        told = {(one.metadata or {}).get("description") for one in every if one.dtype == dtype}
        if len(told) == 1 and (meaning := told.pop()):
            meanings[name] = meaning
            told = {(one.metadata or {}).get("unit") for one in every}
            if len(told) == 1 and (unit := told.pop()):
                units[name] = unit
    return {"meaning": meanings, "unit": units}


def caption(frame: pl.DataFrame) -> str | None:
    """What a frame of this package holds, in which units, and from where; None for another frame."""
    from kzresearch.exports import contract_of

    contract = contract_of(frame)
    if contract is None or contract.__name__ not in _CAPTIONS:
        return None
    said = [say(_CAPTIONS[contract.__name__])]
    if units := _units(frame, contract):
        said.append(say("In {units}.", units=units))
    if sources := _sources(frame):
        said.append(say("Source: {sources}.", sources=sources))
    return " ".join(said)


def _units(frame: pl.DataFrame, contract: Any) -> str | None:
    if {"unit", "value"} <= set(frame.columns):
        found = frame["unit"].drop_nulls().unique().sort().to_list()
    else:
        known = {name: one.metadata or {} for name, one in contract.columns().items()}
        units = (known.get(name, {}).get("unit") for name in frame.columns)
        found = list(dict.fromkeys(filter(None, units)))
    if len(found) > _FEW:
        return say("the units that the column unit says") if "unit" in frame.columns else None
    return ", ".join(translated(one) for one in found) or None


def _sources(frame: pl.DataFrame) -> str | None:
    import polars as pl

    from kzresearch.sources import load_sources, source

    ids: list[str] = []
    for name in ("source", "sources"):
        if name in frame.columns:
            column = frame[name].explode() if frame[name].dtype == pl.List else frame[name]
            ids += column.drop_nulls().unique().sort().to_list()
    known = set(load_sources()["id"])
    if len(ids) > _FEW:
        return say("{n} sources, which stand in their column", n=len(ids))
    return (
        "; ".join(say(source(one)["attribution"]) if one in known else one for one in ids) or None
    )


def show_captions(shell: Any) -> None:
    """Let an IPython shell show frames of this package with their caption, once a notebook has imported it."""

    def table(frame: pl.DataFrame) -> str:
        return _table(frame) if _imported(shell.user_ns) else str(frame._repr_html_())

    tables = shell.display_formatter.formatters["text/html"]
    tables.for_type_by_name("polars.dataframe.frame", "DataFrame", table)


def _imported(names: dict[str, Any]) -> bool:
    """Whether something of this package is among a notebook's names."""
    own = (one for one in [*names.values()] if isinstance(one, (ModuleType, FunctionType, type)))
    return any(
        (one.__name__ if isinstance(one, ModuleType) else one.__module__).split(".")[0]
        == "kzresearch"
        for one in own
    )


def _table(frame: pl.DataFrame) -> str:
    import html

    import polars as pl

    words = not _IN_WORDS.isdisjoint(frame.columns)  # which are there to be read, so whole
    with pl.Config(fmt_str_lengths=1000 if words else None, tbl_rows=60 if words else None):
        shown = str(frame._repr_html_())
    if said := caption(frame):
        below = f'<caption style="caption-side: bottom; font-weight: normal; text-align: left">{html.escape(said)}</caption>'
        head, table, rest = shown.partition("<thead>")
        return f"{head}{below}{table}{rest}"
    return shown
