"""The commands that fill and tend the user's store of reports."""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from kzresearch import completion as completing
from kzresearch.resources import STORE

_STORE = click.option(
    "--store",
    metavar="DIR|s3://BUCKET/PREFIX",
    shell_complete=completing.files,
    help=f"Where the reports are; default: what {STORE} names, or a folder of the platform's.",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


def _use(store: str | None) -> None:
    if store:
        os.environ[STORE] = store


@click.command(short_help="Take workbooks of Form 1-M into your own store.")
@click.argument(
    "paths", nargs=-1, type=click.Path(path_type=Path, exists=True), metavar="[FILE|DIR]…"
)
@click.option("--period", metavar="YYYY-MM", help="For files that do not state their period.")
@click.option(
    "--region",
    metavar="KZ-75",
    shell_complete=completing.values,
    help="For a file that does not state its region.",
)
@click.option(
    "--manifest",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE.csv",
    help="A table that says the period and region of each file: columns file, period, region.",
)
@_STORE
@click.option(
    "--replace", is_flag=True, help="Take files in place of others of the same region and period."
)
@click.option(
    "-j",
    "--jobs",
    type=click.IntRange(1),
    metavar="N",
    help="How many are read at a time; default: one for each processor.",
)
@click.option(
    "--dask",
    metavar="ADDRESS",
    help="Scheduler of a Dask cluster whose workers read, as in tcp://scheduler:8786.",
)
@click.option(
    "--explain",
    is_flag=True,
    help="Take nothing; say how a file differs from the versions of the form that are known, and "
    "draft the version that it is of.",
)
@click.option(
    "--form",
    metavar="NAME",
    help="With --explain: what to call the version that is drafted; default: the file's period.",
)
@_JSON
@click.option("-q", "--quiet", is_flag=True, help="Say only what was refused.")
def ingest(
    paths: tuple[Path, ...],
    store: str | None,
    explain: bool,
    form: str | None,
    as_json: bool,
    quiet: bool,
    **how: Any,
) -> None:
    """Read workbooks of Form 1-M, FILEs or all of a DIR, into your own store.

    Notebooks and loaders then have their periods beside the bundled ones. Most files do not state
    their period: put them into folders named YYYY-MM, or give --period or --manifest. What is not
    understood is refused with the reason; nothing is guessed, and nothing of it is taken. However an
    ingest is stopped, the same command goes on.

    Ends with 0 where every file is in the store, with 1 where one was refused.

    \b
    Examples:
      kzresearch ingest reports/2023-12
      kzresearch ingest reports --manifest reports.csv --store s3://bucket/store
      kzresearch ingest Astana.XLSX --explain
    """  # noqa: D301
    _use(store)
    if not paths and not how["manifest"]:
        raise click.UsageError("name files or folders, or a manifest with --manifest")
    if explain:
        _explain(paths, how["period"], form)
        return
    try:
        found = _taken(paths, how, asks=sys.stdin.isatty() and not as_json, quiet=quiet)
    except (KeyboardInterrupt, click.Abort):
        click.echo("stopped; what is in the store is kept, and the same command goes on", err=True)
        sys.exit(130)
    if as_json:
        click.echo(json.dumps({"files": found.to_dicts()}, ensure_ascii=False, indent=1))
    else:
        from kzresearch.ingesting import report

        click.echo(report(found, quiet=quiet), nl=False)
    if "refused" in found["outcome"]:
        sys.exit(1)


def _taken(paths: tuple[Path, ...], how: dict[str, Any], *, asks: bool, quiet: bool) -> Any:
    """What became of the files; meanwhile, a bar shows how far it is."""
    from tqdm import tqdm

    from kzresearch import ingesting
    from kzresearch.run.verify import printable

    if hasattr(signal, "siginterrupt"):  # not on every platform
        # Polars asks that what Ctrl-C interrupts be gone on with: a question, or a wait for a file.
        signal.siginterrupt(signal.SIGINT, True)
    shown = sys.stderr.isatty() and not quiet
    with tqdm(unit="file", disable=not shown, dynamic_ncols=True, leave=False) as bar:

        def ask(question: str) -> bool:
            with bar.external_write_mode(file=sys.stderr):
                return asks and click.confirm(printable(question), err=True)

        progress = ingesting.Progress(bar.reset, bar.update, ask)
        return ingesting.ingest(paths, progress=progress, **how)


def _explain(paths: tuple[Path, ...], period: str | None, version: str | None) -> None:
    """Say how files differ from the versions of the form, and draft the version of each that is of none."""
    from kzresearch import ingesting
    from kzresearch.form_1m.identity import Stated
    from kzresearch.form_1m.version_files import FORM_NAME
    from kzresearch.readers import Explained, Question, Readers, Refused
    from kzresearch.run.verify import printable
    from kzresearch.store import store as own

    if version and not FORM_NAME.fullmatch(version):
        raise click.BadParameter("use letters, digits, '.', '-' and '_'", param_hint="--form")
    refused = False
    with Readers(1, own().where) as readers:
        for file in ingesting.offered(list(paths), Stated(period)):
            said = None if isinstance(file.stated, Refused) else file.stated.period
            name = version or said or "draft"
            found = readers.one(Question(file.path, name))
            if not isinstance(found, Explained):
                click.echo(f"Error: {printable(found.reason)}", err=True)
                refused = True
                continue
            click.echo("\n".join(map(printable, found.text.splitlines())))
            if found.draft:
                click.echo(f"\n{own().draft(name, found.draft)}")
    if refused:
        sys.exit(1)


@click.command(short_help="List, check and remove what your own store holds.")
@_STORE
@click.option(
    "--check", is_flag=True, help="Check every figure's checksum, contract and identities."
)
@click.option("--remove", metavar="YYYY-MM", help="Take this period out of the store.")
@click.option(
    "--region",
    metavar="KZ-75",
    shell_complete=completing.values,
    help="With --remove: this region's report alone.",
)
@click.option("-y", "--yes", is_flag=True, help="With --remove: do not ask.")
@_JSON
def store(
    store: str | None,
    check: bool,
    remove: str | None,
    region: str | None,
    yes: bool,
    as_json: bool,
) -> None:
    """List the reports in your own store, by period.

    --check reads all of them again: whether the figures are those that were read from the workbooks,
    keep their contract, and add up. Ends with 1 where some are not; that a report does not add up is
    said, but many official ones do not.

    \b
    Examples:
      kzresearch store --check
      kzresearch store --remove 2023-12 --region KZ-75
    """  # noqa: D301
    from kzresearch.datasets import bundled_workbooks
    from kzresearch.run.verify import printable
    from kzresearch.store import store as own

    _use(store)
    if region and not remove:
        raise click.UsageError("--region says what to --remove")
    if remove:
        if not yes and sys.stdin.isatty():
            click.confirm(f"Remove {region or 'all reports'} of {remove}?", abort=True, err=True)
        with own().locked():
            bundled = set(bundled_workbooks().select("region", "period").rows())
            for gone in own().remove(remove, region):
                again = (gone.region, gone.period) in bundled
                counts = "; the bundled report counts again" if again else ""
                click.echo(printable(f"removed {gone.region} {gone.period} ({gone.file}){counts}"))
        return
    rows = _checked() if check else [asdict(one) for one in own().reports()]
    damaged = [row["damage"] for row in rows if row.get("damage")]
    if as_json:
        click.echo(json.dumps({"reports": rows}, ensure_ascii=False, indent=1))
    else:
        _list(rows, check=check)
    for message in damaged:
        click.echo(f"Error: {printable(message)}", err=True)
    if damaged:
        sys.exit(1)


def _checked() -> list[dict[str, Any]]:
    """Every report, with what is wrong with it: `damage`, and the hard identities it breaks."""
    from tqdm import tqdm

    from kzresearch.store import store as own

    shown = sys.stderr.isatty()
    return list(tqdm(own().check(), unit="report", disable=not shown, leave=False))


def _list(rows: list[dict[str, Any]], *, check: bool) -> None:
    """A line a period, and with `check` a line for each report that does not add up."""
    from kzresearch.ingesting import does_not_add_up
    from kzresearch.run.verify import printable
    from kzresearch.store import store as own

    rows = [row for row in rows if "region" in row]
    click.echo(f"{len(rows)} report{'s' * (len(rows) != 1)} in {own().where}")
    for period, of_period in groupby(rows, key=lambda row: row["period"]):
        reports = list(of_period)
        regions = " ".join(row["region"] for row in reports)
        versions = ", ".join(dict.fromkeys(row["form_version"] for row in reports))
        click.echo(f"{period}  form {versions}  {len(reports):>2}: {regions}")
    if not check and (kept := own().replaced_reports()):
        click.echo("replaced, and readable by their checksum:")
        for one in kept:
            click.echo(printable(f"  {one.region} {one.period} {one.sha256} ({one.file})"))
    if not check:
        return
    for row in rows:
        if row["broken"]:
            click.echo(does_not_add_up(row))
    sound = sum(not row["damage"] for row in rows)
    click.echo(
        f"{sound} of {len(rows)} reports hold the figures that were read from their workbooks; "
        f"{sum(bool(row['broken']) for row in rows)} break a hard identity"
    )
