"""What a head may be, and above all what it may not: the catalogue of request smuggling."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_engine.errors import BadRequest, HeadTooLarge, LengthRequired, Refusal
from eas_engine.gateway.head import CHUNKED, MAX_FIELDS, Head, parse, suspicious

POST = b"POST /api/predict/digits HTTP/1.1\r\nHost: h"


def head(*lines: bytes, start: bytes = b"POST / HTTP/1.1", host: bool = True) -> Head:
    return parse(b"\r\n".join((start, *((b"Host: h",) if host else ()), *lines)))


@pytest.mark.parametrize(
    ("lines", "refusal"),
    [
        pytest.param([b"Transfer-Encoding: chunked", b"Content-Length: 5"], BadRequest, id="TE and CL"),
        pytest.param([b"Content-Length: 5", b"Transfer-Encoding: chunked"], BadRequest, id="CL and TE"),
        pytest.param([b"Content-Length: 0", b"transfer-encoding: chunked"], BadRequest, id="CL 0 and TE"),
        pytest.param([b"Content-Length: 5", b"Content-Length: 6"], BadRequest, id="two CLs"),
        pytest.param([b"Content-Length: 5", b"content-length: 5"], BadRequest, id="two equal CLs"),
        pytest.param([b"Content-Length: 5, 5"], BadRequest, id="a list of CLs"),
        pytest.param([b"Content-Length: +5"], BadRequest, id="signed CL"),
        pytest.param([b"Content-Length: -5"], BadRequest, id="negative CL"),
        pytest.param([b"Content-Length: 5 5"], BadRequest, id="space in CL"),
        pytest.param([b"Content-Length: 0x5"], BadRequest, id="hexadecimal CL"),
        pytest.param([b"Content-Length: 5.0"], BadRequest, id="fraction as CL"),
        pytest.param([b"Content-Length: 1_0"], BadRequest, id="Python's own CL"),
        pytest.param([b"Content-Length: \xd9\xa5"], BadRequest, id="an Arabic five as CL"),
        pytest.param([b"Content-Length:"], BadRequest, id="empty CL"),
        pytest.param([b"Content-Length: " + b"9" * 19], BadRequest, id="CL of 19 digits"),
        pytest.param([b"Content-Length: 5\x0b"], BadRequest, id="vertical tab in CL"),
        pytest.param([b"Transfer-Encoding: gzip, chunked"], LengthRequired, id="list of TEs"),
        pytest.param([b"Transfer-Encoding: chunked, chunked"], LengthRequired, id="chunked twice"),
        pytest.param(
            [b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"], BadRequest, id="two TEs"
        ),
        pytest.param(
            [b"Transfer-Encoding: chunked", b"Transfer-Encoding: x"], BadRequest, id="two different TEs"
        ),
        pytest.param([b"Transfer-Encoding: identity"], LengthRequired, id="TE identity"),
        pytest.param([b"Transfer-Encoding: xchunked"], LengthRequired, id="TE that ends in chunked"),
        pytest.param([b"Transfer-Encoding: chunked;q=1"], LengthRequired, id="TE with a parameter"),
        pytest.param([b"Transfer-Encoding:"], LengthRequired, id="empty TE"),
        pytest.param([b"Transfer-Encoding: \x0bchunked"], BadRequest, id="TE behind a vertical tab"),
        pytest.param([b"Transfer-Encoding : chunked"], BadRequest, id="space before the colon"),
        pytest.param([b"Transfer-Encoding\t: chunked"], BadRequest, id="tab before the colon"),
        pytest.param([b"X: a", b" b"], BadRequest, id="obs-fold"),
        pytest.param([b"X: a", b"\tContent-Length: 5"], BadRequest, id="obs-fold with a tab"),
        pytest.param([b" Content-Length: 5"], BadRequest, id="space before the first name"),
        pytest.param([b"X: a\nContent-Length: 5"], BadRequest, id="bare LF"),
        pytest.param([b"X: a\rContent-Length: 5"], BadRequest, id="bare CR"),
        pytest.param([b"X: a\r"], BadRequest, id="CR CR LF"),
        pytest.param([b"X: a\x00b"], BadRequest, id="NUL in a value"),
        pytest.param([b"X\x00: a"], BadRequest, id="NUL in a name"),
        pytest.param([b"X: a\x7fb"], BadRequest, id="DEL in a value"),
        pytest.param([b"X: a\x01"], BadRequest, id="control character"),
        pytest.param([b": a"], BadRequest, id="empty name"),
        pytest.param([b"no colon"], BadRequest, id="no colon"),
        pytest.param([b"X(: a"], BadRequest, id="name that is no token"),
        pytest.param([b"\xc3\xa4: a"], BadRequest, id="name that isn't ASCII"),
        pytest.param([b""], BadRequest, id="empty line"),
        pytest.param([b"Host: g"], BadRequest, id="two Hosts"),
        pytest.param([b"Authorization: a", b"Authorization: b"], BadRequest, id="two Authorizations"),
        pytest.param([b"Expect: 200-ok"], BadRequest, id="another expectation"),
        pytest.param([b"Expect: 100-continue", b"Expect: 100-continue"], BadRequest, id="two expectations"),
    ],
)
def test_fields_that_could_be_read_in_two_ways_are_refused(
    lines: list[bytes], refusal: type[Refusal]
) -> None:
    with pytest.raises(refusal) as caught:
        head(*lines)
    assert type(caught.value) is refusal
    assert caught.value.closes


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"POST",
        b"POST /",
        b"POST / HTTP/1.1 ",
        b" POST / HTTP/1.1",
        b"POST  / HTTP/1.1",
        b"POST /  HTTP/1.1",
        b"POST\t/ HTTP/1.1",
        b"POST / a HTTP/1.1",
        b"POST /\x00 HTTP/1.1",
        b"POST /\x7f HTTP/1.1",
        b"POST / http/1.1",
        b"POST / HTTP/1",
        b"POST / HTTP/11.1",
        b"POST / HTTP/1.10",
        b"POST / HTTP/0.9",
        b"POST / HTTP/2.0",
        b"PRI * HTTP/2.0",
        b"POST / HTTP/+1.1",
        b"P(ST / HTTP/1.1",
        b"P\xd6ST / HTTP/1.1",
        b"POST api/predict HTTP/1.1",
        b"POST ftp://h/ HTTP/1.1",
        b"CONNECT h:80 HTTP/1.1",
        b"POST /\rX: / HTTP/1.1",
        b"POST / HTTP/1.1\n",
    ],
)
def test_a_malformed_request_line_is_refused(start: bytes) -> None:
    with pytest.raises(BadRequest):
        head(start=start)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"/", b"/"),
        (b"//h/x", b"//h/x"),
        (b"/a?b?c", b"/a?b?c"),
        (b"/\xc3\xa4", b"/\xc3\xa4"),
        (b"*", b"*"),
        (b"http://h", b"/"),
        (b"http://h/", b"/"),
        (b"HTTPS://u@h:80/a/b?c=/d", b"/a/b?c=/d"),
        (b"http://h?c=/api/predict/digits", b"/?c=/api/predict/digits"),
        (b"http:///x", b"/x"),
    ],
)
def test_the_target_is_taken_as_it_came_without_scheme_and_authority(target: bytes, expected: bytes) -> None:
    got = head(start=b"POST " + target + b" HTTP/1.1")
    assert (got.target, got.path) == (expected, expected.partition(b"?")[0])


@pytest.mark.parametrize("method", [b"get", b"Post", b"BREW", b"M-SEARCH", b"!#$%&'*+-.^_`|~"])
def test_any_token_is_a_method_and_its_case_matters(method: bytes) -> None:
    assert head(start=method + b" / HTTP/1.1").method == method


@pytest.mark.parametrize(
    ("lines", "length"),
    [
        ([], 0),
        ([b"Content-Length: 0"], 0),
        ([b"Content-Length:5"], 5),
        ([b"cOnTeNt-LeNgTh: \t 007 \t"], 7),
        ([b"Content-Length: " + b"9" * 18], 10**18 - 1),
        ([b"Transfer-Encoding: chunked"], CHUNKED),
        ([b"TRANSFER-ENCODING:\tCHUNKED "], CHUNKED),
        ([b"Content_Length: 5", b"X-Transfer-Encoding: chunked"], 0),
    ],
)
def test_how_long_the_body_is(lines: list[bytes], length: int) -> None:
    assert head(*lines).length == length


def test_http_1_0_needs_a_length_for_a_post_and_knows_no_coding_and_no_host() -> None:
    old = b"POST / HTTP/1.0"
    assert head(b"Content-Length: 3", start=old, host=False).length == 3
    assert head(start=b"GET / HTTP/1.0", host=False).length == 0
    with pytest.raises(LengthRequired):
        head(start=old, host=False)
    with pytest.raises(BadRequest):
        head(b"Transfer-Encoding: chunked", start=old)
    assert not head(b"Expect: 100-continue", b"Content-Length: 3", start=old).expects


def test_http_1_1_needs_a_host_which_may_be_empty() -> None:
    with pytest.raises(BadRequest, match="Host"):
        head(host=False)
    assert head(b"Host:", host=False).method == b"POST"


@pytest.mark.parametrize(
    ("start", "connection", "kept"),
    [
        (b"GET / HTTP/1.1", None, True),
        (b"GET / HTTP/1.1", b"close", False),
        (b"GET / HTTP/1.1", b"x , CLOSE", False),
        (b"GET / HTTP/1.1", b"keep-alive, close", False),
        (b"GET / HTTP/1.1", b"closed", True),
        (b"GET / HTTP/1.0", None, False),
        (b"GET / HTTP/1.0", b"Keep-Alive", True),
        (b"GET / HTTP/1.0", b"keep-alive, close", False),
        (b"GET / HTTP/1.9", None, True),
    ],
)
def test_whether_the_connection_is_kept(start: bytes, connection: bytes | None, kept: bool) -> None:
    lines = [] if connection is None else [b"Connection: " + connection]
    assert head(*lines, start=start).keep_alive is kept
    if connection is not None and b"," in connection:
        apart = [b"Connection: " + part for part in connection.split(b",")]
        assert head(*apart, start=start).keep_alive is kept


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (b"abc-123", True),
        (b"!~", True),
        (b"x" * 128, True),
        (b"x" * 129, False),
        (b"", False),
        (b"a b", False),
        (b"a\tb", False),
        (b"\xc3\xa4", False),
        (b'"}{"level":"error', True),
    ],
)
def test_a_request_id_is_taken_when_it_is_short_and_visible(given: bytes, taken: bool) -> None:
    assert head(b"X-Request-Id: " + given).request_id == (given if taken else None)


def test_a_repeated_request_id_is_none() -> None:
    assert head(b"X-Request-Id: a", b"X-Request-Id: b").request_id is None


def test_other_repeated_fields_are_joined_and_values_may_be_any_visible_bytes() -> None:
    got = head(b"Content-Type: a", b"content-type:  \xe4\t\x80 ", b"X:", b"Y: \xff")
    assert got.content_type == b"a, \xe4\t\x80"


@pytest.mark.parametrize(
    ("value", "asked"), [(b"1", True), (b"TRUE", True), (b"0", False), (b"", False), (b"11", False)]
)
def test_timing_is_asked_for_with_a_one(value: bytes, asked: bool) -> None:
    assert head(b"X-EAS-Timing: " + value).timing is asked


def test_what_makes_an_answer_plain() -> None:
    assert head().plain
    for line in (b"X-Request-Id: a", b"X-EAS-Timing: 1", b"Connection: close"):
        assert not head(line).plain
    assert not head(start=b"HEAD / HTTP/1.1").plain
    assert not head(b"Connection: keep-alive", start=b"GET / HTTP/1.0").plain


def test_there_may_be_256_fields_and_no_more() -> None:
    lines = [b"X%d: a" % n for n in range(MAX_FIELDS - 1)]
    assert head(*lines).method == b"POST"
    with pytest.raises(HeadTooLarge):
        head(*lines, b"Y: a")
    with pytest.raises(HeadTooLarge):
        head(*[b"X: a"] * MAX_FIELDS)


@pytest.mark.parametrize("value", [b"x" + b" " * 60000 + b"y", b" " * 60000 + b"\x01", b"\t " * 30000])
def test_white_space_costs_linear_time(value: bytes) -> None:
    """A thousand spaces before a forbidden byte once kept the loop busy for two seconds.

    The time limit of the whole test run is what fails here: cubic time never ends.
    """
    try:
        head(b"X: " + value)
    except BadRequest:
        assert b"\x01" in value


@pytest.mark.parametrize(
    ("data", "verdict"),
    [
        (b"POST / HTTP/1.1\r\nHost: h\r\n", False),
        (b"POST / HTTP/1.1\r", False),
        (b"POST / HTTP/1.1\n", True),
        (b"POST / HTTP/1.1\rX", True),
        (b"\n", True),
        (b"GET / HTTP/1.1\r\nA: b\n\n", True),
    ],
)
def test_a_bare_line_ending_ends_the_wait_for_the_rest_of_a_head(data: bytes, verdict: bool) -> None:
    assert suspicious(data) is verdict


def test_a_head_shows_itself() -> None:
    assert repr(parse(POST)) == "<Head b'POST' b'/api/predict/digits' 0>"


@given(st.text("\r\na", max_size=12))
def test_looking_for_bare_line_endings_is_the_same_as_a_pattern_but_quick(text: str) -> None:
    assert suspicious(text.encode()) is (re.search(r"(?<!\r)\n|\r(?!\n)(?!\Z)", text) is not None)
