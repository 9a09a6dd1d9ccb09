"""The project's charts: Altair, one look, with an alternative text computed from the data."""

from kzresearch.charts.quantities import bars, intervals
from kzresearch.charts.theme import MIME
from kzresearch.charts.times import freedom

__all__ = ["MIME", "bars", "freedom", "intervals"]
