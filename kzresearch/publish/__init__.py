"""What a reader gets of an executed notebook."""

from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from kzresearch.language import later, say

TEMPLATES = Path(__file__).with_name("template")
_STATUSES = {"completed": later("completed{run}"), "failed": later("failed")}
"""How a run ended; `{run}` stands for nothing: of cases, the form has the same English word."""
PARAMETERS = (
    *(later("period"), later("year"), later("region"), later("country"), later("article")),
    *(later("compare"), later("indicator"), later("map"), later("unclear"), later("language")),
)
"""The parameters of the project's notebooks, as pages call them."""


def status(record: dict[str, Any]) -> str:
    """How a run ended, in the reader's language."""
    return say(_STATUSES[record["status"]], run="")


def marked(text: str, /, **values: object) -> Markup:
    """A text that is said, as markup: values that are markup stay so, and all else is escaped."""
    parts = {name: part for name, part in values.items() if isinstance(part, Markup)}
    marks = {name: chr(0xE000 + place) for place, name in enumerate(parts)}
    told = escape(say(text, **values | marks))
    for name, mark in marks.items():
        told = told.replace(mark, parts[name])
    return told
