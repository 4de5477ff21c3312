"""What requests are made of, and that the token is nowhere else."""

from __future__ import annotations

import io
import json
import socket
from typing import Any

import numpy as np
import pytest

from eas_bench import bodies
from eas_bench.client.process import heard, told
from eas_bench.record import Load
from eas_bench.target import NotWanted, Wanted

URL = "http://127.0.0.1:8080/api/predict/demo"
TOKEN = "YTQ0ZTU2Nzg="
AT = 1136214245.0  # Mon, 02 Jan 2006 15:04:05 GMT


def head(wanted: Wanted, at: float = AT) -> list[str]:
    whole = wanted.requests(at)[0]
    return whole[: whole.index(b"\r\n\r\n")].decode().split("\r\n")


def test_a_request_is_whole() -> None:
    wanted = Wanted(URL + "?x=1", headers=(("X-One", "1"),), bodies=(b"hello", b""), token=TOKEN)
    assert wanted.requests(AT) == [
        (
            b"POST /api/predict/demo?x=1 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nX-One: 1\r\n"
            b"Authorization: YTQ0ZTU2Nzg=\r\nContent-Length: 5\r\n\r\nhello"
        ),
        (
            b"POST /api/predict/demo?x=1 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nX-One: 1\r\n"
            b"Authorization: YTQ0ZTU2Nzg=\r\nContent-Length: 0\r\n\r\n"
        ),
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "http://h/a b"},
        {"url": "http://h/\u00e9"},
        {"url": "http://user@h/"},
        {"method": "GET / HTTP/1.1\r\nX:"},
        {"method": ""},
        {"token": "a\r\nX-Evil: 1"},
        {"token": "\u00e9"},
    ],
)
def test_nothing_gets_into_a_head_that_isn_t_meant_to(changes: dict[str, Any]) -> None:
    with pytest.raises(NotWanted):
        Wanted(**{"url": URL, **changes})


def test_of_several_addresses_the_one_is_taken_where_somebody_listens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_server(("127.0.0.1", 0)) as other:
        there = listener.getsockname()
        other_there = other.getsockname()
        nobody = ("127.0.0.1", 1)
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", each) for each in (nobody, there, other_there)]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        assert Wanted("http://localhost/").address() == (socket.AF_INET, there)


def test_an_address_of_ipv6_is_written_in_brackets() -> None:
    wanted = Wanted("http://[::1]:8080/x")
    assert wanted.place == "[::1]:8080"
    assert head(wanted)[1] == "Host: [::1]:8080"


def test_the_signature_is_the_one_of_the_contract() -> None:
    lines = head(Wanted(URL, bodies=(b"hello",), token=TOKEN, signed=True))
    assert lines[2:] == [
        "Content-MD5: 5d41402abc4b2a76b9719d911017c592",
        "Date: Mon, 02 Jan 2006 15:04:05 GMT",
        "Content-Type: application/octet-stream",
        "Authorization: EAS TXQ2o0BM6cUGGvKC34bKwLTHijY=",
        "Content-Length: 5",
    ]


def test_the_signature_is_over_the_type_that_is_sent_and_over_no_query() -> None:
    mine = Wanted(
        URL,
        bodies=(b"hello",),
        token=TOKEN,
        signed=True,
        headers=(("content-type", "application/octet-stream"),),
    )
    query = Wanted(URL + "?a=b", bodies=(b"hello",), token=TOKEN, signed=True)
    assert "Authorization: EAS TXQ2o0BM6cUGGvKC34bKwLTHijY=" in head(mine)
    assert "Authorization: EAS TXQ2o0BM6cUGGvKC34bKwLTHijY=" in head(query)
    assert sum(line.lower().startswith("content-type") for line in head(mine)) == 1


def test_given_fields_take_the_place_of_ours() -> None:
    lines = head(Wanted(URL, token=TOKEN, headers=(("Host", "there"), ("Authorization", "Bearer x"))))
    assert [line for line in lines if line.startswith(("Host", "Auth"))] == [
        "Host: there",
        "Authorization: Bearer x",
    ]


def test_get_has_no_length_without_a_body() -> None:
    assert head(Wanted("http://h", method="GET")) == ["GET / HTTP/1.1", "Host: h"]


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"url": "ftp://h/"}, "expected http"),
        ({"url": URL, "insecure": True}, "need an https:// URL"),
        ({"url": "h:80/x"}, "http://HOST"),
        ({"url": "http://h:x/"}, "no address"),
        ({"signed": True}, "--token"),
        ({"bodies": ()}, "no body"),
        ({"headers": (("Bad Name", "x"),)}, "no name"),
        ({"headers": (("Good", "a\r\nEvil: b"),)}, "character"),
        ({"headers": (("content-length", "7"),)}, "can't be given"),
    ],
)
def test_what_makes_no_request_is_refused_with_words(fields: dict[str, object], why: str) -> None:
    with pytest.raises(NotWanted, match=why):
        Wanted(**{"url": URL, **fields})  # type: ignore[arg-type]


def test_a_host_without_an_address_is_told() -> None:
    with pytest.raises(NotWanted, match="no such host"):
        Wanted("http://nowhere.invalid/").address()


def test_the_token_is_in_no_record_and_no_text() -> None:
    wanted = Wanted("http://127.0.0.1:8080/x", token="topsecret", bodies=(b"a",))
    assert "topsecret" not in repr(wanted)
    assert "secret" not in wanted.asked.model_dump_json()
    with pytest.raises(NotWanted) as refused:
        Wanted("http://me:secret@127.0.0.1:8080/x")
    assert "secret" not in str(refused.value)
    assert wanted.asked.url == "http://127.0.0.1:8080/x"
    assert wanted.asked.authentication == "token"
    assert Wanted(URL, token="t", signed=True).asked.authentication == "signature"


def test_a_generator_process_hears_what_it_is_told() -> None:
    wanted = Wanted(URL, headers=(("A", "b"),), bodies=(b"\n\0", b"", b"two"), token=TOKEN, signed=True)
    load = Load(kind="closed", connections=3, duration=1, timeout=1, processes=2)
    stream = io.BytesIO(told(wanted, load, 1) + b"123\n")
    assert heard(stream) == (wanted, load, 1)
    assert stream.readline() == b"123\n"


# --- bodies ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["float16", "float32", "float64", "int8", "uint8", "int64", "uint64"])
def test_rows_in_all_forms_are_the_same_numbers(kind: str) -> None:
    (npy,) = bodies.gathered([], [], [f"3x4:{kind}"], 7)
    (same,) = bodies.gathered([], [], [f"3x4:{kind}:npy"], 7)
    (raw,) = bodies.gathered([], [], [f"3x4:{kind}:raw"], 7)
    (text,) = bodies.gathered([], [], [f"3x4:{kind}:json"], 7)
    array = np.load(io.BytesIO(npy))
    assert npy == same
    assert array.shape == (3, 4)
    assert array.dtype == np.dtype(kind)
    assert raw == array.tobytes()
    assert json.loads(text) == array.tolist()
    assert len(set(array.ravel().tolist())) > 1


def test_the_seed_makes_the_rows_and_each_spec_has_its_own() -> None:
    one = bodies.gathered([], [], ["9:float32", "9:float32"], 1)
    assert one == bodies.gathered([], [], ["9:float32", "9:float32"], 1)
    assert one[0] != one[1]
    assert one != bodies.gathered([], [], ["9:float32", "9:float32"], 2)


@pytest.mark.parametrize(
    "spec", ["", "8x784", "8x:float32", "8:complex64", "8:float32:xml", "99999999x999:float64"]
)
def test_a_wrong_spec_is_refused(spec: str) -> None:
    with pytest.raises(NotWanted, match="--rows"):
        bodies.gathered([], [], [spec], 0)
