"""The bytes of an .xlsx file → its parts, each unpacked within bounds and checked.

Programs disagree about archives that contradict themselves: two members of one name, a directory
that differs from the members, members that overlap. Only an archive that all read alike is read.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

MAX_MEMBERS = 2_000
MAX_PART_BYTES = 8 * 2**20  # the largest sheet of a report has 0.5 MB
MAX_TOTAL_BYTES = 128 * 2**20

_TOO_MUCH = "unpacks to more than a Form 1-M report holds; not read"
_LOCAL = struct.Struct("<4s5H3L2H")
_PROTECTED = 0x2041  # flags of members that are encrypted
_DESCRIBED = 0x8  # flag of a member whose sizes follow it
_LATER = 0xFFFFFFFF  # a size that stands in the extra field


class ArchiveError(ValueError):
    """What is wrong with an archive or a part of it; the workbook adds where."""


def members(data: bytes) -> dict[str, zipfile.ZipInfo]:
    """The archive's members by their names; ArchiveError unless they tile it plainly."""
    if data.count(b"PK\x01\x02") > MAX_MEMBERS:
        raise ArchiveError(_TOO_MUCH)
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except Exception:  # zipfile raises errors without a common base
        raise ArchiveError("not an Excel workbook (.xlsx)") from None
    infos = archive.infolist()
    if len(infos) > MAX_MEMBERS or sum(info.file_size for info in infos) > MAX_TOTAL_BYTES:
        raise ArchiveError(_TOO_MUCH)
    names = {info.orig_filename.casefold() for info in infos}
    if len(names) < len(infos) or not all(_plain(info.orig_filename) for info in infos):
        raise ArchiveError("holds parts of one name or of no plain name; not read")
    if data[-22:-18] != b"PK\x05\x06":
        raise ArchiveError("holds data after its end; the file is damaged")
    infos.sort(key=lambda info: info.header_offset)
    place = 0
    ends = [*(info.header_offset for info in infos[1:]), archive.start_dir]
    for info, end in zip(infos, ends, strict=False):
        place = _end(data, info, place)
        if end - place not in ((0, 12, 16, 20, 24) if info.flag_bits & _DESCRIBED else (0,)):
            raise ArchiveError("its parts do not follow each other; the file is damaged")
        place = end
    return {info.orig_filename: info for info in infos}


def unpack(data: bytes, info: zipfile.ZipInfo) -> bytes:
    """A part's bytes, whole and of the size and checksum that the directory states."""
    if info.file_size > MAX_PART_BYTES:
        raise ArchiveError(_TOO_MUCH)
    start = info.header_offset
    start += _LOCAL.size + sum(_LOCAL.unpack_from(data, start)[-2:])
    packed = data[start : start + info.compress_size]
    if info.compress_type == zipfile.ZIP_DEFLATED:
        stream = zlib.decompressobj(-zlib.MAX_WBITS)
        try:  # a byte more than stated shows a part that is larger
            part = stream.decompress(packed, info.file_size + 1)
        except zlib.error:
            raise ArchiveError("this part cannot be unpacked; the file is damaged") from None
        whole = stream.eof and not stream.unused_data
    else:
        part, whole = packed, info.compress_type == zipfile.ZIP_STORED
    if not whole or len(part) != info.file_size or zlib.crc32(part) != info.CRC:
        raise ArchiveError("this part cannot be unpacked; the file is damaged")
    return part


def _plain(name: str) -> bool:
    parts = name.removesuffix("/").split("/")
    return name.isprintable() and not {"", ".", ".."} & set(parts) and not set("\\:") & set(name)


def _end(data: bytes, info: zipfile.ZipInfo, start: int) -> int:
    """Where a member that starts at `start` ends, if what stands there agrees with the directory."""
    if info.header_offset != start or len(data) < start + _LOCAL.size:
        raise ArchiveError("its parts do not follow each other; the file is damaged")
    magic, _, flags, method, _, _, crc, packed, size, name_size, extra = _LOCAL.unpack_from(
        data, start
    )
    if (flags | info.flag_bits) & _PROTECTED:
        raise ArchiveError("an encrypted workbook; save it as plain .xlsx")
    start += _LOCAL.size
    name = info.orig_filename.encode("utf-8" if info.flag_bits & 0x800 else "cp437")
    stated = [(crc, info.CRC), (packed, info.compress_size), (size, info.file_size)]
    if flags & _DESCRIBED:
        stated = [(found, other) for found, other in stated if found]
    if (
        magic != b"PK\x03\x04"
        or method != info.compress_type
        or (flags ^ info.flag_bits) & (_DESCRIBED | 0x800)
        or data[start : start + name_size] != name
        or any(found not in (other, _LATER) for found, other in stated)
    ):
        raise ArchiveError("its directory differs from its parts; the file is damaged")
    return start + name_size + extra + info.compress_size
