"""The processes that make runs and pages, started by `kzresearch.run.pool` and told what to do in lines.

    python -P -m kzresearch.run.worker fork FOLDER    a parent where all is imported: forks one
                                                      process for each run
    python -P -m kzresearch.run.worker stock FOLDER   one run on papermill's own engine
    python -P -m kzresearch.run.worker pages FOLDER   makes pages and PDFs, one after the other

Lines are JSON, in on standard input and out on what was standard output. Each ends when its input
does, and takes with it the processes it has started and FOLDER.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import errno
import gc
import importlib.abc
import importlib.machinery
import io
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

from kzresearch import records
from kzresearch.run.scrub import scrubbed_message
from kzresearch.run.single import FAILURE, FAST, STOCK, Failure, run_task

HARMLESS = {"jemalloc_bg_thd", "polars-ooc-clea"}
"""The threads that polars and its allocator start at import, which may be forked; others may not."""
OF_COMMANDS = {
    *("build", "cli", "cli_store", "cluster_readers", "codebook_page", "completion", "exports"),
    *("form_1m.versions", "form_1m.xls", "freedom_house", "ingesting", "kernel", "lab", "publish"),
    *("published", "readers", "run", "texts", "torture_indices", "tracing"),
}
"""What of the package notebooks do without, or import in little time."""
LATE = ("narwhals._polars.dataframe", "narwhals.stable.v1._namespace", "polars._utils.udfs")
"""What altair and polars import when they are first used."""
DIE_WITH_PARENT, ADOPT_ORPHANS = 1, 36
"""What Linux is asked for a process (`prctl`)."""
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EIO}


class _Events:
    """What was standard output: the pool reads it. A line is shorter than a pipe takes at once."""

    def __init__(self) -> None:
        self._fd = os.dup(1)
        nowhere = os.open(os.devnull, os.O_RDWR)
        os.dup2(nowhere, 1)
        os.close(nowhere)

    def close(self) -> None:
        """Send no more, in a process that was forked: the end of the pipe means that the other is gone."""
        os.close(self._fd)

    def send(self, **event: Any) -> None:
        """Write one event."""
        with contextlib.suppress(BrokenPipeError):
            # A line of its own, whatever a notebook may have written there.
            os.write(self._fd, ("\n" + json.dumps(event) + "\n").encode())


def main(what: str, folder: str) -> None:
    """Do what the command line says, until the input ends."""
    gc.disable()  # while all is imported, none of which is garbage
    events = _Events()
    try:
        {"fork": _fork, "stock": _stock, "pages": _pages}[what](events, Path(folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _fork(events: _Events, home: Path) -> None:
    """Fork a process for each folder that a line names; say when it begins and how it ends."""
    sys.modules["requests"] = _Later()  # type: ignore[assignment]
    from kzresearch.run import engine

    del sys.modules["requests"]
    (home / "ipython").mkdir()
    os.environ["IPYTHONDIR"] = str(home / "ipython")  # none of the user's
    _import_everything()
    records.environment()
    engine.warm()
    _imported()
    events.send(ready=_not_forkable())
    me = os.getpid()
    _ask_linux(ADOPT_ORPHANS, 1)
    children: dict[int, tuple[int, str]] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(0, selectors.EVENT_READ)
        lines = _Lines()
        while True:
            for key, _ in selector.select():
                if key.fd in children:
                    selector.unregister(key.fd)
                    pid, folder = children.pop(key.fd)
                    _kill_group(pid)
                    _, status = os.waitpid(pid, 0)
                    os.close(key.fd)
                    _kill_orphans({pid for pid, _ in children.values()})
                    events.send(run=folder, ended=os.waitstatus_to_exitcode(status))
                    continue
                for folder in lines.read():
                    if reason := _not_forkable():
                        events.send(run=folder, refused=reason)
                        continue
                    engine.expect(Path(folder))
                    pid = os.fork()
                    if not pid:
                        _child(events, Path(folder), me)
                    watched = os.pidfd_open(pid)
                    children[watched] = (pid, folder)
                    selector.register(watched, selectors.EVENT_READ)
                    events.send(run=folder, pid=pid)
                if lines.ended:
                    for pid, _ in children.values():
                        _kill_group(pid)
                    _kill_orphans(set())
                    shutil.rmtree(home.parent, ignore_errors=True)  # the pool may have been killed
                    return


class _Later:
    """What papermill imports to fetch notebooks from an address; imported when one is."""

    __spec__ = None

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module("requests"), name)


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


def _imported() -> None:
    """What there is from now on is neither looked at by the collector nor copied for that."""
    gc.freeze()
    gc.enable()


def _import_everything() -> None:
    """Import what notebooks import, so that no run has to."""
    import kzresearch

    for module in pkgutil.walk_packages(kzresearch.__path__, "kzresearch."):
        name = module.name.removeprefix("kzresearch.")
        if OF_COMMANDS.isdisjoint((name, name.split(".")[0])):
            importlib.import_module(module.name)
    for name in ("altair", "IPython.core.logger", *LATE):
        importlib.import_module(name)


def _not_forkable() -> str | None:
    """Why no process may be forked from this one; None where nothing speaks against it."""
    me = str(os.getpid())
    for thread in Path("/proc/self/task").iterdir():
        name = (thread / "comm").read_text().strip()
        if thread.name != me and name not in HARMLESS:
            return f"a thread named {name} runs in the process that would be forked"
    return None


def _kill_group(pid: int) -> None:
    for kill in (os.killpg, os.kill):  # it may not lead its group yet
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)


def _kill_orphans(others: set[int]) -> None:
    """Kill this process's children but the others: what a run leaves running becomes its child."""
    listed = Path(f"/proc/self/task/{os.getpid()}/children")
    with contextlib.suppress(OSError):
        while left := {int(pid) for pid in listed.read_text().split()} - others:
            for pid in left:
                _kill_group(pid)
                os.waitpid(pid, 0)


def _ask_linux(what: int, value: int) -> None:
    ctypes.CDLL(None).prctl(what, value, 0, 0, 0)


def _child(events: _Events, folder: Path, parent: int) -> None:
    """Run the folder's task in this process, which was forked for it, and end."""
    code = 1
    try:
        os.setsid()
        _ask_linux(DIE_WITH_PARENT, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        _ask_linux(ADOPT_ORPHANS, 1)
        events.close()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 2):
            os.dup2(nowhere, fd)
        os.close(nowhere)
        random.seed()
        if numpy_random := sys.modules.get("numpy.random"):
            numpy_random.seed()
        _run(folder, FAST)
        code = 0
        _come_to_an_end()
    finally:
        os._exit(code)


def _come_to_an_end() -> None:
    """Do what the notebook has left to the end of its process; a kernel has five seconds for that."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(5)
    atexit._run_exitfuncs()  # noqa: SLF001
    file: Any = io.IOBase.__base__  # what all files are; it is no abstract class, which takes long
    for one in gc.get_objects():
        if issubclass(type(one), file):
            with contextlib.suppress(Exception):
                one.flush()


def _run(folder: Path, engine: str) -> None:
    """Run the folder's task; where it has no result, `failure.json` says why."""
    try:
        for name in ("work", "temporary", "temporary/ipython"):
            (folder / name).mkdir()
        os.environ["TMPDIR"] = str(folder / "temporary")
        tempfile.tempdir = None
        os.environ["IPYTHONDIR"] = str(folder / "temporary" / "ipython")  # none of the user's
        os.chdir(folder / "work")
        if engine == FAST:
            from kzresearch.run.engine import as_a_kernel

            as_a_kernel()
        run_task(folder, engine)
    except Exception as error:
        kind, message = _why(error)
        why = {"kind": kind, "message": message}
        (folder / FAILURE).write_text(json.dumps(why), encoding="utf-8")


def _why(error: Exception) -> tuple[str, str]:
    """Kind and sentence of what kept a run from its result."""
    if isinstance(error, Failure):
        return error.kind, str(error)
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        return "OutputError", f"cannot write: {error.strerror}"
    last = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(last.filename).name}:{last.lineno}"
    return "EngineError", f"{type(error).__name__}: {error} ({place})"


def _stock(events: _Events, folder: Path) -> None:
    """Run the folder's task on papermill's own engine, in this process and its kernel's."""
    threading.Thread(target=_until_input_ends, args=(folder,), daemon=True).start()
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 2)  # a kernel repeats there what stands in the notebook, uncleaned
    os.close(nowhere)
    events.send(run=str(folder), pid=os.getpid())
    if sys.platform == "linux":
        _ask_linux(ADOPT_ORPHANS, 1)
    gc.enable()
    _run(folder, STOCK)
    if sys.platform == "linux":
        _kill_orphans(set())
    os._exit(0)  # the folder is the pool's as long as that lives


def _until_input_ends(folder: Path) -> None:
    import psutil

    while os.read(0, 1 << 16):
        pass
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            process.kill()
    shutil.rmtree(folder.parent, ignore_errors=True)
    os._exit(1)


def _hide_fonts(home: Path) -> None:
    """Leave vl-convert the font that it brings: texts are as wide on every machine then.

    It also opens a font of the system's again for every glyph, which takes four times as long.
    """
    fonts = home / "fonts.conf"
    fonts.write_text(f"<fontconfig><dir>{home}</dir></fontconfig>", encoding="utf-8")
    os.environ["FONTCONFIG_FILE"] = str(fonts)


def _pages(events: _Events, home: Path) -> None:
    """Make what each line names: [path of a notebook, path of its page (.html) or PDF (.pdf)]."""
    import nbformat

    from kzresearch.publish import html, pdf

    _hide_fonts(home)
    tempfile.tempdir = str(home)  # what is left there is taken away with it
    _imported()
    lines = _Lines()
    while not lines.ended:
        for source, target in lines.read():
            try:
                notebook = nbformat.reads(Path(source).read_text(encoding="utf-8"), as_version=4)
                make = pdf.document if target.endswith(".pdf") else html.page
                made = make(notebook, records.in_order(notebook))
                Path(target).write_bytes(made if isinstance(made, bytes) else made.encode())
                events.send(run=source, page=None)
            except Exception as error:
                why = f"{type(error).__name__}: {error}"
                events.send(run=source, page=scrubbed_message(why))
    shutil.rmtree(home.parent, ignore_errors=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
