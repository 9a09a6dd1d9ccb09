"""How torture cases are handled in Kazakhstan: official figures as polars frames.

    import kzresearch as kz

    kz.load_form_1m(period="2022-12", region="KZ", section="R1", article="146")

Names are imported when first used, so that `import kzresearch` costs nothing.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

# jsonschema builds a parser (two seconds) in every process that imports it where this package is
# installed, for `iri` checks that nothing here uses; it takes the import's failure as "not there".
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]

if TYPE_CHECKING:
    from kzresearch import charts, tables
    from kzresearch.datasets import (
        load_form_1m,
        load_freedom_in_the_world,
        load_population,
        load_published,
        load_torture_indices,
        load_workbooks,
        scan_form_1m,
    )
    from kzresearch.errors import (
        FormError,
        IncompleteSumWarning,
        KzresearchError,
        OutputError,
        ParameterError,
        SourceError,
        UnknownValueError,
        WorkbookError,
    )
    from kzresearch.exports import export
    from kzresearch.figures import Figure
    from kzresearch.flows import case_flow
    from kzresearch.form_1m.accounting import check_form_1m
    from kzresearch.form_1m.codebook import codebook, titles
    from kzresearch.form_1m.reader import read_form_1m
    from kzresearch.ingesting import ingest
    from kzresearch.language import say, use_language
    from kzresearch.meanings import describe
    from kzresearch.panels import monthly_registrations, panel
    from kzresearch.records import record
    from kzresearch.regions import load_regions
    from kzresearch.reports import PeriodReport, period_report
    from kzresearch.run.batch import batch
    from kzresearch.run.results import results
    from kzresearch.run.verify import verify
    from kzresearch.sources import how_to_cite, load_sources, references
    from kzresearch.tracing import trace

_HOMES = {
    "case_flow": "flows",
    "load_form_1m": "datasets",
    "load_freedom_in_the_world": "datasets",
    "load_population": "datasets",
    "load_published": "datasets",
    "load_torture_indices": "datasets",
    "load_workbooks": "datasets",
    "scan_form_1m": "datasets",
    "FormError": "errors",
    "IncompleteSumWarning": "errors",
    "KzresearchError": "errors",
    "OutputError": "errors",
    "ParameterError": "errors",
    "SourceError": "errors",
    "UnknownValueError": "errors",
    "WorkbookError": "errors",
    "export": "exports",
    "check_form_1m": "form_1m.accounting",
    "codebook": "form_1m.codebook",
    "titles": "form_1m.codebook",
    "read_form_1m": "form_1m.reader",
    "ingest": "ingesting",
    "say": "language",
    "use_language": "language",
    "describe": "meanings",
    "Figure": "figures",
    "PeriodReport": "reports",
    "monthly_registrations": "panels",
    "panel": "panels",
    "period_report": "reports",
    "record": "records",
    "batch": "run.batch",
    "results": "run.results",
    "verify": "run.verify",
    "load_regions": "regions",
    "load_sources": "sources",
    "references": "sources",
    "how_to_cite": "sources",
    "trace": "tracing",
    "charts": "",
    "tables": "",
}

__all__ = [
    "Figure",
    "FormError",
    "IncompleteSumWarning",
    "KzresearchError",
    "OutputError",
    "ParameterError",
    "PeriodReport",
    "SourceError",
    "UnknownValueError",
    "WorkbookError",
    "batch",
    "case_flow",
    "charts",
    "check_form_1m",
    "codebook",
    "describe",
    "export",
    "how_to_cite",
    "ingest",
    "load_form_1m",
    "load_freedom_in_the_world",
    "load_population",
    "load_published",
    "load_regions",
    "load_sources",
    "load_torture_indices",
    "load_workbooks",
    "monthly_registrations",
    "panel",
    "period_report",
    "read_form_1m",
    "record",
    "references",
    "results",
    "say",
    "scan_form_1m",
    "tables",
    "titles",
    "trace",
    "use_language",
    "verify",
]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'kzresearch' has no attribute {name!r}")
    if home := _HOMES[name]:
        value = getattr(importlib.import_module(f"kzresearch.{home}"), name)
    else:
        value = importlib.import_module(f"kzresearch.{name}")
    globals()[name] = value
    return value


def _show_captions() -> None:
    """Where a notebook imports this package, its frames are shown with their units and source."""
    interactive = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if interactive is not None:
        from kzresearch.meanings import show_captions

        show_captions(interactive)


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})


_show_captions()
