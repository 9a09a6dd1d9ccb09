"""Figures that others published, side by side: what is comparable, where they disagree, and why.

Every figure keeps its own unit, period, source and doubt. Figures of our own, from the workbooks
of whole years, stand among them as a source of their own, named net or gross.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property
from itertools import combinations
from textwrap import shorten
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl

from kzresearch import captions, datasets, flows, sources, tables
from kzresearch.errors import KzresearchError, UnknownValueError
from kzresearch.figures import Figure, number, origin, percent
from kzresearch.form_1m.reader import SOURCE as FORM_1M
from kzresearch.rates import MeasureError
from kzresearch.regions import COUNTRY, change_of_bounds, load_regions, region_name
from kzresearch.schemas import FLAGS, INDICATORS, NOT_NAMED

if TYPE_CHECKING:
    from IPython.display import Markdown

Row = dict[str, Any]

PUBLISHED = "published_figures"
OURS = "this project, from Form 1-M"
YEAR, PART, LONGER = "a calendar year", "part of a year", "days of more than one year"
UNKNOWN = "a period that is not known"
NOT_COMPARED = ("unclear_period", "partial")
"""Flags of figures that no change is computed from."""

PROCEEDINGS = ["cases", "offences", "investigations", "facts"]
"""Kinds of unit that differ, of which figures may still contradict each other."""

# Pairs of ids → the reading that explains why they differ; numbers are filled in.
READINGS = {
    **dict.fromkeys(
        [("P0002", "P0038"), ("P0002", "P0151")],
        "{a} may be gross and {b} net of terminations on rehabilitating grounds. One is about "
        "{times} times the other; in our workbooks of 2022 the gross caseload ({gross_caseload}) "
        "is about {own_times} times the net registered figure ({registered}).",
    ),
    ("P0004", "gross_caseload_2022"): "{a} may be the gross caseload, with terminations on "
    "rehabilitating grounds and cases carried over; the rest would lie with bodies missing from "
    "our workbooks.",
    ("P0004", "gross_registered_2022"): "{a} may hold cases carried over from earlier years, "
    "{gross_carried_over} in our workbooks.",
    ("P0004", "registered_2022"): "{a} may be gross, while {b} is net: it leaves out what was "
    "terminated on rehabilitating grounds, {terminated_rehabilitating} offences of the caseload.",
}
A_READING = "A reading, not a fact: {} Premise: both come from the same register."
NO_READING = "No reading that explains it is known."

BREAKS = {
    "a": (date(2022, 3, 16), "nepfund.org"),
    "b": (date(2023, 3, 17), "zakonpravo.kz, article 146"),
}
ACTS = {
    "a": "the President instructed that the Prosecutor General's Office investigate torture; since "
    "when prosecutors alone do so is not verified",
    "b": "the day of the law by which article 146 covers ill-treatment short of torture too; since "
    "when it does is not verified",
}
"""Dated acts on law or jurisdiction, as far as they were read: letter → what; day and where."""


class Pair(NamedTuple):
    """Two rows that disagree; a reading of why, if one is known; whether one is but rounded."""

    one: Row
    other: Row
    reading: str | None
    rounded: bool


@dataclass(frozen=True)
class Trend:
    """The figures on one indicator; made by `trend`.

    `rows` has the columns of `schemas.Published` and more: `topic` (of what; empty for torture),
    `period` (in words), `length` (beside a calendar year), `year` (null unless the period is one),
    `shown` (the figure as a reader is shown it), `own`, `steady` (a change may be computed from it,
    unless it is `contradicted`: by which figures). `pairs` are the `disagreements` of all figures,
    those left out too.
    """

    indicator: str
    region: str
    rows: pl.DataFrame
    left_out: int
    pairs: list[Pair]

    @cached_property
    def here(self) -> pl.DataFrame:
        """Figures of the region itself, without those of places within it."""
        return self.rows.filter(pl.col("region") == self.region)

    @property
    def title(self) -> str:
        """`Figures on torture cases: registered, Kazakhstan`."""
        others = ", with others for comparison" if (self.rows["topic"] != "").any() else ""
        return f"Figures on torture cases{others}: {self._about}"

    @property
    def _about(self) -> str:
        return f"{self.indicator.replace('_', ' ')}, {region_name(self.region)}"

    @property
    def source_line(self) -> str:
        """Where the figures come from, for below a chart or a table."""
        line = f"Source: {sources.source(PUBLISHED)['attribution']}"
        if self.rows["own"].any():
            line += (
                f"; our own: {sources.source(FORM_1M)['attribution']}, without military, transport "
                "and central bodies"
            )
        return line

    @property
    def sources(self) -> list[str]:
        """Ids of the sources, for `kz.references`."""
        return [PUBLISHED, *([FORM_1M] if self.rows["own"].any() else [])]

    def summary(self) -> Markdown:
        """How many figures there are, whose, on what, and how many of them are unclear."""
        theirs, own = self.rows.filter(~pl.col("own")), self.rows.filter("own")
        others = theirs.filter(pl.col("topic") != "")
        what = f"on *{self.indicator.replace('_', ' ')}* in {region_name(self.region)}"
        by = f"by {_plural(theirs['source'].n_unique(), 'source')}"
        topics = ", ".join(others["topic"].unique().sort().str.strip_prefix(", "))
        ours = ", ".join(
            f"{unit.removeprefix('offences, ')} {shown} ({period})"
            for unit, shown, period in own.select("unit", "shown", "period").iter_rows()
        )
        parts = {
            f"**{_plural(theirs.height, 'published figure')}** {what} {by}": theirs.height,
            f"No published figure {what}": not theirs.height,
            f"{theirs.height - others.height} on torture, {others.height} for comparison "
            f"({topics})": others.height,
            "{} with something unclear": theirs.filter(pl.col("flag") != "clear").height,
            "{} on a place within the country, not drawn": self.rows.height - self.here.height,
            f"{_plural(own.height, 'figure')} of our own, in offences: {ours}": own.height,
            "{} left out by choice, period, article or meaning being unclear": self.left_out,
        }
        said = "; ".join(words.format(count) for words, count in parts.items() if count)
        minded = [f"\n\n**Mind:** {note}." for note in own["ambiguity"].drop_nulls().unique()]
        return captions.markdown(f"{said}." + "".join(minded))

    def drawn(self) -> pl.DataFrame:
        """What `charts.timeline` draws: the region's figures whose period is known."""
        line = ["source", "unit", "article"]
        run = pl.col("year") - pl.col("year").rank("dense").over([*line, "steady"])
        known = self.here.filter(pl.col("length") != UNKNOWN)
        return known.select(
            *("period", "period_start", "period_end", "year", "value", "shown", "source", "unit"),
            *("own", "id", "topic"),
            *(
                pl.Series(name, [words(row) for row in known.iter_rows(named=True)], pl.String)
                for name, words in (("label", _label), ("told", _told))
            ),
            panel=pl.col("counted") + pl.col("topic"),
            clear=pl.col("flag") == "clear",
            series=pl.when(pl.col("steady") & (pl.len().over([*line, "steady", run]) > 2)).then(
                pl.concat_str([*line, run], separator="|")
            ),
        )

    @property
    def marked(self) -> dict[str, date]:
        """Those of `BREAKS` within the years drawn, by letter, for `charts.timeline`."""
        days = self.drawn().select("period_start", "period_end").rows()
        years = [day.year for period in days for day in period]
        within = range(min(years), max(years) + 1) if years else ()
        return {letter: day for letter, (day, _) in BREAKS.items() if day.year in within}

    def breaks(self) -> Markdown:
        """The dated acts that the chart marks, each with where it was read."""
        lines = [
            f"- **{letter}**, {_day(day)}: {ACTS[letter]} (read at {BREAKS[letter][1]})."
            for letter, day in self.marked.items()
        ]
        return captions.markdown("\n".join(lines) or "*None lies within the years drawn.*")

    def comparability(self) -> Markdown:
        """Which figures cover no calendar year, and so must not be set beside those that do."""
        lines = [
            f"\n- {length}{drawn}: {', '.join(f'{i} ({p})' for i, p in found.iter_rows())}."
            for length, drawn in ((PART, ""), (LONGER, ""), (UNKNOWN, ", not in the chart"))
            for found in [
                self.here.filter(length=length).sort("period_start", "id").select("id", "period")
            ]
            if found.height
        ]
        intro = "Not to be set beside the figures of calendar years, for they cover:\n"
        if self.here.is_empty():
            return captions.markdown("*There is no figure to compare.*")
        return captions.markdown(
            intro + "".join(lines) if lines else "Every figure covers a calendar year."
        )

    def changes(self) -> Markdown:
        """Change over time within one source, unit and article, over whole calendar years."""
        whole = self.here.filter("steady").sort(pl.col("topic") != "", "year", "id")
        groups = whole.group_by("source", "unit", "article", maintain_order=True)
        said = [
            self._change(group.to_dicts())
            for _, group in groups
            if group.height > 2 and group["year"].is_unique().all()
        ]
        return captions.markdown(
            "\n\n".join(said)
            or "*No source has three calendar years in one unit, so no change is computed.*"
        )

    def _change(self, series: list[Row]) -> str:
        """One source's figures of one unit, the change from the first to the last, and its limits."""
        first, *between, last = series
        values = ", ".join(f"{row['shown']} ({row['year']})" for row in series)
        said = f"**{first['source']}**, in {first['unit']} ({_article(first)}): {values}"
        obstacles = _obstacles(first, last)
        if obstacles:
            said += f". No change is computed: {'; '.join(obstacles)}."
        else:
            share = change(first, last)
            word = "rise" if share > 0 else "fall" if share else "change"
            years = f"from {first['year']} to {last['year']}"
            said += f"; {years} that is a {word} of {percent(abs(share))}."
        said += "".join(f" Of those between, {one}." for row in between for one in _doubted(row))
        ids = {row["id"] for row in series}
        near = [p.reading for p in self.pairs if p.rounded and ids & {p.one["id"], p.other["id"]}]
        said += "".join(f" {reading}" for reading in near)
        doubts = [part for row in series for part in (row["ambiguity"] or "").split("; ") if part]
        if doubts:
            said += f" Unclear about one or several of them: {'; '.join(dict.fromkeys(doubts))}."
        acts = [
            f"**{letter}** ({_day(day)})"
            for letter, (day, _) in BREAKS.items()
            if first["period_end"] < day <= last["period_end"] and not first["topic"]
        ]
        if acts:
            said += f" Between them lie {' and '.join(acts)}."
        later = (pl.col("source") == first["source"]) & (pl.col("year") > last["year"])
        for row in self.here.filter(later).sort("year", "id").iter_rows(named=True):
            if _kind(row) == _kind(first) and not obstacles:
                why = "; ".join(_obstacles(last, row))
                said += f" Not continued to {row['shown']} ({row['year']}): {why}."
        return said

    def disagreement_table(self) -> tables.Table | Markdown:
        """Where figures differ: both, and the reading, if there is one; by period and reading."""
        ids = set(self.rows["id"])
        found = [pair for pair in self.pairs if {pair.one["id"], pair.other["id"]} <= ids]
        groups: dict[tuple[str, str, str], list[str]] = {}
        for one, other, reading, _ in found:
            key = one["period"], _named(one), reading or NO_READING
            groups.setdefault(key, []).append(_named(other))
        more = len(self.pairs) - len(found)
        omitted = f"{_plural(more, 'pair')} left out with the unclear figures"
        if not groups:
            said = "No two of the figures shown differ for the same period"
            return captions.markdown(f"*{said}{f'; {omitted}' if more else ''}.*")
        shown = [
            {"period": period, "one": one, "other": "\n".join(others), "reading": reading}
            for (period, one, reading), others in groups.items()
        ]
        columns = {"Period": 12, "One figure": 24, "The other": 29, "Reading": 35}
        title = f"Where sources disagree: {self._about}" + (f" ({omitted})" if more else "")
        return self._table(shown, title, columns)

    def table(self) -> tables.Table | Markdown:
        """Every figure, by period, with its unit, publisher, doubt and address."""
        if self.rows.is_empty():
            return captions.markdown("*There is none.*")
        ordered = self.rows.sort("period_start", "period_end", "id", nulls_last=True)
        shown = [
            {
                "id": "ours" if row["own"] else row["id"],
                "period": row["period"]
                + (f" ({row['length']})" if row["length"] in {PART, LONGER} else ""),
                "figure": row["shown"],
                "what": f"{row['unit']}; {_article(row)}"
                + (f"; {row['geography']}" if row["region"] != COUNTRY else ""),
                "published": ", ".join(filter(None, [row["publisher"], row["date_published"]])),
                "address": row["address"],
                "ambiguity": row["ambiguity"] or "nothing",
            }
            for row in ordered.iter_rows(named=True)
        ]
        widths = (7, 15, 10, 17, 16, 17, 18)
        names = ("Id", "Period", "Figure", "Of what", "Published by", "Address", "What is unclear")
        columns = dict(zip(names, widths, strict=True))
        return self._table(shown, f"Every figure: {self._about}", columns)

    def _table(self, shown: list[Row], title: str, columns: dict[str, int]) -> tables.Table:
        """A table of long texts, as wide as it must be: heading → width of a column in percent."""
        frame = pl.DataFrame(shown)
        headings = dict(zip(frame.columns, columns, strict=True))
        numbers = [name for name in headings if name == "figure"]
        broken = [name for name in headings if name in {"published", "address"}]
        widths = dict(zip(frame.columns, columns.values(), strict=True))
        return tables.Table(
            frame, title, self.source_line, headings, numbers, widths=widths, broken=broken
        )

    def figures(self) -> dict[str, Figure]:
        """The region's figures under the names they are recorded by, the period in the name."""
        named = {}
        for row in self.here.sort("period_start", "id", nulls_last=True).iter_rows(named=True):
            doubt, name = row["ambiguity"], row["id"]
            if row["own"]:
                measure, _, year = name.rpartition("_")
                _, one = flows.labelled_figures(f"{year}-12", self.region)[measure]
                named[name] = replace(one, note=doubt or one.note)
            else:
                period = re.sub(r"\W+", "_", row["period"])
                note = f"{row['period']}; {row['publisher']}" + (
                    f"; unclear: {doubt}" if doubt else ""
                )
                one = Figure(row["value"], row["unit"], (), (PUBLISHED,), None, note)
                shown = row["shown"] if row["bound"] else None
                named[f"{self.indicator}_{period}_{name}".lower()] = replace(one, shown=shown)
        return named


def trend(indicator: str, region: str = COUNTRY, *, unclear: bool = True) -> Trend:
    """Every published figure on an indicator, and our own of the same.

    `region` is an ISO 3166-2 code; with `KZ` figures on places within the country are in the rows,
    but not among those drawn or compared. `unclear=False` leaves out figures whose period, article
    or meaning is unclear.

    Where nobody published a figure and we have none, there are no rows.

    Raises UnknownValueError for an unknown indicator or region, and KzresearchError where every
    figure is left out as unclear.

    Source: the publications named in each row (`published_figures`), and Form 1-M.
    """
    if indicator not in INDICATORS:
        raise UnknownValueError(
            f"unknown indicator {indicator!r}; the table has: {', '.join(INDICATORS)}"
        )
    datasets.check_region(region)
    own = list(_own(indicator, region))
    table = datasets.load_published()
    every = table.filter(indicator=indicator, **({} if region == COUNTRY else {"region": region}))
    lines = [_line(row) for row in [*every.iter_rows(named=True), *own]]
    pairs = disagreements(lines)
    for one, other, _, rounded in pairs:
        if not rounded:
            one["contradicted"].append(_named(other))
            other["contradicted"].append(_named(one))
    kept = [row for row in lines if unclear or row["own"] or not _doubtful(row)]
    if lines and not kept:
        raise KzresearchError(
            f"no figure on {indicator.replace('_', ' ')} in {region_name(region)}: all "
            f"{every.height} of them are unclear"
        )
    words = dict.fromkeys(("topic", "period", "length", "shown"), pl.String)
    more: dict[str, Any] = {"year": pl.Int64, "contradicted": pl.List(pl.String)}
    more |= dict.fromkeys(("own", "steady"), pl.Boolean)
    rows = pl.DataFrame(kept, schema={**table.schema, **words, **more})
    return Trend(indicator, region, rows, len(lines) - len(kept), pairs)


def disagreements(rows: list[Row]) -> list[Pair]:
    """Pairs of figures that differ although indicator, place, article and period are the same.

    `rows` as a `Trend` has them. The unit must be the same, or both count proceedings (cases,
    offences, investigations, facts). Figures of one publication do not contradict each other, and a
    figure that counts a part of the cases contradicts no other.
    """
    whole = [r for r in rows if r["length"] != UNKNOWN and r["flag"] != "partial" and r["region"]]
    whole.sort(key=lambda row: (row["period_start"], row["own"], row["id"]))
    return [
        Pair(one, other, _reading(one, other), _rounded(one, other))
        for one, other in combinations(whole, 2)
        if _same(one) == _same(other)
        and one["value"] != other["value"]
        and one["address"] != other["address"]
    ]


def change(earlier: Row, later: Row) -> float:
    """Relative change from one figure to a later one, as a share of the earlier.

    Both are rows of a `Trend` (as dictionaries).

    Raises MeasureError, in one sentence, unless source, indicator, place, article and unit are the
    same, both cover a whole calendar year, one after the other, neither is a bound, and no other
    figure contradicts either.
    """
    for why in _obstacles(earlier, later):
        both = " and ".join(f"{row['shown']} ({row['period']})" for row in (earlier, later))
        raise MeasureError(f"{both} must not be compared: {why}")
    return float(later["value"] / earlier["value"] - 1)


def _obstacles(earlier: Row, later: Row) -> list[str]:
    """Why two figures must not be compared."""
    found = [
        f"{name} {earlier[name]!r} is not {name} {later[name]!r}"
        for name in ("indicator", "region", "source", "article", "unit")
        if earlier[name] != later[name]
    ]
    for row in (earlier, later):
        if row["flag"] in NOT_COMPARED:
            found += [f"of {row['id']}, {FLAGS[row['flag']]}"]
        if row["year"] is None:
            found += [f"{row['period']} is not a calendar year"]
        if row["bound"] not in {None, "≈"}:
            found += [f"{row['shown']} is a bound"]
        found += _doubted(row)
    if not found and later["year"] <= earlier["year"]:
        found += [f"{later['period']} does not come after {earlier['period']}"]
    if not earlier["value"]:
        found += ["there is no rate of change from nought"]
    return found


def _doubted(row: Row) -> list[str]:
    """By which figures one is contradicted, if by any."""
    by = ", and by ".join(row["contradicted"])
    return [f"{row['shown']} ({row['period']}) is contradicted by {by}"] if by else []


def _doubtful(row: Row) -> bool:
    """Whether period, article or meaning are unclear."""
    return row["flag"].startswith("unclear") or row["article"].endswith(NOT_NAMED)


def _own(indicator: str, region: str) -> Iterator[Row]:
    """Our own figures of whole years; of a new region's first from the day it begins."""
    held = datasets.coverage().filter(
        pl.col("source") == FORM_1M, pl.col("period").str.ends_with("-12")
    )
    if region != COUNTRY:
        held = held.filter(pl.col("region") == region)
    begun = load_regions(former=True).filter(region=region)["valid_from"].drop_nulls()
    for period in held["period"].unique().sort():
        year, note = int(period[:4]), change_of_bounds(region, period)
        for name, (label, figure) in flows.labelled_figures(period, region).items():
            if name in flows.PUBLISHED_AS.get(indicator, ()) and figure.value is not None:
                yield {
                    "id": f"{name}_{year}",
                    "period_start": max([date(year, 1, 1), *begun]),
                    "period_end": date(year, 12, 31),
                    "geography": region,
                    "region": region,
                    "article": "146",
                    "indicator": indicator,
                    "value": figure.value,
                    "unit": f"offences, {label}",
                    "counted": "offences",
                    "source": OURS,
                    "publisher": f"{OURS} ({origin(figure.cells)})",
                    "address": sources.source(FORM_1M)["address"],
                    "ambiguity": note,
                    "flag": "unclear_meaning" if note else "clear",
                }


def _line(row: Row) -> Row:
    """A row with what is told from it alone."""
    period, length = period_in_words(row["period_start"], row["period_end"])
    article, bound = row["article"], row.get("bound")
    topic = "all articles" if article == "all" else article.removesuffix(f", {NOT_NAMED}")
    own, whole = row["source"] == OURS, length == YEAR
    return row | {
        "topic": "" if article.startswith(("146", "torture")) else f", {topic}",
        "period": period,
        "length": length,
        "year": row["period_start"].year if whole else None,
        "shown": f"{bound} {number(row['value'])}" if bound else number(row["value"]),
        "bound": bound,
        "own": own,
        "steady": whole and not own and row["flag"] not in NOT_COMPARED,
        "contradicted": [],
    }


def period_in_words(start: date | None, end: date | None) -> tuple[str, str]:
    """A period as a reader is told it, and how long it is beside a calendar year.

    >>> period_in_words(date(2021, 1, 1), date(2021, 2, 28))
    ('January–February 2021', 'part of a year')
    """
    if start is None or end is None:
        known = [f"{word} {_day(day)}" for word, day in (("from", start), ("to", end)) if day]
        return f"{known[0]}, otherwise not known" if known else "not known", UNKNOWN
    length = PART if start.year == end.year else LONGER
    if length == PART and (start.day, start.month) == (1, 1) and (end + timedelta(1)).day == 1:
        if end.month == 12:
            return str(end.year), YEAR
        return captions.months(f"{end:%Y-%m}"), PART
    if start == end:
        return _day(end), PART
    return f"{_day(start).removesuffix(f' {end.year}')}–{_day(end)}", length


def _day(day: date) -> str:
    return f"{day.day} {day:%B %Y}"


def _kind(row: Row) -> tuple[str, str]:
    """What is counted, kinds of proceedings taken together, and of what."""
    return "proceedings" if row["counted"] in PROCEEDINGS else row["counted"], row["topic"]


def _same(row: Row) -> tuple[Any, ...]:
    """What two figures must share to contradict each other."""
    shared = ("indicator", "region", "period_start", "period_end")
    return *(row[name] for name in shared), *_kind(row)


def _rounded(one: Row, other: Row) -> bool:
    """Whether one figure is the other, rounded to hundreds."""
    return any(
        first["bound"] == "≈" and round(second["value"], -2) == first["value"]
        for first, second in ((one, other), (other, one))
    )


def _reading(one: Row, other: Row) -> str | None:
    if _rounded(one, other):
        rough, exact = sorted((one, other), key=lambda row: row["bound"] != "≈")
        return f"{rough['shown']} ({rough['id']}) is {exact['shown']} ({exact['id']}) rounded."
    text = READINGS.get((one["id"], other["id"]))
    if text is None:
        return None
    ours = {name: figure for name, (_, figure) in flows.labelled_figures("2022-12").items()}
    gross, net = ours["gross_caseload"].value, ours["registered"].value
    assert gross  # the workbooks have both
    assert net
    told = text.format(
        a=number(one["value"]),
        b=number(other["value"]),
        times=f"{one['value'] / other['value']:.0f}",
        own_times=f"{gross / net:.0f}",
        **{name: figure.text for name, figure in ours.items()},
    )
    return A_READING.format(told)


def _article(row: Row) -> str:
    article = str(row["article"])
    if article == "all":
        return "all articles"
    return f"article {article}" if article[0].isdigit() else article


def _told(row: Row) -> str:
    """A figure with its unit: `766 criminal cases`, `1 criminal offence`."""
    unit = re.sub(r"s\b", "", row["unit"], count=1) if row["value"] == 1 else row["unit"]
    return f"{row['shown']} {unit}"


def _named(row: Row) -> str:
    """A figure with its unit, source and id."""
    return f"{_told(row)}, {row['source']}" + ("" if row["own"] else f" ({row['id']})")


def _label(row: Row) -> str:
    """What stands at a figure: its number, and what it is where no axis says it."""
    if row["own"]:
        return f"{row['shown']} {row['unit'].removeprefix('offences, ')}"
    if row["year"]:
        return str(row["shown"]).removeprefix("≈ ")  # there is no room, and the mark is hollow
    topic_and_source = f"{row['topic']}, {row['source']}"
    # A long unit is cut; the table has it whole.
    return shorten(_told(row), 74 - len(topic_and_source), placeholder=" …") + topic_and_source


def _plural(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
