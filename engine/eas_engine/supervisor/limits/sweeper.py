"""Removes what can't be removed at once, in a thread: groups whose processes are dying, directories."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

Job = Callable[[], bool]
"""Says whether it is done; if not, it is tried again."""

_AGAIN = 0.02  # seconds
_PATIENCE = 10.0
"""Seconds that the end of the engine waits: a process in a call that can't be interrupted doesn't die."""


class Sweeper:
    """Does jobs until they are done, in a thread that begins with the first one."""

    def __init__(self, failed: Callable[[Exception], None]) -> None:
        self._failed = failed
        self._jobs: list[Job] = []
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = False

    def __repr__(self) -> str:
        return f"<Sweeper {len(self._jobs)} jobs>"

    def do(self, job: Job) -> None:
        """Do it soon, and again until it is done; one that raises is dropped."""
        with self._changed:
            self._jobs.append(job)
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
            done = [job for job in jobs if self._is_done(job)]
            with self._changed:
                self._jobs = [job for job in self._jobs if job not in done]
                self._changed.notify_all()
            if len(done) < len(jobs):
                time.sleep(_AGAIN)

    def _is_done(self, job: Job) -> bool:
        try:
            return job()
        except Exception as error:  # noqa: BLE001 - one that fails must not end the others
            self._failed(error)
            return True
