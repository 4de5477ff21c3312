"""Rules of a service that change while its clients are connected."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace

from eas_engine.gateway.front import Rules
from support.parts import Parts
from support.transport import START, Browser, next_call, only, post

RULES = Rules("digits", "", 32 << 20)
FIRST, SECOND = b"Authorization: first", b"Authorization: second"


def served(parts: Parts, browser: Browser, request: bytes) -> int:
    """The status of the answer to this request, whoever gives it."""
    before = len(browser.statuses)
    browser.send(request)
    for host in parts.hosts:
        host.serve()
    parts.loop.turn()
    return browser.statuses[before]


def test_a_head_that_was_let_in_by_the_old_token_is_not_let_in_any_more(make: Callable[..., Parts]) -> None:
    """Neither on its own connection, which knows its last head, nor on others, which share what they know."""
    parts = make(token="first")
    parts.host()
    old = Browser(parts)
    assert served(parts, old, post(b"a", FIRST)) == 200
    parts.front.configure(replace(RULES, token="second"))
    assert served(parts, old, post(b"a", FIRST)) == 401
    assert served(parts, Browser(parts), post(b"a", FIRST)) == 401
    assert served(parts, old, post(b"a", SECOND)) == 200


def test_a_service_is_opened_and_closed_again(make: Callable[..., Parts]) -> None:
    parts = make(token="first")
    parts.host()
    browser = Browser(parts)
    assert served(parts, browser, post(b"a")) == 401
    parts.front.configure(RULES)
    assert served(parts, browser, post(b"a")) == 200
    parts.front.configure(replace(RULES, token="first"))
    assert served(parts, browser, post(b"a")) == 401


def test_who_was_let_in_is_answered_whatever_the_token_is_now(make: Callable[..., Parts]) -> None:
    parts = make(token="first")
    host = parts.host()
    waits, uploads = Browser(parts), Browser(parts)
    waits.send(post(b"a", FIRST))
    uploads.send(START + FIRST + b"\r\nContent-Length: 2\r\n\r\na")
    parts.front.configure(replace(RULES, token="second"))
    uploads.send(b"b")
    assert host.serve() == 2
    parts.loop.turn()
    assert (only(waits).status, only(uploads).status) == (200, 200)


def test_the_fast_refusal_of_a_full_queue_knows_no_old_head(make: Callable[..., Parts]) -> None:
    parts = make(token="first", queue=0, threads=1)
    parts.host(threads=1)
    Browser(parts).send(post(b"a", FIRST))
    assert parts.front.turn_away(post(b"a", FIRST), None) is not None
    parts.front.configure(replace(RULES, token="second"))
    assert parts.front.turn_away(post(b"a", FIRST), None) is None


def test_a_lower_limit_of_bodies_holds_for_heads_that_were_seen_before(parts: Parts) -> None:
    parts.host()
    browser = Browser(parts)
    assert served(parts, browser, post(bytes(100))) == 200
    parts.front.configure(replace(RULES, max_body=99))
    assert served(parts, browser, post(bytes(100))) == 413


def test_a_body_is_never_larger_than_the_budget(parts: Parts) -> None:
    parts.host()
    parts.bodies.budget.configure(99)
    parts.front.configure(RULES)
    assert served(parts, Browser(parts), post(bytes(100))) == 413
    assert parts.front.unread.limit == 99


def test_bodies_are_inflated_or_not_by_the_rule_when_they_are_complete(parts: Parts) -> None:
    host = parts.host()
    small = zlib.compress(b"inflated" * 100)
    early, late = Browser(parts), Browser(parts)
    for browser in (early, late):
        browser.send(START + b"Content-Length: %d\r\n\r\n" % len(small) + small[:5])
    parts.front.configure(replace(RULES, decompressor="zlib"))
    early.send(small[5:])
    call = next_call(host)
    assert call.body == b"inflated" * 100
    host.answer(call)
    parts.front.configure(RULES)
    late.send(small[5:])
    call = next_call(host)
    assert call.body == small
    host.answer(call)
    parts.loop.turn()
    parts.check_empty()


def test_what_a_thread_inflates_when_the_codec_is_taken_away_is_answered(make: Callable[..., Parts]) -> None:
    parts = make(decompressor="zlib")
    host = parts.host()
    parts.threads.held = True
    body = bytes(1 << 20)
    browser = Browser(parts)
    browser.send(post(zlib.compress(body, 0)))
    parts.front.configure(RULES)
    parts.threads.finish()
    call = next_call(host)
    assert call.body == body
    host.answer(call)
    parts.loop.turn()
    assert only(browser).status == 200
    parts.check_empty()


def test_inflated_bodies_go_where_the_others_go_by_now(make: Callable[..., Parts]) -> None:
    parts = make(decompressor="zlib")
    went: list[int] = []
    parts.front.lead(lambda ticket: went.append(ticket.size), lambda: None)
    Browser(parts).send(post(zlib.compress(b"123")))
    parts.front.configure(RULES)
    Browser(parts).send(post(b"12"))
    assert went == [3, 2]
