"""What is left behind: nothing. Gauges go back to zero; ten thousand idle connections cost little."""

from __future__ import annotations

import random
import resource
import subprocess
import sys
import threading

import pytest

from support.client import Client, ConnectionEnded
from support.engine import Engine, end_process, eventually
from support.engines import Engines
from support.repository import ROOT

IDLE = 10_000
GAUGES = ("eas_in_flight", "eas_queue_depth", "eas_busy_threads", "eas_body_bytes", "eas_connections")


def visit(engine: Engine, seed: int) -> None:
    """One client's life: good and bad requests, half of them not waited for."""
    chance = random.Random(seed)
    for _ in range(30):
        with engine.connect() as client:
            try:
                misbehave(client, chance)
            except (ConnectionEnded, OSError):
                continue


def misbehave(client: Client, chance: random.Random) -> None:
    """A request of some kind."""
    body = b"b" * chance.choice((0, 10, 5000, 300_000, 2_000_000))
    kinds = (
        "",
        "do=fail",
        "do=sleep&seconds=0.02",
        "do=answer&size=500000",
        "do=answer&status=500",
        "do=sleep&seconds=1",
    )
    match chance.randrange(7):
        case 0:
            client.send(client.head(length=len(body) + 1) + body)  # never completed
        case 1:
            client.send(client.head(length=None, headers={"Transfer-Encoding": "chunked"}) + b"5\r\nhel")
        case 2:
            client.post(chance.choice(kinds), body)  # not waited for
        case 3:
            client.send(b"nonsense\r\n\r\n")
            client.read()
        case 4:
            client.send((client.head("do=sleep&seconds=0.01") + client.head("do=fail")) * 3)
            for _ in range(chance.randint(0, 6)):
                client.read()
        case _:
            for _ in range(3):
                client.ask(chance.choice(kinds), body)


def ready(engine: Engine, number: int) -> list[int]:
    """The processes of an instance, if it is ready."""
    seen = engine.instance(number)
    return list(seen["pids"]) if seen["state"] == "READY" else []


def test_gauges_return_to_zero_after_all_kinds_of_load(engines: Engines) -> None:
    rpc: dict[str, object] = {"keepalive": 700, "max_queue_size": 8, "stuck_timeout": 600_000}
    engine = engines(rpc, metadata={"instance": 2})
    visitors = [threading.Thread(target=visit, args=(engine, seed)) for seed in range(12)]
    for visitor in visitors:
        visitor.start()
    for killed in range(1, 4):
        end_process(eventually(lambda: ready(engine, 1), "it is up")[0])
        engine.wait_metric("eas_instance_restarts_total", killed, instance="faulty-1")
    for visitor in visitors:
        visitor.join()

    for gauge in GAUGES:
        engine.wait_metric(gauge, 0)
    for status in ("200", "400", "408", "500"):
        assert engine.metric("eas_requests_total", status=status) > 0, status
    assert engine.metric("eas_clients_gone_total") > 0
    assert not [line for line in engine.log.splitlines() if line.startswith("Traceback")]
    eventually(lambda: ready(engine, 1), "the instance is back")
    assert engine.ask(body=b"as new").body == b"as new"


def test_counters_agree_with_what_clients_saw(engines: Engines) -> None:
    engine = engines({"keepalive": 60_000})
    with engine.connect() as client:
        for _ in range(7):
            client.ask(body=b"12345")
        for _ in range(3):
            client.ask("do=fail")
        client.ask("do=answer&status=503")
        client.ask(path="/nowhere")

    assert engine.metric("eas_requests_total", status="200") == 7
    assert engine.metric("eas_requests_total", status="400") == 3
    assert engine.metric("eas_requests_total", status="503") == 1
    assert engine.metric("eas_requests_total", status="404") == 1
    assert engine.metric("eas_rejects_total", reason="processor_exception") == 3
    assert engine.metric("eas_received_bytes_total") == 35
    assert engine.metric("eas_sent_bytes_total") >= 35
    assert engine.metric("eas_request_seconds_count") == 11
    assert engine.metric("eas_request_process_seconds_count") == 11
    assert engine.metric("eas_accepted_connections_total") == 1
    engine.wait_metric("eas_connections", 0)


def test_ten_thousand_idle_connections(engines: Engines) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard < IDLE + 500:
        pytest.skip(f"the hard limit of descriptors is {hard}; {IDLE + 500} are needed")
    engine = engines({"keepalive": 60_000})
    assert engine.ask(body=b"before").body == b"before"
    before = engine.memory
    command = [sys.executable, str(ROOT / "tests/support/crowd.py"), str(engine.port), str(IDLE)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as crowd:
        assert crowd.stdout
        assert crowd.stdin
        assert crowd.stdout.readline() == f"{IDLE}\n"
        engine.wait_metric("eas_connections", IDLE)
        assert engine.memory - before < IDLE * 8192, "a few kilobytes each"
        with engine.connect() as client:
            for number in range(100):
                assert client.ask(body=b"%d" % number).body == b"%d" % number
        assert engine.get("/readyz")[0] == 200
        crowd.stdin.close()
    engine.wait_metric("eas_connections", 0)
    assert engine.stop() == 0
