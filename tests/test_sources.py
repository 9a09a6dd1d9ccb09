"""Raw files: found in a folder, or fetched from a real server on this machine, always checked."""

import gzip
import hashlib
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import filelock
import pytest
from click.testing import CliRunner

import kzresearch as kz
from kzresearch import sources
from kzresearch.cli import main
from kzresearch.sources import RawFile, fetch, raw_file

CONTENT = random.Random(1).randbytes(300_000)  # nowhere the same: a part in the wrong place is seen
OTHER = random.Random(2).randbytes(len(CONTENT))
SHA = hashlib.sha256(CONTENT).hexdigest()
PATH = "form_1m/2022-12/Astana.XLSX"
PART = f".fetch/{SHA}.part"


class Server(ThreadingHTTPServer):
    request_queue_size = 50

    def __init__(self, handler):
        super().__init__(("127.0.0.1", 0), handler)
        self.asked: list[tuple[str, str | None]] = []
        self.sent = 0
        self.closing = threading.Event()

    def handle_error(self, *_):
        pass  # whoever is cut off says so


class Handler(BaseHTTPRequestHandler):
    """Each address behaves in its own way; `Range` is served unless its way is not to."""

    def do_GET(self):
        self.server.asked.append((self.path, self.headers["Range"]))
        self.times = sum(path == self.path for path, _ in self.server.asked)
        self.close_connection = True
        name = self.path.strip("/").replace("-", "_")
        getattr(self, name, self.missing)()

    def head(self, status, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def body(self, content):
        for start in range(0, len(content), 4096):
            self.wfile.write(content[start : start + 4096])
            self.server.sent += len(content[start : start + 4096])

    def from_byte(self):
        return int((self.headers["Range"] or "bytes=0-")[6:-1])

    def serve(self, content, upto=None):
        start = self.from_byte()
        if start >= len(content):
            self.head(416)
            return
        of = f"bytes {start}-{len(content) - 1}/{len(content)}"
        more = {"Content_Range": of} if start else {}
        self.head(206 if start else 200, Content_Length=len(content) - start, **more)
        self.body(content[start:upto])

    def missing(self):
        self.head(404, Content_Length=0)

    def good(self):
        self.serve(CONTENT)

    def moved(self):
        self.head(302, Location="/moved-again")

    def moved_again(self):
        self.head(301, Location=f"http://127.0.0.1:{self.server.server_port}/good")

    def moved_with_an_endless_body(self):
        self.head(302, Location="/good")
        self.endless_body()

    def loop(self):
        self.head(302, Location="/loop")

    def to_a_file(self):
        self.head(302, Location="file:///etc/hostname")

    def to_no_address(self):
        self.head(302, Location="http://[::1")

    def cut_once(self):
        self.serve(CONTENT, upto=100_000 if self.times == 1 else None)

    def cut_always(self):
        self.serve(CONTENT, upto=self.from_byte() + 1000)

    def cut_without_range(self):
        self.head(200, Content_Length=len(CONTENT))
        self.body(CONTENT[: 100_000 if self.times < 3 else None])

    def ends_early_without_length(self):
        self.head(200)
        self.body(CONTENT[:100_000] if self.times == 1 else CONTENT)

    def without_range(self):
        self.head(200, Content_Length=len(CONTENT))
        self.body(CONTENT)

    def chunked(self):
        self.protocol_version = "HTTP/1.1"
        self.head(200, Transfer_Encoding="chunked")
        for start in range(0, len(CONTENT), 50_000):
            self.wfile.write(b"%x\r\n%b\r\n" % (50_000, CONTENT[start : start + 50_000]))
        self.wfile.write(b"0\r\n\r\n")

    def other_part(self):  # says that it is not the part asked for
        if self.from_byte():
            self.head(206, Content_Range=f"bytes 0-9/{len(CONTENT)}", Content_Length=10)
            self.body(CONTENT[:10])
        else:
            self.serve(CONTENT)

    def whole_as_part(self):  # says that it is the part asked for, and is the whole
        start = self.from_byte()
        if start:
            self.head(206, Content_Range=f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        else:
            self.head(200)
        self.body(CONTENT)

    def says_less(self):
        self.head(200, Content_Length=1000)
        self.body(CONTENT)

    def says_more(self):
        self.head(200, Content_Length=len(CONTENT) + 1000)
        self.body(CONTENT)

    def says_more_and_waits(self):
        self.says_more()
        self.server.closing.wait(10)

    def says_nonsense(self):
        self.head(200, Content_Length="many")
        self.body(CONTENT)

    def changed(self):
        self.serve(OTHER)

    def changed_shorter(self):
        self.serve(CONTENT[:-1])

    def changed_longer(self):
        self.serve(CONTENT + b"!")

    def changed_meanwhile(self):  # cut off, then of another version, then the right one
        self.serve(OTHER if self.times == 1 else CONTENT, upto=100_000 if self.times == 1 else None)

    def endless_body(self):
        while not self.server.closing.is_set():
            self.body(OTHER[:65536])

    def endless(self):
        self.head(200)
        self.endless_body()

    def packed_endless(self):  # unpacks to nothing, for ever
        self.head(200, Content_Encoding="gzip")
        while not self.server.closing.is_set():
            self.body(gzip.compress(b"") * 1000)

    def error_500(self):
        self.head(500, Content_Length=0)

    def error_503_twice(self):
        if self.times < 3:
            self.head(503, Content_Length=0)
        else:
            self.serve(CONTENT)

    def hangs_up_once(self):
        if self.times > 1:
            self.serve(CONTENT)

    def slow(self):
        self.head(200, Content_Length=len(CONTENT))
        for start in range(0, len(CONTENT), 30_000):
            time.sleep(0.05)
            self.body(CONTENT[start : start + 30_000])

    def drip(self):
        self.head(200, Content_Length=len(CONTENT))
        for byte in CONTENT:
            self.body(bytes([byte]))
            if self.server.closing.wait(0.05):
                return

    def drip_headers(self):
        self.wfile.write(b"HTTP/1.0 200 OK\r\nX-Long: ")
        while not self.server.closing.wait(0.05):
            self.wfile.write(b"x")

    def half_then_silent(self):
        self.head(200, Content_Length=len(CONTENT))
        self.body(CONTENT[:150_000])
        self.server.closing.wait(20)

    def log_message(self, *_):
        pass


class Proxy(BaseHTTPRequestHandler):
    """Fetches what it is asked for from the server, whatever host is named."""

    def do_GET(self):
        self.server.asked.append((self.path, self.headers["Range"]))
        upstream = http.client.HTTPConnection("127.0.0.1", self.server.upstream)
        given = {"Range": self.headers["Range"]} if self.headers["Range"] else {}
        upstream.request("GET", urlsplit(self.path).path, headers=given)
        answer = upstream.getresponse()
        self.send_response(answer.status)
        for name in ("Content-Length", "Content-Range", "Location"):
            if answer.headers[name]:
                self.send_header(name, answer.headers[name])
        self.end_headers()
        try:
            self.wfile.write(answer.read())
        except http.client.IncompleteRead as error:
            self.wfile.write(error.partial)
        upstream.close()

    def do_CONNECT(self):
        self.server.asked.append((self.path, None))
        self.send_error(403)

    def log_message(self, *_):
        pass


def running(handler):
    server = Server(handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.closing.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.delenv("KZRESEARCH_RAW", raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr(sources, "_PAUSE", 0.01)
    monkeypatch.setattr(sources, "_SILENCE", 0.5)
    yield from running(Handler)


@pytest.fixture
def proxy(server):
    for one in running(Proxy):
        one.upstream = server.server_port
        yield one


def file(server, address) -> RawFile:
    url = address if "://" in address else f"http://127.0.0.1:{server.server_port}{address}"
    return RawFile("form_1m", PATH, SHA, len(CONTENT), url)


def left(folder) -> dict[str, int]:
    """The files in a folder, with their lengths; locks, which are empty, aside."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in found}


def put(folder, path, content):
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_bytes(content)


# What servers do


@pytest.mark.parametrize(
    "address",
    [
        "/good",
        "/moved",
        "/moved-with-an-endless-body",
        "/cut-once",
        "/cut-without-range",
        "/ends-early-without-length",
        "/chunked",
        "/slow",
        "/says-more",
        "/says-more-and-waits",
        "/says-nonsense",
        "/changed-meanwhile",
        "/error-503-twice",
        "/hangs-up-once",
    ],
)
def test_file_is_downloaded_checked_and_kept(server, tmp_path, address):
    path = raw_file(file(server, address), tmp_path)
    assert path == tmp_path / PATH
    assert path.read_bytes() == CONTENT
    assert left(tmp_path) == {PATH: len(CONTENT)}
    asked = len(server.asked)
    assert raw_file(file(server, address), tmp_path) == path
    assert not fetch(file(server, address), tmp_path)
    assert len(server.asked) == asked


@pytest.mark.parametrize(
    ("address", "why", "requests"),
    [
        (
            "/changed",
            "is not the one in sources.toml (its checksum differs), so it was not kept",
            1,
        ),
        (
            "/changed-shorter",
            "not the one in sources.toml (it has 299,999 bytes, expected 300,000)",
            1,
        ),
        ("/changed-longer", "not the one in sources.toml (it has more than 300,000 bytes)", 1),
        ("/says-less", "not the one in sources.toml (it has 1,000 bytes, expected 300,000)", 1),
        ("/endless", "not the one in sources.toml (it has more than 300,000 bytes)", 1),
        ("/packed-endless", "not the one in sources.toml (it has more than 300,000 bytes)", 1),
        ("/missing", "(the server answers 404)", 1),
        ("/error-500", "(the server answers 500 after 0 of 300,000 bytes)", 4),
        ("/loop", "(TooManyRedirects)", 11),
        ("/to-a-file", "(InvalidSchema)", 1),
        ("/to-no-address", "could not be downloaded", 1),
        ("file:///etc/hostname", "(InvalidSchema)", 0),
    ],
)
def test_what_is_not_the_file_is_one_sentence_and_leaves_nothing(
    server, tmp_path, address, why, requests
):
    with pytest.raises(kz.SourceError) as raised:
        raw_file(file(server, address), tmp_path)
    message = str(raised.value)
    assert message.startswith(PATH)
    assert why in message
    assert f"put it at {PATH} in a folder and set KZRESEARCH_RAW to it" in message
    assert "\n" not in message
    assert left(tmp_path) == {}
    assert len(server.asked) == requests


def test_server_that_sends_without_end_is_stopped(server, tmp_path):
    with pytest.raises(kz.SourceError):
        fetch(file(server, "/endless"), tmp_path)
    time.sleep(0.2)
    sent = server.sent
    time.sleep(0.2)
    assert server.sent == sent  # what the machine's own buffers took, and no more


def test_part_is_kept_and_gone_on_from(server, tmp_path):
    with pytest.raises(kz.SourceError, match=r"connection was cut after 4,000 of 300,000 bytes"):
        fetch(file(server, "/cut-always"), tmp_path)
    assert left(tmp_path) == {PART: 4000}
    assert fetch(file(server, "/good"), tmp_path)
    assert server.asked == [
        ("/cut-always", None),
        ("/cut-always", "bytes=1000-"),
        ("/cut-always", "bytes=2000-"),
        ("/cut-always", "bytes=3000-"),
        ("/good", "bytes=4000-"),
    ]
    assert (tmp_path / PATH).read_bytes() == CONTENT
    assert left(tmp_path) == {PATH: len(CONTENT)}


def test_whole_part_needs_no_request(server, tmp_path):
    put(tmp_path, PART, CONTENT)
    assert fetch(file(server, "/good"), tmp_path)
    assert server.asked == []
    assert left(tmp_path) == {PATH: len(CONTENT)}


@pytest.mark.parametrize(
    ("address", "part"),
    [
        ("/good", OTHER[:1000]),  # of another version
        ("/good", OTHER),
        ("/good", OTHER + OTHER),
        ("/without-range", CONTENT[:1000]),
        ("/without-range", OTHER[:1000]),
        ("/other-part", CONTENT[:1000]),
        ("/whole-as-part", CONTENT[:1000]),
    ],
)
def test_part_that_does_not_fit_is_begun_again(server, tmp_path, address, part):
    put(tmp_path, PART, part)
    assert fetch(file(server, address), tmp_path)
    assert (tmp_path / PATH).read_bytes() == CONTENT
    assert left(tmp_path) == {PATH: len(CONTENT)}
    assert len(server.asked) <= 2


def test_part_of_a_file_that_has_become_shorter(server, tmp_path):
    put(tmp_path, PART, CONTENT[:-1])
    with pytest.raises(kz.SourceError, match="it has 299,999 bytes, expected 300,000"):
        fetch(file(server, "/changed-shorter"), tmp_path)
    assert server.asked == [("/changed-shorter", "bytes=299999-"), ("/changed-shorter", None)]
    assert left(tmp_path) == {}


@pytest.mark.parametrize("address", ["/drip", "/drip-headers"])
def test_server_that_drips_is_given_up(server, tmp_path, monkeypatch, address):
    monkeypatch.setattr(sources, "_AT_LEAST", 1)
    monkeypatch.setattr(sources, "_SLOWEST", 1_000_000)
    start = time.monotonic()
    with pytest.raises(kz.SourceError, match="it did not come in 1 seconds"):
        fetch(file(server, address), tmp_path)
    assert time.monotonic() - start < 2
    assert set(left(tmp_path)) <= {PART}
    assert fetch(file(server, "/good"), tmp_path)


def test_silent_server_is_asked_again_from_where_it_was(server, tmp_path):
    start = time.monotonic()
    with pytest.raises(
        kz.SourceError, match="the server fell silent after 150,000 of 300,000 bytes"
    ):
        fetch(file(server, "/half-then-silent"), tmp_path)
    assert time.monotonic() - start < 5
    assert [asked for _, asked in server.asked] == [None, *["bytes=150000-"] * 3]
    assert left(tmp_path) == {PART: 150_000}


def test_no_server_is_one_sentence_at_once(tmp_path, server):
    start = time.monotonic()
    with pytest.raises(kz.SourceError, match=r"could not be downloaded from .*\(ConnectionError\)"):
        raw_file(file(server, "http://127.0.0.1:9/nothing"), tmp_path)
    assert time.monotonic() - start < 1


def test_missing_certificates_are_named(server, tmp_path, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
    with pytest.raises(kz.SourceError, match="REQUESTS_CA_BUNDLE names no certificates") as raised:
        fetch(file(server, "https://127.0.0.1:9/nothing"), tmp_path)
    assert str(tmp_path) not in str(raised.value)


# Proxies


def test_proxy_is_asked_for_hosts_that_only_it_knows(server, proxy, tmp_path, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.server_port}")
    assert fetch(file(server, "http://files.example/cut-once"), tmp_path)
    assert (tmp_path / PATH).read_bytes() == CONTENT
    assert [asked for _, asked in proxy.asked] == [None, "bytes=100000-"]
    assert {path for path, _ in proxy.asked} == {"http://files.example/cut-once"}


def test_proxy_is_not_asked_for_what_no_proxy_names(server, proxy, tmp_path, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.server_port}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert fetch(file(server, "/good"), tmp_path)
    assert proxy.asked == []


def test_proxy_is_asked_for_secure_addresses_and_its_refusal_is_told(
    server, proxy, tmp_path, monkeypatch
):
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:secret@127.0.0.1:{proxy.server_port}")
    with pytest.raises(kz.SourceError, match="ProxyError") as raised:
        fetch(file(server, "https://files.example/good"), tmp_path)
    assert proxy.asked == [("files.example:443", None)]
    assert "secret" not in str(raised.value)


# Folders


def test_another_version_that_lies_there_is_kept(server, tmp_path):
    put(tmp_path, PATH, b"edited")
    assert fetch(file(server, "/good"), tmp_path)
    kept = f"{PATH}.{hashlib.sha256(b'edited').hexdigest()[:12]}"
    assert left(tmp_path) == {PATH: len(CONTENT), kept: 6}


def test_another_version_stays_where_nothing_came(server, tmp_path):
    put(tmp_path, PATH, b"edited")
    with pytest.raises(kz.SourceError):
        fetch(file(server, "/changed"), tmp_path)
    assert left(tmp_path) == {PATH: 6}


def test_folder_that_cannot_be_written(server, tmp_path):
    put(tmp_path, "form_1m", b"a file")
    with pytest.raises(
        kz.OutputError, match="could not be written .*; make room or choose another"
    ):
        fetch(file(server, "/good"), tmp_path)
    assert server.asked == []


def test_many_at_once_in_one_process_ask_once(server, tmp_path):
    with ThreadPoolExecutor(8) as pool:
        new = list(pool.map(lambda _: fetch(file(server, "/slow"), tmp_path), range(8)))
    assert sorted(new) == [False] * 7 + [True]
    assert server.asked == [("/slow", None)]
    assert left(tmp_path) == {PATH: len(CONTENT)}


def test_waiting_for_another_process_ends(server, tmp_path, monkeypatch):
    put(tmp_path, PART, CONTENT[:10])
    monkeypatch.setattr(sources, "_AT_LEAST", 0.3)
    monkeypatch.setattr(sources, "_SLOWEST", 1_000_000_000)
    with filelock.FileLock(tmp_path / f".fetch/{SHA}.lock"):
        with pytest.raises(kz.SourceError, match="is being fetched by another process"):
            fetch(file(server, "/good"), tmp_path)
        assert server.asked == []
    assert left(tmp_path) == {PART: 10}
    assert fetch(file(server, "/good"), tmp_path)


def test_file_without_address_is_to_be_downloaded_by_hand(tmp_path, monkeypatch):
    monkeypatch.delenv("KZRESEARCH_RAW", raising=False)
    by_hand = RawFile("x", "x/y.csv", SHA, by_hand="Ask the publisher for it.")
    with pytest.raises(kz.SourceError, match="no download address; Ask the publisher for it, put"):
        raw_file(by_hand, tmp_path)
    put(tmp_path, "x/y.csv", CONTENT)
    assert raw_file(by_hand, tmp_path) == tmp_path / "x/y.csv"


def test_raw_folder_goes_before_the_network(tmp_path, monkeypatch, server):
    put(tmp_path, PATH, CONTENT)
    monkeypatch.setenv("KZRESEARCH_RAW", str(tmp_path))
    assert raw_file(file(server, "/good")) == tmp_path / PATH
    assert server.asked == []


def test_raw_file_that_changed_is_refused(tmp_path, monkeypatch, server):
    put(tmp_path, PATH, CONTENT + b"!")
    monkeypatch.setenv("KZRESEARCH_RAW", str(tmp_path))
    with pytest.raises(kz.SourceError, match="has sha256 .* expected .* another version"):
        raw_file(file(server, "/good"))


def test_missing_raw_file_and_folder_are_named(tmp_path, monkeypatch, server):
    monkeypatch.setenv("KZRESEARCH_RAW", str(tmp_path))
    with pytest.raises(kz.SourceError, match=r"Astana.XLSX is not in KZRESEARCH_RAW"):
        raw_file(file(server, "/good"))
    monkeypatch.setenv("KZRESEARCH_RAW", str(tmp_path / "nowhere"))
    with pytest.raises(kz.SourceError, match="KZRESEARCH_RAW names no folder"):
        raw_file(file(server, "/good"))


# Names


def test_every_file_has_a_checksum_and_a_size_and_every_workbook_an_address():
    every = [f for block in sources.read_sources() for f in sources.raw_files(block["id"])]
    assert len(every) == 33
    assert all(len(f.sha256) == 64 and f.bytes > 0 and (f.url or f.by_hand) for f in every)
    files = sources.raw_files("form_1m")
    assert len(files) == 20
    assert all(f.url.startswith("https://") for f in files)
    assert {f.period for f in files} == {"2022-12"}


@pytest.mark.parametrize(
    ("name", "paths"),
    [
        ("regions/2018", ["regions/kz_adm1_2018.topo.json"]),
        (
            "regions/2024",
            [
                "regions/kz_adm1_2024.geojson",
                "regions/kz_adm1_2024.topo.json",
                "regions/kz_region_crosswalk_2014_2024.csv",
            ],
        ),
        (
            "geokz",
            [
                "regions/kz_adm1_2024.geojson",
                "regions/kz_adm1_2018.topo.json",
                "regions/kz_adm1_2024.topo.json",
            ],
        ),
        ("form_1m/2022-12/Astana.XLSX", [PATH]),
        ("form_1m/astana", [PATH]),
        ("indicators/vdem", ["indicators/vdem_v14_torture_selected.csv"]),
        ("published/", ["published/observations.csv"]),
    ],
)
def test_names_stand_for_files(name, paths):
    assert [file.path for file in sources.files_named(name)] == paths


@pytest.mark.parametrize("name", ["form_1m", "form_1m/", "form_1m/2022", "form_1m/2022-12"])
def test_a_year_and_a_month_stand_for_its_workbooks(name):
    assert sources.files_named(name) == sources.raw_files("form_1m")


@pytest.mark.parametrize(
    "name", ["", "/", "form_1m/2022-1", "form_1m/2023-01", "orm_1m", "regions/20", "../x", ".*"]
)
def test_unknown_name_is_one_sentence(name):
    with pytest.raises(kz.UnknownValueError, match=f"^unknown source {name!r}"):
        sources.files_named(name)


def test_source_without_files_says_so():
    with pytest.raises(kz.SourceError, match="the source acca_2021 has no raw files"):
        sources.files_named("acca_2021")


# The command


def sources_toml(folder, server, **addresses):
    """A `sources.toml` of one source, a file for each address."""
    lines = ['[[source]]\nid = "ours"\naddress = "https://stat.example"\n']
    for name, address in addresses.items():
        url = f"http://127.0.0.1:{server.server_port}{address}" if address else ""
        lines.append(
            f'[[source.file]]\npath = "ours/2024/{name}.bin"\nsha256 = "{SHA}"\n'
            f'bytes = {len(CONTENT)}\nurl = "{url}"\n'
        )
    (folder / "sources.toml").write_text("\n".join(lines), encoding="utf-8")


@pytest.fixture
def command(server, tmp_path, monkeypatch):
    data, to = tmp_path / "data", tmp_path / "raw"
    data.mkdir()
    monkeypatch.setattr(sources, "data_dir", lambda: data)
    sources_toml(data, server, good="/good", gone="/missing", by_hand="")

    def run(*arguments):
        return CliRunner().invoke(main, ["fetch", *arguments, "--to", str(to)])

    return run


def test_command_lists_what_was_fetched_what_was_there_and_what_failed(command, tmp_path):
    done = command("ours")
    assert done.exit_code == 1
    assert done.stdout == (
        f"fetched        ours/2024/good.bin\n"
        f"1 fetched, 0 already there, 2 failed, in {tmp_path / 'raw'}\n"
    )
    gone, by_hand = done.stderr.splitlines()
    assert gone.startswith("failed         ours/2024/gone.bin could not be downloaded from http://")
    assert "(the server answers 404)" in gone
    assert by_hand.startswith("failed         ours/2024/by_hand.bin has no download address; ")
    assert "(its source's address: https://stat.example)" in by_hand
    assert left(tmp_path / "raw") == {"ours/2024/good.bin": len(CONTENT)}


def test_command_asks_nothing_once_all_is_there(command, server, tmp_path):
    for name in ("gone", "by_hand"):
        put(tmp_path / "raw", f"ours/2024/{name}.bin", CONTENT)
    assert command("ours/2024/good.bin").exit_code == 0
    asked = len(server.asked)
    done = command("ours/2024", "ours")
    assert done.exit_code == 0
    assert "0 fetched, 3 already there, 0 failed" in done.stdout
    assert len(server.asked) == asked


def test_command_is_quiet_or_speaks_json(command):
    assert command("ours/good", "--quiet").output == ""
    done = command("ours/2024", "--json")
    assert done.exit_code == 1
    report = json.loads(done.stdout)
    assert [one["state"] for one in report["files"]] == ["already there", "failed", "failed"]
    assert report["files"][0] == {
        "path": "ours/2024/good.bin",
        "source": "ours",
        "bytes": len(CONTENT),
        "sha256": SHA,
        "state": "already there",
        "reason": None,
    }
    assert done.stderr == ""
    quiet = command("ours/2024", "--quiet")
    assert quiet.stdout == ""
    assert len(quiet.stderr.splitlines()) == 2


def test_command_without_a_source_lists_what_there_is(command, server):
    assert command("ours/good").exit_code == 0
    asked = len(server.asked)
    header, row, *_ = command().stdout.splitlines()
    assert header.split() == ["folder", "source", "files", "size", "here", "by", "hand"]
    assert row.split() == ["ours/2024", "ours", "3", "900", "kB", "1", "1"]
    assert json.loads(command("--json").stdout) == [
        {
            "folder": "ours/2024",
            "source": "ours",
            "files": 3,
            "bytes": 3 * len(CONTENT),
            "here": 1,
            "by_hand": ["ours/2024/by_hand.bin"],
        }
    ]
    assert len(server.asked) == asked


def test_command_fetches_to_where_build_looks(command, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    done = CliRunner().invoke(main, ["fetch", "ours/good"])
    assert done.exit_code == 0
    (good,) = sources.files_named("ours/good")
    assert raw_file(good).read_bytes() == CONTENT
    assert raw_file(good).is_relative_to(tmp_path / "cache")
    named = tmp_path / "named"
    named.mkdir()
    monkeypatch.setenv("KZRESEARCH_RAW", str(named))
    assert CliRunner().invoke(main, ["fetch", "ours/good"]).exit_code == 0
    assert raw_file(good) == named / "ours/2024/good.bin"


PROCESS = """
import sys
from pathlib import Path
from kzresearch import sources
data = Path(sys.argv.pop(1))
sources.data_dir = lambda: data
from kzresearch.cli import main
main()
"""


def process(tmp_path, *arguments, err=subprocess.PIPE):
    data, raw = tmp_path / "data", tmp_path / "raw"
    return subprocess.Popen(
        [sys.executable, "-c", PROCESS, data, "fetch", *arguments, "--to", raw],
        stdout=subprocess.PIPE,
        stderr=err,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def test_processes_that_fetch_the_same_do_no_harm(command, server, tmp_path):
    sources_toml(tmp_path / "data", server, a="/slow", b="/slow")
    processes = [process(tmp_path, "ours", "--json") for _ in range(3)]
    done = [one.communicate(timeout=60) for one in processes]
    assert [one.returncode for one in processes] == [0, 0, 0], done
    states = [one["state"] for out, _ in done for one in json.loads(out)["files"]]
    assert sorted(states) == ["already there"] * 4 + ["fetched"] * 2
    assert len(server.asked) == 2
    assert left(tmp_path / "raw") == {f"ours/2024/{n}.bin": len(CONTENT) for n in "ab"}


@pytest.mark.parametrize(
    ("sent", "code", "said"),
    [
        (signal.SIGINT, 130, "stopped; what came is kept, and the same command goes on\n"),
        (signal.SIGKILL, -signal.SIGKILL, ""),
    ],
)
def test_interrupted_fetch_leaves_a_part_and_goes_on(command, server, tmp_path, sent, code, said):
    sources_toml(tmp_path / "data", server, a="/half-then-silent")
    part = tmp_path / "raw" / PART
    running = process(tmp_path, "ours")
    until = time.monotonic() + 30
    while time.monotonic() < until and not (part.exists() and part.stat().st_size > 140_000):
        time.sleep(0.02)
    running.send_signal(sent)
    _, err = running.communicate(timeout=10)
    assert (running.returncode, err) == (code, said)
    (name, size), *others = left(tmp_path / "raw").items()
    assert (name, others) == (PART, [])
    assert size > 140_000
    sources_toml(tmp_path / "data", server, a="/good")
    assert command("ours").exit_code == 0
    assert server.asked[-1] == ("/good", f"bytes={size}-")
    assert (tmp_path / "raw/ours/2024/a.bin").read_bytes() == CONTENT


def test_progress_is_for_terminals(command, server, tmp_path):
    import pty
    import termios

    leader, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 100))
    os.set_blocking(leader, False)
    sources_toml(tmp_path / "data", server, a="/slow", b="/good")
    running = process(tmp_path, "ours", err=terminal)
    out, _ = running.communicate(timeout=60)
    shown = os.read(leader, 1 << 16).decode()
    os.close(terminal)
    os.close(leader)
    assert running.returncode == 0
    assert "ours/2024/a.bin" in shown
    assert "/600k" in shown
    assert len(out.splitlines()) == 3
