"""Fixtures: where raw files are, and runs of the notebook shared by the tests that look at them."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PERIODS = ["2021-02", "2022-12"]


def command(name: str) -> str:
    """A command of the environment that the tests run in."""
    return str(Path(sys.executable).with_name(name))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`-m raw` chooses what needs raw files: all else is the same with and without them."""
    for item in items:
        if "raw" in getattr(item, "fixturenames", ()):
            item.add_marker("raw")


@pytest.fixture(scope="session")
def raw() -> Path:
    """The folder of raw files, where there is one."""
    for folder in (os.environ.get("KZRESEARCH_RAW"), ROOT.parent / "shared" / "sources"):
        if folder and Path(folder).is_dir():
            return Path(folder)
    pytest.skip("no raw files: set KZRESEARCH_RAW to a folder of them, laid out as sources.toml")


def tool(name: str) -> str:
    """Path of a program the test needs; skipped where it is not there, never in CI."""
    found = shutil.which(name)
    if found is None:
        if os.environ.get("KZRESEARCH_REQUIRE_TOOLS"):
            pytest.fail(f"{name} is not installed")
        pytest.skip(f"{name} is not installed")
    return found


@dataclass(frozen=True)
class Left:
    """A run's record, and the files it left."""

    record: dict
    notebook: Path
    page: Path
    json: Path


def whole(made) -> list[tuple]:
    """The runs of a batch, with their records as their files have them."""
    stems = ((planned, planned.task.stem) for planned, _ in made.runs)
    return [(planned, json.loads(made.outputs.read(f"{stem}.json"))) for planned, stem in stems]


def run_notebook(name: str, parameters: dict, out: Path) -> Left:
    """Run a notebook as `kzresearch run` does."""
    from kzresearch.run.batch import Block, Options, make

    made = make([Block([name], parameters)], out, Options(force=True))
    ((planned, record),) = whole(made)
    files = [out / f"{planned.task.stem}.{ending}" for ending in ("ipynb", "html", "json")]
    return Left(record, *files)


@dataclass(frozen=True)
class Outcome:
    """What a run of the command left."""

    notebook: dict
    page: str
    page_path: Path
    record: dict
    printed: str


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str | None], Outcome]:
    """`kzresearch report`, run once as a user would, in an empty folder.

    Notebook and period → what the run left; the folder holds the index page too.
    """
    folder = tmp_path_factory.mktemp("report")
    done = subprocess.run(
        [command("kzresearch"), "report"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    outcomes = {}
    for path in (folder / "out").glob("*.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        page = path.with_suffix(".html")
        outcomes[record["notebook"], record["parameters"].get("period")] = Outcome(
            notebook=json.loads(path.with_suffix(".ipynb").read_text(encoding="utf-8")),
            page=page.read_text(encoding="utf-8"),
            page_path=page,
            record=record,
            printed=done.stdout,
        )
    return outcomes


@pytest.fixture(scope="session")
def runs(report: dict[tuple[str, str | None], Outcome]) -> dict[str, Outcome]:
    """The period reports among them: period → what the run left."""
    return {period: one for (name, period), one in report.items() if name == "period_report"}
