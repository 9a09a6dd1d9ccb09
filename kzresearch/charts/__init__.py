"""The project's charts: Altair, one look, with an alternative text computed from the data."""

from kzresearch.charts.dispositions import cases
from kzresearch.charts.places import funnel, pairs, region_map
from kzresearch.charts.quantities import bars, intervals
from kzresearch.charts.theme import MIME
from kzresearch.charts.times import freedom, lines, timeline

__all__ = [
    "MIME",
    "bars",
    "cases",
    "freedom",
    "funnel",
    "intervals",
    "lines",
    "pairs",
    "region_map",
    "timeline",
]
