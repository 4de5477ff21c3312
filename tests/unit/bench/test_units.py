"""Figures in words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_bench import units
from eas_bench.record import Percentiles


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "-"),
        (0, "0 us"),
        (870, "870 us"),
        (999.6, "1 ms"),
        (2034, "2.03 ms"),
        (45_000, "45 ms"),
        (1_500_000, "1.5 s"),
        (3_600_000_000, "3,600 s"),
    ],
)
def test_a_latency_has_the_unit_that_fits(value: float | None, words: str) -> None:
    assert units.micros(value) == words


@given(st.floats(0, 3.6e9))
def test_a_latency_in_words_is_right_to_three_digits(value: float) -> None:
    number, unit = units.micros(value).replace(",", "").split()
    back = float(number) * {"us": 1, "ms": 1e3, "s": 1e6}[unit]
    assert back == pytest.approx(value, rel=0.0051, abs=1e-6)
    assert float(number) < 1000 or unit == "s"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0"),
        (0.0123, "0.0123"),
        (0.00000123, "0.000001"),
        (7.5, "7.5"),
        (99.96, "100"),
        (52_000, "52,000"),
    ],
)
def test_three_digits_and_all_of_the_whole_part(value: float, words: str) -> None:
    assert units.short(value) == words


@pytest.mark.parametrize(
    ("value", "words"), [(64, "64 B"), (999.7, "1 kB"), (1_250_000, "1.25 MB"), (5e17, "500 PB")]
)
def test_sizes(value: float, words: str) -> None:
    assert units.size(value) == words


@pytest.mark.parametrize(
    ("part", "whole", "words"),
    [
        (0, 0, "-"),
        (0, 9, "0%"),
        (9, 9, "100%"),
        (1, 8, "12.5%"),
        (1, 1_000_000, "<0.01%"),
        (999_999, 1_000_000, ">99.99%"),
    ],
)
def test_a_small_share_is_never_none_and_nearly_all_is_never_all(part: int, whole: int, words: str) -> None:
    assert units.share(part, whole) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.25, "0.2 s"),
        (12.4, "12 s"),
        (119.4, "119 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 05 min"),
        (90_000, "25 h 00 min"),
    ],
)
def test_lengths_of_time(value: float, words: str) -> None:
    assert units.seconds(value) == words


def test_the_five_latencies() -> None:
    assert units.latencies(None) == ("-",) * 5
    told = Percentiles(p50=1, p90=2_000, p99=3_000_000, p999=4_000_000, max=5_000_000)
    assert units.latencies(told) == ("1 us", "2 ms", "3 s", "4 s", "5 s")


def test_nothing_steers_the_terminal() -> None:
    assert units.plain("a\x1b[31m\nb\u202ec\x00") == "a\ufffd[31m\ufffdb\ufffdc\ufffd"
    assert units.plain("Größe, 負荷") == "Größe, 負荷"
