"""The stacks of all threads, into the log, for a call that never ends.

Two ways, because neither sees everything:

* A signal of the engine's (``SIGNAL``), which faulthandler answers in C: it works while a thread holds the
  interpreter's lock and never gives it back, or sits in a C call. It shows the Python part of every thread.
* The control message ``dump``, answered by a Python thread: it needs the lock, and shows what the adapter
  knows beside Python (the stacks of Java threads).

The signal is a real-time one near the end of their range: processors and libraries that use such signals
begin at the low end (glibc keeps the first two, and debuggers and runtimes follow).
"""

from __future__ import annotations

import faulthandler
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Callable, Optional

if TYPE_CHECKING:
    from typing import TextIO

SIGNAL = int(signal.SIGRTMAX) - 2


def arm(stream: Optional[TextIO] = None) -> None:
    """Answer the signal from now on, in whatever thread it comes to; interrupted system calls go on."""
    with suppress(ValueError, OSError, AttributeError):  # stderr is closed, or has no descriptor
        faulthandler.register(SIGNAL, file=stream or sys.stderr, all_threads=True, chain=False)


def now(dump_threads: Optional[Callable[[], str]] = None) -> None:
    """Write the stacks of all threads, those of Python and what ``dump_threads`` of the adapter gives."""
    with suppress(ValueError, OSError, AttributeError):
        sys.stderr.flush()
        faulthandler.dump_traceback(file=sys.stderr, all_threads=True)
    more(dump_threads)


def more(dump_threads: Optional[Callable[[], str]]) -> None:
    """Write what the adapter knows of its threads; whatever goes wrong there becomes a line of the log."""
    if dump_threads is None:
        return
    try:
        text = dump_threads()
    except BaseException as error:  # noqa: BLE001 - the virtual machine may be in any state
        text = f"the adapter's threads can't be shown: {type(error).__name__}: {error}"
    with suppress(ValueError, OSError):
        sys.stderr.write(text if text.endswith("\n") else f"{text}\n")
        sys.stderr.flush()
