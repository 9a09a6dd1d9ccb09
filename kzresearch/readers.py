"""Reads workbooks in processes of their own: one that dies, hangs or grows takes nothing with it."""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any, NamedTuple, Self

import polars as pl

from kzresearch.errors import KzresearchError
from kzresearch.form_1m import accounting, codebook, layout
from kzresearch.form_1m.identity import Identity, Stated, identify
from kzresearch.form_1m.reader import recognise
from kzresearch.form_1m.sheet import MAX_WORKBOOKS
from kzresearch.form_1m.workbook import Workbook, read_file
from kzresearch.resources import STORE
from kzresearch.store import Sparse

MAX_SECONDS = 120
MAX_BYTES = 500 * 2**20
_AHEAD = 8
"""Workbooks held in memory for each process: it goes on while a period is written."""
_PATIENCE = 5.0
"""Seconds for which a workbook waits for what another process learns of its layout."""
_MAX_LESSONS = 4 * 2**20
"""Bytes of what may be passed on of a layout: of a report's it is 1 MB."""
_NOTHING = zlib.compress(pickle.dumps({}))
"""Known of a layout of which nothing can be passed on: each process learns it for itself."""
_ODD = "it is no report as it was published"
_SERVE = "from kzresearch.readers import serve; serve()"


@dataclass(frozen=True)
class Job:
    """A file, its name, and what is said of it from outside."""

    name: str
    content: Path | bytes
    stated: Stated

    def loaded(self) -> Job | Refused:
        """The same with the file's bytes, for a machine that does not have it."""
        try:
            return replace(self, content=self.data())
        except KzresearchError as error:
            return Refused(str(error))

    def data(self) -> bytes:
        """The file's bytes; WorkbookError where it cannot be read."""
        return self.content if isinstance(self.content, bytes) else read_file(self.content)[1]


@dataclass(frozen=True, eq=False)
class Read:
    """What was read of a workbook."""

    sha256: str
    identity: Identity
    form_version: str
    form_checksum: str
    figures: Sparse
    broken: pl.DataFrame  # identities that the report breaks: identity, status, tests, fails …


@dataclass(frozen=True)
class Refused:
    """Why a file was not read, in one sentence."""

    reason: str


@dataclass(frozen=True)
class Question:
    """A file that is to be explained, and how the version that it is of would be called."""

    path: Path
    version: str

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name


@dataclass(frozen=True)
class Explained:
    """How a file differs from the versions known, and a draft of its own where it is of none."""

    text: str
    draft: str | None


@dataclass(frozen=True)
class New:
    """A workbook was not read, since another process is about to learn its layout."""

    layout: bytes


class _Answered(NamedTuple):
    """An answer, and what was learnt for it: b"" where that is of no use to others."""

    answer: Answer
    lessons: bytes


Asked = Job | Question
Answer = Read | Explained | Refused | New


def explain(question: Question) -> Explained | Refused:
    """Say in this process how a workbook differs from the nearest version of the form."""
    from kzresearch.form_1m import versions

    try:
        found = versions.explain(question.path)
        draft = None if found.matches else versions.draft(question.path, question.version)
        return Explained(found.text, draft)
    except KzresearchError as error:
        return Refused(str(error))
    except Exception as error:
        return Refused(_fault(question.path.name, error))


def read(
    job: Job, may_learn: Callable[[bytes], bool] = lambda _layout: True
) -> Read | Refused | New:
    """Read a workbook in this process; one of a new layout if that may be learnt, which takes a second."""
    try:
        workbook = Workbook.of(job.name, job.data())
        identity = identify(workbook, job.stated)
        new = workbook.new_layout()
        if new and not may_learn(new):
            return New(new)
        form, figures = recognise(workbook)
        if form.name != codebook.BUNDLED and identity.period < form.since:
            return Refused(
                f"{job.name}: is of version {form.name} of the form, which is used from {form.since} "
                f"on, but of {identity.period}; give the right period, or mend `from` in the file of "
                "the version"
            )
        values = figures["value"]
        broken = accounting.broken(form, values)
        return Read(workbook.sha256, identity, form.name, form.checksum, Sparse.of(values), broken)
    except KzresearchError as error:
        return Refused(str(error))
    except Exception as error:  # a fault of ours is told of one file, and does not stop the others
        return Refused(_fault(job.name, error))


def _fault(name: str, error: Exception) -> str:
    said = f"{type(error).__name__}: {error}"
    return f"{name}: a fault of kzresearch itself: {said}; please report it"


def serve() -> None:
    """Read what comes on standard input, for as long as something comes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(ImportError):  # not on every platform
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # no file is to be written here
    # A sheet is a million small objects without a cycle: looking through them takes a quarter of its time.
    gc.freeze()
    gc.set_threshold(200_000, 50, 50)
    source, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    for version in codebook.forms():
        version.template()
    while (asked := _receive(source)) is not None:
        _alarm(MAX_SECONDS + 10)  # ends this process where nobody watches it any more
        job, shares = asked
        answer = _answered(job, source, answers, shares=shares)
        _alarm(0)
        if answer is not None:
            _send(answers, answer)
        del asked, job, answer
        gc.collect()  # a workbook refers to itself, and would stay
        gc.freeze()


def _answered(
    job: Asked, source: IO[bytes], answers: IO[bytes], *, shares: bool
) -> _Answered | None:
    """The answer to a job; None where the other side has the job back, and knows."""
    if isinstance(job, Question):
        return _Answered(explain(job), b"")
    if not shares:
        return _Answered(read(job), b"")
    known: set[Hashable] | None = None

    def may_learn(new: bytes) -> bool:
        nonlocal known
        _send(answers, New(new))
        lessons = _receive(source)
        if lessons:
            layout.learn(pickle.loads(zlib.decompress(lessons)))  # noqa: S301  of our own
        elif lessons is not None:
            known = set(layout.lessons())
        return lessons is not None

    answer = read(job, may_learn)
    if isinstance(answer, New):
        return None
    if known is None:
        return _Answered(answer, b"")
    learnt = {of: what for of, what in layout.lessons().items() if of not in known}
    return _Answered(answer, zlib.compress(pickle.dumps(learnt, protocol=5), 1))


def _alarm(seconds: int) -> None:
    if hasattr(signal, "alarm"):  # not on every platform
        signal.alarm(seconds)


def _send(pipe: IO[bytes], what: object) -> None:
    content = pickle.dumps(what, protocol=5)
    pipe.write(len(content).to_bytes(8, "little") + content)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> Any:
    """What the other side sent; None where it has ended."""
    size = int.from_bytes(pipe.read(8), "little")
    content = pipe.read(size)
    return pickle.loads(content) if size and len(content) == size else None  # noqa: S301  our own process


class _Layouts:
    """What the processes have learnt of layouts: each is learnt by one, while the others read on."""

    def __init__(self) -> None:
        self._known: dict[bytes, bytes] = {}
        self._learning: set[bytes] = set()
        self._changed = threading.Condition()

    def of(self, layout: bytes) -> bytes | None:
        """What is known of a layout; b"" where the caller is to learn it, None where another does."""
        with self._changed:
            if layout in self._learning:
                return None
            if layout not in self._known:
                self._learning.add(layout)
            return self._known.get(layout, b"")

    def learnt(self, layout: bytes, lessons: bytes) -> None:
        """Pass on what was learnt of a layout to those who wait for it."""
        with self._changed:
            self._learning.remove(layout)
            self._known[layout] = lessons if 0 < len(lessons) <= _MAX_LESSONS else _NOTHING
            if len(self._known) > MAX_WORKBOOKS:
                del self._known[next(iter(self._known))]
            self._changed.notify_all()

    def wait(self, layout: bytes) -> bool:
        """Wait until nobody learns a layout any more; False where that takes too long."""
        with self._changed:
            return self._changed.wait_for(lambda: layout not in self._learning, _PATIENCE)


class _Reader:
    """One process, started anew after each that was lost."""

    def __init__(self, store: str) -> None:
        self._store = store
        self._process: subprocess.Popen[bytes] | None = None
        self._began: float | None = None
        self._why = ""
        self._over = False
        self._lock = threading.Lock()  # of what is above: others watch and close

    def read(self, job: Asked, layouts: _Layouts | None) -> Answer:
        """What the process answers; it shares what it learns where `layouts` are given."""
        used = self._process is not None
        found = self._read(job, layouts)
        if found is None and used and self._why != _slow():
            found = self._read(job, None)  # what the process had read before may be at fault
        return found or Refused(f"{job.name}: {self._why}")

    def _read(self, job: Asked, layouts: _Layouts | None) -> Answer | None:
        """What the process answers; None where it is lost."""
        process = self._begun()
        if process is None:
            return Refused(f"{job.name}: not read, since the reading was stopped")
        answer: Answer | None = None
        with contextlib.suppress(OSError, pickle.PickleError, EOFError):
            answer = self._asked(process, job, layouts)
        with self._lock:
            self._began = None
            if answer is not None and not self._why:
                return answer
            self._process = None
        code = _ended(process)
        self._why = self._why or (
            f"the process that read it was ended ({code}), by the file or by something else on this "
            "machine; ingest it alone to see"
        )
        return None

    def _asked(
        self, process: subprocess.Popen[bytes], job: Asked, layouts: _Layouts | None
    ) -> Answer | None:
        """What the process answers, once it has been told what others know of the file's layout."""
        pipe: Any = process.stdin
        answers: Any = process.stdout
        _send(pipe, (job, layouts is not None))
        told = _receive(answers)
        if isinstance(told, New) and layouts is not None:
            new = told.layout
            lessons = layouts.of(new)
            try:
                _send(pipe, lessons)
                if lessons is None:
                    return told
                told = _receive(answers)
            finally:
                if lessons == b"":
                    learnt = told.lessons if isinstance(told, _Answered) else b""
                    layouts.learnt(new, learnt)
        return told.answer if told else None

    def _begun(self) -> subprocess.Popen[bytes] | None:
        """The process that reads from now on; None where all is over."""
        with self._lock:
            if self._over:
                return None
            self._process = self._process or _started(self._store)
            self._began, self._why = time.monotonic(), ""
            return self._process

    def start(self) -> None:
        """Begin the process before there is something to read."""
        with self._lock:
            self._process = _started(self._store)

    def watch(self) -> None:
        """End the process where it takes more than a report may."""
        with self._lock:
            if self._process is None or self._began is None or self._why:
                return
            if time.monotonic() - self._began > MAX_SECONDS:
                self._why = _slow()
            elif _memory(self._process) > MAX_BYTES:
                self._why = f"takes more than {MAX_BYTES // 2**20} MB to read; {_ODD}"
            if self._why:
                self._process.kill()

    def close(self) -> None:
        """End the process, and start no other."""
        with self._lock:
            self._over = True
            process, reading = self._process, self._began is not None
            if process is not None:
                process.kill()
        if process is not None and not reading:
            _ended(process)


def _slow() -> str:
    return f"takes more than {MAX_SECONDS} s to read; {_ODD}"


def _memory(process: subprocess.Popen[bytes]) -> int:
    """The bytes that a process holds."""
    import psutil

    try:
        return int(psutil.Process(process.pid).memory_info().rss)
    except psutil.Error:  # it has ended
        return 0


def _ended(process: subprocess.Popen[bytes]) -> int:
    """End a process, if it has not ended, and its pipes; how it ended."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(1)  # what it ended by itself with is worth knowing
    process.kill()
    process.communicate()
    return process.returncode


def _started(store: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603  our own interpreter
        [sys.executable, "-c", _SERVE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "POLARS_MAX_THREADS": "1", STORE: store},
    )


class Readers:
    """Processes that read workbooks, and a watch over what they take.

    They know the versions of the form that the store holds.
    """

    def __init__(self, processes: int, store: str) -> None:
        self.store, self._number = store, processes
        self._all = [_Reader(store) for _ in range(processes)]
        self._layouts = _Layouts()
        self._free: SimpleQueue[_Reader] = SimpleQueue()
        for reader in self._all:
            self._free.put(reader)
        self._over = threading.Event()

    def __enter__(self) -> Self:
        for reader in self._all:
            reader.start()
        threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for reader in self._all:
            reader.close()

    def read(self, jobs: Iterable[Job | Refused]) -> Iterator[Read | Refused]:
        """What each job gives, in their order; only a few are held at a time."""
        threads = ThreadPoolExecutor(_AHEAD * self._number)  # some wait for a layout
        ahead: deque[Future[Read | Refused]] = deque()
        try:
            for job in jobs:
                ahead.append(threads.submit(self.one, job))
                if len(ahead) > _AHEAD * self._number:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            threads.shutdown(wait=False, cancel_futures=True)

    def one(self, job: Asked | Refused) -> Any:
        """What one job gives; waits for a process that is free."""
        if isinstance(job, Refused):
            return job
        layouts = self._layouts if self._number > 1 else None
        while True:
            reader = self._free.get()
            try:
                answer = reader.read(job, layouts)
            finally:
                self._free.put(reader)
            if not isinstance(answer, New):
                return answer
            if not self._layouts.wait(answer.layout):
                layouts = None  # the other one is slow

    def _watch(self) -> None:
        while not self._over.wait(0.05):
            for reader in self._all:
                reader.watch()
