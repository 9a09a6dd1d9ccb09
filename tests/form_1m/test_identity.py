"""Whose report a workbook is, and of which period: what the file says, and what the caller says."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path

import pytest

import kzresearch as kz
from kzresearch import regions
from kzresearch.form_1m.identity import Stated, identify
from kzresearch.form_1m.workbook import Workbook
from tests.workbooks import make_workbook

NAMES = {one["region"]: one for one in kz.load_regions(former=True).iter_rows(named=True)}
FOLDER = r"C:\PROGRAM FILES (X86)\KPSU\EUSS\REPORT\1-M\2022\12\1971" + "\\"


def of(path: Path, name: str | None, code: str | None, **more) -> Workbook:
    """A workbook titled so, of this code; None for what is lost."""
    title = "" if name is None else f"1-M  {name} (Свод)"
    description = " " if code is None else f"28327;50119;{code}%;__"
    made = make_workbook(path / "a.xlsx", [], title=title, description=description, **more)
    return Workbook.open(made)


def refused(workbook: Workbook, stated: Stated) -> str:
    with pytest.raises(kz.WorkbookError) as caught:
        identify(workbook, stated)
    return str(caught.value).removeprefix("a.xlsx: ")


def said(region: str | None = None, period: str | None = "2022-12", source="argument") -> Stated:
    return Stated(period, source, region, source)


# titles


@pytest.mark.parametrize(
    ("region", "names"),
    {
        "KZ-71": [
            *("Астана", "г.Астана", "г. Астана", "город Астана", "АСТАНА", "Aстана", "Acтaнa"),
            *("Нур-Султан", "г.Нур-Султан", "Нур - Султан", "Нур–Султан", "Нұр-Сұлтан қаласы"),
        ],
        "KZ-75": ["Алматы", "г.Алматы", "г. Алматы", "город Алматы", "Алматы қаласы"],
        "KZ-79": ["г.Шымкент", "Шымкент", "город Шымкент", "Шымкент қ."],
        "KZ-19": ["Алматинская область", "Алматинская обл.", "Алматы облысы", "обл. Алматинская"],
        "KZ-11": ["Акмолинская область", "Aкмолинская область", "АКМОЛИНСКАЯ ОБЛ", "Ақмола облысы"],
        "KZ-10": ["область Абай", "Абайская область", "обл. Абай", "Абай обл.", "Абай облысы"],
        "KZ-33": ["область Жетісу", "область Жетiсу", "область Жетысу", "Жетысуская область"],
        "KZ-62": ["область Улытау", "область Ұлытау", "Ұлытау облысы", "Улытауская область"],
        "KZ-63": ["Восточно-Казахстанская область", "Восточно Казахстанская обл.", "ВКО"],
        "KZ-59": ["Северо-Казахстанская область", "СКО", "Солтүстік Қазақстан облысы"],
        "KZ-27": ["Западно-Казахстанская область", "ЗКО", "Батыс Қазақстан облысы"],
        "KZ-31": ["Жамбылская область", "Жамбылскaя oбласть"],
    }.items(),
)
def test_titles_of_one_region(tmp_path: Path, region: str, names: list[str]):
    code = NAMES[region]["organ_code"]
    for name in names:
        found = identify(of(tmp_path, name, code), said())
        assert (found.region, found.region_source) == (region, "workbook"), name
        assert found.organ_code == code


def test_every_name_in_the_tables_means_one_region():
    for region, title in regions.region_titles().select("region", "title").iter_rows():
        assert set(regions.regions_titled(title)["region"]) == {region}, title


@pytest.mark.parametrize(
    "name",
    [
        "Almaty",
        "Алматинская",
        "Алмат",
        "Алматы область Абай",
        "область",
        "г.",
        "Абай",
        "Целиноград",
    ],
)
def test_a_name_that_is_not_known_needs_the_region_from_the_caller(tmp_path: Path, name: str):
    workbook = of(tmp_path, name, "1919")
    assert refused(workbook, said()) == (
        "file properties: the title is no name known of the region with the code 1919; "
        "if its region is known give it: region='KZ-75'"
    )
    found = identify(workbook, said("KZ-19", source="manifest"))
    assert astuple(found) == ("KZ-19", "manifest", "1919", "2022-12", "manifest")
    assert refused(workbook, said("KZ-75")).startswith(
        "file properties: the code 1919 is of KZ-19, 'Алматинская область', but KZ-75 was given"
    )


def test_the_city_and_the_region_of_almaty_are_told_apart(tmp_path: Path):
    assert refused(of(tmp_path, "Алматы", "1919"), said("KZ-19")).startswith(
        "file properties: the title names 'Алматы', the code 1919 is of KZ-19"
    )
    assert refused(of(tmp_path, "Алматы облысы", "1975"), said("KZ-75")).startswith(
        "file properties: the title names 'Алматы облысы', the code 1975 is of KZ-75, 'Алматы'"
    )


def test_a_name_given_up_before_the_year(tmp_path: Path):
    workbook = of(tmp_path, "г.Нур-Султан", "1971")
    for period in ("2018-12", "2019-02", "2022-12"):  # a report printed later has the later name
        assert identify(workbook, said(period=period)).region_source == "workbook"
    assert refused(workbook, said(period="2023-01")).startswith(
        "file properties: the title names 'г.Нур-Султан', a name given up before the period's year"
    )
    assert identify(workbook, said("KZ-71", "2023-01")).region_source == "argument"
    workbook = of(tmp_path, "Астана", "1971")
    for period in ("2015-12", "2020-12", "2023-01"):
        assert identify(workbook, said(period=period)).region == "KZ-71"


# South Kazakhstan, 16 and 17 units


@pytest.mark.parametrize(
    ("name", "code", "period", "region"),
    [
        ("Южно-Казахстанская область", "1951", "2017-12", "KZ-61+79"),
        ("ЮКО", "1951", "2018-05", "KZ-61+79"),
        ("Оңтүстік Қазақстан облысы", "1951", "2015-01", "KZ-61+79"),
        ("Туркестанская область", "1951", "2018-06", "KZ-61"),
        ("Туркестанская область", "1951", "2019-12", "KZ-61"),
        ("г.Шымкент", "1979", "2018-12", "KZ-79"),
        ("Карагандинская область", "1935", "2015-12", "KZ-35"),
    ],
)
def test_region_of_the_period(tmp_path: Path, name, code, period, region):
    assert identify(of(tmp_path, name, code), said(period=period)).region == region
    assert region in regions.regions_reporting(period)


@pytest.mark.parametrize(
    ("name", "code", "period", "region"),
    [
        ("Южно-Казахстанская область", "1951", "2018-06", "KZ-61+79"),
        ("Южно-Казахстанская область", "1951", "2022-12", "KZ-61+79"),
        ("Туркестанская область", "1951", "2018-05", "KZ-61"),
        ("г.Шымкент", "1979", "2017-12", "KZ-79"),
        ("область Абай", "1910", "2021-12", "KZ-10"),
        ("область Абай", "1910", "2022-05", "KZ-10"),
    ],
)
def test_no_such_region_in_the_period(tmp_path: Path, name, code, period, region):
    expected = f"file properties: a report of {region} for {period}, when there was no such region"
    for given in (None, region):
        message = refused(of(tmp_path, name, code), said(given, period))
        assert message.startswith(expected)


def test_code_of_two_regions(tmp_path: Path):
    assert refused(of(tmp_path, "Астана", "1951"), said()).startswith(
        "file properties: the title names 'Астана', the code 1951 is of KZ-61, 'Туркестанская "
        "область' or KZ-61+79, 'Южно-Казахстанская область'; use the file"
    )
    unknown = of(tmp_path, "Юг", "1951")
    assert identify(unknown, said("KZ-61+79", "2017-12")).region == "KZ-61+79"
    assert identify(unknown, said("KZ-61", "2019-12")).region == "KZ-61"
    assert refused(unknown, said("KZ-61", "2017-12")).startswith(
        "file properties: a report of KZ-61 for 2017-12, when there was no such region"
    )
    known = of(tmp_path, "Туркестанская область", "1951")
    assert refused(known, said("KZ-61+79", "2017-12")) == (
        "file properties: the title names 'Туркестанская область', but KZ-61+79 was given; "
        "one of the two is wrong"
    )


def test_units_by_period():
    many = {period: len(regions.regions_reporting(period)) for period in PERIODS}
    assert many == PERIODS
    assert len(regions.region_codes()) == kz.load_regions().height == 20
    former = set(regions.region_codes(former=True)) - set(regions.region_codes())
    assert former == {regions.SOUTH_KAZAKHSTAN}
    assert regions.region_name("KZ-61+79") == "South Kazakhstan Region"
    assert regions.short_name("KZ-61+79") == "South Kazakhstan"


PERIODS = {"2015-01": 16, "2018-05": 16, "2018-06": 17, "2022-05": 17, "2022-06": 20, "2024-12": 20}


def test_the_split_of_2018_is_marked_as_that_of_2022():
    of_2018 = {r for r in NAMES if regions.change_of_bounds(r, "2018-12")}
    assert of_2018 == {"KZ-61", "KZ-79", "KZ-61+79"}
    assert regions.change_of_bounds("KZ-61+79", "2018-03").startswith("Divided on 2018-06-19")
    assert regions.change_of_bounds("KZ-61+79", "2017-12") is None
    of_2022 = {r for r in NAMES if regions.change_of_bounds(r, "2022-12")}
    assert of_2022 == {"KZ-10", "KZ-33", "KZ-62", "KZ-63", "KZ-19", "KZ-35"}


# the country


@pytest.mark.parametrize("code", ["19", "", "1900", "0"])
def test_workbook_of_the_country(tmp_path: Path, code: str):
    workbook = of(tmp_path, "Республика Казахстан", code)
    found = identify(workbook, said())
    assert astuple(found) == ("KZ", "workbook", code, "2022-12", "argument")
    assert identify(workbook, said("KZ")).region_source == "workbook"
    assert "but KZ-71 was given" in refused(workbook, said("KZ-71"))
    assert identify(of(tmp_path, "По республике", code), said("KZ")).region_source == "argument"


def test_what_is_not_the_country(tmp_path: Path):
    assert refused(of(tmp_path, "Республика Казахстан", "1971"), said("KZ")).startswith(
        "file properties: the title names 'Республика Казахстан', the code 1971 is of KZ-71"
    )
    assert "the title names 'Астана', but KZ was given" in refused(
        of(tmp_path, "Астана", "1971"), said("KZ")
    )
    for given in (None, "KZ-71"):
        assert refused(of(tmp_path, "Главная военная прокуратура", "1990"), said(given)) == (
            "file properties: no region has the title's name or the code '1990'; "
            "only reports of the regions and of the country are read"
        )


# properties that are lost


def test_lost_properties_need_both_from_the_caller(tmp_path: Path):
    workbook = of(tmp_path, None, None)
    found = identify(workbook, Stated("2022-12", "folder", "KZ-75", "manifest"))
    assert astuple(found) == ("KZ-75", "manifest", None, "2022-12", "folder")
    assert refused(workbook, said()) == (
        "file properties: no title as a Form 1-M report has it; use the file as it was published, "
        "or if its region is known give it: region='KZ-75'"
    )
    assert refused(workbook, said("KZ-75", None)).startswith("does not state its period")


@pytest.mark.parametrize(
    ("name", "code", "lost"), [(None, "1971", "title"), ("Астана", None, "description")]
)
def test_one_lost_property(tmp_path: Path, name, code, lost):
    workbook = of(tmp_path, name, code)
    assert refused(workbook, said()) == (
        f"file properties: no {lost} as a Form 1-M report has it; use the file as it was "
        "published, or if its region is known give it: region='KZ-75'"
    )
    found = identify(workbook, said("KZ-71"))
    assert (found.region, found.region_source, found.organ_code) == ("KZ-71", "argument", code)
    assert "but KZ-75 was given; one of the two is wrong" in refused(workbook, said("KZ-75"))


def test_a_code_that_no_region_has(tmp_path: Path):
    workbook = of(tmp_path, "Астана", "1961")
    assert refused(workbook, said()).startswith("file properties: no region has the code 1961")
    assert identify(workbook, said("KZ-71")).region_source == "argument"
    assert refused(of(tmp_path, None, "1961"), said("KZ-71")).startswith(
        "file properties: no region has the title's name or the code '1961'"
    )
    longer = of(tmp_path, "Астана", "197101")  # a part of a region
    assert refused(longer, said("KZ-71")).startswith("file properties: no description as")


@pytest.mark.parametrize("lost", [True, False])
def test_another_form_is_none_whatever_is_stated(tmp_path: Path, lost: bool):
    description = " " if lost else "28327;50501;1971%;__"
    for title in ("СНГ-1  Астана (Свод)", "Тайна  Астана (Свод)", "1-M  Астана", "Лист1"):
        path = make_workbook(tmp_path / "a.xlsx", [], title=title, description=description)
        message = refused(Workbook.open(path), said("KZ-71"))
        assert message.startswith("file properties: ")
        assert "Тайна" not in message
    path = make_workbook(tmp_path / "a.xlsx", [], title="", description="28327;50501;1971%;__")
    assert refused(Workbook.open(path), said("KZ-71")).startswith(
        "file properties: this is the form numbered 50501, not form 1-M, numbered 50119"
    )


# what is stated


@pytest.mark.parametrize("source", ["argument", "folder", "manifest"])
def test_who_says_the_period(tmp_path: Path, source: str):
    found = identify(of(tmp_path, "Астана", "1971"), Stated("2022-12", source))
    assert (found.period, found.period_source) == ("2022-12", source)
    own = of(tmp_path, "Астана", "1971", folder=FOLDER)
    found = identify(own, Stated("2022-12", source))
    assert (found.period, found.period_source) == ("2022-12", "workbook")
    who = {"argument": "2021-02 was given"}.get(source, f"the {source} says 2021-02")
    assert refused(own, Stated("2021-02", source)) == (
        f"file properties: states the period 2022-12, but {who}; one of the two is wrong"
    )


@pytest.mark.parametrize("region", ["KZ-99", "Astana", "kz-71", ""])
def test_region_stated_must_be_one(region: str):
    with pytest.raises(kz.UnknownValueError, match=f"unknown region '{region}'"):
        Stated("2022-12", region=region)


def test_region_given_to_the_reader(tmp_path: Path):
    path = make_workbook(tmp_path / "a.xlsx", title="", description=" ")
    frame = kz.read_form_1m(path, "2022-12", "R11", region="KZ-75")
    assert frame["region"].unique().to_list() == ["KZ-75"]
    with pytest.raises(kz.WorkbookError, match="give it: region='KZ-75'"):
        kz.read_form_1m(path, "2022-12", "R11")
