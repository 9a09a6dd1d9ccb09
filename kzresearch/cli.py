"""The command `kzresearch`."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kzresearch import __version__
from kzresearch.errors import KzresearchError, WorkbookError

if TYPE_CHECKING:
    from kzresearch.run import Run


class _Group(click.Group):
    """Errors of the project end a command with one sentence, not with a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KzresearchError as error:
            raise click.ClickException(str(error)) from None


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="kzresearch")
def main() -> None:
    """How torture cases are handled in Kazakhstan: official figures, reproducible analyses."""


_OUT = click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("out"),
    show_default=True,
    help="Folder for what the runs leave.",
)


@main.command(short_help="Run one notebook: page, notebook and record.")
@click.argument("notebook")
@click.option(
    "-p",
    "--parameter",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    help="A parameter of the notebook; may be given several times.",
)
@_OUT
def run(notebook: str, parameters: tuple[str, ...], out: Path) -> None:
    """Run NOTEBOOK and leave the executed notebook, a page and a JSON record.

    Example: kzresearch run period_report -p period=2021-02
    """
    if _run(notebook, _pairs(parameters), out).record["error"]:
        sys.exit(1)


@main.command(short_help="Run every notebook, with an index page.")
@_OUT
def report(out: Path) -> None:
    """Run every notebook on the bundled data, and make an index page that leads to each.

    The period report is run for every period that the data holds; the other notebooks are run with
    their own defaults.
    """
    from kzresearch.datasets import coverage
    from kzresearch.notebooks import notebooks as found
    from kzresearch.publish.index import write_index

    periods = coverage()["period"].unique().sort()
    every = {"period_report": [{"period": period} for period in periods]}
    start = time.monotonic()
    done = [_run(one.name, given, out) for one in found() for given in every.get(one.name, [{}])]
    click.echo(f"index    {write_index(done, out)}")
    failed = sum(one.record["error"] is not None for one in done)
    click.echo(f"{len(done)} runs in {time.monotonic() - start:.0f} s, {failed} failed", err=True)
    if failed:
        sys.exit(1)


@main.command(short_help="List the notebooks with their parameters.")
def notebooks() -> None:
    """List the notebooks with their parameters."""
    from kzresearch.notebooks import notebooks as found

    for notebook in found():
        click.echo(f"{notebook.name}: {notebook.title}")
        for one in notebook.parameters:
            click.echo(f"  {one.name}: {one.type} = {one.default!r}  {one.help}")


@main.command(short_help="Test whether workbooks of Form 1-M add up.")
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False)
)
@click.option("--period", metavar="YYYY-MM", help="For files that do not state their period.")
def check(files: tuple[Path, ...], period: str | None) -> None:
    """Test every accounting identity on workbooks of Form 1-M.

    Lists what fails with the figures and their cells: hard identities first, then known defects of
    the source. Some official workbooks fail as they were published.

    Ends with 1 where a hard identity is broken, with 2 where a file cannot be read.
    """
    import polars as pl

    from kzresearch.figures import number
    from kzresearch.form_1m import accounting
    from kzresearch.form_1m.reader import read_form_1m

    try:
        frame = read_form_1m(list(files), period)
    except WorkbookError as error:
        message = str(error).replace("period='YYYY-MM'", "--period YYYY-MM")
        click.echo(f"Error: {message}", err=True)
        sys.exit(2)
    checked, failing = accounting.examine(frame)
    broken = checked.filter(pl.col("fails") > 0).sort(
        pl.col("status") != "hard", maintain_order=True
    )
    for line in broken.iter_rows(named=True):
        click.echo(
            f"{line['status']} {line['identity']}: {line['fails']} of {line['tests']} fail, "
            f"largest difference {number(line['max_difference'])}: {line['description']}"
        )
        for one in failing.filter(identity=line["identity"]).iter_rows(named=True):
            about = filter(None, (one[n] for n in ("region", "period", "row", "measure")))
            sides, cells = accounting.in_words(one)
            click.echo(f"  {' '.join(about)}: {sides} ({cells})")
    for status, words in (("hard", "hard identities"), ("source_defect", "known source defects")):
        tests, fails = checked.filter(status=status).select("tests", "fails").sum().row(0)
        click.echo(f"{words}: {tests:,} tests, {tests - fails:,} hold, {fails:,} fail")
    if "hard" in broken["status"]:
        sys.exit(1)


@main.command(short_help="Build the bundled tables again from the raw files.")
@click.argument("tables", nargs=-1)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the tables; default: the checkout's data folder.",
)
def build(tables: tuple[str, ...], out: Path | None) -> None:
    """Build the bundled TABLES (default: all) again from the raw files.

    Raw files are taken from the folder that KZRESEARCH_RAW names, or else downloaded from the
    addresses in sources.toml; each is checked against its checksum.
    """
    from kzresearch.build import TABLES, build_tables
    from kzresearch.errors import unknown_value
    from kzresearch.resources import checkout_dir, data_dir

    for name in tables:
        if name not in TABLES:
            raise unknown_value("table", name, list(TABLES))
    if out is None and checkout_dir() is None:
        raise click.UsageError("give --out: an installed package's own tables are not replaced")
    written, failed = build_tables(out or data_dir(), list(tables) or None)
    for path in written:
        click.echo(f"wrote {path}")
    for message in failed:
        click.echo(f"not built: {message}", err=True)
    if failed:
        sys.exit(1)


def _pairs(parameters: tuple[str, ...]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in parameters:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise click.UsageError(f"parameter {text!r} is not of the form NAME=VALUE")
        if name in pairs:
            raise click.UsageError(f"parameter {name} is given twice")
        pairs[name] = value
    return pairs


def _run(notebook: str, parameters: dict[str, str], out: Path) -> Run:
    from kzresearch.run import run as run_notebook

    start = time.monotonic()
    shown = "".join(f" {name}={value}" for name, value in parameters.items())
    click.echo(f"Running {notebook}{shown} …", err=True)
    result = run_notebook(notebook, parameters, out)
    seconds = time.monotonic() - start
    error = result.record["error"]
    if error:
        click.echo(f"Error: {notebook}{shown} failed: {error['message']}", err=True)
        click.echo(f"The notebook with the error in place: {result.notebook}", err=True)
        return result
    click.echo(
        f"{notebook}{shown}: done in {seconds:.0f} s, run {result.record['run_id']}", err=True
    )
    for label, path in (
        ("page", result.page),
        ("notebook", result.notebook),
        ("record", result.json),
    ):
        click.echo(f"{label:<9}{path}")
    return result
