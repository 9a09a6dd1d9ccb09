"""How to cite a run and the sources it used: as text, BibTeX, CSL-JSON and RIS.

Nothing is made up: what the record does not know, a date or an address, is left out. All texts are
in one line each, so that none can end the field that it stands in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any
from urllib.parse import quote

from kzresearch.language import say, speaking, translated
from kzresearch.records import RecordError, collection_id, data_version, language_of, plain

Json = dict[str, Any]

FORMATS = ("text", "bibtex", "csl", "ris")
NOBODY_NAMED = "kzresearch contributors"
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
"""The months by the names that BibTeX has for them."""
DATE = re.compile(r"([0-9]{4})(?:-(0[1-9]|1[0-2])(?:-(0[1-9]|[12][0-9]|3[01]))?)?")
DOI = re.compile(r"https?://(?:dx\.)?doi\.org/(10\.[0-9]{4,9}/[^\s\"<>{}]*[^\s\"<>{}.,;:)])")
ESCAPED = {
    **{character: f"\\{character}" for character in "%&#_${}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}
"""What means something in LaTeX, and how it is written where it is to mean nothing."""
WITHOUT_PAIR = {"{": r"\textbraceleft{}", "}": r"\textbraceright{}"}
"""Braces that do not come in pairs: with a backslash they would end the field too late or too soon."""


def run(record: Json) -> str:
    """The citation of a run, without its sources: one paragraph of plain text.

    Raises RecordError for a run that failed: it has no results to cite.
    """
    return _text(_run(record))


def formats(record: Json) -> dict[str, str]:
    """The citations of a run and then of its sources, in each of `FORMATS`.

    Raises RecordError for a run that failed: it has no results to cite.
    """
    return _formats(_run(record), [record])


def collection(records: Sequence[Json]) -> dict[str, str]:
    """The citations of several runs together and of all their sources, in each of `FORMATS`.

    Raises RecordError where one of them failed, or there is none.
    """
    records = sorted(records, key=order)
    runs = [_run(record) for record in records]
    if not runs:
        raise RecordError("there is no completed run to cite")
    newest = max(runs, key=lambda item: item["issued"]["date-parts"])
    names = ", ".join(sorted({plain(record["notebook"]) for record in records}))
    notes = sorted({item["note"].split(", notebook ")[0] for item in runs})
    commits = sorted({_commit(record) for record in records} - {""})
    data = sorted({data_version(record) for record in records})
    item = newest | {
        "id": f"collection-{collection_id(records)}",
        "title": _title_of(records),
        "part": f"({len(runs)} run{'s' if len(runs) > 1 else ''} of {names}; collection "
        f"{collection_id(records)})",
        "author": authors(records),
        "note": ", ".join([*notes, *commits, f"data {' and '.join(data)}", _day(newest)]),
    }
    return _formats(item, records)


def _title_of(records: Sequence[Json]) -> str:
    with speaking(language_of(*records)):
        return say("How torture cases are handled in Kazakhstan")


def _formats(item: Json, records: Sequence[Json]) -> dict[str, str]:
    """The same wherever it is made: what is said beside titles is in the language of the runs."""
    with speaking(language_of(*records)):
        return _said(item, records)


def _said(item: Json, records: Sequence[Json]) -> dict[str, str]:
    every = [one for record in records for one in record["sources"]]
    used = {(one["id"], one["citation"]): one for one in every}
    with_files = {one["source"] for record in records for one in record["workbooks"]}
    items = [item, *(_source(one, with_files) for one in used.values())]
    cited = [_text(item)]
    if sources := list(filter(None, map(source, used.values()))):
        cited += [say("Sources:"), *sources]
    _give_keys(items)
    return {
        "text": "\n\n".join(cited) + "\n",
        "bibtex": "\n".join(map(_bibtex, items)),
        "csl": _csl(items),
        "ris": "\n".join(map(_ris, items)),
    }


def _text(item: Json) -> str:
    names = _names(item)
    by = ("; " if any("," in name for name in names) else ", ").join(names)
    year, *_ = _parts(item["issued"])
    return f"{by} ({year}). {_title(item)}. {item['note']}."


def _commit(record: Json) -> str:
    git = record["software"]["git"]
    unclean = "" if not git or git["clean"] else " with uncommitted changes"
    return f"commit {git['commit'][:12]}{unclean}" if git else ""


def _day(item: Json) -> str:
    return "-".join(_parts(item["issued"]))


def _run(record: Json) -> Json:
    """A run as an item of CSL-JSON, which all formats are made from.

    `part` is the part of its title that says which run: there, because every style shows a title.
    """
    if record["status"] == "failed":
        raise RecordError(
            f"run {record['run_id']} of {plain(record['notebook'])} failed and has no results to "
            "cite; cite a run that was completed"
        )
    software, day = record["software"], record["ended"][:10]
    if not (issued := _date(day)):
        raise RecordError(
            f"the record of run {record['run_id']} was edited: {plain(day)!r} is no day on which it "
            "can have ended; take the record that the run left"
        )
    given = ", ".join(f"{plain(n)} {plain(value)}" for n, value in record["parameters"].items())
    made_by = [f"kzresearch {plain(software['version'])}", f"notebook {plain(record['notebook'])}"]
    return {
        "id": f"{record['notebook']}-{record['run_id']}",
        "type": "software",
        "title": plain(record["title"]) or plain(record["notebook"]),
        "part": f"({given}{'; ' if given else ''}run {record['run_id']})",
        "author": authors([record]),
        "issued": issued,
        "container-title": "kzresearch",
        "version": plain(software["version"]),
        "note": ", ".join(filter(None, [*made_by, _commit(record), day])),
    }


def order(record: Json) -> tuple[str, str]:
    """By which runs are in the same order wherever they are cited."""
    return record["notebook"], json.dumps(record["parameters"], sort_keys=True)


def authors(records: Iterable[Json]) -> list[Json]:
    """The authors of runs as names of CSL-JSON, each once.

    Of a run that names nobody, and of no other, the authors are `NOBODY_NAMED`.
    """
    named = [_author(name) for one in records for name in one["authors"] or [NOBODY_NAMED]]
    return [name for place, name in enumerate(named) if name not in named[:place]]


def name_of(author: Json) -> str:
    """A name of CSL-JSON in a line: `Family, Given`, or as it stands."""
    return author.get("literal") or f"{author['family']}, {author['given']}"


def _author(name: str) -> Json:
    """A name as it stands; in its parts where it is written as that of a person, `Family, Given`."""
    text = plain(name)
    family, comma, given = text.partition(", ")
    words = f"{family} {given}".split()
    a_person = comma and family and given and "," not in given and len(words) <= 5
    if a_person and all(word[0].isupper() and word.lower() != "and" for word in words):
        return {"family": family, "given": given}
    return {"literal": text}


def _source(source: Json, with_files: set[str]) -> Json:
    """A source as an item of CSL-JSON: what is not known of it is left out."""
    citation = plain(source["citation"] or "")
    licence = source["licence"] and plain(source["licence"])
    doi = DOI.search(f"{source['address'] or ''} {citation}")
    item = {
        "id": source["id"],
        "type": "dataset" if source["id"] in with_files else "document",
        "title": plain(source["title"] or ""),
        "author": [{"literal": plain(source["producer"])}] if source["producer"] else None,
        "issued": _date(source["date_published"]),
        "accessed": _date(source["date_accessed"]),
        "version": plain(source["version"] or ""),
        "DOI": doi and doi[1],
        "URL": _address(source["address"]),
        "note": licence and say("Terms: {licence}", licence=say(licence)),
        "annote": citation and say("To be cited as: {citation}", citation=citation),
    }
    return {name: value for name, value in item.items() if value}


def _date(text: str | None) -> Json | None:
    found = DATE.fullmatch(text or "")
    return found and {"date-parts": [[int(part) for part in found.groups() if part]]}


def _address(text: str | None) -> str | None:
    """A web address, its characters those that may stand in one; None for what is none."""
    if not text or not re.match(r"https?://", text):
        return None
    return quote(plain(text), safe="%/:?#[]@!$&'()*+,;=~")


def source(one: Json) -> str:
    """The citation of one of a record's sources, with its terms, in a line; empty where none is known."""
    parts = [one[name] for name in ("producer", "title", "version", "address")]
    said = translated(one["citation"] or ". ".join(filter(None, parts)))
    terms = one["licence"] and say("Terms: {licence}.", licence=say(one["licence"]))
    return plain(" ".join(filter(None, [said, terms])))


def _give_keys(items: list[Json]) -> None:
    """Name each item by a key of its own, in characters that every reader of a format takes."""
    seen: set[str] = set()
    for item in items:
        key = "kzresearch-" + re.sub(r"[^A-Za-z0-9_]+", "-", item["id"]).strip("-")
        while key.lower() in seen:  # some readers take A and a for one
            key += "_"
        seen.add(key.lower())
        item["id"] = key


def _names(item: Json) -> list[str]:
    return [name_of(one) for one in item.get("author", ())]


def _title(item: Json) -> str:
    return " ".join(filter(None, [item.get("title"), item.get("part")]))


def _csl(items: list[Json]) -> str:
    """Items as they are written: no text is markup but what keeps a style from its capitals."""
    # There is no other way to write what looks like a tag and is none.
    written = json.loads(re.sub(r"<(?=[/A-Za-z])", "‹", json.dumps(items)))
    keep = '<span class="nocase">{}</span>'
    for item in written:
        if part := item.pop("part", None):
            item["title"] += f" {keep.format(part)}"
            item["container-title"] = keep.format(item["container-title"])
    return json.dumps(written, ensure_ascii=False, indent=2) + "\n"


def _bibtex(item: Json) -> str:
    """An item as BibTeX's `misc`, which every style knows."""
    year, month, _ = _parts(item.get("issued"))
    version = item["type"] != "software" and item.get("version")
    notes = [version and f"Version: {version}.", item.get("note")]
    fields = {
        "author": " and ".join(map(_bibtex_name, item.get("author", ()))),
        "title": _kept_whole(_title(item)),
        "year": year,
        "month": month and MONTHS[int(month) - 1],
        "doi": item.get("DOI"),
        "url": item.get("URL"),
        "urldate": "-".join(filter(None, _parts(item.get("accessed")))),
        "note": _escaped(" ".join(filter(None, notes))),
        "annote": _escaped(item.get("annote", "")),
    }
    # A month is the name of what a style has for it, not a text.
    lines = [
        f"  {name} = {text if name == 'month' else f'{{{text}}}'}"
        for name, text in fields.items()
        if text
    ]
    return f"@misc{{{item['id']},\n" + ",\n".join(lines) + "\n}\n"


def _kept_whole(text: str) -> str:
    """A text in braces of its own: no style changes its capitals, and no `and` parts it."""
    return text and f"{{{_escaped(text)}}}"


def _bibtex_name(name: Json) -> str:
    if "literal" in name:
        return _kept_whole(name["literal"])
    return f"{_escaped(name['family'])}, {_escaped(name['given'])}"


def _escaped(text: str) -> str:
    depths = [0, *accumulate((c == "{") - (c == "}") for c in text)]
    in_pairs = min(depths) == depths[-1] == 0
    written = ESCAPED if in_pairs else ESCAPED | WITHOUT_PAIR
    return "".join(written.get(character, character) for character in text)


def _parts(date: Json | None) -> tuple[str, str, str]:
    """Year, month and day, each empty where it is not known."""
    known = [f"{part:02}" for part in date["date-parts"][0]] if date else []
    year, month, day = [*known, "", "", ""][:3]
    return year, month, day


def _ris(item: Json) -> str:
    kinds = {"software": "COMP", "dataset": "DATA", "document": "GEN"}
    year, *_ = issued = _parts(item.get("issued"))
    accessed = _parts(item.get("accessed"))
    # A comma parts a person's name; a body whose name has one is given as the publisher.
    bodies = [one["literal"] for one in item.get("author", ()) if "," in one.get("literal", "")]
    fields = [
        *(("AU", name) for name in _names(item) if name not in bodies),
        *(("PB", name) for name in bodies),
        ("TI", _title(item)),
        ("PY", year),
        ("DA", year and "/".join([*issued, ""])),
        ("ET", item.get("version")),
        ("DO", item.get("DOI")),
        ("UR", item.get("URL")),
        ("Y2", accessed[0] and "/".join([*accessed, ""])),
        ("N1", item.get("note")),
        ("N1", item.get("annote")),
        ("ID", item["id"]),
    ]
    lines = [f"{tag}  - {text}" for tag, text in fields if text]
    return "\n".join([f"TY  - {kinds[item['type']]}", *lines, "ER  - \n"])
