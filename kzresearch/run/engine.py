"""A papermill engine that executes a notebook in this process, with ipykernel's own machinery.

Papermill and nbclient do what they do with a kernel of their own: parameters, metadata, states,
error banners, and what becomes of each message. Only the way of a message is shorter: the kernel's
session hands it over instead of sending it through a socket. So starting a kernel, waiting for it
and shutting it down fall away, and a process that is forked from one where all is imported
(`warm`) runs a notebook in the time its code takes.

A process runs one notebook and ends: nothing leaks from one run to the next. Outputs are those of
papermill's own engine, as long as that one joins the streams of a cell (`coalesce_streams`), whose
parts otherwise depend on the time that printing takes. What a kernel's process is beside that
(arguments, search path, handling of signals), `as_a_kernel` makes of this one.
"""

from __future__ import annotations

import asyncio
import codecs
import contextvars
import fcntl
import logging
import os
import select
import sys
import tempfile
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import lru_cache
from operator import is_
from pathlib import Path
from queue import Empty
from types import SimpleNamespace
from typing import Any

import ipykernel
from ipykernel import ipkernel
from ipykernel.iostream import IOPubThread
from ipykernel.iostream import OutStream as KernelStream
from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp
from IPython.core import inputtransformer2, interactiveshell
from IPython.core.displayhook import DisplayHook
from jupyter_client.session import Session
from nbformat.json_compat import FastJsonSchemaValidator
from nbformat.validator import get_validator
from papermill import engines
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import Engine, papermill_engines
from traitlets.config import Config

from kzresearch import language
from kzresearch.meanings import show_captions
from kzresearch.run.single import ARGUMENTS, Task, read_ahead

NAME = "kzresearch"
"""What the engine is registered as with papermill."""

Message = dict[str, Any]
_CELLS = 1_000
"""Of how many cells is kept what was found out ahead."""
_ROOM = 1 << 20
"""Bytes that a pipe of output holds."""


class _Session(Session):
    """A session that keeps what it would send: (where, message)."""

    def __init__(self) -> None:
        super().__init__(key=b"")  # there is no one else who could send
        self.kept: list[tuple[Any, Message]] = []
        self.process = os.getpid()  # of the notebook

    def send(
        self, stream: Any, msg_or_type: Any, content: Any = None, *args: Any, **how: Any
    ) -> Any:
        """Keep a message as it would arrive."""
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
        if message["msg_type"] == "stream":
            message["content"]["text"] = _sendable(message["content"]["text"])
        if os.getpid() != self.process:
            # A process that the cell has forked has these streams and another memory.
            if message["msg_type"] == "stream":
                fd = 1 if message["content"]["name"] == "stdout" else 2
                os.write(fd, message["content"]["text"].encode("utf-8", "surrogateescape"))
            return message
        arrived = {**message, "buffers": named.get("buffers") or []}
        # The rest is as it arrives: text, and times.
        sent = self.serialize({**message, "header": {}, "parent_header": {}})
        arrived["metadata"], arrived["content"] = map(self.unpack, sent[-2:])
        self.kept.append((stream, arrived))
        return message


def _sendable(text: str) -> str:
    """The text, where need be without halves of characters: the rest of it is to be seen."""
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


class _Loop:
    """What the kernel asks of its event loop."""

    ends = float("inf")
    """When the process ends because the notebook asked for it: `exit()`, `quit()`."""

    def call_later(self, seconds: float, _stop: Callable[[], None]) -> None:
        """Stop then, unless a cell runs."""
        self.ends = time.monotonic() + seconds

    def add_callback(self, function: Callable[[], None]) -> None:
        """Call the function soon: a signal has come."""
        asyncio.get_running_loop().call_soon_threadsafe(function)

    def stop(self) -> None:
        """Stop: nothing more runs anyway."""


class _Foreseen:
    """What IPython makes of the texts of cells, found out ahead of a fork for all that come from it.

    As long as the notebook has changed nothing of how texts are read.
    """

    def __init__(self, texts: Any, compiler: Any) -> None:
        self._texts, self._transform = texts, texts.transform_cell
        self._compiler, self._parse = compiler, compiler.ast_parse
        self._parse_of_all = type(compiler).ast_parse
        self._python: dict[str, str] = {}
        self._is_async: dict[str, bool] = {}
        self._trees: dict[tuple[str, str, int], Any] = {}
        shell: Any = interactiveshell
        hook: Any = DisplayHook
        self._is_quiet = lru_cache(maxsize=_CELLS)(hook.semicolon_at_end_of_expression)
        hook.semicolon_at_end_of_expression = staticmethod(self._is_quiet)
        self._should_be_async = shell._should_be_async  # noqa: SLF001
        texts.transform_cell, compiler.ast_parse = self.transform_cell, self.ast_parse
        shell._should_be_async = self.should_be_async  # noqa: SLF001
        self._before = self._ways()

    def _ways(self) -> list[Any]:
        texts = self._texts
        lists = (texts.cleanup_transforms, texts.line_transforms, texts.token_transformers)
        of_classes = [vars(one) for one in (type(texts), *texts.token_transformers)]
        names = (vars(texts), vars(inputtransformer2), inputtransformer2.tr, *of_classes)
        found: list[Any] = [one for given in names for pair in given.items() for one in pair]
        return found + [one for given in lists for one in (len(given), *given)]

    def _as_before(self) -> bool:
        now = self._ways()
        return len(now) == len(self._before) and all(map(is_, now, self._before))

    def add(self, cell: str) -> None:
        """A cell that is going to run; not one of which Python has something to say."""
        if len(self._python) >= _CELLS:
            for kept in (self._python, self._is_async, self._trees):
                kept.clear()
        with warnings.catch_warnings(record=True) as said, suppress(Exception):
            warnings.simplefilter("always")
            python = self._transform(cell)
            is_async = self._should_be_async(python)
            self._is_quiet(python)
            tree = self._parse(python)
            if not said:
                self._python[cell], self._is_async[python] = python, is_async
                self._trees[python, "exec", self._compiler.flags] = tree

    def transform_cell(self, cell: str) -> str:
        """A cell as Python has it."""
        known = self._python.get(cell) if self._as_before() else None
        return self._transform(cell) if known is None else known

    def should_be_async(self, python: str) -> bool:
        """Whether it waits for something at its top level."""
        known = self._is_async.get(python)
        return self._should_be_async(python) if known is None else known

    def ast_parse(self, python: str, filename: str = "<unknown>", symbol: str = "exec") -> Any:
        """Its syntax, as an object of the caller's own."""
        known = self._trees.pop((python, symbol, self._compiler.flags), None)
        if known is None or type(self._compiler).ast_parse is not self._parse_of_all:
            return self._parse(python, filename, symbol)
        return known


class _Kernel(IPythonKernel):
    """An IPython kernel without sockets and threads."""

    session: _Session
    shell: Any
    io_loop: Any

    _execute_sleep = 0.0  # what it waits for, the threads of sockets, is not there

    def __init__(self, **traits: Any) -> None:
        config = Config({"HistoryManager": {"hist_file": ":memory:"}})  # as nbclient asks for
        log = logging.getLogger(f"{__name__}.kernel")
        log.propagate = False  # a notebook that configures logging does not see the kernel's
        log.addHandler(logging.NullHandler())
        super().__init__(
            session=_Session(),
            iopub_socket="iopub",
            log=log,
            config=config,
            user_ns=None,  # a module of its own, as a kernel has
            **traits,
        )
        self.io_loop = _Loop()
        self.shell_channel_thread = SimpleNamespace(parent_thread=threading.current_thread())
        self.shell.extension_manager.load_extension(
            "storemagic"
        )  # as the kernel's application does
        show_captions(self.shell)  # as importing the package does in a kernel
        self.foreseen = _Foreseen(self.shell.input_transformer_manager, self.shell.compile)

    def _abort_queues(self, subshell_id: str | None = None) -> None:
        """There is no queue."""


class _NoThread(IOPubThread):
    """The thread by which streams send, without the thread: all is done at once."""

    thread: Any = None
    io_loop: Any

    def __init__(self) -> None:
        self.io_loop = SimpleNamespace(call_later=lambda *_: None)  # streams wait for `flush`

    def schedule(self, function: Callable[[], None]) -> None:
        """Do it."""
        function()


class OutStream(KernelStream):
    """What `sys.stdout` and `sys.stderr` are in a cell."""

    def __init__(self, session: _Session, name: str, below: _Descriptors) -> None:
        super().__init__(session, _NoThread(), name, watchfd=False)
        self._below = below

    def write(self, string: str) -> int:
        """Write the text, after what was written below Python before it."""
        self._below.collect()
        return super().write(string) or 0

    def flush(self) -> None:
        """Send what was written, here and below Python."""
        self._below.collect()
        super().flush()

    def fileno(self) -> int:
        """The file descriptor that a kernel names: not one that is shown in the notebook."""
        return self._below.before[1 if self.name == "stdout" else 2]


class _Descriptors:
    """What C libraries and other processes write to 1 and 2, caught in pipes."""

    def __init__(self, kernel: _Kernel) -> None:
        self.before = {fd: os.dup(fd) for fd in (1, 2)}
        self._ends = {fd: os.pipe() for fd in (1, 2)}
        for end, _ in self._ends.values():
            os.set_blocking(end, False)
            with suppress(OSError):  # a library that does not let the thread below run has room
                fcntl.fcntl(end, fcntl.F_SETPIPE_SZ, _ROOM)
        decoder = codecs.getincrementaldecoder("utf-8")
        self._decoders = {fd: decoder("replace") for fd in (1, 2)}
        names = {1: "stdout", 2: "stderr"}
        self.streams = {fd: OutStream(kernel.session, name, self) for fd, name in names.items()}
        self._kernel, self._lock = kernel, threading.RLock()
        os.register_at_fork(
            before=self._lock.acquire,
            after_in_parent=self._lock.release,
            after_in_child=self._lock.release,
        )
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        """Empty the pipes also while a cell waits for who fills them."""
        while True:
            select.select([end for end, _ in self._ends.values()], [], [])
            self.collect()

    def collect(self, *, final: bool = False) -> None:
        """Write to the streams what was written below them since."""
        if os.getpid() != self._kernel.session.process:
            return
        with self._lock:
            ready, *_ = select.select([end for end, _ in self._ends.values()], [], [], 0)
            for fd, (end, _) in self._ends.items():
                found = os.read(end, _ROOM) if end in ready else b""
                text, stream = self._decoders[fd].decode(found, final), self.streams[fd]
                if text and not stream.closed:
                    KernelStream.write(stream, text)

    def finish(self) -> None:
        """Send all that was written, also where the notebook has put other streams in our place."""
        self.collect(final=True)
        for stream in self.streams.values():
            stream.flush()

    @contextmanager
    def redirected(self) -> Iterator[None]:
        """Descriptors 1 and 2, and Python's streams, are the notebook's."""
        for fd, (_, end) in self._ends.items():
            os.dup2(end, fd)
        before, (sys.stdout, sys.stderr) = (sys.stdout, sys.stderr), self.streams.values()
        try:
            yield
        finally:
            sys.stdout, sys.stderr = before
            for fd, old in self.before.items():
                os.dup2(old, fd)


class _Channel:
    """One of the client's channels: the messages that have come and were not yet read."""

    def __init__(self, kernel: _Kernel) -> None:
        self._kernel = kernel
        self.messages: deque[Message] = deque()

    async def get_msg(self, timeout: float | None = None) -> Message:  # noqa: ARG002, ASYNC109
        """The next message; Empty where none has come, since none will while nothing runs."""
        if not self.messages:
            raise Empty
        return self.messages.popleft()

    def send(self, message: Message) -> None:
        """Hand a message of a widget to the kernel."""
        self._kernel.shell_handlers[message["msg_type"]]("shell", [], message)


class _KernelClient:
    """What nbclient asks of a kernel's client, done by calling the kernel."""

    allow_stdin = False

    def __init__(self, kernel: _Kernel, caught: _Descriptors) -> None:
        self._kernel, self._caught, self.session = kernel, caught, kernel.session
        self.shell_channel, self.iopub_channel = _Channel(kernel), _Channel(kernel)
        self._context = contextvars.copy_context()

    async def execute(self, code: str, *, store_history: bool, stop_on_error: bool) -> str:
        """Run a cell to its end; its messages can then be read."""
        content = {"code": code, "silent": False, "store_history": store_history}
        content |= {"user_expressions": {}, "allow_stdin": False, "stop_on_error": stop_on_error}
        request = self._context.run(self._begun, "execute_request", content)
        self._kernel.pre_handler_hook()
        running = self._kernel.execute_request("shell", [], request)
        try:
            # What a cell sets there (a decimal precision, NumPy's handling of errors) is kept.
            await asyncio.get_running_loop().create_task(running, context=self._context)
        finally:
            self._kernel.post_handler_hook()
            if os.getpid() != self.session.process:
                os._exit(0)  # forked by the cell, which it has come to the end of
        return self._done(request)

    def kernel_info(self) -> str:
        """Ask what the kernel is."""
        request = self._begun("kernel_info_request", {})
        content = {"status": "ok", **self._kernel.kernel_info}
        self.session.send("shell", "kernel_info_reply", content, parent=request)
        return self._done(request)

    def _begun(self, kind: str, content: dict[str, Any]) -> Message:
        if time.monotonic() > self._kernel.io_loop.ends:
            os._exit(0)
        request: Message = self.session.msg(kind, content)
        self._kernel.set_parent([], request, channel="shell")
        self._status("busy", request)
        return request

    def _done(self, request: Message) -> str:
        self._caught.finish()
        self._status("idle", request)
        for where, message in self.session.kept:
            channel = self.shell_channel if where == "shell" else self.iopub_channel
            channel.messages.append(message)
        self.session.kept.clear()
        return str(request["header"]["msg_id"])

    def _status(self, state: str, request: Message) -> None:
        self.session.send("iopub", "status", {"execution_state": state}, parent=request)

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

    def __init__(self, client: _KernelClient) -> None:
        self._client = client

    def client(self) -> _KernelClient:
        """The client of the kernel."""
        return self._client


class InProcessEngine(Engine):  # type: ignore[misc]
    """Papermill's engine by the name `NAME`: executes a notebook in this process."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **options: Any) -> None:
        """Execute the notebook; options as papermill's own engine has them."""
        known = ("log_output", "coalesce_streams", "on_cell_start", "on_cell_executed")
        kept = {name: options[name] for name in known if name in options}
        kernel = _Kernel.instance()
        kernel.session.process = os.getpid()
        caught = _Descriptors(kernel)
        manager = _KernelManager(_KernelClient(kernel, caught))
        client = PapermillNotebookClient(nb_man, km=manager, kernel_name=kernel_name, **kept)
        with caught.redirected():
            client.execute()


papermill_engines.register(NAME, InProcessEngine)


class _Validator(FastJsonSchemaValidator):
    """Nbformat's validator, which looks at a cell or an output as a part of a notebook.

    For a part alone nbformat has another library that takes long; what is not valid goes that way.
    """

    def iter_errors(self, data: Any, schema: Any = None) -> Any:
        """What is wrong with it."""
        kind = str((schema or {}).get("$ref", "")).rpartition("/")[2]
        cell = {"id": "a", "cell_type": "code", "metadata": {}, "source": ""}
        cell |= {"execution_count": None, "outputs": [data]}  # type: ignore[dict-item]
        if isinstance(data, dict) and f"{data.get('cell_type')}_cell" == kind:
            cell = data
        elif not isinstance(data, dict) or data.get("output_type") != kind:
            return super().iter_errors(data, schema)
        whole = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell]}
        return super().iter_errors(whole) and super().iter_errors(data, schema)


# A kernel asks for each cell anew what a function takes.
_kernels: Any = ipkernel
_accepted = lru_cache(maxsize=8)(_kernels._accepts_parameters)  # noqa: SLF001
_kernels._accepts_parameters = lambda function, names: _accepted(function, tuple(names))  # noqa: SLF001


_dates: Any = engines.dateutil


def _time(text: Any, *args: Any, **how: Any) -> datetime:
    """The time that papermill has written of a cell: its parser is one of all that people write."""
    with suppress(ValueError, TypeError):
        return datetime.fromisoformat(text, *args, **how)
    found: datetime = _dates.parser.parse(text, *args, **how)
    return found


engines.dateutil = SimpleNamespace(**vars(_dates))
engines.dateutil.parser = SimpleNamespace(**vars(_dates.parser) | {"parse": _time})


def warm() -> None:
    """Make what a run needs and what may be made before a fork: no polars query, no thread."""
    import nbformat
    import polars as pl

    from kzresearch import datasets, sources
    from kzresearch.charts import theme
    from kzresearch.run.scrub import scrubbed_message

    _Kernel.instance()
    application: Any = IPKernelApp
    application.patch_io(None)
    application.init_pdb(None)
    nbformat.reads(nbformat.writes(nbformat.v4.new_notebook()), as_version=4)
    if type(validator := get_validator(4, 5)) is FastJsonSchemaValidator:
        validator.__class__ = _Validator
    sources.raw_files("")
    datasets.warm()
    scrubbed_message("")
    one = theme.layer(pl.DataFrame({"a": [1.0]}), "point", {"x": theme.quantity("a")})
    chart = theme.Layers(layer=[one, one], title=theme.heading("a", "b"), description="c")
    chart._repr_mimebundle_()


def expect(folder: Path) -> None:
    """Do ahead of forks what can be done for a notebook that is going to run."""
    logging.disable()
    # What is wrong with it is said by its run.
    with suppress(Exception), warnings.catch_warnings(action="ignore"):
        task = Task.load(folder)
        if read_ahead(task, folder):
            for cell in task.content["cells"]:
                if cell["cell_type"] == "code":
                    _Kernel.instance().foreseen.add("".join(cell["source"]))
        language.warm(task.parameters.get("language", language.current()))
    logging.disable(logging.NOTSET)


def as_a_kernel() -> None:
    """Make of this process, forked from a warm one, what a kernel's process is to a notebook."""
    from IPython.core.profiledir import ProfileDir

    connection = Path(tempfile.gettempdir()) / "kernel.json"
    launcher = Path(ipykernel.__file__).parents[1] / "ipykernel_launcher.py"
    sys.argv = [str(launcher), "-f", str(connection), *ARGUMENTS]
    sys.argv.append("--HistoryManager.hist_file=:memory:")  # nbclient's own
    os.environ["JPY_PARENT_PID"] = str(os.getppid())
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    if not os.environ.get("PYTHONSAFEPATH"):
        packages = (at for at, place in enumerate(sys.path) if place.endswith("-packages"))
        sys.path.insert(next(packages, 0), "")  # after the standard library
    shell = _Kernel.instance().shell
    shell.starting_dir = str(Path.cwd())
    shell.history_manager.dir_hist[:] = [Path.cwd()]
    shell.ipython_dir = os.environ["IPYTHONDIR"]
    shell.profile_dir = ProfileDir.create_profile_dir_by_name(shell.ipython_dir, "default")
