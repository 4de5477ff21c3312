"""Answers compressed for clients that ask for it, and all the others as they are."""

# A browser's flags change while the loop turns, which the type checker can't know.
# mypy: no-warn-unreachable

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable

import cramjam
import pytest

from eas_engine.gateway.accept import Coding
from eas_engine.gateway.compressing import Compression, compress
from eas_engine.request import Body
from support.parts import Parts
from support.transport import START, Answer, Browser, next_call, only, post
from support.wire_host import WireHost

TEXT = b"".join(b"line %d of many, more or less alike\n" % n for n in range(300))
LARGE = TEXT * 40
NOISE = b"".join(zlib.crc32(b"%d" % n).to_bytes(4, "big") for n in range(1000))
READERS: dict[str, Callable[[Answer], bytes]] = {
    "gzip": lambda answer: gzip.decompress(answer.body),
    "zstd": lambda answer: bytes(cramjam.zstd.decompress(answer.body)),
    "lz4-raw": lambda answer: bytes(
        cramjam.lz4.decompress_block(answer.body, int(answer.headers["x-lz4-original-length"]))
    ),
}


def asked(parts: Parts, host: WireHost, accept: bytes, reply: bytes, headers: bytes = b"") -> Answer:
    """One request and the processor's reply to it."""
    browser = Browser(parts)
    browser.send(post(b"?", b"Accept-Encoding: " + accept))
    host.answer(next_call(host), reply, headers=headers)
    parts.loop.turn()
    host.read()
    parts.check_empty()
    return only(browser)


@pytest.mark.parametrize("coding", READERS)
@pytest.mark.parametrize("reply", [TEXT, LARGE, TEXT * 100], ids=len)
def test_an_answer_in_the_coding_that_was_asked_for(parts: Parts, coding: str, reply: bytes) -> None:
    answer = asked(parts, parts.host(), coding.encode(), reply)
    assert answer.headers["content-encoding"] == coding
    assert answer.headers["vary"] == "Accept-Encoding"
    assert int(answer.headers["content-length"]) < len(reply) / 2
    assert READERS[coding](answer) == reply
    assert (parts.counters.compressed_from, parts.counters.compressed_to) == (len(reply), len(answer.body))


@pytest.mark.parametrize(
    ("accept", "reply"),
    [
        (b"identity", LARGE),
        (b"gzip;q=0", LARGE),
        (b"deflate, br", LARGE),
        (b"gzip", TEXT[:1024]),
        (b"gzip, zstd", NOISE),
        (b"gzip", b""),
        (b"gzip, identity;q=0", b""),
    ],
)
def test_answers_that_stay_as_they_are(parts: Parts, accept: bytes, reply: bytes) -> None:
    answer = asked(parts, parts.host(), accept, reply)
    assert answer.body == reply
    assert not {"content-encoding", "vary"} & answer.headers.keys()


def test_one_byte_more_than_1_kib_is_worth_it(parts: Parts) -> None:
    assert asked(parts, parts.host(), b"gzip", TEXT[:1025]).headers["content-encoding"] == "gzip"


def test_a_client_that_asks_for_nothing_gets_the_same_bytes_as_ever(parts: Parts) -> None:
    host = parts.host()
    browser = Browser(parts)
    browser.send(post(b"?"))
    host.answer(next_call(host), LARGE)
    parts.loop.turn()
    assert (only(browser).body, "vary" in only(browser).headers) == (LARGE, False)


@pytest.mark.parametrize("reply", [b"a", NOISE])
def test_who_takes_no_identity_gets_everything_coded(parts: Parts, reply: bytes) -> None:
    answer = asked(parts, parts.host(), b"gzip, identity;q=0", reply)
    assert answer.headers["content-encoding"] == "gzip"
    assert gzip.decompress(answer.body) == reply


@pytest.mark.parametrize(
    "line",
    [
        b"Content-Encoding: br\r\n",
        b"X-A: 1\r\ncontent-encoding: gzip\r\n",
        b"Content-Range: bytes 0-99/1000\r\n",
        b'ETag: "1"\r\n',
        b"Content-MD5: 1B2M2Y8AsgTpgAmY7PhCfg==\r\n",
        b"Cache-Control: private, no-transform\r\n",
    ],
)
def test_what_the_processor_says_of_its_bytes_stays_true(parts: Parts, line: bytes) -> None:
    answer = asked(parts, parts.host(), b"gzip", LARGE, line)
    assert answer.body == LARGE


def test_other_lines_of_the_processor_s_don_t_matter(parts: Parts) -> None:
    lines = b"Content-Type: application/json\r\nX-Content-Encoding: br\r\nCache-Control: no-store\r\n"
    answer = asked(parts, parts.host(), b"gzip", LARGE, lines)
    assert gzip.decompress(answer.body) == LARGE
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("reply", [TEXT, LARGE])
def test_a_head_tells_the_length_that_a_get_would_have(parts: Parts, reply: bytes) -> None:
    host = parts.host()
    lengths = []
    for method in ("GET", "HEAD"):
        browser = Browser(parts)
        browser.send(START.replace(b"POST", method.encode()) + b"Accept-Encoding: gzip\r\n\r\n")
        host.answer(next_call(host), reply)
        parts.loop.turn()
        (answer,) = browser.answers(method)
        assert answer.headers["content-encoding"] == "gzip"
        lengths.append(answer.headers["content-length"])
        assert bool(answer.body) is (method == "GET")
    assert lengths[0] == lengths[1]
    host.read()
    parts.check_empty()


@pytest.mark.parametrize("status", [204, 304])
def test_answers_without_a_body_have_no_coding(parts: Parts, status: int) -> None:
    host = parts.host()
    browser = Browser(parts)
    browser.send(post(b"?", b"Accept-Encoding: gzip"))
    host.answer(next_call(host), LARGE, status=status)
    parts.loop.turn()
    assert "content-encoding" not in only(browser).headers


# -- in a thread


def held(parts: Parts, host: WireHost, reply: bytes = LARGE) -> Browser:
    """A client whose answer a thread compresses."""
    parts.answer_threads.held = True
    browser = Browser(parts)
    browser.send(post(b"?", b"Accept-Encoding: gzip") + post(b"next"))
    host.answer(next_call(host), reply)
    parts.loop.turn()
    assert not browser.got
    assert parts.front.writing()
    return browser


def test_the_next_request_waits_for_its_turn(parts: Parts) -> None:
    host = parts.host()
    browser = held(parts, host)
    assert parts.gate.count == 0  # the answer is there: its place is free
    assert not browser.connection.idle
    parts.answer_threads.finish()
    parts.loop.turn()
    host.answer(next_call(host), b"second")
    parts.loop.turn()
    first, second = browser.answers()
    assert (gzip.decompress(first.body), second.body) == (LARGE, b"second")
    assert not parts.front.writing()
    parts.check_empty()


@pytest.mark.parametrize("reply", [LARGE, LARGE * 10])
def test_the_client_leaves_while_its_answer_is_compressed(parts: Parts, reply: bytes) -> None:
    host = parts.host()
    browser = held(parts, host, reply)
    browser.leave()
    parts.answer_threads.finish()
    parts.loop.turn()
    assert not browser.got
    assert "BUSY" in repr(browser.connection)  # nothing more is done for it
    assert not parts.front.writing()
    host.read()
    parts.check_empty()


def test_an_answer_that_can_t_be_compressed_is_sent_as_it_is(parts: Parts) -> None:
    host = parts.host()
    browser = held(parts, host)
    _, done = parts.answer_threads.waiting.popleft()
    done(MemoryError("no"))
    parts.loop.turn()
    assert browser.answers()[0].body == LARGE


def test_the_host_dies_while_its_answer_is_compressed(parts: Parts) -> None:
    host = parts.host()
    browser = held(parts, host, LARGE * 10)
    parts.kill(host)
    parts.answer_threads.finish()
    parts.loop.turn()
    assert gzip.decompress(browser.answers()[0].body) == LARGE * 10


@pytest.mark.parametrize("coding", READERS)
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_answers_lie_in_any_kind_of_memory(coding: str, kind: Callable[[bytes], Body]) -> None:
    compressed = compress(Coding(coding), kind(LARGE))
    assert compressed is not None
    assert compressed == compress(Coding(coding), LARGE)


def test_lz4_knows_no_block_of_2_gib(parts: Parts) -> None:
    compression = Compression(parts.answer_threads, parts.counters)
    assert not compression.wanted(Coding("lz4-raw"), 200, b"", 2**31)
    assert compression.wanted(Coding("gzip"), 200, b"", 2**31)
