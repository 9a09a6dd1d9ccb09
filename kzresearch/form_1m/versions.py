"""How a workbook differs from the nearest version of the form, and a draft of the version it is of.

What is said here is for a researcher to read and complete: no figure is ever read by it.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from kzresearch.errors import FormError, WorkbookError
from kzresearch.form_1m import codebook, layout
from kzresearch.form_1m.codebook import Form
from kzresearch.form_1m.version_files import (
    GEOMETRY,
    MAX_HEAD,
    OF_AN_ARTICLE,
    article_key,
    title_of,
)
from kzresearch.form_1m.workbook import Head, Workbook, column_letters
from kzresearch.schemas import UNITS

T = TypeVar("T", bound=Hashable)

MAX_ROWS = 3_000  # of a sheet; the form has 422
MAX_CAPTION = 3_000  # characters
MAX_COMPARED = 2_500  # pairs of captions looked at for a likeness
ALIKE = 0.5  # of two captions, at least: one may be the other, renamed

_PART = re.compile(r"(из них|из граф|в т\.\s?ч|в том числе)", re.IGNORECASE)
_CHAPTER = re.compile(r"Глава (\d+(?:-\d+)?)\.")
_REFERENCE = {
    "row": re.compile(r"(?:строк\w*|стр\.)\s*(\d+)(?:\s*[-–]\s*(\d+))?(?!\d*\s*раздел)"),
    "column": re.compile(r"(?:граф\w*|гр\.)\s*(\d+)(?:\s*[-–]\s*(\d+))?(?!\d*\s*раздел)"),
}


@dataclass(frozen=True)
class Sheet:
    """What a sheet is recognised by, as it is in a workbook or in a version."""

    name: str
    title: str
    header_first_row: int
    number_row: int
    code_column: str
    label_caption: str
    code_caption: str
    columns: list[str] = field(repr=False)  # captions in order
    rows: list[str] = field(repr=False)

    @property
    def captions(self) -> Counter[tuple[str, str]]:
        """Every caption of a row or a column, with how often it stands."""
        return Counter([("row", c) for c in self.rows] + [("column", c) for c in self.columns])


@dataclass(frozen=True)
class Change:
    """A row or column that a sheet has and its base has not, or the other way round, or elsewhere."""

    what: str  # row or column
    section: str
    old: int | None  # number in the base
    new: int | None
    caption: str  # in the workbook; in the base, where it is gone
    was: str  # in the base, '' where it has none
    name: str  # row or measure where it is known, ''
    unit: str = ""
    doubt: str = ""  # why it may not be what its name says; '' where that is sure

    @property
    def kind(self) -> str:
        """Added, removed, renamed or moved."""
        if self.old is None or self.new is None:
            return "added" if self.old is None else "removed"
        return "moved" if self.caption == self.was else "renamed"


@dataclass(frozen=True)
class Difference:
    """All that sets a workbook apart from a version."""

    form: Form
    equal: dict[str, tuple[int, int]]  # rows and columns found again, of how many
    removed: list[str]  # sections
    added: dict[str, str]  # sheet → the section it is like, ''
    renamed: dict[str, str]  # section → sheet
    changed: dict[str, dict[str, tuple[str, str]]]  # section → part of its head → was, is
    changes: list[Change]
    unread: dict[str, str]  # sheet → why nothing can be said of it
    sheets: dict[str, Sheet] = field(repr=False)  # section → as found

    @property
    def nothing(self) -> bool:
        """Whether the workbook's sheets, captions and codes are those of the version."""
        parts = (self.removed, self.added, self.renamed, self.changed, self.changes, self.unread)
        return not any(parts)


@dataclass(frozen=True)
class Explanation:
    """How a workbook differs from the nearest version: `form` names it, `text` says how."""

    form: str
    matches: bool
    text: str

    def __str__(self) -> str:
        return self.text


def explain(path: str | Path) -> Explanation:
    """How a workbook differs from the nearest version of the form known, in words.

    Raises WorkbookError for a file that is no workbook, or has nothing of the form in it.
    """
    workbook = Workbook.open(path)
    found = _difference(workbook)
    if found.nothing:
        return Explanation(found.form.name, True, _nothing(workbook, found.form))
    return Explanation(found.form.name, False, "\n".join(_said(workbook.name, found)))


def draft(path: str | Path, name: str) -> str:
    """The text of a file that describes the version a workbook is of, for a researcher to complete.

    Everything that is not certain is left open in it. Raises WorkbookError for a workbook that is of
    a version known, or has a sheet that is not laid out as the form's; FormError for a name that is
    taken.
    """
    workbook = Workbook.open(path)
    found = _difference(workbook)
    if name in [form.name for form in codebook.forms()]:
        raise FormError(
            f"version '{name}' of the form is there already; give the draft another name"
        )
    if found.nothing:
        raise workbook.error("", f"is of version {found.form.name}; there is nothing to draft")
    for sheet, reason in found.unread.items():
        raise workbook.error(sheet, f"{reason}; use the file as it was published")
    return "\n".join(_drafted(name, found)) + "\n"


def nearest(workbook: Workbook, forms: Iterable[Form]) -> Form:
    """The version that has most captions of the workbook's."""
    sheets, _ = _sheets(workbook)
    return _nearest(sheets, forms)


def _nearest(sheets: dict[str, Sheet], forms: Iterable[Form]) -> Form:
    return max(forms, key=lambda form: sum(_equal(form, sheets)))


def _equal(form: Form, sheets: dict[str, Sheet]) -> Iterator[int]:
    for section, sheet in zip(form.section_names, form.sheet_names, strict=True):
        if sheet in sheets:
            yield (_of_form(form, section).captions & sheets[sheet].captions).total()


# What is there


@lru_cache(maxsize=512)
def _of_form(form: Form, name: str) -> Sheet:
    section = form.section(name)
    return Sheet(
        section.sheet,
        section.title,
        section.header_first_row,
        section.number_row,
        section.code_column,
        section.label_caption,
        section.code_caption,
        section.columns["caption"].to_list(),
        section.rows["caption"].to_list(),
    )


def _sheets(workbook: Workbook) -> tuple[dict[str, Sheet], dict[str, str]]:
    """The workbook's sheets by name; and those that are not laid out as the form's, with why."""
    found: dict[str, Sheet] = {}
    unread: dict[str, str] = {}
    for name in workbook.sheets:
        sheet = _sheet(name, workbook.head(name, MAX_ROWS + MAX_HEAD))
        if isinstance(sheet, Sheet):
            found[name] = sheet
        else:
            unread[name] = sheet
    return found, unread


def _sheet(name: str, head: Head) -> Sheet | str:
    """A sheet as it is laid out; in words, why it is not laid out as a sheet of the form."""
    texts = {place: head.text(*place)[:MAX_CAPTION] for place in head.cells if place[0] <= MAX_HEAD}
    place = next(
        (
            (row, column)
            for row, column in sorted(texts)
            if row <= MAX_HEAD
            and texts[row, column] == layout.CODE_HEADING
            and texts.get((row, column + 1)) == "1"
        ),
        None,
    )
    if place is None:
        return f"has no row with '{layout.CODE_HEADING}' and the column numbers 1, 2, 3 after it"
    number_row, code = place
    label = min(column for row, column in texts if row == number_row)
    width = 0
    while texts.get((number_row, code + width + 1)) == str(width + 1):
        width += 1
    # A title stands above the labels alone; the head begins where the first column has a caption too.
    first = next(
        (
            row
            for row in range(1, number_row)
            if texts.get((row, label)) and texts.get((row, code + 1))
            if texts[row, label] != texts[row, code + 1]
        ),
        None,
    )
    if first is None:
        return "has no captions above its column numbers"

    def caption(column: int) -> str:
        path = layout.heading_path((r, head.text(r, column)) for r in range(first, number_row))
        return " > ".join(text for _, text in path)[:MAX_CAPTION]

    labels: dict[int, list[str]] = defaultdict(list)
    for row, column in sorted(place for place in head.cells if place[1] <= code):
        if row > number_row:
            labels[row] += [head.text(row, column)] if column < code else []
    rows: list[str] = []
    while number_row + len(rows) + 1 in labels:
        rows.append(" > ".join(labels[number_row + len(rows) + 1])[:MAX_CAPTION])
    if len(rows) > MAX_ROWS:
        return f"has more than {MAX_ROWS} rows"
    title = " / ".join(texts[place] for place in sorted(texts) if place[0] < first)
    captions = [caption(code + number) for number in range(1, width + 1)]
    letters = column_letters(code)
    return Sheet(
        name, title, first, number_row, letters, caption(label), caption(code), captions, rows
    )


# What differs


def _difference(workbook: Workbook) -> Difference:
    sheets, unread = _sheets(workbook)
    form = _nearest(sheets, codebook.forms())
    known = {
        caption for section in form.section_names for caption in _of_form(form, section).captions
    }
    if known.isdisjoint(caption for sheet in sheets.values() for caption in sheet.captions):
        raise workbook.error("", "has no sheet that is laid out as one of Form 1-M's; give another")
    return _compared(form, sheets, unread)


def _compared(form: Form, sheets: dict[str, Sheet], unread: dict[str, str]) -> Difference:
    by_section: dict[str, Sheet] = {}
    missing, sheets = [], dict(sheets)
    for section, name in zip(form.section_names, form.sheet_names, strict=True):
        if name in sheets:
            by_section[section] = sheets.pop(name)
        elif name not in unread:
            missing.append(section)
    added, renamed = {}, {}
    for name, sheet in sheets.items():
        likeness = {
            s: (_of_form(form, s).captions & sheet.captions).total() for s in form.section_names
        }
        best = max(likeness, key=lambda section: likeness[section])
        # Several sections have the same captions, and their titles alone set them apart.
        gone = next((s for s in missing if _of_form(form, s).title == sheet.title), "")
        size = sheet.captions.total()
        if gone and likeness[gone] > size / 2:
            renamed[gone] = name
            missing.remove(gone)
            by_section[gone] = sheet
        else:
            added[name] = best if likeness[best] > size / 2 else ""
            by_section[name] = sheet
    changed: dict[str, dict[str, tuple[str, str]]] = {}
    changes: list[Change] = []
    equal = {"row": (0, 0), "column": (0, 0)}
    for section, sheet in by_section.items():
        model = added.get(section, section)
        was = _of_form(form, model) if model else None
        if (was and section not in added and (parts := _head_changes(was, sheet))) or (
            was and (parts := _head_changes(was, sheet, GEOMETRY))
        ):
            changed[section] = parts
        for what in ("row", "column"):
            found = list(_changes(form, model, section, what, sheet))
            changes += found
            total = len(sheet.rows if what == "row" else sheet.columns)
            moved = sum(change.new is not None for change in found)
            equal[what] = equal[what][0] + total - moved, equal[what][1] + total
    return Difference(form, equal, missing, added, renamed, changed, changes, unread, by_section)


def _head_changes(
    was: Sheet, sheet: Sheet, keys: tuple[str, ...] = ("title", *GEOMETRY)
) -> dict[str, tuple[str, str]]:
    pairs = {key: (str(getattr(was, key)), str(getattr(sheet, key))) for key in keys}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


def _changes(form: Form, model: str, section: str, what: str, sheet: Sheet) -> Iterator[Change]:
    """Rows (or columns) of a sheet that are not where its base has them."""
    new = sheet.rows if what == "row" else sheet.columns
    old, names, units = _base(form, model, what) if model else ([], [], [])
    pairs = _paired(old, new, what)
    doubts = dict(_doubts(old, new, names, pairs, what))
    in_place = _in_place(pairs, {*doubts})
    taken = {i for i, _ in pairs.values()}
    for j, caption in enumerate(new):
        i, guess = pairs.get(j, (None, ""))
        if i is None:
            name, unit = _known_by_caption(form, what).get(caption, ("", ""))
            name = "" if name in names else name
            guess = "it is named as where this caption stands elsewhere" if name else ""
            guess = "" if what == "row" and name == article_key(caption) else guess
            yield Change(what, section, None, j + 1, caption, "", name, unit if name else "", guess)
        elif j not in in_place or old[i] != caption:
            doubt = guess or doubts.get(j, "")
            yield Change(what, section, i + 1, j + 1, caption, old[i], names[i], units[i], doubt)
    for i, caption in enumerate(old):
        if i not in taken:
            yield Change(what, section, i + 1, None, caption, caption, names[i], units[i])


def _base(form: Form, section: str, what: str) -> tuple[list[str], list[str], list[str]]:
    """Captions, names and units of a section's rows or columns."""
    held = form.section(section)
    if what == "row":
        return held.rows["caption"].to_list(), held.rows["row"].to_list(), [""] * held.rows.height
    captions, names, units = (
        held.columns[name].to_list() for name in ("caption", "measure", "unit")
    )
    return captions, names, units


@lru_cache(maxsize=8)
def _known_by_caption(form: Form, what: str) -> dict[str, tuple[str, str]]:
    """Caption → its row (or measure) and unit, where it has one and the same in all the form."""
    table, name = (form.rows, "row") if what == "row" else (form.columns, "measure")
    units = form.columns["unit"] if what == "column" else [""] * table.height
    found: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for caption, named, unit in zip(table["caption"], table[name], units, strict=True):
        found[caption].add((named, unit))
    return {caption: names.pop() for caption, names in found.items() if len(names) == 1}


Pairs = dict[int, tuple[int, str]]
"""Index in the sheet → index in the base, and why this is a guess ('' where it is none)."""


def _paired(old: list[str], new: list[str], what: str) -> Pairs:
    """Which of the sheet's rows (or columns) is which of the base's."""
    old_once, new_once = _once(old), _once(new)
    once = old_once.keys() & new_once.keys()
    matcher = SequenceMatcher(None, _keys(old, once), _keys(new, once), autojunk=False)
    codes = matcher.get_opcodes()
    pairs: Pairs = {}
    for tag, i, i_end, j, _ in codes:
        if tag == "equal":
            pairs.update({j + n: (i + n, "") for n in range(i_end - i)})
    pairs.update({new_once[c]: (old_once[c], "") for c in once if new_once[c] not in pairs})
    if what == "row":
        taken = {i for i, _ in pairs.values()}
        old_keys, new_keys = _once(map(article_key, old)), _once(map(article_key, new))
        for key in filter(None, old_keys.keys() & new_keys.keys()):
            if old_keys[key] not in taken and new_keys[key] not in pairs:
                pairs[new_keys[key]] = old_keys[key], ""
    for tag, i, i_end, j, j_end in codes:
        if tag == "replace":
            pairs.update(_guessed(old, new, range(i, i_end), range(j, j_end), pairs))
    return pairs


def _once(texts: Iterable[str | None]) -> dict[str, int]:
    """Texts that stand once, with their index."""
    listed = list(texts)
    count = Counter(listed)
    return {text: n for n, text in enumerate(listed) if text and count[text] == 1}


def _keys(texts: list[str], once: Iterable[str]) -> list[tuple[str, str]]:
    """Each text; one that stands several times, with the last before it that stands once."""
    sure, keys, above = set(once), [], ""
    for text in texts:
        above = text if text in sure else above
        keys.append((text, above))
    return keys


def _guessed(
    old: list[str], new: list[str], places: range, new_places: range, pairs: Pairs
) -> Iterator[tuple[int, tuple[int, str]]]:
    """Rows that took each other's place and are much alike, the most alike first."""
    taken = {i for i, _ in pairs.values()}
    free = [i for i in places if i not in taken]
    asked = [j for j in new_places if j not in pairs]
    if len(free) * len(asked) > MAX_COMPARED:
        return
    alike = sorted(
        ((_likeness_of(old[i], new[j]), i, j) for i in free for j in asked), reverse=True
    )
    for ratio, i, j in alike:
        if ratio >= ALIKE and i in free and j in asked:
            free.remove(i)
            asked.remove(j)
            yield j, (i, "the captions are much alike")


@lru_cache(maxsize=4096)
def _likeness_of(one: str, other: str) -> float:
    keys = article_key(one), article_key(other)
    if keys[0] != keys[1]:  # one article is not another, however alike their titles are
        return 0.0
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    return matcher.ratio() if matcher.real_quick_ratio() >= ALIKE else 0.0


def _in_place(pairs: Pairs, doubtful: set[int]) -> set[int]:
    """The most rows that follow each other as in the base: the others have been moved."""
    order = sorted(j for j in pairs if j not in doubtful)
    ends: list[int] = []  # in the base: the lowest end of a run of each length
    last: list[int] = []  # the row that it is
    before: dict[int, int | None] = {}
    for j in order:
        length = bisect_left(ends, pairs[j][0])
        before[j] = last[length - 1] if length else None
        ends[length:] = [pairs[j][0], *ends[length + 1 :]]
        last[length:] = [j, *last[length + 1 :]]
    kept = set()
    at = last[-1] if last else None
    while at is not None:
        kept.add(at)
        at = before[at]
    return kept


def _doubts(
    old: list[str], new: list[str], names: list[str], pairs: Pairs, what: str
) -> Iterator[tuple[int, str]]:
    """What is called the same, but may be a part of something else now."""
    to_new = {i: j for j, (i, _) in pairs.items()}
    article_above, new_article_above = _article_above(old), _article_above(new)
    groups, new_groups = _groups(old), _groups(new)
    for j, (i, _) in pairs.items():
        if groups[i] != new_groups[j]:
            yield j, "its caption stands several times, and not below the same as before"
            continue
        detail = what == "row" and article_key(new[j]) is None and names[i].startswith("article:")
        if detail and article_above[i] != new_article_above[j]:
            yield j, f"it stands below {new_article_above[j] or 'no article'} now"
            continue
        for first, last in _REFERENCE[what].findall(new[j]) if old[i] == new[j] else ():
            # A range has been seen to be out of date in the form itself; its ends are looked at.
            ends = (int(first) - 1, int(last or first) - 1)
            moved = [n + 1 for n in ends if n < len(old) and to_new.get(n) != n]
            if moved:
                yield j, f"its caption refers to {what} {moved[0]}, which is another now"
                break
        else:
            part = _PART.match(new[j]) and (what == "column" or article_key(new[j]) is None)
            whole = _whole(new, j)
            if part and (pairs[whole][0] if whole in pairs else whole) != _whole(old, i):
                yield j, "it is a part of what stands before it, which is something else now"


def _groups(captions: list[str]) -> list[tuple[str, int] | None]:
    """For a caption that stands several times: the last before it that stands once, and how often it
    stands below that.
    """
    once = _once(captions)
    above, places = "", []
    for caption in captions:
        above = caption if caption in once else above
        places.append((above, caption))
    count = Counter(places)
    return [None if place[1] in once else (place[0], count[place]) for place in places]


def _article_above(captions: list[str]) -> list[str | None]:
    found: list[str | None] = []
    above: str | None = None
    for caption in captions:
        found.append(above)
        above = article_key(caption) or above
    return found


def _whole(captions: list[str], index: int) -> int:
    """What a caption such as 'из них > следствие' is a part of: the last before its group."""
    group = captions[index].split(" > ", 1)[0]
    while index >= 0 and captions[index].split(" > ", 1)[0] == group:
        index -= 1
    return index


# In words


def _nothing(workbook: Workbook, form: Form) -> str:
    from kzresearch.form_1m.reader import recognise

    try:
        recognise(workbook)
    except WorkbookError as error:
        return (
            f"{workbook.name}: nothing; the captions are those of version {form.name}, but: {error}"
        )
    return f"{workbook.name}: nothing: it is of version {form.name}"


def _said(file: str, found: Difference) -> Iterator[str]:
    yield f"{file} is nearest to version {found.form.name} of the form:"
    for what, (same, total) in found.equal.items():
        yield f"  {same:,} of its {total:,} {what}s are as there"
    titles = dict(zip(found.form.sections["section"], found.form.sections["title_ru"], strict=True))
    sheets = [f"removed  {name} '{titles[name]}'" for name in found.removed]
    sheets += [f"renamed  {name} is '{sheet}'" for name, sheet in found.renamed.items()]
    for name, like in found.added.items():
        sheets.append(f"added    {name} '{found.sheets[name].title}'{like and f', like {like}'}")
    sheets += [f"unknown  {name}: {reason}" for name, reason in found.unread.items()]
    heads = {name: tuple(parts.items()) for name, parts in found.changed.items()}
    for parts, sections in _by_value(heads).items():
        for key, (was, now) in parts:
            sheets.append(f"changed  {_listed(sections)}: {key} is '{now}', was '{was}'")
    yield from _part("Sheets", sheets)
    for what in ("row", "column"):
        changes = [change for change in found.changes if change.what == what]
        for kind in ("added", "removed", "renamed", "moved"):
            lines = [
                _change_said(group) for group in _grouped(c for c in changes if c.kind == kind)
            ]
            about = " (all others follow each other as there)" if kind == "moved" else ""
            yield from _part(f"{what.capitalize()}s {kind}{about}", lines)


def _part(title: str, lines: list[str]) -> Iterator[str]:
    if lines:
        yield from ("", f"{title}:", *(f"  {line}" for line in lines))


def _grouped(changes: Iterable[Change]) -> list[list[Change]]:
    """The same change in several sheets, said once."""
    groups: dict[tuple[str, ...], list[Change]] = defaultdict(list)
    for one in changes:
        groups[one.kind, one.caption, one.was, one.name, one.unit, one.doubt].append(one)
    return [part for group in groups.values() for part in _once_in_each(group)]


def _once_in_each(group: list[Change]) -> Iterator[list[Change]]:
    """A caption may stand several times in one sheet: each is a change of its own."""
    while group:
        part = list({change.section: change for change in reversed(group)}.values())[::-1]
        yield part
        group = [change for change in group if change not in part]


def _change_said(group: list[Change]) -> str:
    first = group[0]
    numbers = {c.section: _number(c) for c in group}
    places = "; ".join(
        f"{first.what} {number} in {_listed(sections)}"
        for number, sections in _by_value(numbers).items()
    )
    what = f"'{first.caption}'"
    if first.kind == "renamed":
        what += f", was '{first.was}'"
    name = f" [{first.name}]" if first.name else ""
    doubt = f" (to be confirmed: {first.doubt})" if first.doubt else ""
    return f"{what}{name}: {places}{doubt}"


def _number(change: Change) -> str:
    """The number in the base and that in the sheet; once where nothing else tells them apart."""
    numbers = [str(number) for number in (change.old, change.new) if number]
    return " → ".join(numbers if change.kind == "moved" else dict.fromkeys(numbers))


def _by_value(table: dict[str, T]) -> dict[T, list[str]]:
    """Value → the keys that have it."""
    found: dict[T, list[str]] = defaultdict(list)
    for key, value in table.items():
        found[value].append(key)
    return found


def _listed(names: list[str]) -> str:
    return (
        ", ".join(names) if len(names) <= 3 else f"{names[0]}, {names[1]} and {len(names) - 2} more"
    )


# As a file

_BEGINNING = """\
# Version {name} of Form 1-M: what differs from version {base}; all else is as there.
# Fill in what stands empty (""), look at what 'same = false' asks and set it true where it is so,
# state the first period, and set complete = true. docs/forms.md says what each line means.
form = {name_}
base = {base_}
complete = false
from = ""  # the first period of this version, YYYY-MM"""


def _drafted(name: str, found: Difference) -> Iterator[str]:
    base = found.form.name
    yield _BEGINNING.format(name=name, base=base, name_=_toml(name), base_=_toml(base))
    if found.removed:
        yield f"removed_sheets = [{', '.join(map(_toml, found.removed))}]"
    for what in ("row", "column"):
        gone: dict[str, list[int]] = defaultdict(list)
        for change in found.changes:
            if change.what == what and change.old is not None:
                gone[change.section].append(change.old)
        if gone:
            yield f"\n# Numbers in version {base}: what is gone, and what stands elsewhere or is renamed below"
            yield f"[removed_{what}s]"
            yield from (f"{_key(section)} = {sorted(numbers)}" for section, numbers in gone.items())
    for section, sheet in found.sheets.items():
        yield from _sheet_block(found, section, sheet)
    known: set[str] = set()
    placed = [change for change in found.changes if change.new is not None]
    for group in _grouped(sorted(placed, key=lambda change: change.what, reverse=True)):
        yield from _block(found, group, known)


def _sheet_block(found: Difference, section: str, sheet: Sheet) -> Iterator[str]:
    added = section in found.added
    changed = found.changed.get(section, {})
    if not added and section not in found.renamed and not changed:
        return
    yield f"\n[[sheet]]\nname = {_toml(sheet.name)}"
    if section in found.renamed:
        yield f"was = {_toml(section)}"
    elif added and found.added[section]:
        yield f"like = {_toml(found.added[section])}  # the section that it has its rows and columns from"
    if added:
        yield f"title = {_toml(sheet.title)}"
        yield 'title_en = ""'
        yield 'scope = ""  # what it counts, in English'
    keys = GEOMETRY if added and not found.added[section] else tuple(changed)
    for key in keys:
        value = getattr(sheet, key)
        was = f"  # was {_toml(changed[key][0])}" if key in changed else ""
        yield f"{key} = {value if isinstance(value, int) else _toml(value)}{was}"
    if "title" in changed:
        yield "same = false  # does it count what it counted, under another title?"


def _block(found: Difference, group: list[Change], known: set[str]) -> Iterator[str]:
    first = group[0]
    yield f"\n[[{first.what}]]"
    if first.doubt:
        yield f"# {first.doubt}: is it the same?"
    yield f"caption = {_toml(first.caption)}"
    yield f"at = {{ {', '.join(f'{_key(c.section)} = {c.new}' for c in group)} }}"
    if first.kind == "renamed":
        yield f"was = {_toml(first.was)}"
    name = first.name or (first.what == "row" and article_key(first.caption)) or ""
    if first.what == "column":
        yield f"measure = {_toml(name)}"
        yield f"unit = {_toml(first.unit)}" + (
            "" if first.unit else f"  # one of {', '.join(UNITS)}"
        )
        if not name:
            yield 'description = ""  # what it counts, in English'
    else:
        yield f"row = {_toml(name)}"
        if name not in known:
            yield from _definition(found, group, name)
        known.update({name} - {""})
    if first.doubt:
        yield "same = false"


def _definition(found: Difference, group: list[Change], name: str) -> Iterator[str]:
    """What a name means: of a new row, and of one whose title has changed."""
    first, form = group[0], found.form
    lines = {line["row"]: line for line in form.row_names.iter_rows(named=True)}
    if name in lines:
        titles = title_of(first.was), title_of(first.caption)
        held = next(
            s for s, row in zip(form.rows["section"], form.rows["row"], strict=True) if row == name
        )
        if first.was and titles[0] != titles[1] and held in {change.section for change in group}:
            yield f"title_ru = {_toml(titles[1])}"
            yield f'name = ""  # in English; was {_toml(str(lines[name]["name"]))}'
        return
    kinds = sorted({str(line["kind"]) for line in lines.values()})
    kind = "" if not name else "article_part" if ":part_" in name else "article"
    chapter = _CHAPTER.match(first.caption)
    if chapter:
        kind = "chapter"
    yield f"kind = {_toml(kind)}" + ("" if kind else f"  # one of {', '.join(kinds)}")
    if chapter:
        yield f"chapter = {_toml(chapter[1])}"
    elif kind in {"", *OF_AN_ARTICLE}:
        above = found.sheets[first.section].rows[: first.new]
        yield f"chapter = {_toml(_chapter(above, lines) if kind else '')}"
        yield f"article = {_toml(name.split(':')[1] if name else '')}"
    yield f"title_ru = {_toml(title_of(first.caption))}"
    yield 'name = ""  # in English'


def _chapter(above: list[str], lines: dict[str, dict[str, str | None]]) -> str:
    """The chapter that a row stands in: that of the last heading, or of the last article, above it."""
    for caption in reversed(above):
        if heading := _CHAPTER.match(caption):
            return heading[1]
        if line := lines.get(article_key(caption) or ""):
            return line["chapter"] or ""
    return ""


def _toml(text: str) -> str:
    """A text as TOML has it, which is as JSON has it but for one character."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _toml(name)
