"""A batch on an existing Dask cluster: each worker has a pool of its own and writes what it makes."""

from __future__ import annotations

import asyncio
import atexit
import collections
import contextlib
import itertools
import logging
import queue
import secrets
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kzresearch import records
from kzresearch.errors import KzresearchError, OutputError, ParameterError
from kzresearch.run.batch import Maker, Options, completed, leave_record
from kzresearch.run.outputs import Outputs
from kzresearch.run.pool import Pool, free_memory, lost
from kzresearch.run.progress import Progress
from kzresearch.run.single import Failure, Task

Json = dict[str, Any]
_AHEAD = 4
"""Runs sent ahead for each thread of the workers, so that none waits for the next."""
_CONNECT = 20
"""Seconds that a scheduler is given to answer."""
_LOOK = 2
"""Seconds between two looks at which workers there are, where no run ends."""
_IDLE = 30
"""Seconds without a run after which a worker's pool is closed: its batch may be gone unheard."""
_GOODBYE = 5
"""Seconds that workers are given to answer when a batch ends."""


@dataclass(frozen=True)
class _Job:
    """What the runs of a batch have in common, as it is sent to the workers."""

    batch: str
    where: str
    options: Options


@dataclass(frozen=True)
class _Answer:
    """What a worker says of a run: its record, who made it, and what a reader should be told."""

    record: Json
    worker: str
    warnings: list[str]


def run_on_cluster(
    tasks: list[Task], outputs: Outputs, options: Options, progress: Progress
) -> Iterator[tuple[Task, Json]]:
    """Run tasks on the workers of `options.dask`; each with its record as it ends.

    A run whose worker is lost is run again on another. Raises ParameterError where no scheduler
    answers, and where a worker has another environment; OutputError where it does not see the
    outputs.
    """
    client = connected(options.dask or "")
    where = str(outputs.folder.resolve()) if outputs.folder else outputs.where
    batch = _Batch(client, outputs, _Job(secrets.token_hex(8), where, options), progress)
    try:
        yield from batch.run(tasks)
    finally:
        batch.end()


def connected(address: str) -> Any:
    """A client of the scheduler at an address; ParameterError where none answers."""
    try:
        from distributed import Client
        from distributed.comm.addressing import get_address_host_port
    except ImportError:
        raise ParameterError(
            "--dask needs the package distributed: install kzresearch with its extra `cluster`"
        ) from None
    answer: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def connect() -> None:
        try:
            get_address_host_port(address)  # the client of what is no address could not be closed
            answer.put(Client(address, timeout="5s", set_as_default=False))
        except Exception as error:
            answer.put(error)

    threading.Thread(target=connect, daemon=True).start()
    try:
        client = answer.get(timeout=_CONNECT)
    except queue.Empty:
        client = OSError("what listens there does not speak as one")
    if isinstance(client, (OSError, ValueError, TypeError)):
        reason = str(client).split("\n")[0]
        raise ParameterError(f"no Dask scheduler answers at {address}: {reason}") from None
    if isinstance(client, Exception):
        raise client
    return client


class _Batch:
    """A batch seen from the machine that started it."""

    def __init__(self, client: Any, outputs: Outputs, job: _Job, progress: Progress) -> None:
        self._client, self._outputs, self._job, self._progress = client, outputs, job, progress
        self._under_way: dict[str, tuple[Any, Task]] = {}
        self._ended: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._sent = itertools.count()
        self._checked: set[str] = set()
        self._said: set[str] = set()

    def run(self, tasks: list[Task]) -> Iterator[tuple[Task, Json]]:
        """Each task with its record, as it ends."""
        from distributed import CancelledError

        left = collections.deque(tasks)
        while left or self._under_way:
            try:
                workers = self._workers()
                while left and len(self._under_way) < _AHEAD * sum(workers.values()):
                    self._send(left.popleft())
                try:
                    key = self._ended.get(timeout=_LOOK)
                except queue.Empty:
                    continue
                future, task = self._under_way.pop(key)
                record = self._record(future, task)
            except (CancelledError, OSError):  # what an output says is none of these
                raise KzresearchError(
                    f"the Dask scheduler at {self._job.options.dask} was lost or started anew; "
                    "what is there is kept: start the batch again"
                ) from None
            if record is None:
                left.appendleft(task)
            else:
                yield task, record

    def end(self) -> None:
        """Call back what is under way, and have the workers end what they started for it."""
        futures = [future for future, _ in self._under_way.values()]

        def call_back() -> None:
            with contextlib.suppress(Exception):  # nothing is to be had from who does not answer
                self._client.cancel(futures, force=True)
                self._client.run(_close, self._job.batch, on_error="ignore")

        if self._client.status == "running":
            _within(_GOODBYE, call_back)
        else:  # it would tell at length that it cannot connect again
            logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
        _within(_GOODBYE, self._client.close)

    def _workers(self) -> dict[str, int]:
        """The workers and how many threads each has; those that are new have been checked."""
        if self._client.status != "running":
            raise ConnectionError
        workers: dict[str, int] = dict(self._client.nthreads())
        if not workers:
            self._say(f"waiting for a worker of {self._job.options.dask} …")
        if new := workers.keys() - self._checked:
            self._check(sorted(new))
        return {worker: threads for worker, threads in workers.items() if worker in self._checked}

    def _send(self, task: Task) -> None:
        key = f"{task.stem}-{self._job.batch}-{next(self._sent)}"
        future = self._client.submit(_on_worker, task, self._job, key=key)
        self._under_way[key] = future, task
        future.add_done_callback(lambda done: self._ended.put(done.key))
        self._progress.began(task.label)

    def _record(self, future: Any, task: Task) -> Json | None:
        """The record of a run that has ended; None where it has to be run again."""
        from distributed.scheduler import KilledWorker

        try:
            answer: _Answer = future.result()
        except KilledWorker:
            return _lost(task, self._outputs)
        except KzresearchError:
            self._workers()  # it may be said better: of a worker that came after the last look
            raise
        if answer.worker not in self._checked:  # it came after the last look
            self._check([answer.worker])
            if answer.worker not in self._checked:
                return None
        for warning in answer.warnings:
            self._say(warning)
        return answer.record

    def _say(self, sentence: str) -> None:
        if sentence not in self._said:
            self._said.add(sentence)
            self._progress.say(sentence)

    def _check(self, workers: list[str]) -> None:
        """Refuse workers whose runs would not be those of this machine; leave out lost ones."""
        probe = f".kzresearch-{secrets.token_hex(8)}"
        where, here = self._job.where, records.environment()
        self._outputs.write(probe, b"")
        try:
            found = self._client.run(_environment, where, probe, workers=workers, on_error="return")
        finally:
            self._outputs.delete(probe)
        for worker, answer in found.items():
            if isinstance(answer, BaseException):
                if worker in self._client.nthreads():
                    reason = str(answer) or type(answer).__name__
                    raise ParameterError(f"worker {worker} cannot run notebooks: {reason}")
                continue
            there, sees = answer
            if differences := here.differences(there):
                listed = "; ".join(differences[:5]) + (" …" if len(differences) > 5 else "")
                raise ParameterError(
                    f"worker {worker} would give other results, since it has not the same "
                    f"installed as this machine ({listed}); install the same on both"
                )
            if not sees:
                raise OutputError(
                    f"worker {worker} does not see the files in {where}; give a folder that all "
                    "machines share, or s3://bucket/prefix"
                )
            self._checked.add(worker)


def _within(seconds: float, do: Callable[[], object]) -> None:
    """Do something, and go on where it takes longer."""

    def quietly() -> None:
        with contextlib.suppress(Exception):  # what cannot be ended well has ended nevertheless
            do()

    thread = threading.Thread(target=quietly, daemon=True)
    thread.start()
    thread.join(seconds)


def _lost(task: Task, outputs: Outputs) -> Json:
    """The record of a run that killed, or lost, every worker it was given to."""
    failure = Failure("Killed", "each worker that ran it was lost; see the cluster's logs")
    content = completed(outputs, task)  # the last may have been lost after it had left the run
    if content is None:
        content = lost(task, failure)
        outputs.write(f"{task.stem}.ipynb", content)
    return leave_record(outputs, task, content)


async def _environment(where: str, probe: str) -> tuple[records.Environment, bool]:
    """What is installed on this worker, and whether it sees a file that was just left."""
    return await asyncio.to_thread(_environment_now, where, probe)


def _environment_now(where: str, probe: str) -> tuple[records.Environment, bool]:
    # A folder that is not there is not to be made: it would be this machine's own.
    folder = None if "://" in where else Path(where)
    sees = (folder / probe).exists() if folder else Outputs(where).tag(probe) is not None
    return records.environment(), sees


class _Station:
    """What a worker has for one batch."""

    def __init__(self, job: _Job) -> None:
        from distributed import get_worker

        worker, options = get_worker(), job.options
        threads = worker.state.nthreads
        # Several workers may share a machine: Dask says what this one's part of it is.
        part = worker.memory_manager.memory_limit
        memory = min(free_memory(threads), part // threads) if part else None
        self.address: str = worker.address
        self.told: list[str] = []
        self.pool = Pool(
            threads,
            options.engine,
            options.timeout,
            options.bytes or memory,
            self.told.append,
            threads=1,  # one of Dask's threads is one processor
        )
        self.maker = Maker(Outputs(job.where), self.pool, options.formats, options.force)
        self.runs = 0
        self.since = threading.Timer(0, lambda: None)


_stations: dict[str, _Station] = {}
_over: collections.deque[str] = collections.deque(maxlen=1000)
"""Batches that have ended: a run of theirs that was called back too late is not begun."""
_lock = threading.Lock()


def _on_worker(task: Task, job: _Job) -> _Answer:
    """Make a run on this worker."""
    try:
        with _at(job) as station:
            return _Answer(station.maker.make(task), station.address, [*station.told])
    except (KzresearchError, OSError) as error:
        raise OutputError(f"{task.label}: {error}") from None


@contextlib.contextmanager
def _at(job: _Job) -> Iterator[_Station]:
    """What this worker has for a batch; it is closed when it has not been used for a while."""
    with _lock:
        if job.batch in _over:
            raise KzresearchError("the batch was stopped")
        if job.batch not in _stations:
            _stations[job.batch] = _Station(job)
        station = _stations[job.batch]
        station.runs += 1
        station.since.cancel()
    try:
        yield station
    finally:
        with _lock:
            station.runs -= 1
            if not station.runs and _stations.get(job.batch) is station:
                station.since = threading.Timer(_IDLE, _close_idle, (job.batch, station))
                station.since.daemon = True
                station.since.start()


def _close_idle(batch: str, station: _Station) -> None:
    with _lock:
        if station.runs or _stations.get(batch) is not station:
            return
        del _stations[batch]
    station.pool.close()


def _close(batch: str) -> None:
    """End what this worker has started for a batch; not waited for, since Dask's own loop is here."""
    with _lock:
        _over.append(batch)
        station = _stations.pop(batch, None)
    if station:
        station.since.cancel()
        threading.Thread(target=station.pool.close, daemon=True).start()


@atexit.register
def _close_all() -> None:
    for station in [*_stations.values()]:
        station.pool.close()
