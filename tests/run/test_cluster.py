"""Batches on a real Dask cluster: the same results, whatever happens to its workers."""

import contextlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import psutil
import pytest

import kzresearch as kz
from kzresearch.errors import KzresearchError, ParameterError
from kzresearch.run import cluster as on_cluster
from kzresearch.run.batch import Options
from kzresearch.run.outputs import Outputs
from kzresearch.run.results import COLLECTED, TABLE
from tests.conftest import command
from tests.run.made import NUMBER, RECORDS, lasting, made
from tests.run.servers import (
    BUCKET,
    HOST,
    LOOPBACK,
    Cluster,
    Gate,
    Server,
    dask_cluster,
    free_ports,
    until,
)

QUIET = ("--formats", "none")  # pages are made by other processes, which take their time to start
WAITS = (
    "import os, time\nfrom pathlib import Path\n"
    "print('on', os.environ.get('WORKER_NAME'))\n"
    "Path(marks, f'{n}-{os.getpid()}').touch()\n"
    "while not Path(marks, 'go').exists(): time.sleep(0.05)"
)
"""A cell that leaves a mark where the test sees it, and waits until the test lets it go on."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Notebooks that work, fail, and take their time."""
    place = tmp_path_factory.mktemp("made")
    made(place / "good.ipynb", *RECORDS)
    made(place / "fails.ipynb", *RECORDS, "1 / 0", "print('never')")
    made(place / "waits.ipynb", *RECORDS, WAITS, parameters=f"{NUMBER}\nmarks: str = ''")
    return place


class Marks:
    """Which runs have begun, and the sign for them to go on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def begun(self) -> list[int]:
        return sorted(int(path.name.split("-")[0]) for path in self.folder.glob("*-*"))

    def go(self) -> None:
        (self.folder / "go").touch()


@pytest.fixture
def marks(tmp_path: Path) -> Marks:
    return Marks(tmp_path / "marks")


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Cluster]:
    """A scheduler of the test's own, without workers."""
    with dask_cluster(tmp_path / "cluster") as one:
        yield one


def words(*given: object) -> list[str]:
    return [command("kzresearch"), "batch", *map(str, given)]


def waiting(folder: Path, marks: Marks, number: int, out: Path) -> tuple[object, ...]:
    """So many runs that wait for the test."""
    every = ",".join(str(n) for n in range(1, number + 1))
    each = ("--each", f"n={every}", "-p", f"marks={marks.folder}")
    return (folder / "waits.ipynb", *each, *QUIET, "--out", out)


def batch(*given: object, **how) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words(*given), **{"capture_output": True, "text": True, "timeout": 180} | how
    )


@contextlib.contextmanager
def under_way(printed: Path, *given: object) -> Iterator[subprocess.Popen[bytes]]:
    """A batch that is waited for by the test, and does not outlive it."""
    with printed.open("wb") as target:
        process = subprocess.Popen(words(*given), stdout=target, stderr=target)
    try:
        yield process
    finally:
        process.kill()
        process.wait(30)


def records(out: Path) -> dict[str, dict]:
    found = [json.loads(path.read_text(encoding="utf-8")) for path in out.glob("*.json")]
    return {one["run_id"]: one for one in found}


def timeless(record: dict) -> dict:
    return {name: value for name, value in record.items() if name not in {"started", "ended"}}


def notebooks(out: Path) -> dict[str, dict]:
    found = {
        path.name: lasting(json.loads(path.read_text(encoding="utf-8")))
        for path in out.glob("*.ipynb")
    }
    for notebook in found.values():
        for cell in notebook["cells"]:
            if (cell["metadata"].get("tags") or [""])[0].startswith("papermill-error"):
                cell["id"] = ""  # papermill makes one up for its banners
    return found


def printed(out: Path) -> str:
    return "".join(path.read_text(encoding="utf-8") for path in out.glob("*.ipynb"))


def own(server: Server) -> list[psutil.Process]:
    """The processes that make runs, of all that a server has started."""
    found = []
    for process in server.family():
        with contextlib.suppress(psutil.Error):
            if "kzresearch.run.worker" in process.cmdline():
                found.append(process)
    return found


def gone(processes: list[psutil.Process]) -> bool:
    return not [one for one in processes if one.is_running() and one.status() != "zombie"]


def test_the_same_as_a_local_batch(cluster: Cluster, tmp_path: Path) -> None:
    """The folder is given as seen from here, while the workers are elsewhere."""
    what = ("case_flow", "--each", "region=KZ-75,KZ-71,KZ-10", "-p", "period=2022-12")
    done = batch(*what, "--out", "shared", "--dask", cluster.address, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("3 runs: 3 new\n3 runs in ")
    here = batch(*what, "--out", "local", cwd=tmp_path)
    assert here.returncode == 0, here.stderr
    shared, local = tmp_path / "shared", tmp_path / "local"
    assert {path.name for path in shared.iterdir()} == {path.name for path in local.iterdir()}
    assert len([*shared.iterdir()]) == 3 * 3 + 3
    assert notebooks(shared) == notebooks(local)
    there, found = records(shared), records(local)
    assert [timeless(there[one]) for one in found] == [timeless(one) for one in found.values()]
    assert {one["engine"] for one in there.values()} == {"fast"}
    assert kz.results(shared).equals(kz.results(local))
    again = batch(*what, "--out", "shared", cwd=tmp_path)
    assert again.stderr.startswith("3 runs: 3 done"), again.stderr


def test_a_failing_notebook_is_reported_as_here(
    cluster: Cluster, folder: Path, tmp_path: Path
) -> None:
    what = (folder / "fails.ipynb", folder / "good.ipynb", "--each", "n=1,2", *QUIET, "--out")
    there = batch(*what, tmp_path / "there", "--dask", cluster.address)
    here = batch(*what, tmp_path / "here")
    assert there.returncode == here.returncode == 1, there.stderr

    def said(text: str, out: str) -> list[str]:
        text = re.sub(r"in [\d.:]+ m?s", "in a while", text.replace(str(tmp_path / out), "out"))
        return sorted(text.splitlines())

    assert said(there.stderr, "there") == said(here.stderr, "here")
    assert said(there.stdout, "there") == said(here.stdout, "here")
    assert notebooks(tmp_path / "there") == notebooks(tmp_path / "here")
    assert "ZeroDivisionError: division by zero" in there.stderr


def test_from_python(cluster: Cluster, folder: Path, tmp_path: Path) -> None:
    """As in a notebook: a frame, and no word of Dask's."""
    frame = kz.batch(
        [str(folder / "good.ipynb"), str(folder / "fails.ipynb")],
        each={"n": [1, 2]},
        out=tmp_path / "out",
        formats=(),
        dask=cluster.address,
    )
    assert frame["status"].to_list() == ["completed"] * 2 + ["failed"] * 2
    assert frame["error"].to_list() == [None, None, "ZeroDivisionError", "ZeroDivisionError"]
    assert kz.results(tmp_path / "out").filter(name="double")["value"].to_list() == [2, 4]


@pytest.mark.parametrize("how", ["one of two, for good", "both, started again"])
def test_a_worker_killed_in_the_middle_costs_time_alone(
    empty: Cluster, folder: Path, tmp_path: Path, marks: Marks, how: str
) -> None:
    if how.startswith("one"):
        workers = [empty.workers(1, "--no-nanny") for _ in range(2)]
    else:
        workers = [empty.workers(2)]
    empty.joined(2)
    out, said = tmp_path / "out", tmp_path / "said"
    with under_way(said, *waiting(folder, marks, 6, out), "--dask", empty.address) as process:
        until(lambda: len(marks.begun()) == 2, process=process)
        lost = own(workers[0])
        assert lost
        if how.startswith("one"):
            workers[0].process.send_signal(signal.SIGKILL)
        else:
            dask = [p for p in workers[0].family() if "spawn_main" in " ".join(p.cmdline())]
            assert len(dask) == 2
            for one in dask:
                one.kill()
        until(lambda: gone(lost))  # with a worker go the runs it had started
        marks.go()
        assert process.wait(120) == 0, said.read_text("utf-8")
    found = records(out).values()
    assert sorted(one["parameters"]["n"] for one in found) == [1, 2, 3, 4, 5, 6]
    assert {one["status"] for one in found} == {"completed"}
    assert len(marks.begun()) == (7 if how.startswith("one") else 8)  # the lost ones once more
    assert kz.results(out).filter(name="double")["value"].sort().to_list() == [2, 4, 6, 8, 10, 12]
    assert not [path for path in out.iterdir() if "#" in path.name]


def test_a_run_that_every_worker_is_lost_with(tmp_path: Path) -> None:
    """It is reported, and the others are made."""
    kills = (
        "import os, psutil, signal\n"
        "if n == 3:\n"
        "    for one in psutil.Process().parents():\n"
        "        if 'spawn_main' in ' '.join(one.cmdline()):\n"
        "            one.send_signal(signal.SIGKILL)\n"
    )
    notebook = made(tmp_path / "kills.ipynb", *RECORDS, kills)
    out = tmp_path / "out"
    twice = {
        "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"
    }  # not four times, which takes longer
    with dask_cluster(tmp_path / "cluster", twice) as one:
        one.workers(1)
        done = batch(notebook, "--each", "n=1,2,3", *QUIET, "--out", out, "--dask", one.address)
    assert done.returncode == 1, done.stderr
    status = {one["parameters"]["n"]: one["error"] for one in records(out).values()}
    assert status[1] is status[2] is None
    assert status[3]["type"] == "Killed"
    assert "each worker that ran it was lost" in done.stderr
    assert done.stderr.count("Error: ") == 1


def test_it_waits_for_a_worker_and_takes_in_those_that_come_later(
    empty: Cluster, folder: Path, tmp_path: Path, marks: Marks
) -> None:
    out, said = tmp_path / "out", tmp_path / "said"
    with under_way(said, *waiting(folder, marks, 9, out), "--dask", empty.address) as process:
        until(lambda: f"waiting for a worker of {empty.address} …" in said.read_text("utf-8"))
        for number, name in enumerate(["first", "second"], 1):
            empty.workers(1, environment={"WORKER_NAME": name})
            until(lambda n=number: len(marks.begun()) == n, process=process)
        marks.go()
        assert process.wait(120) == 0, said.read_text("utf-8")
    assert said.read_text("utf-8").count("waiting") == 1
    assert len(records(out)) == len(marks.begun()) == 9
    assert "on first" in printed(out)
    assert "on second" in printed(out)


def different(folder: Path) -> dict[str, str]:
    """The environment of a worker that has one more distribution."""
    metadata = folder / "x-1.0.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text("Metadata-Version: 2.1\nName: x\nVersion: 1.0\n", encoding="utf-8")
    return first(folder)


def first(folder: Path) -> dict[str, str]:
    """The environment in which a folder's packages come before all others."""
    return {"PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}


def test_workers_that_cannot_give_the_same_are_refused(
    empty: Cluster, folder: Path, tmp_path: Path, marks: Marks
) -> None:
    """At the start, and also one that comes while a batch is under way."""
    out, said = tmp_path / "out", tmp_path / "said"
    given = (*waiting(folder, marks, 6, out), "--dask", empty.address)
    empty.workers(1)
    with under_way(said, *given) as process:
        until(marks.begun, process=process)
        other = empty.workers(1, environment=different(tmp_path / "other"))
        assert process.wait(120) == 1
    refused = (
        r"Error: worker tcp://127\.0\.0\.1:\d+ would give other results, since it has not the same "
        r"installed as this machine \(x not there, elsewhere 1\.0\); install the same on both\n"
    )
    assert re.search(refused, said.read_text("utf-8"))
    assert "failed" not in {one["status"] for one in records(out).values()}
    empty.joined(2)
    done = batch(*given)
    assert done.returncode == 1
    assert re.fullmatch(rf"6 runs: .*\n{refused}", done.stderr), done.stderr
    other.stop()
    (tmp_path / "none" / "kzresearch").mkdir(parents=True)
    (tmp_path / "none" / "kzresearch" / "__init__.py").write_text("raise ImportError('no such')")
    other = empty.workers(1, environment=first(tmp_path / "none"))
    until(lambda: "Registered to" in other.text())
    done = batch(*given)
    assert re.search(r"Error: worker \S+ cannot run notebooks: .*no such.*\n", done.stderr), (
        done.stderr
    )
    assert done.returncode == 1
    other.stop()
    marks.go()
    done = batch(*given)  # what is there was kept, and the rest is made
    assert done.returncode == 0, done.stderr
    assert len(records(out)) == 6


def test_a_worker_that_does_not_see_the_folder(
    empty: Cluster, folder: Path, tmp_path: Path
) -> None:
    """Another disk lies over the folder where that worker is: as on a machine that shares none."""
    out = tmp_path / "shared" / "out"
    out.mkdir(parents=True)
    hidden = ["unshare", "--mount", "sh", "-c", f"mount -t tmpfs none {out.parent} && exec $0 $@"]
    if not shutil.which("unshare") or subprocess.run([*hidden, "true"]).returncode:
        pytest.skip("no disk can be mounted here for one process alone")
    line = [command("dask"), "worker", empty.address, "--host", HOST, "--no-dashboard"]
    line += [
        *LOOPBACK,
        "--nthreads",
        "1",
        "--nworkers",
        "1",
        "--local-directory",
        str(tmp_path / "worker"),
    ]
    empty.servers.append(
        Server.start([shutil.which("unshare"), *hidden[1:], *line], tmp_path / "w")
    )
    empty.joined(1)
    done = batch(folder / "good.ipynb", *QUIET, "--out", out, "--dask", empty.address)
    assert done.returncode == 1
    assert re.search(rf"Error: worker \S+ does not see the files in {out}; give a", done.stderr)
    assert [*out.iterdir()] == []


def test_looking_for_the_folder_does_not_make_it(tmp_path: Path) -> None:
    assert on_cluster._environment_now(str(tmp_path / "not here"), "probe")[1] is False
    assert [*tmp_path.iterdir()] == []


def test_an_object_store_and_a_batch_that_goes_on_here(
    cluster: Cluster, store: Gate, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    where = f"s3://{BUCKET}/from the/cluster"
    given = ("case_flow", "-p", "period=2022-12", "--each", "region=KZ-75,KZ-71", "--out", where)
    done = batch(*given, "--dask", cluster.address)
    assert done.returncode == 0, done.stderr
    outputs = Outputs(where)
    before = outputs.files()
    assert len(before) == 2 * 3 + 3
    assert f"{where}/{TABLE}" in done.stdout + done.stderr
    store.asked.clear()
    again = batch(*given)
    assert again.returncode == 0, again.stderr
    assert again.stderr.startswith("2 runs: 2 done"), again.stderr
    kept = {name for name in before if name not in COLLECTED}
    assert {n: t for n, t in outputs.files().items() if n in kept} == {n: before[n] for n in kept}
    assert store.asked["PUT"] <= 4, store.asked  # a probe, the table twice, the index
    frame = kz.results(where)
    assert frame.equals(pl.read_parquet(io.BytesIO(outputs.read(TABLE))))
    assert frame["run_id"].n_unique() == 2


def test_an_object_store_that_fails_now_and_then(
    cluster: Cluster, store: Gate, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    where = f"s3://{BUCKET}/flaky cluster"
    given = (folder / "good.ipynb", "--each", "n=1,2,3,4,5,6,7,8", "--out")
    with store.failing(0.3, seed=2) as faults:
        done = batch(*given, where, "--dask", cluster.address)
    assert done.returncode == 0, done.stderr
    assert faults.total() > 5
    assert done.stderr.startswith("8 runs: 8 new\n8 runs in ")
    here = batch(*given, tmp_path / "here", *QUIET)
    assert here.returncode == 0, here.stderr
    outputs = Outputs(where)
    assert len(outputs.files()) == 8 * 3 + 3
    for name, notebook in notebooks(tmp_path / "here").items():
        assert lasting(json.loads(outputs.read(name))) == notebook
    assert kz.results(where).equals(kz.results(tmp_path / "here"))


def test_a_worker_without_the_right_key(
    empty: Cluster, store: Gate, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    empty.workers(1, environment={**store.environment, "AWS_SECRET_ACCESS_KEY": "another"})
    empty.joined(1)
    where = f"s3://{BUCKET}/refused"
    done = batch(folder / "good.ipynb", "--out", where, "--dask", empty.address)
    assert done.returncode == 1
    said = (
        r"Error: worker \S+ cannot run notebooks: cannot use s3://bucket/refused .* 403 Forbidden"
    )
    assert re.search(said, done.stderr), done.stderr
    assert Outputs(where).files() == {}


def test_no_scheduler_answers(folder: Path, tmp_path: Path) -> None:
    address, started = f"tcp://{HOST}:{free_ports(1)[0]}", time.monotonic()
    done = batch(folder / "good.ipynb", "--out", tmp_path / "out", "--dask", address)
    assert done.returncode == 1
    assert re.fullmatch(
        rf"1 run: 1 new\nError: no Dask scheduler answers at {address}: .*\n", done.stderr
    ), done.stderr
    assert time.monotonic() - started < 40


@pytest.mark.parametrize(
    "address", ["", "localhost", "localhost:port", "tcp://", "http://127.0.0.1:1", "nonsense://x"]
)
def test_what_is_no_address_of_a_scheduler(address: str) -> None:
    started = time.monotonic()
    with pytest.raises(ParameterError, match=f"^no Dask scheduler answers at {address}: [^\n]+$"):
        on_cluster.connected(address)
    assert time.monotonic() - started < 10


def test_interrupted(cluster: Cluster, folder: Path, tmp_path: Path, marks: Marks) -> None:
    """It ends at once, also on the workers, which go on with the next batch."""
    out, said = tmp_path / "out", tmp_path / "said"
    (workers,) = cluster.servers
    with under_way(said, *waiting(folder, marks, 12, out), "--dask", cluster.address) as process:
        until(lambda: len(marks.begun()) == 2, process=process)
        runs = own(workers)
        assert runs
        process.send_signal(signal.SIGINT)
        assert process.wait(20) in {1, 130}, said.read_text("utf-8")
    text = said.read_text("utf-8")
    assert "Traceback" not in text
    assert len(text.splitlines()) < 5, text
    until(lambda: gone(runs) and not own(workers), 20)
    assert not [*out.glob("*.ipynb")]
    done = batch(folder / "good.ipynb", *QUIET, "--out", out, "--dask", cluster.address)
    assert done.returncode == 0, done.stderr
    until(lambda: not own(workers), 20)
    assert len(marks.begun()) == 2  # none of the others was begun


def test_a_scheduler_that_is_lost(
    empty: Cluster, folder: Path, tmp_path: Path, marks: Marks
) -> None:
    empty.workers(1)
    out, said = tmp_path / "out", tmp_path / "said"
    with under_way(said, *waiting(folder, marks, 6, out), "--dask", empty.address) as process:
        until(marks.begun, process=process)
        empty.scheduler.stop()
        assert process.wait(60) == 1
    text = said.read_text("utf-8")
    assert f"Error: the Dask scheduler at {empty.address} was lost or started anew; " in text
    assert "Traceback" not in text


def test_the_servers_of_the_tests_are_this_machines_alone(cluster: Cluster) -> None:
    for server in (cluster.scheduler, *cluster.servers):
        for one in (psutil.Process(server.process.pid), *server.family()):
            listening = [c.laddr.ip for c in one.net_connections("inet") if c.status == "LISTEN"]
            assert set(listening) <= {HOST}


class Station:
    """In place of a worker's own: what is made for a batch, and whether it has been closed."""

    made: list["Station"]

    def __init__(self, job: on_cluster._Job) -> None:
        self.closed, self.runs, self.pool = threading.Event(), 0, self
        self.since = threading.Timer(0, lambda: None)
        self.made.append(self)

    def close(self) -> None:
        self.closed.set()


@pytest.fixture
def stations(monkeypatch: pytest.MonkeyPatch) -> list[Station]:
    monkeypatch.setattr(on_cluster, "_Station", Station)
    monkeypatch.setattr(Station, "made", [], raising=False)
    return Station.made


def test_a_worker_keeps_nothing_of_a_batch_that_is_gone(
    stations: list[Station], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One whose client was killed says no goodbye."""
    monkeypatch.setattr(on_cluster, "_IDLE", 0.3)
    job = on_cluster._Job("one", "out", Options())
    with on_cluster._at(job) as first, on_cluster._at(job) as second:
        assert first is second
        time.sleep(0.6)
        assert not first.closed.is_set()
    with on_cluster._at(job) as third:
        assert third is first  # it was used again in time
    assert first.closed.wait(10)
    until(lambda: not on_cluster._stations, 5)
    with on_cluster._at(job) as another:
        assert another is not first
    on_cluster._close("one")
    assert another.closed.wait(10)
    assert stations == [first, another]


def test_a_run_that_was_called_back_is_not_begun(stations: list[Station]) -> None:
    job = on_cluster._Job("two", "out", Options())
    with on_cluster._at(job) as station:
        on_cluster._close("two")
        assert station.closed.wait(10)
    with pytest.raises(KzresearchError, match="stopped"), on_cluster._at(job):
        pytest.fail("it was begun")
    assert len(stations) == 1
    assert not on_cluster._stations
