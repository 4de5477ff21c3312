"""HTTP/1.1 answers: any cut of the bytes gives the same."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_bench.client.answers import HEAD_LIMIT, UNTIL_END, Answer, Malformed, head_of

LENGTH = (b"HTTP/1.1 200 OK\r\nX: y\r\ncontent-LENGTH:  5 \r\n\r\nhello", 200, False)
CHUNKS = (
    (
        b"HTTP/1.1 201 Made\r\nTransfer-Encoding: gzip, Chunked\r\nContent-Length: 3\r\n\r\n"
        b"2;ext=1\r\nhe\r\n003\r\nllo\r\n0\r\nTrailer: x\r\n\r\n"
    ),
    201,
    False,
)
INTERIM = (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, False)
CLOSING = (b"HTTP/1.1 503 No\r\nConnection: Close\r\nContent-Length: 5\r\n\r\nhello", 503, True)
OLD = (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, True)
OLD_KEPT = (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello", 200, False)


@given(
    which=st.sampled_from([LENGTH, CHUNKS, INTERIM, CLOSING, OLD, OLD_KEPT]),
    cuts=st.lists(st.integers(0, 150), max_size=20),
)
def test_an_answer_is_whole_with_its_last_byte_and_not_before(
    which: tuple[bytes, int, bool], cuts: list[int]
) -> None:
    data, status, closes = which
    answer = Answer(keep=True)
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    whole = [answer.feed(data[start:end]) for start, end in itertools.pairwise(places)]
    assert whole == [False] * (len(whole) - 1) + [True]
    assert answer.head is not None
    assert (answer.head.status, answer.head.closes) == (status, closes)
    assert bytes(answer.body) == b"hello"


@given(cuts=st.lists(st.integers(1, 40), max_size=5))
def test_a_body_without_a_length_ends_with_the_connection(cuts: list[int]) -> None:
    data = b"HTTP/1.1 200 OK\r\n\r\nhello"
    answer = Answer(keep=True)
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    for start, end in itertools.pairwise(places):
        assert not answer.end() or start >= 19
        assert not answer.feed(data[start:end])
    assert answer.end()
    assert bytes(answer.body) == b"hello"
    assert answer.head is not None
    assert answer.head.closes


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 204 No", b"HTTP/1.1 304 Not", b"HTTP/1.1 200 OK\r\nContent-Length: 9"]
)
def test_some_answers_have_no_body(head: bytes) -> None:
    bodiless = b"Length" in head
    assert head_of(head, bodiless=bodiless).body == 0
    assert Answer(bodiless=bodiless).feed(head + b"\r\n\r\n")


def test_fields_are_found_by_their_whole_name() -> None:
    head = b"HTTP/1.1 200 OK\r\nX-Content-Length: 7\r\nMy-Connection: close\r\nVary: content-length: 9"
    assert head_of(head, bodiless=False)[:2] == (200, UNTIL_END)


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 2xx\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1e3\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nmore",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * HEAD_LIMIT,
    ],
)
@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_what_is_no_answer_is_refused_however_it_is_cut(data: bytes, step: int) -> None:
    answer = Answer()
    if len(data) > 1000 and step < 100:
        step = 5000
    pieces = [data[start : start + step] for start in range(0, len(data), step)]
    with pytest.raises(Malformed):
        list(map(answer.feed, pieces))
