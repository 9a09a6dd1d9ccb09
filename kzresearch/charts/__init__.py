"""The project's charts: Altair, one look, each with a description computed from its data.

Altair is imported when the first is drawn.
"""

import importlib
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kzresearch.charts.dispositions import cases
    from kzresearch.charts.exploring import explorer
    from kzresearch.charts.months import periods
    from kzresearch.charts.places import funnel, pairs, region_map
    from kzresearch.charts.quantities import bars, intervals
    from kzresearch.charts.times import freedom, lines, timeline

MIME = "application/vnd.vegalite.v5+json"
"""The newest Vega-Lite type that JupyterLab draws by itself."""
_HOMES = {
    "cases": "dispositions",
    "explorer": "exploring",
    "periods": "months",
    **dict.fromkeys(("funnel", "pairs", "region_map"), "places"),
    **dict.fromkeys(("bars", "intervals"), "quantities"),
    **dict.fromkeys(("freedom", "lines", "timeline"), "times"),
}
__all__ = [
    "MIME",
    "bars",
    "cases",
    "explorer",
    "freedom",
    "funnel",
    "intervals",
    "lines",
    "pairs",
    "periods",
    "region_map",
    "timeline",
]


def spec_of(data: dict[str, Any]) -> dict[str, Any] | None:
    """The chart in an output's data, also one of a user's own in a newer Vega-Lite; None where none is."""
    types = (name for name in data if re.fullmatch(r"application/vnd\.vegalite\.v\d+\+json", name))
    return next((data[name] for name in types), None)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'kzresearch.charts' has no attribute {name!r}")
    return getattr(importlib.import_module(f"kzresearch.charts.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
