"""Reports made for the store without a workbook, of few figures."""

from __future__ import annotations

import hashlib

import polars as pl

from kzresearch.form_1m import codebook
from kzresearch.store import Taken

Figures = dict[tuple[str, str, str], float]
"""By section, row and measure."""


def sha(period: str, region: str) -> str:
    return hashlib.sha256(f"{period} {region}".encode()).hexdigest()


def taken(period: str, region: str, figures: Figures, version: str = "2022") -> Taken:
    """A report with these figures, by section, row and measure, and 0 for all others."""
    template = codebook.form(version).template()
    places = pl.DataFrame(
        [(*place, float(value)) for place, value in figures.items()],
        schema=["section", "row", "measure", "value"],
        orient="row",
    )
    found = template.join(
        places, on=["section", "row", "measure"], how="left", maintain_order="left"
    )
    assert found["value"].count() == len(figures)
    return Taken.of(
        found["value"].fill_null(0.0),
        sha256=sha(period, region),
        file="report.xlsx",
        region=region,
        region_source="argument",
        organ_code="1900",
        period=period,
        period_source="argument",
        form_version=version,
    )


def torture(registered: float, in_month: float) -> Figures:
    return {
        ("R1", "article:146", "registered"): registered,
        ("R1-1", "article:146", "registered_in_month"): in_month,
        ("R1-1", "article:146", "registered_committed_in_month"): in_month // 2,
    }
