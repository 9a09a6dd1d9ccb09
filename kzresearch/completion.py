"""What a shell is told when Tab is pressed: names and values, read of plain files, since it waits."""

from __future__ import annotations

import contextlib
import csv
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ZshComplete,
    add_completion_class,
    split_arg_string,
)

from kzresearch.errors import KzresearchError
from kzresearch.language import LANGUAGES
from kzresearch.resources import data_dir, notebooks_dir, store_location

if TYPE_CHECKING:
    from kzresearch.notebooks import Notebook

Items = list[CompletionItem[str]]
_ARTICLE = re.compile("article:[^:]+")
_CODEBOOK = Path(__file__).parent / "form_1m" / "codebook"


def parameters(ctx: click.Context, param: click.Parameter, begun: str) -> Items:
    """How `-p` and `--each` go on: with the parameters' names, or with values of the one named."""
    several = param.name == "each"
    name, equals, value = begun.partition("=")
    before, comma, last = value.rpartition(",") if several else ("", "", value)
    with contextlib.suppress(KzresearchError):  # it is said when the command is given
        if equals:
            found = values_of(name) or _choices(_asked(ctx), name)
            left = {one: found[one] for one in found if one not in before.split(",")}
            return _begun(left, last, f"{name}={before}{comma}")
        named = {one.name: one.help for of in _asked(ctx) for one in of.parameters}
        items = _begun({f"{one}=": words for one, words in named.items()}, begun)
        return [*(_begun(named, begun) if several else []), *items]
    return []


def _asked(ctx: click.Context) -> list[Notebook]:
    """The notebooks that stand before in the command; all, where none does."""
    from kzresearch.notebooks import find_notebook, notebooks

    # click leaves in `args` what stands before an option that its value is to follow yet
    given = ctx.args or ctx.params.get("notebooks") or [ctx.params.get("notebook")]
    return [find_notebook(one) for one in given if one] or notebooks()


def _choices(asked: list[Notebook], name: str) -> dict[str, str]:
    """Every value of one of the rarer parameters, as the notebooks have it."""
    having = (of for of in asked if name in {one.name for one in of.parameters})
    return {str(value): "" for of in having for value in of.choices(name)}


def _begun(found: dict[str, str], begun: str, before: str = "") -> Items:
    return [
        CompletionItem(before + one, help=words or None)
        for one, words in found.items()
        if one.startswith(begun)
    ]


def values(_ctx: click.Context, param: click.Parameter, begun: str) -> Items:
    """How an option goes on that has the name of what it takes: `--region`."""
    return _begun(values_of(str(param.name)), begun)


def notebooks(ctx: click.Context, param: click.Parameter, begun: str) -> Items:
    """The notebooks whose names begin so; where there are none, files."""
    names = sorted(path.stem for path in notebooks_dir().glob("*.ipynb"))
    return _begun(dict.fromkeys(names, ""), begun) or files(ctx, param, begun)


def files(_ctx: click.Context, _param: click.Parameter, begun: str) -> Items:
    """Files and folders: the shell itself knows them."""
    return [CompletionItem(begun, type="file")]


def values_of(name: str) -> dict[str, str]:
    """Every value of what is so called, with what it means; none where that is in no plain file."""
    return _LISTS[name]() if name in _LISTS else {}


def _column(path: Path, name: str, meaning: str, **only: str) -> Callable[[], dict[str, str]]:
    def found() -> dict[str, str]:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if only.items() <= row.items()]
        return {row[name]: row[meaning] for row in rows}

    return found


def _periods() -> dict[str, str]:
    ours = (path.name[7:] for path in Path(store_location(), "form_1m").glob("period=????-??"))
    bundled = (path.stem for path in (data_dir() / "form_1m").glob("*.parquet"))
    return dict.fromkeys(sorted({*bundled, *ours}), "")


_rows = _column(_CODEBOOK / "row_names.csv", "row", "name")
_regions = _column(data_dir() / "transcribed" / "regions.csv", "region", "name_en", valid_to="")
_LISTS: dict[str, Callable[[], dict[str, str]]] = {
    "period": _periods,
    "region": lambda: {"KZ": "the country", **_regions()},
    "language": LANGUAGES.copy,
    "article": lambda: {
        one[8:]: words for one, words in _rows().items() if _ARTICLE.fullmatch(one)
    },
    "row": _rows,
    "section": _column(_CODEBOOK / "sections.csv", "section", "title_en"),
    "measure": _column(_CODEBOOK / "measures.csv", "measure", "description"),
}


# Click's own scripts take the `=` at which bash parts words for a word, put a blank behind `name=`,
# and in fish cut values and meanings at a comma.


@add_completion_class
class _Bash(BashComplete):
    source_template = """\
%(complete_func)s() {
    local type value
    COMPREPLY=()
    while IFS=, read -r type value; do
        case $type in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain) COMPREPLY+=("$value"); [[ $value != *= ]] || compopt -o nospace ;;
        esac
    done < <(COMP_WORDS="${COMP_LINE:0:COMP_POINT}" COMP_WORD="$2" %(complete_var)s=bash_complete "$1")
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""

    def get_completion_args(self) -> tuple[list[str], str]:
        line, word = os.environ["COMP_WORDS"], os.environ["COMP_WORD"]
        words = split_arg_string(line)
        begun = "" if line[-1:].isspace() else words.pop()
        self._before = begun.removesuffix(word)  # what bash takes for words before, and leaves
        return words[1:], begun

    def format_completion(self, item: CompletionItem[Any]) -> str:
        parts = (self._before[at:] for at in range(len(self._before) + 1))
        before = next(part for part in parts if item.value.startswith(part))
        return f"{item.type},{item.value.removeprefix(before)}"


@add_completion_class
class _Zsh(ZshComplete):
    source_template = """\
#compdef %(prog_name)s
%(complete_func)s() {
    local -a lines whole begun
    local type value meaning
    lines=("${(@f)$(COMP_WORDS="${words[*]}" COMP_CWORD=$((CURRENT-1)) \
%(complete_var)s=zsh_complete $words[1])}")
    for type value meaning in $lines; do
        [[ $meaning == _ ]] && meaning= || meaning=":$meaning"
        case $type in
            dir) _path_files -/ ;;
            file) _path_files ;;
            plain) [[ $value == *= ]] && begun+=("$value$meaning") || whole+=("$value$meaning") ;;
        esac
    done
    (( ! $#whole )) || _describe -V values whole -U
    (( ! $#begun )) || _describe -V names begun -U -S ''
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    %(complete_func)s "$@"
else
    compdef %(complete_func)s %(prog_name)s
fi
"""

    def format_completion(self, item: CompletionItem[Any]) -> str:
        value = item.value.replace(":", r"\:")
        return f"{item.type}\n{value}\n{item.help or '_'}"


@add_completion_class
class _Fish(FishComplete):
    source_template = FishComplete.source_template.replace("string split ", "string split -m 1 ")
