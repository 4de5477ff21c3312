"""What was measured, held against what is asked."""

from __future__ import annotations

import pytest

from eas_bench.scenarios import batching, files, overload
from eas_bench.scenarios.bars import Bar, Measured, Verdict
from eas_bench.scenarios.figures import ClosedRun, Latency, Pair
from eas_bench.scenarios.files import Scenario
from eas_bench.scenarios.measuring import judged
from eas_bench.scenarios.setting import Result

ECHO = Bar("W1-64", "requests/s, engine over bare loop", "at least", 0.6)


def closed(
    *, successes: int, p99: float = 110, refused: int = 0, refused_p99: float = 1, resets: int = 0
) -> ClosedRun:
    statuses = {200: Latency(count=successes, p50_ms=1, p99_ms=p99, max_ms=p99)}
    if refused:
        statuses[450] = Latency(count=refused, p50_ms=1, p99_ms=refused_p99, max_ms=refused_p99)
    return ClosedRun(
        seconds=1, resets=resets, refused=0, cut=0, reconnects=refused, oldest_ms=0, statuses=statuses
    )


def scenario(name: str) -> Scenario:
    return files.every()[name]


def overloaded(flood: ClosedRun, calm: ClosedRun | None = None) -> dict[str, Verdict]:
    """By W5's own bars."""
    pairs = [Pair(calm or closed(successes=500), flood)] * 3
    told = judged(scenario("W5"), 3, Result(figures=overload.figures(pairs)), taken=0.0)
    return {verdict.bar.key.removeprefix("W5-"): verdict for verdict in told}


@pytest.mark.parametrize(
    ("sense", "below", "equal", "above"),
    [("at least", False, True, True), ("at most", True, True, False), ("under", True, False, False)],
)
def test_a_bar_says_on_which_side_of_it_is_good(sense: str, *, below: bool, equal: bool, above: bool) -> None:
    bar = Bar("x", "x", sense, 0.45)  # type: ignore[arg-type]
    assert [bar.met_by(value) for value in (0.44, 0.45, 0.46)] == [below, equal, above]


def test_where_nothing_is_asked_everything_is_good_but_faults() -> None:
    bar = Bar("x", "x", "at most")
    assert Verdict.of(bar, Measured(samples=[1e9])).met
    assert not Verdict.of(bar, Measured(samples=[1], faults=["3 requests of the engine failed"])).met


def test_the_median_decides_whatever_the_extremes() -> None:
    verdict = Verdict.of(ECHO, Measured(samples=[0.9, 0.61, 0.1]))
    assert verdict.met
    assert verdict.value == 0.61
    assert not Verdict.of(ECHO, Measured(samples=[0.9, 0.59, 0.1])).met


def test_a_figure_with_faults_meets_no_bar() -> None:
    assert not Verdict.of(ECHO, Measured(samples=[0.9], faults=["3 requests of the engine failed"])).met


def test_a_reference_that_wavers_makes_a_figure_unreliable() -> None:
    assert Verdict.of(ECHO, Measured(samples=[0.9], wavering=1.5)).reliable
    assert not Verdict.of(ECHO, Measured(samples=[0.9], wavering=1.51)).reliable
    assert not Verdict.of(ECHO, Measured(samples=[0.9], doubts=["the generator was late"])).reliable


def test_so_do_others_on_the_machine_and_too_few_rounds() -> None:
    verdict = Verdict.of(ECHO, Measured(samples=[0.9]))
    assert verdict.with_doubts(0.2, 3).reliable
    assert "others took 0.30 cores" in verdict.with_doubts(0.3, 3).doubts[0]
    assert "too few rounds: 2" in verdict.with_doubts(0.1, 2).doubts[0]
    assert verdict.with_doubts(0.3, 2).met  # a doubt isn't a fault
    without = Bar("W9-start", "exec to the first 200", "under", 0.7, "s", rounds=False)
    assert Verdict.of(without, Measured(samples=[0.5])).with_doubts(0.1, 1).reliable


def test_memory_and_counts_are_the_same_on_a_busy_machine() -> None:
    cold = Result(figures={"start": Measured(samples=[0.5]), "idle": Measured(samples=[55.0])})
    told = judged(scenario("W9"), 1, cold, taken=1.5)
    assert [(verdict.bar.key, verdict.reliable) for verdict in told] == [
        ("W9-start", False),
        ("W9-idle", True),
    ]


def test_a_good_overload_meets_every_bar() -> None:
    verdicts = overloaded(closed(successes=490, p99=158, refused=9000, refused_p99=10))
    assert {key: verdict.met for key, verdict in verdicts.items()} == dict.fromkeys(
        ("successes", "p99", "refusals", "broken"), True
    )
    assert verdicts["successes"].value == 0.98


@pytest.mark.parametrize(
    ("flood", "missed"),
    [
        (closed(successes=480, refused=9000), {"successes"}),
        (closed(successes=500, p99=159, refused=9000), {"p99"}),
        (closed(successes=500, refused=9000, refused_p99=10.1), {"refusals"}),
        (closed(successes=500, refused=9000, resets=1), {"broken"}),
        (closed(successes=500), {"successes", "refusals"}),  # nobody was refused
    ],
)
def test_each_bar_of_the_overload_can_be_missed(flood: ClosedRun, missed: set[str]) -> None:
    assert {key for key, verdict in overloaded(flood).items() if not verdict.met} == missed


def test_an_overload_is_worth_nothing_when_the_calm_was_none() -> None:
    calm = closed(successes=500, refused=1)
    verdicts = overloaded(closed(successes=500, refused=9000), calm)
    assert not verdicts["successes"].met
    assert "in the calm" in verdicts["successes"].faults[0]


def test_a_wire_slower_than_the_engine_is_a_doubt() -> None:
    part = {"alone": 100.0, "wire": 300.0, "over_alone": 0.7, "net_of_wire": 0.9}
    good = batching.figures([part, part], [])["net-of-wire"]
    assert Verdict.of(ECHO, good).reliable
    odd = batching.figures([part, {**part, "net_of_wire": -1.0}], [])["net-of-wire"]
    assert not Verdict.of(ECHO, odd).reliable
    wavers = batching.figures([part, {**part, "wire": 500.0}], [])
    assert not Verdict.of(ECHO, wavers["net-of-wire"]).reliable
    assert Verdict.of(ECHO, wavers["over-alone"]).reliable
