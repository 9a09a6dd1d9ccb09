"""Runs one notebook with its parameters and leaves notebook, page and record, each whole."""

from __future__ import annotations

import json
import os
import re
import site
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kzresearch import records
from kzresearch.errors import ParameterError
from kzresearch.notebooks import Notebook, find_notebook

Json = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """A finished run: its record, the files it left, and what its notebook asks (Markdown)."""

    record: Json
    notebook: Path
    page: Path
    json: Path
    title: str
    question: str


def run(
    notebook: str,
    parameters: dict[str, str] | None = None,
    out: str | Path = "out",
    *,
    progress: bool = True,
) -> Run:
    """Run a notebook of the package through papermill.

    `parameters` are texts, as on the command line; those left out keep the notebook's defaults.
    Leaves `<out>/<notebook>-<run id>.ipynb`, `.html` and `.json`. A run whose cell fails leaves the
    same, with `status` "failed" in its record and the error in place.

    Raises `UnknownValueError` or `ParameterError`, before anything runs, for a notebook, parameter
    or value that is not there, and for a folder that cannot be written into.
    """
    found = find_notebook(notebook)
    values = found.check(parameters or {})
    _make_folder(Path(out))
    started = datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="kzresearch-") as folder:
        executed, error = _execute(found, values, Path(folder), progress=progress)
    _scrub(executed, found)
    record = records.run_record(
        found.name, found.path, executed, values, started, datetime.now(UTC), error
    )
    executed["metadata"]["kzresearch"] = record
    return _write(Path(out), executed, record, found)


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise ParameterError(
            f"cannot write into {out}: {error.strerror}; name another folder"
        ) from None


def _execute(
    notebook: Notebook, values: Json, folder: Path, *, progress: bool
) -> tuple[Json, Json | None]:
    """The executed notebook and, where a cell failed, which and how."""
    import nbformat
    import papermill

    target = folder / "executed.ipynb"
    error = None
    try:
        papermill.execute_notebook(
            str(notebook.path),
            str(target),
            parameters=values,
            kernel_name="python3",
            progress_bar=progress,
            cwd=str(folder),
            # The kernel listens on this machine alone; its warning about that is not for the reader.
            extra_arguments=["--IPKernelApp.log_level=ERROR"],
        )
    except papermill.PapermillExecutionError as failure:
        error = {
            "cell": failure.exec_count,
            "type": failure.ename,
            "message": _without_paths(failure.evalue),
        }
    return nbformat.read(target, as_version=4), error


def _scrub(executed: Json, notebook: Notebook) -> None:
    """Take the machine out of what papermill writes: paths in its metadata and in tracebacks."""
    metadata = executed["metadata"].get("papermill", {})
    metadata |= {"input_path": notebook.path.name, "output_path": None, "environment_variables": {}}
    for cell in executed["cells"]:
        for output in cell.get("outputs", []):
            if output["output_type"] == "error":
                output["traceback"] = [_without_paths(line) for line in output["traceback"]]
                output["evalue"] = _without_paths(output["evalue"])
            elif output["output_type"] == "stream":
                output["text"] = _without_paths(output["text"])
            else:
                data = output["data"]
                data |= {k: _without_paths(v) for k, v in data.items() if isinstance(v, str)}


def _without_paths(text: str) -> str:
    """The text without the folders of this machine: what stands below them stays."""
    folders = {
        str(Path(__file__).resolve().parents[1]): "kzresearch",
        **dict.fromkeys(site.getsitepackages(), "site-packages"),
        sys.prefix: "environment",
        sys.base_prefix: "python",
        str(Path.cwd()): ".",
        tempfile.gettempdir(): "temporary",
        str(Path.home()): "~",
    }
    for folder in sorted(folders, key=len, reverse=True):
        if len(folder) > 1:
            text = text.replace(folder, folders[folder])
    return re.sub(r"temporary/ipykernel_\d+", "temporary/ipykernel", text)


def _write(out: Path, executed: Json, record: Json, of: Notebook) -> Run:
    import nbformat

    from kzresearch.publish import html

    stem = f"{record['notebook']}-{record['run_id']}"
    paths = {ending: out / f"{stem}.{ending}" for ending in ("ipynb", "html", "json")}
    texts = {
        "ipynb": nbformat.writes(executed) + "\n",
        "html": html.page(executed, record),
        "json": json.dumps(record, indent=2, ensure_ascii=False) + "\n",
    }
    for ending, path in paths.items():
        write_whole(path, texts[ending])
    return Run(record, paths["ipynb"], paths["html"], paths["json"], of.title, of.question)


def write_whole(path: Path, text: str) -> None:
    """Write a text file so that it is there whole or not at all."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
