from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_sdk import Headers, Request


def make(head: bytes, flags: bytes = b"\0") -> Request:
    return Request(head, b"body", 10.0, "abc", 255, flags, 0)


def test_the_parts_of_a_head() -> None:
    request = make(b"POST /api/predict/demo/x%20y?a=1&b=? HTTP/1.1\r\nHost: h\r\nX-A:  1 \r\nx-a:2\r\nEmpty:")
    assert (request.method, request.path, request.query) == ("POST", "/api/predict/demo/x%20y", "a=1&b=?")
    assert dict(request.headers) == {"host": "h", "x-a": "1, 2", "empty": ""}
    assert request.body == b"body"


@pytest.mark.parametrize("end", [b"", b"\r\n", b"\r\n\r\n"])
def test_the_end_of_a_head_may_be_missing(end: bytes) -> None:
    request = make(b"GET / HTTP/1.1\r\nA: b" + end)
    assert (request.method, dict(request.headers)) == ("GET", {"a": "b"})


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("http://host:80/p/q?x=http://y/z", "/p/q", "x=http://y/z"),
        ("http://host", "/", ""),
        ("http://host?x=1/2", "/", "x=1/2"),
        ("/p?u=http://other/", "/p", "u=http://other/"),
        ("*", "*", ""),
    ],
)
def test_absolute_targets(target: str, path: str, query: str) -> None:
    request = make(f"POST {target} HTTP/1.1".encode())
    assert (request.path, request.query) == (path, query)


def test_nothing_is_known_of_an_empty_head() -> None:
    request = make(b"")
    assert (request.method, request.path, request.query, len(request.headers)) == ("", "", "", 0)
    assert request.request_id == "abc-00ff"


@pytest.mark.parametrize(
    ("given_id", "expected"),
    [
        (b"r-1", "r-1"),
        (b"~" * 128, "~" * 128),
        (b"", "abc-00ff"),
        (b"~" * 129, "abc-00ff"),
        (b"a b", "abc-00ff"),
        (b"\xe9", "abc-00ff"),
        (b"a\r\nX-Request-Id: b", "abc-00ff"),
    ],
)
def test_request_id(given_id: bytes, expected: str) -> None:
    assert make(b"GET / HTTP/1.1\r\nX-Request-Id: " + given_id).request_id == expected


def test_headers_ignore_case_and_stay_as_they_are() -> None:
    headers = Headers({"content-type": "text/plain"})
    assert headers["Content-Type"] == headers.get("CONTENT-TYPE") == "text/plain"
    assert "Content-Type" in headers
    assert 1 not in headers  # type: ignore[comparison-overlap]
    assert list(headers) == ["content-type"]
    with pytest.raises(TypeError):
        headers["a"] = "b"  # type: ignore[index]


def test_cancelled_follows_the_flag() -> None:
    flags = bytearray(2)
    request = Request(b"", b"", 0.0, "", 0, memoryview(flags), 1)
    assert not request.cancelled
    flags[1] = 1
    assert request.cancelled


def test_remaining_counts_down() -> None:
    request = Request.build(timeout=50)
    assert 0 < request.remaining() <= 50
    assert request.deadline <= time.monotonic() + 50
    assert Request.build(timeout=-1).remaining() < 0


def test_build_makes_what_it_is_told() -> None:
    request = Request.build("é", "GET", "/p", {"X-Request-Id": "7"}, query="q=1", cancelled=True)
    assert (request.method, request.path, request.query, request.request_id) == ("GET", "/p", "q=1", "7")
    assert (request.body, request.cancelled) == ("é".encode(), True)
    assert repr(request) == "<Request GET /p 2 bytes>"
    assert Request.build(bytearray(b"x")).body == b"x"
    view = memoryview(b"view")
    assert Request.build(view).body is view


def test_no_field_can_be_added() -> None:
    with pytest.raises(AttributeError):
        Request.build().user = "x"  # type: ignore[attr-defined]


@given(st.binary())
def test_any_head_is_parsed_without_an_exception(head: bytes) -> None:
    request = make(head)
    assert isinstance(request.method + request.path + request.query + request.request_id, str)
    assert all(name == name.lower() for name in request.headers)
