"""Where request bodies lie."""

from __future__ import annotations

import fcntl
import mmap
import os

import pytest

from eas_engine.request import Ticket
from eas_engine.workers.bodies import Bodies, make_shared
from eas_host import wire
from support.parts import Asker


def test_small_bodies_lie_in_the_process_large_ones_in_the_arena() -> None:
    bodies = Bodies(1 << 20)
    assert bodies.place(0) == (-1, memoryview(b""))
    assert bodies.place(wire.SPILL_BYTES - 1)[0] == -1
    offset, view = bodies.place(wire.SPILL_BYTES)
    assert offset >= 0
    assert len(view) == wire.SPILL_BYTES
    assert not view.readonly
    bodies.close()


def test_releasing_gives_back_once() -> None:
    bodies = Bodies(1 << 20)
    ticket = Ticket(Asker(), b"", 1, 0.0, 1.0)
    assert bodies.budget.take(ticket, wire.SPILL_BYTES, lambda: None)
    ticket.size = wire.SPILL_BYTES
    ticket.offset, ticket.body = bodies.place(ticket.size)
    for _ in range(2):
        bodies.release(ticket)
        assert bodies.budget.used == 0
        assert bodies.arena is not None
        assert bodies.arena.used == 0
    bodies.close()


def test_the_memory_can_not_shrink_under_a_reader_and_hosts_can_not_write_into_it() -> None:
    """Whoever has a truncated file mapped gets a SIGBUS; and no processor may change another's input."""
    bodies = Bodies(1 << 20)
    with pytest.raises(OSError, match=r"Errno"):
        os.ftruncate(bodies.fd, 0)
    assert os.fstat(bodies.fd).st_size == 16 << 30
    with pytest.raises(PermissionError):
        mmap.mmap(bodies.fd, 4096)
    assert bodies.describe() == {"fd": bodies.fd, "size": 16 << 30, "fixed": 0}
    bodies.close()


def test_where_a_card_reads_them_smaller_bodies_lie_in_the_arena_and_its_beginning_stays() -> None:
    bodies = Bodies(64 << 20)
    bodies.read_by_card()
    assert bodies.place((64 << 10) - 1)[0] == -1
    assert bodies.place(64 << 10)[0] == 0
    described = bodies.describe()
    assert described is not None
    assert described["fixed"] == 16 << 20
    assert os.fstat(bodies.fd).st_blocks * 512 >= 16 << 20, "and the engine has paid for it, not a host"
    beside = Bodies(1 << 20, bodies)
    assert beside.place(64 << 10)[0] > 0
    bodies.close()


def test_shared_memory_is_not_inherited_by_accident() -> None:
    fd = make_shared("test", 4096)
    assert fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    os.close(fd)
