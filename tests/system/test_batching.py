"""``rpc.batching`` with a processor that has a batch call: who goes with whom, when, and who fails."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from support.client import Client
from support.engine import Engine, eventually
from support.engines import Engines, Latch
from support.repository import ROOT

ENTRY = ROOT / "tests/data/batches.py"
MINUTE = 60_000


class Service:
    """Starts an engine with that processor."""

    def __init__(self, engines: Engines, directory: Path) -> None:
        self._engines = engines
        self._calls = directory / "calls"
        self.engine: Engine

    def start(self, rpc: dict[str, object], **more: Any) -> Engine:
        given = {"batching": True, "worker_threads": 1, "max_batch_size": 4, "keepalive": MINUTE, **rpc}
        self.engine = self._engines(
            given,
            name="batches",
            processor_entry=f"{ENTRY}:Batches",
            environment={"CALLS": self._calls},
            **more,
        )
        return self.engine

    @property
    def calls(self) -> list[int]:
        """The sizes of the batches that the processor has seen, oldest first."""
        return [int(line) for line in self._calls.read_text().splitlines()] if self._calls.exists() else []

    def occupy(self, latch: Latch) -> Client:
        """One request that keeps the only thread busy until the latch is opened."""
        before = len(self.calls)
        client = self.post(f"wait {latch.path}")
        eventually(lambda: len(self.calls) > before, "the thread is busy")
        return client

    def post(self, body: str = "") -> Client:
        client = self.engine.connect()
        client.post(body=body.encode())
        return client

    def post_behind(self, *bodies: str) -> list[Client]:
        """These one after the other, each when the one before it waits in line."""
        clients = []
        for body in bodies:
            before = self.engine.metric("eas_queue_depth")
            clients.append(self.post(body))
            self.engine.wait_metric("eas_queue_depth", before + 1)
        return clients

    def reasons(self) -> dict[str, int]:
        """How many batches went for which reason."""
        reasons = ("full", "age", "deadline", "idle", "drain")
        counts = {reason: int(self.engine.metric("eas_batches_total", reason=reason)) for reason in reasons}
        return {reason: count for reason, count in counts.items() if count}


@pytest.fixture
def service(engines: Engines, tmp_path: Path) -> Service:
    return Service(engines, tmp_path)


def bodies(clients: list[Client]) -> list[str]:
    return [client.read().body.decode() for client in clients]


def test_batches_form_while_the_thread_is_busy_and_are_full_at_most(service: Service, latch: Latch) -> None:
    engine = service.start({"max_batch_timeout": MINUTE})
    assert engine.metric("eas_queue_capacity") == 64 + 1 * 4
    first = service.occupy(latch)
    others = service.post_behind(*[""] * 7)
    latch.open()
    assert bodies([first]) == ["1"]
    assert Counter(bodies(others)) == {"4": 4, "3": 3}
    assert service.calls == [1, 4, 3]
    assert service.reasons() == {"full": 1, "idle": 2}
    status = engine.status()["batches"]
    assert (status["requests"], status["rows"], status["calls"], status["padding_share"]) == (8, 8, 3, 0.0)


def test_who_is_alone_goes_at_once(service: Service) -> None:
    engine = service.start({"max_batch_timeout": MINUTE})
    with engine.connect() as client:
        assert [client.ask(headers={"X-EAS-Timing": "1"}).body for _ in range(3)] == [b"1"] * 3
    assert service.reasons() == {"idle": 3}


def test_without_batch_when_idle_it_waits_for_company_until_the_timeout(service: Service) -> None:
    engine = service.start({"batch_when_idle": False, "max_batch_timeout": 300})
    answer = engine.ask(headers={"X-EAS-Timing": "1"})
    assert answer.body == b"1"
    assert answer.timing()["batch"] >= 250
    assert service.reasons() == {"age": 1}
    together = Counter(bodies([service.post() for _ in range(4)]))
    assert all(count % int(size) == 0 for size, count in together.items())


def test_a_deadline_sends_a_batch_that_still_waits_for_company(service: Service) -> None:
    engine = service.start({"batch_when_idle": False, "max_batch_timeout": MINUTE, "keepalive": 3000})
    assert engine.ask().status == 200
    assert service.reasons() == {"deadline": 1}


def test_one_more_than_the_queue_and_the_batches_hold_gets_450(service: Service, latch: Latch) -> None:
    engine = service.start({"max_queue_size": 2, "max_batch_size": 3})
    assert engine.metric("eas_queue_capacity") == 2 + 1 * 3
    first = service.occupy(latch)
    others = service.post_behind(*[""] * 4)
    assert engine.ask().status == 450
    latch.open()
    assert bodies([first, *others]) == ["1", "3", "3", "3", "1"]


def test_one_bad_request_of_a_batch_fails_alone(service: Service, latch: Latch) -> None:
    service.start({})
    first = service.occupy(latch)
    clients = service.post_behind("", "refuse", "raise", "")
    latch.open()
    assert first.read().status == 200
    answers = [client.read() for client in clients]
    assert [answer.status for answer in answers] == [200, 400, 400, 200]
    assert b"refused alone" in answers[1].body
    assert b"raised out of the call" in answers[2].body
    assert service.calls[:2] == [1, 4]


@pytest.mark.parametrize("retry", [False, True])
def test_a_batch_that_ends_its_instance(service: Service, latch: Latch, retry: bool) -> None:
    engine = service.start({"retry_on_crash": retry})
    first = service.occupy(latch)
    clients = service.post_behind("", "exit", "", "", "")
    latch.open()
    assert first.read().status == 200
    *batch, behind = [client.read() for client in clients]
    if retry:
        assert [answer.status for answer in batch] == [200, 500, 200, 200]
        assert batch[1].code == "poison_request"
        assert [answer.body for answer in batch if answer.status == 200] == [b"1"] * 3, "suspects go alone"
    else:
        assert {answer.code for answer in batch} == {"instance_exited"}
    assert behind.status == 200
    assert engine.metric("eas_in_flight") == 0


def test_a_draining_engine_lets_nobody_wait_for_company(service: Service) -> None:
    engine = service.start({"batch_when_idle": False, "max_batch_timeout": MINUTE})
    waiting = service.post_behind("", "")
    assert engine.stop() == 0
    assert bodies(waiting) == ["2", "2"]


def test_batching_without_a_batch_call_is_refused(engines: Engines) -> None:
    engine = engines({"batching": True}, ready=False)
    assert engine.wait() == 4
    assert "the processor has no batch call: define process_batch(requests) in its class" in engine.log
