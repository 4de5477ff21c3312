from __future__ import annotations

import array
from http import HTTPStatus

import pytest

from eas_sdk import Response
from eas_sdk.response import ENGINE_FIELDS, answer


def test_what_is_sent() -> None:
    response = Response("é", 201, {"Content-Type": "text/plain", "X-A": " b\t"})
    assert response.encoded() == (201, "é".encode(), b"Content-Type: text/plain\r\nX-A: b\r\n")
    assert response.headers == (("Content-Type", "text/plain"), ("X-A", "b"))
    assert repr(response).startswith("Response(2 bytes, status=201")


def test_a_name_may_repeat_in_pairs() -> None:
    response = Response(b"", headers=[("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
    assert response.encoded()[2] == b"Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n"


@pytest.mark.parametrize("status", [200, 599, HTTPStatus.NOT_FOUND])
def test_statuses(status: int) -> None:
    assert Response(b"", status).status == int(status)


@pytest.mark.parametrize("status", [0, 199, 600, -200])
def test_statuses_out_of_range(status: int) -> None:
    with pytest.raises(ValueError, match="200 to 599"):
        Response(b"", status)


@pytest.mark.parametrize("status", [True, "200", 200.0, None])
def test_statuses_that_are_none(status: object) -> None:
    with pytest.raises(TypeError, match="a status is a number"):
        Response(b"", status)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name", [*sorted(ENGINE_FIELDS), "Content-Length", "TRANSFER-ENCODING", "Connection"]
)
def test_fields_of_the_engine_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="set by the engine"):
        Response(b"", headers={name: "1"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("", "x"),
        ("a b", "x"),
        ("a:", "x"),
        ("é", "x"),
        ("a\n", "x"),
        ("a", "x\r\nb: c"),
        ("a", "\0"),
        ("a", "中"),
    ],
)
def test_names_and_values_that_http_does_not_allow(name: str, value: str) -> None:
    with pytest.raises(ValueError, match="not a valid"):
        Response(b"", headers={name: value})


@pytest.mark.parametrize("headers", [{"a": 1}, {b"a": "b"}, {"a": None}])
def test_fields_are_text(headers: dict[str, str]) -> None:
    with pytest.raises(TypeError, match="header fields are str"):
        Response(b"", headers=headers)


@pytest.mark.parametrize("body", [None, 1, ["x"], array.array("i", [1])])
def test_bodies_that_are_none(body: object) -> None:
    with pytest.raises(TypeError, match="a body is"):
        Response(body)  # type: ignore[arg-type]


def test_it_does_not_change() -> None:
    with pytest.raises(AttributeError):
        Response(b"").status = 201  # type: ignore[misc]


@pytest.mark.parametrize(
    "result", [b"abc", bytearray(b"abc"), memoryview(b"abc"), "abc", memoryview(b"xaxbxc")[1::2]]
)
def test_plain_results(result: object) -> None:
    status, body, headers = answer(result)
    assert (status, bytes(body), headers) == (200, b"abc", b"")
    assert memoryview(body).c_contiguous


def test_a_view_of_numbers_is_sent_as_its_bytes() -> None:
    numbers = memoryview(array.array("i", [1, 2]))
    body = answer(numbers)[1]
    assert len(body) == numbers.nbytes
    assert bytes(body) == numbers.tobytes()


def test_results_that_can_not_be_sent_are_named() -> None:
    with pytest.raises(TypeError, match="returned None"):
        answer(None)
    with pytest.raises(TypeError, match=r"for another status return eas_sdk.Response\(body, status\)"):
        answer((b"", 200))
