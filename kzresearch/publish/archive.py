"""The files of a bundle: put into a folder with their checksums, zipped, and known again."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

CHECKSUMS = "checksums.sha256"
"""The checksums of all other files, as `sha256sum -c` reads them."""
CRATE = "ro-crate-metadata.json"
_COMPRESSED = {".gz", ".parquet", ".pdf", ".whl"}
_EARLIEST = (1980, 1, 1, 0, 0, 0)
"""What a zip file can say of times."""


class Stored(NamedTuple):
    """A file of a bundle: its size, its checksum, and what it is, in words."""

    bytes: int
    sha256: str
    about: str


class Contents:
    """The files of a bundle that is being made, by their names in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, Stored] = {}

    def path(self, name: str) -> Path:
        """Where a file is to be put."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def add(self, name: str, about: str) -> None:
        """A file that was put there is complete."""
        path = self.folder / name
        with path.open("rb") as file:
            self.files[name] = Stored(path.stat().st_size, checksum(file), about)

    def write(self, name: str, content: bytes | str, about: str) -> None:
        """Put a file there."""
        content = content.encode() if isinstance(content, str) else content
        self.path(name).write_bytes(content)
        self.add(name, about)

    def seal(self) -> None:
        """Leave the checksums of all files."""
        lines = [f"{file.sha256}  {name}\n" for name, file in sorted(self.files.items())]
        (self.folder / CHECKSUMS).write_text("".join(lines), encoding="utf-8")


def checksum(file: Any) -> str:
    """The sha256 of what is left of a file, which need not be in memory at once."""
    return hashlib.file_digest(file, "sha256").hexdigest()


def zip_folder(folder: Path, target: Path, when: datetime) -> None:
    """Every file of a folder → a zip file, to the same bytes for the same files and time."""
    time = max(_EARLIEST, when.timetuple()[:6])
    with zipfile.ZipFile(target, "w") as archive:
        for name, path in sorted(_files(folder)):
            info = zipfile.ZipInfo(name, time)
            info.external_attr = 0o644 << 16
            info.create_system = 3  # the same wherever it is made
            info.compress_type = (
                zipfile.ZIP_STORED if path.suffix in _COMPRESSED else zipfile.ZIP_DEFLATED
            )
            info.file_size = path.stat().st_size  # tells whether it needs the format of large files
            with path.open("rb") as file, archive.open(info, "w") as member:
                shutil.copyfileobj(file, member, 1 << 20)


def is_bundle(target: Path) -> bool:
    """Whether a folder or a zip file is a bundle, and all in it as it was made."""
    if target.is_dir():
        files = dict(_files(target))
        return CRATE in files and _as_made(set(files), lambda name: files[name].open("rb"))
    if not zipfile.is_zipfile(target):
        return False
    with zipfile.ZipFile(target) as archive:
        names = archive.namelist()
        return CRATE in names and _as_made(set(names), archive.open)


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in folder.rglob("*"):
        if path.is_symlink() or path.is_file():
            yield path.relative_to(folder).as_posix(), path


def _as_made(names: set[str], opened: Callable[[str], Any]) -> bool:
    """Whether the files are those of the list of checksums."""
    if CHECKSUMS not in names:
        return False
    with opened(CHECKSUMS) as file:
        lines = file.read().decode(errors="replace").splitlines()
    listed = {name: sha256 for sha256, _, name in (line.partition("  ") for line in lines)}
    if names - {CHECKSUMS} != listed.keys():
        return False
    for name, sha256 in listed.items():
        with opened(name) as file:
            if checksum(file) != sha256:
                return False
    return True
