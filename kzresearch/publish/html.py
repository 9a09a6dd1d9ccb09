"""An executed notebook and its record → one HTML page that asks nothing of any other host."""

from __future__ import annotations

import base64
import html
import json
from functools import cache
from typing import Any

from nbconvert.exporters import HTMLExporter, TemplateExporter
from nbconvert.filters import Highlight2HTML
from nbconvert.preprocessors import Preprocessor
from pygments.formatters import HtmlFormatter
from traitlets.config import Config

from kzresearch import records
from kzresearch.charts import MIME as CHART
from kzresearch.publish import TEMPLATES

Json = dict[str, Any]


def page(notebook: Json, record: Json) -> str:
    """The page of a run: its notebook with charts drawn, then the record in words.

    Charts are vector pictures with their alternative text; there is no script on the page.
    """
    resources = {
        "record": record,
        "title": record["title"],
        "style": _style(),
        "embedded": json.dumps(record, ensure_ascii=False).replace("<", "\\u003c"),
    }
    body, _ = _exporter().from_notebook_node(notebook, resources)
    return str(body)


class _Pictures(Preprocessor):
    """Draws each chart, and leaves out data that is not for reading."""

    def preprocess(self, notebook: Any, resources: Any) -> tuple[Any, Any]:
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
        return notebook, resources


class _Exporter(HTMLExporter):
    """nbconvert's, without its second look at the page: the template has what that would add."""

    def from_notebook_node(  # type: ignore[override]
        self, nb: Any, resources: Any = None, **more: Any
    ) -> tuple[str, dict[str, Any]]:
        highlight = Highlight2HTML(pygments_lexer="ipython3", parent=self)
        self.register_filter("highlight_code", highlight)
        return TemplateExporter.from_notebook_node(self, nb, resources, **more)


@cache
def _exporter() -> _Exporter:
    config = Config()
    config.TemplateExporter.extra_template_basedirs = [str(TEMPLATES)]
    config.HTMLExporter.template_name = "page"
    config.HTMLExporter.exclude_input_prompt = True
    config.HTMLExporter.exclude_output_prompt = True
    exporter = _Exporter(config=config)
    exporter.register_preprocessor(_Pictures, enabled=True)
    return exporter


@cache
def _style() -> str:
    style = (TEMPLATES / "page" / "style.css").read_text(encoding="utf-8")
    return style + str(HtmlFormatter().get_style_defs(".highlight"))


def _picture(spec: Json) -> str:
    import vl_convert

    svg = vl_convert.vegalite_to_svg(spec, vl_version="6.1")
    encoded = base64.b64encode(svg.encode()).decode()
    text = html.escape(spec.get("description", "chart"), quote=True)
    return f'<figure><img src="data:image/svg+xml;base64,{encoded}" alt="{text}"></figure>'
