"""Random hostile archives: nothing is ever written outside, and either everything is there or nothing."""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import Self

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from eas_engine.artifacts.archives.unpack import Limits, UnpackError, unpack
from support.archives import (
    DEVICE,
    DIRECTORY,
    FIFO,
    FILE,
    FORMATS,
    HARD_LINK,
    SYMLINK,
    Entry,
    contents,
    tar,
    zipped,
)

PLENTY = 1 << 50
LIMITS = Limits(always=1 << 22, entries=200)
STEPS = st.sampled_from(
    ["a", "b", "c", "d", "..", ".", "", "victim", "precious", "caf\u00e9", "\udcff", "n" * 300]
)
PATHS = st.lists(STEPS, min_size=1, max_size=5).map("/".join)
TAME = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map("/".join)
TARGETS = st.one_of(
    PATHS, TAME, st.sampled_from(["/etc/passwd", "../victim", "../../victim/precious", "..", ".", "a/.."])
)
NAMES = st.one_of(TAME, TAME, PATHS, st.sampled_from(["/abs", "../victim/new", "../../victim/precious"]))
ENTRIES = st.lists(
    st.builds(
        Entry,
        NAMES,
        st.binary(max_size=600),
        st.sampled_from([FILE, FILE, FILE, DIRECTORY, SYMLINK, SYMLINK, HARD_LINK, FIFO, DEVICE]),
        TARGETS,
        st.integers(0, 0o7777),
    ),
    max_size=8,
)

FILES = st.lists(
    st.builds(Entry, TAME, st.binary(max_size=1000), st.just(FILE), st.just(""), st.integers(0, 0o777)),
    min_size=1,
    max_size=4,
    unique_by=lambda each: each.name,
)


class Playground:
    """A directory in which an archive is unpacked beside something precious."""

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp())
        (self.root / "victim").mkdir()
        (self.root / "victim/precious").write_bytes(b"precious")
        (self.root / "precious").write_bytes(b"precious")
        (self.root / "scratch").mkdir()
        self.out = self.root / "scratch/out"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.root)

    def unpack(self, data: bytes, name: str) -> UnpackError | None:
        """Try it; whatever came of it, nothing outside has changed."""
        (self.root / "archive").write_bytes(data)
        try:
            unpack(self.root / "archive", name, self.out, limits=LIMITS, free=lambda _: PLENTY)
            refusal = None
        except UnpackError as error:
            refusal = error
        (self.root / "archive").unlink()
        self.check_surroundings()
        return refusal

    def check_surroundings(self) -> None:
        around = {
            name: data for name, data in contents(self.root).items() if not name.startswith("scratch/out")
        }
        assert around == {
            "precious": b"precious",
            "scratch": None,
            "victim": None,
            "victim/precious": b"precious",
        }
        assert (self.root / "precious").stat().st_nlink == 1  # no hard link into the tree either
        assert (self.root / "victim/precious").stat().st_nlink == 1

    def check_whole(self, entries: list[Entry]) -> None:
        """Every entry is there as it was packed, nothing else is, and nothing leads out."""
        found = contents(self.out)
        expected: dict[str, object] = {}
        for entry in entries:
            path = os.path.normpath(entry.name)
            for parent in [*Path(path).parents][:-1]:
                expected.setdefault(str(parent), None)
            if entry.kind == DIRECTORY:
                if path != ".":
                    expected[path] = None
            elif entry.kind == SYMLINK:
                expected[path] = f"-> {entry.target}"
            elif entry.kind == HARD_LINK:
                expected[path] = expected[os.path.normpath(entry.target)]
            else:
                expected[path] = entry.data
        assert found == expected
        out = self.out.resolve()
        for each in self.out.rglob("*"):
            assert each.resolve().is_relative_to(out)
            assert each.lstat().st_mode & 0o400
            assert each.is_symlink() or not each.lstat().st_mode & 0o7022


@given(ENTRIES, st.sampled_from(sorted(FORMATS)))
@example([Entry("l", kind=SYMLINK, target=".."), Entry("l/victim/precious", b"evil")], "m.tar")
@example([Entry("l", kind=SYMLINK, target="../victim/precious"), Entry("l", b"evil")], "m.zip")
@example([Entry("a/b/c", kind=SYMLINK, target="../.."), Entry("b", kind=SYMLINK, target="a/b/c/..")], "m.tar")
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_everything_or_nothing_and_nothing_outside(entries: list[Entry], name: str) -> None:
    if name == "m.zip":
        entries = [
            entry
            for entry in entries
            if entry.kind != HARD_LINK and "\udcff" not in entry.name + entry.target
        ]
    with Playground() as play:
        if play.unpack(FORMATS[name](entries), name):
            assert not play.out.exists()
        else:
            play.check_whole(entries)


@given(ENTRIES)
def test_whatever_the_filter_of_tarfile_refuses_is_refused(entries: list[Entry]) -> None:
    """``filter="data"`` is the standard library's judgement; ours is never milder."""
    data = tar(entries)
    with Playground() as play:
        (play.root / "theirs").mkdir()
        (play.root / "check").write_bytes(data)
        try:
            with tarfile.open(play.root / "check") as archive:
                for member in archive.getmembers():
                    tarfile.data_filter(member, str(play.root / "theirs"))
            refused = False
        except (tarfile.FilterError, OSError):
            refused = True
        (play.root / "check").unlink()
        (play.root / "theirs").rmdir()
        assert play.unpack(data, "m.tar") or not refused


@given(
    FILES,
    st.sampled_from(sorted(FORMATS)),
    st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(1, 255)), max_size=4),
    st.integers(0, 1 << 20),
)
def test_archives_with_changed_and_missing_bytes(
    entries: list[Entry], name: str, changes: list[tuple[int, int]], cut: int
) -> None:
    data = bytearray(FORMATS[name](entries))
    for place, change in changes:
        data[place % len(data)] ^= change
    del data[len(data) - cut % 2 * (cut % len(data)) :]
    with Playground() as play:
        if play.unpack(bytes(data), name):
            assert not play.out.exists()
        else:
            assert all(path.resolve().is_relative_to(play.out.resolve()) for path in play.out.rglob("*"))


@given(
    st.binary(max_size=3000),
    st.sampled_from([b"", b"PK\x03\x04", b"\x1f\x8b\x08\x00", b"BZh9", b"PK\x05\x06"]),
)
def test_noise_is_refused_in_words(noise: bytes, magic: bytes) -> None:
    with Playground() as play:
        refusal = play.unpack(magic + noise, "m.zip")
        assert refusal
        assert str(refusal).isprintable()


@given(FILES)
def test_zip_and_tar_are_judged_alike(entries: list[Entry]) -> None:
    with Playground() as one, Playground() as other:
        first, second = one.unpack(tar(entries), "m"), other.unpack(zipped(entries), "m")
        assert (first and first.reason) == (second and second.reason)
        assert bool(first) or contents(one.out) == contents(other.out)
