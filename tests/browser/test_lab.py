"""JupyterLab in a real browser, offline: every notebook runs, its charts are drawn, the explorer reacts."""

import os
import secrets
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from kzresearch.notebooks import ORDER
from tests.conftest import ROOT, command

PICTURES = ROOT / "out" / "screenshots"
PATIENCE = 120_000  # milliseconds, for all notebooks at once on a slow machine
CHARTS = ".jp-RenderedVegaCommon5"
RUN = """async () => {
  const panel = jupyterapp.shell.currentWidget;
  await panel.context.ready;
  await panel.sessionContext.ready;
  return jupyterapp.commands.execute("notebook:run-all-cells");
}"""
OUTPUTS = """() => jupyterapp.shell.currentWidget.content.model.sharedModel.toJSON().cells
  .flatMap((cell) => cell.outputs ?? [])"""
INK = """(canvas) => {
  const points = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  let dark = 0;
  for (let i = 0; i < points.length; i += 4)
    if (points[i + 3] > 0 && points[i] + points[i + 1] + points[i + 2] < 600) dark++;
  return dark / (points.length / 4);
}"""

BARS = """(canvas) => {  // the middle of the first bar of each chart, from above, in pixels of the page
  const points = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  const scale = canvas.width / canvas.getBoundingClientRect().width;
  const column = Math.round(212 * scale), found = [];
  for (let y = 0; y < canvas.height; y++) {
    const at = 4 * (y * canvas.width + column);
    const marked = Math.abs(points[at] - 0x2f) + Math.abs(points[at + 1] - 0x5d) + Math.abs(points[at + 2] - 0x8a) < 20;
    if (marked) found.push(y / scale);
  }
  return found;
}"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lab")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[str]:
    """The address of a JupyterLab that `kzresearch lab` has opened, for a user of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token, home = secrets.token_hex(16), folder / "home"
    home.mkdir()
    kept = {
        key: os.environ[key]
        for key in ("PATH", "KZRESEARCH_STORE", "PYTHONPATH")
        if key in os.environ
    }
    options = [
        f"--port={port}",
        "--ip=127.0.0.1",
        "--no-browser",
        f"--IdentityProvider.token={token}",
    ]
    options += ["--LabApp.expose_app_in_browser=True", "--allow-root"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [command("kzresearch"), "lab", "work", *options],
            cwd=folder,
            env=kept | {"HOME": str(home), "LANG": "C.UTF-8"},
            stdout=log,
            stderr=log,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            assert process.poll() is None, (folder / "log").read_text()
            try:
                urllib.request.urlopen(f"{address}/api?token={token}", timeout=5).close()
                break
            except OSError:
                time.sleep(0.2)
        yield f"{address} {token}"
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def reader(browser: Browser, server: str, **how: Any) -> Iterator[tuple[BrowserContext, Any]]:
    """A browser's window, and what opens notebooks in it; nothing may be asked of another host."""
    address, token = server.split()
    context = browser.new_context(viewport={"width": 1200, "height": 1000}, **how)
    context.set_default_timeout(PATIENCE)
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))

    def opened(notebook: str) -> Page:
        page = context.new_page()
        page.goto(f"{address}/lab/workspaces/{notebook}/tree/{notebook}.ipynb?token={token}")
        page.locator(".jp-NotebookPanel .jp-Cell").first.wait_for()
        return page

    yield context, opened
    context.close()
    local = (address, address.replace("http", "ws"), "data:", "blob:", "about:")
    assert [url for url in asked if not url.startswith(local)] == []


@pytest.fixture(scope="module")
def lab(browser: Browser, server: str) -> Iterator[dict[str, Page]]:
    """Every notebook, opened and run from top to bottom, all at once."""
    with reader(browser, server) as (_, opened):
        pages = {name: opened(name) for name in ORDER}
        for page in pages.values():
            page.bring_to_front()
            page.evaluate(
                f"() => {{ window.done = ({RUN})(); window.done.then(() => window.over = true); }}"
            )
        for page in pages.values():
            page.wait_for_function("window.over === true")
        yield pages


def shot(page: Page, name: str) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.wait_for_timeout(300)  # what was scrolled into view is painted
    page.screenshot(path=PICTURES / f"lab-{name}.png")
    print(f"screenshot: {PICTURES.name}/lab-{name}.png")


def drawing(chart: Any) -> Any:
    found = chart.locator("canvas")
    found.wait_for()
    return found


@pytest.mark.parametrize("name", ORDER)
def test_a_notebook_runs_without_an_error_and_its_charts_are_drawn(lab, name):
    page = lab[name]
    page.bring_to_front()
    outputs = page.evaluate(OUTPUTS)
    assert outputs
    assert [one for one in outputs if one["output_type"] == "error"] == []
    expected = [one for one in outputs if any("vegalite" in kind for kind in one.get("data", {}))]
    charts = page.locator(CHARTS)
    assert charts.count() == len(expected) > 0
    for number in range(charts.count()):
        chart = charts.nth(number)
        chart.scroll_into_view_if_needed()
        canvas = drawing(chart)
        box = canvas.bounding_box()
        assert box["width"] > 300
        assert box["height"] > 60
        assert canvas.evaluate(INK) > 0.005
    charts.first.scroll_into_view_if_needed()
    shot(page, name)


def test_the_explorer_reacts_to_menus_and_to_a_click(lab):
    page = lab["start_here"]
    page.bring_to_front()
    chart = page.locator(CHARTS, has=page.locator(".vega-bindings"))
    chart.scroll_into_view_if_needed()
    canvas = drawing(chart)
    menus = {
        name: chart.locator("label", has_text=name).locator("select")
        for name in ("Article", "Period")
    }
    region = chart.locator("label", has=page.get_by_text("Region", exact=True)).locator("select")
    seen = [canvas.evaluate("canvas => canvas.toDataURL()")]

    def changed() -> None:
        page.wait_for_function(
            "([canvas, before]) => !before.includes(canvas.toDataURL())",
            arg=[canvas.element_handle(), seen],
        )
        seen.append(canvas.evaluate("canvas => canvas.toDataURL()"))

    assert region.input_value() == "KZ"
    lowest = canvas.evaluate(BARS)
    first_region = min(y for y in lowest if y > canvas.bounding_box()["height"] * 0.4)
    canvas.click(position={"x": 212, "y": first_region + 5})
    changed()
    assert region.input_value() == "KZ-75"  # Almaty has the most cases
    shot(page, "explorer-clicked")
    menus["Article"].select_option("article:362")
    changed()
    region.select_option("KZ-10")
    changed()
    menus["Period"].select_option("2021-02")
    changed()  # of which nothing is reported there
    assert canvas.evaluate(INK) > 0.005
    shot(page, "explorer-not-reported")


def test_what_there_is_in_the_folder_is_kept(folder, server, lab):
    held = {path.name for path in (folder / "work").glob("*.ipynb")}
    assert held == {f"{name}.ipynb" for name in ORDER}
    assert "copied 8 notebooks into work" in (folder / "log").read_text()


def test_charts_stay_on_white_paper_in_the_dark_theme(lab):
    page = lab["context"]
    page.bring_to_front()
    page.evaluate(
        "jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})"
    )
    page.locator("body[data-jp-theme-light=false]").wait_for(state="attached")
    page.evaluate(f"({RUN})()")
    chart = page.locator(CHARTS).first
    chart.scroll_into_view_if_needed()
    canvas = drawing(chart)
    corner = "canvas => [...canvas.getContext('2d').getImageData(2, 2, 1, 1).data]"
    assert canvas.evaluate(corner) == [255, 255, 255, 255]
    assert canvas.evaluate(INK) > 0.005
    shot(page, "dark")
