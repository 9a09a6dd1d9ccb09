"""Where the cases went: caseload, dispositions and what is pending, each with its cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import polars as pl

from kzresearch import datasets, figures
from kzresearch.figures import Figure
from kzresearch.form_1m.reader import SOURCE as FORM_1M
from kzresearch.language import later, say
from kzresearch.rates import UNDEFINED, Interval, proportion
from kzresearch.regions import COUNTRY

OFFENCES = later("offences")
SECTIONS = ("R1", "R1-1")
SCHEMA: dict[str, Any] = {
    **dict.fromkeys(("step", "label", "kind", "part_of"), pl.String),
    **dict.fromkeys(("count", "share", "lower", "upper"), pl.Float64),
    "cells": pl.List(pl.Struct({"workbook": pl.String, "cell": pl.String})),
    "sources": pl.List(pl.String),
    **dict.fromkeys(("formula", "note"), pl.String),
}
GROUNDS = {
    "p1_offender_unknown": later("offender not identified"),
    "p2_suspect_abroad": later("suspect abroad"),
    "p3_suspect_fled": later("suspect fled or whereabouts unknown"),
    "p4_illness": later("illness of the suspect"),
    "p5_legal_assistance": later("legal assistance from abroad"),
    "p6_missing_person_not_found": later("missing person not found"),
    "p7_immunity_or_extradition": later("immunity or extradition"),
    "p8_force_majeure": later("force majeure"),
    "p9_expert_examination": later("expert examination"),
}


@dataclass(frozen=True)
class Step:
    """A line of the case flow: its measure in the form, what it is a part of, its words."""

    name: str
    label: str
    part_of: str | None = None
    measure: str | None = None  # None: computed


def _outcome(name: str, label: str, measure: str | None) -> Step:
    return Step(name, label, "gross_caseload", measure)


OUTCOMES = (
    _outcome(
        "terminated_rehabilitating",
        later("terminated on rehabilitating grounds"),
        "terminated_rehabilitating",
    ),
    _outcome("sent_to_court", later("sent to court"), "sent_to_court"),
    _outcome(
        "terminated_non_rehabilitating",
        later("terminated on other grounds"),
        "terminated_non_rehabilitating",
    ),
    _outcome("interrupted", later("term interrupted"), "interrupted"),
    _outcome("term_expired", later("term expired"), "term_expired"),
    _outcome("transferred", later("transferred off the register"), "transferred_off_register"),
    _outcome(
        "time_barred",
        later("misdemeanour unsolved, time-barred"),
        "misdemeanours_unsolved_time_barred",
    ),
    _outcome("pending", later("pending"), None),
)
"""The dispositions that together make up the gross caseload."""

UNSPECIFIED = (
    _outcome(
        "terminated_unspecified", later("terminated, grounds not stated"), "terminated_unspecified"
    ),
    _outcome(
        "term_expired_unspecified",
        later("term expired or interrupted (wording ambiguous)"),
        "term_expired_unspecified",
    ),
)
"""What a publication may report in words that fit more than one disposition of the form."""

PARTS = (
    *(
        Step(f"sent_to_court_{way}", words, "sent_to_court", f"sent_to_court_{way}")
        for way, words in (
            ("investigation", later("by preliminary investigation")),
            ("inquiry", later("by inquiry")),
            ("protocol", later("by protocol")),
            ("plea_agreement", later("of them after a plea agreement")),
        )
    ),
    *(
        Step(f"interrupted_{ground}", words, "interrupted", f"interrupted_{ground}")
        for ground, words in GROUNDS.items()
    ),
)
"""What two dispositions consist of; a plea agreement may come by any of the three ways."""

LEFT = ("completed", "interrupted", "term_expired", "transferred", "time_barred")
"""The ways out of the net caseload, each case by one of them only."""

ALL = (*OUTCOMES, *UNSPECIFIED, *PARTS)

PUBLISHED_AS = {
    "registered": ("gross_caseload", "gross_registered", "registered"),
    "in_proceedings": ("gross_caseload", "net_caseload"),
    "completed": ("completed",),
    "sent_to_court": ("sent_to_court",),
    "terminated_total": ("terminated_rehabilitating", "terminated_non_rehabilitating"),
    "interrupted_or_expired": ("interrupted", "term_expired"),
}
"""Published indicator → the figures of a case flow that a publication may mean by it."""


def shown(line: dict[str, Any]) -> str | None:
    """What is shown in place of a count that the source's figures contradict; None for other lines."""
    contradicted = line["step"] == "pending" and line["count"] is None and line["note"] is not None
    return say(figures.CONTRADICTED) if contradicted else None


def case_flow(
    period: str, region: str = COUNTRY, article: str | int = "146", *, cohort: bool = False
) -> pl.DataFrame:
    """Where the cases of an article (or row: `total`, `chapter:3`) went in a period.

    The official *in proceedings* and *registered* are net of offences terminated on rehabilitating
    grounds, so those terminations are added to reach the gross caseload, of which shares are taken:

        gross caseload   = in proceedings + terminated on rehabilitating grounds      (R1)
        gross registered = registered + terminated on rehabilitating grounds          (R1, R1-1)
        carried over     = gross caseload − gross registered; net: in proceedings − registered
        pending          = in proceedings − completed − interrupted − term expired
                           − transferred off the register − time-barred
        completed        = sent to court + terminated on other grounds

    An interval is about the process that brought the count about, not about sampling: the count is
    complete (see `rates`, with the references; `attrition.double_counting` for repeats in it).

    Returns one row per step, in offences: `step`, `label`, `kind` (base, outcome or part),
    `part_of`, `count` (null where not reported), `share` of the gross caseload with its 95 % Wilson
    interval (`lower`, `upper`; null for bases), `cells` (list of `{workbook, cell}`),
    `sources`, `formula` and `note`. The rows of kind outcome add up to the row `gross_caseload`;
    where they do not, its `note` says so. What only a publication reports, in words that fit more
    than one disposition, is an outcome too, where there is such a figure. `cohort=True` follows the
    offences registered in the year alone (R1-1).

    Raises UnknownValueError for a period, region or article that the data does not have.

    Source: Form 1-M, R1 and R1-1, or a press report of them.

    >>> flow = kz.case_flow("2022-12", article="146")
    >>> flow.select("step", "count").head(2).rows()
    [('gross_caseload', 918.0), ('gross_registered', 807.0)]
    """
    bases, steps = flow_figures(period, region, article, cohort=cohort)
    return _frame(bases, steps)


def flow_figures(
    period: str,
    region: str = COUNTRY,
    article: str | int = "146",
    *,
    cohort: bool = False,
    among: Sequence[str] = (),
) -> tuple[dict[str, tuple[str, Figure]], dict[str, Figure]]:
    """`case_flow` as figures: the bases by name, each with its label, and the steps by name.

    `among` names rows whose flows are asked for next: all are read at once.
    """
    section = "R1-1" if cohort else "R1"
    row = datasets.row_of(article)
    lookup = _read(period, region, row, among)
    if not any((where, row, "registered") in lookup for where in SECTIONS):
        datasets.check_reported(period, region, row)

    def found(measure: str, where: str = section) -> Figure:
        return lookup(where, row, measure, OFFENCES)

    steps = {step.name: found(step.measure) for step in ALL if step.measure}
    steps["completed"] = found("completed")
    bases = _bases(found, cohort=cohort)
    pending = bases["net_caseload"][1] - figures.total([steps[n] for n in LEFT])
    if pending.value is not None and pending.value < 0:
        note = say("{n} more left the caseload than it held", n=-pending.value)
        pending = replace(pending, value=None, note=note, shown=say(figures.CONTRADICTED))
    steps["pending"] = replace(
        pending,
        formula=later(
            "net caseload − completed − interrupted − term expired − transferred − time-barred"
        ),
    )
    label, gross = bases["gross_caseload"]
    bases["gross_caseload"] = label, _checked(gross, [steps[one.name] for one in OUTCOMES])
    return bases, steps


def _read(period: str, region: str, row: str, among: Sequence[str]) -> figures.Lookup:
    """What is reported on the row; kept, for a notebook asks for one article again and again."""
    known = _kept(datasets.state(period), period, region)
    if new := [one for one in dict.fromkeys([row, *among]) if one not in known]:
        frame = datasets.load_form_1m(period, region, SECTIONS, row=new)
        if frame["source"].n_unique() > 1:
            alone = pl.col("source").n_unique().over("row") == 1
            frame = frame.filter(alone | (pl.col("source") == FORM_1M))
        known |= dict.fromkeys(new, figures.Lookup(frame))
    return known[row]


@lru_cache(maxsize=8)
def _kept(_state: object, _period: str, _region: str) -> dict[str, figures.Lookup]:
    """Row → what was read of it with others."""
    return {}


def labelled_figures(
    period: str, region: str = COUNTRY, article: str | int = "146"
) -> dict[str, tuple[str, Figure]]:
    """Bases and steps of a case flow by name, each with its label."""
    bases, steps = flow_figures(period, region, article)
    labels = {step.name: say(step.label) for step in ALL} | {"completed": say("completed")}
    return bases | {name: (labels[name], one) for name, one in steps.items()}


def _bases(found: Callable[..., Figure], *, cohort: bool) -> dict[str, tuple[str, Figure]]:
    """What the outcomes are parts of: name → label and figure, the gross caseload first."""
    registered, terminated = found("registered"), found("terminated_rehabilitating")
    if cohort:
        gross = (registered + terminated).named("registered + terminated_rehabilitating (R1-1)")
        return {
            "gross_caseload": (say("gross registered in the year"), gross),
            "net_caseload": (say("registered in the year (net)"), registered),
        }
    net = found("in_proceedings")
    of_year = found("terminated_rehabilitating", "R1-1")
    gross = (net + terminated).named("in_proceedings + terminated_rehabilitating")
    gross_registered = (registered + of_year).named(
        later("registered + terminated_rehabilitating of the year's registrations (R1-1)")
    )
    carried = (gross - gross_registered).named("gross_caseload − gross_registered")
    return {
        "gross_caseload": (say("gross caseload"), gross),
        "gross_registered": (say("gross registered in the year"), gross_registered),
        "gross_carried_over": (say("carried over, gross"), carried),
        "net_caseload": (say("in proceedings (net)"), net),
        "registered": (say("registered (net)"), registered),
        "carried_over": (say("carried over, net"), (net - registered).named("net − registered")),
    }


def _checked(gross: Figure, outcomes: list[Figure]) -> Figure:
    """The gross caseload, with a note where its outcomes do not add up to it."""
    if gross.value is None:
        return replace(gross, note=say("not reported, so the outcomes have no base"))
    added = figures.total(outcomes)
    if added.value is None:
        pending = outcomes[-1].note
        why = (
            say("the source differs: {pending}", pending=pending)
            if pending
            else say("not every outcome is reported")
        )
        return replace(gross, note=why)
    if added.value != gross.value:
        said = say("the outcomes add up to {n}: the source differs", n=added.value)
        return replace(gross, note=said)
    return gross


def _frame(bases: dict[str, tuple[str, Figure]], steps: dict[str, Figure]) -> pl.DataFrame:
    gross = bases["gross_caseload"][1].value
    lines = [_line(name, label, "base", None, one) for name, (label, one) in bases.items()]
    unspecified = [step for step in UNSPECIFIED if steps[step.name].value is not None]
    for kind, group in (("outcome", [*OUTCOMES, *unspecified]), ("part", PARTS)):
        for step in group:
            one = steps[step.name]
            # a source that has a part above the whole gives no share of it
            within = gross is not None and one.value is not None and one.value <= gross
            share = proportion(one.value, gross) if within else UNDEFINED
            lines.append(_line(step.name, say(step.label), kind, step.part_of, one, share))
    return pl.DataFrame(lines, schema=SCHEMA)


def _line(
    name: str,
    label: str,
    kind: str,
    part_of: str | None,
    one: Figure,
    share: Interval = UNDEFINED,
) -> dict[str, Any]:
    return {
        "step": name,
        "label": label,
        "kind": kind,
        "part_of": part_of,
        "count": one.value,
        "share": share.estimate,
        "lower": share.lower,
        "upper": share.upper,
        "cells": [cell._asdict() for cell in one.cells],
        "sources": list(one.sources),
        "formula": one.formula,
        "note": one.note,
    }
