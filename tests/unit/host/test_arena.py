"""Extents: apart from each other, used again, and given back to the system above what is kept."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from eas_host.arena import Arena, map_read_only

K = 1024
SMALLEST = 256 * K


def memory(size: int) -> int:
    fd = os.memfd_create("test", os.MFD_CLOEXEC)
    os.ftruncate(fd, size)
    return fd


def in_memory(fd: int) -> int:
    return os.fstat(fd).st_blocks * 512


@pytest.fixture
def fd() -> Iterator[int]:
    fd = memory(64 * SMALLEST)
    yield fd
    os.close(fd)


@pytest.mark.parametrize(
    ("length", "extent"), [(1, 256 * K), (256 * K, 256 * K), (256 * K + 1, 512 * K), (600 * K, 1024 * K)]
)
def test_an_extent_is_the_next_power_of_two_from_256_kib(fd: int, length: int, extent: int) -> None:
    arena = Arena(fd, 64 * SMALLEST)
    assert arena.take(length) == 0
    assert arena.used == extent
    assert arena.take(1) == extent
    arena.close()


def test_the_memory_of_one_class_is_used_again_and_is_still_there(fd: int) -> None:
    arena = Arena(fd, 64 * SMALLEST)
    offset = arena.take(300 * K)
    assert offset is not None
    arena.view[offset : offset + 300 * K] = b"x" * 300 * K
    arena.give(offset)
    assert (arena.used, arena.reserve) == (0, 512 * K)
    assert arena.take(100) != offset  # another class
    assert arena.take(500 * K) == offset
    assert bytes(arena.view[offset : offset + 3]) == b"xxx"
    assert arena.reserve == 0
    arena.close()


def test_above_what_is_kept_the_pages_go_back_to_the_system(fd: int) -> None:
    arena = Arena(fd, 64 * SMALLEST, keep=512 * K)
    offsets = [arena.take(SMALLEST) for _ in range(4)]
    for offset in offsets:
        assert offset is not None
        arena.view[offset : offset + SMALLEST] = b"x" * SMALLEST
    assert in_memory(fd) == 4 * SMALLEST
    for offset in offsets:
        assert offset is not None
        arena.give(offset)
    assert arena.reserve == 512 * K
    assert in_memory(fd) == 512 * K
    again = [arena.take(SMALLEST) for _ in range(4)]
    assert sorted(map(str, again)) == sorted(map(str, offsets))  # the address space is used again, too
    assert sum(bytes(arena.view[o : o + 1]) == b"x" for o in again if o is not None) == 2
    arena.close()


def test_the_pages_of_its_beginning_never_go_back_and_are_used_first(fd: int) -> None:
    """A card reads the pages that it was told of, and wouldn't notice that others came instead."""
    arena = Arena(fd, 64 * SMALLEST, keep=SMALLEST, fixed=3 * SMALLEST)
    offsets = [arena.take(SMALLEST) for _ in range(3)]
    beyond = arena.take(SMALLEST)
    across = arena.take(2 * SMALLEST)
    assert across is not None
    assert beyond is not None
    for offset in (*offsets, beyond):
        assert offset is not None
        arena.view[offset : offset + SMALLEST] = b"x" * SMALLEST
    arena.give(beyond)  # kept: there is room for one
    for offset in offsets:
        assert offset is not None
        arena.give(offset)
    arena.give(across)
    assert in_memory(fd) == 4 * SMALLEST
    assert sorted(map(str, (arena.take(1) for _ in range(3)))) == sorted(map(str, offsets))
    assert arena.take(1) == beyond
    arena.close()


def test_nothing_is_given_back_twice(fd: int) -> None:
    arena = Arena(fd, 64 * SMALLEST)
    offset = arena.take(1)
    assert offset is not None
    arena.give(offset)
    with pytest.raises(KeyError):
        arena.give(offset)
    with pytest.raises(KeyError):
        arena.give(12345)
    assert (arena.used, arena.reserve) == (0, SMALLEST)
    arena.close()


def test_when_the_address_space_is_used_up_there_is_none(fd: int) -> None:
    arena = Arena(fd, 4 * SMALLEST)
    offset = arena.take(3 * SMALLEST)
    assert offset == 0
    assert arena.take(1) is None
    arena.give(0)
    assert arena.take(4 * SMALLEST) == 0
    assert arena.take(5 * SMALLEST) is None
    arena.close()


def test_the_other_side_sees_it_and_can_not_write(fd: int) -> None:
    arena = Arena(fd, 64 * SMALLEST)
    theirs = map_read_only(fd, 64 * SMALLEST)
    arena.view[5:8] = b"abc"
    assert bytes(theirs[5:8]) == b"abc"
    assert theirs.readonly
    with pytest.raises(TypeError):
        theirs[5] = 0
    arena.close()


def test_closing_leaves_views_that_are_still_used(fd: int) -> None:
    arena = Arena(fd, 64 * SMALLEST)
    view = arena.view[0:3]
    arena.close()
    view[:] = b"abc"
    assert bytes(view) == b"abc"
    assert repr(arena) == "<Arena 0 bytes used, 0 in reserve>"


class Extents(RuleBasedStateMachine):
    """The model: which bytes are whose. Each extent is filled with its own number, and must keep it."""

    SIZE = 40 * SMALLEST

    def __init__(self) -> None:
        super().__init__()
        self.fd = memory(self.SIZE)
        self.arena = Arena(self.fd, self.SIZE, keep=3 * SMALLEST)
        self.out: dict[int, tuple[int, int]] = {}
        self.number = 0

    @rule(length=st.sampled_from([1, SMALLEST, SMALLEST + 1, 3 * SMALLEST, 4 * SMALLEST]))
    def take(self, length: int) -> None:
        offset = self.arena.take(length)
        if offset is None:
            return
        for other, (size, _) in self.out.items():
            assert offset + length <= other or other + size <= offset, "they overlap"
        assert offset + length <= self.SIZE
        self.number = self.number % 255 + 1
        self.arena.view[offset] = self.arena.view[offset + length - 1] = self.number
        self.out[offset] = (length, self.number)

    @precondition(lambda self: self.out)
    @rule(n=st.integers(0, 99))
    def give(self, n: int) -> None:
        offset = list(self.out)[n % len(self.out)]
        del self.out[offset]
        self.arena.give(offset)

    @invariant()
    def kept(self) -> None:
        for offset, (length, number) in self.out.items():
            assert self.arena.view[offset] == self.arena.view[offset + length - 1] == number
        assert self.arena.used >= sum(length for length, _ in self.out.values())
        assert self.arena.reserve <= 3 * SMALLEST
        assert bool(self.arena.used) == bool(self.out)

    def teardown(self) -> None:
        self.arena.close()
        os.close(self.fd)


Extents.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestExtents = Extents.TestCase
