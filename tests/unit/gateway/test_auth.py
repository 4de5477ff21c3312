"""Three ways to send a token, and everything that the official clients do differently."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from eas_engine.gateway.auth import Verifier, sign
from eas_engine.gateway.head import Head, parse

TOKEN = "YTQ0ZTU2Nzg="
SERVICE = b"/api/predict/demo"
DATE = b"Mon, 02 Jan 2006 15:04:05 GMT"
MD5 = b"5d41402abc4b2a76b9719d911017c592"
OCTETS = b"application/octet-stream"
VERIFIER = Verifier(TOKEN, SERVICE)


def head(
    authorization: bytes | None,
    *,
    target: bytes = SERVICE,
    md5: bytes | None = MD5,
    content_type: bytes | None = OCTETS,
    date: bytes | None = DATE,
) -> Head:
    fields = [
        (b"Authorization", authorization),
        (b"Content-MD5", md5),
        (b"Content-Type", content_type),
        (b"Date", date),
    ]
    lines = [b"POST " + target + b" HTTP/1.1", b"Host: h"]
    lines += [name + b": " + value for name, value in fields if value is not None]
    return parse(b"\r\n".join(lines))


def eas(
    path: bytes = SERVICE,
    md5: bytes = MD5,
    content_type: bytes = OCTETS,
    date: bytes = DATE,
    token: str = TOKEN,
) -> bytes:
    """What a client sends that signs just this. Written out here on its own, not with the code under test."""
    message = b"POST\n" + md5 + b"\n" + content_type + b"\n" + date + b"\n" + path
    return b"EAS " + base64.b64encode(hmac.new(token.encode(), message, hashlib.sha1).digest())


def test_the_contracts_vector() -> None:
    assert sign(TOKEN.encode(), SERVICE, MD5, OCTETS, DATE) == b"TXQ2o0BM6cUGGvKC34bKwLTHijY="
    assert VERIFIER.allows(head(b"EAS TXQ2o0BM6cUGGvKC34bKwLTHijY="))


@pytest.mark.parametrize(
    "authorization",
    [
        TOKEN.encode(),
        b"Bearer " + TOKEN.encode(),
        b"bearer " + TOKEN.encode(),
        b"BEARER   " + TOKEN.encode(),
        eas(),
    ],
)
def test_the_three_ways(authorization: bytes) -> None:
    assert VERIFIER.allows(head(authorization))


def test_the_token_itself_needs_no_other_field() -> None:
    assert VERIFIER.allows(head(TOKEN.encode(), md5=None, content_type=None, date=None))


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        b"",
        b"EAS",
        b"EAS ",
        b"Bearer",
        b"Bearer ",
        b"Basic " + TOKEN.encode(),
        b"Token " + TOKEN.encode(),
        b"EAS " + TOKEN.encode(),
        b"Bearer " + TOKEN.encode() + b" x",
        TOKEN.encode()[:-1],
        TOKEN.encode() + b"=",
        TOKEN.lower().encode(),
        TOKEN.encode() + b" " + TOKEN.encode(),
        base64.b64decode(TOKEN),
        b"\xff\xfe",
        b"EAS \xff\xfe",
        b"Bearer \xc3\xa4",
        eas(token="other"),
        eas(token=""),
        eas(path=b"/api/predict/other"),
        eas(path=b"/"),
        eas(date=b"Mon, 02 Jan 2006 15:04:06 GMT"),
        eas(md5=b"0" * 32),
        eas(content_type=b"text/plain"),
        eas().lower(),
        b"eas" + eas()[3:],
        eas() + b"=",
        eas().replace(b"EAS ", b""),
    ],
)
def test_anything_else_is_not_let_in(authorization: bytes | None) -> None:
    assert not VERIFIER.allows(head(authorization))


def test_a_signature_over_nothing_is_a_signature() -> None:
    """Fields that weren't sent count as empty; without a body there is no MD5 to send."""
    signed = eas(md5=b"", content_type=b"", date=b"")
    assert VERIFIER.allows(head(signed, md5=None, content_type=None, date=None))


def test_a_service_without_a_token_is_open_to_everybody() -> None:
    for authorization in (None, b"", b"anything", eas()):
        assert Verifier("", SERVICE).allows(head(authorization))


def test_a_token_may_be_any_text() -> None:
    verifier = Verifier("sch\u00f6n und gut", SERVICE)
    assert verifier.allows(head("sch\u00f6n und gut".encode()))
    assert verifier.allows(head(eas(token="sch\u00f6n und gut")))
    assert not verifier.allows(head("sch\u00f6n und gut".encode("latin-1")))


# What the official clients do; the numbers are those of the contract, section 1.3.


@pytest.mark.parametrize(
    "date", [b"Thu, 01 Jan 1970 00:00:00 GMT", b"Fri, 31 Dec 2999 23:59:59 GMT", b"today"]
)
def test_1_clients_that_call_their_local_time_gmt(date: bytes) -> None:
    assert VERIFIER.allows(head(eas(date=date), date=date))


def test_2_go_sends_the_same_date_and_signature_with_every_retry() -> None:
    request = head(eas())
    assert [VERIFIER.allows(request) for _ in range(6)] == [True] * 6


def test_3_java_drops_leading_zeros_of_the_md5() -> None:
    short = hashlib.md5(b"body4").hexdigest().lstrip("0").encode()
    assert len(short) == 30
    assert VERIFIER.allows(head(eas(md5=short), md5=short))


def test_4_java_sends_the_md5_of_a_body_that_it_does_not_send() -> None:
    other = hashlib.md5(b"compressed").hexdigest().encode()
    assert VERIFIER.allows(head(eas(md5=other), md5=other))


def test_5_java_signs_the_query_python_and_go_do_not() -> None:
    target = SERVICE + b"/a/b?c=d&e"
    for path in (target, SERVICE + b"/a/b"):
        assert VERIFIER.allows(head(eas(path=path), target=target))
    assert not VERIFIER.allows(head(eas(path=SERVICE), target=target))
    assert not VERIFIER.allows(head(eas(path=target), target=SERVICE + b"/a/b"))


@pytest.mark.parametrize("rest", [b"", b"/a", b"/a?b=c", b"?b=c"])
def test_6_go_signs_a_slash_behind_the_service_that_it_does_not_send(rest: bytes) -> None:
    assert VERIFIER.allows(head(eas(path=SERVICE + b"/" + rest), target=SERVICE + rest))
    without_query = (SERVICE + b"/" + rest).partition(b"?")[0]
    assert VERIFIER.allows(head(eas(path=without_query), target=SERVICE + rest))


def test_7_the_path_is_that_which_the_client_sees() -> None:
    """A proxy that rewrites paths breaks signatures; nothing is rewritten before they are checked."""
    target = SERVICE + b"/%41/../b//c"
    assert VERIFIER.allows(head(eas(path=target), target=target))
    assert not VERIFIER.allows(head(eas(path=SERVICE + b"/A/../b//c"), target=target))


def test_7_a_proxy_may_send_the_absolute_form() -> None:
    assert VERIFIER.allows(head(eas(path=SERVICE + b"/a"), target=b"http://h:80" + SERVICE + b"/a"))


@pytest.mark.parametrize("sent", [b"application/json", None, OCTETS])
def test_8_go_signs_octets_whatever_type_it_sends(sent: bytes | None) -> None:
    assert VERIFIER.allows(head(eas(content_type=OCTETS), content_type=sent))


def test_8_python_and_java_sign_the_type_they_send() -> None:
    assert VERIFIER.allows(head(eas(content_type=b"application/json"), content_type=b"application/json"))


def test_9_a_python_client_shared_by_threads_sends_another_requests_md5() -> None:
    """Its fields fit each other, and not its body: the body isn't looked at."""
    other = hashlib.md5(b"another request").hexdigest().encode()
    assert VERIFIER.allows(head(eas(md5=other), md5=other))


def test_10_fields_that_nobody_knows_are_nobodys_business() -> None:
    raw = b"POST %b HTTP/1.1\r\nHost: h\r\nAuthorization: %b\r\nClient-Timestamp: 1700000000000" % (
        SERVICE,
        TOKEN.encode(),
    )
    assert VERIFIER.allows(parse(raw))


def test_started_by_hand_any_path_is_signed_as_it_is() -> None:
    verifier = Verifier(TOKEN, b"")
    assert verifier.allows(head(eas(path=b"/test?x"), target=b"/test?x"))
    assert verifier.allows(head(eas(path=b"/test"), target=b"/test?x"))
    assert not verifier.allows(head(eas(path=b"//test"), target=b"/test"))


def test_the_token_is_not_shown() -> None:
    assert TOKEN not in repr(VERIFIER)
