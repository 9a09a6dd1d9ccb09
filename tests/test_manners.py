"""How the command behaves: help with examples, errors, quiet, JSON, completion, Ctrl-C."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import click
import pytest

from kzresearch.cli import main
from tests.conftest import command

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
    assert all(
        option.help
        for option in one.params
        if isinstance(option, click.Option)
        if option.name not in {"period", "region", "section", "article", "measure", "row"}
    )
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


@pytest.mark.parametrize(
    ("begun", "offered"),
    [
        (["kzresearch", "in"], {"ingest"}),
        (["kzresearch", "run", "case"], {"case_flow"}),
        (["kzresearch", "batch", "case_flow", "tre"], {"trends"}),
        (["kzresearch", "batch", "--dr"], {"--dry-run"}),
        (["kzresearch", "run", "case_flow", "-p", "re"], {"region="}),
        (["kzresearch", "batch", "context", "-p", "y"], {"year="}),
    ],
)
def test_commands_options_and_notebooks_are_completed(begun, offered):
    told = ran(
        env={
            "_KZRESEARCH_COMPLETE": "bash_complete",
            "COMP_WORDS": " ".join(begun),
            "COMP_CWORD": str(len(begun) - 1),
        }
    )
    assert {line.split(",")[1] for line in told.stdout.split()} == offered


@pytest.mark.parametrize(
    "words",
    [["report", "--formats", "none"], ["export", "--period", "2022-12", "--out", "all.csv"]],
)
def test_ctrl_c_ends_with_a_word_and_leaves_things_whole(words, tmp_path):
    process = subprocess.Popen(
        [command("kzresearch"), *words],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(2.5 if words[0] == "report" else 1.0)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert said.strip().splitlines()[-1].startswith("stopped")
    assert "Traceback" not in said
    for path in tmp_path.rglob("*.json"):
        json.loads(path.read_text(encoding="utf-8"))
    assert not (tmp_path / "all.csv").exists() or (tmp_path / "all.csv").read_text().endswith("\n")
