"""The page in a real browser: charts drawn, pictures and data to take away, nothing asked, no error."""

import csv
import io
import json
import re

import pytest

from kzresearch.notebooks import ORDER

DARK = """async (picture) => {
  await picture.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [picture.naturalWidth, picture.naturalHeight];
  const pen = canvas.getContext("2d");
  pen.drawImage(picture, 0, 0);
  const points = pen.getImageData(0, 0, canvas.width, canvas.height).data;
  let dark = 0;
  for (let i = 0; i < points.length; i += 4)
    if (points[i + 3] > 0 && points[i] + points[i + 1] + points[i + 2] < 600) dark++;
  return [canvas.width, canvas.height, dark / (points.length / 4)];
}"""


def page_of(report, name):
    return next(one for (notebook, _), one in sorted(report.items()) if notebook == name)


def all_drawn(page) -> int:
    """Every chart brought into view and drawn; how many there are."""
    figures = page.locator("figure.chart")
    for number in range(figures.count()):
        figures.nth(number).scroll_into_view_if_needed()
        page.locator(f"#figure-{number + 1}.drawn .live svg").wait_for()
    return figures.count()


@pytest.mark.parametrize("name", ORDER)
def test_every_chart_is_a_picture_and_is_drawn_anew(report, name, opened):
    outcome = page_of(report, name)
    with opened(outcome.page_path) as page:
        assert all_drawn(page) == len(outcome.record["figures"]) > 0
        for number, figure in enumerate(outcome.record["figures"], 1):
            still = page.locator(f"#figure-{number} img.still")
            assert still.get_attribute("alt") == figure["text"]
            width, height, dark = still.evaluate(DARK)
            assert 600 < width < 900
            assert height > 80
            assert dark > 0.005
            live = page.locator(f"#figure-{number} .live svg.marks")
            box = live.bounding_box()
            assert abs(box["width"] - width) < 40
            assert abs(box["height"] - height) < 40
            assert live.locator("path, text, rect").count() > 10


def test_a_mark_says_what_it_stands_for(report, opened):
    with opened(page_of(report, "people").page_path) as page:
        all_drawn(page)
        page.locator("#figure-1 .live .mark-rect path").nth(5).hover()
        shown = page.locator("#vg-tooltip-element.visible")
        shown.wait_for()
        label, value = page.locator("#figure-1").evaluate(
            "figure => JSON.parse(figure.querySelector('script.chart').textContent).usermeta.rows[5]"
        )
        assert label in shown.inner_text()
        assert f"{value:,.0f}" in shown.inner_text()


def test_a_crowded_chart_can_be_looked_at_more_closely(report, opened):
    with opened(page_of(report, "regions").page_path) as page:
        all_drawn(page)
        figure = page.locator("figure.chart", has=page.locator(".hint")).first
        axis = figure.locator(".live .role-axis-label").first
        before = axis.text_content()
        box = figure.locator(".live svg").bounding_box()
        figure.locator(".live svg").hover(position={"x": box["width"] / 2, "y": box["height"] / 2})
        page.mouse.wheel(0, -300)
        page.wait_for_timeout(200)
        assert axis.text_content() == before  # the page was moved, not the chart
        figure.locator(".live svg").hover(position={"x": box["width"] / 2, "y": box["height"] / 2})
        page.keyboard.down("Shift")
        page.mouse.wheel(0, -300)
        page.wait_for_function(
            "([axis, before]) => axis.textContent !== before", arg=[axis.element_handle(), before]
        )


def taken(page, selector) -> tuple[str, bytes]:
    with page.expect_download() as download:
        page.locator(selector).click()
    return download.value.suggested_filename, download.value.path().read_bytes()


def lines_of(content: bytes) -> list[list[str]]:
    text = content.decode("utf-8-sig")
    assert content.startswith(b"\xef\xbb\xbf")  # so that Excel reads it as UTF-8
    return list(csv.reader(io.StringIO(text, newline="")))


def test_figures_and_tables_can_be_taken_away(report, opened):
    outcome = page_of(report, "case_flow")
    stem = outcome.page_path.stem
    with opened(outcome.page_path) as page:
        name, picture = taken(page, "#figure-1 [data-get=svg]")
        assert name == f"{stem}-figure-1.svg"
        assert picture.startswith(b"<svg ")
        assert b"807" in picture
        name, picture = taken(page, "#figure-1 [data-get=png]")
        assert name == f"{stem}-figure-1.png"
        assert picture.startswith(b"\x89PNG")
        assert int.from_bytes(picture[16:20]) > 1200  # twice as many points as it is wide
        name, content = taken(page, "#figure-1 [data-get=csv]")
        assert name == f"{stem}-figure-1.csv"
        head, *lines = lines_of(content)
        assert head == ["label", "count", "share", "of_year", "carried_over"]
        results = outcome.record["results"]
        assert sum(float(line[1]) for line in lines) == results["gross_caseload"]["value"]
        counts = {line[0]: float(line[1]) for line in lines}
        assert counts["sent to court"] == results["sent_to_court"]["value"]
        _, content = taken(page, "#table-1 [data-get=csv]")
        head, *lines = lines_of(content)
        assert head == ["", "Offences", "Share", "95 % interval", "Taken from"]
        assert lines[0][:2] == ["gross caseload", results["gross_caseload"]["text"]]
        results_table = page.locator("figure:has(table.results)").first.get_attribute("id")
        _, content = taken(page, f"#{results_table} [data-get=csv]")
        head, *lines = lines_of(content)
        assert [line[0] for line in lines] == list(results)
        for line in lines:
            one = dict(zip(head, line, strict=True))
            value = results[one["name"]]["value"]
            assert one["value"] == ("" if value is None else one["value"])
            assert value is None or float(one["value"]) == value
            assert one["cells"].count("!") == 2 * len(results[one["name"]]["cells"])
        name, content = taken(page, "[data-get=record]")
        assert name == f"{stem}.json"
        assert json.loads(content) == outcome.record


def test_no_data_of_a_chart_is_lost_in_its_csv(report, opened):
    for name in ORDER:
        with opened(page_of(report, name).page_path) as page:
            for figure in page.locator("figure.chart").all():
                _, content = taken(page, f"#{figure.get_attribute('id')} [data-get=csv]")
                head, *lines = lines_of(content)
                assert lines, name
                assert all(len(line) == len(head) for line in lines)
                assert b"[object" not in content


def test_a_strange_address_stops_nothing(report, opened):
    with opened(page_of(report, "people").page_path) as page:
        page.evaluate("location.hash = '100%'")
        page.reload()
        assert all_drawn(page) > 0


def test_rows_of_a_group_carry_its_name_and_folded_tables_are_whole(report, opened):
    with opened(page_of(report, "people").page_path) as page:
        table = page.locator("figure.table:has(th[scope=rowgroup])").first.get_attribute("id")
        _, *lines = lines_of(taken(page, f"#{table} [data-get=csv]")[1])
        assert {line[0] for line in lines} > {"all", "by age"}
    outcome = report["data_quality", "2022-12"]
    with opened(outcome.page_path) as page:
        folded = page.locator("figure.table:has(details)").first
        said = int(
            re.search(r"\(([\d,]+) lines", folded.locator("summary").inner_text())[1].replace(
                ",", ""
            )
        )
        _, *lines = lines_of(taken(page, f"#{folded.get_attribute('id')} [data-get=csv]")[1])
        assert len(lines) == said
        assert all(line[1] for line in lines)


def test_citations_are_copied(report, opened):
    outcome = page_of(report, "trends")
    with opened(outcome.page_path) as page:
        for details in page.locator(".cite details").all():
            details.locator("summary").click()
        for button in page.locator("[data-copy]").all():
            button.click()
            page.locator(
                f"[data-copy={button.get_attribute('data-copy')}]", has_text="Copied"
            ).wait_for()
            copied = page.evaluate("navigator.clipboard.readText()")
            assert copied == page.locator(f"#{button.get_attribute('data-copy')}").text_content()
            assert outcome.record["run_id"] in copied


def test_an_address_leads_to_a_figure_also_where_it_is_folded(report, opened):
    outcome = report["data_quality", "2022-12"]
    with opened(outcome.page_path) as page:
        row = page.locator("details:not(.contents) table tbody tr").first
        assert not row.is_visible()
        row.evaluate("row => { row.id = 'within'; location.hash = 'within'; }")
        row.wait_for(state="visible")
    outcome = page_of(report, "case_flow")
    with opened(outcome.page_path) as page:
        page.evaluate("location.hash = 'share_sent_to_court'")
        row = page.locator("#share_sent_to_court")
        assert row.evaluate("row => getComputedStyle(row).backgroundColor") == "rgb(255, 243, 196)"
        assert outcome.record["results"]["share_sent_to_court"]["text"] in row.inner_text()
        lost = "nav => [...nav.querySelectorAll('a')].map(a => decodeURIComponent(a.hash.slice(1))).filter(id => !document.getElementById(id))"
        assert page.locator("nav").evaluate(lost) == []
        repeated = page.evaluate(
            "Object.entries(Object.groupBy([...document.querySelectorAll('[id]')].map(e => e.id), id => id))"
            ".filter(([, of]) => of.length > 1).map(([id]) => id)"
        )
        assert repeated == []


def test_without_scripts_there_are_pictures_and_no_buttons(report, opened):
    outcome = page_of(report, "people")
    with opened(outcome.page_path, java_script_enabled=False) as page:
        assert page.locator("img.still").first.is_visible()
        assert page.locator("button:visible").count() == 0
        assert page.locator("nav a:visible").count() > 5


def test_printed_pages_have_pictures_without_buttons_and_code(report, opened, tmp_path):
    outcome = page_of(report, "case_flow")
    with opened(outcome.page_path) as page:
        all_drawn(page)
        page.emulate_media(media="print")
        assert page.locator("img.still").first.bounding_box()["width"] > 500
        assert (
            page.locator("button:visible, .live:visible, details.code:visible, nav:visible").count()
            == 0
        )


@pytest.mark.parametrize("name", ORDER)
def test_nothing_is_wider_than_a_phone(report, name, opened):
    with opened(page_of(report, name).page_path, viewport={"width": 360, "height": 700}) as page:
        all_drawn(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        assert not page.locator("#contents").get_attribute("open")


def test_index_page_opens_without_an_error(report, opened):
    with opened(page_of(report, "trends").page_path.with_name("index.html")) as page:
        assert page.locator("h2").count() >= len(ORDER)
