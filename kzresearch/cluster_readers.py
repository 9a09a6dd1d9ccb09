"""Reads workbooks on the workers of a Dask cluster, each in a process beside the worker's own."""

from __future__ import annotations

import atexit
import hashlib
import json
import tempfile
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Self

from kzresearch import records
from kzresearch.errors import KzresearchError, ParameterError
from kzresearch.readers import Job, Read, Readers, Refused
from kzresearch.run.cluster import connected

Versions = tuple[tuple[str, str], ...]
_AHEAD = 2
"""Workbooks sent for each thread of the workers, so that none waits for the next."""


class ClusterReaders:
    """Workers that read workbooks; they are sent the files and the versions of the form."""

    def __init__(self, address: str, versions: Versions) -> None:
        self._address, self._versions = address, versions

    def __enter__(self) -> Self:
        self._client: Any = connected(self._address)
        return self

    def __exit__(self, *_: object) -> None:
        if self._client.status == "running":
            self._client.run(_close, on_error="ignore")
        self._client.close()

    def read(self, jobs: Iterable[Job | Refused]) -> Iterator[Read | Refused]:
        """What each job gives, in their order. A job whose worker is lost is given to another."""
        from distributed import CancelledError

        ahead: deque[Any] = deque()
        try:
            for job in jobs:
                ahead.append(job if isinstance(job, Refused) else self._sent(job))
                if len(ahead) > _AHEAD * (sum(self._client.nthreads().values()) or 1):
                    yield _result(ahead.popleft())
            while ahead:
                yield _result(ahead.popleft())
        except (CancelledError, OSError):
            raise KzresearchError(
                f"the Dask scheduler at {self._address} was lost or started anew; what is in the "
                "store is kept: start again"
            ) from None

    def _sent(self, job: Job) -> Any:
        return self._client.submit(_on_worker, job, self._versions, _code(), pure=False)


def _result(found: Any) -> Read | Refused:
    from distributed.scheduler import KilledWorker

    if isinstance(found, Refused):
        return found
    try:
        read: Read | Refused = found.result()
    except KilledWorker:
        return Refused("each worker that read it was lost; see the cluster's logs")
    return read


@cache
def _code() -> str:
    """What reads: the package and all that is installed, in short."""
    here = records.environment()
    return hashlib.sha256(json.dumps([here.package, here.versions]).encode()).hexdigest()


_lock = threading.Lock()
_stations: dict[Versions, Readers] = {}


def _on_worker(job: Job, versions: Versions, code: str) -> Read | Refused:
    if code != _code():
        raise ParameterError(
            "a worker has not the same installed as this machine, and might read otherwise; install "
            "the same on both"
        )
    with _lock:
        if versions not in _stations:
            _stations[versions] = _station(versions)
        readers = _stations[versions]
    return readers.one(job)


def _station(versions: Versions) -> Readers:
    """Processes that know these versions of the form."""
    from distributed import get_worker

    store = Path(tempfile.mkdtemp(prefix="kzresearch-"))
    for name, text in versions:
        path = store / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8", errors="surrogateescape")
    return Readers(get_worker().state.nthreads, str(store)).__enter__()


@atexit.register
def _close() -> None:
    import shutil

    with _lock:
        for readers in _stations.values():
            readers.__exit__()
            shutil.rmtree(readers.store, ignore_errors=True)
        _stations.clear()
