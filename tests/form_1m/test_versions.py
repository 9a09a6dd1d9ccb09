"""A workbook of another version of the form: explained, drafted, completed and read."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import kzresearch as kz
from kzresearch.form_1m import codebook, reader, versions
from kzresearch.form_1m.codebook import Form
from kzresearch.form_1m.version_files import VersionFile
from kzresearch.form_1m.workbook import column_letters
from tests.workbooks import make_whole_form, make_workbook, part_of, rewrite, value_of

TORTURE = "Пытки (ст.146)"
ILL_TREATMENT = "Жестокое, бесчеловечное или унижающее достоинство обращение, пытки (ст.146)"
NEW_ARTICLE = "Склонение к пыткам (ст.146-1)"
DISABLED = "из графы 2 > в отношении инвалидов"
ON_PAPER = "по делам в бумажном формате"

Lines = list[dict]


def altered(
    base: Form,
    name: str,
    *,
    sections: list[str] | None = None,
    rows: Callable[[str, Lines], Lines | None] = lambda section, lines: lines,
    columns: Callable[[str, Lines], Lines | None] = lambda section, lines: lines,
) -> Form:
    """A version made without the text file: its rows and columns as two functions leave them."""
    kept = sections or base.section_names
    done: dict[str, Lines] = {"rows": [], "columns": []}
    for section in kept:
        for table, change, number in (("rows", rows, "code"), ("columns", columns, "number")):
            lines = getattr(base, table).filter(pl.col("section") == section).to_dicts()
            changed = change(section, lines)
            for place, line in enumerate(lines if changed is None else changed, 1):
                more = {"column": column_letters(3 + place)} if table == "columns" else {}
                done[table].append({**line, **more, "section": section, number: str(place)})
    frames = {
        table: pl.DataFrame(lines, schema=getattr(base, table).schema)
        for table, lines in done.items()
    }
    return replace(
        base, name=name, sections=base.sections.filter(pl.col("section").is_in(kept)), **frames
    )


def position(lines: Lines, caption: str) -> int | None:
    """Where a caption stands, under whatever group."""
    return next((n for n, one in enumerate(lines) if one["caption"].endswith(caption)), None)


def invented_rows(section: str, lines: Lines) -> None:
    torture = position(lines, TORTURE)
    if torture is not None:
        lines[torture]["caption"] = ILL_TREATMENT
        lines.insert(torture + 1, {"row": "article:146-1", "caption": NEW_ARTICLE})
    electronic = position(lines, "по делам в электронном формате")
    if section in {"R1", "R1-1"}:
        lines.insert(electronic + 1, {"row": "procedure:paper", "caption": ON_PAPER})
    if section == "PRIL2":
        del lines[position(lines, "ДОП")]  # the first of nine
    if section == "R11":
        lines.append(lines.pop(3))


def invented_columns(section: str, lines: Lines) -> None:
    if section == "R1":
        lines[23], lines[24] = lines[24], lines[23]
        new = {"measure": "registered_against_disabled", "unit": "offences", "caption": DISABLED}
        lines.insert(5, new)
    if section == "R6":
        lines[0]["caption"] = lines[0]["caption"].replace("всего лиц", "всего лиц, совершивших")


@pytest.fixture(scope="session")
def invented() -> Form:
    """Rows inserted, an article added and one renamed, two columns swapped, one added, a sheet gone."""
    kept = [name for name in codebook.form().section_names if name != "PRIL4"]
    return altered(
        codebook.form(), "2024", sections=kept, rows=invented_rows, columns=invented_columns
    )


@pytest.fixture(scope="session")
def workbook(invented: Form, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workbook of the invented version, all its sheets."""
    return make_whole_form(tmp_path_factory.mktemp("invented") / "new.xlsx", form=invented)


@pytest.fixture(scope="session")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workbook of 2022, all its sheets."""
    return make_whole_form(tmp_path_factory.mktemp("old") / "old.xlsx")


@pytest.fixture
def forms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of version files in a store of the test's own."""
    folder = tmp_path / "store" / "forms"
    folder.mkdir(parents=True)
    monkeypatch.setenv("KZRESEARCH_STORE", str(folder.parent))
    return folder


@pytest.fixture(scope="session")
def draft(workbook: Path) -> str:
    """What is drafted for the invented version."""
    return versions.draft(workbook, "2024")


def save(forms: Path, text: str, name: str = "2024.toml") -> None:
    """Put a version's file into the store."""
    (forms / name).write_text(text, encoding="utf-8")


def completed(text: str, *changes: tuple[str, str]) -> str:
    """A draft as a researcher leaves it: each change is made where its text stands."""
    for old, new in (("complete = false", "complete = true"), ('from = ""', 'from = "2024-01"')):
        assert text.count(old) == 1
        text = text.replace(old, new)
    for old, new in changes:
        assert text.count(old) == 1, (text.count(old), old)
        text = text.replace(old, new)
    return text


def block(text: str, caption: str) -> str:
    """The block of a draft that has a caption."""
    (found,) = [one for one in text.split("\n\n") if f'caption = "{caption}"' in one]
    return found


def filled(text: str, caption: str, *changes: tuple[str, str]) -> str:
    """A draft with one block filled in."""
    old = new = block(text, caption)
    for a, b in changes:
        assert new.count(a) == 1, (a, new)
        new = new.replace(a, b)
    return text.replace(old, new)


def finished(text: str) -> str:
    """The draft of the invented version, completed."""
    text = completed(text)
    text = filled(
        text,
        ON_PAPER,
        ('row = ""', 'row = "procedure:paper"'),
        ('kind = ""', 'kind = "procedure"'),
        ('\nname = ""', '\nname = "Cases on paper"'),
    )
    ill_treatment = "Article 146. Cruel, inhuman or degrading treatment, torture"
    text = filled(text, ILL_TREATMENT, ('\nname = ""', f'\nname = "{ill_treatment}"'))
    text = filled(text, NEW_ARTICLE, ('\nname = ""', '\nname = "Article 146-1. Inducement"'))
    text = filled(
        text,
        DISABLED,
        ('measure = ""', 'measure = "registered_against_disabled"'),
        ('unit = ""', 'unit = "offences"'),
        ('description = ""', 'description = "Part of registered: against disabled persons."'),
    )
    text = filled(text, "всего лиц, совершивших", ("same = false", "same = true"))
    return filled(text, "Всего преступлений (из строк 2 - 9)", ("same = false", "same = true"))


def test_explained(workbook: Path):
    explanation = versions.explain(workbook)
    assert (explanation.form, explanation.matches) == ("2022", False)
    lines = str(explanation).splitlines()
    assert "  removed  PRIL4 'Приложение 4. Сведения о совершенных суицидах'" in lines
    parts = dict(part.split(":\n", 1) for part in str(explanation).split("\n\n"))
    assert set(parts) - {"new.xlsx is nearest to version 2022 of the form"} == {
        "Sheets",
        "Rows added",
        "Rows removed",
        "Rows renamed",
        "Rows moved (all others follow each other as there)",
        "Columns added",
        "Columns renamed",
        "Columns moved (all others follow each other as there)",
    }
    added, renamed = parts["Rows added"], parts["Rows renamed"]
    assert f"'{ON_PAPER}': row 11 in R1, R1-1" in added
    assert f"'{NEW_ARTICLE}': row 66 in R1, R1-1; row 65 in R1-2; row 63 in R2, R6;" in added
    assert "row 61 in R3, R3-1 and 10 more" in added
    assert f"'{ILL_TREATMENT}', was '{TORTURE}' [article:146]: row 64 → 65 in R1, R1-1" in renamed
    assert parts["Rows removed"].endswith("[resource:criminal_police:dop]: row 33 in PRIL2")
    moved = parts["Columns moved (all others follow each other as there)"]
    assert moved.endswith("[transferred_off_register]: column 25 → 25 in R1")
    assert f"'{DISABLED}': column 6 in R1" in parts["Columns added"]
    assert (
        "'всего лиц, совершивших', was 'всего лиц' [persons]: column 1 in R6"
        in (parts["Columns renamed"])
    )


def test_a_workbook_of_a_version_known_is_explained_as_such(old: Path):
    explanation = versions.explain(old)
    assert (explanation.form, explanation.matches) == ("2022", True)
    assert str(explanation) == "old.xlsx: nothing: it is of version 2022"
    with pytest.raises(kz.WorkbookError, match="is of version 2022; there is nothing to draft"):
        versions.draft(old, "2024")


def test_drafted_completed_and_read(workbook: Path, invented: Form, draft: str, forms: Path):
    with pytest.raises(kz.WorkbookError, match="PRIL4") as refused:
        kz.read_form_1m(workbook, "2024-03")
    assert str(refused.value).endswith("see what differs: kzresearch ingest --explain new.xlsx")
    save(forms, draft)
    with pytest.raises(kz.WorkbookError, match="; draft not completed: 2024.toml; fill it in"):
        kz.read_form_1m(workbook, "2024-03")
    save(forms, finished(draft))
    form = codebook.form("2024")
    assert codebook.left_out() == []

    # What was read is what the workbook was made with, under the names of the version made here.
    frame = kz.read_form_1m(workbook, "2024-03")
    expected = invented.template()
    assert frame.select("section", "row", "measure", "unit", "cell").equals(
        expected.select("section", "row", "measure", "unit", "cell")
    )
    values = [
        value_of(section, row, column)
        for section in invented.section_names
        for column in range(1, invented.section(section).columns.height + 1)
        for row in range(1, invented.section(section).rows.height + 1)
    ]
    assert frame["value"].to_list() == values

    def figure(section: str, row: str, measure: str) -> tuple[str, float]:
        found = frame.filter(section=section, row=row, measure=measure)
        return found["cell"].item(), found["value"].item()

    assert figure("R1", "article:146", "registered") == ("R1!F71", 65 * 100 + 2)
    assert figure("R1", "article:146-1", "registered_against_disabled") == ("R1!J72", 66 * 100 + 6)
    assert figure("R1", "total", "transferred_off_register") == ("R1!AC7", 100 + 25)
    assert figure("R1", "total", "term_expired") == ("R1!AD7", 100 + 26)
    assert form.row_names.filter(row="article:146")["title_ru"].item() == ILL_TREATMENT[:-9]


def test_a_workbook_of_2022_is_read_beside_it(
    workbook: Path, good: Path, old: Path, forms: Path, draft: str
):
    save(forms, finished(draft))
    for _ in range(2):  # whichever version was read before
        assert kz.read_form_1m(workbook, "2024-03")["section"].n_unique() == 25
        assert [form.name for form in reader._likeliest_first(None)] == ["2024", "2022"]
        assert kz.read_form_1m(old, "2022-12")["section"].n_unique() == 26
    assert kz.read_form_1m(good, "2022-12", "R11")["section"].n_unique() == 1
    assert str(versions.explain(workbook)) == "new.xlsx: nothing: it is of version 2024"


def test_names_of_all_versions_are_known(forms: Path, draft: str):
    save(forms, finished(draft))
    assert "registered_against_disabled" in codebook.measures()
    assert "registered_against_disabled" in codebook.held("columns", ["R1"])
    assert "registered_against_disabled" not in codebook.only_reported()
    rows = codebook.row_names()["row"].to_list()
    assert rows.index("article:146-1") == rows.index("article:146") + 1
    assert codebook.section_names() == codebook.form().section_names
    new = kz.codebook("R1", form="2024")
    assert new.filter(name="article:146-1")["position"].to_list() == ["72"]
    assert kz.codebook("R1").filter(name="article:146-1").is_empty()
    with pytest.raises(kz.UnknownValueError, match="unknown section 'PRIL4'"):
        kz.codebook("PRIL4", form="2024")
    with pytest.raises(kz.UnknownValueError, match="unknown version of the form '2025'"):
        kz.codebook(form="2025")


def test_titles_change_and_names_stay(forms: Path, draft: str):
    torture = ("2022", "2022-01", "article:146", "Пытки", "Article 146. Torture", TORTURE)
    assert kz.titles(146).rows() == [torture]
    save(forms, finished(draft))
    name = "Article 146. Cruel, inhuman or degrading treatment, torture"
    later = ("2024", "2024-01", "article:146", ILL_TREATMENT[:-9], name, ILL_TREATMENT)
    assert kz.titles("146").rows() == [torture, later]
    assert kz.titles("article:146-1")["form"].to_list() == ["2024"]
    assert kz.titles("147").height == 1
    with pytest.raises(kz.UnknownValueError, match="unknown article '1460'"):
        kz.titles("1460")
    # A report on 2022 shows the title of 2022, whatever the store holds.
    assert codebook.row_line("article:146")["name"] == "Article 146. Torture"
    for period, title in (
        ("2022-12", "Article 146. Torture"),
        ("2024-01", name),
        ("2025-06", name),
    ):
        assert codebook.row_line("article:146", period)["name"] == title
    assert codebook.row_line("article:146-1", "2022-12")["chapter"] == "3"
    assert codebook.form_at("2021-02").name == codebook.form_at("2023-12").name == "2022"


SMALL = ["R11", "PRIL3"]


def of_small(tmp_path: Path, name: str, **options) -> Path:
    """A workbook of two sheets of another version."""
    form = altered(codebook.form(), name, sections=SMALL, **options)
    return make_whole_form(tmp_path / f"{name}.xlsx", form=form)


def swapped(section: str, lines: Lines) -> None:
    if section == "R11":
        lines[0], lines[1] = lines[1], lines[0]


def test_columns_that_a_caption_refers_to_are_to_be_confirmed(tmp_path: Path, forms: Path):
    path = of_small(tmp_path, "swapped", columns=swapped)
    text = completed(versions.draft(path, "swapped"))
    deaths = "из графы 2 > Количество умерших в результате совершенного преступления"
    assert "# its caption refers to column 2, which is another now: is it the same?" in text
    save(forms, text)
    with pytest.raises(
        kz.FormError, match="it is not confirmed that this is 'deaths' of version 2022"
    ):
        codebook.form("swapped")
    with pytest.raises(kz.WorkbookError, match="it is not confirmed that this is 'deaths'"):
        kz.read_form_1m(path, "2024-03")
    save(forms, filled(text, deaths, ("same = false", "same = true")))
    frame = kz.read_form_1m(path, "2024-03", "R11").filter(row="total")
    found = dict(zip(frame["measure"], frame["cell"], strict=True))
    assert (found["registered"], found["in_proceedings"], found["deaths"]) == (
        "R11!E7",
        "R11!F7",
        "R11!G7",
    )


def test_swapped_columns_are_never_read_as_2022(tmp_path: Path, forms: Path):
    """Their values would pass for each other's."""
    path = make_workbook(
        tmp_path / "swapped.xlsx", edits={"R11": lambda grid: grid.swap_columns("E", "F", 4)}
    )
    with pytest.raises(kz.WorkbookError, match="R11!E6: expected the column number '1', found '2'"):
        kz.read_form_1m(path, "2022-12", "R11")
    renumbered = make_workbook(
        tmp_path / "renumbered.xlsx",
        edits={
            "R11": lambda grid: (
                grid.swap_columns("E", "F"),
                grid.cells.update({(6, 4): 1, (6, 5): 2}),
            )
        },
    )
    with pytest.raises(kz.WorkbookError, match="R11!E4: expected the column caption"):
        kz.read_form_1m(renumbered, "2022-12", "R11")


def below_another(section: str, lines: Lines) -> None:
    """The details of theft, below another article."""
    theft = position(lines, "Кража (ст.188)")
    lines.insert(theft + 1, {"row": "article:188-2", "caption": "Кража у всех на виду (ст.188-2)"})


def test_a_detail_below_another_article_is_to_be_confirmed(tmp_path: Path, forms: Path):
    form = altered(codebook.form(), "details", sections=["R1"], rows=below_another)
    path = make_whole_form(tmp_path / "details.xlsx", form=form)
    text = versions.draft(path, "details")
    assert text.count("# it stands below article:188-2 now: is it the same?") == 7
    assert 'row = "article:188:apartments"\nsame = false' in text


def test_another_kind_of_workbook_is_explained_as_far_as_it_goes(tmp_path: Path):
    def other_geometry(grid) -> None:
        grid.insert_row(1, B="Форма")
        grid.insert_column("C")

    path = make_workbook(tmp_path / "other.xlsx", ["R11", "R1"], edits={"R11": other_geometry})
    text = str(versions.explain(path))
    assert "changed  R11: title is 'Форма / Форма отчета" in text
    assert "changed  R11: number_row is '7', was '6'" in text
    assert "changed  R11: code_column is 'E', was 'D'" in text
    assert "unknown  PRIL3: has no row with 'Б' and the column numbers 1, 2, 3 after it" in text
    with pytest.raises(kz.WorkbookError, match="other.xlsx: R1-1: has no row with 'Б'"):
        versions.draft(path, "other")
    empty = make_workbook(tmp_path / "empty.xlsx", [], sheets=["R1", "R2"])
    with pytest.raises(kz.WorkbookError, match="has no sheet that is laid out as one of Form 1-M"):
        versions.explain(empty)


def test_sheets_added_renamed_and_moved(tmp_path: Path, forms: Path):
    base = codebook.form()
    form = altered(base, "sheets", sections=["R11", "PRIL3", "PRIL7"])
    names = {"PRIL3": "PRIL33", "PRIL7": "PRIL12"}
    kept = form.sections.with_columns(
        pl.col("section").replace(names),
        title_ru=pl.when(section="PRIL7").then(pl.lit("Приложение 12")).otherwise("title_ru"),
    )
    moved = {
        table: getattr(form, table).with_columns(pl.col("section").replace(names))
        for table in ("rows", "columns")
    }
    other = replace(form, sections=kept, **moved)

    def lower(grid) -> None:
        grid.insert_row(1)
        grid["B4"] = "Форма отчета № 1-М, раздел 11"

    path = make_whole_form(tmp_path / "sheets.xlsx", form=other, edits={"R11": lower})
    text = str(versions.explain(path))
    assert "renamed  PRIL3 is 'PRIL33'" in text
    assert "added    PRIL12 'Приложение 12', like PRIL" in text
    assert "removed  PRIL7" in text
    text = completed(
        versions.draft(path, "sheets"),
        ('title_en = ""', 'title_en = "Appendix 12"'),
        ('scope = ""', 'scope = "Crimes of another kind; counts offences."'),
    )
    save(forms, text)
    with pytest.raises(kz.FormError, match="set same = true if the sheet counts what it counted"):
        codebook.form("sheets")
    save(forms, text.replace("same = false", "same = true"))
    frame = kz.read_form_1m(path, "2024-03")
    assert frame["section"].unique(maintain_order=True).to_list() == ["R11", "PRIL3", "PRIL12"]
    assert frame.filter(section="PRIL3")["cell"][0] == "PRIL33!E7"
    assert frame.filter(section="R11")["cell"][0] == "R11!E8"
    held = form.rows.filter(section="PRIL7")["row"].to_list()
    assert frame.filter(section="PRIL12")["row"].unique(maintain_order=True).to_list() == held


SMALL_FORM = altered(codebook.form(), "2022", sections=SMALL)
OPERATIONS = ["delete", "insert", "move", "swap", "rename"]


def change(lines: Lines, number: int, operation: str, i: int, j: int) -> None:
    """Do one thing to the rows or columns of a sheet."""
    i, j = i % len(lines), j % len(lines)
    if operation == "insert":
        new = {"row": f"new:n{number}", "measure": f"new_{number}", "unit": "persons"}
        lines.insert(i, {**new, "caption": f"Новое {number}", "note": None})
    elif operation == "delete" and len(lines) > 2:
        del lines[i]
    elif operation == "move":
        lines.insert(j, lines.pop(i))
    elif operation == "swap":
        lines[i], lines[j] = lines[j], lines[i]
    elif operation == "rename" and "Новое" not in lines[i]["caption"]:
        lines[i]["caption"] += " (уточнено)"


def filled_in(text: str) -> str:
    """A draft with all its questions answered: what is new is new, what is alike is the same."""
    text = "\n\n".join(map(without_another, completed(text).split("\n\n")))
    text = text.replace("same = false", "same = true")
    for key, value in (("kind", "class"), ("unit", "persons"), ("description", "New.")):
        text = text.replace(f'\n{key} = ""', f'\n{key} = "{value}"')
    text = text.replace('\nname = ""', '\nname = "Named"')
    captions = r'(caption = "Новое (\d+)"\nat = .*\n)'
    text = re.sub(captions + 'row = ""', r'\1row = "new:n\2"', text)
    text = re.sub(captions + 'measure = ""', r'\1measure = "new_\2"', text)
    # What was renamed beyond recognition, or moved too, is taken for new.
    lost = count()
    text = re.sub(r'\nrow = ""', lambda _: f'\nrow = "lost:n{next(lost)}"', text)
    return re.sub(r'\nmeasure = ""', lambda _: f'\nmeasure = "lost_{next(lost)}"', text)


def without_another(block: str) -> str:
    """A block that is not taken for what it is not, though its caption is much like that one's."""
    said = dict(re.findall('^(caption|was) = "(.*)"$', block, re.MULTILINE))
    if "was" not in said or said["was"] == said["caption"].replace(" (уточнено)", ""):
        return block
    block = re.sub("\n(was|same|kind|name|description) = .*", "", block)
    block = re.sub('\nmeasure = ".*"', '\nmeasure = ""\ndescription = ""', block)
    return re.sub('\nrow = ".*"', '\nrow = ""\nkind = ""\nname = ""', block)


@settings(max_examples=60, deadline=None)
@example(  # the column that is gone has a caption much like that of the one that is renamed and moved
    [
        ("PRIL3", "columns", "delete", 0, 0),
        ("PRIL3", "columns", "rename", 1, 0),
        ("PRIL3", "columns", "move", 0, 1),
    ]
)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(SMALL),
            st.sampled_from(["rows", "columns"]),
            st.sampled_from(OPERATIONS),
            st.integers(0, 403),
            st.integers(0, 403),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_a_draft_names_every_row_and_column_as_it_was(done: list[tuple]):
    """Whatever is inserted, removed, moved and renamed."""

    def changed(table: str) -> Callable[[str, Lines], None]:
        def change_all(section: str, lines: Lines) -> None:
            for number, (place, what, operation, i, j) in enumerate(done):
                if (place, what) == (section, table):
                    change(lines, number, operation, i, j)

        return change_all

    form = altered(SMALL_FORM, "2024", rows=changed("rows"), columns=changed("columns"))
    sheets = {section: versions._of_form(form, section) for section in SMALL}
    found = versions._compared(SMALL_FORM, sheets, {})
    text = filled_in("\n".join(versions._drafted("2024", found)))
    resolved = VersionFile.read("2024.toml", text).resolve(SMALL_FORM)
    for table, name in (("rows", "row"), ("columns", "measure")):
        keys = ["section", "caption", name]
        made, read = (getattr(one, table).select(keys) for one in (form, resolved))
        assert made["caption"].to_list() == read["caption"].to_list()
        for line, its in zip(made.iter_rows(named=True), read.iter_rows(named=True), strict=True):
            if not (its[name].startswith("lost") and "(уточнено)" in line["caption"]):
                assert line == its


HEAD = 'form = "2024"\nbase = "2022"\ncomplete = true\nfrom = "2024-01"\n'
ADDED = """
[[row]]
caption = "Склонение к пыткам (ст.146-1)"
at = { R3 = 61 }
row = "article:146-1"
kind = "article"
chapter = "3"
article = "146-1"
name = "Article 146-1. Inducement"
"""
RENAMED = """
[removed_rows]
R3 = [60]
[[row]]
caption = "Обращение"
at = { R3 = 60 }
was = "Пытки (ст.146)"
row = "article:146"
same = true
"""
COLUMN = """
[[column]]
caption = "из графы 2 > в отношении инвалидов"
at = { R1 = 6 }
measure = "registered_against_disabled"
unit = "offences"
description = "Part of registered."
"""
ROW = "[[row]] 1, 'Склонение к пыткам (ст.146-1)': "
WAS = "[[row]] 1, 'Обращение': "
COLUMN_1 = "[[column]] 1, 'из графы 2 > в отношении инвалидов': "

# What is wrong in a file: its text, what is changed in it, and the sentence that says so.
MISTAKES: dict[str, tuple[str, str, str, str]] = {
    "no TOML": (HEAD, '"2022"', '"2022', "Illegal character '\\n' (at line 2, column 13); mend that line"),
    "no name": (HEAD, 'form = "2024"', "", 'the version has no name; set form = "…"'),
    "no base": (HEAD, 'base = "2022"', "", "differs from is not named; set base"),
    "unknown base": (HEAD, '"2022"', '"2021"', "base = '2021' cannot be started from (it is not known"),
    "no period": (HEAD, '"2024-01"', '""', 'the first period of this version is missing; set from = "YYYY-MM"'),
    "unknown key": (HEAD, "complete", "finished = 1\ncomplete", "'finished' is not known here; known are form"),
    "nothing differs": (HEAD, "", "", "workbooks of version 2022 look the same; take this file out"),
    "unnamed row": (ADDED, '"article:146-1"', '""', ROW + 'the row has no name; set row = "…"'),
    "no English": (ADDED, '"Article 146-1. Inducement"', '""', ROW + "no name in English; set name"),
    "odd row name": (ADDED, '"article:146-1"', '"Article 146"', ROW + "row = 'Article 146' is no name"),
    "another article": (ADDED, '"article:146-1"', '"article:146-2"', "but its article is 146-1; mend one"),
    "caption of another": (ADDED, "(ст.146-1)", "(ст.146-2)", "but the caption names article:146-2; mend one"),
    "no chapter": (ADDED, 'chapter = "3"', "", "a row of an article has its chapter; set chapter"),
    "kind": (ADDED, 'kind = "article"', 'kind = "law"', ROW + "kind = 'law' is not known; known are article,"),
    "number as article": (ADDED, '"146-1"\nname', "146\nname", "article = 146 is no text; put it between quotes"),
    "beyond": (ADDED, "R3 = 61", "R3 = 500", ROW + "R3 = 500, but R3 has 405 rows: 404 of version 2022 and 1"),
    "no place": (ADDED, "at = { R3 = 61 }", "", ROW + "no place; set at = { R1 = 65 }"),
    "code of nought": (ADDED, "R3 = 61", "R3 = 0", "at: R3 = 0 is no whole number from 1"),
    "no section": (ADDED, "R3 = 61", "R33 = 61", "at: this version has no section 'R33'; it has R1,"),
    "twice": (ADDED + ADDED, "", "", "code 61 of R3 is given twice; a row has its own"),
    "known otherwise": (ADDED, '"article:146-1"', '"article:147"', "article = '146-1', but 'article:147' has '147'"),
    "stands already": (
        RENAMED.replace("R3 = [60]", ""),
        'was = "Пытки (ст.146)"',
        "",
        "'article:146' is row 60 of R3 in version 2022",
    ),
    "was not said": (RENAMED, 'was = "Пытки (ст.146)"', "", "'article:146' is 'Пытки (ст.146)' in R3 of version 2022"),
    "not confirmed": (RENAMED, "same = true", "same = false", WAS + "it is not confirmed that this is 'Пытки (ст.146)'"),
    "not asked": (RENAMED, "same = true", "", WAS + "was 'Пытки (ст.146)': set same = true if it is"),
    "removed beyond": (RENAMED, "R3 = [60]", "R3 = [600]", "[removed_rows]: R3 of version 2022 has 404 rows, so none"),
    "removed in words": (RENAMED, "R3 = [60]", 'R3 = ["60"]', "[removed_rows] gives numbers of the base by sheet"),
    "title without English": (RENAMED, "same", 'title_ru = "Обращение"\nsame', "no title in English (it was 'Article 146"),
    "unit": (COLUMN, '"offences"', '"cases"', COLUMN_1 + "unit = 'cases' is not known; known are offences"),
    "no unit": (COLUMN, 'unit = "offences"', "", COLUMN_1 + "the unit is not stated; set unit"),
    "no meaning": (COLUMN, '"Part of registered."', '""', COLUMN_1 + "what it counts is not said"),
    "odd measure": (COLUMN, '"registered_against_disabled"', '"Registered"', "measure = 'Registered' is no name"),
    "measure held": (COLUMN, "registered_against_disabled", "in_streets", "'in_streets' means 'Part of in_public_places"),
    "measure twice": (
        COLUMN.replace('description = "Part of registered."', ""),
        "registered_against_disabled",
        "in_streets",
        "'in_streets' is column 27 of R1 in version 2022",
    ),
    "another unit": (
        COLUMN.replace('description = "Part of registered."', "").replace('"offences"', '"persons"'),
        "registered_against_disabled",
        "deaths",
        "'deaths' counts deaths in version 2022, not persons; name another measure",
    ),
    "another meaning elsewhere": (
        COLUMN.replace('description = "Part of registered."', "").replace('"offences"', '"deaths"'),
        "registered_against_disabled",
        "deaths",
        "set same = true if this is the same, if not, name it otherwise",
    ),
    "sheet removed": ("removed_sheets = ['R12']", "", "", "removed_sheets: version 2022 has no section 'R12'"),
    "sheet added": ("[[sheet]]\nname = 'R12'", "", "", "[[sheet]] 1, 'R12': the added sheet lacks its title"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_sentence_that_names_file_and_block(mistake: str, forms: Path):
    text, old, new, expected = MISTAKES[mistake]
    text = (text if text == HEAD else HEAD + text).replace(old, new)
    save(forms, text, "my.toml")
    (message,) = codebook.left_out()
    assert message.startswith("my.toml: ")
    assert expected in message
    assert "\n" not in message
    # All else goes on.
    assert codebook.forms() == (codebook.form(),)
    with pytest.raises(kz.KzresearchError) as caught:
        codebook.form("2024")
    assert message in str(caught.value)


@pytest.mark.parametrize("text", [ADDED, RENAMED, COLUMN])
def test_the_same_without_the_mistake_is_a_version(text: str, forms: Path):
    save(forms, HEAD + text)
    assert codebook.left_out() == []
    assert [form.name for form in codebook.forms()] == ["2022", "2024"]
    assert codebook.form("2024").since == "2024-01"


def test_versions_of_versions(forms: Path):
    save(forms, HEAD + ADDED)
    later = HEAD.replace('"2022"', '"2024"').replace('form = "2024"', 'form = "2025"')
    save(forms, later + COLUMN, "a.toml")
    assert codebook.left_out() == []
    assert [form.name for form in codebook.forms()] == ["2022", "2024", "2025"]
    assert codebook.form("2025").section("R3").rows["row"][60] == "article:146-1"
    assert (
        codebook.form("2025").section("R1").columns["measure"][5] == "registered_against_disabled"
    )
    # The base of one goes, or becomes a draft: both are told.
    save(forms, (HEAD + ADDED).replace("complete = true", "complete = false"))
    assert codebook.left_out() == [
        "draft not completed: 2024.toml; fill it in and set complete = true",
        (
            "a.toml: base = '2024' cannot be started from (draft not completed: 2024.toml; fill it in and "
            "set complete = true); name another, as 2022"
        ),
    ]
    (forms / "2024.toml").unlink()
    assert "base = '2024' cannot be started from (it is not known" in codebook.left_out()[0]
    save(forms, later.replace('base = "2024"', 'base = "2025"'), "a.toml")
    assert "base = '2025' cannot be started from" in codebook.left_out()[0]


def test_one_version_has_one_file(forms: Path):
    save(forms, HEAD + ADDED)
    save(forms, HEAD + COLUMN, "other.toml")
    assert codebook.left_out() == [
        "other.toml: form = '2024' is described by 2024.toml too; leave one of them"
    ]
    assert len(codebook.forms()) == 1
    (forms / "2024.toml").unlink()
    assert len(codebook.forms()) == 2
    save(forms, HEAD.replace("2024", "2022") + ADDED)
    assert codebook.left_out() == [
        "2024.toml: form = '2022' is described by the package too; leave one of them"
    ]


PAPER = """
[[row]]
caption = "по делам в бумажном формате"
at = { R3 = 5 }
row = "procedure:paper"
kind = "procedure"
name = "Cases on paper"
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            PAPER.replace(":paper", ":on_paper") + COLUMN,
            (
                "b.toml: section R3 looks as in version 2024, where 'procedure:on_paper' is named "
                "'procedure:paper'; name it so here"
            ),
        ),
        (
            PAPER.replace("R3 = 5", "R3 = 6").replace('"procedure"', '"class"'),
            (
                "b.toml: 'procedure:paper' is 'class' here, but 'procedure' in version 2024; say it so, or "
                "name it otherwise"
            ),
        ),
        (PAPER, "b.toml: workbooks of version 2024 look the same; take this file out"),
    ],
)
def test_two_versions_agree_on_names(text: str, message: str, forms: Path):
    save(forms, HEAD + PAPER, "a.toml")
    save(forms, HEAD.replace('form = "2024"', 'form = "2025"') + text, "b.toml")
    assert codebook.left_out() == [message]
    save(forms, HEAD.replace('form = "2024"', 'form = "2025"') + PAPER + COLUMN, "b.toml")
    assert codebook.left_out() == []


def test_an_edited_file_is_noticed_at_once(forms: Path):
    assert len(codebook.forms()) == 1
    save(forms, HEAD + ADDED)
    first = codebook.forms()
    assert first[1] is codebook.form("2024")
    assert codebook.forms() is first
    save(forms, HEAD + ADDED.replace("Inducement", "Incitement"))
    line = codebook.row_line("article:146-1", "2024-01")
    assert line["name"] == "Article 146-1. Incitement"
    (forms / "2024.toml").unlink()
    assert len(codebook.forms()) == 1


def test_versions_are_read_without_a_thread(forms: Path):
    """A process that has read them may be forked."""
    save(forms, HEAD + ADDED + COLUMN)
    code = """
import os
from kzresearch.form_1m import codebook

def threads():
    return len(os.listdir("/proc/self/task"))

before = threads()
codebook.warm(), codebook.row_names(), codebook.row_line("article:146-1", "2024-01")
found, after = len(codebook.forms()), threads()
codebook.form().section("R1")  # a query, which starts them
print(found, after - before, threads() > after)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "0", "True"]


def test_numbers_in_notes_are_those_of_the_base(forms: Path):
    added = '[[row]]\ncaption = "Истязание (ст.110)"\nat = { R11 = 2 }\nrow = "article:110"\n'
    save(forms, HEAD + added)
    note = codebook.form("2024").section("R11").rows["note"][0]
    assert note.endswith("rows 10 to 21 are outside the total (numbers of version 2022)")


def with_a_row_more(data: bytes) -> bytes:
    """R11 with a row below row 4: the code and the place of those below are one more."""

    def lower(match: re.Match[str]) -> str:
        row, number = match[0], int(match[1])
        below = re.sub(rf'r="([A-Z]*){number}"', lambda m: f'r="{m[1]}{number + 1}"', row)
        code = rf'(<c r="D{number + 1}"[^>]*><v>)(\d+)'
        below = re.sub(code, lambda m: f"{m[1]}{int(m[2]) + 1}", below)
        if number > 10:
            return below
        if number < 10:
            return row
        label = '<c r="C11" t="inlineStr"><is><t>Убийство двух лиц (ст.100-1)</t></is></c>'
        below = re.sub(r'<c r="C11"[^>]*>.*?</c>', label, below)
        return row + re.sub(r'(<c r="F11"[^>]*><v>)[\d.]+', r"\g<1>77", below)

    text = data.decode("utf-8")
    return re.sub(r'<row r="(\d+)".*?</row>', lower, text, flags=re.DOTALL).encode()


def with_swapped_columns(data: bytes) -> bytes:
    """R1 with columns 24 and 25 in each other's place, but for their numbers."""

    def columns(match: re.Match[bytes]) -> bytes:
        row = match[0]
        if match[1] == b"6" or b'r="AC' not in row:
            return row
        row = re.sub(rb'r="AB(\d+)"', rb'r="@\1"', row)
        row = re.sub(rb'r="AC(\d+)"', rb'r="AB\1"', row)
        row = re.sub(rb'r="@(\d+)"', rb'r="AC\1"', row)
        both = re.search(rb'(<c r="AC.*?)(<c r="AB.*?)(?=<c r="AD|</row>)', row, re.DOTALL)
        return row.replace(both[0], both[2] + both[1]) if both else row

    return re.sub(rb'<row r="(\d+)".*?</row>', columns, data, flags=re.DOTALL)


def test_an_official_workbook_altered(official: list[Path], tmp_path: Path, forms: Path):
    """A sheet gone, an article renamed in all sheets, a row inserted, two columns swapped."""
    path = tmp_path / "altered.xlsx"
    shutil.copy(official[0], path)

    def without_a_sheet(data: bytes) -> bytes:
        return re.sub(rb'<sheet name="PRIL4"[^>]*/>', b"", data)

    def renamed(data: bytes) -> bytes:
        return data.replace(TORTURE.encode(), ILL_TREATMENT.encode())

    rewrite(
        path,
        {
            "xl/workbook.xml": without_a_sheet,
            "xl/sharedStrings.xml": renamed,
            part_of("R11"): with_a_row_more,
            part_of("R1"): with_swapped_columns,
        },
    )
    with pytest.raises(kz.WorkbookError, match="expected sheet 'PRIL4'"):
        kz.read_form_1m(path, "2022-12")
    text = str(versions.explain(path))
    assert f"'{ILL_TREATMENT}', was '{TORTURE}' [article:146]: row 64 in R1, R1-1, R1-2;" in text
    assert "'Убийство двух лиц (ст.100-1)': row 5 in R11" in text
    assert "[transferred_off_register]: column 25 → 24 in R1" in text
    text = completed(versions.draft(path, "altered"))
    text = filled(text, ILL_TREATMENT, ('\nname = ""', '\nname = "Article 146. Ill-treatment"'))
    new = "Убийство двух лиц (ст.100-1)"
    text = filled(text, new, ('\nname = ""', '\nname = "Article 100-1"'))
    assert 'chapter = "1"\narticle = "100-1"' in text
    total = "Всего преступлений (из строк 2 - 9)"
    save(forms, filled(text, total, ("same = false", "same = true")))
    frame = kz.read_form_1m(path, "2022-12")
    before = kz.read_form_1m(official[0], "2022-12").filter(pl.col("section") != "PRIL4")
    key = ["section", "row", "measure"]
    both = before.join(frame, on=key, how="inner", suffix="_new")
    assert both.height == before.height == frame.height - 24
    assert both["value"].equals(both["value_new"], check_names=False)
    moved = both.filter(section="R1", row="total", measure="term_expired")
    assert moved.select("cell", "cell_new").rows() == [("R1!AB7", "R1!AC7")]
    added = frame.filter(row="article:100-1", measure="registered")
    assert added.select("cell", "value").rows() == [("R11!F11", 77.0)]


def test_the_file_in_the_documentation_is_a_version(forms: Path):
    text = (Path(__file__).parents[2] / "docs" / "forms.md").read_text(encoding="utf-8")
    save(forms, text.split("```toml\n")[1].split("```")[0])
    assert codebook.left_out() == []
    assert codebook.form("2024").section("R1").columns["measure"][23] == "transferred_off_register"


def test_a_caption_that_stands_elsewhere_is_to_be_confirmed(tmp_path: Path):
    """`ВСЕГО` is a measure of its own in another sheet."""

    def columns(section: str, lines: Lines) -> None:
        if section == "PRIL3":
            lines.append({"measure": "other", "unit": "offences", "caption": "ВСЕГО"})

    def rows(section: str, lines: Lines) -> None:
        if section == "R11":
            lines.append({"row": "article:110", "caption": "Истязание (ст.110)"})

    text = versions.draft(of_small(tmp_path, "more", columns=columns, rows=rows), "more")
    assert 'measure = "cleared_with_resource"\nunit = "offences"\nsame = false' in block(
        text, "ВСЕГО"
    )
    assert block(text, "Истязание (ст.110)").endswith('row = "article:110"')


@pytest.mark.parametrize(
    "caption",
    ['Кража "с\\полкой"', 'х"\n[[row]]\nrow = "article:146', "# ё \x7f \ufffd", "a > b", "=1+1"],
)
def test_any_caption_comes_back_from_the_file(caption: str, forms: Path):
    def rows(section: str, lines: Lines) -> None:
        lines[3]["caption"] = " ".join(caption.split())

    form = altered(SMALL_FORM, "2024", rows=rows)
    sheets = {section: versions._of_form(form, section) for section in SMALL}
    text = "\n".join(versions._drafted("2024", versions._compared(SMALL_FORM, sheets, {})))
    save(forms, filled_in(text))
    file = VersionFile.read("2024.toml", codebook.user_files(str(forms.parent))["2024.toml"])
    resolved = file.resolve(SMALL_FORM)
    assert resolved.rows["caption"].equals(form.rows["caption"])


def test_a_file_in_another_encoding(forms: Path):
    (forms / "2024.toml").write_bytes((HEAD + ADDED).encode("cp1251"))
    assert codebook.left_out() == ["2024.toml: is not text in UTF-8; save it as such"]
    (forms / "2024.toml").write_bytes((HEAD + ADDED).encode("utf-8-sig").replace(b"\n", b"\r\n"))
    assert codebook.left_out() == []
