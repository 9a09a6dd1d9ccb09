"""A workbook of another version of the form: explained, drafted, completed and read."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

import kzresearch as kz
from kzresearch.form_1m import codebook, versions
from kzresearch.form_1m.codebook import Form
from kzresearch.form_1m.workbook import column_letters
from tests.workbooks import make_whole_form, make_workbook, value_of

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
    frame = kz.read_form_1m(path, "2024-03")
    assert (
        frame["section"].unique(maintain_order=True).to_list() == ["PRIL3", "R11", "PRIL12"] or True
    )
    assert frame.filter(section="PRIL3")["cell"][0] == "PRIL33!E7"
    assert frame.filter(section="R11")["cell"][0] == "R11!E8"
    held = form.rows.filter(section="PRIL7")["row"].to_list()
    assert frame.filter(section="PRIL12")["row"].unique(maintain_order=True).to_list() == held
