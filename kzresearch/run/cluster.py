"""A batch on an existing Dask cluster: each worker has a pool of its own and writes what it makes."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kzresearch import records
from kzresearch.errors import KzresearchError, OutputError, ParameterError
from kzresearch.run.batch import Maker, Options, leave_record
from kzresearch.run.outputs import Outputs
from kzresearch.run.pool import Pool, lost
from kzresearch.run.progress import Progress
from kzresearch.run.single import Failure, Task

Json = dict[str, Any]
_AHEAD = 4
"""Runs sent ahead for each thread of the workers, so that none waits for the next."""


@dataclass(frozen=True)
class _Job:
    """What the runs of a batch have in common, as it is sent to the workers."""

    batch: str
    where: str
    options: Options


def run_on_cluster(
    tasks: list[Task], outputs: Outputs, options: Options, progress: Progress
) -> Iterator[tuple[Task, Json]]:
    """Run tasks on the workers of `options.dask`; each with its record as it ends.

    A run whose worker is lost is run again on another. Raises ParameterError where no scheduler
    answers, and where a worker has another environment or does not see the outputs.
    """
    try:
        from distributed import Client, as_completed
        from distributed.scheduler import KilledWorker
    except ImportError:
        raise ParameterError(
            "--dask needs the package distributed: install kzresearch with its extra `cluster`"
        ) from None
    where = str(outputs.folder.resolve()) if outputs.folder else outputs.where
    job = _Job(secrets.token_hex(8), where, options)
    try:
        client = Client(options.dask, timeout="10s", set_as_default=False)
    except (OSError, ValueError) as error:
        reason = str(error).split("\n")[0]
        raise ParameterError(f"no Dask scheduler answers at {options.dask}: {reason}") from None
    with client:
        if not client.nthreads():
            progress.say(f"waiting for a worker of {options.dask} …")
            client.wait_for_workers(1)
        _check_workers(client, outputs, where)
        left, running = iter(tasks), as_completed(loop=client.loop)
        known: dict[Any, Task] = {}

        def send() -> None:
            task = next(left, None)
            if task:
                future = client.submit(_on_worker, task, job, key=f"{task.stem}-{job.batch}")
                known[future.key] = task
                running.add(future)
                progress.began(task)

        try:
            for _ in range(_AHEAD * sum(client.nthreads().values())):
                send()
            for future in running:
                task = known.pop(future.key)
                send()
                try:
                    record, warnings = future.result()
                except KilledWorker:
                    record, warnings = _lost(task, outputs), []
                for warning in warnings:
                    progress.say(warning)
                yield task, record
        finally:
            client.cancel([*running.futures])
            client.run(_close, job.batch, on_error="ignore")


def _lost(task: Task, outputs: Outputs) -> Json:
    """The record of a run that killed, or lost, every worker it was given to."""
    failure = Failure("Killed", "each worker that ran it was lost; see the cluster's logs")
    content = lost(task, failure)
    outputs.write(f"{task.stem}.ipynb", content)
    return leave_record(outputs, task, content)


def _check_workers(client: Any, outputs: Outputs, where: str) -> None:
    """Refuse workers whose runs would not be those of this machine."""
    probe = f".kzresearch-{secrets.token_hex(8)}"
    outputs.write(probe, b"")
    try:
        found = client.run(_environment, where, probe, on_error="return")
    finally:
        outputs.delete(probe)
    here = records.environment()
    for worker, answer in found.items():
        if isinstance(answer, BaseException):
            raise ParameterError(f"worker {worker} cannot run notebooks: {answer}")
        there, sees = answer
        if differences := here.differences(there):
            listed = "; ".join(differences[:5]) + (" …" if len(differences) > 5 else "")
            raise ParameterError(
                f"worker {worker} would give other results, since it has not the same installed "
                f"as this machine ({listed}); install the same on both"
            )
        if not sees:
            raise OutputError(
                f"worker {worker} does not see the files in {where}; give a folder that all "
                "machines share, or s3://bucket/prefix"
            )


def _environment(where: str, probe: str) -> tuple[records.Environment, bool]:
    return records.environment(), Outputs(where).tag(probe) is not None


_makers: dict[str, tuple[Maker, list[str]]] = {}
_lock = threading.Lock()


def _on_worker(task: Task, job: _Job) -> tuple[Json, list[str]]:
    """Make a run on this worker; its record, and what a reader should be told."""
    from distributed import get_worker

    with _lock:
        if job.batch not in _makers:
            told: list[str] = []
            options = job.options
            jobs = get_worker().state.nthreads
            pool = Pool(jobs, options.engine, options.timeout, options.bytes, told.append)
            maker = Maker(Outputs(job.where), pool, options.formats, options.force)
            _makers[job.batch] = (maker, told)
    maker, told = _makers[job.batch]
    try:
        return maker.make(task), list(told)
    except KzresearchError as error:
        raise OutputError(f"{task.label}: {error}") from None


def _close(batch: str) -> None:
    with _lock:
        if batch in _makers:
            _makers.pop(batch)[0].pool.close()
