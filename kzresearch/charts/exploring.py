"""The explorer: what became of an article's cases, for whatever region, article and period is chosen.

It is one chart with its figures in it, so that it is the same in a live kernel, in a saved notebook
and on a page without a kernel; menus below it choose, and so does a click on a bar.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import altair as alt
import polars as pl

from kzresearch import captions, datasets, sources
from kzresearch.charts.theme import (
    ACCENT,
    INK,
    MARK,
    WIDTH,
    Channels,
    Layers,
    Panels,
    drawn,
    heading,
    layer,
    nominal,
    quantity,
)
from kzresearch.errors import UnknownValueError
from kzresearch.figures import CONTRADICTED, NOT_REPORTED, number
from kzresearch.flows import OUTCOMES, UNSPECIFIED, flow_figures
from kzresearch.form_1m import codebook
from kzresearch.language import in_order, later, say
from kzresearch.regions import COUNTRY, region_name

MANY = 500
"""An article that had as many cases in the country is among those to choose from by default."""
RECENT = 4
"""How many periods are there to choose from by default: the latest, and the one shown first."""
BAR, MENU = 17, 70  # pixels; characters of a line in a menu
LETTER = 6.2  # pixels of a label's letter
ROOM = 110  # pixels right of the bars
_GROSS = "gross_caseload"
_STEPS = {
    _GROSS: later("gross caseload"),
    **{one.name: one.label for one in (*OUTCOMES, *UNSPECIFIED)},
}

_FROM_NOUGHT = {"domain": {"unionWith": [0, 5]}}
"""An axis that begins at the left also where there is nothing but noughts, or nothing."""
_ON_A_BAR = "click[event.item && event.item.datum && event.item.datum.step]"
"""A click beside the bars takes nothing back: a menu always says what is shown."""


@drawn
def explorer(
    period: str = "2022-12",
    region: str = COUNTRY,
    article: str | int = "146",
    *,
    articles: Sequence[str | int] = (),
    periods: Sequence[str] = (),
) -> Panels:
    """What became of an article's cases, and the same over the regions, to choose from.

    `period`, `region` and `article` are shown first. `articles` are the others to choose from
    (default: those of 500 cases or more in the country in one of the periods), `periods` likewise
    (default: the latest four that are held). Above are the dispositions that make up the gross caseload, in
    offences, with their shares of it; below is the one chosen, region by region. A click on a bar
    chooses its disposition or region. What is not reported has no bar, and says so.

    Raises UnknownValueError for a period, region or article that the data does not have.

    Source: Form 1-M, R1, or a press report of it (see `case_flow`).

    >>> chart = kz.charts.explorer(region="KZ-75", articles=["146", "362"], periods=["2022-12"])
    >>> print(chart.to_dict()["description"])
    Explorer of 2 articles, 21 regions and 1 period. Shown first...
    """
    row = datasets.row_of(article)
    datasets.check_reported(period, region, row)
    when = sorted({period, *(periods or _latest())}, reverse=True)
    among = {row, *map(datasets.row_of, articles or _frequent(when))}
    rows = tuple(one for one in codebook.held("rows", ["R1"]) if one in among)
    known = _figures(when, rows)
    first = known.filter(period=period, region=region, row=row).row(0, named=True)
    names = _by_name({one: region_name(one) for one in known["region"].unique()}, first=COUNTRY)
    # regions of the same figure, or of none, stand by their names
    in_turn = known.sort(pl.col("region").cast(pl.Enum([*names])), maintain_order=True)
    titles = {one: captions.row_name(one, period) for one in rows}
    choices = [
        _menu("row", say("Article"), titles, row),
        _menu("period", say("Period"), {one: captions.months(one) for one in when}, period),
    ]
    steps = {name: say(label) for name, label in _STEPS.items()}
    given = {"row": titles, "period": {one: captions.months(one) for one in when}, "region": names}
    chosen = alt.NamedData("cases")
    step = _chosen("step", say("Shown by region"), steps, _GROSS)
    where = _chosen("region", say("Region"), names, region)
    views = [
        _dispositions(chosen, steps, given, step),
        _regions(chosen, steps, names, where, _without_regions(known)),
    ]
    source = say(
        "Source: {sources}. Gross caseload: in proceedings, and terminated on rehabilitating grounds; the others with "
        "their shares of it. On a page and in JupyterLab, the menus below and a click on a bar choose what is shown.",
        sources=_sources(when),
    )
    return (
        Panels(vconcat=views, spacing=14)
        .add_params(*choices)
        .properties(
            datasets={"cases": [_stated(line) for line in in_turn.iter_rows(named=True)]},
            title=heading(
                say("What became of the cases: choose region, article and period"), source
            ),
            description=_told(known, first, given, steps),
            # a choice may add lines
            autosize=alt.AutoSizeParams(type="pad", resize=True),
            # words stand right of the longest bar, whichever that is after a choice
            padding={"left": 5, "top": 5, "bottom": 5, "right": 5 + ROOM},
        )
    )


def _frequent(periods: Sequence[str]) -> list[str]:
    """Articles of many cases in the country, in one of the periods."""
    measures = ("in_proceedings", "terminated_rehabilitating")
    found = datasets.load_form_1m(periods, COUNTRY, "R1", measure=measures)
    many = (
        found.group_by("period", "row").agg(pl.col("value").sum()).filter(pl.col("value") >= MANY)
    )
    rows = set(many["row"])
    return [one for one in datasets.articles() if f"article:{one}" in rows]


def _latest() -> list[str]:
    return datasets.coverage()["period"].unique().sort().to_list()[-RECENT:]


def _sources(periods: Sequence[str]) -> str:
    held = datasets.coverage().filter(pl.col("period").is_in(periods))
    ids = held["source"].unique().sort(descending=True)
    return "; ".join(say(sources.source(one)["attribution"]) for one in ids)


def _figures(periods: Sequence[str], rows: tuple[str, ...]) -> pl.DataFrame:
    """A line for each period, region and row: every figure of its flow; null where it is not reported."""
    held = datasets.coverage()
    regions = [COUNTRY, *held["region"].unique().sort()]
    lines = [
        {"period": period, "region": region, "row": row} | values
        for period in periods
        for region in dict.fromkeys(regions)
        for row, values in _flows(period, region, rows)
    ]
    schema = dict.fromkeys(("period", "region", "row"), pl.String)
    numbers = dict.fromkeys(_STEPS, pl.Float64)
    return pl.DataFrame(lines, schema=schema | numbers | {"note": pl.String})


def _flows(period: str, region: str, rows: tuple[str, ...]) -> Iterator[tuple[str, dict[str, Any]]]:
    for row in rows:
        try:
            bases, steps = flow_figures(period, region, row, among=rows)
        except UnknownValueError:  # it has no report, or the report does not have the row
            yield row, {}
            continue
        gross = bases[_GROSS][1]
        found = {name: steps[name].value for name in _STEPS if name != _GROSS}
        found[_GROSS] = gross.value
        note = say(CONTRADICTED) if steps["pending"].shown else None
        yield row, found | {"note": note}


def _stated(line: dict[str, Any]) -> dict[str, Any]:
    """What is reported of a line; counts as the whole numbers that they are."""
    stated = {name: value for name, value in line.items() if value is not None}
    return {name: int(v) if isinstance(v, float) else v for name, v in stated.items()}


def _without_regions(known: pl.DataFrame) -> list[str]:
    """The periods of which the regions have no figure."""
    figures = pl.any_horizontal(pl.col(*_STEPS).is_not_null())
    regions = known.filter(pl.col("region") != COUNTRY)
    found = regions.group_by("period").agg(figures.any().alias("any"))
    return found.filter(~pl.col("any"))["period"].sort().to_list()


def _by_name(names: dict[str, str], first: str) -> dict[str, str]:
    codes = {name: code for code, name in names.items()}
    ordered = [codes[name] for name in in_order(codes)]
    return {code: names[code] for code in dict.fromkeys([first, *ordered])}


def _menu(name: str, title: str, choices: dict[str, str], value: str) -> Any:
    return alt.param(name=name, value=value, bind=_select(title, choices))


def _chosen(name: str, title: str, choices: dict[str, str], value: str) -> Any:
    """What a menu and a click on a bar choose alike."""
    bind: Any = {name: _select(title, choices)}
    return alt.selection_point(
        name=name,
        fields=[name],
        bind=bind,
        value=[{name: value}],
        on=_ON_A_BAR,
        clear=False,
        toggle=False,
    )


def _select(title: str, choices: dict[str, str]) -> Any:
    labels = [_shortened(one) for one in choices.values()]
    return alt.binding_select(options=list(choices), labels=labels, name=f"{title} ")


def _shortened(label: str) -> str:
    """A label for a menu; where it ends with the mark of a Russian title, it keeps that."""
    mark = say("{title} (in Russian)", title="")
    end = mark if label.endswith(mark) else ""
    kept = textwrap.shorten(label.removesuffix(end), MENU - len(end), placeholder=" …")
    return kept + end


def _said(names: dict[str, str], of: str) -> str:
    """An expression that looks up what something is called."""
    return f"({json.dumps(names, ensure_ascii=False)})[{of}]"


def _unfolded(chosen: alt.NamedData, steps: dict[str, str]) -> Any:
    """A line for each figure of what is chosen, with the words that stand at its bar."""
    share = "isValid(datum.gross_caseload) && datum.step !== 'gross_caseload' && datum.value <= datum.gross_caseload"
    missing = f"datum.step === 'pending' && datum.note || {json.dumps(say(NOT_REPORTED), ensure_ascii=False)}"
    return (
        alt.Chart(chosen)
        .transform_filter("datum.row === row && datum.period === period")
        .transform_fold(list(steps), as_=["step", "value"])
        .transform_calculate(
            share=f"{share} && datum.gross_caseload > 0 ? datum.value / datum.gross_caseload : null"
        )
        .transform_calculate(
            shown=f"!isValid(datum.value) ? {missing} : format(datum.value, ',d') + "
            "(isValid(datum.share) ? ' · ' + format(datum.share * 100, '.1f') + '\u00a0%' : '')",
            size="isValid(datum.value) ? datum.value : -1",
            name=_said(steps, "datum.step"),
        )
    )


def _bars(base: Any, label: str, sort: Any, chosen: Any, unit: str) -> Layers:
    """Bars with their words, of which one is chosen: told by its colour and its outline."""
    axis = {"domain": False, "ticks": False, "labelLimit": 0}
    named = nominal(label, axis=axis, sort=sort, title=None)
    counts = {"format": ",d", "tickCount": 5, "tickMinStep": 1}
    at: Channels = {
        "y": named,
        "x": quantity("value", axis=counts, scale=_FROM_NOUGHT, title=unit),
        "tooltip": [nominal(label, title=" "), nominal("shown", title=unit)],
    }
    marked = {"param": chosen.name}
    colour = {"condition": {**marked, "value": ACCENT}, "value": MARK}
    outline = {"condition": {**marked, "value": INK}, "value": None}
    bars = _marks(base, "bar", at | {"color": colour, "stroke": outline}, cursor="pointer")
    at_foot = at | {"x": quantity("at", scale=_FROM_NOUGHT, title=unit), "text": nominal("shown")}
    words = _marks(
        base.transform_calculate(at="isValid(datum.value) ? datum.value : 0"),
        "text",
        at_foot,
        align="left",
        dx=5,
        cursor="pointer",
    )
    left = LETTER * max(len(say(one)) for one in _STEPS.values())
    return Layers(
        layer=[bars.add_params(chosen), words], width=WIDTH - left - ROOM, height=alt.Step(BAR)
    )


def _marks(base: Any, kind: str, encoding: Channels, **look: Any) -> alt.Chart:
    mark = layer(base.data, kind, encoding, **look)
    mark.transform = base.transform
    return mark


def _dispositions(
    chosen: alt.NamedData, steps: dict[str, str], given: dict[str, dict[str, str]], step: Any
) -> Layers:
    """What became of the cases of the chosen region."""
    unspecified = json.dumps([one.name for one in UNSPECIFIED])
    base = _unfolded(chosen, steps).transform_filter({"param": "region"})
    # what a publication words so that it fits several dispositions has a bar where there is such a figure
    base = base.transform_filter(f"isValid(datum.value) || indexof({unspecified}, datum.step) < 0")
    view = _bars(base, "name", list(steps.values()), step, say("offences"))
    return view.properties(title=_subject(given))


def _regions(
    chosen: alt.NamedData,
    steps: dict[str, str],
    names: dict[str, str],
    where: Any,
    without: list[str],
) -> Layers:
    """The chosen disposition, region by region; the country would dwarf them."""
    base = (
        _unfolded(chosen, steps)
        .transform_filter({"param": "step"})
        .transform_filter(f"datum.region !== '{COUNTRY}'")
        .transform_calculate(place=_said(names, "datum.region"))
    )
    most = {"field": "size", "op": "max", "order": "descending"}
    view = _bars(base, "place", most, where, say("offences"))
    title = f"{_said(steps, 'step.step[0]')} + ' · ' + {json.dumps(say('by region'))}"
    none = json.dumps(say("For this period there are no figures of regions."))
    title = f"indexof({json.dumps(without)}, period) < 0 ? {title} : [{title}, {none}]"
    return view.properties(title={"text": {"expr": title}, "fontSize": 13})


def _subject(given: dict[str, dict[str, str]]) -> Any:
    article = _said({row: _shortened(title) for row, title in given["row"].items()}, "row")
    where, when = _said(given["region"], "region.region[0]"), _said(given["period"], "period")
    return {"text": {"expr": f"[{article}, {where} + ' · ' + {when}]"}, "fontSize": 13}


def _told(
    known: pl.DataFrame,
    first: dict[str, Any],
    given: dict[str, dict[str, str]],
    steps: dict[str, str],
) -> str:
    counts = [known[name].n_unique() for name in ("row", "region", "period")]
    values = "; ".join(
        f"{label}: {number(first[name])}"
        for name, label in steps.items()
        if first[name] is not None or name not in {one.name for one in UNSPECIFIED}
    )
    return say(
        "Explorer of {articles} {articles:article|articles}, {regions} {regions:region|regions} and "
        "{periods} {periods:period|periods}. Shown first: {article}, {region}, {period}. {values}.",
        articles=counts[0],
        regions=counts[1],
        periods=counts[2],
        article=given["row"][first["row"]],
        region=given["region"][first["region"]],
        period=given["period"][first["period"]],
        values=values,
    )
