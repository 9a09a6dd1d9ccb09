"""Funnel plots: values by size beside the limits within which chance alone would leave them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from kzresearch import captions, rates
from kzresearch.figures import estimate, number, percent

if TYPE_CHECKING:
    from IPython.display import Markdown

Show = Callable[[float], str]
LEVELS = (0.95, 0.998)
ZONES = ["within the limits", *(f"outside the {level * 100:g} % limits" for level in LEVELS)]


class Funnel(NamedTuple):
    """A funnel plot: points (`label`, `size`, `value`, `zone` of `ZONES`), and what they lie in.

    `limits` are by size (`size`, `level`, `lower`, `upper`), `centre` is the value of all together,
    `show` writes a value.
    """

    points: pl.DataFrame
    limits: pl.DataFrame
    centre: float
    show: Show

    def outside(self, what: str) -> Markdown:
        """Which points lie beyond which limits, on which side; `what` are `rates` or `shares`."""
        if self.points.is_empty():
            return captions.markdown(f"*There are no {what} to compare.*")
        if not self.centre:
            return captions.markdown(f"*Nothing stands out: all {what} are {self.show(0)}.*")
        lines = [f"- All together: {self.show(self.centre)}."]
        for words in reversed(ZONES[1:]):
            found = self.points.filter(zone=words).sort("value", "label", descending=[True, False])
            above = pl.col("value") > self.centre
            sides = {"above": found.filter(above), "below": found.filter(~above)}
            named = [
                f"{side} {listed(of, 'value', self.show)}" for side, of in sides.items() if len(of)
            ]
            only = "" if words == ZONES[-1] else " only"
            many = f"{len(found)} of {len(self.points)}"
            where = f": {'; '.join(named)}" if named else ""
            lines.append(f"- {words.capitalize()}{only}, {many}{where}.")
        return captions.markdown("\n".join(lines))


def of_rates(frame: pl.DataFrame, per: float) -> Funnel:
    """Rates by population: `label`, `size` (persons), `count`; limits around that of all together."""
    return _funnel(frame, per, estimate, lambda n, at: rates.funnel_limits(n, at, LEVELS, per))


def of_shares(frame: pl.DataFrame) -> Funnel:
    """Shares by caseload: `label`, `size` (cases), `count` of them; limits around that of all."""
    return _funnel(frame, 1, percent, lambda n, at: rates.funnel_limits_of_shares(n, at, LEVELS))


def _funnel(
    frame: pl.DataFrame,
    per: float,
    show: Show,
    limits: Callable[[Iterable[float], float], pl.DataFrame],
) -> Funnel:
    sizes, zone = frame["size"].to_list(), pl.lit(ZONES[0])
    centre = float(frame["count"].sum()) / sum(sizes) * per if sizes else 0.0
    value = pl.col("count") / pl.col("size") * per
    for words, at in zip(ZONES[1:], limits(sizes, centre).partition_by("level"), strict=False):
        inside = value.is_between(at["lower"], at["upper"])
        zone = pl.when(inside).then(zone).otherwise(pl.lit(words))
    points = frame.select("label", "size", value=value, zone=zone)
    low, high = 0.8 * min(sizes, default=1), max(1.05 * max(sizes, default=1), 2)
    drawn = (max(1, round(low + (high - low) * step / 150)) for step in range(151))
    found = limits(dict.fromkeys(drawn), centre)
    return Funnel(points, found.rename({found.columns[0]: "size"}), centre, show)


def listed(frame: pl.DataFrame, name: str, show: Show = number) -> str:
    """`Almaty (189), Turkistan (74) and Abai (43)`."""
    return both(f"{label} ({show(value)})" for label, value in frame.select("label", name).rows())


def both(words: Iterable[str]) -> str:
    """`Almaty, Turkistan and Abai`."""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last
