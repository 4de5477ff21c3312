"""The chunked coding: the same body out as in under any split, and nothing that could be read in two ways."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_engine.errors import BadRequest, BodyTooLarge, Refusal
from eas_engine.gateway.chunked import Chunked

chunks = st.lists(st.binary(min_size=1, max_size=300), max_size=10)
extensions = st.sampled_from([b"", b";a", b";a=b", b' ; a="b;c"', b"\t", b";", b";\xff"])
trailers = st.lists(st.sampled_from([b"X: y", b"X-Y:", b"Expires: \xff now"]), max_size=3)
sizes = st.lists(st.integers(1, 40), min_size=1, max_size=20)
extras = st.lists(extensions, min_size=11, max_size=11)


def feed(data: bytes, cuts: list[int] | None = None, limit: int = 1 << 20) -> Chunked:
    """Feed `data` in pieces until the body is complete; what wasn't fed is behind `rest`."""
    chunked, n = Chunked(limit), 0
    while data and chunked.rest is None:
        cut = len(data) if cuts is None else cuts[n % len(cuts)]
        chunked.feed(data[:cut])
        data, n = data[cut:], n + 1
    if chunked.rest is not None:
        chunked.rest += data
    return chunked


@given(
    parts=chunks, extra=extras, trailer=trailers, cuts=sizes, upper=st.booleans(), rest=st.binary(max_size=20)
)
def test_the_body_and_what_follows_it_under_any_split(
    *,
    parts: list[bytes],
    extra: list[bytes],
    trailer: list[bytes],
    cuts: list[int],
    upper: bool,
    rest: bytes,
) -> None:
    data = b""
    for n, part in enumerate(parts):
        size = b"%X" % len(part) if upper else b"000%x" % len(part)
        data += size + extra[n] + b"\r\n" + part + b"\r\n"
    data += b"0" + extra[10] + b"\r\n" + b"".join(line + b"\r\n" for line in trailer) + b"\r\n" + rest
    chunked = feed(data, cuts)
    assert bytes(chunked.body) == b"".join(parts)
    assert chunked.rest == rest


@pytest.mark.parametrize("length", range(1, len(b"3\r\nabc\r\n0\r\nX: y\r\n\r\n")))
def test_an_incomplete_body_is_waited_for(length: int) -> None:
    chunked = feed(b"3\r\nabc\r\n0\r\nX: y\r\n\r\n"[:length])
    assert chunked.rest is None
    assert b"abc".startswith(bytes(chunked.body))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\r\n", id="no size"),
        pytest.param(b"g\r\n", id="no number"),
        pytest.param(b"-1\r\n", id="negative"),
        pytest.param(b"+1\r\n", id="signed"),
        pytest.param(b"0x1\r\n", id="prefix"),
        pytest.param(b" 1\r\n", id="space in front"),
        pytest.param(b"1 1\r\n", id="two sizes"),
        pytest.param(b"1_0\r\n", id="Python's own number"),
        pytest.param(b"1" * 16 + b"\r\n", id="sixteen digits"),
        pytest.param(b"1\n", id="bare LF behind the size"),
        pytest.param(b"1\r\r\n", id="CR CR LF"),
        pytest.param(b"1;a\rb\r\n", id="CR in an extension"),
        pytest.param(b"1;\x00\r\n", id="NUL in an extension"),
        pytest.param(b"1\r\nab\r\n", id="chunk longer than its size"),
        pytest.param(b"1\r\na\n", id="bare LF behind a chunk"),
        pytest.param(b"1\r\na\rb", id="CR without LF behind a chunk"),
        pytest.param(b"1\r\na1\r\nb", id="nothing behind a chunk"),
        pytest.param(b"0\r\nX y\r\n", id="trailer without a colon"),
        pytest.param(b"0\r\n X: y\r\n", id="folded trailer"),
        pytest.param(b"0\r\nX : y\r\n", id="space before a trailer's colon"),
        pytest.param(b"0\r\nX: \x00\r\n", id="NUL in a trailer"),
        pytest.param(b"0\r\n\n", id="bare LF at the end"),
        pytest.param(b"0\nX", id="bare LF behind the last size"),
        pytest.param(b"0\r\n" + b"X: y\r\n" * 5000, id="endless trailer"),
        pytest.param(b"1;" + b"a" * 5000, id="endless size line"),
        pytest.param(b"0" * 5000, id="endless zeros"),
        pytest.param(b"0\r\nX: " + b"a" * 5000, id="endless trailer line"),
    ],
)
def test_what_is_not_the_coding_is_refused_whole_or_byte_by_byte(data: bytes) -> None:
    for cuts in (None, [1], [7]):
        with pytest.raises(BadRequest):
            feed(data, cuts)


@given(st.binary(max_size=300), sizes)
def test_how_it_is_cut_changes_nothing(data: bytes, cuts: list[int]) -> None:
    def outcome(pieces: list[int] | None) -> tuple[object, ...]:
        try:
            chunked = feed(data, pieces)
        except Refusal as refusal:
            return (type(refusal),)
        return bytes(chunked.body), chunked.rest

    assert outcome(None) == outcome(cuts) == outcome([1])


@pytest.mark.parametrize("cuts", [None, [1], [3]])
def test_the_limit_is_that_of_the_body_and_known_from_the_size(cuts: list[int] | None) -> None:
    assert bytes(feed(b"5\r\nabcde\r\n5\r\nfghij\r\n0\r\n\r\n", cuts, limit=10).body) == b"abcdefghij"
    with pytest.raises(BodyTooLarge):
        feed(b"5\r\nabcde\r\n6\r\n", cuts, limit=10)
    with pytest.raises(BodyTooLarge):
        feed(b"F" * 15 + b"\r\n", cuts, limit=10)


def test_bytes_of_coding_are_bounded_by_the_body_they_carry() -> None:
    """A chunk of one byte takes six: allowed for ever. Kilobytes of extensions for each byte are not."""
    assert len(feed(b"1\r\na\r\n" * 50_000 + b"0\r\n\r\n").body) == 50_000
    with pytest.raises(BadRequest, match="so little"):
        feed((b"1;" + b"x" * 1000 + b"\r\na\r\n") * 100)


def test_it_shows_itself() -> None:
    assert repr(feed(b"1\r\na\r\n")) == "<Chunked 1 bytes, open>"
    assert repr(feed(b"1\r\na\r\n0\r\n\r\n")) == "<Chunked 1 bytes, done>"
