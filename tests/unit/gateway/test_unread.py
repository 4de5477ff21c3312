"""What slow readers keep in memory together is bounded; the slowest are cut off."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support.parts import Parts
from support.transport import Browser, next_call, post
from support.wire_host import WireHost

LIMIT = 2 << 20


@pytest.fixture
def parts(make: Callable[..., Parts]) -> Parts:
    """A data plane with little memory."""
    return make(memory=LIMIT, max_body=LIMIT)


def slow(parts: Parts, host: WireHost, size: int, headers: bytes = b"") -> Browser:
    """A client that doesn't read the answer it gets, of so many bytes."""
    browser = Browser(parts, reads=False)
    browser.send(post(b"x"))
    host.answer(next_call(host), b"y" * size, headers=headers)
    parts.loop.turn()
    return browser


@pytest.mark.parametrize("size", [100_000, 700_000], ids=["in the engine", "in the arena"])
def test_over_the_limit_the_slowest_are_cut_off(parts: Parts, size: int) -> None:
    host = parts.host()
    fit = LIMIT // size
    there = [slow(parts, host, size) for _ in range(fit)]
    assert not any(one.lost for one in there)
    assert fit * size <= parts.front.unread.total <= LIMIT
    one_more = slow(parts, host, size)
    assert [one.lost for one in there] == [True] + [False] * (fit - 1)
    assert not one_more.lost
    assert parts.counters.answers_cut == 1
    parts.front.tick()
    ((event, fields),) = parts.log.lines
    assert "rpc.max_inflight_bytes" in event
    assert fields["connections"] == 1
    for one in (*there[1:], one_more):
        one.read()
        assert len(one.answers()[0].body) == size
    assert parts.front.unread.total == 0
    parts.loop.turn()
    host.read()
    parts.check_empty()


def test_a_single_answer_may_be_larger_than_the_limit(parts: Parts) -> None:
    host = parts.host()
    one = slow(parts, host, 2 * LIMIT)
    assert not one.lost
    one.read()
    assert len(one.answers()[0].body) == 2 * LIMIT
    assert parts.counters.answers_cut == 0


def test_what_was_read_meanwhile_counts_before_anybody_is_cut_off(parts: Parts) -> None:
    host = parts.host()
    size = LIMIT * 2 // 5
    first, second = slow(parts, host, size), slow(parts, host, size)
    first.read(size // 2)  # still slow, but half of it is gone
    third = slow(parts, host, LIMIT * 3 // 10)
    assert not any(one.lost for one in (first, second, third))
    assert parts.front.unread.total == sum(len(one.unsent) for one in (first, second, third))


def test_who_leaves_frees_what_it_kept(parts: Parts) -> None:
    host = parts.host()
    one = slow(parts, host, 700_000)
    assert parts.front.unread.total >= 700_000
    one.leave()
    assert parts.front.unread.total == 0
    slow(parts, host, 100_000)
    assert parts.front.unread.total >= 100_000


def test_a_second_answer_to_one_who_is_slow_already_counts(parts: Parts) -> None:
    """It was asked for before the client turned slow."""
    host = parts.host()
    one = Browser(parts, reads=False)
    one.send(post(b"x"))
    call = next_call(host)
    one.connection._transport.unsent += b"z" * 70_000  # as if the transport had kept an answer before
    one.connection.pause_writing()
    host.answer(call, b"y" * 300_000)
    parts.loop.turn()
    assert parts.front.unread.total == len(one.unsent)
