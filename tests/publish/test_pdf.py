"""The PDF of a run: what it says, that nothing said is obeyed, and that it looks as a paper should."""

import base64
import getpass
import io
import json
import re
import socket
import zlib
from datetime import datetime
from functools import cached_property
from pathlib import Path

import nbformat
import pypdf
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output

import kzresearch as kz
from kzresearch import records
from kzresearch.language import LANGUAGES, say, speaking
from kzresearch.publications import trend
from kzresearch.publish import cite, pdf
from kzresearch.publish.blocks import of_html, of_markdown
from tests.run.made import made
from tests.run.test_batch import batch, runs

KAZAKH = "әғқңөұүһі ӘҒҚҢӨҰҮҺІ"
TITLE = "Азаптау істері: құқық қорғау"
HOSTILE = (
    '#read("/etc/passwd")',
    '#panic("x")',
    '#import "@preview/cetz:0.3.0"',
    "$x^2$ _a_ *b* `c` ~ @ref <label> // /* */",
    "<script>alert(1)</script><b>bold</b>",
    r"] ) } \ \u{41} \" ' -- ---",
    "= Heading",
    "https://example.org/#panic()",
)
TEXT = " | ".join(HOSTILE)
FOOTER = re.compile(r"\S+, run [0-9a-f]{12} \d+ of \d+$")
PAPER = rf"""
import polars as pl
import kzresearch as kz
from IPython.display import Markdown, display
from kzresearch.figures import Cell, Figure
from kzresearch.tables import Table
Markdown("## Раздел по-русски\n\nСемь дел. {KAZAKH} **жирно**\n\n- один\n- два")
# ---
chart = {{
    "mark": "bar", "width": 720, "height": 100, "data": {{"values": [{{"a": "Құқық", "b": 3}}]}},
    "encoding": {{
        "y": {{"field": "a", "type": "nominal"}}, "x": {{"field": "b", "type": "quantitative"}}
    }},
    "title": {{"text": ["The first", "chart"], "subtitle": ["Source: a book"]}},
    "description": "One bar of three.",
}}
display({{"application/vnd.vegalite.v5+json": chart}}, raw=True)
# ---
same = {{**chart, "title": s, "description": s}}
display({{"application/vnd.vegalite.v5+json": same}}, raw=True)
# ---
frame = pl.DataFrame({{"group": ["North", "South"], "label": [s, "Аймақ"], "text": ["1", "2,345"]}})
Table(frame, f"A table of {{s}}", f"Source: {{s}}", {{"label": "", "text": "Cases"}}, ["text"], "group")
# ---
lines = range(200)
frame = pl.DataFrame({{"n": [f"line {{n}}" for n in lines], "text": [str(n) for n in lines]}})
headings = {{"n": "Which", "text": "How many"}}
Table(frame, "Many lines", "Source: us", headings, ["text"])
# ---
Table(frame, "Folded lines", "Source: us", headings, folded=True)
# ---
print("printed", s)
# ---
taken = Figure(4.0, "offences", (Cell("ab" * 32, "R1!Q70"),), ("form_1m",))
kz.record(sent_to_court=taken, hostile=Figure(1.0, s, shown=s))
""".split("# ---")


class Paper:
    """A PDF, read by a library that has no part in making it."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.reader = pypdf.PdfReader(io.BytesIO(content))

    @cached_property
    def pages(self) -> list[str]:
        return [" ".join(page.extract_text().split()) for page in self.reader.pages]

    @cached_property
    def text(self) -> str:
        return " ".join(FOOTER.sub("", page) for page in self.pages)

    @cached_property
    def squeezed(self) -> str:
        return "".join(self.text.split())

    def says(self, words: str) -> bool:
        """Whether the words are there, wherever their lines end."""
        return "".join(words.split()) in self.squeezed

    def captions(self, kind: str) -> list[int]:
        """The numbers of the figures or tables, in the order of the text."""
        return [int(n) for n in re.findall(rf"\b{kind} (\d+)\.", self.text)]

    @cached_property
    def objects(self) -> list:
        found = [self.reader.get_object(i) for i in range(1, len(self.reader.xref[0]) + 1)]
        return [one for one in found if isinstance(one, dict)]

    def of_type(self, name: str, value: str) -> list:
        return [one for one in self.objects if one.get(name) == value]


def paper(path: Path, *cells: str, title: str = TITLE) -> Path:
    """A notebook with an author, a parameter that is a text, and code."""
    made(path, *cells, parameters="s: str = ''  # any text")
    notebook = nbformat.read(path, as_version=4)
    notebook["metadata"]["authors"] = [{"name": "Әлия Ұлы"}, {"name": "#panic()"}]
    notebook["cells"][0]["source"] = f"# {title}\n\nҚанша *іс* болды?\n\nWhat follows the question."
    nbformat.write(notebook, path)
    return path


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A batch with pages and PDFs of a paper and of a run that fails."""
    folder = tmp_path_factory.mktemp("pdf")
    given = {"parameters": {"s": TEXT}, "out": folder / "out", "formats": ["html", "pdf"]}
    failing = paper(
        folder / "fails.ipynb", "print('before')", "raise KeyError(s)", "print('never')"
    )
    done = kz.batch([paper(folder / "paper.ipynb", *PAPER), failing], **given)
    assert done["error"].to_list() == [None, "KeyError"]
    return folder / "out"


@pytest.fixture(scope="module")
def left(out: Path) -> Paper:
    return Paper(next(out.glob("paper-*.pdf")).read_bytes())


@pytest.fixture(scope="module")
def record(out: Path) -> dict:
    return records.read(next(out.glob("paper-*.json")))


def papered(record: dict, *cells, **changes) -> Paper:
    """The PDF of a notebook that was never run, with the record of one that was."""
    title = new_markdown_cell("# A title\n\nA question?")
    given = record | {"title": "A title", "question": "A question?", "parameters": {}} | changes
    return Paper(pdf.document(nbformat.v4.new_notebook(cells=[title, *cells]), given))


def places(page: pypdf.PageObject) -> list[tuple[float, float]]:
    """Where the pieces of a page's own text begin; those in its pictures are scaled with them."""
    found = []

    def visit(text, matrix, text_matrix, *_) -> None:
        if text.strip():
            found.append(tuple(pypdf.mult(text_matrix, matrix)[4:6]))

    page["/Resources"].pop("/XObject", None)
    page.extract_text(visitor_text=visit)
    return found


def shown(**data) -> dict:
    """A cell with one output; `__` in a type's name is a slash."""
    bundle = {kind.replace("__", "/").replace("_xml", "+xml"): one for kind, one in data.items()}
    return new_code_cell("", outputs=[new_output("display_data", data=bundle)])


def test_the_first_page_says_what_was_run_and_how_to_cite_it(left, record):
    first = Paper(left.content)
    first.text = left.pages[0]
    ended = datetime.fromisoformat(record["ended"])
    for words in (
        TITLE,
        "Әлия Ұлы, #panic()",
        "Қанша іс болды?",
        record["run_id"],
        "completed",
        f"{ended.day} {ended:%B %Y, %H:%M} UTC",
        f"kzresearch {record['software']['version']}",
        TEXT,
        cite.run(record),
    ):
        assert first.says(words), words
    git = record["software"]["git"]
    assert not git or first.says(f"commit {git['commit']}")
    assert left.text.count("What follows the question.") == 1
    assert left.text.count("Қанша іс болды?") == 1


def test_every_page_has_its_number_and_the_run_id(left, record):
    count = len(left.pages)
    assert count > 4
    for number, page in enumerate(left.pages, 1):
        assert f"run {record['run_id']} {number} of {count}" in page


@pytest.mark.parametrize(
    ("git", "sentence"),
    [
        (None, "This was not run from a git checkout"),
        ({"commit": "0" * 40, "clean": False}, "The checkout had uncommitted changes"),
        ({"commit": "0" * 40, "clean": True}, None),
    ],
)
def test_what_the_commit_does_not_say_is_said_in_amber(record, git, sentence):
    one = papered(record, software=record["software"] | {"git": git})
    sentences = [s for s in ("not run from a git", "uncommitted changes") if one.says(s)]
    assert len(sentences) == (sentence is not None)
    assert sentence is None or one.says(sentence)
    amber = b"0.6039216 0.35686275 0 sc" in one.reader.pages[0].get_contents().get_data()
    assert amber == (sentence is not None)


def test_russian_and_kazakh_letters_are_there_in_fonts_that_the_file_holds(left):
    assert left.says(f"Семь дел. {KAZAKH} жирно")
    assert left.says("Раздел по-русски")
    assert left.says("Құқық")  # in a chart
    assert left.says("Аймақ")  # in a table
    fonts = left.of_type("/Type", "/FontDescriptor")
    assert {re.sub(r".*\+|-.*", "", one["/FontName"]) for one in fonts} >= {
        *("LibertinusSerif", "DejaVuSansMono", "LiberationSans"),
    }
    assert all({"/FontFile", "/FontFile2", "/FontFile3"} & one.keys() for one in fonts)


def test_what_is_said_is_text_wherever_it_stands_and_never_obeyed(left, record):
    # parameter, citation, chart's title, table's title, source and cell, print, unit and figure
    assert left.squeezed.count("".join(TEXT.split())) >= 8
    assert "root:" not in left.text
    links = [one["/A"]["/URI"] for one in left.objects if "/A" in one and "/URI" in one["/A"]]
    assert links
    assert all(re.match("https?://", link) for link in links)
    assert not [one for one in left.objects if {"/JS", "/AA", "/OpenAction"} & one.keys()]


def test_markdown_and_html_of_a_notebook_are_set_and_hostile_ones_are_text(record):
    text = new_markdown_cell(
        "\n\n".join(["**bold** [no](javascript:alert) [yes](https://example.org/a)", *HOSTILE[:-1]])
    )
    odd = "<p>" + " ".join(HOSTILE[:4]).replace("<", "&lt;") + "</p><script>gone()</script>"
    odd += '<style>gone{}</style><a href="javascript:gone()">kept</a><img alt="#picture()">'
    one = papered(record, text, shown(text__html=odd), title=HOSTILE[0], question=HOSTILE[1])
    assert one.reader.metadata.title == HOSTILE[0]
    for words in (*HOSTILE[:3], "<script>alert(1)</script><b>bold</b>", "kept", "#picture()"):
        assert one.says(words), words
    assert "gone" not in one.text
    links = {o["/A"]["/URI"] for o in one.objects if "/A" in o and "/URI" in o["/A"]}
    assert "https://example.org/a" in links
    assert not [link for link in links if "javascript" in link]


def test_figures_are_numbered_vector_pictures_with_their_titles_and_words(left):
    assert left.captions("Figure") == [1, 2]
    assert left.says("Figure 1. The first chart Source: a book")
    assert left.says(f"Figure 2. {TEXT}")
    assert left.text.count("The first chart") == 1  # not in the picture once more
    assert not left.of_type("/Subtype", "/Image")
    assert [o["/Alt"] for o in left.of_type("/S", "/Figure")] == ["One bar of three.", TEXT]


def test_it_is_tagged_and_says_its_language_and_title(left, record):
    root = left.reader.trailer["/Root"]
    assert root["/Lang"] == "en"
    assert root["/MarkInfo"]["/Marked"]
    kinds = {one["/S"] for one in left.objects if one.get("/Type") == "/StructElem"}
    assert kinds >= {"/Title", "/H1", "/P", "/Table", "/THead", "/TH", "/TD", "/Caption", "/Figure"}
    assert [entry["/Title"] for entry in left.reader.outline] == [
        "Раздел по-русски",
        "Record of this run",
    ]
    about = left.reader.metadata
    assert about.title == TITLE
    assert about.author == "Әлия Ұлы, #panic()"
    assert record["run_id"] in about["/Keywords"]
    assert about.creation_date.isoformat() == about.modification_date.isoformat() == record["ended"]


def test_tables_are_numbered_with_title_source_and_groups(left):
    numbers = left.captions("Table")
    assert numbers == [*range(1, len(numbers) + 1)]
    assert left.says(f"Table 1. A table of {TEXT} Source: {TEXT} Cases North")
    assert left.says("South Аймақ 2,345")
    for title in ("Many lines", "Recorded figures", "The data that the run could read"):
        assert re.search(rf"Table \d+\. {title}", left.text), title
    assert left.says("sent_to_court 4 offences R1!Q70")


def test_a_long_table_has_all_its_lines_and_its_head_on_each_page(left):
    pages = [page for page in left.pages if re.search(r"line \d+ \d+ line", page)]
    whole = [page for page in pages if "Folded lines" not in page]
    assert len(whole) > 2
    assert all("Which How many" in page for page in whole)
    before, _, folded = left.text.partition("Folded lines")
    assert [*map(int, re.findall(r"line (\d+) ", before))] == [*range(200)]
    assert [*map(int, re.findall(r"line (\d+) ", folded))] == [*range(pdf.KEPT)]


def test_a_folded_table_is_shortened_and_says_where_the_rest_is(left, out):
    name = next(out.glob("paper-*.ipynb")).name
    assert left.says(
        f"160 more lines are left out here; the executed notebook, {name}, has all of them."
    )


def test_the_record_of_the_run_is_at_its_end(left, record):
    end = Paper(left.content)
    end.text = left.text.rpartition("Record of this run")[2]
    for name, sha256 in record["data"].items():
        assert end.says(f"{name} {sha256}"), name
    assert end.says(record["code"]["notebook"])
    assert end.says(record["code"]["package"])
    for name, version in record["versions"].items():
        assert end.says(f"{name} {version}"), name
    (source,) = record["sources"]
    for words in (source["id"], source["citation"], source["licence"], source["licence_address"]):
        assert end.says(words), words


def test_a_failed_run_has_its_error_first_and_in_its_place(out):
    one = Paper(next(out.glob("fails-*.pdf")).read_bytes())
    record = records.read(next(out.glob("fails-*.json")))
    assert record["status"] == "failed"
    start, _, rest = one.pages[0].partition("Notebook")
    failed = f"This run failed in cell {record['error']['cell']}, and is not to be cited. KeyError:"
    assert failed in start
    assert "failed" in rest
    assert one.says("before")
    assert one.text.count("KeyError") >= 3  # in the traceback too
    assert "never" not in one.text
    assert "An Exception was encountered" not in one.text  # papermill's own banner


def test_the_same_notebook_gives_the_same_bytes_without_being_run_again(out, tmp_path_factory):
    folder = out.parent
    before = {path.name: path.read_bytes() for path in out.glob("paper-*")}
    (name,) = (name for name in before if name.endswith(".pdf"))
    (out / name).unlink()
    words = [folder / "paper.ipynb", "-p", f"s={TEXT}", "--out", out, "--formats"]
    assert batch(*words, "html").stderr.startswith("1 run: 1 done\n")
    assert not (out / name).exists()
    done = batch(*words, "pdf")
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("1 run: 1 to be completed\n")
    assert {path.name: path.read_bytes() for path in out.glob("paper-*")} == before
    index = (out / "index.html").read_text(encoding="utf-8")
    assert f'<a href="{name}">PDF</a>' in index


def test_there_is_nothing_of_the_machine_in_it(left, out):
    streams = [one.get_data() for one in left.objects if hasattr(one, "get_data")]
    said = b"\n".join([left.content, *streams, left.text.encode()])
    names = [name for name in (socket.gethostname(), getpass.getuser()) if len(name) > 5]
    for marker in (str(out.parent), str(Path.home()), "/tmp/", *names):
        assert marker.encode() not in said, marker


def test_without_figures_tables_sources_and_author_it_is_a_paper_too(record):
    bare = {"authors": [], "sources": [], "workbooks": [], "data": {}, "results": {}}
    one = papered(record, new_markdown_cell("Only this."), **bare)
    assert one.reader.metadata.author is None
    assert one.captions("Figure") == one.captions("Table") == []
    assert one.says("A title A question? Notebook")
    assert one.says("Only this.")
    assert len(one.pages) == 1


def test_a_notebook_s_own_pictures_are_shown_and_broken_ones_told(record):
    dot = b"\x89PNG\r\n\x1a\n" + b"".join(
        len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)
        for kind, data in (
            (b"IHDR", b"\0\0\0\1\0\0\0\1\x08\0\0\0\0"),
            (b"IDAT", zlib.compress(b"\0\0")),
            (b"IEND", b""),
        )
    )
    svg = '<svg xmlns="http://www.w3.org/2000/svg" width="90" height="40">{}</svg>'
    one = papered(
        record,
        shown(image__png=base64.b64encode(dot).decode(), text__plain="<Figure>"),
        shown(image__svg_xml=svg.format("<text y='20'>Сурет</text>")),
        shown(image__svg_xml=svg.format("<image href='/etc/passwd'/>")),
        shown(image__png="AAAA"),
        shown(image__png="no base64"),
    )
    assert one.captions("Figure") == [1, 2]
    assert len(one.of_type("/Subtype", "/Image")) == 1
    assert one.says("Сурет")
    assert one.text.count("A picture cannot be shown here; the executed notebook, paper-") == 3


@pytest.mark.parametrize(
    "cell",
    [
        new_markdown_cell(">" * 500 + " deep"),
        new_markdown_cell("\n".join("  " * depth + "- x" for depth in range(100))),
        new_markdown_cell("x" * 30_000 + "\n\n`" + "y" * 30_000 + "`\n\nhttps://a.b/" + "z" * 9000),
        new_markdown_cell("#\n\n##\n\n***\n\n[]()\n\n![]()\n\n|a|\n|-|\n\n```\n```"),
        new_markdown_cell("\x00\x08\ud800 \uffff \u202e中文 😀 عربي"),
        shown(text__html="<div>" * 3000 + "deep"),
        shown(text__html="<b><i>" * 300 + "deep"),
        shown(text__html="<table><tr>" + "<td>12345</td>" * 300 + "</tr></table>"),
        shown(text__html="<table><tr><td>x<td>" + "word " * 9000 + "</table>"),
        shown(text__html="<table><thead><tr><th>" + "word " * 3000 + "</thead><tr><td>x</table>"),
        shown(text__html="<table><tr><td colspan=99999999>x<td rowspan=9999>y<tr><td>z</table>"),
        shown(text__html="<table></table><table><caption>c</caption></table><table><tr></table>"),
        new_code_cell("", outputs=[new_output("stream", name="stdout", text="x" * 10**6)]),
        new_code_cell(
            "", outputs=[new_output("stream", name="stdout", text="a\r\n\x1b[31mb\tc\x00")]
        ),
    ],
    ids=range(14),
)
def test_nothing_is_too_odd_to_be_set(record, cell):
    one = papered(record, cell)
    assert len(one.pages) < 20
    assert one.says("Record of this run")


def test_what_was_printed_at_length_is_shortened(record):
    text = "".join(f"row {n}\n" for n in range(100_000))
    one = papered(
        record, new_code_cell("", outputs=[new_output("stream", name="stdout", text=text)])
    )
    assert one.says("row 39 99,960 more lines are left out here; the executed notebook, paper-")
    assert "row 40" not in one.text


def test_many_parameters_and_long_ones_are_all_there(record):
    given = {f"name_{n}": "value" * n for n in range(60)} | {"long": "word " * 5000}
    one = papered(record, parameters=given)
    for name, value in given.items():
        assert one.says(f"{name} {value}"), name


def test_headings_leave_no_level_out_since_readers_go_by_them(record):
    one = papered(record, new_markdown_cell("#### Deep\n\n## Up\n\n#### Down\n\n# Top"))
    levels = [o["/S"] for o in one.objects if re.fullmatch("/H[1-6]", str(o.get("/S", "")))]
    assert sorted(levels) == ["/H1", "/H1", "/H1", "/H1", "/H2"]


def test_figures_that_do_not_fit_leave_no_page_half_empty(record):
    chart = {"mark": "bar", "width": 720, "height": 500, "data": {"values": [{}]}}
    cells = []
    for n in range(8):
        cells.append(new_markdown_cell(f"text {n} " * 150))
        cells.append(
            shown(**{"application__vnd.vegalite.v5+json": chart | {"title": f"Chart {n}"}})
        )
    one = papered(record, *cells)
    assert one.captions("Figure") == [*range(1, 9)]
    assert len(one.pages) <= 9
    for page in one.pages[:-2]:
        assert len(page) > 500 or page.count("Figure") > 1, page


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_tall_chart_is_laid_on_pages_so_that_its_labels_stay_legible(record, language):
    with speaking(language):
        found = trend("registered")
        chart = kz.charts.timeline(found.drawn(), "Torture", "Sources", found.marked).to_dict()
        text = "{title} (part {number} of {parts})"
        captions = [say(text, title="Torture", number=n, parts=2) for n in (1, 2)]
        number = say("Figure {n}", n=1)
    cell = shown(**{"application__vnd.vegalite.v5+json": chart})
    one = papered(record, cell, parameters={"language": language})
    for caption in captions:  # in two parts, and yet one figure, as on the run's page
        assert one.says(f"{number}. {caption}")
    sizes = [picture["/BBox"][2:] for picture in one.of_type("/Subtype", "/Form")]
    assert len(sizes) == 2
    for width, height in sizes:  # on 16.4 cm, and 21 cm at most; its letters have 11 pixels
        assert 11 * min(465 / width, 595 / height) > 6


def test_tables_keep_their_columns_where_cells_span_rows():
    (table,) = of_html(
        "<table><thead><tr><th></th><th>a</th><th>b</th></tr></thead>"
        "<tr><th rowspan=2>K</th><td>1</td><td>2</td></tr><tr><td>3</td><td>4</td></tr>"
        "<tr><td colspan=2>5</td><td style='text-align: right'>6</td></tr></table>"
    )
    said = [[("".join(cell["of"]), cell["span"]) for cell in row] for row in table["rows"]]
    assert said == [
        [("K", 1), ("1", 1), ("2", 1)],
        [("", 1), ("3", 1), ("4", 1)],
        [("5", 2), ("6", 1)],
    ]
    assert [cell["align"] for cell in table["rows"][2]] == ["left", "right"]


def test_white_space_is_one_space_and_breaks_are_kept():
    (paragraph,) = of_html("<p>\n a  <b> b</b>\n c<br> d </p>")
    assert paragraph["of"] == [
        *("a ", {"kind": "strong", "of": ["b"]}, " c", {"kind": "break"}, "d "),
    ]
    (paragraph,) = of_markdown("a &amp; b <i>c</i>")
    assert "".join(paragraph["of"]) == "a & b <i>c</i>"


def test_a_pdf_that_cannot_be_made_is_told_and_the_run_stands(tmp_path):
    path = made(
        tmp_path / "draws.ipynb",
        "from IPython.display import display\n"
        "display({'application/vnd.vegalite.v5+json': {'mark': 'nothing known'}}, raw=True)",
    )
    done = batch(path, "--out", tmp_path / "out", "--formats", "pdf")
    assert done.returncode == 1
    assert (
        "draws n=1 failed outside its cells: PageError: its PDF could not be made: " in done.stderr
    )
    assert not runs(tmp_path / "out", "pdf")
    (left,) = runs(tmp_path / "out")
    assert json.loads(left.read_text(encoding="utf-8"))["status"] == "completed"
    done = batch(path, "--out", tmp_path / "out", "--formats", "html,pdf")
    assert done.stderr.startswith("1 run: 1 to be completed\n")
    assert "its page could not be made: " in done.stderr
    assert "; its PDF could not be made: " in done.stderr


def test_a_run_that_is_made_again_renews_the_formats_that_are_there(tmp_path):
    flag = tmp_path / "flag"
    path = made(
        tmp_path / "sometimes.ipynb",
        f"import pathlib\nassert pathlib.Path({str(flag)!r}).exists(), 'not yet'",
    )
    words = [path, "--out", tmp_path / "out", "--formats"]
    assert batch(*words, "pdf").returncode == 1
    assert "not yet" in Paper(runs(tmp_path / "out", "pdf")[0].read_bytes()).text
    flag.touch()
    assert batch(*words, "none").returncode == 0
    (again,) = runs(tmp_path / "out", "pdf")
    assert "not yet" not in Paper(again.read_bytes()).text
    assert not runs(tmp_path / "out", "html")


def test_the_project_s_notebooks_are_papers_with_all_on_the_page(report):
    for (name, period), outcome in report.items():
        notebook = nbformat.read(outcome.page_path.with_suffix(".ipynb"), as_version=4)
        one = Paper(pdf.document(notebook, outcome.record))
        charts = len(outcome.record["figures"])
        # a tall chart's parts share its number
        assert {*one.captions("Figure")} == {*range(1, charts + 1)}, (name, period)
        assert not one.of_type("/Subtype", "/Image")
        for words in ("Recorded figures", "Sources", cite.run(outcome.record)):
            assert one.says(words), (name, words)
        for figure in outcome.record["results"]:
            assert one.says(figure), (name, figure)
        for page, text in zip(one.reader.pages, one.pages, strict=True):
            assert len(text) > 200, name
            assert all(60 < x < 535 and 35 < y < 790 for x, y in places(page)), name
