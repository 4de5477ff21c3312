"""Clients that leave, or don't read; and the end of the engine."""

# A browser's flags change while the loop turns, which the type checker can't know.
# mypy: no-warn-unreachable

from __future__ import annotations

import pytest

from support.parts import Parts
from support.transport import START, Browser, next_call, only, post

MEGABYTE = 1 << 20


# -- going


@pytest.mark.parametrize("how", ["finish", "leave"])
@pytest.mark.parametrize(
    "when", ["connected", "head", "body", "chunks", "waiting", "queued", "begun", "skip", "linger"]
)
def test_a_client_that_goes_leaves_nothing_behind(parts: Parts, how: str, when: str) -> None:
    host = parts.host(threads=1)
    if when == "queued":
        Browser(parts).send(post(b"before"))
    browser = Browser(parts)
    sent = {
        "connected": b"",
        "head": START,
        "body": START + b"Content-Length: 600000\r\n\r\n" + bytes(500_000),
        "chunks": START + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
        "skip": b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf",
        "linger": b"nonsense\r\n\r\n",
    }
    browser.send(sent.get(when, post(b"mine")))
    parts.loop.turn()
    if when == "begun":
        assert host.begin(host.read()[0])
    getattr(browser, how)()
    assert browser.lost
    assert browser.connection not in parts.front.connections
    calls = {"waiting", "queued", "begun"}
    assert parts.counters.client_gone == (when in calls | {"body", "chunks"})
    served = [call.body for call in host.read() if call.began or host.begin(call)]
    assert (b"mine" in served) is (when == "begun")
    for call in tuple(host.calls):
        host.answer(call)
    parts.loop.advance(10.0)
    parts.check_empty()


# -- clients that don't read


def test_who_does_not_read_is_served_no_further_until_it_does(parts: Parts) -> None:
    """Requests were taken as long as they came, and their answers piled up without bound."""
    host = parts.host()
    browser = Browser(parts, reads=False)
    for n in range(20):
        browser.send(post(bytes([65 + n])))
        for call in tuple(host.read()):
            assert host.begin(call)
            host.answer(call, call.body * 50_000)
        parts.loop.turn()
    assert len(browser.unsent) < 4 * 50_000
    assert browser.connection.stalled
    browser.reads = True
    for _ in range(25):
        browser.read()
        for call in tuple(host.read()):
            assert host.begin(call)
            host.answer(call, call.body * 50_000)
        parts.loop.turn()
    bodies = [answer.body for answer in browser.answers()]
    assert bodies == [bytes([65 + n]) * 50_000 for n in range(20)]
    parts.check_empty()


def test_pipelined_requests_wait_while_the_client_does_not_read(parts: Parts) -> None:
    host = parts.host()
    browser = Browser(parts, reads=False)
    browser.send(b"".join(post(bytes([65 + n]) * 9_000) for n in range(12)))
    for _ in range(12):
        for call in tuple(host.read()):
            assert host.begin(call)
            host.answer(call, call.body[:1] * 100_000)
        parts.loop.turn()
    assert len(browser.unsent) < 3 * 100_000
    browser.reads = True
    for _ in range(15):
        browser.read()
        for call in tuple(host.read()):
            assert host.begin(call)
            host.answer(call, call.body[:1] * 100_000)
        parts.loop.turn()
    assert [answer.body[:1] for answer in browser.answers()] == [bytes([65 + n]) for n in range(12)]
    parts.check_empty()


def test_the_memory_of_a_large_answer_is_lent_until_its_last_byte_has_left(parts: Parts) -> None:
    host = parts.host()
    browser = Browser(parts, reads=False)
    body = bytes(range(256)) * 4096
    for _ in range(2):
        browser.send(post(b"a"))
    host.answer(next_call(host), body)
    parts.loop.turn()
    host.read()
    assert host.released == []
    assert parts.gate.count == 0
    browser.read(len(body) - 1)
    host.read()
    assert host.released == []
    browser.read()
    host.answer(next_call(host), body)
    parts.loop.turn()
    browser.read()
    host.read()
    assert len(host.released) == 2
    assert [answer.body for answer in browser.answers()] == [body, body]
    parts.check_empty()


def test_the_memory_of_a_large_answer_comes_back_when_its_client_goes(parts: Parts) -> None:
    host = parts.host()
    browser = Browser(parts, reads=False)
    browser.send(post(b"a"))
    host.answer(next_call(host), bytes(MEGABYTE))
    parts.loop.turn()
    browser.leave()
    host.read()
    assert len(host.released) == 1
    parts.check_empty()


def test_a_slow_reader_is_left_alone_as_long_as_it_reads_something(parts: Parts) -> None:
    """It was ended after 80 seconds whatever it read, in the middle of a large answer."""
    host = parts.host()
    browser = Browser(parts, reads=False)
    browser.send(post(b"a"))
    host.answer(next_call(host), bytes(4 * MEGABYTE))
    parts.loop.turn()
    for _ in range(10):
        browser.read(1000)
        browser.connection.active -= 81
        parts.front.tick()
        assert not browser.lost
    browser.connection.active -= 81
    parts.front.tick()
    parts.loop.turn()
    assert browser.lost
    host.read()
    parts.check_empty()


def test_the_last_answer_reaches_a_slow_reader_before_the_connection_closes(parts: Parts) -> None:
    host = parts.host()
    browser = Browser(parts, reads=False)
    browser.send(post(b"a", b"Connection: close"))
    host.answer(next_call(host), bytes(MEGABYTE))
    parts.loop.advance(20.0)
    assert not browser.lost
    browser.read()
    assert only(browser).body == bytes(MEGABYTE)
    parts.loop.advance(6.0)
    assert browser.lost


# -- the end of the engine


def test_while_draining_new_requests_are_503_and_close(parts: Parts) -> None:
    host = parts.host()
    busy, other = Browser(parts), Browser(parts)
    busy.send(post(b"a"))
    parts.gate.drain()
    other.send(post(b"b"))
    assert (only(other).status, only(other).code, only(other).closes) == (503, "draining", True)
    host.serve()
    parts.loop.turn()
    assert busy.statuses == [200]


def test_when_the_engine_ends_answers_say_so(parts: Parts) -> None:
    host = parts.host()
    idle, busy = Browser(parts), Browser(parts)
    busy.send(post(b"a"))
    parts.front.closing = True
    for connection in tuple(parts.front.connections):
        connection.hang_up()
    assert idle.half_closed
    host.serve()
    parts.loop.turn()
    assert only(busy).closes
    assert busy.lost


def test_a_crash_is_a_500_that_keeps_the_connection(parts: Parts) -> None:
    host = parts.host()
    browser = Browser(parts)
    browser.send(post(b"a"))
    next_call(host)
    parts.kill(host)
    assert (only(browser).status, only(browser).code) == (500, "instance_crashed")
    parts.host()
    browser.send(post(b"b"))
    parts.serve_all()
    assert browser.statuses == [500, 200]
    assert [event for event, _ in parts.log.lines] == ["the instance crashed while it had this request"]


def test_an_exception_is_a_400_in_one_line_that_keeps_the_connection(parts: Parts) -> None:
    host = parts.host()
    browser = Browser(parts)
    browser.send(post(b"a"))
    host.fail(next_call(host), b"two\r\nlines")
    parts.loop.turn()
    assert (only(browser).status, only(browser).body) == (400, b"two  lines\n")
    assert browser.connection.idle
