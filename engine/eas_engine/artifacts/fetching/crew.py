"""Jobs in threads, so that the main thread is always free to be told to stop."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from eas_engine.artifacts.sources.stopping import Stop

T = TypeVar("T")
_LAST_WAIT: Final = 1.0  # seconds for threads to end once they were told; one may be looking up a name


def run_one(job: Callable[[], T], stop: Stop) -> T:
    """The result of a job, or what it raised; run in a thread of its own."""
    results: list[T] = []
    run_all([lambda: results.append(job())], 1, stop.branch())
    return results[0]


def run_all(jobs: Sequence[Callable[[], None]], at_once: int, stop: Stop) -> None:
    """All of them, ``at_once`` at a time.

    The first that raises sets ``stop``, which ends the others, and is raised. So does what raises in this
    thread meanwhile (a signal's handler).
    """
    waiting: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
    ended: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
    for job in jobs:
        waiting.put(job)

    def work() -> None:
        try:
            while not stop.is_set:
                waiting.get_nowait()()
        except queue.Empty:
            ended.put(None)
        except BaseException as error:  # noqa: BLE001 - it is raised where the jobs were given
            ended.put(error)
        else:
            ended.put(None)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(at_once, len(jobs)))]
    for thread in threads:
        thread.start()
    try:
        _wait_for(ended, len(threads))
    except BaseException:
        stop.set()
        for thread in threads:
            thread.join(_LAST_WAIT)
        raise
    stop.check()


def _wait_for(ended: queue.SimpleQueue[BaseException | None], count: int) -> None:
    for _ in range(count):
        if (error := ended.get()) is not None:
            raise error
