"""The index page in a real browser: its filter, its sorting, its citations, on any width."""

import re

import pytest

from kzresearch.publish.index import index_page
from tests.publish.test_index import figure, made, names


@pytest.fixture(scope="module")
def forty():
    """40 runs of one notebook, three of them failed, and one of another."""
    records = []
    for number in range(40):
        failed = number in {3, 14, 25}
        value = None if number % 7 == 0 else number * number * 11 % 3001
        records.append(
            made(
                number,
                parameters={"period": "2022-12", "region": f"KZ-{number % 20 + 10}", "article": "9"}
                | {"year": number // 20 + 2020},
                status="failed" if failed else "completed",
                error={"cell": 7, "type": "KeyError", "message": "nothing <b>"} if failed else None,
                results={}
                if failed
                else {"gross_caseload": figure(value), "gross_share": figure(number / 40, "share")},
            )
        )
    records.append(made(99, "people"))
    return index_page(records, names(records))


HELP = """
    const pause = () => new Promise(done => setTimeout(done, 300));
    const rows = () => [...document.querySelectorAll("table[data-all] tbody tr")].filter(r => r.checkVisibility());
    const type = (words) => {
      const box = document.querySelector("#filter input");
      box.value = words; box.dispatchEvent(new Event("input")); return pause();
    };
    const choose = (what) => {
      const box = document.querySelector("#filter select");
      box.value = what; box.dispatchEvent(new Event("input")); return pause();
    };
    const head = (name) => [...document.querySelectorAll("#case_flow ~ .runs table[data-all] th")]
      .find(th => th.textContent.startsWith(name));
    const column = (name) => [...document.querySelectorAll("#case_flow ~ .runs table[data-all] tbody tr")]
      .map(row => row.cells[head(name).cellIndex].textContent);
    const count = () => document.querySelector("#count").textContent;
"""


@pytest.fixture
def asked(opened, tmp_path):
    """What each of some expressions gives in a page, one after another, in a window that wide."""

    def ask(page, questions, width=1200):
        path = tmp_path / "index.html"
        path.write_text(page, encoding="utf-8")
        with opened(path, viewport={"width": width, "height": 800}) as shown:
            return [shown.evaluate(f"async () => {{ {HELP} {one} }}") for one in questions]

    return ask


def test_filter_hides_runs_and_counts_those_left(forty, asked):
    left = "return [count(), rows().length];"
    given = asked(
        forty,
        [
            f"{left}",
            f"await type('kz-1'); {left}",
            f"await type('  KZ-12   2021 '); {left}",
            "return [...document.querySelectorAll('h2:not(#cite-this)')].map(h => h.checkVisibility());",
            f"await type('article 9'); {left}",
            f"await type('december people'); {left}",
            f"await type('keyerror'); {left}",
            f"await type('KeyError 000000000019'); {left}",
            f"await type('gross'); {left}",
            f"await type(''); await choose('failed'); {left}",
            f"await choose('completed'); {left}",
            f"await choose(''); {left}",
            "return document.querySelector('#count').ariaLive;",
        ],
    )
    assert given == [
        ["41 of 41 runs", 41],
        ["20 of 41 runs", 20],
        ["1 of 41 runs", 1],
        [True, False],
        ["40 of 41 runs", 40],
        ["1 of 41 runs", 1],
        ["3 of 41 runs", 3],
        ["1 of 41 runs", 1],
        ["0 of 41 runs", 0],
        ["3 of 41 runs", 3],
        ["38 of 41 runs", 38],
        ["41 of 41 runs", 41],
        "polite",
    ]


def test_sorting_is_numeric_stable_both_ways_and_puts_nothing_last(forty, asked):
    press = (
        "head('{0}').querySelector('button').click(); return [head('{0}').ariaSort, column('{0}')];"
    )
    up, down, share, years, one_sorted = asked(
        forty,
        [
            press.format("gross_caseload"),
            press.format("gross_caseload"),
            press.format("gross_share"),
            press.format("year").replace("column('year')", "column('year'), column('gross_share')"),
            "return document.querySelectorAll('[aria-sort]').length;",
        ],
    )

    def numbers(cells):
        return [int(cell.replace(",", "")) for cell in cells if cell[:1].isdigit()]

    assert up[0] == "ascending"
    assert down[0] == "descending"
    assert len(numbers(up[1])) == 32
    assert numbers(up[1]) == sorted(numbers(up[1]))
    assert numbers(down[1]) == sorted(numbers(up[1]), reverse=True)
    for cells in (up[1], down[1]):
        assert set(cells[32:]) == {"not reported", ""}
    shares = [float(cell) for cell in share[1][:37]]
    assert shares == sorted(shares)
    assert years[1] == ["2020"] * 20 + ["2021"] * 20
    within = [[float(x) for x in part if x] for part in (years[2][:20], years[2][20:])]
    assert within == [sorted(part) for part in within]
    assert one_sorted == 1


def test_sorting_and_filter_work_together_and_by_keyboard(forty, asked):
    given = asked(
        forty,
        [
            (
                "await type('2021'); head('gross_caseload').querySelector('button').click();"
                "return [count(), rows().length];"
            ),
            (
                "const b = head('run id').querySelector('button'); b.focus();"
                "return [document.activeElement === b, b.tabIndex];"
            ),
            (
                "head('run id').querySelector('button').click();"
                "return document.activeElement.textContent;"
            ),
        ],
    )
    assert given == [["20 of 41 runs", 20], [True, 0], "run id"]


def test_every_run_has_its_citation_at_hand(forty, asked):
    (given,) = asked(
        forty,
        [
            (
                "document.querySelectorAll('tbody tr')[4].querySelector('button').click();"
                "const d = document.querySelector('dialog'); return [d.open, d.querySelector('p').textContent];"
            )
        ],
    )
    assert given == [
        True,
        (
            "kzresearch contributors. kzresearch, version 0.1.0, notebook case_flow (period 2022-12, "
            "region KZ-12, article 9, year 2020, run 000000000002), 2026-01-02."
        ),
    ]


@pytest.mark.parametrize("width", [320, 390, 1200])
def test_the_page_is_never_wider_than_its_window(forty, width, asked):
    ((inner, scrolled),) = asked(
        forty, ["return [innerWidth, document.documentElement.scrollWidth];"], width
    )
    assert inner == width
    assert scrolled <= width


@pytest.mark.parametrize("code", ["ru", "kk"])
def test_a_table_wraps_or_scrolls_in_a_place_of_its_own(opened, tmp_path, code, screenshot):
    named = ("gross_caseload", "terminated_rehabilitating", "sent_to_court", "pending")
    results = {name: figure(1234) for name in named}
    flow, people = (
        [
            made(n, name, parameters=given | {"region": f"KZ-{27 + 4 * n}"}, results=results)
            for n in range(4)
        ]
        for name, given in (
            ("case_flow", {"language": code}),
            ("people", {"language": code, "article": "362", "compare": "362,120,total"}),
        )
    )
    for n, one in enumerate(people):
        one["parameters"]["compare"] = ("362,120,total", "362,120")[n % 2]
    path = tmp_path / "index.html"
    path.write_text(index_page([*flow, *people], names([*flow, *people])), encoding="utf-8")
    with opened(path) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= 1000
        around = page.locator(".runs:has(table[data-all])")
        wider = around.evaluate_all("all => all.map(one => one.scrollWidth - one.clientWidth)")
        assert wider[0] == 0
        screenshot(page, f"index-tables-{code}", full_page=True)
        page.set_viewport_size({"width": 700, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= 700
        around.last.evaluate(
            "one => { one.focus(); window.moved = new Promise(done => one.onscroll = () => done(true)); }"
        )
        page.keyboard.press("ArrowRight")
        assert page.evaluate("window.moved")


def test_a_kazakh_index_sorts_counts_and_copies_in_kazakh(opened, tmp_path, screenshot):
    words = ["ыдыс", "ірі", "үй", "ұя", "қала", "кеме", "ән", "бала", "ағаш", "һәм"]
    records = [made(n, parameters={"word": word, "language": "kk"}) for n, word in enumerate(words)]
    path = tmp_path / "index.html"
    path.write_text(index_page(records, names(records)), encoding="utf-8")
    with opened(path) as page:
        first = "rows => rows.map(row => row.cells[0].textContent)"
        inner = [*"аәбкқұүһыі"]
        rows = page.locator("table[data-all] tbody tr")
        assert [word[0] for word in rows.evaluate_all(first)] == inner
        button = page.locator("table[data-all] th button").first
        button.click()
        assert [word[0] for word in rows.evaluate_all(first)] == inner
        button.click()
        assert [word[0] for word in rows.evaluate_all(first)] == inner[::-1]
        page.locator("#filter input").fill("ҚАЛА")
        page.locator("#count", has_text=re.compile("10 ішінен 1$")).wait_for()
        screenshot(page, "index-kk")
        page.locator("td.files button:visible").click()
        page.locator("dialog button").first.click()
        page.locator("dialog button", has_text="Көшірілді").wait_for()
