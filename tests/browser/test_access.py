"""Pages and the index for everyone: what axe finds, and what can be done by keyboard alone."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe

from kzresearch.notebooks import ORDER
from kzresearch.publish.index import index_page
from tests.browser.test_pages import all_drawn, page_of
from tests.publish.test_index import figure, made, names

PHONE, DESK = {"width": 360, "height": 700}, {"width": 1200, "height": 900}


def faults(page) -> list[str]:
    """What axe calls serious or critical, with all that is folded opened."""
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {node['html'][:200]}"
        for one in found
        if one["impact"] in {"serious", "critical"}
        for node in one["nodes"]
    ]


def address_of(report, name):
    if name == "index":
        return page_of(report, "trends").page_path.with_name("index.html")
    return page_of(report, name).page_path


@pytest.mark.parametrize("name", ["index", *ORDER])
def test_nothing_keeps_anyone_from_a_page(report, name, opened, screenshot):
    with opened(address_of(report, name), viewport=PHONE) as page:
        if name != "index":
            all_drawn(page)
        page.evaluate("scrollTo(0, 0)")
        screenshot(page, f"{name}-phone")
        assert faults(page) == []
        page.set_viewport_size(DESK)
        page.evaluate("scrollTo(0, 0)")
        screenshot(page, f"{name}-desk")


@pytest.mark.parametrize("name", ["index", "case_flow"])
def test_nor_where_no_script_runs(report, name, opened, tmp_path):
    whole = address_of(report, name).read_text(encoding="utf-8")
    bare = re.sub(r"<script>.*?</script>", "", whole, flags=re.DOTALL)  # axe itself is one
    assert len(bare) < len(whole)
    path = tmp_path / f"{name}.html"
    path.write_text(bare, encoding="utf-8")
    for viewport in (PHONE, DESK):
        with opened(path, viewport=viewport) as page:
            assert faults(page) == []


def tabbed_to(page, selector):
    """Press the key until what the selector names has the focus, and its focus is seen."""
    wanted = page.locator(selector).first
    for _ in range(300):
        page.keyboard.press("Tab")
        if wanted.evaluate("one => one === document.activeElement"):
            break
    else:
        pytest.fail(f"no key leads to {selector}")
    assert wanted.evaluate("one => getComputedStyle(one).outlineStyle") != "none"
    return wanted


def test_a_page_can_be_used_by_keyboard(report, opened):
    with opened(page_of(report, "people").page_path) as page:
        skip = tabbed_to(page, "a.skip")
        assert skip.is_visible()
        assert skip.bounding_box()["x"] >= 0
        page.keyboard.press("Enter")
        tabbed_to(page, "#contents a")
        page.keyboard.press("Enter")
        assert page.locator(":target").evaluate("one => one.tagName") == "H2"
        drawing = tabbed_to(page, "#figure-1 .drawing")
        assert drawing.evaluate("one => one.tabIndex") == 0
        tabbed_to(page, "#figure-1 [data-get=csv]")
        with page.expect_download() as download:
            page.keyboard.press("Space")
        assert download.value.suggested_filename.endswith("-figure-1.csv")
        tabbed_to(page, "button[data-copy=cite-text]")
        page.keyboard.press("Enter")
        page.locator("[data-copy=cite-text]", has_text="Copied").wait_for()
        assert page.evaluate("navigator.clipboard.readText()") == (
            page.locator("#cite-text").text_content()
        )


def test_the_index_can_be_used_by_keyboard(opened, tmp_path):
    records = [
        made(n, parameters={"article": str(n)}, results={"cases": figure((n * 7) % 5)})
        for n in range(5)
    ]
    path = tmp_path / "index.html"
    path.write_text(index_page(records, names(records)), encoding="utf-8")
    with opened(path) as page:
        tabbed_to(page, "#filter input")
        page.keyboard.type("article 3")
        page.locator("#count", has_text="1 of 5 runs").wait_for()
        page.keyboard.press("Control+A")
        page.keyboard.press("Delete")
        page.locator("#count", has_text="5 of 5 runs").wait_for()
        tabbed_to(page, "#filter select")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
        page.locator("#count", has_text="0 of 5 runs").wait_for()
        page.keyboard.press("ArrowUp")
        page.locator("#count", has_text="5 of 5 runs").wait_for()
        tabbed_to(page, "th.number button")
        page.keyboard.press("Space")
        cells = "rows => rows.map(row => row.querySelector('td.number').textContent)"
        assert page.locator("table[data-all] tbody tr").evaluate_all(cells) == [*"01234"]
        tabbed_to(page, "td.files button")
        page.keyboard.press("Enter")
        page.locator("dialog[open]").wait_for()
        page.keyboard.press("Enter")
        page.locator("dialog button", has_text="Copied").wait_for()
        assert page.evaluate("navigator.clipboard.readText()") == (
            page.locator("dialog p").text_content()
        )
        page.keyboard.press("Escape")
        assert not page.locator("dialog").is_visible()
        tabbed_to(page, "button[data-copy=cite-text]")
        page.keyboard.press("Space")
        page.locator("[data-copy=cite-text]", has_text="Copied").wait_for()
