"""The notebooks: where they are, and their typed parameters, read and checked."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kzresearch import datasets
from kzresearch.errors import ParameterError, unknown_value
from kzresearch.resources import notebooks_dir

_TYPES = {"str": str, "int": int, "float": float, "bool": bool}
_WORDS = {"true": True, "false": False}
ORDER = (
    *("period_report", "case_flow", "regions", "people"),
    *("trends", "context", "data_quality"),
)


@dataclass(frozen=True)
class Parameter:
    """A notebook's parameter: its type's name, its default, and what it means."""

    name: str
    type: str
    default: str | int | float | bool
    help: str

    def parse(self, text: str) -> str | int | float | bool:
        """The value a text stands for; ParameterError where it is not of the type."""
        try:
            if self.type == "bool":
                return _WORDS[text.lower()]
            return _TYPES[self.type](text)
        except (ValueError, KeyError):
            raise ParameterError(
                f"parameter {self.name} is {text!r}, expected {self.type}: {self.help}"
            ) from None


@dataclass(frozen=True)
class Notebook:
    """A notebook: its name, path, title, first paragraph (Markdown) and parameters."""

    name: str
    path: Path
    title: str
    question: str
    parameters: tuple[Parameter, ...]

    def check(self, given: dict[str, str]) -> dict[str, str | int | float | bool]:
        """All parameters with their values: those given, parsed, and the others' defaults.

        Raises ParameterError for an unknown name or a wrong type, UnknownValueError for a period,
        region or article that the data does not have.
        """
        known = {p.name: p for p in self.parameters}
        for name in given:
            if name not in known:
                raise ParameterError(
                    str(unknown_value(f"parameter of {self.name}:", name, [*known]))
                )
        values = {p.name: p.default for p in self.parameters}
        values |= {name: known[name].parse(text) for name, text in given.items()}
        _check_values(values)
        return values


def _check_values(values: dict[str, Any]) -> None:
    """Refuse what the data does not have, for parameters that mean the same everywhere."""
    from kzresearch import attrition, geography, peers, publications

    checks: dict[tuple[str, ...], Callable[..., object]] = {
        ("article",): datasets.check_article,
        ("period", "region", "article"): datasets.check_reported,
        ("period",): datasets.check_period,
        ("compare",): attrition.comparable,
        ("period", "article", "map"): geography.regional_report,
        ("country", "year"): peers.among_peers,
        ("indicator", "region", "unclear"): publications.trend,
    }
    for names, check in checks.items():
        if values.keys() >= set(names):
            check(**{name: values[name] for name in names})


def notebooks() -> list[Notebook]:
    """Every notebook of the package, in the order in which they are read."""
    paths = {path.stem: path for path in sorted(notebooks_dir().glob("*.ipynb"))}
    names = [name for name in ORDER if name in paths]
    return [_read(paths[name]) for name in (*names, *(n for n in paths if n not in ORDER))]


def find_notebook(name: str) -> Notebook:
    """The notebook of that name; UnknownValueError, with near matches, where there is none."""
    found = {path.stem: path for path in notebooks_dir().glob("*.ipynb")}
    if name not in found:
        raise unknown_value("notebook", name, sorted(found))
    return _read(found[name])


def _read(path: Path) -> Notebook:
    from papermill import inspect_notebook

    title, question = opening(json.loads(path.read_text(encoding="utf-8")))
    parameters = tuple(
        Parameter(
            name=name,
            type=entry["inferred_type_name"],
            default=_default(entry["default"], entry["inferred_type_name"]),
            help=entry["help"],
        )
        for name, entry in inspect_notebook(str(path)).items()
    )
    return Notebook(path.stem, path, title, question, parameters)


def opening(notebook: dict[str, Any]) -> tuple[str, str]:
    """The title of a notebook and its first paragraph, in Markdown."""
    first, _, rest = "".join(notebook["cells"][0]["source"]).partition("\n")
    return first.lstrip("# ").strip(), rest.strip().split("\n\n")[0]


def _default(source: str, type_name: str) -> str | int | float | bool:
    import ast

    return _TYPES[type_name](ast.literal_eval(source))
