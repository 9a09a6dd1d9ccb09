"""The command `kzresearch`."""

from __future__ import annotations

import atexit
import gc
import json
import sys
import time
import traceback
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kzresearch import __version__, cli_store
from kzresearch import completion as completing
from kzresearch.errors import KzresearchError, WorkbookError, unknown_value
from kzresearch.run import DEFAULT_FORMATS, FORMATS

if TYPE_CHECKING:
    from collections.abc import Callable

    from kzresearch.run.batch import Block, Made, Planned
    from kzresearch.sources import RawFile


class _Group(click.Group):
    """Errors of the project end a command with one sentence, not with a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KzresearchError as error:
            raise click.ClickException(str(error)) from None
        except (
            KeyboardInterrupt
        ):  # of a command that keeps nothing: what it writes is whole or not there
            click.echo("stopped", err=True)
            ctx.exit(130)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except Exception as error:
            *_, last = traceback.extract_tb(error.__traceback__)
            if isinstance(error, BrokenPipeError) and last.name == "echo":
                raise  # nobody reads on, as with `head -1`: click ends without a word
            from kzresearch.run.scrub import scrubbed_message

            place = f"{Path(last.filename).name}:{last.lineno}"
            said = scrubbed_message(f"{type(error).__name__}: {error}")
            raise click.ClickException(
                f"a fault of kzresearch itself: {said} ({place}); please report it"
            ) from None


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="kzresearch")
def main() -> None:
    """How torture cases are handled in Kazakhstan: official figures, reproducible analyses.

    \b
    Examples:
      kzresearch report                            every notebook, with an index page
      kzresearch run case_flow -p region=KZ-75     one notebook for one region
      kzresearch COMMAND --help                    what a command does, with examples
    """  # noqa: D301
    # At the end the collector would look at all there is once more, for a tenth of a second.
    atexit.register(gc.freeze)


main.add_command(cli_store.ingest)
main.add_command(cli_store.store)


def _how_to_run(command: Any) -> Any:
    """The options that say how notebooks are run, the same for each command that runs any."""
    for option in reversed(
        (
            click.option(
                "--engine",
                type=click.Choice(["fast", "stock"]),
                default="fast",
                show_default=True,
                help="fast: a forked process for each run; stock: papermill's own, for any kernel. "
                "Outputs of the project's notebooks are the same.",
            ),
            click.option(
                "--timeout",
                type=click.FloatRange(0, min_open=True),
                default=600,
                show_default=True,
                metavar="SECONDS",
                help="What one cell may take.",
            ),
            click.option(
                "--memory",
                type=click.FloatRange(0, min_open=True),
                metavar="GB",
                help="What one run may take; default: its share of what is free.",
            ),
        )
    ):
        command = option(command)
    return command


def _run_options(command: Any) -> Any:
    """The options of commands that leave runs: where, what, and how notebooks are run."""
    command = _how_to_run(command)
    for option in reversed(
        (
            click.option(
                "--out",
                default="out",
                shell_complete=completing.files,
                show_default=True,
                metavar="FOLDER|s3://BUCKET/PREFIX",
                help="Where the runs leave their files.",
            ),
            click.option(
                "--formats",
                default=",".join(DEFAULT_FORMATS),
                show_default=True,
                metavar="FORMAT,…|none",
                help=f"What is made of each executed notebook: {', '.join(FORMATS)}. What is missing "
                "of runs that are there is made without running them again.",
            ),
            click.option(
                "--author",
                "authors",
                multiple=True,
                metavar="NAME",
                help="Named as author in records, pages and citations; may be given several times. "
                "A run that is there under other names is run again.",
            ),
            click.option("-q", "--quiet", is_flag=True, help="Tell only what failed."),
            click.option("--json", "as_json", is_flag=True, help="Print the runs as JSON."),
        )
    ):
        command = option(command)
    return command


_PARAMETERS = click.option(
    "-p",
    "--parameter",
    "parameters",
    multiple=True,
    shell_complete=completing.parameters,
    metavar="NAME=VALUE",
    help="A parameter, the same in all runs; may be given several times.",
)
_JOBS = click.option(
    "-j",
    "--jobs",
    type=click.IntRange(1),
    metavar="N",
    help="How many run at a time; default: one for each processor.",
)
_FORCE = click.option("--force", is_flag=True, help="Run again what is there.")


@main.command(short_help="Run one notebook: page, notebook and record.")
@click.argument("notebook", shell_complete=completing.notebooks)
@_PARAMETERS
@_run_options
def run(
    notebook: str,
    parameters: tuple[str, ...],
    out: str,
    formats: str,
    quiet: bool,
    as_json: bool,
    **how: Any,
) -> None:
    """Run NOTEBOOK and leave the executed notebook, a page and a JSON record.

    A PDF too with --formats html,pdf.

    NOTEBOOK is a name (`kzresearch notebooks` lists them) or the path of a file of your own.

    Ends with 1 where the run fails.

    \b
    Examples:
      kzresearch run period_report -p period=2021-02
      kzresearch run case_flow -p region=KZ-75 -p language=ru --formats html,pdf
    """  # noqa: D301
    from kzresearch.run.batch import Block

    blocks = [Block([notebook], _pairs(parameters))]
    made = _batch(blocks, out, formats, force=True, quiet=quiet, **how)
    ((planned, record),) = made.runs
    if as_json:
        _print_runs(made, _formats(formats))
    if quiet or as_json:
        sys.exit(1 if record["error"] else 0)
    shown = "".join(f" {name}={value}" for name, value in _pairs(parameters).items())
    if not record["error"]:
        click.echo(f"{notebook}{shown}: done, run {record['run_id']}", err=True)
    labels = {"html": "page", "pdf": "PDF", "ipynb": "notebook", "json": "record"}
    for ending, label in labels.items():
        if ending not in FORMATS or ending in _formats(formats):
            click.echo(f"{label:<9}{made.outputs.link(f'{planned.task.stem}.{ending}')}")
    if record["error"]:
        sys.exit(1)


@main.command(short_help="Run notebooks for every region, article and period.")
@click.argument("notebooks", nargs=-1, metavar="[NOTEBOOK]…", shell_complete=completing.notebooks)
@click.option(
    "--each",
    multiple=True,
    shell_complete=completing.parameters,
    metavar="NAME[=VALUE,…]",
    help="A parameter that takes every value the data has, or those named; may be given several "
    "times, and all combinations are run.",
)
@_PARAMETERS
@click.option(
    "--grid",
    type=click.Path(path_type=Path),
    metavar="FILE.yaml",
    help="A file that says what to run; see docs/batches.md.",
)
@_JOBS
@_FORCE
@click.option("--dry-run", is_flag=True, help="Say which runs there are, new and done, and end.")
@click.option(
    "--dask",
    metavar="ADDRESS",
    help="Scheduler of a Dask cluster whose workers make the runs, as in tcp://scheduler:8786.",
)
@_run_options
def batch(
    notebooks: tuple[str, ...],
    each: tuple[str, ...],
    parameters: tuple[str, ...],
    grid: Path | None,
    out: str,
    formats: str,
    **how: Any,
) -> None:
    """Run NOTEBOOKs for all combinations of parameters; what was run before is not run again.

    Everything is checked before anything is run. A run that fails does not stop the others; the
    failures are listed at the end, and the exit code is 1. However a batch is stopped, the same
    command goes on where it was.

    \b
    Examples:
      kzresearch batch case_flow --each region --each article=146,362,120 -p period=2022-12
      kzresearch batch period_report --each period --each region --out s3://bucket/reports
      kzresearch batch --grid grid.yaml --dry-run
    """  # noqa: D301
    from kzresearch.run.batch import Block, read_grid

    if not notebooks and (each or parameters):
        raise click.UsageError("--each and -p need a notebook that they are for")
    if not notebooks and not grid:
        raise click.UsageError("name a notebook, or a file with --grid")
    blocks = [Block(notebooks, _pairs(parameters), _each(each))] if notebooks else []
    _batch([*blocks, *(read_grid(grid) if grid else [])], out, formats, closing=True, **how)


@main.command(short_help="Run again what files of runs say, and compare.")
@click.argument("paths", nargs=-1, required=True, metavar="PATH…", shell_complete=completing.files)
@click.option(
    "--notebook",
    "notebooks",
    multiple=True,
    metavar="FILE.ipynb",
    help="The notebook of a page or record, where it is not the project's; may be given several "
    "times.",
)
@click.option(
    "--trust",
    is_flag=True,
    help="Run the code of notebooks that are not the project's on this machine.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@_JOBS
@_how_to_run
def verify(
    paths: tuple[str, ...], notebooks: tuple[str, ...], trust: bool, as_json: bool, **how: Any
) -> None:
    """Run again what PATHs say, with the same parameters, and compare output by output.

    A PATH is an executed notebook, a page, a record, a PDF beside one of these, or a folder of them
    (s3://BUCKET/PREFIX too). Tells whether data, code or environment are others here than they were,
    and what came out otherwise. What is not listed was not compared. Nothing is written.

    Ends with 0 where all that is listed is identical, with 1 where one differs or a file was edited, with
    3 where something could not be verified and nothing differs.

    \b
    Examples:
      kzresearch verify out/flow
      kzresearch verify page.html --notebook mine.ipynb --trust
    """  # noqa: D301
    import json

    from kzresearch.run import verify as verifying
    from kzresearch.run.batch import Options

    def trusts(names: list[str]) -> bool:
        if trust or not sys.stdin.isatty():
            return trust
        question = (
            f"Run the code of {', '.join(names)}, which is not the project's, on this machine?"
        )
        return click.confirm(verifying.printable(question), err=True)

    try:
        found = verifying.verdicts(
            paths, notebooks, Options((), **how), trusts, lambda text: click.echo(text, err=True)
        )
    except KzresearchError as error:
        click.echo(f"Error: {verifying.printable(str(error))}", err=True)
        sys.exit(3)
    except KeyboardInterrupt:
        click.echo("stopped", err=True)
        sys.exit(130)
    if as_json:
        click.echo(json.dumps({"runs": [one.row() for one in found]}, indent=2))
    else:
        click.echo(verifying.report(found))
    click.echo(verifying.counted(found), err=True)
    sys.exit(verifying.exit_code(found))


@main.command(short_help="Run every notebook, with an index page.")
@_PARAMETERS
@_JOBS
@_FORCE
@_run_options
def report(parameters: tuple[str, ...], out: str, formats: str, **how: Any) -> None:
    """Run every notebook on the bundled data, and make an index page that leads to each.

    The period report is run for every period that the data holds; the other notebooks are run with
    their own defaults. A parameter is given to the notebooks that have it. What was run before, with
    the same data and code, is not run again.

    Ends with 1 where a run fails.

    \b
    Examples:
      kzresearch report
      kzresearch report -p language=kk --out out/kk
      kzresearch report --out site --formats html,pdf
    """  # noqa: D301
    from kzresearch.notebooks import notebooks as found
    from kzresearch.run.batch import EVERY, Block

    given = _pairs(parameters)
    taken = {one.name: [of.name for of in one.parameters] for one in found()}
    for name in given:
        if not any(name in names for names in taken.values()):
            raise unknown_value("parameter", name, sorted({*chain(*taken.values())}))
    every: dict[str, Any] = {} if "period" in given else {"period_report": {"period": EVERY}}
    blocks = [
        Block([one], {n: value for n, value in given.items() if n in names}, every.get(one, {}))
        for one, names in taken.items()
    ]
    _batch(blocks, out, formats, closing=True, **how)


@main.command(short_help="List the notebooks with their parameters.")
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
def notebooks(as_json: bool) -> None:
    """List the notebooks with their parameters: type, default, meaning.

    \b
    Example:
      kzresearch notebooks --json
    """  # noqa: D301
    from kzresearch.notebooks import notebooks as found

    if as_json:
        listed = [
            {
                "name": one.name,
                "title": one.title,
                "parameters": [asdict(parameter) for parameter in one.parameters],
            }
            for one in found()
        ]
        click.echo(json.dumps(listed, ensure_ascii=False, indent=1))
        return
    for notebook in found():
        click.echo(f"{notebook.name}: {notebook.title}")
        for one in notebook.parameters:
            click.echo(f"  {one.name}: {one.type} = {one.default!r}  {one.help}")


@main.command(
    short_help="Open the notebooks in JupyterLab.",
    context_settings={"ignore_unknown_options": True},
)
@click.argument("folder", required=False, type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--language",
    default="en",
    show_default=True,
    metavar="en|ru|kk",
    shell_complete=completing.values,
    help="Of the copies' prose, and what their parameter `language` says at first.",
)
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[JUPYTERLAB OPTION]…")
def lab(folder: Path | None, language: str, options: tuple[str, ...]) -> None:
    """Copy the notebooks into FOLDER (./kzresearch-notebooks) and open JupyterLab there, on the tour.

    What is in the folder stays as it is, so the same command opens it again. Options that are not
    this command's are passed on to JupyterLab.

    \b
    Examples:
      kzresearch lab
      kzresearch lab my-work --language ru
      kzresearch lab my-work --no-browser --port 8899
    """  # noqa: D301
    from kzresearch import lab as opening

    if folder is not None and str(folder).startswith("-"):
        folder, options = None, (str(folder), *options)
    folder = folder or Path(opening.FOLDER)
    done = list(opening.copy_notebooks(folder, language))
    for name in [name for name, copied in done if not copied]:
        click.echo(f"kept {folder / name}.ipynb, which was there", err=True)
    if copied := sum(copied for _, copied in done):
        click.echo(f"copied {copied} notebooks into {folder}", err=True)
    opening.open_lab(folder, options)


@main.command(short_help="Test whether workbooks of Form 1-M add up.")
@click.argument(
    "files",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE…",
)
@click.option("--period", metavar="YYYY-MM", help="For files that do not state their period.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print what was tested, and what fails, as JSON."
)
def check(files: tuple[Path, ...], period: str | None, as_json: bool) -> None:
    """Test every accounting identity on each FILE, a workbook of Form 1-M.

    Lists what fails with the figures and their cells: hard identities first, then known defects of
    the source. Some official workbooks fail as they were published.

    Ends with 1 where a hard identity is broken, with 2 where a file cannot be read.

    \b
    Example:
      kzresearch check Astana.XLSX --period 2022-12
    """  # noqa: D301
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
    if as_json:
        told = {"identities": checked.to_dicts(), "failing": failing.to_dicts()}
        click.echo(json.dumps(told, ensure_ascii=False, indent=1))
        sys.exit(1 if "hard" in broken["status"] else 0)
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


@main.command(short_help="Print what a shell needs to complete this command.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script by which a SHELL completes commands, options, notebooks, parameters and their values.

    \b
    Examples:
      eval "$(kzresearch completion bash)"     for this terminal, or in ~/.bashrc
      eval "$(kzresearch completion zsh)"      the same in ~/.zshrc
      kzresearch completion fish > ~/.config/fish/completions/kzresearch.fish
    """  # noqa: D301
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(main, {}, "kzresearch", "_KZRESEARCH_COMPLETE").source())


@main.command(short_help="Print the citation of a run and of its sources.")
@click.argument("run", shell_complete=completing.files)
@click.option(
    "--format",
    "wanted",
    type=click.Choice(["text", "bibtex", "csl", "ris"]),
    default="text",
    show_default=True,
    help="csl: CSL-JSON.",
)
def cite(run: str, wanted: str) -> None:
    """Print the citation of RUN and of the sources that it used.

    RUN is the path of an executed notebook, its page or its record.

    \b
    Example:
      kzresearch cite out/case_flow-1a558537aaf8.html --format bibtex > run.bib
    """  # noqa: D301
    from kzresearch import records
    from kzresearch.publish import cite as citing

    click.echo(citing.formats(records.read(run))[wanted], nl=False)


@main.command(short_help="Print where a recorded figure comes from.")
@click.argument("run", shell_complete=completing.files)
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print the chain as JSON.")
def trace(run: str, name: str, as_json: bool) -> None:
    """Print where the figure NAME of RUN comes from: formula, cells, workbooks, publishers.

    RUN is the path of an executed notebook, its page or its record. Values of cells are those of the
    tables that are installed with this command.

    \b
    Example:
      kzresearch trace out/case_flow-1a558537aaf8.json share_sent_to_court
    """  # noqa: D301
    from kzresearch.tracing import trace as traced

    found = traced(run, name)
    click.echo(json.dumps(found.chain, ensure_ascii=False, indent=1) if as_json else str(found))


@main.command(short_help="Build the bundled tables again from the raw files.")
@click.argument("tables", nargs=-1, metavar="[TABLE]…")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Folder for the tables; default: the checkout's data folder.",
)
def build(tables: tuple[str, ...], out: Path | None) -> None:
    """Build each bundled TABLE (default: all) again from the raw files.

    Raw files are taken from the folder that KZRESEARCH_RAW names, or else downloaded from the
    addresses in sources.toml; each is checked against its checksum. `texts`, only where it is named, is
    the table of texts, built from code and notebooks.

    Ends with 1 where a table could not be built.

    \b
    Examples:
      kzresearch build
      kzresearch build readme texts
    """  # noqa: D301
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


@main.command(short_help="Download the raw files of sources, or list what there is.")
@click.argument("names", nargs=-1, metavar="[SOURCE]…")
@click.option(
    "--to",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Where the files go, laid out as in sources.toml; default: where `kzresearch build` looks.",
)
@click.option("-q", "--quiet", is_flag=True, help="Tell only what failed.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def fetch(names: tuple[str, ...], to: Path | None, quiet: bool, as_json: bool) -> None:
    """Download the raw files of each SOURCE from their publishers; without one, list what there is.

    A SOURCE is a folder or a source of that list, the path of a file, or a folder and a word of its
    files' names. A file that is there with the right checksum is not asked for again; what was cut off is gone
    on with. A file without an address is got by hand; fetching it says how.

    Files go where `kzresearch build` looks: into the folder that KZRESEARCH_RAW names, or else the
    platform's cache. With --to, set KZRESEARCH_RAW to that folder afterwards.

    Ends with 1 where a file is missing in the end.

    \b
    Examples:
      kzresearch fetch form_1m/2022-12
      kzresearch fetch regions/2024 population --to raw
    """  # noqa: D301
    from tqdm import tqdm

    from kzresearch import sources

    folder = to or sources.fetch_folder()
    if not names:
        _list_sources(sources.fetchable(folder), as_json=as_json)
        return
    files = list(dict.fromkeys(file for name in names for file in sources.files_named(name)))
    try:
        with tqdm(
            total=sum(file.bytes for file in files),
            unit="B",
            unit_scale=True,
            leave=False,
            disable=quiet or None,  # None: on a terminal only
        ) as bar:
            report = [_fetched(file, folder, bar) for file in files]
    except KeyboardInterrupt:
        click.echo("stopped; what came is kept, and the same command goes on", err=True)
        sys.exit(130)
    states = [one["state"] for one in report]
    if as_json:
        click.echo(json.dumps({"folder": str(folder), "files": report}, indent=1))
    else:
        _tell_fetched(report, quiet=quiet)
    if not quiet and not as_json:
        counted = (f"{states.count(s)} {s}" for s in ("fetched", "already there", "failed"))
        click.echo(f"{', '.join(counted)}, in {folder}")
    if "failed" in states:
        sys.exit(1)


def _fetched(file: RawFile, folder: Path, bar: Any) -> dict[str, Any]:
    from kzresearch.sources import fetch

    before, reason = bar.n, None
    bar.set_postfix_str(file.path)
    try:
        new = fetch(file, folder, lambda there: bar.update(before + there - bar.n))
        state = "fetched" if new else "already there"
    except KzresearchError as error:
        state, reason = "failed", str(error)
    bar.update(before + file.bytes - bar.n)
    about = {"path": file.path, "source": file.source, "bytes": file.bytes, "sha256": file.sha256}
    return {**about, "state": state, "reason": reason}


def _tell_fetched(report: list[dict[str, Any]], *, quiet: bool) -> None:
    for one in report:
        if one["reason"]:
            click.echo(f"failed         {one['reason']}", err=True)
        elif not quiet:
            click.echo(f"{one['state']:<14} {one['path']}")


def _list_sources(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    click.echo(f"{'folder':<16} {'source':<24} files       size  here  by hand")
    for row in rows:
        click.echo(
            f"{row['folder']:<16} {row['source']:<24} {row['files']:>5} {row['bytes'] / 1000:>7,.0f} kB "
            f"{row['here']:>5} {len(row['by_hand']) or '':>8}".rstrip()
        )
    click.echo(
        "Fetch by folder, source or path, or by a folder and a word of its files' names: regions/2024.\n"
        "What is to be got by hand has no address; fetching it tells what to do."
    )


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


def _each(given: tuple[str, ...]) -> dict[str, Any]:
    from kzresearch.run.batch import EVERY

    found: dict[str, Any] = {}
    for text in given:
        name, equals, values = text.partition("=")
        if not name or (equals and not values):
            raise click.UsageError(f"--each {text!r} is not of the form NAME or NAME=VALUE,VALUE")
        if name in found:
            raise click.UsageError(f"--each {name} is given twice")
        found[name] = [value.strip() for value in values.split(",")] if equals else EVERY
    return found


def _formats(text: str) -> tuple[str, ...]:
    named = (name.strip() for name in text.split(","))
    return () if text == "none" else tuple(dict.fromkeys(named))


def _batch(  # what every command that runs notebooks does
    blocks: list[Block],
    out: str,
    formats: str,
    *,
    closing: bool = False,
    dry_run: bool = False,
    quiet: bool = False,
    as_json: bool = False,
    **how: Any,
) -> Made:
    from kzresearch.run import batch as batches

    def say(text: str) -> None:
        if not quiet:
            click.echo(text, err=True)

    start = time.monotonic()
    options = batches.Options(_formats(formats), progress=False if quiet else None, **how)
    if dry_run:
        _tell_plan(*batches.look(blocks, out, options), say, as_json=as_json)
        sys.exit(0)

    counts = (lambda *plan: say(_counted(*plan))) if closing else (lambda *_: None)
    try:
        made = batches.make(blocks, out, options, say, counts)
    except KeyboardInterrupt:
        click.echo("stopped; what is done is kept, and the same command goes on", err=True)
        sys.exit(130)
    _failures(made, err=True)
    if not closing:
        return made
    took = f"{_runs(len(made.runs))} in {time.monotonic() - start:.0f} s"
    say(f"{took}, {len(made.failed)} failed")
    if as_json:
        _print_runs(made, options.formats)
    elif not quiet:
        for label, name in _TABLES.items():
            click.echo(f"{label:<9}{made.outputs.link(name)}")
    sys.exit(1 if made.failed else 0)


_TABLES = {"index": "index.html", "figures": "results.parquet"}


def _tell_plan(
    planned: list[Planned], left_out: int, say: Callable[[str], None], *, as_json: bool
) -> None:
    if as_json:
        _print_json({"runs": [_planned(one) for one in planned], "left_out": left_out})
    else:
        for one in planned:
            click.echo(f"{one.state:<11}{one.task.run_id}  {one.task.label}")
    say(_counted(planned, left_out))


def _print_json(what: object) -> None:
    click.echo(json.dumps(what, ensure_ascii=False, indent=1))


def _planned(one: Planned) -> dict[str, Any]:
    task = one.task
    about = {"run_id": task.run_id, "notebook": task.notebook, "parameters": task.parameters}
    return about | {"state": one.state}


def _print_runs(made: Made, formats: tuple[str, ...]) -> None:
    """The runs of a batch that has ended, and where their files are, as JSON."""
    runs = [
        _planned(one)
        | {name: record[name] for name in ("status", "error")}
        | {"files": [made.outputs.link(f"{one.task.stem}.{e}") for e in (*_ALWAYS, *formats)]}
        for one, record in made.runs
    ]
    tables = {label: made.outputs.link(name) for label, name in _TABLES.items()}
    _print_json({"runs": runs, **tables})


_ALWAYS = ("ipynb", "json")


def _counted(planned: list[Planned], left_out: int) -> str:
    """`40 runs: 38 new, 2 done; 3 combinations that the data does not have are left out`."""
    states = [one.state for one in planned]
    words = {
        "new": "new",
        "failed": "failed before",
        "incomplete": "to be completed",
        "done": "done",
    }
    counts = [f"{states.count(state)} {word}" for state, word in words.items() if state in states]
    more = f"; left out, since the data does not have them: {left_out} more" if left_out else ""
    return f"{_runs(len(planned))}: {', '.join(counts)}{more}"


def _runs(number: int) -> str:
    return f"{number} run{'s' * (number != 1)}"


def _failures(made: Made, *, err: bool) -> None:
    """The table of failures: run, cell, error, and where the notebook with the error is."""
    for task, record in made.failed:
        error = record["error"]
        where = "outside its cells" if error["cell"] is None else f"in cell {error['cell']}"
        click.echo(
            f"Error: {task.label} failed {where}: {error['type']}: {error['message']}", err=err
        )
        click.echo(
            f"  the notebook with the error in place: {made.outputs.link(f'{task.stem}.ipynb')}",
            err=err,
        )


@main.command(short_help="Make a bundle of runs for a repository such as Zenodo.")
@click.argument("runs", metavar="FOLDER|s3://BUCKET/PREFIX", shell_complete=completing.files)
@click.option(
    "--zip",
    "packed",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The zip file to make.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FOLDER", help="The folder to make instead."
)
@click.option("--doi", metavar="DOI", help="The DOI that a repository has reserved for it.")
def bundle(runs: str, packed: Path | None, out: Path | None, doi: str | None) -> None:
    """Make a bundle of the runs that run, batch or report left in a folder.

    It holds pages, notebooks, records, all recorded figures in one table, the data as CSV and
    parquet with codebook and terms, the code and what it needs: described as RO-Crate and as
    Frictionless data package, with CITATION.cff and checksums. The same runs give the same bytes.

    An earlier bundle that lies there is replaced; anything else is not touched.

    \b
    Example:
      kzresearch bundle out/flow --zip flow.zip
    """  # noqa: D301
    from kzresearch.publish.bundle import bundle as make_bundle

    target = packed or out
    if target is None or (packed and out):
        raise click.UsageError("say what to make: --zip FILE or --out FOLDER, one of the two")
    make_bundle(
        runs,
        target,
        archive=packed is not None,
        doi=doi,
        say=lambda text: click.echo(text, err=True),
    )
    click.echo(f"bundle   {target}")


_FILTERS = {
    "period": ("YYYY-MM", "January to this month."),
    "region": ("KZ-75", "ISO 3166-2; KZ is the country, which comes only when asked for."),
    "section": ("R1", "Of the form: a sheet of the workbook."),
    "article": ("146", "Of the Criminal Code."),
    "measure": ("NAME", "A column, as in `registered`."),
    "row": ("NAME", "A row, as in `severity:grave`."),
}


def _filters(command: Any) -> Any:
    """The filters of `load_form_1m` as options."""
    for name, (shown, words) in reversed(_FILTERS.items()):
        option = click.option(
            f"--{name}", multiple=True, metavar=shown, help=words, shell_complete=completing.values
        )
        command = option(command)
    return command


@main.command(short_help="Write figures of Form 1-M as CSV, parquet or Excel.")
@_filters
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Ends in .csv, .parquet or .xlsx.",
)
def export(out: Path, **filters: tuple[str, ...]) -> None:
    """Write figures of Form 1-M to a file, with codebook, units and sources.

    Each filter may be given several times; without one, all is written. The codebook lists what
    they take. A file that is there is replaced.

    \b
    Example:
      kzresearch export --period 2022-12 --article 146 --out torture.xlsx
    """  # noqa: D301
    from kzresearch.datasets import load_form_1m
    from kzresearch.exports import export as write

    frame = load_form_1m(**{name: given or None for name, given in filters.items()})
    for path in write(frame, out):
        click.echo(f"wrote {path}")
