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
from kzresearch.figures import Figure, Lookup
from kzresearch.form_1m.reader import SOURCE as FORM_1M
from kzresearch.language import later, say, told_once
from kzresearch.regions import COUNTRY

if TYPE_CHECKING:
    import altair as alt
    from IPython.display import Markdown

    from kzresearch.tables import Table

Groups = dict[str, dict[str, str]]

ADULTS = {
    f"age_{band}": band.replace("_", "–") for band in ("18_20", "21_29", "30_39", "40_49", "50_59")
} | {"age_60_plus": later("60 and over")}
MINORS = {"age_12_13": "12–13", "age_14_15": "14–15", "age_16_17": "16–17"}
CITIZENS = {
    "citizen_kz": later("Kazakhstan"),
    "citizen_cis": later("CIS states"),
    "citizen_foreign": later("foreign"),
}

# A group of columns: the end of the measure's name → words. What begins with "of them" is a part of
# the column before it.
VICTIMS: Groups = {
    "age": {"age_0_11": "0–11"} | MINORS | ADULTS,
    "sex": {"women": later("women")},
    "citizenship": CITIZENS | {"stateless": later("stateless")},
    "status": {
        "minors": later("minors"),
        "students": later("pupils and students"),
        "students_school": later("of them at schools"),
        "students_college": later("of them at colleges"),
        "students_university": later("of them at universities"),
        "disabled": later("persons with disabilities"),
        "pensioners": later("pensioners"),
        "convicts": later("convicted persons"),
    },
}
# R7's and R8's military columns contradict each other and are left out.
PERSONS: Groups = {
    "decision": {
        "sent_to_court": later("sent to court"),
        "terminated_non_rehabilitating": later("terminated on non-rehabilitating grounds"),
        "cpc_article_518": later("decided under article 518 of the Criminal Procedure Code"),
    },
    "age": MINORS | ADULTS,
    "sex": {"women": later("women")},
    "citizenship": CITIZENS,
    "occupation": {
        "workers": later("workers"),
        "civil_servants": later("civil servants"),
        "entrepreneurs": later("private entrepreneurs"),
        "students": later("pupils and students"),
        "unemployed": later("unemployed"),
        "other_occupation": later("other"),
    },
    "education": {
        "education_higher": later("higher"),
        "education_secondary": later("secondary or secondary special"),
    },
    "service": {
        "interior_ministry": later("Ministry of Internal Affairs"),
        "interior_ministry_penal_system": later("of them in the penal system"),
        "interior_ministry_emergency_service": later("of them in the emergency service"),
        "national_security_committee": later("National Security Committee"),
        "prosecution_service": later("prosecution service"),
        "economic_investigations_service": later("economic investigations service"),
        "anticorruption_service": later("anti-corruption service"),
        "judges": later("judges"),
        "deputies": later("deputies"),
        "akims": later("akims"),
        "bailiffs": later("court bailiffs"),
    },
}
PLACES = {"occupation": "R7", "education": "R7", "service": "R8"}  # the other groups: R6
LEFT: Groups = {
    "sex": {"not_women": later("not counted as women (remainder)")},
    "citizenship": {"citizenship_not_stated": later("not stated (remainder)")},
    "education": {"education_not_stated": later("not stated (remainder)")},
    "service": {"no_service_named": later("none of these (remainder)")},
}
"""Group → how its remainder is recorded, and its words."""

UNITS: dict[str, tuple[str, Groups, str]] = {
    "victims_per_offence": ("R3", VICTIMS, later("victims, once for each offence")),
    "victims": ("R3-1", VICTIMS, later("victims as persons")),
    "persons": ("R6", PERSONS, later("persons of decided cases")),
}
"""How the recorded names of a unit begin → its section, its columns, and what one is."""

UNIT = {
    "victims_per_offence": later("victims per offence"),
    "victims": later("victims"),
    "persons": later("persons"),
}
"""How the recorded names of a unit begin → the unit of its figures."""

BY = {
    "decision": later("by decision"),
    "age": later("by age"),
    "sex": later("by sex"),
    "citizenship": later("by citizenship"),
    "status": later("by status"),
    "occupation": later("by occupation"),
    "education": later("by education"),
    "service": later("by service"),
}

COUNTS = {
    "person": (later("{n} {n:person|persons}"), later("no persons")),
    "victim": (later("{n} {n:victim|victims}"), later("no victims")),
    "offence": (later("{n} {n:offence|offences}"), later("no offences")),
    "registered offence": (
        later("{n} registered {n:offence|offences}"),
        later("no registered offences"),
    ),
    "time": (later("{n} {n:time|times}"), later("no times")),
}
"""What is counted → how a number of it is said, and none."""

NOTHING = {
    "victims": later("{section}: no victims, so nothing to add up."),
    "persons": later("{section}: no persons, so nothing to add up."),
    "person": later("no person, so nothing to add up"),
    "victim": later("no victim, so nothing to add up"),
    "registered offence": later("no registered offence, so nothing to add up"),
}

OFFENCES = {
    "gross_caseload": later("gross caseload (R1)"),
    "terminated_rehabilitating": later("of it terminated on rehabilitating grounds (R1)"),
    "registered": later("registered in the year, net (R1)"),
    "registered_against_women": later("registered, against women (R1)"),
    "registered_against_minors": later("registered, against minors (R1)"),
    "completed": later("completed (R1)"),
    "offences_against_natural_persons": later("against natural persons (R3)"),
    "offences_against_legal_persons": later("against legal persons (R3)"),
    "offences_causing_death": later("causing the death of the victim (R3)"),
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

    @told_once
    def figures(self) -> dict[str, Figure]:
        """Every figure recorded, by name: the form's measures, those of R3 with `per_offence`."""
        bases, steps = flows.flow_figures(self.period, self.region, self.row)
        found = {
            name: self._figure("R3" if name.startswith("offences") else "R1", name, flows.OFFENCES)
            for name in OFFENCES
        }
        found["gross_caseload"] = bases["gross_caseload"][1]
        found["terminated_rehabilitating"] = steps["terminated_rehabilitating"]
        for unit in UNITS:
            found |= self._of(unit)
        for group in ("age", "citizenship"):
            parts = [found[f"victims_per_offence_{end}"] for end in VICTIMS[group]]
            note = say("R3 has no column of all its victims, and not every one need be in these")
            added = figures.total(parts).named(say("columns added"), note)
            found[f"victims_per_offence_by_{group}_sum"] = added
        older = [found[f"victims_{end}"] for end in MINORS]
        found["victims_age_12_17"] = figures.total(older).named(say("three age bands added"))
        note = say("in R3-1 the band 0–11 holds persons of unknown birth date too (an inference)")
        for name in ("victims_age_0_11", "victims_minors"):
            if (one := found[name]).value:
                shown = say("{n} (or birth date unknown)", n=one.value)
                found[name] = replace(one, note=note, shown=shown)
        return found

    @cached_property
    def _lookup(self) -> Lookup:
        return Lookup(self.frame)

    def _figure(self, section: str, measure: str, unit: str) -> Figure:
        return self._lookup(section, self.row, measure, unit)

    def _of(self, unit: str) -> dict[str, Figure]:
        """The total of a unit's section, its columns, and what they leave of the total."""
        section, groups, _ = UNITS[unit]
        measure, words = unit.removesuffix("_per_offence"), UNIT[unit]
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
        given = [
            say("{what} {n}", what=say(OFFENCES[name]), n=named[name].text)
            for name in [*OFFENCES][:3]
            if self._reported(name)
        ]
        yield say("**Offences**: {counts}.", counts="; ".join(given))
        if self._reported("victims"):
            yield say(
                "**Victims as persons** (R3-1): {n}; women: {women}.",
                n=named["victims"].text,
                women=named["victims_women"].text,
            )
            yield say(
                "**Victims, once for each offence** (R3): {n} by age; R3 has no total.",
                n=named["victims_per_offence_by_age_sum"].text,
            )
        else:
            yield say("*Victims (R3, R3-1): not reported.*")
        if self._reported("persons"):
            given = [
                say("{what} {n}", what=say(text), n=named[f"persons_{end}"].text)
                for end, text in (PERSONS["decision"] | PERSONS["service"]).items()
                if named[f"persons_{end}"].value
            ]
            counts = "; ".join([say("in all {n}", n=named["persons"].text), *given])
            yield say("**Persons of decided cases** (R6, R8): {counts}.", counts=counts)
        else:
            yield say("*Persons (R6–R8): not reported.*")

    def offences(self) -> pl.DataFrame:
        """Offences and whom they were committed against: label, text, unit, note (a publication's)."""
        lines = []
        for name, words in OFFENCES.items():
            one = self.figures[name]
            published = one.sources and not one.cells
            lines.append((say(words), one.text, one.unit, one.note if published else None))
        return pl.DataFrame(lines, ["label", "text", "unit", "note"], orient="row")

    def table(self, title: str, *units: str) -> Table | Markdown:
        """The columns of units that have the same ones, side by side; else that none is reported."""
        from kzresearch import tables

        if not self._reported(units[-1]):
            return captions.markdown(
                say("*{name}, {title}: not reported.*", name=self.name, title=title)
            )
        lines = [(say("all"), say("total"), *(self.figures[unit].text for unit in units))]
        for group, columns in UNITS[units[0]][1].items():
            by = say(BY[group])
            by = f"{by} ({PLACES[group]})" if group in PLACES else by
            for end, words in (columns | LEFT.get(group, {})).items():
                lines.append(
                    (by, say(words), *(self.figures[f"{unit}_{end}"].text for unit in units))
                )
        frame = pl.DataFrame(lines, ["by", "label", *units], orient="row")
        headings = {unit: f"{UNITS[unit][0]}: {say(UNITS[unit][2])}" for unit in units} | {
            "label": ""
        }
        title = f"{self.name}: {title}"
        source = captions.source_line(self.period, self.region)
        return tables.Table(frame, title, source, headings, list(units), group="by")

    def bars(self, unit: str, group: str) -> alt.LayerChart | alt.FacetChart | Markdown:
        """A group of a unit's columns as bars."""
        from kzresearch import charts

        section, groups, counted = UNITS[unit]
        ends = _apart(groups[group]) | LEFT.get(group, {})
        if (unit, group) == ("victims", "age"):
            ends["age_0_11"] = later("0–11 or birth date unknown")
        found = [(say(words), self.figures[f"{unit}_{end}"].value) for end, words in ends.items()]
        frame = pl.DataFrame(found, schema={"label": pl.String, "value": pl.Float64}, orient="row")
        title = say(
            "{name}: {counted}, {by} ({section})",
            name=self.name,
            counted=say(counted),
            by=say(BY[group]),
            section=PLACES.get(group, section),
        )
        source = captions.source_line(self.period, self.region)
        return charts.bars(frame, title, say(counted), source)

    def cautions(self) -> Markdown:
        """What the figures must not be taken for, each sentence computed from them."""
        victims = [*self._age_notes(), *self._net_notes()] if self._reported("victims") else []
        return _listed([*victims, *self._decided_notes()])

    def _age_notes(self) -> Iterator[str]:
        named = self.figures
        band, below = named["victims_age_0_11"], named["victims_per_offence_age_0_11"]
        if not band.value:
            yield say(
                "R3-1's band 0–11, where persons of unknown birth date stand too, holds nobody."
            )
            return
        excess = band.value - (below.value or 0)
        if excess <= 0:
            read = say("How many are of unknown birth date cannot be told.")
        elif below.value:
            read = say(
                "R3 counts a victim once for each offence and should not be the lower, so the excess of "
                "{n} is read as unknown birth dates (an inference).",
                n=excess,
            )
        else:
            read = say(
                "R3 counts a victim once for each offence and should not be the lower, so the whole is "
                "read as unknown birth dates (an inference): this figure alone makes nobody a child."
            )
        yield say(
            "R3-1's band 0–11 holds {persons} of that age **or of unknown birth date**; R3's holds "
            "{below}, and R1 counts {offences} against minors. {read}",
            persons=_said(band.value, "person"),
            below=below.text,
            offences=_said(named["registered_against_minors"].value, "offence"),
            read=read,
        )
        yield say(
            "R3-1's count of minors, {n}, takes that band in; the bands of 12 to 17 hold {persons}.",
            n=named["victims_minors"].value,
            persons=_said(named["victims_age_12_17"].value, "person"),
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
            yield say(
                "R3-1 goes with the registered offences, which are net: wherever in the period an "
                "article has terminations on rehabilitating grounds in a region and no registered "
                "offence ({times}), R3-1 counts no victim. So the victims in the {offences} terminated "
                "on these grounds are not among those counted here (an inference).",
                times=_said(left_none.height, "time"),
                offences=_said(gone.value, "offence"),
            )

    def _decided_notes(self) -> Iterator[str]:
        named = self.figures
        if not named["persons"].value:
            return
        yield say(
            "R6 to R8 count persons of decided cases ({n}; of the Ministry of Internal Affairs "
            "{ministry}). They are not the suspects in the {offences} of the gross caseload, and no "
            "share of it.",
            n=named["persons"].text,
            ministry=named["persons_interior_ministry"].text,
            offences=_said(named["gross_caseload"].value, "offence"),
        )
        places = pl.col("region").is_in([self.region]) | (self.region == COUNTRY)
        apart = self._regional.filter(places, pl.col("persons") > 0, row=self.row, completed=0)
        if apart.height:
            text = (
                later(
                    "In {n} of the regions R6 counts {persons} and R1 no completed offence: the "
                    "sections need not agree."
                )
                if self.region == COUNTRY
                else later(
                    "Here R6 counts {persons} and R1 no completed offence: the sections need not agree."
                )
            )
            yield say(text, n=apart.height, persons=_said(sum(apart["persons"]), "person"))

    def sums(self) -> Markdown:
        """Whether the columns add up to their section's total, in sentences."""
        return _listed(self._sums())

    def _sums(self) -> Iterator[str]:
        named = self.figures
        if self._reported("offences_against_natural_persons"):
            against = [named[f"offences_against_{whom}_persons"] for whom in ("natural", "legal")]
            words = compared(named["registered"], against, "registered offence")
            yield say("R3, offences against natural and legal persons: {words}.", words=words)
        ages, citizens = (named[f"victims_per_offence_by_{g}_sum"] for g in ("age", "citizenship"))
        if ages.value or citizens.value:
            more = (citizens - ages).value or 0
            text = (
                later(
                    "R3, which has no total of victims: {ages} by age, {citizens} by citizenship, so at "
                    "least {more} in no age band."
                )
                if more > 0
                else later(
                    "R3, which has no total of victims: {ages} by age, {citizens} by citizenship."
                )
            )
            yield say(text, ages=ages.text, citizens=citizens.text, more=more)
        for unit, (section, groups, _) in UNITS.items():
            if named[unit].value == 0:
                yield say(NOTHING[unit], section=section)
            for group in groups if named[unit].value else ():
                if group not in ("sex", "status"):
                    parts = [named[f"{unit}_{end}"] for end in _apart(groups[group])]
                    words = compared(named[unit], parts, unit.removesuffix("s"))
                    place = PLACES.get(group, section)
                    yield say(
                        "{section}, {by}: {words}.", section=place, by=say(BY[group]), words=words
                    )


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
    formula, note = say("total − columns added"), say("a remainder, not a column of the form")
    left = (whole - figures.total(parts)).named(formula, note)
    if left.value is not None and left.value < 0:
        return replace(left, value=None, shown=say("undefined: the columns exceed the total"))
    return left


def compared(whole: Figure, parts: list[Figure], noun: str) -> str:
    """How the parts add up to the whole, in words: `27 of 28 persons, 1 left over`."""
    added, left = figures.total(parts), remainder(whole, parts)
    if left.value is None:
        text = later("{added}, more than {whole}: the source differs with itself")
    elif not whole.value:
        return say(NOTHING[noun])
    elif left.value:
        text = later("{added} of {whole}, {left} left over")
    else:
        text = later("{added} of {whole}, none left over")
    return say(text, added=added.text, whole=_said(whole.value, noun), left=left.text)


def _apart(columns: dict[str, str]) -> dict[str, str]:
    """The columns that are no part of another one."""
    return {end: words for end, words in columns.items() if not words.startswith("of them")}


def _said(count: float | None, noun: str) -> str:
    """`28 persons`, `1 person`, `no persons`."""
    some, none = COUNTS[noun]
    return say(some, n=count) if count else say(none)


def _listed(sentences: Iterator[str] | list[str]) -> Markdown:
    lines = "\n".join(f"- {sentence}" for sentence in sentences)
    return captions.markdown(lines or say("*No figure is reported that this would be about.*"))
