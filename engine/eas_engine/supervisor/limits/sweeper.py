"""Removes what can't be removed at once, in a thread: groups whose processes are dying, directories.

What isn't gone after some seconds stays, and is said to: the next start of an engine tries again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

Job = Callable[[], bool]
"""Says whether it is done; if not, it is tried again."""

_AGAIN = 0.02  # seconds
_PATIENCE = 10.0
"""Seconds: a process in a call that can't be interrupted doesn't die, and somebody else's can't be ended."""


class Sweeper:
    """Does jobs until they are done, in a thread that begins with the first one."""

    def __init__(
        self, failed: Callable[[Exception], None], now: Callable[[], float] = time.monotonic
    ) -> None:
        self._failed, self._now = failed, now
        self._jobs: list[tuple[Job, float]] = []
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = False

    def __repr__(self) -> str:
        return f"<Sweeper {len(self._jobs)} jobs>"

    def do(self, job: Job) -> None:
        """Do it soon, and again until it is done, for ten seconds; one that raises is dropped."""
        with self._changed:
            self._jobs.append((job, self._now()))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def close(self, patience: float = _PATIENCE) -> bool:
        """Wait until all is done, for at most ``patience`` seconds, and end. Says whether it is."""
        with self._changed:
            done = self._changed.wait_for(lambda: not self._jobs, patience)
            self._closing = True
            self._changed.notify_all()
        if self._thread is not None and done:
            self._thread.join()
        return done

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._jobs) or self._closing)
                jobs = list(self._jobs)
                if self._closing:
                    return
            done = [one for one in jobs if self._is_done(*one)]
            with self._changed:
                self._jobs = [one for one in self._jobs if one not in done]
                self._changed.notify_all()
            if len(done) < len(jobs):
                time.sleep(_AGAIN)

    def _is_done(self, job: Job, began: float) -> bool:
        try:
            done = job()
        except Exception as error:  # noqa: BLE001 - one that fails must not end the others
            self._failed(error)
            return True
        late = not done and self._now() - began > _PATIENCE
        if late:
            self._failed(TimeoutError("what an instance has left can't be removed"))
        return done or late
