"""Verifies runs: makes each again as its record says, and compares the two output by output.

This module starts the processes that make runs; what it needs of the rest of the package is
imported while they start.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from kzresearch.errors import OutputError, ParameterError
from kzresearch.run import RUN_FILE
from kzresearch.run.batch import Options, as_they_end
from kzresearch.run.outputs import Outputs
from kzresearch.run.pool import Pool
from kzresearch.run.progress import Progress
from kzresearch.run.single import FAST

if TYPE_CHECKING:
    import polars as pl

    from kzresearch.run.verifier import Verifier

Json = dict[str, Any]
VERDICTS = IDENTICAL, DIFFERS, EDITED, UNVERIFIED = "identical", "differs", "edited", "not verified"
INPUTS = ("data", "code", "environment")
"""What can be otherwise than when a run was made; a commit says no more than its code does."""
LISTED = 12
"""How many things of a kind a reader is shown; the JSON report has them all."""
_ENDINGS = (".ipynb", ".json", ".html", ".pdf")
"""Of the files of a run: the notebook first, whose record is the run's."""
TAKEN = "taken as they stand, since no run gives them again: authors, name of the notebook, date, commit"


class Difference(NamedTuple):
    """What is not the same, where, and how it stands in the record and now; None for not at all.

    `what` is one of result, output, record; data, code, environment, commit.
    """

    what: str
    place: str
    recorded: str | None
    now: str | None


@dataclass
class Verdict:
    """What became of one run that was verified."""

    file: str
    notebook: str | None = None
    run_id: str | None = None
    reason: str | None = None
    """Why it could not be verified."""
    edits: list[str] = field(default_factory=list)
    """What in its files is not what a run leaves."""
    differences: list[Difference] = field(default_factory=list)
    """What came out otherwise."""
    changes: list[Difference] = field(default_factory=list)
    """What went in otherwise: data, code, environment."""
    compared: list[str] = field(default_factory=list)
    """What was compared: how many outputs and results, the page, the PDF."""
    not_compared: str | None = None
    """What belongs to the run and was not, and why, where that is no reason to doubt the rest."""
    notes: list[str] = field(default_factory=list)
    """What else is to be known of it."""
    foreign: bool = False
    """Whether it would run code that is not the project's."""

    @property
    def verdict(self) -> str:
        """One of "identical", "differs", "edited", "not verified"."""
        if self.edits:
            return EDITED
        if self.reason:
            return UNVERIFIED
        return DIFFERS if self.differences else IDENTICAL

    @property
    def other_inputs(self) -> list[str]:
        """Which of data, code and environment are not those of the record."""
        return [name for name in INPUTS if any(one.what == name for one in self.changes)]

    def row(self) -> Json:
        """All of it, as in the JSON report; what a terminal would obey is written out."""
        about = asdict(self) | {"verdict": self.verdict}
        about["notes"] = [*filter(None, [self.not_compared]), *self.notes]
        for name in ("differences", "changes"):
            about[name] = [one._asdict() for one in getattr(self, name)]
        first = ("file", "notebook", "run_id", "verdict", "reason", "compared")
        row = {name: about[name] for name in (*first, "edits", "differences", "changes", "notes")}
        safe: Json = _written_out(row)
        return safe

    def lines(self, told: Collection[Difference] = ()) -> list[str]:
        """What a reader is told: the verdict, and below it what there is to say and is not told."""
        differences = [
            f"{one.what} {one.place}: {absent(one.recorded)} in the record, {absent(one.now)} now"
            for one in self.differences
        ]
        changes = changed_here([one for one in self.changes if one not in told])
        notes = list(self.notes)
        if self.reason and self.compared and not self.edits:
            notes.insert(0, f"the same: {', '.join(self.compared)}")
        if differences and not self.other_inputs:
            notes.insert(0, "data, code and what is installed are those of the record")
        below = [one for part in (self.edits, differences, changes, notes) for one in _first(part)]
        return [f"{self.file}: {self._head()}", *(f"  {line}" for line in below)]

    def _head(self) -> str:
        if self.reason:
            return f"{f'{EDITED}, and ' * bool(self.edits)}{UNVERIFIED}: {self.reason}"
        if self.verdict != IDENTICAL:
            return self.verdict
        others = " and ".join(self.other_inputs)
        return (
            f"identical{f', with other {others}' if others else ''}"
            f"{f', but {self.not_compared}' if self.not_compared else ''}: {', '.join(self.compared)}"
        )


def report(found: list[Verdict]) -> str:
    """All verdicts, for a reader: what is not as it was for all of the runs is told once."""
    ran = [one.changes for one in found if not one.reason]
    common = [one for one in ran[0] if all(one in of for of in ran)] if len(ran) > 1 else []
    lines = [line for one in found for line in one.lines(common)]
    if common:
        lines += ["here, for all that were run:", *(f"  {line}" for line in changed_here(common))]
    if any(one.verdict == IDENTICAL for one in found):
        lines.append(TAKEN)
    return "\n".join(printable(line) for line in lines)


def changed_here(changes: list[Difference]) -> list[str]:
    """What of data, code and environment is not as it was, in words."""
    return _first(
        [
            f"{one.what}: {one.place} {absent(one.now)}, recorded with {absent(one.recorded)}"
            for one in changes
        ]
    )


def counted(found: list[Verdict]) -> str:
    """`8 runs: 6 identical, 1 differs, 1 not verified`."""
    given = [one.verdict for one in found]
    counts = [f"{given.count(one)} {one}" for one in VERDICTS if one in given]
    return f"{len(found)} run{'s' * (len(found) != 1)}: {', '.join(counts)}"


def exit_code(found: list[Verdict]) -> int:
    """0 for all identical, 1 where one differs or was edited, 3 where one could not be verified."""
    given = {one.verdict for one in found}
    if given & {DIFFERS, EDITED}:
        return 1
    return 3 if UNVERIFIED in given else 0


def absent(shown: str | None) -> str:
    """What is shown of a value; "nothing" where there is none."""
    return "nothing" if shown is None else shown


def _first(lines: list[str]) -> list[str]:
    left = len(lines) - LISTED
    return lines if left <= 0 else [*lines[:LISTED], f"… and {left} more (--json lists them)"]


def printable(text: str) -> str:
    """The text with what a terminal would obey, or show otherwise than it stands, written out."""
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )


def _written_out(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _written_out(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_written_out(one) for one in value]
    return printable(value) if isinstance(value, str) else value


def verify(
    paths: str | Path | Sequence[str | Path],
    *,
    notebook: str | Path | Sequence[str | Path] = (),
    trust: bool = False,
    engine: str = FAST,
    jobs: int | None = None,
    timeout: float = 600,
    memory: float | None = None,
    progress: bool | None = None,
) -> pl.DataFrame:
    """Run again what left these files, as their records say, and compare the two.

    `paths` are executed notebooks, pages, records, PDFs beside one of these, or folders of them
    (`s3://bucket/prefix` too); what lies beside a file under its name is compared too.
    What is run is the project's notebook as it is installed; another one only with `trust`, which
    runs its code on this machine: that of the executed notebook beside the file, or of `notebook`.
    `engine`, `jobs`, `timeout`, `memory` and `progress` are as in `batch`. Nothing is written.

    Returns one row per run: `file`, `notebook`, `run_id`, `verdict` (identical; differs; edited:
    the files are not what a run leaves; not verified), `reason` (why it was not), `compared` (what
    was), `edits` (how files were changed), `differences` and `changes` (lists of {what, place,
    recorded, now}: what came out otherwise, and what of data, code and environment went in
    otherwise), `notes` (what was not compared, and why).

    Raises ParameterError for a notebook that cannot be read, OutputError for a folder that cannot.

    >>> _ = kz.batch("case_flow", {"region": ["KZ-75"]}, out="out", formats=(), progress=False)
    >>> kz.verify("out")["verdict"].to_list()
    ['identical']
    """
    import polars as pl

    options = Options((), engine, jobs, False, timeout, memory, None, progress)
    found = verdicts(_several(paths), _several(notebook), options, lambda _: trust)
    text, texts = pl.String, pl.List(pl.String)
    apart = pl.List(pl.Struct(dict.fromkeys(Difference._fields, text)))
    schema: dict[str, Any] = {
        **dict.fromkeys(("file", "notebook", "run_id", "verdict", "reason"), text),
        **dict.fromkeys(("compared", "edits"), texts),
        **dict.fromkeys(("differences", "changes"), apart),
        "notes": texts,
    }
    return pl.DataFrame([one.row() for one in found], schema=schema, orient="row")


def _several(given: str | Path | Sequence[str | Path]) -> list[str]:
    return [str(given)] if isinstance(given, (str, Path)) else [str(one) for one in given]


def verdicts(
    paths: Sequence[str],
    notebooks: Sequence[str],
    options: Options,
    trusts: Callable[[list[str]], bool],
    say: Callable[[str], None] = lambda _: None,
) -> list[Verdict]:
    """The verdict on each run that paths name, in their order.

    `trusts` is asked, once all else is done, whether the code of notebooks that are not the
    project's may be run; none of it is before. `say` is told what a reader should know.
    """
    if not paths or "" in paths:
        raise ParameterError("name an executed notebook, a page, a record, or a folder of them")
    jobs = options.jobs or os.cpu_count() or 1
    with Pool(jobs, options.engine, options.timeout, options.bytes, say) as pool:
        from kzresearch.notebooks import find_notebook
        from kzresearch.run.verifier import Verifier

        verifier = Verifier(pool, [find_notebook(name) for name in notebooks])
        left = _left_in(paths)
        found = dict(enumerate(_verdicts(left, verifier, options, say)))
        foreign = [place for place, one in found.items() if one.foreign]
        if foreign and trusts(list(dict.fromkeys(str(found[place].notebook) for place in foreign))):
            verifier.trust = True
            again = _verdicts([left[place] for place in foreign], verifier, options, say)
            found |= zip(foreign, again, strict=True)
        return list(found.values())


def _verdicts(
    left: list[Left], verifier: Verifier, options: Options, say: Callable[[str], None]
) -> list[Verdict]:
    def one(place: int) -> tuple[int, Verdict]:
        progress.began(left[place].stem)
        return place, verifier.verdict(left[place])

    found: dict[int, Verdict] = {}
    with Progress(len(left), options.progress, say) as progress:
        for place, verdict in as_they_end(range(len(left)), one, verifier.pool):
            found[place] = verdict
            progress.ended(left[place].stem, failed=verdict.verdict != IDENTICAL)
    return [found[place] for place in range(len(left))]


@dataclass
class Left:
    """What is left of one run in one place: the names of its files, and what reads one."""

    place: str
    stem: str
    names: list[str]
    read: Callable[[str], bytes]

    @property
    def file(self) -> str:
        """The first of its files that was named."""
        return f"{self.place}{self.names[0]}"

    def contents(self) -> Iterator[tuple[str, bytes]]:
        """Name and content of each file, first the notebook: also of those that were not named.

        Raises OutputError for one that cannot be read.
        """
        beside = [f"{self.stem}{ending}" for ending in _ENDINGS]
        for name in dict.fromkeys([*beside, *sorted(self.names)]):
            try:
                yield name, self.read(name)
            except OSError as error:
                absent = isinstance(error, (FileNotFoundError, NotADirectoryError))
                if name in self.names or not absent:
                    why = (error.strerror or "no such file or directory").lower()
                    raise OutputError(f"cannot read {self.place}{name}: {why}") from None

    def has(self, name: str) -> bool:
        """Whether a file is one of the run's by its name, and not only beside one that is named."""
        return name in self.names or bool(RUN_FILE.fullmatch(name))


def _left_in(paths: Sequence[str]) -> list[Left]:
    """What paths name, run by run."""
    found: dict[tuple[str, str], Left] = {}
    for path in paths:
        for left in _named(path):
            first = found.setdefault((left.place, left.stem), left)
            first.names += [name for name in left.names if name not in first.names]
    return list(found.values())


def _named(path: str) -> list[Left]:
    remote = "://" in path
    one = Path(path).suffix in _ENDINGS if remote else not Path(path).is_dir()
    folder, name = os.path.split(path if one else os.path.join(path, ""))  # noqa: PTH118
    place = os.path.join(folder, "")  # noqa: PTH118
    outputs = Outputs(folder) if remote else None
    read = outputs.read if outputs else lambda name: _content(Path(folder, name))
    if one:
        return [Left(place, Path(name).stem, [name], read)]
    try:
        names = list(outputs.files() if outputs else os.listdir(folder))  # noqa: PTH208
    except OSError as error:
        raise OutputError(f"cannot read {path}: {(error.strerror or '').lower()}") from None
    runs: dict[str, Left] = {}
    for name in sorted(
        names, key=lambda name: (Path(name).stem, not name.endswith(".ipynb"), name)
    ):
        if match := RUN_FILE.fullmatch(name):
            runs.setdefault(match[1], Left(place, match[1], [], read)).names.append(name)
    if not runs:
        raise OutputError(
            f"{path} holds no runs: in a folder, files are looked for under the names that runs leave "
            "them with, NOTEBOOK-RUNID.ipynb, .json, .html or .pdf, where RUNID is 12 hex digits; "
            "name a file of another name itself"
        )
    return list(runs.values())


def _content(path: Path) -> bytes:
    if path.exists() and not path.is_file():  # reading a pipe would not end
        raise OSError(errno.EINVAL, "it is not a file")
    return path.read_bytes()
