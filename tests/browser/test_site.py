"""The documentation's site: built without a warning, whole, and fit for every reader, from a file."""

import copy
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from bs4 import BeautifulSoup

import kzresearch as kz
from tests.conftest import ROOT, command

pytestmark = pytest.mark.slow

LOOKED_AT = ["index", "start", "batches", "method", "codebook", "api", "command", "search"]
TROUBLE = {"error", "warning"}  # the theme logs which mode it shows
PHONE, SCREEN = {"width": 390, "height": 844}, {"width": 1280, "height": 900}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` does."""
    place = tmp_path_factory.mktemp("site")
    recipe = re.search(
        r"^\t@\$\(BIN\)/sphinx-build (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE
    )
    words = (
        recipe[1].replace("out/doctrees", str(place / "trees")).replace("out/docs", f"{place}/html")
    )
    done = subprocess.run(
        [command("sphinx-build"), *words.split()], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    return place / "html"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, BeautifulSoup]:
    return {
        path: BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        for path in site.glob("*.html")
    }


def test_each_link_within_the_site_leads_somewhere(pages):
    checked = 0
    for path, page in pages.items():
        for link in page.find_all(["a", "img", "script", "link"]):
            address = link.get("href") or link.get("src") or ""
            if urlsplit(address).scheme or address.startswith("//"):
                assert link.name == "a", f"{path.name} takes {address} from another host"
                continue
            name, part = urldefrag(unquote(address))
            target = (path.parent / name.partition("?")[0]).resolve() if name else path
            assert target.is_file(), f"{path.name}: {address}"
            if part and target in pages:
                assert pages[target].find(id=part), f"{path.name}: {address}"
                checked += 1
    assert checked > 100


def test_links_of_pages_lead_somewhere_in_the_repository_too():
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        text = re.sub(
            r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
        )
        for address in re.findall(r"\]\(([^)\s]+)\)", text):
            if not urlsplit(address).scheme:
                assert (page.parent / urldefrag(address)[0]).exists(), f"{page.name}: {address}"


def test_every_public_name_is_in_the_reference(site):
    page = (site / "api.html").read_text(encoding="utf-8")
    charts = [f"charts.{name}" for name in kz.charts.__all__ if name != "MIME"]
    names = [name for name in kz.__all__ if name not in {"charts", "tables"}]
    for name in [*names, *charts, *(f"tables.{name}" for name in kz.tables.__all__)]:
        assert f'id="kzresearch.{name}"' in page, name


def test_no_page_shows_the_marks_it_is_made_of(pages):
    for path, page in pages.items():
        article = copy.copy(page.find("article")) or page
        for sample in article.find_all(["pre", "code"]):
            sample.decompose()
        marks = r"\.\. [a-z-]+::|\{[a-z-]+\}`|:::|\]\([^)]*\.md"
        assert not re.findall(marks, article.get_text()), path.name


@contextmanager
def opened(browser: Any, path: Path, size: dict[str, int], **how: Any) -> Iterator[Any]:
    """A page of the site opened from its file; nothing is asked of a host or said on the console."""
    context = browser.new_context(viewport=size, offline=True, **how)
    context.set_default_timeout(10_000)
    page = context.new_page()
    said, asked = [], []
    page.on("console", lambda one: said.append(one.text) if one.type in TROUBLE else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    yield page
    assert not said
    assert {urlsplit(url).scheme for url in asked} <= {"file", "data", "blob"}
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everyone_can_use_a_page(browser, site, scheme):
    for name in LOOKED_AT if scheme == "light" else ["start", "method"]:  # dark: other colours
        with opened(browser, site / f"{name}.html", SCREEN, color_scheme=scheme) as page:
            if name == "codebook":  # a few of its thousand lines, else axe takes a minute
                page.goto(f"{page.url}?find=146")
            # preloading, axe would ask for style sheets itself
            found = Axe().run(page, options={"preload": False}).response["violations"]
            grave = [
                (one["id"], [node["html"][:200] for node in one["nodes"][:3]])
                for one in found
                if one["impact"] in {"serious", "critical"}
            ]
            assert not grave, (name, grave)


def test_no_page_is_wider_than_a_phone(browser, site):
    for name in LOOKED_AT:
        with opened(browser, site / f"{name}.html", PHONE) as page:
            wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert wide <= 0, (name, wide)


def test_search_works_from_a_file(browser, site):
    with opened(browser, site / "search.html", SCREEN) as page:
        page.goto(f"{(site / 'search.html').as_uri()}?q=rehabilitating")
        page.wait_for_selector("#search-results li a")
        links = page.eval_on_selector_all(
            "#search-results li a", "all => all.map(a => a.textContent)"
        )
        assert any("method" in link.lower() for link in links), links


def test_codebook_finds_what_a_reader_types_in_any_language(browser, site):
    with opened(browser, site / "codebook.html", SCREEN) as page:

        def left(words: str) -> list[str]:
            page.get_by_label("Find sections, measures and rows").fill(words)
            return page.eval_on_selector_all(
                "article tbody tr:not([hidden])", "all => all.map(row => row.cells[0].textContent)"
            )

        everything = left("")
        assert len(everything) > 900
        assert "article:146" in left("пытки")
        assert left("sent_to_court_investigation") == ["sent_to_court_investigation"]
        assert left("no such thing at all") == []
        assert page.get_by_role("status").text_content() == f"0 of {len(everything)}"
