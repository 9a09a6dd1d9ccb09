"""Every table's contract says what each of its columns means."""

import dataframely as dy
import polars as pl
import pytest

import kzresearch as kz
from kzresearch import schemas
from kzresearch.schemas import Form1M

TABLES = {
    "load_workbooks": schemas.Workbooks,
    "load_regions": schemas.Regions,
    "load_freedom_in_the_world": schemas.FreedomInTheWorld,
    "load_population": schemas.Population,
    "load_published": schemas.Published,
    "load_torture_indices": schemas.TortureIndices,
    "load_sources": schemas.Sources,
    "codebook": schemas.Codebook,
}


@pytest.mark.parametrize("schema", [schemas.Form1M, *TABLES.values()])
def test_every_column_says_what_it_means(schema: type[dy.Schema]):
    for name, column in schema.columns().items():
        assert (column.metadata or {}).get("description"), name


@pytest.mark.parametrize(("loader", "schema"), TABLES.items())
def test_loaders_keep_their_contract(loader, schema):
    frame = getattr(kz, loader)()
    assert schema.validate(frame).height > 0
    assert frame.columns == schema.column_names()


def good() -> pl.DataFrame:
    return kz.load_form_1m("2022-12", "KZ-75", "R11", measure="registered")


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (pl.lit(-1.0).alias("value"), "min"),
        (pl.lit(0.5).alias("value"), "count_is_whole"),
        (pl.lit(None, pl.Float64).alias("value"), "nullability"),
        (pl.lit(None, pl.String).alias("region"), "nullability"),
        (pl.lit("total").alias("row"), "figure_stands_once"),
    ],
)
def test_broken_figures_break_the_contract(change, rule):
    assert Form1M.is_valid(good())
    with pytest.raises(dy.exc.ValidationError, match=rule):
        Form1M.validate(good().with_columns(change))


def test_money_may_have_decimals():
    frame = good().with_columns(value=pl.lit(0.125), unit=pl.lit(schemas.MONEY))
    assert Form1M.is_valid(frame)
