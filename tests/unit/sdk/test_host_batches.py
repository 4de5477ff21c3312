"""A service that batches, in the conversation between engine and host: real host processes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from support import compiled
from support.engine import eventually
from support.scripted_engine import ScriptedEngine

Write = Callable[..., Path]

BATCHING = {"max_batch_size": 16, "padding": True, "sizes": [1, 4, 16]}
BOTH = """
    import eas_sdk

    class Both(eas_sdk.Processor):
        def initialize(self, model_entry, model_config):
            self.told = repr(self.batching)

        def process(self, request):
            return "alone, " + self.told

        def process_batch(self, requests):
            return ["batch of %d, %s" % (len(requests), self.told) for request in requests]
"""


def test_the_processor_is_told_before_it_initializes(python: str, write: Write) -> None:
    with ScriptedEngine(python) as engine:
        hello = engine.serve(write(BOTH), batching=BATCHING)
        assert hello["batch"] is True
        told = "Batching(max_batch_size=16, padding=True, sizes=(1, 4, 16))"
        assert engine.call("x")["body"] == f"batch of 1, {told}"
        assert engine.stop() == 0


@pytest.mark.parametrize("given", [{}, {"batching": None}])
def test_without_batching_it_is_told_of_none_and_process_is_called(
    engine: ScriptedEngine, write: Write, given: dict[str, object]
) -> None:
    assert engine.serve(write(BOTH), **given)["batch"] is True
    assert engine.call("x")["body"] == "alone, None"


@pytest.mark.parametrize(
    ("batching", "seen"), [(BATCHING, b"seen by process_batch 1\n"), (None, b"seen by process\n")]
)
def test_warm_up_calls_what_the_service_will_use(
    engine: ScriptedEngine, write: Write, tmp_path: Path, batching: object, seen: bytes
) -> None:
    data = tmp_path / "warm.txt"
    data.write_text("one\ntwo\n")
    entry = write("""
        import eas_sdk

        class Both(eas_sdk.Processor):
            def process(self, request):
                print("seen by process")
                return b""

            def process_batch(self, requests):
                print("seen by process_batch", len(requests))
                return [b"" for request in requests]
    """)
    engine.start(entry, batching=batching, warm_up=str(data), warm_up_count=2)
    engine.send("load", threads=engine.expect("hello")["threads"], keepalive_ms=5000)
    for _ in range(4):
        engine.expect("warming")
    engine.expect("ready")
    assert engine.stop() == 0
    assert engine.receive()["log"].count(seen) == 4


def test_a_failure_in_a_batch_of_one_fails_the_warm_up(
    engine: ScriptedEngine, write: Write, tmp_path: Path
) -> None:
    data = tmp_path / "warm.txt"
    data.write_text("one\n")
    entry = write("""
        import eas_sdk

        class Bad(eas_sdk.Processor):
            def process_batch(self, requests):
                return [LookupError("no such row") for request in requests]
    """)
    engine.start(entry, batching=BATCHING, warm_up=str(data), warm_up_count=1)
    engine.send("load", threads=engine.expect("hello")["threads"], keepalive_ms=5000)
    engine.expect("warming")
    failed = engine.expect("failed")
    assert (failed["stage"], failed["message"]) == (
        "warm_up",
        "warm.txt, line 1, try 1 of 1: LookupError: no such row",
    )


def test_a_library_is_called_with_a_batch_of_one(tmp_path: Path) -> None:
    entry = tmp_path / "libversioned.so"
    entry.write_bytes(compiled.library("versioned.cpp").read_bytes())
    with ScriptedEngine() as engine:
        hello = engine.serve(entry, processor_type="cpp", batching=BATCHING)
        assert hello["batch"] is True
        assert engine.call("a")["body"] == "1:a"


def test_a_processor_without_a_batch_call_says_so(engine: ScriptedEngine, write: Write) -> None:
    entry = write("""
        import eas_sdk

        class Single(eas_sdk.Processor):
            def process(self, request):
                return b""
    """)
    engine.start(entry, batching=BATCHING)
    assert engine.expect("hello")["batch"] is False


LIVE = """
    import eas_sdk

    class Live(eas_sdk.Processor):
        def initialize(self, model_entry, model_config):
            self.told = repr(self.batching)

        def process_batch(self, requests):
            return [self.told + " " + repr(self.batching) for request in requests]
"""
CHANGED = {"max_batch_size": 8, "padding": False, "sizes": []}
OLD = "Batching(max_batch_size=16, padding=True, sizes=(1, 4, 16))"
NEW = "Batching(max_batch_size=8, padding=False, sizes=())"


def test_a_live_host_is_told_of_other_settings(python: str, write: Write) -> None:
    with ScriptedEngine(python) as engine:
        engine.serve(write(LIVE), batching=BATCHING)
        assert engine.call("x")["body"] == f"{OLD} {OLD}"
        engine.send("batching", batching=BATCHING)
        engine.send("batching", batching=CHANGED)
        eventually(lambda: engine.call("x")["body"] == f"{OLD} {NEW}", "the host has taken them over")
        assert engine.stop() == 0


def test_what_it_is_told_before_it_has_a_processor_is_not_lost(engine: ScriptedEngine, write: Write) -> None:
    engine.start(write(LIVE), batching=BATCHING)
    engine.send("batching", batching=CHANGED)
    engine.send("load", threads=engine.expect("hello")["threads"], keepalive_ms=5000)
    engine.expect("ready")
    eventually(lambda: engine.call("x")["body"].endswith(NEW), "the host has taken them over")


def test_a_host_that_does_not_batch_takes_no_notice(engine: ScriptedEngine, write: Write) -> None:
    engine.serve(write(BOTH))
    engine.send("batching", batching=CHANGED)
    assert engine.call("x")["body"] == "alone, None"
    assert engine.stop() == 0
