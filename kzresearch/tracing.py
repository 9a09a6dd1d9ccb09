"""From a recorded figure back to where it comes from: formula, cells, workbooks, publishers."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from kzresearch import captions, datasets, records, sources
from kzresearch.errors import unknown_value
from kzresearch.figures import LIMITS, Cell, place
from kzresearch.form_1m import codebook
from kzresearch.form_1m.reader import SOURCE as FORM_1M
from kzresearch.language import current, filled, later, localised, noted, say, speaking, translated
from kzresearch.peers import BOUNDS
from kzresearch.publish import cite
from kzresearch.records import Json, RecordError, plain
from kzresearch.regions import region_codes, short_name

WIDTH, COLUMNS = 100, 8
"""Characters of a line, and how many cells stand side by side in a table."""
_SEXES = {"total": later("both sexes"), "men": later("men"), "women": later("women")}
_AREAS = {"total": later("urban and rural"), "urban": later("urban"), "rural": later("rural")}
PUBLISHED = "published_figures"
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
PUBLICATION = re.compile(r"(?:^|_|\()(P[0-9]{4})\)?$", re.IGNORECASE)
"""How the name or the note of a figure that was published elsewhere ends: with its id."""


class Group(NamedTuple):
    """Cells with one address and one meaning, in one workbook or in several."""

    cell: str
    what: str
    about: str
    unit: str | None
    values: dict[str, float | None]

    @property
    def total(self) -> float | None:
        """The sum of its cells; None where one is not at hand."""
        return None if None in self.values.values() else _added(self.values.values())


@dataclass(frozen=True, repr=False)
class Trace:
    """Where a recorded figure comes from. Made by `trace`.

    `chain` has all of it as JSON would: `run`, `figure`, `named` (figures of the run that its
    formula names), `cells` (each with what it counts and its value in every workbook), `workbooks`,
    `publications`, `sources`, and sentences: `comes_to` (what the formula comes to) and `adds_up`
    (what the cells add up to), null where there is nothing sound to say, and `warnings`. All that
    is in words, and what it is shown as, is in the `language` that it was made in.
    """

    chain: Json
    language: str

    def __str__(self) -> str:
        return "\n\n".join(f"{heading}\n{_as_text(items)}" for heading, items in self._parts())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return str(_template().render(parts=self._parts()))

    def _parts(self) -> list[tuple[str, Items]]:
        with speaking(self.language):
            return _said(self.chain)


def trace(run: str | Path | Json, name: str) -> Trace:
    """Where a recorded figure comes from: figure ← formula ← cells ← workbook ← publisher.

    In the reader's language; names of figures and measures are those of the record. `run` is the path of an executed notebook, its page or its record, or a record itself; `name` is
    that of a figure that the run recorded. Values of cells, in the units that stand beside them, are
    those of the tables installed here; null is what is not in them.

    Raises `UnknownValueError` for a name that the run did not record, with near matches;
    `RecordError` for what is no record, for one whose figure names a workbook or a source that it
    does not have, and for a run that recorded nothing.

    Source: the record; `load_form_1m()`, `load_population()`, `load_torture_indices()`,
    `load_freedom_in_the_world()` and `load_published()` for what stands in the cells.

    >>> runs = kz.batch("case_flow", {"region": ["KZ-75"]}, out="out", formats=(), progress=False)
    >>> print(kz.trace(runs["file"][0], "sent_to_court"))
    sent_to_court: 3 (offences)
    ...
    """
    record = records.checked(run) if isinstance(run, dict) else records.read(run)
    figure = _figure(record, name)
    held = [Cell(one["workbook"], one["cell"]) for one in figure["cells"]]
    workbooks = _held(record, name, "workbooks", "sha256", [cell.workbook for cell in held])
    origins = _held(record, name, "sources", "id", figure["sources"])
    cells = _groups(held)
    named, comes_to, doubt = _by_formula(figure, name, record["results"])
    adds_up = None
    if not comes_to and not doubt:
        adds_up, doubt = _by_cells(figure, cells)
    by_hand = _by_hand()
    chain = {
        "run": {
            key: record[key] for key in ("run_id", "notebook", "parameters", "status", "ended")
        },
        "figure": {"name": name, **{key: one for key, one in figure.items() if key != "cells"}},
        "named": {key: _short(record["results"][key]) for key in named},
        "cells": [one._asdict() for one in cells],
        "workbooks": [{**one, "by_hand": by_hand.get(one["sha256"])} for one in workbooks],
        "publications": _publications(figure, name),
        "sources": origins,
        "comes_to": comes_to,
        "adds_up": adds_up,
        "warnings": [*([doubt] if doubt else []), *_warnings(record)],
    }
    return Trace(_plain(chain), current())


def _figure(record: Json, name: str) -> Json:
    results, error = record["results"], record["error"]
    if name in results:
        return dict(results[name])
    run = f"run {record['run_id']} of {plain(record['notebook'])}"
    if results:
        raise unknown_value("figure", name, [plain(one) for one in results])
    why = f" failed ({plain(error['type'])}) and" if error else ""
    raise RecordError(f"{run}{why} recorded no figure: there is nothing to trace")


def _held(record: Json, name: str, listed: str, key: str, used: Iterable[str]) -> list[Json]:
    """What the record lists of the workbooks or sources that a figure names."""
    there = {one[key]: one for one in record[listed]}
    wanted = dict.fromkeys(used)
    for one in wanted:
        if one not in there:
            what = f"{listed[:-1]} {plain(one)[:12]}"
            raise RecordError(
                f"the record of run {record['run_id']} was edited: its figure {plain(name)} names "
                f"{what}, which its list of {listed} does not have; take the record that the run left"
            )
    return [there[one] for one in wanted]


def _short(figure: Json) -> Json:
    shown = {key: figure[key] for key in ("value", "text", "unit")}
    return shown | {"cells": len(figure["cells"])}


def _by_hand() -> dict[str, str]:
    """Checksum → how to get a raw file that has to be fetched by hand."""
    blocks = sources.read_sources()
    files = [file for block in blocks for file in sources.raw_files(block["id"])]
    return {file.sha256: file.by_hand for file in files if file.by_hand}


def _warnings(record: Json) -> list[str]:
    """What a reader must know of the run before the figure is relied on."""
    found = []
    installed = records.environment().data
    names = sorted(record["data"].keys() | installed.keys())
    if other := [name for name in names if record["data"].get(name) != installed.get(name)]:
        tables = ", ".join(other[:3])
        if len(other) > 3:
            tables = say("{tables} and {n} more", tables=tables, n=len(other) - 3)
        found.append(
            say(
                "The run was made with other data than is installed here ({tables}): values of cells "
                "are those of the data installed here.",
                tables=tables,
            )
        )
    if record["error"]:
        found.append(say("The run failed after it had recorded this figure."))
    return found


def _plain(value: Any) -> Any:
    """The value, each text in it in one line, without what a terminal obeys."""
    if isinstance(value, dict):
        return {plain(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return plain(value) if isinstance(value, str) else value


# What stands in the cells


def _groups(held: Sequence[Cell]) -> list[Group]:
    """Cells by address and meaning, with their values according to the tables installed here."""
    standing = _standing(held)
    found: dict[tuple[str, str], Group] = {}
    for cell in held:
        what, about, unit, value = standing.get(cell, ("", "", None, None))
        group = found.setdefault((cell.cell, what), Group(cell.cell, what, about, unit, {}))
        group.values[cell.workbook] = value
    return list(found.values())


def _standing(held: Sequence[Cell]) -> dict[Cell, tuple[str, str, str, float]]:
    """What each cell counts, that in a sentence, its unit and its value."""
    if not held:
        return {}
    wanted = pl.DataFrame(held, schema=["workbook", "cell"], orient="row")
    columns = ("workbook", "cell", "what", "about", "unit", pl.col("value").cast(pl.Float64))
    parts = [_form_1m(wanted), _population(), _freedom(), _indices()]
    table = pl.concat([part.select(columns) for part in parts])
    found = table.join(wanted, on=["workbook", "cell"], how="semi").drop_nulls("value")
    return {Cell(*line[:2]): line[2:] for line in found.iter_rows()}


def _form_1m(wanted: pl.DataFrame) -> pl.DataFrame:
    known = datasets.readable() & set(wanted["workbook"])
    sheets = wanted["cell"].str.split("!").list.first().unique().to_list()
    sections = codebook.sections_on(sheets)
    texts = dict.fromkeys(("workbook", "cell", "what", "about", "unit"), pl.String)
    if not known or not sections:
        return pl.DataFrame(schema=texts | {"value": pl.Float64})
    scan = datasets.scan_form_1m(workbook=sorted(known), section=sections)
    found = scan.filter(pl.col("cell").is_in(wanted["cell"].implode())).collect()
    descriptions = {name: translated(text) for name, text in codebook.measure_descriptions()}
    return found.with_columns(
        what=pl.format(
            "{}, {}",
            _each(found["row"], captions.row_name),
            "measure",
        ),
        about=pl.col("measure").replace(descriptions),
    )


def _population() -> pl.DataFrame:
    what = filled(
        later("Population of {region}, {day}, {sex}, {area}"),
        region=pl.col("region"),
        day=pl.col("date").dt.to_string("%Y-%m-%d"),
        sex=pl.col("sex").replace({one: say(words) for one, words in _SEXES.items()}),
        area=pl.col("area").replace({one: say(words) for one, words in _AREAS.items()}),
    )
    return datasets.load_population().with_columns(
        what=what,
        about=pl.lit(""),
        unit=pl.lit("persons"),
        value=pl.col("population"),
    )


def _freedom() -> pl.DataFrame:
    table = datasets.load_freedom_in_the_world()
    what = filled(
        later("{country}, edition {edition} ({status}), total"),
        country=_each(table["country"], captions.country_name),
        edition=pl.col("edition"),
        status=_each(table["status"], translated),
    )
    return table.with_columns(
        what=what,
        about=pl.lit(""),
        unit=pl.lit("points of 100"),
        value=pl.col("total"),
    )


def _indices() -> pl.DataFrame:
    table = datasets.load_torture_indices()
    names = _each(table["name"], translated), _each(table["country"], captions.country_name)
    what = pl.format("{}, {}, {}", *names, "year")
    scores = table.with_columns(what=what, about=pl.lit(""), unit=pl.col("scale"))
    bounds = [
        scores.with_columns(
            what=what + f", {say(words)}",
            cell=pl.col("cell").str.replace(", .*$", f", {of_file}"),
            value=pl.col(bound),
        )
        for bound, (words, of_file) in BOUNDS.items()
    ]
    return pl.concat([scores, *bounds])


def _each(column: pl.Series, told: Callable[[str], str]) -> pl.Expr:
    """What each text of a column is called: asked here, as polars' threads know no language."""
    names = {one: told(one) for one in column.unique()}
    return pl.col(column.name).replace_strict(names, return_dtype=pl.String)


def _publications(figure: Json, name: str) -> list[Json]:
    """The publication that a figure of the table of published figures was taken from."""
    if PUBLISHED not in figure["sources"] or figure["value"] is None:
        return []
    texts = (name, figure["note"] or "")
    ids = {match[1].upper() for text in texts if (match := PUBLICATION.search(text))}
    columns = ("id", "publisher", "title", "date_published", "address", "ambiguity")
    found = datasets.load_published().filter(
        pl.col("id").is_in(list(ids)), pl.col("value") == figure["value"]
    )
    return found.select(columns).to_dicts()


# What can be checked


def _by_formula(figure: Json, name: str, results: Json) -> tuple[list[str], str | None, str | None]:
    """Figures that the formula names, what it comes to, and what does not agree.

    A name means a figure of the run where that was taken from cells of this one, or where the
    formula has nothing but such names and comes to the figure.
    """
    formula, value = figure["formula"] or "", figure["value"]
    mentioned = [key for key in dict.fromkeys(NAME.findall(formula)) if key in results]
    own = _places(figure)
    sure = [key for key in mentioned if key != name and _places(results[key])]
    sure = [key for key in sure if _places(results[key]) <= own]
    calculated = _comes_to(formula, results)
    if calculated is None or value is None:
        return sure, None, None
    calculation, found = calculated
    if math.isclose(found, value, rel_tol=5e-6, abs_tol=1e-12):
        text = later("{calculation} = {value}, as recorded.")
        return mentioned, say(text, calculation=calculation, value=_exact(value)), None
    if sure == mentioned and not name.endswith(tuple(LIMITS)):
        doubt = say(
            "{calculation} = {found}, but {value} is recorded: it was made in another way, or the "
            "record was edited.",
            calculation=calculation,
            found=localised(f"{found:.6g}"),
            value=_exact(value),
        )
        return sure, None, doubt
    return sure, None, None


def _places(figure: Json) -> set[tuple[str, str]]:
    return {(cell["workbook"], cell["cell"]) for cell in figure["cells"]}


def _comes_to(formula: str, results: Json) -> tuple[str, float] | None:
    """A formula of nothing but recorded figures, in numbers, and what it comes to."""

    def in_numbers(name: re.Match[str]) -> str:
        value = results.get(name[0], {}).get("value")
        return "?" if value is None else f"({value})" if value < 0 else str(value)

    asked = NAME.sub(in_numbers, formula).translate(str.maketrans("−×", "-*"))
    if not re.fullmatch(r"[0-9.e()*/+ -]+", asked) or "--" in asked or "/*" in asked:
        return None
    try:
        found = float(pl.select(pl.sql_expr(asked)).item())
    except (pl.exceptions.PolarsError, TypeError, ValueError):
        return None
    shown = NAME.sub(lambda name: localised(in_numbers(name)), formula)
    return (shown, found) if math.isfinite(found) and NAME.search(formula) else None


def _by_cells(figure: Json, groups: Sequence[Group]) -> tuple[str | None, str | None]:
    """Whether the cells add up to the figure, and what does not agree.

    A figure that has a formula, or is not the form's, need not be a sum.
    """
    value, totals = figure["value"], [group.total for group in groups]
    if value is None or None in totals or {group.unit for group in groups} != {figure["unit"]}:
        return None, None
    added = _added(totals)
    many = sum(len(group.values) for group in groups)
    told = {"n": many, "found": _exact(added), "value": _exact(value)}
    if added == value:
        text = later("The {n} cells add up to {value}, as recorded.")
        return say(text if many > 1 else "The cell holds {value}, as recorded.", **told), None
    if FORM_1M in figure["sources"] and len(groups) == 1 and not figure["formula"]:
        text = later(
            "The {n} cells add up to {found}, but {value} is recorded: it was made in another way, or "
            "the record was edited."
        )
        if many == 1:
            text = later(
                "The cell holds {found}, but {value} is recorded: it was made in another way, or the "
                "record was edited."
            )
        return None, say(text, **told)
    return None, None


def _added(values: Iterable[float | None]) -> float:
    return round(math.fsum(value for value in values if value is not None), 6)


def _exact(value: float) -> str:
    whole = math.isfinite(value) and value == round(value)
    return localised(f"{value:,.0f}" if whole else f"{value:,}").replace("-", "−")


# How it is shown

Items = list[str | list[list[str]]]
"""Paragraphs, and tables: lists of rows, of which the first is the head."""


def _said(chain: Json) -> list[tuple[str, Items]]:
    """The chain in words: headings, each with its paragraphs and tables."""
    figure, run = chain["figure"], chain["run"]
    shown = f"{figure['name']}: {figure['text']} ({translated(figure['unit'])})"
    if figure["value"] is not None and plain(exact := _exact(figure["value"])) != figure["text"]:
        shown = say("{figure}, recorded as {value}", figure=shown, value=exact)
    made_by = say("run {run} of {notebook}", run=run["run_id"], notebook=run["notebook"])
    given = (f"{say(name)} {value}" for name, value in run["parameters"].items())
    parts: list[tuple[str, Items]] = [
        (
            shown,
            [
                *filter(None, [noted(figure["note"])]),
                ", ".join([made_by, *given, run["ended"][:10]]),
                *(say("Mind: {sentence}", sentence=sentence) for sentence in chain["warnings"]),
            ],
        )
    ]
    if figure["formula"]:
        named = [_named(name, one) for name, one in chain["named"].items()]
        comes_to = [chain["comes_to"]] if chain["comes_to"] else []
        formula = translated(figure["formula"])
        parts.append((f"← {say('formula')}", [formula, *named, *comes_to]))
    groups = [Group(**one) for one in chain["cells"]]
    if groups:
        adds_up = [chain["adds_up"]] if chain["adds_up"] else []
        told = [*_sections(groups), *map(_cell, groups), *_tables(groups, chain), *adds_up]
        parts.append((f"← {_counted(groups)}", told))
    else:
        nothing = later("The record names no cells for it.")
        if chain["named"]:
            nothing = later(
                "The record names no cells for it. Trace the figures that its formula names."
            )
        parts[-1][1].append(say(nothing))
    for key, one, several, in_words in (
        ("workbooks", later("workbook"), later("workbooks"), _workbook),
        ("publications", later("publication"), later("publications"), _publication),
        ("sources", later("publisher"), later("publishers"), _publisher),
    ):
        if listed := chain[key]:
            heading = say(several if len(listed) > 1 else one)
            parts.append((f"← {heading}", [*map(in_words, listed)]))
    return parts


def _named(name: str, figure: Json) -> str:
    shown = f"{name}: {figure['text']} ({translated(figure['unit'])})"
    if not figure["cells"]:
        return shown
    return say("{figure}, from {n} {n:cell|cells}", figure=shown, n=figure["cells"])


def _sections(groups: Sequence[Group]) -> list[str]:
    """The sections of the form that cells stand in, each with its title."""
    sheets = dict.fromkeys(one.cell.partition("!")[0] for one in groups if one.about)
    text = later("Section {sheet}: {title}")
    return [say(text, sheet=sheet, title=codebook.sheet_title(sheet)) for sheet in sheets]


def _counted(groups: Sequence[Group]) -> str:
    cells = sum(len(group.values) for group in groups)
    workbooks = len({sha256 for group in groups for sha256 in group.values})
    text = later("{n} {n:cell|cells} of {workbooks} workbooks")
    return say(text if workbooks > 1 else "{n} {n:cell|cells}", n=cells, workbooks=workbooks)


def _cell(group: Group) -> str:
    """`R1!Q70: Article 146. Torture, terminated_rehabilitating: 812 offences`, and what that means."""
    many = len(group.values)
    value = say("not in the tables at hand")
    if group.total is not None:
        value = f"{_exact(group.total)} ({translated(group.unit or '')})"
    if many > 1:
        value = say("{value} in {n} workbooks", value=value, n=many)
    told = ": ".join(filter(None, [place(group.cell), group.what, value]))
    return "\n".join(filter(None, [told, group.about]))


def _tables(groups: Sequence[Group], chain: Json) -> list[list[list[str]]]:
    """Cells of several workbooks side by side, a row for each workbook."""
    labels = {one["sha256"]: _label(one) for one in chain["workbooks"]}
    tables = []
    for books in dict.fromkeys(tuple(one.values) for one in groups if len(one.values) > 1):
        alike = [one for one in groups if tuple(one.values) == books]
        for start in range(0, len(alike), COLUMNS):
            shown = alike[start : start + COLUMNS]
            rows = [[labels[book], *(_value(one.values[book]) for one in shown)] for book in books]
            added = [say("together"), *(_value(one.total) for one in shown)]
            tables.append([["", *(place(one.cell) for one in shown)], *rows, added])
    return tables


def _value(value: float | None) -> str:
    return "?" if value is None else _exact(value)


def _label(workbook: Json) -> str:
    """`KZ-75 Almaty`; of a file that is no region's, its name, or the checksum's first digits."""
    region = workbook["region"]
    if region in region_codes(former=True):
        return f"{region} {short_name(region)}"
    return str(region or workbook["file"] or workbook["sha256"][:12])


def _workbook(one: Json) -> str:
    about = [one["region"] and _label(one), one["file"], one["period"]]
    told = ", ".join(filter(None, about)) or say("a workbook that no source names")
    by_hand = translated(one["by_hand"] or "")
    where = one["address"] or by_hand or say("the record does not say where to get it")
    return f"{told}, sha256 {one['sha256'][:16]}…\n{where}"


def _publication(one: Json) -> str:
    publisher = translated(one["publisher"])
    told = ", ".join(filter(None, (publisher, one["title"], one["date_published"])))
    return f"{told} ({one['id']})\n{one['address']}"


def _publisher(source: Json) -> str:
    told = cite.source(source) or source["id"]
    more = {
        later("terms: {address}"): source["licence_address"],
        later("address: {address}"): source["address"],
    }
    said = [say(text, address=one) for text, one in more.items() if one and one not in told]
    return "\n".join([told, *said])


def _as_text(items: Items) -> str:
    return "\n".join(_paragraph(one) if isinstance(one, str) else _columns(one) for one in items)


def _paragraph(text: str) -> str:
    """A paragraph as lines of a terminal; no address is broken."""
    fill = textwrap.TextWrapper(
        WIDTH, break_long_words=False, break_on_hyphens=False, subsequent_indent=" " * 6
    )
    first, *rest = text.split("\n")
    indents = [" " * 4, *[" " * 6] * len(rest)]
    lines = []
    for fill.initial_indent, line in zip(indents, [first, *rest], strict=True):
        lines.append(fill.fill(line))
    return "\n".join(lines)


def _columns(table: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = (
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in table
    )
    return "\n".join(["", *(f"    {line}" for line in lines)])


@cache
def _template() -> Any:
    from jinja2 import Environment

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["pieces"] = lambda text: re.split(
        r"(https?://[^\s<>\"]*[^\s<>\".,;:)])", text
    )
    return environment.from_string("""\
{% for heading, items in parts %}
<div><b>{{ heading }}</b></div>
<div style="margin: 0 0 1em 2em">
{% for item in items %}
{% if item is string %}
<div style="white-space: pre-line; overflow-wrap: anywhere">
{%- for piece in item | pieces %}{% if loop.index is even %}<a href="{{ piece }}">{{ piece }}</a>{% else %}{{ piece }}{% endif %}{% endfor -%}
</div>
{% else %}
<table>
<thead><tr>{% for cell in item[0] %}<th style="text-align: right">{{ cell }}</th>{% endfor %}</tr></thead>
{% for row in item[1:] %}
<tr><th style="text-align: left; font-weight: normal">{{ row[0] }}</th>{% for cell in row[1:] %}<td style="text-align: right">{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
</table>
{% endif %}
{% endfor %}
</div>
{% endfor %}
""")
