"""The cut keeps its latency contract (``eas_engine.batching.cut``), whatever waits, whatever the settings."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_engine.batching import cut as cuts
from eas_engine.batching.cut import Cut, Hosts, Rules, Waiting, begin_by, cut, requests_in_full
from eas_engine.batching.pace import Pace

IDLE, AHEAD, NONE = (
    Hosts(idle=True, ahead=False),
    Hosts(idle=False, ahead=True),
    Hosts(idle=False, ahead=False),
)
NOW = 1000.0

seconds = st.floats(0.0, 100.0)
hosts = st.builds(Hosts, st.booleans(), st.booleans())


@st.composite
def situations(draw: st.DrawFn) -> dict[str, Any]:
    """The arguments of ``cut``: at least one waits, and nobody arrived in the future."""
    oldest = NOW - draw(seconds)
    deadline = max(NOW, oldest) + draw(seconds)
    size = draw(st.integers(1, 64))
    return {
        "waiting": Waiting(draw(st.integers(1, 80)), oldest, deadline),
        "now": NOW,
        "rules": Rules(size, draw(seconds), draw(st.booleans())),
        "hosts": draw(hosts),
        "full": requests_in_full(size, draw(st.floats(0.0, 200.0))),
        "seconds": draw(st.none() | seconds),
        "draining": draw(st.booleans()),
    }


def due(situation: dict[str, Any]) -> float:
    """Clause 1 in other words: the instant until which somebody may wait although a thread is idle."""
    waiting: Waiting = situation["waiting"]
    rules: Rules = situation["rules"]
    if rules.when_idle or situation["draining"] or waiting.requests >= situation["full"]:
        return -math.inf
    return min(waiting.oldest + rules.timeout, begin_by(waiting, situation["seconds"]))


@given(situations())
def test_while_a_thread_is_idle_nobody_waits_longer_than_allowed(situation: dict[str, Any]) -> None:
    decided = cut(**situation)
    if situation["hosts"].idle:
        assert (decided.requests > 0) is (due(situation) <= NOW)


@given(situations())
def test_whom_it_leaves_waiting_it_looks_at_again_in_time_and_not_in_vain(situation: dict[str, Any]) -> None:
    decided = cut(**situation)
    if decided.requests:
        assert decided.look == math.inf
        return
    if not situation["hosts"].idle:
        assert decided.look == math.inf, "only an answer helps"
        return
    assert decided.look == due(situation) > NOW
    assert cut(**{**situation, "now": decided.look}).requests == situation["waiting"].requests
    just_before = math.nextafter(decided.look, -math.inf)
    assert cut(**{**situation, "now": just_before}) == decided


@given(situations())
def test_a_batch_is_never_larger_than_a_full_one_nor_than_what_waits(situation: dict[str, Any]) -> None:
    decided = cut(**situation)
    waiting = situation["waiting"].requests
    assert decided.requests in (0, min(waiting, situation["full"]))
    if decided.requests:
        assert (decided.reason == cuts.FULL) is (waiting >= situation["full"])
        assert decided.reason in cuts.REASONS


@given(situations())
def test_without_an_idle_thread_only_full_batches_go_and_only_ahead(situation: dict[str, Any]) -> None:
    situation["hosts"] = Hosts(idle=False, ahead=situation["hosts"].ahead)
    decided = cut(**situation)
    full = situation["waiting"].requests >= situation["full"]
    assert (decided.requests > 0) is (situation["hosts"].ahead and full)


@given(situations(), st.integers(1, 20), seconds)
def test_more_company_and_more_time_never_make_anybody_wait_longer(
    situation: dict[str, Any], more: int, later: float
) -> None:
    before = cut(**situation)
    waiting = situation["waiting"]
    joined = {**situation, "waiting": waiting._replace(requests=waiting.requests + more)}
    for after in (cut(**joined), cut(**{**situation, "now": NOW + later})):
        assert after.requests >= before.requests
        assert after.requests or after.look <= before.look


@given(situations())
def test_batch_when_idle_leaves_nobody_waiting_beside_an_idle_thread(situation: dict[str, Any]) -> None:
    situation["hosts"] = IDLE
    situation["rules"] = replace(situation["rules"], when_idle=True)
    assert cut(**situation).requests == min(situation["waiting"].requests, situation["full"])


RULES = Rules(16, 0.05, when_idle=False)


@pytest.mark.parametrize(
    ("waiting", "rules", "more", "wanted"),
    [
        (Waiting(16, NOW, NOW + 5), RULES, {}, Cut(16, "full")),
        (Waiting(40, NOW - 1, NOW - 1), RULES, {"draining": True}, Cut(16, "full")),
        (Waiting(3, NOW - 0.05, NOW + 5), RULES, {}, Cut(3, "age")),
        (Waiting(3, NOW, NOW + 0.102), RULES, {"seconds": 0.1}, Cut(3, "deadline")),
        (Waiting(3, NOW, NOW + 5), replace(RULES, when_idle=True), {}, Cut(3, "idle")),
        (Waiting(3, NOW, NOW + 5), RULES, {"draining": True}, Cut(3, "drain")),
        (Waiting(3, NOW, NOW + 5), RULES, {}, Cut(0, "", NOW + 0.05)),
        (Waiting(3, NOW, NOW + 0.05), RULES, {"seconds": 0.04}, Cut(0, "", NOW + 0.008)),
        (Waiting(3, NOW, NOW + 0.05), RULES, {"seconds": None}, Cut(0, "", NOW + 0.025)),
        (Waiting(0, math.inf, math.inf), RULES, {}, Cut(0)),
    ],
)
def test_each_reason(waiting: Waiting, rules: Rules, more: dict[str, Any], wanted: Cut) -> None:
    given_: dict[str, Any] = {"full": 16, "seconds": 0.001, "draining": False, **more}
    decided = cut(waiting, NOW, rules, IDLE, **given_)
    assert decided[:2] == wanted[:2]
    assert decided.look == pytest.approx(wanted.look, abs=1e-6)


def test_the_time_already_waited_counts_when_a_thread_becomes_idle_at_last() -> None:
    waiting = Waiting(3, NOW - 0.2, NOW + 5)
    busy = cut(waiting, NOW - 0.1, RULES, NONE, full=16, seconds=0.1, draining=False)
    assert busy == Cut(0), "nobody could work on it"
    assert cut(waiting, NOW, RULES, IDLE, full=16, seconds=0.1, draining=False).reason == "age"


# -- what makes a batch full


@pytest.mark.parametrize(
    ("most", "rows", "full"),
    [(16, 1.0, 16), (16, 0.0, 16), (16, 2.0, 8), (16, 5.0, 3), (16, 16.0, 1), (16, 17.0, 1), (1, 1.0, 1)],
)
def test_how_many_requests_fill_a_batch(most: int, rows: float, full: int) -> None:
    assert requests_in_full(most, rows) == full


@given(st.lists(st.tuples(st.integers(1, 64), st.integers(0, 500)), max_size=50), st.integers(1, 64))
def test_a_full_batch_always_has_a_request_and_never_more_rows_than_allowed(
    batches: list[tuple[int, int]], size: int
) -> None:
    pace = Pace(size)
    for requests, rows in batches:
        pace.learn(requests, rows, 0.001)
    assert 1 <= pace.full <= size
    assert pace.full == 1 or pace.full * pace.rows <= size + 1e-6


@given(st.integers(1, 20), st.integers(1, 30))
def test_the_rows_of_a_steady_stream_are_learnt_exactly(rows: int, other: int) -> None:
    pace = Pace(64)
    pace.learn(1, other, 0.001)
    for _ in range(60):
        pace.learn(4, 4 * rows, 0.001)
    assert pace.rows == rows
    assert pace.full == 64 // rows


def test_a_slower_batch_is_believed_at_once_and_a_quicker_one_little_by_little() -> None:
    pace = Pace(16)
    expected = [pace.seconds]
    for seconds in (0.010, 0.100, 0.010):
        pace.learn(1, 1, seconds)
        expected.append(pace.seconds)
    assert expected == [None, 0.010, 0.100, pytest.approx(0.082)]
    assert repr(pace) == "<Pace 1.00 rows a request, 16 in a full batch of 0.082 s>"
