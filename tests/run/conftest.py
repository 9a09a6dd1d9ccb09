"""Servers that several tests use: each is started once."""

from collections.abc import Iterator

import pytest

from tests.run.servers import Cluster, Gate, dask_cluster, object_store


@pytest.fixture(scope="session")
def gate() -> Iterator[Gate]:
    """The way to the object store, whether there is one behind it or not."""
    one = Gate()
    yield one
    one.close()


@pytest.fixture(scope="session")
def store(gate: Gate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    """A real object store behind the gate."""
    with object_store(tmp_path_factory.mktemp("store")) as address:
        gate.upstream = address
        yield gate


@pytest.fixture(scope="session")
def cluster(gate: Gate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A scheduler with two workers, which know the way to the object store."""
    with dask_cluster(tmp_path_factory.mktemp("cluster")) as one:
        one.workers(2, environment=gate.environment)
        one.joined(2)
        yield one
