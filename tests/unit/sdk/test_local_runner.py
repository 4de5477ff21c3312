"""``eas_sdk.testing.run``, and what ``Processor`` does by itself."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from eas_sdk import Batching, Processor, Request, Response
from eas_sdk.testing import run


class Recorder(Processor):
    def __init__(self) -> None:
        self.seen: list[str] = []

    def initialize(self, model_entry: str, model_config: str) -> None:
        self.seen.append(f"initialize {model_entry} {model_config}")

    def process(self, request: Request) -> bytes | Response:
        if request.body == b"raise":
            raise LookupError("asked for")
        return Response(b"made", 202) if request.body == b"response" else bytes(request.body)

    def close(self) -> None:
        closed.append("closed")


closed: list[str] = []


def test_one_response_per_request() -> None:
    responses = run(Recorder, [b"a", "b", Request.build(b"response")], model_entry="/m", model_config="{}")
    assert [(each.status, each.body) for each in responses] == [(200, b"a"), (200, b"b"), (202, b"made")]


def test_exceptions_come_through_and_close_is_called() -> None:
    closed.clear()
    with pytest.raises(LookupError, match="asked for"):
        run(Recorder, [b"raise"])
    assert closed == ["closed"]


class Pairs(Processor):
    def process_batch(self, requests: Sequence[Request]) -> list[bytes | BaseException]:
        return [ValueError("odd") if r.body == b"odd" else bytes(r.body) * len(requests) for r in requests]


def test_batches() -> None:
    assert [each.body for each in run(Pairs, [b"a", b"b", b"c"], batch=2)] == [b"aa", b"bb", b"c"]


def test_process_of_a_batch_processor_is_a_batch_of_one() -> None:
    assert run(Pairs, [b"a"])[0].body == b"a"
    with pytest.raises(ValueError, match="odd"):
        run(Pairs, [b"odd"])
    with pytest.raises(ValueError, match="odd"):
        run(Pairs, [b"a", b"odd"], batch=2)


class Short(Processor):
    def process_batch(self, requests: Sequence[Request]) -> list[bytes]:
        return []


@pytest.mark.parametrize("batch", [0, 2])
def test_a_batch_of_another_length(batch: int) -> None:
    with pytest.raises(TypeError, match="must return a list of 1 result"):
        run(Short, [b"a"], batch=batch)


def test_the_batch_call_of_a_plain_processor_calls_process() -> None:
    assert [each.body for each in run(Recorder, [b"a", b"b"], batch=2)] == [b"a", b"b"]


def test_a_class_with_neither_call() -> None:
    with pytest.raises(NotImplementedError, match="Processor defines neither"):
        run(Processor, [b"a"])


class Moody(Processor):
    """Batches, unless there is something bad in them."""

    def initialize(self, model_entry: str, model_config: str) -> None:
        self.told = self.batching

    def process_batch(self, requests: Sequence[Request]) -> list[str]:
        if any(request.body == b"bad" for request in requests):
            raise LookupError("bad")
        return [f"{bytes(request.body).decode()} of {len(requests)}, {self.told}" for request in requests]


def test_a_batch_that_raises_is_halved_as_behind_an_engine() -> None:
    responses = run(Moody, [b"a", b"b", b"bad", b"c"], batch=Batching(4, padding=True), failures=True)
    told = "Batching(max_batch_size=4, padding=True, sizes=())"
    assert [(each.status, bytes(each.body).decode()) for each in responses] == [
        (200, f"a of 2, {told}"),
        (200, f"b of 2, {told}"),
        (400, "bad"),
        (200, f"c of 1, {told}"),
    ]
    with pytest.raises(LookupError, match="bad"):
        run(Moody, [b"a", b"bad"], batch=2)


def test_failures_as_responses_without_batches() -> None:
    (good, bad) = run(Recorder, [b"a", b"raise"], failures=True)
    assert (good.status, bad.status, bad.body) == (200, 400, b"asked for")


def test_without_batches_a_processor_is_told_of_none() -> None:
    assert run(Moody, [b"a"])[0].body == b"a of 1, None"
