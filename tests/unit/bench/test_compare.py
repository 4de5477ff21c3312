"""Two sides compared: the figures, where the interval comes from, and whether it holds what it promises."""

from __future__ import annotations

import io
import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from eas_bench import compare, latency, record, seconds
from eas_bench.cli import app
from eas_bench.cli.compare import show
from eas_bench.compare import Incomparable
from eas_bench.record import Generator, Interval, Percentiles, Run, Tally
from support.bench_runs import a_run, without_answers

INVALID = Generator(limit=1, late_p99=0, cpu_seconds=1, invalid=["it was the limit itself"])


def a_tally(good: int, refused: int = 0) -> Tally:
    statuses = {"200": good, "450": refused}
    return Tally(sent=good + refused, statuses=statuses, failures={}, bytes_sent=0, bytes_received=0)


def at(minute: int, *, rate: float = 1000, us: int = 2000, refused: int = 0, **changes: Any) -> Run:
    """A run of ten seconds that began in that minute; every good answer took the same time."""
    histogram = latency.empty()
    histogram.record_value(us, round(10 * rate))
    text = latency.encoded(histogram)
    fields: dict[str, Any] = {
        "taken": f"2026-11-29T02:{minute:02}:00Z",
        "tally": a_tally(round(10 * rate), refused),
        "latency": {"200": text, "all": text},
        "seconds": 10,
        **changes,
    }
    return a_run(seconds=1, rate=1).model_copy(update=fields)


def named(comparison: compare.Comparison) -> dict[str, compare.Change]:
    return {change.name: change for change in comparison.changes}


def test_pairs_in_turns_don_t_mind_that_the_machine_slows_down() -> None:
    """It loses half its speed in the meantime; b is a tenth faster in each pair."""
    a = [at(minute, rate=1000 - 100 * minute) for minute in (0, 2, 4)]
    b = [at(minute + 1, rate=1.1 * (1000 - 100 * minute)) for minute in (0, 2, 4)]
    comparison = compare.compare(a, b)
    rate = named(comparison)["rate"].by
    assert comparison.basis == "pairs"
    assert rate.figure == pytest.approx(0.1, abs=1e-3)
    assert 0.099 < rate.low <= rate.high < 0.101
    assert not [note for note in comparison.notes if "turns" in note]


def test_a_b_b_a_is_in_turns_and_a_a_b_b_is_not() -> None:
    runs = [at(minute, rate=1000 + minute) for minute in range(4)]
    assert compare.compare([runs[0], runs[3]], [runs[1], runs[2]]).basis == "pairs"
    blocks = compare.compare(runs[:2], runs[2:])
    assert blocks.basis == "runs"
    assert any("weren't taken in turns" in note for note in blocks.notes)
    assert compare.compare(runs[:2], [runs[3], runs[2]]).basis == "runs"


def test_runs_needn_t_be_given_in_order() -> None:
    runs = [at(minute, rate=1000 + 300 * (minute % 2) + 50 * minute) for minute in range(6)]
    a, b = runs[::2], runs[1::2]
    assert compare.compare(a[::-1], b) == compare.compare(a, b)


def test_the_figures_of_both_sides() -> None:
    a = [at(0, rate=1000, us=2000), at(2, rate=4000, us=2000)]
    b = [at(1, rate=1000, us=3000, refused=100), at(3, rate=4000, us=3000, refused=400)]
    changes = named(compare.compare(a, b))
    assert changes["rate"].a == changes["rate"].b == pytest.approx(2000)
    assert changes["p50"].by.figure == changes["p99"].by.figure == pytest.approx(0.5, rel=0.002)
    assert changes["errors"].a == 0
    assert changes["errors"].b == pytest.approx(100 / 10_100)
    assert changes["errors"].by.figure == pytest.approx(100 / 10_100)


def test_other_way_round_is_the_inverse() -> None:
    chance = random.Random(3)
    a = [at(2 * n, rate=1000 * chance.uniform(0.9, 1.1)) for n in range(4)]
    b = [at(2 * n + 1, rate=1000 * chance.uniform(0.9, 1.1)) for n in range(4)]
    there, back = named(compare.compare(a, b))["rate"].by, named(compare.compare(b, a))["rate"].by
    assert (1 + there.figure) * (1 + back.figure) == pytest.approx(1)
    assert (1 + there.low) * (1 + back.high) == pytest.approx(1)


def test_one_run_a_side_says_that_it_can_t_speak_of_other_runs() -> None:
    comparison = compare.compare([a_run(seed=1)], [a_run(seed=2, median_us=2200)])
    assert comparison.basis == "seconds"
    assert "no interval across runs can be given" in " ".join(comparison.notes)
    p50 = named(comparison)["p50"].by
    assert p50.low < p50.figure < p50.high
    assert p50.figure == pytest.approx(0.1, abs=0.05)


def test_of_short_runs_not_even_their_steadiness_is_known() -> None:
    comparison = compare.compare([a_run(seconds=3)], [a_run(seconds=3, seed=2)])
    change = named(comparison)["rate"]
    assert (change.by.low, change.by.high) == (-math.inf, math.inf)
    assert not change.loss.sure
    document = comparison.document()["changes"]["rate"]
    assert (document["low"], document["high"]) == (None, None)


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        ([], [at(0)], "side A has no run"),
        ([at(0)], [at(1, generator=INVALID)], "side B: .* says nothing about the server: it was the limit"),
        ([without_answers()], [at(1)], "side A: .* has no good answer"),
        ([at(0), at(1)], [at(2)], "how much a single one varies"),
        (
            [at(0), at(1, asked=at(0).asked.model_copy(update={"body_bytes": [600_000]}))],
            [at(2), at(3)],
            r"side A: its runs differ in body_bytes \(\[64\] and \[600000\]\)",
        ),
        (
            [at(0), at(1)],
            [at(2), at(3, load=at(0).load.model_copy(update={"rate": 500.0}))],
            "side B: its runs differ in rate",
        ),
    ],
)
def test_what_can_t_be_compared_is_refused_with_words(a: Sequence[Run], b: Sequence[Run], words: str) -> None:
    with pytest.raises(Incomparable, match=words):
        compare.compare(a, b)


def test_other_work_or_another_machine_is_told() -> None:
    other = at(1, load=at(0).load.model_copy(update={"connections": 8}), machine={"cpu": "Another"})
    notes = compare.compare([at(0)], [other]).notes
    assert "A and B differ in connections (64 and 8)" in notes
    assert any("different machines: cpu is Some CPU at 2.5 GHz and Another" in note for note in notes)


def loaded(**changes: Any) -> Run:
    """The same run under another load."""
    return at(1, load=at(0).load.model_copy(update=changes))


def sized(*sizes: int) -> Run:
    return at(1, asked=at(0).asked.model_copy(update={"body_bytes": list(sizes)}))


CLOSED: dict[str, Any] = {"kind": "closed", "rate": None, "arrivals": None, "connections": 8}


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (loaded(rate=0.5), r"rate \(1 and 0\.5\)"),
        (loaded(arrivals="bursts", burst=3), r"arrivals \(constant and bursts\), burst \(none and 3\)"),
        (loaded(**CLOSED), r"the load \(open loop, 1/s, and closed loop, 8 connections\)\. Measure"),
        (sized(600_000), r"body_bytes \(\[64\] and \[600000\]\)"),
        (at(1, seconds=41), r"how long they were measured \(10 s and 41 s\)"),
    ],
)
def test_sides_that_were_asked_different_things_are_refused(other: Run, words: str) -> None:
    """``--fail-if-worse`` once passed when B was asked for half of A's rate: at half of it all is better."""
    for sides in ([at(0)], [other]), ([at(0), at(2)], [other, other]):
        with pytest.raises(Incomparable, match=words):
            compare.compare(*sides)
    forced = compare.compare([at(0)], [other], anyway=True)
    assert "asked different things" in forced.notes[0]


def test_an_invalid_run_is_refused_with_a_way_out_and_compared_anyway_with_a_loud_mark(
    tmp_path: Path,
) -> None:
    """On a shared machine each run may be one; there was no way out, not even ``--anyway``."""
    sides = [at(0)], [at(1, generator=INVALID)]
    with pytest.raises(Incomparable, match=r"lower --rate.*quieter machine.*in turns.*--anyway"):
        compare.compare(*sides)
    forced = compare.compare(*sides, anyway=True)
    (mark,) = forced.invalid
    assert mark.startswith("B: the run 'echo, 64 B' of 2026-11-29T02:01:00Z: it was the limit itself")
    assert forced.document()["invalid"] == [mark]
    assert shown(forced).startswith(f"INVALID: {mark}")
    assert compare.compare([at(0)], [at(1)]).invalid == ()
    files = [tmp_path / f"{name}.json" for name in "ab"]
    for file, side in zip(files, sides, strict=True):
        record.write(side[0], file)
    told = CliRunner().invoke(app, ["compare", *map(str, files), "--anyway", "--fail-if-worse", "5%"])
    assert (told.exit_code, "an invalid run proves nothing" in told.output) == (2, True)


def test_an_interval_that_nobody_can_read_is_called_unbounded() -> None:
    """It was shown as ``-100.0% .. +54211737.9%``."""
    a, b = [at(0, us=1000), at(2, us=400_000)], [at(1, us=200_000), at(3, us=1500)]
    text = shown(compare.compare(a, b))
    assert "unbounded: too few runs" in text
    assert "-100.0%" not in text
    steady = [at(minute, us=1000 + minute) for minute in range(6)]
    assert "unbounded" not in shown(compare.compare(steady[::2], steady[1::2]))


def shown(comparison: compare.Comparison) -> str:
    file = io.StringIO()
    show(comparison, {}, Console(file=file, width=200))
    return file.getvalue()


def test_of_a_closed_loop_the_connections_are_the_load() -> None:
    with pytest.raises(Incomparable, match=r"different things.*: connections \(8 and 16\)"):
        compare.compare([loaded(**CLOSED)], [loaded(**{**CLOSED, "connections": 16})])


def test_what_is_compared_on_purpose_may_differ_and_is_told() -> None:
    """Another server, by another protocol, with rows in another form, measured somewhat longer."""
    asked = at(0).asked.model_copy(update={"url": "http://h/x", "protocol": "grpc", "body_bytes": [66]})
    notes = compare.compare([at(0)], [at(1, asked=asked, seconds=30)]).notes
    assert "A and B differ in protocol (http and grpc)" in notes
    assert "A and B differ in body_bytes ([64] and [66])" in notes
    assert not any("different things" in note for note in notes)


def test_a_run_that_was_ended_early_is_told() -> None:
    notes = compare.compare([at(0)], [at(1, notes=["stopped after 7.0 of 10 s"])]).notes
    assert any(note.startswith("B: the run") and "before its time" in note for note in notes)


# -- what fails


def test_bounds() -> None:
    assert compare.bounds("5%") == {"rate": 0.05, "p50": 0.05, "p99": 0.05, "errors": 0.0}
    assert compare.bounds("p99=10%, errors=0.5%") == {"p99": 0.1, "errors": 0.005}


@pytest.mark.parametrize(
    "text", ["", "5", "-5%", "x%", "p98=5%", "p99=5%,p99=6%", "p99=", "p99", "nan%", "inf%"]
)
def test_what_is_no_bound_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write"):
        compare.bounds(text)


def test_worse_is_less_of_a_rate_and_more_of_a_latency() -> None:
    a = [at(2 * n, rate=1000 + n, us=2000) for n in range(3)]
    b = [at(2 * n + 1, rate=900 + n, us=2200, refused=50) for n in range(3)]
    worse, better = named(compare.compare(a, b)), named(compare.compare(b, a))
    for name in ("rate", "p50", "p99", "errors"):
        assert worse[name].fails(0.0)
        assert not worse[name].fails(0.2)
        assert not better[name].fails(0.0)


def test_noise_fails_nothing_but_isn_t_taken_for_a_proof() -> None:
    """Six percent slower on average, but the pairs contradict each other."""
    a = [at(0, rate=1000), at(2, rate=1000), at(4, rate=1000)]
    b = [at(1, rate=1100), at(3, rate=850), at(5, rate=870)]
    rate = named(compare.compare(a, b))["rate"]
    assert rate.loss.figure > 0.05
    assert not rate.fails(0.05)
    assert rate.may_fail(0.05)
    assert not rate.may_fail(5.0)


# -- coverage


SOME = a_run(seconds=1, rate=1)


def seconds_of(values: Sequence[float]) -> Run:
    """A run whose seconds had these rates, and these p99s."""
    return SOME.model_copy(
        update={
            "intervals": [
                Interval(
                    start=start,
                    seconds=1,
                    tally=a_tally(round(value)),
                    latency=Percentiles(p50=1, p90=1, p99=round(value), p999=round(value), max=round(value)),
                )
                for start, value in enumerate(values)
            ]
        }
    )


def wave(chance: random.Random, count: int, memory: float) -> list[float]:
    """Noise of unit spread in which each value is like the one before, as far as ``memory`` says."""
    value, values = chance.gauss(0, 1), []
    for _ in range(count):
        value = memory * value + math.sqrt(1 - memory**2) * chance.gauss(0, 1)
        values.append(value)
    return values


@pytest.mark.parametrize(("memory", "least"), [(0.0, 0.92), (0.5, 0.90)])
@pytest.mark.parametrize("figure", ["rate", "p99"])
def test_the_steadiness_of_seconds_holds_the_true_difference(
    figure: str, memory: float, least: float
) -> None:
    """As often as it says, and nearly as often when a second is like the one before."""
    chance, trials, held = random.Random(11), 200, 0
    for _ in range(trials):
        sides = [
            seconds_of([size * math.exp(0.1 * value) for value in wave(chance, 60, memory)])
            for size in (1e6, 1.1e6)
        ]
        found = seconds.difference(sides[0], sides[1], figure, 0.95)
        assert found is not None
        held += found.low <= math.log(1.1) <= found.high
    assert least <= held / trials <= 0.98


def test_of_errors_the_shares_are_subtracted() -> None:
    chance = random.Random(1)
    a, refused = seconds_of([100] * 30), [chance.randint(0, 10) for _ in range(30)]
    b = a.model_copy(
        update={
            "intervals": [
                one.model_copy(update={"tally": a_tally(100 - less, less)})
                for one, less in zip(a.intervals, refused, strict=True)
            ]
        }
    )
    found = seconds.difference(a, b, "errors", 0.95)
    assert found is not None
    assert found.figure == pytest.approx(sum(refused) / 3000)
    assert 0.02 < found.low < found.figure < found.high < 0.1


def test_seconds_in_which_nothing_ended_don_t_count() -> None:
    """Thirty of them; in nine something did: too few to say anything."""
    quiet = seconds_of([100] * 9 + [0] * 30)
    assert seconds.difference(quiet, seconds_of([100] * 30), "p99", 0.95) is None
