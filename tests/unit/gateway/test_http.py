"""A connection from its first byte to its last, over a transport and a loop that the test turns."""

# A browser's flags change while the loop turns, which the type checker can't know.
# mypy: no-warn-unreachable

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_engine.admission.gate import Limits
from eas_host import wire
from support.parts import Parts
from support.transport import Answer, Browser
from support.wire_host import Call, WireHost

PATH = b"/api/predict/digits"
START = b"POST " + PATH + b" HTTP/1.1\r\nHost: h\r\n"
MEGABYTE = 1 << 20


@pytest.fixture
def make() -> Iterator[Callable[..., Parts]]:
    made: list[Parts] = []

    def make(**limits: Any) -> Parts:
        made.append(Parts(**limits))
        return made[-1]

    yield make
    for parts in made:
        parts.close()


@pytest.fixture
def parts(make: Callable[..., Parts]) -> Parts:
    return make()


def post(body: bytes, *lines: bytes) -> bytes:
    return (
        START + b"".join(line + b"\r\n" for line in lines) + b"Content-Length: %d\r\n\r\n" % len(body) + body
    )


def chunked(*chunks: bytes) -> bytes:
    coded = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return START + b"Transfer-Encoding: chunked\r\n\r\n" + coded + b"0\r\n\r\n"


def only(browser: Browser) -> Answer:
    (answer,) = browser.answers()
    return answer


def next_call(host: WireHost) -> Call:
    host.link._loop.turn()  # type: ignore[attr-defined]
    (call,) = host.read()
    assert host.begin(call)
    return call


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


# -- refusals


def test_a_refused_body_of_a_megabyte_is_dropped_and_the_connection_kept(parts: Parts) -> None:
    parts.host()
    browser = Browser(parts)
    wrong = post(bytes(MEGABYTE)).replace(PATH, b"/other")
    browser.send(wrong + post(b"right"))
    parts.serve_all()
    assert browser.statuses == [404, 200]
    assert not only_first(browser).closes
    assert browser.connection.idle


def only_first(browser: Browser) -> Answer:
    return browser.answers()[0]


def test_a_refused_body_of_more_ends_the_connection_without_a_reset(parts: Parts) -> None:
    browser = Browser(parts)
    browser.send(b"POST /other HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % (MEGABYTE + 1))
    assert only(browser).closes
    assert browser.half_closed
    for _ in range(10):
        browser.send(bytes(MEGABYTE))
        assert not browser.sending
    assert not browser.lost
    browser.finish()
    assert browser.lost
    assert browser.statuses == [404]


def test_lingering_ends_after_five_seconds(parts: Parts) -> None:
    browser = Browser(parts)
    browser.send(b"nonsense\r\n\r\n")
    assert only(browser).code == "bad_request"
    parts.loop.advance(4.9)
    browser.send(b"more")
    assert not browser.lost
    parts.loop.advance(0.2)
    assert browser.lost
    assert not parts.front.connections


def test_who_does_not_send_the_body_that_is_to_be_dropped_is_closed_on(parts: Parts) -> None:
    browser = Browser(parts)
    browser.send(b"POST /other HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf")
    parts.loop.advance(5.1)
    assert browser.lost


def test_dropping_a_body_leaves_no_timer_for_the_next_request(make: Callable[..., Parts]) -> None:
    parts = make(keepalive=60.0)
    parts.host()
    browser = Browser(parts)
    browser.send(b"POST /other HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf")
    browser.send(b"567890" + post(b"right")[:10])
    parts.loop.advance(4.0)
    browser.send(post(b"right")[10:])
    parts.loop.advance(3.0)
    parts.serve_all()
    assert browser.statuses == [404, 200]
    assert not browser.lost


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (b"GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n", 404, "not_found"),
        (b"PUT " + PATH + b" HTTP/1.1\r\nHost: h\r\n\r\n", 405, "method_not_allowed"),
        (b"PUT /nowhere HTTP/1.1\r\nHost: h\r\n\r\n", 404, "not_found"),
        (b"GET " + PATH + b" HTTP/1.1\r\nHost: h\r\nAuthorization: no\r\n\r\n", 401, "unauthorized"),
        (b"GET " + PATH + b"2 HTTP/1.1\r\nHost: h\r\n\r\n", 404, "not_found"),
        (post(b"", b"Authorization: secret").replace(b": 0", b": 99999999"), 413, "body_too_large"),
        (post(b"", b"Authorization: no").replace(b": 0", b": 99999999"), 401, "unauthorized"),
        (post(b"x", b"Authorization: secret").replace(b"POST", b"GET"), 400, "bad_request"),
        (b"POST " + PATH + b" HTTP/1.0\r\n\r\n", 411, "length_required"),
        (START + b"Transfer-Encoding: gzip\r\n\r\n", 411, "length_required"),
        (START + b"X: a\nY: b\r\n\r\n", 400, "bad_request"),
        (START + b"X: a\n", 400, "bad_request"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, "bad_request"),
        (START + b"X: " + b"a" * 70_000, 431, "head_too_large"),
        (START + b"X: " + b"a" * 70_000 + b"\r\n\r\n", 431, "head_too_large"),
        (START + b"X: a\r\n" * 300 + b"\r\n", 431, "head_too_large"),
    ],
)
@pytest.mark.parametrize("pieces", [1 << 30, 5000])
def test_refusals_by_the_head_alone_in_their_order(
    make: Callable[..., Parts], request_: bytes, status: int, code: str, pieces: int
) -> None:
    parts = make(token="secret")
    browser = Browser(parts)
    browser.send(request_, pieces=pieces)
    answer = only(browser)
    assert (answer.status, answer.code) == (status, code)
    assert parts.counters.refusals == {code: 1}
    assert answer.closes is browser.half_closed or browser.lost
    parts.check_empty()


def test_full_is_told_before_the_body_is_read_and_closes_though_the_client_goes_on(parts: Parts) -> None:
    host = parts.host(threads=2)
    others = [Browser(parts) for _ in range(parts.gate.capacity)]
    for other in others:
        other.send(post(b"x"))
    browser = Browser(parts)
    browser.send(START + b"Content-Length: 30000000\r\n\r\n" + bytes(30_000))
    assert (only(browser).status, only(browser).code) == (450, "queue_full")
    assert only(browser).closes
    browser.send(bytes(5 * MEGABYTE))
    assert not browser.lost
    assert parts.bodies.budget.used == len(others)
    parts.serve_all()
    assert {other.statuses[0] for other in others} == {200}
    assert host.link.count == 0


def test_too_fast_is_told_with_a_time_and_the_connection_is_kept(parts: Parts) -> None:
    parts.host()
    parts.gate.configure(Limits(queue=8, threads=2, rate=0.5, keepalive=5.0))
    browser = Browser(parts)
    browser.send(post(b"a") + post(b"b"))
    parts.serve_all()
    assert browser.statuses == [200, 429]
    assert browser.answers()[1].headers["retry-after"] == "2"
    assert browser.connection.idle


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
