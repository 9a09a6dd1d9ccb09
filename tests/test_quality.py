"""What can be said of how far the figures can be trusted: on small frames and broken ones."""

from datetime import date

import polars as pl
import pytest
from IPython.display import Markdown

import kzresearch as kz
from kzresearch import datasets, quality
from kzresearch.errors import UnknownValueError
from kzresearch.quality import DataQuality, data_quality

ZHAMBYL = "KZ-31"


def on(frame: pl.DataFrame, period: str = "2022-12") -> DataQuality:
    """The quality of a frame instead of a period's own."""
    found = DataQuality(period)
    vars(found)["frame"] = frame
    return found


def of(identity: str) -> pl.Expr:
    """The lines of a table that are about that identity."""
    return pl.col("identity").str.starts_with(f"{identity}. ")


@pytest.fixture(scope="module")
def sound() -> pl.DataFrame:
    """Zhambyl's R1 and R1-1, in which every hard identity holds."""
    return kz.load_form_1m("2022-12", ZHAMBYL, ["R1", "R1-1"])


@pytest.fixture(scope="module")
def broken(sound: pl.DataFrame) -> DataQuality:
    """The same with one offence more registered under article 146."""
    cell = (pl.col("section") == "R1") & (pl.col("row") == "article:146")
    more = pl.when(cell & (pl.col("measure") == "registered")).then(1).otherwise(0)
    return on(sound.with_columns(pl.col("value") + more))


@pytest.fixture(scope="module")
def reported() -> DataQuality:
    return data_quality("2021-02")


def test_period_that_is_not_held_is_refused():
    with pytest.raises(UnknownValueError, match="unknown period '2021-03'"):
        data_quality("2021-03")


def test_every_source_defect_is_explained(reported):
    defects = reported.checked.filter(status="source_defect")["identity"]
    assert set(quality.DEFECTS) == set(defects)


def test_a_sound_report_fails_nowhere(sound):
    found = on(sound)
    hard = kz.check_form_1m(sound, hypotheses=True).filter(status="hard")
    assert found.figures["identity_tests_hard"].value == hard["tests"].sum() > 0
    assert found.figures["identity_failures_hard"].value == 0
    assert isinstance(found.failures("hard"), Markdown)
    assert "nothing to list.*" in found.by_region().data


def test_one_wrong_cell_is_listed_wherever_it_breaks_something(broken):
    listed = broken.failures("hard").frame
    chapter = listed.filter(of("V4:R1")).row(0, named=True)
    assert chapter["identity"].endswith(": 1 of all 558 tests fail")
    assert chapter["region"] == "Zhambyl Region"
    assert (chapter["row"], chapter["column"]) == ("chapter 3", "registered")
    assert chapter["difference"] == "1"
    # The chapter's own cell, then those of all its fifteen articles.
    assert chapter["cells"] == "R1!F68; R1!F69–F83"
    own = listed.filter(of("X1")).row(0, named=True)
    assert own["row"] == "article 146"
    assert own["left and right side"] == "0 ≠ 1"
    assert own["cells"] == "R1-1!E70; R1!F70"
    assert broken.figures["identity_failures_hard"].value == listed.height


def test_what_a_wrong_cell_breaks_in_the_row_of_torture_stands_apart(broken):
    own = broken.article_failures().frame
    assert set(own["row"]) == {"article 146"}
    assert own.filter(of("X1")).height == 1
    assert broken.figures["torture_identity_failures_hard"].value == own.height
    assert f"**{own.height} fail**" in broken.article().data


def test_every_identity_tested_stands_in_one_table(broken):
    table = broken.tested()
    made = kz.check_form_1m(broken.frame, hypotheses=True).filter(pl.col("tests") > 0)
    assert sorted(table.frame["identity"]) == sorted(made["identity"])
    assert set(table.frame["status"]) <= set(quality.STATUSES.values())
    line = table.frame.row(by_predicate=pl.col("identity") == "V4:R1", named=True)
    assert (line["tests"], line["holds"], line["fails"]) == ("558", "557", "1")


def test_terminations_inside_the_official_columns_are_refuted(sound):
    found = on(sound)
    inside, beside = (found.figures[f"net_test_failures_{n}"].value for n in ("inside", "beside"))
    assert inside > 0
    assert beside == 0
    said = found.net().data
    assert "**0 of 422** (F1), **0 of 422** (F2), **0 of 422** (F3)" in said
    assert said.endswith(" So the official columns are net of these terminations.")


def test_failures_of_either_reading_are_said(sound):
    cell = (pl.col("section") == "R1") & (pl.col("row") == "article:99")
    more = cell & (pl.col("measure") == "interrupted")
    value = pl.when(more).then(pl.col("value") + 50).otherwise("value")
    said = on(sound.with_columns(value=value)).net().data
    assert "**1 of 422** (F1), **0 of 422** (F2), **1 of 422** (F3)" in said
    assert "So the official columns" not in said


def test_long_list_of_failures_is_folded_and_whole(broken, monkeypatch):
    monkeypatch.setattr(quality, "FOLDED", 3)
    table = broken.failures("hard")
    bundle = table._repr_mimebundle_()
    count = table.frame.height
    assert bundle["text/html"].startswith("<details><summary>Every failing test of hard identities")
    assert f"({count} lines; open to see)</summary>" in bundle["text/html"]
    assert bundle["text/html"].endswith("</details>")
    assert bundle["text/html"].count('<th scope="row"') == count
    assert len(bundle["text/plain"].splitlines()) == count + 1


def test_only_figures_of_exactly_the_same_months_are_compared():
    chosen = data_quality("2022-12").published
    assert set(chosen["period_start"]) == {date(2022, 1, 1)}
    assert set(chosen["period_end"]) == {date(2022, 12, 31)}
    assert "P0148" not in chosen["id"]  # eleven months
    assert set(chosen["region"]) == {"KZ"}


def test_every_published_figure_stands_beside_each_of_ours_that_it_may_mean():
    lines = {line["number"]: line for line in data_quality("2022-12").comparison().frame.to_dicts()}
    assert lines["P0004"]["ours, in offences"] == (
        "gross caseload 918 (+2); gross registered in the year 807 (+113); "
        "registered (net) 98 (+822)"
    )
    assert lines["P0004"]["by whom"] == "Kazinform, citing an official resource"
    assert "P0071 has 851" in lines["P0004"]["what is unclear"]
    assert "registered (net) 155,200 (+2,273)" in lines["P0146"]["ours, in offences"]
    assert "(−465)" in lines["P0072"]["ours, in offences"]


def test_parts_and_persons_are_not_subtracted_from_offences():
    lines = dict(
        data_quality("2022-12").comparison().frame.select("number", "ours, in offences").rows()
    )
    assert (
        lines["P0069"]
        == "gross caseload 918; gross registered in the year 807; registered (net) 98"
    )
    assert lines["P0070"] == "sent to court 10"


def test_two_counts_of_the_same_are_not_chosen_between():
    found = DataQuality("2022-12")
    twice = found.published.filter(id="P0004")
    vars(found)["published"] = pl.concat([twice, twice.with_columns(id=pl.lit("P9999"))])
    vars(found)["frame"] = datasets.load_form_1m("2022-12", ZHAMBYL, "R1-1", "146")
    assert found.figures["published_torture_cases"].value is None
    assert "no publication at hand gives one count" in found.against_published().data
    assert "no exact published total" in found.coverage().data


def test_a_press_report_is_tested_as_far_as_it_goes(reported):
    named = reported.figures
    assert named["identity_tests_hard"].value == 2
    assert named["identity_failures_hard"].value == 0
    assert named["identity_tests_source_defect"].value == 0
    assert named["identity_failures_source_defect"].value is None
    assert named["net_test_failures_beside"].value is None
    assert named["coverage"].value is None
    assert named["workbooks"].value == 0
    assert named["figures"].value == named["figures_without_cell"].value == 19
    assert "against women" in reported.tested().frame["description"].item()
    assert "**2 tests** of hard identities were made (1 of the" in reported.identities().data


def test_what_a_press_report_cannot_show_is_said(reported):
    said = [
        reported.net(),
        reported.coverage(),
        reported.against_published(),
        reported.comparison(),
        reported.provenance(),
        reported.files(),
        reported.defects(),
        reported.by_region(),
    ]
    for one in said:
        assert one.data.startswith("*")
        assert one.data.endswith(".*")


def test_files_say_who_states_their_period():
    files = data_quality("2022-12").files().frame
    stated = dict(files.select("ISO code", "period stated by").rows())
    assert {c for c, by in stated.items() if by == "the file itself"} == {"KZ-61", "KZ-71"}
    assert set(stated.values()) == {"the file itself", "the list of sources"}
    assert files["checksum (sha256) begins"].str.len_chars().unique().to_list() == [12]


def test_the_codes_that_differ_from_iso_are_named():
    said = data_quality("2022-12").provenance().data
    assert "**2 of 20** files state their period (Turkistan Region, Astana)" in said
    assert said.endswith("with these exceptions: Turkistan Region (1951, KZ-61).")


def test_words_keep_numbers_and_cells_apart():
    assert quality._words("article:188:apartments <= total") == "article 188 apartments ≤ total"
    assert quality._words("registered_against_women") == "registered against women"
    assert quality._words("R1: crimes") == "R1: crimes"
