"""What a case flow tells: where the cases came from, how the shares compare, how far they may move."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl

from kzresearch import captions, datasets, flows
from kzresearch.errors import UnknownValueError
from kzresearch.figures import (
    NOT_DEFINED,
    Cell,
    Figure,
    estimate,
    percent,
    with_limits,
)
from kzresearch.form_1m import codebook
from kzresearch.form_1m.reader import SOURCE as FORM_1M
from kzresearch.language import later, say
from kzresearch.rates import Interval, proportion, relative_risk
from kzresearch.regions import COUNTRY

if TYPE_CHECKING:
    from IPython.display import Markdown

COMPARED = ("terminated_rehabilitating", "sent_to_court")
"""The dispositions whose shares are set side by side."""

MILITARY = "18"
"""The chapter of military offences."""

REPEATED = (0, 0.05, 0.1, 0.25, 0.5)
"""Parts of the terminations taken to be repeats; a half is every offence terminated twice."""

SHARE = later("share of the gross caseload")
RATIO = later("ratio of two shares")
SHARE_OF_YEAR = later("share of those registered in the year (gross)")
SCHEMA: dict[str, Any] = {
    **dict.fromkeys(("row", "label", "disposition", "kind"), pl.String),
    **dict.fromkeys(("cases", "gross_caseload", "share", "lower", "upper"), pl.Float64),
    **dict.fromkeys(("relative_risk", "risk_lower", "risk_upper"), pl.Float64),
    "cells": flows.SCHEMA["cells"],
    "sources": flows.SCHEMA["sources"],
}


_Flow = tuple[dict[str, tuple[str, Figure]], dict[str, Figure]]


class Compared(NamedTuple):
    """Shares side by side, and in sentences what could not be compared: see `comparison`."""

    frame: pl.DataFrame
    left_out: list[str]

    def notes(self) -> Markdown:
        """What was left out and why, one sentence each."""
        return captions.markdown("\n\n".join(f"*{sentence}*" for sentence in self.left_out))


def origins(flow: pl.DataFrame, cohort: pl.DataFrame) -> pl.DataFrame:
    """Each disposition's cases by where they came from: the year's registrations, or before.

    `flow` and `cohort` are `case_flow` frames of one period, region and article, the second with
    `cohort=True`. Returns `label`, `count`, `share`, `of_year` and `carried_over` (offences; count −
    of_year), the last two null where that is not reported, or where more cases of the year than
    cases in all have a disposition.
    """
    of_year = dict(zip(cohort["step"], cohort["count"], strict=True))
    outcomes = [
        (line, line["count"], of_year.get(line["step"]))
        for line in flow.iter_rows(named=True)
        if line["kind"] == "outcome"
    ]
    told = all(now is not None and (n is None or now <= n) for _, n, now in outcomes)
    lines = [
        (line["label"], n, line["share"], now, None if n is None else n - now)
        if told
        else (line["label"], n, line["share"], None, None)
        for line, n, now in outcomes
    ]
    numbers = dict.fromkeys(["count", "share", "of_year", "carried_over"], pl.Float64)
    return pl.DataFrame(lines, schema={"label": pl.String, **numbers}, orient="row")


def summary(flow: pl.DataFrame, cohort: pl.DataFrame) -> Markdown:
    """The case flow in a few sentences, as far as the source goes."""
    return captions.markdown(" ".join(_sentences(flow, cohort)))


def _sentences(flow: pl.DataFrame, cohort: pl.DataFrame) -> Iterator[str]:
    counts = dict(zip(flow["step"], flow["count"], strict=True))
    gross = counts["gross_caseload"]
    outcomes = [
        line
        for line in flow.iter_rows(named=True)
        if line["kind"] == "outcome" and (line["count"] or 0) > 0
    ]
    if gross == 0:
        yield say(
            "No case of this article was on the books of the bodies whose workbooks are held."
        )
        return
    if gross is None:
        said = [
            say("{n} {disposition}", n=line["count"], disposition=line["label"])
            for line in outcomes
        ]
        yield say(
            "The source does not report what the gross caseload needs (offences in proceedings, and "
            "terminated on rehabilitating grounds), so no share is given. Registered (net): "
            "{registered}; as far as reported: {said}.",
            registered=counts["registered"],
            said="; ".join(said) or say("nothing"),
        )
        return
    said = [
        say(
            "{n} {disposition} ({share})",
            n=line["count"],
            disposition=line["label"],
            share=percent(line["share"]),
        )
        for line in sorted(outcomes, key=lambda line: -line["count"])
    ]
    yield say(
        "**{gross} {gross:case** was|cases** were} on the books: {registered} registered in the year "
        "and {carried} carried over. What became of them: {became}.",
        gross=gross,
        registered=counts["gross_registered"],
        carried=counts["gross_carried_over"],
        became="; ".join([f"**{said[0]}**", *said[1:]]),
    )
    (note,) = (
        line["note"] for line in flow.iter_rows(named=True) if line["step"] == "gross_caseload"
    )
    if note:
        yield say("Mind: {note}.", note=note)
    of_year = {line["step"]: line for line in cohort.to_dicts()}
    base = of_year["gross_caseload"]["count"]
    if base:
        ended, court = (of_year[name] for name in COMPARED)
        yield say(
            "Of the {base} registered in the year itself, terminated on rehabilitating grounds within "
            "it: {ended} ({share_ended}); sent to court within it: {court} ({share_court}).",
            base=base,
            ended=ended["count"],
            share_ended=percent(ended["share"]),
            court=court["count"],
            share_court=percent(court["share"]),
        )
        if ended["count"]:
            yield say(
                "The official *registered* is net: it says {n}, because these terminations have left "
                "it.",
                n=counts["registered"],
            )


def military_note(article: str | int) -> Markdown:
    """A caution where the article is one of the military chapter; empty elsewhere."""
    if _chapter(datasets.row_of(article)) != MILITARY:
        return captions.markdown("")
    return captions.markdown(
        say(
            "**Mind:** chapter {chapter} is military offences, and military bodies file workbooks of "
            "their own, which are not held: what is counted here is only what other bodies recorded.",
            chapter=MILITARY,
        )
    )


def comparison(
    period: str, region: str = COUNTRY, article: str | int = "146", others: str = "362,120,total"
) -> Compared:
    """The shares terminated and sent to court of an article beside those of other offences.

    `others` names articles, chapters (`chapter:6`) and `total`, parted by commas.

    Returns a frame and sentences on what is left out. The frame has one row per offence and
    disposition of `COMPARED`, the article itself first: `row`, `label`, `disposition` and in words
    `kind`, `cases`, `gross_caseload` (offences), `share` of the gross caseload with its Wilson
    interval (`lower`, `upper`), `relative_risk` (the article's share over this one's) with
    `risk_lower` and `risk_upper`, `cells`, `sources`. Two groups must not overlap: for the relative
    risk the article's own cases are taken out of `total` and of their chapter. What is infinite or
    not defined is null.

    Raises UnknownValueError where `article` is none, and for a name in `others` that is no article,
    chapter or `total`.
    """
    own = datasets.row_of(article)
    if not re.fullmatch("article:[^:]+", own):
        raise UnknownValueError(f"{article} is no article: only an article is compared with others")
    left_out = []
    rows = comparable(others)
    flow_of = {own: flows.flow_figures(period, region, own, among=rows)}
    for row in rows:
        found, reason = _found(period, region, own, row)
        if found:
            flow_of[row] = found
        if reason:
            left_out.append(reason)
    lines = [line for row in flow_of for line in _compared(period, own, row, flow_of)]
    return Compared(pl.DataFrame(lines, schema=SCHEMA), left_out)


def comparable(compare: str) -> list[str]:
    """The rows that a text names, as `comparison` takes it; UnknownValueError for another name."""
    names = [name.strip() for name in compare.split(",") if name.strip()]
    try:
        rows = [datasets.row_of(name) for name in names]
    except UnknownValueError as error:
        raise UnknownValueError(f"compare: {error}") from None
    for name, row in zip(names, rows, strict=True):
        if row != "total" and not re.fullmatch("(article|chapter):[^:]+", row):
            raise UnknownValueError(f"compare: {name} is no article, chapter or total; name these")
    return list(dict.fromkeys(rows))


def _found(period: str, region: str, own: str, row: str) -> tuple[_Flow | None, str | None]:
    """The flow of one of the rows to set beside the article's, or why it is not, in a sentence."""
    name = _name(row, period)
    if row == own:
        return None, say("No comparison of {name} with itself.", name=name)
    if MILITARY in (_chapter(own), _chapter(row)):
        return None, say(
            "No comparison of {own} with {name}: chapter {chapter} is military offences, and "
            "military bodies file workbooks of their own, which are not held.",
            own=_name(own, period),
            name=name,
            chapter=MILITARY,
        )
    try:
        found = flows.flow_figures(period, region, row)
    except UnknownValueError:
        return None, say(
            "No comparison with {name}: {period} reports nothing on it.", name=name, period=period
        )
    pending = found[1]["pending"]
    if pending.value is None:
        why = (
            later(
                "No comparison with {name}: its figures do not add up in the source ({note}) for {period}."
            )
            if pending.shown
            else later(
                "No comparison with {name}: its gross caseload is not reported for {period}."
            )
        )
        return None, say(why, name=name, period=period, note=pending.note or "")
    return found, None


def _chapter(row: str) -> str | None:
    chapter: str | None = codebook.row_line(row)["chapter"]
    return chapter


def _name(row: str, period: str) -> str:
    return say("all offences") if row == "total" else captions.row_name(row, period)


def _compared(
    period: str, own: str, row: str, flow_of: dict[str, _Flow]
) -> Iterator[dict[str, Any]]:
    bases, steps = flow_of[row]
    own_bases, own_steps = flow_of[own]
    gross, own_gross = bases["gross_caseload"][1], own_bases["gross_caseload"][1]
    words = {step.name: say(step.label) for step in flows.OUTCOMES}
    # an article of no chapter (000, 001) is not among all offences either
    holds_own = _chapter(own) is not None and row in ("total", f"chapter:{_chapter(own)}")
    for name in COMPARED:
        one, its_own = steps[name], own_steps[name]
        cases, total = one.value, gross.value
        if holds_own and None not in (cases, total, its_own.value, own_gross.value):
            cases, total = (one - its_own).value, (gross - own_gross).value
        risk = relative_risk(its_own.value, own_gross.value, cases, total)
        if row == own:
            risk = Interval(None, None, None)
        share = proportion(one.value, gross.value)
        yield {
            "row": row,
            "label": _name(row, period),
            "disposition": name,
            "kind": words[name],
            "cases": one.value,
            "gross_caseload": gross.value,
            "share": share.estimate,
            "lower": share.lower,
            "upper": share.upper,
            **{
                key: None if value is None or math.isinf(value) else value
                for key, value in zip(
                    ("relative_risk", "risk_lower", "risk_upper"), risk, strict=True
                )
            },
            "cells": [cell._asdict() for cell in dict.fromkeys((*one.cells, *gross.cells))],
            "sources": list(gross.sources),
        }


def comparison_sentences(compared: pl.DataFrame) -> Markdown:
    """The relative risks of a `comparison` in words, one sentence for each offence."""
    of_row: dict[str, list[dict[str, Any]]] = {}
    for line in compared.iter_rows(named=True):
        of_row.setdefault(line["row"], []).append(line)
    said = []
    for lines in [*of_row.values()][1:]:
        label = lines[0]["label"]
        parts = [
            say(
                "{disposition} {share}, the relative risk {risk}",
                disposition=line["kind"],
                share=say(NOT_DEFINED) if line["share"] is None else percent(line["share"]),
                risk=_risk(line),
            )
            for line in lines
        ]
        said.append(f"- {label[0].upper()}{label[1:]}: {'; '.join(parts)}.")
    return captions.markdown("\n".join(said) or say("*There is no offence to compare with.*"))


def _risk(line: dict[str, Any]) -> str:
    if line["relative_risk"] is None:
        return say(NOT_DEFINED)
    return say(
        "{ratio} (95 % interval {lower} to {upper})",
        ratio=estimate(line["relative_risk"]),
        lower=estimate(line["risk_lower"]),
        upper=estimate(line["risk_upper"]),
    )


def double_counting(flow: pl.DataFrame) -> pl.DataFrame:
    """How far the shares move if some of the terminations were repeats of one offence.

    A termination that a prosecutor quashes may be followed by another of the same offence, and be
    counted again; the form does not show how often. With d of the T terminations repeats, the share
    terminated is (T − d) / (G − d) and the share sent to court C / (G − d), G the gross caseload.
    `REPEATED` are the parts of T assumed to be repeats. It is an illustration, not a bound: an
    offence may be terminated more than twice, or be pending again.

    Returns one row per part: `repeated` (share of 1), `repeats` (d), `terminated`, `gross_caseload`
    (offences), `share_terminated`, `share_sent_to_court`; no row where the caseload is not reported
    or nothing was terminated.
    """
    counts = dict(zip(flow["step"], flow["count"], strict=True))
    gross, ended = counts["gross_caseload"], counts["terminated_rehabilitating"]
    court, lines = counts["sent_to_court"], []
    for part in REPEATED if gross and ended else ():
        repeats = math.floor(part * ended)
        left = gross - repeats
        shares = [None if n is None or not left else n / left for n in (ended - repeats, court)]
        lines.append((part, repeats, ended - repeats, left, *shares))
    names = ("repeated", "repeats", "terminated", "gross_caseload")
    shares_of = ("share_terminated", "share_sent_to_court")
    schema = dict.fromkeys((*names, *shares_of), pl.Float64)
    return pl.DataFrame(lines, schema=schema, orient="row")


def double_counting_note(flow: pl.DataFrame) -> Markdown:
    """`double_counting` at its most, in a sentence."""
    moved = double_counting(flow)
    if moved.is_empty():
        return captions.markdown("")
    most = moved.row(-1, named=True)
    return captions.markdown(
        say(
            "Were half of the terminations repeats, {terminated} would stand behind them and {gross} "
            "behind the caseload: {share} terminated on rehabilitating grounds, {court} sent to court.",
            terminated=most["terminated"],
            gross=most["gross_caseload"],
            share=percent(most["share_terminated"]),
            court=percent(most["share_sent_to_court"]),
        )
    )


def reopened_note(period: str, region: str, article: str | int) -> Markdown:
    """What the form itself has on cases taken up again, in a sentence."""
    row = datasets.row_of(article)
    measure = "term_expired_or_reopened"
    wide = datasets.scan_form_1m(period, region, ["PRIL5", "PRIL6"], row=row, measure=measure)
    of_form = wide.filter(pl.col("source") == FORM_1M).select("value")
    known = datasets.collected(of_form)["value"].drop_nulls().to_list()
    _, steps = flows.flow_figures(period, region, row)
    narrow = steps["term_expired"].value
    if narrow is None or not known:
        return captions.markdown(say("*On cases taken up again this source has nothing.*"))
    return captions.markdown(
        say(
            "What the form has on cases taken up again is one column of its appendices (PRIL5, PRIL6), "
            "offences whose term expired or whose decision a prosecutor quashed: {wide}, against "
            "{narrow} whose term expired in section 1. It does not say how many were then terminated a "
            "second time.",
            wide=sum(known),
            narrow=narrow,
        )
    )


def recorded(flow: pl.DataFrame, cohort: pl.DataFrame, compared: pl.DataFrame) -> dict[str, Figure]:
    """Every figure of a case flow by name, for `record`.

    Counts in offences by their step, shares of the gross caseload as `share_…` with `…_lower` and
    `…_upper`; with `cohort_` before it, the same of the year's own registrations (the shares of
    `COMPARED` only, and `cohort_gross_caseload` is gross registered); for each offence compared its
    shares (`share_sent_to_court_362`) and the relative risk (`relative_risk_…`).
    """
    found: dict[str, Figure] = {}
    for prefix, frame, unit in (("", flow, SHARE), ("cohort_", cohort, SHARE_OF_YEAR)):
        lines = [line for line in frame.to_dicts() if not (prefix and line["kind"] == "part")]
        found |= {f"{prefix}{one['step']}": _figure(one, flows.shown(one)) for one in lines}
        for line in lines:
            if line["kind"] != "outcome" or (prefix and line["step"] not in COMPARED):
                continue
            step, limits = line["step"], (line["share"], line["lower"], line["upper"])
            parts = [found[f"{prefix}{name}"] for name in (step, "gross_caseload")]
            formula = f"{prefix}{step} / {prefix}gross_caseload"
            found |= with_limits(f"{prefix}share_{step}", limits, unit, parts, formula)
    cases = [line | {"count": line["cases"]} for line in compared.to_dicts()]
    own = {line["disposition"]: _figure(line) for line in cases[: len(COMPARED)]}
    for line in cases[len(COMPARED) :]:
        row = line["row"].removeprefix("article:").replace(":", "_").replace("-", "_")
        name = f"{line['disposition']}_{row}"
        figure = _figure(line)
        limits = (line["share"], line["lower"], line["upper"])
        formula = f"{line['disposition']} / gross_caseload, {line['label']}"
        found |= with_limits(f"share_{name}", limits, SHARE, [figure], formula)
        risk = (line["relative_risk"], line["risk_lower"], line["risk_upper"])
        formula = say(
            "{ratio}, groups without overlap", ratio=f"share_{line['disposition']} / share_{name}"
        )
        both = [own[line["disposition"]], figure]
        found |= with_limits(f"relative_risk_{name}", risk, RATIO, both, formula)
    return found


def _figure(line: dict[str, Any], shown: str | None = None) -> Figure:
    return Figure(
        line["count"],
        flows.OFFENCES,
        tuple(Cell(**cell) for cell in line["cells"]),
        tuple(line["sources"]),
        line.get("formula"),
        line.get("note"),
        shown,
    )
