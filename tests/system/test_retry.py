"""``rpc.retry_on_crash`` with real processes: who ran beside the culprit is answered, who it was is named."""

from __future__ import annotations

import pytest

from support.engine import Engine, end_process, eventually
from support.engines import Engines, Latch

RPC: dict[str, object] = {"keepalive": 60_000, "worker_threads": 3, "retry_on_crash": True}


def wait_busy(engine: Engine, threads: int) -> None:
    eventually(lambda: engine.metric("eas_busy_threads") == threads, f"{threads} are at work")


@pytest.mark.parametrize("instances", [1, 2])
def test_innocents_get_their_answers_and_the_culprit_is_poison(
    engines: Engines, latch: Latch, instances: int
) -> None:
    engine = engines(RPC, metadata={"instance": instances})
    eventually(lambda: {i["state"] for i in engine.status()["instances"]} == {"READY"}, "all are ready")
    innocents = [engine.connect() for _ in range(3 * instances - 1)]
    for number, client in enumerate(innocents):
        client.post(latch.query, b"%d" % number)
    wait_busy(engine, len(innocents))
    with engine.connect() as culprit:
        culprit.post("do=segfault")
        eventually(lambda: engine.metric("eas_suspects") == 3, "those that were beside it are suspects, too")
        latch.open()
        answer = culprit.read()
        assert (answer.status, answer.code, answer.closes) == (500, "poison_request", False)
        assert answer.headers["x-eas-retryable"] == "false"
        assert "SIGSEGV" in answer.text
    assert [client.read().body for client in innocents] == [b"%d" % n for n in range(len(innocents))]
    assert len([line for line in engine.journal() if "segfault" in line["query"]]) == 2
    assert engine.metric("eas_in_flight") == engine.metric("eas_suspects") == 0
    assert engine.metric("eas_requests_total", status="500") == 1
    assert engine.metric("eas_rejects_total", reason="poison_request") == 1


def test_what_a_kill_from_outside_interrupts_is_done_after_all(engines: Engines, latch: Latch) -> None:
    """Also a large body, which lies in shared memory: the second process finds it there."""
    engine = engines(RPC)
    body = bytes(range(256)) * 8192
    clients = [engine.connect() for _ in range(3)]
    for client in clients:
        client.post(latch.query, body)
    wait_busy(engine, 3)
    end_process(engine.host)
    eventually(lambda: engine.metric("eas_suspects") == 3, "they are suspects")
    latch.open()
    for client in clients:
        answer = client.read()
        assert (answer.status, answer.body) == (200, body)
    assert engine.metric("eas_retries_total") == 3
    assert engine.metric("eas_requests_total") == 3
    eventually(lambda: engine.metric("eas_body_bytes") == 0, "nothing is left of the bodies")


def test_suspects_are_alone_and_come_before_the_queue(engines: Engines, latch: Latch) -> None:
    engine = engines(RPC)
    suspects = [engine.connect() for _ in range(3)]
    for number, client in enumerate(suspects):
        client.post(latch.query, headers={"X-Request-Id": f"suspect-{number}"})
        wait_busy(engine, number + 1)
    queued = [engine.connect() for _ in range(5)]
    for number, client in enumerate(queued):
        client.post(headers={"X-Request-Id": f"queued-{number}"})
    eventually(lambda: engine.metric("eas_in_flight") == 8, "all are in")
    end_process(engine.host)
    eventually(lambda: len(engine.reached()) == 4, "the first is tried again")
    assert engine.metric("eas_busy_threads") == 1
    assert engine.metric("eas_queue_depth") == 7
    latch.open()
    assert {client.read().status for client in suspects + queued} == {200}
    assert engine.reached()[3:6] == ["suspect-0", "suspect-1", "suspect-2"]
    assert sorted(engine.reached()[6:]) == [f"queued-{number}" for number in range(5)]


def test_a_suspect_whose_time_is_over_gets_its_408_and_lets_the_queue_go_on(engines: Engines) -> None:
    engine = engines({"keepalive": 4000, "worker_threads": 1, "retry_on_crash": True})
    with engine.connect() as suspect:
        suspect.post("do=hang")
        wait_busy(engine, 1)
        end_process(engine.host)
        answer = suspect.read()
        assert (answer.status, answer.code) == (408, "deadline_exceeded")
    engine.wait_metric("eas_suspects", 0)  # a moment after its answer


def test_a_client_that_left_is_not_tried_again(engines: Engines) -> None:
    engine = engines(RPC)
    with engine.connect() as client:
        client.post("do=hang")
        wait_busy(engine, 1)
    eventually(lambda: engine.metric("eas_clients_gone_total") == 1, "it is gone")
    end_process(engine.host)
    assert engine.ask(body=b"next").body == b"next"
    assert len(engine.reached()) == 2
    assert engine.metric("eas_retries_total") == 0


def test_without_the_parameter_a_request_is_begun_once(engines: Engines) -> None:
    """The default: a processor may not be repeated without being asked."""
    engine = engines({"keepalive": 60_000})
    assert engine.ask("do=segfault").code == "instance_crashed"
    assert engine.ask(body=b"next").body == b"next"
    assert len(engine.journal()) == 2
