"""The search for the highest rate, against servers that are functions."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eas_bench import slo
from eas_bench.record import Generator, Run
from eas_bench.search import Done, End, Result, Search, Trial, Try, following
from eas_bench.sweep import Point, find
from support.bench_runs import a_run

MET, MISSED, GENERATOR = Result.MET, Result.MISSED, Result.GENERATOR


def searched(server: Callable[[float], Result], search: Search) -> tuple[Done, list[Trial]]:
    """What a search finds of a server that gives this at a rate."""
    trials: list[Trial] = []
    while isinstance(step := following(trials, search), Try):
        trials.append(Trial(step.rate, server(step.rate)))
    return step, trials


def up_to(capacity: float) -> Callable[[float], Result]:
    return lambda rate: MET if rate <= capacity else MISSED


@pytest.mark.parametrize("early", [True, False])
def test_ctrl_c_ends_a_search_with_what_it_has(early: bool) -> None:
    """Whether the run that it struck tells of it, or was none."""
    rates: list[float] = []

    def measure(rate: float) -> Run:
        rates.append(rate)
        if len(rates) < 4:
            return a_run(rate=rate, seconds=1)
        if early:
            raise KeyboardInterrupt
        return a_run(rate=rate, seconds=1, notes=["stopped after 0.5 of 1 s"])

    found = find(measure, slo.parse("p99=1s,errors=90%"), Search(first=10))
    assert found.done.end is End.STOPPED
    assert [point.trial.rate for point in found.points] == rates[:3]


@given(st.floats(1.5, 200_000), st.floats(1, 50_000), st.sampled_from([0.02, 0.05, 0.2]))
def test_a_knee_is_found_wherever_the_search_begins(capacity: float, first: float, precision: float) -> None:
    done, trials = searched(up_to(capacity), Search(first=first, precision=precision, trials=200))
    assert done.end is End.FOUND
    assert done.rate is not None
    assert done.above is not None
    assert done.rate <= capacity < done.above <= done.rate * (1 + precision) * 1.0001
    assert len(trials) < 80


def test_few_trials_are_enough() -> None:
    """From 100 to 9,500: seven doublings, five halvings of the gap, and their proofs."""
    done, trials = searched(up_to(9_500), Search(first=100))
    assert done.rate == pytest.approx(9_300, rel=0.03)
    assert len(trials) <= 18
    assert [trial.rate for trial in trials[:8]] == [100, 200, 400, 800, 1600, 3200, 6400, 12800]


@pytest.mark.parametrize("seed", range(40))
def test_bad_moments_hardly_change_the_answer(seed: int) -> None:
    """One trial of ten misses whatever the rate; near the knee (a tenth around it) it is anybody's guess."""
    chance = random.Random(seed)

    def server(rate: float) -> Result:
        if chance.random() < 0.1 or rate > 1100:
            return MISSED
        return chance.choice((MET, MISSED)) if rate > 900 else MET

    done, trials = searched(server, Search(first=50, trials=60))
    assert done.end is End.FOUND
    assert done.rate is not None
    assert 700 <= done.rate <= 1100
    results = [trial.result for trial in trials if trial.rate == done.rate]
    assert results.count(MET) >= results.count(MISSED) + 2, "it is proved"


@given(st.lists(st.sampled_from(Result), min_size=400, max_size=400), st.floats(1, 1e4), st.floats(1, 1e6))
@settings(max_examples=60)
def test_whatever_happens_it_ends_and_claims_only_what_was_proved(
    results: list[Result], first: float, ceiling: float
) -> None:
    search = Search(first=first, ceiling=ceiling, trials=400)
    given_ = iter(results)
    done, trials = searched(lambda _rate: next(given_), search)
    assert all(trial.rate <= max(ceiling, 1) for trial in trials)
    if done.rate is not None:
        at = [trial.result for trial in trials if trial.rate == done.rate]
        assert 2 * at.count(MET) >= len(at) + 2
    if done.end is End.FOUND:
        above = [trial.result for trial in trials if trial.rate == done.above]
        assert 2 * above.count(MET) <= len(above) - 3


def test_a_single_miss_is_tried_again_and_a_second_one_counts() -> None:
    search = Search(first=100)
    assert following([Trial(100, MISSED)], search) == Try(100)
    assert following([Trial(100, MISSED), Trial(100, MET)], search) == Try(100)
    assert following([Trial(100, MISSED), Trial(100, MET), Trial(100, MET)], search) == Try(200)
    assert following([Trial(100, MISSED)] * 2, search) == Try(50)


def test_a_rate_that_met_it_once_by_luck_is_given_up() -> None:
    """800 did on the way up, and doesn't when it is to be proved."""
    trials = [Trial(400, MET), Trial(800, MET), Trial(1600, MISSED), Trial(1600, MISSED)]
    search = Search(first=400, precision=1.0)
    assert following(trials, search) == Try(800)
    trials += [Trial(800, MISSED)] * 3
    assert following(trials, search) == Try(400)
    trials += [Trial(400, MET)]
    assert following(trials, search) == Try(800), "whether it surely doesn't"
    assert following([*trials, Trial(800, MISSED)], search) == Done(400, End.FOUND, 800)
    assert following([*trials, Trial(800, MET)], search) == Try(800)


def test_nothing_holds_a_server_that_misses_at_one_a_second() -> None:
    done, trials = searched(lambda _rate: MISSED, Search(first=10))
    assert done == Done(None, End.NOTHING, 1.0)
    assert [trial.rate for trial in trials] == [10, 10, 5, 5, 2.5, 2.5, 1.25, 1.25, 1, 1, 1]


def test_the_generator_s_own_limit_ends_it_and_is_told() -> None:
    done, trials = searched(lambda rate: MET if rate < 5_000 else GENERATOR, Search(first=1000))
    assert done.end is End.GENERATOR
    assert done.rate is not None
    assert 4_700 < done.rate < 5_000
    assert "generator" in done.end.value
    assert len(trials) < 20


def test_a_server_that_misses_below_the_generator_s_limit_is_the_limit_itself() -> None:
    """Overloaded, it takes the generator's processor too; lower down it is seen that it is the server."""
    done, _ = searched(
        lambda rate: MET if rate < 1_200 else MISSED if rate < 2_500 else GENERATOR, Search(first=1000)
    )
    assert done.end is End.FOUND


def test_a_ceiling_is_tried_itself_and_not_exceeded() -> None:
    done, trials = searched(lambda _rate: MET, Search(first=1000, ceiling=3_000))
    assert done == Done(3_000, End.CEILING, None)
    assert [trial.rate for trial in trials] == [1000, 2000, 3000, 3000]
    assert searched(lambda _rate: MET, Search(first=1000, ceiling=300))[0] == Done(300, End.CEILING, None)


def test_so_many_trials_and_no_more() -> None:
    done, trials = searched(up_to(1e9), Search(first=1, trials=5))
    assert len(trials) == 5
    assert done == Done(None, End.TRIALS, None)


# -- with runs


def a_run_at(rate: float, *, capacity: float, limit: float = 1e9) -> Run:
    """Of a server that is slow above its capacity, by a generator with this limit."""
    reasons = ["it was the limit"] if rate > limit else []
    return a_run(
        rate=30,
        seconds=1,
        refused=0,
        lost=0,
        median_us=1000 if rate <= min(capacity, limit) else 100_000,
        generator=Generator(limit=limit, late_p99=0, cpu_seconds=1, invalid=reasons),
    )


def test_runs_are_judged_and_kept() -> None:
    told: list[Point] = []
    objective = slo.parse("p90=20ms,errors=1%")
    found = find(lambda rate: a_run_at(rate, capacity=300), objective, Search(first=100), told.append)
    assert found.done.end is End.FOUND
    assert found.done.rate is not None
    assert 280 < found.done.rate <= 300
    assert tuple(told) == found.points
    assert [point.trial.rate for point in found.curve] == sorted({point.trial.rate for point in told})
    document = found.document()
    assert document["format"] == "eas-bench.sweep/1"
    assert document["rate"] == found.done.rate
    assert [Run.model_validate(run) for run in document["runs"]] == [point.run for point in told]


def test_a_miss_of_an_invalid_run_says_nothing_of_the_server() -> None:
    found = find(
        lambda rate: a_run_at(rate, capacity=1e9, limit=300), slo.parse("p90=20ms"), Search(first=100)
    )
    assert found.done.end is End.GENERATOR


def test_what_met_the_objective_although_the_generator_was_late_has_met_it() -> None:
    late = Generator(limit=1e9, late_p99=9_000, cpu_seconds=1, invalid=["requests were sent late"])
    found = find(
        lambda rate: a_run_at(rate, capacity=1e9).model_copy(update={"generator": late}),
        slo.parse("p90=20ms"),
        Search(first=100, ceiling=150),
    )
    assert found.done == Done(150, End.CEILING, None)


def test_of_several_trials_of_a_rate_the_curve_shows_one_that_agrees_with_the_rest() -> None:
    """A bad moment at 100, which two good ones outvote."""
    slow = iter([True])
    found = find(
        lambda rate: a_run_at(rate, capacity=0 if rate == 100 and next(slow, False) else 150),
        slo.parse("p90=20ms"),
        Search(first=100, precision=1.5),
    )
    assert found.done.rate == 100
    assert found.curve[0].trial == Trial(100, MET)
