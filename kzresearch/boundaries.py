"""Real outlines of the regions, from files that a user has fetched."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from kzresearch import sources
from kzresearch.errors import SourceError
from kzresearch.language import say

SOURCE = "geokz"


class Boundaries(NamedTuple):
    """Outlines of regions: TopoJSON, the name of the object in it, and whom to credit."""

    topology: dict[str, Any]
    feature: str
    credit: str

    def regions(self) -> set[str]:
        """ISO codes of the regions."""
        shapes = self.topology["objects"][self.feature]["geometries"]
        return {shape["properties"]["iso"] for shape in shapes}


def load_boundaries() -> tuple[Boundaries, ...]:
    """The outlines of each division into regions; features have the region's code as `iso`.

    Raises `SourceError` where they are not there: tiles instead would be another result of a run.

    Source: geokz (`geokz` in `load_sources()`), in the folder KZRESEARCH_RAW.
    """
    credit = say("Boundaries: {source}", source=say(sources.source(SOURCE)["attribution"]))
    found = []
    try:
        for file in sources.raw_files(SOURCE):
            if file.path.endswith(".topo.json"):
                topology = json.loads(sources.raw_file(file).read_text(encoding="utf-8"))
                found.append(Boundaries(topology, next(iter(topology["objects"])), credit))
    except SourceError as error:
        raise SourceError(f"no boundaries to draw: {error}; or use map=tiles") from None
    return tuple(found)
