"""A shadow: what is copied, what is compared, and that nothing of it reaches a client or the books."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_engine.batching.cut import Rules
from eas_engine.request import Ticket
from eas_engine.telemetry.comparison import Difference, ShadowComparison
from eas_engine.workers import shadow as module
from eas_engine.workers.lane import Shadow
from eas_engine.workers.shadow import Seen, first_difference
from eas_host import wire
from support.parts import HEAD, Asker, Parts
from support.wire_host import WireHost

NEW = 7
Making = Callable[..., Parts]


@pytest.fixture
def make() -> Iterator[Making]:
    """A data plane with limits of the test's own."""
    made: list[Parts] = []

    def make(**limits: Any) -> Parts:
        made.append(Parts(**{"queue": 200, **limits}))
        return made[-1]

    yield make
    for parts in made:
        parts.close()


def shadowed(
    parts: Parts, share: float = 1.0, batching: Rules | None = None, threads: int = 4
) -> tuple[WireHost, WireHost]:
    """The host that serves, and that of the shadow."""
    main = parts.host(100)
    parts.lanes.open(NEW, Shadow(share), batching)
    return main, parts.host(threads, release=NEW)


def ask(parts: Parts, body: bytes = b"") -> Asker:
    asker, ticket = parts.ask(body)
    assert isinstance(ticket, Ticket)
    parts.loop.turn()
    return asker


def answer(parts: Parts, host: WireHost, body: bytes = b"", **more: Any) -> None:
    """The processor answers the oldest request that is in the host."""
    call = host.read()[0]
    if not call.began:
        assert host.begin(call)
    host.answer(call, body, **more)
    parts.loop.turn()


def check_empty(parts: Parts) -> None:
    for host in parts.hosts:
        host.read()  # that answers were sent
    parts.check_empty()


def compared(parts: Parts) -> ShadowComparison:
    found = parts.lanes.comparison(NEW)
    assert isinstance(found, ShadowComparison)
    return found


def figures(parts: Parts) -> dict[str, int]:
    """Those that aren't 0."""
    found = compared(parts)
    names = ("copies", "same", "different", "failed", "unmatched", "skipped")
    return {name: getattr(found, name) for name in names if getattr(found, name)}


# -- what is compared


@pytest.mark.parametrize("first", ["request", "copy"])
@pytest.mark.parametrize("size", [0, 5, wire.SPILL_BYTES])
def test_the_same_answer_is_the_same_whichever_comes_first(make: Making, first: str, size: int) -> None:
    parts = make()
    main, shadow = shadowed(parts)
    asker = ask(parts, bytes(range(200)))
    assert shadow.read()[0].body == main.read()[0].body == bytes(range(200))
    for host in (main, shadow) if first == "request" else (shadow, main):
        answer(parts, host, bytes(size))
    assert asker.ending == (200, b"", bytes(size))
    assert figures(parts) == {"copies": 1, "same": 1}
    check_empty(parts)


def test_differences_are_told_with_their_place(make: Making) -> None:
    parts = make()
    main, shadow = shadowed(parts)
    asker = ask(parts)
    answer(parts, main, b"abcd")
    answer(parts, shadow, b"abxd")
    assert asker.ending == (200, b"", b"abcd")
    ask(parts)
    answer(parts, shadow, b"abcd", status=201)
    answer(parts, main, b"abcd")
    assert figures(parts) == {"copies": 2, "different": 2}
    assert compared(parts).differences == (
        Difference("test-0001", 200, 200, 2),
        Difference("test-0002", 200, 201, -1),
    )


def test_the_clients_own_id_is_told(make: Making) -> None:
    parts = make()
    main, shadow = shadowed(parts)
    head = HEAD[:-2] + b"x-request-ID:  mine \r\n\r\n"
    ticket = parts.gate.admit(Asker(), head, 0.0, parts.loop.now)
    assert isinstance(ticket, Ticket)
    parts.upload(ticket, b"")
    parts.loop.turn()
    answer(parts, main, b"a")
    answer(parts, shadow, b"b")
    assert compared(parts).differences[0].request_id == "mine"


def test_an_exception_is_an_answer(make: Making) -> None:
    parts = make()
    main, shadow = shadowed(parts)
    for said in (b"no", b"never"):
        ask(parts)
        for host, text in ((main, b"no"), (shadow, said)):
            (call,) = host.read()
            assert host.begin(call)
            host.fail(call, text)
            parts.loop.turn()
    assert figures(parts) == {"copies": 2, "same": 1, "different": 1}
    assert compared(parts).differences == (Difference("test-0002", 400, 400, 1),)


def test_only_the_first_few_differences_are_kept(make: Making) -> None:
    parts = make()
    main, shadow = shadowed(parts)
    for _ in range(module.TOLD + 5):
        ask(parts)
        answer(parts, main, b"a")
        answer(parts, shadow, b"b")
    assert compared(parts).different == module.TOLD + 5
    assert len(compared(parts).differences) == module.TOLD


def test_of_long_answers_the_beginning_and_the_length_are_compared(make: Making) -> None:
    parts = make()
    main, shadow = shadowed(parts)
    long = bytes(module.KEPT)
    for mine, theirs in ((b"ab", b"ab"), (b"ab", b"ax"), (b"ab", b"abc")):
        ask(parts)
        answer(parts, main, long + mine)
        answer(parts, shadow, long + theirs)
    assert figures(parts) == {"copies": 3, "same": 2, "different": 1}
    assert compared(parts).differences[0].offset == module.KEPT


@given(st.binary(max_size=8), st.binary(max_size=8))
def test_the_first_difference_is_found(one: bytes, other: bytes) -> None:
    offset = first_difference(Seen(200, len(one), one), Seen(200, len(other), other))
    if one == other:
        assert offset == -1
    else:
        assert one[:offset] == other[:offset]
        assert one[offset : offset + 1] != other[offset : offset + 1]


# -- that it changes nothing


def test_the_share_is_copied_and_nothing_of_it_is_counted(make: Making) -> None:
    parts = make(queue=30)
    main, shadow = shadowed(parts, 0.1, threads=100)
    for _ in range(20):
        ask(parts, b"body")
    assert [call.number for call in shadow.read()] == [10, 20]
    assert (parts.gate.count, parts.lanes.waiting(), parts.bodies.budget.used) == (20, 20, 80)
    before = parts.counters.bytes_in
    while shadow.read():
        answer(parts, shadow, b"x", status=500)
    assert (dict(parts.counters.statuses), sum(parts.counters.total)) == ({}, 0)
    assert parts.counters.bytes_in == before
    assert (parts.gate.count, parts.bodies.budget.used) == (20, 80)
    main.serve()
    parts.loop.turn()
    assert dict(parts.counters.statuses) == {200: 20}


def test_the_client_has_its_answer_however_slow_the_shadow_is(make: Making) -> None:
    parts = make(keepalive=2.0)
    main, shadow = shadowed(parts)
    asker = ask(parts)
    assert shadow.begin(shadow.read()[0])
    answer(parts, main, b"a")
    assert asker.code == 200
    parts.loop.advance(2.1)
    assert figures(parts) == {"copies": 1, "failed": 1}, "the copy had the request's deadline"
    answer(parts, shadow, b"a")
    assert figures(parts) == {"copies": 1, "failed": 1}
    check_empty(parts)


def test_the_death_of_a_shadow_is_told_to_nobody(make: Making) -> None:
    parts = make(retry=True)
    main, shadow = shadowed(parts, threads=1)
    askers = [ask(parts) for _ in range(3)]
    assert shadow.begin(shadow.read()[0])
    parts.kill(shadow)
    assert parts.quarantine.count() == 0
    assert figures(parts) == {"copies": 1, "failed": 1, "skipped": 2}
    main.serve()
    parts.loop.turn()
    assert [asker.code for asker in askers] == [200] * 3
    assert not parts.counters.refusals
    check_empty(parts)


def test_a_client_that_leaves_or_gets_none_is_compared_with_nothing(make: Making) -> None:
    parts = make(keepalive=2.0)
    main, shadow = shadowed(parts)
    asker, ticket = parts.ask()
    assert isinstance(ticket, Ticket)
    parts.loop.turn()
    answer(parts, shadow, b"a")
    parts.gone(asker, ticket)
    late = ask(parts)
    answer(parts, shadow, b"a")
    parts.loop.advance(2.1)
    assert late.code == "deadline_exceeded"
    assert figures(parts) == {"copies": 2, "unmatched": 2}
    assert main.serve() == 0


# -- what bounds it


def test_without_a_ready_host_nothing_is_copied(make: Making) -> None:
    parts = make()
    parts.host()
    parts.lanes.open(NEW, Shadow(1.0), None)
    parts.host(release=NEW, opened=False)
    ask(parts, b"body")
    assert figures(parts) == {"skipped": 1}


def test_a_line_of_copies_is_bounded(make: Making) -> None:
    parts = make()
    _, shadow = shadowed(parts, threads=1)
    for _ in range(module.LINE + 10):
        ask(parts)
    assert figures(parts) == {"copies": module.LINE + 1, "skipped": 9}
    shadow.link.drain()
    parts.lanes.settle()
    assert figures(parts) == {"copies": 1, "skipped": module.LINE + 9}


def test_copies_have_a_memory_of_their_own(make: Making, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MEMORY", 10)
    monkeypatch.setattr(module, "LARGEST", 8)
    parts = make()
    shadowed(parts)
    for size in (9, 8, 3, 2):
        ask(parts, bytes(size))
    assert figures(parts) == {"copies": 2, "skipped": 2}


# -- its end


def test_a_dismissed_shadow_drops_its_copies(make: Making) -> None:
    parts = make()
    main, shadow = shadowed(parts, threads=1)
    for _ in range(3):
        ask(parts, bytes(wire.SPILL_BYTES))
    parts.lanes.close(NEW)
    assert parts.front.submit == parts.pool.submit
    assert shadow.begin(shadow.read()[0])
    answer(parts, shadow)
    parts.kill(shadow)
    main.serve()
    parts.loop.turn()
    check_empty(parts)


@pytest.mark.parametrize("batching", [None, Rules(4, 0.05, when_idle=True)])
def test_a_promoted_shadow_serves_when_it_is_empty(make: Making, batching: Rules | None) -> None:
    parts = make()
    main, shadow = shadowed(parts, 1.0, batching, threads=1)
    asked = [ask(parts, bytes(wire.SPILL_BYTES)) for _ in range(3)]
    assert shadow.begin(shadow.read()[0])
    parts.lanes.merge(NEW)
    main.serve()
    parts.loop.turn()
    parts.kill(main)
    asked.append(ask(parts, b"for main"))
    assert [call.number for call in shadow.read()] == [1], "a copy is in it still"
    answer(parts, shadow)
    assert [call.number for call in shadow.read()] == [4]
    answer(parts, shadow, b"done")
    assert [asker.code for asker in asked] == [200] * 4
    assert parts.counters.statuses == {200: 4}
    assert shadow.link in parts.pool.links
    check_empty(parts)


def test_a_promoted_shadow_that_dies_with_its_last_copies_is_gone(make: Making) -> None:
    parts = make()
    _, shadow = shadowed(parts, threads=1)
    asker = ask(parts)
    assert shadow.begin(shadow.read()[0])
    parts.lanes.merge(NEW)
    parts.kill(shadow)
    parts.serve_all()
    assert asker.code == 200
    assert shadow.link not in parts.lanes.links()
