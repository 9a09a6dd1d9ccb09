"""What Form 1-M calls its sections, rows and columns, and what this package calls them.

The files in `codebook/` hold one line per section, column, row, measure and row name. The captions
are the form's own: a workbook whose captions differ is not understood and not read.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import dataframely as dy
import polars as pl

from kzresearch.errors import FormError, UnknownValueError, unknown_value
from kzresearch.form_1m.version_files import GEOMETRY, VersionFile
from kzresearch.language import current, later, noted, say, translated
from kzresearch.resources import read_texts, store_location
from kzresearch.schemas import Codebook

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

_FOLDER = Path(__file__).with_name("codebook")

BUNDLED = "2022"
"""The version of the form that comes with the package: the reports of 2022."""

BUNDLED_SINCE = "2022-01"

MOMENT = 30  # seconds for which a look at versions in an object store holds

MAX_ARTICLES = 500  # in a range: the Criminal Code has fewer

FORM_ID = "50119"
"""How the official software numbers Form 1-M in a file's description."""


@dataclass(frozen=True, eq=False)
class Section:
    """One sheet of the form: where its parts stand and the captions it is recognised by."""

    name: str
    sheet: str  # its name in the workbook
    title: str
    header_first_row: int
    number_row: int
    code_column: str
    label_caption: str
    code_caption: str
    columns: pl.DataFrame  # number, column, measure, unit, caption, note
    rows: pl.DataFrame  # code, row, caption, note


@dataclass(frozen=True, eq=False)
class Form:
    """A version of the form: the sections of its workbooks, their columns and rows, and their names.

    `columns`, `rows` and `row_names` are as the files in `codebook/`; names mean the same in every
    version.
    """

    name: str
    sections: pl.DataFrame = field(
        repr=False
    )  # section, title_ru, title_en, scope, header_first_row …
    columns: pl.DataFrame = field(
        repr=False
    )  # section, number, column, measure, unit, caption, note
    rows: pl.DataFrame = field(repr=False)  # section, code, row, caption, note
    measures: pl.DataFrame = field(repr=False)  # measure, description
    row_names: pl.DataFrame = field(
        repr=False
    )  # row, kind, chapter, article, name (English), title_ru (official)
    since: str = BUNDLED_SINCE  # the first period it was seen in

    @cached_property
    def section_names(self) -> list[str]:
        """The sections in the form's order."""
        return self.sections["section"].to_list()

    @cached_property
    def checksum(self) -> str:
        """Of what its columns and rows are called and counted in: another where figures would be others'."""
        digest = hashlib.sha256()
        for table, names in (
            (self.columns, ("section", "number", "measure", "unit")),
            (self.rows, ("section", "code", "row")),
        ):
            for name in names:
                digest.update("\n".join(map(str, table[name].to_list())).encode() + b"\0")
        return digest.hexdigest()

    @cached_property
    def sheet_names(self) -> list[str]:
        """What the sheets of a workbook are called, which a version may rename."""
        return self.sections["sheet" if "sheet" in self.sections.columns else "section"].to_list()

    @cache  # noqa: B019  a form lives as long as the process
    def section(self, name: str) -> Section:
        """The section of that name."""
        line = self.sections.row(by_predicate=pl.col("section") == name, named=True)
        number, code = pl.col("number").cast(pl.Int64), pl.col("code").cast(pl.Int64)
        return Section(
            name=name,
            sheet=line.get("sheet") or name,
            title=line["title_ru"],
            header_first_row=int(line["header_first_row"]),
            number_row=int(line["number_row"]),
            code_column=line["code_column"],
            label_caption=line["label_caption"] or "",
            code_caption=line["code_caption"] or "",
            columns=self.columns.filter(pl.col("section") == name).with_columns(number),
            rows=self.rows.filter(pl.col("section") == name).with_columns(code),
        )

    @cache  # noqa: B019
    def template(self, *names: str) -> pl.DataFrame:
        """Every figure of the sections (default: all) as read: section, row, measure, unit, cell, note."""
        wanted = pl.col("section").is_in(names or self.section_names)
        return self.places().filter(wanted).collect(engine="in-memory").rechunk()

    def places(self) -> pl.LazyFrame:
        """What `template` holds, of which only what is wanted is made."""
        sheets = self.sections.select(
            "section",
            pl.col("number_row").cast(pl.Int64),
            sheet=pl.Series(self.sheet_names, dtype=pl.String),
        )
        notes = pl.concat_str("note", "note_row", separator="; ", ignore_nulls=True)
        return (
            sheets.lazy()
            .join(self.columns.lazy(), on="section", maintain_order="left_right")
            .join(self.rows.lazy(), on="section", suffix="_row", maintain_order="left_right")
            .with_columns(
                cell=pl.format(
                    "{}!{}{}",
                    "sheet",
                    "column",
                    pl.col("code").cast(pl.Int64) + pl.col("number_row"),
                ),
                note=pl.when(notes != "").then(notes),
            )
            .select("section", "row", "measure", "unit", "cell", "note")
        )


def form(name: str = BUNDLED) -> Form:
    """A version of the form by its name; the bundled one, unless another is named.

    Raises `FormError` where the store's file of that version has a mistake or is not completed, and
    `UnknownValueError` where there is none.
    """
    if name == BUNDLED:
        return _bundled()
    known = _known()
    for one in known.forms:
        if one.name == name:
            return one
    if name in known.left_out:
        raise FormError(known.left_out[name])
    unknown = unknown_value("version of the form", name, [one.name for one in known.forms])
    raise UnknownValueError("; ".join([str(unknown), *known.left_out.values()]))


_version = form  # where an argument is called `form`


def forms() -> tuple[Form, ...]:
    """Every version known: the bundled one, then those of the user's store.

    A file of the store that is not completed, or has a mistake, is left out: see `left_out`.
    """
    return _known().forms


def left_out() -> list[str]:
    """Why a file of the store is no version: one sentence for each."""
    return list(_known().left_out.values())


def form_at(period: str) -> Form:
    """The version in use in a period: the latest that was first seen in it or before."""
    earlier = [one for one in _in_time(forms()) if one.since <= period]
    return earlier[-1] if earlier else _in_time(forms())[0]


def _in_time(versions: tuple[Form, ...]) -> list[Form]:
    return sorted(versions, key=lambda one: one.since)


class _Known(NamedTuple):
    forms: tuple[Form, ...]
    left_out: dict[str, str]  # version, or file → what is wrong with it


def _known() -> _Known:
    return _read_versions(*_state())


def _state() -> tuple[str, tuple[object, ...]]:
    """The store, and what tells its files of versions from another state of them."""
    where = store_location()
    if "://" in where:
        return where, _remote_state(where, time.monotonic() // MOMENT)
    try:
        with os.scandir(os.path.join(where, "forms")) as found:  # noqa: PTH118  half the time
            stats = [(one.name, one.stat()) for one in found if one.name.endswith(".toml")]
    except OSError:
        return where, ()
    return where, tuple(sorted((n, s.st_mtime_ns, s.st_size, s.st_ino) for n, s in stats))


@lru_cache(maxsize=1)
def _remote_state(where: str, _moment: float) -> tuple[object, ...]:
    """Looked up anew after a moment: it takes a request."""
    from kzresearch.storage import Storage

    return tuple(Storage(where).names("forms/").items())


def user_files(where: str) -> dict[str, str]:
    """The text files of versions in the user's store."""
    if "://" in where:
        from kzresearch.storage import Storage

        storage = Storage(where)
        names = [name for name in storage.names("forms/") if name.endswith(".toml")]
        contents = {name.removeprefix("forms/"): storage.read(name) for name in names}
    else:
        contents = {}
        for path in sorted((Path(where) / "forms").glob("*.toml")):
            with suppress(FileNotFoundError):  # taken away in the meantime
                contents[path.name] = path.read_bytes()
    return {
        name: content.decode("utf-8-sig", "surrogateescape") for name, content in contents.items()
    }


@lru_cache(maxsize=8)
def _read_versions(where: str, _files: tuple[object, ...]) -> _Known:
    """No polars query is made, which would start threads: a process that has them may be forked."""
    known, left_out = {BUNDLED: _bundled()}, {}
    waiting: dict[str, VersionFile] = {}
    texts = user_files(where) if _files else {}
    for name, text in texts.items():
        try:
            file = VersionFile.read(name, text)
        except FormError as error:
            left_out[name.removesuffix(".toml")] = str(error)
            continue
        if file.form in {BUNDLED, *waiting, *left_out}:
            other = waiting.pop(file.form).file if file.form in waiting else "another file"
            other = "the package" if file.form == BUNDLED else other
            twice = file.error(
                f"form = '{file.form}' is described by {other} too; leave one of them"
            )
            left_out[name if file.form == BUNDLED else file.form] = str(twice)
        elif not file.complete:
            left_out[file.form] = f"draft not completed: {name}; fill it in and set complete = true"
        else:
            waiting[file.form] = file
    while waiting:
        # A base goes before what differs from it.
        one = next((file for file in waiting.values() if file.base not in waiting), None)
        one = waiting.pop(one.form if one else next(iter(waiting)))
        try:
            if one.base not in known:
                raise one.error(_no_base(one, left_out))
            version = _resolved(one.file, texts[one.file], known[one.base])
            _check_distinct(one, version, known)
            known[one.form] = version
        except FormError as error:
            left_out[one.form] = str(error)
    return _Known(tuple(known.values()), left_out)


def _no_base(file: VersionFile, left_out: dict[str, str]) -> str:
    reason = left_out.get(file.base, "it is not known, or differs from this one in turn")
    return f"base = '{file.base}' cannot be started from ({reason}); name another, as {BUNDLED}"


@lru_cache(maxsize=64)
def _resolved(file: str, text: str, base: Form) -> Form:
    return VersionFile.read(file, text).resolve(base)


def _check_distinct(file: VersionFile, version: Form, known: dict[str, Form]) -> None:
    """A workbook is of one version; what looks the same has one name, and a name one meaning."""
    mine, my_names = _names_by_layout(version), _meanings(version)
    for other in known.values():
        theirs = _names_by_layout(other)
        if mine.keys() == theirs.keys():
            raise file.error(f"workbooks of version {other.name} look the same; take this file out")
        for layout in mine.keys() & theirs.keys():
            for one, two in zip(mine[layout], theirs[layout], strict=True):
                if one != two:
                    raise file.error(
                        f"section {layout[0]} looks as in version {other.name}, where '{one}' is "
                        f"named '{two}'; name it so here"
                    )
        for name, meaning in _meanings(other).items():
            if my_names.get(name, meaning) != meaning:
                raise file.error(
                    f"'{name}' is '{my_names[name]}' here, but '{meaning}' in version {other.name}; "
                    "say it so, or name it otherwise"
                )


@lru_cache(maxsize=64)
def _meanings(version: Form) -> dict[str, str]:
    """What a name stands for in every version that has it: a measure's meaning, a row's kind."""
    meanings = dict(version.measures.iter_rows())
    for line in version.row_names.iter_rows(named=True):
        kind = [line[key] for key in ("kind", "chapter", "article") if line[key]]
        meanings[str(line["row"])] = " ".join(kind)
    return meanings


@lru_cache(maxsize=64)
def _names_by_layout(version: Form) -> dict[tuple[str, ...], tuple[str, ...]]:
    """How each section looks → what it, its columns and its rows are named."""
    looks: dict[str, list[str]] = {}
    names: dict[str, list[str]] = {}
    for line in version.sections.iter_rows(named=True):
        section = line["section"]
        looks[section] = [str(line[key]) for key in ("section", "title_ru", *GEOMETRY)]
        looks[section].append(line.get("sheet") or section)
        names[section] = []
    for table, name, more in ((version.columns, "measure", "unit"), (version.rows, "row", "row")):
        for line in table.iter_rows(named=True):
            looks[line["section"]].append(line["caption"])
            names[line["section"]] += [line[name], line[more]]
    return {tuple(looks[section]): tuple(names[section]) for section in looks}


@cache
def _bundled() -> Form:
    tables = ("sections", "columns", "rows", "measures", "row_names")
    sections, columns, rows, measures, names = (
        read_texts(_FOLDER / f"{table}.csv") for table in tables
    )
    return Form(BUNDLED, sections, columns, rows, measures, names)


class _Names(NamedTuple):
    """What the versions of the form name, all taken together."""

    sections: list[str]
    measures: dict[str, str]  # with what they mean
    rows: dict[str, dict[str, str | None]]  # lines of `row_names`, in the form's order
    rows_held: dict[str, list[str]]  # by section
    measures_held: dict[str, list[str]]


@lru_cache(maxsize=8)
def _names(versions: tuple[Form, ...]) -> _Names:
    """No polars query is made, which would start threads: a process that has them may be forked."""
    names = _Names([], {}, {}, {}, {})
    for one in versions:
        names.sections.extend(n for n in one.section_names if n not in names.sections)
        names.measures.update(
            zip(one.measures["measure"], one.measures["description"], strict=True)
        )
        _add_in_order(names.rows, one)
        for table, name, held in (
            (one.rows, "row", names.rows_held),
            (one.columns, "measure", names.measures_held),
        ):
            for section, held_name in zip(table["section"], table[name], strict=True):
                found = held.setdefault(section, [])
                if not found or found[-1] != held_name:
                    found.append(held_name)
    for held in (names.rows_held, names.measures_held):
        held.update({section: list(dict.fromkeys(found)) for section, found in held.items()})
    return names


def _add_in_order(rows: dict[str, dict[str, str | None]], version: Form) -> None:
    """Put in the names that a version adds, each after the one before it there."""
    lines = {str(line["row"]): line for line in version.row_names.iter_rows(named=True)}
    if not lines.keys() <= rows.keys():
        order, before = list(rows), ""
        for row in lines:
            if row not in rows:
                order.insert(order.index(before) + 1 if before else 0, row)
            before = row
        in_order = {row: rows.get(row) or lines[row] for row in order}
        rows.clear()
        rows.update(in_order)


def section_names() -> list[str]:
    """The sections in the form's order: R1, R1-1, …, PRIL11."""
    return _names(forms()).sections


def sections_on(sheets: Collection[str]) -> list[str]:
    """The sections that stand on sheets of these names, in any version."""
    found = (
        section
        for one in forms()
        for section, sheet in zip(one.section_names, one.sheet_names, strict=True)
        if sheet in sheets
    )
    return list(dict.fromkeys(found))


def sections() -> pl.DataFrame:
    """One line per section: official and English title, what it counts, where its parts stand."""
    return form().sections


def sheet_title(sheet: str) -> str:
    """What the section on a sheet of that name is called in the reader's language.

    Of a version of the user's own it is the form's Russian title where the reader's is not English.
    """
    lines = (
        line
        for one in forms()
        for name, line in zip(one.sheet_names, one.sections.iter_rows(named=True), strict=True)
        if name == sheet
    )
    line = next(lines)
    return row_name({"name": line["title_en"], "title_ru": line["title_ru"]})


def measure_descriptions() -> list[tuple[str, str]]:
    """Every measure with what it means."""
    return list(_names(forms()).measures.items())


def measures() -> list[str]:
    """Every measure's name, those that only a publication reports included."""
    return list(_names(forms()).measures)


def only_reported() -> frozenset[str]:
    """Measures that no column of the form holds: a publication gives no more than that."""
    held = _names(forms()).measures_held.values()
    return frozenset(measures()) - {name for names in held for name in names}


def held(table: str, sections: list[str]) -> list[str]:
    """The rows (`"rows"`) or measures (`"columns"`) that at least one of the sections has."""
    names = _names(forms())
    by_section = {"rows": names.rows_held, "columns": names.measures_held}[table]
    return list(dict.fromkeys(name for one in sections for name in by_section.get(one, ())))


def warm() -> None:
    """Read what lookups need; no polars query is made."""
    _names(forms())
    for version in forms():
        _lines_by_row(version)


def row_names() -> pl.DataFrame:
    """One line per row key: row, kind, chapter, article, name (English), title_ru (official)."""
    versions = forms()
    return versions[0].row_names if len(versions) == 1 else _all_row_names(versions)


@lru_cache(maxsize=8)
def _all_row_names(versions: tuple[Form, ...]) -> pl.DataFrame:
    lines = list(_names(versions).rows.values())
    return pl.DataFrame(lines, schema=versions[0].row_names.schema)


def row_line(row: str, period: str | None = None) -> dict[str, str | None]:
    """The line of one row key in `row_names`.

    With a period: as the version in use in that period has it, which may title an article anew.
    Without: as the bundled version has it, or else the first version that has the row.
    """
    if period is not None:
        line = _lines_by_row(form_at(period)).get(row)
        if line:
            return line
    return _names(forms()).rows[row]


_SECTION = re.compile(r"[A-Z]+[0-9]+(-[0-9]+)?", re.IGNORECASE)
"""What looks like the name of a section, as no word does."""
_NUMBERED = re.compile(
    r"(?P<kind>Article|Chapter) (?P<number>[^ .,]+)(, part (?P<part>[^ .,]+))?(, point (?P<point>[^ .,]+))?"
)


def row_name(line: Mapping[str, str | None]) -> str:
    """What a line of `row_names` is called in the reader's language; articles by their official title.

    That is the Russian one, which says so where it stands in another language.
    """
    name, title = str(line["name"]), line["title_ru"]
    if current() == "en" or (known := translated(name)) != name:
        return name if current() == "en" else known
    if title and current() != "ru":
        title = say("{title} (in Russian)", title=title)
    found = _NUMBERED.match(name)
    if not found or not title:
        return title or name
    numbers = found.groupdict()
    if numbers["kind"] == "Chapter":
        text = later("Chapter {number}. {title}")
    elif numbers["point"]:
        text = later("Article {number}, part {part}, point {point}. {title}")
    elif numbers["part"]:
        text = later("Article {number}, part {part}. {title}")
    else:
        text = later("Article {number}. {title}")
    return say(text, title=title, **numbers)


@lru_cache(maxsize=64)
def _lines_by_row(version: Form) -> dict[str, dict[str, str | None]]:
    return {str(line["row"]): line for line in version.row_names.iter_rows(named=True)}


def titles(article: str | int) -> pl.DataFrame:
    """What the form called an article, or a row: its name stays, titles change.

    `article` is an article of the Criminal Code (`"146"`) or the name of a row (`"chapter:3"`).

    Returns one line per version in which the title changed, in time: form, from (the first period
    the version was seen in), row, title_ru (official), name (English) and caption (the form's own
    text in the first section that has the row).

    Raises `UnknownValueError` for what no version has.

    Source: the captions of Form 1-M; the English names are this project's, or the user's own.

    >>> kz.titles("146").select("form", "title_ru", "name").rows()
    [('2022', 'Пытки', 'Article 146. Torture')]
    """
    rows = _names(forms()).rows
    row = str(article) if str(article) in rows else f"article:{article}"
    if row not in rows:
        raise unknown_value("article", article, [name.removeprefix("article:") for name in rows])
    found: list[dict[str, str | None]] = []
    for version in _in_time(forms()):
        line = _lines_by_row(version).get(row)
        if line and (not found or line["title_ru"] != found[-1]["title_ru"]):
            captions = zip(version.rows["row"], version.rows["caption"], strict=True)
            caption = next(text for name, text in captions if name == row)
            said = {"form": version.name, "from": version.since, "row": row, "caption": caption}
            found.append({**said, "title_ru": line["title_ru"], "name": line["name"]})
    names = ("form", "from", "row", "title_ru", "name", "caption")
    return pl.DataFrame(found, schema=dict.fromkeys(names, pl.String))


def codebook(
    section: str | Sequence[str] | None = None, form: str = BUNDLED
) -> dy.DataFrame[Codebook]:
    """What sections, rows and columns of the form mean: all of them, or by section or words.

    `section` is a section (`"R1"`), or several; another text is looked for, whatever its case, in the
    names, labels (English ones too), articles, official titles and captions of every section. `form`
    is a version of it: the bundled one, unless the user's store holds another.

    Returns one line per column (623) and per row (9,500) of the form's 26 sections, in the form's
    order, as `kzresearch.schemas.Codebook` describes: its place, its name here, what it means in the
    reader's language, unit, official Russian title and the official caption it is recognised by.

    Raises `UnknownValueError` for a section that the version does not have, words that no line holds, or a version that is not
    there, and `FormError` for one whose file has a mistake.

    Source: the captions of Form 1-M as filed for 2022; the English names are this project's.

    >>> kz.codebook("R1").height
    453
    >>> kz.codebook("пытки").select("section", "name", "label").row(0)
    ('R1', 'article:146', 'Article 146. Torture')
    """
    if isinstance(section, str) and (found := _look_up(section, form)) is not None:
        return found
    if isinstance(section, str) and not _SECTION.fullmatch(section):
        raise UnknownValueError(
            f"no line of the codebook holds {section!r}; give a section ({_version(form).section_names[0]}), "
            "an article (146), or other words, in English, Russian or the language chosen"
        )
    return Codebook.validate(in_words(lines(section, form), "label"))


def lines(section: str | Sequence[str] | None = None, form: str = BUNDLED) -> pl.DataFrame:
    """What `codebook` gives of sections, in English: for files, which are the same in every language."""
    version = _version(form)
    names = version.section_names
    wanted = names if section is None else [section] if isinstance(section, str) else list(section)
    for name in wanted:
        if name not in names:
            raise unknown_value("section", name, names)
    order = pl.col("section").cast(pl.Enum(names))
    columns = version.columns.join(version.measures, on="measure", maintain_order="left").select(
        "section",
        kind=pl.lit("column"),
        number=pl.col("number").cast(pl.Int64),
        position="column",
        name="measure",
        label="description",
        unit="unit",
        article=pl.lit(None, pl.String),
        title_ru=pl.lit(None, pl.String),
        caption="caption",
        note="note",
    )
    number_row = version.sections.select("section", pl.col("number_row").cast(pl.Int64))
    rows = (
        version.rows.join(version.row_names, on="row", maintain_order="left")
        .join(number_row, on="section", maintain_order="left")
        .select(
            "section",
            kind=pl.lit("row"),
            number=pl.col("code").cast(pl.Int64),
            position=(pl.col("code").cast(pl.Int64) + pl.col("number_row")).cast(pl.String),
            name="row",
            label="name",
            unit=pl.lit(None, pl.String),
            article="article",
            title_ru="title_ru",
            caption="caption",
            note="note",
        )
    )
    return (
        pl.concat([columns, rows])
        .filter(pl.col("section").is_in(wanted))
        .sort(order, "kind", "number", maintain_order=True)
    )


def in_words(told: pl.DataFrame, meaning: str) -> pl.DataFrame:
    """Lines of a codebook in the reader's language: the column `meaning`, and notes."""
    if current() == "en":
        return told
    said = [
        text
        and (row_name({"name": text, "title_ru": title}) if kind == "row" else translated(text))
        for kind, text, title in told.select("kind", meaning, "title_ru").iter_rows()
    ]
    notes = [noted(note) for note in told["note"]]
    return told.with_columns(
        pl.Series(meaning, said, pl.String), pl.Series("note", notes, pl.String)
    )


def _look_up(words: str, form: str) -> dy.DataFrame[Codebook] | None:
    """Lines of the codebook that hold a text; None for a section's name, and for what no line holds."""
    if words in _version(form).section_names or not words.strip():
        return None
    english = lines(form=form)
    every = in_words(english, "label").with_columns(english=english["label"])
    names = ("name", "label", "english", "title_ru", "caption")
    texts = [pl.col(name).str.to_lowercase() for name in names]
    holding = [text.str.contains(words.strip().lower(), literal=True) for text in texts]
    found = every.filter(pl.any_horizontal(pl.col("article") == words.strip(), *holding))
    return Codebook.validate(found.drop("english")) if found.height else None


def parse_articles(caption: str) -> list[tuple[str, str | None, str | None]]:
    """Articles a caption names, as (article, part, point): `'… (ст.120 ч.3 п.1)'` → 120, 3, 1.

    Only parentheses that hold `ст.` count. `296-303` is a range, `188-1` an article of its own:
    `N-M` is a range where M > N. Articles stay strings, so that `'001'` keeps its noughts.
    """
    import re

    found: list[tuple[str, str | None, str | None]] = []
    for group in re.findall(r"\(([^()]*ст\.[^()]*)\)", " ".join(caption.split())):
        text = re.sub(r"\bУК(\s+РК)?\b", "", group).replace(" и ", ",")
        for item in re.sub(r"(ст\.\s*)+", "", text).split(","):
            match = re.match(
                r"\s*(\d+)(?:-(\d+))?\.?\s*(?:ч\.\s*(\d+))?\s*(?:п\.\s*(\d+))?\s*$", item
            )
            if not match:
                raise ValueError(f"no article in {item!r} of {caption!r}")
            number, suffix, part, point = match.groups()
            if suffix and int(suffix) > int(number):
                last = int(suffix)
                if last - int(number) > MAX_ARTICLES:
                    raise ValueError(f"no article in {item!r} of {caption!r}: too wide a range")
                found += [(str(n), part, point) for n in range(int(number), last + 1)]
            elif not suffix and len(number) == 1 and found and found[-1][1]:
                found.append((found[-1][0], number, point))
            else:
                found.append((f"{number}-{suffix}" if suffix else number, part, point))
    return found
