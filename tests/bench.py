"""`make bench`: speed as ratios of things measured in turn in one run, so that a noisy machine

disturbs both sides alike. Exits with 1 where a ratio is over its limit.

    python -m tests.bench [imports] [kernels] [loading] [reader] [batches] [ingest [--small]]
"""

import logging
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl

import kzresearch as kz
from kzresearch.form_1m import codebook
from kzresearch.resources import data_dir

ROOT = Path(__file__).parents[1]
logging.getLogger("fastexcel").setLevel(logging.ERROR)  # the bare decode guesses some types aloud


def raw_workbooks() -> list[Path]:
    for folder in (os.environ.get("KZRESEARCH_RAW"), ROOT.parent / "shared" / "sources"):
        if folder and (Path(folder) / "form_1m" / "2022-12").is_dir():
            return sorted((Path(folder) / "form_1m" / "2022-12").glob("*.XLSX"))
    return []


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def in_turn(one: Callable[[], object], other: Callable[[], object], rounds: int) -> list[tuple]:
    """Times of both, measured in turn after one round to warm up."""
    one(), other()
    return [(seconds(one), seconds(other)) for _ in range(rounds)]


def report(what: str, pairs: list[tuple], limit: float, *, at_least: bool = False) -> bool:
    ratio = statistics.median(a / b for a, b in pairs)
    ours = statistics.median(a for a, _ in pairs)
    theirs = statistics.median(b for _, b in pairs)
    good = ratio >= limit if at_least else ratio <= limit
    print(
        f"{'ok  ' if good else 'OVER'} {what}: {ratio:.2f} "
        f"({'at least' if at_least else 'at most'} {limit:g}; {ours:.3f} s against {theirs:.3f} s, "
        f"median of {len(pairs)})"
    )
    return good


def decode(path: Path, sheets: list[str]) -> list[pl.DataFrame]:
    import fastexcel

    book = fastexcel.read_excel(path)
    return [book.load_sheet(s, header_row=None, skip_rows=6).to_polars() for s in sheets]


def openpyxl_rows(path: Path) -> int:
    import openpyxl

    book = openpyxl.load_workbook(path, read_only=True)
    count = sum(1 for sheet in book for _ in sheet.iter_rows(values_only=True))
    book.close()
    return count


def reader() -> list[bool]:
    paths = raw_workbooks()
    if not paths:
        print("left out: the reader's benchmarks need workbooks; set KZRESEARCH_RAW")
        return []
    sheets = codebook.section_names()

    def whole() -> None:
        kz.read_form_1m(paths, "2022-12")

    def bare() -> None:
        for path in paths:
            decode(path, sheets)

    pairs = in_turn(whole, bare, 7)
    one = paths[5]
    single = in_turn(lambda: kz.read_form_1m(one, "2022-12"), lambda: decode(one, sheets), 15)
    section = in_turn(
        lambda: kz.read_form_1m(one, "2022-12", "R1"), lambda: kz.read_form_1m(one, "2022-12"), 15
    )
    slow = seconds(lambda: openpyxl_rows(one))
    fast = statistics.median(a for a, _ in single)
    return [
        report(f"{len(paths)} workbooks, all sections / bare decode one by one", pairs, 1.6),
        report("one workbook, all sections / bare decode", single, 2.0),
        report("one section / the whole workbook", section, 0.25),
        report(
            "openpyxl, read-only / one workbook, all sections", [(slow, fast)], 10, at_least=True
        ),
    ]


def imports() -> list[bool]:
    def importing(module: str) -> Callable[[], object]:
        code = f"import {module}"
        return lambda: subprocess.run([sys.executable, "-c", code], check=True)

    pairs = in_turn(importing("kzresearch"), importing("polars"), 9)
    chart = in_turn(importing("kzresearch, altair"), importing("altair"), 5)
    return [
        report("import kzresearch / import polars", pairs, 1.3),
        report("import kzresearch, altair / import altair alone", chart, 1.1),
    ]


def kernels() -> list[bool]:
    """From starting a kernel to the end of its first cell, as `kzresearch lab` starts it and as Jupyter does."""
    from jupyter_client.manager import start_new_kernel

    from kzresearch.lab import configuration

    def running(code: str, path: Path | str) -> Callable[[], object]:
        def run() -> None:
            os.environ["JUPYTER_PATH"] = str(path)
            manager, client = start_new_kernel(kernel_name="python3")
            client.execute_interactive(code, timeout=120, output_hook=lambda _: None)
            client.stop_channels()
            manager.shutdown_kernel(now=True)

        return run

    found = []
    loads = "import kzresearch as kz; kz.load_form_1m('2022-12', 'KZ', 'R1', '146')"
    for code, limit in (("import altair", 0.7), (loads, 1.2)):
        pairs = in_turn(running(code, configuration()), running(code, ""), 5)
        what = f"kernel of `kzresearch lab` / Jupyter's own, to the end of `{code.split(';')[0]}`"
        found.append(report(what, pairs, limit))
    os.environ.pop("JUPYTER_PATH")
    return found


def loading() -> list[bool]:
    path = data_dir() / "form_1m" / "2022-12.parquet"
    row = pl.col("row") == "article:146"
    pairs = in_turn(
        lambda: kz.load_form_1m(article="146"),
        lambda: pl.scan_parquet(path).filter(row).collect(),
        25,
    )
    bare = statistics.median(b for _, b in pairs)
    limit = max(3.0, (bare + 0.020) / bare)
    return [report("load_form_1m(article='146') / bare scan and filter", pairs, limit)]


def batches() -> list[bool]:
    from tests import bench_batches

    return bench_batches.measured(report)


def ingest() -> list[bool]:
    from tests import bench_ingest

    paths = raw_workbooks()
    raw = paths[0].parents[2] if paths else None
    return bench_ingest.measured(report, raw, small="--small" in sys.argv)


PARTS = {
    "imports": imports,
    "kernels": kernels,
    "loading": loading,
    "reader": reader,
    "batches": batches,
    "ingest": ingest,
}

if __name__ == "__main__":
    chosen = [name for name in sys.argv[1:] if name in PARTS] or list(PARTS)
    results = [good for name in chosen for good in PARTS[name]()]
    sys.exit(not all(results))
