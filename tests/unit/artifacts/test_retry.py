"""When another attempt is made, and after how long."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from eas_engine.artifacts.sources.retry import LONGEST_WAIT, PROGRESS, QUICK, Attempts, Policy, TransferError

BROKEN = TransferError("broken", again=True)


def test_pauses_grow_to_a_limit() -> None:
    policy = Policy(first=1.0, longest=5.0)
    assert [policy.pause(count, 1.0) for count in (1, 2, 3, 4, 50)] == [1.0, 2.0, 4.0, 5.0, 5.0]
    assert policy.pause(3, 0.0) == 2.0


@given(st.integers(1, 100), st.floats(0, 1))
def test_a_pause_is_within_its_bounds(count: int, chance: float) -> None:
    assert 0 < Policy().pause(count, chance) <= Policy().longest


def test_attempts_come_to_an_end() -> None:
    attempts = Attempts(Policy(tries=3), lambda: 1.0)
    assert [attempts.failed(BROKEN, 0) for _ in range(3)] == [0.5, 1.0, None]
    assert Attempts(QUICK, lambda: 1.0).failed(BROKEN, 0) is not None


def test_real_progress_begins_anew() -> None:
    attempts = Attempts(Policy(tries=3), lambda: 1.0)
    assert [attempts.failed(BROKEN, PROGRESS) for _ in range(20)] == [0.5] * 20
    assert attempts.failed(BROKEN, PROGRESS - 1) == 1.0


def test_spoilt_bytes_are_no_progress() -> None:
    spoilt = TransferError("wrong", again=True, spoilt=True)
    attempts = Attempts(Policy(spoilt_tries=3), lambda: 1.0)
    assert [attempts.failed(spoilt, 10 * PROGRESS) for _ in range(3)] == [0.5, 1.0, None]


def test_what_cannot_help_is_not_tried() -> None:
    assert Attempts(Policy(), lambda: 1.0).failed(TransferError("no", again=False), 0) is None


def test_what_the_server_asks_for_is_honoured_within_reason() -> None:
    asked = [TransferError("busy", again=True, after=after) for after in (30.0, 0.0, LONGEST_WAIT + 1)]
    assert [Attempts(Policy(), lambda: 1.0).failed(one, 0) for one in asked] == [30.0, 0.5, None]
