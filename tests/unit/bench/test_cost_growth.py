"""How a cost grows: flat, in proportion, or faster; noise doesn't change the answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_bench.scenarios.growth import LINEAR, exponent, growth

XS = [64.0, 1024.0, 16384.0, 65536.0, 262144.0, 1048576.0]
FEW = [1.0, 2.0, 4.0, 8.0]
noise = st.lists(st.floats(0.96, 1.04), min_size=6, max_size=6)
positive = st.floats(1e-3, 1e3)


def curve(xs: list[float], ys: list[float]) -> list[tuple[float, float]]:
    return list(zip(xs, ys, strict=True))


@given(positive, noise)
def test_what_only_noise_moves_is_flat(level: float, noises: list[float]) -> None:
    told = growth(curve(XS, [level * each for each in noises]))
    assert told.shape == "flat"
    assert told.exponent <= 0.1


@given(positive, st.floats(1e-6, 10), noise, st.sampled_from([XS, FEW, [0.0, 1000.0, 10000.0]]))
def test_a_line_is_linear_or_flat_whatever_its_fixed_part(
    fixed: float, each: float, noises: list[float], xs: list[float]
) -> None:
    told = growth(curve(xs, [(fixed + each * x) * noises[index] for index, x in enumerate(xs)]))
    assert told.shape in {"flat", "linear"}
    assert told.exponent <= LINEAR


def test_the_line_is_found() -> None:
    told = growth(curve(XS, [7.0 + 0.001 * x for x in XS]))
    assert [told.fixed, told.each] == pytest.approx([7.0, 0.001])
    assert told.off < 1e-9
    assert told.words == "linear"


def test_a_line_through_less_than_nothing_begins_at_nothing() -> None:
    told = growth([(1, 0.5), (2, 1.6), (4, 3.9)])
    assert told.fixed == 0
    assert told.each > 0


@given(positive, st.floats(1.45, 3), noise, st.sampled_from([XS, FEW]))
def test_what_grows_faster_is_steeper(
    level: float, power: float, noises: list[float], xs: list[float]
) -> None:
    told = growth(curve(xs, [level * x**power * noises[index] for index, x in enumerate(xs)]))
    assert told.exponent > LINEAR
    assert told.exponent == pytest.approx(power, abs=0.15)


def test_far_from_a_line_the_exponent_says_on_which_side() -> None:
    assert growth(curve(XS, [x**0.3 for x in XS])).words == "gentler than linear"
    assert growth(curve(XS, [x**1.6 for x in XS])).words == "steeper than linear"
    assert growth(curve(FEW, [9, 7, 4, 3])).words == "falling"


@given(st.lists(positive, min_size=4, max_size=4), st.floats(0.1, 10))
def test_the_exponent_knows_no_units(ys: list[float], unit: float) -> None:
    assert exponent(curve(FEW, [y * unit for y in ys])) == pytest.approx(exponent(curve(FEW, ys)), abs=1e-6)


def test_the_exponent_compares_only_what_lies_apart() -> None:
    assert exponent([(1, 1), (2, 100)]) == 0
    assert exponent([(0, 1), (1000, 1.1)]) == 0  # nothing is a multiple of nothing
    assert exponent([(1, 100), (100, 1)]) == 0


@pytest.mark.parametrize(
    "points", [[], [(1, 1)], [(2, 1), (1, 1)], [(1, 1), (1, 2)], [(-1, 1), (1, 1)], [(1, 0), (2, 1)]]
)
def test_what_is_no_curve_is_refused(points: list[tuple[float, float]]) -> None:
    with pytest.raises(ValueError, match=r"a curve has|a cost is"):
        growth(points)
