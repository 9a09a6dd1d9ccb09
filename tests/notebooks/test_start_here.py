"""The first notebook, the tour, in each language: the same figures, and no English left."""

import json

import pytest

from tests.conftest import run_notebook as run
from tests.language import left_in_english, said_in, same_figures

GIVEN = {"region": "KZ-75"}


@pytest.fixture(scope="module")
def english(tmp_path_factory):
    folder = tmp_path_factory.mktemp("start_here")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return run("start_here", GIVEN, folder)


def test_record_holds_the_figures(english):
    assert english.record["status"] == "completed"
    results = english.record["results"]
    assert {name: one["value"] for name, one in results.items()} == {
        "gross_caseload": 189,
        "terminated_rehabilitating": 164,
        "sent_to_court": 3,
        "pending": 17,
    }


@pytest.mark.parametrize(
    ("language", "said"),
    [
        (
            "ru",
            [
                "ГГГГ-ММ; показатели нарастающим итогом с января",
                "Правонарушения, дела о которых окончены в периоде: sent_to_court плюс",
            ],
        ),
        (
            "kk",
            [
                "ЖЖЖЖ-АА; көрсеткіштер сол жылғы қаңтардан",
                "Істері кезеңде аяқталған құқық бұзушылықтар: sent_to_court плюс",
            ],
        ),
    ],
)
def test_what_columns_and_measures_mean_is_told_in_the_readers_language(
    english, language, said, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    left = run("start_here", {**GIVEN, "language": language}, tmp_path)
    assert left.record["status"] == "completed"
    assert same_figures(left.record, english.record)
    executed = json.loads(left.notebook.read_text(encoding="utf-8"))
    texts = "\n".join(said_in(executed))
    assert [text for text in said if text not in texts] == []
    assert left_in_english(executed) == []
