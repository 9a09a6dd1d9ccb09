"""The chain from a recorded figure to its publisher, against tables and workbooks read here."""

import copy
import json

import polars as pl
import pytest
from bs4 import BeautifulSoup
from click.testing import CliRunner

import kzresearch as kz
from kzresearch import sources
from kzresearch.cli import main
from kzresearch.errors import UnknownValueError
from kzresearch.language import say, speaking, translated
from kzresearch.records import RecordError
from kzresearch.run.batch import Block, Options, make
from kzresearch.tracing import trace
from tests.conftest import ROOT, whole
from tests.language import NO_WORDS, RUN
from tests.run.made import RECORDS, made

DATA = ROOT / "data"
OWN = "a" * 64
"""The checksum of a workbook that nobody has."""


@pytest.fixture(scope="module")
def flow(report):
    return report["case_flow", "2022-12"].record


@pytest.fixture(scope="module")
def regions(report):
    return report["regions", "2022-12"].record


@pytest.fixture(scope="module")
def context(report):
    return report["context", None].record


@pytest.fixture(scope="module")
def form():
    """Value by workbook and cell, as the bundled table of 2022 has them in section R1."""
    frame = pl.read_parquet(DATA / "form_1m" / "2022-12.parquet").filter(section="R1")
    return {line[:2]: line[2] for line in frame.select("workbook", "cell", "value").iter_rows()}


def edited(record, **changes):
    """A record in which something was written over: `results__gross__value=3`."""
    record = copy.deepcopy(record)
    for path, value in changes.items():
        *steps, last = path.split("__")
        place = record
        for step in steps:
            place = place[int(step) if step.isdigit() else step]
        place[last] = value
    return record


def test_every_cell_of_a_share_has_the_value_that_the_table_has(flow, form):
    chain = trace(flow, "share_sent_to_court").chain
    assert chain["figure"] == {
        "name": "share_sent_to_court",
        **{k: v for k, v in flow["results"]["share_sent_to_court"].items() if k != "cells"},
    }
    found = {
        (workbook, group["cell"]): value
        for group in chain["cells"]
        for workbook, value in group["values"].items()
    }
    cells = {(c["workbook"], c["cell"]) for c in flow["results"]["share_sent_to_court"]["cells"]}
    assert found == {cell: form[cell] for cell in cells}
    assert len(found) == 60
    assert {group["cell"]: group["what"] for group in chain["cells"]} == {
        "R1!K70": "Article 146. Torture, sent_to_court",
        "R1!E70": "Article 146. Torture, in_proceedings",
        "R1!Q70": "Article 146. Torture, terminated_rehabilitating",
    }
    assert chain["comes_to"] == "10 / 918 = 0.0108932, as recorded."
    assert {name: one["value"] for name, one in chain["named"].items()} == {
        "sent_to_court": 10,
        "gross_caseload": 918,
    }
    assert [one["sha256"] for one in chain["workbooks"]] == [
        one["sha256"] for one in flow["workbooks"]
    ]
    assert chain["sources"] == flow["sources"]
    assert chain["warnings"] == []


def test_the_chain_of_a_region_is_read_from_figure_to_publisher(regions):
    record = regions
    almaty = next(one for one in record["workbooks"] if one["region"] == "KZ-75")
    given = ", ".join(f"{name} {value}" for name, value in record["parameters"].items())
    assert (
        str(trace(record, "gross_caseload_kz_75"))
        == f"""\
gross_caseload_kz_75: 189 (offences)
    run {record["run_id"]} of regions, {given}, {record["ended"][:10]}

← formula
    in_proceedings + terminated_rehabilitating

← 2 cells
    Section R1: Registered criminal offences
    R1!E70: Article 146. Torture, in_proceedings: 25 (offences)
      Offences whose cases were in proceedings in the period: registered in the period plus carried
      over; net of offences terminated under CPC art. 35(1) paras 1, 2, 5-8 (rehabilitating
      grounds), so terminated_rehabilitating is not part of it.
    R1!Q70: Article 146. Torture, terminated_rehabilitating: 164 (offences)
      Offences whose cases were terminated under CPC art. 35(1) paras 1, 2, 5-8 (rehabilitating
      grounds): removed from both registered and in_proceedings, so a part of neither, and outside
      completed.
    The 2 cells add up to 189, as recorded.

← workbook
    KZ-75 Almaty, Almaty.XLSX, 2022-12, sha256 {almaty["sha256"][:16]}…
      {almaty["address"]}

← publisher
    Committee on Legal Statistics and Special Accounts of the Prosecutor General's Office of the
      Republic of Kazakhstan. Form 1-M: report on registered criminal offences, workbooks by region
      and period. https://qamqor.gov.kz/crimestat/statistics. Copies of the 20 of January-December
      2022: open-data-kazakhstan/city-crime, commit 36f86785a2ef0cf70b400464f31e87cbe60b0894, folder
      archive. Terms: Official statistics, the producer's terms not known; the mirror is offered
      under ODC PDDL 1.0.
      terms: https://opendatacommons.org/licenses/pddl/1-0/"""
    )


def test_twenty_workbooks_stand_in_one_table_with_what_they_add_up_to(flow, form):
    text = str(trace(flow, "share_sent_to_court"))
    lines = text.splitlines()
    start = lines.index("                            R1!K70  R1!E70  R1!Q70")
    rows = [line.split() for line in lines[start + 1 : start + 22]]
    cells = ("R1!K70", "R1!E70", "R1!Q70")
    assert rows[-1] == ["together", "10", "106", "812"]
    for row, workbook in zip(rows, flow["workbooks"], strict=False):
        values = [f"{form[workbook['sha256'], cell]:.0f}" for cell in cells]
        assert (row[0], row[-3:]) == (workbook["region"], values)
    assert len(lines) < 100
    for workbook in flow["workbooks"]:
        assert f", {workbook['file']}, 2022-12, sha256 {workbook['sha256'][:16]}…" in text
        assert f"\n      {workbook['address']}\n" in text


def test_cells_of_many_columns_are_parted_into_tables(report):
    text = str(trace(report["people", "2022-12"].record, "victims_per_offence_by_age_sum"))
    heads = [line.split() for line in text.splitlines() if line.strip().startswith("R3!S66  ")]
    assert heads == [[f"R3!{column}66" for column in "STUVWXYZ"]]
    assert "R3!AA66  R3!AB66\n" in text
    assert "The 200 cells add up to 174, as recorded." in text


def test_a_name_in_a_formula_is_a_figure_only_where_it_was_taken_from_the_same_cells(flow):
    # the formula of article 362's share has the names of article 146's figures
    other = trace(flow, "share_sent_to_court_362").chain
    assert other["figure"]["formula"].startswith("sent_to_court / gross_caseload, Article 362")
    assert (other["named"], other["comes_to"]) == ({}, None)
    assert {group["cell"] for group in other["cells"]} == {"R1!K317", "R1!E317", "R1!Q317"}
    # what was terminated out of the year's registrations is not what was terminated
    of_year = trace(flow, "gross_registered").chain
    assert [*of_year["named"]] == ["registered"]
    assert of_year["adds_up"] == "The 40 cells add up to 807, as recorded."
    ratio = trace(flow, "relative_risk_sent_to_court_362").chain
    assert [*ratio["named"]] == ["share_sent_to_court", "share_sent_to_court_362"]


def test_a_limit_of_an_interval_is_not_what_its_formula_comes_to_and_no_fault(flow):
    chain = trace(flow, "share_sent_to_court_lower").chain
    assert [*chain["named"]] == ["sent_to_court", "gross_caseload"]
    assert (chain["comes_to"], chain["adds_up"], chain["warnings"]) == (None, None, [])


def test_a_difference_and_a_formula_in_parentheses_are_put_in_numbers(flow, report):
    assert trace(flow, "gross_carried_over").chain["comes_to"] == "918 − 807 = 111, as recorded."
    press = trace(
        report["period_report", "2021-02"].record, "article_gross_caseload_at_least"
    ).chain
    assert press["comes_to"] == "88 + 40 − (1 − 1) = 128, as recorded."
    assert press["cells"] == []
    assert [one["id"] for one in press["sources"]] == ["acca_2021"]


def test_a_figure_without_cells_says_so_and_leads_to_those_it_was_made_of(report):
    text = str(trace(report["data_quality", "2022-12"].record, "coverage"))
    assert "155200 / 157473 = 0.985566, as recorded." in text
    assert "registered_in_workbooks: 155,200 (offences), from 20 cells\n" in text
    assert "The record names no cells for it. Trace the figures that its formula names." in text


def test_a_published_figure_leads_to_its_publication(report):
    published = pl.read_csv(DATA / "published.csv", infer_schema=False)
    trends = report["trends", None].record
    names = [name for name in trends["results"] if name.endswith(("_p0149", "_p0100"))]
    quality = report["data_quality", "2022-12"].record
    traced = {
        id_: trace(trends, next(n for n in names if n.endswith(id_))) for id_ in ("p0149", "p0100")
    } | {"p0146": trace(quality, "registered_published")}
    for id_, found in traced.items():
        row = published.row(by_predicate=pl.col("id") == id_.upper(), named=True)
        (one,) = found.chain["publications"]
        assert one == {name: row[name] for name in one}
        assert float(row["value"]) == found.chain["figure"]["value"]
        assert f"({id_.upper()})\n      {row['address']}\n" in str(found)


def test_cells_of_indices_and_of_the_population_have_the_values_of_their_tables(context, regions):
    indices = pl.read_parquet(DATA / "torture_indices.parquet")
    line = indices.row(
        by_predicate=(pl.col("index") == "hrmi_tort")
        & (pl.col("country") == "Kazakhstan")
        & (pl.col("year") == 2021),
        named=True,
    )
    for name, column, cell in (
        ("hrmi_tort", "value", "line 51, mean"),
        ("hrmi_tort_lower", "lower", "line 51, lobound_10"),
        ("hrmi_tort_upper", "upper", "line 51, upbound_90"),
    ):
        (group,) = trace(context, name).chain["cells"]
        assert group["cell"] == cell
        assert group["values"] == {line["workbook"]: line[column]}
    with speaking("kk"):
        found = trace(context, "hrmi_tort")
        assert found.chain["cells"][0]["cell"] == "line 51, mean"
        assert "51-жол, mean: " in str(found)
    freedom = pl.read_csv(DATA / "freedom_in_the_world.csv")
    rank = trace(context, "freedom_in_the_world_rank").chain
    totals = {group["cell"]: [*group["values"].values()] for group in rank["cells"]}
    of_year = freedom.filter(edition=2022).select("cell", "total").rows()
    assert totals == {cell: [total] for cell, total in of_year}
    assert (rank["adds_up"], rank["warnings"]) == (None, [])
    people = pl.read_parquet(DATA / "population.parquet")
    rate = trace(regions, "rate_gross_caseload").chain
    found = {g["cell"]: [*g["values"].values()] for g in rate["cells"] if g["unit"] == "persons"}
    whole = people.filter(region="KZ", sex="total", area="total", series="2023-07-19")
    expected = whole.filter(pl.col("date").dt.year().is_in([2022, 2023]))
    assert found == {cell: [n] for cell, n in expected.select("cell", "population").rows()}


def test_how_to_get_a_file_that_has_no_address_is_said(context):
    (workbook,) = trace(context, "vdem_v2cltort").chain["workbooks"]
    (file,) = sources.raw_files("vdem_v14")
    assert workbook["address"] is None
    assert workbook["by_hand"] == file.by_hand
    assert "      Download the country-year dataset v14" in str(trace(context, "vdem_v2cltort"))


def test_what_no_source_reports_leads_nowhere(context):
    text = str(trace(context, "vdem_v2cltort_lower"))
    assert text.startswith("vdem_v2cltort_lower: not reported (interval scale, higher is freer)\n")
    assert text.endswith("\n    The record names no cells for it.")


@pytest.mark.parametrize("code", ["ru", "kk"])
@pytest.mark.parametrize(
    ("notebook", "name"),
    [
        ("flow", "share_sent_to_court"),
        ("flow", "gross_carried_over"),
        ("regions", "gross_caseload_kz_75"),
        ("context", "freedom_in_the_world_rank"),
        ("context", "vdem_v2cltort"),
        ("context", "vdem_v2cltort_lower"),
    ],
)
def test_a_chain_is_told_in_the_readers_language(code, notebook, name, request):
    record = request.getfixturevalue(notebook)
    english = trace(record, name)
    with speaking(code):
        found = trace(record, name)
    for part in ("run", "figure", "named", "workbooks", "sources"):
        assert found.chain[part] == english.chain[part]
    told, cells = str(found), [one["cell"] for one in found.chain["cells"]]
    assert cells == [one["cell"] for one in english.chain["cells"]]
    for one in found.chain["sources"]:  # titles of works stay as they are
        with speaking(code):
            cited = translated(one["citation"])
        told = " ".join(told.split()).replace(" ".join(cited.split()), "")
    assert not RUN.findall(NO_WORDS.sub("|", told)), told
    assert RUN.findall(NO_WORDS.sub("|", str(english)))  # so it would be found


def test_a_chain_in_russian_is_read_as_russian_is(flow, report):
    with speaking("ru"):
        text = str(trace(flow, "share_sent_to_court"))
        people = str(trace(report["people", "2022-12"].record, "victims_per_offence_by_age_sum"))
    assert "10 / 918 = 0,0108932, как и записано." in text
    assert "← 60 ячеек из 20 книг Excel\n" in text
    assert "    Раздел R1: Сведения о зарегистрированных уголовных правонарушениях\n" in text
    assert "KZ-10 Абай " in text
    assert (
        "    Раздел R3: Сведения о потерпевших (по правонарушениям) (статья 71 УПК РК)\n" in people
    )
    assert "Сумма 200 ячеек — 174, как и записано." in people


@pytest.mark.parametrize("code", ["en", "kk"])
def test_a_limit_is_no_contradiction_in_any_language(flow, code):
    with speaking(code):
        note = say("lower limit of the 95 % interval")
    record = edited(flow, results__share_sent_to_court_lower__note=note)
    assert trace(record, "share_sent_to_court_lower").chain["warnings"] == []


def test_key_figures_of_every_notebook_lead_to_cells_that_are_at_hand(report):
    for outcome in report.values():
        record = outcome.record
        for name in record["key_figures"]:
            found = trace(record, name).chain
            assert found["warnings"] == [], name
            for group in found["cells"]:
                assert group["what"], name
                assert None not in group["values"].values(), name
            if record["results"][name]["value"] is not None:
                assert found["sources"], name


def test_a_cell_that_the_tables_do_not_have_has_no_value(regions):
    cell = {"workbook": OWN, "cell": "R1!E70"}
    book = dict.fromkeys(regions["workbooks"][0]) | {"sha256": OWN}
    own = edited(
        regions,
        results__registered_kz_75__cells=[cell],
        workbooks=[*regions["workbooks"], book],
    )
    found = trace(own, "registered_kz_75")
    assert found.chain["cells"] == [
        {"cell": "R1!E70", "what": "", "about": "", "unit": None, "values": {OWN: None}}
    ]
    assert found.chain["adds_up"] is None
    assert "\n    R1!E70: not in the tables at hand\n" in str(found)
    assert "a workbook that no source names, sha256 aaaaaaaaaaaaaaaa…\n" in str(found)
    assert "      the record does not say where to get it" in str(found)


def test_cells_of_which_one_is_not_at_hand_are_not_added_up(flow):
    cells = [*flow["results"]["sent_to_court"]["cells"], {"workbook": OWN, "cell": "R1!K70"}]
    book = dict.fromkeys(flow["workbooks"][0]) | {"sha256": OWN, "file": "Own.XLSX"}
    changes = {"results__sent_to_court__cells": cells, "workbooks": [*flow["workbooks"], book]}
    found = trace(edited(flow, **changes), "sent_to_court")
    assert (found.chain["adds_up"], found.chain["warnings"]) == (None, [])
    (known, unknown) = found.chain["cells"]
    assert (len(known["values"]), unknown["values"]) == (20, {OWN: None})


def test_values_that_do_not_agree_with_the_cells_or_the_formula_are_named(flow):
    for name, value, message in (
        ("sent_to_court", 11, "The 20 cells add up to 10, but 11 is recorded"),
        ("gross_carried_over", 112, "918 − 807 = 111, but 112 is recorded"),
    ):
        found = trace(edited(flow, **{f"results__{name}__value": value}), name)
        sentence = f"{message}: it was made in another way, or the record was edited."
        assert found.chain["warnings"] == [sentence]
        assert f" Mind: {sentence} " in " ".join(str(found).split())
        assert (found.chain["comes_to"], found.chain["adds_up"]) == (None, None)


def test_other_data_than_installed_is_said_in_a_line(flow):
    def said(data):
        (sentence,) = trace(edited(flow, data=data), "sent_to_court").chain["warnings"]
        return sentence

    assert said(flow["data"] | {"form_1m/2022-12.parquet": "0" * 64}) == (
        "The run was made with other data than is installed here (form_1m/2022-12.parquet): values "
        "of cells are those of the data installed here."
    )
    assert f"(a, b, c and {len(flow['data'])} more)" in said(dict.fromkeys("abc", OWN))


def test_an_unknown_name_is_answered_with_those_near_it(flow):
    with pytest.raises(UnknownValueError) as error:
        trace(flow, "share_send_to_court")
    assert str(error.value).startswith(
        "unknown figure 'share_send_to_court'; near matches: share_sent_to_court, "
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"workbooks": []},
            "workbook eecba83c65b5, which its list of workbooks does not have",
        ),
        (
            {"sources": []},
            "source form_1m, which its list of sources does not have",
        ),
    ],
)
def test_a_record_that_lacks_what_a_figure_names_was_edited(flow, changes, message):
    with pytest.raises(RecordError) as error:
        trace(edited(flow, **changes), "sent_to_court")
    assert str(error.value) == (
        f"the record of run {flow['run_id']} was edited: its figure sent_to_court names {message}; "
        "take the record that the run left"
    )


def test_what_is_no_record_is_refused(flow, tmp_path):
    with pytest.raises(RecordError, match="the record is not as this project writes it: "):
        trace({}, "a")
    with pytest.raises(RecordError, match="is not as this project writes it: results.pending: "):
        trace(edited(flow, results__pending={}), "sent_to_court")
    (tmp_path / "a.html").write_text("a page")
    with pytest.raises(RecordError, match="holds no record of a run"):
        trace(tmp_path / "a.html", "a")


@pytest.fixture(scope="module")
def failed(tmp_path_factory):
    """Two runs that failed: one after it had recorded figures, one before."""
    folder = tmp_path_factory.mktemp("failed")
    notebooks = made(folder / "late.ipynb", *RECORDS, "1 / 0"), made(folder / "early.ipynb", "1/0")
    ran = make([Block(list(map(str, notebooks)))], folder / "out", Options())
    return [record for _, record in whole(ran)]


def test_a_failed_run_is_said_to_have_failed(failed):
    late, early = failed
    assert (
        "The run failed after it had recorded this figure."
        in (trace(late, "double").chain["warnings"])
    )
    with pytest.raises(RecordError) as error:
        trace(early, "double")
    assert str(error.value) == (
        f"run {early['run_id']} of early failed (ZeroDivisionError) and recorded no figure: there "
        "is nothing to trace"
    )


def test_no_text_is_obeyed_by_a_terminal_or_a_page(flow):
    nasty = "<script>x</script>\x1b[31m\n← publisher https://a.b/?<i>&c\u2028"
    changes = {
        f"results__sent_to_court__{key}": nasty for key in ("text", "unit", "note", "formula")
    }
    changes |= {"notebook": nasty, "parameters": {nasty: nasty}}
    changes |= {f"sources__0__{key}": nasty for key in ("citation", "licence", "address")}
    changes |= {f"workbooks__0__{key}": nasty for key in ("file", "region", "period", "address")}
    found = trace(edited(flow, **changes), "sent_to_court")
    assert all(line.isprintable() for line in str(found).splitlines())
    assert str(found).count("\n← publisher\n") == 1
    page = BeautifulSoup(found._repr_html_(), "html.parser")
    assert {tag.name for tag in page.find_all()} <= {
        *("div", "b", "a", "table", "thead", "tr", "th", "td", "tbody")
    }
    addresses = [link["href"] for link in page("a")]
    own = {address for address in addresses if "githubusercontent" not in address}
    assert own == {"https://a.b/?", flow["sources"][0]["licence_address"]}
    assert "<script>x</script>[31m ← publisher https://a.b/?<i>&c" in " ".join(
        page.get_text().replace("> [", ">[").split()
    )


def test_jupyter_shows_the_same_as_a_terminal(flow):
    found = trace(flow, "share_sent_to_court")
    page = BeautifulSoup(found._repr_html_(), "html.parser")
    assert "".join(page.get_text().split()) == "".join(str(found).split())
    assert repr(found) == str(found)
    addresses = [link["href"] for link in page("a")]
    assert [one["address"] for one in flow["workbooks"]] == addresses[:20]


def called(*words):
    return CliRunner().invoke(main, ["trace", *map(str, words)])


def test_command_prints_the_chain_of_a_notebook_or_its_record(report):
    outcome = report["case_flow", "2022-12"]
    record = outcome.page_path.with_suffix(".json")
    expected = kz.trace(outcome.record, "pending")
    for path in (record, record.with_suffix(".ipynb")):
        done = called(path, "pending")
        assert (done.stdout, done.stderr, done.exit_code) == (f"{expected}\n", "", 0)
    assert json.loads(called(record, "pending", "--json").stdout) == expected.chain


def test_command_ends_with_a_sentence(report, tmp_path):
    record = report["case_flow", "2022-12"].page_path.with_suffix(".json")
    done = called(record, "nothing_like_it")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: unknown figure 'nothing_like_it'; ")
    missing = tmp_path / "a.json"
    done = called(missing, "a")
    assert done.stderr == f"Error: cannot read {missing}: no such file or directory\n"


def test_the_official_workbook_has_in_these_cells_what_the_trace_says(regions, raw):
    import openpyxl

    chain = trace(regions, "rate_gross_caseload_kz_75").chain
    files = {
        file.sha256: file
        for block in sources.read_sources()
        for file in sources.raw_files(block["id"])
    }
    seen = 0
    for sha256 in {key for group in chain["cells"] for key in group["values"]}:
        path = raw / files[sha256].path
        book = openpyxl.load_workbook(path, data_only=True, read_only=True)
        for group in chain["cells"]:
            if sha256 in group["values"]:
                sheet, _, place = group["cell"].partition("!")
                assert book[sheet][place].value == group["values"][sha256]
                seen += 1
        book.close()
    assert seen == 4
