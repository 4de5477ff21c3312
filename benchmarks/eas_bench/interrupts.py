"""Signals that end a command: it leaves by its own way out, on which everything that it started is ended."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Final

_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)


def leave_by_the_way_out() -> None:
    """SIGTERM and the end of the terminal raise SystemExit, as Ctrl-C raises KeyboardInterrupt.

    ``nohup`` stays what it is: a signal that is ignored remains so.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda number, _: sys.exit(128 + number))


@contextlib.contextmanager
def held() -> Iterator[None]:
    """What of them comes within the block has its effect at its end.

    For the moment between the start of a process and the note of who ends it. Only the main thread is
    interrupted; in others it changes nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {number: signal.getsignal(number) for number in _ENDING}
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
