"""Archives for tests: what one would pack, and what nobody would."""

from __future__ import annotations

import bz2
import gzip
import io
import os
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple

FILE, DIRECTORY, SYMLINK, HARD_LINK, FIFO, DEVICE = (
    tarfile.REGTYPE,
    tarfile.DIRTYPE,
    tarfile.SYMTYPE,
    tarfile.LNKTYPE,
    tarfile.FIFOTYPE,
    tarfile.CHRTYPE,
)
NAMES = {FILE: "file", DIRECTORY: "directory", SYMLINK: "symlink", HARD_LINK: "link", FIFO: "fifo"}


class Entry(NamedTuple):
    """One entry of an archive."""

    name: str
    data: bytes = b""
    kind: bytes = FILE
    target: str = ""
    mode: int = 0o644


def tar(entries: Iterable[Entry], *, compress: Callable[[bytes], bytes] = bytes) -> bytes:
    """A tar archive."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for entry in entries:
            info = tarfile.TarInfo(entry.name)
            info.type, info.linkname, info.mode, info.mtime = (
                entry.kind,
                entry.target,
                entry.mode,
                1_000_000_000,
            )
            info.size = len(entry.data) if entry.kind == FILE else 0
            archive.addfile(info, io.BytesIO(entry.data))
    return compress(out.getvalue())


def tar_gz(entries: Iterable[Entry]) -> bytes:
    """The same, with gzip."""
    return tar(entries, compress=partial(gzip.compress, mtime=0))  # the same bytes each time


def tar_bz2(entries: Iterable[Entry]) -> bytes:
    """The same, with bzip2."""
    return tar(entries, compress=bz2.compress)


def zipped(entries: Iterable[Entry], *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip archive as Unix makes them."""
    types = {FILE: 0o100000, DIRECTORY: 0o040000, SYMLINK: 0o120000, FIFO: 0o010000, DEVICE: 0o020000}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for entry in entries:
            name = entry.name + "/" if entry.kind == DIRECTORY else entry.name
            info = zipfile.ZipInfo(name, (2001, 9, 9, 1, 46, 40))
            info.create_system, info.compress_type = 3, method
            info.external_attr = (types[entry.kind] | entry.mode) << 16
            archive.writestr(info, entry.target if entry.kind == SYMLINK else entry.data)
    return out.getvalue()


FORMATS: dict[str, Callable[[Iterable[Entry]], bytes]] = {
    "m.tar": tar,
    "m.tar.gz": tar_gz,
    "m.tgz": tar_gz,
    "m.tar.bz2": tar_bz2,
    "m.zip": zipped,
}


def contents(tree: Path) -> dict[str, object]:
    """What is below a directory: bytes of files, "-> target" of links, None for directories."""
    found: dict[str, object] = {}
    for path in sorted(tree.rglob("*")):
        name = os.fsdecode(path.relative_to(tree))
        if path.is_symlink():
            found[name] = f"-> {os.readlink(path)}"  # noqa: PTH115 - as it is written
        else:
            found[name] = None if path.is_dir() else path.read_bytes()
    return found
