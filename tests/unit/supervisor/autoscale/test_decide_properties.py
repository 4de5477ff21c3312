"""What holds for every setting and every load."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

from hypothesis import assume, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from eas_engine.spec.schedules import cron
from eas_engine.supervisor.autoscale.cron import Job, Jobs
from eas_engine.supervisor.autoscale.decide import decide
from eas_engine.supervisor.autoscale.decision import Moment
from eas_engine.supervisor.autoscale.sample import SPAN
from eas_engine.supervisor.autoscale.settings import AutoscaleSettings
from support.scaling import WALL, Loop, started, steady

METRICS = st.sampled_from(["qps", "qps1k", "cpu", "queue", "gpu[util]"])
WINDOWS = st.sampled_from([0.0, 1.0, 7.0, 30.0])
LOADS = st.floats(0, 300).map(lambda load: round(load, 1))


@st.composite
def any_settings(draw: st.DrawFn, low: int | None = None) -> AutoscaleSettings:
    fewest = draw(st.integers(0, 4)) if low is None else low
    sizes = draw(st.lists(st.integers(0, 30), max_size=2))
    when = ["0 */2 * * * *", "30 1-59/3 * * * *"]
    return AutoscaleSettings(
        fewest,
        fewest + draw(st.integers(0 if fewest else 1, 20)),
        draw(st.dictionaries(METRICS, st.sampled_from([1.0, 10.0, 60.0]), max_size=3)),
        draw(WINDOWS),
        draw(WINDOWS),
        draw(st.sampled_from([0.0, 20.0, 100.0])),
        draw(st.integers(1, 30)),
        Jobs(tuple(Job(str(n), cron(when[n], "UTC"), size) for n, size in enumerate(sizes))),
        draw(st.sampled_from([0.5, 1.0, 4.0])),
    )


@st.composite
def any_second(draw: st.DrawFn) -> dict[str, Any]:
    measured = draw(st.integers(0, 5))
    return {
        "queue": draw(st.integers(0, 100)),
        "in_flight": draw(st.sampled_from([0, 0, 1, 50])),
        "cpu": draw(st.floats(0, 20)) if measured else 0.0,
        "measured": measured,
        "gpu": draw(st.floats(0, 500)),
        "gpus": draw(st.integers(0, 5)),
    }


@profile(max_examples=150)
@given(
    given_settings=any_settings(),
    start=st.integers(0, 40),
    loads=st.lists(
        st.tuples(st.integers(1, 40), st.just(0.0) | LOADS, any_second(), st.none() | st.integers(0, 40)),
        max_size=6,
    ),
)
def test_it_never_leaves_its_bounds(
    given_settings: AutoscaleSettings,
    start: int,
    loads: list[tuple[int, float, dict[str, Any], int | None]],
) -> None:
    loop = Loop(given_settings, start)
    for seconds, qps, facts, by_hand in loads:
        loop.wanted = loop.wanted if by_hand is None else by_hand
        for number in loop.run(seconds, qps, **facts):
            assert given_settings.low <= number <= given_settings.high
    for one in loop.decisions:
        assert one.reason
        if one.current > 0 and one.wanted == 0:
            assert (one.cause, given_settings.low) == ("idle", 0)
            assert one.idle >= given_settings.zero_grace
        if one.cause == "woken":
            assert 1 <= one.wanted <= given_settings.high


@profile(max_examples=100)
@given(
    given_settings=any_settings(low=1),
    start=st.integers(1, 20),
    qps=LOADS,
    cpus=st.floats(0, 30),
)
def test_constant_load_moves_it_one_way_and_no_more(
    given_settings: AutoscaleSettings, start: int, qps: float, cpus: float
) -> None:
    """By qps and cpu, which don't depend on how many share them: settled after the windows, never back."""
    kept = {
        name: given_settings.thresholds[name] for name in ("qps", "cpu") if name in given_settings.thresholds
    }
    assume(kept)
    loop = Loop(
        AutoscaleSettings(1, given_settings.high, kept, given_settings.up_window, given_settings.down_window),
        start,
    )
    settled = int(SPAN + max(given_settings.up_window, given_settings.down_window)) + 2
    way = [start]
    for _ in range(settled + 60):
        way += loop.run(1, qps, cpu=cpus, measured=loop.wanted)
    moves = [after - before for before, after in pairwise(way[1:]) if before != after]
    assert all(move > 0 for move in moves) or all(move < 0 for move in moves), way
    assert len(set(way[settled:])) == 1, "it stays where it has come to"


@profile(max_examples=60)
@given(before=LOADS, after=LOADS, up=WINDOWS, down=WINDOWS)
def test_after_a_step_it_comes_to_what_the_load_needs_within_span_and_window(
    before: float, after: float, up: float, down: float
) -> None:
    loop = Loop(AutoscaleSettings(1, 50, {"qps": 10.0}, up, down), 1)
    loop.run(80, before)
    then = loop.wanted
    loop.run(int(SPAN + max(up, down)) + 1, after)
    assert abs(after / 10 / loop.wanted - 1) <= 0.1 + 1e-9 or loop.wanted == max(
        1, math.ceil(after / 10 - 1e-9)
    )
    assert min(then, loop.wanted) <= loop.wanted <= max(then, math.ceil(after / 10 + 1))


@profile(max_examples=200)
@given(
    given_settings=any_settings(low=1),
    wanted=st.integers(1, 20),
    measured=st.integers(1, 24),
    loads=st.tuples(st.floats(0, 30), st.floats(0, 30)).map(sorted),
    metric=st.sampled_from(["qps", "cpu", "queue"]),
)
def test_more_load_never_means_fewer_instances(
    given_settings: AutoscaleSettings, wanted: int, measured: int, loads: list[float], metric: str
) -> None:
    """All else the same."""
    found = []
    for load in loads:
        possible: dict[str, dict[str, Any]] = {
            "qps": {"qps": load * 10},
            "cpu": {"cpu": load, "measured": measured},
            "queue": {"queue": round(load * 3)},
        }
        facts = possible[metric]
        state = started(wanted, given_settings, -50.0)
        samples = steady(**{"qps": 1.0, **facts}, wanted=wanted)
        found.append(decide(given_settings, samples, state, Moment(0.0, WALL)).wanted)
    assert found == sorted(found)


@profile(max_examples=50)
@given(
    grace=st.integers(1, 60),
    pause=st.integers(0, 100),
    activation=st.integers(1, 5),
    high=st.integers(1, 5),
)
def test_to_zero_and_back(grace: int, pause: int, activation: int, high: int) -> None:
    loop = Loop(AutoscaleSettings(0, high, {"qps": 10.0}, zero_grace=float(grace), activation=activation), 1)
    loop.run(20, 5.0)
    quiet = loop.run(grace + pause, 0.0)
    assert 0 not in quiet[: grace - 1]
    assert set(quiet[grace - 1 :]) == {0}
    assert loop.decide(woken=True) == min(activation, high)
    assert loop.decide() == min(activation, high), "the next look, before any sample, changes nothing"
