"""What goes on beside the load: scrapes of the metrics, as a monitoring system makes them, and probes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from eas_bench.servers import get

SCRAPE_EVERY = 1.0  # seconds
PROBE_EVERY = 0.02
_GIVE_UP = 30.0


@dataclass(slots=True)
class Seen:
    """What the requests beside the load gave."""

    seconds: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def ask(self, port: int, path: str) -> None:
        """One request on a connection of its own, as a prober makes it; its time includes the connect."""
        began = time.monotonic()
        try:
            status, body = get(port, path)
        except OSError as error:
            self.faults.append(f"GET {path}: {error}")
            return
        self.seconds.append(time.monotonic() - began)
        if status != 200 or not body:
            self.faults.append(f"GET {path}: {status} with {len(body)} bytes")


@contextmanager
def asking(port: int, path: str, every: float) -> Iterator[Seen]:
    """Ask for ``path`` each ``every`` seconds while the block runs, from a thread of its own."""
    seen, over = Seen(), threading.Event()
    thread = threading.Thread(target=_repeat, args=(lambda: seen.ask(port, path), every, over), daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join(_GIVE_UP)


def _repeat(deed: Callable[[], None], every: float, over: threading.Event) -> None:
    due = time.monotonic()
    while not over.wait(max(0.0, due - time.monotonic())):
        deed()
        due = max(due + every, time.monotonic())  # a late one isn't made up for
