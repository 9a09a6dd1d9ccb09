"""What a run leaves behind: the figures a notebook records by name, and the record of the run."""

from __future__ import annotations

import contextlib
import hashlib
import html
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kzresearch import __version__, sources
from kzresearch.errors import KzresearchError
from kzresearch.figures import Figure, origin
from kzresearch.language import LANGUAGES, say
from kzresearch.resources import checkout_dir, data_dir

if TYPE_CHECKING:
    from kzresearch.run.single import Task

MIME = "application/vnd.kzresearch.results+json"
SCHEMA = "kzresearch-record-1"
KEY_FIGURES = 4
RESERVED = ("contents", "kzresearch")
"""Addresses on a page that are no figure's."""
ORDER = (
    *("schema", "run_id", "notebook", "title", "question", "authors", "status", "error"),
    *(
        "parameters",
        "results",
        "key_figures",
        "figures",
        "prose",
        "outputs",
        "workbooks",
        "sources",
    ),
    *("data", "code", "software", "versions", "engine", "started", "ended"),
)
BEHAVIOUR = ("--", "kzresearch", "notebooks", "data")
"""What in a checkout a run depends on; a file that lies elsewhere does not make it unclean."""

Json = dict[str, Any]


def record(**figures: Figure) -> None:
    """Record figures by name: shown to the reader, and kept in the notebook's output.

    Recorded figures are what a run's JSON holds and what may be cited. A name is given once in a
    notebook, of letters, digits and `_`. Units are the figures' own.

    Raises KzresearchError for another name.

    >>> kz.record(gross_caseload=kz.Figure(106, "offences") + kz.Figure(812, "offences"))
    {...'text/plain': 'gross_caseload: 918 offences'}
    """
    from IPython.display import display

    for name in figures:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or name in RESERVED:
            raise KzresearchError(
                f"{name!r} cannot be the name of a recorded figure, which is an address on its page: "
                f"give it letters, digits and _, and none of {', '.join(RESERVED)}"
            )
    results = {name: _result(one) for name, one in figures.items()}
    bundle = {
        # A list, because the notebook's format sorts the keys of an object.
        MIME: {"results": [{"name": name, **one} for name, one in results.items()]},
        "text/html": _table(figures, results),
        "text/plain": "\n".join(f"{n}: {r['text']} {say(r['unit'])}" for n, r in results.items()),
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
        f'<td class="number">{html.escape(one["text"])}</td><td>{html.escape(say(one["unit"]))}</td>'
        f"<td>{html.escape(origin(figures[name].cells) or ', '.join(one['sources']))}</td></tr>"
        for name, one in results.items()
    ]
    heads = (say("Name"), say("Figure"), say("Unit"), say("Taken from"))
    head = "".join(f'<th scope="col">{html.escape(one)}</th>' for one in heads)
    return (
        f'<table class="results"><caption>{html.escape(say("Recorded figures"))}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
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


def key_figures(notebook: Json, results: dict[str, Json]) -> list[str]:
    """The names of figures that tell runs apart: those in the notebook's metadata, or the first."""
    named = notebook["metadata"].get("kzresearch", {}).get("key_figures")
    return list(named) if isinstance(named, list) else [*results][:KEY_FIGURES]


def figures_of(notebook: Json) -> list[Json]:
    """The charts of an executed notebook by content: sha256 and alternative text."""
    from kzresearch.charts import spec_of

    specs = [
        spec
        for cell in notebook["cells"]
        for output in cell.get("outputs", [])
        if (spec := spec_of(output.get("data", {})))
    ]
    return [{"sha256": _digest(spec), "text": spec.get("description", "")} for spec in specs]


def outputs_of(notebook: Json) -> list[Json]:
    """The outputs of an executed notebook by content: cell and output, from 0, kind and sha256.

    What may differ in a run that is the same, the numbering of the cells, is left out.
    """
    return [
        {
            "cell": place,
            "output": number,
            "kind": output["output_type"],
            "sha256": _digest({k: v for k, v in whole(output).items() if k != "execution_count"}),
        }
        for place, cell in enumerate(notebook["cells"])
        for number, output in enumerate(cell.get("outputs", []))
    ]


def whole(output: Json) -> Json:
    """An output with whole texts, which the notebook's format keeps as lists of lines."""

    def text(value: Any) -> Any:
        lines = isinstance(value, list) and all(isinstance(line, str) for line in value)
        return "".join(value) if lines else value

    data = {
        mime: value if mime.startswith("application/") and mime.endswith("json") else text(value)
        for mime, value in output.get("data", {}).items()
    }
    more = {"data": data} if "data" in output else {}
    return output | more | ({"text": text(output["text"])} if "text" in output else {})


@dataclass(frozen=True)
class Environment:
    """What outputs depend on beside notebook and parameters, and the commit it stands for."""

    data: dict[str, str]
    package: dict[str, str]
    versions: dict[str, str]
    git: Json | None

    def run_id(self, notebook: Json, parameters: Json) -> str:
        """Twelve hex digits that are the same where the outputs must be the same.

        Hash of the notebook's cells, the parameters, the checksums of the data it may read, the
        package's own source and the versions of all that is installed: `run_id_of` its record.
        """
        return _run_id(parameters, self.code(notebook), self._inputs)

    def code(self, notebook: Json) -> dict[str, str]:
        """Checksums of the code of a run: its notebook's cells, and the package's own files."""
        return {"notebook": checksum(notebook), "package": self._package}

    @cached_property
    def _package(self) -> str:
        return _digest(self.package)

    @cached_property
    def _inputs(self) -> str:
        return _digest([self.data, self.versions])

    def differences(self, other: Environment) -> list[str]:
        """What is not the same elsewhere, in words: `polars 2.1.0, elsewhere 2.0.0`."""
        return [
            f"{name} {mine.get(name, 'not there')}, elsewhere {others.get(name, 'not there')}"
            for mine, others in (
                (self.versions, other.versions),
                (_short(self.package), _short(other.package)),
                (_short(self.data), _short(other.data)),
            )
            for name in sorted(mine.keys() | others.keys())
            if mine.get(name) != others.get(name)
        ]


def run_id_of(record: Json) -> str:
    """The run id that fits what a record says of its inputs."""
    inputs = _digest([record["data"], record["versions"]])
    return _run_id(record["parameters"], record["code"], inputs)


def _run_id(parameters: Json, code: dict[str, str], inputs: str) -> str:
    return _digest({"parameters": parameters, "code": code, "inputs": inputs})[:12]


def checksum(notebook: Json) -> str:
    """The checksum of a notebook's cells: their kinds and their texts."""
    return _digest([(cell["cell_type"], "".join(cell["source"])) for cell in notebook["cells"]])


def _short(checksums: dict[str, str]) -> dict[str, str]:
    return {path: sha[:12] for path, sha in checksums.items()}


_known: tuple[object, Environment] | None = None


def environment() -> Environment:
    """The environment as it is now; computed anew where a file of it has changed since."""
    global _known  # noqa: PLW0603
    from kzresearch.store import store

    stamp = _stamp()
    if _known is None or _known[0] != stamp:
        asked = _ask_git()  # which looks while the rest is done
        data, package = (_checksums(root, files) for root, files in _files().items())
        data |= store().checksums()
        _known = (stamp, Environment(data, package, _versions(), _git(asked)))
    return _known[1]


def _files() -> dict[str, list[str]]:
    """The bundled tables, and the files of the package that its behaviour depends on."""
    data, package = str(data_dir()), str(Path(__file__).parent)
    code = _tree(package, (".py", ".csv", ".j2", ".css", ".js", ".json", ".typ"))
    return {
        data: _tree(data, (".parquet", ".csv", ".toml")),
        package: [path for path in code if not path.startswith(data + os.sep)],
    }


def _stamp() -> object:
    """What changes with a file of the environment: sizes and times, not contents."""
    from kzresearch.form_1m import codebook
    from kzresearch.store import store

    files = [path for tree in _files().values() for path in tree]
    # Where packages are installed; another folder on the path changes with every file in it.
    places = [p for p in sys.path if p.endswith("-packages") and os.path.isdir(p)]  # noqa: PTH112
    stats = [(path, os.stat(path)) for path in (*files, *places)]  # noqa: PTH116
    files_and_places = [(path, stat.st_mtime_ns, stat.st_size) for path, stat in stats]
    versions = [id(one) for one in codebook.forms()]
    return files_and_places, store().where, dict(store().tags()), versions


def _versions() -> dict[str, str]:
    """Python and every installed distribution, with its version."""
    found = {"python": platform.python_version()}
    for name in sorted(_metadata_folders()):
        distribution, version = name.removesuffix(".dist-info").rsplit("-", 1)
        found[re.sub(r"[-_.]+", "-", distribution).lower()] = version
    return found


def _metadata_folders() -> set[str]:
    """`name-version.dist-info` of all that is installed: reading what is in them takes long."""
    places = [Path(place) for place in reversed(sys.path) if Path(place).is_dir()]
    found = [name for place in places for name in os.listdir(place)]  # noqa: PTH208
    return {name for name in found if re.fullmatch(r"[^-]+-[^-]+\.dist-info", name)}


def run_record(
    task: Task,
    executed: Json,
    engine: str,
    started: datetime,
    error: Json | None,
    now: Environment | None = None,
) -> Json:
    """The record of a run that ends now, in an environment, as `record.schema.json` describes it."""
    results = results_of(executed)
    used = dict.fromkeys(s for one in results.values() for s in one["sources"])
    now, (title, question) = now or environment(), opening(executed)
    return {
        "schema": SCHEMA,
        "run_id": task.run_id,
        "notebook": task.notebook,
        "title": title,
        "question": question,
        "authors": list(task.authors or _authors(executed)),
        "status": "failed" if error else "completed",
        "error": error,
        "parameters": task.parameters,
        "results": results,
        "key_figures": key_figures(executed, results),
        "figures": figures_of(executed),
        "prose": _prose(task, executed),
        "outputs": outputs_of(executed),
        "workbooks": _workbooks(results),
        "sources": [_source(source_id, results) for source_id in used],
        "data": now.data,
        "code": now.code(task.content),
        "software": {"name": "kzresearch", "version": __version__, "git": now.git},
        "versions": now.versions,
        "engine": engine,
        "started": started.isoformat(timespec="seconds"),
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _prose(task: Task, executed: Json) -> str | None:
    """The checksum of the cells as they are; None where that is the one of the notebook."""
    from kzresearch.notebooks import without_additions

    here = checksum(without_additions(executed, parameters=bool(task.parameters)))
    return None if here == checksum(task.content) else here


def _authors(notebook: Json) -> list[str]:
    """Who the notebook's metadata names as its authors, as Jupyter has them."""
    named = notebook["metadata"].get("authors")
    listed = named if isinstance(named, list) else []
    return [one["name"] for one in listed if isinstance(one, dict) and "name" in one]


def _workbooks(results: dict[str, Json]) -> list[Json]:
    """The workbooks that the results were taken from, and where to get each."""
    used = dict.fromkeys(cell["workbook"] for one in results.values() for cell in one["cells"])
    known = {
        file.sha256: {
            "file": file.path.rpartition("/")[2],
            "region": file.region,
            "period": file.period,
            "source": file.source,
            "address": file.url or None,
        }
        for block in sources.read_sources()
        for file in sources.raw_files(block["id"])
    }
    if not known.keys() >= used.keys():  # those of the user's own store
        from kzresearch.datasets import every_workbook

        columns = ("sha256", "file", "region", "period", "source")
        for sha256, *about in every_workbook().select(columns).iter_rows():
            known.setdefault(sha256, dict(zip(columns[1:], about, strict=True)) | {"address": None})
    unknown = dict.fromkeys(("file", "region", "period", "source", "address"))
    return [{"sha256": sha256, **known.get(sha256, unknown)} for sha256 in used]


def in_order(executed: Json) -> Json:
    """The record in an executed notebook, in the order in which it was made.

    The notebook's format sorts the keys of every object.
    """
    record = executed["metadata"]["kzresearch"]
    given = "".join(
        f"\n{''.join(cell['source'])}"
        for cell in executed["cells"]
        if "injected-parameters" in cell["metadata"].get("tags", [])
    )
    names = sorted(record["parameters"], key=lambda name: given.find(f"\n{name} = "))
    results = record["results"]
    recorded = [name for name in results_of(executed) if name in results]
    record |= {
        "parameters": {name: record["parameters"][name] for name in names},
        "results": {name: results[name] for name in dict.fromkeys([*recorded, *results])},
    }
    return {name: record[name] for name in ORDER}


_PERIOD = re.compile(r"(?:store/form_1m/period=|form_1m/)([0-9]{4}-[0-9]{2})\b.*")


def data_version(record: Json) -> str:
    """The newest period of Form 1-M that a run could read, and a checksum of all its tables.

    As in `2022-12+0a1b2c3d4e5f`; the checksum alone where it had no table of the form.
    """
    found = (_PERIOD.fullmatch(name) for name in record["data"])
    periods = sorted(one[1] for one in found if one)
    return "+".join([*periods[-1:], _digest(record["data"])[:12]])


def language_of(*of: Json) -> str:
    """The language that runs speak, all of them that have one; English where they differ."""
    spoken = {str(one["parameters"]["language"]) for one in of if "language" in one["parameters"]}
    (found,) = spoken if len(spoken) == 1 else ("en",)
    return found if found in LANGUAGES else "en"


def collection_id(records: Iterable[Json]) -> str:
    """Twelve hex digits for several runs together: the same for the same runs."""
    return _digest(sorted(one["run_id"] for one in records))[:12]


def opening(notebook: Json) -> tuple[str, str]:
    """The title of a notebook and its first paragraph, in Markdown: those of its first text."""
    texts = ("".join(one["source"]) for one in notebook["cells"] if one["cell_type"] == "markdown")
    # papermill puts a banner before everything in a notebook that failed
    first = next((text for text in texts if not text.startswith("<span")), "")
    title, _, rest = first.partition("\n")
    return title.lstrip("# ").strip(), rest.strip().split("\n\n")[0]


def _source(source_id: str, results: dict[str, Json]) -> Json:
    workbooks = {cell["workbook"] for one in results.values() for cell in one["cells"]}
    block = sources.source_of(source_id, workbooks)
    names = (
        *("id", "title", "producer", "version", "citation", "address", "licence"),
        *("licence_address", "date_published", "date_accessed"),
    )
    return {name: block.get(name) or None for name in names}


def _ask_git() -> subprocess.Popen[str] | None:
    """A question on the checkout that the package runs from, where it does."""
    words = ("status", "--porcelain=v2", "--branch", *BEHAVIOUR)
    how: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "errors": "replace"}
    root = checkout_dir()
    command = ["git", "-C", str(root), *words]
    with contextlib.suppress(OSError):
        return subprocess.Popen(command, text=True, **how) if root else None  # noqa: S603
    return None


def _git(asked: subprocess.Popen[str] | None) -> Json | None:
    """The answer: the commit, and whether the checkout was clean; None where there is no checkout."""
    if asked is None:
        return None
    said, _ = asked.communicate()
    if asked.returncode:
        return None
    commit = re.search(r"^# branch\.oid ([0-9a-f]+)$", said, re.MULTILINE)
    changed = re.search(r"^[^#]", said, re.MULTILINE)
    return {"commit": commit[1], "clean": not changed} if commit else None


def _tree(folder: str, endings: tuple[str, ...]) -> list[str]:
    """Paths as text: this is done in every run, and `Path` takes most of the time."""
    return sorted(
        f"{place}{os.sep}{name}"
        for place, _, names in os.walk(folder)
        for name in names
        if name.endswith(endings)
    )


def _checksums(folder: str, files: list[str]) -> dict[str, str]:
    return {
        Path(p).relative_to(folder).as_posix(): hashlib.sha256(Path(p).read_bytes()).hexdigest()
        for p in files
    }


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


class RecordError(KzresearchError):
    """A file that is no record of a run, or not one that can be trusted."""


def read(path: str | Path) -> Json:
    """The record in an executed notebook, on a page, or in the file beside them.

    Raises RecordError for a file that cannot be read or holds no record of a run.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RecordError(f"cannot read {path}: {(error.strerror or 'unknown').lower()}") from None
    return parse(content, str(path))[0]


def parse(content: bytes, name: str, sound: Collection[Json] = ()) -> tuple[Json, Json | None]:
    """The record in the content of a file, and the executed notebook that it is, if it is one.

    Raises RecordError for what holds no record of a run, or one of another version. `sound` are
    records that were found to be so: the same record is, in another file of its run.
    """
    try:
        found, executed = _found(content.decode(), Path(name).suffix.lower())
        faults = None if found in sound else _faults(found)
        if found.get("schema") == SCHEMA and not faults:
            return in_order(executed) if executed else found, executed
    except BROKEN:
        raise RecordError(
            f"{name} holds no record of a run: name an executed notebook, its page or its record"
        ) from None
    if found.get("schema") != SCHEMA:
        raise RecordError(
            f"the record in {name} is of the kind {found.get('schema')!r}, and kzresearch "
            f"{__version__} reads {SCHEMA!r}: use the version that wrote it"
        )
    raise RecordError(f"the record in {name} is not as this project writes it: {faults}")


def checked(found: Json, what: str = "the record") -> Json:
    """A record that is as its schema has it; RecordError for another."""
    if faults := _faults(found):
        raise RecordError(f"{what} is not as this project writes it: {faults}")
    return found


def plain(text: object) -> str:
    """A text in one line, without characters that a terminal or the format of a file obeys."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())


BROKEN = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
"""What is raised by reading a file that is not what its name says, by accident or by intent."""


def _found(text: str, suffix: str) -> tuple[Json, Json | None]:
    executed = None
    if suffix == ".html":
        (embedded,) = re.findall(
            r'<script type="application/json" id="kzresearch">(.*?)</script>', text
        )
        found = json.loads(embedded)
    else:
        found = json.loads(text)
        if suffix == ".ipynb":
            executed, found = found, found["metadata"]["kzresearch"]
    if not isinstance(found, dict) or "run_id" not in found:
        raise ValueError
    return found, executed


def _faults(found: Json) -> str | None:
    """What in a record is not as the schema has it, and where; None where nothing is."""
    from jsonschema.exceptions import best_match

    fault = best_match(_validator().iter_errors(found))
    if fault is None:
        return None
    place = fault.json_path.removeprefix("$").lstrip(".")
    return f"{place or 'the record'}: {fault.message[:200]}"


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(schema())


def schema() -> Json:
    """The JSON Schema of a record."""
    file = Path(__file__).with_name("record.schema.json")
    content: Json = json.loads(file.read_text(encoding="utf-8"))
    return content
