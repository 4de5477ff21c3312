"""Too much at once: 450, 429, 413, and clients that are still writing while they are refused."""

from __future__ import annotations

import contextlib
import select
import signal
import threading
from collections import Counter
from pathlib import Path

import pytest

from support.client import Answer, Client
from support.engine import Engine, eventually
from support.engines import Engines, Latch

HUNDRED_MB = 100_000_000
PIECE = b"x" * (1 << 20)


def post_all(engine: Engine, query: str, count: int) -> list[Client]:
    """So many connections with one request each."""
    clients = [engine.connect() for _ in range(count)]
    for client in clients:
        client.post(query)
    return clients


def answered(clients: list[Client]) -> list[Client]:
    """Those with something to read."""
    return list(select.select(clients, [], [], 0)[0])


@pytest.mark.parametrize("instances", [1, 2])
def test_one_more_than_capacity_gets_one_450(engines: Engines, latch: Latch, instances: int) -> None:
    rpc: dict[str, object] = {"max_queue_size": 4, "worker_threads": 2, "keepalive": 60_000}
    engine = engines(rpc, metadata={"instance": instances})
    capacity = (4 + 2) * instances
    eventually(lambda: engine.metric("eas_queue_capacity") == capacity, "all instances count")
    clients = post_all(engine, latch.query, capacity + 1)

    eventually(lambda: len(answered(clients)) == 1, "one refusal, while all the others wait")
    (one,) = answered(clients)
    refused = one.read()
    assert (refused.status, refused.reason, refused.code) == (450, "Queue Full", "queue_full")
    assert refused.headers["x-eas-retryable"] == "true"
    assert refused.closes
    assert engine.metric("eas_in_flight") == capacity
    eventually(lambda: engine.metric("eas_busy_threads") == 2 * instances, "every instance has begun")
    latch.open()
    clients.remove(one)
    assert one.closed()
    assert Counter(client.read().status for client in clients) == {200: capacity}
    assert len(engine.reached()) == capacity
    assert engine.metric("eas_rejects_total", reason="queue_full") == 1


def test_a_full_queue_has_room_again_when_one_is_answered(engines: Engines, latch: Latch) -> None:
    engine = engines({"max_queue_size": 1, "worker_threads": 1, "keepalive": 60_000})
    waiting = post_all(engine, latch.query, 2)
    eventually(lambda: engine.metric("eas_in_flight") == 2, "full")
    assert engine.ask().status == 450

    latch.open()
    assert [client.read().status for client in waiting] == [200, 200]
    assert engine.ask(body=b"again").body == b"again"


def test_no_queue_at_all_means_a_free_thread_or_450(engines: Engines, latch: Latch) -> None:
    engine = engines({"max_queue_size": 0, "worker_threads": 1, "keepalive": 60_000})
    (one,) = post_all(engine, latch.query, 1)
    eventually(lambda: engine.metric("eas_busy_threads") == 1, "busy")

    assert engine.ask().status == 450
    latch.open()
    assert one.read().status == 200


def test_a_flood_is_refused_quickly_and_loses_nobody(engines: Engines) -> None:
    """Every client of a flood gets an answer, and what was admitted succeeds."""
    engine = engines({"max_queue_size": 16, "worker_threads": 4, "keepalive": 60_000})
    clients = post_all(engine, "do=sleep&seconds=0.05", 300)
    statuses = Counter(client.read().status for client in clients)

    assert set(statuses) <= {200, 450}
    assert sum(statuses.values()) == 300
    assert statuses[200] == len(engine.reached()) >= 20


def answer_while_uploading(client: Client, size: int = HUNDRED_MB, *, chunked: bool = False) -> Answer:
    """The answer to a request whose body is being written at full speed in another thread all the while."""
    stop = threading.Event()
    encoding = {"Transfer-Encoding": "chunked"} if chunked else {}
    client.send(client.head(length=None if chunked else size, headers=encoding))
    if chunked:
        client.send(b"%x\r\n" % size)
    writer = threading.Thread(target=upload, args=(client, size, stop))
    writer.start()
    try:
        answer = client.read()
        assert client.rest() == b"", "a clean end behind the answer: a reset would have raised"
        return answer
    finally:
        stop.set()
        writer.join()


def upload(client: Client, size: int, stop: threading.Event) -> None:
    """Write so much as fast as it goes, until told to stop or until the other side has had enough."""
    with contextlib.suppress(OSError):
        for _ in range(size // len(PIECE)):
            client.send(PIECE)
            if stop.is_set():
                break


@pytest.mark.parametrize("chunked", [False, True])
def test_a_450_can_be_read_while_the_client_uploads(engines: Engines, latch: Latch, chunked: bool) -> None:
    engine = engines({"max_queue_size": 0, "worker_threads": 1, "keepalive": 60_000})
    (busy,) = post_all(engine, latch.query, 1)
    eventually(lambda: engine.metric("eas_busy_threads") == 1, "busy")
    for _ in range(5):
        with engine.connect() as client:
            answer = answer_while_uploading(client, chunked=chunked)
            assert (answer.status, answer.closes) == (450, True)
            assert answer.text == "the request queue is full"

    latch.open()
    assert busy.read().status == 200
    assert engine.ask(body=b"alive").body == b"alive"


def test_a_408_can_be_read_while_the_client_uploads(engines: Engines) -> None:
    engine = engines({"keepalive": 300})
    for _ in range(3):
        with engine.connect() as client:
            answer = answer_while_uploading(client, 10 * HUNDRED_MB)
            assert (answer.status, answer.code, answer.closes) == (408, "deadline_exceeded", True)
    assert engine.reached() == []
    eventually(lambda: engine.metric("eas_body_bytes") == 0, "nothing of them is kept")


def test_a_client_that_goes_on_writing_behind_its_408_is_not_reset(engines: Engines) -> None:
    engine = engines({"keepalive": 500})
    with engine.connect() as client:
        client.send(client.head(length=HUNDRED_MB))
        client.send(PIECE)
        eventually(lambda: not client.silent(), "the answer")
        for _ in range(20):
            client.send(PIECE)
        assert client.read().status == 408
        client.end()
        assert client.rest() == b""


def test_a_content_length_over_the_limit_is_413_at_once(engines: Engines) -> None:
    engine = engines({"max_body_size": 1000})
    with engine.connect() as client:
        assert client.ask(body=b"x" * 1000).status == 200
        client.send(client.head(length=1001))
        answer = client.read()
        assert (answer.status, answer.code, answer.closes) == (413, "body_too_large", True)
        assert client.closed()
    with engine.connect() as client:
        assert answer_while_uploading(client).status == 413
    assert len(engine.reached()) == 1


def test_a_chunked_body_that_grows_over_the_limit_is_413(engines: Engines) -> None:
    engine = engines({"max_body_size": 1000})
    with engine.connect() as client:
        client.send(client.head(length=None, headers={"Transfer-Encoding": "chunked"}))
        for _ in range(10):
            client.send(b"64\r\n" + b"x" * 100 + b"\r\n")
        client.send(b"1\r\nx\r\n")
        answer = client.read()
        assert (answer.status, answer.code, answer.closes) == (413, "body_too_large", True)
        assert client.closed()
    with engine.connect() as client:
        assert answer_while_uploading(client, chunked=True).status == 413
    assert engine.reached() == []
    eventually(lambda: engine.metric("eas_body_bytes") == 0, "nothing of them is kept")


def test_over_the_rate_is_429_with_when_to_come_again_and_the_connection_stays(engines: Engines) -> None:
    engine = engines({"rate_limit": 0.1})  # a burst of one, the next one in ten seconds
    with engine.connect() as client:
        assert client.ask(body=b"first").body == b"first"
        refused = [client.ask(body=b"x" * 100) for _ in range(3)]
    for answer in refused:
        assert (answer.status, answer.code, answer.closes) == (429, "rate_limited", False)
        assert answer.headers["x-eas-retryable"] == "true"
        assert 1 <= int(answer.headers["retry-after"]) <= 11
    assert len(engine.reached()) == 1


def test_the_rate_is_that_of_all_instances_together(engines: Engines) -> None:
    """20 a second for each of two: a burst of a tenth of 40, whoever serves them."""
    engine = engines({"rate_limit": 0.02}, metadata={"instance": 2})
    both = engines({"rate_limit": 20}, metadata={"instance": 2})
    for one in (engine, both):
        eventually(lambda one=one: one.status()["threads"]["all"] == 10, "both instances are there")  # type: ignore[misc]
        eventually(lambda one=one: all(i["state"] == "READY" for i in one.status()["instances"]), "ready")  # type: ignore[misc]
    with engine.connect() as client:
        statuses = Counter(client.ask().status for _ in range(20))
    assert statuses == {200: 1, 429: 19}
    with both.connect() as client:
        client.send(client.head() * 40)
        statuses = Counter(client.read().status for _ in range(40))
    assert 4 <= statuses[200] < 40
    assert statuses[429] == 40 - statuses[200]


def test_a_queue_that_is_full_costs_no_rate(engines: Engines, latch: Latch) -> None:
    engine = engines({"rate_limit": 0.02, "max_queue_size": 0, "worker_threads": 1, "keepalive": 60_000})
    (busy,) = post_all(engine, latch.query, 1)
    eventually(lambda: engine.metric("eas_busy_threads") == 1, "busy")

    assert [engine.ask().status for _ in range(3)] == [450] * 3
    latch.open()
    assert busy.read().status == 200
    assert engine.ask().status == 429


def test_bodies_that_do_not_fit_wait_for_room(engines: Engines, latch: Latch) -> None:
    """``rpc.max_inflight_bytes``: the second upload isn't read before the first one is answered."""
    engine = engines({"max_inflight_bytes": 8 << 20, "keepalive": 60_000})
    body = b"y" * (6 << 20)
    with engine.connect() as first, engine.connect() as second:
        first.post(latch.query, body)
        eventually(lambda: engine.metric("eas_busy_threads") == 1, "the first is in the processor")
        writer = threading.Thread(target=second.post, args=("", body))
        writer.start()
        eventually(lambda: engine.metric("eas_in_flight") == 2, "the second has its place")
        assert engine.metric("eas_body_bytes") == len(body)
        assert second.silent()
        latch.open()
        assert first.read().body == body
        assert second.read().body == body
        writer.join()
    eventually(lambda: engine.metric("eas_body_bytes") == 0, "all given back")


def test_a_burst_of_connections_waits_to_be_accepted(engines: Engines) -> None:
    """While the engine is busy (here: stopped) the kernel keeps a thousand connections for it."""
    longest = int(Path("/proc/sys/net/core/somaxconn").read_text())
    if longest < 1000:
        pytest.skip(f"net.core.somaxconn is {longest}; 1000 are needed")
    engine = engines({"max_queue_size": 2000})
    engine.signal(signal.SIGSTOP)
    try:
        clients = [engine.connect() for _ in range(1000)]
        for client in clients:
            client.post(body=b"patient")
    finally:
        engine.signal(signal.SIGCONT)

    assert Counter(client.read().body for client in clients) == {b"patient": 1000}
