"""The user's own store: what is put into it is read again, and what was changed in it is found."""

import hashlib
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from functools import cache
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner
from filelock import FileLock

import kzresearch as kz
from kzresearch import captions, datasets, records, resources
from kzresearch.cli import main
from kzresearch.errors import OutputError, UnknownValueError
from kzresearch.form_1m import codebook
from kzresearch.regions import region_codes
from kzresearch.store import Store, Taken
from kzresearch.store import store as own

KEY = ["section", "row", "measure"]
PERIOD = "2023-12"
NAME = f"form_1m/period={PERIOD}/figures.parquet"


@cache
def official(region: str) -> pl.DataFrame:
    """The bundled figures of a region, in the order of the form's template."""
    bundled = pl.read_parquet(resources.data_dir() / "form_1m" / "2022-12.parquet")
    template = codebook.form().template()
    of = bundled.filter(region=region).select(*KEY, "value")
    return template.join(of, on=KEY, how="left", maintain_order="left")


def taken(region: str, period: str = PERIOD, *, more: float = 0) -> Taken:
    """A report with the bundled figures of a region, the first of which is larger by `more`."""
    values = official("KZ-75" if region == "KZ" else region)["value"]
    values = pl.concat([values.head(1) + more, values.slice(1)])
    return Taken.of(
        values,
        sha256=hashlib.sha256(f"{region} {period} {more}".encode()).hexdigest(),
        file=f"{region}.xlsx",
        region=region,
        region_source="workbook",
        organ_code=None if region == "KZ" else f"19{region[3:]}",
        period=period,
        period_source="folder",
        form_version="2022",
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the user's store is: a folder that is not there yet."""
    monkeypatch.setenv("KZRESEARCH_STORE", str(tmp_path / "store"))
    return tmp_path / "store"


def files(folder: Path) -> dict[str, bytes]:
    """The files of a store."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def told(*words: str) -> str:
    """What the command says, after its errors."""
    done = CliRunner().invoke(main, words)
    assert "Traceback" not in done.output
    return f"{done.exit_code}\n{done.output}"


def damages() -> list[str]:
    return [row["damage"] for row in own().check() if row["damage"]]


# Reading what was put


def test_what_is_put_is_read_as_bundled_tables_are(folder):
    own().put(PERIOD, [taken("KZ-75"), taken("KZ-10")])
    found = kz.load_form_1m(PERIOD)
    bundled = kz.load_form_1m("2022-12", ["KZ-10", "KZ-75"])
    assert found.schema == bundled.schema
    same = ["region", "section", "row", "measure", "unit", "value", "cell", "source", "note"]
    assert found.select(same).equals(bundled.select(same))
    assert found["note"].null_count() < found.height
    assert found.filter(value=0).height == bundled.filter(value=0).height > 400_000
    assert found["period"].unique().to_list() == [PERIOD]
    assert found["period_source"].unique().to_list() == ["folder"]
    shas = dict(found.select("region", "workbook").unique().iter_rows())
    assert shas == {region: taken(region).report.sha256 for region in ("KZ-75", "KZ-10")}


def test_the_file_holds_what_is_not_zero_and_other_programs_read_it(folder):
    own().put(PERIOD, [taken("KZ-75"), taken("KZ-10")])
    own().put("2023-11", [taken("KZ-75", "2023-11", more=1)])
    plain = pl.scan_parquet(f"{folder}/form_1m/*/*.parquet").collect()
    assert plain.filter(value=0).is_empty()
    dense = kz.load_form_1m([PERIOD, "2023-11"]).filter(pl.col("value") != 0)
    keys = ["period", "region", *KEY]
    assert plain.select(dense.columns).sort(keys).equals(dense.sort(keys))
    assert (folder / NAME).stat().st_size < 8 * plain.filter(period=PERIOD).height


@pytest.mark.parametrize(
    "filters",
    [
        {"article": "146"},
        {"section": "R11", "measure": "registered"},
        {"row": ["total", "chapter:3"], "section": ["R1", "R3"]},
        {"measure": "registered", "region": "KZ-75"},
    ],
)
def test_filters_give_what_they_give_of_bundled_tables(folder, filters):
    own().put(PERIOD, [taken("KZ-75"), taken("KZ-10")])
    where = {"region": ["KZ-10", "KZ-75"]} | filters
    same = ["region", *KEY, "value", "cell"]
    found, bundled = kz.load_form_1m(PERIOD, **where), kz.load_form_1m("2022-12", **where)
    assert found.select(same).equals(bundled.select(same))


def test_bundled_and_own_periods_come_together(folder):
    assert datasets.coverage()["period"].unique().sort().to_list()[-1] == "2022-12"
    own().put(PERIOD, [taken(region) for region in region_codes()])
    every = kz.load_form_1m(article="146", section="R1", measure="registered")
    assert every.group_by("period").len().sort("period").rows() == [("2022-12", 20), (PERIOD, 20)]
    books = kz.load_workbooks()
    assert books.group_by("period").len().sort("period").rows() == [("2022-12", 20), (PERIOD, 20)]
    assert books.filter(period=PERIOD)["source"].unique().to_list() == ["form_1m"]
    country = kz.load_form_1m([PERIOD, "2022-12"], "KZ", "R1", "146", "registered")
    assert country["value"].to_list() == [98, 98]
    assert country["cells"].list.len().to_list() == [20, 20]
    datasets.check_reported(PERIOD, "KZ-75", "146")
    with pytest.raises(UnknownValueError, match="2023-11"):
        datasets.check_reported("2023-11", "KZ-75", "146")
    planned = told("batch", "period_report", "--each", "period", "--dry-run")
    assert PERIOD in planned
    assert "2022-12" in planned


def test_a_report_of_the_store_stands_in_place_of_the_bundled_one(folder):
    bundled = kz.load_workbooks().filter(region="KZ-75", period="2022-12")
    before = kz.load_form_1m("2022-12", "KZ", "R1", row="total", measure="registered")
    first = dict(zip(KEY, official("KZ-75").select(KEY).row(0), strict=True))
    changed = taken("KZ-75", "2022-12", more=5)
    own().put("2022-12", [changed])
    books = kz.load_workbooks().filter(period="2022-12")
    assert books.height == 20
    assert books.filter(region="KZ-75")["sha256"].item() == changed.report.sha256
    where = {"period": "2022-12", "region": "KZ-75", "section": first["section"]}
    where |= {"row": first["row"], "measure": first["measure"]}
    now = kz.load_form_1m(**where)
    earlier = kz.load_form_1m(**where, workbook=bundled["sha256"].item())
    assert now.height == earlier.height == 1
    assert now["value"].item() == earlier["value"].item() + 5
    assert kz.load_form_1m("2022-12")["region"].value_counts()["count"].n_unique() == 1
    whole = {**where, "region": "KZ"}
    assert kz.load_form_1m(**whole)["workbook"].item() is None
    listed = {cell["workbook"] for cell in kz.load_form_1m(**whole)["cells"].item()}
    assert changed.report.sha256 in listed
    assert bundled["sha256"].item() not in listed
    own().remove("2022-12")
    after = kz.load_form_1m("2022-12", "KZ", "R1", row="total", measure="registered")
    assert after.equals(before)


def test_what_was_replaced_is_read_by_its_checksum(folder):
    first, second = taken("KZ-75"), taken("KZ-75", more=7)
    own().put(PERIOD, [first, taken("KZ-10")])
    was = kz.load_form_1m(PERIOD, "KZ-75")
    own().put(PERIOD, [second])
    assert kz.load_form_1m(workbook=first.report.sha256).equals(was)
    assert kz.load_form_1m(PERIOD, "KZ-75")["value"].sum() == was["value"].sum() + 7
    assert own().replaced_reports() == [first.report]
    assert first.report.sha256 not in kz.load_workbooks()["sha256"]
    assert first.report.sha256 in told("store")
    with pytest.raises(UnknownValueError):
        kz.load_form_1m(workbook="0" * 64)
    own().put(PERIOD, [first])  # and back again
    assert kz.load_form_1m(PERIOD, "KZ-75").equals(was)
    assert own().replaced_reports() == [second.report]


def test_the_national_workbook_goes_before_the_sum(folder):
    own().put(PERIOD, [taken(region) for region in region_codes()])
    assert captions.source_line(PERIOD, "KZ").endswith(
        "Sum of 20 regional workbooks; military, transport and central bodies file their own"
    )
    national = taken("KZ", more=3)
    own().put(PERIOD, [national])
    found = kz.load_form_1m(PERIOD, "KZ", "R1", "146", "registered")
    theirs = official("KZ-75").filter(section="R1", row="article:146", measure="registered")
    assert found["value"].to_list() == theirs["value"].to_list()
    assert found["workbook"].to_list() == [national.report.sha256]
    assert found["cells"].to_list() == [[{"workbook": national.report.sha256, "cell": "R1!F70"}]]
    assert captions.source_line(PERIOD, "KZ").endswith(". The national workbook")
    assert "Sum of" not in captions.source_line(PERIOD, "KZ")
    assert "The region's workbook;" in captions.source_line(PERIOD, "KZ-75")
    text = kz.period_report(PERIOD).summary().data
    assert "the national workbook has" in text
    assert "KZ" not in kz.load_form_1m(PERIOD)["region"].unique()
    planned = told(
        "batch", "period_report", "-p", f"period={PERIOD}", "--each", "region", "--dry-run"
    )
    assert "region=KZ " not in planned
    assert planned.count("KZ-75") >= 1


def test_of_a_period_with_the_national_workbook_alone_regions_are_not_made_up(folder):
    own().put(PERIOD, [taken("KZ")])
    assert kz.load_form_1m(PERIOD, "KZ", "R1", "146")["value"].sum() >= 0
    with pytest.raises(UnknownValueError, match="has no figures for the regions; it has: KZ"):
        kz.load_form_1m(PERIOD)


def test_a_sum_warns_of_regions_that_are_missing(folder):
    own().put(PERIOD, [taken("KZ-75"), taken("KZ-10")])
    with pytest.warns(kz.IncompleteSumWarning, match="KZ-11, KZ-15"):
        found = kz.load_form_1m(PERIOD, "KZ", "R1", "146", "registered")
    each = kz.load_form_1m(PERIOD, None, "R1", "146", "registered")["value"]
    assert found["value"].item() == each.sum() > 0


def test_reports_that_have_no_code_are_listed(folder):
    own().put(PERIOD, [taken("KZ")])
    assert kz.load_workbooks().filter(period=PERIOD)["organ_code"].to_list() == [None]


# What it is as files


def test_the_same_reports_give_the_same_bytes(tmp_path):
    reports = [taken("KZ-75"), taken("KZ-10"), taken("KZ-11")]
    one, other = Store(tmp_path / "one"), Store(tmp_path / "other")
    one.put(PERIOD, reports)
    for report in reversed(reports):
        other.put(PERIOD, [report])
    assert files(tmp_path / "one") == files(tmp_path / "other")
    other.put(PERIOD, [taken("KZ-15")])
    other.remove(PERIOD, "KZ-15")
    assert files(tmp_path / "one") == files(tmp_path / "other")


def test_runs_are_named_by_what_the_store_holds_not_by_where_it_is(folder, tmp_path, monkeypatch):
    own().put(PERIOD, [taken("KZ-75")])
    data = records.environment().data
    assert [name for name in data if name.startswith("store/")] == [f"store/{NAME}"]
    assert str(tmp_path) not in json.dumps(data)
    shutil.copytree(folder, tmp_path / "elsewhere")
    monkeypatch.setenv("KZRESEARCH_STORE", str(tmp_path / "elsewhere"))
    assert records.environment().data == data
    own().put(PERIOD, [taken("KZ-10")])
    more = records.environment().data
    assert more.keys() == data.keys()
    assert more != data
    own().remove(PERIOD)
    assert f"store/{NAME}" not in records.environment().data
    monkeypatch.setenv("KZRESEARCH_STORE", str(folder))
    assert records.environment().data == data


def test_two_stores_are_told_apart(folder, tmp_path, monkeypatch):
    own().put(PERIOD, [taken("KZ-75")])
    monkeypatch.setenv("KZRESEARCH_STORE", str(tmp_path / "other"))
    with pytest.raises(UnknownValueError, match=PERIOD):
        kz.load_form_1m(PERIOD)
    own().put("2023-11", [taken("KZ-10", "2023-11")])
    assert kz.load_form_1m("2023-11", section="R11")["region"].unique().to_list() == ["KZ-10"]
    monkeypatch.setenv("KZRESEARCH_STORE", str(folder))
    with pytest.raises(UnknownValueError, match="2023-11"):
        kz.load_form_1m("2023-11")


def test_reading_makes_no_folder(folder):
    kz.load_form_1m("2022-12", "KZ-75", "R11")
    records.environment()
    assert own().replaced_reports() == []
    assert own().versions() == ()
    assert told("store").startswith("0\n0 reports")
    assert not folder.exists()


def test_a_running_process_notices_what_another_does(folder):
    seen = "import kzresearch as kz, sys\n"
    seen += "for _ in sys.stdin: print('2023-12' in kz.load_workbooks()['period'], flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", seen], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def asked() -> str:
            process.stdin.write("\n")
            process.stdin.flush()
            return process.stdout.readline().strip()

        assert asked() == "False"
        own().put(PERIOD, [taken("KZ-75")])
        assert PERIOD in kz.load_workbooks()["period"]
        time.sleep(0.6)
        assert asked() == "True"
        own().remove(PERIOD)
        assert PERIOD not in kz.load_workbooks()["period"]
        time.sleep(0.6)
        assert asked() == "False"
        process.stdin.close()


def test_figures_are_those_of_one_file_whatever_takes_its_place(folder):
    own().put(PERIOD, [taken("KZ-75"), taken("KZ-10")])
    before = kz.load_form_1m(PERIOD, "KZ-75", "R1")
    scan = kz.scan_form_1m(PERIOD, "KZ-75", "R1")
    other = Store(folder)  # as another process would
    other.put(PERIOD, [taken("KZ-75", more=7)])
    assert scan.collect().equals(before)
    now = kz.load_form_1m(PERIOD, "KZ-75", "R1")
    assert now["workbook"].unique().to_list() == [taken("KZ-75", more=7).report.sha256]
    other.remove(PERIOD, "KZ-75")
    assert scan.collect().equals(before)
    assert own().scan([PERIOD], pl.lit(value=True), ["KZ-75"]).collect().is_empty()
    other.remove(PERIOD)
    with pytest.raises(OutputError, match="was changed while it was read; read it again"):
        own().scan([PERIOD], pl.lit(value=True), ["KZ-75"])


WRITES = """
from kzresearch.store import Store
from tests.test_store import PERIOD, taken
one, other, store = taken("KZ-75"), taken("KZ-75", more=7), Store()
for _ in range(15):
    store.put(PERIOD, [other])
    store.put(PERIOD, [one])
"""


def test_who_reads_while_another_writes_has_the_figures_of_one_report(folder):
    one, other = taken("KZ-75"), taken("KZ-75", more=7)
    own().put(PERIOD, [one])
    where = dict(zip(KEY, official("KZ-75").select(KEY).row(0), strict=True))
    values = {
        each.report.sha256: official("KZ-75")["value"][0] + n for each, n in ((one, 0), (other, 7))
    }
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    seen = set()
    with subprocess.Popen([sys.executable, "-c", WRITES], env=environment) as process:
        while process.poll() is None:
            frame = kz.load_form_1m(PERIOD, "KZ-75", **where)
            seen.add((frame["workbook"].item(), frame["value"].item()))
    assert process.returncode == 0
    assert seen == set(values.items())


# Removing and checking


def test_remove(folder):
    own().put(PERIOD, [taken("KZ-75"), taken("KZ-10")])
    rest = kz.load_form_1m(PERIOD, "KZ-10")
    assert "removed KZ-75 2023-12 (KZ-75.xlsx)" in told(
        "store", "--remove", PERIOD, "--region", "KZ-75"
    )
    assert kz.load_form_1m(PERIOD).equals(rest)
    refused = told("store", "--remove", PERIOD, "--region", "KZ-75")
    assert refused.startswith("1\nError: the store holds no report of KZ-75 for 2023-12")
    assert told("store", "--remove", PERIOD).startswith("0\nremoved KZ-10")
    assert files(folder) == {}
    own().put("2022-12", [taken("KZ-75", "2022-12", more=1), taken("KZ", "2022-12")])
    assert told("store", "--remove", "2022-12").splitlines()[1:] == [
        "removed KZ 2022-12 (KZ.xlsx)",
        "removed KZ-75 2022-12 (KZ-75.xlsx); the bundled report counts again",
    ]
    assert told("store", "--remove", "../../etc").startswith("1\nError: the store holds no report")
    assert told("store", "--region", "KZ-75").startswith("2\n")


def test_a_sound_store_is_said_to_be_so(folder):
    own().put(PERIOD, [taken("KZ-75"), taken("KZ-10")])
    expected = [
        kz.check_form_1m(kz.load_form_1m(PERIOD, region))
        .filter(pl.col("status") == "hard", pl.col("fails") > 0)["identity"]
        .to_list()
        for region in ("KZ-10", "KZ-75")
    ]
    rows = list(own().check())
    assert [(row["region"], row["damage"]) for row in rows] == [("KZ-10", None), ("KZ-75", None)]
    assert [sorted(row["broken"]) for row in rows] == [sorted(one) for one in expected]
    said = told("store", "--check")
    assert said.startswith("0\n2 reports in ")
    assert "2 of 2 reports hold the figures that were read from their workbooks" in said
    listed = json.loads(told("store", "--check", "--json").partition("\n")[2])["reports"]
    assert [row["region"] for row in listed] == ["KZ-10", "KZ-75"]


def change(folder: Path, how, metadata: dict[str, str] | None = None) -> None:
    """Change the figures or what the file says of itself, as another program would."""
    path = folder / NAME
    said = {"kzresearch": pl.read_parquet_metadata(path)["kzresearch"]} | (metadata or {})
    how(pl.read_parquet(path)).write_parquet(path, metadata=said)


def a_value(frame: pl.DataFrame) -> pl.DataFrame:
    more = pl.when(pl.int_range(pl.len()) == 100).then(1).otherwise(0)
    return frame.with_columns(value=pl.col("value") + more)


@pytest.mark.parametrize(
    "how",
    [
        a_value,
        lambda frame: frame.slice(1),
        lambda frame: pl.concat([frame, frame.head(1)]),
        lambda frame: frame.with_columns(value=-pl.col("value")),
        lambda frame: frame.with_columns(cell=pl.lit("R1!F70")),
        lambda frame: frame.with_columns(unit=pl.lit("persons")),
        lambda frame: frame.with_columns(workbook=pl.lit("0" * 64)),
        lambda frame: frame.with_columns(value=pl.lit(float("nan"))),
        lambda frame: frame.drop("note"),
        lambda frame: frame.with_columns(pl.col("value").cast(pl.String)),
        lambda frame: frame.head(0),
    ],
)
def test_changed_figures_are_found(folder, how):
    own().put(PERIOD, [taken("KZ-75")])
    assert damages() == []
    change(folder, how)
    (damage,) = damages()
    assert "KZ-75 for 2023-12 are not those read from KZ-75.xlsx" in damage or "damaged" in damage
    said = told("store", "--check")
    assert said.startswith("1\n")
    assert f"Error: {damage}" in said


def test_figures_of_a_region_that_the_file_does_not_name_are_found(folder):
    own().put(PERIOD, [taken("KZ-75")])
    change(folder, lambda frame: pl.concat([frame, frame.with_columns(region=pl.lit("KZ-10"))]))
    assert ["is damaged" in one for one in damages()] == [True]


@pytest.mark.parametrize(
    ("was", "to"),
    [
        ("KZ-75", "KZ-71"),
        ("folder", "workbook"),
        ("2023-12", "2023-11"),
        ('"sha256"', '"sha"'),
        ("{", ""),
        ("reports", "report"),
        ("KZ-75.xlsx", "A.xlsx"),
    ],
)
def test_a_change_of_what_a_file_says_of_itself_is_found(folder, was, to):
    own().put(PERIOD, [taken("KZ-75")])
    said = pl.read_parquet_metadata(folder / NAME)["kzresearch"]
    assert was in said
    change(folder, lambda frame: frame, {"kzresearch": said.replace(was, to)})
    (damage,) = damages()
    assert "kzresearch store --remove 2023-12" in damage
    with pytest.raises(OutputError, match="is damaged or no file of a store"):
        kz.load_form_1m(PERIOD)


@pytest.mark.parametrize("content", ["truncated", "empty", "foreign", "another period's", "junk"])
def test_a_file_that_is_none_of_a_store_is_found_and_taken_out(folder, content):
    own().put(PERIOD, [taken("KZ-75")])
    own().put("2023-11", [taken("KZ-75", "2023-11", more=1)])
    path = folder / NAME
    if content == "truncated":
        path.write_bytes(path.read_bytes()[:-1000])
    elif content == "empty":
        path.write_bytes(b"")
    elif content == "foreign":
        pl.DataFrame({"a": [1]}).write_parquet(path)
    elif content == "another period's":
        shutil.copyfile(folder / NAME.replace(PERIOD, "2023-11"), path)
    else:
        path.write_bytes(b"PAR1" + b"\xff" * 70_000 + b"PAR1")
    said = told("store", "--check")
    assert said.startswith("1\n")
    assert "1 of 1 reports hold the figures" in said
    assert f"Error: the store's {NAME} is damaged or no file of a store; take it out" in said
    assert told("store").startswith("1\nError: the store's form_1m/period=2023-12")
    assert told("store", "--remove", PERIOD).startswith("0\n")
    assert damages() == []
    assert kz.load_form_1m("2023-11", "KZ-75", "R11").height > 0


def test_a_version_that_is_described_otherwise_since_gives_no_figure(folder, monkeypatch):
    one = taken("KZ-75")
    otherwise = one._replace(report=replace(one.report, form_checksum="1" * 64))
    said = "version 2022 of the form is described otherwise than when KZ-75 for 2023-12 was"
    with pytest.raises(OutputError, match=f"{said} read"):
        own().put(PERIOD, [taken("KZ-10"), otherwise])
    assert own().reports() == []
    own().put(PERIOD, [one])
    form = codebook.form()
    other = replace(form, columns=form.columns.with_columns(unit=pl.lit("persons")))
    monkeypatch.setattr(codebook, "_known", lambda: codebook._Known((other,), {}))
    monkeypatch.setattr(codebook, "_bundled", lambda: other)
    with pytest.raises(OutputError, match=f"{said} taken"):
        kz.load_form_1m(PERIOD, "KZ-75", "R1")


def test_a_bit_that_has_changed_is_never_read_over(folder):
    own().put(PERIOD, [taken("KZ-75")])
    path = folder / NAME
    content = path.read_bytes()
    draw = random.Random(1)
    for _ in range(40):
        damaged = bytearray(content)
        damaged[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        for read in (
            lambda: Store(folder).scan([PERIOD], pl.lit(value=True), ["KZ-75"]).collect(),
            lambda: Store(folder).put(PERIOD, [taken("KZ-10")]),
        ):
            with pytest.raises(OutputError, match="is damaged or no file of a store; take it out"):
                read()
        assert path.read_bytes() == damaged
    path.write_bytes(content)
    assert Store(folder).scan([PERIOD], pl.lit(value=True), ["KZ-75"]).collect().height == 217_460


def test_a_page_of_a_file_that_is_damaged_ends_in_one_sentence(folder):
    own().put(PERIOD, [taken("KZ-75")])
    path = folder / NAME
    content = bytearray(path.read_bytes())
    content[100:-8000] = bytes(len(content) - 8100)
    path.write_bytes(content)
    with pytest.raises(OutputError, match="is damaged or no file of a store; take it out"):
        kz.load_form_1m(PERIOD)
    (damage,) = damages()
    assert "\n" not in damage


def test_a_report_that_was_replaced_is_checked_too(folder):
    first = taken("KZ-75")
    own().put(PERIOD, [first])
    own().put(PERIOD, [taken("KZ-75", more=1)])
    path = folder / "replaced" / f"{first.report.sha256}.parquet"
    said = {"kzresearch": pl.read_parquet_metadata(path)["kzresearch"]}
    a_value(pl.read_parquet(path)).write_parquet(path, metadata=said)
    assert [f"replaced/{path.name} is damaged" in one for one in damages()] == [True]


# Places that cannot be used


def test_a_store_that_is_a_file_is_refused_in_a_sentence(folder, tmp_path):
    folder.write_text("no folder")
    with pytest.raises(OutputError, match=r"cannot read the store .*: not a directory; name"):
        kz.load_form_1m("2022-12", "KZ-75", "R11")
    with pytest.raises(OutputError, match="cannot use"), own().locked():
        pass
    assert told("store").startswith("1\nError: cannot read the store")
    assert folder.read_text() == "no folder"


def test_a_store_that_another_command_writes_into_is_refused(folder):
    folder.mkdir()
    with (
        FileLock(folder / ".lock"),
        pytest.raises(OutputError, match="another command is writing into the store"),
        Store(folder).locked(),
    ):
        pass


def test_a_lock_that_cannot_be_made_is_told_in_a_sentence(folder):
    (folder / ".lock").mkdir(parents=True)
    with pytest.raises(OutputError, match="cannot write into the store"), own().locked():
        pass


FULL = """
import resource, signal, sys
from tests.test_store import taken
from kzresearch.store import store
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
store().put("2023-12", [taken("KZ-10")])
"""


def test_a_disk_that_is_full_leaves_the_store_as_it_was(folder):
    own().put(PERIOD, [taken("KZ-75")])
    before = files(folder)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", FULL], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("kzresearch.errors.OutputError: cannot use")
    assert "what is there is kept" in last
    with own().locked():  # takes away what was begun
        pass
    assert files(folder) == before
    assert damages() == []
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 20_000


@pytest.mark.skipif(os.geteuid() == 0, reason="all folders can be written by root")
def test_a_folder_that_may_not_be_written_is_told_in_a_sentence(folder):
    own().put(PERIOD, [taken("KZ-75")])
    folder.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="permission denied"), own().locked():
            pass
        assert kz.load_form_1m(PERIOD, "KZ-75", "R11").height > 0
    finally:
        folder.chmod(0o700)
