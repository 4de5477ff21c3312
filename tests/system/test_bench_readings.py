"""The load tester reads a real engine."""

from __future__ import annotations

import os
import signal

from eas_bench.readings import Watcher
from eas_bench.record import Reading
from support.engine import Engine, eventually
from support.engines import Engines


def grown(before: Reading, after: Reading, name: str) -> float:
    return after.requests[name] - before.requests.get(name, 0)


def names(reading: Reading) -> list[str]:
    return sorted(process.name for process in reading.processes)


def watching(engine: Engine) -> Watcher:
    """An engine is found by its admin plane alone. It is read when we say so, and not in between."""
    return Watcher(engine.record["admin_url"], every=1e6)


def test_where_the_time_of_requests_went(engines: Engines) -> None:
    engine = engines({"worker_threads": 2})
    with watching(engine) as watcher:
        before = watcher.readings()[-1]
        for _ in range(3):
            assert engine.ask("do=sleep&seconds=0.1").status == 200
        eventually(lambda: engine.metric("eas_request_process_seconds_count") == 3, "all are counted")
        after = watcher.readings()[-1]
    assert grown(before, after, "process_seconds_count") == 3
    assert grown(before, after, "process_seconds_sum") >= 0.3
    assert grown(before, after, "request_seconds_sum") >= grown(before, after, "process_seconds_sum")
    assert after.gauges["instances_ready"] == 1
    assert after.gauges["worker_threads"] == 2
    assert watcher.notes == []


def test_engine_and_instances_are_seen_by_name_and_a_new_one_gets_its_own(engines: Engines) -> None:
    engine = engines(metadata={"instance": 2})
    with watching(engine) as watcher:
        (*_, first) = watcher.readings()
        assert names(first) == ["engine", "faulty-0", "faulty-1"]
        (pid,) = engine.instance(1)["pids"]
        assert {process.name: process.pid for process in first.processes}["faulty-1"] == pid
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: pid not in engine.instance(1)["pids"] and engine.instance(1)["pids"], "a new one")
        (*_, second) = watcher.readings()
    assert names(second) == names(first)
    assert pid not in {process.pid for process in second.processes}
    assert all(process.memory_bytes > 1_000_000 and process.descriptors for process in second.processes)


def test_an_engine_that_ends_meanwhile_leaves_what_was_read(engines: Engines) -> None:
    engine = engines()
    with watching(engine) as watcher:
        read = len(watcher.readings())
        assert engine.stop() == 0
        assert watcher.readings()[-1].processes == []
    assert len(watcher.readings()) >= read
    assert "couldn't be read" in watcher.notes[0]
