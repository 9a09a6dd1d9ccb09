"""The pool's two engines: the same outputs for every notebook, and nothing that runs leave behind."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import psutil
import pytest

from kzresearch.notebooks import ORDER, find_notebook
from kzresearch.resources import notebooks_dir
from kzresearch.run.pool import Pool
from kzresearch.run.single import FAST, STOCK, Task
from tests.conftest import command
from tests.run.test_engine import CELLS, compared

PYTHON = {"name": "python3", "language": "python", "display_name": "Python 3 (ipykernel)"}
FEATURES = {  # cells are parted by ---; each may fail
    "streams": r"""
import os, sys, threading, time
from IPython.display import display
def say(k): print("thread", k)
for thread in [threading.Thread(target=say, args=(k,)) for k in range(3)]:
    thread.start(); thread.join()
---
thread = threading.Thread(target=lambda: display("from a thread")); thread.start(); thread.join()
---
for k in range(3): print("\r", k, end="", flush=True)
print("\nover\rwritten")
---
print(("x" * 19 + "\n") * 250_000)
---
for k in range(10_000): print("line", k)
---
os.write(1, bytes(range(128, 256))); time.sleep(0.5)
---
os.write(1, "Қазақстан\n".encode() * 20); time.sleep(0.5)
---
print("Қазақстан 🧮 ё"); print("ошибка", file=sys.stderr)
---
"\ud800", os.fsdecode(b"\xff")
---
print(os.fsdecode(b"a\xff"))
---
sys.stdout.write("a"), sys.stdout.flush(), sys.stdout.writelines(["b", "c"])
---
sys.stdout.name, sys.stdout.errors, sys.stdout.closed, sys.stdout.readable(), sys.stdout.seekable()
---
sys.stdout.buffer.write(b"x")
---
sys.stdout.read()
---
print("shown", file=sys.__stdout__, flush=True); print("too", file=sys.__stderr__, flush=True); time.sleep(0.5)
---
import subprocess
subprocess.run(["echo", "to where the kernel's own output goes"], stdout=sys.stdout); time.sleep(0.5)
---
subprocess.run(["sh", "-c", "echo a; echo b > /dev/stdout; echo c | tee /dev/stderr; echo d >&2"]); time.sleep(0.5)
---
print(subprocess.run(["echo", "piped"], capture_output=True, text=True).stdout)
---
background = subprocess.Popen(["sh", "-c", "sleep 0.3; echo late"])
---
time.sleep(1)
---
import io
kept, sys.stdout = sys.stdout, io.StringIO()
print("hidden")
---
print("hidden too")
---
said, sys.stdout = sys.stdout.getvalue(), kept
said
---
import contextlib
with contextlib.redirect_stdout(io.StringIO()) as inner: print("inner"); os.system("echo outer")
time.sleep(0.5)
inner.getvalue()
---
import logging, warnings
logging.warning("w"); logging.getLogger("a.b").error("e")
---
logging.basicConfig(level=logging.DEBUG, force=True); logging.info("only what the notebook says")
---
1 / 0
---
warnings.warn("one"); warnings.warn("two", DeprecationWarning); warnings.warn("r", ResourceWarning)
---
def old(): warnings.warn("deep", DeprecationWarning, stacklevel=2)
old()
""",
    "errors": r"""
import sys
sys.exit()
---
sys.exit("words")
---
raise SystemExit(3)
---
raise KeyboardInterrupt
---
import os, signal, time
os.kill(os.getpid(), signal.SIGINT); time.sleep(0.2); print("not reached")
---
1 +
---
  x = 1
 y = 2
---
try: 1 / 0
except ZeroDivisionError as error: raise ValueError("second") from error
---
try: 1 / 0
except ZeroDivisionError: raise ValueError("meanwhile")
---
raise ExceptionGroup("several", [ValueError(1), ExceptionGroup("inner", [TypeError(2)])])
---
class Shown:
    def __init__(self, **by): self.__dict__.update(by)
    def _repr_html_(self): raise ValueError("in html")
    def __repr__(self): return "shown"
Shown()
---
class Broken:
    def __repr__(self): raise ValueError("in repr")
Broken()
---
from IPython.display import display
display(Broken()); print("goes on")
---
class Odd(Exception):
    def __str__(self): raise RuntimeError("in str")
raise Odd
---
error = ValueError("noted"); error.add_note("a note"); raise error
---
import threading
def fail(): raise ValueError("in a thread")
thread = threading.Thread(target=fail, name="T"); thread.start(); thread.join()
---
class Gone:
    def __del__(self): raise ValueError("in del")
gone = Gone(); del gone
---
input("?")
---
import getpass; getpass.getpass()
---
sys.stdin.read(), sys.stdin.isatty()
---
breakpoint()
---
signal.signal(signal.SIGALRM, lambda *_: exec("raise TimeoutError('rung')"))
signal.setitimer(signal.ITIMER_REAL, 0.1); time.sleep(3)
---
import faulthandler
faulthandler.enable(), faulthandler.is_enabled(), faulthandler.dump_traceback(file=sys.stderr)
---
import ipywidgets
---
assert 1 == 2, "unequal"
""",
    "magics": r"""
%who
---
%env KZ_X=1
---
%cd /
---
%cd -
---
import os; os.listdir()
---
%matplotlib inline
---
!exit 3
---
_exit_code
---
said = !echo hi; echo ho
said
---
%%writefile here.py
print("from here", __name__, __file__)
zz = 4
---
%run here.py
---
import here; zz, here.__file__
---
get_ipython().run_line_magic("who_ls", "")
---
%load_ext autoreload
%autoreload 2
---
%%html
<b>x</b>
---
%%javascript
alert(1)
---
%%latex
$x$
---
%%svg
<svg/>
---
%nosuch
---
%%nosuch
x
---
print?
---
help(len)
---
%%sh
echo $0; pwd | wc -l
---
%%python
print(1)
---
%%bash
echo out; exit 3
---
%%bash --out o --err e
echo out; echo err >&2
---
o, e
---
%%script cat
scripted
---
%lsmagic
---
%precision 3
3.14159
---
%xmode Plain
1/0
---
%xmode Context
---
%alias
---
x = 5
%store x
---
%store
---
%recall 1
---
%macro again 2
---
%history -n 1-3
---
%history -g wrote
---
%save -f saved 1
---
%load saved.py
---
%autosave 10
---
!echo -n unended
---
!printf 'a\tb\033[31mred\033[0m\n'
---
!false
print(_exit_code)
---
%system echo sys
---
%%!
echo many
echo lines
---
%pip --version
---
%%capture kept
print("kept"); display("shown")
---
kept.stdout, kept.outputs, kept.show()
---
%prun -q pass
---
%reset -f
---
sorted(globals())
""",
    "displays": r"""
from IPython.display import HTML, JSON, Image, Markdown, clear_output, display, update_display
for k in range(3): clear_output(wait=True); display(k); display(HTML(f"<b>{k}</b>"))
---
handle = display("one", display_id=True); handle.update("two"); handle.display("three")
---
display("a", display_id="q")
---
update_display("b", display_id="q"); print("done")
---
display("again", display_id="q"); clear_output(); update_display("c", display_id="q")
---
update_display("nothing", display_id="none")
---
print("1"); display("2"); print("3"); clear_output(wait=True); print("4"); display("5", "6")
---
import sys
print("out"); print("err", file=sys.stderr); display("x"); print("out"); print("err", file=sys.stderr)
---
display(JSON({"a": [1, None, float("nan")]}), Markdown("**m**"), metadata={"text/markdown": {"k": 1}})
---
display(Image(data=b"\x89PNG\r\n\x1a\n" + bytes(20), format="png", width=3))
---
display({"application/x+json": {"a": b"bytes"}}, raw=True)
---
get_ipython().ast_node_interactivity = "all"
---
1
2
---
import comm
widget = comm.create_comm(
    target_name="w", comm_id="w", data={"state": {"_model_name": "M", "x": 1}}, buffers=[b"b"],
    metadata={"version": "2"},
)
widget.send({"state": {"x": 2}}); type(widget).__name__
---
out = comm.create_comm(
    target_name="jupyter.widget", comm_id="out",
    data={"state": {"_model_name": "OutputModel", "_model_module": "@jupyter-widgets/output", "outputs": []}},
)
parent = get_ipython().get_parent()["header"]["msg_id"]
out.send({"method": "update", "state": {"msg_id": parent}}); print("into the widget")
out.send({"method": "update", "state": {"msg_id": ""}}); print("into the cell")
---
import warnings
warnings.simplefilter("ignore")
from ipykernel.comm import Comm
old = Comm("target", data={"a": 1}); old.send({"b": 2}); old.close()
---
get_ipython().set_next_input("next"), get_ipython().system("echo s"), get_ipython().getoutput("echo t")
""",
    "asyncio": r"""
import asyncio, time
async def later(words="later"):
    await asyncio.sleep(0.05); print(words); return words
task = asyncio.create_task(later("printed for the cell that made it"))
---
await task
---
task = asyncio.create_task(later())
---
time.sleep(0.3); task.done()
---
await asyncio.sleep(0.2); task.done()
---
loop = asyncio.get_running_loop()
loop.is_running(), asyncio.current_task() is not None
---
loop.call_soon(print, "soon"); await asyncio.sleep(0.1)
---
loop is asyncio.get_running_loop()
---
asyncio.run(later())
---
loop.run_until_complete(later())
---
await asyncio.gather(later("x"), later("y"))
---
async with asyncio.timeout(0.05): await asyncio.sleep(5)
---
async for k in (n async for n in later()): pass
---
await asyncio.to_thread(print, "in a thread")
---
sub = await asyncio.create_subprocess_exec("echo", "sub", stdout=asyncio.subprocess.PIPE)
await sub.communicate()
---
raise asyncio.CancelledError
---
async def failing(): raise ValueError("of a task")
await asyncio.create_task(failing())
---
import contextvars
var = contextvars.ContextVar("var", default=0); var.set(1)
---
var.get()
---
import decimal
decimal.getcontext().prec = 3
---
decimal.Decimal(1) / 3
---
async def deeper(): var.set(2)
await deeper(); var.get()
---
var.get()
""",
    "processes": r"""
import multiprocessing as mp, os, time
from concurrent.futures import ProcessPoolExecutor
def work(k):
    print("child", k, flush=True)
    return k * 2
with mp.get_context("fork").Pool(1) as pool: print(pool.map(work, [1, 2]))
time.sleep(0.5)
---
with mp.get_context("spawn").Pool(1) as pool: print(pool.map(abs, [-1, -2]))
---
process = mp.get_context("spawn").Process(target=print, args=("spawned",)); process.start(); process.join()
time.sleep(0.5)
process.exitcode
---
with mp.get_context("forkserver").Pool(1) as pool: print(pool.map(abs, [-5]))
---
with ProcessPoolExecutor(2) as pool: print(list(pool.map(abs, [-3, -4])))
---
with ProcessPoolExecutor(2) as pool: print(list(pool.map(lambda k: k, [1])))
---
mp.current_process().name, mp.parent_process(), mp.get_start_method()
""",
    "names": r"""
import gc, os, sys, tempfile, threading
5
---
_
---
__
---
_, __, ___, Out, len(In), _i, _ii, _ih[-2:], _oh is Out, _dh
---
# a comment alone
---

---
6;
---
None
---
get_ipython().execution_count
---
__file__
---
__name__, __doc__, __spec__, type(sys.modules["__main__"]).__name__
---
sys.argv[0], sys.argv[1], sys.argv[3:]
---
sys.path
---
os.getcwd(), os.listdir(), tempfile.gettempdir(), os.environ["TMPDIR"], os.environ["IPYTHONDIR"]
---
# polars adds to the last of these in each process that imports it
own = {"JPY_PARENT_PID", "_RJEM_MALLOC_CONF"}
sorted((name, value) for name, value in os.environ.items() if name not in own)
---
"JPY_PARENT_PID" in os.environ
---
threading.current_thread() is threading.main_thread(), sys.getrecursionlimit(), sys.getswitchinterval()
---
import signal
[signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGCHLD)]
---
umask = os.umask(0); os.umask(umask)
umask, os.getpid() == os.getpgid(0), os.getpid() == os.getsid(0), os.nice(0)
---
!ls -l /proc/self/fd | wc -l
---
print(os.popen("ls /proc/self/fd").read())
---
gc.collect() >= 0, gc.isenabled(), gc.get_threshold()
---
"numpy.random" in sys.modules
---
seen = []
sys.settrace(lambda *a: seen.append(a[1])); (lambda: 1)(); sys.settrace(None)
len(seen) > 0
---
import random, locale
locale.getlocale(), sys.getfilesystemencoding(), sys.excepthook is sys.__excepthook__
---
type(get_ipython()).__name__, type(get_ipython().display_pub).__name__, type(get_ipython().displayhook).__name__
---
sorted(name for name in globals() if not name.startswith("_i"))
""",
    "texts": r"""
1 is 1
---
def loud(lines):
    return [line.replace("whisper", "print") for line in lines]
get_ipython().input_transformers_cleanup.append(loud)
---
whisper("heard")
---
get_ipython().input_transformers_cleanup.remove(loud)
---
whisper("not heard")
---
import asyncio
await asyncio.sleep(0)
---
%precision 3
---
!echo "$HOME" | wc -l
---
asyncio?
---
callable(execfile), callable(runfile)
---
    print("indented")
---
>>> print("with a prompt")
---
from IPython.core import inputtransformer2 as texts
texts.tr["!"] = lambda line: f"print({line!r})"
---
!echo hello
---
class Equal:
    has_side_effects = False
    def __eq__(self, other):
        return True
    def __call__(self, lines):
        return ["print('called')"]
get_ipython().input_transformers_cleanup[0] = Equal()
---
1
---
import debugpy, nbformat
type(get_ipython().kernel.debugger).__name__
---
nbformat.v4.nbbase.validate({"output_type": "stream", "name": "a", "text": "b"}, "code_cell")
---
nbformat.v4.new_output("foo")
---
import papermill.engines
papermill.engines.dateutil.parser.parse("1 Jan 2020"), papermill.engines.dateutil.__name__
---
import ast
class Doubled(ast.NodeTransformer):
    def visit_Constant(self, node):
        return ast.copy_location(ast.Constant(node.value * 2), node)
get_ipython().ast_transformers.append(Doubled())
---
21
---
21
---
get_ipython().ast_transformers.clear()
---
21
---
"ends in ;"
---
"quiet";  # whatever is said after it
---
from __future__ import annotations
def noted(n: nosuch): pass
noted.__annotations__
---
def noted(n: nosuch): pass
noted.__annotations__
---
from IPython.core.compilerop import CachingCompiler
parse = CachingCompiler.ast_parse
def tenfold(self, *how, **more):
    tree = parse(self, *how, **more)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant): node.value *= 10
    return tree
CachingCompiler.ast_parse = tenfold
---
4
---
CachingCompiler.ast_parse = parse
---
from IPython.core.displayhook import DisplayHook
DisplayHook.semicolon_at_end_of_expression = staticmethod(lambda text: "5" in text)
---
5
---
6;
""",
    "libraries": r"""
import polars as pl
frame = pl.DataFrame({"a": range(100_000), "b": [k % 7 for k in range(100_000)]})
frame.lazy().group_by("b").agg(pl.col("a").sum()).sort("b").collect()
---
pl.thread_pool_size()
---
frame.filter(pl.col("nosuch") > 1)
---
import altair as alt
alt.renderers.active, alt.theme.active
---
alt.Chart(alt.Data(values=[{"a": 1}]), title="t").mark_bar().encode(x="a:Q").to_dict()["data"]
---
import numpy as np, scipy.linalg, scipy.stats
a = np.arange(250_000.0).reshape(500, 500) + np.eye(500)
(a @ a).shape, scipy.linalg.svdvals(a).shape, round(float(np.linalg.slogdet(a + a.T * 3)[0]))
---
np.array([1.0]) / 0
---
_ = np.seterr(all="raise")
---
np.array([1.0]) / 0
---
scipy.stats.norm.cdf(1.96).round(3)
---
import kzresearch as kz
kz.charts.MIME, alt.renderers.active, alt.theme.active
---
kz.load_form_1m(period="2022-12", region="KZ", section="R1", article="146").head(3)
""",
}


def code(text: str, *tags: str, **parts) -> nbformat.NotebookNode:
    return nbformat.v4.new_code_cell(text, metadata={"tags": list(tags)} if tags else {}, **parts)


def words(text: str, **parts) -> nbformat.NotebookNode:
    return nbformat.v4.new_markdown_cell(text, **parts)


FAILING = "raises-exception"
ODD = {  # notebooks that are more or less than cells that run
    "all-features": [
        code(CELLS[0], "parameters"),
        words("# Words"),
        *(code(text, *[FAILING][: at == len(CELLS) - 3]) for at, text in enumerate(CELLS) if at),
    ],
    "empty": [],
    "no-code": [words("# Title\n\nQuestion?"), nbformat.v4.new_raw_cell("raw")],
    "attachments": [
        words("![a](attachment:a.png)", attachments={"a.png": {"image/png": "iVBORw0KGgo="}}),
        code("1"),
    ],
    "stored": [
        code(
            "2",
            execution_count=17,
            outputs=[nbformat.v4.new_output("stream", name="stdout", text="of before")],
        ),
        code("", execution_count=3, outputs=[nbformat.v4.new_output("display_data", data={})]),
        code("1/0", execution_count=3),
        code("never", execution_count=4, outputs=[nbformat.v4.new_output("stream", text="old")]),
    ],
    "tags": [
        code("kept = 1", "remove-cell"),
        code("kept = 2; print('not run')", "skip-execution"),
        code("raise ValueError(kept)", FAILING),
        code("kept"),
    ],
    "error-first": [code("first"), code("2"), words("end")],
    "error-last": [code("1"), code("last")],
    "interrupted": [code("raise KeyboardInterrupt"), code("2")],
    "exit-code": [code("print(1)"), code("import os; os._exit(3)"), code("3")],
    "exit": [code("exit()"), code("import time; time.sleep(0.5); print('late')"), code("2")],
    "exit-last": [code("1"), code("quit()")],
    "killed": [code("import os; os.kill(os.getpid(), 9)")],
    "crashed": [code("import ctypes; ctypes.string_at(0)")],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("notebooks")


def written(folder: Path, name: str, cells, kernel=PYTHON, minor=5) -> Path:
    """A notebook's file; cells have ids by their places."""
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    for at, cell in enumerate(notebook["cells"]):
        cell["id"] = f"c{at}"
        if minor < 5:
            del cell["id"]
    notebook["nbformat_minor"] = minor
    path = folder / f"{name}.ipynb"
    path.write_text(json.dumps(notebook), encoding="utf-8")
    return path


def task_of(path: Path | str, **values) -> Task:
    notebook = find_notebook(str(path))
    return Task.of(notebook, notebook.check(values))


@pytest.fixture(scope="module")
def pools():
    class Unseen(subprocess.Popen):
        """Starts processes that do not see pytest: kernels that do so catch less."""

        def __init__(self, words, *, env=None, **how):
            env = {k: v for k, v in (env or os.environ).items() if k != "PYTEST_CURRENT_TEST"}
            super().__init__(words, env=env, **how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess, "Popen", Unseen)
        said: list[str] = []
        with Pool(2, FAST, 90, warn=said.append) as fast, Pool(2, STOCK, 90) as stock:
            yield {FAST: fast, STOCK: stock}
        assert said == []


@pytest.fixture(scope="module")
def ran(pools, folder):
    """A notebook as each engine leaves it, by name; all are run ahead of the tests, two at once."""
    tasks = {name: task_of(name) for name in ORDER}
    for name, text in FEATURES.items():
        cells = [code(one, FAILING) for one in text.strip("\n").split("\n---\n")]
        tasks[name] = task_of(written(folder, name, cells))
    for name, cells in ODD.items():
        tasks[name] = task_of(written(folder, name, cells))
    tasks["without-ids"] = task_of(
        written(folder, "without-ids", [code("1"), code("1/0")], minor=4)
    )
    with ThreadPoolExecutor(2) as executor:
        runs = {
            name: {engine: executor.submit(pool.run, task) for engine, pool in pools.items()}
            for name, task in tasks.items()
        }
        yield lambda name: [json.loads(one.result()) for one in runs[name].values()]
        executor.shutdown(cancel_futures=True)


def as_lines(value) -> list[str]:
    """A cell in lines, without what differs from process to process: numbers and addresses."""
    text = json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False)
    text = re.sub(r"temporary/(tmp\w+|kernel)\.json|0x[0-9a-f]{6,}", "…", text)
    return re.sub(r"(ipykernel|thread)[_ ]\d+", r"\1", text).splitlines()


def assert_same(fast: dict, stock: dict) -> None:
    for one, other in zip(compared(fast), compared(stock), strict=True):
        assert as_lines(one) == as_lines(other), "".join(one["source"])
    for key in ("language_info", "widgets", "kernelspec"):
        assert fast["metadata"].get(key) == stock["metadata"].get(key)
    states = [set(one["metadata"].get("papermill", {})) for one in (fast, stock)]
    assert states[0] == states[1]
    apart = {"engine", "started", "ended", "outputs"}  # what is put out is compared above
    records = [one["metadata"]["kzresearch"] for one in (fast, stock)]
    assert [one["engine"] for one in records] == [FAST, STOCK]
    assert as_lines([{k: v for k, v in one.items() if k not in apart} for one in records[:1]]) == (
        as_lines([{k: v for k, v in one.items() if k not in apart} for one in records[1:]])
    )


@pytest.mark.parametrize("name", [*FEATURES, *ODD, "without-ids", *ORDER])
def test_both_engines_give_the_same(ran, name):
    fast, stock = ran(name)
    assert_same(fast, stock)
    if name in ORDER:
        assert fast["metadata"]["kzresearch"]["status"] == "completed"
        assert fast["metadata"]["kzresearch"]["results"]


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("error-first", "NameError", "name 'first' is not defined"),
        ("exit-code", "KernelDied", "exit code 3"),
        ("killed", "Killed", "SIGKILL"),
        ("crashed", "Killed", "SIGSEGV"),
    ],
)
def test_what_ended_a_run_is_in_its_record(ran, name, kind, words):
    for one in ran(name):
        error = one["metadata"]["kzresearch"]["error"]
        assert error["type"] == kind
        assert words in error["message"]


def test_papermill_by_itself_gives_the_same(ran, tmp_path):
    name = "data_quality"
    fast, _ = ran(name)
    given = json.dumps(find_notebook(name).check({}))
    source, target = notebooks_dir() / f"{name}.ipynb", tmp_path / "executed.ipynb"
    asked = [command("papermill"), str(source), str(target), "--no-progress-bar", "-y", given]
    subprocess.run(asked, cwd=tmp_path, check=True, capture_output=True)
    alone = json.loads(target.read_text(encoding="utf-8"))
    for one, other in zip(compared(fast), compared(alone), strict=True):
        assert as_lines(one) == as_lines(other)


LEAVE = """
import builtins, os, random, signal, subprocess, sys, tempfile, threading, time, warnings
import altair, mailbox, numpy, polars, kzresearch.regions
leaked = 1
%store leaked
tempfile.mkstemp(); open("left.txt", "w").write("left")
os.environ["KZ_LEAKED"] = "1"; os.umask(0o077); os.chdir("/"); sys.path.append("/leaked")
random.seed(1); numpy.random.seed(1); numpy.seterr(all="raise"); polars.Config.set_tbl_rows(1)
altair.renderers.enable("png"); kzresearch.regions.COUNTRY = "leaked"; builtins.leaked = 1
signal.signal(signal.SIGUSR1, signal.SIG_IGN); warnings.simplefilter("error")
sys.setrecursionlimit(5000)
threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
for own in (False, True): subprocess.Popen(["sleep", "86391.25"], start_new_session=own)
os.system("setsid sleep 86391.25 &")
"""
LOOK = [
    "trace: str = ''  # where to write",
    """
import sys
modules = "mailbox" in sys.modules
import builtins, json, os, random, signal, tempfile, threading, warnings
cwd, files, temporary = os.getcwd(), os.listdir(), os.listdir(tempfile.gettempdir())
with open(trace, "a") as file: print(json.dumps([cwd, tempfile.gettempdir()]), file=file)
""",
    "%store -r\n'leaked' in globals()",
    "import altair, numpy, polars, kzresearch.regions",
    "numpy.geterr(), polars.DataFrame({'a': [1, 2, 3]}), altair.renderers.active, kzresearch.regions.COUNTRY",
    "modules, cwd, files, [name for name in temporary if not name.startswith(('tmp', 'ipython'))]",
    "sorted((key, os.environ[key]) for key in os.environ if key != 'JPY_PARENT_PID'), sys.path, sys.argv[0]",
    "hasattr(builtins, 'leaked'), sorted(globals()), sys.getrecursionlimit()",
    "[signal.getsignal(signal.SIGUSR1), os.umask(0o022)], warnings.filters[:4], get_ipython().execution_count",
    "[thread.name for thread in threading.enumerate() if 'sleep' in thread.name]",
    "random.random(), numpy.random.random(), numpy.random.default_rng().random()",
]


@pytest.mark.parametrize("engine", [FAST, STOCK])
def test_nothing_leaks_from_one_run_to_the_next(engine, tmp_path, monkeypatch):
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    (tmp_path / "ipython").mkdir()
    cells = [code(text, *["parameters"][: at == 0]) for at, text in enumerate(LOOK)]
    look = task_of(written(tmp_path, "look", cells), trace=str(tmp_path / "trace"))
    leave = task_of(written(tmp_path, "leave", [code(LEAVE)]))
    with Pool(1, engine, 90) as pool:
        before, left, after = (json.loads(pool.run(task)) for task in (look, leave, look))
        assert sleeping() == []
    for one in (before, left, after):
        assert one["metadata"]["kzresearch"]["error"] is None
    outputs = [[cell["outputs"] for cell in one["cells"]] for one in (before, after)]
    chance = [json.dumps(one.pop()) for one in outputs]
    assert chance[0] != chance[1]
    assert as_lines(outputs[0]) == as_lines(outputs[1])
    places = [json.loads(line) for line in (tmp_path / "trace").read_text().splitlines()]
    assert len({path for pair in places for path in pair}) == 4
    assert not [path for pair in places for path in pair if Path(path).exists()]
    assert list((tmp_path / "ipython").iterdir()) == []


def sleeping() -> list[int]:
    """What `LEAVE` has started and still runs."""
    return [
        one.pid
        for one in psutil.process_iter(["cmdline"])
        if "86391.25" in (one.info["cmdline"] or [])
    ]


def test_what_is_left_to_the_end_of_the_process_is_done(pools, tmp_path):
    text = f"""
import atexit
file = open({str(tmp_path / "left-open")!r}, "w"); file.write("words")
_ = atexit.register(lambda: open({str(tmp_path / "at-exit")!r}, "w").close())
"""
    task = task_of(written(tmp_path, "end", [code(text)]))
    for pool in pools.values():
        pool.run(task)
        assert (tmp_path / "left-open").read_text() == "words"
        (tmp_path / "at-exit").unlink()
        (tmp_path / "left-open").unlink()


def test_a_process_that_a_cell_forks_ends_with_the_cell(pools, tmp_path):
    text = (
        "import os\nchild = os.fork()\nif child: os.waitpid(child, 0)\nprint('twice', flush=True)"
    )
    task = task_of(written(tmp_path, "forks", [code(text), code("print('once')")]))
    done = json.loads(pools[FAST].run(task))
    outputs = [cell["outputs"][0]["text"] for cell in done["cells"]]
    assert outputs == [["twice\n", "twice\n"], ["once\n"]]


@pytest.mark.slow
def test_a_thousand_forks_in_a_row(tmp_path):
    task = task_of(written(tmp_path, "trivial", [code("1+1")]))
    said: list[str] = []
    with Pool(2, FAST, 60, warn=said.append) as pool, ThreadPoolExecutor(2) as executor:
        pool.run(task)
        parent, me = psutil.Process(pool._parent.process.pid), psutil.Process()
        before = parent.memory_info().rss, parent.num_fds(), me.num_fds()
        began = time.monotonic()
        for done in executor.map(lambda _: pool.run(task), range(1000)):
            assert b'"execution_count": 1' in done
            assert b'"status": "completed"' in done
        print(f"{time.monotonic() - began:.1f} s for 1,000 runs")
        after = parent.memory_info().rss, parent.num_fds(), me.num_fds()
        assert psutil.Process(pool._parent.process.pid) == parent
        assert parent.children() == []
        assert list(pool._folder.glob("run-*")) == []
    assert after[0] < before[0] + 20e6
    assert after[1:] == before[1:]
    assert said == []


THREAD = """
import sys, threading, time
if "fork" in sys.orig_argv:
    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
"""


def test_a_thread_in_the_parent_means_the_stock_engine(ran, folder, tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text(THREAD, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    said: list[str] = []
    with Pool(1, FAST, 60, warn=said.append) as pool:
        one, other = (json.loads(pool.run(task_of(folder / "tags.ipynb"))) for _ in range(2))
    (sentence,) = said
    assert re.search("papermill's own engine.* a thread named python", sentence)
    for done in (one, other):
        assert done["metadata"]["kzresearch"]["engine"] == STOCK
        assert as_lines(compared(done)) == as_lines(compared(ran("tags")[0]))


def test_another_kernel_means_the_stock_engine(folder, tmp_path, monkeypatch):
    spec = {"argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]}
    kernel = tmp_path / "kernels" / "other"
    kernel.mkdir(parents=True)
    (kernel / "kernel.json").write_text(
        json.dumps(spec | {"display_name": "O", "language": "python"})
    )
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    said: list[str] = []
    with Pool(2, FAST, 60, warn=said.append) as pool:
        for name, error in (("other", None), ("nosuch", "No such kernel named nosuch")):
            path = written(tmp_path, name, [code("1+1")], kernel=PYTHON | {"name": name})
            record = json.loads(pool.run(task_of(path)))["metadata"]["kzresearch"]
            assert record["engine"] == STOCK
            assert error in record["error"]["message"] if error else record["error"] is None
    assert [
        f"{name} asks for the kernel {name}" in one
        for name, one in zip(("other", "nosuch"), said, strict=True)
    ]


def test_runs_whose_parent_is_killed_are_started_again(tmp_path):
    (tmp_path / "begun").mkdir()
    begin = f"import os, time\nopen(f'{tmp_path}/begun/{{os.getpid()}}', 'w').close()"
    task = task_of(written(tmp_path, "sleeps", [code(f"{begin}; time.sleep(1)\n'done'")]))
    said: list[str] = []
    with Pool(2, FAST, 60, warn=said.append) as pool, ThreadPoolExecutor(2) as executor:
        runs = [executor.submit(pool.run, task) for _ in range(2)]
        until = time.monotonic() + 30
        while len(list((tmp_path / "begun").iterdir())) < 2:
            assert time.monotonic() < until
            time.sleep(0.01)
        parent = psutil.Process(pool._parent.process.pid)
        children = parent.children()
        os.kill(parent.pid, signal.SIGKILL)
        for run in runs:
            done = json.loads(run.result(timeout=60))
            assert done["cells"][0]["outputs"][0]["data"]["text/plain"] == ["'done'"]
            assert done["metadata"]["kzresearch"]["engine"] == FAST
        assert len(children) == 2
        _, alive = psutil.wait_procs(children, timeout=10)
        assert not alive
    assert said == []
