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
import contextlib
import gzip
import re
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from eas_engine.artifacts.archives.budget import Budget, Limits, Refused, UnpackError, free_bytes, shown
from eas_engine.artifacts.archives.parsing import BROKEN, naming
from eas_engine.artifacts.archives.stream import Stream, is_tar_header
from eas_engine.artifacts.archives.tree import Tree
from eas_engine.artifacts.archives.unzip import unpack_zip

__all__ = ["Limits", "UnpackError", "unpack"]

Progress = Callable[[int, int], None]
"""Called now and then with the bytes of the archive that are done, and all of them."""

_MOST_GLOBALS: Final = 1000  # keys of pax headers that hold for the whole archive
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
    except BROKEN as error:
        raise UnpackError(what, "", f"it is damaged ({error})") from error
    except OSError as error:
        if error.errno is not None:  # the disk's, not a decompressor's
            raise
        raise UnpackError(what, "", f"it is damaged ({error})") from error


def _unpack(archive: Path, name: str, tree: Tree, budget: Budget, meter: _Meter) -> None:
    with archive.open("rb") as file:

        def tell() -> None:
            meter.at(file.tell())

        head = file.read(tarfile.BLOCKSIZE)
        file.seek(0)
        if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            unpack_zip(file, tree, budget, meter.at)
        elif head.startswith(b"\x1f\x8b"):
            with gzip.GzipFile(fileobj=file) as gunzip:
                _unpack_stream(Stream(cast("BinaryIO", gunzip), budget), name, tree, tell)
        elif head.startswith(b"BZh"):
            with bz2.BZ2File(file) as bunzip2:
                _unpack_stream(Stream(cast("BinaryIO", bunzip2), budget), name, tree, tell)
        elif is_tar_header(head) or (_is_called_tar(name) and head and not head.strip(b"\0")):
            _unpack_tar(Stream(file, budget), tree, tell)
        elif zipfile.is_zipfile(file):  # with something in front of it: one that unpacks itself
            unpack_zip(file, tree, budget, meter.at)
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
        with naming(entry):
            tree.file(entry, stream.rest(tell), executable=False, mtime=-1)


# -- tar


def _unpack_tar(stream: Stream, tree: Tree, tell: Callable[[], None]) -> None:
    with tarfile.open(
        fileobj=cast("BinaryIO", stream), mode="r:", encoding="utf-8", errors="surrogateescape"
    ) as archive:
        while (member := archive.next()) is not None:
            name = member.name.encode("utf-8", "surrogateescape")
            with naming(name):
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
