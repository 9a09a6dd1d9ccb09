"""The tables, built again: to the same bytes, whole or not at all."""

import hashlib
import subprocess
from pathlib import Path

import polars as pl
import pytest

import kzresearch as kz
from kzresearch import build, sources
from kzresearch.resources import data_dir
from kzresearch.schemas import Form1M
from tests.conftest import command
from tests.workbooks import make_whole_form, value_of


def same(written: Path, out: Path) -> bool:
    return written.read_bytes() == (data_dir() / written.relative_to(out)).read_bytes()


@pytest.mark.slow
def test_all_tables_are_built_from_the_raw_files_to_the_same_bytes(raw, tmp_path, monkeypatch):
    monkeypatch.setenv("KZRESEARCH_RAW", str(raw))
    written, failed = build.build_tables(tmp_path)
    assert failed == []
    names = {p.relative_to(tmp_path).as_posix() for p in written}
    assert names == {
        "form_1m/2022-12.parquet",
        "form_1m/2021-02.parquet",
        "workbooks.csv",
        "freedom_in_the_world.csv",
        "population.parquet",
        "published.csv",
        "torture_indices.parquet",
        "README.md",
    }
    assert [p.name for p in written if not same(p, tmp_path)] == []


def test_what_needs_no_raw_file_is_built_by_a_stranger_to_the_same_bytes(tmp_path):
    written, failed = build.build_tables(tmp_path, ["form_1m_reported", "readme"])
    assert failed == []
    assert len(written) == 2
    assert all(same(p, tmp_path) for p in written)
    assert not list(tmp_path.rglob("*.part"))


def test_tables_without_raw_files_are_named_and_nothing_is_written(tmp_path):
    empty = tmp_path / "raw"
    empty.mkdir()
    done = subprocess.run(
        [command("kzresearch"), "build", "--out", str(tmp_path / "out")],
        env={"KZRESEARCH_RAW": str(empty), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "not built: form_1m: form_1m/2022-12/Abay_Region.XLSX is not in KZRESEARCH_RAW" in (
        done.stderr
    )
    assert "not built: freedom_in_the_world: " in done.stderr
    assert "Traceback" not in done.stderr
    left = {p.name for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert left == {"2021-02.parquet", "README.md"}


def test_unknown_table_is_an_error_with_near_matches(tmp_path):
    done = subprocess.run(
        [command("kzresearch"), "build", "form1m", "--out", str(tmp_path)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.strip() == (
        "Error: unknown table 'form1m'; near matches: form_1m, form_1m_reported"
    )


def test_bundled_tables_are_small():
    assert sum(p.stat().st_size for p in (data_dir() / "form_1m").glob("*")) < 8_000_000


def test_bundled_figures_keep_their_contract_and_stand_where_they_say():
    for path in (data_dir() / "form_1m").glob("*.parquet"):
        frame = Form1M.validate(pl.read_parquet(path))
        assert frame["period"].unique().to_list() == [path.stem]
        where = frame.filter(pl.col("workbook").is_not_null())
        assert (where["cell"].str.split("!").list.first() == where["section"]).all()


def test_raw_workbook_of_another_region_is_refused(tmp_path, monkeypatch, raw):
    monkeypatch.setenv("KZRESEARCH_RAW", str(raw))
    files = sources.raw_files("form_1m")
    wrong = sources.RawFile(**{**vars(files[0]), "region": "KZ-75"})
    monkeypatch.setattr(sources, "raw_files", lambda _: [wrong])
    written, failed = build.build_tables(tmp_path, ["form_1m"])
    assert written == []
    assert failed == [
        "form_1m: form_1m/2022-12/Abay_Region.XLSX is of KZ-10, sources.toml says KZ-75"
    ]


def test_transcribed_figures_are_those_of_the_report():
    frame = kz.load_form_1m("2021-02", "KZ").sort("section", "row", "measure")
    found = {
        (s, r, m): v for s, r, m, v in frame.select("section", "row", "measure", "value").rows()
    }
    torture = ("R1", "article:146")
    assert found == {
        ("R1", "total", "registered"): 32_270,
        ("R1", "severity:especially_grave", "registered"): 459,
        ("R1", "severity:grave", "registered"): 7_607,
        ("R1", "severity:medium", "registered"): 14_281,
        ("R1", "severity:minor", "registered"): 5_491,
        ("R1", "chapter:3", "registered"): 366,
        (*torture, "registered"): 88,
        ("R1", "article:147", "registered"): 16,
        ("R1", "article:148", "registered"): 4,
        ("R1", "article:149", "registered"): 61,
        ("R1", "article:152", "registered"): 5,
        ("R1", "article:156", "registered"): 192,
        ("PRIL11", "article:146", "registered"): 50,
        (*torture, "registered_against_women"): 4,
        (*torture, "registered_against_minors"): 1,
        (*torture, "completed"): 1,
        (*torture, "sent_to_court"): 1,
        (*torture, "terminated_unspecified"): 40,
        (*torture, "term_expired_unspecified"): 8,
    }


@pytest.mark.slow
def test_table_of_made_workbooks_is_built_to_the_same_bytes_each_time(tmp_path, monkeypatch):
    folder = tmp_path / "raw" / "form_1m" / "2022-12"
    folder.mkdir(parents=True)
    files = []
    for region, code, title in (("KZ-71", "1971", "Астана"), ("KZ-75", "1975", "Алматы")):
        path = folder / f"{region}.xlsx"
        make_whole_form(path, organ_code=code, title=f"1-M  {title} (Свод)")
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        where = path.relative_to(tmp_path / "raw").as_posix()
        files.append(sources.RawFile("form_1m", where, sha256, region=region, period="2022-12"))
    monkeypatch.setenv("KZRESEARCH_RAW", str(tmp_path / "raw"))
    monkeypatch.setattr(sources, "raw_files", lambda _: files)
    written = []
    for out in (tmp_path / "one", tmp_path / "two"):
        paths, failed = build.build_tables(out, ["form_1m"])
        assert failed == []
        written.append([path.read_bytes() for path in paths])
    assert written[0] == written[1]
    frame = Form1M.validate(pl.read_parquet(tmp_path / "one" / "form_1m" / "2022-12.parquet"))
    assert frame.height == 2 * 217_460
    assert set(frame["region"]) == {"KZ-71", "KZ-75"}
    cell = frame.filter(pl.col("cell") == "R11!F9", pl.col("region") == "KZ-75")
    assert cell["value"].item() == value_of("R11", 3, 2)
    table = pl.read_csv(tmp_path / "one" / "workbooks.csv")
    assert table["sha256"].to_list() == [file.sha256 for file in files]
    assert table["period_source"].to_list() == ["argument", "argument"]


def test_period_with_workbooks_and_a_publication_keeps_both(tmp_path, monkeypatch, raw):
    monkeypatch.setenv("KZRESEARCH_RAW", str(raw))
    extra = build._reported_figures().with_columns(period=pl.lit("2022-12")).head(1)
    monkeypatch.setattr(build, "_reported_figures", lambda: extra)
    one = [file for file in sources.raw_files("form_1m") if file.region == "KZ-62"]
    monkeypatch.setattr(sources, "raw_files", lambda _: one)
    written, failed = build.build_tables(tmp_path, ["form_1m", "form_1m_reported"])
    assert failed == []
    assert [p.name for p in written] == ["2022-12.parquet", "workbooks.csv"]
    frame = pl.read_parquet(written[0])
    assert frame.height == 217_460 + 1
    assert set(frame["source"]) == {"form_1m", "acca_2021"}
