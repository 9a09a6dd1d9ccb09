"""How the command behaves: help with examples, errors, quiet, JSON, completion, Ctrl-C."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pexpect
import pytest

from kzresearch import completion
from kzresearch.cli import main
from kzresearch.form_1m import codebook
from tests.conftest import command, tool

COMMANDS = sorted(main.commands)
ESCAPE = re.compile(r"\x1b")


def ran(*words, **more) -> subprocess.CompletedProcess:
    environment = {**os.environ, **more.pop("env", {})}
    return subprocess.run(
        [command("kzresearch"), *map(str, words)],
        capture_output=True,
        text=True,
        env=environment,
        **more,
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example_that_it_takes(name):
    one = main.commands[name]
    said = one.get_help(click.Context(one, parent=click.Context(main, info_name="kzresearch")))
    examples = re.findall(rf"kzresearch ({name}\b[^\n]*)", one.help.split("Example", 1)[1])
    assert examples
    for example in examples:
        words = re.split(r"\s{2,}|\)?\"| > ", example)[0].split()
        with main.make_context("kzresearch", words, resilient_parsing=True) as context:
            one.make_context(name, words[1:], parent=context, resilient_parsing=True)
        known = {flag for option in one.params for flag in option.opts}
        named = {word for word in words if word.startswith("-")}
        others = one.context_settings.get("ignore_unknown_options")  # go to another command
        assert others or named <= known | {"--help"}, example
    assert one.short_help
    assert all(option.help for option in one.params if isinstance(option, click.Option))
    assert "Usage: kzresearch" in said


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["run", "case_flaw"], 1),
        (["run", "case_flow", "-p", "region=KZ-99"], 1),
        (["run", "case_flow", "-p", "language=de"], 1),
        (["run", "case_flow", "--no-such"], 2),
        (["cite", "nowhere.json"], 1),
        (["export", "--article", "9999", "--out", "x.csv"], 1),
        (["completion", "cmd.exe"], 2),
        (["no-such-command"], 2),
    ],
)
def test_errors_go_to_the_other_stream_with_a_code(words, code, tmp_path):
    found = ran(*words, cwd=tmp_path)
    assert found.returncode == code
    assert not found.stdout
    assert "Error:" in found.stderr
    assert "Traceback" not in found.stderr
    assert not ESCAPE.search(found.stderr)
    assert not list(tmp_path.iterdir()) or words[0] == "run"


def test_what_is_piped_has_no_colours_and_no_bars(tmp_path):
    found = ran(
        "batch",
        "case_flow",
        "--each",
        "region=KZ-71,KZ-75",
        "--out",
        tmp_path / "out",
        "--formats",
        "none",
    )
    assert found.returncode == 0, found.stderr
    assert not ESCAPE.search(found.stdout + found.stderr)
    assert "\r" not in found.stderr


def test_scripts_get_the_runs_as_json_and_nothing_else(tmp_path):
    words = [
        "batch",
        "case_flow",
        "--each",
        "region=KZ-71,KZ-75",
        "--formats",
        "none",
        "--out",
        tmp_path,
    ]
    plan = json.loads(ran(*words, "--dry-run", "--json").stdout)
    assert [one["state"] for one in plan["runs"]] == ["new", "new"]
    found = ran(*words, "--json", "--quiet")
    assert not found.stderr
    told = json.loads(found.stdout)
    assert [one["parameters"]["region"] for one in told["runs"]] == ["KZ-71", "KZ-75"]
    for one in told["runs"]:
        assert (one["status"], one["error"]) == ("completed", None)
        assert [Path(path).exists() for path in one["files"]] == [True, True]
        assert Path(one["files"][0]).name == f"case_flow-{one['run_id']}.ipynb"
    assert Path(told["index"]).exists()
    assert Path(told["figures"]).exists()
    again = json.loads(ran(*words, "--json", "-q").stdout)
    assert [one["state"] for one in again["runs"]] == ["done", "done"]


def test_quiet_tells_what_failed_alone(tmp_path):
    broken = tmp_path / "broken.ipynb"
    cell = {
        "cell_type": "code",
        "execution_count": None,
        "id": "a",
        "metadata": {},
        "outputs": [],
        "source": "1 / 0",
    }
    broken.write_text(
        json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    )
    found = ran("run", broken, "-q", "--out", tmp_path / "out")
    assert (found.returncode, found.stdout) == (1, "")
    assert "ZeroDivisionError" in found.stderr
    told = ran("run", broken, "--json", "--out", tmp_path / "out")
    assert told.returncode == 1
    assert json.loads(told.stdout)["runs"][0]["error"]["type"] == "ZeroDivisionError"


def test_notebooks_are_listed_as_json():
    listed = {one["name"]: one for one in json.loads(ran("notebooks", "--json").stdout)}
    parameters = {one["name"]: one for one in listed["case_flow"]["parameters"]}
    assert parameters["region"]["default"] == "KZ"
    assert parameters["article"]["type"] == "str"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_get_a_script_for_completion(shell):
    found = ran("completion", shell)
    assert found.returncode == 0, found.stderr
    assert "_KZRESEARCH_COMPLETE" in found.stdout


@pytest.fixture(scope="module")
def bash(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], list[str]]]:
    """A bash with the script: what it puts in the place of the last word, `=` being between words."""
    folder = tmp_path_factory.mktemp("desk")
    (folder / "mine.ipynb").write_text("")
    (folder / "store" / "form_1m" / "period=2023-12").mkdir(parents=True)
    environment = {
        **os.environ,
        "INPUTRC": "/dev/null",
        "KZRESEARCH_STORE": str(folder / "store"),
        "PATH": os.pathsep.join([str(Path(command("kzresearch")).parent), os.environ["PATH"]]),
        "TERM": "dumb",
    }
    shell = pexpect.spawn(
        tool("bash"),
        ["--norc", "--noprofile", "-i"],
        cwd=folder,
        env=environment,
        encoding="utf-8",
        timeout=60,
        dimensions=(24, 2000),
    )
    shell.sendline("bind 'set enable-bracketed-paste off'; PS1=")
    shell.sendline('eval "$(kzresearch completion bash)"; echo rea""dy')
    shell.expect("ready")

    def completed(line: str) -> list[str]:
        # all that it could be is written into the line, and what the line is then is printed
        shell.send(f"{line}\x1b*\x01printf '<%s>\\n' \x05 end\r")
        shell.expect("\n<end>")
        words = re.findall(r"^<(.*)>\r?$", shell.before, re.MULTILINE)
        return words[len(line.split()) - 1 :]

    yield completed
    shell.close()


@pytest.mark.parametrize(
    ("begun", "offered"),
    [
        ("in", "ingest"),
        ("run case", "case_flow"),
        ("run mi", "mine.ipynb"),
        ("batch case_flow tre", "trends"),
        ("batch --dr", "--dry-run"),
        ("run case_flow -p re", "region="),
        ("run context -p re", "re"),
        ("batch context -p y", "year="),
        ("batch case_flow --each re", "region region="),
        ("run case_flow -p region=KZ-7", "region=KZ-71 KZ-75 KZ-79"),
        ("run case_flow -p language=", "language=en ru kk"),
        ("run case_flow -p region=KZ-75 -p article=146", "article=146"),
        ("run case_flow --parameter=period=", "--parameter=period=2021-02 2022-12 2023-12"),
        ("report -p language=r", "language=ru"),
        ("run trends -p indicator=term", "indicator=terminated_total"),
        ("batch case_flow --each region=KZ-71,KZ-7", "region=KZ-71,KZ-75 KZ-71,KZ-79"),
        ("export --row severity:m", "severity:minor medium"),
        ("cite mi", "mine.ipynb"),
    ],
)
def test_bash_completes_commands_options_notebooks_parameters_and_values(bash, begun, offered):
    assert sorted(bash(f"kzresearch {begun}")) == sorted(offered.split())


def test_zsh_and_fish_get_values_with_what_they_mean():
    asked = {"COMP_WORDS": "kzresearch batch case_flow --each region=KZ-71,KZ-5"}
    told = ran(env={**asked, "_KZRESEARCH_COMPLETE": "zsh_complete", "COMP_CWORD": "4"}).stdout
    assert told.split("\n")[:3] == ["plain", "region=KZ-71,KZ-55", "Pavlodar Region"]
    word = {"_KZRESEARCH_COMPLETE": "fish_complete", "COMP_CWORD": "region=KZ-71,KZ-5"}
    told = ran(env={**asked, **word}).stdout
    assert told.split("\n")[0] == "plain,region=KZ-71,KZ-55\tPavlodar Region"
    assert "split -m 1" in ran("completion", "fish").stdout  # at the first comma alone


def test_what_is_offered_is_what_there_is():
    from kzresearch.notebooks import find_notebook
    from kzresearch.regions import COUNTRY

    notebook = find_notebook("case_flow")
    for name in ("period", "article", "language"):
        assert [*completion.values_of(name)] == notebook.choices(name)
    assert [*completion.values_of("region")] == [COUNTRY, *notebook.choices("region")]
    assert [*completion.values_of("measure")] == list(codebook.measures())
    assert [*completion.values_of("section")] == list(codebook.section_names())


def test_a_shell_does_not_wait_for_what_reads_tables():
    asked = {"COMP_WORDS": "kzresearch run case_flow -p region=", "COMP_WORD": ""}
    environment = {**os.environ, **asked, "_KZRESEARCH_COMPLETE": "bash_complete"}
    words = [sys.executable, "-X", "importtime", command("kzresearch")]
    told = subprocess.run(words, capture_output=True, text=True, env=environment)
    assert "plain,KZ-75" in told.stdout
    assert "kzresearch.completion" in told.stderr
    assert not re.search(r"polars|dataframely|numpy", told.stderr)


@pytest.mark.parametrize(
    "words", [["--help"], ["run", "--help"], ["notebooks"], ["notebooks", "--json"], ["fetch"]]
)
def test_nothing_is_said_where_nobody_reads_on(words):
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([command("kzresearch"), *words], stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        (["run", "case_flow"], 1.0),
        (["report", "--formats", "none"], 0.5),
        (["report", "--formats", "none"], 2.5),
        (["export", "--period", "2022-12", "--out", "all.csv"], 1.0),
    ],
)
def test_ctrl_c_ends_with_a_word_and_leaves_things_whole(words, seconds, tmp_path):
    process = subprocess.Popen(
        [command("kzresearch"), *words],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the processes of the runs too
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert said.strip().splitlines()[-1].startswith("stopped")
    assert "Traceback" not in said
    for path in tmp_path.rglob("*.json"):
        json.loads(path.read_text(encoding="utf-8"))
    assert not (tmp_path / "all.csv").exists() or (tmp_path / "all.csv").read_text().endswith("\n")
