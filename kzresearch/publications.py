"""Figures that others published, side by side: what is comparable, where they disagree, and why.

Every figure keeps its own unit, period, source and doubt. Figures of our own, from the workbooks
of whole years, stand among them as a source of their own, named net or gross.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property
from itertools import combinations
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import polars as pl
from great_tables import loc, style

from kzresearch import captions, datasets, flows, sources, tables
from kzresearch.errors import KzresearchError, UnknownValueError
from kzresearch.figures import Figure, number, origin, percent
from kzresearch.form_1m.reader import SOURCE as FORM_1M
from kzresearch.rates import MeasureError
from kzresearch.regions import COUNTRY, change_of_bounds, region_name
from kzresearch.schemas import FLAGS, INDICATORS, NOT_NAMED

if TYPE_CHECKING:
    from IPython.display import Markdown

Row = dict[str, Any]

PUBLISHED = "published_figures"
OURS = "this project, from Form 1-M"
OURS_UNCLEAR = "Military, transport and central bodies are not in the workbooks"
YEAR, PART, LONGER = "a calendar year", "part of a year", "days of more than one year"
UNKNOWN = "a period that is not known"
LETTERS = "ab"
NOT_COMPARED = ("unclear_period", "partial", "conflict")
"""Flags of figures that no change is computed from."""

# Indicator → what the case flow of a year in the workbooks has for it.
OWN = {
    "registered": ("registered", "gross_registered", "gross_caseload"),
    "in_proceedings": ("net_caseload", "gross_caseload"),
    "completed": ("completed",),
    "sent_to_court": ("sent_to_court",),
    "terminated_total": ("terminated_rehabilitating",),
    "interrupted_or_expired": ("interrupted", "term_expired"),
}

# What one is → the words for it; the first of them in a unit says what the unit is.
NOUNS = {
    "cases": "complaints/cases|cases",
    "offences": "offences",
    "investigations": "investigations",
    "facts": "facts|registrations",
    "complaints": "complaints|statements|reports|allegations",
    "incidents of abuse": "incidents",
    "persons": "persons|people|individuals|citizens|victims|officers|policemen|employees"
    "|defendants|suspects",
    "convictions": "convictions",
}
# A complaint to one body is not a complaint to another.
BODIES = {
    "NGO|KIBHR": "complaints to NGOs",
    "(?i)ombuds": "complaints to the ombudsman",
    "(?i)prosecut|official": "complaints counted officially",
    "": "complaints to a body not named",
}
PROCEEDINGS = ["cases", "offences", "investigations", "facts"]
"""Units that differ, of which figures may still contradict each other."""

NAMES = {"КМБПЧ": "KIBHR"}  # one bureau under its Russian and its English name

# Pairs of ids → the reading that explains why they differ; numbers are filled in from the rows.
READINGS = {
    **dict.fromkeys(
        [("P0002", "P0038"), ("P0002", "P0151")],
        "A reading, not a fact: {a} may be gross and {b} net of terminations on rehabilitating "
        "grounds. Premise: both come from the same register. One is about {times} times the other; "
        "in our workbooks of 2022 the gross caseload ({gross_caseload}) is about {own_times} times "
        "the net registered figure ({registered}).",
    ),
    ("P0004", "gross_caseload_2022"): "A reading, not a fact: {a} may be the gross caseload, with "
    "terminations on rehabilitating grounds and cases carried over. Premise: both come from the "
    "same register, and the rest lies with bodies missing from our workbooks.",
    ("P0004", "gross_registered_2022"): "A reading, not a fact: {a} may hold cases carried over "
    "from earlier years, {gross_carried_over} in our workbooks. Premise: both come from the same "
    "register.",
    ("P0004", "registered_2022"): "A reading, not a fact: {a} may be gross, while {b} is net: it "
    "leaves out what was terminated on rehabilitating grounds, {terminated_rehabilitating} offences "
    "of the caseload. Premise: both come from the same register.",
    ("P0140", "P0146"): "{a} is {b} rounded to hundreds.",
}
NO_READING = "No reading that explains it is known."

BREAKS = (
    (
        date(2022, 3, 16),
        (
            "the President instructed that the Prosecutor General's Office investigate torture; "
            "since when prosecutors alone do so is not verified"
        ),
        "nepfund.org",
    ),
    (
        date(2023, 3, 17),
        (
            "the day of the law by which article 146 covers ill-treatment short of torture too; since "
            "when it does is not verified"
        ),
        "zakonpravo.kz, article 146",
    ),
)
"""Dated acts on law or jurisdiction, as far as they were read: day, what, where."""


@dataclass(frozen=True)
class Trend:
    """The figures on one indicator; made by `trend`.

    `rows` has the columns of `schemas.Published` and more: `source` (the publisher's short name),
    `counted` (what one is), `topic` (of what; empty for torture), `period` (in words), `length`
    (beside a calendar year), `year` (null unless the period is one), `own`, `figure` (our own).
    """

    indicator: str
    region: str
    rows: pl.DataFrame
    left_out: int

    @cached_property
    def here(self) -> pl.DataFrame:
        """Figures of the region itself, without those of places within it."""
        return self.rows.filter(pl.col("region") == self.region)

    @property
    def title(self) -> str:
        """`Published figures on torture cases: registered, Kazakhstan`."""
        return f"Published figures on torture cases: {self._what}, {self._where}"

    @property
    def _where(self) -> str:
        return region_name(self.region)

    @property
    def _what(self) -> str:
        return self.indicator.replace("_", " ")

    @property
    def source_line(self) -> str:
        """Where the figures come from, for below a chart or a table."""
        line = f"Source: {sources.source(PUBLISHED)['attribution']}"
        if self.rows["own"].any():
            line += f"; our own: {sources.source(FORM_1M)['attribution']}"
        return line

    @property
    def sources(self) -> list[str]:
        """Ids of the sources, for `kz.references`."""
        return [PUBLISHED, *([FORM_1M] if self.rows["own"].any() else [])]

    def summary(self) -> Markdown:
        """How many figures there are, whose, and how many of them are unclear."""
        theirs, own = self.rows.filter(~pl.col("own")), self.rows.filter("own")
        unclear = theirs.filter(pl.col("flag") != "clear").height
        elsewhere = self.rows.height - self.here.height
        found = f"No published figure on *{self._what}* in {self._where}"
        if theirs.height:
            found = (
                f"**{_plural(theirs.height, 'published figure')}** on *{self._what}* in "
                f"{self._where} by {_plural(theirs['source'].n_unique(), 'source')}"
            )
        parts = [found]
        if unclear:
            parts.append(f"{unclear} of them with something unclear about them")
        if elsewhere:
            parts.append(f"{elsewhere} on a place within the country, not drawn")
        if own.height:
            parts.append(f"beside them {_plural(own.height, 'figure')} of our own: {_listed(own)}")
        if self.left_out:
            parts.append(
                f"{_plural(self.left_out, 'figure')} whose period, article or meaning is unclear "
                "left out by choice"
            )
        notes = {change_of_bounds(self.region, f"{year}-12") for year in own["year"]} - {None}
        minded = "".join(f"\n\n**Mind:** {note}." for note in notes)
        return captions.markdown("; ".join(parts) + "." + minded)

    def drawn(self) -> pl.DataFrame:
        """What `charts.timeline` draws: the region's figures whose period is known."""
        line = ["source", "unit", "article"]
        run = pl.col("year") - pl.col("year").rank("ordinal").over([*line, _steady()])
        known = self.here.filter(pl.col("length") != UNKNOWN)
        return known.select(
            *("period", "period_start", "period_end", "year", "value", "source", "unit", "own"),
            *("id", "topic"),
            pl.Series("label", [_label(row) for row in known.iter_rows(named=True)], pl.String),
            panel=pl.col("counted") + pl.col("topic"),
            clear=pl.col("flag") == "clear",
            series=pl.when(_steady() & (pl.len().over([*line, _steady(), run]) > 2)).then(
                pl.concat_str([*line, run], separator="|")
            ),
        )

    @property
    def marked(self) -> list[date]:
        """Days of `BREAKS`, for `charts.timeline`."""
        return [day for day, *_ in BREAKS]

    def breaks(self) -> Markdown:
        """The dated acts that the chart marks, each with where it was read."""
        lines = [
            f"- **{letter}**, {_day(day)}: {what} (read at {address})."
            for letter, (day, what, address) in zip(LETTERS, BREAKS, strict=True)
        ]
        return captions.markdown("\n".join(lines))

    def comparability(self) -> Markdown:
        """Which figures cover no calendar year, and so must not be set beside those that do."""
        parts = []
        for length, drawn in (
            (PART, "; bars in the chart"),
            (LONGER, "; bars in the chart"),
            (UNKNOWN, ", and so not in the chart"),
        ):
            found = self.here.filter(pl.col("length") == length).sort("period_start", "id")
            if found.height:
                named = ", ".join(f"{i} ({p})" for i, p in found.select("id", "period").rows())
                verb = "covers" if found.height == 1 else "cover"
                parts.append(f"{_plural(found.height, 'figure')} {verb} {length}{drawn}: {named}")
        if not parts:
            return captions.markdown("Every figure covers a calendar year.")
        return captions.markdown(
            "Not to be set beside the figures of calendar years: "
            + "\n".join(f"\n- {one}." for one in parts)
        )

    def changes(self) -> Markdown:
        """Change over time within one source, unit and article, over whole calendar years."""
        whole = self.here.filter(_steady()).sort(pl.col("topic") != "", "year")
        groups = whole.group_by("source", "unit", "article", maintain_order=True)
        said = [self._change(group) for _, group in groups if group.height > 2]
        return captions.markdown(
            "\n\n".join(said)
            or "*No source has three calendar years in one unit, so no change is computed.*"
        )

    def _change(self, series: pl.DataFrame) -> str:
        first, last = series.row(0, named=True), series.row(-1, named=True)
        values = ", ".join(f"{number(v)} ({y})" for v, y in series.select("value", "year").rows())
        said = (
            f"**{first['source']}**, in {first['unit']} ({_article(first)}): {values}; from "
            f"{first['year']} to {last['year']} that is {_signed(change(first, last))}."
        )
        doubts = [part for text in series["ambiguity"].drop_nulls() for part in text.split("; ")]
        if doubts:
            parts = dict.fromkeys(
                re.sub("^[A-Z](?=[a-z])", lambda m: m[0].lower(), d) for d in doubts
            )
            said += f" Unclear about one or several of them: {'; '.join(parts)}."
        between = [
            f"**{letter}** ({_day(day)})"
            for letter, (day, *_) in zip(LETTERS, BREAKS, strict=True)
            if first["period_end"] < day <= last["period_end"] and not first["topic"]
        ]
        if between:
            said += f" Between them lie {' and '.join(between)}."
        later = (pl.col("source") == first["source"]) & (pl.col("year") > last["year"])
        for row in self.here.filter(later).sort("year", "id").iter_rows(named=True):
            if _kind(row) == _kind(first):
                try:
                    change(last, row)
                except MeasureError as error:
                    said += f" Not continued: {error}."
        return said

    def disagreement_table(self) -> tables.Table | Markdown:
        """Where sources disagree: both figures, both sources, and the reading, if there is one."""
        found = disagreements(self.rows)
        if found.is_empty():
            return captions.markdown("*No two sources have different figures for the same period.*")
        shown = [
            {
                "period": row["period"],
                "one": f"{number(row['value_a'])} {row['unit_a']}",
                "source_a": f"{row['source_a']} ({row['a']})",
                "other": f"{number(row['value_b'])} {row['unit_b']}",
                "source_b": row["source_b"] + (f" ({row['b']})" if row["b"][0] == "P" else ""),
                "reading": row["reading"] or NO_READING,
            }
            for row in found.iter_rows(named=True)
        ]
        columns = {
            "period": ("Period", 9),
            "one": ("One figure", 17),
            "source_a": ("Source", 14),
            "other": ("The other", 17),
            "source_b": ("Source", 14),
            "reading": ("Reading", 29),
        }
        return self._table(shown, f"Where sources disagree: {self._what}, {self._where}", columns)

    def table(self) -> tables.Table:
        """Every figure, by period, with its unit, publisher, doubt and address."""
        ordered = self.rows.sort("period_start", "period_end", "id", nulls_last=True)
        shown = [
            {
                "id": "ours" if row["own"] else row["id"],
                "period": row["period"]
                + (f" ({row['length']})" if row["length"] in {PART, LONGER} else ""),
                "figure": number(row["value"]),
                "what": f"{row['unit']}; {_article(row)}"
                + (f"; {row['geography']}" if row["region"] != COUNTRY else ""),
                "published": ", ".join(filter(None, [row["publisher"], row["date_published"]]))
                + f"\n{row['address']}",
                "ambiguity": row["ambiguity"] or "nothing",
            }
            for row in ordered.iter_rows(named=True)
        ]
        columns = {
            "id": ("Id", 8),
            "period": ("Period", 15),
            "figure": ("Figure", 9),
            "what": ("Of what", 19),
            "published": ("Published by", 29),
            "ambiguity": ("What is unclear", 20),
        }
        title = f"Every figure: {self._what}, {self._where}"
        return self._table(shown, title, columns, ["figure"])

    def _table(
        self,
        shown: list[Row],
        title: str,
        columns: dict[str, tuple[str, int]],
        numbers: Sequence[str] = (),
    ) -> tables.Table:
        """A table of long texts: columns with heading and width in percent, addresses broken."""
        headings = {name: heading for name, (heading, _) in columns.items()}
        made = tables.table(pl.DataFrame(shown), title, self.source_line, headings, list(numbers))
        broken = style.css("white-space: pre-line; overflow-wrap: anywhere; vertical-align: top;")
        widths = {name: f"{width}%" for name, (_, width) in columns.items()}
        return replace(made, gt=made.gt.cols_width(widths).tab_style(broken, loc.body()))

    def figures(self) -> dict[str, Figure]:
        """The region's figures under the names they are recorded by, the period in the name."""
        named = {}
        for row in self.here.sort("period_start", "id", nulls_last=True).iter_rows(named=True):
            if row["own"]:
                named[row["id"]] = row["figure"]
                continue
            note = f"{row['period']}; {row['publisher']}"
            if row["ambiguity"]:
                note += f"; unclear: {row['ambiguity']}"
            period = re.sub(r"\W+", "_", row["period"])
            name = f"{self.indicator}_{period}_{row['id']}".lower()
            named[name] = Figure(row["value"], row["unit"], sources=(PUBLISHED,), note=note)
        return named


def trend(indicator: str, region: str = COUNTRY, *, unclear: bool = True) -> Trend:
    """Every published figure on an indicator, and our own of the same.

    `region` is an ISO 3166-2 code; with `KZ` figures on places within the country are in the rows,
    but not among those drawn or compared. `unclear=False` leaves out figures whose period, article
    or meaning is unclear.

    Raises UnknownValueError for an unknown indicator or region, and KzresearchError where no figure
    is left.

    Source: the publications named in each row (`published_figures`), and Form 1-M.
    """
    if indicator not in INDICATORS:
        raise UnknownValueError(
            f"unknown indicator {indicator!r}; the table has: {', '.join(INDICATORS)}"
        )
    own = _own(indicator, region)
    every = datasets.load_published().filter(pl.col("indicator") == indicator)
    if region != COUNTRY:
        every = every.filter(pl.col("region") == region)
    doubtful = pl.col("flag").str.starts_with("unclear") | pl.col("article").str.ends_with(
        NOT_NAMED
    )
    kept = every if unclear else every.filter(~doubtful)
    lines = [_line(row) for row in kept.iter_rows(named=True)] + own
    if not lines:
        why = f": all {every.height} of them are unclear" if every.height else ""
        raise KzresearchError(
            f"no figure on {indicator.replace('_', ' ')} in {region_name(region)}{why}"
        )
    types: dict[str, Any] = {
        **every.schema,
        "year": pl.Int64,
        "own": pl.Boolean,
        "figure": pl.Object,
    }
    rows = pl.DataFrame(lines, schema_overrides=types)
    return Trend(indicator, region, rows, every.height - kept.height)


def disagreements(rows: pl.DataFrame) -> pl.DataFrame:
    """Pairs of figures that differ although indicator, place, article and period are the same.

    `rows` as a `Trend` has them. The unit must be the same, or both count proceedings (cases,
    offences, investigations, facts). Figures of one publication do not contradict each other, and a
    figure that counts a part of the cases contradicts no other.

    Returns one row per pair: `period`, and for each of the two `a`, `value_a`, `unit_a`, `source_a`
    (and so on), `reading` (null where none is known).
    """
    whole = rows.filter(
        pl.col("length") != UNKNOWN, pl.col("flag") != "partial", pl.col("region").is_not_null()
    )
    pairs = [
        {"period": one["period"], **_sided(one, "a"), **_sided(other, "b")}
        | {"reading": _reading(one, other)}
        for one, other in combinations(whole.sort("period_start", "own", "id").to_dicts(), 2)
        if _same(one) == _same(other)
        and one["value"] != other["value"]
        and one["address"] != other["address"]
    ]
    names = ("a", "unit_a", "source_a", "b", "unit_b", "source_b", "reading")
    schema = {"period": pl.String, "value_a": pl.Float64, "value_b": pl.Float64}
    return pl.DataFrame(pairs, schema=schema | dict.fromkeys(names, pl.String))


def _sided(row: Row, side: str) -> Row:
    parts = {f"{name}_{side}": row[name] for name in ("value", "unit", "source")}
    return {side: row["id"], **parts}


def change(earlier: Row, later: Row) -> float:
    """Relative change from one figure to a later one, as a share of the earlier.

    Both are rows of a `Trend` (as dictionaries).

    Raises MeasureError, in one sentence, unless source, indicator, place, article and unit are the
    same, both periods are known and whole, of the same days of their years, one after the other.
    """
    for name in ("indicator", "geography", "source", "article", "unit"):
        if earlier[name] != later[name]:
            _refuse(earlier, later, f"{name} {earlier[name]!r} is not {name} {later[name]!r}")
    for row in (earlier, later):
        if row["flag"] in NOT_COMPARED:
            _refuse(earlier, later, f"of {row['id']}, {FLAGS[row['flag']]}")
    if _days(earlier) != _days(later):
        _refuse(earlier, later, f"{earlier['period']} is not as long as {later['period']}")
    if later["period_start"] <= earlier["period_end"]:
        _refuse(earlier, later, f"{later['period']} does not come after {earlier['period']}")
    if not earlier["value"]:
        _refuse(earlier, later, "there is no rate of change from nought")
    return float(later["value"] / earlier["value"] - 1)


def _refuse(earlier: Row, later: Row, why: str) -> None:
    raise MeasureError(
        f"{number(earlier['value'])} ({earlier['period']}) and {number(later['value'])} "
        f"({later['period']}) must not be compared: {why}"
    )


def _days(row: Row) -> tuple[int, ...]:
    """First day and the day after the last, without their years, and the years between."""
    start, after = row["period_start"], row["period_end"] + timedelta(days=1)
    return start.month, start.day, after.month, after.day, after.year - start.year


def _own(indicator: str, region: str) -> list[Row]:
    """Our own figures of every whole year that the workbooks cover."""
    held = datasets.coverage().filter(
        pl.col("source") == FORM_1M, pl.col("period").str.ends_with("-12")
    )
    datasets.check_reported(max(held["period"].to_list()), region, "146")  # a known region
    if region != COUNTRY:
        held = held.filter(pl.col("region") == region)
    rows = []
    for period in held["period"].unique().sort():
        year = int(period[:4])
        for name, (label, figure) in _own_figures(period, region).items():
            if name in OWN.get(indicator, ()):
                row = {
                    "id": f"{name}_{year}",
                    "title": None,
                    "date_published": None,
                    "period_start": date(year, 1, 1),
                    "period_end": date(year, 12, 31),
                    "geography": region,
                    "region": region,
                    "article": "146",
                    "indicator": indicator,
                    "value": figure.value,
                    "unit": f"offences, {label}",
                    "publisher": f"{OURS} ({origin(figure.cells)})",
                    "address": sources.source(FORM_1M)["address"],
                    "ambiguity": OURS_UNCLEAR,
                    "flag": "clear",
                }
                rows.append(_line(row) | {"source": OURS, "own": True, "figure": figure})
    return rows


def _own_figures(period: str, region: str) -> dict[str, tuple[str, Figure]]:
    bases, steps = flows.flow_figures(period, region)
    labels = {step.name: step.label for step in flows.ALL} | {"completed": "completed"}
    return bases | {name: (labels[name], one) for name, one in steps.items()}


def _line(row: Row) -> Row:
    """A row with what is told from it alone."""
    period, length = period_in_words(row["period_start"], row["period_end"])
    return row | {
        "source": _source(row["publisher"]),
        "counted": _counted(row),
        "topic": _topic(row["article"]),
        "period": period,
        "length": length,
        "year": row["period_start"].year if length == YEAR else None,
        "own": False,
        "figure": None,
    }


def _source(publisher: str) -> str:
    """The publisher's short name: whom it cites, and where it was read, left out."""
    for mark in (" (", " / ", ", ", " citing ", " via "):
        publisher = publisher.partition(mark)[0]
    return NAMES.get(publisher, publisher)


def _counted(row: Row) -> str:
    """What one is; a unit without a noun that is known, or of no one indicator, is itself."""
    unit = str(row["unit"])
    found = {what: re.search(rf"\b({nouns})\b", unit) for what, nouns in NOUNS.items()}
    first = min(found, key=lambda what: m.start() if (m := found[what]) else len(unit))
    if row["indicator"] == "other" or not found[first]:
        return unit
    if first == "complaints":
        return next(words for pattern, words in BODIES.items() if re.search(pattern, unit))
    return first


def _topic(article: str) -> str:
    """What a figure counts if not torture: `, chapter 3`."""
    if article.startswith(("146", "torture")):
        return ""
    return ", all articles" if article == "all" else f", {article.removesuffix(f', {NOT_NAMED}')}"


def period_in_words(start: date | None, end: date | None) -> tuple[str, str]:
    """A period as a reader is told it, and how long it is beside a calendar year.

    >>> period_in_words(date(2021, 1, 1), date(2021, 2, 28))
    ('January–February 2021', 'part of a year')
    """
    if start is None or end is None:
        known = [f"{word} {_day(day)}" for word, day in (("from", start), ("to", end)) if day]
        return f"{known[0]}, otherwise not known" if known else "not known", UNKNOWN
    months = start.day == 1 and (end + timedelta(days=1)).day == 1
    if months and (start.month, end.month) == (1, 12):
        if start.year == end.year:
            return str(start.year), YEAR
        return f"{start.year}–{end.year}", LONGER
    one, two = (_month(start), _month(end)) if months else (_day(start), _day(end))
    for same in (f" {end.year}", f" {calendar.month_name[end.month]}"):
        if not one.endswith(same):
            break
        one = one.removesuffix(same)
    words = two if start == end or one == calendar.month_name[end.month] else f"{one}–{two}"
    return words, PART if start.year == end.year else LONGER


def _day(day: date) -> str:
    return f"{day.day} {_month(day)}"


def _month(day: date) -> str:
    return f"{calendar.month_name[day.month]} {day.year}"


def _steady() -> pl.Expr:
    """Figures of others that a change over calendar years may be computed from."""
    whole = pl.col("year").is_not_null() & ~pl.col("flag").is_in(NOT_COMPARED)
    return whole & ~pl.col("own")


def _kind(row: Row) -> tuple[str, str]:
    """What is counted, kinds of proceedings taken together, and of what."""
    return "proceedings" if row["counted"] in PROCEEDINGS else row["counted"], row["topic"]


def _same(row: Row) -> tuple[Any, ...]:
    """What two figures must share to contradict each other."""
    shared = ("indicator", "region", "period_start", "period_end")
    return *(row[name] for name in shared), *_kind(row)


def _reading(one: Row, other: Row) -> str | None:
    text = READINGS.get((one["id"], other["id"]))
    if text is None:
        return None
    ours = {name: figure for name, (_, figure) in _own_figures("2022-12", COUNTRY).items()}
    gross, net = ours["gross_caseload"].value, ours["registered"].value
    assert gross  # the workbooks have both
    assert net
    return text.format(
        a=number(one["value"]),
        b=number(other["value"]),
        times=f"{one['value'] / other['value']:.0f}",
        own_times=f"{gross / net:.0f}",
        **{name: figure.text for name, figure in ours.items()},
    )


def _article(row: Row) -> str:
    article = str(row["article"])
    if article == "all":
        return "all articles"
    return f"article {article}" if article[0].isdigit() else article


def _label(row: Row) -> str:
    """What stands at a figure: its number, and what it is where no axis says it."""
    if row["own"]:
        return f"{number(row['value'])} {row['unit'].removeprefix('offences, ')}"
    if row["year"]:
        return number(row["value"])
    topic_and_source = f"{row['topic']}, {row['source']}"
    # A long unit is cut; the table has it whole.
    unit = shorten(row["unit"], max(16, 74 - len(topic_and_source)), placeholder=" …")
    return f"{number(row['value'])} {unit}{topic_and_source}"


def _listed(own: pl.DataFrame) -> str:
    lines = own.select("year", "value", "unit").iter_rows()
    return "; ".join(f"{number(value)} {unit}, {year}" for year, value, unit in lines)


def _signed(share: float) -> str:
    return f"a {'rise' if share > 0 else 'fall'} of {percent(abs(share))}" if share else "no change"


def _plural(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
