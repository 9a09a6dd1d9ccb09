"""Published figures: every one kept, what is unclear said in our own words, no quotes."""

import csv
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
        ("P0007", 88, "clear"),
        ("P0011", 8, "unclear_meaning"),
        ("P0031", 500, "approximate"),
        ("P0038", 63, "conflict"),
        ("P0146", 157_473, "clear"),
    ],
)
def test_figures_that_will_be_cited(table, known, value, flag):
    row = table.row(by_predicate=pl.col("id") == known, named=True)
    assert (row["value"], row["flag"]) == (value, flag)


def test_a_city_within_a_region_is_not_the_region(table):
    regions = dict(table.select("geography", "region").unique().rows())
    assert regions["Atyrau"] is None
    assert regions["Shymkent"] == "KZ-79"
    assert regions["Almaty city"] == "KZ-75"
    assert regions["KZ"] == "KZ"


def test_own_ambiguities_have_every_id_once():
    frame = pl.read_csv(data_dir() / "transcribed" / module.AMBIGUITIES, infer_schema=False)
    assert frame["id"].to_list() == [f"P{number:04}" for number in range(1, 167)]


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
DOUBTS = [("P0001", "clear", ""), ("P0002", "unclear_period", "Same as P0001, end not known")]


def small(folder: Path, rows=(GOOD, OTHER), doubts=tuple(DOUBTS), header=None) -> pl.DataFrame:
    (folder / "published").mkdir()
    save(folder / "published" / module.FILE, header or list(GOOD), [r.values() for r in rows])
    save(folder / "doubts.csv", ["id", "flag", "ambiguity"], doubts)
    return published(folder, folder / "doubts.csv")


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
    assert "somebody" not in table.write_csv()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"geography": "Atlantis"}, "P0001 in observations.csv has no geography .*'Atlantis'"),
        ({"article": "147"}, "has no article that is known: '147'"),
        ({"indicator": "rumours"}, "has no indicator"),
        ({"value": "many"}, "has no value that is known: 'many'"),
        ({"value": "-1"}, "has no value"),
        ({"value": ""}, "has no value that is known: None"),
        ({"period_start": "2020-13-01"}, "has no period_start"),
        ({"source_date": "last week"}, "has no source_date"),
        ({"source_url": ""}, "has no source_url"),
        ({"obs_id": "P0002"}, "observations.csv has P0002 more than once"),
        ({"obs_id": "P0003"}, "P0001 is not in both"),
    ],
)
def test_broken_rows_are_refused(tmp_path, change, message):
    with pytest.raises(SourceError, match=message):
        small(tmp_path, rows=[GOOD | change, OTHER])


@pytest.mark.parametrize(
    ("doubts", "message"),
    [
        (DOUBTS[:1], "P0002 is not in both"),
        ([*DOUBTS, DOUBTS[0]], "published_ambiguities.csv has P0001 more than once"),
        ([*DOUBTS, ("P0003", "clear", "")], "P0003 is not in both"),
        ([DOUBTS[0], ("P0002", "odd", "Odd")], "unknown flag 'odd'"),
        ([DOUBTS[0], ("P0002", "", "Odd")], "unknown flag None"),
        ([DOUBTS[0], ("P0002", "conflict", "")], "must say what is unclear"),
        ([("P0001", "clear", "But"), DOUBTS[1]], "must say what is unclear"),
        ([DOUBTS[0], ("P0002", "conflict", "P0009 differs")], "refers to P0009"),
    ],
)
def test_broken_ambiguities_are_refused(tmp_path, doubts, message):
    with pytest.raises(SourceError, match=message):
        small(tmp_path, doubts=doubts)


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
