"""What a run leaves behind: the figures a notebook records by name, and the record of the run."""

from __future__ import annotations

import hashlib
import html
import importlib.metadata
import json
import platform
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

from kzresearch import __version__, sources
from kzresearch.errors import KzresearchError
from kzresearch.figures import Figure, origin
from kzresearch.resources import checkout_dir, data_dir

MIME = "application/vnd.kzresearch.results+json"
SCHEMA = "kzresearch-record-1"
BEHAVIOUR = ("--", "kzresearch", "notebooks", "data")
"""What in a checkout a run depends on; a file that lies elsewhere does not make it unclean."""

Json = dict[str, Any]


def record(**figures: Figure) -> None:
    """Record figures under their names: shown to the reader, and kept in the notebook's output.

    Recorded figures are what a run's JSON holds and what may be cited. A name is given once in a
    notebook. Units are the figures' own.

        kz.record(sent_to_court=report.figures["article_sent_to_court"])
    """
    from IPython.display import display

    results = {name: _result(one) for name, one in figures.items()}
    bundle = {
        # A list, because the notebook's format sorts the keys of an object.
        MIME: {"results": [{"name": name, **one} for name, one in results.items()]},
        "text/html": _table(figures, results),
        "text/plain": "\n".join(f"{n}: {r['text']} {r['unit']}" for n, r in results.items()),
    }
    display(bundle, raw=True)


def _result(one: Figure) -> Json:
    value = one.value
    return {
        "value": int(value) if value is not None and value == int(value) else value,
        "text": one.text,
        "unit": one.unit,
        "cells": [cell._asdict() for cell in one.cells],
        "sources": list(one.sources),
        "formula": one.formula,
        "note": one.note,
    }


def _table(figures: dict[str, Figure], results: dict[str, Json]) -> str:
    lines = [
        f'<tr id="{html.escape(name)}"><td><code>{html.escape(name).replace("_", "_<wbr>")}</code></td>'
        f'<td class="number">{html.escape(one["text"])}</td><td>{html.escape(one["unit"])}</td>'
        f"<td>{html.escape(origin(figures[name].cells) or ', '.join(one['sources']))}</td></tr>"
        for name, one in results.items()
    ]
    head = "<tr><th>Name</th><th>Figure</th><th>Unit</th><th>Taken from</th></tr>"
    return (
        '<table class="results"><caption>Recorded figures</caption>'
        f"<thead>{head}</thead><tbody>{''.join(lines)}</tbody></table>"
    )


def results_of(notebook: Json) -> dict[str, Json]:
    """The figures recorded in an executed notebook, by name; a name twice is an error."""
    found: dict[str, Json] = {}
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            for one in output.get("data", {}).get(MIME, {}).get("results", []):
                name = one["name"]
                if name in found:
                    raise KzresearchError(f"{name} is recorded twice; give each figure its name")
                found[name] = {key: value for key, value in one.items() if key != "name"}
    return found


def figures_of(notebook: Json) -> list[Json]:
    """The charts of an executed notebook by content: sha256 and alternative text."""
    from kzresearch.charts import MIME as CHART

    specs = [
        output["data"][CHART]
        for cell in notebook["cells"]
        for output in cell.get("outputs", [])
        if CHART in output.get("data", {})
    ]
    return [{"sha256": _digest(spec), "text": spec.get("description", "")} for spec in specs]


def run_id(notebook: Path, parameters: Json) -> str:
    """Twelve hex digits that are the same where the outputs must be the same.

    Hash of the notebook's cells, the parameters, the checksums of the data it may read, the
    package's own source and the versions of all that is installed.
    """
    content = json.loads(notebook.read_text(encoding="utf-8"))
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in content["cells"]]
    inputs = {
        "cells": cells,
        "parameters": parameters,
        "data": data_checksums(),
        "package": _package_checksums(),
        "versions": versions(),
    }
    return _digest(inputs)[:12]


def data_checksums() -> dict[str, str]:
    """Checksum of every bundled table, by its path in the data folder."""
    return _tree(data_dir(), (".parquet", ".csv", ".toml"))


def _package_checksums() -> dict[str, str]:
    """Checksum of every file the package's behaviour depends on; data is counted elsewhere."""
    found = _tree(Path(__file__).parent, (".py", ".csv", ".j2", ".css", ".json"))
    return {path: sha for path, sha in found.items() if not path.startswith("data/")}


def versions() -> dict[str, str]:
    """Python and every installed distribution, with its version."""
    found = {
        dist.metadata["Name"].lower().replace("_", "-"): dist.version
        for dist in importlib.metadata.distributions()
        if dist.metadata["Name"]
    }
    return {"python": platform.python_version()} | dict(sorted(found.items()))


def run_record(  # the parts of a record, in its order
    name: str,
    notebook: Path,
    executed: Json,
    parameters: Json,
    started: datetime,
    ended: datetime,
    error: Json | None,
) -> Json:
    """The record of a run, as `record.schema.json` describes it."""
    results = results_of(executed)
    used = dict.fromkeys(s for one in results.values() for s in one["sources"])
    return {
        "schema": SCHEMA,
        "run_id": run_id(notebook, parameters),
        "notebook": name,
        "status": "failed" if error else "completed",
        "error": error,
        "parameters": parameters,
        "results": results,
        "figures": figures_of(executed),
        "sources": [_source(source_id) for source_id in used],
        "data": data_checksums(),
        "software": {"name": "kzresearch", "version": __version__, "git": _git()},
        "versions": versions(),
        "engine": "papermill",
        "started": started.isoformat(timespec="seconds"),
        "ended": ended.isoformat(timespec="seconds"),
    }


def _source(source_id: str) -> Json:
    block = sources.source(source_id)
    return {
        key: block.get(key) or None for key in ("id", "title", "citation", "address", "licence")
    }


def _git() -> Json | None:
    """Commit of the checkout the package runs from and whether it was clean; None elsewhere."""
    root = checkout_dir()
    if root is None:
        return None

    def ask(*words: str) -> str:
        command = ["git", "-C", str(root), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603

    try:
        return {
            "commit": ask("rev-parse", "HEAD"),
            "clean": not ask("status", "--porcelain", *BEHAVIOUR),
        }
    except (OSError, subprocess.CalledProcessError):
        return None


def _tree(folder: Path, endings: tuple[str, ...]) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.suffix in endings and p.is_file())
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files
    }


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
