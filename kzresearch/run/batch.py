"""Batches: the same notebooks for every region, article and period, resumable."""

from __future__ import annotations

import itertools
import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from kzresearch.errors import KzresearchError, ParameterError, unknown_value
from kzresearch.run import DEFAULT_FORMATS, FORMATS
from kzresearch.run.outputs import Outputs
from kzresearch.run.pool import PageError, Pool
from kzresearch.run.progress import Progress
from kzresearch.run.results import Kept, collect, light, prepare
from kzresearch.run.single import FAST, STOCK, Task, indented

if TYPE_CHECKING:
    import polars as pl

    from kzresearch.notebooks import Notebook, Value

Json = dict[str, Any]
T = TypeVar("T")
R = TypeVar("R")
EVERY = "all"
"""Stands for every value that the data has."""


@dataclass(frozen=True)
class Block:
    """Notebooks, what is the same in all their runs, and what is every one of several values."""

    notebooks: Sequence[str]
    parameters: Mapping[str, Value] = field(default_factory=dict)
    each: Mapping[str, Sequence[Value] | Literal["all"]] = field(default_factory=dict)


def read_grid(path: Path) -> list[Block]:
    """The blocks of a YAML file, as `grid.schema.json` describes it; ParameterError for another."""
    import yaml
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    # Every scalar is a text, as on the command line: 010 is no number of base 8, no is no False.
    class Loader(yaml.BaseLoader):  # type: ignore[misc]
        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            names = [name.value for name, _ in node.value]
            if twice := next((name for name in names if names.count(name) > 1), None):
                line = node.start_mark.line + 1
                raise ParameterError(f"{path}: {twice} is given twice (from line {line} on)")
            return super().construct_mapping(node, deep=deep)

    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader)  # noqa: S506
    except OSError as error:
        raise ParameterError(f"cannot read {path}: {(error.strerror or '').lower()}") from None
    except ParameterError:
        raise
    except (yaml.YAMLError, ValueError) as error:
        where = getattr(error, "problem_mark", None)
        line = f" (line {where.line + 1})" if where else ""
        raise ParameterError(f"{path} is no YAML file{line}") from None
    schema = json.loads(Path(__file__).with_name("grid.schema.json").read_text(encoding="utf-8"))
    if fault := best_match(Draft202012Validator(schema).iter_errors(content)):
        place = fault.json_path.removeprefix("$").lstrip(".") or "the file"
        raise ParameterError(f"{path}: {place}: {fault.message}")
    return [Block(**block) for block in content["runs"]]


def plan(blocks: Iterable[Block]) -> tuple[list[Task], int]:
    """The runs of blocks, all checked, each once; and how many combinations the data does not have.

    Raises ParameterError with a list of everything that is wrong.
    """
    from kzresearch.notebooks import find_notebook

    tasks: dict[str, Task] = {}
    wrong: dict[str, KzresearchError] = {}
    sources: dict[str, str] = {}
    left_out = 0
    for block in blocks:
        for name in block.notebooks:
            try:
                notebook = find_notebook(name)
                found, faults, without = _runs(notebook, block)
            except KzresearchError as fault:
                wrong[str(fault)] = fault
                continue
            tasks |= {task.stem: task for task in found}
            sources.setdefault(notebook.name, notebook.source)
            if sources[notebook.name] != notebook.source:
                twice = f"two notebooks have the name {notebook.name}: rename one of them"
                wrong[twice] = ParameterError(twice)
            wrong |= {str(fault): fault for fault in faults}
            left_out += without
    if len(wrong) == 1:
        raise next(iter(wrong.values()))
    if wrong:
        listed = "".join(f"\n  - {fault}" for fault in wrong)
        raise ParameterError(f"nothing was run; {len(wrong)} things are wrong:{listed}")
    return list(tasks.values()), left_out


def _runs(notebook: Notebook, block: Block) -> tuple[list[Task], list[KzresearchError], int]:
    """The runs of one notebook, what is wrong, and how many combinations the data does not have.

    A combination is left out where a value of it stands for every one (`all`) and others with the
    same named values are there.
    """
    from kzresearch import records

    twice = sorted(block.each.keys() & block.parameters.keys())
    if twice:
        raise ParameterError(f"{', '.join(twice)} is given once for all runs and once for each")
    checked: dict[object, KzresearchError | None] = {}
    now = records.environment()
    groups: dict[str, tuple[list[Task], list[list[KzresearchError]]]] = {}
    for given in _combinations(notebook, block):
        named = {n: v for n, v in given.items() if block.each.get(n) != EVERY}
        tasks, faulty = groups.setdefault(json.dumps(named), ([], []))
        values, faults = notebook.examine(given, checked)
        if faults:
            faulty.append(faults)
        else:
            tasks.append(Task.of(notebook, values, now))
    found = [task for tasks, _ in groups.values() for task in tasks]
    wrong = [fault for tasks, faulty in groups.values() if not tasks for fault in faulty[0]]
    without = sum(len(faulty) for tasks, faulty in groups.values() if tasks)
    return found, wrong, without


def _combinations(notebook: Notebook, block: Block) -> Iterator[dict[str, Value]]:
    """Parameters of each run; which regions there are depends on the period, so that comes first."""
    names = sorted(block.each, key=lambda name: name != "period")
    defaults = {parameter.name: parameter.default for parameter in notebook.parameters}

    def values(name: str, period: Value | None) -> Sequence[Value]:
        listed = block.each[name]
        if listed == EVERY:
            return notebook.choices(name, period)
        if isinstance(listed, str) or not isinstance(listed, Sequence) or not listed:
            raise ParameterError(f"each {name} is {listed!r}: give a list of values, or {EVERY!r}")
        return listed

    first = values("period", None) if "period" in names else [None]
    others = [name for name in names if name != "period"]
    for period in first:
        now = period or block.parameters.get("period", defaults.get("period"))
        own = {} if period is None else {"period": period}
        for combination in itertools.product(*(values(name, now) for name in others)):
            yield {**block.parameters, **own, **dict(zip(others, combination, strict=True))}


@dataclass(frozen=True)
class Maker:
    """Makes what is left of a run and is not there yet; on this machine or on a cluster's."""

    outputs: Outputs
    pool: Pool
    formats: Sequence[str]
    force: bool
    kept: Kept | None = None
    """What is told of each record that is left."""

    def make(self, task: Task) -> Json:
        """Run the task where it has not been run; leave notebook, record and formats; the record."""
        content = None if self.force else completed(self.outputs, task)
        tag, formats = None, self.formats
        if content is None:
            content = self.pool.run(task)
            # Whatever is there speaks of an older notebook, and is made again of the newer one.
            old = [one for one in FORMATS if self.outputs.tag(f"{task.stem}.{one}")]
            formats = list(dict.fromkeys([*formats, *old]))
            # Killed from here on, it leaves nothing that speaks of the older one.
            for ending in ("json", *old):
                self.outputs.delete(f"{task.stem}.{ending}")
            tag = self.outputs.write(f"{task.stem}.ipynb", content)
        while True:
            record = self._beside(task, content, formats)
            # Where two batches run the same, what lies beside a notebook is made of that notebook.
            if tag is None or (now := self.outputs.tag(f"{task.stem}.ipynb")) == tag:
                return record
            tag, content = now, self.outputs.read(f"{task.stem}.ipynb")

    def _beside(self, task: Task, content: bytes, formats: Sequence[str]) -> Json:
        record = leave_record(self.outputs, task, content, self.kept)
        missing = []
        for ending in formats:
            try:
                self.outputs.write(f"{task.stem}.{ending}", self.pool.page(content, ending))
            except PageError as error:  # the run stands; the next batch tries to make it again
                missing.append(str(error))
        if not missing:
            return record
        why = {"cell": None, "type": "PageError", "message": "; ".join(missing)}
        return record | {"status": "failed", "error": record["error"] or why}


def completed(outputs: Outputs, task: Task) -> bytes | None:
    """The executed notebook of a run that was completed; None where there is none."""
    try:
        content = outputs.read(f"{task.stem}.ipynb")
        record = json.loads(content)["metadata"]["kzresearch"]
        sound = record["run_id"] == task.run_id and record["status"] == "completed"
        sound = sound and _by(record, task.authors)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return content if sound else None


def _by(record: Json, authors: Sequence[str]) -> bool:
    """Whether a run names the authors that are asked for, if any are."""
    return not authors or record["authors"] == list(authors)


def leave_record(outputs: Outputs, task: Task, content: bytes, kept: Kept | None = None) -> Json:
    """Leave the record of an executed notebook beside it; the record."""
    from kzresearch import records

    record, name = records.in_order(json.loads(content)), f"{task.stem}.json"
    tag = outputs.write(name, record_file(record))
    if kept:
        kept.hold(name, tag, record)
    return record


def record_file(record: Json) -> bytes:
    """The content of the file of a record."""
    return (indented(record, "  ") + "\n").encode()


def batch(
    notebooks: str | Path | Sequence[str | Path] = (),
    each: Mapping[str, Sequence[Value] | Literal["all"]] | None = None,
    parameters: Mapping[str, Value] | None = None,
    *,
    grid: str | Path | None = None,
    out: str | Path = "out",
    formats: str | Sequence[str] = DEFAULT_FORMATS,
    engine: str = FAST,
    jobs: int | None = None,
    force: bool = False,
    timeout: float = 600,
    memory: float | None = None,
    dask: str | None = None,
    authors: str | Sequence[str] = (),
    progress: bool | None = None,
) -> pl.DataFrame:
    """Run notebooks for every combination of values; runs that are there are not run again.

    `notebooks` are names, or paths of `.ipynb` files; `each` maps a parameter to its values, or to
    "all" for every value that the data has; `parameters` are the same in all runs. `grid` is a
    YAML file that says the same. `out` is a folder, or `s3://bucket/prefix`; `formats` are of
    "html" and "pdf". `engine` is "fast" (a forked process for each run) or "stock" (papermill's own).
    `jobs` run at a time (default: one for each processor); a cell may take `timeout` seconds, a run
    `memory` gigabytes (default: its share of what is free). `dask` is the address of a scheduler
    whose workers make the runs. `authors` are named in records and citations. `progress` shows a bar (default: on a terminal).

    Returns one row per run: `run_id`, `notebook`, `parameters` (JSON), `status` (completed or
    failed), `done` (True where it was there before), `error`, `message`, `file` (the executed
    notebook). Leaves notebook, record and formats of each run, `results.parquet` (see `results`), `results.csv`
    and `index.html`.

    Raises ParameterError before anything runs, with a list of everything that is wrong; OutputError
    where `out` cannot be written. A failing run raises nothing.

    >>> runs = kz.batch(
    ...     "case_flow", each={"region": ["KZ-71", "KZ-75"]}, out="out", formats=(), progress=False
    ... )
    >>> runs.select("notebook", "status").rows()
    [('case_flow', 'completed'), ('case_flow', 'completed')]
    """
    several = not isinstance(notebooks, (str, Path))
    named = [str(one) for one in (notebooks if several else [notebooks])]  # type: ignore[union-attr]
    if not named and (each or parameters):
        raise ParameterError("each and parameters need a notebook that they are for")
    if not named and grid is None:
        raise ParameterError("name a notebook, or a file with grid")
    blocks = [Block(named, parameters or {}, each or {})] if named else []
    blocks += read_grid(Path(grid)) if grid else []
    made = make(
        blocks,
        out,
        Options(
            _several(formats),
            engine,
            jobs,
            force,
            timeout,
            memory,
            dask,
            progress,
            _several(authors),
        ),
    )
    return made.frame()


def _several(formats: str | Sequence[str]) -> tuple[str, ...]:
    return (formats,) if isinstance(formats, str) else tuple(formats)


@dataclass(frozen=True)
class Options:
    """How a batch is run; see `batch`."""

    formats: tuple[str, ...] = DEFAULT_FORMATS
    engine: str = FAST
    jobs: int | None = None
    force: bool = False
    timeout: float = 600
    memory: float | None = None
    dask: str | None = None
    progress: bool | None = None
    authors: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in self.formats:
            if name not in FORMATS:
                raise unknown_value("format", name, list(FORMATS))
        for name in self.authors:
            if not name.strip() or "\n" in name:
                raise ParameterError(f"author is {name!r}; give a name, in one line")
        if self.engine not in {FAST, STOCK}:
            raise unknown_value("engine", self.engine, [FAST, STOCK])
        for what, number in (
            ("jobs", self.jobs),
            ("timeout", self.timeout),
            ("memory", self.memory),
        ):
            kinds = int if what == "jobs" else (int, float)
            if number is not None and not (
                isinstance(number, kinds) and 0 < number < math.inf and number is not True
            ):
                raise ParameterError(f"{what} is {number!r}; give a number above 0")

    @property
    def bytes(self) -> int | None:
        """The limit of memory in bytes."""
        return int(self.memory * 1e9) if self.memory else None


@dataclass(frozen=True)
class Planned:
    """A run, and what is there of it: nothing ("new"), a "failed" run, some formats, all ("done")."""

    task: Task
    state: Literal["new", "failed", "incomplete", "done"]
    record: Json | None


@dataclass(frozen=True)
class Made:
    """A batch that has ended: its runs in the order of the plan, and their records."""

    outputs: Outputs
    runs: list[tuple[Planned, Json]]

    @property
    def failed(self) -> list[tuple[Task, Json]]:
        """The runs that failed, with their records."""
        return [(one.task, r) for one, r in self.runs if r["status"] == "failed"]

    def frame(self) -> pl.DataFrame:
        """One row per run; see `batch`."""
        import polars as pl

        text = dict.fromkeys(("run_id", "notebook", "parameters", "status"), pl.String)
        more = dict.fromkeys(("error", "message", "file"), pl.String)
        rows = [
            {
                **{name: record[name] for name in ("run_id", "notebook", "status")},
                "parameters": json.dumps(record["parameters"], ensure_ascii=False),
                "done": one.state == "done",
                "error": (record["error"] or {}).get("type"),
                "message": (record["error"] or {}).get("message"),
                "file": self.outputs.link(f"{one.task.stem}.ipynb"),
            }
            for one, record in self.runs
        ]
        return pl.DataFrame(rows, schema={**text, "done": pl.Boolean, **more}, orient="row")


def survey(tasks: list[Task], outputs: Outputs, kept: Kept, options: Options) -> list[Planned]:
    """What is there of each run."""
    files = outputs.files()
    records = kept.records(files)
    planned = []
    for task in tasks:
        record = records.get(f"{task.stem}.json")
        wanted = (f"{task.stem}.{one}" for one in ("ipynb", "json", *options.formats))
        if options.force or f"{task.stem}.ipynb" not in files:
            planned.append(Planned(task, "new", None))
        elif record and record["status"] == "failed":
            planned.append(Planned(task, "failed", record))
        elif record and all(name in files for name in wanted) and _by(record, task.authors):
            planned.append(Planned(task, "done", record))
        else:
            planned.append(Planned(task, "incomplete", None))
    return planned


def _tasks(blocks: Iterable[Block], options: Options) -> tuple[list[Task], int]:
    tasks, left_out = plan(blocks)
    return [replace(task, authors=options.authors) for task in tasks], left_out


def look(blocks: Iterable[Block], out: str | Path, options: Options) -> tuple[list[Planned], int]:
    """What a batch would run, without running it, and how many combinations are left out."""
    tasks, left_out = _tasks(blocks, options)
    if "://" not in str(out) and not Path(out).exists():
        return [Planned(task, "new", None) for task in tasks], left_out
    outputs = Outputs(out)
    return survey(tasks, outputs, Kept(outputs), options), left_out


def make(
    blocks: Iterable[Block],
    out: str | Path,
    options: Options,
    say: Callable[[str], None] = lambda text: print(text, file=sys.stderr),  # noqa: T201
    see: Callable[[list[Planned], int], None] = lambda *_: None,
) -> Made:
    """Run a batch; `say` is told what a reader of the terminal should know, `see` what is planned."""
    jobs = options.jobs or os.cpu_count() or 1
    with ExitStack() as stack:
        pool = None
        if not options.dask:  # its processes start while the plan is made
            pool = stack.enter_context(
                Pool(jobs, options.engine, options.timeout, options.bytes, say)
            )
        tasks, left_out = _tasks(blocks, options)
        outputs = Outputs(out)
        outputs.prepare()
        kept = Kept(outputs)
        planned = survey(tasks, outputs, kept, options)
        see(planned, left_out)
        to_do = [one.task for one in planned if one.state != "done"]
        records = {one.task.stem: one.record for one in planned if one.record}
        if to_do:
            prepare()
        with Progress(len(to_do), options.progress, say) as progress:
            if pool:
                if to_do and options.formats:
                    pool.expect_pages()
                maker = Maker(outputs, pool, options.formats, options.force, kept)
                made = _here(to_do, maker, progress)
            else:
                made = _on_cluster(to_do, outputs, options, progress)
            for task, record in made:
                records[task.stem] = light(record)
                progress.ended(task.label, failed=record["status"] == "failed")
    collect(outputs, kept)
    return Made(outputs, [(one, records[one.task.stem] or {}) for one in planned])


def _here(tasks: list[Task], maker: Maker, progress: Progress) -> Iterator[tuple[Task, Json]]:
    """Run tasks on this machine, several at a time; each with its record as it ends."""

    def one(task: Task) -> tuple[Task, Json]:
        progress.began(task.label)
        return task, maker.make(task)

    return as_they_end(tasks, one, maker.pool)


def as_they_end(of: Iterable[T], work: Callable[[T], R], pool: Pool) -> Iterator[R]:
    """What the work gives for each, as it comes: as many at a time as keep the pool busy."""
    with ThreadPoolExecutor(pool.threads) as threads:
        waiting: set[Future[R]] = set()
        try:
            for one in of:
                waiting.add(threads.submit(work, one))
            while waiting:
                # Without an end to the waiting Ctrl-C would not be heard of before a run ends.
                done, waiting = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
            if waiting:  # it was stopped
                pool.close()


def _on_cluster(
    tasks: list[Task], outputs: Outputs, options: Options, progress: Progress
) -> Iterator[tuple[Task, Json]]:
    from kzresearch.run.cluster import run_on_cluster

    if tasks:
        yield from run_on_cluster(tasks, outputs, options, progress)
