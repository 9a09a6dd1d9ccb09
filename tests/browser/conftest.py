"""A real browser without a network, and pages in it as a reader has them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.conftest import ROOT, tool

PICTURES = ROOT / "out" / "screenshots"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    flags = ["--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking"]
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=tool("chromium"), args=flags)
        yield found
        found.close()


@pytest.fixture
def opened(browser: Browser) -> Any:
    """Opens a file as a page; at the end nothing may have been asked of a host or said on the console."""

    @contextmanager
    def open_page(path: Path, **how: Any) -> Iterator[Page]:
        context = browser.new_context(
            **{"viewport": {"width": 1000, "height": 900}, "offline": True} | how
        )
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        context.set_default_timeout(10_000)
        page = context.new_page()
        said, asked = [], []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.as_uri())
        yield page
        assert not said
        others = [url for url in asked if not url.startswith(("data:", "blob:"))]
        assert {url.partition("#")[0] for url in others} == {path.as_uri()}
        context.close()

    return open_page


@pytest.fixture(scope="session")
def screenshot() -> Any:
    """Keeps a picture of a page as it is seen, to be looked at: `screenshot(page, "index-phone")`."""

    def keep(page: Page, name: str, **how: Any) -> Path:
        PICTURES.mkdir(parents=True, exist_ok=True)
        path = PICTURES / f"{name}.png"
        page.screenshot(path=path, **how)
        return path

    return keep
