"""The contract of every table: columns, rules, and in each column's metadata what it means."""

# ruff: noqa: N805  (dataframely rules are class methods)

import dataframely as dy
import polars as pl

from kzresearch.language import later

PERIOD = r"^20\d{2}-(0[1-9]|1[0-2])$"
MONEY = "thousand tenge"
LARGEST_COUNT = 2**53  # beyond it a floating-point number cannot tell one count from the next
UNITS = ["offences", "victims per offence", "victims", "persons", "deaths", MONEY]
STATUSES = ["Free", "Partly Free", "Not Free"]

SEXES = ["total", "men", "women"]
AREAS = ["total", "urban", "rural"]
NOT_NAMED = "article not named"
ARTICLES = [
    "146",
    "146 part 2",
    "chapter 3",
    "all",
    f"torture, {NOT_NAMED}",
    f"ill-treatment, {NOT_NAMED}",
    f"abuse of power, {NOT_NAMED}",
]
INDICATORS = [
    "complaints",
    "registered",
    "in_proceedings",
    "completed",
    "sent_to_court",
    "terminated_total",
    "interrupted_or_expired",
    "persons_prosecuted",
    "persons_convicted",
    "victims",
    "other",
]
FLAGS = {
    "clear": "article, period and what is counted are plain",
    "unclear_period": later("the period is not stated, inferred, or a typical year"),
    "unclear_meaning": "what is counted is not plain",
    "partial": later("counts a part of the cases only: one event, one case, one body's own"),
    "approximate": "a bound, or rounded",
    "conflict": "another source or edition has another figure for the same",
    "unclear_article": "the article is not named, or by its title only; nothing else is unclear",
}
"""What `flag` says: where several hold, the first in this order, after `clear`."""
STATED_BY = ["workbook", "folder", "manifest", "argument"]
BOUNDS = {">": "more than", "≥": "at least", "<": "less than", "≤": "at most", "≈": "about"}


def _is(text: str, **more: str) -> dict[str, str]:
    return {"description": text, **more}


class Figures(dy.Schema):
    """Form 1-M, long: the columns and their rules, figure by figure."""

    period = dy.String(
        nullable=False,
        metadata=_is("YYYY-MM; figures are cumulative from January of that year to this month"),
    )
    region = dy.String(
        nullable=False,
        metadata=_is("ISO 3166-2 code; KZ is the country, only there when asked for"),
    )
    section = dy.String(nullable=False, metadata=_is("section of the form: R1 … PRIL11"))
    row = dy.String(nullable=False, metadata=_is("what the row counts: total, article:146 …"))
    measure = dy.String(nullable=False, metadata=_is("what the column counts: registered …"))
    unit = dy.String(nullable=False, metadata=_is("unit of the value: " + ", ".join(UNITS)))
    value = dy.Float64(
        nullable=False,
        min=0,
        metadata=_is("the figure; whole, except thousand tenge, which has three decimals"),
    )
    workbook = dy.String(
        nullable=True, metadata=_is("sha256 of the workbook; null for a sum or a publication")
    )
    cell = dy.String(nullable=True, metadata=_is("cell of the workbook: R1!F70"))
    period_source = dy.String(
        nullable=True,
        metadata=_is("who says the period: workbook, folder, manifest, argument or publication"),
    )
    source = dy.String(nullable=False, metadata=_is("id in load_sources()"))
    note = dy.String(nullable=True, metadata=_is("an ambiguity or a trap, in words"))

    @dy.rule()
    def count_is_whole(cls) -> pl.Expr:
        whole = pl.col("value") == pl.col("value").round(0)
        return (whole & (pl.col("value") <= LARGEST_COUNT)) | (pl.col("unit") == MONEY)


class Form1M(Figures):
    """Form 1-M, long: one row per figure, and no figure twice."""

    @dy.rule()
    def figure_stands_once(cls) -> pl.Expr:
        return pl.struct("period", "region", "section", "row", "measure", "source").is_unique()


class Workbooks(dy.Schema):
    """The workbooks behind the figures: one row per file."""

    sha256 = dy.String(
        nullable=False,
        primary_key=True,
        regex=r"^[0-9a-f]{64}$",
        metadata=_is("checksum of the file"),
    )
    file = dy.String(nullable=False, metadata=_is("the file's name where it was found"))
    form = dy.String(nullable=False, metadata=_is("1-M"))
    region = dy.String(nullable=False, metadata=_is("ISO 3166-2; KZ the country"))
    region_source = dy.String(
        nullable=False,
        check=lambda c: c.is_in(STATED_BY),
        metadata=_is("who says the region: workbook, manifest or argument"),
    )
    organ_code = dy.String(
        nullable=True, metadata=_is("the region's code in the file; null where it has none")
    )
    period = dy.String(
        nullable=False, regex=PERIOD, metadata=_is("YYYY-MM, cumulative from January")
    )
    period_source = dy.String(
        nullable=False,
        check=lambda c: c.is_in(STATED_BY),
        metadata=_is("who says the period: workbook, folder, manifest or argument"),
    )
    source = dy.String(nullable=False, metadata=_is("id in load_sources()"))
    form_version = dy.String(
        nullable=False, metadata=_is("version of the form: 2022, or one of the user's own store")
    )
    figures = dy.String(
        nullable=False,
        regex=r"^[0-9a-f]{64}$",
        metadata=_is("checksum of what was read from it: its figures, with their places"),
    )

    @dy.rule()
    def one_per_region_and_period(cls) -> pl.Expr:
        return pl.len().over("region", "period") == 1


OUTCOMES = {
    "taken": "its figures are in the store",
    "already there": "the store, or the bundled data, has this very file",
    "replaced": "its figures are in the store in place of another file's, named in reason",
    "refused": "no figure of it was taken; the reason says why",
}


class Ingested(dy.Schema):
    """What became of each file of an ingest: one row per file, in the order they were read."""

    file = dy.String(nullable=False, metadata=_is("the file's name"))
    outcome = dy.String(
        nullable=False,
        check=lambda c: c.is_in(list(OUTCOMES)),
        metadata=_is("; ".join(f"{name}: {text}" for name, text in OUTCOMES.items())),
    )
    reason = dy.String(nullable=True, metadata=_is("why it was refused, or what it replaced"))
    region = dy.String(nullable=True, metadata=_is("ISO 3166-2"))
    region_source = dy.String(
        nullable=True, metadata=_is("who says the region: workbook, manifest or argument")
    )
    period = dy.String(nullable=True, metadata=_is("YYYY-MM, cumulative from January"))
    period_source = dy.String(
        nullable=True, metadata=_is("who says the period: workbook, folder, manifest or argument")
    )
    sha256 = dy.String(nullable=True, metadata=_is("checksum of the file"))
    form_version = dy.String(nullable=True, metadata=_is("version of the form"))
    broken = dy.List(
        dy.String(),
        nullable=True,
        metadata=_is("hard identities that the report breaks; see check_form_1m"),
    )


class Regions(dy.Schema):
    """The regions that report, with their codes and names."""

    region = dy.String(
        nullable=False,
        primary_key=True,
        regex=r"^KZ-\d{2}(\+\d{2})?$",
        metadata=_is("ISO 3166-2; KZ-61+79 is South Kazakhstan, which was divided in 2018"),
    )
    kato = dy.String(nullable=False, regex=r"^\d{9}$", metadata=_is("national territorial code"))
    organ_code = dy.String(nullable=False, regex=r"^19\d{2}$", metadata=_is("code in Form 1-M"))
    name_en = dy.String(nullable=False, metadata=_is("name in English"))
    name_ru = dy.String(nullable=False, metadata=_is("name in Russian"))
    name_kk = dy.String(nullable=False, metadata=_is("name in Kazakh"))
    kind = dy.String(
        nullable=False,
        check=lambda c: c.is_in(["region", "city"]),
        metadata=_is("region, or city of republican significance"),
    )
    form_name_ru = dy.String(nullable=False, metadata=_is("the region's name in a file's title"))
    valid_from = dy.Date(nullable=True, metadata=_is("first day within these bounds, if known"))
    valid_to = dy.Date(nullable=True, metadata=_is("last day within these bounds, if it ended"))
    unit_17 = dy.String(
        nullable=True,
        regex=r"^KZ-\d{2}$",
        metadata=_is("unit of 19 June 2018 to 7 June 2022 that holds it; null for one of before"),
    )
    tile_row = dy.Int64(
        nullable=False,
        min=1,
        metadata=_is(
            "row of the region's tile, counted from the north, in the project's own map of equal "
            "tiles; a unit of the 17 has the tile of the region with its code"
        ),
    )
    tile_column = dy.Int64(
        nullable=False, min=1, metadata=_is("column of the region's tile, counted from the west")
    )
    note = dy.String(nullable=True, metadata=_is("what to mind, in words"))

    @dy.rule()
    def one_tile_each(cls) -> pl.Expr:
        # A region that is no more has the tile of one that came after it.
        return pl.struct("tile_row", "tile_column", pl.col("valid_to").is_null()).is_unique()


class RegionTitles(dy.Schema):
    """Names of regions in the titles of reports, beside those in the table of regions."""

    region = dy.String(
        nullable=False, regex=r"^KZ(-\d{2}(\+\d{2})?)?$", metadata=_is("its code; KZ the country")
    )
    title = dy.String(nullable=False, metadata=_is("the name"))
    used_from = dy.Date(nullable=True, metadata=_is("first day, if it had another name before"))
    used_to = dy.Date(nullable=True, metadata=_is("last day, if it has had another name since"))
    note = dy.String(nullable=True, metadata=_is("how that is known, or what kind of name it is"))


class FreedomInTheWorld(dy.Schema):
    """Freedom in the World: one row per country and edition."""

    country = dy.String(nullable=False, primary_key=True, metadata=_is("English name"))
    iso3 = dy.String(nullable=False, regex=r"^[A-Z]{3}$", metadata=_is("ISO 3166-1 alpha-3"))
    edition = dy.Int64(nullable=False, primary_key=True, metadata=_is("year of publication"))
    year_reviewed = dy.Int64(nullable=False, metadata=_is("edition − 1"))
    status = dy.String(
        nullable=False, check=lambda c: c.is_in(STATUSES), metadata=_is(", ".join(STATUSES))
    )
    political_rights_rating = dy.Int64(
        nullable=False, min=1, max=7, metadata=_is("1 to 7; lower is freer", unit="rating")
    )
    civil_liberties_rating = dy.Int64(
        nullable=False, min=1, max=7, metadata=_is("1 to 7; lower is freer", unit="rating")
    )
    political_rights = dy.Int64(
        nullable=False, min=0, max=40, metadata=_is("score, 0 to 40", unit="points")
    )
    civil_liberties = dy.Int64(
        nullable=False, min=0, max=60, metadata=_is("score, 0 to 60", unit="points")
    )
    total = dy.Int64(
        nullable=False,
        min=0,
        max=100,
        metadata=_is("score, 0 to 100; higher is freer", unit="points"),
    )
    source = dy.String(nullable=False, metadata=_is("id in load_sources()"))
    workbook = dy.String(nullable=False, metadata=_is("sha256 of the file"))
    cell = dy.String(nullable=False, metadata=_is("where the total stands in the file"))

    @dy.rule()
    def reviews_the_year_before(cls) -> pl.Expr:
        return pl.col("year_reviewed") == pl.col("edition") - 1


class Population(dy.Schema):
    """Population of Kazakhstan on 1 January: one row per figure, and no figure twice."""

    date = dy.Date(nullable=False, primary_key=True, metadata=_is("1 January of the year"))
    region = dy.String(
        nullable=False,
        primary_key=True,
        regex=r"^KZ(-\d{2}(\+\d{2})?)?$",
        metadata=_is(
            "ISO 3166-2 code within the bounds that `units` says; KZ the country; KZ-61+79 the "
            "former South Kazakhstan Region, Turkistan Region and Shymkent together"
        ),
    )
    units = dy.Int64(
        nullable=False,
        check=lambda c: c.is_in([16, 17, 20]),
        metadata=_is(
            "how many units the source divides the country into that day: 20 as today, 17 before "
            "Abai, Zhetisu and Ulytau were split off KZ-63, KZ-19 and KZ-35, 16 before Shymkent was "
            "split off South Kazakhstan; one code at two numbers can be two territories"
        ),
    )
    sex = dy.String(
        nullable=False,
        primary_key=True,
        check=lambda c: c.is_in(SEXES),
        metadata=_is(", ".join(SEXES)),
    )
    area = dy.String(
        nullable=False,
        primary_key=True,
        check=lambda c: c.is_in(AREAS),
        metadata=_is(", ".join(AREAS)),
    )
    population = dy.Int64(nullable=False, min=1, metadata=_is("inhabitants", unit="persons"))
    series = dy.String(
        nullable=False,
        primary_key=True,
        regex=r"^\d{4}-\d{2}-\d{2}$",
        metadata=_is("revision: the day of the source's file; never mix two"),
    )
    source = dy.String(nullable=False, metadata=_is("id in load_sources()"))
    workbook = dy.String(
        nullable=False, regex=r"^[0-9a-f]{64}$", metadata=_is("sha256 of the workbook")
    )
    cell = dy.String(nullable=False, metadata=_is("cell of the workbook: Мужчины!B8"))

    @dy.rule()
    def counts_the_first_of_january(cls) -> pl.Expr:
        return (pl.col("date").dt.month() == 1) & (pl.col("date").dt.day() == 1)

    @dy.rule()
    def regions_add_up_to_the_country(cls) -> pl.Expr:
        people = pl.col("population")
        signed = pl.when(pl.col("region") == "KZ").then(people).otherwise(-people)
        return signed.sum().over("date", "series", "sex", "area") == 0

    @dy.rule()
    def one_division_per_day_and_series(cls) -> pl.Expr:
        return pl.col("units").n_unique().over("date", "series") == 1


class Published(dy.Schema):
    """Figures on torture cases that others published, kept as they stand, doubts beside them."""

    id = dy.String(
        nullable=False,
        primary_key=True,
        regex=r"^P\d{4}$",
        metadata=_is("P0001 …, as `ambiguity` refers to it"),
    )
    period_start = dy.Date(nullable=True, metadata=_is("first day counted; null if not known"))
    period_end = dy.Date(nullable=True, metadata=_is("last day counted; null if not known"))
    geography = dy.String(nullable=False, metadata=_is("KZ, or the place as named"))
    region = dy.String(
        nullable=True,
        regex=r"^KZ(-\d{2})?$",
        metadata=_is("ISO 3166-2 code, KZ the country; null for a city within a region"),
    )
    article = dy.String(
        nullable=False,
        check=lambda c: c.is_in(ARTICLES),
        metadata=_is("of the Criminal Code: " + "; ".join(ARTICLES)),
    )
    indicator = dy.String(
        nullable=False,
        check=lambda c: c.is_in(INDICATORS),
        metadata=_is("what is counted, roughly; `unit` says it closely"),
    )
    value = dy.Float64(nullable=False, min=0, metadata=_is("the figure; its unit stands beside it"))
    bound = dy.String(
        nullable=True,
        check=lambda c: c.is_in(list(BOUNDS)),
        metadata=_is(
            "; ".join(f"{sign} {words}" for sign, words in BOUNDS.items())
            + "; null where the figure is given as exact"
        ),
    )
    unit = dy.String(nullable=False, metadata=_is("what one is, or percent of what"))
    counted = dy.String(
        nullable=False, metadata=_is("kind of unit, the same for units in other words")
    )
    source = dy.String(nullable=False, metadata=_is("short name of who published it"))
    publisher = dy.String(nullable=False, metadata=_is("who published it, and whom it cites"))
    title = dy.String(nullable=True, metadata=_is("of the publication; null if not seen"))
    date_published = dy.String(
        nullable=True, metadata=_is("day, month or year, as far as known; null if not known")
    )
    address = dy.String(nullable=False, regex=r"^https?://\S+$", metadata=_is("where it stands"))
    ambiguity = dy.String(nullable=True, metadata=_is("what is unclear, in the project's words"))
    flag = dy.String(
        nullable=False,
        check=lambda c: c.is_in(list(FLAGS)),
        metadata=_is("; ".join(f"{flag}: {text}" for flag, text in FLAGS.items())),
    )

    @dy.rule()
    def period_ends_after_it_starts(cls) -> pl.Expr:
        return (pl.col("period_start") <= pl.col("period_end")).fill_null(value=True)

    @dy.rule()
    def ambiguity_where_not_clear(cls) -> pl.Expr:
        return (pl.col("flag") == "clear") == pl.col("ambiguity").is_null()

    @dy.rule()
    def clear_names_an_article(cls) -> pl.Expr:
        return (pl.col("flag") != "clear") | ~pl.col("article").str.ends_with(NOT_NAMED)

    @dy.rule()
    def period_not_known_is_flagged(cls) -> pl.Expr:
        known = pl.col("period_start").is_not_null() & pl.col("period_end").is_not_null()
        return known | (pl.col("flag") == "unclear_period")


class TortureIndices(dy.Schema):
    """Torture and the rule of law by country and year, as rated by V-Dem and HRMI."""

    country = dy.String(nullable=False, metadata=_is("English name"))
    iso3 = dy.String(
        nullable=False,
        primary_key=True,
        regex=r"^[A-Z]{3}$",
        metadata=_is("ISO 3166-1 alpha-3"),
    )
    year = dy.Int64(nullable=False, primary_key=True, metadata=_is("year rated"))
    index = dy.String(
        nullable=False, primary_key=True, metadata=_is("V-Dem's code; hrmi_tort for HRMI's tort")
    )
    name = dy.String(nullable=False, metadata=_is("what the index is called"))
    value = dy.Float64(
        nullable=True,
        metadata=_is("on the index's own scale; null where the source has none"),
    )
    lower = dy.Float64(
        nullable=True, metadata=_is("10th percentile of the estimate; null where not given")
    )
    upper = dy.Float64(
        nullable=True, metadata=_is("90th percentile of the estimate; null where not given")
    )
    scale = dy.String(nullable=False, metadata=_is("in words; scales are never mixed"))
    version = dy.String(nullable=False, metadata=_is("of the source's data; never mix two"))
    source = dy.String(nullable=False, metadata=_is("id in load_sources(), with its licence"))
    workbook = dy.String(
        nullable=False, regex=r"^[0-9a-f]{64}$", metadata=_is("sha256 of the file")
    )
    cell = dy.String(nullable=False, metadata=_is("line and column of the file"))

    @dy.rule()
    def value_is_within_its_bounds(cls) -> pl.Expr:
        value = pl.col("value")
        within = (pl.col("lower") <= value) & (value <= pl.col("upper"))
        return within.fill_null(value=True)

    @dy.rule()
    def one_version_and_scale_per_index(cls) -> pl.Expr:
        return pl.struct("version", "scale", "name").n_unique().over("index") == 1


class Sources(dy.Schema):
    """Where every table comes from: one row per raw file, or per source without a file."""

    id = dy.String(nullable=False, metadata=_is("as in the source columns of the tables"))
    producer = dy.String(nullable=False, metadata=_is("who made it"))
    title = dy.String(nullable=False, metadata=_is("what it is called"))
    version = dy.String(nullable=True, metadata=_is("which version is used here"))
    citation = dy.String(nullable=False, metadata=_is("how to cite it"))
    attribution = dy.String(nullable=False, metadata=_is("its short name, for below a chart"))
    address = dy.String(nullable=True, metadata=_is("where it was published"))
    licence = dy.String(nullable=False, metadata=_is("its terms, as far as known"))
    path = dy.String(nullable=True, metadata=_is("in the folder of raw files"))
    sha256 = dy.String(
        nullable=True, regex=r"^[0-9a-f]{64}$", metadata=_is("checksum of the raw file")
    )
    bytes = dy.Int64(nullable=True, min=1, metadata=_is("its size", unit="bytes"))
    url = dy.String(nullable=True, metadata=_is("null where it must be downloaded by hand"))


class Codebook(dy.Schema):
    """What a row or a column of Form 1-M means."""

    section = dy.String(nullable=False, primary_key=True, metadata=_is("R1 … PRIL11"))
    kind = dy.String(
        nullable=False,
        primary_key=True,
        check=lambda c: c.is_in(["column", "row"]),
        metadata=_is("column or row"),
    )
    number = dy.Int64(nullable=False, primary_key=True, metadata=_is("the form's own, 1 … n"))
    position = dy.String(nullable=False, metadata=_is("Excel column, or row of the sheet"))
    name = dy.String(nullable=False, metadata=_is("measure, or row, in the long frame"))
    label = dy.String(nullable=False, metadata=_is("what it means, in English"))
    unit = dy.String(nullable=True, metadata=_is("of a column's figures"))
    article = dy.String(nullable=True, metadata=_is("of the Criminal Code, as text"))
    title_ru = dy.String(nullable=True, metadata=_is("the form's official title"))
    caption = dy.String(nullable=False, metadata=_is("the form's own text, levels joined by ' > '"))
    note = dy.String(nullable=True, metadata=_is("a trap or an ambiguity, in words"))


class Results(dy.Schema):
    """The figures that runs recorded: one row per completed run and figure."""

    run_id = dy.String(
        nullable=False, primary_key=True, regex=r"^[0-9a-f]{12}$", metadata=_is("id of the run")
    )
    notebook = dy.String(nullable=False, primary_key=True, metadata=_is("name of the notebook"))
    name = dy.String(nullable=False, primary_key=True, metadata=_is("the figure's name in the run"))
    value = dy.Float64(nullable=True, metadata=_is("the figure; null where no source reports it"))
    text = dy.String(nullable=False, metadata=_is("what a reader is shown"))
    unit = dy.String(nullable=False, metadata=_is("unit of the value"))
    formula = dy.String(nullable=True, metadata=_is("how it was computed, in words"))
    note = dy.String(nullable=True, metadata=_is("a doubt or a trap, in words"))
    sources = dy.String(
        nullable=True, metadata=_is("ids in data/sources.toml, parted by semicolons")
    )


class CaseFlow(dy.Schema):
    """Where the cases of an article went: one row per base, outcome and part, in offences."""

    step = dy.String(nullable=False, primary_key=True, metadata=_is("name of the step"))
    label = dy.String(nullable=False, metadata=_is("what it is, in English"))
    kind = dy.String(
        nullable=False,
        check=lambda c: c.is_in(["base", "outcome", "part"]),
        metadata=_is("base, outcome (they add up to the gross caseload) or part of an outcome"),
    )
    part_of = dy.String(nullable=True, metadata=_is("the step that it is a part of"))
    count = dy.Float64(
        nullable=True, metadata=_is("how many; null where not reported", unit="offences")
    )
    share = dy.Float64(
        nullable=True,
        metadata=_is("share of the gross caseload; null for bases", unit="proportion, 0 to 1"),
    )
    lower = dy.Float64(
        nullable=True,
        metadata=_is("lower end of its 95 % Wilson interval", unit="proportion, 0 to 1"),
    )
    upper = dy.Float64(
        nullable=True,
        metadata=_is("upper end of its 95 % Wilson interval", unit="proportion, 0 to 1"),
    )
    formula = dy.String(nullable=True, metadata=_is("how it was computed, in words"))
    note = dy.String(nullable=True, metadata=_is("a doubt or a trap, in words"))


class Checked(dy.Schema):
    """Accounting identities of Form 1-M, tested: one row per identity."""

    identity = dy.String(nullable=False, primary_key=True, metadata=_is("id of the identity"))
    kind = dy.String(nullable=False, metadata=_is("= or <=: how its sides compare"))
    status = dy.String(
        nullable=False,
        metadata=_is(
            "hard: holds, or fails for single records only; source_defect: should hold, and the "
            "source breaks it; not_an_identity: a guess known to be false"
        ),
    )
    description = dy.String(nullable=False, metadata=_is("the identity in words"))
    tests = dy.Int64(nullable=False, metadata=_is("how often it was tested", unit="tests"))
    nonzero = dy.Int64(
        nullable=False, metadata=_is("tests with a side that is not 0", unit="tests")
    )
    holds = dy.Int64(nullable=False, metadata=_is("tests in which it holds", unit="tests"))
    fails = dy.Int64(nullable=False, metadata=_is("tests in which it fails", unit="tests"))
    workbooks_failing = dy.Int64(
        nullable=False, metadata=_is("reports in which it fails", unit="reports")
    )
    max_difference = dy.Float64(
        nullable=False,
        metadata=_is("largest difference between the sides of a failing test, in their unit"),
    )
