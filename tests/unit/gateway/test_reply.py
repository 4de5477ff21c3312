"""The bytes of answers, and that `docs/errors.md` tells the truth about the engine's own."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_engine import errors
from eas_engine.errors import InstanceCrashed, ProcessorRaised, RateLimited, Refusal
from eas_engine.gateway.head import Head, parse
from eas_engine.gateway.reply import Replies, has_body, server_timing
from eas_engine.request import UNKNOWN, Ticket
from support.parts import Asker
from support.repository import ROOT

DOCUMENT = (ROOT / "docs" / "errors.md").read_text()
REFUSALS: list[type[Refusal]] = list(errors.kinds_of(Refusal))


def head(*lines: bytes, start: bytes = b"POST / HTTP/1.1") -> Head:
    return parse(b"\r\n".join((start, b"Host: h", *lines)))


def ticket(*, begun: float = 0.0, process_us: int = 0) -> Ticket:
    made = Ticket(Asker(), b"", 0xABCDE, 100.0, 105.0)
    made.queued, made.begun, made.process_us = 100.5, begun, process_us
    return made


def read(data: bytes, method: bytes = b"POST") -> tuple[h11.Response, bytes]:
    """What an independent client makes of it; nothing may be left over."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(
        h11.Request(method=method, target=b"/", headers=[(b"Host", b"h"), (b"Content-Length", b"0")])
    )
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    connection.receive_data(b"")
    response = connection.next_event()
    assert isinstance(response, h11.Response)
    body = b""
    while isinstance(event := connection.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage)
    assert connection.trailing_data[0] == b""
    return response, body


def fields(response: h11.Response) -> dict[str, str]:
    found = {name.decode(): value.decode() for name, value in response.headers}
    assert len(found) == len(response.headers), "a field twice"
    return found


# -- the table of errors


def documented() -> dict[str, tuple[str, str, str]]:
    rows = re.findall(
        r"^\| (\d+) \| `(\w+)` \| (yes|no) \| (yes|no) \|[^|]+\|[^|]+\|$", DOCUMENT, re.MULTILINE
    )
    assert len(rows) == DOCUMENT.count("\n| ") - 1  # but for the names of the columns
    return {code: (status, retryable, closes) for status, code, retryable, closes in rows}


def test_the_document_has_every_error_and_no_other() -> None:
    assert documented() == {
        kind.code: (str(kind.status), "yes" if kind.retryable else "no", "yes" if kind.closes else "no")
        for kind in REFUSALS
    }


def test_the_table_is_in_order_and_codes_are_unique() -> None:
    rows = [(status, code) for code, (status, _, _) in documented().items()]
    assert rows == sorted(rows)
    assert len({kind.code for kind in REFUSALS}) == len(REFUSALS)


def test_whatever_an_instance_died_of_is_an_instance_crashed() -> None:
    died = {kind.code for kind in errors.kinds_of(InstanceCrashed)}
    named = {kind.code for kind in REFUSALS if kind.code.startswith("instance_")}
    assert died == named | {"gpu_fault"}
    assert {kind.__module__ for kind in REFUSALS} == {errors.__name__}


def test_the_documents_example_is_what_is_sent() -> None:
    example = re.search(r"```\n(HTTP.*?)```", DOCUMENT, re.DOTALL)
    assert example is not None
    wanted = example[1].replace("\n", "\r\n").encode()
    start, _, text = wanted.partition(b"\r\n\r\n")
    refusal = errors.QueueFull()
    sent = Replies("5f0c9a1e").refusal(refusal, head(), 0xD2, None, 0.0, close=True)
    for line in start.split(b"\r\n"):
        assert line in sent.split(b"\r\n")
    assert sent.endswith(b"\r\n\r\n" + text.replace(b"\r\n", b"\n"))


@pytest.mark.parametrize("kind", REFUSALS)
@pytest.mark.parametrize("close", [True, False])
@pytest.mark.parametrize("given_head", ["plain", "timed", "none", "old", "HEAD"])
def test_every_refusal_is_a_whole_answer(kind: type[Refusal], close: bool, given_head: str) -> None:
    request = {
        "plain": head(),
        "timed": head(b"X-EAS-Timing: 1"),
        "none": None,
        "old": head(b"Content-Length: 0", b"Connection: keep-alive", start=b"POST / HTTP/1.0"),
        "HEAD": head(start=b"HEAD / HTTP/1.1"),
    }[given_head]
    refusal = kind()
    data = Replies("test").refusal(refusal, request, 0x12345, None, 0.0, close=close)
    response, body = read(data, b"HEAD" if given_head == "HEAD" else b"POST")
    got = fields(response)
    assert response.status_code == kind.status
    assert got["x-eas-error"] == kind.code
    assert got["x-eas-retryable"] == ("true" if kind.retryable else "false")
    assert got["x-request-id"] == "test-12345"
    assert got["content-type"] == "text/plain; charset=utf-8"
    assert int(got["content-length"]) == len(kind.text) + 1
    assert body == (b"" if given_head == "HEAD" else kind.text.encode() + b"\n")
    wanted = "close" if close else ("keep-alive" if given_head == "old" else None)
    assert got.get("connection") == wanted
    assert ("keep-alive" in got) is not close
    assert ("server-timing" in got) is (given_head == "timed")
    assert ("allow" in got) is (kind.status == 405)
    assert ("retry-after" in got) is (kind.status == 429)


@pytest.mark.parametrize("kind", REFUSALS)
def test_the_short_way_says_the_same_as_the_long_one(kind: type[Refusal]) -> None:
    """Most refusals are put together from pieces that were made before."""
    replies = Replies("test")
    for number in (1, 0xFFFF, 0x10000, 0xFFFFFF):
        for close in (True, False):
            short = replies.refusal(kind(), head(), number, None, 0.0, close=close)
            refusal = kind()
            refusal.usual = False
            assert sorted(short.split(b"\r\n")) == sorted(
                replies.refusal(refusal, head(), number, None, 0.0, close=close).split(b"\r\n")
            )


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_text_of_its_own_is_said_and_said_once(kind: type[Refusal]) -> None:
    replies = Replies("test")
    replies.refusal(kind(), head(), 1, None, 0.0, close=False)
    _, special = read(replies.refusal(kind("because"), head(), 1, None, 0.0, close=False))
    _, usual = read(replies.refusal(kind(), head(), 1, None, 0.0, close=False))
    assert (special, usual) == (b"because\n", kind.text.encode() + b"\n")


@given(st.text(max_size=60))
def test_whatever_a_processor_raises_is_one_line_in_the_body_and_nothing_in_the_head(text: str) -> None:
    data = Replies("test").refusal(ProcessorRaised(text), head(), 1, None, 0.0, close=False)
    response, body = read(data)
    assert body.endswith(b"\n")
    assert body.count(b"\n") == 1
    assert b"\r" not in body
    assert "x-eas-error" in fields(response)


@pytest.mark.parametrize(("wait", "said"), [(0.0, "1"), (0.01, "1"), (1.0, "1"), (1.2, "2"), (7.0, "7")])
def test_retry_after_is_whole_seconds_and_never_too_early(wait: float, said: str) -> None:
    data = Replies("test").refusal(RateLimited(retry_after=wait), head(), 1, None, 0.0, close=False)
    assert fields(read(data)[0])["retry-after"] == said


def test_allow_names_what_is_allowed() -> None:
    data = Replies("test").refusal(errors.MethodNotAllowed(), head(), 1, None, 0.0, close=False)
    assert fields(read(data)[0])["allow"] == "GET, HEAD, POST"


# -- answers of the processor


@pytest.mark.parametrize("number", [0, 1, 0xFFF, 0x1000, 0x1001, 0xFFFF, 0x10000, 0x123456789])
@pytest.mark.parametrize("body", [b"", b"x" * 100])
def test_the_usual_answer_says_the_same_as_the_long_one(number: int, body: bytes) -> None:
    replies, made = Replies("test"), ticket()
    made.number = number
    short = replies.usual(number, body, len(body))
    long = replies.answer(head(), made, 200, b"", len(body), 0.0, close=False) + body
    assert sorted(short.split(b"\r\n")) == sorted(long.split(b"\r\n"))
    assert fields(read(short)[0])["x-request-id"] == f"test-{number:04x}"
    assert read(short)[1] == body


def test_the_request_id_is_the_clients_or_ours() -> None:
    replies = Replies("test")
    mine = replies.answer(head(b"X-Request-Id: mine"), ticket(), 200, b"", 0, 0.0, close=False)
    assert fields(read(mine)[0])["x-request-id"] == "mine"
    refused = replies.refusal(InstanceCrashed(), head(b"X-Request-Id: mine"), 1, None, 0.0, close=False)
    assert fields(read(refused)[0])["x-request-id"] == "mine"
    hostile = replies.answer(head(b"X-Request-Id: a b"), ticket(), 200, b"", 0, 0.0, close=False)
    assert fields(read(hostile)[0])["x-request-id"] == "test-abcde"


@pytest.mark.parametrize(
    ("status", "reason"), [(200, b"OK"), (207, b"Multi-Status"), (450, b"Queue Full"), (599, b"Unknown")]
)
def test_every_status_has_a_reason(status: int, reason: bytes) -> None:
    data = Replies("test").answer(head(), ticket(), status, b"", 0, 0.0, close=False)
    response, _ = read(data)
    assert (response.status_code, response.reason) == (status, reason)


@pytest.mark.parametrize("status", [204, 304])
def test_some_statuses_have_no_length(status: int) -> None:
    data = Replies("test").answer(head(), ticket(), status, b"", 5, 0.0, close=False)
    assert b"content-length" not in data.lower()
    assert not has_body(status, head())
    assert read(data)[1] == b""


def test_a_head_has_a_length_and_no_body() -> None:
    request = head(start=b"HEAD / HTTP/1.1")
    data = Replies("test").answer(request, ticket(), 200, b"", 5, 0.0, close=False)
    assert fields(read(data, b"HEAD")[0])["content-length"] == "5"
    assert not has_body(200, request)
    assert has_body(200, head())


def test_the_date_is_that_of_the_last_second() -> None:
    replies = Replies("test")
    for wall in (1_700_000_000.0, 1_700_000_001.9):
        replies.refresh(wall)
        for data in (
            replies.usual(1, b"", 0),
            replies.refusal(errors.QueueFull(), head(), 1, None, 0.0, close=True),
            replies.answer(head(), ticket(), 200, b"", 0, 0.0, close=True),
        ):
            got = parsedate_to_datetime(fields(read(data)[0])["date"])
            assert got.timestamp() == int(wall)


def test_timings_are_milliseconds_of_each_part() -> None:
    line = server_timing(ticket(begun=101.0, process_us=2500), 102.0)
    wanted = b"queue;dur=500.000, batch;dur=0.000, process;dur=2.500, total;dur=2000.000"
    assert line == b"Server-Timing: " + wanted + b"\r\n"


def test_timings_of_a_request_that_ended_inside_the_processor_claim_nothing() -> None:
    """Its time in the processor was once told as waiting in the queue."""
    line = server_timing(ticket(begun=UNKNOWN), 102.0)
    wanted = b'queue;desc="unknown", batch;dur=0.000, process;desc="unfinished", total;dur=2000.000'
    assert line == b"Server-Timing: " + wanted + b"\r\n"


def test_timings_of_a_request_that_was_never_begun() -> None:
    line = server_timing(ticket(), 102.0)
    wanted = b"queue;dur=1500.000, batch;dur=0.000, process;dur=0.000, total;dur=2000.000"
    assert line == b"Server-Timing: " + wanted + b"\r\n"
