"""A version of the form as a text file: what differs from a version that is known.

`docs/forms.md` describes the file. Everything that the file does not name is as in its base.
"""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import polars as pl

from kzresearch.errors import FormError
from kzresearch.form_1m.workbook import column_index, column_letters
from kzresearch.schemas import PERIOD, UNITS

if TYPE_CHECKING:
    from kzresearch.form_1m.codebook import Form

Line = dict[str, str | None]

HEADER = ("form", "base", "complete", "from")
TABLES = ("removed_sheets", "removed_rows", "removed_columns", "sheet", "row", "column")
GEOMETRY = ("header_first_row", "number_row", "code_column", "label_caption", "code_caption")
WORDS = ("title", "title_en", "scope")  # of a sheet
DEFINITION = ("kind", "chapter", "article", "name", "title_ru")  # of a row name
ROW_KEYS = ("caption", "at", "row", "was", "same", "note", *DEFINITION)
COLUMN_KEYS = ("caption", "at", "measure", "unit", "description", "was", "same", "note")
SHEET_KEYS = ("name", "was", "like", *WORDS, *GEOMETRY, "same")
MAX_HEAD = 40  # rows of a sheet's head
OF_AN_ARTICLE = ("article", "article_part", "article_detail", "attempt")

FORM_NAME = re.compile(r"\w[\w.-]*", re.ASCII)
_MEASURE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_ROW = re.compile(r"[a-z]+(_[a-z]+)*(:[a-z0-9]+([_-][a-z0-9]+)*)*")
_NUMBERED = re.compile(r"\b(?:rows?|columns?) \d")


@lru_cache(maxsize=16_384)
def article_key(caption: str) -> str | None:
    """The row name of the one article that a caption names: `article:146`; None for any other."""
    from kzresearch.form_1m.codebook import parse_articles

    try:
        ((article, part, point),) = parse_articles(caption)
    except ValueError:
        return None
    return (
        f"article:{article}"
        + (f":part_{part}" if part else "")
        + (f":point_{point}" if point else "")
    )


def title_of(caption: str) -> str:
    """The title in a row's caption, without its group, its chapter's number and its article's."""
    last = re.sub(r"\s*\([^()]*ст\.[^()]*\)", "", caption.rsplit(" > ", 1)[-1])
    return re.sub(r"^Глава \d+(-\d+)?\.\s*", "", last).strip()


@dataclass(frozen=True)
class _Block:
    """A table of a file. Every mistake in it names the file, the block and what to do."""

    where: str
    table: dict[str, Any]
    keys: tuple[str, ...]

    def __post_init__(self) -> None:
        for key in self.table:
            if key not in self.keys:
                raise self.error(f"'{key}' is not known here; known are {', '.join(self.keys)}")

    def error(self, what: str) -> FormError:
        return FormError(f"{self.where}: {what}")

    def text(self, key: str) -> str:
        """A text, '' where nothing stands."""
        value = self.table.get(key, "")
        if not isinstance(value, str):
            raise self.error(f"{key} = {value!r} is no text; put it between quotes")
        return " ".join(value.split())

    def needed(self, key: str, why: str) -> str:
        text = self.text(key)
        if not text:
            raise self.error(f'{why}; set {key} = "…"')
        return text

    def flag(self, key: str) -> bool | None:
        value = self.table.get(key)
        if value is not None and not isinstance(value, bool):
            raise self.error(f"{key} = {value!r} is neither true nor false")
        return value

    def head(self) -> Line:
        """What is said of a sheet's title and head."""
        said: Line = {}
        for key, column in (("title", "title_ru"), ("title_en", "title_en"), ("scope", "scope")):
            if key in self.table:
                said[column] = self.needed(key, f"the sheet's {key} is empty")
        for key in ("header_first_row", "number_row"):
            value = self.table.get(key, 1)
            if type(value) is not int or not 1 <= value <= MAX_HEAD:
                raise self.error(f"{key} = {value!r} is no row of a sheet's head")
            said |= {key: str(value)} if key in self.table else {}
        for key in ("code_column", "label_caption", "code_caption"):
            said |= {key: self.text(key) or None} if key in self.table else {}
        return said

    def numbers(self, key: str) -> dict[str, int]:
        """A table of whole numbers from 1: `at = { R1 = 65 }`."""
        value = self.table.get(key)
        if not isinstance(value, dict) or not value:
            raise self.error(
                f"no place; set {key} = {{ R1 = 65 }}, for each sheet the number there"
            )
        for section, number in value.items():
            if not isinstance(number, int) or isinstance(number, bool) or number < 1:
                raise self.error(f"{key}: {section} = {number!r} is no whole number from 1")
        return value


@dataclass(frozen=True)
class VersionFile:
    """A version of the form as its file has it."""

    file: str
    form: str
    base: str
    complete: bool
    since: str
    table: dict[str, Any] = field(repr=False)

    @classmethod
    def read(cls, file: str, text: str) -> VersionFile:
        """The file's beginning; FormError for what is no TOML, or says not what it describes."""
        if re.search("[\udc80-\udcff]", text):  # bytes that stand for no character
            raise FormError(f"{file}: is not text in UTF-8; save it as such")
        try:
            table = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise FormError(f"{file}: {error}; mend that line") from None
        head = _Block(file, table, (*HEADER, *TABLES))
        form = head.needed("form", "the version has no name")
        if not FORM_NAME.fullmatch(form):
            raise head.error(f"form = '{form}' is no name; use letters, digits, '.', '-' and '_'")
        base = head.needed("base", "the version that this one differs from is not named")
        return cls(file, form, base, bool(head.flag("complete")), head.text("from"), table)

    def error(self, what: str) -> FormError:
        """A mistake in this file."""
        return FormError(f"{self.file}: {what}")

    def resolve(self, base: Form) -> Form:
        """The whole version. Raises FormError, one sentence, for the first mistake in the file."""
        if not re.fullmatch(PERIOD, self.since):
            raise self.error('the first period of this version is missing; set from = "YYYY-MM"')
        return _Resolved(self, base).form()

    def blocks(self, name: str, keys: tuple[str, ...], label: str) -> list[_Block]:
        """The blocks `[[name]]`, each labelled with its number and what is in it."""
        found = self.table.get(name, [])
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise self.error(f"{name} is written [[{name}]], once for each")
        return [
            _Block(f"{self.file}: [[{name}]] {n}, '{one.get(label, '')}'", one, keys)
            for n, one in enumerate(found, 1)
        ]

    def removed(self, name: str) -> dict[str, list[int]]:
        """Section → numbers in the base."""
        found = self.table.get(name, {})
        if not isinstance(found, dict) or not all(
            isinstance(numbers, list) and all(type(number) is int for number in numbers)
            for numbers in found.values()
        ):
            raise self.error(f"[{name}] gives numbers of the base by sheet, as R1 = [12, 13]")
        return found


@dataclass(frozen=True)
class _Kind:
    """What sets rows and columns apart."""

    what: str  # row, and the key of its blocks
    keys: tuple[str, ...]
    number: str  # column of the table
    name: str


_ROWS = _Kind("row", ROW_KEYS, "code", "row")
_COLUMNS = _Kind("column", COLUMN_KEYS, "number", "measure")


class _Resolved:
    """A base with the differences of a file applied to it."""

    def __init__(self, file: VersionFile, base: Form) -> None:
        self.file, self.base = file, base
        self.names: dict[str, Line] = {str(n["row"]): n for n in _lines(base.row_names)}
        self.meanings: dict[str, str] = dict(base.measures.iter_rows())
        self.units: dict[str, set[str]] = defaultdict(set)
        self.captions: dict[str, set[str]] = defaultdict(set)  # of rows and measures in the base
        for line in _lines(base.columns):
            self.units[str(line["measure"])].add(str(line["unit"]))
        for table, name in ((base.rows, "row"), (base.columns, "measure")):
            for line in _lines(table):
                self.captions[str(line[name])].add(str(line["caption"]))
        self.sections: dict[str, Line] = {}
        self.models: dict[str, str | None] = {}  # section → the base's section that it starts from

    def form(self) -> Form:
        from kzresearch.form_1m.codebook import Form

        self._read_sheets()
        columns = self._tables(_COLUMNS, self.base.columns)
        rows = self._tables(_ROWS, self.base.rows)
        for name, line in self.sections.items():
            code = column_index(str(line["code_column"]))
            for column in columns[name]:
                column["column"] = column_letters(code + int(str(column["number"])))
            line["first_value_column"] = column_letters(code + 1)
            line["columns"], line["rows"] = str(len(columns[name])), str(len(rows[name]))
        held = {line["row"] for lines in rows.values() for line in lines}
        return Form(
            self.file.form,
            _frame(self.sections.values(), [*self.base.sections.columns, "sheet"]),
            _frame((line for of in columns.values() for line in of), self.base.columns.columns),
            _frame((line for of in rows.values() for line in of), self.base.rows.columns),
            _frame(({"measure": m, "description": d} for m, d in self.meanings.items()),
                   self.base.measures.columns),
            _frame((n for n in self._in_order(rows) if n["row"] in held), self.base.row_names.columns),
            since=self.file.since,
        )  # fmt: skip

    def _in_order(self, rows: dict[str, list[Line]]) -> list[Line]:
        """The names' lines; a new one after that of the row above it."""
        known = {line["row"] for line in _lines(self.base.row_names)}
        order = [name for name in self.names if name in known]
        for lines in rows.values():
            above: str | None = None
            for name in (str(line["row"]) for line in lines):
                if name not in known:
                    order.insert(order.index(above) + 1 if above else 0, name)
                    known.add(name)
                above = name
        return [self.names[name] for name in order]

    # sheets

    def _read_sheets(self) -> None:
        base = {str(line["section"]): line for line in _lines(self.base.sections)}
        removed = self.file.table.get("removed_sheets", [])
        if not isinstance(removed, list):
            raise self.file.error('removed_sheets is a list, as ["PRIL4"]')
        for name in removed:
            if name not in base:
                raise self.file.error(f"removed_sheets: {self._no_sheet(name)}")
        for name, line in base.items():
            if name not in removed:
                self.sections[name] = {**line, "sheet": line.get("sheet") or name}
                self.models[name] = name
        for block in self.file.blocks("sheet", SHEET_KEYS, "name"):
            self._read_sheet(block, base)
        sheets = [line["sheet"] for line in self.sections.values()]
        for sheet in sheets:
            if sheets.count(sheet) > 1:
                raise self.file.error(
                    f"two sections stand on the sheet '{sheet}'; leave one of them"
                )

    def _read_sheet(self, block: _Block, base: dict[str, Line]) -> None:
        sheet, like = block.needed("name", "the sheet is not named"), block.text("like")
        section = block.text("was") or sheet
        if block.text("was") and section not in self.sections:
            raise block.error(f"was: {self._no_sheet(section)}")
        if like and like not in base:
            raise block.error(f"like: {self._no_sheet(like)}")
        if like and section in self.sections:
            raise block.error("is a sheet of the base; leave 'like' out")
        if section not in self.sections:  # an added one
            for key in WORDS if like else (*WORDS, *GEOMETRY[:3]):
                if key not in block.table:
                    raise block.error(f"the added sheet lacks its {key}; set {key} = …")
            self.sections[section] = {
                **{key: base[like][key] for key in (GEOMETRY if like else ())},
                "section": section,
            }
            self.models[section] = like or None
        line, title = self.sections[section], block.text("title")
        if "title_ru" in line and title not in ("", line["title_ru"]) and not block.flag("same"):
            raise block.error(
                f"its title was '{line['title_ru']}': set same = true if the sheet counts what it "
                "counted; if not, list it in removed_sheets and describe it as an added one"
            )
        line.update({"sheet": sheet, **block.head()})
        if not re.fullmatch(r"[A-Z]{1,2}", str(line["code_column"])):
            raise block.error("code_column is the letters of a column, as D")
        if int(str(line["header_first_row"])) >= int(str(line["number_row"])):
            raise block.error("header_first_row lies above number_row; set both")

    def _no_sheet(self, name: object) -> str:
        return f"version {self.base.name} has no section {name!r}; it has {', '.join(self.base.section_names)}"

    # rows and columns

    def _tables(self, kind: _Kind, table: pl.DataFrame) -> dict[str, list[Line]]:
        """Section → its rows, or columns."""
        by_section: dict[str, list[Line]] = defaultdict(list)
        for line in _lines(table):
            by_section[str(line["section"])].append(line)
        removed = self.file.removed(f"removed_{kind.what}s")
        for section in removed:
            self._check_section(section, f"[removed_{kind.what}s]")
        blocks = self.file.blocks(kind.what, kind.keys, "caption")
        placed: dict[str, dict[int, _Block]] = defaultdict(dict)
        for block in blocks:
            for section, number in block.numbers("at").items():
                self._check_section(
                    section, f"{block.where.removeprefix(self.file.file + ': ')}: at"
                )
                if number in placed[section]:
                    raise block.error(
                        f"{kind.number} {number} of {section} is given twice; a {kind.what} has its own"
                    )
                placed[section][number] = block
        self._define(kind, blocks)
        return {
            section: self._section_table(
                kind, section, by_section.get(self.models[section] or "", []),
                removed.get(section, []), placed.get(section, {}),
            )
            for section in self.sections
        }  # fmt: skip

    def _check_section(self, section: str, where: str) -> None:
        if section not in self.sections:
            raise self.file.error(
                f"{where}: this version has no section {section!r}; it has {', '.join(self.sections)}"
            )

    def _section_table(
        self,
        kind: _Kind,
        section: str,
        base: list[Line],
        removed: list[int],
        placed: dict[int, _Block],
    ) -> list[Line]:
        for number in removed:
            if not 1 <= number <= len(base):
                raise self.file.error(
                    f"[removed_{kind.what}s]: {section} of version {self.base.name} has {len(base)} "
                    f"{kind.what}s, so none of number {number}"
                )
        kept = [line for number, line in enumerate(base, 1) if number not in removed]
        total = len(kept) + len(placed)
        for number, block in placed.items():
            if number > total:
                raise block.error(
                    f"{section} = {number}, but {section} has {total} {kind.what}s: "
                    f"{len(kept)} of version {self.base.name} and {len(placed)} placed"
                )
            self._check_identity(kind, block, section, base, removed)
        rest = iter(kept)
        lines = [
            self._placed(kind, placed[n], base) if n in placed else dict(next(rest))
            for n in range(1, total + 1)
        ]
        renumbered = bool(removed or placed)
        seen: dict[str | None, int] = {}
        for number, line in enumerate(lines, 1):
            name = line[kind.name]
            if name in seen:
                raise placed.get(number, placed.get(seen[name], self.file)).error(
                    f"'{name}' would stand twice in {section}, as {kind.number} {seen[name]} and {number}"
                )
            seen[name] = number
            line.update({"section": section, kind.number: str(number)})
            note = line.get("note")
            if renumbered and note and _NUMBERED.search(note) and "(numbers of" not in note:
                line["note"] = f"{note} (numbers of version {self.base.name})"
        return lines

    def _placed(self, kind: _Kind, block: _Block, base: list[Line]) -> Line:
        """The line of a row or column that a block puts in; its note stays with its name."""
        name = block.text(kind.name)
        earlier = next((line for line in base if line[kind.name] == name), {})
        line: Line = {
            "caption": block.needed("caption", "no caption"),
            kind.name: name,
            "note": block.text("note") or earlier.get("note"),
        }
        if kind is _COLUMNS:
            line["unit"] = block.text("unit") or earlier.get("unit") or min(self.units[name])
        return line

    def _check_identity(
        self, kind: _Kind, block: _Block, section: str, base: list[Line], removed: list[int]
    ) -> None:
        """A name goes on meaning what it means."""
        name, caption, same = block.text(kind.name), block.text("caption"), block.flag("same")
        was, version = block.text("was"), self.base.name
        if same is False:
            raise block.error(
                f"it is not confirmed that this is '{was or name}' of version {version}: set "
                f"same = true if it is; if not, take 'same' and 'was' out and name it otherwise"
            )
        number, line = next(
            ((n, one) for n, one in enumerate(base, 1) if one[kind.name] == name), (0, None)
        )
        if line and number not in removed:
            raise block.error(
                f"'{name}' is {kind.what} {number} of {section} in version {version}, "
                f"'{line['caption']}'; name this one otherwise, or list {number} under "
                f"[removed_{kind.what}s]"
            )
        unit = block.text("unit") if kind is _COLUMNS else ""
        if line and unit and unit != line["unit"]:
            raise block.error(
                f"'{name}' counts {line['unit']} in {section} of version {version}, not {unit}; name "
                "another measure"
            )
        certain = same or (kind is _ROWS and article_key(caption) == name)
        if line and caption != line["caption"]:
            if was != line["caption"]:
                raise block.error(
                    f"'{name}' is '{line['caption']}' in {section} of version {version}; if this is "
                    f'the same, set was = "{line["caption"]}", if not, name it otherwise'
                )
            if not certain:
                raise block.error(
                    f"was '{was}': set same = true if it is the same {kind.what}, if not, name it "
                    "otherwise"
                )
        elif was and not line:
            raise block.error(f"was: no '{name}' stands in {section} of version {version}")
        elif not line and name in self.captions and not certain:
            known = self.captions[name]
            if caption not in known:
                raise block.error(
                    f"'{name}' is '{min(known)}' in version {version}: set same = true if this is "
                    "the same, if not, name it otherwise"
                )

    def _define(self, kind: _Kind, blocks: list[_Block]) -> None:
        """Take up what the blocks say of their names."""
        for block in blocks:
            block.needed("caption", "no caption")
        named: dict[str, list[_Block]] = defaultdict(list)
        for block in blocks:
            pattern = _ROW if kind is _ROWS else _MEASURE
            name = block.needed(kind.name, f"the {kind.what} has no name")
            if not pattern.fullmatch(name):
                raise block.error(
                    f"{kind.name} = '{name}' is no name: it is written in small Latin letters, "
                    f"as {'article:146-1' if kind is _ROWS else 'registered_in_month'}"
                )
            named[name].append(block)
        for name, of in named.items():
            if kind is _ROWS:
                self._define_row(name, of)
            else:
                self._define_measure(name, of)

    def _define_row(self, name: str, blocks: list[_Block]) -> None:
        given = {key: self._one(blocks, key) for key in DEFINITION}
        first, known = blocks[0], self.names.get(name)
        if not known:
            self._check_new_row(name, given, blocks)
            title = given["title_ru"] or title_of(first.text("caption"))
            values = {**given, "row": name, "title_ru": title}
            self.names[name] = {key: value or None for key, value in values.items()}
            return
        for key in ("kind", "chapter", "article"):
            if given[key] and given[key] != known[key]:
                raise first.error(
                    f"{key} = '{given[key]}', but '{name}' has '{known[key] or ''}' in version "
                    f"{self.base.name}; leave it out"
                )
        if given["title_ru"] not in ("", known["title_ru"]) and not given["name"]:
            raise first.error(f"no title in English (it was '{known['name']}'); set name = \"…\"")
        changed = {key: given[key] for key in ("name", "title_ru") if given[key]}
        self.names[name] = {**known, **changed}

    def _check_new_row(self, name: str, given: dict[str, str], blocks: list[_Block]) -> None:
        first, kind, article = blocks[0], given["kind"], given["article"]
        kinds = sorted(set(self.base.row_names["kind"].to_list()))
        if kind not in kinds:
            raise first.error(f"kind = '{kind}' is not known; known are {', '.join(kinds)}")
        if not given["name"]:
            raise first.error('no name in English; set name = "…"')
        if kind in OF_AN_ARTICLE:
            for key in ("article", "chapter"):
                if not given[key]:
                    raise first.error(f'a row of an article has its {key}; set {key} = "…"')
            start = f"article:{article}"
            if name != start if kind == "article" else not name.startswith(f"{start}:"):
                raise first.error(f"row = '{name}', but its article is {article}; mend one")
        for block in blocks if kind in ("article", "article_part") else ():
            named = article_key(block.text("caption"))
            if named not in (None, name):
                raise block.error(f"row = '{name}', but the caption names {named}; mend one")

    def _define_measure(self, name: str, blocks: list[_Block]) -> None:
        meaning, first = self._one(blocks, "description"), blocks[0]
        version, units = self.base.name, self.units.get(name, set())
        for unit, block in ((block.text("unit"), block) for block in blocks):
            if unit and unit not in UNITS:
                raise block.error(f"unit = '{unit}' is not known; known are {', '.join(UNITS)}")
            if unit and units and unit not in units:
                counted = " or ".join(sorted(units))
                raise block.error(
                    f"'{name}' counts {counted} in version {version}, not {unit}; name another measure"
                )
            if not unit and len(units) != 1:
                raise block.error(f'the unit is not stated; set unit = "{UNITS[0]}", or another')
        if meaning not in ("", known := self.meanings.get(name, meaning)):
            raise first.error(
                f"'{name}' means '{known}' in version {version}; name another measure"
            )
        if not known:
            raise first.error('what it counts is not said; set description = "…", in English')
        self.units[name].update(filter(None, (block.text("unit") for block in blocks)))
        self.meanings.setdefault(name, known)

    def _one(self, blocks: list[_Block], key: str) -> str:
        """What the blocks of one name say of it, which is the same in all that say something."""
        said = list(dict.fromkeys(text for block in blocks if (text := block.text(key))))
        if len(said) > 1:
            raise blocks[-1].error(f"{key} is '{said[0]}' in one block and '{said[1]}' in another")
        return said[0] if said else ""


def _lines(table: pl.DataFrame) -> Iterable[Line]:
    return table.iter_rows(named=True)


def _frame(lines: Iterable[Line], columns: Iterable[str]) -> pl.DataFrame:
    """Texts as a frame, without a query."""
    names = list(dict.fromkeys(columns))
    rows = list(lines)
    data = {name: [line.get(name) for line in rows] for name in names}
    return pl.DataFrame(data, schema=dict.fromkeys(names, pl.String))
