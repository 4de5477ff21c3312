"""Who decides about threads and keepalive: service.json, then the processor's code, then the default."""

from __future__ import annotations

from pathlib import Path

import pytest

from eas_engine.supervisor.control import Hello
from eas_engine.supervisor.launch import Program
from eas_engine.supervisor.settings import (
    Batching,
    Processor,
    Settings,
    effective_keepalive,
    effective_threads,
    lacks_batch_call,
)


def settings(**more: int) -> Settings:
    return Settings("s", Program("python", Path("/")), Processor("app.py"), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("said", "hello", "threads"),
    [
        ({}, Hello(), 5),
        ({}, Hello(threads=8), 8),
        ({"threads": 3}, Hello(threads=8), 3),
        ({"threads": 3}, Hello(threads=8, processes=2), 1),
    ],
)
def test_threads(said: dict[str, int], hello: Hello, threads: int) -> None:
    assert effective_threads(settings(**said), hello) == threads


@pytest.mark.parametrize(
    ("said", "property_", "keepalive"),
    [
        ({}, None, 5000),
        ({}, "60000", 60000),
        ({}, "60000.0", 60000),
        ({}, "a minute", 5000),
        ({}, "0", 5000),
        ({}, "inf", 5000),
        ({}, "nan", 5000),
        ({"keepalive_ms": 700}, "60000", 700),
    ],
)
def test_keepalive(said: dict[str, int], property_: str | None, keepalive: int) -> None:
    properties = {} if property_ is None else {"rpc.keepalive": property_}
    assert effective_keepalive(settings(**said), properties) == keepalive


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("native", "define process_batch(requests) in its class"),
        ("allspark", "derive its class from eas_sdk.Processor"),
        ("cpp", "metadata.rpc.cpp_batch"),
        ("java", "eas.sdk.BatchProcessor"),
        ("another", "define process_batch"),
    ],
)
def test_what_to_define_for_batching(kind: str, words: str) -> None:
    batching = Processor("app.py", batching=Batching(16))
    message = lacks_batch_call(batching, Hello(kind=kind))
    assert message.startswith("metadata.rpc.batching is true, but the processor has no batch call: ")
    assert words in message
    assert not lacks_batch_call(batching, Hello(kind=kind, batch=True))
    assert not lacks_batch_call(Processor("app.py"), Hello(kind=kind))
