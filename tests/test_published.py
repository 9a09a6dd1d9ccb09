"""Published figures: every one kept, what is unclear said in our own words, no quotes."""

import csv
import re
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from kzresearch import published as module
from kzresearch.errors import SourceError
from kzresearch.published import published
from kzresearch.regions import region_codes
from kzresearch.resources import data_dir
from kzresearch.schemas import FLAGS, Published

WINDOW = 40
ROOT = Path(__file__).parents[1]
NAME = r"\b[A-ZА-Я]\. ?[A-ZА-Я][a-zа-я]{2,}"
"""An initial and a surname."""
SPOKEN = [  # what holds words on the figures
    *(ROOT / "kzresearch").glob("publi*.py"),
    *(ROOT / "tests").rglob("test_publi*.py"),
    ROOT / "tests" / "notebooks" / "test_trends.py",
    ROOT / "notebooks" / "trends.ipynb",
    ROOT / "data" / "published.csv",
    ROOT / "data" / "transcribed" / module.AMBIGUITIES,
]


@pytest.fixture(scope="module")
def table(raw) -> pl.DataFrame:
    return published(raw)


@pytest.fixture(scope="module")
def compiled(raw) -> list[dict[str, str]]:
    with (raw / "published" / module.FILE).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_table_keeps_its_contract(table):
    assert Published.validate(table).columns == Published.column_names()
    assert table.height == 166
    assert set(table["region"].drop_nulls()) <= {"KZ", *region_codes()}
    assert set(table["flag"]) == set(FLAGS)


def test_figures_are_those_of_the_file(table, compiled):
    days = {"": None}
    for row, line in zip(table.iter_rows(named=True), compiled, strict=True):
        assert row["id"] == line["obs_id"]
        assert row["value"] == float(line["value"])
        assert row["address"] == line["source_url"]
        assert row["geography"] == line["geography"]
        for name in ("period_start", "period_end"):
            day = line[name]
            assert row[name] == (days.get(day) if day in days else date.fromisoformat(day))


def windows(text: str, length: int) -> set[str]:
    return {text[start : start + length] for start in range(len(text) - length + 1)}


def test_no_quote_is_taken_over(table, compiled):
    quotes = {part for line in compiled for part in windows(line["quote"], WINDOW)}
    assert len(quotes) > 5000
    for name in table.columns:
        if name == "title":
            continue
        for text in table[name].cast(pl.String).drop_nulls().unique():
            assert not windows(text, WINDOW) & quotes, (name, text)


def test_a_title_holds_a_quote_only_where_the_headline_was_quoted(table, compiled):
    """A headline is how a publication is named; no title takes words from its text."""
    quotes = {line["obs_id"]: line["quote"] for line in compiled}
    every = {part for quote in quotes.values() for part in windows(quote, WINDOW)}
    seen = [r for r in table.iter_rows(named=True) if windows(r["title"] or "", WINDOW) & every]
    assert {r["title"] for r in seen} == {quotes["P0031"], quotes["P0160"]}


def test_ambiguities_are_in_our_own_words(table, compiled):
    """Not even shorter pieces of a quote or of the compiler's note."""
    theirs = {part for line in compiled for part in windows(line["quote"], 25)}
    notes = {part for line in compiled for part in windows(line["note"], WINDOW)}
    for text in table["ambiguity"].drop_nulls().unique():
        assert not windows(text, 25) & theirs, text
        assert not windows(text, WINDOW) & notes, text


@pytest.mark.parametrize("path", SPOKEN, ids=lambda path: path.name)
def test_nobody_is_named(path):
    assert not re.findall(NAME, path.read_text(encoding="utf-8"))


def test_the_pattern_of_a_name_finds_those_of_the_source(compiled):
    named = [line["obs_id"] for line in compiled if re.search(NAME, line["source_publisher"])]
    assert len(named) > 10


@pytest.mark.parametrize("path", SPOKEN, ids=lambda path: path.name)
def test_no_six_words_of_a_quote_stand_in_the_project(path, compiled, table):
    text = path.read_text(encoding="utf-8")
    # A headline, or an address made of one, is how a publication is named.
    named = [*table["title"].drop_nulls(), *table["address"]]
    for title in sorted(named, key=len, reverse=True):
        text = text.replace(title, "").replace(title.replace('"', '""'), "")
    words = " ".join(re.findall(r"\w+", text.lower()))
    for line in compiled:
        quoted = re.findall(r"\w+", line["quote"].lower())
        for start in range(len(quoted) - 5):
            part = " ".join(quoted[start : start + 6])
            assert part not in words, (line["obs_id"], part)


def test_titles_nobody_saw_are_null(table, compiled):
    for row, line in zip(table.iter_rows(named=True), compiled, strict=True):
        assert (row["title"] is None) == ("(title" in line["source_title"])


def test_january_2022_is_named_where_it_is_all_that_is_counted(table, compiled):
    for row, line in zip(table.iter_rows(named=True), compiled, strict=True):
        named = (row["ambiguity"] or "").startswith("January 2022 events only")
        assert named == line["note"].startswith("January-2022-events cases only"), row["id"]
        assert row["flag"] in {"partial", "unclear_meaning", "unclear_period"} or not named


@pytest.mark.parametrize(
    ("known", "value", "flag"),
    [
        ("P0002", 766, "unclear_meaning"),
        ("P0004", 920, "unclear_meaning"),
        ("P0007", 88, "unclear_article"),
        ("P0011", 8, "unclear_meaning"),
        ("P0031", 500, "unclear_meaning"),
        ("P0038", 63, "unclear_meaning"),
        ("P0071", 851, "unclear_period"),
        ("P0146", 157_473, "clear"),
    ],
)
def test_figures_that_will_be_cited(table, known, value, flag):
    row = table.row(by_predicate=pl.col("id") == known, named=True)
    assert (row["value"], row["flag"]) == (value, flag)


def test_the_article_named_by_its_title_is_said_of_the_report_whole(table):
    """As `form_1m_reported.csv` says of the same report."""
    report = table.filter(pl.col("address").str.contains("about-90-cases"))
    doubted = report.filter(pl.col("ambiguity").str.contains("named by its title only"))
    assert set(report["id"]) - set(doubted["id"]) == {"P0015"}  # all articles


def test_who_registers_and_does_not_say_net_or_gross_is_said_to(table):
    said = table.filter(pl.col("ambiguity").str.contains("since terminated are left out"))
    assert {"P0001", "P0031", "P0038", "P0050", "P0151"} <= set(said["id"])
    assert set(said["indicator"]) == {"registered"}


def test_bounds_are_given_as_bounds(table):
    bounds = dict(table.filter(pl.col("bound").is_not_null()).select("id", "bound").rows())
    assert {bounds[name] for name in ("P0031", "P0066")} == {">"}
    assert bounds.keys() >= set(table.filter(flag="approximate")["id"])
    text = pl.col("unit") + pl.col("ambiguity").fill_null("")
    said = table.filter(text.str.contains("(?i)more than|at most|at least|about this many|rounded"))
    assert set(said["id"]) <= bounds.keys()
    assert not table["unit"].str.contains("bound").any()


def test_every_kind_of_unit_is_one_of_few_but_where_nothing_is_alike(table):
    kinds = table.filter(pl.col("indicator") != "other")["counted"].unique()
    assert {kind for kind in kinds if not kind.startswith("complaints ")} == {
        *("cases", "offences", "investigations", "facts", "statements", "allegations"),
        *("incidents of abuse", "persons", "convictions"),
    }
    complaints = kinds.filter(kinds.str.starts_with("complaints "))
    assert len(complaints) == 4
    other = table.filter(indicator="other")
    assert other.filter(pl.col("counted") != pl.col("unit")).is_empty()


def test_a_city_within_a_region_is_not_the_region(table):
    regions = dict(table.select("geography", "region").unique().rows())
    assert regions["Atyrau"] is None
    assert regions["Shymkent"] == "KZ-79"
    assert regions["Almaty city"] == "KZ-75"
    assert regions["KZ"] == "KZ"


def test_own_ambiguities_have_every_id_once():
    frame = pl.read_csv(data_dir() / "transcribed" / module.AMBIGUITIES, infer_schema=False)
    assert frame["id"].to_list() == [f"P{number:04}" for number in range(1, 167)]
    named = frame["ambiguity"].drop_nulls().str.extract_all(r"P\d{4}").explode().drop_nulls()
    assert set(named) <= set(frame["id"])


# Small files of our own.

GOOD = {
    "obs_id": "P0001",
    "period_start": "2020-01-01",
    "period_end": "2020-12-31",
    "geography": "KZ",
    "article": "146",
    "indicator": "registered",
    "value": "7",
    "unit": "criminal cases",
    "source_title": "Seven cases",
    "source_publisher": "A paper",
    "source_date": "2021-02",
    "source_url": "https://example.org/seven",
    "quote": "there were seven cases, said somebody in the year after that one",
    "note": "",
}
OTHER = GOOD | {
    "obs_id": "P0002",
    "period_end": "",
    "geography": "Atyrau",
    "article": "torture-unspecified",
    "indicator": "interrupted",
    "source_title": "(title not shown) a verdict",
    "source_date": "unknown (2023 approx.)",
}
OWN = {
    "id": "P0001",
    "region": "KZ",
    "article": "146",
    "indicator": "",
    "bound": "",
    "unit": "",
    "counted": "cases",
    "source": "Paper",
    "publisher": "",
    "date_published": "",
    "flag": "clear",
    "ambiguity": "",
}
OWN_OTHER = OWN | {
    "id": "P0002",
    "region": "",
    "article": "torture, article not named",
    "indicator": "interrupted_or_expired",
    "bound": ">",
    "unit": "cases",
    "publisher": "A paper, citing a prosecutor",
    "flag": "unclear_period",
    "ambiguity": "Same as P0001, end not known",
}


def small(folder: Path, rows=(GOOD, OTHER), own=(OWN, OWN_OTHER), header=None) -> pl.DataFrame:
    (folder / "published").mkdir()
    save(folder / "published" / module.FILE, header or list(GOOD), [r.values() for r in rows])
    save(folder / "own.csv", list(OWN), [r.values() for r in own])
    return published(folder, folder / "own.csv")


def save(path: Path, header: list[str], rows) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def test_small_files_of_the_same_layout_are_read(tmp_path):
    table = Published.validate(small(tmp_path))
    other = table.row(1, named=True)
    assert table["region"].to_list() == ["KZ", None]
    assert (other["title"], other["date_published"], other["period_end"]) == (None, None, None)
    assert other["indicator"] == "interrupted_or_expired"
    assert other["article"] == "torture, article not named"
    assert (other["bound"], other["unit"]) == (">", "cases")
    assert table["unit"][0] == "criminal cases"
    assert table["publisher"].to_list() == ["A paper", "A paper, citing a prosecutor"]
    assert "somebody" not in table.write_csv()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value": "many"}, "observations.csv with published_ambiguities.csv cannot be read: "),
        ({"period_start": "2020-13-01"}, "cannot be read: "),
        ({"obs_id": "P0002"}, "P0001 is not in both"),
        ({"obs_id": "P0003"}, "P0001 is not in both"),
    ],
)
def test_broken_rows_are_refused(tmp_path, change, message):
    with pytest.raises(SourceError, match=message):
        small(tmp_path, rows=[GOOD | change, OTHER])


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ([OWN], "P0002 is not in both"),
        ([OWN, OWN_OTHER, OWN], "cannot be read: join keys did not fulfill"),
        ([OWN, OWN_OTHER, OWN | {"id": "P0003"}], "P0003 is not in both"),
    ],
)
def test_broken_words_of_our_own_are_refused(tmp_path, own, message):
    with pytest.raises(SourceError, match=message):
        small(tmp_path, own=own)


def test_missing_column_and_missing_file_are_refused(tmp_path):
    with pytest.raises(SourceError, match="observations.csv is not where it is looked for"):
        published(tmp_path)
    with pytest.raises(SourceError, match="has not the columns obs_id"):
        small(tmp_path, header=[*list(GOOD)[:-1], "remark"])


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"period_end": date(2019, 1, 1)}, "period_ends_after_it_starts"),
        ({"period_end": None}, "period_not_known_is_flagged"),
        ({"ambiguity": "Something"}, "ambiguity_where_not_clear"),
        ({"flag": "odd"}, "flag"),
        ({"bound": "~"}, "bound"),
        ({"region": "Atlantis"}, "region"),
        ({"indicator": "rumours"}, "indicator"),
        ({"address": None}, "address"),
        ({"source": None}, "source"),
        ({"article": "torture, article not named"}, "clear_names_an_article"),
        ({"value": -1.0}, "min"),
        ({"id": "P0002"}, "primary_key"),
    ],
)
def test_contract_is_broken_by_broken_rows(tmp_path, change, rule):
    table = small(tmp_path)
    first = pl.int_range(pl.len()) == 0
    broken = table.with_columns(
        **{name: pl.when(first).then(pl.lit(v)).otherwise(name) for name, v in change.items()}
    )
    with pytest.raises(Exception, match=rule):
        Published.validate(broken)
