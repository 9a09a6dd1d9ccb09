"""What columns mean: asked for, and in the caption of a frame."""

import polars as pl
import pytest

import kzresearch as kz
from kzresearch import exports, meanings, schemas
from kzresearch.errors import UnknownValueError
from kzresearch.form_1m import codebook
from kzresearch.language import speaking


@pytest.fixture(scope="module")
def figures() -> pl.DataFrame:
    return kz.load_form_1m("2022-12", "KZ-75", "R1", "146")


def test_every_column_measure_and_row_of_figures_is_described(figures):
    told = kz.describe(figures)
    assert told.filter(kind="column")["name"].to_list() == figures.columns
    for name, meaning in told.filter(kind="column").select("name", "meaning").rows():
        assert meaning == schemas.Form1M.columns()[name].metadata["description"]
    assert set(told.filter(kind="measure")["name"]) == set(figures["measure"])
    assert told.filter(kind="row")["meaning"].to_list() == ["Article 146. Torture"]
    assert set(told["source"]) == {"form_1m"}
    assert set(told.filter(kind="measure")["unit"]) == {"offences"}


def test_a_derived_frame_keeps_the_meanings_that_are_the_same_everywhere(figures):
    derived = figures.lazy().group_by("measure").agg(pl.col("value").sum(), mine=pl.len())
    told = {line["name"]: line["meaning"] for line in kz.describe(derived).rows(named=True)}
    assert told["measure"] == schemas.Form1M.columns()["measure"].metadata["description"]
    assert told["mine"] is None
    assert told["value"] is None  # which is one thing in one table and another in another


@pytest.mark.parametrize(
    ("code", "completed", "article", "unit"),
    [
        (
            "ru",
            "Правонарушения, дела о которых окончены в периоде",
            "Статья 146. Пытки",
            "уголовные правонарушения",
        ),
        (
            "kk",
            "Істері кезеңде аяқталған құқық бұзушылықтар",
            "146-бап. Пытки (орысша)",
            "қылмыстық құқық бұзушылықтар",
        ),
    ],
)
def test_meanings_units_and_notes_are_in_the_readers_language(
    figures, code, completed, article, unit
):
    english = kz.describe(figures)
    with speaking(code):
        told = kz.describe(figures)
        book = kz.codebook("R1")
    same = ["kind", "section", "name", "source"]
    assert told.select(same).equals(english.select(same))
    assert told["meaning"].str.contains("[а-яё]{3}").all()
    assert told["note"].is_null().equals(english["note"].is_null())
    assert told.filter(name="completed")["meaning"].item().startswith(completed)
    assert told.filter(name="completed")["unit"].item() == unit
    assert told.filter(kind="row")["meaning"].to_list() == [article]
    assert book["label"].str.contains("[а-яё]{3}").all()
    assert book.drop("label", "note").equals(kz.codebook("R1").drop("label", "note"))
    assert kz.describe(figures).equals(english)  # nothing is kept of the other language


def test_what_files_hold_is_in_english_in_every_language(figures):
    english = exports.told_of(figures).codebook
    with speaking("kk"):
        assert exports.told_of(figures).codebook.equals(english)
    assert codebook.lines().equals(kz.codebook())


def test_the_codebook_is_looked_up_in_the_readers_language_and_in_english():
    with speaking("kk"):
        assert "article:146" in kz.codebook("torture")["name"].to_list()
        found = kz.codebook("ақтайтын негіздер").filter(section="R1")["name"].to_list()
    assert "terminated_rehabilitating" in found


def test_a_caption_says_what_a_frame_holds_in_which_units_and_from_where(figures):
    assert meanings.caption(figures) == (
        "Form 1-M: a row for each figure, cumulative from January to the month of the period. In offences. "
        "Source: Committee on Legal Statistics and Special Accounts, Prosecutor General's Office of Kazakhstan, "
        "Form 1-M."
    )
    assert "In persons." in meanings.caption(kz.load_population())
    assert "which stand in their column" in meanings.caption(kz.load_published())
    assert meanings.caption(pl.DataFrame({"period": ["2022-12"], "mine": [1]})) is None


def test_in_a_notebook_frames_are_shown_with_it_and_others_as_they_are(figures):
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell()
    meanings.show_captions(shell)
    before = shell.display_formatter.format(figures)[0]["text/html"]
    assert before == figures._repr_html_()  # of a notebook that knows nothing of the package
    shell.user_ns["load"] = kz.load_form_1m
    other = pl.DataFrame({"mine": [1]})
    shown = {
        name: shell.display_formatter.format(of)[0]
        for name, of in (("ours", figures), ("theirs", other))
    }
    assert "In offences." in shown["ours"]["text/html"].partition("<caption")[2]
    assert shown["theirs"]["text/html"] == other._repr_html_()
    assert isinstance(figures, pl.DataFrame)


def test_the_codebook_is_looked_up_by_section_by_words_and_by_article():
    assert set(kz.codebook("R1")["section"]) == {"R1"}
    found = kz.codebook("TORTURE")
    assert set(found["name"]) >= {"article:146"}
    assert kz.codebook("пытки")["name"].to_list()[0] == "article:146"
    assert "146" in set(kz.codebook("146")["article"])
    with pytest.raises(UnknownValueError, match="unknown section 'R99'"):
        kz.codebook("R99")
    with pytest.raises(UnknownValueError, match=r"no line .* holds 'tortoise'; give a section"):
        kz.codebook("tortoise")
