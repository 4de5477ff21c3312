"""``rpc.retry_on_crash``: suspects one at a time and alone; innocents answered, culprits convicted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from eas_engine.errors import InstanceCrashed, InstanceKilled, InstanceStopped
from eas_engine.request import Ticket
from eas_engine.workers.link import Link
from support.parts import Asker, Parts
from support.wire_host import WireHost

CRASH = InstanceCrashed("signal 11 (SIGSEGV)")
KEEPALIVE = 60.0


@pytest.fixture
def parts() -> Iterator[Parts]:
    parts = Parts(retry=True, keepalive=KEEPALIVE)
    yield parts
    parts.close()


def begin(parts: Parts, host: WireHost, count: int) -> list[Asker]:
    """So many requests, all begun in `host`."""
    askers = [ask(parts, b"%d" % n) for n in range(count)]
    parts.loop.turn()
    assert all(host.begin(call) for call in host.read())
    assert len(host.calls) == count
    return askers


def ask(parts: Parts, body: bytes = b"") -> Asker:
    asker, ticket = parts.ask(body)
    assert isinstance(ticket, Ticket)
    return asker


def inside(host: WireHost) -> list[bytes]:
    """The bodies of the requests in a host."""
    return [call.body for call in host.read()]


def reserved(parts: Parts) -> Link | None:
    """The host that is kept for suspects."""
    return parts.quarantine.reserved


def codes(askers: list[Asker]) -> list[object]:
    return [asker.code for asker in askers]


def test_innocents_are_answered_and_the_culprit_is_convicted(parts: Parts) -> None:
    first = parts.host(threads=3)
    askers = begin(parts, first, 3)
    waiting = ask(parts, b"waiting")
    parts.kill(first, CRASH)
    assert codes(askers) == [None] * 3
    assert parts.gate.count == 4, "they keep their places"
    assert parts.quarantine.count() == 3

    second = parts.host(threads=3)
    parts.loop.turn()
    assert inside(second) == [b"0"], "alone"
    second.serve()
    parts.loop.turn()
    assert askers[0].ending == (200, b"", b"0")
    assert inside(second) == [b"1"]
    assert second.begin(second.calls[0])
    parts.kill(second, CRASH)
    assert askers[1].code == "poison_request"
    assert "SIGSEGV" in str(askers[1].ending)

    third = parts.host(threads=3)
    parts.loop.turn()
    assert inside(third) == [b"2"]
    third.serve()
    parts.loop.turn()
    assert askers[2].code == 200
    assert inside(third) == [b"waiting"], "and then the queue"
    parts.serve_all()
    assert waiting.code == 200
    assert parts.counters.retries == 3
    parts.check_empty()


def test_the_other_instances_go_on_serving(parts: Parts) -> None:
    dying, other, third = parts.host(1), parts.host(1), parts.host(1)
    parts.quarantine.hosts = 3
    asker = ask(parts, b"suspect")
    parts.loop.turn()
    assert dying.begin(dying.read()[0])
    parts.kill(dying, CRASH)
    parts.loop.turn()
    assert inside(other) == [b"suspect"]
    assert reserved(parts) is other.link
    waiting = [ask(parts, b"%d" % n) for n in range(3)]
    for _ in waiting:
        parts.loop.turn()
        third.serve()
    parts.loop.turn()
    assert codes(waiting) == [200] * 3
    assert inside(other) == [b"suspect"]
    other.serve()
    parts.loop.turn()
    assert asker.code == 200
    assert reserved(parts) is None
    assert other.link.room() == 1
    parts.check_empty()


def test_the_last_of_several_serves_on_until_half_of_the_time_is_over(parts: Parts) -> None:
    dying, last = parts.host(1), parts.host(1)
    parts.quarantine.hosts = 2
    asker = ask(parts, b"suspect")
    parts.loop.turn()
    assert dying.begin(dying.read()[0])
    parts.kill(dying, CRASH)
    parts.loop.advance(KEEPALIVE / 2 - 1)
    assert reserved(parts) is None
    waiting = ask(parts, b"waiting")
    parts.loop.turn()
    assert inside(last) == [b"waiting"]
    assert last.begin(last.calls[0])
    parts.loop.advance(2)
    assert reserved(parts) is last.link
    assert inside(last) == [b"waiting"], "what is begun there is finished first"
    last.serve()
    parts.loop.turn()
    assert waiting.code == 200
    assert inside(last) == [b"suspect"]
    last.serve()
    parts.loop.turn()
    assert asker.code == 200


def test_one_that_comes_back_is_taken_at_once_and_the_last_goes_on_serving(parts: Parts) -> None:
    dying, last = parts.host(1), parts.host(1)
    parts.quarantine.hosts = 2
    asker = ask(parts, b"suspect")
    parts.loop.turn()
    assert dying.begin(dying.read()[0])
    parts.kill(dying, CRASH)
    back = parts.host(1)
    parts.loop.turn()
    assert inside(back) == [b"suspect"]
    waiting = ask(parts, b"waiting")
    parts.loop.turn()
    assert inside(last) == [b"waiting"]
    parts.serve_all()
    assert (asker.code, waiting.code) == (200, 200)
    parts.check_empty()


def test_a_host_that_comes_back_relieves_one_that_is_not_empty_yet(parts: Parts) -> None:
    dying, slow, other = parts.host(1), parts.host(1), parts.host(1)
    parts.quarantine.hosts = 3
    askers = [ask(parts, b"%d" % n) for n in range(3)]
    parts.loop.turn()
    for host in (dying, slow, other):
        assert host.begin(host.read()[0])
    parts.kill(dying, CRASH)
    assert reserved(parts) is slow.link
    back = parts.host(1)
    parts.loop.turn()
    assert reserved(parts) is back.link
    assert slow.link.limit == 1, "it serves again"
    assert inside(back) == [b"0"]
    parts.serve_all()
    assert codes(askers) == [200] * 3
    parts.check_empty()


def test_what_was_not_begun_in_a_reserved_host_goes_elsewhere(parts: Parts) -> None:
    dying, chosen, other = parts.host(1), parts.host(1), parts.host(1)
    parts.quarantine.hosts = 3
    suspect = ask(parts, b"suspect")
    parts.loop.turn()
    assert dying.begin(dying.read()[0])
    unbegun = ask(parts, b"unbegun")
    parts.loop.turn()
    (call,) = chosen.read()
    other_busy = ask(parts, b"busy")
    parts.loop.turn()
    assert other.begin(other.read()[0])
    parts.kill(dying, CRASH)
    assert not chosen.begin(call), "withdrawn"
    other.serve()
    parts.loop.advance(0.01)
    assert inside(chosen) == [b"suspect"]
    assert inside(other) == [b"unbegun"]
    parts.serve_all()
    assert codes([suspect, unbegun, other_busy]) == [200] * 3
    parts.check_empty()


@pytest.mark.parametrize("while_tried", [False, True], ids=["waits", "is tried"])
def test_a_suspect_past_its_deadline_gets_its_408_and_blocks_nobody(parts: Parts, while_tried: bool) -> None:
    first = parts.host(1)
    (asker,) = begin(parts, first, 1)
    parts.kill(first, CRASH)
    second = parts.host(1) if while_tried else None
    if second is not None:
        parts.loop.turn()
        assert second.begin(second.read()[0])
    parts.loop.advance(KEEPALIVE - 1)
    waiting = ask(parts, b"waiting")
    assert codes([asker]) == [None]
    parts.loop.advance(2)
    assert asker.code == "deadline_exceeded"
    if second is not None:
        assert reserved(parts) is None
        assert parts.gate.count == 2, "the processor still has it"
        second.serve()
        parts.loop.turn()
    parts.host(1)
    parts.serve_all()
    assert waiting.code == 200
    parts.check_empty()


def test_a_client_that_leaves_is_dropped_but_its_request_stays_alone_until_its_time_is_over(
    parts: Parts,
) -> None:
    first = parts.host(2)
    asker, ticket = parts.ask(b"suspect")
    assert isinstance(ticket, Ticket)
    parts.loop.turn()
    assert first.begin(first.read()[0])
    parts.kill(first, CRASH)
    second = parts.host(2)
    parts.loop.turn()
    assert second.begin(second.read()[0])
    parts.gone(asker, ticket)
    waiting = ask(parts, b"waiting")
    parts.loop.turn()
    assert inside(second) == [b"suspect"]
    parts.kill(second, CRASH)
    parts.host(2)
    parts.serve_all()
    assert waiting.code == 200
    parts.check_empty()


def test_whose_client_had_left_before_the_crash_is_no_suspect(parts: Parts) -> None:
    host = parts.host(1)
    asker, ticket = parts.ask(b"alone")
    assert isinstance(ticket, Ticket)
    parts.loop.turn()
    assert host.begin(host.read()[0])
    parts.gone(asker, ticket)
    parts.kill(host, CRASH)
    assert parts.quarantine.count() == 0
    assert inside(parts.host(1)) == []
    parts.check_empty()


def test_a_client_that_leaves_while_its_request_waits_frees_the_host_that_was_kept_for_it(
    parts: Parts,
) -> None:
    dying, slow, third = parts.host(1), parts.host(1), parts.host(1)
    parts.quarantine.hosts = 3
    asker, ticket = parts.ask(b"suspect")
    others = [ask(parts) for _ in range(2)]
    assert isinstance(ticket, Ticket)
    parts.loop.turn()
    for host in (dying, slow, third):
        assert host.begin(host.read()[0])
    parts.kill(dying, CRASH)
    assert reserved(parts) is slow.link
    parts.gone(asker, ticket)
    assert reserved(parts) is None
    assert slow.link.limit == 1
    parts.serve_all()
    assert codes(others) == [200, 200]
    parts.check_empty()


def test_a_reserved_host_that_is_told_to_leave_gives_its_suspect_to_another(parts: Parts) -> None:
    first, second, third = parts.host(1), parts.host(1), parts.host(1)
    parts.quarantine.hosts = 3
    asker = ask(parts, b"suspect")
    parts.loop.turn()
    assert first.begin(first.read()[0])
    parts.kill(first, CRASH)
    parts.loop.turn()
    assert inside(second) == [b"suspect"]  # not begun yet
    parts.quarantine.hosts = 1
    second.link.drain()
    parts.loop.advance(0.01)
    assert inside(third) == [b"suspect"]
    assert not second.begin(second.calls[0])
    third.serve()
    parts.loop.turn()
    assert asker.code == 200
    assert parts.counters.retries == 1
    parts.check_empty()


def test_an_instance_that_had_to_leave_makes_no_suspects_and_convicts_nobody(parts: Parts) -> None:
    first = parts.host(2)
    stopped = begin(parts, first, 2)
    parts.kill(first, InstanceStopped())
    assert codes(stopped) == ["instance_stopped"] * 2

    second = parts.host(1)
    asker = ask(parts)
    parts.loop.turn()
    assert second.begin(second.read()[0])
    parts.kill(second, CRASH)
    third = parts.host(1)
    parts.loop.turn()
    assert third.begin(third.read()[0])
    parts.kill(third, InstanceStopped())
    assert asker.code == "instance_stopped"
    parts.check_empty()


def test_convictions_are_rationed_and_the_queue_comes_first_meanwhile(parts: Parts) -> None:
    """A flood of requests that crash everything: pauses of 0, 1, 2, 4 ... seconds between two convictions."""
    host = parts.host(6)
    askers = begin(parts, host, 6)
    parts.kill(host, CRASH)
    for number, pause in enumerate([0.0, 1.0, 2.0, 4.0]):
        host = parts.host(6)
        parts.loop.turn()
        assert inside(host) == [b"%d" % number]
        assert host.begin(host.calls[0])
        parts.kill(host, InstanceKilled())
        assert askers[number].code == "poison_request"
        if pause:
            host = parts.host(6)
            queued = ask(parts, b"queued")
            parts.loop.turn()
            assert inside(host) == [b"queued"]
            host.serve()
            parts.loop.advance(pause - 0.5)
            assert queued.code == 200
            assert inside(host) == []
            parts.loop.advance(1.0)
            assert inside(host) == [b"%d" % (number + 1)]
            parts.kill(host, CRASH)  # before it was begun: it isn't convicted, and has its try yet
            assert askers[number + 1].ending is None
    assert codes(askers) == ["poison_request"] * 4 + [None] * 2


def test_without_the_parameter_nothing_is_tried_again() -> None:
    parts = Parts()
    host = parts.host(2)
    askers = begin(parts, host, 2)
    parts.kill(host, InstanceKilled())
    assert codes(askers) == ["instance_killed"] * 2
    parts.check_empty()
    parts.close()


def test_a_body_is_the_same_the_second_time(parts: Parts) -> None:
    body = bytes(range(256)) * 2048
    first = parts.host(1)
    asker = ask(parts, body)
    parts.loop.turn()
    assert first.begin(first.read()[0])
    parts.kill(first, CRASH)
    second = parts.host(1)
    parts.loop.turn()
    assert inside(second) == [body]
    second.serve()
    parts.loop.turn()
    assert asker.ending == (200, b"", body)
    second.read()
    parts.check_empty()


def test_the_log_says_what_happens(parts: Parts) -> None:
    host = parts.host(2)
    begin(parts, host, 2)
    parts.kill(host, CRASH)
    ((event, fields),) = parts.log.lines
    assert "tried once more" in event
    assert fields == {"count": 2, "died_of": "instance_crashed"}
