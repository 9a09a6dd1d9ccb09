"""The processes that make runs and pages, started by `kzresearch.run.pool` and told what to do in lines.

    python -P -m kzresearch.run.worker fork FOLDER    a parent where all is imported: forks one
                                                      process for each run
    python -P -m kzresearch.run.worker stock FOLDER   one run on papermill's own engine
    python -P -m kzresearch.run.worker pages FOLDER   makes pages, one after the other

Lines are JSON, in on standard input and out on what was standard output. Each ends when its input
does, and takes with it the processes it has started and FOLDER.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import pkgutil
import random
import selectors
import shutil
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from kzresearch.run.single import FAST, STOCK, Failure, run_task

HARMLESS = ("jemalloc", "polars-")
"""How the threads are named that polars and its allocator start at import: they may be forked."""
FAILURE = "failure.json"


class _Events:
    """What was standard output: the pool reads it. A line is shorter than a pipe takes at once."""

    def __init__(self) -> None:
        self._fd = os.dup(1)
        nowhere = os.open(os.devnull, os.O_RDWR)
        os.dup2(nowhere, 1)
        os.close(nowhere)

    def send(self, **event: Any) -> None:
        """Write one event."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self._fd, (json.dumps(event) + "\n").encode())


def main(what: str, folder: str) -> None:
    """Do what the command line says, until the input ends."""
    events = _Events()
    try:
        {"fork": _fork, "stock": _stock, "pages": _pages}[what](events, Path(folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _fork(events: _Events, home: Path) -> None:
    """Fork a process for each folder that a line names; say when it begins and how it ends."""
    from kzresearch.run import engine

    _import_everything()
    engine.warm()
    events.send(ready=_not_forkable())
    children: dict[int, tuple[int, str]] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(0, selectors.EVENT_READ)
        lines = _Lines()
        while True:
            for key, _ in selector.select():
                if key.fd in children:
                    selector.unregister(key.fd)
                    _reap(events, key.fd, *children.pop(key.fd))
                    continue
                for folder in lines.read():
                    if reason := _not_forkable():
                        events.send(run=folder, refused=reason)
                        continue
                    pid = os.fork()
                    if not pid:
                        _child(events, Path(folder))
                    watched = os.pidfd_open(pid)
                    children[watched] = (pid, folder)
                    selector.register(watched, selectors.EVENT_READ)
                    events.send(run=folder, pid=pid)
                if lines.ended:
                    for pid, _ in children.values():
                        _kill_group(pid)
                    shutil.rmtree(home, ignore_errors=True)
                    return


class _Lines:
    """Lines of standard input, each a JSON text, as they come."""

    def __init__(self) -> None:
        self._rest, self.ended = b"", False

    def read(self) -> Iterator[Any]:
        """The lines that have come."""
        found = os.read(0, 1 << 16)
        self.ended = not found
        *lines, self._rest = (self._rest + found).split(b"\n")
        yield from (json.loads(line) for line in lines)


def _import_everything() -> None:
    """Import what notebooks import, so that no run has to."""
    import kzresearch

    for module in pkgutil.walk_packages(kzresearch.__path__, "kzresearch."):
        if module.name.split(".")[-1] not in {"__main__", "worker", "cluster", "cli", "html"}:
            importlib.import_module(module.name)
    for name in ("altair", "great_tables", "narwhals._polars.dataframe", "scipy.stats"):
        importlib.import_module(name)


def _not_forkable() -> str | None:
    """Why no process may be forked from this one; None where nothing speaks against it."""
    me = str(os.getpid())
    for thread in Path("/proc/self/task").iterdir():
        name = (thread / "comm").read_text().strip()
        if thread.name != me and not name.startswith(HARMLESS):
            return f"a thread named {name} runs in the process that would be forked"
    return None


def _reap(events: _Events, watched: int, pid: int, folder: str) -> None:
    _kill_group(pid)  # what the notebook left running
    _, status = os.waitpid(pid, 0)
    os.close(watched)
    events.send(run=folder, ended=os.waitstatus_to_exitcode(status))


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _child(events: _Events, folder: Path) -> None:
    """Run the folder's task in this process, which was forked for it, and end."""
    code = 1
    try:
        os.setsid()
        _end_with_parent()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 2):
            os.dup2(nowhere, fd)
        random.seed()
        if numpy := sys.modules.get("numpy"):
            numpy.random.seed()
        sys.path.insert(0, "")  # as in a kernel
        _run(events, folder, FAST)
        code = 0
    finally:
        os._exit(code)


def _end_with_parent() -> None:
    """Be killed when the parent is, also where it cannot say so."""
    import ctypes

    parent = os.getppid()
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _run(events: _Events, folder: Path, engine: str) -> None:
    """Run the folder's task; where it has no result, `failure.json` says why."""
    for name in ("work", "temporary"):
        (folder / name).mkdir()
    os.environ["TMPDIR"] = str(folder / "temporary")
    tempfile.tempdir = None
    os.chdir(folder / "work")
    try:
        run_task(folder, engine, lambda cell: events.send(run=str(folder), cell=cell))
    except Failure as failure:
        why = {"kind": failure.kind, "message": str(failure)}
        (folder / FAILURE).write_text(json.dumps(why), encoding="utf-8")
    except OSError as error:
        why = {"kind": "OutputError", "message": f"cannot write: {error.strerror}"}
        (folder / FAILURE).write_text(json.dumps(why), encoding="utf-8")
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        message = f"{type(error).__name__}: {error} ({Path(last.filename).name}:{last.lineno})"
        why = {"kind": "EngineError", "message": message}
        (folder / FAILURE).write_text(json.dumps(why), encoding="utf-8")


def _stock(events: _Events, folder: Path) -> None:
    """Run the folder's task on papermill's own engine, in this process and its kernel's."""
    threading.Thread(target=_until_input_ends, args=(folder,), daemon=True).start()
    events.send(run=str(folder), pid=os.getpid())
    _run(events, folder, STOCK)
    os._exit(0)  # the folder is the pool's as long as that lives


def _until_input_ends(folder: Path) -> None:
    while os.read(0, 1 << 16):
        pass
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            process.kill()
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


def _pages(events: _Events, home: Path) -> None:
    """Make the page of each notebook that a line names: [path of the notebook, path of the page]."""
    import nbformat

    from kzresearch.publish import html

    lines = _Lines()
    while not lines.ended:
        for source, target in lines.read():
            try:
                notebook = nbformat.reads(Path(source).read_text(encoding="utf-8"), as_version=4)
                page = html.page(notebook, notebook["metadata"]["kzresearch"])
                Path(target).write_text(page, encoding="utf-8")
                events.send(run=source, page=None)
            except Exception as error:
                events.send(run=source, page=f"{type(error).__name__}: {error}")
    shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
