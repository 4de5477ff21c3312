"""What was measured, held against what is asked."""

from __future__ import annotations

import pytest

from eas_bench.spine import bars
from eas_bench.spine.bars import Bar, Verdict
from eas_bench.spine.figures import ClosedRun, Latency, Pair
from eas_bench.spine.scenarios import resident


def closed(
    *, successes: int, p99: float = 110, refused: int = 0, refused_p99: float = 1, resets: int = 0
) -> ClosedRun:
    statuses = {200: Latency(count=successes, p50_ms=1, p99_ms=p99, max_ms=p99)}
    if refused:
        statuses[450] = Latency(count=refused, p50_ms=1, p99_ms=refused_p99, max_ms=refused_p99)
    return ClosedRun(
        seconds=1, resets=resets, refused=0, cut=0, reconnects=refused, oldest_ms=0, statuses=statuses
    )


def overloaded(flood: ClosedRun, calm: ClosedRun | None = None) -> dict[str, Verdict]:
    pairs = [Pair(calm or closed(successes=500), flood)] * 3
    return {verdict.bar.key.removeprefix("overload-"): verdict for verdict in bars.overload(pairs)}


@pytest.mark.parametrize(
    ("sense", "below", "equal", "above"),
    [("at least", False, True, True), ("at most", True, True, False), ("under", True, False, False)],
)
def test_a_bar_says_on_which_side_of_it_is_good(sense: str, *, below: bool, equal: bool, above: bool) -> None:
    bar = Bar("x", "x", sense, 0.45)  # type: ignore[arg-type]
    assert [bar.met_by(value) for value in (0.44, 0.45, 0.46)] == [below, equal, above]


def test_the_median_decides_whatever_the_extremes() -> None:
    verdict = Verdict.of(bars.ECHO[64], [0.9, 0.46, 0.1])
    assert verdict.met
    assert (verdict.value, verdict.low, verdict.high) == (0.46, 0.1, 0.9)
    assert not Verdict.of(bars.ECHO[64], [0.9, 0.44, 0.1]).met


def test_a_figure_with_faults_meets_no_bar() -> None:
    assert not Verdict.of(bars.ECHO[64], [0.9], faults=["3 requests of the engine failed"]).met


def test_a_reference_that_wavers_makes_a_figure_unreliable() -> None:
    assert Verdict.of(bars.ECHO[64], [0.9], wavering=1.5).reliable
    assert not Verdict.of(bars.ECHO[64], [0.9], wavering=1.51).reliable


def test_so_do_others_on_the_machine_and_too_few_rounds() -> None:
    verdict = Verdict.of(bars.ECHO[64], [0.9])
    assert verdict.with_doubts(0.2, 3).reliable
    assert "others took 0.30 cores" in verdict.with_doubts(0.3, 3).doubts[0]
    assert "too few rounds: 2" in verdict.with_doubts(0.1, 2).doubts[0]
    assert verdict.with_doubts(0.1, None).reliable
    assert verdict.with_doubts(0.3, 2).met  # a doubt isn't a fault


def test_the_bars_are_those_that_were_asked_for() -> None:
    limits = {bar.key: (bar.sense, bar.limit) for bar in (*bars.ECHO.values(), bars.LARGE, bars.OVERLOAD_P99)}
    assert limits == {
        "echo-64": ("at least", 0.45),
        "echo-16": ("at least", 0.35),
        "echo-1": ("at most", 2.2),
        "large": ("at least", 0.6),
        "overload-p99": ("at most", 158),
    }


def test_a_good_overload_meets_every_bar() -> None:
    verdicts = overloaded(closed(successes=490, p99=158, refused=9000, refused_p99=10))
    assert {key: verdict.met for key, verdict in verdicts.items()} == dict.fromkeys(
        ("successes", "p99", "rejections", "broken"), True
    )
    assert verdicts["successes"].value == 0.98


@pytest.mark.parametrize(
    ("flood", "missed"),
    [
        (closed(successes=480, refused=9000), {"successes"}),
        (closed(successes=500, p99=159, refused=9000), {"p99"}),
        (closed(successes=500, refused=9000, refused_p99=10.1), {"rejections"}),
        (closed(successes=500, refused=9000, resets=1), {"broken"}),
        (closed(successes=500), {"successes", "rejections"}),  # nobody was refused
    ],
)
def test_each_bar_of_the_overload_can_be_missed(flood: ClosedRun, missed: set[str]) -> None:
    assert {key for key, verdict in overloaded(flood).items() if not verdict.met} == missed


def test_an_overload_is_worth_nothing_when_sixty_were_too_many_already() -> None:
    calm = closed(successes=500, refused=1)
    verdicts = overloaded(closed(successes=500, refused=9000), calm)
    assert not verdicts["successes"].met
    assert "60 connections" in verdicts["successes"].faults[0]


def test_resident_memory_is_read_by_kind() -> None:
    status = "Name:\tpython\nRssAnon:\t   40000 kB\nRssFile:\t   19900 kB\nRssShmem:\t 100 kB\n"
    assert resident(status) == {"RssAnon": 40000 * 1024, "RssFile": 19900 * 1024, "RssShmem": 100 * 1024}
