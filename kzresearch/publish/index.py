"""Finished runs → one page that leads to each of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kzresearch import captions
from kzresearch.publish.html import TEMPLATES
from kzresearch.run import Run, write_whole


def write_index(runs: list[Run], out: Path) -> Path:
    """Write `<out>/index.html`: each run with its question, status, files and how to cite it.

    The runs are in `out`; the page asks nothing of any other host.
    """
    from jinja2 import Environment, FileSystemLoader
    from nbconvert.filters import markdown2html

    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True)
    environment.filters["markdown"] = markdown2html
    entries = [
        {
            "record": one.record,
            "title": one.title + _apart(one.record, [other.record for other in runs]),
            "question": one.question,
            "page": one.page.name,
            "notebook": one.notebook.name,
            "json": one.json.name,
        }
        for one in runs
    ]
    style = (TEMPLATES / "page" / "style.css").read_text(encoding="utf-8")
    page = environment.get_template("index/index.html.j2").render(entries=entries, style=style)
    path = out / "index.html"
    write_whole(path, page)
    return path


def _apart(record: dict[str, Any], records: list[dict[str, Any]]) -> str:
    """What tells a run from the others of its notebook: `, January–December 2022`; often nothing."""
    others = [one["parameters"] for one in records if one["notebook"] == record["notebook"]]
    told = [
        captions.months(value) if name == "period" else f"{name} {value}"
        for name, value in record["parameters"].items()
        if any(other.get(name) != value for other in others)
    ]
    return "".join(f", {one}" for one in told)
