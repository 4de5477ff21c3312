"""What one packs comes out: every format, permissions, times, names, and a word on how far it is."""

from __future__ import annotations

import bz2
import gzip
import os
import zipfile
from pathlib import Path

import pytest

from eas_engine.artifacts.archives.unpack import UnpackError, unpack
from support.archives import (
    DIRECTORY,
    FILE,
    FORMATS,
    HARD_LINK,
    SYMLINK,
    Entry,
    contents,
    tar,
    tar_gz,
    zipped,
)

MODEL = (
    Entry("model", kind=DIRECTORY),
    Entry("model/weights.bin", bytes(range(256)) * 5000),
    Entry("./run.sh", b"#!/bin/sh\n", mode=0o4755),
    Entry("deep/er/still/x", b""),
    Entry("latest", kind=SYMLINK, target="model/weights.bin"),
)


def unpacked(tmp_path: Path, data: bytes, name: str) -> Path:
    archive = tmp_path / "archive"
    archive.write_bytes(data)
    unpack(archive, name, tmp_path / "out")
    return tmp_path / "out"


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_tree(tmp_path: Path, name: str) -> None:
    out = unpacked(tmp_path, FORMATS[name](MODEL), name)
    assert contents(out) == {
        "deep": None,
        "deep/er": None,
        "deep/er/still": None,
        "deep/er/still/x": b"",
        "latest": "-> model/weights.bin",
        "model": None,
        "model/weights.bin": bytes(range(256)) * 5000,
        "run.sh": b"#!/bin/sh\n",
    }
    assert (out / "run.sh").stat().st_mode == 0o100755  # executable still, setuid no more
    assert (out / "model/weights.bin").stat().st_mode == 0o100644
    assert (out / "model").stat().st_mode == 0o40755
    assert (out / "run.sh").stat().st_mtime == 1_000_000_000


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_permissions_do_not_depend_on_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        out = unpacked(tmp_path, tar([Entry("a/b", b"x", mode=0o777), Entry("c", b"", mode=0o000)]), "m.tar")
    finally:
        os.umask(before)
    assert [(out / name).stat().st_mode & 0o7777 for name in ("a", "a/b", "c")] == [0o755, 0o755, 0o644]


@pytest.mark.parametrize("name", ["m.tar.gz", "m.zip", "m", "m.bz2", "model.bin"])
@pytest.mark.parametrize("real", FORMATS)
def test_the_content_says_what_it_is_not_the_name(tmp_path: Path, name: str, real: str) -> None:
    assert contents(unpacked(tmp_path, FORMATS[real]([Entry("a", b"b")]), name)) == {"a": b"b"}


def test_a_single_compressed_file_gets_the_name_of_the_archive(tmp_path: Path) -> None:
    out = unpacked(tmp_path, bz2.compress(b"weights"), "models/model.bin.bz2")
    assert contents(out) == {"model.bin": b"weights"}


def test_two_bzip2_streams_in_one_file_are_one_file(tmp_path: Path) -> None:
    assert contents(unpacked(tmp_path, bz2.compress(b"a") + bz2.compress(b"b"), "m.bz2")) == {"m": b"ab"}


def test_a_file_called_tar_gz_must_hold_a_tar_archive(tmp_path: Path) -> None:
    with pytest.raises(
        UnpackError, match=r"m\.tar\.gz: it is compressed, but what is in it is no tar archive"
    ):
        unpacked(tmp_path, gzip.compress(b"weights"), "m.tar.gz")


def test_hard_links_within_the_archive_are_kept(tmp_path: Path) -> None:
    out = unpacked(
        tmp_path,
        tar(
            [
                Entry("a/x", b"1"),
                Entry("y", kind=HARD_LINK, target="./a/x"),
                Entry("z", kind=HARD_LINK, target="y"),
            ]
        ),
        "m.tar",
    )
    assert (out / "a/x").stat().st_ino == (out / "y").stat().st_ino == (out / "z").stat().st_ino


def test_a_hard_link_to_a_link_is_that_link(tmp_path: Path) -> None:
    entries = [
        Entry("x", b"1"),
        Entry("l", kind=SYMLINK, target="x"),
        Entry("m", kind=HARD_LINK, target="l"),
    ]
    assert contents(unpacked(tmp_path, tar(entries), "m.tar")) == {"x": b"1", "l": "-> x", "m": "-> x"}


@pytest.mark.parametrize(
    "target", ["../b/x", "x/../../b", ".", "..", "nothing/there", "./././x", "../a/../b/l2"]
)
def test_links_that_stay_inside_are_kept_as_they_are(tmp_path: Path, target: str) -> None:
    entries = [Entry("b/l2", kind=SYMLINK, target="../a"), Entry("a/l", kind=SYMLINK, target=target)]
    assert contents(unpacked(tmp_path, tar(entries), "m.tar"))["a/l"] == f"-> {target}"


def test_names_that_are_not_utf_8_are_kept_byte_for_byte(tmp_path: Path) -> None:
    name = b"caf\xe9".decode("utf-8", "surrogateescape")
    out = unpacked(tmp_path, tar([Entry(name, b"x")]), "m.tar")
    assert [os.fsencode(each.name) for each in out.iterdir()] == [b"caf\xe9"]


def test_zip_names_from_unix_are_kept_byte_for_byte(tmp_path: Path) -> None:
    data = zipped([Entry("cafQ", b"x")]).replace(b"cafQ", b"caf\xe9")
    out = unpacked(tmp_path, data, "m.zip")
    assert [os.fsencode(each.name) for each in out.iterdir()] == [b"caf\xe9"]


def test_zip_names_from_windows_are_converted(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    with zipfile.ZipFile(archive, "w") as out:
        for name in ("dir/caf\x82", "dir\\b"):
            info = zipfile.ZipInfo("place" + "h" * (len(name) - 5))
            info.create_system = 0
            info.filename = name.replace("\x82", "Q")
            out.writestr(info, b"x")
    archive.write_bytes(archive.read_bytes().replace(b"cafQ", b"caf\x82"))
    unpack(archive, "m.zip", tmp_path / "out")
    assert contents(tmp_path / "out") == {"dir": None, "dir/café": b"x", "dir/b": b"x"}


def test_names_that_differ_only_by_normalisation_are_two_files(tmp_path: Path) -> None:
    entries = [Entry("caf\u00e9", b"1"), Entry("cafe\u0301", b"2")]
    assert contents(unpacked(tmp_path, tar(entries), "m.tar")) == {"caf\u00e9": b"1", "cafe\u0301": b"2"}


def test_a_directory_may_be_named_twice_and_after_its_files(tmp_path: Path) -> None:
    entries = [
        Entry("a/b", b"1"),
        Entry("a", kind=DIRECTORY),
        Entry("./", kind=DIRECTORY),
        Entry("a/", kind=DIRECTORY),
    ]
    assert contents(unpacked(tmp_path, tar(entries), "m.tar")) == {"a": None, "a/b": b"1"}


def test_a_self_extracting_zip_is_a_zip(tmp_path: Path) -> None:
    assert contents(unpacked(tmp_path, b"#!/bin/sh\nunzip $0\n" + zipped([Entry("a", b"b")]), "m.zip")) == {
        "a": b"b"
    }


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_zip_methods(tmp_path: Path, method: int) -> None:
    data = os.urandom(3_000_000)
    assert contents(unpacked(tmp_path, zipped([Entry("a", data)], method=method), "m.zip")) == {"a": data}


def test_times_that_make_no_sense_are_not_set(tmp_path: Path) -> None:
    entries = tar([Entry("a", b"")])
    broken = bytearray(entries)
    broken[136:148] = b"\x80" + b"\xff" * 11  # base-256: far beyond the end of time
    broken[148:156] = b"%06o\0 " % (sum(broken[:148]) + 8 * 32 + sum(broken[156:512]))
    assert (unpacked(tmp_path, bytes(broken), "m.tar") / "a").stat().st_mtime > 1_500_000_000


def test_it_tells_how_far_it_is_and_can_be_ended_so(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive.write_bytes(tar_gz([Entry(f"f{number}", os.urandom(1 << 20)) for number in range(5)]))
    told: list[tuple[int, int]] = []
    unpack(archive, "m.tgz", tmp_path / "out", progress=lambda done, size: told.append((done, size)))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1] == (archive.stat().st_size, archive.stat().st_size)

    def enough(done: int, _size: int) -> None:
        if done > 1 << 21:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        unpack(archive, "m.tgz", tmp_path / "out2", progress=enough)
    assert not (tmp_path / "out2").exists()


def test_what_is_there_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").write_bytes(b"x")
    with pytest.raises(FileExistsError):
        unpacked(tmp_path, tar([Entry("a")]), "m.tar")
    assert contents(tmp_path / "out") == {"mine": b"x"}


def test_one_directory_on_top_stays(tmp_path: Path) -> None:
    assert contents(unpacked(tmp_path, tar([Entry("top/a", b"", FILE)]), "m.tar")) == {
        "top": None,
        "top/a": b"",
    }
