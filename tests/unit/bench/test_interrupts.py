"""Signals that end a command, and the block in which they wait."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest

from eas_bench.interrupts import held, leave_by_the_way_out


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """As they were, afterwards."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def struck(number: signal.Signals, reached: list[bool]) -> None:
    """By a signal in the block; whose end is reached."""
    with held():
        signal.raise_signal(number)
        reached.append(True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_what_comes_within_the_block_has_its_effect_at_its_end(number: signal.Signals) -> None:
    leave_by_the_way_out()
    reached: list[bool] = []
    with pytest.raises(SystemExit) as left:
        struck(number, reached)
    assert reached
    assert left.value.code == 128 + number


def test_ctrl_c_waits_too() -> None:
    reached: list[bool] = []
    with pytest.raises(KeyboardInterrupt):
        struck(signal.SIGINT, reached)
    assert reached


def test_what_is_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    leave_by_the_way_out()
    with held():
        signal.raise_signal(signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_in_another_thread_nothing_changes() -> None:
    seen: list[object] = []

    def look() -> None:
        with held():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)]
