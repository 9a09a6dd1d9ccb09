"""A store in an object store, and workbooks read by a Dask cluster: the same reports in the end."""

import contextlib
import re
import subprocess
from pathlib import Path

import polars as pl
import psutil
import pytest

import kzresearch as kz
from kzresearch.errors import OutputError, ParameterError, UnknownValueError
from kzresearch.ingesting import Progress
from kzresearch.regions import region_codes
from kzresearch.store import Store
from kzresearch.store import store as own
from tests.conftest import command
from tests.reports import make_report
from tests.run.servers import BUCKET, Gate, dask_cluster, until
from tests.test_store import NAME, PERIOD, damages, files, taken

WHERE = {"section": "R1", "article": "146", "measure": "registered"}


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six reports of two months, and a file that is none."""
    folder = tmp_path_factory.mktemp("reports")
    for number, region in enumerate(region_codes()[:3]):
        for month in ("2023-11", PERIOD):
            value = 10 * number + int(month[-2:])
            make_report(folder / month / f"{region}.xlsx", region, F70=value)
    (folder / PERIOD / "junk.xlsx").write_bytes(b"PK junk")
    return folder


@pytest.fixture(scope="module")
def expected(reports: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a store in a folder that holds them."""
    folder = tmp_path_factory.mktemp("expected")
    found = kz.ingest(reports, store=folder, jobs=1)
    assert found["outcome"].value_counts().sort("count").rows() == [("refused", 1), ("taken", 6)]
    return files(folder)


@pytest.fixture
def bucket(store: Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The user's store, in a bucket."""
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    where = f"s3://{BUCKET}/{tmp_path.name}"
    monkeypatch.setenv("KZRESEARCH_STORE", where)
    return where


def in_bucket(where: str) -> dict[str, bytes]:
    there = Store(where).files
    return {name: there.read(name) for name in there.names("")}


def outcomes(frame: pl.DataFrame) -> list[str]:
    return sorted(frame["outcome"])


def ran(*words: object, check: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [command("kzresearch"), *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == check, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


# Object storage


def test_a_bucket_holds_what_a_folder_would(bucket, reports, expected):
    found = kz.ingest(reports, jobs=1)
    assert outcomes(found) == ["refused", *["taken"] * 6]
    assert in_bucket(bucket) == expected
    frame = kz.load_form_1m([PERIOD, "2023-11"], **WHERE)
    assert frame.sort("period", "region")["value"].to_list() == [11, 21, 31, 12, 22, 32]
    assert kz.load_workbooks().filter(pl.col("period") > "2023").height == 6
    assert outcomes(kz.ingest(reports, jobs=1)) == [*["already there"] * 6, "refused"]
    assert damages() == []
    path = make_report(reports.parent / "more" / PERIOD / "other.xlsx", region_codes()[0], F70=77)
    (first,) = [one for one in own().of(PERIOD) if one.region == region_codes()[0]]
    assert outcomes(kz.ingest(path, jobs=1, replace=True)) == ["replaced"]
    assert kz.load_form_1m(PERIOD, region_codes()[0], **WHERE)["value"].to_list() == [77]
    assert kz.load_form_1m(workbook=first.sha256, **WHERE)["value"].to_list() == [12]
    assert "6 of 6 reports hold the figures" in ran("store", "--check").stdout


def test_reports_are_taken_out_of_a_bucket(bucket):
    own().put(PERIOD, [taken("KZ-75"), taken("KZ-10")])
    own().remove(PERIOD, "KZ-10")
    assert kz.load_workbooks().filter(period=PERIOD)["region"].to_list() == ["KZ-75"]
    ran("store", "--remove", PERIOD)
    fresh = Store(bucket)
    assert fresh.reports() == []
    assert fresh.checksums() == {}
    with pytest.raises(OutputError, match="changed while it was read; read it again"):
        kz.load_form_1m(PERIOD)  # what was there a moment ago is looked up every half minute
    with pytest.raises(UnknownValueError):
        kz.load_form_1m(PERIOD)
    own().put(PERIOD, [taken("KZ-75")])
    assert kz.load_form_1m(PERIOD)["region"].unique().to_list() == ["KZ-75"]


def test_of_two_that_write_at_once_none_is_lost_silently(bucket):
    """Each has looked at the period before the other writes."""
    one, other = Store(bucket), Store(bucket)
    one.put(PERIOD, [taken("KZ-10")])
    late = other._period(PERIOD)
    one.put(PERIOD, [taken("KZ-11")])
    other._fresh = lambda _period: late  # type: ignore[method-assign]
    with pytest.raises(OutputError, match="was changed by another command meanwhile"):
        other.put(PERIOD, [taken("KZ-15")])
    with pytest.raises(OutputError, match="was changed by another command meanwhile"):
        other.remove(PERIOD, "KZ-10")
    nothing = Store(f"{bucket}/second")
    late = nothing._period(PERIOD)
    Store(f"{bucket}/second").put(PERIOD, [taken("KZ-10")])
    nothing._fresh = lambda _period: late  # type: ignore[method-assign]
    with pytest.raises(OutputError, match="was changed by another command meanwhile"):
        nothing.put(PERIOD, [taken("KZ-15")])
    assert [report.region for report in Store(bucket).of(PERIOD)] == ["KZ-10", "KZ-11"]


def test_two_ingests_at_once_into_a_bucket(bucket, reports, expected):
    words = [command("kzresearch"), "ingest", str(reports), "-j", "1", "--quiet"]
    both = [
        subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for process in both:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 1  # one file is refused in any case
        assert "Traceback" not in err
        assert err == "" or "was changed by another command meanwhile" in err
        assert "junk" in out or err
    kz.ingest(reports, jobs=1)
    assert in_bucket(bucket) == expected


def test_another_report_that_came_meanwhile_is_not_replaced(bucket, reports, tmp_path):
    """Who has begun to read when there was none of the region does not take its place unasked."""
    region = region_codes()[0]
    other = make_report(tmp_path / PERIOD / "other.xlsx", region, F70=5)
    began = []

    def come(_files: int) -> None:
        began.append(Store(bucket).put(PERIOD, [taken(region)]))

    with pytest.raises(OutputError, match=f"has had another report of {region} for {PERIOD} since"):
        kz.ingest(other, jobs=1, progress=Progress(began=come))
    assert [one.file for one in Store(bucket).of(PERIOD)] == [f"{region}.xlsx"]
    assert len(began) == 1


def test_a_bucket_that_fails_now_and_then(bucket, store, reports, expected):
    with store.failing(0.3, seed=5) as faults:
        assert outcomes(kz.ingest(reports, jobs=1)) == ["refused", *["taken"] * 6]
        frame = kz.load_form_1m([PERIOD, "2023-11"], **WHERE)
        assert frame["value"].sum() == 129
        assert damages() == []
    assert sum(faults.values()) >= 3
    assert in_bucket(bucket) == expected


def test_of_a_bucket_only_what_is_needed_is_read(bucket, store, reports):
    kz.ingest(reports, jobs=1)
    kz.load_form_1m(PERIOD, **WHERE)
    store.asked.clear()
    kz.load_form_1m(PERIOD, **WHERE)
    assert store.asked["PUT"] == 0
    assert sum(store.asked.values()) < 12


def test_a_bucket_that_is_not_there_is_told_in_a_sentence(bucket, reports, monkeypatch):
    monkeypatch.setenv("KZRESEARCH_STORE", "s3://nobodys/store")
    done = ran("ingest", reports, "-j", "1", check=1)
    assert re.fullmatch(
        r"Error: cannot use s3://nobodys/store for the store: [^\n]+\n", done.stderr
    )


def test_notebooks_run_on_a_period_in_a_bucket(bucket, tmp_path):
    own().put(PERIOD, [taken("KZ-75")])
    words = ("run", "period_report", "-p", f"period={PERIOD}", "-p", "region=KZ-75")
    ran(*words, "--out", tmp_path / "out", "--formats", "none")
    (record,) = (tmp_path / "out").glob("period_report-*.json")
    found = kz.records.read(record)
    assert found["status"] == "completed"
    assert f"store/{NAME}" in found["data"]


# Dask


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KZRESEARCH_STORE", str(tmp_path / "store"))
    return tmp_path / "store"


def serves(one: psutil.Process) -> bool:
    """Whether it is a reader of workbooks; not one that has just ended."""
    with contextlib.suppress(psutil.Error):
        return any("serve()" in word for word in one.cmdline())
    return False


def left_on_workers(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.name.startswith("kzresearch-")]


@pytest.mark.slow
def test_workers_of_a_cluster_read_the_same(folder, reports, expected, cluster):
    done = ran("ingest", reports, "--dask", cluster.address, check=1)
    assert done.stdout.endswith("7 files: 6 taken, 1 refused\n")
    assert "refused: junk.xlsx: not an Excel workbook" in done.stdout
    assert files(folder) == expected
    assert outcomes(kz.ingest(reports, dask=cluster.address)) == [*["already there"] * 6, "refused"]
    workers = cluster.servers[0]

    def readers_left() -> list[psutil.Process]:
        return [one for one in workers.family() if serves(one)]

    until(lambda: not readers_left(), 20)
    assert left_on_workers(cluster.folder) == []


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_time_alone(folder, reports, expected, tmp_path):
    with dask_cluster(tmp_path / "cluster") as cluster:
        servers = [cluster.workers(1) for _ in range(2)]
        cluster.joined(2)
        process = subprocess.Popen(
            [command("kzresearch"), "ingest", str(reports), "--dask", cluster.address, "-q"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

        def reads() -> list[psutil.Process]:
            return [one for one in servers[0].family() if serves(one)]

        children = until(reads, 60, process)
        servers[0].stop()
        _, err = process.communicate(timeout=120)
        assert process.returncode == 1, err
        assert files(folder) == expected
        until(
            lambda: not any(one.is_running() and one.status() != "zombie" for one in children), 30
        )


def test_no_scheduler_is_told_in_a_sentence(folder, reports):
    with pytest.raises(ParameterError, match="no Dask scheduler answers at"):
        kz.ingest(reports, dask="tcp://127.0.0.1:1")
    assert files(folder) == {}
