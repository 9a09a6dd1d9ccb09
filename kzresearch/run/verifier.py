"""The verdict on one run: its files read, the run made again, and the two compared."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from kzresearch import records
from kzresearch.errors import KzresearchError
from kzresearch.notebooks import Notebook, in_english, notebook_of, notebooks, without_additions
from kzresearch.run.compare import (
    apart_at,
    cell_name,
    changed_outputs,
    differences,
    first_difference,
    with_texts_of_pictures,
)
from kzresearch.run.pool import PageError, Pool
from kzresearch.run.scrub import scrubbed_message
from kzresearch.run.single import Task
from kzresearch.run.verify import INPUTS, Difference, Left, Verdict, absent

Json = dict[str, Any]
LASTING = [part for part in records.ORDER if part not in {"engine", "software", "started", "ended"}]
"""What the records of a run have in common, whenever each of its files was made."""
DRAWING = "vl-convert-python"
"""What draws the pictures of a page: another version gives other shapes."""


class _Unverified(Exception):  # noqa: N818
    """Why a run cannot be made again."""


@dataclass
class _Files:
    """The files of a run, read: the record in each, the executed notebook, the page, the PDF."""

    records: dict[str, Json] = field(default_factory=dict)
    notebook: Json | None = None
    page: tuple[str, Json] | None = None
    pdf: bytes | None = None

    @property
    def record(self) -> Json:
        """The record, the notebook's own where it is there."""
        return next(iter(self.records.values()))


@dataclass
class Verifier:
    """Gives verdicts; `named` are notebooks to make runs from, `trust` is to run others' code."""

    pool: Pool
    named: list[Notebook]
    trust: bool = False

    def __post_init__(self) -> None:
        self._now = records.environment()
        self._installed = {records.checksum(one.content): one for one in notebooks()}
        self._named = {records.checksum(one.content): one for one in self.named}

    def verdict(self, left: Left) -> Verdict:
        """The verdict on what is left of one run, whatever that is."""
        found = Verdict(left.file)
        try:
            self._compare(_read(left, found), found)
        except (_Unverified, KzresearchError) as why:
            found.reason = str(why)
        except Exception as fault:  # whatever one run has left, the others are verified
            lacking = [one.place for one in found.changes if one.what == "data" and not one.now]
            found.reason = scrubbed_message(f"{type(fault).__name__}: {fault}")
            if lacking:
                found.reason = f"data that it could read are not here: {', '.join(lacking)}"
        return found

    def _compare(self, files: _Files, found: Verdict) -> None:
        now = json.loads(self.pool.run(self._task(files, found)))
        if error := now["metadata"]["kzresearch"]["error"]:
            where = "" if error["cell"] is None else f" in cell [{error['cell']}]"
            raise _Unverified(f"run again, it fails{where}: {error['type']}: {error['message']}")
        found.differences += differences(files.record, files.notebook, now)
        numbers = {name: len(files.record[f"{name}s"]) for name in ("output", "result")}
        found.compared += [f"{n} {name}{'s' * (n != 1)}" for name, n in numbers.items()]
        if files.notebook:
            found.edits += _edited(files.record, files.notebook, now)
        if found.differences:
            found.notes += [
                f"its {what} was not compared: that of a run that differs is another"
                for what, there in (("page", files.page), ("PDF", files.pdf))
                if there is not None
            ]
            return
        if files.page:
            self._compare_page(*files.page, now, found)
        if files.pdf is not None:
            self._compare_pdf(files.pdf, files, now, found)

    def _task(self, files: _Files, found: Verdict) -> Task:
        """The run that the record speaks of; its parameters are checked as any that are given."""
        record = files.record
        found.notebook, found.run_id = record["notebook"], record["run_id"]
        if record["status"] == "failed":
            why = f" ({record['error']['type']})" if record["error"] else ""
            raise _Unverified(f"the run failed{why} and has no result to verify")
        notebook = self._notebook(files, found)
        found.changes += _changes(record, self._now, notebook)
        task = Task.of(notebook, notebook.check(record["parameters"]), self._now)
        return replace(task, authors=tuple(record["authors"]))

    def _notebook(self, files: _Files, found: Verdict) -> Notebook:
        """The notebook that ran, wherever it is: installed, named, in the files; or one of its name.

        Raises `_Unverified` where there is none, or none that is trusted.
        """
        name, ran = files.record["notebook"], files.record["code"]["notebook"]
        if ran in self._installed:  # its text is what runs, not what a file says of kernels
            return self._installed[ran]
        executed = files.notebook if files.notebook and _checksum(files.notebook) == ran else None
        named = self._named.get(ran) or next((n for n in self.named if n.name == name), None)
        installed = next((one for one in self._installed.values() if one.name == name), None)
        if installed and not executed and (not named or named.source == installed.source):
            return installed
        if not executed and not named:
            raise _Unverified(
                f"there is no notebook {name} to run: name it with --notebook, or lay the executed "
                "one beside the file"
            )
        if not self.trust:
            found.foreign = True
            raise _Unverified(
                f"its notebook {name} is not one of the project's as they are installed here, and "
                "its code would be run on this machine: add --trust if you trust it"
            )
        if named and (not executed or ran in self._named):
            return named
        return notebook_of(name, json.dumps(executed).encode())

    def _compare_page(self, page: str, record: Json, now: Json, found: Verdict) -> None:
        """Make the page of the run again, with the record that is on it.

        All of it must be the same, since a style or a script can show other figures than the text
        has; but where another drawing of pictures may be why their shapes differ.
        """
        made = self._made(now, record, "html").decode()
        if page == made:
            found.compared.append("the page")
            return
        texts, others = with_texts_of_pictures(page), with_texts_of_pictures(made)
        other_drawing = any(one.place == DRAWING for one in found.changes)
        if texts == others and other_drawing:
            found.compared.append("the page (of its pictures, the texts)")
            return
        # Where only shapes differ, the line of the picture is told.
        apart = first_difference(texts, others) or first_difference(page, made)
        assert apart
        place, mine, other = apart[0].lstrip(), *apart[1:]
        if not _made_by_others(found):
            found.compared.append("the page")
            found.edits.append(
                f"the page {place}: {absent(mine)} on it, {absent(other)} on that of the run"
            )
            return
        found.reason = (
            f"its page is not the one that this version makes of the run: {place}: "
            f"{absent(mine)} on it, {absent(other)} here; only what wrote it ({_writer(record)}) can "
            "tell whether it was edited"
        )

    def _compare_pdf(self, pdf: bytes, files: _Files, now: Json, found: Verdict) -> None:
        """Make the PDF of the run again, with each record that is there: they may be of other days."""
        distinct = {json.dumps(one, sort_keys=True): one for one in files.records.values()}
        if any(self._made(now, record, "pdf") == pdf for record in distinct.values()):
            found.compared.append("the PDF")
        elif _made_by_others(found):
            found.not_compared = "its PDF was not compared (other versions)"
        else:
            found.compared.append("the PDF")
            found.edits.append(
                "the PDF is not the one that the run gives with its record: it was changed after the "
                "run, or its record was"
            )

    def _made(self, now: Json, record: Json, ending: str) -> bytes:
        """The page or PDF of the run, with a record of it; `_Unverified` where none can be made."""
        metadata = now["metadata"] | {"kzresearch": record}
        try:
            return self.pool.page(json.dumps(now | {"metadata": metadata}).encode(), ending)
        except PageError as error:
            raise _Unverified(str(error)) from None


def _made_by_others(found: Verdict) -> bool:
    """Whether other software than that of the record makes pages and PDFs here."""
    return bool({"code", "environment"} & set(found.other_inputs))


def _writer(record: Json) -> str:
    """What wrote a record: `kzresearch 1.0, commit 0123456789ab, with the versions in its record`."""
    software = record["software"]
    git = f", commit {_commit(software['git'])}" if software["git"] else ""
    return f"kzresearch {software['version']}{git}, with the versions that its record lists"


def _checksum(executed: Json) -> str:
    """The checksum of the notebook that was run, of an executed one."""
    return records.checksum(in_english(without_additions(executed)))


def _read(left: Left, found: Verdict) -> _Files:
    """The files of a run; what in them is not what a run leaves is told among the edits."""
    files = _Files()
    for name, content in left.contents():
        if name.lower().endswith(".pdf"):
            files.pdf = content
            continue
        faults = found.edits if left.has(name) else found.notes
        try:
            record, executed = records.parse(content, f"{left.place}{name}", files.records.values())
            found.edits += [*_unfitting(record, executed)] if executed else ()
            found.edits += [*_disagreements(files.records, name, record)]
        except records.RecordError as why:
            faults.append(str(why))
            continue
        except records.BROKEN:
            faults.append(f"{left.place}{name} is damaged: what it holds cannot be compared")
            continue
        files.records[name] = record
        files.notebook = executed or files.notebook
        if name.lower().endswith(".html"):
            files.page = content.decode(), record
    if not files.records and found.edits:
        unreadable, *found.edits = found.edits
        raise _Unverified(unreadable)
    if not files.records:
        raise _Unverified(
            "a PDF holds no record of its run: lay the executed notebook, the page or the record "
            "beside it, under the same name, or name one of these instead"
        )
    return files


def _disagreements(others: dict[str, Json], name: str, record: Json) -> Iterator[str]:
    """Whether a record fits itself, and those of the other files of its run."""
    if not others and records.run_id_of(record) != record["run_id"]:
        yield (
            "the run id is not that of the notebook, parameters, data and software that the record "
            "lists: the record was changed after the run"
        )
    for first, other in list(others.items())[:1]:
        mine, theirs = ({part: of[part] for part in LASTING} for of in (record, other))
        if apart := first_difference(mine, theirs):
            place, one, another = apart
            yield f"{name} and {first} hold two records: {place} is {one} in one, {another} in the other"


def _unfitting(record: Json, executed: Json) -> Iterator[str]:
    """What in an executed notebook does not fit its record."""
    prose = record["prose"] or record["code"]["notebook"]
    as_it_is = records.checksum(without_additions(executed))
    if _checksum(executed) != record["code"]["notebook"] or as_it_is != prose:
        yield (
            "the notebook's cells are not those that its record lists: one was changed after the run"
        )
    if changed := changed_outputs(record, executed):
        cells = list(dict.fromkeys(cell_name(at[0], executed) for at in changed))
        yield (
            f"the notebook's outputs are not those that its record lists: {', '.join(cells)} "
            f"{'was' if len(cells) == 1 else 'were'} changed after the run"
        )
    if apart := first_difference(record["results"], records.results_of(executed)):
        place, listed, put_out = apart
        yield (
            f"the results in the notebook's record are not those of its outputs: {place} is "
            f"{listed} in the record, {put_out} in the outputs"
        )


def _edited(record: Json, executed: Json, now: Json) -> Iterator[str]:
    """How an executed notebook was changed, where a run gives again what its record lists."""
    reproduced = set(changed_outputs(record, executed)) - set(changed_outputs(record, now))
    found = [
        (cell, f"output {number + 1}", apart_at((cell, number), executed, now))
        for cell, number in sorted(reproduced)
    ]
    if _checksum(now) == record["code"]["notebook"]:
        for cell, both in enumerate(zip(executed["cells"], now["cells"], strict=False)):
            mine, other = ("".join(one["source"]) for one in both)
            found.append((cell, "its text", first_difference(mine, other)))
    for cell, what, apart in found:
        if apart:
            place, there, here = apart
            name = f"{cell_name(cell, executed)}, {what}{place}"
            yield f"{name}: {there} in the file, {here} in the run"


def _changes(record: Json, now: records.Environment, notebook: Notebook) -> Iterator[Difference]:
    """What is not as it was when the run was made: data, code, environment, commit."""
    before = (record["data"], record["code"], record["versions"])
    here = (now.data, now.code(notebook.content), now.versions)
    for what, mine, other in zip(INPUTS, before, here, strict=True):
        for name in sorted(mine.keys() | other.keys()):
            if mine.get(name) != other.get(name):
                values = (of.get(name) for of in (mine, other))
                # Of a checksum as many digits as tell it apart; versions are shorter.
                yield Difference(what, name, *(value and value[:12] for value in values))
    git = (record["software"]["git"], now.git)
    if git[0] != git[1] or not all(one is None or one["clean"] for one in git):
        yield Difference("commit", "kzresearch", *(_commit(one) for one in git))


def _commit(git: Json | None) -> str:
    if git is None:
        return "no git checkout"
    return git["commit"][:12] + ("" if git["clean"] else " with changes that are in no commit")
