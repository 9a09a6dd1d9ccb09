"""The part of `make bench` about scale: 240 and 1,200 generated workbooks, their store, one article.

The workbooks take 1.3 GB in the folder for temporary files (`TMPDIR`), and are removed. `--small` takes
40 and 80 instead: the code is tried, the ratios say little.
"""

import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from kzresearch.storage import Storage
from tests import generated
from tests.bench_batches import peak_memory
from tests.bench_batches import quiet as run

PERIODS = {False: (12, 60), True: (2, 4)}
"""How many are written first, and in all; by whether it is a small one."""
ROUNDS = 3

TIMES = """
import json, resource, sys, time

def times():
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return time.perf_counter(), sum(one.ru_utime + one.ru_stime for one in used)

def told(start, number):
    print(json.dumps([(b - a) / number for a, b in zip(start, times())]))
"""
"""Seconds of a clock, and of processors."""
INGEST = f"""{TIMES}
import kzresearch as kz
paths, store, jobs = json.load(sys.stdin)
start = times()
found = kz.ingest(paths, store=store, jobs=jobs)
assert set(found["outcome"]) == {{"taken"}}, found
told(start, found.height)
"""
DECODE = f"""{TIMES}
import logging
from pathlib import Path
from kzresearch.form_1m.codebook import section_names
from tests.bench import decode
logging.getLogger("fastexcel").setLevel(logging.ERROR)
paths = [path for folder in json.load(sys.stdin) for path in sorted(Path(folder).iterdir())]
sheets, start = section_names(), times()
for path in paths:
    decode(path, sheets)
told(start, len(paths))
"""
ARTICLE_146 = "load_form_1m(article='146')"
WAYS = {
    "scan": "pl.scan_parquet(FILES).filter(pl.col('row') == 'article:146').collect()",
    ARTICLE_146: "kz.load_form_1m(PERIODS, article='146')",
    "load_form_1m(article='146', section='R1')": (
        "kz.load_form_1m(PERIODS, article='146', section='R1')"
    ),
    "panel('146')": "kz.panel('146', period=PERIODS)",
}
ARTICLE = """
import json, resource, sys, time
import polars as pl
import kzresearch as kz
way, FILES, PERIODS, times = json.load(sys.stdin)
way = compile(way, "way", "eval")
took = []
for _ in range(times):
    start = time.perf_counter()
    found = eval(way)
    took.append(time.perf_counter() - start)
    rows = found.height
    del found
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
print(json.dumps({"rows": rows, "best": min(took), "first": took[0], "peak": peak}))
"""
Report = Callable[..., bool]


def python(code: str, given: object) -> Any:
    """What a program prints that gets this on its standard input, in a process of its own."""
    return json.loads(run([sys.executable, "-c", code], None, json.dumps(given)))


def measured(report: Report, raw: Path | None, *, small: bool = False) -> list[bool]:
    few, many = PERIODS[small]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        generated.write(folder / "workbooks", generated.periods(many), raw)
        good = _ingested(report, folder, few, many)
        store = folder / "many"
        good += _stored(report, store)
        good += _article(report, store)
        return good + _remote(report, folder, store)


def _ingested(report: Report, folder: Path, few: int, many: int) -> list[bool]:
    """Reading the workbooks into a store; that of all of them is left in `many`."""
    workbooks = [str(folder / "workbooks" / period) for period in generated.periods(many)]
    stores = (f"store{number}" for number in range(100))

    def ingest(paths: list[str], jobs: int, store: str = "") -> list[float]:
        return python(INGEST, [paths, str(folder / (store or next(stores))), jobs])

    peaks: dict[int, list[float]] = {few: [], many: []}
    decoded, one, two = [], [], []
    for _ in range(ROUNDS):
        one.append(ingest(workbooks[:few], 1))
        decoded.append(python(DECODE, workbooks[:few]))
        with peak_memory(peaks[few], every=1):
            two.append(ingest(workbooks[:few], 2))
    all_in_one = ingest(workbooks, 1)
    with peak_memory(peaks[many], every=1):
        all_of_them = ingest(workbooks, 2, "many")
    again = ingest(workbooks[:few], 2)

    def pairs(ours: list, theirs: list, clock: int = 0) -> list[tuple]:
        return [(a[clock], b[clock]) for a, b in zip(ours, theirs, strict=True)]

    small, large = few * 20, many * 20
    what = f"ingest of {small} workbooks in one process / bare decode, each"
    good = [report(what, pairs(one, decoded), 1.8)]
    report("  the same in processors' time, for information", pairs(one, decoded, 1), float("inf"))
    what = f"ingest of {small} workbooks in one process / in two, each"
    good.append(report(what, pairs(one, two), 1.6, at_least=True))
    what = f"ingest of {large} workbooks in one process / in two, each"
    good.append(report(what, pairs([all_in_one], [all_of_them]), 1.6, at_least=True))
    both, what = [two[-1], again], f"ingest of {large} workbooks / of {small}, each"
    good.append(report(what, pairs([all_of_them] * 2, both), 1.15))
    both = pairs([all_of_them] * 2, both, 1)
    report("  the same in processors' time, for information", both, float("inf"))
    memory = [(peaks[many][0], statistics.median(peaks[few]))]
    what = f"memory of an ingest of {large} workbooks / of {small} (in MB)"
    return [*good, report(what, memory, 1.15)]


def _stored(report: Report, store: Path) -> list[bool]:
    files = list(store.glob("form_1m/*/*.parquet"))
    size = sum(path.stat().st_size for path in files)
    figures = pl.scan_parquet(files).select(pl.len()).collect().item()
    print(f"     the store: {size / 1e6:.1f} MB, {figures} figures that are not 0")
    return [report("the store's bytes per figure that is not 0", [(size / figures, 1.0)], 8)]


def _article(report: Report, store: Path) -> list[bool]:
    """One article over all that is there, each in processes of its own."""
    os.environ["KZRESEARCH_STORE"] = str(store)
    files = str(store / "form_1m" / "**" / "*.parquet")
    held = sorted(path.name.removeprefix("period=") for path in (store / "form_1m").iterdir())
    good = []
    scan, *ways = WAYS
    for way in ways:
        pairs, firsts = [], []
        for _ in range(ROUNDS):
            ours, theirs = (python(ARTICLE, [WAYS[one], files, held, 9]) for one in (way, scan))
            pairs.append((ours["best"], theirs["best"]))
            firsts.append((ours["first"], theirs["first"]))
        what = f"{way}, {ours['rows']} rows / bare scan, {theirs['rows']} rows"
        good.append(report(f"{what}, best of 9", pairs, 2))
        report("  the first of a process, for information", firsts, float("inf"))
        alone = python(ARTICLE, [WAYS[way], files, held, 1])
        good.append(report(f"memory of {way}, in MB", [(alone["peak"], 1.0)], 300))
    del os.environ["KZRESEARCH_STORE"]
    return good


def _remote(report: Report, folder: Path, store: Path) -> list[bool]:
    """What is read of a store in an object store, counted by the gate before it."""
    from tests.run.servers import BUCKET, Gate, object_store

    gate, where = Gate(), f"s3://{BUCKET}/store"
    given = {**gate.environment, "KZRESEARCH_STORE": where}
    os.environ |= given
    try:
        with object_store(folder / "s3") as gate.upstream:
            return _read_remotely(report, gate, where, store)
    except pytest.skip.Exception as missing:
        print(f"left out: {missing}")
        return []
    finally:
        gate.close()
        for name in given:
            del os.environ[name]


def _read_remotely(report: Report, gate: object, where: str, store: Path) -> list[bool]:
    held, sizes = Storage(where), {}
    for path in sorted(store.glob("form_1m/*/*.parquet")):
        held.write(str(path.relative_to(store)), path.read_bytes())
        sizes[path.parent.name.removeprefix("period=")] = path.stat().st_size
    size, every = sum(sizes.values()), list(sizes)
    one = "kz.load_form_1m(PERIODS, article='146', section='R1')"
    ways = [
        ("one section, one period / that period's file", one, every[-1:], sizes[every[-1]]),
        ("all sections and periods / the store", WAYS[ARTICLE_146], every, size),
    ]
    good = []
    for what, way, periods, whole in ways:
        gate.asked.clear()
        gate.sent.clear()
        python(ARTICLE, [way, "", periods, 1])
        sent, asked = gate.sent.total(), gate.asked.total()
        print(f"     {sent} bytes in {asked} requests; the store has {size}")
        good.append(report(f"bytes read of one article, {what}", [(sent / whole, 1.0)], 0.25))
    return good
