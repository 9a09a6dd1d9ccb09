"""Markdown and HTML → paragraphs, lists and tables as data, in which nothing is markup any more.

A block, or a part of a paragraph, is an object: its `kind`, and in `of` what it consists of; a text
is a text. What HTML can do beside that (scripts, styles, forms) is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from html.parser import HTMLParser
from itertools import chain
from typing import Any

Json = dict[str, Any]
Node = str | Json

MAY_BREAK = "\u200b"
"""Stands where a line may end within a word; it is not printed."""
BREAK: Json = {"kind": "break"}
_MARKS = {
    **dict.fromkeys(("strong", "b"), "strong"),
    **dict.fromkeys(("em", "i", "cite", "var", "dfn"), "emph"),
    **dict.fromkeys(("code", "kbd", "samp", "tt"), "code"),
    **dict.fromkeys(("del", "s", "strike"), "strike"),
    "sup": "sup",
    "sub": "sub",
}
_WITHIN = {
    *_MARKS,
    "a",
    "abbr",
    "br",
    "font",
    "img",
    "ins",
    "mark",
    "q",
    "small",
    "span",
    "u",
    "wbr",
}
_UNSEEN = {"head", "iframe", "object", "script", "select", "style", "svg", "template", "title"}
_VOID = {"br", "col", "hr", "img", "input", "link", "meta", "wbr"}
_NESTING = {*_MARKS, "a", "blockquote", "dl", "ol", "ul"}
_NESTED, _DEEPEST, _WIDEST = 12, 100, 60
"""How many of these, and of all elements, stand within each other, and what a cell may span."""
_WHOLE, _LONG_CELL = 30, 600
"""Characters that a line is kept whole for, and of a cell that need not stay on one page."""
_FEW, _SHORT = 14, 1000
"""Rows and characters of a table that stays on one page."""
_SIZES = (8.0, 7.0, 6.0, 5.0, 4.0, 3.0)
"""Points of a table's letters: the first that its columns fit into a line with."""
_LINE, _BETWEEN = 1000, 3
"""Letters of one point, of middle width, in a line; letters' room between two columns."""
_WORDS = re.compile(rf"[\s{MAY_BREAK}-]+")
ADDRESS = re.compile(r"(https?://|mailto:)\S{1,2000}")
"""Where a link may lead."""
_LONG_WORD = re.compile(r"[^\s\u200b]{25,}")
_PIECE = re.compile(r"[^/_.,:;&?=!-]{1,12}[/_.,:;&?=!-]*|[/_.,:;&?=!-]+")
_UNFIT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
"""No characters of a text: controls, and halves of characters."""


def of_markdown(text: str) -> list[Json]:
    """The blocks of a text in Markdown; HTML in it is shown, not obeyed."""
    return of_html(_markdown()(text))


def of_html(text: str) -> list[Json]:
    """The blocks of a text in HTML."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    return list(_blocks(reader.root.children))


def fit(text: str) -> str:
    """A text without what cannot be printed."""
    return _UNFIT.sub("", text)


def plain(text: str) -> str:
    """A text without what cannot be printed, in which a long word may end a line anywhere."""
    return _LONG_WORD.sub(lambda word: MAY_BREAK.join(_PIECE.findall(word[0])), fit(text))


@cache
def _markdown() -> Any:
    import mistune
    from mistune.util import safe_entity

    class Renderer(mistune.HTMLRenderer):
        """Shows HTML, and reads characters by their names (`&nbsp;`) as Markdown has it."""

        def text(self, text: str) -> str:
            return safe_entity(text)

    plugins = ["strikethrough", "table", "url"]
    return mistune.create_markdown(renderer=Renderer(escape=True), plugins=plugins)


class _Element:
    def __init__(self, tag: str, attributes: dict[str, str | None]) -> None:
        self.tag, self._attributes = tag, attributes
        self.children: list[_Element | str] = []

    def attribute(self, name: str) -> str:
        return self._attributes.get(name) or ""

    def all(self, *tags: str) -> Iterator[_Element]:
        """The elements with these tags in it, in order, but not within each other or in a cell."""
        for child in self.children:
            if isinstance(child, _Element):
                if child.tag in tags:
                    yield child
                elif child.tag not in {"td", "th"}:
                    yield from child.all(*tags)

    @property
    def text(self) -> str:
        return "".join(one if isinstance(one, str) else one.text for one in self.children)


class _Reader(HTMLParser):
    """Builds the tree of elements; ends that are missing are added, others ignored."""

    def __init__(self) -> None:
        super().__init__()
        self.root = _Element("", {})
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        made = _Element(tag, dict(attrs))
        self._open[-1].children.append(made)
        within = sum(one.tag in _NESTING for one in self._open) if tag in _NESTING else 0
        if tag not in _VOID and within < _NESTED and len(self._open) < _DEEPEST:
            self._open.append(made)

    def handle_endtag(self, tag: str) -> None:
        for place in range(len(self._open) - 1, 0, -1):
            if self._open[place].tag == tag:
                del self._open[place:]
                return

    def handle_data(self, data: str) -> None:
        self._open[-1].children.append(data)


def _seen(one: _Element | str) -> bool:
    return isinstance(one, str) or not (
        one.tag in _UNSEEN or "display: none" in one.attribute("style")
    )


def _blocks(children: Iterable[_Element | str]) -> Iterator[Json]:
    """The blocks among elements and texts; what stands loose between them is a paragraph."""
    loose: list[_Element | str] = []
    for child in filter(_seen, children):
        if isinstance(child, str) or child.tag in _WITHIN:
            loose.append(child)
            continue
        yield from _paragraph(loose)
        loose = []
        yield from _block(child)
    yield from _paragraph(loose)


def _paragraph(children: list[_Element | str]) -> Iterator[Json]:
    if of := _line(children):
        yield {"kind": "paragraph", "of": of}


def _block(one: _Element) -> Iterator[Json]:
    if one.tag == "p":
        yield from _paragraph(one.children)
    elif re.fullmatch("h[1-6]", one.tag):
        yield {"kind": "heading", "level": int(one.tag[1]), "of": _line(one.children)}
    elif one.tag in {"ul", "ol", "dl"}:
        items = [list(_blocks(item.children)) for item in one.all("li", "dt", "dd")]
        yield {"kind": "list", "ordered": one.tag == "ol", "of": items}
    elif one.tag == "blockquote":
        yield {"kind": "quote", "of": list(_blocks(one.children))}
    elif one.tag == "pre":
        yield {"kind": "lines", "of": one.text.strip("\n")}
    elif one.tag == "table":
        yield _read_table(one)
    elif one.tag == "details" and (tables := list(one.all("table"))):
        yield from (_read_table(one) | {"folded": True} for one in tables)
    else:
        yield from _blocks(one.children)


def _line(children: Iterable[_Element | str], *, keep_lines: bool = False) -> list[Node]:
    """What stands in one paragraph or cell; with `keep_lines`, ends of lines are kept in it."""
    found = _Line(keep_lines=keep_lines).of(children)
    while found and found[-1] in (BREAK, " "):
        found.pop()
    return found


class _Line:
    """Reads elements and texts as one line: white space is one space, and none where it begins."""

    def __init__(self, *, keep_lines: bool) -> None:
        self._keep_lines, self._begins = keep_lines, True

    def of(self, children: Iterable[_Element | str]) -> list[Node]:
        found: list[Node] = []
        for child in filter(_seen, children):
            found += self._text(child) if isinstance(child, str) else self._element(child)
        return [one for one in found if one]

    def _text(self, given: str) -> list[Node]:
        found: list[Node] = []
        for place, part in enumerate(given.split("\n") if self._keep_lines else [given]):
            if place:
                found.append(self._break())
            said = re.sub(r"[ \t\r\n\f]+", " ", part)
            said = said.lstrip(" ") if self._begins else said
            self._begins = said.endswith(" ") if said else self._begins
            found.append(plain(said))
        return found

    def _element(self, one: _Element) -> list[Node]:
        if one.tag == "wbr":
            return [MAY_BREAK]
        if one.tag == "img":
            return self._text(one.attribute("alt"))
        if one.tag in _MARKS:
            return [{"kind": _MARKS[one.tag], "of": self.of(one.children)}]
        if ADDRESS.fullmatch(to := one.attribute("href")):
            return [{"kind": "link", "to": fit(to), "of": self.of(one.children)}]
        if one.tag == "br" or (one.tag not in _WITHIN and not self._begins):
            return [self._break(), *self.of(one.children)]
        return self.of(one.children)

    def _break(self) -> Json:
        self._begins = True
        return BREAK


def table(
    title: list[Node],
    head: list[list[Json]],
    rows: list[list[Json]],
    notes: Sequence[list[Node]] = (),
) -> Json:
    """A table of cells, its rows all made as wide."""
    wide = max((_columns(row) for row in (*head, *rows) if len(row) > 1), default=1)
    head, rows = ([_filled(row, wide) for row in some] for some in (head, rows))
    size, parts = _widths([*head, *rows], wide)
    return {
        "kind": "table",
        "title": title,
        "columns": wide,
        "parts": parts,
        "size": size,
        "head": head,
        "rows": rows,
        "notes": notes,
        "folded": False,
        "together": len(rows) <= _FEW and len(_text(chain(*rows))) <= _SHORT,
    }


def _widths(rows: list[list[Json]], wide: int) -> tuple[float, list[int]]:
    """The size of a table's letters in points, and how wide its columns are to each other.

    The latter in letters; none where all of it fits into a line.
    """
    needed = [1] * wide
    lengths: list[list[int]] = [[1] for _ in range(wide)]
    for row in rows:
        place = 0
        for one in row:
            if one["span"] == 1:
                text = _text(one["of"])
                words = [text] if one["whole"] and not one["head"] else _WORDS.split(text)
                needed[place] = max(needed[place], *map(len, words))
                lengths[place].append(len(text))
            place += one["span"]
    rooms = {size: int(_LINE / size) - _BETWEEN * wide for size in _SIZES}
    size = next((one for one, room in rooms.items() if sum(needed) <= room), _SIZES[-1])
    if sum(map(max, lengths)) <= rooms[size]:
        return size, []
    most = [sorted(some)[len(some) * 9 // 10] for some in lengths]
    return size, [part + _BETWEEN for part in _shared(needed, most, rooms[size])]


def _shared(needed: list[int], most: list[int], room: int) -> list[int]:
    """Room shared out to columns: each has what it needs, and what is left goes to the others.

    Those that need little more for most of their cells have all of that, the rest what they would
    need in proportion.
    """
    found = [*needed]
    wishes = {place: max(0, most[place] - least) for place, least in enumerate(needed)}
    left = max(0, room - sum(needed))
    while small := [place for place, wish in wishes.items() if wish <= left // len(wishes)]:
        for place in small:
            found[place] += wishes[place]
            left -= wishes.pop(place)
    total = sum(wishes.values())
    for place, wish in wishes.items():
        found[place] += left * wish // total
    return found


def _text(of: Iterable[Node]) -> str:
    """What nodes say, without how."""
    return "".join(one if isinstance(one, str) else _text(one.get("of", ())) for one in of)


def cell(of: list[Node], **more: Any) -> Json:
    """A cell of a table: `head`, `span` in columns, `align`, `whole` in one line, `long`.

    One that is long may go on on the next page.
    """
    plainly = {"head": False, "span": 1, "align": "left", "whole": False, "long": False}
    return {"of": of, **plainly, **more}


def _read_table(one: _Element) -> Json:
    parts: dict[str, list[_Element]] = {"thead": [], "tbody": [], "tfoot": []}
    for part in one.all("thead", "tbody", "tfoot", "tr"):
        rows = [part] if part.tag == "tr" else part.all("tr")
        parts.get(part.tag, parts["tbody"]).extend(rows)
    head, body, foot = (_rows(rows) for rows in parts.values())
    while not head and body and all(one["head"] for one in body[0]):
        head.append(body.pop(0))
    title = next(one.all("caption"), None)
    return table(
        _line(title.children) if title else [],
        head,
        body,
        [one["of"] for row in foot for one in row if one["of"]],
    )


def _rows(rows: Iterable[_Element]) -> list[list[Json]]:
    """The cells of rows; below a cell that reaches into further rows are empty ones."""
    made: list[list[Json]] = []
    below: dict[int, int] = {}
    for row in rows:
        cells: list[Json] = []
        place = 0
        for one in row.all("td", "th"):
            while below.get(place):
                below[place] -= 1
                place += 1
                cells.append(cell([]))
            cells.append(_read_cell(one, row))
            right = place + cells[-1]["span"]
            below |= dict.fromkeys(range(place, right), _number(one.attribute("rowspan")) - 1)
            place = right
        made.append(cells)
    return [cells for cells in made if cells]


def _read_cell(one: _Element, row: _Element) -> Json:
    style = one.attribute("style")
    side = re.search(r"text-align: ?(left|right|center)", f"{style} {row.attribute('style')}")
    number = "number" in one.attribute("class").split()
    return cell(
        _line(one.children, keep_lines="pre-line" in style),
        head=one.tag == "th",
        span=_number(one.attribute("colspan")),
        align=side[1] if side else "right" if number else "left",
        whole=(number or "nowrap" in style) and len(one.text) <= _WHOLE,
        long=len(one.text) > _LONG_CELL,
    )


def _number(text: str) -> int:
    return max(1, min(int(text), _WIDEST)) if re.fullmatch("[0-9]{1,9}", text) else 1


def _filled(row: list[Json], wide: int) -> list[Json]:
    """The row, as wide as the others: a cell that is alone has all of it."""
    if len(row) == 1:
        return [row[0] | {"span": wide}]
    return row + [cell([])] * (wide - _columns(row))


def _columns(row: list[Json]) -> int:
    return sum(one["span"] for one in row)
