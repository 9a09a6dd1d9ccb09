"""JupyterLab on the notebooks: copied into a working folder, where nothing is ever overwritten."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from kzresearch.errors import KzresearchError, OutputError
from kzresearch.language import checked
from kzresearch.resources import notebooks_dir

FOLDER = "kzresearch-notebooks"
START = "start_here.ipynb"
_CONFIGURED = ("JUPYTER_PATH", "JUPYTER_CONFIG_PATH")
"""How Jupyter is told of a kernel that starts fast, and not to ask another host for news of itself."""


def copy_notebooks(folder: Path, language: str = "en") -> Iterator[tuple[str, bool]]:
    """Copy the notebooks into a folder; each one's name, and whether it was copied or was there.

    In another language than English the prose is in it, and the parameter `language` has it for its
    default. Raises UnknownValueError for a language that there is not, OutputError where the folder
    cannot be written.
    """
    from kzresearch.notebooks import notebooks, worded

    checked(language)
    if folder.exists() and folder.resolve() == notebooks_dir():
        return  # a checkout's own, as `make lab` opens them
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for one in notebooks():
            text = one.source
            if language != "en":
                content = _defaulting(worded(json.loads(text), language), language)
                text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
            yield one.name, _written(folder / f"{one.name}.ipynb", text)
    except OSError as error:
        raise OutputError(
            f"cannot copy the notebooks into {folder}: {(error.strerror or 'unknown').lower()}; name another "
            "folder"
        ) from None


def _defaulting(notebook: dict[str, Any], language: str) -> dict[str, Any]:
    for cell in notebook["cells"]:
        if "parameters" in cell["metadata"].get("tags", []):
            cell["source"] = [
                line.replace('language: str = "en"', f'language: str = "{language}"')
                for line in cell["source"]
            ]
    return notebook


def _written(path: Path, text: str) -> bool:
    """Whether the file was written; one that is there stays as it is."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return False
    return True


def open_lab(folder: Path, options: Sequence[str] = ()) -> None:
    """Open JupyterLab in a folder, on the tour; `options` are JupyterLab's own. Returns when it ends.

    Its kernels start as `kzresearch.kernel` says. Raises KzresearchError where JupyterLab is not
    installed.
    """
    for name in _CONFIGURED:
        paths = (str(configuration()), os.environ.get(name))
        os.environ[name] = os.pathsep.join(filter(None, paths))
    try:
        from jupyterlab.labapp import LabApp
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"jupyterlab", "jupyter_server"}:
            raise
        raise KzresearchError(
            'JupyterLab is not installed; install it: pip install "kzresearch[lab]"'
        ) from None
    start = f"/lab/tree/{START}" if (folder / START).is_file() else "/lab"
    where = (f"--ServerApp.root_dir={folder.resolve()}", f"--LabApp.default_url={start}")
    LabApp.launch_instance([*where, *options])


def configuration() -> Path:
    """The folder that `JUPYTER_PATH` names, for kernels that start fast in a Jupyter of one's own."""
    return Path(__file__).with_name("jupyter")
