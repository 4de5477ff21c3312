"""``rpc.decompressor`` in the data plane: memory, budget, threads, deadlines, and clients that leave."""

# A browser's flags change while the loop turns, which the type checker can't know.
# mypy: no-warn-unreachable

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable

import cramjam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_engine.gateway.inflating import SMALL
from support.parts import Parts
from support.transport import START, Answer, Browser, chunked, next_call, only, post

MEGABYTE = 1 << 20
NOISE = b"".join(zlib.crc32(b"%d" % n).to_bytes(4, "big") for n in range(30_000))
BLOCK = bytes(cramjam.lz4.compress_block(bytes(3 * MEGABYTE), store_size=False))
FRAMES = bytes(cramjam.zstd.compress(bytes(2 * MEGABYTE))) * 2
"""The first frame says 2 MiB, and it is not the last."""


@pytest.fixture
def zipped(make: Callable[..., Parts]) -> Parts:
    return make(decompressor="zlib")


def ask(parts: Parts, body: bytes, browser: Browser | None = None) -> Answer:
    """A whole request, echoed."""
    browser = browser or Browser(parts)
    browser.got.clear()
    browser.send(body)
    parts.serve_all()
    return only(browser)


def watch_places(parts: Parts) -> list[int]:
    """How much memory bodies were given, one by one."""
    placed: list[int] = []
    place = parts.bodies.place

    def watched(size: int) -> tuple[int, memoryview]:
        placed.append(size)
        return place(size)

    parts.bodies.place = watched  # type: ignore[method-assign]
    return placed


@pytest.mark.parametrize("data", [b"", b"a", bytes(1000), NOISE[:1000], bytes(MEGABYTE), NOISE], ids=len)
@pytest.mark.parametrize("coding", [post, chunked])
def test_the_processor_gets_what_was_compressed(
    zipped: Parts, data: bytes, coding: Callable[[bytes], bytes]
) -> None:
    zipped.host()
    answer = ask(zipped, coding(zlib.compress(data)))
    assert (answer.status, answer.body) == (200, data)
    assert zipped.counters.inflated_to == len(data)
    assert zipped.counters.inflated_from == len(zlib.compress(data))
    zipped.check_empty()


def test_no_body_stays_none(zipped: Parts) -> None:
    host = zipped.host()
    browser = Browser(zipped)
    browser.send(START.replace(b"POST", b"GET") + b"\r\n" + post(b""))
    for _ in range(2):
        call = next_call(host)
        assert call.body == b""
        host.answer(call, b"signature")
        zipped.loop.turn()
    assert browser.statuses == [200, 200]
    zipped.check_empty()


def test_small_bodies_need_no_thread_and_larger_ones_one(zipped: Parts) -> None:
    zipped.host()
    ask(zipped, post(zlib.compress(NOISE[: SMALL - 100], 0)))
    assert zipped.threads.count == 0
    ask(zipped, post(zlib.compress(NOISE[: SMALL + 1], 0)))
    assert zipped.threads.count == 1


def test_what_came_counts_also_where_it_is_known_that_little_comes_out(make: Callable[..., Parts]) -> None:
    parts = make(decompressor="zstd")
    parts.host()
    assert ask(parts, post(bytes(cramjam.zstd.compress(NOISE[: SMALL + 1])))).body == NOISE[: SMALL + 1]
    assert parts.threads.count == 1


def test_a_small_body_that_becomes_large_goes_on_in_a_thread(zipped: Parts) -> None:
    zipped.host()
    body = zlib.compress(bytes(MEGABYTE))
    assert len(body) < SMALL
    assert ask(zipped, post(body)).body == bytes(MEGABYTE)
    assert zipped.threads.count > 0
    zipped.check_empty()


def test_large_ones_lie_in_the_arena_and_cost_what_they_are(zipped: Parts) -> None:
    host = zipped.host()
    Browser(zipped).send(post(zlib.compress(bytes(MEGABYTE))))
    call = next_call(host)
    assert call.body == bytes(MEGABYTE)
    assert zipped.bodies.arena is not None
    assert zipped.bodies.arena.used > 0
    assert zipped.bodies.budget.used == MEGABYTE
    host.answer(call)
    zipped.loop.turn()
    zipped.check_empty()


@pytest.mark.parametrize("codec", ["zlib", "gzip", "snappy", "zstd", "lz4"])
@pytest.mark.parametrize("over", [0, 1])
def test_the_limit_is_exactly_the_largest_that_passes(
    make: Callable[..., Parts], codec: str, over: int
) -> None:
    parts = make(decompressor=codec, max_body=300_000)
    parts.host()
    data = bytes(300_000 + over)
    body = {
        "zlib": zlib.compress(data),
        "gzip": zlib.compress(data, wbits=31),
        "snappy": bytes(cramjam.snappy.compress_raw(data)),
        "zstd": bytes(cramjam.zstd.compress(data)),
        "lz4": bytes(cramjam.lz4.compress_block(data, store_size=False)),
    }[codec]
    answer = ask(parts, post(body))
    if over:
        assert (answer.status, answer.code) == (413, "body_too_large")
        assert b"inflated" in answer.body
    else:
        assert (answer.status, answer.body) == (200, data)
    parts.check_empty()


@pytest.mark.parametrize(
    ("codec", "bomb"),
    [
        ("zlib", zlib.compress(bytes(100 * MEGABYTE), 9)),
        ("gzip", zlib.compress(bytes(100 * MEGABYTE), 9, 31)),
        ("zstd", bytes(cramjam.zstd.compress(bytes(100 * MEGABYTE)))),
        ("lz4", BLOCK),
        ("lz4", bytes(cramjam.lz4.compress(bytes(100 * MEGABYTE)))),
        ("snappy", bytes(cramjam.snappy.compress_raw(bytes(10 * MEGABYTE)))),
        ("snappy", bytes(cramjam.snappy.compress(bytes(10 * MEGABYTE)))),
        ("zstd", FRAMES),
    ],
)
def test_a_bomb_is_refused_and_never_had_more_memory_than_the_limit(
    make: Callable[..., Parts], codec: str, bomb: bytes
) -> None:
    limit = 3 * MEGABYTE - 1
    parts = make(decompressor=codec, max_body=limit, memory=8 * MEGABYTE)
    parts.host()
    placed = watch_places(parts)
    answer = ask(parts, post(bomb))
    assert (answer.status, answer.code, answer.closes) == (413, "body_too_large", True)
    assert max(placed, default=0) <= limit
    parts.check_empty()


@pytest.mark.parametrize(
    ("codec", "bomb"),
    [
        ("zstd", bytes(cramjam.zstd.compress(bytes(2 * MEGABYTE)))),
        ("snappy", bytes(cramjam.snappy.compress_raw(bytes(2 * MEGABYTE)))),
    ],
    ids=["zstd", "snappy"],
)
def test_a_body_that_says_that_it_is_too_large_costs_no_work(
    make: Callable[..., Parts], codec: str, bomb: bytes
) -> None:
    parts = make(decompressor=codec, max_body=MEGABYTE)
    parts.host()
    placed = watch_places(parts)
    assert ask(parts, post(bomb)).status == 413
    assert not {*placed} - {len(bomb)}  # where it is uploaded to, perhaps
    parts.check_empty()


def test_a_broken_body_is_refused_and_the_connection_lives(zipped: Parts) -> None:
    zipped.host()
    browser = Browser(zipped)
    answer = ask(zipped, post(b"no zlib at all"), browser)
    assert (answer.status, answer.code, answer.closes) == (400, "broken_body", False)
    assert b"(zlib): this is no zlib data: it begins with 6e 6f 20 7a" in answer.body
    assert ask(zipped, post(zlib.compress(b"next")), browser).body == b"next"
    assert ask(zipped, post(zlib.compress(NOISE)[:-1]), browser).code == "broken_body"
    assert ask(zipped, post(zlib.compress(b"next")), browser).body == b"next"
    zipped.check_empty()


def test_answers_keep_their_order(zipped: Parts) -> None:
    zipped.host()
    browser = Browser(zipped)
    bodies = [bytes(MEGABYTE), b"small", NOISE, b"", b"x" * 70_000, b"last"]
    browser.send(b"".join(post(zlib.compress(body)) for body in bodies))
    for _ in bodies:
        zipped.serve_all()
    assert [answer.body for answer in browser.answers()] == bodies
    zipped.check_empty()


# -- while a thread is at work


def held(parts: Parts, body: bytes = NOISE) -> Browser:
    """A request whose body is in a thread's hands."""
    parts.threads.held = True
    browser = Browser(parts)
    browser.send(post(zlib.compress(body)))
    assert len(parts.threads.waiting) == 1
    return browser


def test_a_deadline_comes_while_a_thread_inflates(zipped: Parts) -> None:
    zipped.host()
    browser = held(zipped)
    zipped.loop.advance(6.0)
    assert browser.statuses == [408]
    assert zipped.gate.count == 0
    assert zipped.bodies.budget.used > 0  # a thread still writes there
    zipped.threads.finish()
    zipped.loop.turn()
    zipped.check_empty()
    assert not zipped.gate._left


def test_the_client_leaves_while_a_thread_inflates(zipped: Parts) -> None:
    zipped.host()
    browser = held(zipped)
    browser.leave()
    assert zipped.gate.count == 0
    zipped.threads.finish()
    zipped.serve_all()
    zipped.check_empty()
    assert zipped.counters.client_gone == 1
    assert zipped.counters.inflated_to == 0


def test_a_broken_body_of_a_client_that_has_left_is_nobody_s(zipped: Parts) -> None:
    zipped.threads.held = True
    browser = Browser(zipped)
    browser.send(post(zlib.compress(NOISE)[:-2]))
    browser.leave()
    zipped.threads.finish()
    zipped.loop.turn()
    zipped.check_empty()


def test_a_fault_of_ours_is_an_answer_too(zipped: Parts) -> None:
    browser = held(zipped)
    _, done = zipped.threads.waiting.popleft()
    done(MemoryError("no"))
    zipped.loop.turn()
    assert (only(browser).status, only(browser).code) == (500, "internal")
    zipped.check_empty()


# -- the budget


def test_what_comes_out_waits_for_room(make: Callable[..., Parts]) -> None:
    parts = make(decompressor="zlib", memory=MEGABYTE, threads=1)
    host = parts.host(1)
    first, second = Browser(parts), Browser(parts)
    first.send(post(zlib.compress(bytes(900_000))))
    call = next_call(host)
    second.send(post(zlib.compress(bytes(800_000))))
    parts.loop.turn()
    assert parts.bodies.budget.used <= MEGABYTE
    assert parts.gate.count == 2
    host.answer(call)
    parts.loop.turn()
    parts.serve_all()
    assert only(second).body == bytes(800_000)
    parts.check_empty()


@pytest.mark.parametrize("leave", [True, False])
def test_who_waits_for_room_may_leave_or_be_late(make: Callable[..., Parts], leave: bool) -> None:
    parts = make(decompressor="zlib", memory=MEGABYTE, threads=1)
    host = parts.host(1)
    first, second = Browser(parts), Browser(parts)
    first.send(post(zlib.compress(bytes(900_000))))
    call = next_call(host)
    parts.loop.advance(1.0)
    second.send(post(zlib.compress(bytes(800_000))))
    if leave:
        second.leave()
        assert parts.gate.count == 1
        host.answer(call)
    else:
        parts.loop.advance(6.0)
        assert (only(first).status, only(second).status) == (408, 408)
        host.answer(call)
    parts.loop.turn()
    parts.check_empty()


def test_one_that_is_nearly_as_large_as_all_the_memory_passes(make: Callable[..., Parts]) -> None:
    """What came and what comes out are more than the budget together: it must not wait for itself."""
    parts = make(decompressor="zlib", memory=MEGABYTE)
    parts.host()
    data = NOISE * 8
    assert len(data) < MEGABYTE < len(data) + len(zlib.compress(data, 0))
    assert ask(parts, post(zlib.compress(data, 0))).body == data
    parts.check_empty()


def test_several_that_would_wait_for_one_another_all_pass(make: Callable[..., Parts]) -> None:
    parts = make(decompressor="zlib", memory=MEGABYTE)
    parts.host()
    browsers = [Browser(parts) for _ in range(6)]
    for browser in browsers:
        browser.send(post(zlib.compress(NOISE * 2, 0)))
    parts.serve_all()
    assert [only(browser).body for browser in browsers] == [NOISE * 2] * 6
    parts.check_empty()


@given(
    st.lists(
        st.tuples(
            st.sampled_from([10, 5000, 70_000, 300_000]), st.sampled_from(["ask", "break", "leave", "late"])
        ),
        max_size=8,
    ),
    st.booleans(),
)
def test_nothing_is_left_whatever_comes(steps: list[tuple[int, str]], held: bool) -> None:
    parts = Parts(decompressor="zlib", memory=700_000, max_body=400_000)
    parts.host()
    parts.threads.held = held
    for size, what in steps:
        browser = Browser(parts)
        body = zlib.compress(NOISE[:size] if size <= len(NOISE) else bytes(size))
        browser.send(post(body[:-1] if what == "break" else body))
        if what == "leave":
            browser.leave()
        elif what == "late":
            parts.loop.advance(6.0)
        while parts.threads.waiting and size % 3:
            parts.threads.finish()
            parts.loop.turn()
    parts.threads.held = False
    for _ in range(3):
        parts.serve_all()
        while parts.threads.waiting:
            parts.threads.finish()
            parts.loop.turn()
        parts.loop.advance(6.0)
    parts.check_empty()
    parts.close()


# -- work that is bounded


def test_a_small_body_that_takes_long_goes_to_a_thread(make: Callable[..., Parts]) -> None:
    parts = make(decompressor="gzip")
    parts.host()
    body = gzip.compress(b"") * 700 + gzip.compress(b"here")
    assert len(body) < SMALL
    assert ask(parts, post(body)).body == b"here"
    assert parts.threads.count == 1
    parts.check_empty()


@pytest.mark.parametrize("late", [False, True])
def test_a_thread_does_nothing_for_who_has_left(
    make: Callable[..., Parts], monkeypatch: pytest.MonkeyPatch, late: bool
) -> None:
    parts = make(decompressor="gzip")
    parts.threads.held = True
    browser = Browser(parts)
    browser.send(post(gzip.compress(NOISE)))
    begun: list[int] = []
    begin = zlib.decompressobj

    def watched(bits: int) -> object:
        begun.append(bits)
        return begin(bits)

    monkeypatch.setattr(zlib, "decompressobj", watched)
    if late:
        parts.loop.advance(6.0)
        assert browser.statuses == [408]
    else:
        browser.leave()
    parts.threads.finish()
    parts.loop.turn()
    assert not begun
    parts.check_empty()


def test_an_answer_does_not_wait_for_bodies_of_others(make: Callable[..., Parts]) -> None:
    parts = make(decompressor="zlib")
    host = parts.host()
    held(parts)
    browser = Browser(parts)
    browser.send(START + b"Accept-Encoding: gzip\r\nContent-Length: 9\r\n\r\n" + zlib.compress(b"?"))
    host.answer(next_call(host), bytes(MEGABYTE))
    parts.loop.turn()
    assert gzip.decompress(only(browser).body) == bytes(MEGABYTE)
    parts.threads.finish()
    parts.serve_all()
    parts.check_empty()
