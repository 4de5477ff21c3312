"""Deadlines, idle connections and room for bodies, as a connection keeps them."""

# A browser's flags change while the loop turns, which the type checker can't know.
# mypy: no-warn-unreachable

from __future__ import annotations

from collections.abc import Callable

import pytest

from eas_engine.admission.gate import Limits
from support.parts import Parts
from support.transport import START, Browser, chunked, next_call, only, post

MEGABYTE = 1 << 20


# -- time


def test_a_head_that_takes_too_long_is_a_408(parts: Parts) -> None:
    browser = Browser(parts)
    for _ in range(9):
        browser.send(b"POST /x HTTP/1.1\r\nX: a"[:1])
        parts.loop.advance(0.5)
    assert browser.statuses == []
    parts.loop.advance(0.6)
    assert (only(browser).status, only(browser).code) == (408, "deadline_exceeded")
    assert only(browser).closes
    assert browser.half_closed


def test_the_time_of_a_slow_head_is_not_given_back(parts: Parts) -> None:
    browser = Browser(parts)
    browser.send(post(b"a")[:20])
    parts.loop.advance(4.0)
    browser.connection._first -= 4.0  # the hot path reads the machine's clock, which hasn't moved
    browser.send(post(b"a")[20:])
    assert browser.statuses == []
    parts.loop.advance(1.2)
    assert browser.statuses == [408]
    parts.check_empty()


@pytest.mark.parametrize("coding", ["sized", "chunked"])
def test_a_body_that_takes_too_long_is_a_408_and_its_memory_is_free(parts: Parts, coding: str) -> None:
    parts.host()
    browser = Browser(parts)
    if coding == "sized":
        browser.send(START + b"Content-Length: 400000\r\n\r\n" + bytes(300_000))
    else:
        browser.send(START + b"Transfer-Encoding: chunked\r\n\r\n61A80\r\n" + bytes(300_000))
    assert parts.bodies.budget.used > 0
    parts.loop.advance(5.1)
    assert only(browser).status == 408
    assert only(browser).closes
    parts.check_empty()
    browser.send(bytes(MEGABYTE))
    assert not browser.lost
    browser.finish()
    assert browser.lost


def test_a_late_answer_is_dropped_and_nobody_is_answered_twice(parts: Parts) -> None:
    host = parts.host()
    browser = Browser(parts)
    browser.send(post(b"a"))
    call = next_call(host)
    parts.loop.advance(5.1)
    assert browser.statuses == [408]
    assert parts.gate.count == 1  # the thread is still at it
    host.answer(call, b"late")
    parts.loop.turn()
    assert browser.statuses == [408]
    parts.check_empty()


def test_idle_connections_are_ended_after_eighty_seconds_gently(parts: Parts) -> None:
    fresh, used = Browser(parts), Browser(parts)
    parts.host()
    used.send(post(b"a"))
    parts.serve_all()
    parts.front.tick()
    for browser in (fresh, used):
        browser.connection.active -= 79
    parts.front.tick()
    assert not fresh.half_closed
    assert not used.half_closed
    for browser in (fresh, used):
        browser.connection.active -= 2
    parts.front.tick()
    assert fresh.half_closed
    assert used.half_closed
    assert not used.lost
    parts.loop.advance(5.1)
    assert fresh.lost
    assert used.lost
    assert parts.counters.connections == 0


def test_who_waits_for_an_answer_is_not_idle(parts: Parts) -> None:
    host = parts.host()
    browser = Browser(parts)
    browser.send(post(b"a"))
    browser.connection.active -= 100
    parts.front.tick()
    assert not browser.half_closed
    host.serve()
    parts.loop.turn()
    assert browser.statuses == [200]


# -- room


def test_without_room_a_body_is_not_read_until_there_is(make: Callable[..., Parts]) -> None:
    parts = make(memory=MEGABYTE)
    host = parts.host(threads=4)
    first, second, third = (Browser(parts) for _ in range(3))
    body = b"x" * 700_000
    first.send(post(body))
    second.send(post(body))
    third.send(post(b"small"))
    assert second.paused
    assert third.paused  # first come, first served
    assert parts.gate.count == 3
    assert len(second.sending) > 600_000
    host.serve(b"done")
    parts.loop.turn()
    parts.loop.turn()
    assert not second.paused
    parts.serve_all()
    assert [browser.statuses for browser in (first, second, third)] == [[200]] * 3
    parts.check_empty()


@pytest.mark.parametrize("end", ["deadline", "gone"])
@pytest.mark.parametrize("coding", ["sized", "chunked"])
def test_who_waits_for_room_in_vain_lets_the_next_one_go_on(
    make: Callable[..., Parts], end: str, coding: str
) -> None:
    parts = make(memory=MEGABYTE, keepalive=5.0)
    host = parts.host(threads=4)
    holder, waiter, behind = (Browser(parts) for _ in range(3))
    holder.send(post(b"x" * 700_000))
    call = next_call(host)
    if coding == "sized":
        waiter.send(post(b"y" * 700_000))
    else:
        waiter.send(chunked(b"y" * 700_000))
    assert waiter.paused
    parts.loop.advance(1.0)
    parts.gate.configure(Limits(queue=8, threads=2, rate=0.0, keepalive=60.0))
    behind.send(post(b"z" * 300))
    assert behind.paused
    if end == "gone":
        waiter.leave()
    else:
        parts.loop.advance(4.05)
        assert waiter.statuses == [408]
        assert not waiter.paused
    parts.loop.turn()
    assert not behind.paused
    host.answer(call, b"late")
    parts.serve_all()
    assert behind.statuses == [200]
    parts.check_empty()


def test_a_chunked_body_over_the_limit_is_413_at_the_chunk_too_much(
    make: Callable[..., Parts],
) -> None:
    parts = make(max_body=1000)
    browser = Browser(parts)
    browser.send(START + b"Transfer-Encoding: chunked\r\n\r\n3E8\r\n" + bytes(1000) + b"\r\n")
    assert browser.statuses == []
    browser.send(b"1\r\n")
    assert only(browser).status == 413
    assert browser.half_closed
    parts.check_empty()


def test_two_chunked_bodies_that_fit_alone_both_get_through(make: Callable[..., Parts]) -> None:
    """Each held what the other needed, until both were 408."""
    parts = make(memory=MEGABYTE, keepalive=5.0)
    host = parts.host(threads=4)
    first, second = Browser(parts), Browser(parts)
    whole = chunked(b"x" * 700_000)
    for start in range(0, len(whole), 50_000):
        for browser in (first, second):
            if not browser.paused:
                browser.send(whole[start : start + 50_000])
    assert first.paused != second.paused, "one goes on, one waits"
    going, waiting = (second, first) if first.paused else (first, second)
    assert parts.gate.count == 2
    host.answer(next_call(host), b"done")
    parts.loop.turn()
    assert going.statuses == [200]
    assert not waiting.paused
