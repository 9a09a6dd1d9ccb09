"""Batches as their users run them: resume, failures, kills, two at once, hostile parameters."""

import fcntl
import json
import os
import pty
import random
import re
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

import polars as pl
import psutil
import pytest
from bs4 import BeautifulSoup

import kzresearch as kz
from kzresearch import records
from kzresearch.errors import OutputError, ParameterError, UnknownValueError
from kzresearch.publish import cite
from kzresearch.run import batch as batches
from kzresearch.run import results
from kzresearch.run.batch import as_they_end
from kzresearch.run.outputs import Outputs
from kzresearch.run.results import INDEX, TABLE
from tests.conftest import command
from tests.run.made import RECORDS, lasting, made


def batch(*words: object, **given) -> subprocess.CompletedProcess:
    return subprocess.run(
        [command("kzresearch"), "batch", *map(str, words)],
        **{"capture_output": True, "text": True, "timeout": 300} | given,
    )


def left(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.iterdir())}


def runs(out: Path, ending: str = "json") -> list[Path]:
    return sorted(out.glob(f"*-????????????.{ending}"))


def printed(executed: dict) -> str:
    outputs = [one for cell in executed["cells"] for one in cell.get("outputs", [])]
    return "".join("".join(one.get("text", "")) for one in outputs)


def notebooks(out: Path) -> dict[str, dict]:
    return {
        path.name: lasting(json.loads(path.read_text(encoding="utf-8")))
        for path in runs(out, "ipynb")
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Notebooks that work, fail, hang, die and eat memory."""
    place = tmp_path_factory.mktemp("made")
    made(place / "good.ipynb", *RECORDS)
    made(place / "fails.ipynb", *RECORDS, "1 / 0")
    made(
        place / "hangs.ipynb",
        "print('before')",
        "import time\nprint('in it')\ntime.sleep(1000)",
        "print('never')",
    )
    made(
        place / "hangs_unseen.ipynb",
        "import os\nos.unlink('../cell.txt')\nos.mkfifo('../cell.txt')",
        "import time\ntime.sleep(1000)",
    )
    made(
        place / "hangs_in_c.ipynb",
        # a lock of the C library that is held: no signal gets through to Python
        "import ctypes\nlock = ctypes.create_string_buffer(64)\nlibrary = ctypes.CDLL(None)\n"
        "library.pthread_mutex_lock(lock)\nctypes.PyDLL(None).pthread_mutex_lock(lock)",
    )
    made(place / "exits.ipynb", "print('before')", "import os\nos._exit(3)")
    made(place / "is_killed.ipynb", "print('before')", "import os\nos.kill(os.getpid(), 9)")
    made(place / "crashes.ipynb", "print('before')", "import ctypes\nctypes.string_at(0)")
    made(
        place / "eats.ipynb",
        "import time\nkept = []\nwhile True:\n    kept.append(bytearray(10**8)); time.sleep(0.02)",
    )
    made(
        place / "child_eats.ipynb",
        "import subprocess, sys\ncode = 'import time; x = bytearray(2 * 10**9); time.sleep(100)'\n"
        "subprocess.run([sys.executable, '-c', code])",
    )
    return place


def test_a_batch_leaves_notebook_record_and_page_of_each_run_and_both_tables(folder, tmp_path):
    done = batch(folder / "good.ipynb", "--each", "n=1,2,3", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"index    {tmp_path}/out/index.html\nfigures  {tmp_path}/out/{TABLE}\n"
    assert re.fullmatch(r"3 runs: 3 new\n3 runs in \d+ s, 0 failed\n", done.stderr)
    assert len(runs(tmp_path / "out")) == 3
    assert len(left(tmp_path / "out")) == 3 * 3 + 3
    for path in runs(tmp_path / "out"):
        record = json.loads(path.read_text(encoding="utf-8"))
        assert record["engine"] == "fast"
        assert list(record["results"]) == ["double", "nothing"]
        executed = json.loads(path.with_suffix(".ipynb").read_text(encoding="utf-8"))
        assert executed["metadata"]["kzresearch"] == record
        assert record["run_id"] in path.with_suffix(".html").read_text(encoding="utf-8")
    table = kz.results(tmp_path / "out")
    assert table.schema["parameters"] == pl.Struct({"n": pl.Int64})
    rows = table.unnest("parameters").select("n", "name", "value", "text", "unit").rows()
    assert sorted(rows) == sorted(
        row
        for n in (1, 2, 3)
        for row in (
            (n, "double", 2.0 * n, str(2 * n), "things"),
            (n, "nothing", None, "not reported", "things"),
        )
    )


def test_the_same_from_python_and_again_nothing_is_run(folder, tmp_path):
    given = {"each": {"n": [1, 2]}, "out": tmp_path}
    first = kz.batch(str(folder / "good.ipynb"), **given)
    before = left(tmp_path)
    again = kz.batch(str(folder / "good.ipynb"), **given)
    assert first.drop("done").equals(again.drop("done"))
    assert first["done"].to_list() == [False, False]
    assert again["done"].to_list() == [True, True]
    assert again["status"].to_list() == ["completed", "completed"]
    assert all(Path(path).is_file() for path in again["file"])
    after = left(tmp_path)
    assert {n: b for n, b in after.items() if n != INDEX} == {
        n: b for n, b in before.items() if n != INDEX
    }


def test_dry_run_says_what_is_new_and_done_and_writes_nothing(folder, tmp_path):
    words = [folder / "good.ipynb", "--each", "n=1,2", "--out", tmp_path / "out"]
    planned = batch(*words, "--dry-run")
    assert planned.returncode == 0
    assert re.fullmatch(
        r"new +[0-9a-f]{12}  good n=1\nnew +[0-9a-f]{12}  good n=2\n", planned.stdout
    )
    assert planned.stderr == "2 runs: 2 new\n"
    assert not (tmp_path / "out").exists()
    assert batch(folder / "good.ipynb", "--out", tmp_path / "out").returncode == 0
    before = left(tmp_path / "out")
    planned = batch(*words, "--dry-run")
    assert [line.split()[0] for line in planned.stdout.splitlines()] == ["done", "new"]
    assert planned.stderr == "2 runs: 1 new, 1 done\n"
    assert left(tmp_path / "out") == before


def test_formats_that_a_run_lacks_are_made_without_running_it_again(folder, tmp_path):
    words = [folder / "good.ipynb", "--out", tmp_path]
    assert batch(*words, "--formats", "none").returncode == 0
    assert not runs(tmp_path, "html")
    (notebook,) = runs(tmp_path, "ipynb")
    before = notebook.stat().st_mtime_ns
    done = batch(*words)
    assert done.stderr.startswith("1 run: 1 to be completed\n")
    assert runs(tmp_path, "html")
    runs(tmp_path, "json")[0].unlink()
    assert batch(*words).stderr.startswith("1 run: 1 to be completed\n")
    assert runs(tmp_path, "json")
    assert notebook.stat().st_mtime_ns == before


def test_what_is_broken_is_run_again_and_force_runs_everything(folder, tmp_path):
    words = [folder / "good.ipynb", "--each", "n=1,2", "--out", tmp_path, "--formats", "none"]
    assert batch(*words).returncode == 0
    whole = notebooks(tmp_path)
    first, second = runs(tmp_path, "ipynb")
    first.write_bytes(first.read_bytes()[:1000])
    first.with_suffix(".json").write_text("{", encoding="utf-8")
    second_before = second.stat().st_mtime_ns
    assert batch(*words).returncode == 0
    assert notebooks(tmp_path) == whole
    assert second.stat().st_mtime_ns == second_before
    assert batch(*words, "--force").stderr.startswith("2 runs: 2 new\n")
    assert second.stat().st_mtime_ns != second_before
    assert notebooks(tmp_path) == whole


def test_a_changed_notebook_is_run_again_and_its_older_run_is_set_apart(tmp_path):
    path = made(tmp_path / "mine.ipynb", *RECORDS)
    assert batch(path, "--out", tmp_path / "out").returncode == 0
    made(path, RECORDS[0], RECORDS[1].replace("2.0 * n", "3.0 * n"))
    done = batch(path, "--out", tmp_path / "out")
    assert done.stderr.startswith("1 run: 1 new\n")
    assert len(runs(tmp_path / "out")) == 2
    table = kz.results(tmp_path / "out").filter(name="double")
    assert table["value"].to_list() == [3.0]
    page = BeautifulSoup((tmp_path / "out" / INDEX).read_text(encoding="utf-8"), "html.parser")
    assert len(page.select("table[data-all] tbody tr")) == 1
    (older,) = {path.stem.split("-")[-1] for path in runs(tmp_path / "out")} - {
        table["run_id"].item()
    }
    assert older in page.select_one("details.older").get_text()


ENDS = {
    "fails": ("ZeroDivisionError", "division by zero", 5),
    "hangs": ("CellTimeout", "still running after {timeout} s and was stopped", 4),
    "hangs_unseen": ("CellTimeout", "still running after {timeout} s and was stopped", 4),
    "hangs_in_c": ("CellTimeout", "still running after {timeout} s", 3),
    "exits": ("KernelDied", "ended its own process, with exit code 3", 4),
    "is_killed": ("Killed", "killed by SIGKILL", 4),
    "crashes": ("Killed", "killed by SIGSEGV", 4),
    "eats": ("MemoryLimit", "over its limit of 1.0 GB", 3),
    "child_eats": ("MemoryLimit", "over its limit of 1.0 GB", 3),
}


@pytest.mark.parametrize(("engine", "timeout"), [("fast", 3), ("stock", 8)])
def test_failures_are_told_apart_kept_with_the_error_in_place_and_stop_nothing(
    folder, tmp_path, engine, timeout
):
    paths = [folder / f"{name}.ipynb" for name in (*ENDS, "good")]
    words = ["--engine", engine, "--timeout", timeout, "--memory", 1, "--out", tmp_path]
    done = batch(*paths, *words)
    assert done.returncode == 1
    assert done.stderr.endswith(f"s, {len(ENDS)} failed\n")
    assert "Traceback" not in done.stderr
    records = {
        record["notebook"]: record
        for record in (json.loads(path.read_text(encoding="utf-8")) for path in runs(tmp_path))
    }
    assert records.keys() == ENDS.keys() | {"good"}
    assert records["good"]["status"] == "completed"
    for name, (kind, words_, cell) in ENDS.items():
        record = records[name]
        assert record["status"] == "failed", name
        assert record["error"]["type"] == kind, name
        assert words_.format(timeout=timeout) in record["error"]["message"], name
        assert record["error"]["cell"] == cell, name
        assert f"Error: {name} n=1 failed in cell {cell}: {kind}: " in done.stderr
        (file,) = tmp_path.glob(f"{name}-*.ipynb")
        assert f"the notebook with the error in place: {file}" in done.stderr
        executed = json.loads(file.read_text(encoding="utf-8"))
        (failing,) = [c for c in executed["cells"] if c.get("execution_count") == cell]
        assert failing["outputs"][-1]["ename"] == kind
        assert failing["metadata"]["papermill"]["status"] == "failed"
        assert "papermill-error-cell" in "".join(executed["cells"][0]["source"])
        if name in {"hangs", "exits", "is_killed", "crashes"}:
            said = "before\nin it\n" if name == "hangs" else "before\n"
            assert printed(executed) == said, name
        assert kind in next(tmp_path.glob(f"{name}-*.html")).read_text(encoding="utf-8")
    assert set(kz.results(tmp_path)["notebook"]) == {"good"}
    page = (tmp_path / INDEX).read_text(encoding="utf-8")
    assert page.count("division by zero") >= 1


def test_a_page_that_cannot_be_made_is_told_and_made_the_next_time(folder, tmp_path):
    path = made(
        tmp_path / "draws.ipynb",
        "from IPython.display import display\n"
        "display({'application/vnd.vegalite.v5+json': {'mark': 'nothing known'}}, raw=True)",
    )
    words = [path, folder / "good.ipynb", "--out", tmp_path / "out"]
    done = batch(*words)
    assert done.returncode == 1
    assert (
        "draws n=1 failed outside its cells: PageError: its page could not be made: " in done.stderr
    )
    assert [one.name.split("-")[0] for one in runs(tmp_path / "out", "html")] == ["good"]
    (record,) = (tmp_path / "out").glob("draws-*.json")
    assert json.loads(record.read_text(encoding="utf-8"))["status"] == "completed"
    assert batch(*words).stderr.startswith("2 runs: 1 to be completed, 1 done\n")
    assert batch(*words, "--formats", "none").returncode == 0


def test_a_failed_run_is_run_again_the_next_time(tmp_path):
    flag = tmp_path / "flag"
    path = made(
        tmp_path / "sometimes.ipynb",
        f"import pathlib\nassert pathlib.Path({str(flag)!r}).exists(), 'not yet'",
    )
    words = [path, "--out", tmp_path / "out"]
    assert batch(*words).returncode == 1
    assert batch(*words, "--dry-run").stdout.startswith("failed ")
    flag.touch()
    done = batch(*words)
    assert done.returncode == 0
    assert done.stderr.startswith("1 run: 1 failed before\n")
    assert "not yet" not in (tmp_path / "out" / INDEX).read_text(encoding="utf-8")


def whole(out: Path) -> int:
    """How many runs are there; every file that has its name is whole."""
    for path in out.iterdir() if out.exists() else ():
        if re.search(r"#\d+$", path.name) or path.name.startswith("."):
            continue  # not there yet
        content = path.read_bytes()
        if path.suffix in {".json", ".ipynb"}:
            json.loads(content)
        elif path.suffix == ".html":
            assert content.rstrip().endswith(b"</html>"), path.name
        elif path.suffix == ".csv":
            assert content.startswith(b"\xef\xbb\xbfrun_id,")
            assert content.endswith(b"\n")
        else:
            assert content[:4] == content[-4:] == b"PAR1"
    return len(runs(out, "ipynb")) if out.exists() else 0


@pytest.mark.slow
def test_fifty_kills_at_random_moments_then_resume(folder, tmp_path):
    words = [folder / "good.ipynb", "--each", "n=" + ",".join(map(str, range(150)))]
    undisturbed = batch(*words, "--out", tmp_path / "one")
    assert undisturbed.returncode == 0, undisturbed.stderr
    out, at, seen = tmp_path / "other", random.Random(4), []
    for kill in range(50):
        process = subprocess.Popen(
            [command("kzresearch"), "batch", *map(str, words), "--out", str(out)],
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        time.sleep(at.uniform(0.2, 3.0))
        process.send_signal(signal.SIGKILL if kill % 5 else signal.SIGTERM)
        process.wait(30)
        seen.append(whole(out))
    assert seen == sorted(seen)  # nothing that was there is lost
    for path in out.glob("*#*"):  # what a kill left is taken away once it is old
        os.utime(path, (0, 0))
    done = batch(*words, "--out", out)
    assert done.returncode == 0, done.stderr
    assert left(out).keys() == left(tmp_path / "one").keys()
    assert notebooks(out) == notebooks(tmp_path / "one")
    assert kz.results(out).equals(kz.results(tmp_path / "one"))
    rows = [
        {row.get_text(" ", strip=True) for row in page.select("table[data-all] tbody tr")}
        for page in (
            BeautifulSoup((place / INDEX).read_text(encoding="utf-8"), "html.parser")
            for place in (out, tmp_path / "one")
        )
    ]
    assert rows[0] == rows[1]
    assert len(rows[0]) == 150


def test_two_batches_into_one_folder_at_once(folder, tmp_path):
    words = [str(folder / "good.ipynb"), "--out", str(tmp_path / "out")]
    each = ["n=" + ",".join(map(str, range(*ends))) for ends in ((0, 30), (15, 45))]
    both = [
        subprocess.Popen(
            [command("kzresearch"), "batch", *words, "--each", one],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        for one in each
    ]
    said = [process.communicate(timeout=300)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert whole(tmp_path / "out") == 45
    assert len(left(tmp_path / "out")) == 45 * 3 + 3
    for path in runs(tmp_path / "out"):
        executed = json.loads(path.with_suffix(".ipynb").read_text(encoding="utf-8"))
        record = json.loads(path.read_text(encoding="utf-8"))
        assert executed["metadata"]["kzresearch"] == record
    table = kz.results(tmp_path / "out").filter(name="double").unnest("parameters")
    assert sorted(table["n"]) == list(range(45))
    page = (tmp_path / "out" / INDEX).read_text(encoding="utf-8")
    assert len(BeautifulSoup(page, "html.parser").select("tbody tr")) == 45


HOSTILE = [
    "'); import os; os._exit(7) #",
    '"""\nimport os\nos._exit(7)\n"""',
    "\\'; raise SystemExit  # ",
    "{region}{0}{pm.run_uuid}",
    "../../../etc/passwd",
    "s3://bucket/x",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "`rm -rf /` $(reboot) | & ; \x00 \x1b[31m",
    "2022-12\n%%bash\necho owned",
    "<!--",
    "]]>",
    "</script>",
    "{{ 7 * 7 }}",
    "%s %d",
    "Алматы қаласы 🙂",
]


def test_parameters_that_try_to_be_code_paths_or_markup_stay_text(tmp_path):
    path = made(
        tmp_path / "text.ipynb",
        "import kzresearch as kz\nfrom kzresearch.figures import Figure\nprint(s)\n"
        "kz.record(letters=Figure(float(len(s)), 'letters', note=s))",
        parameters="s: str = ''  # any text",
    )
    done = kz.batch(str(path), each={"s": HOSTILE}, out=tmp_path / "out")
    assert done["status"].to_list() == ["completed"] * len(HOSTILE)
    assert {json.loads(given)["s"] for given in done["parameters"]} == set(HOSTILE)
    assert {p.name for p in tmp_path.iterdir()} == {"text.ipynb", "out"}
    table = kz.results(tmp_path / "out").unnest("parameters")
    assert {row["s"]: (row["value"], row["note"]) for row in table.to_dicts()} == {
        s: (len(s), s) for s in HOSTILE
    }
    for page in [*runs(tmp_path / "out", "html"), tmp_path / "out" / INDEX]:
        soup = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")
        assert not soup.find_all("img", onerror=True)
        scripts = [one for one in soup("script") if one.get("type") != "application/json"]
        assert not [one for one in scripts if "alert" in one.get_text()]


def test_a_full_disk_stops_the_batch_with_a_sentence_and_it_goes_on_later(folder, tmp_path):
    out = tmp_path / "small"
    out.mkdir()
    if (
        os.geteuid()
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(out)], capture_output=True
        ).returncode
    ):
        pytest.skip("a file system of its own can be mounted by root alone")
    try:
        words = [folder / "good.ipynb", "--each", "n=" + ",".join(map(str, range(20)))]
        done = batch(*words, "--out", out)
        assert done.returncode == 1
        (line,) = [line for line in done.stderr.splitlines() if line.startswith("Error")]
        assert "no space left on device" in line
        assert "Traceback" not in done.stderr
        there = whole(out)
        assert 0 < there < 20
        subprocess.run(["mount", "-o", "remount,size=100m", str(out)], check=True)
        done = batch(*words, "--out", out)
        assert done.returncode == 0, done.stderr
        assert f"{20 - there} new" in done.stderr or "to be completed" in done.stderr
        assert whole(out) == 20
        assert len(kz.results(out)) == 40
    finally:
        subprocess.run(["umount", "-l", str(out)], check=True)


def test_ctrl_c_while_runs_are_handed_out_closes_the_pool():
    class Pool:
        threads, closed = 2, False

        def close(self) -> None:
            self.closed = True

    def tasks():
        yield 1
        raise KeyboardInterrupt

    pool = Pool()
    with pytest.raises(KeyboardInterrupt):
        list(as_they_end(tasks(), lambda task: task, pool))
    assert pool.closed


def test_ctrl_c_ends_it_within_seconds_and_it_goes_on(folder, tmp_path):
    words = [str(folder / "good.ipynb"), "--each", "n=" + ",".join(map(str, range(40)))]
    words += [str(folder / "hangs.ipynb"), "--out", str(tmp_path / "out"), "--formats", "none"]
    process = subprocess.Popen(
        [command("kzresearch"), "batch", *words],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    wait_until(lambda: (tmp_path / "out").exists() and len(runs(tmp_path / "out")) > 3)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "stopped; what is done is kept, and the same command goes on" in said
    assert "Traceback" not in said
    assert whole(tmp_path / "out") > 3
    wait_until(lambda: not workers_of(process.pid))


def test_ctrl_c_is_heard_while_a_run_hangs(folder, tmp_path):
    process = subprocess.Popen(
        [command("kzresearch"), "batch", str(folder / "hangs.ipynb"), "--out", str(tmp_path)],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    started: list[int] = []

    def hangs() -> bool:
        started[:] = [one.pid for one in psutil.Process(process.pid).children(recursive=True)]
        return len(started) > 1  # the process that forks, and the run

    wait_until(hangs)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "stopped" in said
    wait_until(lambda: not any(psutil.pid_exists(pid) for pid in started))


def test_a_notebook_that_writes_into_every_pipe_harms_no_other(folder, tmp_path):
    path = made(
        tmp_path / "garbage.ipynb",
        "import os\nfor fd in range(3, 60):\n    try:\n"
        "        os.write(fd, b'garbage{\\n{')\n    except OSError:\n        pass",
        "print('went on')",
    )
    done = batch(path, folder / "good.ipynb", "-j", 1, "--out", tmp_path / "out", timeout=60)
    assert done.returncode == 0, done.stderr
    assert len(runs(tmp_path / "out", "html")) == 2


def test_paths_within_json_outputs_are_taken_out_too(tmp_path):
    path = made(
        tmp_path / "places.ipynb",
        "import os, sys\nfrom IPython.display import display\n"
        "display({'application/json': {'here': [os.getcwd(), {'python': sys.executable}]}}, raw=True)",
    )
    kz.batch(path, out=tmp_path / "out", formats="html")
    (notebook,) = runs(tmp_path / "out", "ipynb")
    text = notebook.read_text(encoding="utf-8")
    assert '"here": [' in text
    for place in (sys.prefix, str(tmp_path), f"{tempfile.gettempdir()}/"):
        assert place not in text


def test_completed_figures_stay_where_a_newer_version_fails(tmp_path):
    path = made(tmp_path / "mine.ipynb", *RECORDS)
    assert batch(path, "--out", tmp_path / "out", "--formats", "none").returncode == 0
    made(path, *RECORDS, "1 / 0")
    assert batch(path, "--out", tmp_path / "out", "--formats", "none").returncode == 1
    assert kz.results(tmp_path / "out").height == 2
    page = BeautifulSoup((tmp_path / "out" / INDEX).read_text(encoding="utf-8"), "html.parser")
    (row,) = page.select("table[data-all] tbody tr")
    assert "ZeroDivisionError" in row.get_text()


def wait_until(true, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def workers_of(pid: int) -> list[str]:
    """Processes that still run for a batch."""
    found = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True).stdout
    return [
        line for line in found.splitlines() if "kzresearch.run.worker" in line and str(pid) in line
    ]


def test_a_terminal_shows_progress_and_another_output_stays_plain(folder, tmp_path):
    words = [folder / "good.ipynb", folder / "fails.ipynb", "--each", "n=1,2,3"]
    plain = batch(*words, "--out", tmp_path / "plain", "--formats", "none")
    assert "\r" not in plain.stderr
    assert "\x1b" not in plain.stderr
    mine, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 150, 0, 0))
    process = subprocess.Popen(
        [command("kzresearch"), "batch", *map(str, words), "--out", str(tmp_path / "shown")],
        stderr=theirs,
        stdout=subprocess.DEVNULL,
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            found = os.read(mine, 1 << 16)
        except OSError:
            break
        shown += found
    os.close(mine)
    assert process.wait(60) == 1
    text = shown.decode()
    assert re.search(r"[1-5]/6 \|", text)
    assert "left" in text
    assert re.search(r"[1-3] failed", text)
    assert re.search(r"now: (good|fails) n=\d", text)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "name a notebook, or a file with --grid"),
        (["--each", "region"], "need a notebook that they are for"),
        (["case_flow", "--each", "region="], "is not of the form NAME or NAME=VALUE"),
        (
            ["case_flow", "--each", "region", "--each", "region=KZ-75"],
            "--each region is given twice",
        ),
        (["case_flow", "--each", "region", "-p", "region=KZ"], "region is given once for all"),
        (["case_flow", "-p", "region"], "is not of the form NAME=VALUE"),
        (["case_flow", "--each", "compare"], "no list of every compare: name the values"),
        (["case_flow", "--formats", "docx"], "unknown format 'docx'; known: html, pdf"),
        (["case_flow", "--timeout", "0"], "--timeout"),
        (["case_flow", "--memory", "inf"], "memory is inf; give a number above 0"),
        (["case_flow", "--out", ""], "no folder is named"),
        (["case_flow", "--jobs", "0"], "--jobs"),
        (["--grid", "nowhere.yaml"], "cannot read nowhere.yaml: no such file or directory"),
        (["case_flow", "--each", "region=KZ-75,KZ-7"], "unknown region 'KZ-7'"),
    ],
)
def test_wrong_words_end_in_a_sentence_and_nothing_is_made(tmp_path, words, sentence):
    done = batch(*words, cwd=tmp_path)
    assert done.returncode in {1, 2}
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_results_of_a_folder_without_any_are_refused_in_a_sentence(tmp_path):
    with pytest.raises(OutputError, match="there is no folder"):
        kz.results(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()
    with pytest.raises(OutputError, match="run a batch into it"):
        kz.results(tmp_path)


def test_results_of_several_notebooks_have_every_parameter(tmp_path):
    one = made(tmp_path / "one.ipynb", *RECORDS)
    cell = "n: float = 1.5\ns: str = 'x'"
    other = made(tmp_path / "other.ipynb", *RECORDS, parameters=cell)
    bare = made(tmp_path / "bare.ipynb", "n = 1", *RECORDS, parameters=None)
    kz.batch([str(one), str(other), str(bare)], out=tmp_path / "out", formats=[])
    rows = kz.results(tmp_path / "out").filter(name="double").unnest("parameters")
    assert rows.select("notebook", "n", "s", "value").rows() == [
        ("bare", None, None, 2.0),
        ("one", "1", None, 2.0),
        ("other", "1.5", "x", 3.0),
    ]
    kz.batch(str(bare), out=tmp_path / "bare", formats=[])
    assert kz.results(tmp_path / "bare").height == 2


def test_records_are_held_lightly_and_their_figures_put_together_in_parts(tmp_path, monkeypatch):
    path = made(tmp_path / "one.ipynb", *RECORDS)
    kz.batch(str(path), {"n": [1, 2, 3]}, out=tmp_path / "out", formats=[])
    outputs = Outputs(tmp_path / "out")
    kept = results.Kept(outputs)
    light = kept.records(outputs.files())
    for name, one in light.items():
        left = json.loads((tmp_path / "out" / name).read_text("utf-8"))
        assert kept.results(one) == left["results"]
        assert one["results"]["double"].keys() == {"value", "text", "unit"}
        assert len(json.dumps(one)) < 0.7 * len(json.dumps(left))
    monkeypatch.setattr(results, "_ROWS", 1)
    again = results.table([*light.values()], kept.results)
    assert again.equals(kz.results(tmp_path / "out"))
    assert again.height == 3 * 2


def test_a_part_of_the_table_is_what_polars_makes_of_its_rows():
    cell = pl.Struct({"workbook": pl.String, "cell": pl.String})
    types = {
        "parameters": pl.Struct({"n": pl.Int64, "s": pl.String}),
        "name": pl.String,
        "value": pl.Float64,
        "cells": pl.List(cell),
        "sources": pl.List(pl.String),
    }
    one, other = {"workbook": "a", "cell": "R1!E7"}, {"workbook": None, "cell": "line 2"}
    values = [
        ({"n": 1, "s": "é"}, "a", 1, [], ["x"]),
        ({"n": None, "s": None}, "b", None, [one, other, one], []),
        ({"n": 2, "s": ""}, "c", -0.5, [other], ["y", "x"]),
        ({"n": 2, "s": ""}, None, 2**60, [], []),
        (None, "of a broken record", 1.0, None, None),
    ]
    rows = [dict(zip(types, line, strict=True)) for line in values]
    rows.append({"name": "of one that lacks them"})
    for some in (rows, rows[:1], rows[3:4], rows[4:], []):
        found = results._frame(some, types)
        assert found.equals(pl.DataFrame(some, schema=types, orient="row"))
        assert found.schema == types


def test_a_batch_holds_what_it_leaves_as_it_would_read_it(tmp_path, monkeypatch):
    path = made(tmp_path / "one.ipynb", *RECORDS)
    held, collected = [], batches.collect

    def noted(outputs, kept):
        held.append((kept.records(outputs.files()), kept))
        collected(outputs, kept)

    monkeypatch.setattr(batches, "collect", noted)
    monkeypatch.setattr(results.Kept, "_record", lambda *_: pytest.fail("a record is read again"))
    kz.batch(str(path), {"n": [1, 2]}, out=tmp_path / "out", formats=[])
    monkeypatch.undo()
    outputs, ((light, kept),) = Outputs(tmp_path / "out"), held
    again = results.Kept(outputs)
    assert light == again.records(outputs.files())
    assert len(light) == 2
    for one in light.values():
        assert kept.results(one) == again.results(one)


def test_python_refuses_what_the_command_refuses(tmp_path):
    with pytest.raises(ParameterError, match="jobs is 0"):
        kz.batch("case_flow", out=tmp_path / "out", jobs=0)
    with pytest.raises(UnknownValueError, match="engine 'quick'"):
        kz.batch("case_flow", out=tmp_path / "out", engine="quick")
    with pytest.raises(ParameterError, match="jobs is 1.5"):
        kz.batch("case_flow", out=tmp_path / "out", jobs=1.5)
    with pytest.raises(
        ParameterError, match="each region is 'KZ-75': give a list of values, or 'all'"
    ):
        kz.batch("case_flow", each={"region": "KZ-75"}, out=tmp_path / "out")
    with pytest.raises(ParameterError, match="need a notebook"):
        kz.batch(grid=tmp_path / "x.yaml", parameters={"n": 1}, out=tmp_path / "out")
    with pytest.raises(ParameterError, match="name a notebook"):
        kz.batch(out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_script_without_a_guard_can_run_a_batch(folder, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import kzresearch as kz\n"
        f"print(kz.batch({str(folder / 'good.ipynb')!r}, out='out', formats=[]).height)\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "1\n"


def test_authors_are_in_records_and_citations_and_others_run_it_again(folder, tmp_path):
    out = tmp_path / "out"

    def made_by(*authors):
        kz.batch(str(folder / "good.ipynb"), out=out, formats=(), authors=authors)
        (path,) = runs(out)
        record = json.loads(path.read_text(encoding="utf-8"))
        return record["authors"], record["run_id"], record["started"], path.stat().st_mtime_ns

    one = made_by("Қасымова, Ә.", "A <b>")
    assert one[0] == ["Қасымова, Ә.", "A <b>"]
    assert made_by()[0] == one[0]  # no other name is asked for
    assert made_by("Қасымова, Ә.", "A <b>") == one
    other = made_by("Somebody Else")
    assert other[0] == ["Somebody Else"]
    assert other[1] == one[1]
    (executed,) = runs(out, "ipynb")
    assert cite.run(records.read(executed)).startswith("Somebody Else (")
    for name in ("", "a\nb"):
        with pytest.raises(ParameterError, match="give a name, in one line"):
            kz.batch(str(folder / "good.ipynb"), out=out, authors=name)
