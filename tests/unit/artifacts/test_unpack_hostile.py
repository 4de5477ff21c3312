"""Archives that nobody should unpack: refused whole, in words, and nothing is left anywhere."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from eas_engine.artifacts.archives.unpack import Limits, UnpackError, unpack
from support.archives import (
    DEVICE,
    DIRECTORY,
    FIFO,
    FORMATS,
    HARD_LINK,
    SYMLINK,
    Entry,
    contents,
    tar,
    tar_bz2,
    tar_gz,
    zipped,
)

PLENTY = 1 << 50
GOOD = Entry("good", b"x" * 1000)
SMALL = Limits(always=1 << 20, ratio=10, entries=100, depth=10, path=200, header=1 << 14, directory=5000)


@pytest.fixture
def refused(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Unpacks what must be refused; gives the message. Whatever happens, nothing else may be on the disk."""
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim/precious").write_bytes(b"precious")
    (tmp_path / "scratch").mkdir()

    def attempt(data: bytes, name: str = "m.tar", limits: Limits = SMALL, free: int = PLENTY) -> str:
        (tmp_path / "archive").write_bytes(data)
        with pytest.raises(UnpackError) as caught:
            unpack(tmp_path / "archive", name, tmp_path / "scratch/out", limits=limits, free=lambda _: free)
        assert caught.value.exit_status == 3
        assert name in str(caught.value)
        return str(caught.value)

    yield attempt
    (tmp_path / "archive").unlink(missing_ok=True)
    assert contents(tmp_path) == {"scratch": None, "victim": None, "victim/precious": b"precious"}


BOTH = pytest.mark.parametrize("make", [tar, zipped])


@BOTH
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../victim/evil", "has .. in it"),
        ("a/../../victim/evil", "has .. in it"),
        ("a/..", "has .. in it"),
        ("..", "has .. in it"),
        ("/tmp/evil", "absolute path"),
        ("//evil", "absolute path"),
        ("a/" * 11 + "b", "nested deeper than 10"),
        ("n" * 256, "longer than"),
        ("directory/" + "n" * 199, "longer than 200 bytes"),
    ],
)
def test_names(make: Callable[..., bytes], name: str, reason: str, refused: Callable[..., str]) -> None:
    assert reason in refused(make([GOOD, Entry(name, b"evil")]), limits=SMALL)


@BOTH
@pytest.mark.parametrize(
    "entries",
    [
        [GOOD, GOOD],
        [GOOD, Entry("./good", b"y")],
        [GOOD, Entry(".//good", kind=SYMLINK, target="a")],
        [Entry("good", kind=SYMLINK, target="a"), GOOD],
        [Entry("good", kind=DIRECTORY), GOOD],
        [Entry("good/x"), GOOD],
        [GOOD, Entry("good/x")],
        [GOOD, Entry("good", kind=DIRECTORY)],
        [Entry("l", kind=SYMLINK, target="d"), Entry("d", kind=DIRECTORY), Entry("l/x")],
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_what_one_entry_made_another_cannot_change(
    make: Callable[..., bytes], entries: list[Entry], refused: Callable[..., str]
) -> None:
    message = refused(make(entries))
    assert "another entry has the same name" in message or "in the same archive" in message


@BOTH
@pytest.mark.parametrize(
    "links",
    [
        {"l": "/etc/passwd"},
        {"l": "/"},
        {"l": ".."},
        {"a/l": "../.."},
        {"a/l": "../../victim/precious"},
        {"l": "a/../../victim"},
        {"deep/er/l": "../../s", "s/x": "..", "z": "deep/er/l/../.."},  # inside as text, outside as followed
        {"a/b/c": "../..", "z": "a/b/c/.."},
        {"z": "l/..", "l": "a/../.", "a/x": "y"},
    ],
)
def test_links_that_lead_out(
    make: Callable[..., bytes], links: dict[str, str], refused: Callable[..., str]
) -> None:
    entries = [GOOD, *(Entry(name, kind=SYMLINK, target=target) for name, target in links.items())]
    assert "leads out of the archive" in refused(make(entries))


@BOTH
def test_links_in_circles(make: Callable[..., bytes], refused: Callable[..., str]) -> None:
    entries = [Entry("a", kind=SYMLINK, target="b"), Entry("b", kind=SYMLINK, target="a")]
    assert "circles" in refused(make(entries))


@BOTH
def test_links_that_multiply(make: Callable[..., bytes], refused: Callable[..., str]) -> None:
    entries = [
        Entry(f"l{number}", kind=SYMLINK, target=f"l{number + 1}/l{number + 1}") for number in range(60)
    ]
    assert "circles" in refused(make(entries))


@pytest.mark.parametrize("target", ["missing", "../victim/precious", "/etc/passwd", "good/../../x", "d", ""])
def test_hard_links_to_what_is_no_file_of_the_archive(target: str, refused: Callable[..., str]) -> None:
    entries = [GOOD, Entry("d", kind=DIRECTORY), Entry("h", kind=HARD_LINK, target=target)]
    message = refused(tar(entries))
    assert "hard link" in message or "absolute" in message or ".. in it" in message


@BOTH
@pytest.mark.parametrize("kind", [FIFO, DEVICE])
def test_devices_and_pipes(make: Callable[..., bytes], kind: bytes, refused: Callable[..., str]) -> None:
    assert "files, directories and links only" in refused(make([GOOD, Entry("evil", kind=kind)]))


@pytest.mark.parametrize("compress", [tar_gz, tar_bz2, zipped])
def test_bombs(compress: Callable[..., bytes], refused: Callable[..., str]) -> None:
    assert "decompression bomb" in refused(compress([Entry("zeros", bytes(20 << 20))]))


def test_a_bomb_in_the_headers_alone(refused: Callable[..., str]) -> None:
    data = gzip.compress(tar([GOOD]) + bytes(20 << 20))
    assert "decompression bomb" in refused(data)


def test_a_bomb_of_many_small_files(refused: Callable[..., str]) -> None:
    assert "more than 100 entries" in refused(tar_gz([Entry(f"f{number}") for number in range(101)]))


@BOTH
def test_the_absolute_limit(make: Callable[..., bytes], refused: Callable[..., str]) -> None:
    assert "unpacks to more than 999 bytes" in refused(make([GOOD]), limits=Limits(total=999))


@BOTH
def test_a_disk_without_room(make: Callable[..., bytes], refused: Callable[..., str]) -> None:
    limits = Limits(reserve=100)
    assert "the disk is too full" in refused(make([Entry("a", b"x" * 1000)]), limits=limits, free=1099)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("keep", [0.0, 0.3, 0.6, 0.9, 0.999])
def test_cut_short(name: str, keep: float, refused: Callable[..., str]) -> None:
    data = FORMATS[name]([Entry("a", os.urandom(30_000)), Entry("b", os.urandom(30_000))])
    end = len(data) if name != "m.tar" else len(data.rstrip(b"\0")) + 512
    message = refused(data[: int(end * keep)], name)
    assert "cut short" in message or "is empty" in message or "is none of" in message or "damaged" in message


def test_a_tar_archive_that_ends_between_two_entries_is_cut_short(refused: Callable[..., str]) -> None:
    assert "cut short" in refused(tar([GOOD, Entry("second", b"y")])[:1536])


@pytest.mark.parametrize("name", FORMATS)
def test_changed_bytes(name: str, refused: Callable[..., str]) -> None:
    data = bytearray(FORMATS[name]([Entry("a", os.urandom(100_000)), Entry("b", b"x")]))
    if name == "m.tar":  # it has checksums of its headers alone
        data[512 + 196 * 512 + 1] ^= 0xFF  # in the header of b
    else:
        data[50_000] ^= 0xFF
    assert "damaged" in refused(bytes(data), name, limits=Limits())


def test_changed_bytes_of_a_checksum(refused: Callable[..., str]) -> None:
    data = bytearray(tar_gz([GOOD]))
    data[-5] ^= 1
    assert "damaged" in refused(bytes(data))


def test_something_behind_the_end(refused: Callable[..., str]) -> None:
    assert "something follows its end" in refused(tar([GOOD]) + tar([Entry("second")]))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "it is empty"),
        (b"\n<!DOCTYPE html><html>", "an HTML page"),
        (b'{"error": "no such key"}', "JSON, perhaps an error message"),
        (b"<?xml version='1.0'?><Error/>", "an XML document"),
        (b"Rar!\x1a\x07", "RAR"),
        (b"\x28\xb5\x2f\xfd1234", "zstd"),
        (b"hello\x1b[31m", "begins with hello\\x1b[31m"),
        (b"\0" * 100, "begins with"),
    ],
)
def test_what_is_no_archive_is_said_to_be_what_it_is(
    data: bytes, said: str, refused: Callable[..., str]
) -> None:
    assert said in refused(data, "m.zip")


@pytest.mark.parametrize("data", [tar([]), tar_gz([]), zipped([]), tar([Entry(".", kind=DIRECTORY)])])
def test_an_archive_that_holds_nothing(data: bytes, refused: Callable[..., str]) -> None:
    assert "it holds nothing" in refused(data, "m.tar")


# -- tar


def raw_tar(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """Headers as they are given, whatever they say."""
    out = io.BytesIO()
    for info, data in members:
        out.write(info.tobuf(tarfile.GNU_FORMAT))
        out.write(data + bytes(-len(data) % 512))
    return out.getvalue() + bytes(1024)


def member(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info


def test_sparse_entries(refused: Callable[..., str]) -> None:
    headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "s",
        "GNU.sparse.realsize": "9",
    }
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = member("s", 512)
        info.pax_headers = headers
        archive.addfile(info, io.BytesIO(b"0\n".ljust(512, b"\0")))
    assert "sparse" in refused(out.getvalue())


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_headers_that_are_huge(kind: bytes, refused: Callable[..., str]) -> None:
    body = b"%d path=%s\n" % (20_000, b"x" * 19_988)
    data = raw_tar((member("h", len(body), kind), body), (member("x"), b""))
    assert "headers of one entry are larger than 16384 bytes" in refused(data)


def test_headers_that_only_say_they_are_huge(refused: Callable[..., str]) -> None:
    data = raw_tar((member("h", 1 << 40, tarfile.XHDTYPE), b""))
    assert "headers of one entry are larger" in refused(data, limits=Limits())


def test_headers_on_headers_without_end(refused: Callable[..., str]) -> None:
    chain = [(member("L", 2, tarfile.GNUTYPE_LONGNAME), b"x\0")] * 2000
    message = refused(raw_tar(*chain, (member("x"), b"")), limits=Limits(header=1 << 30))
    assert "damaged" in message


def test_global_headers_without_end(refused: Callable[..., str]) -> None:
    def headers(number: int) -> bytes:
        text = "".join(
            f"{len(f'00 k{number:04}{index:02}=v') + 1} k{number:04}{index:02}=v\n" for index in range(90)
        )
        return text.encode()

    members = []
    for number in range(20):
        body = headers(number)
        members += [(member("g", len(body), tarfile.XGLTYPE), body), (member(f"f{number}"), b"")]
    assert "too many pax headers" in refused(raw_tar(*members))


def test_a_size_below_zero(refused: Callable[..., str]) -> None:
    info = member("x")
    header = bytearray(info.tobuf())
    header[124:136] = b"\xff" * 12
    header[148:156] = b"%06o\0 " % (sum(header[:148]) + 8 * 32 + sum(header[156:512]))
    assert "damaged" in refused(bytes(header) + bytes(1024))


def test_a_size_that_is_not_there(refused: Callable[..., str]) -> None:
    assert "cut short in the middle of it" in refused(raw_tar((member("x", 500_000), b"y")))


# -- zip


def test_an_encrypted_zip(refused: Callable[..., str]) -> None:
    data = bytearray(zipped([GOOD]))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    assert "good: it is encrypted" in refused(bytes(data), "m.zip")


def test_a_zip_method_that_is_not_known(refused: Callable[..., str]) -> None:
    assert "method 14" in refused(zipped([GOOD], method=zipfile.ZIP_LZMA), "m.zip")


def test_overlapping_entries(refused: Callable[..., str]) -> None:
    """One packed body that many entries of the table point at."""
    data = zipped([Entry("a", os.urandom(5000)), Entry("b", os.urandom(5000))])
    table = data.index(b"PK\x01\x02")
    second = data.index(b"PK\x01\x02", table + 4)
    hostile = bytearray(data)
    hostile[second + 42 : second + 46] = bytes(4)  # where b's local header is: where a's is
    assert "b: it overlaps with another entry" in refused(bytes(hostile), "m.zip")


def test_a_table_that_lies_about_sizes(refused: Callable[..., str]) -> None:
    data = bytearray(zipped([Entry("a", bytes(10_000))]))
    table = data.index(b"PK\x01\x02")
    data[table + 24 : table + 28] = (100).to_bytes(4, "little")
    message = refused(bytes(data), "m.zip")
    assert "damaged" in message or "the table of contents says 100" in message


def test_a_table_that_promises_more_than_there_is(refused: Callable[..., str]) -> None:
    data = bytearray(zipped([Entry("a", bytes(10_000))]))
    table = data.index(b"PK\x01\x02")
    data[table + 24 : table + 28] = (20_000).to_bytes(4, "little")
    message = refused(bytes(data), "m.zip")
    assert "damaged" in message or "the table of contents says 20000" in message


def test_a_table_that_is_huge(refused: Callable[..., str]) -> None:
    data = zipped([Entry(f"f{number}") for number in range(150)])
    assert "table of contents is larger than 5000 bytes" in refused(data, "m.zip")


def test_a_windows_path(refused: Callable[..., str]) -> None:
    assert "absolute path" in refused(zipped([Entry("C:/Windows/evil")]), "m.zip")


def test_backslashes_of_a_zip_from_windows(refused: Callable[..., str]) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        info = zipfile.ZipInfo("x")
        info.create_system = 0
        info.filename = "..\\victim\\evil"
        archive.writestr(info, b"evil")
    assert "has .. in it" in refused(out.getvalue(), "m.zip")


def test_a_link_in_a_zip_whose_target_is_a_book(refused: Callable[..., str]) -> None:
    assert "target is no path" in refused(zipped([Entry("l", kind=SYMLINK, target="x" * 5000)]), "m.zip")


# -- what the message looks like


def test_names_in_messages_are_fit_for_a_terminal(refused: Callable[..., str]) -> None:
    message = refused(tar([Entry("../\x1b[31mred\n" + "\udcff" + "n" * 100)]))
    assert message.isprintable()
    assert "\\x1b[31mred\\n\\xff" in message


def test_a_file_system_that_does_not_take_a_name_is_said_so(
    refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def no_utf8(path: object, *rest: int, **more: int) -> int:
        if b"\xff" in os.fsencode(str(path)):
            raise OSError(84, "Invalid or incomplete multibyte or wide character")
        return partial(real, path)(*rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", no_utf8)
    assert "bad\\xff: this file system doesn't take it: Invalid" in refused(tar([Entry("bad\udcff")]))
