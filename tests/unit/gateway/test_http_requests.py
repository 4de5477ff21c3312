"""Requests and answers of a connection: in any pieces, one behind the other, large and small."""

# A browser's flags change while the loop turns, which the type checker can't know.
# mypy: no-warn-unreachable

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_host import wire
from support.parts import Parts
from support.transport import PATH, START, Browser, chunked, next_call, only, post

MEGABYTE = 1 << 20


# -- requests and answers


@pytest.mark.parametrize("pieces", [1, 2, 7, 100, 1 << 30])
def test_a_request_in_any_pieces(parts: Parts, pieces: int) -> None:
    host = parts.host()
    browser = Browser(parts)
    browser.send(post(b"body"), pieces=pieces)
    call = next_call(host)
    assert (call.head + b"body", call.body) == (post(b"body"), b"body")
    host.answer(call, b"answer")
    parts.loop.turn()
    answer = only(browser)
    assert (answer.status, answer.body) == (200, b"answer")
    assert answer.headers["x-request-id"] == f"test-{call.number:04x}"
    assert not browser.lost
    parts.check_empty()


@pytest.mark.parametrize("extra", [0, 1, -1, 300_000])
@pytest.mark.parametrize("coding", [post, chunked])
@pytest.mark.parametrize("pieces", [1 << 30, 9_999])
def test_bodies_around_the_spill_size_are_identical_and_lie_where_they_belong(
    parts: Parts, extra: int, coding: object, pieces: int
) -> None:
    host = parts.host()
    browser = Browser(parts)
    size = wire.SPILL_BYTES + extra
    body = bytes(range(251)) * (size // 251) + b"." * (size % 251)
    assert callable(coding)
    browser.send(coding(body), pieces=pieces)
    parts.loop.turn()
    assert parts.bodies.arena is not None
    assert bool(parts.bodies.arena.used) is (extra >= 0)
    assert parts.bodies.budget.used == size
    call = next_call(host)
    assert call.body == body
    host.answer(call, body[::-1])
    parts.loop.turn()
    assert only(browser).body == body[::-1]
    host.read()
    parts.check_empty()


@given(st.lists(st.binary(max_size=40), max_size=8), st.lists(st.integers(1, 50), min_size=1, max_size=9))
def test_pipelined_requests_of_both_kinds_under_any_split(bodies: list[bytes], cuts: list[int]) -> None:
    parts = Parts()
    host = parts.host()
    browser = Browser(parts)
    data = b"".join(post(body) if n % 2 else chunked(*[body] * bool(body)) for n, body in enumerate(bodies))
    n = 0
    while data:
        cut = cuts[n % len(cuts)]
        browser.send(data[:cut])
        host.serve()
        data, n = data[cut:], n + 1
    parts.serve_all()
    assert [answer.body for answer in browser.answers()] == bodies
    parts.check_empty()
    parts.close()


def test_pipelined_requests_are_in_the_system_one_by_one_and_answered_in_order(
    parts: Parts,
) -> None:
    host = parts.host()
    browser = Browser(parts)
    browser.send(b"".join(post(bytes([65 + n])) for n in range(5)))
    for n in range(5):
        assert parts.gate.count == 1
        call = next_call(host)
        assert call.body == bytes([65 + n])
        host.answer(call, call.body)
        parts.loop.turn()
    assert [answer.body for answer in browser.answers()] == [b"A", b"B", b"C", b"D", b"E"]
    parts.check_empty()


def test_64_kib_are_read_ahead_and_then_no_more(parts: Parts) -> None:
    parts.host()
    browser = Browser(parts)
    requests = [post(bytes([n]) * 20_000) for n in range(10)]
    browser.send(b"".join(requests))
    assert browser.paused
    assert len(browser.sending) > 60_000  # left with the client
    parts.serve_all()
    assert [answer.body[:1] for answer in browser.answers()] == [bytes([n]) for n in range(10)]
    assert not browser.paused
    parts.check_empty()


def test_the_time_of_a_pipelined_request_counts_from_its_first_byte(parts: Parts) -> None:
    host = parts.host()
    browser = Browser(parts)
    browser.send(post(b"a") + post(b"b"))
    first = next_call(host)
    host.answer(first)
    parts.loop.turn()
    second = next_call(host)
    assert second.deadline == pytest.approx(first.deadline, abs=1.0)
    parts.loop.advance(6.0)
    assert browser.statuses == [200, 408]


@pytest.mark.parametrize("before", [b"\r\n", b"\r\n\r\n", b"\r\n" * 40])
def test_empty_lines_before_a_request_never_stand_for_one(make: Callable[..., Parts], before: bytes) -> None:
    """An empty head counted as the last one again: after a 401 that kept the connection, anybody got in."""
    parts = make(token="secret")
    host = parts.host()
    browser = Browser(parts)
    browser.send(post(b"stolen"))
    browser.send(before + b"stolen")
    browser.send(before + post(b"stolen"))
    parts.loop.turn()
    assert not host.read()
    assert {answer.status for answer in browser.answers()} <= {400, 401}
    parts.check_empty()


def test_an_empty_line_before_a_request_is_passed_over(parts: Parts) -> None:
    host = parts.host()
    browser = Browser(parts)
    browser.send(b"\r\n" + post(b"a"))
    browser.send(b"\r\n")
    browser.send(post(b"b"))
    parts.serve_all()
    browser.send(b"\r\n\r")
    browser.send(b"\n" + post(b"c"))
    parts.serve_all()
    assert [answer.body for answer in browser.answers()] == [b"a", b"b", b"c"]
    assert host.link.count == 0


def test_the_same_head_again_is_another_request(parts: Parts) -> None:
    parts.host()
    browser = Browser(parts)
    for n in range(3):
        browser.send(post(bytes([65 + n])))
        parts.serve_all()
    other = Browser(parts)
    other.send(post(b"Z"))
    parts.serve_all()
    assert [answer.body for answer in browser.answers()] == [b"A", b"B", b"C"]
    assert len({answer.headers["x-request-id"] for b in (browser, other) for answer in b.answers()}) == 4


def test_get_and_head_go_without_a_body_and_head_comes_back_without_one(parts: Parts) -> None:
    host = parts.host()
    browser = Browser(parts)
    for method in (b"GET", b"HEAD"):
        browser.send(method + b" " + PATH + b"/x?y HTTP/1.1\r\nHost: h\r\n\r\n")
        call = next_call(host)
        assert call.body == b""
        host.answer(call, b"four")
        parts.loop.turn()
    get, head = browser.answers("GET", "HEAD")
    assert (get.body, head.body) == (b"four", b"")
    assert head.headers["content-length"] == "4"


@pytest.mark.parametrize(
    ("lines", "version", "kept"),
    [
        ((), b"1.1", True),
        ((b"Connection: close",), b"1.1", False),
        ((), b"1.0", False),
        ((b"Connection: keep-alive",), b"1.0", True),
    ],
)
def test_the_connection_is_kept_or_closed_as_asked(
    parts: Parts, lines: tuple[bytes, ...], version: bytes, kept: bool
) -> None:
    parts.host()
    browser = Browser(parts)
    browser.send(post(b"a", *lines).replace(b"HTTP/1.1", b"HTTP/" + version))
    parts.serve_all()
    answer = only(browser)
    assert answer.closes is not kept
    assert browser.lost is not kept
    assert (answer.headers.get("keep-alive") == "timeout=75") is kept
    if version == b"1.0" and kept:
        assert answer.headers["connection"] == "keep-alive"


@pytest.mark.parametrize("status", [204, 304])
def test_some_statuses_have_no_body(parts: Parts, status: int) -> None:
    host = parts.host()
    browser = Browser(parts)
    browser.send(post(b"a") + post(b"b"))
    host.answer(next_call(host), b"dropped", status=status)
    host.answer(next_call(host), bytes(wire.SPILL_BYTES), status=status)
    parts.loop.turn()
    assert browser.statuses == [status, status]
    assert "content-length" not in browser.answers()[0].headers
    host.read()
    parts.check_empty()


def test_a_processors_fields_replace_ours_only_when_they_are_the_same(parts: Parts) -> None:
    host = parts.host()
    browser = Browser(parts)
    browser.send(post(b"") + post(b""))
    host.answer(next_call(host), b"a", headers=b"X-Content-Type: no\r\nA: content-type: no\r\n")
    host.answer(next_call(host), b"a", headers=b"A: b\r\nCONTENT-TYPE: text/x\r\n")
    parts.loop.turn()
    types = [answer.headers["content-type"] for answer in browser.answers()]
    assert types == ["application/octet-stream", "text/x"]


# -- 100-continue


@pytest.mark.parametrize("length", [b"Content-Length: 5", b"Transfer-Encoding: chunked"])
def test_continue_is_said_when_the_body_is_wanted(parts: Parts, length: bytes) -> None:
    host = parts.host()
    browser = Browser(parts)
    browser.send(START + b"Expect: 100-continue\r\n" + length + b"\r\n\r\n")
    assert bytes(browser.got) == b"HTTP/1.1 100 Continue\r\n\r\n"
    browser.send(b"5\r\nhello\r\n0\r\n\r\n" if b"chunked" in length else b"hello")
    host.serve()
    parts.loop.turn()
    assert [answer.body for answer in browser.answers()] == [b"", b"hello"]


@pytest.mark.parametrize("late", [0, 3])
def test_continue_is_not_said_when_the_body_has_begun_to_come(parts: Parts, late: int) -> None:
    parts.host()
    browser = Browser(parts)
    request = post(b"hello", b"Expect: 100-continue")
    browser.send(request[: len(request) - late])
    browser.send(request[len(request) - late :])
    parts.serve_all()
    assert browser.statuses == [200]


def test_continue_is_not_said_to_a_request_that_is_refused(parts: Parts) -> None:
    browser = Browser(parts)
    browser.send(b"POST /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    assert only(browser).status == 404
    assert only(browser).closes
    assert (
        browser.half_closed
    )  # the client may send the body, or not: nobody knows where the next request begins


# -- what is counted


def test_everything_is_counted_once(parts: Parts) -> None:
    host = parts.host()
    browser = Browser(parts)
    browser.send(post(b"four") + b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n" + post(b"seven77"))
    host.answer(next_call(host), b"123456")
    parts.loop.turn()
    host.answer(next_call(host), b"x", status=500)
    parts.loop.turn()
    counters = parts.counters
    assert dict(counters.statuses) == {200: 1, 404: 1, 500: 1}
    assert dict(counters.refusals) == {"not_found": 1}
    assert (counters.bytes_in, counters.bytes_out) == (11, 7)
    assert (counters.connections, counters.accepted) == (1, 1)
    assert sum(counters.total) == 2
    assert sum(counters.process) == 2
    assert sum(counters.queue) == 2
