"""What two runs do not share: differences of records, of outputs, and of any JSON values."""

from __future__ import annotations

import base64
import binascii
import itertools
import json
import re
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

from kzresearch import records
from kzresearch.run.verify import Difference

Json = dict[str, Any]
At = tuple[int, int]
"""Where an output is: its cell, and its number there, from 0."""
Apart = tuple[str, str | None, str | None]
"""A place, and how two values stand there; None for not at all."""
DERIVED = ("title", "question", "key_figures", "workbooks", "sources", "figures")
"""What else of a record a run gives, beside its results and outputs."""
_PICTURE = re.compile(r"data:image/svg\+xml;base64,([A-Za-z0-9+/=]*)")
SHOWN = 60
"""Characters of a text that a reader is shown, from shortly before where it differs."""


def differences(record: Json, executed: Json | None, now: Json) -> Iterator[Difference]:
    """What a record does not share with a new run; the executed notebook, at hand, tells how."""
    fresh = now["metadata"]["kzresearch"]
    yield from _results(record["results"], fresh["results"])
    changed = changed_outputs(record, now)
    for at in changed:
        yield _changed(at, record, executed, now)
    for name in DERIVED:
        if name == "figures" and changed:
            continue  # charts are outputs
        if apart := first_difference(record[name], fresh[name], name):
            yield Difference("record", *apart)


def _results(before: Json, now: Json) -> Iterator[Difference]:
    for name in dict.fromkeys([*before, *now]):
        if name not in before or name not in now:
            texts = (of[name]["text"] if name in of else None for of in (before, now))
            yield Difference("result", name, *texts)
            continue
        for part in before[name]:
            place = name if part == "value" else f"{name}.{part}"
            if apart := first_difference(before[name][part], now[name][part], place):
                yield Difference("result", *apart)


def _changed(at: At, record: Json, executed: Json | None, now: Json) -> Difference:
    """How one output is not the same; without the old one, that it is another."""
    place = f"{cell_name(at[0], now, executed)}, output {at[1] + 1}"
    if apart := apart_at(at, executed, now):
        return Difference("output", f"{place}{apart[0]}", *apart[1:])
    listed = (_by_place(of).get(at) for of in (record["outputs"], records.outputs_of(now)))
    kinds = (f"{one['kind']} {one['sha256'][:12]}" if one else None for one in listed)
    return Difference("output", place, *kinds)


def changed_outputs(record: Json, executed: Json) -> list[At]:
    """Where the outputs of an executed notebook are not those that a record lists."""
    listed, there = _by_place(record["outputs"]), _by_place(records.outputs_of(executed))
    return sorted(at for at in listed.keys() | there.keys() if listed.get(at) != there.get(at))


def _by_place(outputs: list[Json]) -> dict[At, Json]:
    return {(one["cell"], one["output"]): one for one in outputs}


def cell_name(place: int, *executed: Json | None) -> str:
    """A cell as a reader finds it: by the number that Jupyter shows, or else by its place."""
    for one in executed:
        cells = one["cells"] if one else []
        if place < len(cells) and (count := cells[place].get("execution_count")):
            return f"cell [{count}]"
    return f"cell {place + 1} from the top"


def apart_at(at: At, executed: Json | None, now: Json) -> Apart | None:
    """How an output of two executed notebooks is not the same; None where one of them has none."""
    mine, other = (_output(one, at) for one in (executed, now))
    apart = first_difference(mine, other) if mine and other else None
    return apart and (f", {apart[0].removeprefix('data.')}", *apart[1:])


def _output(executed: Json | None, at: At) -> Json | None:
    """An output of an executed notebook, without the number that Jupyter gave it."""
    try:
        output = executed["cells"][at[0]]["outputs"][at[1]] if executed else None
    except LookupError:
        return None
    return output and {k: v for k, v in records.whole(output).items() if k != "execution_count"}


def with_texts_of_pictures(page: str) -> str:
    """A page with the texts of each vector picture, in their order, in place of the picture."""
    return _PICTURE.sub(lambda found: _texts(found[1]), page)


def _texts(picture: str) -> str:
    """The texts of a picture in a line; of one that cannot be read, the picture itself."""
    try:
        svg = base64.b64decode(picture).decode()
        if "<!" in svg:  # no entities: those of a forged one may have no end
            return picture
        return " ".join(" ".join(ElementTree.fromstring(svg).itertext()).split())
    except (binascii.Error, ValueError, ElementTree.ParseError):
        return picture


def first_difference(mine: Any, other: Any, place: str = "") -> Apart | None:
    """Where two JSON values first differ, and how each stands there; None where they do not.

    A text of several lines differs in a line.
    """
    if _same(mine, other):
        return None
    pairs: list[tuple[str, Any, Any]] | None = None
    if isinstance(mine, dict) and isinstance(other, dict):
        names = dict.fromkeys([*mine, *other])
        pairs = [(f"{place}.{n}".lstrip("."), mine.get(n, _NOT), other.get(n, _NOT)) for n in names]
    elif isinstance(mine, list) and isinstance(other, list):
        both = itertools.zip_longest(mine, other, fillvalue=_NOT)
        pairs = [(f"{place}[{n}]", one, another) for n, (one, another) in enumerate(both)]
    elif isinstance(mine, str) and isinstance(other, str) and "\n" in mine + other:
        both = itertools.zip_longest(mine.split("\n"), other.split("\n"), fillvalue=_NOT)
        pairs = [(f"{place} line {n}", one, another) for n, (one, another) in enumerate(both, 1)]
    if pairs is None:
        return place, *_excerpts(mine, other)
    found = (first_difference(one, another, where) for where, one, another in pairs)
    return next(filter(None, found), None)


_NOT = object()
"""Stands for what is not there."""


def _same(mine: Any, other: Any) -> bool:
    if mine is _NOT or other is _NOT:
        return mine is other
    # As texts, where 1 is not 1.0, nor True.
    return json.dumps(mine, sort_keys=True) == json.dumps(other, sort_keys=True)


def _excerpts(mine: Any, other: Any) -> tuple[str | None, str | None]:
    """Two values as a reader is shown them, from shortly before where they differ."""
    texts = [v if isinstance(v, str) else "" if v is _NOT else json.dumps(v) for v in (mine, other)]
    same = next((n for n, (a, b) in enumerate(zip(*texts, strict=False)) if a != b), None)
    start = max(0, (min(map(len, texts)) if same is None else same) - 20)

    def shown(value: Any, text: str) -> str | None:
        cut = f"{'…' * (start > 0)}{text[start : start + SHOWN]}{'…' * (len(text) > start + SHOWN)}"
        if value is _NOT:
            return None
        return json.dumps(cut, ensure_ascii=False) if isinstance(value, str) else cut

    return shown(mine, texts[0]), shown(other, texts[1])
