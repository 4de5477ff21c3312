"""408: on time whatever the processor does, and whoever doesn't wait any more never reaches it.

No test here needs a fast machine: what must be *early* is compared with something that ends much later, and
mostly with something that ends only when the test says so.
"""

from __future__ import annotations

import time

import pytest

from eas_engine.spec.loops import has_gil
from support.client import Answer, Client
from support.engine import Engine, eventually
from support.engines import Engines, Latch

MUCH_LATER = 20.0  # seconds that the processor would take


def timed(client: Client) -> tuple[Answer, float]:
    """The next answer, and the seconds until it came."""
    start = time.monotonic()
    return client.read(), time.monotonic() - start


def assert_late(answer: Answer) -> None:
    """It is a 408 as the contract has it."""
    assert (answer.status, answer.code, answer.closes) == (408, "deadline_exceeded", True)
    assert answer.headers["x-eas-retryable"] == "true"
    assert answer.text.startswith("the request")


@pytest.mark.parametrize(
    "busy",
    [
        "do=spin&seconds=20",
        pytest.param("do=hold_gil&seconds=20", id="holding the GIL in C"),
        "do=sleep&seconds=20",
        "do=hang",
    ],
)
def test_408_comes_on_time_whatever_the_processor_does(engines: Engines, busy: str) -> None:
    engine = engines({"keepalive": 500, "stuck_timeout": 600_000})
    clients = [engine.connect() for _ in range(8)]  # five in the processor, three behind them
    started = time.monotonic()
    for client in clients:
        client.post(busy)
    for client in clients:
        answer = client.read()
        assert_late(answer)
        assert client.closed()
    assert time.monotonic() - started < MUCH_LATER / 2
    assert len(engine.reached()) <= 5


@pytest.mark.skipif(not has_gil(), reason="no GIL to hold: the other thread answers")
def test_one_request_that_holds_the_gil_delays_no_408(engines: Engines) -> None:
    engine = engines({"keepalive": 1000, "stuck_timeout": 600_000})
    with engine.connect() as holder, engine.connect() as behind:
        holder.post("do=hold_gil&seconds=20")
        eventually(lambda: len(engine.reached()) == 1, "it has the GIL")
        behind.post()
        answer, seconds = timed(behind)
        assert_late(answer)
        assert seconds < MUCH_LATER / 2
        assert engine.get("/healthz")[0] == 200


def test_the_others_are_served_while_some_time_out(engines: Engines) -> None:
    engine = engines({"keepalive": 2000, "stuck_timeout": 600_000, "worker_threads": 3})
    hanging = [engine.connect() for _ in range(2)]
    for client in hanging:
        client.post("do=hang")
    eventually(lambda: engine.metric("eas_busy_threads") == 2, "two threads are gone")
    with engine.connect() as client:
        for number in range(20):
            assert client.ask(body=b"%d" % number).body == b"%d" % number
        for one in hanging:
            assert_late(one.read())
        for number in range(20):
            assert client.ask(body=b"%d" % number).body == b"%d" % number
    assert engine.metric("eas_in_flight") == 2, "a thread that can't be stopped keeps its place"


def test_a_late_answer_is_dropped_and_its_thread_serves_again(engines: Engines, latch: Latch) -> None:
    engine = engines({"keepalive": 500, "worker_threads": 1, "stuck_timeout": 600_000})
    assert_late(engine.ask(latch.query, b"late"))
    assert engine.metric("eas_busy_threads") == 1
    latch.open()

    eventually(lambda: engine.metric("eas_busy_threads") == 0, "the thread is back")
    assert engine.ask(body=b"now").body == b"now"
    assert engine.metric("eas_in_flight") == 0


def test_server_timing_of_a_408_says_where_the_time_went(engines: Engines) -> None:
    engine = engines({"keepalive": 500, "worker_threads": 1, "stuck_timeout": 600_000})
    busy, behind = engine.connect(), engine.connect()
    busy.post("do=hang")
    eventually(lambda: engine.metric("eas_busy_threads") == 1, "busy")
    behind.post(headers={"X-EAS-Timing": "1", "X-Request-Id": "late"})
    answer = behind.read()

    assert_late(answer)
    assert answer.headers["x-request-id"] == "late"
    timing = answer.timing()
    assert timing["queue"] >= 400
    assert timing["total"] >= 500
    assert timing["process"] == 0


def test_server_timing_of_a_408_out_of_the_processor_does_not_call_that_waiting(engines: Engines) -> None:
    engine = engines({"keepalive": 500, "worker_threads": 1, "stuck_timeout": 600_000})
    answer = engine.ask("do=hang", headers={"X-EAS-Timing": "1"})

    assert_late(answer)
    assert set(answer.timing()) == {"batch", "total"}
    assert 'process;desc="unfinished"' in answer.headers["server-timing"]


def test_who_timed_out_in_the_queue_never_reaches_the_processor(engines: Engines, latch: Latch) -> None:
    engine = engines({"keepalive": 700, "worker_threads": 1, "stuck_timeout": 600_000})
    first = engine.connect()
    first.post(latch.query, headers={"X-Request-Id": "first"})
    eventually(lambda: engine.reached() == ["first"], "the thread is busy")
    waiting = [engine.connect() for _ in range(10)]
    for number, client in enumerate(waiting):
        client.post(headers={"X-Request-Id": f"waiting-{number}"})
    for client in [first, *waiting]:
        assert_late(client.read())
    assert engine.metric("eas_in_flight") == 1, "those who waited hold no place"
    latch.open()

    assert engine.ask(headers={"X-Request-Id": "after"}).status == 200
    assert engine.reached() == ["first", "after"]


@pytest.mark.parametrize("fast_before", [0, 300], ids=["", "handed out ahead"])
def test_whose_client_is_gone_never_reaches_the_processor(
    engines: Engines, latch: Latch, fast_before: int
) -> None:
    """Also when requests are handed out ahead, because the processor was fast until now."""
    engine = engines({"keepalive": 60_000, "worker_threads": 1})
    with engine.connect() as client:
        for _ in range(fast_before):
            client.ask()
    before = len(engine.reached())
    first = engine.connect()
    first.post(latch.query, headers={"X-Request-Id": "first"})
    eventually(lambda: len(engine.reached()) == before + 1, "the thread is busy")
    waiting = [engine.connect() for _ in range(10)]
    for number, client in enumerate(waiting):
        client.post(headers={"X-Request-Id": f"waiting-{number}"})
    eventually(lambda: engine.metric("eas_in_flight") == 11, "all are in")
    for client in waiting[::2]:
        client.close()
    eventually(lambda: engine.metric("eas_in_flight") == 6, "who left holds no place")
    assert engine.metric("eas_clients_gone_total") == 5
    latch.open()

    assert first.read().status == 200
    assert [client.read().status for client in waiting[1::2]] == [200] * 5
    assert sorted(engine.reached()[before:]) == ["first", *(f"waiting-{n}" for n in range(1, 10, 2))]


@pytest.mark.parametrize("how", ["leaves", "times out"])
def test_a_processor_sees_that_its_request_is_cancelled(engines: Engines, how: str) -> None:
    engine = engines({"keepalive": 60_000 if how == "leaves" else 1000, "stuck_timeout": 600_000})
    client = engine.connect()
    client.post("do=watch&seconds=40", headers={"X-Request-Id": "watched"})
    eventually(lambda: engine.reached() == ["watched"], "begun")
    if how == "leaves":
        client.close()
    else:
        assert_late(client.read())

    (seen,) = eventually(lambda: engine.journal("watched"), "the processor has seen something")
    assert (seen["id"], seen["cancelled"]) == ("watched", True)
    eventually(lambda: engine.metric("eas_busy_threads") == 0, "the thread is free again")


def test_a_request_that_is_waited_for_is_not_cancelled(engines: Engines) -> None:
    engine = engines({"keepalive": 60_000})
    with engine.connect() as client:
        client.ask("do=watch&seconds=0.2")
        client.ask("do=watch&seconds=0.2")

    assert [line["cancelled"] for line in engine.journal("watched")] == [False, False]


@pytest.mark.parametrize("at", ["head", "body", "chunk"])
def test_a_slow_loris_gets_408_at_its_deadline(engines: Engines, at: str) -> None:
    """A byte every 50 ms, for ever: the deadline counts from the first one."""
    engine = engines({"keepalive": 1000})
    with engine.connect() as client:
        encoding = {"Transfer-Encoding": "chunked"} if at == "chunk" else {}
        request = client.head(
            length=None if at == "chunk" else 1000, headers={"X-Filler": "x" * 500, **encoding}
        )
        if at != "head":
            client.send(request)
            request = b"%x\r\n" % 1000 + b"y" * 1000
        start = time.monotonic()
        sent = 0
        while client.silent():
            client.send(request[sent : sent + 1])
            sent += 1
            assert sent < len(request), "it was served for as long as it wanted"
            time.sleep(0.05)  # the attack itself
        assert_late(client.read())
        assert client.closed()
        assert time.monotonic() - start < MUCH_LATER
    assert engine.reached() == []
    assert engine.metric("eas_in_flight") == 0


def test_many_slow_lorises_leave_room_for_others(engines: Engines) -> None:
    """Who sends a head slowly has no place in the queue yet."""
    engine = engines({"keepalive": 60_000, "max_queue_size": 0, "worker_threads": 1})
    lorises = [engine.connect() for _ in range(200)]
    for client in lorises:
        client.send(client.head(length=5)[:-3])
    eventually(lambda: engine.metric("eas_connections") == 200, "all are connected")

    assert engine.ask(body=b"through").body == b"through"
    for client in lorises:
        client.close()
    eventually(lambda: engine.metric("eas_connections") == 0, "all are gone")


def test_four_slow_requests_behind_many_fast_ones_run_on_four_threads(engines: Engines) -> None:
    """While the processor is fast, requests are handed out ahead; none may then wait behind a slow one."""
    engine = engines({"keepalive": 60_000, "worker_threads": 4})
    for _ in range(5):
        with engine.connect() as client:
            client.send(client.head() * 500)
            assert {client.read().status for _ in range(500)} == {200}
        slow = [engine.connect() for _ in range(4)]
        for one in slow:
            one.post("do=meet&parties=4", b"met")
        assert [one.read().body for one in slow] == [b"met"] * 4


def test_slow_requests_spread_over_the_instances(engines: Engines, latch: Latch) -> None:
    """Two instances of two threads each: four that hang leave none of the four threads idle."""
    engine = engines({"keepalive": 60_000, "worker_threads": 2}, metadata={"instance": 2})
    ready_all(engine, 2)
    with engine.connect() as client:
        client.send(client.head() * 500)
        assert {client.read().status for _ in range(500)} == {200}
    slow = [engine.connect() for _ in range(4)]
    for one in slow:
        one.post(latch.query)
    eventually(lambda: engine.metric("eas_busy_threads") == 4, "all four threads are busy")
    latch.open()
    assert [one.read().status for one in slow] == [200] * 4


def ready_all(engine: Engine, instances: int) -> None:
    """Wait until every instance is ready."""
    eventually(
        lambda: [one["state"] for one in engine.status()["instances"]] == ["READY"] * instances, "all ready"
    )
