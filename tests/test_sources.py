"""Raw files: found in a folder, or fetched from a real server on this machine, always checked."""

import gc
import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import kzresearch as kz
from kzresearch import sources
from kzresearch.sources import RawFile, raw_file

CONTENT = b"a workbook's bytes " * 1000
SHA = hashlib.sha256(CONTENT).hexdigest()

# pooch leaves a broken connection to the garbage collector, which Python warns about.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


class Handler(BaseHTTPRequestHandler):
    requests: list[str]

    def do_GET(self):
        self.requests.append(self.path)
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/good")
            self.end_headers()
            return
        if self.path == "/gone":
            self.send_error(404)
            return
        body = CONTENT if self.path != "/changed" else CONTENT + b"!"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if self.path != "/cut" else body[:500])

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.delenv("KZRESEARCH_RAW", raising=False)
    Handler.requests = []
    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}"
    running.shutdown()
    thread.join()
    running.server_close()
    gc.collect()


def file(url: str) -> RawFile:
    return RawFile("form_1m", "form_1m/2022-12/Astana.XLSX", SHA, url=url)


@pytest.mark.parametrize("address", ["/good", "/moved"])
def test_file_is_downloaded_checked_and_kept(server, tmp_path, address):
    path = raw_file(file(server + address), tmp_path)
    assert path == tmp_path / "form_1m/2022-12/Astana.XLSX"
    assert path.read_bytes() == CONTENT
    asked = len(Handler.requests)
    assert raw_file(file(server + address), tmp_path) == path
    assert len(Handler.requests) == asked


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("/changed", "is not the one in sources.toml .its checksum differs., so it was not kept"),
        ("/cut", "(could not be downloaded|is not the one in sources.toml)"),
        ("/gone", "could not be downloaded from .*HTTPError"),
    ],
)
def test_bad_download_says_what_to_do_and_leaves_nothing(server, tmp_path, address, message):
    with pytest.raises(kz.SourceError, match=message) as raised:
        raw_file(file(server + address), tmp_path)
    assert "set KZRESEARCH_RAW to it" in str(raised.value)
    assert "\n" not in str(raised.value)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_no_server_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.delenv("KZRESEARCH_RAW", raising=False)
    with pytest.raises(kz.SourceError, match="could not be downloaded from .*ConnectionError"):
        raw_file(file("http://127.0.0.1:9/nothing"), tmp_path)


def test_file_without_address_is_to_be_downloaded_by_hand(tmp_path, monkeypatch):
    monkeypatch.delenv("KZRESEARCH_RAW", raising=False)
    by_hand = RawFile("x", "x/y.csv", SHA, by_hand="Ask the publisher for it.")
    with pytest.raises(kz.SourceError, match="no download address; Ask the publisher for it, put"):
        raw_file(by_hand, tmp_path)


def test_raw_folder_goes_before_the_network(tmp_path, monkeypatch):
    path = tmp_path / "form_1m/2022-12/Astana.XLSX"
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    monkeypatch.setenv("KZRESEARCH_RAW", str(tmp_path))
    assert raw_file(file("http://127.0.0.1:9/nothing")) == path


def test_raw_file_that_changed_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "form_1m/2022-12/Astana.XLSX"
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT + b"!")
    monkeypatch.setenv("KZRESEARCH_RAW", str(tmp_path))
    with pytest.raises(kz.SourceError, match="has sha256 .* expected .* another version"):
        raw_file(file(""))


def test_missing_raw_file_and_folder_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("KZRESEARCH_RAW", str(tmp_path))
    with pytest.raises(kz.SourceError, match=r"Astana.XLSX is not in KZRESEARCH_RAW"):
        raw_file(file(""))
    monkeypatch.setenv("KZRESEARCH_RAW", str(tmp_path / "nowhere"))
    with pytest.raises(kz.SourceError, match="KZRESEARCH_RAW names no folder"):
        raw_file(file(""))


def test_every_workbook_has_a_checksum_and_an_address():
    files = sources.raw_files("form_1m")
    assert len(files) == 20
    assert all(len(f.sha256) == 64 and f.url.startswith("https://") for f in files)
    assert {f.period for f in files} == {"2022-12"}
