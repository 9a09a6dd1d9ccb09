"""`make verify`: what the bundled report puts out does not depend on the settings of a machine.

The report is made once, with the settings that are there, and verified under others, to the text of
its pages. Ends with 1 where anything differs under one of them.

    python -m tests.settings [NOTEBOOK…]    the same for runs of these notebooks alone
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.conftest import command

NAMES = ("PYTHONHASHSEED", "TZ", "LC_ALL", "LANG", "POLARS_MAX_THREADS", "OMP_NUM_THREADS")
SETTINGS = (  # one engine and one value of each, so that every value is there once
    ("fast", "0", "UTC0", "C", "C", "1", "1"),
    ("stock", "1", "<+14>-14", "ru_RU.KOI8-R", "ru_RU.KOI8-R", "2", "2"),
    ("fast", "4294967295", "<-12>+12", "tr_TR.UTF-8", "en_US.UTF-8", "7", "4"),
    ("fast", "random", "Asia/Almaty", None, "kk_KZ.UTF-8", "3", "3"),
)


def main(notebooks: list[str]) -> bool:
    with tempfile.TemporaryDirectory() as name:
        locales, out = Path(name) / "locales", Path(name) / "out"
        locales.mkdir()
        start = time.monotonic()
        for words in [["run", one] for one in notebooks] or [["report"]]:
            made = [command("kzresearch"), *words, "--formats", "html", "--out", str(out)]
            subprocess.run(made, check=True, capture_output=True)
        runs = len(list(out.glob("*.ipynb")))
        print(
            f"reference: {runs} runs with the settings that are here, {seconds(start)}", flush=True
        )
        good = [verified(out, engine, values, locales) for engine, *values in SETTINGS]
    print(f"{sum(good)} of {len(good)} settings give identical outputs, {seconds(start)}")
    return all(good)


def verified(out: Path, engine: str, values: list[str | None], locales: Path) -> bool:
    """Verify what is there under one setting, and print a line on it."""
    setting = {name: value for name, value in zip(NAMES, values, strict=True) if value}
    environment = {name: value for name, value in os.environ.items() if name not in NAMES}
    environment |= setting | {"LOCPATH": str(locales)}
    lacking = [one for one in ("LC_ALL", "LANG") if not there(setting.get(one, "C"), locales)]
    words = " ".join(f"{name}={value}" for name, value in setting.items())
    words += "".join(f" ({setting[name]} is not to be had here)" for name in lacking)
    start = time.monotonic()
    done = subprocess.run(
        [command("kzresearch"), "verify", out, "--engine", engine, "--trust"],
        env=environment,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    told = done.stderr.strip().rpartition("\n")[2]
    print(
        f"{'ok  ' if not done.returncode else 'BAD '} {engine} engine, {words}: {told}, {seconds(start)}"
    )
    if done.returncode:
        print(done.stdout + done.stderr)
    sys.stdout.flush()
    return not done.returncode


def there(name: str, locales: Path) -> bool:
    """Whether the C library has a locale of that name among these, where need be made for it."""
    if name == "C":
        return True
    language, _, encoding = name.partition(".")
    asked = ["localedef", "-i", language, "-f", encoding, str(locales / name)]
    try:
        subprocess.run(asked, capture_output=True)
    except OSError:
        return False
    return (locales / name).is_dir()


def seconds(start: float) -> str:
    return f"{time.monotonic() - start:.0f} s"


if __name__ == "__main__":
    sys.exit(not main(sys.argv[1:]))
