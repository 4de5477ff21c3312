"""Presets on a GPU whose memory is full: they halve, say so, and leave what fails to the host."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import eas_sdk
from eas_processors.rows.base import RowPreset
from eas_processors.rows.table import Columns
from eas_processors.tensors.errors import BadRequest
from eas_processors.tensors.model import Arrays
from support import gpu_errors as of
from support.tensor_models import NumpyModel, NumpyPreset, predict, preset, signature

ROOM = 2


def full(cause: Exception | None = None) -> BadRequest:
    """As presets wrap what their framework raises."""
    wrapped = BadRequest("the model can't be run")
    wrapped.__cause__ = cause or of.TORCH_FULL(of.FULL)
    return wrapped


class Watched:
    """What the host is told of calls that raised: type and requests."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int]] = []

    def __call__(self, error: BaseException, requests: int) -> None:
        self.told.append((type(error.__cause__ or error).__name__, requests))


def made(room: int = ROOM, cause: Exception | None = None) -> tuple[NumpyPreset, NumpyModel, Watched]:
    """A preset with a model that fits so many rows."""

    def run(inputs: dict[str, np.ndarray]) -> Arrays:
        if len(inputs["x"]) > room:
            raise full(cause)
        return {"y": inputs["x"] * 2}

    batching, watched = eas_sdk.Batching(8), Watched()
    batching.watch(watched)
    processor, model = preset(signature({"x": (None,)}, {"y": (None,)}), run, batching)
    for rows in (1, 2):  # it is known to be joinable
        processor.process_batch([x(rows)])
    model.calls.clear()
    watched.told.clear()
    return processor, model, watched


def x(rows: int = 1) -> eas_sdk.Request:
    return predict({"x": np.arange(rows, dtype=np.float32)})


def is_answer(result: object) -> bool:
    return not isinstance(result, (BaseException, eas_sdk.Response))


def test_a_call_that_doesnt_fit_is_halved_and_the_host_hears_of_it() -> None:
    processor, model, watched = made()
    results = processor.process_batch([x() for _ in range(8)])
    assert all(map(is_answer, results))
    assert model.calls == [8, 4, 2, 2, 4, 2, 2]
    assert watched.told == [("OutOfMemoryError", 8), ("OutOfMemoryError", 4), ("OutOfMemoryError", 4)]


def test_what_fits_nowhere_is_raised_and_not_blamed_on_the_client() -> None:
    processor, _, watched = made()
    few, many = processor.process_batch([x(), x(3)])
    assert is_answer(few)
    assert isinstance(many, BadRequest)
    assert eas_sdk.is_gpu_trouble(many)
    assert watched.told[-1] == ("OutOfMemoryError", 1)


def test_a_fault_is_left_to_the_host_too() -> None:
    processor, _, watched = made(cause=of.TORCH_FAULT(of.ILLEGAL))
    (result,) = processor.process_batch([x(3)])
    assert isinstance(result, BadRequest)
    assert watched.told == [("AcceleratorError", 1)]


def test_what_a_client_did_wrong_stays_an_answer() -> None:
    processor, _, _ = made(cause=ValueError("no such shape"))
    (result,) = processor.process_batch([x(3)])
    assert isinstance(result, eas_sdk.Response)
    assert result.status == 400


def test_memory_says_nothing_about_joining() -> None:
    """A model whose first joined calls found the card full was never joined again."""
    room = [1]

    def run(inputs: dict[str, np.ndarray]) -> Arrays:
        if len(inputs["x"]) > room[0]:
            raise full()
        return {"y": inputs["x"] * 2}

    processor, model = preset(signature({"x": (None,)}, {"y": (None,)}), run, eas_sdk.Batching(8))
    processor.process_batch([x() for _ in range(4)])
    room[0] = 8
    for _ in range(2):
        model.calls.clear()
        processor.process_batch([x() for _ in range(4)])
    assert model.calls == [4]


class Model:
    """Rows of one number; more than ``ROOM`` at once don't fit."""

    columns = Columns.numbers(("a",), 1)

    def __init__(self) -> None:
        self.calls: list[int] = []

    def signature(self) -> dict[str, Any]:
        return {}

    def run(self, rows: Any) -> Any:
        self.calls.append(len(rows))
        if len(rows) > ROOM:
            raise of.kind_of("xgboost.core.XGBoostError", ValueError)(
                "cudaErrorMemoryAllocation: out of memory"
            )
        return rows[:, 0]


class Rows(RowPreset):
    def load(self, model_entry: str, model_config: str) -> Model:
        return Model()


def body(values: Sequence[float]) -> eas_sdk.Request:
    return eas_sdk.Request.build(json.dumps([[value] for value in values]).encode())


@pytest.mark.parametrize("requests", [3, 1])
def test_presets_of_rows_say_it_too(requests: int) -> None:
    processor, watched = Rows(), Watched()
    processor.batching = eas_sdk.Batching(8)
    processor.batching.watch(watched)
    processor.initialize("", "")
    results = processor.process_batch([body([1.0] * (4 - requests)) for _ in range(requests)])
    if requests == 3:
        assert [getattr(result, "status", None) for result in results] == [200] * 3
        assert watched.told == [("XGBoostError", 3)]
    else:
        assert eas_sdk.is_gpu_trouble(results[0])  # type: ignore[arg-type]
