"""`kzresearch ingest`: what becomes of each file, whatever it is and whatever happens meanwhile."""

import json
import os
import pickle
import pty
import random
import re
import select
import shutil
import signal
import subprocess
import sys
import termios
import time
import zlib
from pathlib import Path

import polars as pl
import psutil
import pytest
from filelock import FileLock

import kzresearch as kz
from kzresearch import ingesting, readers
from kzresearch.errors import OutputError, ParameterError
from kzresearch.form_1m.codebook import section_names
from kzresearch.form_1m.sheet import MAX_WORKBOOKS
from kzresearch.regions import region_codes
from kzresearch.store import store as own
from tests.conftest import command
from tests.reports import made, make_report
from tests.run.servers import until
from tests.test_store import damages, files
from tests.workbooks import _saved_in, rewrite

PERIOD = "2023-12"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the user's store is: a folder that is not there yet."""
    monkeypatch.setenv("KZRESEARCH_STORE", str(tmp_path / "store"))
    return tmp_path / "store"


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    """A folder for workbooks; no folder above it is named as a period."""
    (tmp_path / "reports").mkdir()
    return tmp_path / "reports"


def taken(*words, **options) -> dict[str, str]:
    """File → what became of it, with the reason."""
    found = kz.ingest(*words, **{"jobs": 1} | options)
    assert all("\n" not in (reason or "") for reason in found["reason"])
    return {
        one["file"]: one["outcome"] + (f": {one['reason']}" if one["reason"] else "")
        for one in found.to_dicts()
    }


def ran(*words: object, check: int = 0, **options) -> subprocess.CompletedProcess[str]:
    """The command, as a user runs it."""
    done = subprocess.run(
        [command("kzresearch"), *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        **options,
    )
    assert done.returncode == check, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "a fault of kzresearch" not in done.stderr
    return done


def held() -> dict[str, str]:
    """Region → period of what is in the store."""
    return {one.region: one.period for one in own().reports()}


def test_the_function_and_the_modules_have_their_names():
    assert kz.ingest is ingesting.ingest
    assert callable(kz.store.store)


def test_what_is_read_is_what_stands_in_the_workbook(folder, reports):
    path = make_report(reports / PERIOD / "Astana.xlsx", "KZ-71", F70=12)
    found = kz.ingest(reports, jobs=1)
    assert found.select("file", "outcome", "region", "region_source").rows() == [
        ("Astana.xlsx", "taken", "KZ-71", "workbook")
    ]
    frame = kz.load_form_1m(PERIOD)
    direct = kz.read_form_1m(path, PERIOD)
    keys = ["section", "row", "measure"]
    same = [name for name in frame.columns if name != "period_source"]
    assert frame.sort(keys).select(same).equals(direct.sort(keys).select(same))
    assert frame["period_source"].unique().to_list() == ["folder"]
    assert kz.load_form_1m(PERIOD, "KZ-71", "R1", "146", "registered")["value"].item() == 12
    assert frame.filter(pl.col("value") > 0).height >= len(made())
    expected = kz.check_form_1m(frame).filter(pl.col("status") == "hard", pl.col("fails") > 0)
    assert found["broken"].item().sort().to_list() == expected["identity"].sort().to_list()
    assert found["broken"].item().len() > 100


# Who says the period and the region


def saved_in(path: Path, folder: str) -> Path:
    return rewrite(path, {"xl/workbook.xml": lambda data: _saved_in(data, folder)})


def test_who_says_the_period_is_recorded(folder, reports):
    make_report(reports / "2023-10" / "deeper" / "by folder.xlsx", "KZ-10")
    saved_in(make_report(reports / "by file.xlsx", "KZ-75"), r"D:\1-M\2023\11\1975")
    make_report(reports / "by manifest.xlsx", "KZ-11")
    (reports / "list.csv").write_text("file,period\nby manifest.xlsx,2023-09\n")
    found = taken(reports, manifest=reports / "list.csv")
    assert set(found.values()) == {"taken"}
    make_report(reports / "by option" / "one.xlsx", "KZ-15")
    assert taken(reports / "by option", period=PERIOD) == {"one.xlsx": "taken"}
    books = kz.load_workbooks().filter(pl.col("period") > "2023")
    assert books.select("region", "period", "period_source").sort("region").rows() == [
        ("KZ-10", "2023-10", "folder"),
        ("KZ-11", "2023-09", "manifest"),
        ("KZ-15", PERIOD, "argument"),
        ("KZ-75", "2023-11", "workbook"),
    ]


def test_of_what_contradicts_itself_nothing_is_taken(folder, reports):
    saved_in(make_report(reports / PERIOD / "file.xlsx", "KZ-75"), r"D:\1-M\2023\11\1975")
    make_report(reports / PERIOD / "manifest.xlsx", "KZ-10")
    make_report(reports / "nothing.xlsx", "KZ-11")
    make_report(reports / PERIOD / "region.xlsx", "KZ-15")
    (reports / "list.csv").write_text(
        f"file,period,region\n{PERIOD}/manifest.xlsx,2023-10,\n{PERIOD}/region.xlsx,,KZ-19\n"
    )
    found = taken(reports, manifest=reports / "list.csv")
    assert found == {
        "file.xlsx": "refused: file.xlsx: file properties: states the period 2023-11, but the folder "
        "says 2023-12; one of the two is wrong",
        "manifest.xlsx": "refused: manifest.xlsx: its period is given differently (2023-10 by "
        "manifest, 2023-12 by folder); give one",
        "nothing.xlsx": "refused: nothing.xlsx: does not state its period; name its folder YYYY-MM, "
        "or give --period or --manifest",
        "region.xlsx": found["region.xlsx"],
    }
    assert "the manifest says KZ-19; one of the two is wrong" in found["region.xlsx"]
    assert "2023-10 by argument, 2023-12 by folder" in " ".join(
        taken(reports / PERIOD, period="2023-10").values()
    )
    assert own().reports() == []


def test_a_file_without_properties_needs_its_region(folder, reports):
    path = make_report(reports / PERIOD / "lost.xlsx", "KZ-75")
    rewrite(path, {"docProps/core.xml": lambda _: None})
    assert "give --region KZ-75 or --manifest" in taken(path)["lost.xlsx"]
    assert taken(path, region="KZ-75") == {"lost.xlsx": "taken"}
    (book,) = own().reports()
    assert (book.region, book.region_source, book.organ_code) == ("KZ-75", "argument", None)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"period": "2023-13"}, "period '2023-13' is not of the form YYYY-MM"),
        ({"period": "12.2023"}, "is not of the form YYYY-MM"),
        ({"region": "KZ-99"}, "unknown region 'KZ-99'; near matches"),
    ],
)
def test_an_option_that_is_wrong_is_refused_before_anything_is_read(
    folder, reports, option, message
):
    make_report(reports / "one.xlsx")
    with pytest.raises(ParameterError, match=message):
        kz.ingest(reports, **option)
    assert not folder.exists()


# Manifests


@pytest.mark.parametrize(
    "text",
    [
        b"file,period,region\none.xlsx,2023-12,KZ-75\n",
        b"\xef\xbb\xbffile;period;region\r\none.xlsx;2023-12;KZ-75\r\n;;\r\n\r\n",
        b"region,file,period\n,../reports/./one.xlsx,2023-12\n",
        b'period,file\n2023-12,"one.xlsx"',
    ],
)
def test_a_manifest_says_what_its_files_are(folder, reports, text):
    make_report(reports / "one.xlsx", "KZ-75")
    (reports / "list.csv").write_bytes(text)
    assert taken(manifest=reports / "list.csv") == {"one.xlsx": "taken"}
    assert held() == {"KZ-75": PERIOD}


def test_a_manifest_holds_however_a_file_is_reached(folder, reports, monkeypatch):
    make_report(reports / "one.xlsx", "KZ-75")
    (reports / "list.csv").write_text("file,period\none.xlsx,2023-12\n")
    (reports / "below").mkdir()
    (reports.parent / "link").symlink_to(reports)
    monkeypatch.chdir(reports / "below")
    expected = ["taken", "already there", "already there"]
    ways = [("../one.xlsx", "../list.csv"), (reports.parent / "link", "../list.csv")]
    ways += [(reports / "below" / ".." / "one.xlsx", reports.parent / "link" / "list.csv")]
    outcomes = [taken(path, manifest=listed)["one.xlsx"] for path, listed in ways]
    assert outcomes == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "has the columns none"),
        (b"name,period\none.xlsx,2023-12\n", "has the columns name, period"),
        (b"file,period,who\none.xlsx,2023-12,me\n", "has the columns file, period, who"),
        (b"file,file\none.xlsx,two.xlsx\n", "has the columns file, file"),
        (b"file\tperiod\none.xlsx\t2023-12\n", "has the columns file.tperiod"),
        (b"file,period\none.xlsx\n", "line 2: has not one value for each column"),
        (b"file,period\none.xlsx,2023-12,x\n", "line 2: has not one value for each column"),
        (b"file,period\n\n,2023-12\n", "line 3: has not one value for each column"),
        (b"file,period\none.xlsx,2023-12\n./one.xlsx,2023-11\n", "line 3: ./one.xlsx stands there"),
        (b"file,period\none.xlsx,2023-31\n", "line 2: period '2023-31' is not of the form"),
        (b"file,region\none.xlsx,Astana\n", "line 2: unknown region 'Astana'"),
        (b'file,period\n"one.xlsx,2023-12\n', "unexpected end of data"),
        ("file,period\nАстана.xlsx,2023-12\n".encode("cp1251"), "is not in UTF-8"),
        ("file,period\none.xlsx,2023-12\n".encode("utf-16"), "is not in UTF-8"),
        (b"file,period\none\0.xlsx,2023-12\n", "line 2: "),
        (b"\x1b[31mfile\n", r"\x1b[31mfile"),
    ],
)
def test_a_manifest_that_is_wrong_is_refused_before_anything_is_read(
    folder, reports, text, message
):
    make_report(reports / "one.xlsx", "KZ-75")
    (reports / "list.csv").write_bytes(text)
    with pytest.raises(ParameterError) as caught:
        kz.ingest(reports, manifest=reports / "list.csv")
    said = str(caught.value)
    assert message.replace("file.tperiod", r"file\tperiod") in said
    assert said.startswith("list.csv")
    assert said.isprintable()
    assert "a manifest is a CSV file with the columns file, period, region" in said
    assert not folder.exists()


def test_a_file_that_a_manifest_names_and_is_not_there_is_refused_alone(folder, reports):
    make_report(reports / "one.xlsx", "KZ-75")
    (reports / "list.csv").write_text("file,period\none.xlsx,2023-12\ntwo.xlsx,2023-12\n")
    found = taken(manifest=reports / "list.csv")
    assert found == {
        "one.xlsx": "taken",
        "two.xlsx": "refused: two.xlsx: no such file; give the path of one .xlsx file",
    }
    with pytest.raises(ParameterError, match="no workbook given"):
        kz.ingest()
    with pytest.raises(ParameterError, match="cannot be read"):
        kz.ingest(manifest=reports / "none.csv")


# Folders and names


def test_a_folder_is_looked_through_for_workbooks(folder, reports):
    make_report(reports / PERIOD / "a" / "b" / "Deep.XLSX", "KZ-75")
    for name in ("~$Deep.XLSX", ".Deep.XLSX.xlsx", "notes.txt", "list.csv"):
        (reports / PERIOD / name).write_text("none")
    (reports / PERIOD / "a" / "loop").symlink_to(reports)
    (reports / PERIOD / "gone.xlsx").symlink_to(reports / "nowhere")
    (reports / PERIOD / "folder.xlsx").mkdir()
    os.mkfifo(reports / PERIOD / "pipe.xlsx")
    assert taken(reports) == {
        "gone.xlsx": "refused: gone.xlsx: no such file; give the path of one .xlsx file",
        "pipe.xlsx": "refused: pipe.xlsx: no such file; give the path of one .xlsx file",
        "Deep.XLSX": "taken",
    }
    # once more, by two ways: a file is read once
    again = taken([reports / PERIOD / "a", reports / PERIOD / "a" / "b" / "Deep.XLSX"])
    assert again == {"Deep.XLSX": "already there"}
    with pytest.raises(ParameterError, match="no workbook given"):
        kz.ingest(reports / PERIOD / "folder.xlsx")


HOSTILE = [
    b"a\x1b[31m\x1b]0;title\x07.xlsx",
    b"b\nline\r.xlsx",
    b"c\xff\xfe.xlsx",
    "d\u202elsx.\u009b31m.xlsx".encode(),
    b"e'; rm -rf $HOME; `id`.xlsx",
]


def test_names_cannot_speak_to_a_terminal(folder, reports, tmp_path):
    (reports / PERIOD).mkdir()
    one = make_report(tmp_path / "one.xlsx", "KZ-75")
    for name in HOSTILE[:-1]:
        Path(os.fsdecode(bytes(reports / PERIOD) + b"/" + name)).write_bytes(b"junk")
    shutil.copyfile(one, os.fsdecode(bytes(reports / PERIOD) + b"/" + HOSTILE[2]))
    shutil.copyfile(one, os.fsdecode(bytes(reports / PERIOD) + b"/" + HOSTILE[0]))
    done = ran("ingest", reports, "-j", "1", check=1)
    lines = done.stdout.splitlines()
    assert all(line.isprintable() for line in lines)
    assert len(lines) == 4
    assert r"refused: b\nline\r.xlsx: not an Excel workbook" in done.stdout
    assert r"d\u202elsx.\x9b31m.xlsx" in done.stdout
    assert held() == {"KZ-75": PERIOD}
    done = ran("ingest", reports, "-j", "1", "--json", check=1)
    names = [one["file"] for one in json.loads(done.stdout)["files"]]
    assert all(name.isprintable() for name in names)
    assert len(names) == 4
    rest = own().reports()[0].file
    assert rest == r"a\x1b[31m\x1b]0;title\x07.xlsx"
    assert ran("store").stdout.replace("\n", "").isprintable()


def test_a_title_cannot_speak_to_a_terminal(folder, reports):
    path = make_report(reports / PERIOD / "one.xlsx", "KZ-75")

    def core(xml: bytes) -> bytes:
        return re.sub(rb"(<dc:title>).*?(</dc:title>)", "\\1\u009b31m\u202eX\\2".encode(), xml)

    rewrite(path, {"docProps/core.xml": core})
    assert taken(path)["one.xlsx"].isprintable()
    assert all(line.isprintable() for line in ran("ingest", path, check=1).stdout.splitlines())


def damaged(path: Path, kind: str) -> Path:
    """A workbook that is none, in one of several ways."""
    make_report(path, "KZ-10")
    data = path.read_bytes()
    content = {
        "cut": data[: len(data) // 2],
        "empty": b"",
        "text": b"file,period\n",
        "noise": random.Random(1).randbytes(100_000),
        "flipped": data[:200_000] + bytes(2_000) + data[202_000:],
    }
    path.write_bytes(content[kind])
    return path


def test_files_that_are_broken_stop_no_other(folder, reports):
    kinds = ("cut", "empty", "text", "noise", "flipped")
    for kind in kinds:
        damaged(reports / PERIOD / f"{kind}.xlsx", kind)
    (reports / PERIOD / "missing sheet.xlsx").write_bytes(b"PK\5\6" + bytes(18))
    make_report(reports / PERIOD / "a.xlsx", "KZ-75")
    make_report(reports / PERIOD / "z.xlsx", "KZ-11")
    found = taken(reports, jobs=2)
    assert {name for name, outcome in found.items() if outcome == "taken"} == {"a.xlsx", "z.xlsx"}
    refused = {name: outcome for name, outcome in found.items() if outcome != "taken"}
    assert len(refused) == len(kinds) + 1
    for name, outcome in refused.items():
        assert outcome.startswith(f"refused: {name}: "), outcome
        assert "fault" not in outcome
    assert held() == {"KZ-11": PERIOD, "KZ-75": PERIOD}


# The same once more, and others in its place


def test_the_same_figures_are_there_already(folder, reports):
    path = make_report(reports / PERIOD / "one.xlsx", "KZ-75")
    assert taken(path) == {"one.xlsx": "taken"}
    before = files(folder)
    assert taken(path) == {"one.xlsx": "already there"}
    saved_again = rewrite(path, {"docProps/app.xml": lambda xml: xml + b"<!-- again -->"})
    assert taken(saved_again) == {"one.xlsx": "already there"}
    shutil.copyfile(path, path.with_name("two.xlsx"))
    assert taken(reports) == {"one.xlsx": "already there", "two.xlsx": "already there"}
    assert files(folder) == before


def test_a_copy_beside_it_is_there_already(folder, reports):
    path = make_report(reports / PERIOD / "one.xlsx", "KZ-75")
    shutil.copyfile(path, path.with_name("two.xlsx"))
    assert taken(reports) == {"one.xlsx": "taken", "two.xlsx": "already there"}


def test_one_report_given_as_that_of_two_months_is_refused(folder, reports):
    path = make_report(reports / PERIOD / "one.xlsx", "KZ-75")
    assert taken(path) == {"one.xlsx": "taken"}
    (reports / "2023-11").mkdir()
    shutil.copyfile(path, reports / "2023-11" / "one.xlsx")
    assert taken(reports / "2023-11") == {
        "one.xlsx": "refused: one.xlsx: given as KZ-75 for 2023-11, it has all the figures that are "
        "held of KZ-75 for 2023-12; one of the two is not what it is said to be"
    }
    assert held() == {"KZ-75": PERIOD}
    own().remove(PERIOD)  # and in one go
    found = kz.ingest(reports, jobs=1)
    assert found["outcome"].to_list() == ["taken", "refused"]


def test_two_reports_of_one_place_are_not_chosen_from(folder, reports):
    """The first stays, the other is refused: however often, and with --replace too."""
    make_report(reports / PERIOD / "a.xlsx", "KZ-75")
    make_report(reports / PERIOD / "b.xlsx", "KZ-75", F70=99)
    said = (
        "refused: b.xlsx: a second workbook of KZ-75 for 2023-12, after a.xlsx; give one of the two"
    )
    assert taken(reports) == {"a.xlsx": "taken", "b.xlsx": said}
    before = files(folder)
    assert taken(reports) == {"a.xlsx": "already there", "b.xlsx": said}
    assert taken(reports, replace=True) == {"a.xlsx": "already there", "b.xlsx": said}
    assert files(folder) == before
    assert taken(reports / PERIOD / "b.xlsx", replace=True)["b.xlsx"].startswith("replaced")
    both = taken(reports, replace=True)
    assert both["a.xlsx"].startswith("replaced: sha256 ")
    assert both["b.xlsx"] == said
    assert kz.load_form_1m(PERIOD, "KZ-75", "R1", "146", "registered")["value"].item() != 99


def test_a_corrected_report_takes_the_place_where_it_is_told_to(folder, reports):
    one = make_report(reports / PERIOD / "one.xlsx", "KZ-75", F70=1)
    two = make_report(reports / PERIOD / "two.xlsx", "KZ-75", F70=2)
    where = {"section": "R1", "article": "146", "measure": "registered"}
    assert taken(one) == {"one.xlsx": "taken"}
    (first,) = own().reports()
    before = files(folder)
    refused = taken(two)["two.xlsx"]
    assert refused == (
        "refused: two.xlsx is another workbook of KZ-75 for 2023-12 than one.xlsx (sha256 "
        f"{first.sha256}); --replace takes it instead, and keeps that one readable"
    )
    assert files(folder) == before
    done = ran("ingest", two, "-j", "1", check=1)
    assert "--replace takes it instead" in done.stdout
    done = ran("ingest", two, "-j", "1", "--replace")
    assert (
        f"replaced: KZ-75 2023-12 by two.xlsx; the earlier one is readable by its sha256 {first.sha256}"
        in done.stdout
    )
    assert kz.load_form_1m(PERIOD, **where)["value"].to_list() == [2]
    assert kz.load_form_1m(workbook=first.sha256, **where)["value"].to_list() == [1]
    assert damages() == []


def test_a_bundled_report_is_there_already_or_replaced(folder, reports):
    bundled = kz.load_workbooks().filter(region="KZ-75", period="2022-12")
    path = make_report(reports / "2022-12" / "one.xlsx", "KZ-75", F70=1)
    assert bundled["sha256"].item() in taken(path)["one.xlsx"]
    assert taken(path, replace=True)["one.xlsx"] == f"replaced: sha256 {bundled['sha256'].item()}"
    where = {"section": "R1", "article": "146", "measure": "registered"}
    assert kz.load_form_1m("2022-12", "KZ-75", **where)["value"].to_list() == [1]
    old = kz.load_form_1m(workbook=bundled["sha256"].item(), **where)
    assert old["period"].to_list() == ["2022-12"]
    assert old["value"].item() != 1


def test_official_workbooks_are_there_already(folder, raw):
    path = min((raw / "form_1m" / "2022-12").glob("*.XLSX"))
    assert taken(path, period="2022-12") == {path.name: "already there"}
    assert not (folder / "form_1m").exists()


def test_another_store_is_compared_with_and_written(folder, reports, tmp_path):
    path = make_report(reports / PERIOD / "one.xlsx", "KZ-75")
    assert taken(path) == {"one.xlsx": "taken"}
    other = tmp_path / "other"
    assert taken(path, store=other) == {"one.xlsx": "taken"}
    assert taken(path, store=str(other)) == {"one.xlsx": "already there"}
    assert files(other) == files(folder)
    assert os.environ["KZRESEARCH_STORE"] == str(folder)


class Terminal:
    """A command whose input and output are a terminal's."""

    def __init__(self, *words: object) -> None:
        ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (24, 120))
        self.printed, self._ours = b"", ours
        self.process = subprocess.Popen(
            ["sh", "-c", 'exec "$@" <>"$0" >&0 2>&0', os.ttyname(theirs), command("kzresearch")]
            + [str(word) for word in words],
            start_new_session=True,  # so that the terminal it opens is the one it obeys
        )
        os.close(theirs)

    def until(self, text: bytes) -> None:
        end = time.monotonic() + 60
        while text not in self.printed:
            assert time.monotonic() < end, self.printed
            if not self._read():  # the command has not opened the terminal yet
                time.sleep(0.05)

    def type(self, keys: bytes) -> None:
        os.write(self._ours, keys)

    def ended(self) -> int:
        while self._read():
            pass
        os.close(self._ours)
        return self.process.wait(60)

    def _read(self) -> bytes:
        assert select.select([self._ours], [], [], 60)[0], self.printed
        try:
            found = os.read(self._ours, 65536)
        except OSError:  # Linux' way to say that it is over
            return b""
        self.printed += found
        return found


@pytest.mark.parametrize(("answer", "code", "value"), [(b"y\n", 0, 2), (b"n\n", 1, 1)])
def test_on_a_terminal_it_asks_and_shows_how_far_it_is(folder, reports, answer, code, value):
    assert taken(make_report(reports / "old" / PERIOD / "one.xlsx", "KZ-75", F70=1))
    make_report(reports / "new" / PERIOD / "two.xlsx", "KZ-75", F70=2)
    make_report(reports / "new" / PERIOD / "zz.xlsx", "KZ-10")
    terminal = Terminal("ingest", reports / "new", "-j", "1")
    terminal.until(b"replace that one? [y/N]")
    terminal.type(answer)
    assert terminal.ended() == code
    assert b"0/2" in terminal.printed
    assert b"1/2" in terminal.printed
    assert b"1 taken" in terminal.printed
    found = kz.load_form_1m(PERIOD, "KZ-75", "R1", "146", "registered")
    assert found["value"].to_list() == [value]


def test_where_it_asks_it_can_be_stopped(folder, reports):
    assert taken(make_report(reports / "old" / PERIOD / "one.xlsx", "KZ-75", F70=1))
    before = files(folder)
    make_report(reports / "new" / PERIOD / "two.xlsx", "KZ-75", F70=2)
    terminal = Terminal("ingest", reports / "new", "-j", "1")
    terminal.until(b"replace that one? [y/N]")
    time.sleep(0.5)  # Python writes the question, and then begins to read
    terminal.type(b"\x03")
    assert terminal.ended() == 130
    assert b"the same command goes on" in terminal.printed
    assert files(folder) == before


# What it says


def test_what_is_printed_and_how_it_ends(folder, reports):
    make_report(reports / PERIOD / "one.xlsx", "KZ-75")
    done = ran("ingest", reports)
    assert re.fullmatch(
        r"KZ-75 2023-12 breaks \d+ hard identities: [^\n]+ …; kzresearch check names the cells\n"
        r"1 file: 1 taken\n",
        done.stdout,
    )
    assert done.stderr == ""
    (reports / PERIOD / "junk.xlsx").write_bytes(b"junk")
    done = ran("ingest", reports, check=1)
    assert done.stdout.endswith("2 files: 1 already there, 1 refused\n")
    done = ran("ingest", reports, "--quiet", check=1)
    assert done.stdout == "refused: junk.xlsx: not an Excel workbook (.xlsx)\n"
    done = ran("ingest", reports, "--json", check=1)
    found = json.loads(done.stdout)["files"]
    assert [(one["file"], one["outcome"]) for one in found] == [
        ("junk.xlsx", "refused"),
        ("one.xlsx", "already there"),
    ]
    assert set(found[1]) == set(kz.schemas.Ingested.column_names())
    assert ran("ingest", reports / PERIOD / "one.xlsx", "-q").stdout == ""
    assert "name files or folders" in ran("ingest", check=2).stderr
    assert "does not exist" in ran("ingest", reports / "nowhere", check=2).stderr
    done = ran("ingest", reports, "--period", "2023", check=1)
    assert (
        done.stderr
        == "Error: period '2023' is not of the form YYYY-MM, such as 2022-12, from 2000 on\n"
    )


# Readers that are lost

BEHAVES = """
import os, sys, time
from kzresearch import readers
reading = readers.read
spoilt = []
def read(job, *asks):
    if spoilt:
        os.kill(os.getpid(), 9)
    if job.name.startswith("spoils"):
        spoilt.append(job)
    if job.name.startswith("dies"):
        os.kill(os.getpid(), 9)
    while job.name.startswith("hangs"):
        time.sleep(1)
    grown = []
    while job.name.startswith("grows"):
        grown.append(bytearray(b"x") * 2**25)
        time.sleep(0.01)
    if job.name.startswith("writes"):
        open(os.environ["KZRESEARCH_STORE"] + "/written", "wb").write(b"x")
    if job.name.startswith("prints"):
        print("noise", flush=True)
        os.write(1, b"noise")
    return reading(job, *asks)
readers.read = read
readers.serve()
"""


def test_a_reader_that_is_lost_is_told_of_its_own_file_alone(folder, reports, monkeypatch):
    monkeypatch.setattr(readers, "_SERVE", BEHAVES)
    monkeypatch.setattr(readers, "MAX_SECONDS", 12)
    kinds = ("dies", "hangs", "grows", "writes", "prints", "spoils")
    for number, region in enumerate(region_codes()[: 2 * len(kinds)]):
        name = kinds[number // 2] if number % 2 else f"{kinds[number // 2][0]} sound"
        make_report(reports / PERIOD / f"{name}.xlsx", region)
    found = taken(reports, jobs=2)
    sound = {name for name, outcome in found.items() if outcome == "taken"}
    expected = {f"{kind[0]} sound.xlsx" for kind in kinds}
    assert sound == expected | {"prints.xlsx", "spoils.xlsx", "writes.xlsx"}
    assert found["dies.xlsx"] == (
        "refused: dies.xlsx: the process that read it was ended (-9), by the file or by something else "
        "on this machine; ingest it alone to see"
    )
    assert "hangs.xlsx: takes more than 12 s to read" in found["hangs.xlsx"]
    assert "grows.xlsx: takes more than 500 MB to read" in found["grows.xlsx"]
    written = folder / "written"
    assert written.read_bytes() == b""  # no more can be written
    left = [one.cmdline() for one in psutil.Process().children(recursive=True)]
    assert [words for words in left if BEHAVES in words] == []


# Readers that share what they learn of layouts

COUNTS = """
import os, time
from kzresearch import readers
from kzresearch.form_1m import sheet
reading, plan = readers.read, sheet._plan
learnt = []
sheet._plan = lambda *given: learnt.append(1) or plan(*given)
def read(job, *asks):
    def may_learn(layout):
        # The one that dies asks first, the one that hangs second.
        time.sleep({"hangs": 0.5, "sound": 3}.get(job.name.split()[0], 0))
        may = asks[0](layout)
        if may and job.name.startswith("dies"):
            os.kill(os.getpid(), 9)
        while may and job.name.startswith("hangs"):
            time.sleep(1)
        return may
    learnt.clear()
    found = reading(job, *[may_learn][: len(asks)])
    return found if isinstance(found, readers.New) else readers.Refused(f"learnt {len(learnt)}")
readers.read = read
readers.serve()
"""
SHEETS = len(section_names())


def learnt(folder: Path, jobs: int = 2) -> list[int]:
    """Of how many sheets a plan was made for each workbook of a folder."""
    found = taken(folder, jobs=jobs)
    return [int(re.sub(r"refused: learnt ", "", said)) for said in found.values()]


def alike(reports: Path, *names: str) -> None:
    for name, region in zip(names, region_codes(), strict=False):
        make_report(reports / PERIOD / f"{name}.xlsx", region)


def test_what_one_reader_has_learnt_no_other_learns(folder, reports, monkeypatch):
    monkeypatch.setattr(readers, "_SERVE", COUNTS)
    alike(reports, *"abcdefghij")
    assert sorted(learnt(reports)) == [0] * 9 + [SHEETS]
    assert sorted(learnt(reports, jobs=1)) == [0] * 9 + [SHEETS]
    monkeypatch.setattr(readers, "_MAX_LESSONS", 1000)  # too little: each learns for itself
    assert sorted(learnt(reports)) == [0] * 8 + [SHEETS] * 2


def other_styles(styles: bytes) -> bytes:
    end = styles.rindex(b"</styleSheet>")
    return styles[:end] + b" " + styles[end:]


def test_figures_are_the_same_however_many_readers_learn(folder, reports, tmp_path):
    for number, region in enumerate(region_codes()):
        path = make_report(reports / PERIOD / f"{region}.xlsx", region, F70=number)
        if number % 3 == 2:  # another layout
            rewrite(path, {"xl/styles.xml": other_styles})
    for jobs in (1, 2, 3):
        kz.ingest(reports, store=tmp_path / f"of {jobs}", jobs=jobs)
    one, two, three = (files(tmp_path / f"of {jobs}") for jobs in (1, 2, 3))
    assert one == two == three
    assert len(one) > 0


def test_a_layout_is_learnt_by_another_where_a_reader_is_lost_or_slow(folder, reports, monkeypatch):
    monkeypatch.setattr(readers, "_SERVE", COUNTS)
    monkeypatch.setattr(readers, "_PATIENCE", 1)
    monkeypatch.setattr(readers, "MAX_SECONDS", 12)
    alike(reports, "dies 1", "hangs 2", "sound 1", "sound 2", "sound 3")
    found = taken(reports, jobs=2)
    assert found["hangs 2.xlsx"].startswith("refused: hangs 2.xlsx: takes more than 12 s to read")
    assert found["dies 1.xlsx"] == f"refused: learnt {SHEETS}"  # read again, and asks nobody
    sound = [said for name, said in found.items() if name.startswith("sound")]
    assert set(sound) <= {"refused: learnt 0", f"refused: learnt {SHEETS}"}


def test_layouts_are_passed_on_and_the_earliest_forgotten():
    layouts = readers._Layouts()
    for number in range(MAX_WORKBOOKS + 1):
        layout = bytes([number])
        assert layouts.of(layout) == b""
        assert layouts.of(layout) is None
        layouts.learnt(layout, b"lessons")
        assert layouts.wait(layout)
        assert layouts.of(layout) == b"lessons"
    assert layouts.of(bytes([0])) == b""
    layouts.learnt(bytes([0]), b"")
    assert pickle.loads(zlib.decompress(layouts.of(bytes([0])))) == {}  # nobody waits for it


# Stopped, killed, several at once


def many(folder: Path, number: int = 40) -> list[Path]:
    """Reports of four months."""
    months = ("2023-03", "2023-06", "2023-09", PERIOD)
    return [
        make_report(folder / months[index % 4] / f"{region}.xlsx", region, F70=index + 1)
        for index in range(number)
        for region in [region_codes()[index // 4]]
    ]


def started(*words: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [command("kzresearch"), *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )


def family(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def gone(processes: list[psutil.Process]) -> bool:
    return not any(one.is_running() and one.status() != "zombie" for one in processes)


@pytest.fixture(scope="module")
def months(tmp_path_factory) -> tuple[Path, dict[str, bytes]]:
    """Reports of four months, and the files of a store that holds them."""
    folder = tmp_path_factory.mktemp("months")
    many(folder / "reports")
    done = ran("ingest", folder / "reports", "--store", folder / "store")
    assert done.stdout.endswith("40 files: 40 taken\n")
    return folder / "reports", files(folder / "store")


@pytest.mark.slow
def test_stopped_by_ctrl_c_it_leaves_nothing_and_goes_on(folder, months):
    reports, expected = months
    process = started("ingest", reports)
    children = until(lambda: len(family(process)) == 2 and family(process), 60, process)
    time.sleep(1)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert out == b""
    assert err == b"stopped; what is in the store is kept, and the same command goes on\n"
    until(lambda: gone(children), 10)
    assert set(files(folder)) <= set(expected)
    assert damages() == []
    ran("ingest", reports)
    assert files(folder) == expected


def test_ctrl_c_does_not_wait_for_a_file_that_hangs(folder, reports):
    make_report(reports / PERIOD / "hangs.xlsx", "KZ-75")
    code = f"from kzresearch import cli, readers; readers._SERVE = {BEHAVES!r}; cli.main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "ingest", str(reports), "-j", "1"],
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    children = until(lambda: family(process), 60, process)
    time.sleep(3)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=10)
    assert process.returncode == 130, err
    assert b"the same command goes on" in err
    until(lambda: gone(children), 5)


SLICES = """
import sys
from kzresearch import ingesting
from kzresearch.cli import main
ingesting._TOGETHER = 3
main(sys.argv[1:])
"""


@pytest.mark.slow
def test_killed_at_any_moment_the_store_is_whole_and_the_same_command_goes_on(folder, months):
    reports, expected = months
    chance = random.Random(6)
    left: list[psutil.Process] = []
    kills = 0
    while kills < 15:
        process = subprocess.Popen(
            [sys.executable, "-c", SLICES, "ingest", str(reports)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        until(lambda p=process: family(p) or p.poll() is not None, 60)
        time.sleep(chance.uniform(0, 2))
        left += family(process)
        process.kill()
        out, _ = process.communicate(timeout=60)
        assert b"Error" not in out
        kills += 1
        assert damages() == []
        assert set(files(folder)) <= set(expected) | {
            name for name in files(folder) if re.fullmatch(r".*/figures\.parquet#\d+", name)
        }
    until(lambda: gone(left), 30)
    (folder / "form_1m" / f"period={PERIOD}").mkdir(parents=True, exist_ok=True)
    (folder / "form_1m" / f"period={PERIOD}" / "figures.parquet#1").write_bytes(b"begun")
    done = ran("ingest", reports)
    assert re.search(r"40 files: (\d+ taken, )?(\d+ already there)?", done.stdout)
    assert files(folder) == expected


def test_a_second_command_waits_for_no_other(folder, reports):
    make_report(reports / PERIOD / "one.xlsx", "KZ-75")
    folder.mkdir()
    with FileLock(folder / ".lock"):
        done = ran("ingest", reports, check=1)
        assert done.stderr == (
            f"Error: another command is writing into the store {folder}; wait for it to end\n"
        )
        with pytest.raises(OutputError):
            kz.ingest(reports)
        assert ran("store").stdout.startswith("0 reports")
    assert taken(reports) == {"one.xlsx": "taken"}


def test_readers_whose_parent_is_gone_end_by_themselves(folder, months):
    reports, _ = months
    process = started("ingest", reports, "--store", folder)
    children = until(lambda: len(family(process)) == 2 and family(process), 60, process)
    process.kill()
    process.communicate(timeout=30)
    until(lambda: gone(children), 30)


# Versions of the form


RENAMED = "Жестокое обращение, пытки (ст.146)"


def with_a_row_renamed(xml: bytes) -> bytes:
    return xml.replace("Пытки (ст.146)".encode(), RENAMED.encode())


def test_a_file_of_another_version_is_explained_drafted_completed_and_taken(folder, reports):
    path = make_report(reports / "new.xlsx", "KZ-75", F70=23)
    rewrite(path, {"xl/sharedStrings.xml": with_a_row_renamed})
    refused = taken(path, period="2025-03")["new.xlsx"]
    assert refused.startswith("refused: new.xlsx: R1!A70: expected the caption 'Пытки (ст.146)'")
    assert refused.endswith("see what differs: kzresearch ingest --explain new.xlsx")

    wrong = ran("ingest", path, "--explain", "--form", "../2025", check=2).stderr
    assert "use letters, digits, '.', '-' and '_'" in wrong
    said = ran("ingest", path, "--explain", "--form", "2025").stdout
    assert (
        f"'{RENAMED}', was 'Пытки (ст.146)' [article:146]: row 64 in R1, R1-1, R1-2; row 62" in said
    )
    draft = folder / "forms" / "2025.toml"
    assert f"draft of a version of the form: {draft}; complete it, and ingest again" in said
    assert own().reports() == []
    assert "draft not completed: 2025.toml" in taken(path, period="2025-03")["new.xlsx"]

    text = draft.read_text(encoding="utf-8").replace("complete = false", "complete = true")
    text = text.replace('from = ""', 'from = "2025-01"').replace('name = ""', 'name = "Torture"')
    draft.write_text(text, encoding="utf-8")
    assert "nothing: it is of version 2025" in ran("ingest", path, "--explain").stdout
    early = taken(path, period="2024-12")["new.xlsx"]
    assert "is of version 2025 of the form, which is used from 2025-01 on, but of 2024-12" in early
    assert taken(path, period="2025-03") == {"new.xlsx": "taken"}
    make_report(reports / "old.xlsx", "KZ-71")
    assert taken(reports / "old.xlsx", period="2025-03") == {"old.xlsx": "taken"}
    assert [(one.region, one.form_version) for one in own().reports()] == [
        ("KZ-71", "2022"),
        ("KZ-75", "2025"),
    ]
    cell = {"section": "R1", "article": "146", "measure": "registered"}
    (row,) = kz.load_form_1m("2025-03", "KZ-75", **cell).iter_rows(named=True)
    assert (row["value"], row["cell"]) == (23, "R1!F70")
    assert kz.titles("146")["title_ru"].to_list() == ["Пытки", "Жестокое обращение, пытки"]
    assert damages() == []

    # What is described otherwise afterwards would give figures under other names, and noughts.
    other = draft.read_text(encoding="utf-8").replace(
        'row = "article:146"', 'row = "article:146-9"'
    )
    draft.write_text(other, encoding="utf-8")
    with pytest.raises(kz.KzresearchError, match="2025"):
        kz.load_form_1m("2025-03", "KZ-75", section="R1", measure="registered")


def damage(path: Path) -> None:
    """Change one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_damaged_period_is_told_of_its_own_files_and_can_be_taken_in_again(folder, reports):
    for period in ("2023-03", PERIOD):
        for region in ("KZ-71", "KZ-75"):
            make_report(reports / period / f"{region} {period}.xlsx", region, F70=int(period[5:]))
    taken(reports / PERIOD / f"KZ-71 {PERIOD}.xlsx")
    damage(folder / "form_1m" / f"period={PERIOD}" / "figures.parquet")
    said = f"the store's form_1m/period={PERIOD}/figures.parquet is damaged or no file of a store"
    mended = f"take it out (kzresearch store --remove {PERIOD}), and ingest its workbooks again"
    assert damages() == [f"{said}; {mended}"]
    assert taken(reports) == {
        "KZ-71 2023-03.xlsx": "taken",
        "KZ-75 2023-03.xlsx": "taken",
        **{
            f"{region} {PERIOD}.xlsx": f"refused: {region} {PERIOD}.xlsx: {said}; {mended}"
            for region in ("KZ-71", "KZ-75")
        },
    }
    assert ran("store", "--remove", PERIOD, "-y").stdout.startswith(f"removed KZ-71 {PERIOD}")
    assert damages() == []
    assert set(taken(reports).values()) == {"already there", "taken"}
    assert damages() == []


def test_a_line_of_a_manifest_without_a_file_is_told_where_a_folder_is_named_too(folder, reports):
    make_report(reports / "one.xlsx", "KZ-75")
    listed = reports / "list.csv"
    listed.write_text("file,period\none.xlsx,2023-12\nOne.XLSX,2023-11\n", encoding="utf-8")
    assert taken(reports, manifest=listed) == {
        "one.xlsx": "taken",
        "One.XLSX": "refused: One.XLSX: the manifest lists it, but there is no such file",
    }


@pytest.mark.parametrize("at", [3, 6])
@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (
            'was = "Пытки (ст.146)"\nrow = "article:146"',
            'row = "ill_treatment"\nkind = "fact"',
            "version 2025 of the form was changed while it was read; ingest it again",
        ),
        ("complete = true", "complete = false", "draft not completed: 2025.toml"),
    ],
)
def test_a_version_that_is_changed_while_its_workbooks_are_read_gives_no_figure(
    folder, reports, old, new, why, at
):
    for number, region in enumerate([*region_codes()[:5], region_codes()[2]]):
        path = make_report(reports / f"{number}.xlsx", region)  # the last is of the third's region
        if number > 1:
            rewrite(path, {"xl/sharedStrings.xml": with_a_row_renamed})
    ran("ingest", reports / "2.xlsx", "--explain", "--form", "2025")
    draft = folder / "forms" / "2025.toml"
    text = draft.read_text(encoding="utf-8").replace("complete = false", "complete = true")
    text = text.replace('from = ""', 'from = "2025-01"').replace('name = ""', 'name = "Torture"')
    draft.write_text(text, encoding="utf-8")
    ended = []

    def change() -> None:
        ended.append(1)
        if len(ended) == at:  # three to be stored, or all; others were read ahead
            time.sleep(3)
            draft.write_text(text.replace(old, new), encoding="utf-8")

    found = taken(reports, period="2025-03", progress=ingesting.Progress(ended=change))
    assert [found[f"{n}.xlsx"] for n in (0, 1)] == ["taken", "taken"]
    assert all(found[f"{n}.xlsx"].startswith(f"refused: {n}.xlsx: ") for n in range(2, 6))
    assert all(why in found[f"{n}.xlsx"] for n in range(2, 6))
    assert {one.form_version for one in own().reports()} == {"2022"}
    assert damages() == []
    draft.write_text(text, encoding="utf-8")
    assert set(taken(reports, period="2025-03").values()) == {"already there", "taken"}
    assert damages() == []
