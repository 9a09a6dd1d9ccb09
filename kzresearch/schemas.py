"""The contract of every table: columns, rules, and in each column's metadata what it means."""

# ruff: noqa: N805  (dataframely rules are class methods)

import dataframely as dy
import polars as pl

PERIOD = r"^20\d{2}-(0[1-9]|1[0-2])$"
MONEY = "thousand tenge"
LARGEST_COUNT = 2**53  # beyond it a floating-point number cannot tell one count from the next
UNITS = ["offences", "victims per offence", "victims", "persons", "deaths", MONEY]
STATUSES = ["Free", "Partly Free", "Not Free"]


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
        nullable=True, metadata=_is("who says the period: workbook, argument or publication")
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
    region = dy.String(nullable=False, metadata=_is("ISO 3166-2"))
    organ_code = dy.String(nullable=False, metadata=_is("the region's code in the file"))
    period = dy.String(
        nullable=False, regex=PERIOD, metadata=_is("YYYY-MM, cumulative from January")
    )
    period_source = dy.String(nullable=False, metadata=_is("workbook or argument"))
    source = dy.String(nullable=False, metadata=_is("id in load_sources()"))

    @dy.rule()
    def one_per_region_and_period(cls) -> pl.Expr:
        return pl.len().over("region", "period") == 1


class Regions(dy.Schema):
    """The regions that report, with their codes and names."""

    region = dy.String(
        nullable=False, primary_key=True, regex=r"^KZ-\d{2}$", metadata=_is("ISO 3166-2")
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
        nullable=False,
        regex=r"^KZ-\d{2}$",
        metadata=_is("unit of 19 June 2018 to 7 June 2022 that holds it"),
    )
    note = dy.String(nullable=True, metadata=_is("what to mind, in words"))


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
