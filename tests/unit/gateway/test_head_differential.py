"""Whatever our parser accepts, two independent ones must read in the same way.

A proxy in front and the engine behind it must agree where a request ends and what its fields say; their
disagreement is what smuggling lives on. The other direction isn't asked: we refuse much that others take.
Known differences, and why they do no harm:

* a target with bytes above 0x7f, and a minor version other than 0 and 1: h11 and httptools refuse them;
* absolute-form: the others hand the target out whole, we take off scheme and authority;
* ``Content-Length`` longer than 18 digits, and Expect other than 100-continue: refused by us alone;
* repeated fields: we join them with a comma, the others list them.
"""

from __future__ import annotations

import h11
import httptools
from hypothesis import assume, event, example, given, settings
from hypothesis import strategies as st

from eas_engine.errors import Refusal
from eas_engine.gateway.head import CHUNKED, Head, parse

METHODS = st.sampled_from([b"POST", b"GET", b"HEAD", b"PUT", b"OPTIONS"])
TARGETS = st.sampled_from(
    [b"/", b"/a?b", b"/%41//..", b"/a;b=c", b"/api/predict/digits/x?y=z", b"/~!$&'()*+,=:@"]
)
SPACE = st.sampled_from([b"", b" ", b"\t", b"  \t", b"\x0b", b"\xa0"])
LENGTHS = st.sampled_from([b"0", b"5", b"05", b"+5", b"5,5", b"0x5", b"5 ", b"", b"-1", b"1e1"])
CODINGS = st.sampled_from(
    [b"chunked", b"Chunked", b"identity", b"gzip, chunked", b"chunked, chunked", b"", b"\x0bchunked"]
)
VALUES = st.one_of(
    st.binary(max_size=12),
    st.text('abc ,;\t="\\', max_size=12).map(str.encode),
    st.sampled_from([b"close", b"a: b"]),
)
NAMES = st.one_of(
    st.sampled_from([b"X-A", b"Accept", b"Connection", b"Cookie", b"A!#$%&'*+-.^_`|~9"]),
    st.binary(min_size=1, max_size=4),
)
FIELDS = st.one_of(
    st.tuples(st.just(b"Content-Length"), SPACE, LENGTHS),
    st.tuples(st.just(b"Transfer-Encoding"), SPACE, CODINGS),
    st.tuples(st.sampled_from([b"Authorization", b"Content-Type", b"Date"]), SPACE, VALUES),
    st.tuples(NAMES, SPACE, VALUES),
)
ENDINGS = st.sampled_from([b"\r\n"] * 40 + [b"\n", b"\r", b"\r\n ", b"\r\r\n"])


@st.composite
def heads(draw: st.DrawFn) -> bytes:
    version = draw(st.sampled_from([b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0"]))
    raw = draw(METHODS) + b" " + draw(TARGETS) + b" " + version
    lines = [b"Host: h"] + [
        name + b":" + space + value for name, space, value in draw(st.lists(FIELDS, max_size=5))
    ]
    for line in lines:
        raw += draw(ENDINGS) + line
    return raw


class Seen:
    """Callbacks of httptools."""

    def __init__(self) -> None:
        self.url = b""
        self.fields: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.complete = False

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name.lower(), value.strip(b" \t")))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.complete = True


def sent_body(head: Head) -> tuple[bytes, bytes]:
    """What a client sends behind such a head, and what the body then is."""
    if head.length == CHUNKED:
        return b"3\r\nabc\r\n0\r\n\r\n", b"abc"
    return b"x" * head.length, b"x" * head.length


def joined(fields: list[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    values = [value for other, value in fields if other == name]
    return b", ".join(values) if values else None


def check_fields(head: Head, fields: list[tuple[bytes, bytes]]) -> None:
    assert head.authorization == joined(fields, b"authorization")
    assert head.content_type == joined(fields, b"content-type")
    assert head.date == joined(fields, b"date")
    coding, length = joined(fields, b"transfer-encoding"), joined(fields, b"content-length")
    assert head.length == (CHUNKED if coding is not None else int(length or b"0"))


@settings(deadline=None, max_examples=600)
@given(heads())
@example(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 05\r\nX-A:\t\x0c")
@example(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\tChunked")
@example(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +5")
@example(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1_0")
@example(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 5")
@example(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked")
def test_what_we_accept_others_read_in_the_same_way(raw: bytes) -> None:
    try:
        head = parse(raw)
    except Refusal:
        event("refused")
        return
    assume(head.length < 1000)
    event("accepted")
    sent, body = sent_body(head)
    check_h11(raw + b"\r\n\r\n" + sent, head, body)
    check_httptools(raw + b"\r\n\r\n" + sent, head, body)


def check_h11(data: bytes, head: Head, body: bytes) -> None:
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    request = connection.next_event()
    assert isinstance(request, h11.Request)
    assert (request.method, request.target) == (head.method, head.target)
    check_fields(head, [(name, value.strip(b" \t")) for name, value in request.headers])
    got = b""
    while isinstance(part := connection.next_event(), h11.Data):
        got += part.data
    assert isinstance(part, h11.EndOfMessage)
    assert got == body
    assert connection.trailing_data[0] == b""


def check_httptools(data: bytes, head: Head, body: bytes) -> None:
    seen = Seen()
    parser = httptools.HttpRequestParser(seen)
    parser.feed_data(data)
    assert (parser.get_method(), seen.url) == (head.method, head.target)
    check_fields(head, seen.fields)
    assert (seen.body, seen.complete) == (body, True)
