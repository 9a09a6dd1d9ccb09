"""What a bundle says of itself to its readers: README, terms, a page, and how to cite it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kzresearch import records, sources
from kzresearch.language import current, later, say
from kzresearch.notebooks import notebooks
from kzresearch.publish import TEMPLATES, cite
from kzresearch.publish.archive import Stored
from kzresearch.publish.crate import KEYWORDS, About, Run, error_in_words
from kzresearch.publish.datapackage import licence_address, parquet_of
from kzresearch.resources import lock_file

Json = dict[str, Any]
KINDS = {
    "html": later("page"),
    "pdf": later("PDF"),
    "ipynb": later("executed notebook"),
    "json": later("record"),
}
NO_DOI = """# No DOI yet. Where a repository gives one before it publishes (Zenodo: "Reserve DOI"), make the
# bundle again with it: kzresearch bundle … --doi 10.5281/zenodo.1234567
# doi: 10.…
"""


def citation(about: About) -> str:
    """`CITATION.cff`: how to cite the bundle, and the sources of its tables."""
    import yaml

    content = {
        "cff-version": "1.2.0",
        "message": "If you use these figures, please cite this bundle, the run id of what you "
        "quote, and the sources of the figures.",
        "type": "dataset",
        "title": about.title,
        "abstract": about.description,
        "version": about.version,
        "date-released": about.date,
        **({"doi": about.doi} if about.doi else {}),
        "authors": [_author(author) for author in about.authors],
        "keywords": KEYWORDS,
        "references": [_reference(sources.source(one)) for one in about.sources],
    }
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110)
    return text if about.doi else text + NO_DOI


def _author(author: Json) -> Json:
    """A name of CSL-JSON as the Citation File Format has it."""
    if "literal" in author:
        return {"name": author["literal"]}
    return {"family-names": author["family"], "given-names": author["given"]}


def _reference(block: dict[str, str]) -> Json:
    """A source as the Citation File Format has it; what is not known is left out."""
    year, _, month = block["date_published"][:7].partition("-")
    known = {
        "version": block["version"],
        "year": year and int(year),
        "month": month and int(month),
        "url": block["address"],
        "license-url": licence_address(block),
        "notes": block["citation"],
    }
    return {
        "type": "data",
        "title": block["title"],
        "authors": [{"name": block["producer"]}],
        **{name: value for name, value in known.items() if value},
    }


def _rendered(name: str, **told: Any) -> str:
    from jinja2 import Environment, FileSystemLoader, select_autoescape

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES / "bundle"),
        autoescape=select_autoescape(["html.j2"]),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["plain"] = _plain
    environment.globals |= {"say": say, "language": current()}
    return environment.get_template(name).render(**told)


def _plain(text: object) -> str:
    """A text that is to mean nothing in Markdown, in one line."""
    return re.sub(r"([\\`*_\[\]<>&|#~])", r"\\\1", " ".join(str(text).split()))


class Texts:
    """The texts of a bundle, made from what is known of it."""

    def __init__(
        self, about: About, runs: Sequence[Run], resources: list[Json], wheel: str
    ) -> None:
        made = [run.record for run in runs]
        own = {records.environment().code(one.content)["notebook"] for one in notebooks()}
        commits = {str(one["software"]["git"]): one["software"]["git"] for one in made}
        completed = [one for one in made if one["status"] == "completed"]
        there = {name.rpartition(".")[2] for run in runs for name in run.files}
        self._told: Json = {
            "about": about,
            "runs": runs,
            "failed": [
                (run, error_in_words(run.record["error"])) for run in runs if run.record["error"]
            ],
            "foreign": sorted(
                {r.notebook for r in runs if r.record["code"]["notebook"] not in own}
            ),
            "kinds": {ending: name for ending, name in KINDS.items() if ending in there},
            "tables": [(one, (one["path"], parquet_of(one["path"]))) for one in resources],
            "sources": [(sources.source(one), _users(one, made)) for one in about.sources],
            "wheel": wheel,
            "cited": cite.collection(completed)["text"] if completed else "",
            "commits": list(commits.values()),
            "pythons": sorted({one["versions"]["python"] for one in made}),
            "not_locked": not_locked(made),
        }

    def readme(self) -> str:
        """What is in the bundle, and how to read, check and cite it, in Markdown, in the reader's language."""
        kinds = ", ".join(map(say, self._told["kinds"].values()))
        return _rendered("README.md.j2", **self._told | {"kinds": kinds})

    def terms(self) -> str:
        """Under which terms each table is, in Markdown."""
        return _rendered("LICENCES.md.j2", **self._told)

    def preview(self, files: Mapping[str, Stored]) -> str:
        """The bundle as a page."""
        style = (TEMPLATES / "page" / "style.css").read_text(encoding="utf-8")
        return _rendered("preview.html.j2", style=style, files=files, **self._told)


def _users(source_id: str, made: Iterable[Json]) -> list[str]:
    """The notebooks whose runs have figures of a source."""
    using = [one for one in made if any(source["id"] == source_id for source in one["sources"])]
    return sorted({one["notebook"] for one in using})


def not_locked(found: Sequence[Json]) -> list[str]:
    """Packages that were installed for runs in another version than the lock file has."""
    pinned: dict[str, set[str]] = {}
    text = lock_file().read_text(encoding="utf-8")
    for name, version in re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.MULTILINE):
        pinned.setdefault(name, set()).add(version)
    versions = {tuple(one["versions"].items()) for one in found}
    return sorted(
        {
            f"{name} {version}"
            for of in versions
            for name, version in of
            if name in pinned and version not in pinned[name]
        }
    )
