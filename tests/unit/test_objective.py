"""What a canary must keep to: how it is written, and when it is kept, broken, or not to be told yet."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from eas_engine.objective import FLOOR, LEAST, Bound, Broken, Holds, TooFew, Verdict, parse, verdict
from eas_engine.telemetry.comparison import Comparison, Side

counts = st.integers(0, 5000)


def side(requests: int = 0, *, errors: int = 0, measured: int | None = None, **more: Any) -> Side:
    return Side(requests=requests, errors=errors, measured=requests if measured is None else measured, **more)


def judged(objective: str, canary: Side, others: Side | None = None) -> Verdict:
    given = Comparison(seconds=60.0, canary=canary, others=others or Side())
    return verdict(given, parse(objective))


# -- how it is written


def test_its_parts_are_read_and_written_alike() -> None:
    text = "errors=1%,rejected=2x,p50=50ms,p99=1.5s"
    objective = parse(" errors=1%, rejected = 2x,p50=50ms,p99=1.5s")
    assert objective.bounds == (
        Bound("errors", 0.01, relative=False),
        Bound("rejected", 2.0, relative=True),
        Bound("p50", 0.05, relative=False),
        Bound("p99", 1.5, relative=False),
    )
    assert str(objective) == text
    assert parse(str(objective)) == objective


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no part of an objective"),
        ("errors", "write parts like errors=1%"),
        ("errors=1", "is no part"),
        ("errors=-1%", "is no part"),
        ("p95=1s", "is no part"),
        ("p99=2x,", "is no part"),
        ("errors=50ms", "errors isn't measured in ms"),
        ("p99=1%", "p99 isn't measured in %"),
        ("errors=0%", "more than 0"),
        ("errors=101%", "at most 100%"),
        ("p99=0x", "more than 0"),
        ("p99=2x,p99=1s", "p99 is bounded twice"),
    ],
)
def test_what_is_none_says_what_to_write(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse(text)


# -- errors


def test_three_requests_prove_nothing_however_they_went() -> None:
    assert isinstance(judged("errors=1%", side(3)), TooFew)
    assert isinstance(judged("errors=1%", side(3, errors=3)), TooFew)
    assert isinstance(judged("p99=1s", side(3, p99=0.01)), TooFew)
    assert isinstance(judged("p99=1s", side(3, p99=9.0)), TooFew)


def test_one_percent_holds_after_three_hundred_requests() -> None:
    assert judged("errors=1%", side(299)) == TooFew(
        "errors=1%: 299 of 300 requests that are needed, 0 errors"
    )
    assert judged("errors=1%", side(300, errors=3)) == Holds("errors=1%: 3 of 300 requests, 1% are allowed")


def test_more_errors_than_the_number_that_is_needed_may_have_break_it_at_once() -> None:
    assert judged("errors=1%", side(4, errors=4)) == Broken("errors=1%: 4 of 4 requests, 1% are allowed")
    assert isinstance(judged("errors=1%", side(1000, errors=10)), Holds)
    assert isinstance(judged("errors=1%", side(1000, errors=11)), Broken)


def test_a_multiple_is_that_of_the_others_share() -> None:
    others = side(10_000, errors=200)  # 2 %
    assert isinstance(judged("errors=2x", side(1000, errors=40), others), Holds)
    assert judged("errors=2x", side(1000, errors=41), others) == Broken(
        "errors=2x: 41 of 1000 requests, 4% are allowed"
    )


def test_a_multiple_of_nothing_is_one_of_the_floor() -> None:
    others = side(10_000)
    allowed = 2 * FLOOR
    assert isinstance(judged("errors=2x", side(1000, errors=int(1000 * allowed)), others), Holds)
    assert isinstance(judged("errors=2x", side(1000, errors=int(1000 * allowed) + 1), others), Broken)


def test_a_multiple_needs_others() -> None:
    assert isinstance(judged("errors=2x", side(5000, errors=5000), side(LEAST - 1)), TooFew)
    assert isinstance(judged("p99=2x", side(5000, p99=9.0), side(299, p99=1.0)), TooFew)


def test_rejections_are_no_errors() -> None:
    canary = side(1000, rejected=500)
    assert isinstance(judged("errors=1%", canary), Holds)
    assert isinstance(judged("rejected=1%", canary), Broken)


# -- latencies


def test_latencies_are_compared_when_there_are_enough() -> None:
    canary, others = side(300, p50=0.010, p99=0.100), side(5000, measured=300, p50=0.009, p99=0.049)
    assert judged("p99=2x", canary, others) == Broken("p99=2x: 100ms, the others 49ms")
    assert judged("p50=2x", canary, others) == Holds("p50=2x: 10ms, the others 9ms")
    assert judged("p99=100ms", canary) == Holds("p99=100ms: 100ms")
    assert judged("p99=99ms", canary) == Broken("p99=99ms: 100ms")


def test_what_is_broken_comes_before_what_cannot_be_told_and_that_before_what_holds() -> None:
    canary = side(60, errors=9, measured=60, p50=0.01, p99=0.01)
    assert judged("errors=1%,p99=2x", canary) == Broken("errors=1%: 9 of 60 requests, 1% are allowed")
    assert isinstance(judged("p50=1s,p99=1s", canary), TooFew)
    assert judged("p50=1s", canary) == Holds("p50=1s: 10ms")


# -- properties


@given(counts, counts, st.sampled_from([0.1, 1.0, 5.0, 50.0]))
def test_whatever_holds_was_within_the_share_and_had_enough(requests: int, errors: int, most: float) -> None:
    assume(errors <= requests)
    found = judged(f"errors={most}%", side(requests, errors=errors))
    share = most / 100
    if isinstance(found, Holds):
        assert errors <= share * requests + 1e-9
        assert requests >= max(LEAST, 3 / share) - 1
    elif isinstance(found, TooFew):
        assert requests < max(LEAST, 3 / share) + 1
    else:
        assert errors > share * requests


@given(counts, counts, counts, counts)
def test_once_broken_good_requests_up_to_the_number_needed_do_not_mend_it(
    requests: int, errors: int, more: int, others: int
) -> None:
    assume(errors <= requests)
    before = judged("errors=1%", side(requests, errors=errors))
    after = judged("errors=1%", side(min(300, requests + more), errors=errors), side(others))
    if isinstance(before, Broken) and requests <= 300:
        assert isinstance(after, Broken)
