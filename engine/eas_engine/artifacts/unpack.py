"""Unpacks archives that may be hostile: whole, or not at all.

The format is found by content, so a wrong name does no harm: zip, tar, and both gzip and bzip2 of a tar
archive or of a single file. ``tree.py`` has the rules that hold for all of them. Here is how the formats are
read:

* *tar*: ``tarfile`` parses headers and nothing else. It reads from a ``Stream`` that only goes forward,
  counts what comes out of the decompressor, and bounds the headers of one entry. An archive without its end
  mark, with a broken header in the middle or with anything behind its end is refused: tarfile would take each
  for the end. Its extraction filters aren't needed: they look at the disk, one entry at a time; the rules of
  ``tree.py`` refuse all that ``filter="data"`` refuses, and are the same for zip.
* *zip*: sizes and overlaps are judged by the table of contents before anything is read; checksums afterwards.
* A single directory on top is kept, for the addresses in service.json count from above it.

Sparse entries, encryption, devices, sockets and pipes are refused.
"""

from __future__ import annotations

import bz2
import calendar
import contextlib
import gzip
import re
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from eas_engine.artifacts.stream import Stream, is_tar_header
from eas_engine.artifacts.tree import Budget, Limits, Refused, Tree, UnpackError, free_bytes, shown

__all__ = ["Limits", "UnpackError", "unpack"]

Progress = Callable[[int, int], None]
"""Called now and then with the bytes of the archive that are done, and all of them."""

_PIECE: Final = 1 << 20  # bytes read at a time
_BZIP2_PIECE: Final = 4096  # packed bytes: zipfile inflates all that it reads, and bzip2 makes much of little
_BROKEN: Final = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    ValueError,
    LookupError,
    OverflowError,
    RecursionError,
    NotImplementedError,
)
_MOST_GLOBALS: Final = 1000  # keys of pax headers that hold for the whole archive
_ENCRYPTED: Final = 0x1
_DOS: Final = 0
_UNIX: Final = 3
_UTF8: Final = 0x800
_METHODS: Final = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2}
_LOCAL_HEADER: Final = 30  # bytes before the name of an entry, at least
_FOREIGN: Final = (
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"\xfd7zXZ\0", "compressed with xz"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd"),
    (b"\x04\x22\x4d\x18", "compressed with lz4"),
    (b"\x1f\x9d", "compressed with compress"),
    (b"<!DOCTYPE", "an HTML page: does the address need a login?"),
    (b"<!doctype", "an HTML page: does the address need a login?"),
    (b"<html", "an HTML page: does the address need a login?"),
    (b"<?xml", "an XML document, perhaps an error message of the server"),
    (b"{", "JSON, perhaps an error message of the server"),
    (b"\x7fELF", "a program or library, not an archive"),
)


def unpack(
    archive: Path,
    name: str,
    into: Path,
    *,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    progress: Progress | None = None,
    free: Callable[[Path], int] = free_bytes,
) -> None:
    """Unpack a file into a new directory. Takes as long as it takes: not on a loop.

    Args:
        archive: the file.
        name: what it is called in messages; the name in its address. Names the file in a ``model.bz2``.
        into: the directory to make; it isn't there yet, its parent is. It is gone again when this raises.
            If the process is killed a part of it stays, so give a place in a scratch directory and rename it.
        limits: what it may ask for.
        progress: told how far it is; what it raises ends the unpacking.
        free: how many bytes may still be written in a directory.

    Raises:
        UnpackError: the archive is refused, in words for a person.
        OSError: ``into`` can't be made, or the archive can't be read.
    """
    into.mkdir(mode=0o755)
    try:
        with _in_words(name):
            packed = archive.stat().st_size
            budget = Budget(limits, packed, partial(free, into))
            tree = Tree(into, budget)
            _unpack(archive, name, tree, budget, _Meter(progress, packed))
            if not len(tree):
                raise Refused("it holds nothing")  # noqa: TRY301 - as every other refusal
            tree.finish()
    except BaseException:
        shutil.rmtree(into, ignore_errors=True)
        raise


class _Meter:
    """Passes progress on; without anybody to tell it does nothing."""

    def __init__(self, progress: Progress | None, packed: int) -> None:
        self._progress, self._packed = progress, packed

    def at(self, done: int) -> None:
        if self._progress is not None:
            self._progress(min(done, self._packed), self._packed)


@contextlib.contextmanager
def _in_words(name: str) -> Iterator[None]:
    """Whatever the parsers raise, as one ``UnpackError``."""
    what = shown(name.encode("utf-8", "surrogateescape"))
    try:
        yield
    except Refused as refused:
        raise UnpackError(what, refused.entry, refused.reason) from refused
    except EOFError as error:
        raise UnpackError(what, "", "it is cut short: its end is missing") from error
    except _BROKEN as error:
        raise UnpackError(what, "", f"it is damaged ({error})") from error
    except OSError as error:
        if error.errno is not None:  # the disk's, not a decompressor's
            raise
        raise UnpackError(what, "", f"it is damaged ({error})") from error


@contextlib.contextmanager
def _naming(entry: bytes) -> Iterator[None]:
    """Adds the entry's name to what is wrong with it."""
    try:
        yield
    except Refused as refused:
        raise Refused(refused.reason, refused.entry or shown(entry)) from refused.__cause__
    except EOFError as error:
        raise Refused("the archive is cut short in the middle of it", shown(entry)) from error
    except _BROKEN as error:
        raise Refused(f"it is damaged ({error})", shown(entry)) from error


def _unpack(archive: Path, name: str, tree: Tree, budget: Budget, meter: _Meter) -> None:
    with archive.open("rb") as file:

        def tell() -> None:
            meter.at(file.tell())

        head = file.read(tarfile.BLOCKSIZE)
        file.seek(0)
        if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            _unpack_zip(file, tree, budget, meter)
        elif head.startswith(b"\x1f\x8b"):
            with gzip.GzipFile(fileobj=file) as gunzip:
                _unpack_stream(Stream(cast("BinaryIO", gunzip), budget), name, tree, tell)
        elif head.startswith(b"BZh"):
            with bz2.BZ2File(file) as bunzip2:
                _unpack_stream(Stream(cast("BinaryIO", bunzip2), budget), name, tree, tell)
        elif is_tar_header(head) or (_is_called_tar(name) and head and not head.strip(b"\0")):
            _unpack_tar(Stream(file, budget), tree, tell)
        elif zipfile.is_zipfile(file):  # with something in front of it: one that unpacks itself
            _unpack_zip(file, tree, budget, meter)
        else:
            raise Refused(_what_it_is(head))


def _what_it_is(head: bytes) -> str:
    """Why a file is no archive, as far as its first bytes tell."""
    if not head:
        return "it is empty"
    known = next((what for magic, what in _FOREIGN if head.lstrip().startswith(magic)), "")
    found = f"it is {known}" if known else f"it begins with {shown(head[:16])}"
    return f"it is none of tar, tar.gz, tgz, tar.bz2, bz2 and zip: {found}"


def _is_called_tar(name: str) -> bool:
    return re.search(r"\.(tar|tgz|tbz2?|tar\.\w+)$", name.lower()) is not None


def _unpack_stream(stream: Stream, name: str, tree: Tree, tell: Callable[[], None]) -> None:
    """A tar archive or a single file that is compressed as a whole."""
    head = stream.peek(tarfile.BLOCKSIZE)
    if is_tar_header(head) or (_is_called_tar(name) and head and not head.strip(b"\0")):
        _unpack_tar(stream, tree, tell)
    elif _is_called_tar(name):
        for _ in stream.rest(tell):  # if it is damaged, that is what is to be said
            pass
        raise Refused("it is compressed, but what is in it is no tar archive")
    else:
        single = re.sub(r"\.(bz2|gz)$", "", name.rpartition("/")[2], flags=re.IGNORECASE) or "data"
        entry = single.encode("utf-8", "surrogateescape")
        with _naming(entry):
            tree.file(entry, stream.rest(tell), executable=False, mtime=-1)


# -- tar


def _unpack_tar(stream: Stream, tree: Tree, tell: Callable[[], None]) -> None:
    with tarfile.open(
        fileobj=cast("BinaryIO", stream), mode="r:", encoding="utf-8", errors="surrogateescape"
    ) as archive:
        while (member := archive.next()) is not None:
            name = member.name.encode("utf-8", "surrogateescape")
            with _naming(name):
                if len(archive.pax_headers) > _MOST_GLOBALS:
                    raise Refused("it has too many pax headers")
                _add_member(member, name, stream, tree, tell)
            cast("Any", archive).members.clear()  # it would keep them all
            stream.end_of_headers()
            tell()
    stream.expect_end()


def _add_member(
    member: tarfile.TarInfo, name: bytes, stream: Stream, tree: Tree, tell: Callable[[], None]
) -> None:
    target = member.linkname.encode("utf-8", "surrogateescape")
    if member.issparse():
        raise Refused("it is a sparse entry; make the archive without --sparse")
    if member.isreg():
        contents = stream.contents(member.offset_data, member.size, tell)
        tree.file(name, contents, executable=bool(member.mode & 0o111), mtime=float(member.mtime))
    elif member.isdir():
        tree.directory(name)
    elif member.issym():
        tree.link(name, target)
    elif member.islnk():
        tree.hard_link(name, target)
    else:
        kind = {tarfile.FIFOTYPE: "a named pipe", tarfile.CHRTYPE: "a device", tarfile.BLKTYPE: "a device"}
        raise Refused(
            f"it is {kind.get(member.type, 'of an unknown type')}; files, directories and links only"
        )


# -- zip


def _unpack_zip(file: BinaryIO, tree: Tree, budget: Budget, meter: _Meter) -> None:
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
            with _naming(name):
                _add_entry(archive, entry, name, tree, budget)
            done += entry.compress_size
            meter.at(done)


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
