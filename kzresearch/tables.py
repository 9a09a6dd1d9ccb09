"""Tables for publication: great_tables, each with its source note."""

from __future__ import annotations

import hashlib
import html as markup
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import polars as pl
from great_tables import GT, html, loc, style
from IPython.display import Markdown

from kzresearch.figures import NOT_DEFINED, Cell, estimate, number, origin, percent


@dataclass(frozen=True)
class Table:
    """A table to look at: `gt` is the great_tables object, `frame` what it shows."""

    gt: GT
    frame: pl.DataFrame
    title: str

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        # The object's own text would name its place in memory, another in every run.
        lines = ["\t".join(map(str, row)) for row in self.frame.iter_rows()]
        return {
            "text/html": self.gt.as_raw_html(),
            "text/plain": "\n".join([self.title, *lines]),
        }


def figures(frame: pl.DataFrame, title: str, source: str) -> Table:
    """A table of figures: columns `label`, `text`, `unit`, and `note` where there is one."""
    columns, headings = ["label", "text"], {"label": "", "text": "Number", "unit": "Unit"}
    units = frame["unit"].unique()
    if len(units) == 1:
        headings["text"] = units[0].capitalize()
    else:
        columns.append("unit")
    if frame["note"].drop_nulls().len():
        columns.append("note")
        headings["note"] = "Note"
    shown = frame.select(pl.col(columns).fill_null(""))
    return table(shown, title, source, headings, numbers=["text"])


def freedom(frame: pl.DataFrame, title: str, source: str) -> Table:
    """Freedom in the World, one row per edition: `PeriodReport.freedom()`."""
    headings = {
        "edition": "Edition",
        "year_reviewed": "Year reviewed",
        "status": "Status",
        "total": "Total (of 100)",
        "political_rights": "Political rights (of 40)",
        "civil_liberties": "Civil liberties (of 60)",
        "political_rights_rating": "PR rating (1–7)",
        "civil_liberties_rating": "CL rating (1–7)",
        "relation": "This edition",
    }
    numbers = [name for name in headings if name not in ("status", "relation")]
    return table(frame.select(*headings), title, source, headings, numbers)


def flow(frame: pl.DataFrame, title: str, source: str) -> Table | Markdown:
    """A case flow: the frame of `case_flow`, each disposition with what it consists of below it.

    Parts without a case are left out. Where nothing is reported, a sentence says so instead.
    """
    if not frame["count"].count():
        return Markdown(f"*{title}: no table, none of these figures is reported.*")
    part = pl.col("kind") == "part"
    order = pl.coalesce(pl.when(part).then("part_of"), "step")
    places = {step: place for place, step in enumerate(frame.filter(~part)["step"])}
    shown = (
        frame.filter(~part | (pl.col("count") > 0))
        .sort(order.replace_strict(places), part, maintain_order=True)
        .select(
            label=pl.concat_str(pl.when(part).then(pl.lit("· ")).otherwise(pl.lit("")), "label"),
            count=as_text("count", number),
            share=as_text("share", percent, null=""),
            interval=as_limits("lower", "upper", percent),
            origin=pl.struct("cells", "sources").map_elements(_origin, return_dtype=pl.String),
        )
    )
    headings = {
        "label": "",
        "count": "Offences",
        "share": "Share",
        "interval": "95 % interval",
        "origin": "Taken from",
    }
    return table(shown, title, source, headings, numbers=["count", "share", "interval"])


def comparison(frame: pl.DataFrame, title: str, source: str) -> Table | Markdown:
    """Shares of several offences side by side: the frame of `attrition.comparison`."""
    if not frame["share"].count():
        return Markdown(f"*{title}: no table, there is no share to set side by side.*")
    shown = frame.select(
        "label",
        "kind",
        pl.format("{} of {}", as_text("cases", number), as_text("gross_caseload", number)).alias(
            "of"
        ),
        share=as_text("share", percent, null=NOT_DEFINED),
        interval=as_limits("lower", "upper", percent),
        risk=as_text("relative_risk", estimate, null=""),
        limits=as_limits("risk_lower", "risk_upper", estimate),
    )
    headings = {
        "label": "Offence",
        "kind": "Disposition",
        "of": "Offences",
        "share": "Share",
        "interval": "95 % interval",
        "risk": "Relative risk",
        "limits": "95 % interval",
    }
    return table(shown, title, source, headings, [*headings][2:])


def double_counting(frame: pl.DataFrame, title: str, source: str) -> Table | Markdown:
    """How far shares move under double counting: the frame of `attrition.double_counting`."""
    if frame.is_empty():
        return Markdown(f"*{title}: no table, no termination is reported that could be one.*")
    shown = frame.select(
        as_text("repeated", percent),
        *(as_text(name, number) for name in ("repeats", "terminated", "gross_caseload")),
        *(as_text(name, percent) for name in ("share_terminated", "share_sent_to_court")),
    )
    headings = {
        "repeated": "Repeats, of all terminations",
        "repeats": "Repeats",
        "terminated": "Offences terminated",
        "gross_caseload": "Gross caseload",
        "share_terminated": "Share terminated",
        "share_sent_to_court": "Share sent to court",
    }
    return table(shown, title, source, headings, [*headings])


def as_text(column: str, words: Callable[[float | None], str], null: str | None = None) -> pl.Expr:
    """The column's numbers as they are shown; nulls as `null`, or in the words for them."""
    texts = pl.col(column).map_elements(words, return_dtype=pl.String, skip_nulls=null is not None)
    return texts if null is None else texts.fill_null(null)


def as_limits(lower: str, upper: str, words: Callable[[float | None], str]) -> pl.Expr:
    """`0.6 % – 2.0 %`, empty where a limit is not defined."""
    both = [as_text(name, words, null="").replace("", None) for name in (lower, upper)]
    return pl.format("{} – {}", *both).fill_null("").alias("limits")


def _origin(line: dict[str, Any]) -> str:
    return origin(Cell(**cell) for cell in line["cells"]) or ", ".join(line["sources"])


def table(
    frame: pl.DataFrame,
    title: str,
    source: str,
    headings: dict[str, str],
    numbers: list[str],
) -> Table:
    """A frame as a table; `headings` name its columns, those in `numbers` are set to the right."""
    # Without a fixed id two runs of the same notebook would differ.
    table_id = "t" + hashlib.sha256(title.encode()).hexdigest()[:10]
    made = (
        GT(frame, id=table_id)
        .tab_header(title=title)
        .cols_label({k: v for k, v in headings.items() if k in frame.columns})
        .cols_align("left")
        .cols_align("right", columns=numbers)
        .tab_style(style.css("white-space: nowrap"), loc.body(columns=numbers))
        .tab_style(style.text(size="90%"), loc.source_notes())
        .tab_source_note(html(markup.escape(source)))
        .tab_options(table_font_size="14px", heading_align="left", table_margin_left="0px")
    )
    return Table(made, frame, title)
