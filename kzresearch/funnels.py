"""Funnel plots: values by size beside the limits within which chance alone would leave them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from kzresearch import captions, rates
from kzresearch.figures import estimate, number, percent
from kzresearch.language import in_order, later, say

if TYPE_CHECKING:
    from IPython.display import Markdown

Show = Callable[[float], str]
LEVELS = (0.95, 0.998)
ZONES = [
    later("within the limits"),
    later("outside the 95 % limits"),
    later("outside the 99.8 % limits"),
]
_OUTSIDE = {
    ZONES[2]: later("Outside the 99.8 % limits, {n} of {all}"),
    ZONES[1]: later("Outside the 95 % limits only, {n} of {all}"),
}
_NOTHING = {
    "rates": later("*There are no rates to compare.*"),
    "shares": later("*There are no shares to compare.*"),
}
_ALIKE = {
    "rates": later("*Nothing stands out: all rates are {value}.*"),
    "shares": later("*Nothing stands out: all shares are {value}.*"),
}


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
            return captions.markdown(say(_NOTHING[what]))
        if not self.centre:
            return captions.markdown(say(_ALIKE[what], value=self.show(0)))
        lines = [f"- {say('All together: {value}.', value=self.show(self.centre))}"]
        names = {name: place for place, name in enumerate(in_order(self.points["label"]))}
        by_name = pl.col("label").replace_strict(names)
        for zone, words in _OUTSIDE.items():
            found = self.points.filter(zone=zone).sort(-pl.col("value"), by_name)
            above = pl.col("value") > self.centre
            named = [
                say(side, names=listed(of, "value", self.show))
                for side, of in (
                    (later("above {names}"), found.filter(above)),
                    (later("below {names}"), found.filter(~above)),
                )
                if len(of)
            ]
            said = say(words, n=len(found), all=len(self.points))
            where = f": {'; '.join(named)}" if named else ""
            lines.append(f"- {said}{where}.")
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
    return say("{most} and {last}", most=", ".join(most), last=last) if most else last
