"""The page in a real browser: every chart drawn, nothing asked of the network, no error."""

import json
import re
import subprocess

import pytest

from kzresearch.notebooks import ORDER
from tests.conftest import tool

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--window-size=900,6500",
]


@pytest.mark.parametrize("name", ORDER)
def test_charts_are_drawn_and_not_blank(report, name, tmp_path):
    chromium = tool("chromium")
    outcome = next(one for (notebook, _), one in sorted(report.items()) if notebook == name)
    page = outcome.page_path
    probe = tmp_path / "probe.html"
    # The page forbids scripts; a copy of its pictures is asked for their size and colours.
    pictures = re.findall(r'<img [^>]*src="(data:[^"]+)"', outcome.page)
    assert pictures
    assert len(pictures) == len(outcome.record["figures"])
    probe.write_text(
        "<body><pre id=out></pre><script>const pictures="
        + json.dumps(pictures)
        + """;
        Promise.all(pictures.map(async src => {
          const img = new Image(); img.src = src; await img.decode();
          const c = document.createElement('canvas'); c.width = img.width; c.height = img.height;
          const x = c.getContext('2d'); x.drawImage(img, 0, 0);
          const d = x.getImageData(0, 0, c.width, c.height).data; let dark = 0;
          for (let i = 0; i < d.length; i += 4) if (d[i+3] > 0 && d[i] + d[i+1] + d[i+2] < 600) dark++;
          return [c.width, c.height, dark / (d.length / 4)];
        })).then(r => { document.getElementById('out').textContent = JSON.stringify(r); });
        </script></body>""",
        encoding="utf-8",
    )
    dom = subprocess.run(
        [
            chromium,
            *FLAGS,
            f"--user-data-dir={tmp_path / 'profile'}",
            "--virtual-time-budget=10000",
            "--dump-dom",
            probe.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    ).stdout
    sizes = json.loads(dom.split('<pre id="out">')[1].split("</pre>")[0])
    for width, height, dark in sizes:
        assert 600 < width < 900
        assert height > 80
        assert dark > 0.005
    assert shown_without_error(page, tmp_path) > 50_000


def test_index_page_opens_without_an_error(report, tmp_path):
    index = next(iter(report.values())).page_path.with_name("index.html")
    assert shown_without_error(index, tmp_path) > 30_000


def shown_without_error(page, tmp_path) -> int:
    """The size of a page's picture; nothing may stand in the browser's console."""
    shot = tmp_path / "page.png"
    done = subprocess.run(
        [
            tool("chromium"),
            *FLAGS,
            f"--user-data-dir={tmp_path / 'profile'}",
            "--enable-logging=stderr",
            "--log-level=0",
            f"--screenshot={shot}",
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "CONSOLE" not in done.stderr, [x for x in done.stderr.splitlines() if "CONSOLE" in x]
    return shot.stat().st_size
