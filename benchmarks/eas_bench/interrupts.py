"""Signals that end a command: it leaves by its own way out, on which everything that it started is ended."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Final

INTERRUPTED: Final = 130
"""The exit status of what Ctrl-C ended; :func:`status` has it for the other signals."""
_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_HELD: Final = (*_ENDING, signal.SIGALRM)  # the alarm of a deed that has a time limit


class WayOut:
    """The handler of these signals: each is a KeyboardInterrupt, and the first one is remembered."""

    def __init__(self) -> None:
        self.first = 0  # 0: none came
        self._terminals = [stream for stream in (1, 2) if os.isatty(stream)]

    def __call__(self, number: int, _frame: object) -> None:
        """As signal calls it. The end of the terminal is told twice, by the kernel and by the shell."""
        is_behind = bool(self.first)
        self.note(number)
        if number == signal.SIGHUP and is_behind:
            return
        raise KeyboardInterrupt

    def note(self, number: int) -> None:
        """It came. What is still said to a terminal that has gone would be an error, and costs no results."""
        self.first = self.first or number
        if number == signal.SIGHUP:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            for stream in self._terminals:
                os.dup2(nowhere, stream)
            os.close(nowhere)


def leave_by_the_way_out() -> None:
    """SIGTERM and the end of the terminal are what Ctrl-C is: a KeyboardInterrupt.

    ``nohup`` stays what it is: a signal that is ignored remains so.
    """
    way_out = WayOut()
    for number in _ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, way_out)


def status(code: str | int | None) -> str | int | None:
    """The exit status of a command that a signal ended: 130 becomes 143 when it was SIGTERM."""
    for number in _ENDING:
        handler = signal.getsignal(number)
        if code == INTERRUPTED and isinstance(handler, WayOut) and handler.first:
            return 128 + handler.first
    return code


@contextlib.contextmanager
def gently(deed: Callable[[], object]) -> Iterator[None]:
    """Within the block the first of them does this, wherever it strikes; the next one ends the block.

    Only the main thread can be interrupted; in others it changes nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _ENDING}
    ours = {number: handler for number, handler in before.items() if callable(handler)}

    def restore() -> None:
        for number, handler in ours.items():
            signal.signal(number, handler)

    def interrupted(number: int, _frame: object) -> None:
        restore()
        handler = ours[signal.Signals(number)]
        if isinstance(handler, WayOut):
            handler.note(number)
        deed()

    for number in ours:
        signal.signal(number, interrupted)
    try:
        yield
    finally:
        restore()


@contextlib.contextmanager
def held() -> Iterator[None]:
    """What of them, or of an alarm, comes within the block has its effect at its end.

    For the moment between the start of a process and the note of who ends it. Only the main thread is
    interrupted; in others it changes nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {number: signal.getsignal(number) for number in _HELD}
    ours = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    for number in ours:
        signal.signal(number, lambda number, _: came.append(number))
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, before[number])
        for first in came[:1]:
            signal.raise_signal(first)
