"""Tables for publication, each with its title, its headings and its source note."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from IPython.display import Markdown
from jinja2 import Environment

from kzresearch import flows
from kzresearch.figures import NOT_DEFINED, Cell, estimate, number, origin, percent
from kzresearch.language import say

__all__ = ["Table", "comparison", "double_counting", "figures", "flow", "freedom"]
_LEFT, _RIGHT = "text-align: left", "text-align: right; white-space: nowrap"
_LONG = f"{_LEFT}; vertical-align: top; white-space: pre-line"
_BROKEN = f"{_LONG}; overflow-wrap: anywhere"
_HTML = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string("""\
{% if table.folded %}
<details><summary>{{ table.folded_title }}</summary>
{% endif %}
<table class="kzresearch"{% if table.widths %} style="width: 780px; table-layout: fixed"{% endif %}>
<caption style="{{ left }}; font-weight: bold">{{ table.title }}</caption>
<thead><tr>
{% for heading, style, width in columns %}
<th scope="col" style="{{ style | replace('; white-space: nowrap', '') }}{% if width %}; width: {{ width }}%{% endif %}">{{ heading }}</th>
{% endfor %}
</tr></thead>
{% for group, rows in groups.items() %}
<tbody>
{% if group is not none %}
<tr><th scope="rowgroup" colspan="{{ columns | length }}" style="{{ left }}">{{ group }}</th></tr>
{% endif %}
{% for row in rows %}
<tr><th scope="row" style="{{ columns[0][1] }}; font-weight: normal">{{ row[0] }}</th>
{%- for cell in row[1:] %}<td style="{{ columns[loop.index][1] }}">{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
</tbody>
{% endfor %}
<tfoot><tr><td colspan="{{ columns | length }}" style="{{ left }}"><small>{{ table.source }}</small></td></tr></tfoot>
</table>
{% if table.folded %}
</details>
{% endif %}
""")


@dataclass(frozen=True)
class Table:
    """A table to look at: the texts of `frame` under `headings`.

    Texts in the columns `numbers` stand on the right. `group` is a column whose values stand above their rows. Columns of long texts have `widths`, in
    percent; those in `broken` (addresses) end a line within a word. `folded` shows the title alone
    until it is clicked.

    >>> regions = kz.load_regions().select("region", "name_ru")
    >>> table = kz.tables.Table(regions, "Regions", "geokz", {"region": "Code", "name_ru": "Name"})
    >>> print(table.folded_title)
    Regions (20 lines; open to see)
    >>> "<caption" in table.html
    True
    """

    frame: pl.DataFrame
    title: str
    source: str
    headings: dict[str, str]
    numbers: Sequence[str] = ()
    group: str | None = None
    widths: dict[str, int] | None = None
    broken: Sequence[str] = ()
    folded: bool = False

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        lines = ["\t".join(map(str, row)) for row in self.frame.iter_rows()]
        return {"text/html": self.html, "text/plain": "\n".join([self.title, *lines])}

    @property
    def html(self) -> str:
        """The table as HTML; styles are the elements' own, so it looks the same everywhere."""
        names = [name for name in self.frame.columns if name != self.group]
        columns = [
            (self.headings.get(name, name), self._style(name), (self.widths or {}).get(name))
            for name in names
        ]
        others = [name for name, kind in self.frame.schema.items() if kind != pl.String]
        texts = self.frame.with_columns(pl.col(others).cast(pl.String)) if others else self.frame
        groups: dict[str | None, list[list[str]]] = {} if self.group else {None: []}
        for given in texts.iter_rows(named=True):
            line = {name: text or "" for name, text in given.items()}
            rows = groups.setdefault(line[self.group] if self.group else None, [])
            rows.append([line[name] for name in names])
        return _HTML.render(table=self, columns=columns, groups=groups, left=_LEFT).strip()

    @property
    def folded_title(self) -> str:
        """What is seen of a table that is folded."""
        return say(
            "{title} ({n} {n:line|lines}; open to see)", title=self.title, n=self.frame.height
        )

    def _style(self, name: str) -> str:
        if name in self.numbers:
            return _RIGHT
        return (_BROKEN if name in self.broken else _LONG) if self.widths else _LEFT


def figures(frame: pl.DataFrame, title: str, source: str) -> Table:
    """A table of figures: columns `label`, `text`, `unit`, and `note` where there is one.

    >>> report = kz.period_report("2022-12")
    >>> table = kz.tables.figures(report.severity(), "Offences, by severity", "Form 1-M")
    >>> table.frame.row(0), table.headings["text"]
    (('especially grave', '2,200'), 'Offences')
    """
    columns = ["label", "text"]
    headings = {"label": "", "text": say("Number"), "unit": say("Unit")}
    units = frame["unit"].unique()
    if len(units) == 1:
        headings["text"] = say(units[0]).capitalize()
    else:
        columns.append("unit")
    if frame["note"].drop_nulls().len():
        columns.append("note")
        headings["note"] = say("Note")
    shown = frame.select(pl.col(columns).fill_null(""))
    if "unit" in columns:
        shown = shown.with_columns(pl.col("unit").map_elements(say, return_dtype=pl.String))
    return Table(shown, title, source, headings, numbers=["text"])


def freedom(frame: pl.DataFrame, title: str, source: str) -> Table:
    """Freedom in the World, one row per edition: `PeriodReport.freedom()`.

    >>> editions = kz.period_report("2022-12").freedom()
    >>> table = kz.tables.freedom(editions, "Freedom in the World", "Freedom House")
    >>> table.frame.select("edition", "status", "total").row(0)
    (2022, 'Not Free', 23)
    """
    headings = {
        "edition": say("Edition"),
        "year_reviewed": say("Year reviewed"),
        "status": say("Status"),
        "total": say("Total (of 100)"),
        "political_rights": say("Political rights (of 40)"),
        "civil_liberties": say("Civil liberties (of 60)"),
        "political_rights_rating": say("PR rating (1–7)"),
        "civil_liberties_rating": say("CL rating (1–7)"),
        "relation": say("This edition"),
    }
    numbers = [name for name in headings if name not in ("status", "relation")]
    shown = frame.select(*headings).with_columns(
        pl.col("status").map_elements(say, return_dtype=pl.String)
    )
    return Table(shown, title, source, headings, numbers)


def flow(frame: pl.DataFrame, title: str, source: str) -> Table | Markdown:
    """A case flow: the frame of `case_flow`, with shares, intervals and cells.

    Each disposition has what it consists of below it; parts without a case are left out. Where
    nothing is reported, a sentence says so instead.

    >>> table = kz.tables.flow(kz.case_flow("2022-12", article="146"), "Torture", "Form 1-M")
    >>> table.frame.select("label", "count", "origin").row(0)
    ('gross caseload', '918', 'R1!E70, R1!Q70 of 20 workbooks')
    """
    if not frame["count"].count():
        return Markdown(say("*{title}: no table, none of these figures is reported.*", title=title))
    lines = frame.to_dicts()
    parts = [line for line in lines if line["kind"] == "part" and line["count"]]
    wholes = [line for line in lines if line["kind"] != "part"]
    lines = [
        line
        for whole in wholes
        for line in (whole, *(part for part in parts if part["part_of"] == whole["step"]))
    ]
    shown = [
        {
            "label": f"· {line['label']}" if line["kind"] == "part" else line["label"],
            "count": flows.shown(line) or number(line["count"]),
            "share": "" if line["share"] is None else percent(line["share"]),
            "interval": _limits(line["lower"], line["upper"], percent),
            "origin": _origin(line),
        }
        for line in lines
    ]
    headings = {
        "label": "",
        "count": say("Offences"),
        "share": say("Share"),
        "interval": say("95 % interval"),
        "origin": say("Taken from"),
    }
    texts = pl.DataFrame(shown, schema=dict.fromkeys(headings, pl.String))
    return Table(texts, title, source, headings, numbers=["count", "share", "interval"])


def comparison(frame: pl.DataFrame, title: str, source: str) -> Table | Markdown:
    """Shares of several offences side by side: the frame of `attrition.comparison`.

    >>> from kzresearch import attrition
    >>> compared = attrition.comparison("2022-12", article="146", others="362,120")
    >>> table = kz.tables.comparison(compared.frame, "Torture beside others", "Form 1-M")
    >>> table.frame.select("label", "of", "share", "interval").row(0)
    ('Article 146. Torture', '812 of 918', '88.5 %', '86.2 % – 90.4 %')
    """
    if not frame["share"].count():
        return Markdown(
            say("*{title}: no table, there is no share to set side by side.*", title=title)
        )
    shown = [
        {
            "label": line["label"],
            "kind": line["kind"],
            "of": say(
                "{cases} of {gross_caseload}",
                cases=line["cases"],
                gross_caseload=line["gross_caseload"],
            ),
            "share": say(NOT_DEFINED) if line["share"] is None else percent(line["share"]),
            "interval": _limits(line["lower"], line["upper"], percent),
            "risk": "" if line["relative_risk"] is None else estimate(line["relative_risk"]),
            "limits": _limits(line["risk_lower"], line["risk_upper"], estimate),
        }
        for line in frame.iter_rows(named=True)
    ]
    headings = {
        "label": say("Offence"),
        "kind": say("Disposition"),
        "of": say("Offences"),
        "share": say("Share"),
        "interval": say("95 % interval"),
        "risk": say("Relative risk"),
        "limits": say("95 % interval"),
    }
    texts = pl.DataFrame(shown, schema=dict.fromkeys(headings, pl.String))
    return Table(texts, title, source, headings, [*headings][2:])


def double_counting(frame: pl.DataFrame, title: str, source: str) -> Table | Markdown:
    """How far shares move under double counting: the frame of `attrition.double_counting`.

    >>> from kzresearch import attrition
    >>> repeats = attrition.double_counting(kz.case_flow("2022-12", article="146"))
    >>> table = kz.tables.double_counting(repeats, "Were some terminations repeats", "Form 1-M")
    >>> table.frame.select("repeated", "repeats", "share_sent_to_court").row(2)
    ('10.0 %', '81', '1.2 %')
    """
    if frame.is_empty():
        return Markdown(
            say("*{title}: no table, no termination is reported that could be one.*", title=title)
        )
    words = {
        "repeated": percent,
        **dict.fromkeys(("repeats", "terminated", "gross_caseload"), number),
        **dict.fromkeys(("share_terminated", "share_sent_to_court"), percent),
    }
    lines = frame.iter_rows(named=True)
    shown = [{name: words[name](line[name]) for name in words} for line in lines]
    headings = {
        "repeated": say("Repeats, of all terminations"),
        "repeats": say("Repeats"),
        "terminated": say("Offences terminated"),
        "gross_caseload": say("Gross caseload"),
        "share_terminated": say("Share terminated"),
        "share_sent_to_court": say("Share sent to court"),
    }
    texts = pl.DataFrame(shown, schema=dict.fromkeys(headings, pl.String))
    return Table(texts, title, source, headings, [*headings])


def as_text(column: str, words: Callable[[float | None], str], null: str | None = None) -> pl.Expr:
    """The column's numbers as they are shown; nulls as `null`, or in the words for them."""
    texts = pl.col(column).map_elements(words, return_dtype=pl.String, skip_nulls=null is not None)
    return texts if null is None else texts.fill_null(null)


def as_limits(lower: str, upper: str, words: Callable[[float | None], str]) -> pl.Expr:
    """`0.6 % – 2.0 %`, empty where a limit is not defined."""
    both = pl.struct(lower, upper)
    texts = both.map_elements(
        lambda line: _limits(line[lower], line[upper], words), return_dtype=pl.String
    )
    return texts.alias("limits")


def _limits(lower: float | None, upper: float | None, words: Callable[[float | None], str]) -> str:
    return "" if None in (lower, upper) else f"{words(lower)} – {words(upper)}"


def _origin(line: dict[str, Any]) -> str:
    return origin(Cell(**cell) for cell in line["cells"]) or ", ".join(line["sources"])
