"""Takes the machine and the person out of what a run leaves: folders, names, what variables hold.

Of what a notebook puts out on purpose, the folders of this machine are taken out and the values of
environment variables that have the name of a secret. An error, and what goes to standard error, is
not put out on purpose: there every path goes, every name, and every variable's value. What a
notebook sets in its environment itself is its own.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import platform
import re
import site
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

Json = dict[str, Any]
_ENVIRONMENT = dict(os.environ)
"""As it was when the process began."""
_SHORT = {"secret": 6, "value": 8, "name": 3}
"""Characters that a text must have to be looked for: shorter ones stand everywhere."""
_PATH = re.compile(
    r"""(["'`])(~?/[^"'`\n/][^"'`\n]*)\1"""  # in quotes, with any blanks in it
    r"""|(file://[^\s"'`]*)"""
    # after a blank or a colour, not within an address, a tag or a fraction
    r"""|(?:(?<![\w./:<~\\-])|(?<=\x1b\[\dm)|(?<=\x1b\[\d\dm)|(?<=;\dm)|(?<=;\d\dm))"""
    r"""(~?/(?:[A-Za-z][\w.-]{2,}|[^\s/"'`:,;()<>\[\]{}|\x1b]+/)[^\s"'`:,;()<>\[\]{}|\x1b]*)"""
)


def scrub(executed: Json) -> None:
    """Take the machine and the person out of an executed notebook."""
    executed["metadata"]["papermill"] |= {"environment_variables": {}}
    put_out, of_error = _cleaner(), _error_cleaner()
    for cell in executed["cells"]:
        for output in cell.get("outputs", []):
            if output["output_type"] == "error":
                output["traceback"] = [of_error(line) for line in output["traceback"]]
                output["evalue"] = of_error(output["evalue"])
            elif output["output_type"] == "stream":
                clean = of_error if output["name"] == "stderr" else put_out
                output["text"] = clean(output["text"])
            else:
                _scrub_texts(output["data"], put_out)
                _scrub_texts(output["metadata"], put_out)


def scrubbed_message(text: str) -> str:
    """What an error says, without the machine and the person."""
    return _error_cleaner()(text)


def _scrub_texts(within: Any, clean: Callable[[str], str]) -> None:
    """Clean all texts in an object or a list, in place: most of them stay as they are."""
    of_object = isinstance(within, dict)
    for key, one in [*(within.items() if of_object else enumerate(within))]:
        if isinstance(one, str):
            if (cleaned := clean(one)) is not one:
                within[key] = cleaned
        elif isinstance(one, (dict, list)):
            _scrub_texts(one, clean)
        if of_object and (name := clean(key)) is not key:
            within[name] = within.pop(key)


def _cleaner() -> Callable[[str], str]:
    """What takes secrets, and the folders of this machine, out of a text: what is below them stays."""
    replaced = [*_secrets(), *_folders()]
    marks = {"/", os.sep, *(secret for secret, _ in _secrets())}  # one is in all that is replaced

    def clean(text: str) -> str:
        for mark in marks:
            if mark in text:
                break
        else:
            return text
        for what, name in replaced:
            text = text.replace(what, name)
        return re.sub(r"temporary/(kzresearch|ipykernel)[\w-]+(/run-[\w]+)?", r"temporary/\1", text)

    return clean


def _error_cleaner() -> Callable[[str], str]:
    """What takes all else out too: values of variables, paths, names of users and of the machine."""
    clean, words = _cleaner(), _words()
    longest_first = sorted(words, key=len, reverse=True)
    whole = re.compile(rf"(?<!\w)({'|'.join(map(re.escape, longest_first))})(?!\w)")

    def clean_error(text: str) -> str:
        text = whole.sub(lambda found: words[found[0]], clean(text)) if words else clean(text)
        return _PATH.sub(_shortened, text)

    return clean_error


def _shortened(path: re.Match[str]) -> str:
    """A path without the folders; the last of it is kept where it is the name of a file."""
    quotes, last = path[1] or "", path[0].strip("\"'`").rpartition("/")[2]
    kept = f"/{last}" if re.search(r"[^.]\.\w{1,8}$", last) else ""
    return f"{quotes}…{kept}{quotes}"


def _secrets() -> list[tuple[str, str]]:
    """Values of variables with the name of a secret, as they are and as an address has them."""
    from kzresearch.notebooks import SECRET

    return [
        (text, f"${name}")
        for name, value in _ENVIRONMENT.items()
        if len(value) >= _SHORT["secret"] and SECRET.search(name) and name not in {"PWD", "OLDPWD"}
        for text in {value, quote(value, safe="")}
    ]


def _words() -> dict[str, str]:
    """Words that tell of the person or the machine, and what stands in their place."""
    found = {
        value: f"${name}" for name, value in _ENVIRONMENT.items() if len(value) >= _SHORT["value"]
    }
    with contextlib.suppress(Exception):  # a user without a name
        found[getpass.getuser()] = "user"
    found |= {_ENVIRONMENT.get(name, ""): "user" for name in ("USER", "LOGNAME", "USERNAME")}
    found |= {Path.home().name: "user", platform.node(): "host"}
    found.pop("root", None)  # is no one
    return {word: name for word, name in found.items() if len(word) >= _SHORT["name"]}


def _folders() -> list[tuple[str, str]]:
    package = Path(__file__).resolve().parents[1]
    found = {
        str(package): "kzresearch",
        str(package.parent): "checkout",
        **dict.fromkeys(site.getsitepackages(), "site-packages"),
        sys.prefix: "environment",
        sys.base_prefix: "python",
        _here(): ".",
        str(Path(tempfile.gettempdir()).parent): "run",  # in a run's own process: its folder
        tempfile.gettempdir(): "temporary",
        str(Path.home()): "~",
    }
    home = str(Path.home())
    found |= {
        f"~{at.removeprefix(home)}": n for at, n in found.items() if at.startswith(f"{home}/")
    }
    longest_first = sorted(found.items(), key=lambda one: len(one[0]), reverse=True)
    return [(folder, name) for folder, name in longest_first if len(folder) > 1]


def _here() -> str:
    with contextlib.suppress(FileNotFoundError):  # a notebook has taken it away
        return os.getcwd()  # noqa: PTH109
    return ""
