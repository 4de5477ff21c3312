"""Answers are JSON whatever is in them, and refusals say why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_engine.gateway.api.answers import Answer, ApiError
from eas_engine.operations import Effect

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary()
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text() | st.integers(), inner),
)


def strictly(data: bytes | memoryview) -> Any:
    """As other languages read JSON: no NaN, no Infinity."""

    def odd(name: str) -> NoReturn:
        raise AssertionError(name)

    return json.loads(bytes(data).decode(), parse_constant=odd)


@given(TREES)
def test_anything_becomes_json(tree: Any) -> None:
    strictly(Answer(tree).body)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (float("nan"), None),
        (float("-inf"), None),
        ("a\udcff", "a\udcff"),
        (Effect.ROLLOUT, "rollout"),
        (Path("/s"), "/s"),
        ({1: (2, 3)}, {"1": [2, 3]}),
        (10**40, 10**40),
    ],
)
def test_what_json_does_not_know(value: object, shown: object) -> None:
    assert strictly(Answer(value).body) == shown


def test_a_refusal() -> None:
    error = ApiError(422, "no", problems=[{"path": "a", "line": None, "message": "b"}], headers={"X": "y"})
    answer = error.answer()
    assert (answer.status_code, answer.headers["X"]) == (422, "y")
    assert strictly(answer.body) == {"error": "no", "problems": [{"path": "a", "line": None, "message": "b"}]}
