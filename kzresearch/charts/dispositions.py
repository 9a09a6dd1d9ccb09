"""The case flow drawn so that every case is seen: a mark for each, where it came from, where it went."""

from __future__ import annotations

import math
import textwrap
from typing import Any, NamedTuple

import altair as alt
import polars as pl
from IPython.display import Markdown

from kzresearch.charts.theme import (
    ACCENT,
    MARK,
    PALE,
    WIDTH,
    Channels,
    Layers,
    drawn,
    heading,
    layer,
    nominal,
    quantity,
    rows,
)
from kzresearch.figures import number, percent
from kzresearch.language import later, say

MOST = 2000
"""Marks in one picture; where there are more cases, a mark stands for several."""

# Pixels across: words, bar, bands, marks, words; a mark's place; the least height of a group; a line.
BAR, BANDS, MARKS, WORDS = 104, 118, 246, 556
PITCH, COLUMNS, GROUP, GAP, LINE = 6.6, 45, 34, 12, 15
ORIGINS = {"of_year": later("registered in the year"), "carried_over": later("carried over")}
COLOURS = {"of_year": MARK, "carried_over": ACCENT}


class _Group(NamedTuple):
    """The cases of one disposition by origin, and where they are drawn."""

    words: str
    parts: dict[str, float]
    marks: dict[str, int]
    top: float
    height: float

    @property
    def block(self) -> tuple[float, float]:
        """Top and height of the marks, in the middle of the group's place."""
        height = _rows(self.marks) * PITCH
        return self.top + (self.height - height) / 2, height


@drawn
def cases(frame: pl.DataFrame, title: str, source: str) -> Layers | Markdown:
    """Where the cases came from and where they went: one mark for each case.

    `frame` is that of `attrition.origins`: `label`, `count`, `share` (of 1), and `of_year` and
    `carried_over`, which add up to the count, or are null where that is not known. Above `MOST`
    cases a mark stands for a stated number of them, or for the rest of a group. Where the counts
    are not reported, a sentence says so instead.

    >>> from kzresearch.attrition import origins
    >>> every, of_year = (kz.case_flow("2022-12", cohort=cohort) for cohort in (False, True))
    >>> chart = kz.charts.cases(origins(every, of_year), "Torture, 2022", "Form 1-M")
    >>> print(chart.to_dict()["description"])
    Flow of 918 cases, 807 registered in the year and 111 carried over. One mark is one case. ...
    """
    if frame["count"].null_count():
        return Markdown(
            say("*{title}: no picture, not every disposition is reported.*", title=title)
        )
    total = int(frame["count"].sum())
    if not total:
        return Markdown(say("*{title}: nothing to draw, there was no case.*", title=title))
    origins, given = list(ORIGINS), frame
    if frame["of_year"].null_count() or frame["carried_over"].null_count():
        origins, frame = ["of_year"], frame.with_columns(of_year="count", carried_over=0)
    per = _cases_per_mark(total)
    groups = _groups(frame.filter(pl.col("count") > 0), origins, per)
    none = frame.filter(pl.col("count") == 0)["label"].to_list()
    below = [say("No case: {labels}.", labels="; ".join(none))] if none else []
    if len(origins) == 1:
        below.append(
            say("Which of them were registered in the year is not told apart by the source.")
        )
    below = [line for text in [*below, _scale(per)] for line in textwrap.wrap(text, 110)]
    bottom = groups[-1].top + groups[-1].height + GAP
    room = LINE * sum(text.count("\n") + 1 for text in _came(groups, origins)) + GAP
    if room > bottom:  # few cases: the words on where they came from need more
        groups = [one._replace(top=one.top + (room - bottom) / 2) for one in groups]
        bottom = room
    height = bottom + LINE * len(below)
    at: Channels = {
        "x": quantity("x", axis=None, scale={"domain": [0, WIDTH]}),
        "y": quantity("y", axis=None, scale={"domain": [height, 0], "nice": False}),
    }
    layers = [
        _bands(groups, origins, bottom, at),
        *_marks(groups, origins, at),
        *_words(groups, origins, bottom, below, at),
    ]
    return Layers(
        layer=layers,
        width=WIDTH,
        height=height,
        title=heading(title, source),
        description=_description(frame, title, total, per, origins),
        usermeta=rows(given),
    )


def _cases_per_mark(total: int) -> int:
    """The smallest of 1, 2, 5, 10, 20, … cases to a mark that needs no more than `MOST` marks."""
    steps = (step * 10**power for power in range(12) for step in (1, 2, 5))
    return next(step for step in steps if total / step <= MOST)


def _scale(per: int) -> str:
    if per == 1:
        return say("One mark is one case.")
    return say("One mark stands for {n} cases, or for what is left of a group.", n=per)


def _rows(marks: dict[str, int]) -> int:
    return math.ceil(sum(marks.values()) / COLUMNS)


def _groups(frame: pl.DataFrame, origins: list[str], per: int) -> list[_Group]:
    found: list[_Group] = []
    top = 0.0
    for line in frame.iter_rows(named=True):
        parts = {origin: line[origin] for origin in origins}
        marks = {origin: math.ceil(part / per) for origin, part in parts.items()}
        height = max(_rows(marks) * PITCH, GROUP)
        words = f"{number(line['count'])} · {percent(line['share'])}\n"
        words += "\n".join(textwrap.wrap(line["label"], 26))
        found.append(_Group(words, parts, marks, top, height))
        top += height + GAP
    return found


def _bands(groups: list[_Group], origins: list[str], bottom: float, at: Channels) -> Layers:
    """What flows from the bars on the left to each block of marks."""
    places = _places(groups, origins, bottom)
    points = []
    for index, group in enumerate(groups):
        (block, height), done = group.block, 0.0
        for origin in origins:
            part = group.parts[origin] / sum(group.parts.values())
            left, thickness = places[origin, index]
            for step in range(21):
                along = step / 20
                bend = along * along * (3 - 2 * along)
                start = left + (block + done * height - left) * bend
                points.append(
                    {
                        "band": f"{origin} {index}",
                        "x": round(BANDS + along * (MARKS - 6 - BANDS), 2),
                        "y": round(start, 2),
                        "end": round(start + thickness + (part * height - thickness) * bend, 2),
                    }
                )
            done += part
    bars = []
    for origin in origins:
        first, _ = places[origin, 0]
        last, thickness = places[origin, len(groups) - 1]
        colour = COLOURS[origin]
        bars.append({"x": BAR, "right": BANDS, "y": first, "end": last + thickness, "c": colour})
    end, right = {"y2": {"field": "end"}}, {"x2": {"field": "right"}}
    band, colours = {"detail": nominal("band")}, {"color": nominal("c", scale=None)}
    look: dict[str, Any] = {"color": PALE, "opacity": 0.75, "tooltip": None}
    return Layers(
        layer=[
            layer(pl.DataFrame(points), "area", at | end | band, **look),
            layer(pl.DataFrame(bars), "rect", at | end | right | colours, tooltip=None),
        ]
    )


def _places(
    groups: list[_Group], origins: list[str], bottom: float
) -> dict[tuple[str, int], tuple[float, float]]:
    """Where on the left each band begins, and how thick it is there."""
    total = sum(sum(group.parts.values()) for group in groups)
    high = bottom * 0.72
    top = (bottom - GAP - high - 6 * (len(origins) - 1)) / 2
    found = {}
    for origin in origins:
        for index, group in enumerate(groups):
            thickness = group.parts[origin] / total * high
            found[origin, index] = (round(top, 2), round(thickness, 2))
            top += thickness
        top += 6
    return found


def _marks(groups: list[_Group], origins: list[str], at: Channels) -> list[alt.Chart]:
    layers = []
    for origin in origins:
        points = []
        for group in groups:
            top, _ = group.block
            before = group.marks["of_year"] if origin == "carried_over" else 0
            went = group.words.replace("\n", " ")
            came = f"{say(ORIGINS[origin])}: {number(group.parts[origin])}"
            points += [
                (
                    round(MARKS + (place % COLUMNS + 0.5) * PITCH, 2),
                    round(top + (place // COLUMNS + 0.5) * PITCH, 2),
                    went,
                    came,
                )
                for place in range(before, before + group.marks[origin])
            ]
        tooltip = [nominal(name, title=" ") for name in ("went", "came")[: len(origins)]]
        rows = pl.DataFrame(points, schema=["x", "y", "went", "came"], orient="row")
        filled = origin == "of_year"
        look: dict[str, Any] = {"strokeWidth": 1.3, "opacity": 1, "filled": filled}
        look |= {"color": COLOURS[origin], "size": 21 if filled else 15}
        layers.append(layer(rows, "point", at | {"tooltip": tooltip}, **look))
    return layers


def _words(
    groups: list[_Group],
    origins: list[str],
    bottom: float,
    below: list[str],
    at: Channels,
) -> list[alt.Chart]:
    places = _places(groups, origins, bottom)
    left = []
    for origin, text in zip(origins, _came(groups, origins), strict=True):
        first, _ = places[origin, 0]
        last, thickness = places[origin, len(groups) - 1]
        left.append(((first + last + thickness) / 2, text))
    left = _apart(left, bottom)
    right = [(group.top + group.height / 2, group.words) for group in groups]
    last_lines = [(bottom + LINE * (index + 0.5), text) for index, text in enumerate(below)]

    def texts(x: float, found: list[tuple[float, str]], **how: Any) -> alt.Chart:
        # several lines hang from the first, whose middle is at y
        lines = [
            {"x": x, "y": middle - text.count("\n") * LINE / 2, "text": text}
            for middle, text in found
        ]
        how |= {"baseline": "middle", "lineBreak": "\n", "lineHeight": LINE, "tooltip": None}
        return layer(pl.DataFrame(lines), "text", at | {"text": nominal("text")}, **how)

    return [
        texts(BAR - 8, left, align="right"),
        texts(WORDS, right, align="left"),
        texts(0, last_lines, align="left", fontStyle="italic"),
    ]


def _came(groups: list[_Group], origins: list[str]) -> list[str]:
    """How many cases came from each origin, in words."""
    texts = []
    for origin in origins:
        mark = "●" if origin == "of_year" else "○"
        count = number(sum(group.parts[origin] for group in groups))
        said = say(ORIGINS[origin] if len(origins) > 1 else later("in all"))
        lines = textwrap.wrap(said, 14, break_long_words=False)
        texts.append("\n".join([f"{mark} {count}", *lines]))
    return texts


def _apart(texts: list[tuple[float, str]], bottom: float) -> list[tuple[float, str]]:
    """Texts, each with its middle, moved so far that none lies upon another."""
    if len(texts) == 1:
        return texts
    (one, above), (other, below) = texts
    halves = [(text.count("\n") + 1) * LINE / 2 for text in (above, below)]
    overlap = max(one + halves[0] - (other - halves[1]), 0)
    one, other = one - overlap / 2, other + overlap / 2
    move = max(halves[0] - one, 0) - max(other + halves[1] - bottom, 0)
    return [(one + move, above), (other + move, below)] if overlap else texts


def _description(frame: pl.DataFrame, title: str, total: int, per: int, origins: list[str]) -> str:
    went = "; ".join(
        f"{line['label']}: {number(line['count'])} ({percent(line['share'])})"
        for line in frame.iter_rows(named=True)
    )
    text = later("Flow of {n} {n:case|cases}. {scale} {title}. {went}.")
    if len(origins) > 1:
        text = later(
            "Flow of {n} {n:case|cases}, {of_year} registered in the year and {carried_over} carried over. "
            "{scale} {title}. {went}."
        )
    came = {origin: float(frame[origin].sum()) for origin in ORIGINS if origin in frame.columns}
    return say(text, n=total, scale=_scale(per), title=title, went=went, **came)
