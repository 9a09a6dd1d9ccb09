"""Reads workbooks on the workers of a Dask cluster, each in a process beside the worker's own."""

from __future__ import annotations

import atexit
import hashlib
import json
import secrets
import shutil
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Self

from kzresearch import records
from kzresearch.errors import KzresearchError, ParameterError
from kzresearch.readers import Job, Read, Readers, Refused
from kzresearch.run.cluster import connected

Versions = tuple[tuple[str, str], ...]
_IDLE = 30
"""Seconds without a file after which a worker's readers are closed: their ingest may be gone unheard."""
_AHEAD = 2
"""Workbooks sent for each thread of the workers, so that none waits for the next."""


class _Ingest(NamedTuple):
    """What workers must know of an ingest: its name, and its versions of the form."""

    name: str
    versions: Versions


class ClusterReaders:
    """Workers that read workbooks; they are sent the files and the versions of the form."""

    def __init__(self, address: str, versions: Versions) -> None:
        self._address = address
        self._ingest = _Ingest(secrets.token_hex(8), versions)

    def __enter__(self) -> Self:
        self._client: Any = connected(self._address)
        return self

    def __exit__(self, *_: object) -> None:
        if self._client.status == "running":
            self._client.run(_close, self._ingest.name, on_error="ignore")
        self._client.close()

    def read(self, jobs: Iterable[Job | Refused]) -> Iterator[Read | Refused]:
        """What each job gives, in their order. A job whose worker is lost is given to another."""
        from distributed import CancelledError

        ahead: deque[tuple[str, Any]] = deque()
        try:
            for named in jobs:
                job = named if isinstance(named, Refused) else named.loaded()
                ahead.append(("", job) if isinstance(job, Refused) else (job.name, self._sent(job)))
                if len(ahead) > _AHEAD * (sum(self._client.nthreads().values()) or 1):
                    yield _result(*ahead.popleft())
            while ahead:
                yield _result(*ahead.popleft())
        except (CancelledError, OSError):
            raise KzresearchError(
                f"the Dask scheduler at {self._address} was lost or started anew; what is in the "
                "store is kept: start again"
            ) from None

    def _sent(self, job: Job) -> Any:
        return self._client.submit(_on_worker, job, self._ingest, _code(), pure=False)


def _result(name: str, found: Any) -> Read | Refused:
    from distributed.scheduler import KilledWorker

    if isinstance(found, Refused):
        return found
    try:
        read: Read | Refused = found.result()
    except KilledWorker:
        return Refused(f"{name}: each worker that read it was lost; see the cluster's logs")
    return read


@cache
def _code() -> str:
    """What reads: the package and all that is installed, in short."""
    here = records.environment()
    return hashlib.sha256(json.dumps([here.package, here.versions]).encode()).hexdigest()


_lock = threading.Lock()
_stations: dict[str, _Station] = {}


def _on_worker(job: Job, ingest: _Ingest, code: str) -> Read | Refused:
    if code != _code():
        raise ParameterError(
            "a worker has not the same installed as this machine, and might read otherwise; install "
            "the same on both"
        )
    with _lock:
        if ingest.name not in _stations:
            _watched()
            _stations[ingest.name] = _Station(ingest.versions)
        station = _stations[ingest.name]
        station.reading += 1
    try:
        return station.readers.one(job)
    finally:
        with _lock:
            station.reading -= 1
            station.last = time.monotonic()


class _Station:
    """Processes beside a worker that read for one ingest, and know its versions of the form."""

    def __init__(self, versions: Versions) -> None:
        from distributed import get_worker

        worker = get_worker()
        self._store = Path(tempfile.mkdtemp(prefix="kzresearch-", dir=worker.local_directory))
        for name, text in versions:
            path = self._store / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8", errors="surrogateescape")
        self.readers = Readers(worker.state.nthreads, str(self._store)).__enter__()
        self.reading, self.last = 0, time.monotonic()

    def close(self) -> None:
        """End the processes."""
        self.readers.__exit__()
        shutil.rmtree(self._store, ignore_errors=True)


@cache
def _watched() -> None:
    threading.Thread(target=_idle, daemon=True).start()


def _idle() -> None:
    """Close, for ever again, what has not read for a while: its ingest may be gone unheard."""
    while True:
        time.sleep(_IDLE / 4)
        with _lock:
            names = [
                name
                for name, one in _stations.items()
                if not one.reading and time.monotonic() - one.last > _IDLE
            ]
        for name in names:
            _close(name)


@atexit.register
def _close(name: str | None = None) -> None:
    """Close what reads for an ingest, or for all."""
    with _lock:
        names = [one for one in _stations if name in {None, one}]
        closed = [_stations.pop(one) for one in names]
    for station in closed:
        station.close()
