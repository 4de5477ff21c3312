"""Objectives: how they are written, and whether a run met one."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eas_bench import latency, slo
from eas_bench.record import Run, Tally
from support.bench_runs import a_run, without_answers


def a_run_of(*good: int, refused: int = 0, lost: int = 0) -> Run:
    """These latencies (us) of 200s, so many 450s in a microsecond each, so many timeouts."""
    ok, full = latency.empty(), latency.empty()
    for us in good:
        ok.record_value(us)
    for _ in range(refused):
        full.record_value(1)
    tally = Tally(
        sent=len(good) + refused + lost,
        statuses={"200": len(good), "450": refused},
        failures={"timeout": lost},
        bytes_sent=0,
        bytes_received=0,
    )
    histograms = {"200": ok, "450": full, "all": latency.merged({"200": ok, "450": full})}
    return a_run(
        seconds=1, tally=tally, latency={name: latency.encoded(one) for name, one in histograms.items()}
    )


@pytest.mark.parametrize(
    ("text", "figure", "most"),
    [
        ("p50=800us", "p50", 800),
        ("p90 = 1.5ms", "p90", 1500),
        ("p99=50 ms", "p99", 50_000),
        ("p999=.5s", "p99.9", 500_000),
        ("p99.9=2s", "p99.9", 2_000_000),
        ("max=10s", "max", 10_000_000),
        ("errors=0.1%", "errors", 0.001),
        ("errors=0%", "errors", 0),
    ],
)
def test_a_term(text: str, figure: str, most: float) -> None:
    (term,) = slo.parse(text).terms
    assert term.figure == figure
    assert term.most == pytest.approx(most)


@given(
    st.lists(
        st.tuples(st.sampled_from([*slo.QUANTILES, "errors"]), st.integers(1, 9_999)),
        min_size=1,
        unique_by=lambda pair: pair[0],
    )
)
def test_what_is_written_can_be_read_again(pairs: list[tuple[str, int]]) -> None:
    terms = tuple(
        slo.Term(figure, number / 10_000 if figure == "errors" else float(number)) for figure, number in pairs
    )
    again = slo.parse(str(slo.Objective(terms)))
    assert [term.figure for term in again.terms] == [term.figure for term in terms]
    assert [term.most for term in again.terms] == pytest.approx([term.most for term in terms], rel=0.006)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is no term"),
        ("p99", "is no term"),
        ("p99=", "is no term"),
        ("p98=5ms", "is no term"),
        ("p99=5", "is no term"),
        ("p99=5 minutes", "is no term"),
        ("p99=-5ms", "is no term"),
        ("p99=50%", "isn't measured in %"),
        ("errors=5ms", "isn't measured in ms"),
        ("errors=101%", "at most 100%"),
        ("p99=0ms", "allow 1us or more"),
        ("p99=5ms,p99=6ms", "bounded twice"),
        ("p999=5ms,p99.9=6ms", "bounded twice"),
        ("p99=5ms,", "is no term"),
    ],
)
def test_what_is_no_objective_is_refused_with_words(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        slo.parse(text)


def test_each_term_has_its_figure() -> None:
    run = a_run_of(*range(1, 1001), refused=1)
    verdict = slo.judge(run, slo.parse("p50=1ms,p99=980us,max=1s,errors=0.05%"))
    assert [round(term.figure, 4) for term in verdict.terms] == [500, 990, 1000, 0.001]
    assert [term.met for term in verdict.terms] == [True, False, True, False]
    assert not verdict.met
    assert "p99 990us, more than 980us" in str(verdict)
    assert "errors 0.0999%, more than 0.05%" in str(verdict)


def test_quick_refusals_improve_nothing() -> None:
    """Nine of ten are refused in a microsecond; the tenth takes a second."""
    run = a_run_of(*[1_000_000] * 10, refused=90)
    with_errors = slo.judge(run, slo.parse("p50=5ms,errors=95%"))
    assert with_errors.terms[0].figure == pytest.approx(1_000_000, rel=0.001)
    assert not with_errors.met
    alone = slo.judge(run, slo.parse("p50=5s"))
    assert math.isinf(alone.terms[0].figure)
    assert "p50 endless" in str(alone)


def test_lost_requests_count_as_endlessly_late_unless_errors_bound_them() -> None:
    run = a_run_of(*[100] * 980, lost=20)
    assert not slo.judge(run, slo.parse("p99=50ms")).met
    assert slo.judge(run, slo.parse("p90=50ms")).met
    assert slo.judge(run, slo.parse("p99=50ms,errors=2%")).met


def test_a_run_without_an_answer_meets_nothing() -> None:
    verdict = slo.judge(without_answers(), slo.parse("p50=10s,errors=99%"))
    assert [term.met for term in verdict.terms] == [False, False]


def test_a_figure_of_few_requests_is_marked() -> None:
    objective = slo.parse("p99=1s,errors=0.1%")
    assert objective.needs == 3000
    few = slo.judge(a_run_of(*[100] * 999), objective)
    assert [term.few for term in few.terms] == [True, True]
    assert "1000 or more would say something" in str(few)
    assert not any(term.few for term in slo.judge(a_run_of(*[100] * 3000), objective).terms)


@settings(max_examples=20, deadline=None)  # a histogram takes milliseconds
@given(st.lists(st.integers(1, 60_000_000), min_size=1, max_size=60), st.integers(0, 20), st.integers(0, 20))
def test_a_percentile_is_that_of_the_sorted_latencies(good: list[int], refused: int, lost: int) -> None:
    run = a_run_of(*good, refused=refused, lost=lost)
    for name, quantile in slo.QUANTILES.items():
        (term,) = slo.judge(run, slo.Objective((slo.Term(name, 1e6),))).terms
        everything = sorted([float(us) for us in good] + [math.inf] * (refused + lost))
        expected = everything[max(1, math.ceil(quantile * len(everything) - 1e-9)) - 1]
        assert term.figure == pytest.approx(expected, rel=0.002)
