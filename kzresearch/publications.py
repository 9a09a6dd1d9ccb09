"""Figures that others published, side by side: what is comparable, where they disagree, and why.

Every figure keeps its own unit, period, source and doubt. Figures of our own, from the workbooks
of whole years, stand among them as a source of their own, named net or gross.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property, reduce
from itertools import combinations
from textwrap import wrap
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl

from kzresearch import captions, datasets, flows, sources, tables
from kzresearch.errors import KzresearchError, UnknownValueError
from kzresearch.figures import Figure, number, origin, percent
from kzresearch.form_1m.reader import SOURCE as FORM_1M
from kzresearch.language import day, in_order, later, localised, say, speaking
from kzresearch.rates import MeasureError
from kzresearch.regions import COUNTRY, change_of_bounds, load_regions, region_name
from kzresearch.schemas import FLAGS, INDICATORS, NOT_NAMED

if TYPE_CHECKING:
    from IPython.display import Markdown

Row = dict[str, Any]

PUBLISHED = "published_figures"
OURS = later("this project, from Form 1-M")
LINE = 74
"""Characters of a line at a figure in the chart."""
YEAR = "a calendar year"
PART, LONGER = later("part of a year"), later("days of more than one year")
UNKNOWN = "a period that is not known"
NOT_COMPARED = ("unclear_period", "partial")
"""Flags of figures that no change is computed from."""

PROCEEDINGS = ["cases", "offences", "investigations", "facts"]
"""Kinds of unit that differ, of which figures may still contradict each other."""

# Pairs of ids → the reading that explains why they differ; numbers are filled in.
READINGS = {
    **dict.fromkeys(
        [("P0002", "P0038"), ("P0002", "P0151")],
        later(
            "{a} may be gross and {b} net of terminations on rehabilitating grounds. One is about "
            "{times} times the other; in our workbooks of 2022 the gross caseload ({gross_caseload}) "
            "is about {own_times} times the net registered figure ({registered})."
        ),
    ),
    ("P0004", "gross_caseload_2022"): later(
        "{a} may be the gross caseload, with terminations on rehabilitating grounds and cases "
        "carried over; the rest would lie with bodies missing from our workbooks."
    ),
    ("P0004", "gross_registered_2022"): later(
        "{a} may hold cases carried over from earlier years, {gross_carried_over} in our workbooks."
    ),
    ("P0004", "registered_2022"): later(
        "{a} may be gross, while {b} is net: it leaves out what was terminated on rehabilitating "
        "grounds, {terminated_rehabilitating} offences of the caseload."
    ),
}

BREAKS = {
    "a": (date(2022, 3, 16), "nepfund.org"),
    "b": (date(2023, 3, 17), later("zakonpravo.kz, article 146")),
}
ACTS = {
    "a": later(
        "the President instructed that the Prosecutor General's Office investigate torture; since "
        "when prosecutors alone do so is not verified"
    ),
    "b": later(
        "the day of the law by which article 146 covers ill-treatment short of torture too; since "
        "when it does is not verified"
    ),
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
    unless it is `contradicted`: by which figures), `label` (what one of our own is). `pairs` are
    the `disagreements` of all figures, those left out too.
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
        title = (
            later("Figures on torture cases, with others for comparison: {about}")
            if (self.rows["topic"] != "").any()
            else later("Figures on torture cases: {about}")
        )
        return say(title, about=self._about)

    @property
    def _about(self) -> str:
        return f"{_indicator(self.indicator)}, {region_name(self.region)}"

    @property
    def source_line(self) -> str:
        """Where the figures come from, for below a chart or a table."""
        theirs, ours = (say(sources.source(one)["attribution"]) for one in (PUBLISHED, FORM_1M))
        if not self.rows["own"].any():
            return say("Source: {source}", source=theirs)
        return say(
            "Source: {source}; our own: {ours}, without military, transport and central bodies",
            source=theirs,
            ours=ours,
        )

    @property
    def sources(self) -> list[str]:
        """Ids of the sources, for `kz.references`."""
        return [PUBLISHED, *([FORM_1M] if self.rows["own"].any() else [])]

    def summary(self) -> Markdown:
        """How many figures there are, whose, on what, and how many of them are unclear."""
        theirs, own = self.rows.filter(~pl.col("own")), self.rows.filter("own")
        others = theirs.filter(pl.col("topic") != "")
        what = {"indicator": _indicator(self.indicator), "region": region_name(self.region)}
        unclear = theirs.filter(pl.col("flag") != "clear").height
        within = self.rows.height - self.here.height
        topics = in_order(say(topic.removeprefix(", ")) for topic in others["topic"].unique())
        ours = ", ".join(
            say("{label} {shown} ({period})", **row)
            for row in own.select("label", "shown", "period").iter_rows(named=True)
        )
        parts = {
            say(
                "**{n} published {n:figure|figures}** on *{indicator}* in {region} by {m} "
                "{m:source|sources}",
                n=theirs.height,
                m=theirs["source"].n_unique(),
                **what,
            ): theirs.height,
            say("No published figure on *{indicator}* in {region}", **what): not theirs.height,
            say(
                "{n} on torture, {others} for comparison ({topics})",
                n=theirs.height - others.height,
                others=others.height,
                topics=", ".join(topics),
            ): others.height,
            say("{n} with something unclear", n=unclear): unclear,
            say("{n} on a place within the country, not drawn", n=within): within,
            say(
                "{n} {n:figure|figures} of our own, in offences: {ours}", n=own.height, ours=ours
            ): own.height,
            say(
                "{n} left out by choice, period, article or meaning being unclear", n=self.left_out
            ): self.left_out,
        }
        said = "; ".join(words for words, count in parts.items() if count)
        notes = own["ambiguity"].drop_nulls().unique()
        minded = ["\n\n" + say("**Mind:** {note}.", note=note) for note in notes]
        return captions.markdown(f"{said}." + "".join(minded))

    def drawn(self) -> pl.DataFrame:
        """What `charts.timeline` draws: the region's figures whose period is known."""
        line = ["source", "unit", "article"]
        run = pl.col("year") - pl.col("year").rank("dense").over([*line, "steady"])
        known = self.here.filter(pl.col("length") != UNKNOWN)
        said = {
            "source": _source,
            "unit": _unit,
            "label": _label,
            "told": _told,
            "panel": lambda row: say(row["counted"]) + _topic(row),
        }
        return known.select(
            *("period", "period_start", "period_end", "year", "value", "shown"),
            *("own", "id"),
            *(
                pl.Series(name, [words(row) for row in known.iter_rows(named=True)], pl.String)
                for name, words in said.items()
            ),
            on_torture=pl.col("topic") == "",
            clear=pl.col("flag") == "clear",
            series=pl.when(pl.col("steady") & (pl.len().over([*line, "steady", run]) > 2)).then(
                pl.concat_str([*line, run], separator="|").rank("dense")
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
            say(
                "- **{letter}**, {day}: {act} (read at {place}).",
                letter=letter,
                day=day(when),
                act=say(ACTS[letter]),
                place=say(BREAKS[letter][1]),
            )
            for letter, when in self.marked.items()
        ]
        return captions.markdown("\n".join(lines) or say("*None lies within the years drawn.*"))

    def comparability(self) -> Markdown:
        """Which figures cover no calendar year, and so must not be set beside those that do."""
        lengths = (PART, LONGER, UNKNOWN)
        unknown = later("a period that is not known, not in the chart")
        lines = [
            f"\n- {say(words)}: {', '.join(f'{i} ({p})' for i, p in found.iter_rows())}."
            for length, words in zip(lengths, (PART, LONGER, unknown), strict=True)
            for found in [
                self.here.filter(length=length).sort("period_start", "id").select("id", "period")
            ]
            if found.height
        ]
        if self.here.is_empty():
            return captions.markdown(say("*There is no figure to compare.*"))
        intro = say("Not to be set beside the figures of calendar years, for they cover:")
        return captions.markdown(
            f"{intro}\n{''.join(lines)}" if lines else say("Every figure covers a calendar year.")
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
            or say("*No source has three calendar years in one unit, so no change is computed.*")
        )

    def _change(self, series: list[Row]) -> str:
        """One source's figures of one unit, the change from the first to the last, and its limits."""
        first, *between, last = series
        obstacles = _obstacles(first, last)
        share = 0 if obstacles else change(first, last)
        what_changed = (
            (later("{series}; from {first} to {last} that is a rise of {share}."), share > 0),
            (later("{series}; from {first} to {last} that is a fall of {share}."), share < 0),
            (later("{series}. No change is computed: {why}."), obstacles),
            (later("{series}; from {first} to {last} that is a change of {share}."), True),
        )
        text = next(words for words, holds in what_changed if holds)
        said = [
            say(
                text,
                series=say(
                    "**{source}**, in {unit} ({article}): {values}",
                    source=_source(first),
                    unit=_unit(first),
                    article=_article(first),
                    values=", ".join(f"{row['shown']} ({row['year']})" for row in series),
                ),
                first=str(first["year"]),
                last=str(last["year"]),
                share=percent(abs(share)),
                why="; ".join(obstacles),
            )
        ]
        doubted = [one for row in between for one in _doubted(row)]
        said += [say("Of those between, {one}.", one=one) for one in doubted]
        ids = {row["id"] for row in series}
        near = [p.reading for p in self.pairs if p.rounded and ids & {p.one["id"], p.other["id"]}]
        said += [reading for reading in near if reading]
        doubts = dict.fromkeys(part for row in series for part in _doubts(row))
        if doubts:
            listed = "; ".join(doubts)
            said += [say("Unclear about one or several of them: {doubts}.", doubts=listed)]
        acts = [
            f"**{letter}** ({day(when)})"
            for letter, (when, _) in BREAKS.items()
            if first["period_end"] < when <= last["period_end"] and not first["topic"]
        ]
        if acts:
            both = reduce(lambda one, other: say("{one} and {other}", one=one, other=other), acts)
            said += [say("Between them lie {acts}.", acts=both)]
        after = (pl.col("source") == first["source"]) & (pl.col("year") > last["year"])
        for row in self.here.filter(after).sort("year", "id").iter_rows(named=True):
            if _kind(row) == _kind(first) and not obstacles:
                said += [
                    say(
                        "Not continued to {shown} ({year}): {why}.",
                        shown=row["shown"],
                        year=str(row["year"]),
                        why="; ".join(_obstacles(last, row)),
                    )
                ]
        return " ".join(said)

    def disagreement_table(self) -> tables.Table | Markdown:
        """Where figures differ: both, and the reading, if there is one; by period and reading."""
        ids = set(self.rows["id"])
        found = [pair for pair in self.pairs if {pair.one["id"], pair.other["id"]} <= ids]
        groups: dict[tuple[str, str, str], list[str]] = {}
        for one, other, reading, _ in found:
            key = (
                one["period"],
                _named(one),
                reading or say("No reading that explains it is known."),
            )
            groups.setdefault(key, []).append(_named(other))
        more = len(self.pairs) - len(found)
        if not groups:
            none = (
                later(
                    "*No two of the figures shown differ for the same period; {n} {n:pair|pairs} left "
                    "out with the unclear figures.*"
                )
                if more
                else later("*No two of the figures shown differ for the same period.*")
            )
            return captions.markdown(say(none, n=more))
        shown = [
            {"period": period, "one": one, "other": "\n".join(others), "reading": reading}
            for (period, one, reading), others in groups.items()
        ]
        headings = [say("Period"), say("One figure"), say("The other"), say("Reading")]
        title = (
            later(
                "Where sources disagree: {about} ({n} {n:pair|pairs} left out with the unclear figures)"
            )
            if more
            else later("Where sources disagree: {about}")
        )
        return self._table(shown, say(title, about=self._about, n=more), headings, (12, 24, 29, 35))

    def table(self) -> tables.Table | Markdown:
        """Every figure, by period, with its unit, publisher, doubt and address."""
        if self.rows.is_empty():
            return captions.markdown(say("*There is none.*"))
        ordered = self.rows.sort("period_start", "period_end", "id", nulls_last=True)
        shown = [
            {
                "id": say("ours") if row["own"] else row["id"],
                "period": row["period"]
                + (f" ({say(row['length'])})" if row["length"] in {PART, LONGER} else ""),
                "figure": row["shown"],
                "what": "; ".join(
                    [
                        _unit(row),
                        _article(row),
                        *([say(row["geography"])] if row["region"] != COUNTRY else []),
                    ]
                ),
                "published": ", ".join(
                    say(row[name]) for name in ("publisher", "date_published") if row[name]
                ),
                "address": row["address"],
                "ambiguity": "; ".join(_doubts(row)) or say("nothing"),
            }
            for row in ordered.iter_rows(named=True)
        ]
        headings = [
            *(say("Id"), say("Period"), say("Figure"), say("Of what"), say("Published by")),
            *(say("Address"), say("What is unclear")),
        ]
        title = say("Every figure: {about}", about=self._about)
        return self._table(shown, title, headings, (7, 15, 10, 17, 16, 17, 18))

    def _table(
        self, shown: list[Row], title: str, headings: list[str], widths: tuple[int, ...]
    ) -> tables.Table:
        """A table of long texts, as wide as it must be: headings, and widths in percent."""
        frame = pl.DataFrame(shown)
        names = frame.columns
        return tables.Table(
            frame,
            title,
            self.source_line,
            dict(zip(names, headings, strict=True)),
            numbers=[name for name in names if name == "figure"],
            widths=dict(zip(names, widths, strict=True)),
            broken=[name for name in names if name in {"published", "address"}],
        )

    def figures(self) -> dict[str, Figure]:
        """The region's figures under the names they are recorded by, the period in the name."""
        named = {}
        for row in self.here.sort("period_start", "id", nulls_last=True).iter_rows(named=True):
            doubt, name = "; ".join(_doubts(row)), row["id"]
            if row["own"]:
                measure, _, year = name.rpartition("_")
                _, one = flows.labelled_figures(f"{year}-12", self.region)[measure]
                named[name] = replace(one, note=doubt or one.note)
            else:
                with speaking("en"):  # names are the same in each language
                    period, _ = period_in_words(row["period_start"], row["period_end"])
                period = re.sub(r"\W+", "_", period)
                note = (
                    later("{period}; {publisher}; unclear: {doubt}")
                    if doubt
                    else later("{period}; {publisher}")
                )
                note = say(note, period=row["period"], publisher=say(row["publisher"]), doubt=doubt)
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
        with speaking("en"):
            where = region_name(region)
        raise KzresearchError(
            f"no figure on {indicator.replace('_', ' ')} in {where}: all {every.height} of them are "
            "unclear"
        )
    words = dict.fromkeys(("topic", "period", "length", "shown", "label"), pl.String)
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
    with speaking("en"):
        found = _obstacles(earlier, later)
    for why in found:
        both = " and ".join(f"{row['shown']} ({row['period']})" for row in (earlier, later))
        raise MeasureError(f"{both} must not be compared: {why}")
    return float(later["value"] / earlier["value"] - 1)


def _obstacles(first: Row, second: Row) -> list[str]:
    """Why two figures must not be compared."""
    found = [
        say(words, one=said(first[name]), other=said(second[name]))
        for name, (words, said) in _ALIKE.items()
        if first[name] != second[name]
    ]
    for row in (first, second):
        if row["flag"] in NOT_COMPARED:
            found += [say("of {id}, {doubt}", id=row["id"], doubt=say(FLAGS[row["flag"]]))]
        if row["year"] is None:
            found += [say("{period} is not a calendar year", period=row["period"])]
        if row["bound"] not in {None, "≈"}:
            found += [say("{shown} is a bound", shown=row["shown"])]
        found += _doubted(row)
    if not found and second["year"] <= first["year"]:
        found += [
            say(
                "{second} does not come after {first}",
                second=second["period"],
                first=first["period"],
            )
        ]
    if not first["value"]:
        found += [say("there is no rate of change from nought")]
    return found


def _doubted(row: Row) -> list[str]:
    """By which figures one is contradicted, if by any."""
    if not row["contradicted"]:
        return []
    by = reduce(
        lambda one, other: say("{one}, and by {other}", one=one, other=other), row["contradicted"]
    )
    return [
        say(
            "{shown} ({period}) is contradicted by {by}",
            shown=row["shown"],
            period=row["period"],
            by=by,
        )
    ]


def _doubts(row: Row) -> list[str]:
    """What is unclear about a figure, in the reader's language."""
    return [say(part) for part in (row["ambiguity"] or "").split("; ") if part]


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
                    "unit": say("offences, {label}", label=label),
                    "label": label,
                    "counted": "offences",
                    "source": OURS,
                    "publisher": f"{say(OURS)} ({origin(figure.cells)})",
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
        "shown": localised(f"{bound} ") * bool(bound) + number(row["value"]),
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
        known = start or end
        if known is None:
            return say("not known"), UNKNOWN
        words = (
            later("from {day}, otherwise not known")
            if start
            else later("to {day}, otherwise not known")
        )
        return say(words, day=day(known)), UNKNOWN
    length = PART if start.year == end.year else LONGER
    if length == PART and (start.day, start.month) == (1, 1) and (end + timedelta(1)).day == 1:
        if end.month == 12:
            return str(end.year), YEAR
        return captions.months(f"{end:%Y-%m}"), PART
    if start == end:
        return day(end), PART
    first = day(start).removesuffix(f" {end.year}")
    return say("{first}–{last}", first=first, last=day(end)), length


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
        return say(
            "{rough} ({rough_id}) is {exact} ({exact_id}) rounded.",
            rough=rough["shown"],
            rough_id=rough["id"],
            exact=exact["shown"],
            exact_id=exact["id"],
        )
    text = READINGS.get((one["id"], other["id"]))
    if text is None:
        return None
    ours = {name: figure for name, (_, figure) in flows.labelled_figures("2022-12").items()}
    gross, net = ours["gross_caseload"].value, ours["registered"].value
    assert gross  # the workbooks have both
    assert net
    told = say(
        text,
        a=one["value"],
        b=other["value"],
        times=round(one["value"] / other["value"]),
        own_times=round(gross / net),
        **{name: figure.value for name, figure in ours.items()},
    )
    return say(
        "A reading, not a fact: {told} Premise: both come from the same register.", told=told
    )


def _indicator(name: str) -> str:
    return say(name.replace("_", " "))


def _parts(article: str) -> str:
    """What the table has of an article, part by part."""
    return ", ".join(say(part) for part in article.split(", "))


def _article(row: Row) -> str:
    article = str(row["article"])
    if article == "all":
        return say("all articles")
    return (
        say("article {article}", article=_parts(article))
        if article[0].isdigit()
        else _parts(article)
    )


def _source(row: Row) -> str:
    return say(row["source"])


def _unit(row: Row) -> str:
    return say(row["unit"])


def _topic(row: Row) -> str:
    """What a figure is about where that is not torture, to stand after another word."""
    return f", {say(row['topic'].removeprefix(', '))}" if row["topic"] else ""


_ALIKE: dict[str, tuple[str, Callable[[str], str]]] = {
    "indicator": (later("indicator '{one}' is not indicator '{other}'"), _indicator),
    "region": (later("region '{one}' is not region '{other}'"), str),
    "source": (later("source '{one}' is not source '{other}'"), say),
    "article": (later("article '{one}' is not article '{other}'"), _parts),
    "unit": (later("unit '{one}' is not unit '{other}'"), say),
}
"""In what figures must be alike for a change; what is said where they are not, and how of each."""


def _told(row: Row) -> str:
    """A figure with its unit: `766 criminal cases`, `1 criminal offence`."""
    unit = _unit(row)
    if row["value"] == 1:  # an English plural; the other languages put the number after the unit
        unit = re.sub(r"s\b", "", unit, count=1)
    return say("{shown} {unit}", shown=row["shown"], unit=unit)


def _named(row: Row) -> str:
    """A figure with its unit, source and id."""
    return f"{_told(row)}, {_source(row)}" + ("" if row["own"] else f" ({row['id']})")


def _label(row: Row) -> str:
    """What stands at a figure: its number, and in lines what it is where no axis says it."""
    if row["own"]:
        return say("{shown} {unit}", shown=row["shown"], unit=row["label"])
    if row["year"]:
        return str(row["shown"])
    told = f"{_told(row)}{_topic(row)}, {_source(row)}"
    return "\n".join(wrap(told, LINE, break_on_hyphens=False))
