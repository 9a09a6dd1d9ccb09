"""Population of Kazakhstan on 1 January by region, sex and urban or rural area.

Two revisions stand side by side and are never mixed: the *series* 2000 to 2023 (the Bureau's file
of 19 July 2023) and its later figures for 1 January 2023 alone (file of 21 February 2024).

A region's code holds within the bounds that the source uses on that day, and `units` says which:
16 units for 2000 to 2016, 17 for 2017 to 2021, 20 for 2022 and 2023. The source counts 2017 and
2018 by the bounds of 19 June 2018 already, and 1 January 2022 by those of 8 June 2022. In its row
"Turkistan" the years 2000 to 2016 are those of the former South Kazakhstan Region, as its footnote
says; they stand under a code of their own, KZ-61+79. KZ-19, KZ-35 and KZ-63 hold today's KZ-33,
KZ-62 and KZ-10 as long as `units` is below 20. A census lies between 2021 and 2022: no mean or
change is taken across it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import fastexcel
import polars as pl

from kzresearch.errors import SourceError
from kzresearch.regions import COUNTRY, SOUTH_KAZAKHSTAN, load_regions

SERIES = "2023-07-19"
SERIES_SOURCE = "population_2000_2023"
SERIES_WORKBOOK = "statgovkz_population_by_region_2000-2023_source.xlsx"
SERIES_TEXT = "kz_population_region_sex_2000-2023.csv"
YEARS = range(2000, 2024)
# Sheet → sex, and the row that holds the years; the figures of the first year are in column B.
SHEETS = {"Все население": ("total", 1), "Мужчины": ("men", 6), "Женщины": ("women", 6)}
AREA_ROWS = {"Городское население": "urban", "Сельское население": "rural"}
FOOTNOTE = "1) Данные за 2000-2016гг. по Южно-Казахстанской области."
FOOTNOTED = "Туркестанская 1"

REVISION = "2024-02-21"
REVISION_SOURCE = "population_2023_revised"
REVISION_WORKBOOK = "statgovkz_population_2023-01-01_source.xlsx"
REVISION_TEXT = "kz_population_2023-01-01_region_sex_urbanrural.csv"
REVISION_SHEET = "01"
REVISION_DAY = "на 1 января 2023 года"
# Column → its name in the text file, sex, area, and where its title stands in the sheet.
REVISION_COLUMNS = {
    "B": ("total", "total", "total", 3, "Все население"),
    "C": ("male", "men", "total", 4, "мужчины"),
    "D": ("female", "women", "total", 4, "женщины"),
    "E": ("urban", "total", "urban", 4, "городское население"),
    "F": ("urban_male", "men", "urban", 5, "мужчины"),
    "G": ("urban_female", "women", "urban", 5, "женщины"),
    "H": ("rural", "total", "rural", 4, "сельское население"),
    "I": ("rural_male", "men", "rural", 5, "мужчины"),
    "J": ("rural_female", "women", "rural", 5, "женщины"),
}

CITIES = ["KZ-71", "KZ-75", "KZ-79"]  # no rural population: the source has a dash or no row
TEXT_SEXES = {"total": "total", "male": "men", "female": "women"}
TEXT_AREAS = {"all": "total", "urban": "urban", "rural": "rural"}
FIGURE = ["year", "name", "sex", "area"]
COLUMNS = [
    *("date", "region", "units", "sex", "area", "population"),
    *("series", "source", "workbook", "cell"),
]


def population(raw: Path) -> pl.DataFrame:
    """Return the population on 1 January by region, sex and area, in two revisions.

    Every figure is the workbook's, and must be the same in the text file made from it.

    Parameters
    ----------
    raw
        Folder of raw files; the four read are in its subfolder `population`.

    Returns
    -------
    One row per figure, sorted: `date` (1 January), `region` (ISO 3166-2, `KZ` the country, see
    above), `units` (16, 17 or 20), `sex` (total, men, women), `area` (total, urban, rural),
    `population` (persons), `series` (day of the source's file), `source`, `workbook` (sha256),
    `cell`. What the source does not give has no row: urban and rural of both sexes together in
    the series, rural of the three cities in both.

    Raises
    ------
    SourceError
        If a file is missing or not laid out as known, a figure is missing, doubled or not a whole
        number, workbook and text disagree, a region is missing, or sums do not hold.

    Source: Bureau of National Statistics (`population_2000_2023` and `population_2023_revised` in
    `data/sources.toml`).
    """
    folder = raw / "population"
    frame = pl.concat([_series(folder), _revision(folder)])
    _check_regions(frame)
    _check_figures(frame)
    _check_sums(frame)
    return frame.sort("series", "date", "region", "sex", "area")


def _series(folder: Path) -> pl.DataFrame:
    content = _read(folder / SERIES_WORKBOOK)
    figures = pl.concat([_series_sheet(content, sheet) for sheet in SHEETS])
    text = _series_text(folder / SERIES_TEXT)
    return _finish(_agreed(figures, text), SERIES, SERIES_SOURCE, content)


def _revision(folder: Path) -> pl.DataFrame:
    content = _read(folder / REVISION_WORKBOOK)
    figures = _revision_sheet(content)
    text = _revision_text(folder / REVISION_TEXT)
    return _finish(_agreed(figures, text), REVISION, REVISION_SOURCE, content)


def _finish(figures: pl.DataFrame, series: str, source: str, content: bytes) -> pl.DataFrame:
    year = pl.col("year")
    former = (pl.col("region") == "KZ-61") & (year < 2017)
    return figures.with_columns(
        date=pl.date(year, 1, 1),
        region=pl.when(former).then(pl.lit(SOUTH_KAZAKHSTAN)).otherwise("region"),
        units=pl.when(year < 2017).then(16).when(year < 2022).then(17).otherwise(20).cast(pl.Int64),
        series=pl.lit(series),
        source=pl.lit(source),
        workbook=pl.lit(hashlib.sha256(content).hexdigest()),
    ).select(COLUMNS)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        raise SourceError(f"{path.name} is not in the raw folder population.") from None


def _sheet(content: bytes, file: str, sheet: str) -> pl.DataFrame:
    """Return every cell of a sheet as text: `row`, then columns by their letters."""
    try:
        # `skip_rows=0` keeps leading blank rows, so that row numbers are those of the sheet.
        cells = (
            fastexcel.read_excel(content)
            .load_sheet(sheet, header_row=None, skip_rows=0, dtypes="string")
            .to_polars()
        )
    except fastexcel.FastExcelError:
        raise SourceError(f"{file} is not a workbook with a sheet {sheet!r}.") from None
    cells.columns = [chr(ord("A") + number) for number in range(cells.width)]
    return cells.with_columns(pl.all().str.strip_chars()).with_row_index("row", offset=1)


def _series_sheet(content: bytes, sheet: str) -> pl.DataFrame:
    """Return a sheet's figures: `year`, `name`, `sex`, `area`, `population` (text), `cell`."""
    sex, header = SHEETS[sheet]
    cells = _sheet(content, SERIES_WORKBOOK, sheet)
    years = {chr(ord("B") + number): year for number, year in enumerate(YEARS)}
    there = [column for column in years if column in cells.columns]
    found = cells.filter(pl.col("row") == header).select(there).rows()
    if found != [tuple(map(str, YEARS))]:
        raise SourceError(
            f"{SERIES_WORKBOOK}: row {header} of {sheet} is not the years {YEARS[0]} to {YEARS[-1]}."
        )
    if sex != "total" and FOOTNOTE not in cells["A"].to_list():
        raise SourceError(f"{SERIES_WORKBOOK}: {sheet} has no footnote on South Kazakhstan.")
    area = pl.col("A").replace_strict(AREA_ROWS, default=None).forward_fill().fill_null("total")
    rows = cells.filter(pl.col("row") > header).with_columns(area=area)
    return (
        rows.filter(pl.any_horizontal(pl.col(list(years)).is_not_null()))
        .unpivot(list(years), index=["row", "A", "area"], value_name="population")
        .filter(pl.col("population").ne_missing("-"))
        .select(
            pl.col("variable").replace_strict(years, return_dtype=pl.Int64).alias("year"),
            pl.col("A").replace(FOOTNOTED, FOOTNOTED.removesuffix(" 1")).alias("name"),
            pl.lit(sex).alias("sex"),
            "area",
            "population",
            pl.format("{}!{}{}", pl.lit(sheet), "variable", "row").alias("cell"),
        )
    )


def _revision_sheet(content: bytes) -> pl.DataFrame:
    """Return the later revision's figures, in the columns of `_series_sheet`."""
    cells = _sheet(content, REVISION_WORKBOOK, REVISION_SHEET)
    if not {"A", *REVISION_COLUMNS} <= set(cells.columns) or cells.height < 6:
        raise SourceError(f"{REVISION_WORKBOOK}: {REVISION_SHEET} has not the columns A to J.")
    titles = {("A", 1): REVISION_DAY} | {
        (column, row): title for column, (_, _, _, row, title) in REVISION_COLUMNS.items()
    }
    for (column, row), title in titles.items():
        if title not in (cells[column][row - 1] or ""):
            raise SourceError(f"{REVISION_WORKBOOK}: {column}{row} has not the title {title!r}.")
    sexes = {column: sex for column, (_, sex, *_) in REVISION_COLUMNS.items()}
    areas = {column: area for column, (_, _, area, *_) in REVISION_COLUMNS.items()}
    return (
        cells.filter(pl.col("row") > 5, pl.col("A").is_not_null())
        .unpivot(list(REVISION_COLUMNS), index=["row", "A"], value_name="population")
        .filter(pl.col("population").ne_missing("-"))
        .select(
            pl.lit(2023, pl.Int64).alias("year"),
            pl.col("A").alias("name"),
            pl.col("variable").replace_strict(sexes).alias("sex"),
            pl.col("variable").replace_strict(areas).alias("area"),
            "population",
            pl.format("{}!{}{}", pl.lit(REVISION_SHEET), "variable", "row").alias("cell"),
        )
    )


def _lines(path: Path, header: list[str]) -> pl.DataFrame:
    """Return a text file's fields as text with the number of their `line`; checks its header."""
    content = _read(path)
    try:
        # Without quoting every line is a row, so that row numbers are line numbers.
        lines = pl.read_csv(content, has_header=False, infer_schema=False, quote_char=None)
    except pl.exceptions.PolarsError:
        raise SourceError(f"{path.name} is not a table with commas between its columns.") from None
    if lines.width != len(header) or list(lines.row(0)) != header:
        raise SourceError(f"{path.name} has not the columns {', '.join(header)}.")
    lines.columns = header
    return lines.with_row_index("line", offset=1).slice(1)


def _series_text(path: Path) -> pl.DataFrame:
    """Return a text file's figures: `year`, `region`, `name`, `sex`, `area`, `text`, `line`."""
    lines = _lines(path, ["year_jan1", "iso", "region_ru", "sex", "area", "population"])
    return lines.select(
        pl.col("year_jan1").cast(pl.Int64, strict=False).alias("year"),
        pl.col("iso").alias("region"),
        pl.col("region_ru").str.strip_chars().alias("name"),
        pl.col("sex").replace_strict(TEXT_SEXES, default=None),
        pl.col("area").replace_strict(TEXT_AREAS, default=None),
        pl.col("population").alias("text"),
        pl.format(f"line {{}} of {path.name}", "line").alias("line"),
    )


def _revision_text(path: Path) -> pl.DataFrame:
    names = {name: (sex, area) for name, sex, area, *_ in REVISION_COLUMNS.values()}
    lines = _lines(path, ["iso", "name_kk", *names])
    return (
        lines.unpivot(list(names), index=["line", "iso", "name_kk"], value_name="text")
        .filter(pl.col("text").ne_missing("-"))
        .select(
            pl.lit(2023, pl.Int64).alias("year"),
            pl.col("iso").alias("region"),
            pl.col("name_kk").str.strip_chars().alias("name"),
            pl.col("variable").replace_strict({n: s for n, (s, _) in names.items()}).alias("sex"),
            pl.col("variable").replace_strict({n: a for n, (_, a) in names.items()}).alias("area"),
            "text",
            pl.format(f"line {{}} of {path.name}", "line").alias("line"),
        )
    )


def _agreed(figures: pl.DataFrame, text: pl.DataFrame) -> pl.DataFrame:
    """Return the workbook's figures with the text's region, once both have the same."""
    _check_once(figures, "cell")
    _check_once(text, "line")
    both = figures.join(text, on=FIGURE, how="full", coalesce=True)
    number = pl.col("population").cast(pl.Int64, strict=False)
    for row in both.filter(number.is_null() & pl.col("cell").is_not_null()).iter_rows(named=True):
        raise SourceError(f"{row['cell']} is not a whole number but {row['population']!r}.")
    differs = number.ne_missing(pl.col("text").cast(pl.Int64, strict=False))
    for row in both.filter(differs).sort(FIGURE).iter_rows(named=True):
        raise SourceError(
            f"Workbook and text disagree on {row['name']}, {row['year']}, {row['sex']}, "
            f"{row['area']}: {row['population']} in {row['cell']}, {row['text']} in {row['line']}."
        )
    return both.with_columns(population=number)


def _check_once(figures: pl.DataFrame, where: str) -> None:
    for row in figures.filter(pl.struct(FIGURE).is_duplicated()).iter_rows(named=True):
        raise SourceError(
            f"{row['name']}, {row['year']}, {row['sex']}, {row['area']} stands there twice, "
            f"once in {row[where]}."
        )


def _check_regions(frame: pl.DataFrame) -> None:
    """Refuse a day that has not each unit of its division once."""
    today = load_regions()
    seventeen = set(today["unit_17"])
    divisions = {
        20: set(today["region"]),
        17: seventeen,
        16: seventeen - {"KZ-61", "KZ-79"} | {SOUTH_KAZAKHSTAN},
    }
    days = frame.group_by("series", "date", "units").agg(pl.col("region").unique()).sort("date")
    for row in days.iter_rows(named=True):
        wrong = {*divisions[row["units"]], COUNTRY} ^ set(row["region"])
        if wrong:
            raise SourceError(
                f"The regions on {row['date']} are not the {row['units']} known: "
                f"{', '.join(sorted(wrong))} missing or unknown."
            )
    expected = {(SERIES, f"{year}-01-01") for year in YEARS} | {(REVISION, "2023-01-01")}
    for series, day in expected ^ {(r["series"], str(r["date"])) for r in days.to_dicts()}:
        raise SourceError(f"{day} is missing or unknown in the series of {series}.")


def _check_figures(frame: pl.DataFrame) -> None:
    """Refuse a region that has not every sex and area its series gives."""
    both = ["total total", "total urban", "total rural"]
    each = [f"{sex} {area}" for sex in ("men", "women") for area in ("total", "urban", "rural")]
    kinds = {SERIES: {both[0], *each}, REVISION: {*both, *each}}
    kind = pl.concat_str("sex", "area", separator=" ").alias("kinds")
    found = frame.group_by("series", "date", "region").agg(kind).sort("date", "region")
    for row in found.iter_rows(named=True):
        rural = row["region"] not in CITIES
        expected = {k for k in kinds[row["series"]] if rural or not k.endswith("rural")}
        if wrong := expected ^ set(row["kinds"]):
            raise SourceError(
                f"{row['region']} on {row['date']} has missing or unknown figures: "
                f"{', '.join(sorted(wrong))}."
            )


def _check_sums(frame: pl.DataFrame) -> None:
    region, sex, area = pl.col("region"), pl.col("sex"), pl.col("area")
    _check_sum(frame, "region", region != COUNTRY, region == COUNTRY)
    _check_sum(frame, "sex", sex != "total", sex == "total")
    _check_sum(frame, "area", area != "total", area == "total")


def _check_sum(frame: pl.DataFrame, over: str, parts: pl.Expr, whole: pl.Expr) -> None:
    """Refuse where a whole is not the sum of the parts that the source gives of it."""
    by = [name for name in ("series", "date", "region", "sex", "area") if name != over]
    sums = frame.filter(parts).group_by(by).agg(pl.col("population").sum().alias("sum"))
    both = frame.filter(whole).join(sums, on=by)  # the series has no total of urban or of rural
    for row in both.filter(pl.col("population") != pl.col("sum")).sort(by).iter_rows(named=True):
        raise SourceError(
            f"{row['region']} on {row['date']}, {row['sex']}, {row['area']}, is "
            f"{row['population']} in {row['cell']}, but its parts by {over} add up to {row['sum']}."
        )
