"""The notebooks: where they are, and their typed parameters, read and checked.

What checks them is imported when they are checked: a shell that completes names waits for these.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import math
import re
import tokenize
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from kzresearch.errors import KzresearchError, ParameterError, unknown_value
from kzresearch.language import LANGUAGES, prose, speaking, translated
from kzresearch.language import checked as checked_language
from kzresearch.resources import notebooks_dir

Value = str | int | float | bool
Checked = dict[object, KzresearchError | None]

_TYPES = {"str": str, "int": int, "float": float, "bool": bool}
_WORDS = {"true": True, "false": False}
SECRET = re.compile(
    r"(^|_)(pass(word|wd|phrase)?|pwd|secrets?|tokens?|credentials?|auth|api_?keys?"
    r"|(private|access|secret|account)_?keys?)(_|$)|password",
    re.IGNORECASE,
)
"""The names of parameters and environment variables whose values are not to be seen."""
_ENGLISH = "kzresearch_en"
"""Where a cell of prose, or that of the parameters, keeps the English of what it says."""
ORDER = (
    *("start_here", "period_report", "case_flow", "regions", "people"),
    *("trends", "context", "data_quality"),
)


@dataclass(frozen=True)
class Parameter:
    """A notebook's parameter: its type's name, its default (None: it must be given), its meaning."""

    name: str
    type: str
    default: Value | None
    help: str

    def parse(self, given: Value) -> Value:
        """The value that is given, or that a text stands for; ParameterError for a wrong type."""
        value: Any = None
        with contextlib.suppress(ValueError, KeyError):
            value = self._value(given)
        if type(value) is not _TYPES[self.type] or not _storable(value):
            raise ParameterError(
                f"parameter {self.name} is {_shown(given)}, expected {self.type}"
                + (f": {self.help}" if self.help else "")
            )
        return cast("Value", value)

    def _value(self, given: Value) -> Any:
        if isinstance(given, str):
            return _WORDS[given.lower()] if self.type == "bool" else _TYPES[self.type](given)
        return float(given) if self.type == "float" and type(given) is int else given


def _storable(value: object) -> bool:
    """Whether a value is the same after it was written as JSON: no nan, no half of a character."""
    try:
        str(value).encode()
    except UnicodeEncodeError:
        return False
    return math.isfinite(value) if isinstance(value, float) else True


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


@dataclass(frozen=True)
class Notebook:
    """A notebook: its name, its text as JSON, its parameters, and whether it is the project's own."""

    name: str
    source: str
    parameters: tuple[Parameter, ...]
    own: bool = True

    @cached_property
    def content(self) -> dict[str, Any]:
        """The notebook as an object; not to be changed."""
        content: dict[str, Any] = json.loads(self.source)
        return content

    @property
    def title(self) -> str:
        """Its first heading."""
        from kzresearch.records import opening

        return opening(self.content)[0]

    def check(self, given: Mapping[str, Value]) -> dict[str, Value]:
        """All parameters with their values: those given, parsed, and the others' defaults.

        Raises ParameterError for an unknown or missing name or a wrong type, UnknownValueError for
        a period, region or article that the data does not have; several faults in one message.
        """
        values, faults = self.examine(given, {})
        if len(faults) == 1:
            raise faults[0]
        if faults:
            raise ParameterError("; ".join(str(fault) for fault in faults))
        return values

    def examine(
        self, given: Mapping[str, Value], checked: Checked
    ) -> tuple[dict[str, Value], list[KzresearchError]]:
        """`check` without raising: the values, and everything that is wrong with those given.

        `checked` keeps what was found out, for the next of many runs.
        """
        values, faults = self._values(given)
        return values, faults + _faults_of(values, checked, own=self.own)

    def _values(self, given: Mapping[str, Value]) -> tuple[dict[str, Value], list[KzresearchError]]:
        known = {p.name: p for p in self.parameters}
        faults: list[KzresearchError] = []
        values = {p.name: p.default for p in self.parameters if p.default is not None}
        for name, value in given.items():
            try:
                values[name] = self._known(name).parse(value)
            except ParameterError as fault:
                faults.append(fault)
        for name, parameter in known.items():
            if SECRET.search(name):
                faults.append(
                    ParameterError(
                        f"parameter {name} of {self.name} has the name of a secret, and parameters "
                        "stand in every output; let the notebook read it from an environment "
                        "variable"
                    )
                )
            elif name not in values and name not in given:
                faults.append(
                    ParameterError(
                        f"parameter {name} of {self.name} has no default: give it"
                        + (f" ({parameter.help})" if parameter.help else "")
                    )
                )
        return {name: values[name] for name in known if name in values}, faults

    def choices(self, name: str, period: Value | None = None) -> list[Value]:
        """Every value that the data has for a parameter; regions are those that report in a period.

        Raises ParameterError for a parameter without a list of values.
        """
        known = self._known(name)
        if known.type == "bool":
            return [True, False]
        if (listed := _listed().get(name)) is None:
            raise ParameterError(
                f"there is no list of every {name}: name the values, as in {name}=a,b"
            )
        return [known.parse(value) for value in listed(period)]

    def _known(self, name: str) -> Parameter:
        known = {p.name: p for p in self.parameters}
        if name not in known:
            if not known:
                raise ParameterError(f"{self.name} has no parameters, so none is named {name}")
            raise ParameterError(str(unknown_value(f"parameter of {self.name}:", name, [*known])))
        return known[name]


def _listed() -> dict[str, Callable[[Any], list[Any]]]:
    """Parameter → every value that the data has for it; the country is asked for by name alone."""
    from kzresearch import datasets, geography
    from kzresearch.regions import COUNTRY
    from kzresearch.schemas import INDICATORS

    held = datasets.coverage()

    def regions(period: str | None) -> list[str]:
        of = held if period is None else held.filter(period=period)
        return [region for region in of["region"].unique().sort() if region != COUNTRY]

    return {
        "period": lambda _: held["period"].unique().sort().to_list(),
        "region": regions,
        "article": lambda _: datasets.articles(),
        "language": lambda _: list(LANGUAGES),
        "map": lambda _: list(geography.MAPS),
        "indicator": lambda _: list(INDICATORS),
        "country": lambda _: (
            datasets.load_freedom_in_the_world()["country"].unique().sort().to_list()
        ),
        "year": lambda _: datasets.load_torture_indices()["year"].unique().sort().to_list(),
    }


def _faults_of(values: dict[str, Any], checked: Checked, *, own: bool) -> list[KzresearchError]:
    """What the data does not have of values, for parameters that mean the same everywhere.

    Some mean what they do in the project's own notebooks alone. Of values together only those are
    checked that each hold by themselves.
    """
    from kzresearch import attrition, datasets, geography, peers, publications

    checks: dict[tuple[str, ...], Callable[..., object]] = {
        ("article",): datasets.check_article,
        ("period",): datasets.check_period,
        ("region",): datasets.check_region,
    }
    if own:
        checks |= {("compare",): attrition.comparable, ("language",): checked_language}
    checks |= {("period", "region", "article"): datasets.check_reported}
    if own:
        checks |= {
            ("period", "article", "map"): geography.regional_report,
            ("country", "year"): peers.among_peers,
            ("indicator", "region", "unclear"): publications.trend,
        }
    faults: list[KzresearchError] = []
    wrong: set[str] = set()
    for names, check in checks.items():
        if values.keys() >= set(names) and wrong.isdisjoint(names):
            given = {name: values[name] for name in names}
            key = (names, *given.values())
            if key not in checked:
                try:
                    check(**given)
                    checked[key] = None
                except KzresearchError as error:
                    checked[key] = error
            if fault := checked[key]:
                faults.append(fault)
                wrong |= set(names)
    return faults


def notebooks() -> list[Notebook]:
    """Every notebook of the package, in the order in which they are read."""
    paths = {path.stem: path for path in sorted(notebooks_dir().glob("*.ipynb"))}
    names = [name for name in ORDER if name in paths]
    return [_read(paths[name]) for name in (*names, *(n for n in paths if n not in ORDER))]


def find_notebook(name: str) -> Notebook:
    """The notebook of that name, or at that path (`….ipynb`).

    Raises UnknownValueError, with near matches, where there is none of that name; ParameterError
    for a file that is no notebook.
    """
    if name.endswith(".ipynb"):
        return _read(Path(name), own=False)
    found = {path.stem: path for path in notebooks_dir().glob("*.ipynb")}
    if name not in found:
        raise unknown_value("notebook", name, sorted(found))
    return _read(found[name])


def _read(path: Path, *, own: bool = True) -> Notebook:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ParameterError(
            f"cannot read the notebook {path.name}: {(error.strerror or 'unknown').lower()}"
        ) from None
    return notebook_of(path.stem, content, own=own)


def notebook_of(name: str, content: bytes, *, own: bool = False) -> Notebook:
    """The notebook of that name with that content; ParameterError for what is none."""
    file = f"{name}.ipynb"
    try:
        source = content.decode()
        notebook = in_english(json.loads(source), where_it_is=True)
        parameters = _parameters(notebook)
        bare = without_additions(notebook, parameters=bool(parameters))
        json.dumps(notebook, ensure_ascii=False).encode()
    except ParameterError:
        raise
    except UnicodeEncodeError as error:
        half = ascii(error.object[error.start])
        raise ParameterError(
            f"{file} holds half of a character ({half}), which no file can: write all of it"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ParameterError(f"{file} is no notebook of format 4 (.ipynb)") from None
    if not re.fullmatch(r"[\w-]+( [\w-]+)*", name):
        raise ParameterError(
            f"the notebook {file!r} gives its outputs their names: rename it, with letters, "
            "digits, _, - and single spaces alone"
        )
    if bare["cells"] != json.loads(source)["cells"]:
        source = json.dumps(bare, ensure_ascii=False)
    return Notebook(name, source, parameters, own)


def without_additions(notebook: dict[str, Any], *, parameters: bool = True) -> dict[str, Any]:
    """A notebook without the cells that papermill puts into it, and takes out where it runs it.

    They are the banners of a run that failed, and the parameters of a run.
    """
    put_in = {"papermill-error-cell-tag", *(["injected-parameters"] if parameters else [])}
    cells = [c for c in notebook["cells"] if put_in.isdisjoint(c["metadata"].get("tags", []))]
    return notebook | {"cells": cells}


def _parameters(content: dict[str, Any]) -> tuple[Parameter, ...]:
    """The parameters of the parameters cell: names, annotations, defaults, comments.

    None where there is no such cell, or the notebook's language is not Python.
    """
    cells = [
        "".join(cell["source"])
        for cell in content["cells"]
        if "parameters" in cell["metadata"].get("tags", [])
    ]
    about = content["metadata"]
    written_in = {"name": "python", **about.get("kernelspec", {}), **about.get("language_info", {})}
    if not cells or not written_in.get("language", written_in["name"]).lower().startswith("python"):
        return ()
    source = re.sub(r"^[%!].*$", "", cells[0], flags=re.MULTILINE)  # of IPython, not of Python
    try:
        found = ast.parse(source, type_comments=True).body
        words = {
            token.start[0]: re.sub(r"^#\s*(type:\s*\S*\s*)?", "", token.string)
            for token in tokenize.generate_tokens(io.StringIO(source).readline)
            if token.type == tokenize.COMMENT
        }
    except (SyntaxError, tokenize.TokenError) as fault:
        where = getattr(fault, "lineno", None)
        line = f" (line {where})" if where else ""
        raise ParameterError(f"the parameters cell is no Python: {fault.args[0]}{line}") from None
    return tuple(
        _parameter(one, target.id, words.get(one.end_lineno or 0, ""))
        for one in found
        if isinstance(one, ast.Assign | ast.AnnAssign) and one.value
        for target in (one.targets if isinstance(one, ast.Assign) else [one.target])
        if isinstance(target, ast.Name)
    )


def _parameter(one: ast.Assign | ast.AnnAssign, name: str, words: str) -> Parameter:
    text = ast.unparse(cast("ast.expr", one.value))
    try:
        default = ast.literal_eval(text)
    except ValueError:
        default = ...
    named = one.type_comment if isinstance(one, ast.Assign) else ast.unparse(one.annotation)
    if named is None and default is not None:
        named = type(default).__name__
    named = (named or "").partition(" ")[0].strip("'\"")
    if named not in _TYPES or (
        default is not None and type(default).__name__ not in {named, "int"}
    ):
        raise ParameterError(
            f"parameter {name} has the default {text}: a parameter is a str, int, float or bool, or "
            "None where it has to be given"
        )
    return Parameter(name, named, None if default is None else _TYPES[named](default), words)


def worded(notebook: dict[str, Any], language: object) -> dict[str, Any]:
    """A notebook with its prose in a language, as far as the table of texts has it.

    So are the comments of its parameters. Each cell keeps the English in its metadata.
    """
    if language not in LANGUAGES or language == "en":
        return notebook
    with speaking(str(language)):
        for cell in notebook["cells"]:
            english = "".join(cell["source"])
            if (said := _told(cell, english)) != english:
                lines = isinstance(cell["source"], list)
                cell["source"] = said.splitlines(keepends=True) if lines else said
                cell["metadata"][_ENGLISH] = english
    return notebook


def _told(cell: Mapping[str, Any], english: str) -> str:
    """What a cell says in the reader's language: its prose, or the comments of its parameters."""
    if cell["cell_type"] == "markdown":
        return prose(english)
    return _commented(english, _comment) if _of_parameters(cell) else english


def _of_parameters(cell: Mapping[str, Any]) -> bool:
    return cell["cell_type"] == "code" and "parameters" in cell["metadata"].get("tags", [])


def _comment(english: str) -> str:
    return " ".join(translated(english).splitlines())  # a second line would be code


def _commented(code: str, said: Callable[[str], str]) -> str:
    """Code with other words in its comments, and all else as it is; what is no Python stays so."""
    lines = io.StringIO(code).readlines()
    for row, start, mark, words in _comments(code):
        before, after = lines[row][:start], lines[row][start + len(mark + words) :]
        lines[row] = f"{before}{mark}{said(words)}{after}"
    return "".join(lines)


def _comments(code: str) -> list[tuple[int, int, str, str]]:
    """The comments of code: line and place, both from 0, their sign, and their words."""
    try:
        tokens = [*tokenize.generate_tokens(io.StringIO(code).readline)]
    except (SyntaxError, tokenize.TokenError):
        return []
    comments = [token for token in tokens if token.type == tokenize.COMMENT]
    words = [one.string.lstrip("# ") for one in comments]
    return [
        (one.start[0] - 1, one.start[1], one.string.removesuffix(said), said)
        for one, said in zip(comments, words, strict=True)
    ]


def in_english(notebook: Mapping[str, Any], *, where_it_is: bool = False) -> dict[str, Any]:
    """A notebook with the prose that it had before `worded`.

    `where_it_is`: only in the cells and comments that say still what the table of texts has for it; what
    somebody has changed since is theirs.
    """
    cells = []
    for cell in notebook["cells"]:
        about = dict(cell["metadata"])
        english = about.pop(_ENGLISH, None)
        if english is None:
            english = cell["source"]
        elif where_it_is:
            english = _unworded(cell, english)
        cells.append({**cell, "metadata": about, "source": english})
    return {**notebook, "cells": cells}


def _unworded(cell: Mapping[str, Any], english: str) -> str:
    """What a cell says, with this in place of a translation of it by the table of texts."""
    source = "".join(cell["source"])
    if not _of_parameters(cell):
        return english if _says(cell, english) else source
    found: dict[str, str] = {}
    for language in LANGUAGES:
        with speaking(language):
            found |= {_comment(words): words for *_, words in _comments(english)}
    return _commented(source, lambda words: found.get(words, words))


def _says(cell: Mapping[str, Any], english: str) -> bool:
    """Whether a cell is a translation of this by the table of texts."""
    for language in LANGUAGES:
        with speaking(language):
            if "".join(cell["source"]) == prose(english):
                return True
    return False


def bare(notebook: Mapping[str, Any]) -> dict[str, Any]:
    """A notebook as it was before it was run: without outputs, and what papermill put into it."""
    put_in = {"injected-parameters", "papermill-error-cell-tag"}
    cells = []
    for cell in in_english(notebook)["cells"]:
        about = {k: v for k, v in cell["metadata"].items() if k not in {"papermill", "execution"}}
        if not about.get("tags"):
            about.pop("tags", None)
        if put_in.isdisjoint(about.get("tags", [])):
            emptied = {**cell, "metadata": about}
            if cell["cell_type"] == "code":
                emptied |= {"outputs": [], "execution_count": None}
            cells.append(emptied)
    whole = {k: v for k, v in notebook["metadata"].items() if k != "papermill"}
    if "kzresearch" in whole:  # of the record that lies there, what was there before
        whole["kzresearch"] = {"key_figures": whole["kzresearch"]["key_figures"]}
    return {**notebook, "cells": cells, "metadata": whole}
