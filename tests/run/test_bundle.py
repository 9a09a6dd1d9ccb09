"""A bundle of runs that lie in an object store."""

from pathlib import Path

import pytest

from kzresearch.publish import archive, bundle
from kzresearch.run.batch import Block, Options, make
from kzresearch.run.outputs import Outputs
from tests.run.made import RECORDS, made
from tests.run.servers import BUCKET, Gate


def test_runs_in_an_object_store_are_bundled_as_those_in_a_folder(
    store: Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(bundle, "add_tables", lambda *_: [])  # they take long
    notebook = made(tmp_path / "mine.ipynb", *RECORDS)
    make([Block([str(notebook)])], tmp_path / "runs", Options(progress=False))
    there = f"s3://{BUCKET}/{tmp_path.name}/runs"
    outputs = Outputs(there)
    for path in (tmp_path / "runs").iterdir():
        outputs.write(path.name, path.read_bytes())
    bundle.bundle(tmp_path / "runs", tmp_path / "near.zip", archive=True)
    bundle.bundle(there, tmp_path / "far.zip", archive=True)
    assert archive.is_bundle(tmp_path / "far.zip")
    assert (tmp_path / "far.zip").read_bytes() == (tmp_path / "near.zip").read_bytes()
