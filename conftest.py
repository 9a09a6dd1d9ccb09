"""What every test has: a store of its own, and for examples in docstrings a desk as a reader's.

An example of a docstring is run in an empty folder with an empty store; `kz` and `rates` are imported.
Where it names them, `Astana.XLSX`, `Almaty.XLSX` and `reports/2023-12` lie there.
"""

import os
import shutil
import tempfile
from itertools import product
from pathlib import Path

import pytest

import kzresearch as kz  # first: it keeps the slow rfc3987-syntax out of this process

# No test sees the store of whoever runs it; processes that tests start inherit this.
_STORE = tempfile.TemporaryDirectory(prefix="kzresearch-store-")
os.environ["KZRESEARCH_STORE"] = _STORE.name

REGIONS = [("1971", "Astana", "Астана"), ("1975", "Almaty", "Алматы")]
FOLDERS = ["reports/2023-12", "."]


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of reports that add up: so many times the figures of a region whose report does."""
    from tests.generated import bundled
    from tests.workbooks import make_whole_form

    place, figures = tmp_path_factory.mktemp("desk"), bundled("KZ-10")
    (place / "reports" / "2023-12").mkdir(parents=True)
    for times, (folder, (code, name, region)) in enumerate(product(FOLDERS, REGIONS), 2):
        make_whole_form(
            place / folder / f"{name}.XLSX",
            values=lambda *at, times=times: times * figures(*at),
            organ_code=code,
            title=f"1-M  {region} (Свод)",
        )
    return place


@pytest.fixture(autouse=True)
def example(request: pytest.FixtureRequest) -> None:
    """Where an example of a docstring is run."""
    if not isinstance(request.node, pytest.DoctestItem):
        return
    from kzresearch import rates

    folder = request.getfixturevalue("tmp_path")
    if any(word in request.node.dtest.docstring for word in (".XLSX", "reports/")):
        shutil.copytree(request.getfixturevalue("desk"), folder, dirs_exist_ok=True)
    monkeypatch = request.getfixturevalue("monkeypatch")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("KZRESEARCH_STORE", f"{folder}/store")
    request.node.dtest.globs.update(kz=kz, rates=rates)
