"""The batches' part of `make bench`: 40 runs of `case_flow`, 20 regions × 2 articles, as ratios.

What it is compared with is measured with the import tax removed (a stub in the place of
rfc3987_syntax, on both sides), and once more as installed; the first counts.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import psutil

from kzresearch.regions import region_codes
from kzresearch.resources import notebooks_dir
from tests.conftest import command

NOTEBOOK = str(notebooks_dir() / "case_flow.ipynb")
ARTICLES = ("146", "362")
GRID = [(region, article) for article in ARTICLES for region in region_codes()]
TWENTY = "146,362,120,147,99,106,107,110,121,125,126,127,188,190,191,194,293,297,361,366"

POOL = """
import json, sys
from multiprocessing import get_context

def one(given):
    import papermill
    notebook, target, parameters = given
    papermill.execute_notebook(notebook, target, parameters, progress_bar=False)

if __name__ == "__main__":
    with get_context("spawn").Pool(2) as pool:
        pool.map(one, json.load(sys.stdin), chunksize=1)
"""
FLOOR = """
import contextlib, io, json, os, sys, time
os.environ["POLARS_MAX_THREADS"] = "1"
from IPython.core.interactiveshell import InteractiveShell
cells = json.load(open(sys.argv[1]))["cells"]
shell, took = InteractiveShell.instance(), []
for region, article in json.load(sys.stdin):
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        for cell in cells:
            if cell["cell_type"] == "code":
                shell.run_cell("".join(cell["source"])).raise_error()
                if "parameters" in cell["metadata"].get("tags", []):
                    shell.run_cell(f"region, article = {region!r}, {article!r}")
    took.append(time.perf_counter() - start)
print(sorted(took)[len(took) // 2])
"""

PAGES = """
import json, sys, time
from copy import deepcopy
from pathlib import Path
import nbformat, vl_convert
from nbconvert.exporters import HTMLExporter
from kzresearch import records
from kzresearch.charts import MIME
from kzresearch.publish import html

files = sorted(Path(sys.argv[1]).glob("*.ipynb"))
read = [nbformat.reads(path.read_text("utf-8"), as_version=4) for path in files]
bare, took = HTMLExporter(), {"page": 0.0, "pictures": 0.0, "nbconvert": 0.0}

def timed(what, function, *given):
    start = time.perf_counter()
    found = function(*given)
    took[what] += time.perf_counter() - start
    return found

def pictures(notebook):
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            spec = output.get("data", {}).pop(MIME, None)
            if spec is not None:
                output["data"]["image/svg+xml"] = vl_convert.vegalite_to_svg(spec, vl_version="6.1")

for number, notebook in enumerate([read[0], *read]):
    if number == 1:
        took = dict.fromkeys(took, 0.0)  # the first made all warm
    one, other = deepcopy(notebook), deepcopy(notebook)
    timed("page", html.page, one, records.in_order(notebook))
    timed("pictures", pictures, other)
    timed("nbconvert", bare.from_notebook_node, other)
print(json.dumps(took))
"""
"""Pages of a folder of runs, and their bare parts, in one process."""
PDFS = """
import json, sys, time
from pathlib import Path
import nbformat
from kzresearch import records
from kzresearch.publish import pdf
from kzresearch.run.worker import _hide_fonts
_hide_fonts(Path(sys.argv[1]))
took = []
for path in sorted(Path(sys.argv[1]).glob("*.ipynb")):
    notebook = nbformat.read(path, as_version=4)
    start = time.perf_counter()
    pdf.document(notebook, records.in_order(notebook))
    took.append(time.perf_counter() - start)
print(json.dumps(took))
"""

Report = Callable[..., bool]


def taxed(stub: Path | None) -> dict[str, str]:
    """The environment of a command, without the import tax where a stub is given."""
    return {**os.environ, **({"PYTHONPATH": str(stub)} if stub else {})}


def quiet(words: list, stub: Path | None, given: str | None = None) -> str:
    done = subprocess.run(
        [str(word) for word in words],
        env=taxed(stub),
        input=given,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(f"{words[:3]} failed: {done.stderr[-2000:]}")
    return done.stdout


def batch(out: Path, *words: str, articles: str = ",".join(ARTICLES)) -> float:
    start = time.perf_counter()
    each = ["--each", "region", "--each", f"article={articles}", "-p", "period=2022-12"]
    quiet([command("kzresearch"), "batch", "case_flow", *each, "--out", out, *words], None)
    return time.perf_counter() - start


def verify(out: Path) -> float:
    start = time.perf_counter()
    quiet([command("kzresearch"), "verify", out], None)
    return time.perf_counter() - start


def papermill_loop(folder: Path, grid: list, stub: Path | None, *, html: bool = False) -> float:
    """Seconds of a loop of the commands that papermill's users type."""
    start = time.perf_counter()
    for region, article in grid:
        target = folder / f"{region}-{article}.ipynb"
        given = ["-p", "region", region, "-r", "article", article]
        quiet([command("papermill"), NOTEBOOK, target, *given, "--no-progress-bar"], stub)
        if html:
            quiet([command("jupyter"), "nbconvert", "--to", "html", target], stub)
    return time.perf_counter() - start


def papermill_pool(folder: Path, grid: list, stub: Path | None) -> float:
    (folder / "pool.py").write_text(POOL, encoding="utf-8")
    tasks = [
        (
            NOTEBOOK,
            str(folder / f"{region}-{article}.ipynb"),
            {"region": region, "article": article},
        )
        for region, article in grid
    ]
    start = time.perf_counter()
    quiet([sys.executable, folder / "pool.py"], stub, json.dumps(tasks))
    return time.perf_counter() - start


def pdfs(folder: Path) -> list[float]:
    """Seconds that each PDF takes in one process, the first left out: all notebooks, 11 runs."""
    more = ["batch", "case_flow", "--each", "region=KZ-75,KZ-79,KZ-10"]
    for words in (["report"], more):
        quiet([command("kzresearch"), *words, "--out", folder, "--formats", "none"], None)
    first, *took = json.loads(quiet([sys.executable, "-c", PDFS, folder], None))
    print(f"     the first PDF of a process: {first:.2f} s")
    return took


@contextmanager
def peak_memory(found: list[float], every: float = 0.1):
    """Most memory of this process's children together, in MB; shared pages are counted once.

    A look takes the system some milliseconds for each child: many of them slow what is looked at.
    """
    ended = threading.Event()

    def watch() -> None:
        most = 0
        while not ended.wait(every):
            used = 0
            for process in psutil.Process().children(recursive=True):
                try:
                    used += process.memory_full_info().pss
                except psutil.Error:
                    continue
            most = max(most, used)
        found.append(most / 1e6)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def dask(folder: Path):
    """A scheduler and two workers on this machine."""
    from tests.run.servers import dask_cluster

    with dask_cluster(folder) as cluster:
        cluster.workers(2)
        cluster.joined(2)
        yield cluster.address


def measured(report: Report) -> list[bool]:
    with tempfile.TemporaryDirectory() as name:
        return _measured(Path(name), report)


def _measured(folder: Path, report: Report) -> list[bool]:
    stub = folder / "stub"
    stub.mkdir()
    (stub / "rfc3987_syntax.py").write_text("raise ImportError\n", encoding="utf-8")
    theirs, half, good = folder / "theirs", len(GRID) // 2, []
    theirs.mkdir()

    def ours(tag: str, *words: str) -> float:
        return batch(folder / tag, *words)

    def against(what: str, limit: float, other: Callable, *words: str) -> float:
        """Ours before, between and after the halves of the other: a noisy machine is so to both."""
        took = []
        for stubbed in (stub, None):
            mine = [ours(f"{what}{stubbed}0", *words)]
            rest = other(GRID[:half], stubbed)
            mine.append(ours(f"{what}{stubbed}1", *words))
            rest += other(GRID[half:], stubbed)
            mine.append(ours(f"{what}{stubbed}2", *words))
            pairs = [(rest, one) for one in mine]
            if stubbed:
                good.append(report(what, pairs, limit, at_least=True))
                took = mine
            else:
                report(f"  the same as installed, for information: {what}", pairs, 0, at_least=True)
        return statistics.median(took)

    bare = ("--formats", "none")
    alone = against(
        "40 runs, papermill's command in a loop / batch",
        25,
        lambda grid, stubbed: papermill_loop(theirs, grid, stubbed),
        *bare,
    )
    against(
        "40 runs, papermill.execute_notebook in two processes / batch",
        8,
        lambda grid, stubbed: papermill_pool(theirs, grid, stubbed),
        *bare,
    )
    against(
        "40 runs with pages, papermill and nbconvert / batch",
        15,
        lambda grid, stubbed: papermill_loop(theirs, grid, stubbed, html=True),
    )

    done = [batch(folder / "done", *bare) for _ in range(4)][1:]
    good.append(report("40 runs that are all there, in seconds", [(s, 1.0) for s in done], 2))

    pairs = []
    for i in range(3):
        took = batch(folder / f"verified{i}", *bare)
        pairs.append((verify(folder / f"verified{i}"), took))
    good.append(report("verify of 40 runs / the batch that made them", pairs, 1.3))
    took = pdfs(folder / "pdfs")
    what = f"a PDF after the first in its process, the slowest of {len(took)}, in seconds"
    good.append(report(what, [(max(took), 1.0)], 1))
    each = [(s, 1.0) for s in took]
    good.append(
        report(f"a PDF after the first in its process, {len(took)} runs, in seconds", each, 1)
    )

    forty, many = [], []
    with peak_memory(forty):
        batch(folder / "memory40")
    with peak_memory(many):
        batch(folder / "memory400", articles=TWENTY)
    pair = [(many[0], forty[0])]
    good.append(report("memory of 400 runs with pages / of 40 (in MB)", pair, 1.25))
    good.append(report("memory of 400 runs with pages, in GB", [(many[0] / 1000, 1.0)], 1))

    batch(folder / "pages", *bare)
    took = json.loads(quiet([sys.executable, "-c", PAGES, folder / "pages"], stub))
    parts = took["pictures"] + took["nbconvert"]
    pair = [(took["page"], parts)]
    good.append(report("40 pages / pictures of their charts and nbconvert", pair, 1.5))

    with dask(folder) as address:
        pairs = [
            (
                batch(folder / f"local{i}", *bare),
                batch(folder / f"dask{i}", *bare, "--dask", address),
            )
            for i in range(3)
        ]
    good.append(report("rate through Dask, two workers / local", pairs, 0.7, at_least=True))

    floor = float(quiet([sys.executable, "-c", FLOOR, NOTEBOOK], stub, json.dumps(GRID)))
    cores = os.cpu_count() or 1
    print(
        f"floor: {floor:.3f} s for the code alone in a warm process, {floor / cores:.3f} s on each of "
        f"{cores} cores; a run of the batch takes {alone / len(GRID):.3f} s in all, "
        f"{alone / len(GRID) / (floor / cores):.1f} times that"
    )
    return good
