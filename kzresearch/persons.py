"""Who the victims are and who was brought to decision, each section of the form in its own unit.

R1 counts offences, R3 victims once for each offence, R3-1 victims as persons (of offences
registered in the current year), R6 to R8 persons of decided cases. Nothing is added or divided
across them. A remainder is what columns that need not exhaust a section leave of its total.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import polars as pl

from kzresearch import captions, datasets, figures, flows
from kzresearch.errors import UnknownValueError
from kzresearch.figures import Figure, Lookup, number
from kzresearch.form_1m.reader import SOURCE as FORM_1M
from kzresearch.regions import COUNTRY

if TYPE_CHECKING:
    import altair as alt
    from IPython.display import Markdown

    from kzresearch.tables import Table

Groups = dict[str, dict[str, str]]

ADULTS = {
    f"age_{band}": band.replace("_plus", " and over").replace("_", "–")
    for band in ("18_20", "21_29", "30_39", "40_49", "50_59", "60_plus")
}
MINORS = {"age_12_13": "12–13", "age_14_15": "14–15", "age_16_17": "16–17"}
CITIZENS = {"citizen_kz": "Kazakhstan", "citizen_cis": "CIS states", "citizen_foreign": "foreign"}

# A group of columns: the end of the measure's name → words. What begins with "of them" is a part of
# the column before it.
VICTIMS: Groups = {
    "age": {"age_0_11": "0–11"} | MINORS | ADULTS,
    "sex": {"women": "women"},
    "citizenship": CITIZENS | {"stateless": "stateless"},
    "status": {
        "minors": "minors",
        "students": "pupils and students",
        "students_school": "of them at schools",
        "students_college": "of them at colleges",
        "students_university": "of them at universities",
        "disabled": "persons with disabilities",
        "pensioners": "pensioners",
        "convicts": "convicted persons",
    },
}
# R7's and R8's military columns contradict each other and are left out.
PERSONS: Groups = {
    "decision": {
        "sent_to_court": "sent to court",
        "terminated_non_rehabilitating": "terminated on non-rehabilitating grounds",
        "cpc_article_518": "decided under article 518 of the Criminal Procedure Code",
    },
    "age": MINORS | ADULTS,
    "sex": {"women": "women"},
    "citizenship": CITIZENS,
    "occupation": {
        "workers": "workers",
        "civil_servants": "civil servants",
        "entrepreneurs": "private entrepreneurs",
        "students": "pupils and students",
        "unemployed": "unemployed",
        "other_occupation": "other",
    },
    "education": {
        "education_higher": "higher",
        "education_secondary": "secondary or secondary special",
    },
    "service": {
        "interior_ministry": "Ministry of Internal Affairs",
        "interior_ministry_penal_system": "of them in the penal system",
        "interior_ministry_emergency_service": "of them in the emergency service",
        "national_security_committee": "National Security Committee",
        "prosecution_service": "prosecution service",
        "economic_investigations_service": "economic investigations service",
        "anticorruption_service": "anti-corruption service",
        "judges": "judges",
        "deputies": "deputies",
        "akims": "akims",
        "bailiffs": "court bailiffs",
    },
}
PLACES = {"occupation": "R7", "education": "R7", "service": "R8"}  # the other groups: R6
LEFT: Groups = {
    "sex": {"not_women": "not counted as women (remainder)"},
    "citizenship": {"citizenship_not_stated": "not stated (remainder)"},
    "education": {"education_not_stated": "not stated (remainder)"},
    "service": {"no_service_named": "none of these (remainder)"},
}
"""Group → how its remainder is recorded, and its words."""

UNITS: dict[str, tuple[str, Groups, str]] = {
    "victims_per_offence": ("R3", VICTIMS, "victims, once for each offence"),
    "victims": ("R3-1", VICTIMS, "victims as persons"),
    "persons": ("R6", PERSONS, "persons of decided cases"),
}
"""How the recorded names of a unit begin → its section, its columns, and what one is."""

OFFENCES = {
    "gross_caseload": "gross caseload (R1)",
    "terminated_rehabilitating": "of it terminated on rehabilitating grounds (R1)",
    "registered": "registered in the year, net (R1)",
    "registered_against_women": "registered, against women (R1)",
    "registered_against_minors": "registered, against minors (R1)",
    "completed": "completed (R1)",
    "offences_against_natural_persons": "against natural persons (R3)",
    "offences_against_legal_persons": "against legal persons (R3)",
    "offences_causing_death": "causing the death of the victim (R3)",
}


@dataclass(frozen=True)
class People:
    """Victims and persons brought to decision for a row of the form; made by `people`."""

    period: str
    region: str
    row: str

    @cached_property
    def frame(self) -> pl.DataFrame:
        """The figures of the form that are drawn on, as `load_form_1m` gives them."""
        sections = ["R1", "R3", "R3-1", "R6", "R7", "R8"]
        frame = datasets.load_form_1m(self.period, self.region, sections, row=self.row)
        if frame["source"].n_unique() > 1:
            frame = frame.filter(pl.col("source") == FORM_1M)
        return frame

    @property
    def name(self) -> str:
        """`Article 146. Torture`."""
        return captions.row_name(self.row, self.period)

    @property
    def sources(self) -> list[str]:
        """Ids of the sources that the figures come from."""
        return self.frame["source"].unique(maintain_order=True).to_list()

    @cached_property
    def figures(self) -> dict[str, Figure]:
        """Every figure recorded, by name: the form's measures, those of R3 with `per_offence`."""
        bases, steps = flows.flow_figures(self.period, self.region, self.row)
        found = {
            name: self._figure("R3" if name.startswith("offences") else "R1", name, "offences")
            for name in OFFENCES
        }
        found["gross_caseload"] = bases["gross_caseload"][1]
        found["terminated_rehabilitating"] = steps["terminated_rehabilitating"]
        for unit in UNITS:
            found |= self._of(unit)
        for group in ("age", "citizenship"):
            parts = [found[f"victims_per_offence_{end}"] for end in VICTIMS[group]]
            note = "R3 has no column of all its victims, and not every one need be in these"
            added = figures.total(parts).named("columns added", note)
            found[f"victims_per_offence_by_{group}_sum"] = added
        older = [found[f"victims_{end}"] for end in MINORS]
        found["victims_age_12_17"] = figures.total(older).named("three age bands added")
        note = "in R3-1 the band 0–11 holds persons of unknown birth date too (an inference)"
        for name in ("victims_age_0_11", "victims_minors"):
            if (one := found[name]).value:
                found[name] = replace(one, note=note, shown=f"{one.text} (or birth date unknown)")
        return found

    @cached_property
    def _lookup(self) -> Lookup:
        return Lookup(self.frame)

    def _figure(self, section: str, measure: str, unit: str) -> Figure:
        return self._lookup(section, self.row, measure, unit)

    def _of(self, unit: str) -> dict[str, Figure]:
        """The total of a unit's section, its columns, and what they leave of the total."""
        section, groups, _ = UNITS[unit]
        measure, words = unit.removesuffix("_per_offence"), unit.replace("_", " ")
        found = {unit: self._figure(section, measure, words)}
        for group, columns in groups.items():
            place = PLACES.get(group, section)
            for end in columns:
                found[f"{unit}_{end}"] = self._figure(place, f"{measure}_{end}", words)
            for left in LEFT.get(group, {}):
                parts = [found[f"{unit}_{end}"] for end in _apart(columns)]
                found[f"{unit}_{left}"] = remainder(found[unit], parts)
        return found

    def _reported(self, unit: str) -> bool:
        return self.figures[unit].value is not None

    def summary(self) -> Markdown:
        """What each unit comes to, a line each; what the source lacks in one sentence."""
        return _listed(self._units())

    def _units(self) -> Iterator[str]:
        named = self.figures
        given = [f"{OFFENCES[n]} {named[n].text}" for n in [*OFFENCES][:3] if self._reported(n)]
        yield f"**Offences**: {'; '.join(given)}."
        if self._reported("victims"):
            women, ages = named["victims_women"], named["victims_per_offence_by_age_sum"]
            yield f"**Victims as persons** (R3-1): {named['victims'].text}; women: {women.text}."
            yield f"**Victims, once for each offence** (R3): {ages.text} by age; R3 has no total."
        if self._reported("persons"):
            given = [
                f"{text} {named[f'persons_{end}'].text}"
                for end, text in (PERSONS["decision"] | PERSONS["service"]).items()
                if named[f"persons_{end}"].value
            ]
            counts = "; ".join([f"in all {named['persons'].text}", *given])
            yield f"**Persons of decided cases** (R6, R8): {counts}."
        for unit, what in (("victims", "Victims (R3, R3-1)"), ("persons", "Persons (R6–R8)")):
            if not self._reported(unit):
                yield f"*{what}: not reported.*"

    def offences(self) -> pl.DataFrame:
        """Offences and whom they were committed against: label, text, unit, note (a publication's)."""
        lines = []
        for name, words in OFFENCES.items():
            one = self.figures[name]
            published = one.sources and not one.cells
            lines.append((words, one.text, one.unit, one.note if published else None))
        return pl.DataFrame(lines, ["label", "text", "unit", "note"], orient="row")

    def table(self, title: str, *units: str) -> Table | Markdown:
        """The columns of units that have the same ones, side by side; else that none is reported."""
        from kzresearch import tables

        if not self._reported(units[-1]):
            return captions.markdown(f"*{self.name}, {title}: not reported.*")
        lines = [("all", "total", *(self.figures[unit].text for unit in units))]
        for group, columns in UNITS[units[0]][1].items():
            by = f"by {group} ({PLACES[group]})" if group in PLACES else f"by {group}"
            for end, words in (columns | LEFT.get(group, {})).items():
                lines.append((by, words, *(self.figures[f"{unit}_{end}"].text for unit in units)))
        frame = pl.DataFrame(lines, ["by", "label", *units], orient="row")
        headings = {unit: f"{UNITS[unit][0]}: {UNITS[unit][2]}" for unit in units} | {"label": ""}
        title = f"{self.name}: {title}"
        source = captions.source_line(self.period, self.region)
        return tables.Table(frame, title, source, headings, list(units), group="by")

    def bars(self, unit: str, group: str) -> alt.LayerChart | alt.FacetChart | Markdown:
        """A group of a unit's columns as bars."""
        from kzresearch import charts

        section, groups, counted = UNITS[unit]
        ends = _apart(groups[group]) | LEFT.get(group, {})
        if (unit, group) == ("victims", "age"):
            ends["age_0_11"] = "0–11 or birth date unknown"
        found = [(words, self.figures[f"{unit}_{end}"].value) for end, words in ends.items()]
        frame = pl.DataFrame(found, schema={"label": pl.String, "value": pl.Float64}, orient="row")
        title = f"{self.name}: {counted}, by {group} ({PLACES.get(group, section)})"
        return charts.bars(frame, title, counted, captions.source_line(self.period, self.region))

    def cautions(self) -> Markdown:
        """What the figures must not be taken for, each sentence computed from them."""
        victims = [*self._age_notes(), *self._net_notes()] if self._reported("victims") else []
        return _listed([*victims, *self._decided_notes()])

    def _age_notes(self) -> Iterator[str]:
        named = self.figures
        band, below = named["victims_age_0_11"], named["victims_per_offence_age_0_11"]
        if not band.value:
            yield "R3-1's band 0–11, where persons of unknown birth date stand too, holds nobody."
            return
        read = "How many are of unknown birth date cannot be told."
        if (excess := band.value - (below.value or 0)) > 0:
            whom = f"the excess of {number(excess)} is" if below.value else "the whole is"
            nobody = "" if below.value else ": this figure alone makes nobody a child"
            read = (
                f"R3 counts a victim once for each offence and should not be the lower, so {whom} "
                f"read as unknown birth dates (an inference){nobody}."
            )
        yield (
            f"R3-1's band 0–11 holds {_said(band.value, 'person')} of that age **or of unknown birth date**; "
            f"R3's holds {below.text}, and R1 counts "
            f"{_said(named['registered_against_minors'].value, 'offence')} against minors. {read}"
        )
        yield (
            f"R3-1's count of minors, {number(named['victims_minors'].value)}, takes that band in; the "
            f"bands of 12 to 17 hold {_said(named['victims_age_12_17'].value, 'person')}."
        )

    @cached_property
    def _regional(self) -> pl.DataFrame:
        """Region by region and article by article, what the notes compare; of all regions held."""
        held = datasets.coverage().filter(period=self.period, source=FORM_1M)["region"]
        regions = [region for region in held if region != COUNTRY] or [COUNTRY]
        measures = ["registered", "terminated_rehabilitating", "completed", "victims", "persons"]
        frame = datasets.load_form_1m(self.period, regions, ["R1", "R3-1", "R6"], measure=measures)
        wide = frame.pivot("measure", index=["region", "row"], values="value").drop_nulls()
        return wide.filter(pl.col("region") != COUNTRY)

    def _net_notes(self) -> Iterator[str]:
        gone = self.figures["terminated_rehabilitating"]
        article = pl.col("row").str.contains(r"^article:[^:]+$")
        terminated = pl.col("terminated_rehabilitating") > 0
        left_none = self._regional.filter(article, terminated, registered=0)
        if gone.value and left_none.height and not left_none["victims"].sum():
            yield (
                "R3-1 goes with the registered offences, which are net: wherever in the period an "
                "article has terminations on rehabilitating grounds in a region and no registered "
                f"offence ({_said(left_none.height, 'time')}), R3-1 counts no victim. So the victims in the "
                f"{_said(gone.value, 'offence')} terminated on these grounds are not among those counted "
                "here (an inference)."
            )

    def _decided_notes(self) -> Iterator[str]:
        named = self.figures
        if not named["persons"].value:
            return
        yield (
            f"R6 to R8 count persons of decided cases ({named['persons'].text}; of the Ministry of "
            f"Internal Affairs {named['persons_interior_ministry'].text}). They are not the "
            f"suspects in the {_said(named['gross_caseload'].value, 'offence')} of the gross caseload, "
            "and no share of it."
        )
        places = pl.col("region").is_in([self.region]) | (self.region == COUNTRY)
        apart = self._regional.filter(places, pl.col("persons") > 0, row=self.row, completed=0)
        if apart.height:
            where = "Here" if self.region != COUNTRY else f"In {apart.height} of the regions"
            yield (
                f"{where} R6 counts {_said(sum(apart['persons']), 'person')} and R1 no completed offence: the sections need not agree."
            )

    def sums(self) -> Markdown:
        """Whether the columns add up to their section's total, in sentences."""
        return _listed(self._sums())

    def _sums(self) -> Iterator[str]:
        named = self.figures
        if self._reported("offences_against_natural_persons"):
            against = [named[f"offences_against_{whom}_persons"] for whom in ("natural", "legal")]
            words = compared(named["registered"], against, "registered offence")
            yield f"R3, offences against natural and legal persons: {words}."
        ages, citizens = (named[f"victims_per_offence_by_{g}_sum"] for g in ("age", "citizenship"))
        if ages.value or citizens.value:
            more = (citizens - ages).value or 0
            tail = f", so at least {number(more)} in no age band" if more > 0 else ""
            yield f"R3, which has no total of victims: {ages.text} by age, {citizens.text} by citizenship{tail}."
        for unit, (section, groups, _) in UNITS.items():
            if named[unit].value == 0:
                yield f"{section}: no {unit}, so nothing to add up."
            for group in groups if named[unit].value else ():
                if group not in ("sex", "status"):
                    parts = [named[f"{unit}_{end}"] for end in _apart(groups[group])]
                    words = compared(named[unit], parts, unit.removesuffix("s"))
                    yield f"{PLACES.get(group, section)}, by {group}: {words}."


def people(period: str, region: str = COUNTRY, article: str | int = "146") -> People:
    """Victims and persons brought to decision in a period, for a region and an article (or row).

    Raises `UnknownValueError` for a value that the data does not have, and for a row of severity,
    where R3-1 loses victims.

    Source: Form 1-M, R1, R3, R3-1, R6, R7 and R8, or a press report of it.
    """
    row = datasets.row_of(article)
    if row.startswith("severity:"):
        raise UnknownValueError(
            f"no victims by severity: R3-1 loses some in {row}; give an article"
        )
    datasets.check_reported(period, region, row)
    return People(period, region, row)


def remainder(whole: Figure, parts: list[Figure]) -> Figure:
    """What the parts leave of the whole; undefined (None) where they exceed it."""
    formula, note = "total − columns added", "a remainder, not a column of the form"
    left = (whole - figures.total(parts)).named(formula, note)
    if left.value is not None and left.value < 0:
        return replace(left, value=None, shown="undefined: the columns exceed the total")
    return left


def compared(whole: Figure, parts: list[Figure], noun: str) -> str:
    """How the parts add up to the whole, in words: `27 of 28 persons, 1 left over`."""
    added, left = figures.total(parts), remainder(whole, parts)
    if left.value is None:
        return f"{added.text}, more than {_said(whole.value, noun)}: the source differs with itself"
    if not whole.value:
        return f"no {noun}, so nothing to add up"
    return f"{added.text} of {_said(whole.value, noun)}, {left.text if left.value else 'none'} left over"


def _apart(columns: dict[str, str]) -> dict[str, str]:
    """The columns that are no part of another one."""
    return {end: words for end, words in columns.items() if not words.startswith("of them")}


def _said(count: float | None, noun: str) -> str:
    """`28 persons`, `1 person`, `no persons`."""
    return f"{number(count) if count else 'no'} {noun}{'' if count == 1 else 's'}"


def _listed(sentences: Iterator[str] | list[str]) -> Markdown:
    lines = "\n".join(f"- {sentence}" for sentence in sentences)
    return captions.markdown(lines or "*No figure is reported that this would be about.*")
