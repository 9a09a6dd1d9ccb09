"""One run: a notebook with its parameters, executed, and what is left of it as one file.

The executed notebook holds its record; the record beside it and the page are made from it. Every
run, on whichever engine and machine, goes through here.
"""

from __future__ import annotations

import json
import logging
import re
import signal
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import encode_basestring as quoted
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kzresearch.run.scrub import scrub, scrubbed_message

if TYPE_CHECKING:
    from kzresearch import records
    from kzresearch.notebooks import Notebook, Value

Json = dict[str, Any]
FAST, STOCK = "fast", "stock"
NOTEBOOK, FAILURE = "notebook.ipynb", "failure.json"
JOURNAL, CURRENT = "cells.jsonl", "cell.txt"
"""What a run leaves as it goes on: each cell that has ended, and the index of the one that runs."""
ARGUMENTS = ("--IPKernelApp.log_level=ERROR",)
"""What a kernel is told: it listens on this machine alone; its warning of that is not for a reader."""
INJECTED = "parameters-of-this-run"
"""The id of the cell of parameters, which papermill would make up anew in each run."""


@dataclass(frozen=True)
class Task:
    """What there is to run: a notebook's name and text, all its parameters, and the run's id."""

    notebook: str
    source: str
    parameters: dict[str, Value]
    run_id: str
    own: bool = True
    authors: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        notebook: Notebook,
        values: dict[str, Value],
        environment: records.Environment | None = None,
    ) -> Task:
        """The run of a notebook, with values that were checked, in an environment (the present)."""
        from kzresearch import records

        run_id = (environment or records.environment()).run_id(notebook.content, values)
        return cls(notebook.name, notebook.source, values, run_id, notebook.own)

    @property
    def content(self) -> Json:
        """The notebook's JSON, which is not to be changed."""
        return content_of(self.source)

    @property
    def stem(self) -> str:
        """What the names of its files begin with."""
        return f"{self.notebook}-{self.run_id}"

    @property
    def label(self) -> str:
        """The run in a line: `case_flow period=2022-12 region=KZ-75`."""
        return " ".join([self.notebook, *(f"{name}={v}" for name, v in self.parameters.items())])

    def save(self, folder: Path) -> None:
        """Leave it in a folder for the process that runs it."""
        (folder / NOTEBOOK).write_text(self.source, encoding="utf-8")
        about = asdict(self) | {"source": ""}
        (folder / "task.json").write_text(json.dumps(about), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Task:
        """The task that `save` left."""
        about = json.loads((folder / "task.json").read_text(encoding="utf-8"))
        return cls(**about | {"source": (folder / NOTEBOOK).read_text(encoding="utf-8")})


@lru_cache(maxsize=8)
def content_of(source: str) -> Json:
    """A notebook's JSON, which is not to be changed."""
    content: Json = json.loads(source)
    return content


class Failure(Exception):  # noqa: N818
    """Why a run has no result although no cell of it failed: its kind, and a sentence."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def run_task(folder: Path, engine: str) -> None:
    """Run the folder's task in this process and leave `executed.ipynb` there.

    On the way it leaves what is known of the run where the process is lost: `JOURNAL`, `CURRENT`.
    Raises `Failure` where the kernel dies, and where the environment is not the one that the task
    was made in.
    """
    from kzresearch import records

    task, started = Task.load(folder), datetime.now(UTC)
    notebook = _prepared(task, folder)
    with (
        (folder / JOURNAL).open("w", encoding="utf-8") as journal,
        (folder / CURRENT).open("wb", buffering=0) as current,
    ):

        def begin(cell: Json, cell_index: int) -> None:  # noqa: ARG001
            current.seek(0)
            current.write(b"%d" % cell_index)

        def keep(cell: Json, cell_index: int, **_: Any) -> None:
            journal.write(json.dumps([cell_index, cell]) + "\n")
            journal.flush()

        _execute(notebook, engine, on_cell_start=begin, on_cell_executed=keep)
    now = records.environment()
    if now.run_id(task.content, task.parameters) != task.run_id:
        raise Failure(
            "EnvironmentChanged",
            "the package, its data or what is installed was changed while the batch ran, and runs "
            "before and after would not be one; what is there is kept: start it again",
        )
    (folder / "executed.part").write_bytes(_finished(task, notebook, engine, started, now=now))
    (folder / "executed.part").rename(folder / "executed.ipynb")


def failed_notebook(
    folder: Path, engine: str, cell: int | None, failure: Failure, started: datetime
) -> bytes:
    """The notebook of a run whose process is gone: what its cells left, and why it ended where."""
    import nbformat

    task = Task.load(folder)
    notebook = _prepared(task, folder)
    for one in notebook["cells"]:
        one["metadata"]["papermill"] = {"status": "pending", "exception": None}
        if one["cell_type"] == "code":
            one["outputs"], one["execution_count"] = [], None
    journal = folder / JOURNAL
    for line in journal.read_text(encoding="utf-8").splitlines() if journal.exists() else ():
        try:
            index, kept = json.loads(line)
        except ValueError:  # the process ended while it wrote
            continue
        notebook["cells"][index] = nbformat.from_dict(kept)
        notebook["cells"][index]["metadata"]["papermill"]["status"] = "completed"
    places = [i for i, one in enumerate(notebook["cells"]) if one["cell_type"] == "code"]
    where = next((i for i in places if i >= (cell or 0)), places[-1] if places else None)
    if where is not None:
        of, text = notebook["cells"][where], f"{failure.kind}: {failure}"
        of["metadata"]["papermill"] |= {"status": "failed", "exception": True}
        counts = [notebook["cells"][place]["execution_count"] or 0 for place in places]
        of["execution_count"] = of["execution_count"] or max(counts) + 1
        of["outputs"].append(
            nbformat.v4.new_output(
                "error", ename=failure.kind, evalue=str(failure), traceback=[text]
            )
        )
    return _finished(task, notebook, engine, started, failure)


def ended_by(content: bytes, failure: Failure) -> bytes:
    """The executed notebook of a run whose cell was interrupted, with the reason in its place."""
    import nbformat

    from kzresearch import records

    notebook = nbformat.reads(content.decode(), as_version=4)
    record = notebook["metadata"]["kzresearch"]
    if not record["error"]:  # it ended by itself just then
        return content
    record["error"] |= {"type": failure.kind, "message": str(failure)}
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            if output["output_type"] == "error" and output["ename"] == "KeyboardInterrupt":
                output |= {"ename": failure.kind, "evalue": str(failure)}
                output["traceback"].append(f"{failure.kind}: {failure}")
    record["outputs"] = records.outputs_of(notebook)
    return _written(notebook)


_AHEAD = 32
"""Of how many notebooks that is kept."""
_read: dict[str, Any] = {}
"""What papermill reads of a notebook, by its text: ahead of the fork of a process that runs it."""


def read_ahead(task: Task, folder: Path) -> bool:
    """Read the folder's notebook for processes that are forked from this one; whether it is new."""
    from papermill.iorw import load_notebook_node

    if task.source in _read:
        return False
    if len(_read) >= _AHEAD:
        _read.clear()
    _read[task.source] = load_notebook_node(str(folder / NOTEBOOK))
    return True


def _prepared(task: Task, folder: Path) -> Any:
    """The notebook as papermill executes it: with its parameters, marked, without old errors."""
    from papermill.execute import prepare_notebook_metadata, remove_error_markers
    from papermill.iorw import load_notebook_node
    from papermill.parameterize import parameterize_notebook

    from kzresearch.notebooks import worded

    # What is read ahead is changed here, and is this process's own.
    notebook = _read.get(task.source) or load_notebook_node(str(folder / NOTEBOOK))
    _read.clear()
    notebook = worded(notebook, task.parameters.get("language"))
    named = {"name": "python3", "language": "python", "display_name": "Python 3 (ipykernel)"}
    if not notebook["metadata"].get("kernelspec", {}).get("name"):
        notebook["metadata"]["kernelspec"] = named
    if task.parameters:
        notebook = parameterize_notebook(notebook, task.parameters)
        for cell in notebook["cells"]:
            if "injected-parameters" in cell["metadata"].get("tags", []):
                cell["id"] = INJECTED
    notebook = prepare_notebook_metadata(notebook, f"{task.notebook}.ipynb", None)
    return remove_error_markers(notebook)


def _execute(notebook: Any, engine: str, **hooks: Any) -> None:
    import nbclient.client
    from nbclient.exceptions import DeadKernelError
    from papermill.engines import papermill_engines

    # nbclient's own pattern takes forever on a long line: it tries to end at each of its characters.
    nbclient.client._RGX_CARRIAGERETURN = re.compile(r"^.*\r(?=[^\n])", re.MULTILINE)  # noqa: SLF001

    # What goes wrong stands in the notebook and in its record.
    logging.getLogger("papermill").setLevel(logging.CRITICAL)
    name: str | None = None
    ended: list[int | None] = []
    if engine == FAST:
        from kzresearch.run.engine import NAME

        name = NAME
    else:
        hooks["kernel_manager_class"] = _manager(ended)
    try:
        papermill_engines.execute_notebook_with_engine(
            name,
            notebook,
            kernel_name=papermill_engines.nb_kernel_name(name, notebook),
            progress_bar=False,
            coalesce_streams=True,
            extra_arguments=[*ARGUMENTS],
            **hooks,
        )
    except DeadKernelError:
        raise end_in_words(ended[-1] if ended else None) from None


def _manager(ended: list[int | None]) -> type:
    """Jupyter's manager of a kernel, which notes with which exit code the kernel has ended."""
    from jupyter_client.manager import AsyncKernelManager

    class Manager(AsyncKernelManager):
        async def is_alive(self) -> bool:  # type: ignore[override]
            alive = bool(await super().is_alive())
            if not alive and self.provisioner:
                ended.append(await self.provisioner.poll())
            return alive

    return Manager


def end_in_words(code: int | None) -> Failure:
    """What it means that a notebook's process is gone, with an exit code or, below 0, a signal."""
    if code is not None and code < 0:
        names = {one.value: one.name for one in signal.Signals}
        hint = "; the system does so where memory runs out" if code == -signal.SIGKILL else ""
        name = names.get(-code, f"signal {-code}")
        return Failure("Killed", f"the notebook's process was killed by {name}{hint}")
    known = "" if code is None else f", with exit code {code}"
    return Failure("KernelDied", f"the notebook ended its own process{known}")


def _finished(
    task: Task,
    notebook: Any,
    engine: str,
    started: datetime,
    failure: Failure | None = None,
    now: records.Environment | None = None,
) -> bytes:
    """The executed notebook, scrubbed, with its record: the bytes of the file."""
    from kzresearch import records

    error = _error(notebook)
    scrub(notebook)
    if failure:
        place = error["cell"] if error else None
        error = {"cell": place, "type": failure.kind, "message": scrubbed_message(str(failure))}
    notebook["metadata"]["kzresearch"] = records.run_record(
        task, notebook, engine, started, error, now
    )
    return _written(notebook)


def _written(notebook: Any) -> bytes:
    """The notebook as nbformat writes it, without the copies that it makes of it first."""
    from nbformat.v4.rwbase import split_lines, strip_transient

    return (indented(strip_transient(split_lines(notebook)), " ", sorted) + "\n").encode()


def indented(
    value: Any, step: str, keys: Callable[[Json], Iterable[str]] = iter, line: str = "\n"
) -> str:
    """What `json.dumps(value, ensure_ascii=False, indent=step)` gives, in half the time.

    `keys` puts the keys of an object in order.
    """
    kind, inner = type(value), line + step
    if isinstance(value, str):
        return quoted(value)
    if value is None:
        return "null"
    if kind is int or (kind is float and isfinite(value)):
        return repr(value)
    if value and isinstance(value, dict):
        parts = [
            f"{quoted(k)}: {quoted(one) if type(one) is str else indented(one, step, keys, inner)}"
            for k in keys(value)
            for one in (value[k],)
        ]
        return f"{{{inner}{f',{inner}'.join(parts)}{line}}}"
    if value and isinstance(value, (list, tuple)):
        parts = [
            quoted(one) if type(one) is str else indented(one, step, keys, inner) for one in value
        ]
        return f"[{inner}{f',{inner}'.join(parts)}{line}]"
    return json.dumps(value)


def _error(notebook: Any) -> Json | None:
    """Which cell failed and how; papermill's banners are put into the notebook."""
    from papermill.exceptions import PapermillExecutionError
    from papermill.execute import ERROR_MARKER_TAG, raise_for_execution_errors

    try:
        raise_for_execution_errors(notebook, None)
    except PapermillExecutionError as failure:
        for place, cell in enumerate(notebook["cells"]):
            if ERROR_MARKER_TAG in cell["metadata"].get("tags", []):
                cell["id"] = f"error-{place}"
        return {
            "cell": failure.exec_count,
            "type": failure.ename,
            "message": scrubbed_message(failure.evalue),
        }
    return None
