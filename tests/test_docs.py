"""The documentation: each sample is run, the site builds without a warning, and everyone can use it.

Fenced blocks of the pages are run as a reader would, page by page, in an empty folder with an empty
store: `sh` by bash, `python` in one namespace for each page. A comment before a block says otherwise:

    <!-- parsed: why -->     its commands must be ones that there are, with options that there are
    <!-- file: NAME -->      it is what the file NAME holds, which later blocks use
"""

from __future__ import annotations

import ast
import doctest
import inspect
import os
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from markdown_it import MarkdownIt

import kzresearch as kz
from tests.conftest import ROOT, command
from tests.run.made import RECORDS, made
from tests.workbooks import rewrite

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
SHOWN = {"text", "sql", "yaml", "toml"}
"""Languages of blocks that are no commands."""
TORTURE = ("Пытки (ст.146)".encode(), "Жестокое обращение, пытки (ст.146)".encode())
MARK = re.compile(r"<!-- (parsed|file): (\S.*?) -->")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page; `mark` is how it is treated (run, parsed, file), `said` with what."""

    line: int
    language: str
    text: str
    mark: str
    said: str


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page; Sphinx's own are left out."""
    found, before = [], ""
    for token in MarkdownIt("commonmark").parse(page.read_text(encoding="utf-8")):
        if token.type == "fence" and not token.info.startswith("{"):
            mark, said = match.groups() if (match := MARK.fullmatch(before)) else ("run", "")
            found.append(Block(token.map[0] + 1, token.info.strip(), token.content, mark, said))
        before = token.content.strip() if token.type == "html_block" else ""
    return found


def samples(*languages: str, mark: str | None = None) -> list[Any]:
    """Blocks of all pages that are in one of the languages."""
    return [
        pytest.param(page, block, id=f"{page.stem}:{block.line}")
        for page in PAGES
        for block in blocks(page)
        if block.language in languages and mark in {None, block.mark}
    ]


def test_each_block_says_what_it_is():
    for page in PAGES:
        for block in blocks(page):
            assert block.language in {"sh", "python", *SHOWN}, (page.name, block.line)
            assert block.language in {"sh", "python"} or block.mark != "parsed"
        text = page.read_text(encoding="utf-8")
        marks = [block.mark for block in blocks(page) if block.mark != "run"]
        assert len(MARK.findall(text)) == len(marks), f"{page.name}: a mark is not before a block"


# samples that are run


@pytest.fixture
def at_desk(desk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """What a reader has at hand: reports, one of a new form, an own notebook; and an empty store."""
    folder = tmp_path / "desk"
    shutil.copytree(desk, folder)
    shutil.copytree(ROOT / "notebooks", folder / "notebooks")
    shutil.copy(folder / "Astana.XLSX", folder / "Astana-2024.XLSX")
    strings = {"xl/sharedStrings.xml": lambda xml: xml.replace(*TORTURE)}
    rewrite(folder / "Astana-2024.XLSX", strings)
    made(folder / "mine.ipynb", *RECORDS)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("KZRESEARCH_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv(
        "PATH", os.pathsep.join([str(Path(command("kzresearch")).parent), os.environ["PATH"]])
    )
    yield folder
    kz.use_language("en")


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_samples_of_a_page_do_what_the_page_says(page, at_desk):
    names: dict[str, Any] = {"__name__": page.stem}
    for block in blocks(page):
        where = f"{page.name}:{block.line}"
        if block.mark == "file":
            Path(block.said).write_text(block.text, encoding="utf-8")
        elif block.mark == "run" and block.language == "sh":
            run_shell(block.text, where)
        elif block.mark == "run" and block.language == "python":
            run_python(block.text, names, where)


def run_shell(text: str, where: str) -> None:
    """What stands for a run's id, `…`, is what a shell finds for `*`."""
    code = re.sub(r"-…\.", "-*.", text)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", code], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, f"{where}\n{done.stdout}\n{done.stderr}"


def run_python(text: str, names: dict[str, Any], where: str) -> None:
    if ">>>" not in text:
        exec(compile(text, where, "exec"), names)
        return
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    told: list[str] = []
    test = doctest.DocTestParser().get_doctest(text, names, where, where, 0)
    runner = doctest.DocTestRunner(optionflags=flags)
    assert runner.run(test, out=told.append, clear_globs=False).failed == 0, "".join(told)
    names.update(test.globs)


# samples that are not


@pytest.mark.parametrize(("page", "block"), samples("sh", mark="parsed"))
def test_commands_that_are_not_run_are_ones_that_there_are(page, block, at_desk):
    for words in commands(block.text):
        check_command(words)


def commands(text: str) -> Iterator[list[str]]:
    """The commands of a block, each as its words; what is written to files or to others is left out."""
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if set(word) <= set("|&;<>"):
                yield from [words] if words else []
                words = []
            else:
                words.append(word)


def check_command(words: list[str]) -> None:
    """A command of ours, of Dask or of make must understand its words."""
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    match words:
        case ["make", *targets]:
            known = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
            assert {one for one in targets if "=" not in one} <= set(known), words
        case [("kzresearch" | ".venv/bin/kzresearch"), name, *rest]:
            from kzresearch.cli import main

            understood(main, name, rest)
        case ["dask", name, *rest]:
            from distributed.cli import dask_scheduler, dask_worker

            understood(
                click.Group(
                    commands={"scheduler": dask_scheduler.main, "worker": dask_worker.main}
                ),
                name,
                rest,
            )


def understood(group: click.Group, name: str, words: list[str]) -> None:
    parent = click.Context(group)
    found = group.get_command(parent, name)
    assert found is not None, name
    found.make_context(name, words, parent=parent)


@pytest.mark.parametrize(("page", "block"), samples("python", mark="parsed"))
def test_calls_that_are_not_run_are_ones_that_there_are(page, block):
    for node in ast.walk(ast.parse(block.text)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("kz."):
            function = getattr(kz, ast.unparse(node.func).removeprefix("kz."))
            named = {one.arg: None for one in node.keywords}
            inspect.signature(function).bind(*node.args, **named)


def test_every_room_of_the_house_is_on_its_page():
    page = (DOCS / "developers.md").read_text(encoding="utf-8")
    package = ROOT / "kzresearch"
    names = [path.stem for path in package.glob("[!_]*.py")]
    names += [f"{path.parent.name}/" for path in package.glob("*/__init__.py")]
    assert len(names) > 40
    assert [name for name in sorted(names) if f"`{name}`" not in page] == []


def test_a_command_or_call_that_there_is_not_is_found(at_desk):
    for line in ("kzresearch batch case_flow --jbos 4", "kzresearch chek Almaty.XLSX"):
        (words,) = commands(line)
        with pytest.raises((click.UsageError, AssertionError)):
            check_command(words)
    with pytest.raises(AssertionError):
        check_command(["make", "reports"])


@pytest.mark.parametrize(("page", "block"), samples("yaml", "toml"))
def test_files_shown_are_what_they_seem(page, block):
    assert (tomllib.loads if block.language == "toml" else yaml.safe_load)(block.text)
