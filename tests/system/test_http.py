"""What HTTP/1.1 looks like to a client of a running service, byte for byte."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator

import pytest

from support.client import Answer, Client
from support.engine import Engine, eventually
from support.engines import Engines

SPILL = 256 * 1024  # from this size on bodies travel through shared memory


@pytest.fixture(scope="module")
def engine(module_engines: Engines) -> Engine:
    return module_engines({"keepalive": 60_000})


@pytest.fixture
def client(engine: Engine) -> Iterator[Client]:
    with engine.connect() as one:
        yield one


def pattern(size: int) -> bytes:
    """Bytes of which no two pages are alike."""
    block = b"".join(b"%015x\n" % number for number in range(size // 16 + 1))
    return block[:size]


def chunks(body: bytes, size: int) -> bytes:
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def test_an_answer_is_the_processors_bytes_and_nothing_added(client: Client) -> None:
    answer = client.ask(body=b"\x00\xffhello")

    assert (answer.status, answer.reason, answer.body) == (200, "OK", b"\x00\xffhello")
    assert answer.headers["content-length"] == "7"
    assert answer.headers["keep-alive"] == "timeout=75"
    assert "connection" not in answer.headers
    assert "x-eas-error" not in answer.headers


@pytest.mark.parametrize("size", [0, 1, SPILL - 1, SPILL, SPILL + 1, 1 << 20, 20 << 20])
def test_bodies_are_identical_both_ways(client: Client, size: int) -> None:
    body = pattern(size)

    assert client.ask(body=body).body == body
    seen = json.loads(client.ask("do=tell", body).body)
    assert seen["size"] == size
    assert seen["sha256"] == hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize("size", [0, 1, SPILL - 1, SPILL, SPILL + 1, 1 << 20, 20 << 20])
def test_chunked_bodies_are_identical(client: Client, size: int) -> None:
    body = pattern(size)
    client.send(client.head(length=None, headers={"Transfer-Encoding": "chunked"}))
    client.send(chunks(body, 70_001))

    answer = client.read()
    assert answer.headers["content-length"] == str(size)
    assert answer.body == body


def test_a_head_and_a_chunked_body_in_single_bytes(client: Client) -> None:
    request = client.head(length=None, headers={"Transfer-Encoding": "chunked"}) + chunks(b"hello world", 4)
    for at in range(len(request)):
        client.send(request[at : at + 1])

    assert client.read().body == b"hello world"
    assert client.ask(body=b"next").body == b"next"


def test_answers_to_pipelined_requests_come_in_order(client: Client) -> None:
    requests = [client.head(f"do=sleep&seconds={0.02 * (9 - n)}", length=1) + b"%d" % n for n in range(10)]
    client.send(b"".join(requests))

    assert [client.read().body for _ in range(10)] == [b"%d" % n for n in range(10)]


def test_many_pipelined_requests_with_bodies_of_all_sizes(client: Client) -> None:
    sizes = [0, 100, SPILL + 5, 3, SPILL, 70_000, 1, 0, 2 * SPILL, 10]
    client.send(b"".join(client.head(length=size) + pattern(size) for size in sizes))

    assert [client.read().body for _ in sizes] == [pattern(size) for size in sizes]


def test_pipelined_chunked_then_plain(client: Client) -> None:
    chunked = client.head(length=None, headers={"Transfer-Encoding": "chunked"}) + chunks(b"a" * 1000, 300)
    client.send(chunked + client.head(length=1) + b"b" + chunked)

    assert [client.read().body[:1] for _ in range(3)] == [b"a", b"b", b"a"]


def test_continue_comes_before_the_body_and_the_answer_after_it(client: Client) -> None:
    client.send(client.head(length=5, headers={"Expect": "100-continue"}))
    assert client.read().status == 100

    client.send(b"hello")
    assert client.read().body == b"hello"
    client.send(client.head(length=5, headers={"Expect": "100-continue"}) + b"HELLO")
    assert client.read().body == b"HELLO", "who sends the body at once needs no permission"


def test_a_refused_upload_gets_no_continue(client: Client) -> None:
    client.send(client.head(length=5, path="/elsewhere", headers={"Expect": "100-continue"}))

    assert client.read().status == 404


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_get_and_head_reach_the_processor_with_an_empty_body(client: Client, method: str) -> None:
    client.send(client.head("do=tell", method=method, length=None))
    answer = client.read(bodiless=method == "HEAD")

    assert answer.status == 200
    assert int(answer.headers["content-length"]) > 100
    if method == "GET":
        seen = json.loads(answer.body)
        assert (seen["method"], seen["size"]) == ("GET", 0)
    assert client.ask(body=b"next").body == b"next"


def test_suffix_and_query_reach_the_processor(engine: Engine, client: Client) -> None:
    path = f"/api/predict/{engine.name}/v1/some%20thing"
    seen = json.loads(client.ask("do=tell&a=1&b=%26", path=path).body)

    assert (seen["path"], seen["query"]) == (path, "do=tell&a=1&b=%26")


def test_http_1_0_closes_unless_it_asks_to_stay(engine: Engine) -> None:
    head = (
        f"POST /api/predict/{engine.name} HTTP/1.0\r\nAuthorization: {engine.token}\r\nContent-Length: 2\r\n"
    )
    with engine.connect() as client:
        client.send(head.encode() + b"\r\nhi")
        answer = client.read()
        assert (answer.body, answer.closes) == (b"hi", True)
        assert client.closed()
    with engine.connect() as client:
        for _ in range(2):
            client.send(head.encode() + b"Connection: keep-alive\r\n\r\nhi")
            answer = client.read()
            assert (answer.body, answer.headers["connection"]) == (b"hi", "keep-alive")


def test_connection_close_is_done_as_asked(client: Client) -> None:
    answer = client.ask(body=b"bye", headers={"Connection": "close"})

    assert (answer.body, answer.closes) == (b"bye", True)
    assert client.closed()


def test_a_given_request_id_is_returned_handed_on_and_used_in_the_log(engine: Engine, client: Client) -> None:
    answer = client.ask("do=tell", headers={"X-Request-Id": "my-own.id/1"})

    assert answer.headers["x-request-id"] == "my-own.id/1"
    assert json.loads(answer.body)["request_id"] == "my-own.id/1"
    client.ask("do=fail&message=remember", headers={"X-Request-Id": "my-own.id/2"})
    eventually(lambda: "my-own.id/2" in engine.log, "the request id in the log")


def test_a_made_request_id_is_the_same_for_client_and_processor(client: Client) -> None:
    answers = [client.ask("do=tell", headers=headers) for headers in ({}, {"X-Request-Id": "not valid \x7f"})]
    ids = [answer.headers["x-request-id"] for answer in answers if answer.status == 200]

    assert ids == [json.loads(answer.body)["request_id"] for answer in answers if answer.status == 200]
    assert len(set(ids)) == len(ids) >= 1


def test_server_timing_when_asked_on_good_and_failed_requests(client: Client) -> None:
    slow = client.ask("do=sleep&seconds=0.05", headers={"X-EAS-Timing": "1"}).timing()
    failed = client.ask("do=fail", headers={"X-EAS-Timing": "1"})

    assert slow["process"] >= 50
    assert slow["total"] >= slow["process"] + slow["queue"]
    assert failed.status == 400
    assert set(failed.timing()) == {"queue", "batch", "process", "total"}
    assert "server-timing" not in client.ask().headers


@pytest.mark.parametrize(
    "status", [201, 202, 203, 206, 226, 299, 300, 302, 400, 404, 408, 418, 450, 499, 500, 503, 599]
)
def test_a_processors_status_passes(client: Client, status: int) -> None:
    answer = client.ask(f"do=answer&status={status}", b"body")

    assert (answer.status, answer.body, answer.code, answer.closes) == (status, b"body", "", False)
    assert client.ask(body=b"next").body == b"next", "the connection is kept, whatever the status"


@pytest.mark.parametrize("status", [204, 304])
def test_statuses_without_a_body_have_none(client: Client, status: int) -> None:
    answer = client.ask(f"do=answer&status={status}", b"body")

    assert answer.status == status
    assert "content-length" not in answer.headers
    assert client.ask(body=b"next").body == b"next"


@pytest.mark.parametrize("status", [0, 100, 101, 199, 600, 1000, -1])
def test_a_status_that_is_none_is_400_with_the_reason(client: Client, status: int) -> None:
    answer = client.ask(f"do=answer&status={status}")

    assert (answer.status, answer.code) == (400, "processor_exception")
    assert answer.text == f"a status is 200 to 599, not {status}"


def test_the_processors_header_fields_pass_and_ours_cannot_be_forged(client: Client) -> None:
    assert client.ask("do=answer&header=X-Model:v7").headers["x-model"] == "v7"
    assert client.ask("do=answer&header=Content-Type:text/csv").headers["content-type"] == "text/csv"
    forged = client.ask("do=answer&header=Content-Length:0", b"body")
    assert (forged.status, forged.code) == (400, "processor_exception")
    split = client.ask("do=answer&header=X-A:b%0d%0aX-Evil:1", b"body")
    assert split.status == 400
    assert "x-evil" not in split.headers


def test_an_exception_is_400_with_its_message_and_the_trace_is_in_the_log_alone(
    engine: Engine, client: Client
) -> None:
    answer = client.ask("do=fail&message=no+such+column%0aage", headers={"X-Request-Id": "failing"})

    assert (answer.status, answer.code, answer.headers["x-eas-retryable"]) == (
        400,
        "processor_exception",
        "false",
    )
    assert answer.body == b"no such column age\n", "one line"
    assert not answer.closes
    assert b"Traceback" not in answer.body
    eventually(lambda: "request failing raised" in engine.log, "the trace in the log")
    eventually(lambda: re.search(r"Traceback.*app\.py.*no such column", engine.log, re.DOTALL), "the trace")


def error(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.code


def test_what_is_asked_of_nobody_is_refused_by_name(client: Client) -> None:
    assert error(client.ask(path="/")) == (404, "not_found")
    assert error(client.ask(path="/api/predict/other")) == (404, "not_found")
    assert error(client.ask(path=f"/api/predict/{client.name}x")) == (404, "not_found")
    client.send(client.head(method="PUT"))
    refused = client.read()
    assert error(refused) == (405, "method_not_allowed")
    assert refused.headers["allow"] == "GET, HEAD, POST"
    assert client.ask(body=b"kept").body == b"kept"


def test_the_token_is_asked_for(engine: Engine) -> None:
    for given in ("", "wrong", f"{engine.token}x", f"Bearer {engine.token}x", "EAS AAAA"):
        with Client(engine.port, token=given, name=engine.name) as client:
            assert error(client.ask()) == (401, "unauthorized")
    for given in (engine.token, f"Bearer {engine.token}"):
        with Client(engine.port, token=given, name=engine.name) as client:
            assert client.ask(body=b"in").body == b"in"


def test_the_engines_own_environment_stays_with_it(engines: Engines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSS_ACCESS_KEY_SECRET", "hidden")
    monkeypatch.setenv("EAS_PORT", "0")
    monkeypatch.setenv("PLAIN", "seen")
    engine = engines(environment={"GIVEN": "by the file"})
    seen = json.loads(engine.ask("do=environment").body)

    ours = {name for name in seen if name.startswith(("OSS_", "EAS_"))}
    assert ours == {"EAS_WORKSPACE"}  # where the processor's own files are (docs/workspace.md)
    assert (seen["PLAIN"], seen["GIVEN"]) == ("seen", "by the file")
