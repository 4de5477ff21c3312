"""The memory of request bodies."""

from __future__ import annotations

import mmap
import os

import pytest

from eas_engine.workers.bodies import Bodies
from eas_host.arena import Arena


def test_what_is_over_the_reserve_goes_back_to_the_system() -> None:
    """A seal against the hosts' writing forbade this, too: the first body over the reserve was the last."""
    bodies = Bodies(8 << 20)
    arena = bodies.arena
    assert arena is not None
    offset, place = bodies.place(6 << 20)
    place[:] = b"y" * len(place)
    taken = os.fstat(bodies.fd).st_blocks
    arena.give(offset)

    assert taken * 512 >= 6 << 20
    assert os.fstat(bodies.fd).st_blocks * 512 < 1 << 20
    place.release()
    bodies.close()


def test_hosts_cannot_write_into_requests() -> None:
    bodies = Bodies(1 << 20)
    described = bodies.describe()
    assert described is not None

    with pytest.raises(PermissionError):
        mmap.mmap(described["fd"], 4096)
    assert mmap.mmap(described["fd"], 4096, access=mmap.ACCESS_READ)[:1] == b"\0"
    bodies.close()


def test_an_extent_is_given_back_once() -> None:
    fd = os.memfd_create("test")
    os.ftruncate(fd, 1 << 30)
    arena = Arena(fd, 1 << 30)
    offset = arena.take(300_000)
    assert offset is not None
    arena.give(offset)

    with pytest.raises(KeyError):
        arena.give(offset)
    assert (arena.used, arena.reserve) == (0, 1 << 19)
    arena.close()
    os.close(fd)
