"""Outputs in a folder and in a real object store: whole files, and one sentence where it cannot be."""

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kzresearch.errors import OutputError
from kzresearch.run.outputs import Outputs
from kzresearch.storage import _reason
from tests.run.servers import BUCKET, HOST, Gate, free_ports

STEM = "case_flow-0123456789ab"


@pytest.fixture(params=["folder", "store"])
def outputs(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Outputs:
    """An empty place that does not exist yet."""
    if request.param == "folder":
        return Outputs(tmp_path / "a folder" / "out")
    gate = request.getfixturevalue("store")
    for name, value in gate.environment.items():
        monkeypatch.setenv(name, value)
    return Outputs(f"s3://{BUCKET}/{tmp_path.name}/out")


@pytest.fixture
def near(store: Gate, monkeypatch: pytest.MonkeyPatch) -> Gate:
    """The object store, and what is needed to use it from here."""
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    return store


def names(outputs: Outputs) -> list[str]:
    return sorted(outputs.files())


def sentence(error: pytest.ExceptionInfo[OutputError], where: object) -> str:
    text = str(error.value)
    assert text.startswith(f"cannot use {where} for what runs leave: ")
    assert text.endswith(
        "; what is there is kept: mend that and start again, or name another place"
    )
    assert "\n" not in text
    assert len(text) < 400
    assert "<" not in text
    return text


def test_files_are_left_whole_and_found_by_their_names(outputs: Outputs) -> None:
    outputs.prepare()
    assert outputs.files() == {}
    content = bytes(range(256)) * 20_000  # 5 MB, as a large notebook
    for name in (f"{STEM}.ipynb", "Ұзақ атау мен бос орын-0123456789ab.json", "a  b-c_d.html"):
        tag = outputs.write(name, content)
        assert outputs.read(name) == content
        assert outputs.tag(name) == tag == outputs.files()[name]
    outputs.write("empty", b"")
    assert outputs.read("empty") == b""
    assert names(outputs) == sorted(
        [f"{STEM}.ipynb", "Ұзақ атау мен бос орын-0123456789ab.json", "a  b-c_d.html", "empty"]
    )
    outputs.prepare()
    assert len(outputs.files()) == 4


def test_a_tag_changes_with_the_content(outputs: Outputs) -> None:
    seen = []
    for content in (b"a", b"b", b"bc", b"a longer one", b"b"):
        tag = outputs.write("one", content)
        assert outputs.tag("one") == tag
        assert not seen or seen[-1] != tag
        assert outputs.read("one") == content
        seen.append(tag)
    assert outputs.files() == {"one": seen[-1]}


def test_what_is_not_there(outputs: Outputs) -> None:
    outputs.prepare()
    outputs.write("there", b"x")
    assert outputs.tag("missing") is None
    with pytest.raises(FileNotFoundError, match="^missing$"):
        outputs.read("missing")
    outputs.delete("missing")
    outputs.delete("there")
    outputs.delete("there")
    assert outputs.tag("there") is None
    assert outputs.files() == {}


def test_what_lies_deeper_or_beside_is_not_listed(outputs: Outputs) -> None:
    """A prefix is a folder: what only begins with the same letters is another one."""
    place = outputs.link("").rstrip("/")
    Outputs(f"{place}/deeper").write("deep", b"x")
    Outputs(f"{place}side").write("aside", b"x")
    outputs.write("mine", b"x")
    assert names(outputs) == ["mine"]
    assert names(Outputs(f"{place}/")) == ["mine"]  # as users write folders
    assert Outputs(f"{place}/").link("mine").removesuffix("/mine") == place
    assert names(Outputs(f"{place}/deeper")) == ["deep"]


def test_many_write_and_look_at_once(outputs: Outputs) -> None:
    """Files are whole while they are written again and again, and none is missing from a list."""
    outputs.prepare()
    outputs.write("always", b"x")
    wrote = {f"n{i}-0123456789ab.json": bytes([65 + i]) * 50_000 for i in range(8)}
    stop = threading.Event()

    def look() -> int:
        looks = 0
        while not stop.is_set():
            listed = outputs.files()
            assert "always" in listed
            assert listed.keys() <= wrote.keys() | {"always"}
            for name in listed.keys() - {"always"}:
                assert outputs.read(name) in {wrote[name], wrote[name].lower()}
            looks += 1
        return looks

    def write(name: str) -> None:
        for _ in range(6):
            outputs.write(name, wrote[name])
            outputs.write(name, wrote[name].lower())

    with ThreadPoolExecutor(10) as threads:
        looking = threads.submit(look)
        try:
            list(threads.map(write, [*wrote, *wrote]))
        finally:
            stop.set()
        assert looking.result() > 1
    assert names(outputs) == sorted([*wrote, "always"])


def test_a_bucket_that_lists_more_than_one_page(near: Gate) -> None:
    outputs = Outputs(f"s3://{BUCKET}/many")
    expected = [f"n{i:04}" for i in range(1100)]
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda name: outputs.write(name, b""), expected))
    assert names(outputs) == expected
    with near.failing(0.5, seed=3) as faults:
        assert names(outputs) == expected
    assert faults.total()


def test_what_stands_for_the_prefix_itself_is_no_file(near: Gate) -> None:
    """Consoles and other tools make an object of that name."""
    Outputs(f"s3://{BUCKET}").write("marked/", b"")
    outputs = Outputs(f"s3://{BUCKET}/marked")
    outputs.write("one", b"x")
    assert names(outputs) == ["one"]


def test_a_store_that_fails_now_and_then(near: Gate) -> None:
    outputs = Outputs(f"s3://{BUCKET}/flaky")
    wrote = {f"n{i:02}.json": bytes([i]) * 40_000 for i in range(30)}
    with near.failing(0.3, seed=1) as faults:
        outputs.prepare()
        with ThreadPoolExecutor(8) as threads:
            tags = dict(
                zip(wrote, threads.map(lambda n: outputs.write(n, wrote[n]), wrote), strict=True)
            )
            assert list(threads.map(outputs.read, wrote)) == [*wrote.values()]
            assert list(threads.map(outputs.tag, wrote)) == [*tags.values()]
            missing = [f"no{i}" for i in range(30)]
            assert set(threads.map(outputs.tag, missing)) == {None}
            assert set(threads.map(outputs._read, missing)) == {None}
        assert outputs.files() == tags
        outputs.delete("n00.json")
        with pytest.raises(FileNotFoundError):
            outputs.read("n00.json")
        assert len(outputs.files()) == 29
    assert len(faults) == 5, faults  # each kind has been met


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "another"}, r"answers 403 Forbidden \(SignatureDoesNotMatch"),
        ({"AWS_ACCESS_KEY_ID": "nobody"}, r"answers 403 Forbidden \(InvalidAccessKeyId"),
        ({}, r"answers 404 Not Found \(NoSuchBucket"),
    ],
)
def test_a_wrong_key_or_bucket(
    near: Gate, monkeypatch: pytest.MonkeyPatch, changed: dict[str, str], reason: str
) -> None:
    for name, value in changed.items():
        monkeypatch.setenv(name, value)
    where = "s3://nobodys/out" if not changed else f"s3://{BUCKET}/out"
    outputs, started = Outputs(where), time.monotonic()
    for use in (outputs.prepare, outputs.files, lambda: outputs.write("one", b"x")):
        with pytest.raises(OutputError, match=reason) as error:
            use()
        assert near.address in sentence(error, where)
    assert time.monotonic() - started < 10


def test_nobody_listens(monkeypatch: pytest.MonkeyPatch, gate: Gate) -> None:
    (port,) = free_ports(1)
    for name, value in {**gate.environment, "AWS_ENDPOINT_URL": f"http://{HOST}:{port}"}.items():
        monkeypatch.setenv(name, value)
    outputs, started = Outputs("s3://bucket/out"), time.monotonic()
    with pytest.raises(OutputError) as error:
        outputs.prepare()
    assert f"no answer from http://{HOST}:{port};" in sentence(error, "s3://bucket/out")
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("where", ["s3://", "s3:///x", "nothing://x/y"])
def test_an_address_that_is_none(where: str) -> None:
    with pytest.raises(OutputError, match="Unable to recognise URL") as error:
        Outputs(where)
    sentence(error, where)


def test_missing_credentials_are_named() -> None:
    """The library then asks the machine's own cloud, which no test may do: its message is enough."""
    text = (
        "Generic S3 error: Error performing PUT http://169.254.169.254/latest/api/token in 5.2s, "
        "after 9 retries, max_retries: 9, retry_timeout: 180s  - HTTP error: error sending request"
    )
    assert "AWS_ACCESS_KEY_ID" in _reason(RuntimeError(text))


@pytest.mark.parametrize("below", ["", "deeper/out"])
def test_a_folder_that_is_a_file(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("mine")
    where = tmp_path / "file" / below
    with pytest.raises(OutputError, match=r"file exists|not a directory") as error:
        Outputs(where)
    sentence(error, where)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_that_goes_away(tmp_path: Path) -> None:
    """What takes its place while a batch runs is no folder: nothing else could be written."""
    outputs = Outputs(tmp_path / "out")
    outputs.write("one", b"x")
    (tmp_path / "out").rename(tmp_path / "elsewhere")
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError) as error:
        outputs.write("two", b"x")
    sentence(error, tmp_path / "out")
    with pytest.raises(OutputError):
        outputs.prepare()


def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    (tmp_path / "out").mkdir(mode=0o500)
    outputs = Outputs(tmp_path / "out")
    with pytest.raises(OutputError, match="permission denied") as error:
        outputs.prepare()
    sentence(error, tmp_path / "out")


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 kB."""
    place = tmp_path / "small"
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
    try:
        done = subprocess.run(words, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount")
    if done.returncode:
        pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk(mounted: Path) -> None:
    outputs = Outputs(mounted)
    outputs.prepare()
    outputs.write("small", b"x" * 20_000)
    with pytest.raises(OutputError, match="no space left on device") as error:
        outputs.write("small", b"y" * 60_000)
    sentence(error, mounted)
    with pytest.raises(OutputError, match="no space left on device"):
        outputs.write("large", b"y" * 60_000)
    assert outputs.read("small") == b"x" * 20_000
    assert names(outputs) == ["small"]
    assert [path.name for path in mounted.iterdir()] == ["small"]


def test_a_disk_that_is_read_only(mounted: Path) -> None:
    outputs = Outputs(mounted)
    outputs.write("one", b"x")
    subprocess.run(["mount", "-o", "remount,ro", str(mounted)], check=True)
    with pytest.raises(OutputError, match="read-only file system") as error:
        outputs.prepare()
    sentence(error, mounted)
    assert outputs.read("one") == b"x"


def test_what_a_killed_process_left_is_taken_away(tmp_path: Path) -> None:
    old = (f"{STEM}.ipynb#1", "results.parquet#12", "index.html#3", ".kzresearch-0123456789abcdef")
    others = ("notes#1", f"{STEM}.ipynb", "results.parquet", f"{STEM}.ipynb#", "C#2")
    young = (f"{STEM}.json#1", ".kzresearch-fedcba9876543210")
    for name in (*old, *others, *young):
        (tmp_path / name).write_text("half")
    (tmp_path / f"{STEM}.html#4").mkdir()
    for name in (*old, *others, f"{STEM}.html#4"):
        os.utime(tmp_path / name, (time.time() - 90,) * 2)
    Outputs(tmp_path).prepare()
    kept = {path.name for path in tmp_path.iterdir()}
    assert kept == {*others, *young, f"{STEM}.html#4"}


def test_a_half_written_file_is_not_listed(tmp_path: Path) -> None:
    outputs = Outputs(tmp_path)
    outputs.write(f"{STEM}.json", b"x")
    (tmp_path / f"{STEM}.json#1").write_text("half")
    assert names(outputs) == [f"{STEM}.json"]
