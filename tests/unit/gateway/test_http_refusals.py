"""What a connection refuses: when, in which order, and that its client can read it."""

# A browser's flags change while the loop turns, which the type checker can't know.
# mypy: no-warn-unreachable

from __future__ import annotations

from collections.abc import Callable

import pytest

from eas_engine.admission.gate import Limits
from support.parts import Parts
from support.transport import PATH, START, Browser, only, post

MEGABYTE = 1 << 20


def test_a_refused_body_of_a_megabyte_is_dropped_and_the_connection_kept(parts: Parts) -> None:
    parts.host()
    browser = Browser(parts)
    wrong = post(bytes(MEGABYTE)).replace(PATH, b"/other")
    browser.send(wrong + post(b"right"))
    parts.serve_all()
    assert browser.statuses == [404, 200]
    assert not browser.answers()[0].closes
    assert browser.connection.idle


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


def test_a_client_that_pipelines_is_not_reset_by_a_closing_answer(parts: Parts) -> None:
    """All that it had sent was read, but its next request was on the way: that reset its connection."""
    host = parts.host()
    browser = Browser(parts)
    browser.send(post(b"one") + post(b"two"))
    parts.serve_all()
    assert browser.statuses == [200, 200]
    browser.send(post(b"three"))
    parts.loop.turn()
    assert host.begin(host.read()[0])
    parts.loop.advance(5.1)
    assert browser.statuses == [200, 200, 408]
    assert browser.half_closed
    browser.send(post(b"four"))
    assert not browser.lost
    browser.finish()
    assert browser.lost


def test_a_client_that_waits_for_its_answers_is_closed_on_at_once(parts: Parts) -> None:
    parts.host(1)
    browser = Browser(parts)
    browser.send(post(b"one"))
    parts.loop.advance(5.1)
    assert browser.statuses == [408]
    assert browser.closing


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


@pytest.mark.parametrize(
    ("refused", "status"),
    [
        (b"POST /api/predict/nobody HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", 404),
        (b"PUT " + PATH + b" HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", 405),
    ],
)
def test_what_is_pipelined_behind_a_refusal_is_read_once(parts: Parts, refused: bytes, status: int) -> None:
    """Its first bytes were taken up twice, and later requests became the body of the second."""
    parts.host()
    browser = Browser(parts)
    large = post(b"x" * 9_000)
    browser.send(refused + large)
    for _ in range(4):
        parts.loop.turn()
        parts.serve_all()
    browser.send(post(b"y"))
    parts.serve_all()
    assert browser.statuses == [status, 200, 200]
    assert [answer.body for answer in browser.answers()][1:] == [b"x" * 9_000, b"y"]
    parts.check_empty()


@pytest.mark.parametrize("line", [b"X-Request-Id: mine", b"Accept: */*"], ids=["in full", "the usual one"])
def test_401_says_which_scheme_is_wanted(make: Callable[..., Parts], line: bytes) -> None:
    """RFC 9110, 15.5.2; everything else about the answer is as it was."""
    browser = Browser(make(token="secret"))
    browser.send(post(b"", line))
    answer = only(browser)
    assert answer.headers["www-authenticate"] == 'Bearer realm="eas"'
    assert (answer.status, answer.code, answer.closes) == (401, "unauthorized", False)
    browser = Browser(make())
    browser.send(post(b"", line).replace(PATH, b"/other"))
    assert "www-authenticate" not in only(browser).headers
