"""Tables as a reader gets them: what stands where, and that no text can be markup."""

import polars as pl
import pytest
from bs4 import BeautifulSoup

import kzresearch as kz
from kzresearch.tables import Table

FRAME = pl.DataFrame(
    {
        "by": ["by sex", "by sex", "by age"],
        "label": ["women", "<b>men</b>", "under 18"],
        "cases": ["1,234", None, "7"],
    }
)
HEADINGS = {"label": "", "cases": "Cases & more"}


def read(table: Table):
    return BeautifulSoup(table._repr_mimebundle_()["text/html"], "html.parser")


def test_a_table_has_a_caption_scopes_and_its_source():
    found = read(Table(FRAME.drop("by"), "A <title>", "The source", HEADINGS, ["cases"])).table
    assert found.caption.text == "A <title>"
    assert [cell.text for cell in found.thead.find_all("th", scope="col")] == ["", "Cases & more"]
    rows = found.tbody.find_all("tr")
    assert [row.find("th", scope="row").text for row in rows] == list(FRAME["label"])
    assert [row.td.text for row in rows] == ["1,234", "", "7"]
    assert found.tfoot.text.strip() == "The source"
    assert not found.find("b")
    assert "text-align: right" in rows[0].td["style"]
    assert "text-align: left" in rows[0].th["style"]


def test_what_is_no_text_is_written_as_polars_writes_it():
    frame = pl.DataFrame(
        {"a": ["x", "y"], "b": [True, None], "c": [1, None], "d": [float("nan"), 1.5]}
    )
    rows = read(Table(frame, "T", "S", {})).tbody.find_all("tr")
    assert [[cell.text for cell in row.find_all("td")] for row in rows] == [
        ["true", "1", "NaN"],
        ["", "", "1.5"],
    ]
    assert len(read(Table(frame.clear(), "T", "S", {})).find_all("tbody")) == 1


def test_groups_stand_above_their_rows():
    bodies = read(Table(FRAME, "Title", "Source", HEADINGS, group="by")).find_all("tbody")
    assert [body.find("th", scope="rowgroup").text for body in bodies] == ["by sex", "by age"]
    assert [len(body.find_all("th", scope="row")) for body in bodies] == [2, 1]


def test_a_folded_table_says_how_long_it_is():
    found = read(Table(pl.concat([FRAME] * 500), "Title", "Source", HEADINGS, folded=True))
    assert found.details.summary.text == "Title (1,500 lines; open to see)"
    assert len(found.details.table.find_all("th", scope="row")) == 1500


@pytest.mark.parametrize("place", ["title", "source", "group", "cell", "heading"])
def test_no_text_is_markup(place):
    evil = "</td><script>alert(1)</script>\" onload='x'"
    frame = pl.DataFrame(
        {"g": [evil if place == "group" else "g"], "a": [evil if place == "cell" else "a"]}
    )
    words = {name: evil if name == place else name for name in ("title", "source")}
    headings = {"a": evil if place == "heading" else "a"}
    table = Table(frame, words["title"], words["source"], headings, group="g", folded=True)
    found = read(table)
    assert evil in found.text
    assert not found.find("script")
    assert not [
        one
        for one in found.find_all(True)
        if set(one.attrs) - {"class", "style", "scope", "colspan"}
    ]


def test_the_text_beside_it_names_no_place_in_memory():
    table = Table(FRAME, "Title", "Source", HEADINGS)
    assert table._repr_mimebundle_()["text/plain"].splitlines()[:2] == [
        "Title",
        "by sex\twomen\t1,234",
    ]


def test_parts_of_a_disposition_stand_below_it():
    flow = kz.case_flow("2022-12")
    shown = kz.tables.flow(flow, "Torture", "Form 1-M").frame["label"].to_list()
    known = {line["step"]: line for line in flow.to_dicts()}
    expected = []
    for line in known.values():
        if line["kind"] != "part":
            expected.append(line["label"])
            expected += [
                f"· {part['label']}"
                for part in known.values()
                if part["kind"] == "part" and part["part_of"] == line["step"] and part["count"]
            ]
    assert shown == expected
    assert 0 < sum(label.startswith("· ") for label in shown) < len(shown)
