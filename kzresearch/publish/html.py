"""An executed notebook and its record → one HTML page that asks nothing of any other host."""

from __future__ import annotations

import base64
import copy
import html
from pathlib import Path
from typing import Any

from kzresearch import records
from kzresearch.charts import MIME as CHART

TEMPLATES = Path(__file__).with_name("template")

Json = dict[str, Any]


def page(notebook: Json, record: Json) -> str:
    """The page of a run: its notebook with charts drawn, then the record in words.

    Charts are vector pictures with their alternative text; there is no script on the page.
    """
    from nbconvert import HTMLExporter
    from pygments.formatters import HtmlFormatter
    from traitlets.config import Config

    config = Config()
    config.TemplateExporter.extra_template_basedirs = [str(TEMPLATES)]
    config.HTMLExporter.template_name = "page"
    config.HTMLExporter.exclude_input_prompt = True
    config.HTMLExporter.exclude_output_prompt = True
    style = (TEMPLATES / "page" / "style.css").read_text(encoding="utf-8")
    style += HtmlFormatter().get_style_defs(".highlight")
    resources = {"record": record, "title": record["title"], "style": style}
    body, _ = HTMLExporter(config=config).from_notebook_node(_with_pictures(notebook), resources)
    return str(body)


def _with_pictures(notebook: Any) -> Any:
    """The notebook with each chart as a picture, and data that is not for reading left out."""
    notebook = copy.deepcopy(notebook)
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            if output["output_type"] == "execute_result":
                output["output_type"] = "display_data"  # for a reader they are one
            data = output.get("data", {})
            data.pop(records.MIME, None)
            spec = data.pop(CHART, None)
            if spec is not None:
                data.clear()
                data["text/html"] = _picture(spec)
    return notebook


def _picture(spec: Json) -> str:
    import vl_convert

    svg = vl_convert.vegalite_to_svg(spec, vl_version="6.1")
    encoded = base64.b64encode(svg.encode()).decode()
    text = html.escape(spec.get("description", "chart"), quote=True)
    return f'<figure><img src="data:image/svg+xml;base64,{encoded}" alt="{text}"></figure>'
