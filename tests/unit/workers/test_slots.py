"""What was handed out to a host and is not begun: withdrawn, taken back, and never run twice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from eas_host import wire
from support.asking import ask, learn_that_it_is_fast
from support.parts import Parts


def test_a_client_that_leaves_before_the_processor_begins_is_never_seen_by_it(parts: Parts) -> None:
    host = parts.host()
    asker, ticket = ask(parts)
    parts.loop.turn()
    (call,) = host.read()
    parts.gone(asker, ticket)
    assert parts.gate.count == 0  # its place is free at once
    assert host.link.count == 1  # its slot isn't
    assert not host.begin(call)
    parts.loop.turn()
    parts.check_empty()


def test_who_comes_alone_goes_at_once_unless_others_came_behind_the_last_one(parts: Parts) -> None:
    host = parts.host(threads=4)

    def served(count: int) -> None:
        parts.loop.turn()
        assert len(host.read()) == count
        while host.serve():
            parts.loop.turn()

    ask(parts)
    assert len(host.read()) == 1  # before the loop has turned
    served(1)
    ask(parts)
    ask(parts)
    assert len(host.read()) == 1
    served(2)
    ask(parts)
    assert host.read() == []  # one more may be about to come
    served(1)
    ask(parts)
    assert len(host.read()) == 1  # none did
    served(1)


@pytest.fixture
def roomy() -> Iterator[Parts]:
    parts = Parts(queue=50)
    yield parts
    parts.close()


@pytest.mark.parametrize(("coming", "together"), [(0, 2), (1, 3), (2, 4), (9, 5)])
def test_a_write_waits_for_those_who_come_turn_by_turn_but_not_for_long(
    roomy: Parts, coming: int, together: int
) -> None:
    host = roomy.host(threads=20)
    ask(roomy)
    host.read()
    sent: list[int] = []

    def one_more(left: int) -> None:
        sent.append(len(host.read()) - 1)
        if left > 0:
            ask(roomy)
        if left > -6:
            roomy.loop.call_soon(one_more, left - 1)

    ask(roomy)
    ask(roomy)
    roomy.loop.call_soon(one_more, coming)
    roomy.loop.turn()

    assert next(count for count in sent if count) == together
    assert sent[-1] == coming + 2


def test_a_write_that_is_large_enough_waits_for_nobody(roomy: Parts) -> None:
    host = roomy.host(threads=40)
    for _ in range(17):
        ask(roomy)
    sent: list[int] = []
    roomy.loop.call_soon(lambda: sent.append(len(host.read())))
    roomy.loop.turn()

    assert sent == [17]


def test_the_only_host_has_one_ahead_until_another_has_a_thread_for_it(parts: Parts) -> None:
    first = parts.host(threads=1)
    ask(parts)
    (call,) = first.read()
    assert first.begin(call)
    call.unit.us = 2_000_000
    first.answer(call)
    parts.loop.turn()
    for _ in range(3):
        ask(parts)
    parts.loop.turn()
    assert len(first.read()) == 2
    assert len(parts.backlog) == 1
    assert first.begin(first.calls[0])  # and it takes long

    second = parts.host(threads=1)
    parts.loop.turn()
    assert len(second.read()) == 1
    second.serve()
    parts.loop.advance(0.1)
    assert [call.number for call in second.read()] == [3], "taken back from the first"
    second.serve()
    parts.loop.turn()
    first.answer(first.calls[0])
    first.serve()
    parts.loop.turn()
    parts.check_empty()


def test_nobody_waits_behind_a_slow_host_while_another_has_a_free_thread(parts: Parts) -> None:
    slow = parts.host(threads=1)
    learn_that_it_is_fast(parts)
    askers = [ask(parts)[0] for _ in range(4)]
    parts.loop.turn()
    assert len(slow.read()) == 4
    assert slow.begin(slow.calls[0])  # and it never returns
    quick = parts.host(threads=1)
    parts.loop.advance(0.01)  # the pool looks, takes back, and is certain
    while quick.serve():
        parts.loop.advance(0.01)
    assert [asker.code for asker in askers] == [None, 200, 200, 200]
    for call in slow.calls[1:]:
        assert not slow.begin(call)
    slow.serve()
    parts.loop.turn()
    assert askers[0].code == 200
    parts.check_empty()


def test_what_is_taken_back_goes_to_a_free_thread_not_ahead_to_a_busy_one(parts: Parts) -> None:
    """It once went to the first link in the list that had room, though that was room *ahead*."""
    parts.host(threads=1)
    learn_that_it_is_fast(parts)
    first = parts.hosts[0]
    ask(parts)
    second, third = parts.host(threads=1), parts.host(threads=1)
    ask(parts)
    parts.loop.turn()
    assert [host.link.count for host in (first, second, third)] == [1, 1, 0]
    second.link.drain()
    parts.loop.advance(0.01)
    assert [host.link.count for host in (first, second, third)] == [1, 1, 1]
    assert len(third.read()) == 1


def test_a_host_that_skips_before_the_engine_collects_loses_nobody(parts: Parts) -> None:
    """The slot came back while its client still waited: the ticket was dropped, and ended as a 408."""
    host = parts.host(threads=1)
    learn_that_it_is_fast(parts)
    askers = [ask(parts)[0] for _ in range(3)]
    parts.loop.turn()
    first, *others = host.read()
    assert host.begin(first)
    host.link.drain()
    for call in others:
        assert not host.begin(call)
    parts.loop.turn()
    assert len(parts.backlog) == 2
    assert parts.gate.count == 3
    successor = parts.host()
    parts.loop.advance(0.01)
    assert [call.number for call in successor.read()] == [call.number for call in others]
    successor.serve()
    host.answer(first)
    parts.loop.turn()
    assert [asker.code for asker in askers] == [200, 200, 200]
    parts.check_empty()


def test_taking_back_twice_runs_nothing_twice(parts: Parts) -> None:
    """A ticket that was in the same host again, in another slot, was taken from it by the first timer."""
    host = parts.host(threads=1)
    learn_that_it_is_fast(parts)
    askers = [ask(parts)[0] for _ in range(3)]
    parts.loop.turn()
    host.read()
    host.link.take_back()
    parts.loop.advance(wire.SETTLE_SECONDS)
    host.link.take_back()
    parts.loop.advance(wire.SETTLE_SECONDS)  # the first timer: they go out again, to the same host
    parts.loop.advance(wire.SETTLE_SECONDS)  # the second
    parts.loop.turn()
    calls = list(host.read())
    began = [call.number for call in calls if host.begin(call)]
    assert len(began) == len(set(began)) == 3
    host.serve()
    parts.loop.turn()
    assert [asker.code for asker in askers] == [200, 200, 200]
    parts.check_empty()


def test_a_skipped_request_that_is_back_in_the_same_slot_is_not_collected_from_it(parts: Parts) -> None:
    host = parts.host(threads=1)
    asker, _ = ask(parts)
    parts.loop.turn()
    (call,) = host.read()
    host.link.take_back()
    assert not host.begin(call)
    parts.loop.turn()  # it is in the host again
    (again,) = host.read()
    assert again.slot == call.slot
    parts.loop.advance(0.01)
    assert host.link.count == 1
    assert host.begin(again)
    host.answer(again)
    parts.loop.turn()
    assert asker.code == 200
    parts.check_empty()


def test_only_a_client_that_leaves_cancels(parts: Parts) -> None:
    host = parts.host(threads=1)
    asker, ticket = ask(parts)
    parts.loop.turn()
    (call,) = host.read()
    host.link.take_back()
    assert host.board[2 * call.slot + 1]
    assert not host.board[wire.CANCELLED + call.slot]
    parts.gone(asker, ticket)
    assert host.board[wire.CANCELLED + call.slot]
    assert not host.begin(call)
    parts.loop.advance(0.01)
    second, _ = ask(parts)
    parts.loop.turn()
    (again,) = host.read()
    assert not host.board[wire.CANCELLED + again.slot]
    host.serve()
    parts.loop.turn()
    assert second.code == 200
    parts.check_empty()


def test_a_client_that_leaves_while_its_request_is_taken_back(parts: Parts) -> None:
    host = parts.host()
    asker, ticket = ask(parts)
    parts.loop.turn()
    (call,) = host.read()
    host.link.drain()
    parts.gone(asker, ticket)
    parts.loop.advance(0.01)
    assert not host.begin(call)
    parts.loop.turn()
    parts.check_empty()
