"""Versions of the form that lie in an object store."""

from pathlib import Path

import pytest

from kzresearch.form_1m import codebook
from kzresearch.storage import Storage
from tests.form_1m.test_versions import ADDED, HEAD
from tests.run.servers import BUCKET, Gate


def test_versions_in_an_object_store(store: Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    where = f"s3://{BUCKET}/{tmp_path.name}/own"
    storage = Storage(where)
    storage.write("forms/2024.toml", (HEAD + ADDED).encode())
    storage.write("forms/notes.txt", b"not a version")
    monkeypatch.setenv("KZRESEARCH_STORE", where)
    assert [form.name for form in codebook.forms()] == ["2022", "2024"]
    assert codebook.forms() is codebook.forms()
    # It is looked at again after a moment.
    storage.write("forms/2024.toml", HEAD.encode())
    assert codebook.left_out() == []
    monkeypatch.setattr(codebook, "MOMENT", 0.001)
    assert "look the same" in codebook.left_out()[0]
