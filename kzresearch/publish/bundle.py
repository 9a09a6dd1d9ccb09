"""A folder of runs → a bundle for a repository such as Zenodo, which others can check and run again.

It holds the runs, their notebooks, the tables, the code and the lock file, and says what each is in
the forms that others read: RO-Crate, Frictionless Data Package, Citation File Format.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from kzresearch import records, sources
from kzresearch.errors import OutputError
from kzresearch.language import speaking
from kzresearch.notebooks import bare
from kzresearch.publish import cite
from kzresearch.publish.archive import CRATE, Contents, is_bundle, zip_folder
from kzresearch.publish.crate import (
    KEYWORDS,
    About,
    Run,
    crate_metadata,
)
from kzresearch.publish.datapackage import (
    TERMS,
    add_results,
    add_tables,
    origin,
)
from kzresearch.publish.describe import KINDS, Texts, citation
from kzresearch.publish.index import TITLE, index_page
from kzresearch.publish.wheel import licence, wheel_name, write_wheel
from kzresearch.records import RecordError
from kzresearch.resources import data_dir, lock_file
from kzresearch.run import RUN_FILE
from kzresearch.run.batch import as_they_end, record_file
from kzresearch.run.outputs import Outputs
from kzresearch.run.pool import PageError, Pool
from kzresearch.run.results import INDEX, LINES, TABLE, newest, table
from kzresearch.run.single import STOCK

Json = dict[str, Any]
_DOI = re.compile(r"10\.[0-9]{4,9}/[A-Za-z0-9._;()/:-]+")
MADE = {"html", "pdf"}
"""The endings of what is made of an executed notebook."""
PREVIEW = "ro-crate-preview.html"
_LISTED = 5
"""How many runs an error names."""


@dataclass(frozen=True)
class Found:
    """A run in a folder: its files' names without their endings, the endings, its record.

    The record lacks what there is much of: what its outputs were and the cells of its figures.
    """

    stem: str
    endings: tuple[str, ...]
    record: Json


def bundle(
    runs: str | Path,
    target: str | Path,
    *,
    archive: bool,
    doi: str | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> None:
    """Make a bundle of the runs in a folder (or `s3://bucket/prefix`): a folder, or a zip file.

    `doi` is one that a repository has given for it. `say` is told what a reader of the terminal
    should know. The same runs give the same bytes. What is there at `target` is replaced where it
    is a bundle that was not changed since; nothing is left where something is wrong.

    Raises OutputError for runs that cannot be bundled and a target that cannot be written,
    RecordError for runs whose files do not belong together.
    """
    target = Path(target)
    if doi is not None and not _DOI.fullmatch(doi):
        raise OutputError(f"{doi!r} is no DOI: give it as in 10.5281/zenodo.1234567")
    outputs = _opened(runs, target)
    found, replaced = _runs(outputs)
    _check_made_here(found, outputs)
    if replaced:
        say(f"left out: {_runs_in_words(replaced)} that newer ones have taken the place of")
    when = max(datetime.fromisoformat(one.record["ended"]) for one in found)
    with _whole(target, when, archive=archive) as folder:
        about = _fill(folder, found, outputs, when, doi)
    if about.made_again:
        say(
            f"made again: {_some(about.made_again)}, since other versions of packages than are "
            "installed made what lies there, and now it comes out otherwise"
        )
    say(about.description)


def _opened(runs: str | Path, target: Path) -> Outputs:
    """Where the runs are; the target is neither in it nor what a bundle may not take the place of."""
    if "://" not in str(runs):
        folder, there = Path(runs).resolve(), target.resolve()
        if not folder.is_dir():
            raise OutputError(f"there is no folder {runs}; name the one that runs were left in")
        if there == folder or folder in there.parents or there in folder.parents:
            raise OutputError(
                f"{target} and the runs in {runs} lie in one another; name another place"
            )
    if target.exists() and not is_bundle(target):
        raise OutputError(
            f"{target} is there, and is no bundle or was changed since it was made; name another "
            "place, or take it away"
        )
    return Outputs(runs)


def _runs(outputs: Outputs) -> tuple[list[Found], int]:
    """The newest run of each notebook with the same parameters, and how many others there are."""
    endings: dict[str, list[str]] = {}
    for name in sorted(outputs.files()):
        if matched := RUN_FILE.fullmatch(name):
            endings.setdefault(matched[1], []).append(matched[2])
    endings = {stem: of for stem, of in endings.items() if {"ipynb", "json"} & {*of}}
    if not endings:
        raise OutputError(
            f"{outputs.where} holds no runs; name the folder that run, batch or report left them in"
        )
    if half := [stem for stem, of in endings.items() if not {"ipynb", "json"} <= {*of}]:
        raise OutputError(
            f"in {outputs.where} the notebook or the record of a run is missing ({_some(half)}): "
            "run the same batch again, which makes what is missing, or take the rest of it away"
        )
    shared: dict[str, Json] = {}
    found = [_read(outputs, stem, tuple(of), shared) for stem, of in endings.items()]
    by_id = {id(one.record): one for one in found}
    latest, older = newest(one.record for one in found)
    return [by_id[id(one)] for one in sorted(latest, key=cite.order)], len(older)


def _read(outputs: Outputs, stem: str, endings: tuple[str, ...], shared: dict[str, Json]) -> Found:
    """A run's record, light: `shared` holds what many of them have in common."""
    for ending in endings:
        if outputs.folder and (outputs.folder / f"{stem}.{ending}").is_symlink():
            raise OutputError(
                f"{outputs.link(f'{stem}.{ending}')} is a link; a bundle takes files alone: put the "
                "file itself there"
            )
    name = f"{stem}.json"
    record, _ = records.parse(_content(outputs, name), outputs.link(name))
    if stem != f"{record['notebook']}-{record['run_id']}":
        raise RecordError(
            f"the record in {outputs.link(name)} is of another run than its name says"
        )
    for part in ("data", "versions", "sources", "workbooks"):
        text = json.dumps(record[part])
        record[part] = shared.setdefault(text, record[part])
    light = {figure: {**one, "cells": []} for figure, one in record["results"].items()}
    return Found(stem, endings, {**record, "outputs": [], "figures": [], "results": light})


def _content(outputs: Outputs, name: str) -> bytes:
    try:
        return outputs.read(name)
    except FileNotFoundError:
        raise OutputError(
            f"{outputs.link(name)} was taken away while it was read; nothing was written: start again"
        ) from None


def _check_made_here(found: list[Found], outputs: Outputs) -> None:
    """Refuse runs of other tables or code than are installed: a bundle would not hold theirs."""
    now = records.environment()
    package = now.code({"cells": []})["package"]
    others = [
        one
        for one in found
        if one.record["data"] != now.data or one.record["code"]["package"] != package
    ]
    if not others:
        return
    software = others[0].record["software"]
    commit = f", commit {software['git']['commit'][:12]}" if software["git"] else ""
    tables = sorted(
        {
            name
            for one in others
            for name in one.record["data"].keys() | now.data.keys()
            if one.record["data"].get(name) != now.data.get(name)
        }
    )
    raise OutputError(
        f"{len(others)} of the {_runs_in_words(len(found))} in {outputs.where} were made with "
        f"{'other tables (' + _some(tables) + ')' if tables else 'another state of this package'} "
        f"than are installed, and a bundle holds the tables and the code of its runs: run them "
        f"again, or install what made them (kzresearch {software['version']}{commit}): "
        f"{_some([one.stem for one in others])}"
    )


def _some(names: Sequence[str]) -> str:
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more} more" if more > 0 else "")


def _runs_in_words(number: int) -> str:
    return f"{number} run{'s' * (number != 1)}"


@contextmanager
def _whole(target: Path, when: datetime, *, archive: bool) -> Iterator[Path]:
    """A folder to fill, which then is the target, zipped or not; nothing where something fails."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".kzresearch-", dir=target.parent) as home:
            folder, packed, before = (Path(home) / name for name in ("new", "zip", "before"))
            folder.mkdir()
            yield folder
            if archive:
                zip_folder(folder, packed, when)
                packed.replace(target)
                return
            if target.exists():
                target.rename(before)
            try:
                folder.rename(target)
            except OSError:
                if before.exists():
                    before.rename(target)
                raise
    except OSError as error:
        raise OutputError(
            f"cannot write {target}: {(error.strerror or str(error)).lower()}; nothing was written"
        ) from None


def _fill(
    folder: Path, found: list[Found], outputs: Outputs, when: datetime, doi: str | None
) -> About:
    """Make the bundle in an empty folder."""
    contents = Contents(folder)
    runs, made_again = _add_runs(contents, found, outputs)
    resources = [*add_tables(contents, records.environment().data), _add_results(contents, runs)]
    wheel = f"software/{wheel_name()}"
    work = folder.with_name("wheel")
    work.mkdir()
    write_wheel(contents.path(wheel), work, when)
    contents.add(wheel, "kzresearch: the code of the runs, to be installed")
    for path, what in (
        (lock_file(), "What the code needs: every package with its version and checksums"),
        (data_dir() / "README.md", "The codebook: what every table, column and row means"),
    ):
        name = f"data/{path.name}" if path.parent == data_dir() else path.name
        contents.write(name, path.read_bytes(), what)
    contents.write("LICENSE", licence(), "The licence of the code")
    about = _about(runs, resources, when, doi, made_again)
    with speaking(records.language_of(*(run.record for run in runs))):
        _describe(contents, about, runs, resources, wheel)
    return about


def _add_runs(
    contents: Contents, found: list[Found], outputs: Outputs
) -> tuple[list[Run], tuple[str, ...]]:
    """Put the files of the runs, their notebooks and their index into the bundle.

    Returns the runs, and the names of the pages and PDFs that are not as they were left.
    """
    runs: list[Run] = []
    sources_of: dict[tuple[str, str], str] = {}
    for one in found:
        files = tuple(f"runs/{one.stem}.{ending}" for ending in one.endings)
        for name in files:
            contents.path(name).write_bytes(_content(outputs, Path(name).name))
        notebook = _checked_source(contents, one, outputs)
        key = one.record["notebook"], one.record["code"]["notebook"]
        if key not in sources_of:
            taken = key[0] in {name for name, _ in sources_of}
            stem = f"{key[0]}-{key[1][:12]}" if taken else key[0]
            sources_of[key] = f"notebooks/{stem}.ipynb"
            contents.write(sources_of[key], notebook, f"The notebook: {one.record['title']}")
        runs.append(Run(one.record, files, sources_of[key]))
    made_again = _pages_made_again(contents, found, outputs)
    for one, run in zip(found, runs, strict=True):
        for name, ending in zip(run.files, one.endings, strict=True):
            contents.add(name, f"{KINDS[ending]} of {run.label}")
    names = {Path(name).name for run in runs for name in run.files}
    page = index_page([run.record for run in runs], {*names, LINES, TABLE}, downloads="../")
    contents.write(f"runs/{INDEX}", page, "Index of the runs, to filter and to sort")
    return runs, made_again


def _pages_made_again(contents: Contents, found: list[Found], outputs: Outputs) -> tuple[str, ...]:
    """Make each page and PDF again of its executed notebook; the names of those put in anew.

    One that differs is put in anew where other versions of packages made the one that lies there.
    Raises OutputError where the same did, and where one cannot be made.
    """
    now = records.environment().versions
    pages = [(one, ending) for one in found for ending in one.endings if ending in MADE]

    def other(page: tuple[Found, str]) -> str | None:
        (one, ending), name = page, f"{page[0].stem}.{page[1]}"
        there = contents.path(f"runs/{name}")
        try:
            made = pool.page(there.with_suffix(".ipynb").read_bytes(), ending)
        except PageError as error:
            raise OutputError(
                f"{outputs.link(name)} cannot be compared with what its notebook makes: {error}; "
                "take it away and start again, to bundle the run without it"
            ) from None
        if there.read_bytes() == made:
            return None
        if one.record["versions"] == now:
            raise OutputError(
                f"{outputs.link(name)} is not what its notebook makes: it was changed since, or is "
                "of another run; take it away, and run the command that made it again, with "
                f"--formats {ending}"
            )
        there.write_bytes(made)
        return name

    if not pages:
        return ()
    # Nothing is run: the other engine would start a process for that.
    with Pool(os.cpu_count() or 1, STOCK) as pool:
        return tuple(sorted(filter(None, as_they_end(pages, other, pool))))


def _checked_source(contents: Contents, one: Found, outputs: Outputs) -> str:
    """The notebook of a run as it was before; RecordError where the run's files do not agree."""
    import nbformat

    left = contents.path(f"runs/{one.stem}.json").read_bytes()
    record = json.loads(left)
    try:
        content = contents.path(f"runs/{one.stem}.ipynb").read_bytes()
        executed = nbformat.v4.reads(content.decode())
        source = bare(executed)
        checks = {
            "record": executed["metadata"]["kzresearch"] == record and record_file(record) == left,
            "run id": records.run_id_of(record) == record["run_id"],
            "cells": records.environment().code(source) == record["code"],
        }
        if record["status"] == "completed":
            checks["outputs"] = records.outputs_of(executed) == record["outputs"]
            checks["figures"] = records.results_of(executed) == record["results"]
    except records.BROKEN:
        checks = {"format": False}
    if wrong := [what for what, right in checks.items() if not right]:
        raise RecordError(
            f"{outputs.link(f'{one.stem}.ipynb')} is not as its run left it ({', '.join(wrong)}), "
            "going by the record beside it: run it again"
        )
    return str(nbformat.v4.writes(nbformat.from_dict(source))) + "\n"


def _record(contents: Contents, stem: str) -> Json:
    """The record of a run, which was checked when the run was found."""
    content: Json = json.loads(contents.path(f"runs/{stem}.json").read_text(encoding="utf-8"))
    return content


def _add_results(contents: Contents, runs: list[Run]) -> Json:
    """Put the figures of all completed runs into one table; its resource."""
    completed = [run.record for run in runs if run.record["status"] == "completed"]
    used = dict.fromkeys(source["id"] for record in completed for source in record["sources"])

    def results(record: Json) -> Json:
        whole = _record(contents, f"{record['notebook']}-{record['run_id']}")
        found: Json = whole["results"]
        return found

    return add_results(contents, table(completed, results), [*used])


def _about(
    runs: list[Run],
    resources: list[Json],
    when: datetime,
    doi: str | None,
    made_again: tuple[str, ...],
) -> About:
    count = len({run.record["notebook"] for run in runs})
    failed = sum(run.record["status"] == "failed" for run in runs)
    newest_run = max(runs, key=lambda run: run.record["ended"]).record
    version = records.data_version(runs[0].record)
    made = [run.record for run in runs]
    # What is cited are the completed ones.
    cited = [record for record in made if record["status"] == "completed"] or made
    collection = records.collection_id(cited)
    figures = sum(len(run.record["results"]) for run in runs if not run.record["error"])
    used = [one["citation"] for resource in resources for one in resource.get("sources", [])]
    return About(
        subject=newest_run["title"] if count == 1 else TITLE,
        counted={"n": len(runs), "notebooks": count, "failed": failed, "figures": figures},
        version=version,
        ended=when.isoformat(),
        collection=collection,
        authors=tuple(cite.authors(cited)),
        sources=tuple(b["id"] for b in sources.read_sources() if b["citation"] in used),
        doi=doi,
        made_again=made_again,
    )


def _describe(
    contents: Contents, about: About, runs: list[Run], resources: list[Json], wheel: str
) -> None:
    """Put in what says what all the other files are: title, summary and README as readers are told things."""
    texts = Texts(about, runs, resources, wheel)
    contents.write(TERMS, texts.terms(), "The terms of each table")
    contents.write("CITATION.cff", citation(about), "How to cite the bundle and its sources")
    package = _text(_package(about, resources))
    contents.write("datapackage.json", package, "What the tables hold: Frictionless data package")
    contents.write("README.md", texts.readme(), "What is in the bundle, and how to check it")
    crate = _text(crate_metadata(about, contents, runs, wheel))
    contents.write(CRATE, crate, "What went into each run, and what came out: RO-Crate")
    contents.write(PREVIEW, texts.preview(contents.files), "The bundle as a page")
    contents.seal()


def _text(content: Json) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _package(about: About, resources: list[Json]) -> Json:
    """The descriptor of the data package."""
    return {
        "profile": "tabular-data-package",
        "name": about.name,
        **({"id": about.address} if about.doi else {}),
        "title": about.title,
        "description": about.description,
        "version": about.version,
        "created": about.ended,
        "keywords": KEYWORDS,
        "contributors": [{"title": name, "role": "author"} for name in about.names],
        **origin(about.sources),
        "licenses": [{"title": "Each table has terms of its own", "path": TERMS}],
        "resources": resources,
    }
