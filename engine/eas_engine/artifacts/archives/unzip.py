"""Reads zip archives: sizes and overlaps by the table of contents first, then every entry."""

from __future__ import annotations

import calendar
import re
import stat
import struct
import zipfile
from collections.abc import Callable, Iterator
from typing import BinaryIO, Final, cast

from eas_engine.artifacts.archives.budget import Budget, Limits, Refused, shown
from eas_engine.artifacts.archives.parsing import naming
from eas_engine.artifacts.archives.tree import Tree

_PIECE: Final = 1 << 20  # bytes read at a time
_BZIP2_PIECE: Final = 4096  # packed bytes: zipfile inflates all that it reads, and bzip2 makes much of little
_ENCRYPTED: Final = 0x1
_DOS: Final = 0
_UNIX: Final = 3
_UTF8: Final = 0x800
_METHODS: Final = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2}
_LOCAL_HEADER: Final = 30  # bytes before the name of an entry, at least


def unpack_zip(file: BinaryIO, tree: Tree, budget: Budget, at: Callable[[int], None]) -> None:
    """Add all its entries; ``at`` is told how many packed bytes are done."""
    _check_table(file, budget.limits)
    done = 0
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        if len(entries) > budget.limits.entries:
            raise Refused(f"it has more than {budget.limits.entries} entries")
        _check_overlap(entries)
        budget.expect(sum(entry.file_size for entry in entries))
        for entry in entries:
            name = _zip_name(entry)
            with naming(name):
                _add_entry(archive, entry, name, tree, budget)
            done += entry.compress_size
            at(done)


def _check_table(file: BinaryIO, limits: Limits) -> None:
    """Refuses a table of contents that is too large to be read into memory (APPNOTE 4.3.14 and 4.3.16)."""
    size = file.seek(0, 2)
    file.seek(max(0, size - (1 << 16) - 22 - 20 - 56))
    tail = file.read()
    end = tail.rfind(b"PK\x05\x06")
    if end < 0 or len(tail) < end + 22:
        raise Refused("it is cut short: its table of contents is missing")
    length = struct.unpack_from("<L", tail, end + 12)[0]
    long = tail.rfind(b"PK\x06\x06", 0, end)
    if long >= 0 and len(tail) >= long + 48:
        length = max(length if length != 0xFFFFFFFF else 0, struct.unpack_from("<Q", tail, long + 40)[0])
    if length > limits.directory:
        raise Refused(f"its table of contents is larger than {limits.directory} bytes")


def _check_overlap(entries: list[zipfile.ZipInfo]) -> None:
    """Refuses entries that share packed bytes: the way to make a bomb whose every entry looks modest."""
    end = 0
    for entry in sorted(entries, key=lambda each: each.header_offset):
        if entry.header_offset < end:
            raise Refused("it overlaps with another entry", shown(_zip_name(entry)))
        end = entry.header_offset + _LOCAL_HEADER + entry.compress_size


def _zip_name(entry: zipfile.ZipInfo) -> bytes:
    """The entry's name in bytes: as it stands there, but code page 437 if it is from DOS and not UTF-8."""
    text = entry.filename
    if entry.create_system == _DOS:
        text = text.replace("\\", "/")  # programs on Windows write them, against the format
    if not entry.flag_bits & _UTF8:
        raw = text.encode("cp437", "surrogateescape")
        if entry.create_system == _UNIX or _is_utf8(raw):
            return raw
    return text.encode("utf-8", "surrogateescape")


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _add_entry(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo, name: bytes, tree: Tree, budget: Budget
) -> None:
    if entry.flag_bits & _ENCRYPTED:
        raise Refused("it is encrypted; make the archive without a password")
    if entry.compress_type not in _METHODS:
        raise Refused(f"it is compressed by method {entry.compress_type}; deflate and bzip2 are supported")
    if re.match(rb"[A-Za-z]:/", name):
        raise Refused("its name is an absolute path")
    mode = entry.external_attr >> 16 if entry.create_system == _UNIX else 0
    kind = stat.S_IFMT(mode)
    contents = _zip_contents(archive, entry, budget)
    if entry.is_dir() or kind == stat.S_IFDIR:
        tree.directory(name)
    elif kind == stat.S_IFLNK:
        if entry.file_size > budget.limits.path:
            raise Refused("its target is no path")
        tree.link(name, b"".join(contents))
    elif kind in (0, stat.S_IFREG):
        tree.file(name, contents, executable=bool(mode & 0o111), mtime=_zip_time(entry))
    else:
        raise Refused("it is a device or a pipe; files, directories and links only")


def _zip_contents(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, budget: Budget) -> Iterator[bytes]:
    piece = _BZIP2_PIECE if entry.compress_type == zipfile.ZIP_BZIP2 else _PIECE
    length = 0
    with cast("zipfile.ZipExtFile", archive.open(entry)) as contents:
        while data := contents.read1(piece):
            budget.inflate(len(data))
            length += len(data)
            yield data
    if length != entry.file_size:
        raise Refused(f"it has {length} bytes, and the table of contents says {entry.file_size}")


def _zip_time(entry: zipfile.ZipInfo) -> float:
    """Seconds since 1970. A zip has no zone: read as UTC, so that it is the same everywhere."""
    try:
        return float(calendar.timegm((*entry.date_time, 0, 0, 0)))
    except ValueError:
        return -1.0
