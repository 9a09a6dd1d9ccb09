"""Periods of a store that are read in one go, and how little is read of an object store."""

from dataclasses import asdict, replace

import polars as pl
import pytest

import kzresearch as kz
from kzresearch.errors import OutputError
from kzresearch.form_1m import codebook
from kzresearch.regions import region_codes
from kzresearch.store import Store, Taken
from tests.run.servers import BUCKET, Gate, object_store
from tests.test_store import official, taken

LATER = "2024"


def of_later(region: str, period: str) -> Taken:
    """A report of another version of the form, which has nothing on article 146."""
    known = asdict(taken(region, period).report) | {"form_version": LATER}
    values = official(region).filter(pl.col("row") != "article:146")["value"]
    said = {name: one for name, one in known.items() if name not in {"figures", "form_checksum"}}
    return Taken.of(values, **said)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another version of the form that is known."""
    form = codebook.form()
    rows = form.rows.filter(pl.col("row") != "article:146")
    known = codebook._Known((form, replace(form, name=LATER, rows=rows)), {})
    monkeypatch.setattr(codebook, "_known", lambda: known)


def test_periods_and_versions_are_read_in_their_order(later, tmp_path, monkeypatch):
    monkeypatch.setenv("KZRESEARCH_STORE", str(tmp_path))
    held = Store(tmp_path)
    held.put("2023-10", [taken("KZ-75", "2023-10"), taken("KZ-10", "2023-10")])
    held.put("2023-11", [taken("KZ-75", "2023-11", more=1)])
    held.put("2023-12", [taken("KZ-75"), of_later("KZ-10", "2023-12")])
    held.put("2024-01", [of_later("KZ-10", "2024-01"), of_later("KZ-75", "2024-01")])
    periods = ["2023-10", "2023-11", "2023-12", "2024-01"]
    sections = {"section": ["R1", "R11"]}
    together = kz.load_form_1m(periods, **sections)
    assert together.equals(pl.concat([kz.load_form_1m(one, **sections) for one in periods]))
    first = together.row(0, named=True)
    assert together.filter(period="2023-11").row(0, named=True) == first | {
        "period": "2023-11",
        "region": "KZ-75",
        "workbook": taken("KZ-75", "2023-11", more=1).report.sha256,
        "value": official("KZ-75")["value"][0] + 1,
    }
    with_146 = together.filter(row="article:146").select("period", "region").unique()
    assert sorted(with_146.rows()) == [
        ("2023-10", "KZ-10"),
        ("2023-10", "KZ-75"),
        ("2023-11", "KZ-75"),
        ("2023-12", "KZ-75"),
    ]


def test_of_an_object_store_little_is_read(tmp_path, monkeypatch):
    gate = Gate()
    with object_store(tmp_path) as gate.upstream:
        for name, value in gate.environment.items():
            monkeypatch.setenv(name, value)
        where = f"s3://{BUCKET}/store"
        periods = ["2023-10", "2023-11", "2023-12"]
        for period in periods:
            Store(where).put(period, [taken(region, period) for region in region_codes()])
        sizes = [int(tag.rsplit(" ", 1)[1]) for tag in Store(where).tags().values()]
        monkeypatch.setenv("KZRESEARCH_STORE", where)
        gate.asked.clear()
        gate.sent.clear()
        found = kz.load_form_1m(periods[1], section="R1", article="146")
        assert gate.asked.total() < 10
        assert gate.sent.total() < 0.25 * sizes[1]
    bundled = kz.load_form_1m("2022-12", section="R1", article="146")
    assert found.drop("period", "workbook", "period_source").equals(
        bundled.drop("period", "workbook", "period_source")
    )
    gate.close()


def test_a_damaged_period_of_an_object_store_is_found_and_can_be_removed(tmp_path, monkeypatch):
    gate = Gate()
    with object_store(tmp_path) as gate.upstream:
        for name, value in gate.environment.items():
            monkeypatch.setenv(name, value)
        held = Store(f"s3://{BUCKET}/store")
        for period in ("2023-11", "2023-12"):
            held.put(period, [taken("KZ-75", period), taken("KZ-10", period)])
        name = "form_1m/period=2023-12/figures.parquet"
        content = bytearray(held.files.read(name))
        content[len(content) // 2] ^= 1
        held.files.write(name, bytes(content))
        again = Store(held.where)
        found = [(row["period"], row["damage"]) for row in again.check() if row["damage"]]
        assert [period for period, _ in found] == ["2023-12"]
        assert "take it out (kzresearch store --remove 2023-12)" in found[0][1]
        with pytest.raises(OutputError, match="is damaged"):
            again.remove("2023-12", "KZ-75")
        assert [one.region for one in again.remove("2023-12")] == ["KZ-10", "KZ-75"]
        assert [row["damage"] for row in again.check()] == [None, None]
        again.put("2023-12", [taken("KZ-75")])
        assert [(one.region, one.period) for one in Store(held.where).reports()] == [
            ("KZ-10", "2023-11"),
            ("KZ-75", "2023-11"),
            ("KZ-75", "2023-12"),
        ]
    gate.close()
