"""How a run is cited."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def run(record: Json) -> str:
    """The citation of a run: one paragraph of plain text."""
    software = record["software"]
    given = ", ".join(f"{name} {value}" for name, value in record["parameters"].items())
    return (
        f"{', '.join(record['authors']) or 'kzresearch contributors'}. {record['title']}. "
        f"{software['name']}, version {software['version']}, notebook {record['notebook']}"
        f"{f' ({given})' if given else ''}, run {record['run_id']}, {record['ended'][:10]}."
    )
