"""Nothing of the machine or the person is in what the commands leave and say: markers, searched for."""

import base64
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import polars as pl
import pytest

from tests.conftest import ROOT, command
from tests.run.made import RECORDS, made
from tests.workbooks import make_workbook

MARK = "zqmark"
TOKEN = f"{MARK}token/+=x"
FAILING = {
    "in_the_home": "open(os.path.expanduser('~/private/figures.csv'))",
    "elsewhere": "open(os.environ['KZ_PLACE'])",
    "secret": "raise ValueError('denied to ' + os.environ['KZ_TOKEN'])",
    "secret_in_an_address": "from urllib.parse import quote\n"
    "raise OSError('https://service.example/?key=' + quote(os.environ['KZ_TOKEN'], safe=''))",
    "variable": "raise RuntimeError(f'{os.environ[\"KZ_WORD\"]} is no number')",
    "person": "import getpass, socket\n"
    "raise OSError(f'{getpass.getuser()} may not enter {socket.gethostname()}')",
    "home_of_another": "raise PermissionError(13, 'denied', os.path.dirname(os.path.expanduser('~')))",
    "chained": "try:\n    open(os.environ['KZ_PLACE'])\n"
    "except OSError as error:\n    raise ValueError('unreadable') from error",
    "group": "raise ExceptionGroup('two', [OSError(os.environ['KZ_PLACE']), OSError(os.getcwd())])",
    "module": "import sys\nplace = os.path.dirname(os.environ['KZ_PLACE'])\nos.makedirs(place, exist_ok=True)\n"
    "open(place + '/helper.py', 'w').write('def fail(): open(__file__ + \".x\")')\n"
    "sys.path.insert(0, place)\nimport helper\nhelper.fail()",
    "verbose": "get_ipython().run_line_magic('xmode', 'Verbose')\n"
    "def fail(place, token): return 1 / 0\nfail(os.environ['KZ_PLACE'], os.environ['KZ_TOKEN'])",
    "process": "import subprocess\nsubprocess.run(['ls', os.environ['KZ_PLACE'] + '/x'], check=True)",
    "no_python": "exec(compile('1 +', os.path.expanduser('~/script.py'), 'exec'))",
    "no_kernel": None,
    "exits": "print(os.path.expanduser('~'), flush=True)\nos._exit(3)",
    "is_killed": "print(os.environ['KZ_TOKEN'], flush=True)\nos.kill(os.getpid(), 9)",
    "hangs": "import time\ntime.sleep(60)",
}
ON_STANDARD_ERROR = """
import logging, sys, threading, warnings
thread = threading.Thread(target=lambda: open(os.environ["KZ_PLACE"]))
thread.start(); thread.join()
try:
    open(os.path.expanduser("~/x"))
except OSError:
    logging.exception("no figures for " + os.environ["KZ_WORD"])
warnings.warn_explicit("old", UserWarning, os.environ["KZ_PLACE"], 3)
_ = subprocess.run(["ls", os.path.expanduser("~/nothing"), os.environ["KZ_PLACE"] + "/x"])
"""
PUT_OUT = """
from IPython.display import display
print(os.environ["KZ_TOKEN"], os.path.expanduser("~/x"), os.getcwd(), tempfile.gettempdir())
display({"application/json": {os.environ["KZ_TOKEN"]: [os.environ["KZ_TOKEN"]]}}, raw=True)
kz.record(place=Figure(1.0, "things", note=os.path.expanduser("~/x") + os.environ["KZ_TOKEN"]))
"""
FIRST = "import os, subprocess, tempfile, kzresearch as kz\nfrom kzresearch.figures import Figure"


class World:
    """A machine on which everything has a name that can be searched for, and what is said there."""

    def __init__(self, at: Path) -> None:
        self.here = at / f"{MARK}here"
        home, checkout = at / "home" / f"{MARK}home", at / f"{MARK}checkout"
        for folder in (self.here, home, at / f"{MARK}temporary"):
            folder.mkdir(parents=True)
        for name in ("kzresearch", "notebooks", "data"):
            shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pyc*"))
        shutil.copy(ROOT / "pyproject.toml", checkout)
        (home / ".gitconfig").write_text(
            f"[user]\n\tname = {MARK}author\n\temail = {MARK}author@example.org\n", encoding="utf-8"
        )
        self.environment = os.environ | {
            **dict.fromkeys(("USER", "LOGNAME", "USERNAME"), f"{MARK}user"),
            "HOME": str(home),
            "HOSTNAME": f"{MARK}hostname",
            "TMPDIR": str(at / f"{MARK}temporary"),
            "PWD": str(self.here),
            "PYTHONPATH": str(checkout),
            "KZ_PLACE": str(at / f"{MARK}place" / "some files" / "figures.csv"),
            "KZ_WORD": f"{MARK}word",
            "KZ_TOKEN": TOKEN,
            "AWS_SECRET_ACCESS_KEY": f"{MARK}key",
        }
        self.said: list[str] = []
        for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "all"]):
            subprocess.run(["git", *words], cwd=checkout, env=self.environment, check=True)

    def run(self, *words: str) -> subprocess.CompletedProcess:
        """What a command does there; the machine has a name too, where it can be given one."""
        named = ["unshare", "--uts", "sh", "-c", f'hostname {MARK}host && exec "$@"', "sh"]
        if subprocess.run([*named, "true"], capture_output=True).returncode:
            named = []
        done = subprocess.run(
            [*named, command("kzresearch"), *words],
            cwd=self.here,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        self.said.append(f"{' '.join(words)}\n{done.stdout}{done.stderr}")
        return done


def searchable(path: Path) -> str:
    """Everything that a file holds, also what is packed in it."""
    content = path.read_bytes()
    if path.suffix == ".parquet":
        frame = pl.read_parquet(path)
        return content.decode("latin-1") + json.dumps(frame.to_dicts(), ensure_ascii=False)
    text = content.decode()
    packed = re.findall(r"base64,([A-Za-z0-9+/=]+)", text)
    packed += re.findall(r'"image/png": "([A-Za-z0-9+/=\\n]+)"', text)
    return text + "".join(base64.b64decode(one).decode("latin-1") for one in packed)


def found(text: str) -> list[str]:
    return [text[max(0, one.start() - 60) : one.end() + 30] for one in re.finditer(MARK, text)]


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> World:
    at = World(tmp_path_factory.mktemp("world"))
    for name, cell in FAILING.items():
        kernel = "none" if cell is None else "python3"
        made(at.here / f"{name}.ipynb", FIRST, cell or "1", kernel=kernel)
    made(at.here / "standard_error.ipynb", FIRST, ON_STANDARD_ERROR, "1 / 0")
    made(at.here / "put_out.ipynb", FIRST, PUT_OUT)
    return at


@pytest.fixture(scope="module", params=["fast", "stock"])
def failures(world, request) -> Path:
    """The folder of a batch in which nearly everything fails."""
    paths = [f"{name}.ipynb" for name in (*FAILING, "standard_error", "put_out")]
    out = request.param
    assert (
        world.run("batch", *paths, "--engine", out, "--timeout", "15", "--out", out).returncode == 1
    )
    return world.here / out


def records(folder: Path) -> dict[str, dict]:
    read = (json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json"))
    return {record["notebook"]: record for record in read}


def test_runs_that_fail_in_every_way_leave_and_say_nothing_of_it(world, failures):
    status = {name: one["status"] for name, one in records(failures).items()}
    assert status == dict.fromkeys((*FAILING, "standard_error"), "failed") | {
        "put_out": "completed"
    }
    for path in failures.iterdir():
        assert not found(searchable(path)), path.name
    assert len(world.said) > 0
    for said in world.said:
        assert not found(said)


def test_errors_say_what_stood_there(failures):
    said = {
        name: one["error"]["message"] for name, one in records(failures).items() if one["error"]
    }
    assert said["in_the_home"] == "[Errno 2] No such file or directory: '…/figures.csv'"
    assert said["elsewhere"] == "[Errno 2] No such file or directory: '$KZ_PLACE'"
    assert said["secret"] == "denied to $KZ_TOKEN"
    assert said["secret_in_an_address"] == "https://service.example/?key=$KZ_TOKEN"
    assert said["variable"] == "$KZ_WORD is no number"
    assert said["home_of_another"] == "[Errno 13] denied: '…'"
    assert said["person"].startswith("user may not enter ")
    assert said["hangs"] == "the cell was still running after 15 s and was stopped (--timeout)"


def test_what_a_notebook_puts_out_has_no_secrets_and_no_folders(failures):
    record = records(failures)["put_out"]
    assert record["results"]["place"]["note"] == "~/x$KZ_TOKEN"


def test_report_run_and_verify_leave_and_say_nothing_of_it(world):
    assert world.run("report").returncode == 0
    assert world.run("run", "period_report", "--engine", "stock", "--out", "one").returncode == 0
    assert world.run("run", "put_out.ipynb", "--out", "one").returncode == 0
    assert world.run("run", "variable.ipynb", "--out", "failed").returncode == 1
    assert world.run("verify", "one", "--trust").returncode == 0
    assert world.run("verify", "one", "failed", "--json").returncode == 3
    folders = [world.here / name for name in ("out", "one", "failed")]
    for path in (path for folder in folders for path in folder.iterdir()):
        assert not found(searchable(path)), path.name
    for said in world.said:
        assert not found(said)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"folder": rf"C:\{MARK}user\2022\12\1971" + "\\"}, 2),
        ({"folder": rf"C:\Users\{MARK}user" + "\\", "edits": {"R11": {"E7": -1}}}, 2),
        ({"description": "28327;50119;9999%;__"}, 2),
    ],
)
def test_properties_of_a_workbook_are_not_repeated(world, options, code):
    path = world.here / "book.xlsx"
    make_workbook(path, ["R11"], author=f"{MARK}author", **options)
    done = world.run("check", str(path.name), "--period", "2022-12")
    assert done.returncode == code
    assert done.stderr.startswith("Error: book.xlsx: ")
    assert not found(done.stdout + done.stderr)


def test_what_is_put_out_on_purpose_is_left(world):
    """A notebook that puts out a variable without the name of a secret does so on purpose."""
    made(world.here / "purpose.ipynb", FIRST, "print(os.environ['KZ_WORD'])", *RECORDS)
    assert world.run("run", "purpose.ipynb", "--out", "purpose").returncode == 0
    for ending in ("ipynb", "html"):
        (path,) = (world.here / "purpose").glob(f"purpose-*.{ending}")
        assert found(searchable(path))
