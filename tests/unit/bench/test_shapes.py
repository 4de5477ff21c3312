"""Bodies of all shapes, the right answers to them, and what is wrong with others."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_bench.record import Tally
from eas_bench.scenarios.shapes import checks, figures, matrix, sums
from support.bench_runs import a_run


@given(st.integers(1, 40), st.integers(1, 40))
def test_the_answer_is_the_sum_of_each_row(rows: int, columns: int) -> None:
    body = matrix(rows, columns)
    values = np.frombuffer(body, "<i4", offset=8).reshape(rows, columns)
    assert struct.unpack_from("<II", body) == (rows, columns)
    assert sums(body)[8:] == values.sum(axis=1, dtype="<i4").tobytes()
    assert sums(body)[:8] == body[:8]


def test_bodies_of_one_size_and_different_shapes_have_different_answers() -> None:
    assert matrix(2, 8)[8:] != matrix(8, 2)[8:]
    assert matrix(2, 8) == matrix(2, 8)


def test_somebody_elses_answer_is_wrong_and_so_is_a_damaged_one() -> None:
    bodies = [matrix(2, 8), matrix(8, 2)]
    check = checks(bodies)
    assert check(bodies[0], sums(bodies[0])) is None
    assert "2 x 8" in str(check(bodies[0], sums(bodies[1])))
    assert check(bodies[1], sums(bodies[1])[:-1]) is not None
    assert check(bodies[1], b"") is not None


@pytest.mark.parametrize(("wrong", "reset", "refused"), [(0, 0, 0), (2, 0, 0), (0, 1, 0), (1, 1, 3)])
def test_wrong_answers_are_told_apart_from_failures(wrong: int, reset: int, refused: int) -> None:
    failures = {kind: count for kind, count in (("wrong", wrong), ("reset", reset)) if count}
    tally = Tally(
        sent=100,
        statuses={"200": 90, "450": refused},
        failures=failures,
        bytes_sent=1,
        bytes_received=1,
    )
    notes = ["wrong: 3 bytes to 2 x 8 begin with 00", "stopped after 1 s"] if wrong else []
    told = figures([a_run(tally=tally, notes=notes)] * 2, [])
    assert told["wrong"].samples == [2 * wrong]
    assert told["failed"].samples == [2 * (reset + refused)]
    assert bool(told["wrong"].faults) == bool(wrong)
    assert not any("stopped" in fault for fault in told["wrong"].faults)
