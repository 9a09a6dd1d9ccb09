"""What a bundle is, as an RO-Crate of the profile Process Run Crate: an action for each run."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from kzresearch import sources
from kzresearch.language import later, say
from kzresearch.publish.archive import CHECKSUMS, Contents
from kzresearch.publish.cite import NOBODY_NAMED, name_of
from kzresearch.publish.datapackage import TERMS, licence_address
from kzresearch.publish.wheel import NAME, installed
from kzresearch.records import plain

if TYPE_CHECKING:
    from rocrate.model.entity import Entity
    from rocrate.rocrate import ROCrate

Json = dict[str, Any]
VERSION = "1.1"
"""Of RO-Crate: the one that the profile extends."""
PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
MEDIA = {
    ".cff": "application/yaml",
    ".csv": "text/csv",
    ".gz": "application/gzip",
    ".html": "text/html",
    ".ipynb": "application/x-ipynb+json",
    ".json": "application/json",
    ".md": "text/markdown",
    ".parquet": "application/vnd.apache.parquet",
    ".pdf": "application/pdf",
    ".toml": "application/toml",
    ".whl": "application/zip",
}


@dataclass(frozen=True)
class Run:
    """A run in a bundle: its record, and the names of its files and of its notebook there."""

    record: Json
    files: tuple[str, ...]
    notebook: str

    @property
    def label(self) -> str:
        """The run in a line: `case_flow period=2022-12 region=KZ-75`."""
        given = self.record["parameters"].items()
        return " ".join([self.record["notebook"], *(f"{name}={value}" for name, value in given)])


@dataclass(frozen=True)
class About:
    """What a bundle says of itself as a whole."""

    subject: str
    counted: dict[str, int]
    """Its runs (`n`), their notebooks, how many failed, the figures of the others."""
    version: str
    """Of the data."""
    ended: str
    """When its newest run ended, in ISO 8601."""
    collection: str
    """The id of its runs together, as their citation has it."""
    authors: tuple[Json, ...]
    """Who its citation names, as names of CSL-JSON."""
    sources: tuple[str, ...]
    """Ids of the sources of all tables."""
    doi: str | None = None
    made_again: tuple[str, ...] = ()
    """Pages and PDFs that are not as the runs left them, since other versions made them again."""

    @property
    def title(self) -> str:
        """What it is called in the reader's language."""
        return f"{say(self.subject)}: {self._several()}"

    @property
    def description(self) -> str:
        """What is in it, in a sentence in the reader's language."""
        text = later(
            "{runs} of kzresearch, with {figures} recorded figures, on the tables of version "
            "{version}; collection {collection}"
        )
        if self.counted["failed"]:
            text = later(
                "{runs} of kzresearch, {failed} of them failed, with {figures} recorded figures, on "
                "the tables of version {version}; collection {collection}"
            )
        about = {"version": self.version, "collection": self.collection}
        return say(text, runs=self._several(), **about, **self.counted)

    def _several(self) -> str:
        return say("{n} {n:run|runs} of {notebooks} {notebooks:notebook|notebooks}", **self.counted)

    @property
    def name(self) -> str:
        """What tells it from bundles of other runs."""
        return f"kzresearch-{self.collection}"

    @property
    def names(self) -> list[str]:
        """Its authors, each in a line."""
        return [name_of(author) for author in self.authors]

    @property
    def date(self) -> str:
        """The day of that."""
        return self.ended[:10]

    @property
    def address(self) -> str | None:
        """Where the DOI leads."""
        return self.doi and f"https://doi.org/{self.doi}"


KEYWORDS = ["criminal justice", "torture", "Kazakhstan", "official statistics", "reproducibility"]


def crate_metadata(about: About, contents: Contents, runs: Sequence[Run], wheel: str) -> Json:
    """The metadata of the crate: every file of the bundle, and every run with what went into it."""
    from rocrate.model.preview import Preview
    from rocrate.rocrate import ROCrate

    crate = ROCrate(version=VERSION)
    # Of schema.org too, but not in the terms of this version of RO-Crate.
    crate.metadata.extra_terms["sha256"] = "http://schema.org/sha256"
    crate.add(Preview(crate))
    for name in sorted(contents.files):
        _add_file(crate, contents, name, {run.notebook for run in runs}, wheel)
    about_checksums = {"name": "Checksums of all other files", "encodingFormat": "text/plain"}
    crate.add_file(dest_path=CHECKSUMS, properties=about_checksums)
    named = {one: _add_source(crate, one) for one in about.sources}
    _describe(crate, about, list(named.values()))
    software = _Software(crate, wheel)
    for run in runs:
        crate.root_dataset.append_to("mentions", _add_action(crate, run, software))
    return dict(crate.metadata.generate())


def _add(crate: ROCrate, identifier: str, kind: str, **properties: Any) -> Entity:
    """An entity that is no file; what is not known of it is left out."""
    from rocrate.model.contextentity import ContextEntity

    known = {name: value for name, value in properties.items() if value not in (None, "", [])}
    entity = crate.get(identifier)
    return entity or crate.add(ContextEntity(crate, identifier, {"@type": kind, **known}))


def _add_file(
    crate: ROCrate, contents: Contents, name: str, notebooks: set[str], wheel: str
) -> None:
    stored, path = contents.files[name], PurePosixPath(name)
    kinds = {wheel: "SoftwareApplication", **dict.fromkeys(notebooks, "SoftwareSourceCode")}
    properties: Json = {
        "name": stored.about,
        "encodingFormat": MEDIA.get(path.suffix, "text/plain"),
        "contentSize": str(stored.bytes),
        "sha256": stored.sha256,
    }
    if name in kinds:
        properties["@type"] = ["File", kinds[name]]
    if name == wheel:
        properties["softwareVersion"] = installed().version
        properties["license"] = {"@id": "LICENSE"}
    if name in notebooks:
        properties["version"] = stored.sha256
        properties["programmingLanguage"] = _add(
            crate, "https://www.python.org/", "ComputerLanguage", name="Python"
        )
    crate.add_file(dest_path=name, properties=properties)


def _add_source(crate: ROCrate, source_id: str) -> Entity:
    block = sources.source(source_id)
    address = licence_address(block)
    licence = address and _add(crate, address, "CreativeWork", name=block["licence"])
    return _add(
        crate,
        f"#source-{source_id}",
        "CreativeWork",
        name=block["title"],
        description=f"{block['description']} Cite as: {block['citation']}",
        version=block["version"],
        url=block["address"],
        datePublished=block["date_published"],
        license=licence or {"@id": TERMS},
    )


def _person(crate: ROCrate, name: str) -> Entity:
    if name == NOBODY_NAMED:
        return _add(crate, "#contributors", "Organization", name=name)
    return _add(crate, f"#person-{_short(name)}", "Person", name=name)


def _one_or_all(entities: list[Entity]) -> Any:
    """The entities, or the only one of them, as RO-Crate wants it."""
    return entities[0] if len(entities) == 1 else entities


def _short(*of: object) -> str:
    return hashlib.sha256(json.dumps(of).encode()).hexdigest()[:12]


def _describe(crate: ROCrate, about: About, named: list[Entity]) -> None:
    """What the crate as a whole is, and the profile that it keeps to."""
    profile = _add(
        crate,
        PROFILE,
        "CreativeWork",
        name="Process Run Crate",
        version=PROFILE.rpartition("/")[2],
    )
    authors = [_person(crate, name) for name in about.names]
    root: Json = {
        "name": about.title,
        "description": about.description,
        "version": about.version,
        "datePublished": about.date,
        "keywords": ", ".join(KEYWORDS),
        "author": _one_or_all(authors),
        "identifier": [about.address, about.name] if about.doi else about.name,
        "license": {"@id": TERMS},
        "conformsTo": profile,
        "citation": _one_or_all(named),
    }
    for name, value in root.items():
        crate.root_dataset[name] = value


class _Software:
    """The software of runs: one entity for each commit and set of versions."""

    def __init__(self, crate: ROCrate, wheel: str) -> None:
        self._crate, self._wheel = crate, wheel

    def of(self, record: Json) -> Entity:
        """What made a run: the package, and what it needs, in their versions."""
        software, versions = record["software"], record["versions"]
        git = software["git"]
        needed = [
            _add(
                self._crate,
                f"#software-{quote(name)}-{quote(versions[name])}",
                "SoftwareApplication",
                name=name,
                softwareVersion=versions[name],
            )
            for name in ("python", *required())
            if name in versions
        ]
        commit = "not made from a git checkout"
        if git:
            changed = "" if git["clean"] else ", with changes that were not committed"
            commit = f"git commit {git['commit']}{changed}"
        return _add(
            self._crate,
            f"#software-{NAME}-{_short(software, versions)}",
            "SoftwareApplication",
            name=NAME,
            softwareVersion=software["version"],
            description=f"{commit}; the code itself is in {self._wheel}",
            isBasedOn={"@id": quote(self._wheel)},
            softwareRequirements=needed,
        )


def required() -> list[str]:
    """The names of the packages that this one needs always, as records have them."""
    stated = installed().requires or []
    names = [re.match(r"[\w.-]+", one) for one in stated if "extra ==" not in one]
    return sorted({re.sub(r"[-_.]+", "-", found[0]).lower() for found in names if found})


def _add_action(crate: ROCrate, run: Run, software: _Software) -> Entity:
    record = run.record
    parameters = [_parameter(crate, *one) for one in record["parameters"].items()]
    data = [{"@id": quote(f"data/{name}")} for name in record["data"]]
    status = {"completed": "Completed", "failed": "Failed"}[record["status"]]
    properties: Json = {
        "name": run.label,
        "description": f"Run {record['run_id']} of the notebook {record['notebook']}: "
        f"{record['title']}",
        "identifier": record["run_id"],
        "startTime": record["started"],
        "endTime": record["ended"],
        "actionStatus": f"http://schema.org/{status}ActionStatus",
    }
    if record["error"]:
        properties["error"] = error_in_words(record["error"])
    if record["authors"]:
        properties["agent"] = _one_or_all(
            [_person(crate, plain(name)) for name in record["authors"]]
        )
    return crate.add_action(
        [{"@id": quote(run.notebook)}, software.of(record)],
        f"#run-{quote(record['notebook'])}-{record['run_id']}",
        object=[*data, *parameters],
        result=[{"@id": quote(name)} for name in run.files],
        properties=properties,
    )


def _parameter(crate: ROCrate, name: str, value: object) -> Entity:
    told = {"description": "no value"} if value in (None, "") else {"value": value}
    return _add(crate, f"#parameter-{_short(name, value)}", "PropertyValue", name=name, **told)


def error_in_words(error: Json) -> str:
    """`ZeroDivisionError in cell 3: division by zero`."""
    where = "" if error["cell"] is None else f" in cell {error['cell']}"
    return f"{error['type']}{where}: {error['message']}"
