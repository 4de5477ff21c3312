"""The highest or lowest of the last seconds, against the plain way of finding it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from eas_engine.supervisor.autoscale.window import Window

STEPS = st.lists(st.tuples(st.floats(0, 5), st.integers(0, 9)), min_size=1, max_size=40)


@given(steps=STEPS, seconds=st.sampled_from([0.0, 1.0, 4.0, 1e9]), highest=st.booleans())
def test_it_is_the_highest_or_lowest_of_what_is_recent(
    steps: list[tuple[float, int]], seconds: float, highest: bool
) -> None:
    window, now, seen = Window(highest, seconds), 0.0, []
    for pause, value in steps:
        now += pause
        seen.append((now, value))
        window = window.add(now, value)
        recent = [one for at, one in seen[:-1] if now - at < seconds] + [value]
        assert window.value == (max if highest else min)(recent)
        assert len(window.entries) <= 10, "no more than there are different values"


def test_another_length_holds_from_the_next_value_on() -> None:
    window = Window(highest=True, seconds=10.0).add(0.0, 5).add(1.0, 3)
    assert window.lasting(0.0).add(2.0, 1).value == 1
    assert window.lasting(10.0).add(2.0, 1).value == 5
