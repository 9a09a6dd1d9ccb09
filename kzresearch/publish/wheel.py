"""The package as it is installed → a wheel, so that others can install what made a run.

An installed package cannot be built again, and where it lies in a checkout, what would build it need
not be there: a wheel is a zip file of what is installed.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import json
import shutil
from datetime import datetime
from pathlib import Path

from kzresearch import records
from kzresearch.errors import OutputError
from kzresearch.notebooks import bare
from kzresearch.publish.archive import zip_folder
from kzresearch.resources import data_dir, lock_file, notebooks_dir
from kzresearch.store import OWN

NAME = "kzresearch"


def wheel_name() -> str:
    """The file name of the wheel."""
    return f"{NAME}-{installed().version}-py3-none-any.whl"


def installed() -> importlib.metadata.Distribution:
    """What the installer knows of the package; OutputError where it was not installed."""
    try:
        return importlib.metadata.distribution(NAME)
    except importlib.metadata.PackageNotFoundError:
        raise OutputError(
            "this package is on Python's path, but was never installed, and a bundle holds what "
            "installs it: install it (`make`, or `pip install`) and start again"
        ) from None


def licence() -> str:
    """The text of the package's licence."""
    return installed().read_text("licenses/LICENSE") or ""


def write_wheel(target: Path, work: Path, when: datetime) -> None:
    """Write the wheel of the installed package, data, notebooks and lock file in it.

    `work` is an empty folder for what goes into it; `when` is the time that all in it gets.
    """
    package = work / NAME
    code = Path(records.__file__).parent
    for path in _package_files(code):
        _copy(path, package / path.relative_to(code))
    bundled = (one for one in records.environment().data if not one.startswith(OWN))
    for name in (*bundled, "README.md"):
        _copy(data_dir() / name, package / "data" / name)
    for path in notebooks_dir().glob("*.ipynb"):
        _copy_bare(path, package / "notebooks" / path.name)
    _copy(lock_file(), package / lock_file().name)
    about = work / f"{NAME}-{installed().version}.dist-info"
    (about / "licenses").mkdir(parents=True)
    made = {
        "WHEEL": f"Wheel-Version: 1.0\nGenerator: {NAME}\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "METADATA": installed().read_text("METADATA") or "",
        "entry_points.txt": installed().read_text("entry_points.txt") or "",
        "licenses/LICENSE": licence(),
    }
    for name, text in made.items():
        (about / name).write_text(text, encoding="utf-8", newline="\n")
    lines = [_line(path, work) for path in sorted(work.rglob("*")) if path.is_file()]
    lines.append(f"{about.name}/RECORD,,")
    (about / "RECORD").write_text("\n".join(lines) + "\n", encoding="utf-8")
    zip_folder(work, target, when)


def _package_files(code: Path) -> list[Path]:
    """The package's own files: nothing hidden, compiled, or bundled with it."""
    found = []
    for path in code.rglob("*"):
        parts = path.relative_to(code).parts
        bundled = parts[0] in {"data", "notebooks", lock_file().name}
        passing = any(part.startswith(".") or part == "__pycache__" for part in parts)
        if path.is_file() and not path.is_symlink() and not bundled and not passing:
            found.append(path)
    return found


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _copy_bare(source: Path, target: Path) -> None:
    """Copy a notebook, without the outputs that someone who worked with it has left there."""
    notebook = json.loads(source.read_text(encoding="utf-8"))
    if any(cell.get("outputs") for cell in notebook["cells"]):
        target.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(bare(notebook), indent=1, ensure_ascii=False)
        target.write_text(text + "\n", encoding="utf-8")
    else:
        _copy(source, target)


def _line(path: Path, root: Path) -> str:
    """A file's line in the wheel's list, as the format of wheels has it."""
    content = path.read_bytes()
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"{path.relative_to(root).as_posix()},sha256={digest},{len(content)}"
