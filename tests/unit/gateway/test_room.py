"""As many clients as there is room for: who goes when one more comes, and what hosts keep for themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from eas_engine.errors import ConfigurationError
from eas_engine.gateway import room
from eas_engine.gateway.listen import check_descriptors
from support.parts import Parts
from support.transport import START, Browser, next_call, post


@pytest.fixture
def narrow(make: Callable[..., Parts]) -> Callable[[int], Parts]:
    """A data plane with room for so many clients."""

    def narrow(clients: int) -> Parts:
        parts = make()
        parts.front.room.limit = clients
        return parts

    return narrow


def come(parts: Parts) -> Browser:
    """A client that has just connected; a moment later than the one before."""
    browser = Browser(parts)
    browser.connection.active = parts.loop.now
    parts.loop.now += 0.001
    parts.loop.turn()
    return browser


def test_a_newcomer_takes_the_place_of_who_was_idle_for_longest(narrow: Callable[[int], Parts]) -> None:
    parts = narrow(3)
    host = parts.host()
    first, second, third = come(parts), come(parts), come(parts)
    first.send(post(b"a"))  # so the second is now the longest idle
    host.serve()
    parts.loop.turn()
    newcomer = come(parts)
    assert (first.lost, second.lost, third.lost) == (False, True, False)
    newcomer.send(post(b"b"))
    host.serve()
    parts.loop.turn()
    assert newcomer.statuses == [200]
    assert parts.counters.closed_for_room == 1
    assert parts.counters.refused_connections == 0
    assert parts.counters.connections == 3


def test_nobody_who_waits_for_something_is_closed_for_room(narrow: Callable[[int], Parts]) -> None:
    parts = narrow(4)
    host = parts.host()
    busy, sending, uploading, slow = come(parts), come(parts), come(parts), come(parts)
    slow.reads = False
    slow.send(post(b"x"))
    host.answer(next_call(host), b"y" * 100_000)
    parts.loop.turn()
    busy.send(post(b"a"))
    sending.send(START[:20])
    uploading.send(START + b"Content-Length: 10\r\n\r\nhalf")
    newcomers = [come(parts) for _ in range(3)]
    assert [one.lost for one in newcomers] == [True] * 3
    assert not any(one.lost for one in (busy, sending, uploading, slow))
    assert parts.counters.refused_connections == 3
    assert parts.counters.closed_for_room == 0
    slow.read()
    come(parts)
    assert slow.lost, "it has read its answer, and the others are as busy as they were"


def test_who_only_lingers_goes_after_the_idle(narrow: Callable[[int], Parts]) -> None:
    parts = narrow(2)
    parts.host()
    lingering, idle = come(parts), come(parts)
    lingering.send(b"nonsense\r\n\r\n")
    assert lingering.statuses == [400]
    newcomer = come(parts)
    assert [lingering.lost, idle.lost] == [False, True]
    newcomer.send(post(b"a"))
    come(parts)
    assert [lingering.lost, newcomer.lost] == [True, False]


def test_one_walk_finds_many_and_each_is_looked_at_again(narrow: Callable[[int], Parts]) -> None:
    parts = narrow(64)
    host = parts.host()
    there = [come(parts) for _ in range(64)]
    come(parts)
    assert [n for n, one in enumerate(there) if one.lost] == [0]
    there[1].send(post(b"a"))  # found by the walk, but not idle any more when its turn comes
    come(parts)
    assert [n for n, one in enumerate(there) if one.lost] == [0, 2]
    host.serve()
    parts.loop.turn()
    assert there[1].statuses == [200]


def test_when_all_are_busy_newcomers_cost_no_walk_each(narrow: Callable[[int], Parts]) -> None:
    parts = narrow(96)
    there = [come(parts) for _ in range(96)]
    for one in there:
        one.send(START[:9])
    looks = 0

    class Counted(set[Any]):
        def __iter__(self) -> Any:
            nonlocal looks
            looks += 1
            return super().__iter__()

    parts.front.connections = Counted(parts.front.connections)
    for _ in range(8):
        assert Browser(parts).closing
    assert looks == 2


def test_it_is_logged_once_a_minute(narrow: Callable[[int], Parts]) -> None:
    parts = narrow(2)
    keep = parts.front.room
    for _ in range(5):
        come(parts)
    keep.tick(100.0, [])
    come(parts)
    keep.tick(101.0, [])
    keep.tick(159.9, [])
    assert [fields for _, fields in parts.log.lines] == [{"limit": 2, "closed_idle": 3, "refused": 0}]
    keep.tick(160.0, [])
    keep.tick(161.0, [])
    assert [fields["closed_idle"] for _, fields in parts.log.lines] == [3, 1]
    assert "ulimit" in parts.log.lines[0][0]


def test_more_hosts_leave_less_room_and_idle_clients_make_it(narrow: Callable[[int], Parts]) -> None:
    parts = narrow(6)
    there = [come(parts) for _ in range(6)]
    parts.front.room.limit = 4
    parts.front.tick()
    parts.loop.turn()
    assert [one.lost for one in there] == [True, True, False, False, False, False]


@pytest.mark.parametrize("descriptors", [64, 256, 1024, 20_000, 1 << 20, 1 << 30])
def test_everybody_gets_a_share(descriptors: int) -> None:
    hosts = 1
    clients, admin = room.share_of_clients(descriptors, hosts), room.share_of_admin(descriptors)
    assert clients + admin + room.OWN + room.A_HOST * hosts == descriptors
    assert clients >= room.FEWEST
    assert 8 <= admin <= 64


@pytest.mark.parametrize("hosts", [1, 3, 20, 500])
def test_too_low_a_limit_is_said_with_what_it_takes(hosts: int) -> None:
    needed = room.fewest_descriptors(hosts)
    check_descriptors(needed, hosts)
    with pytest.raises(ConfigurationError, match=rf"needs at least {needed}$"):
        check_descriptors(needed - 1, hosts)
