"""The explorer on a page without a kernel: what its menus and bars choose is what the table has."""

from pathlib import Path

import pytest

import kzresearch as kz
from tests.conftest import run_notebook


@pytest.fixture(scope="module")
def page_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_notebook("start_here", {}, tmp_path_factory.mktemp("explorer")).page


def bars(live) -> list[str]:
    """What stands at the bars, from above: those of the dispositions, then those of the regions."""
    return live.locator(".mark-text.role-mark text").all_text_contents()


def expected(region: str, article: str) -> list[str]:
    flow = kz.case_flow("2022-12", region, article)
    steps = flow.filter(flow["kind"].eq("outcome") | flow["step"].eq("gross_caseload"))
    whole = steps["count"][0]
    return [
        f"{count:,.0f}" + (f" · {count / whole * 100:.1f} %" if number else "")
        for number, count in enumerate(steps["count"])
    ]


def test_menus_and_bars_choose_what_the_table_has(page_path, opened):
    with opened(page_path, viewport={"width": 1000, "height": 1300}) as page:
        figure = page.locator("figure.chart").first
        figure.scroll_into_view_if_needed()
        live = figure.locator(".live")
        live.locator("svg").wait_for()
        said = expected("KZ", "146")
        assert [text.replace("\xa0", " ") for text in bars(live)[: len(said)]] == said
        menu = {
            name: live.locator("label", has_text=name).locator("select")
            for name in ("Article", "Period", "Shown by region")
        }
        region = live.locator("label", has=page.get_by_text("Region", exact=True)).locator("select")
        region.select_option("KZ-75")
        menu["Article"].select_option("article:362")
        said = expected("KZ-75", "362")
        page.wait_for_timeout(300)
        assert [text.replace("\xa0", " ") for text in bars(live)[: len(said)]] == said
        menu["Period"].select_option("2021-02")
        page.wait_for_timeout(300)
        assert set(bars(live)) == {"not reported"}
        menu["Period"].select_option("2022-12")
        menu["Article"].select_option("article:146")
        page.wait_for_timeout(300)
        live.locator(".mark-rect").first.locator("path").nth(
            1
        ).click()  # a disposition, for the regions
        page.wait_for_timeout(300)
        assert menu["Shown by region"].input_value() == "terminated_rehabilitating"
        by_region = live.locator(".mark-text.role-mark").nth(1).locator("text").all_text_contents()
        wanted = kz.load_form_1m(
            "2022-12", section="R1", article="146", measure="terminated_rehabilitating"
        )
        counts = [int(text.split(" ·")[0].replace(",", "")) for text in by_region]
        assert sorted(counts) == sorted(wanted["value"].to_list())
        live.locator(".mark-rect").nth(1).locator("path").first.click()
        page.wait_for_timeout(300)
        assert region.input_value() == "KZ-10"  # the first of the data


def test_no_word_is_cut_off_whichever_region_is_chosen(page_path, opened):
    with opened(page_path, viewport={"width": 1000, "height": 1300}) as page:
        figure = page.locator("figure.chart").first
        figure.scroll_into_view_if_needed()
        live = figure.locator(".live")
        live.locator("svg").wait_for()
        region = live.locator("label", has=page.get_by_text("Region", exact=True)).locator("select")
        for code in region.locator("option").evaluate_all("all => all.map(one => one.value)"):
            region.select_option(code)
            page.wait_for_timeout(100)
            right = live.locator("svg").evaluate("one => one.getBoundingClientRect().right")
            ends = live.locator("svg text").evaluate_all(
                "all => all.map(one => one.getBoundingClientRect().right)"
            )
            assert max(ends) <= right + 1, code
        region.select_option("KZ")
        period = live.locator("label", has_text="Period").locator("select")
        period.select_option("2021-02")  # has bars and a sentence more
        page.wait_for_timeout(300)
        bottom = live.locator("svg").evaluate("one => one.getBoundingClientRect().bottom")
        ends = live.locator("svg text").evaluate_all(
            "all => all.map(one => one.getBoundingClientRect().bottom)"
        )
        assert max(ends) <= bottom + 1


def test_the_explorer_is_no_wider_than_a_phone_and_its_menus_are_for_everyone(page_path, opened):
    with opened(page_path, viewport={"width": 360, "height": 700}) as page:
        figure = page.locator("figure.chart").first
        figure.scroll_into_view_if_needed()
        figure.locator(".live svg").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        assert figure.locator(".live").get_attribute("aria-hidden") is None
        assert figure.locator(".live select").count() == 4
