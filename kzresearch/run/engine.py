"""A papermill engine that executes a notebook in this process, with ipykernel's own machinery.

Papermill and nbclient do what they do with a kernel of their own: parameters, metadata, states,
error banners, and what becomes of each message. Only the way of a message is shorter: the kernel's
session hands it over instead of sending it through a socket. So starting a kernel, waiting for it
and shutting it down fall away, and a process that is forked from one where all is imported
(`warm`) runs a notebook in the time its code takes.

A process runs one notebook and ends: nothing leaks from one run to the next. Outputs are those of
papermill's own engine, as long as that one joins the streams of a cell (`coalesce_streams`), whose
parts otherwise depend on the time that printing takes.
"""

from __future__ import annotations

import gc
import io
import json
import logging
import os
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty
from types import SimpleNamespace
from typing import Any

from ipykernel.ipkernel import IPythonKernel
from jupyter_client.jsonutil import extract_dates
from jupyter_client.session import Session, json_packer
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import Engine, papermill_engines
from traitlets.config import Config

NAME = "kzresearch"
"""What the engine is registered as with papermill."""

Message = dict[str, Any]


class _Session(Session):
    """A session that keeps what it would send: (where, message)."""

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self.kept: list[tuple[str, Message]] = []

    def send(
        self, stream: Any, msg_or_type: Any, content: Any = None, *args: Any, **how: Any
    ) -> Any:
        """Keep a message as it would arrive: through JSON and back."""
        named = (
            dict(
                zip(
                    ("parent", "ident", "buffers", "track", "header", "metadata"),
                    args,
                    strict=False,
                )
            )
            | how
        )
        message = msg_or_type
        if not isinstance(message, dict):
            parts = {key: named.get(key) for key in ("parent", "header", "metadata")}
            message = self.msg(msg_or_type, content=content, **parts)
        arrived = json.loads(json_packer(message))
        for header in ("header", "parent_header"):
            arrived[header] = extract_dates(arrived[header])
        arrived["buffers"] = named.get("buffers") or []
        self.kept.append((stream, arrived))
        return message


class _Kernel(IPythonKernel):
    """An IPython kernel without sockets and threads."""

    session: _Session

    _execute_sleep = 0.0  # what it waits for, the threads of sockets, is not there

    def __init__(self) -> None:
        # Cells are in the notebook: a history beside it would be one file for all runs, and a thread.
        config = Config({"HistoryManager": {"enabled": False}})
        super().__init__(
            session=_Session(),
            iopub_socket="iopub",
            log=logging.getLogger("kernel"),
            config=config,
        )
        self.shell_channel_thread = SimpleNamespace(parent_thread=threading.current_thread())

    def _abort_queues(self, subshell_id: str | None = None) -> None:
        """There is no queue."""


class _Stream(io.TextIOBase):
    """What `sys.stdout` and `sys.stderr` are in a cell: each writing is a message."""

    encoding, errors = "UTF-8", "strict"

    def __init__(self, kernel: _Kernel, name: str, below: _Descriptors) -> None:
        self.name, self._kernel, self._below = name, kernel, below

    def write(self, text: str) -> int:
        """Send the text, after what was written below Python before it."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text)}")
        self._below.collect()
        self.send(text)
        return len(text)

    def send(self, text: str) -> None:
        """Send the text as a message of this stream."""
        if text:
            parent = self._kernel.get_parent()
            content = {"name": self.name, "text": text}
            self._kernel.session.send("iopub", "stream", content, parent=parent)

    def flush(self) -> None:
        """Send what was written below Python."""
        self._below.collect()

    def fileno(self) -> int:
        """The file descriptor, for processes that the cell starts."""
        return 1 if self.name == "stdout" else 2

    def writable(self) -> bool:
        """It can be written to."""
        return True


class _Descriptors:
    """What C libraries and other processes write to 1 and 2, caught in files."""

    def __init__(self, kernel: _Kernel) -> None:
        self._files = {fd: tempfile.TemporaryFile() for fd in (1, 2)}  # noqa: SIM115
        self._read = dict.fromkeys(self._files, 0)
        self.streams = {
            fd: _Stream(kernel, name, self) for fd, name in ((1, "stdout"), (2, "stderr"))
        }

    def collect(self) -> None:
        """Send what has been written since."""
        for fd, file in self._files.items():
            size = os.fstat(file.fileno()).st_size
            if size > self._read[fd]:
                found = os.pread(file.fileno(), size - self._read[fd], self._read[fd])
                self._read[fd] = size
                self.streams[fd].send(found.decode("utf-8", "replace"))

    @contextmanager
    def redirected(self) -> Iterator[None]:
        """Descriptors 1 and 2, and Python's streams, are the notebook's."""
        before, kept = (sys.stdout, sys.stderr), {fd: os.dup(fd) for fd in self._files}
        for fd, file in self._files.items():
            os.dup2(file.fileno(), fd)
        sys.stdout, sys.stderr = self.streams[1], self.streams[2]
        try:
            yield
        finally:
            sys.stdout, sys.stderr = before
            for fd, old in kept.items():
                os.dup2(old, fd)
                os.close(old)


class _Channel:
    """One of the client's channels: the messages that have come and were not yet read."""

    def __init__(self) -> None:
        self.messages: deque[Message] = deque()

    async def get_msg(self, timeout: float | None = None) -> Message:  # noqa: ARG002, ASYNC109
        """The next message; Empty where none has come, since none will while nothing runs."""
        if not self.messages:
            raise Empty
        return self.messages.popleft()


class _KernelClient:
    """What nbclient asks of a kernel's client, done by calling the kernel."""

    allow_stdin = False

    def __init__(self, kernel: _Kernel) -> None:
        self._kernel, self._caught = kernel, _Descriptors(kernel)
        self.shell_channel, self.iopub_channel = _Channel(), _Channel()

    async def execute(self, code: str, *, store_history: bool, stop_on_error: bool) -> str:
        """Run a cell to its end; its messages can then be read."""
        content = {"code": code, "silent": False, "store_history": store_history}
        content |= {"user_expressions": {}, "allow_stdin": False, "stop_on_error": stop_on_error}
        request = self._kernel.session.msg("execute_request", content)
        self._kernel.set_parent([], request, channel="shell")
        self._status("busy", request)
        with self._caught.redirected():
            await self._kernel.execute_request("shell", [], request)
            self._caught.collect()
        self._done(request)
        return str(request["header"]["msg_id"])

    def kernel_info(self) -> str:
        """Ask what the kernel is."""
        request = self._kernel.session.msg("kernel_info_request")
        content = {"status": "ok", **self._kernel.kernel_info}
        self._kernel.session.send("shell", "kernel_info_reply", content, parent=request)
        self._done(request)
        return str(request["header"]["msg_id"])

    def _done(self, request: Message) -> None:
        self._status("idle", request)
        session = self._kernel.session
        for where, message in session.kept:
            channel = self.shell_channel if where == "shell" else self.iopub_channel
            channel.messages.append(message)
        session.kept.clear()

    def _status(self, state: str, request: Message) -> None:
        self._kernel.session.send("iopub", "status", {"execution_state": state}, parent=request)

    def start_channels(self) -> None:
        """There is nothing to start."""

    async def wait_for_ready(self, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """It is ready."""

    async def is_alive(self) -> bool:
        """It lives as long as this process."""
        return True


class _KernelManager:
    """What nbclient asks of a kernel's manager."""

    has_kernel, kernel_id = True, NAME

    def client(self) -> _KernelClient:
        """The client of the kernel that is warm, or of a new one."""
        return _KernelClient(_warm.pop() if _warm else _Kernel())


_warm: list[_Kernel] = []


class InProcessEngine(Engine):  # type: ignore[misc]
    """Papermill's engine by the name `NAME`: executes a notebook in this process."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **options: Any) -> None:
        """Execute the notebook; options as papermill's own engine has them."""
        known = ("log_output", "coalesce_streams", "on_cell_start", "on_cell_executed")
        kept = {name: options[name] for name in known if name in options}
        client = PapermillNotebookClient(
            nb_man, km=_KernelManager(), kernel_name=kernel_name, **kept
        )
        client.execute()


papermill_engines.register(NAME, InProcessEngine)


def warm() -> None:
    """Make what a run needs and what may be made before a fork: no polars query, no thread."""
    import altair as alt
    import nbformat

    _warm.append(_Kernel())
    nbformat.reads(nbformat.writes(nbformat.v4.new_notebook()), as_version=4)
    alt.Chart(alt.Data(url="none")).mark_point().encode(x="a:Q").to_dict()
    # What is made so far is neither looked at by the collector in a child nor copied for that.
    gc.collect()
    gc.freeze()
