"""Signals that end a command, and the block in which they wait."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest

from eas_bench.interrupts import INTERRUPTED, WayOut, gently, held, leave_by_the_way_out, status


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
    with pytest.raises(KeyboardInterrupt):
        struck(number, reached)
    assert reached
    assert status(INTERRUPTED) == 128 + number


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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_is_taken_gently_and_the_next_one_ends_it(number: signal.Signals) -> None:
    """SIGTERM once threw away what a sweep, a soak or a chaos had measured."""
    leave_by_the_way_out()
    done: list[str] = []

    def block() -> None:
        with gently(lambda: done.append("asked")):
            signal.raise_signal(number)
            done.append("went on")
            signal.raise_signal(number)
            done.append("not reached")

    with pytest.raises(KeyboardInterrupt):
        block()
    assert done == ["asked", "went on"]
    assert status(INTERRUPTED) == 128 + number
    assert isinstance(signal.getsignal(number), WayOut)


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_end_of_a_terminal_behind_another_signal_is_nobody_s_impatience(first: signal.Signals) -> None:
    """Kernel and shell say it, one after the other; the results were lost between the two."""
    leave_by_the_way_out()
    done: list[str] = []
    with gently(lambda: done.append("asked")):
        signal.raise_signal(first)
        signal.raise_signal(signal.SIGHUP)
        done.append("went on")
    signal.raise_signal(signal.SIGHUP)  # while they are written
    assert done == ["asked", "went on"]
    assert status(INTERRUPTED) == 128 + first
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)


def test_who_asked_for_no_way_out_is_ended_by_sigterm_as_ever() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with gently(lambda: None):
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("code", [0, 1, 2, None])
def test_only_an_interrupted_command_has_another_exit_status(code: int | None) -> None:
    leave_by_the_way_out()
    with gently(lambda: None):
        signal.raise_signal(signal.SIGTERM)
    assert status(code) is code


def test_without_a_signal_it_was_ctrl_c() -> None:
    leave_by_the_way_out()
    assert status(INTERRUPTED) == INTERRUPTED


def test_in_another_thread_nothing_changes() -> None:
    seen: list[object] = []

    def look() -> None:
        with held():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)]
