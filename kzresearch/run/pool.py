"""The processes of a batch on this machine: each run in one of its own, watched from here."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import psutil

from kzresearch.errors import KzresearchError, OutputError
from kzresearch.run.single import (
    CURRENT,
    FAILURE,
    FAST,
    STOCK,
    Failure,
    Task,
    end_in_words,
    ended_by,
    failed_notebook,
)

Json = dict[str, Any]
STOPS = {"OutputError": OutputError, "EnvironmentChanged": KzresearchError}
"""What is no failure of a run but the end of the batch."""
_PATIENCE = 120
"""Seconds after which a process that starts runs, and has not begun this one, is given up."""
_GRACE = 5
"""Seconds that a cell has to end when it is interrupted, before its process is killed."""
_PAUSE = 0.001
"""Seconds before a run that is over is looked at: the thread that begins the next one goes first."""
_TICK = 0.2
"""Seconds between two looks at a run's time and memory."""


def not_fast(task: Task) -> str | None:
    """Why a notebook cannot run in a forked process; None where it can."""
    if sys.platform != "linux":
        return "runs are forked on Linux alone"
    kernel = task.content["metadata"].get("kernelspec", {}).get("name", "python3")
    if kernel != "python3":
        return f"{task.notebook} asks for the kernel {kernel}"
    return None


def free_memory(jobs: int) -> int:
    """What a run may take by default, in bytes: its share of the memory that is free."""
    return int(psutil.virtual_memory().available * 0.8 / jobs)


class _Worker:
    """A process of `kzresearch.run.worker`: lines go in, events come out, by a thread."""

    def __init__(self, what: str, folder: Path, threads: int, heed: Callable[[Json], None]) -> None:
        environment = dict(os.environ)
        for name in ("POLARS_MAX_THREADS", "OMP_NUM_THREADS"):
            environment.setdefault(name, str(threads))
        environment["OPENBLAS_NUM_THREADS"] = "1"  # its threads could not be told from others
        environment["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"  # no word on debuggers from each kernel
        self.process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-P", "-m", "kzresearch.run.worker", what, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            start_new_session=True,  # Ctrl-C is for the batch, which ends what it has started
        )
        self.folder, self._what, self._heed = folder, what, heed

    def listen(self) -> None:
        """Hand on what comes, from now on."""
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        try:
            for line in self.process.stdout or ():
                # A notebook can write there too: what is no event is not one.
                with contextlib.suppress(ValueError):
                    event = json.loads(line)
                    if isinstance(event, dict):
                        self._heed(event)
        finally:
            self.process.wait()
            for pipe in (self.process.stdin, self.process.stdout):
                with contextlib.suppress(OSError):  # what it was last told did not arrive
                    assert pipe
                    pipe.close()
            self._heed(self.gone())

    def gone(self) -> Json:
        """The event of its end."""
        return {"gone": self.process.returncode, "parent": self._what == "fork"}

    def tell(self, line: Any) -> None:
        """Send a line; a process that is gone is seen by its last event."""
        assert self.process.stdin
        with contextlib.suppress(OSError, ValueError):
            self.process.stdin.write((json.dumps(line) + "\n").encode())
            self.process.stdin.flush()

    def end(self) -> None:
        """End it, and what it has started, at once."""
        with contextlib.suppress(psutil.Error):
            for process in reversed(_family(psutil.Process(self.process.pid))):
                with contextlib.suppress(psutil.Error):
                    process.kill()
        self.process.wait()


class Pool:
    """Runs tasks, each in a process of its own, and makes their pages; from several threads at once.

    `timeout` is what a cell may take in seconds, `memory` what a run and its processes may take in
    bytes. `warn` is told, once, why a run is not on the engine that was asked for. `threads` is how
    many a run computes with; by default the runs share the processors.
    """

    def __init__(
        self,
        jobs: int,
        engine: str = FAST,
        timeout: float = 600,
        memory: int | None = None,
        warn: Callable[[str], None] = lambda _: None,
        threads: int | None = None,
    ) -> None:
        self._engine, self._timeout, self._warn = engine, timeout, warn
        self._memory = memory or free_memory(jobs)
        self._threads = threads or max(1, (os.cpu_count() or 1) // jobs)
        self._folder = Path(tempfile.mkdtemp(prefix="kzresearch-")).resolve()
        self._lock = threading.RLock()
        self._closed = False
        self._waiting: dict[str, queue.SimpleQueue[Json]] = {}
        self._parent: _Worker | None = None
        self._workers: set[_Worker] = set()
        self._owners: dict[str, _Worker] = {}
        self._idle: queue.LifoQueue[_Worker] = queue.LifoQueue()
        # A page takes less than a run: half as many processes make them as make runs.
        self._runs = threading.Semaphore(jobs)
        self._pages = threading.Semaphore((jobs + 1) // 2)
        self.threads = jobs + (jobs + 1) // 2
        """How many threads keep the pool busy."""
        self._warned: set[str] = set()
        if engine == FAST and sys.platform == "linux":
            self._start_parent()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End every process, also of runs under way, and take the folder away."""
        with self._lock:
            self._closed = True
            workers = list(self._workers)
        for worker in workers:
            worker.end()
        shutil.rmtree(self._folder, ignore_errors=True)

    def run(self, task: Task) -> bytes:
        """The executed notebook of a task, with its record: also of one that failed, however.

        Raises KzresearchError where the pool is closed meanwhile, or has no room for what a run
        writes.
        """
        if self._engine == STOCK:
            return self._watched(task, STOCK)
        reason = not_fast(task)
        for _ in range(2) if not reason else ():
            try:
                return self._watched(task, FAST)
            except _Refused as refusal:
                reason = str(refusal)
        self._warn_once(f"{task.notebook} on papermill's own engine, which is slower: {reason}")
        return self._watched(task, STOCK)

    def _warn_once(self, sentence: str) -> None:
        with self._lock:
            if sentence not in self._warned:
                self._warned.add(sentence)
                self._warn(sentence)

    def _watched(self, task: Task, engine: str) -> bytes:
        folder = self._folder / f"run-{secrets.token_hex(6)}"
        started = datetime.now(UTC)
        try:
            folder.mkdir()
            task.save(folder)
            # A run that is over gives its place to the next one, which is ready, before it is looked at.
            with (
                (folder / CURRENT).open("xb+", buffering=0) as current,
                self._events(folder) as events,
                self._runs,
            ):
                started, fast = datetime.now(UTC), engine == FAST
                worker = self._start_parent() if fast else self._start("stock", folder)
                self._bind(folder, worker)
                if fast:
                    worker.tell(str(folder))
                run = _Watch(self._timeout, self._memory, current.fileno(), own=fast)
                failure, cell = run.until_it_ends(events), run.cell
            time.sleep(_PAUSE)
            if (folder / "executed.ipynb").exists():
                content = (folder / "executed.ipynb").read_bytes()
                return ended_by(content, run.ended_for) if run.ended_for else content
            self._still_open()
            if (folder / FAILURE).exists():
                why = json.loads((folder / FAILURE).read_text(encoding="utf-8"))
                failure = Failure(why["kind"], why["message"])
            if failure.kind in STOPS:
                raise STOPS[failure.kind](str(failure))
            return failed_notebook(folder, engine, cell, failure, started)
        except OSError as error:
            self._still_open()
            raise OutputError(
                f"cannot write into {self._folder.parent}: {(error.strerror or '').lower()}; what "
                "is there is kept: mend that and start again"
            ) from None
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _still_open(self) -> None:
        if self._closed:
            raise KzresearchError("the batch was stopped")

    def _bind(self, key: Path, worker: _Worker) -> None:
        """Who waits for what names a folder or file hears of that process's end."""
        with self._lock:
            self._owners[str(key)] = worker
            if worker not in self._workers:
                self._waiting[str(key)].put(worker.gone())

    @contextlib.contextmanager
    def _events(self, key: Path) -> Iterator[queue.SimpleQueue[Json]]:
        """The events that name a folder or file, as they come."""
        events = self._waiting[str(key)] = queue.SimpleQueue()
        try:
            yield events
        finally:
            with self._lock:
                del self._waiting[str(key)]
                self._owners.pop(str(key), None)

    def _start(self, what: str, folder: Path) -> _Worker:
        with self._lock:
            self._still_open()
            folder.mkdir(exist_ok=True)
            worker = _Worker(what, folder, self._threads, lambda event: self._heed(worker, event))
            self._workers.add(worker)
            worker.listen()
            return worker

    def _start_parent(self) -> _Worker:
        """The process that forks; another one where it is gone."""
        with self._lock:
            if self._parent is None:
                self._parent = self._start("fork", self._folder / f"fork-{secrets.token_hex(6)}")
            return self._parent

    def _heed(self, worker: _Worker, event: Json) -> None:
        """Hand an event to who waits for it; that a process is gone, to all that wait for it."""
        if "gone" not in event:
            if waiting := self._waiting.get(event.get("run", "")):
                waiting.put(event)
            return
        with self._lock:
            self._workers.discard(worker)
            if self._parent is worker:
                self._parent = None
            for key, owner in self._owners.items():
                if owner is worker:
                    self._waiting[key].put(event)

    def expect_pages(self) -> None:
        """Start a process that makes pages before the first is asked for."""
        self._idle.put(self._start_pages())

    def _start_pages(self) -> _Worker:
        return self._start("pages", self._folder / f"pages-{secrets.token_hex(6)}")

    def _page_worker(self) -> _Worker:
        with contextlib.suppress(queue.Empty):
            while True:
                worker = self._idle.get_nowait()
                if worker in self._workers:
                    return worker
        return self._start_pages()

    def page(self, notebook: bytes, ending: str = "html") -> bytes:
        """The page or the PDF of an executed notebook, made in a process that lives on.

        Raises PageError where it cannot be made, OutputError where there is no room for it.
        """
        with self._pages:
            return self._page(notebook, ending)

    def _page(self, notebook: bytes, ending: str) -> bytes:
        worker, what = self._page_worker(), {"html": "page", "pdf": "PDF"}[ending]
        source, target = worker.folder / "executed.ipynb", worker.folder / f"page.{ending}"
        try:
            with self._events(source) as events:
                self._bind(source, worker)
                source.write_bytes(notebook)
                worker.tell([str(source), str(target)])
                why = events.get(timeout=self._timeout).get("page", "its process is gone")
            self._still_open()
            if why:
                raise PageError(f"its {what} could not be made: {why}")
            return target.read_bytes()
        except queue.Empty:
            worker.end()
            raise PageError(f"its {what} was not made within {self._timeout:g} s") from None
        except OSError as error:
            self._still_open()
            raise OutputError(
                f"cannot write into {self._folder.parent}: {(error.strerror or '').lower()}"
            ) from None
        finally:
            if worker in self._workers:
                self._idle.put(worker)


class PageError(KzresearchError):
    """A page or PDF that could not be made of an executed notebook."""


def lost(task: Task, failure: Failure) -> bytes:
    """The notebook of a run of which nothing is known but why it has no result."""
    with tempfile.TemporaryDirectory(prefix="kzresearch-") as folder:
        task.save(Path(folder))
        return failed_notebook(Path(folder), FAST, None, failure, datetime.now(UTC))


class _Refused(Exception):  # noqa: N818
    """The run was not begun or has to be begun again: why."""


class _Watch:
    """One run seen from outside: its cell, its time and its memory, until its process is gone.

    Which cell it has come to stands in a file that is open here, whatever the notebook does to its
    folder; it is looked at every `_TICK` seconds.
    """

    def __init__(self, timeout: float, memory: int, current: int, *, own: bool) -> None:
        self._timeout, self._memory, self._current, self._own = timeout, memory, current, own
        self._cell: int | None = None
        self._since = self._looked = time.monotonic()
        self._process: psutil.Process | None = None
        self.ended_for: Failure | None = None
        """Why the run was ended from here, where it was."""
        self._interrupted: float | None = None

    @property
    def cell(self) -> int | None:
        """The index of the cell that it has come to; None before the first."""
        with contextlib.suppress(ValueError):
            self._cell = int(os.pread(self._current, 20, 0))
        return self._cell

    def until_it_ends(self, events: queue.SimpleQueue[Json]) -> Failure:
        """Wait; what the run's end would mean if it left no result."""
        while True:
            if time.monotonic() - self._looked > _TICK:
                self._look()
            try:
                event = events.get(timeout=_TICK)
            except queue.Empty:
                continue
            if "refused" in event:
                raise _Refused(event["refused"])
            if "pid" in event:
                with contextlib.suppress(psutil.Error):
                    self._process = psutil.Process(event["pid"])
            elif event.get("parent"):
                raise _Refused("the process that starts the runs was killed")
            else:
                return self.ended_for or end_in_words(event.get("ended", event.get("gone")))

    def _look(self) -> None:
        self._looked = time.monotonic()
        if self._cell != self.cell:
            self._since = self._looked
        if self._process is None and time.monotonic() - self._since > _PATIENCE:
            raise _Refused("the process that starts the runs does not answer")
        if self._interrupted and time.monotonic() - self._interrupted > _GRACE:
            self._kill()
        if self._process is None or self.ended_for:
            return
        took = time.monotonic() - self._since
        if took > (self._timeout if self._cell is not None else max(self._timeout, _PATIENCE)):
            self.ended_for = Failure(
                "CellTimeout",
                f"the cell was still running after {self._timeout:g} s and was stopped (--timeout)",
            )
            self._interrupt()
        elif (used := self._used()) > self._memory:
            self.ended_for = Failure(
                "MemoryLimit",
                f"the run took {used / 1e9:.1f} GB, over its limit of {self._memory / 1e9:.1f} GB, "
                "and was stopped (--memory)",
            )
            self._kill()

    def _used(self) -> int:
        """Memory of the run and of the processes that it has started, in bytes."""
        used = 0
        for process in _family(self._process):
            with contextlib.suppress(psutil.Error):
                used += process.memory_info().rss
        return used

    def _interrupt(self) -> None:
        """Interrupt the cell, as Jupyter does: what it has put out, and where it was, is kept so."""
        self._interrupted = time.monotonic()
        with contextlib.suppress(psutil.Error):
            assert self._process
            for process in [self._process] if self._own else self._process.children():
                process.send_signal(signal.SIGINT)

    def _kill(self) -> None:
        for process in reversed(_family(self._process)):
            with contextlib.suppress(psutil.Error):
                process.kill()


def _family(process: psutil.Process | None) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)] if process else []
    except psutil.Error:
        return []
