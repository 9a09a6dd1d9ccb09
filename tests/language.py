"""What a page in Russian or Kazakh says in English all the same."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any

from kzresearch.charts import MIME as CHART

NO_WORDS = re.compile(
    r"<code>.*?</code>|<pre>.*?</pre>|<style.*?</style>"  # code, on a page and in Markdown
    r"|```.*?```|`[^`]*`"
    r"|https?://\S+|\b[\w.-]+\.(?:org|kz|net|com|xlsx?|csv|toml|ipynb|json)\b"  # addresses, files
    r"|^- [^\n]*\(`\w+`\)$",  # a source, cited as it asks for
    re.DOTALL | re.MULTILINE,
)
WORD = r"(?<![\w-])[A-Za-z][A-Za-z'’]+(?![\w-])"
RUN = re.compile(rf"{WORD}(?:[\s,;:()«»“”.–—]+{WORD}){{2,}}")
HIDDEN = {
    *("$schema", "config", "data", "expr", "field", "filter", "font", "format", "labelExpr"),
    *("name", "on", "test", "transform", "type", "usermeta"),
}
"""Parts of a chart's specification that no reader sees."""


def left_in_english(executed: dict[str, Any]) -> list[str]:
    """The runs of three and more English words in what the reader of an executed notebook reads.

    Code, addresses, names of files and citations of sources are no words here.
    """
    return [run[0] for text in said_in(executed) for run in RUN.finditer(NO_WORDS.sub("|", text))]


def same_figures(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two runs recorded the same: names, values, units, cells and sources."""
    kept = ("value", "unit", "cells", "sources")
    first, second = (
        {name: {key: result[key] for key in kept} for name, result in record["results"].items()}
        for record in (one, other)
    )
    return bool(first) and first == second


def said_in(executed: dict[str, Any]) -> Iterator[str]:
    """The texts that the reader of an executed notebook reads: prose, tables, charts."""
    for cell in executed["cells"]:
        if cell["cell_type"] == "markdown":
            yield "".join(cell["source"])
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if CHART in data:
                yield from _in_chart(data[CHART])
            elif "text/html" in data:
                bare = NO_WORDS.sub("|", "".join(data["text/html"]))
                yield html.unescape(re.sub(r"<[^>]+>", "|", bare.replace("<wbr>", "")))
            elif "text/markdown" in data:
                yield "".join(data["text/markdown"])
            else:
                yield "".join(output.get("text", ()))


def _in_chart(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        lines = part.get("text")
        if isinstance(lines, list) and all(isinstance(line, str) for line in lines):
            yield " ".join(lines)
        for key, value in part.items():
            if key not in HIDDEN:
                yield from _in_chart(value)
    elif isinstance(part, list):
        for one in part:
            yield from _in_chart(one)
    elif isinstance(part, str):
        yield part
