"""The threads of ``rpc.io_threads``."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from typing import Any

import pytest

from eas_engine.gateway.threads import IoThreads


async def test_work_is_done_elsewhere_and_told_on_the_loop() -> None:
    loop = asyncio.get_running_loop()
    threads = IoThreads(2, loop)
    told: asyncio.Future[tuple[Any, int]] = loop.create_future()
    threads.run(threading.get_ident, lambda result: told.set_result((result, threading.get_ident())))
    worker, teller = await told
    assert worker != teller == threading.get_ident()
    threads.close()


async def test_no_result_and_an_exception_are_results_too() -> None:
    loop = asyncio.get_running_loop()
    threads = IoThreads(1, loop)

    def fail() -> None:
        raise MemoryError("no")

    for work, wanted in ((lambda: 0, 0), (lambda: None, None), (fail, "MemoryError('no')")):
        told: asyncio.Future[Any] = loop.create_future()
        threads.run(work, told.set_result)
        result = await told
        assert (repr(result) if isinstance(result, Exception) else result) == wanted
    threads.close()


async def test_no_more_threads_than_were_allowed_work_at_once() -> None:
    loop = asyncio.get_running_loop()
    threads = IoThreads(2, loop)
    started, go_on, lock = threading.Semaphore(0), threading.Event(), threading.Lock()
    at_work: list[int] = []
    seen: list[int] = []
    ended: asyncio.Queue[Any] = asyncio.Queue()

    def work() -> None:
        with lock:
            at_work.append(1)
            seen.append(len(at_work))
        started.release()
        go_on.wait(60)
        with lock:
            at_work.pop()

    for _ in range(6):
        threads.run(work, ended.put_nowait)
    for _ in range(2):
        await asyncio.to_thread(started.acquire)
    go_on.set()
    for _ in range(6):
        assert await ended.get() is None
    assert max(seen) == 2
    threads.close()


async def test_the_end_waits_for_nobody_and_tells_nobody_whose_work_was_not_begun(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loop = asyncio.get_running_loop()
    threads = IoThreads(1, loop)
    begun, go_on = threading.Event(), threading.Event()
    told: list[Any] = []
    first: asyncio.Future[Any] = loop.create_future()

    def work() -> str:
        begun.set()
        go_on.wait(60)
        return "done"

    threads.run(work, first.set_result)
    threads.run(lambda: "never", told.append)
    await asyncio.to_thread(begun.wait, 60)
    threads.close()
    go_on.set()
    assert await first == "done"
    assert told == []
    assert not caplog.records


def test_work_that_ends_after_the_loop_troubles_nobody(caplog: pytest.LogCaptureFixture) -> None:
    go_on = threading.Event()
    ended = threading.Event()

    def work() -> None:
        go_on.wait(60)

    async def begin() -> IoThreads:
        threads = IoThreads(1, asyncio.get_running_loop())
        threads.run(work, lambda _: None)
        return threads

    threads = asyncio.run(begin())
    threads._jobs.put((ended.set, lambda _: None))
    go_on.set()
    assert ended.wait(60)
    threads.close()
    assert not caplog.records


def test_the_process_ends_though_a_thread_is_at_work() -> None:
    program = (
        "import asyncio, threading\n"
        "from eas_engine.gateway.threads import IoThreads\n"
        "async def main():\n"
        "    threads = IoThreads(1, asyncio.get_running_loop())\n"
        "    begun = threading.Event()\n"
        "    threads.run(lambda: (begun.set(), threading.Event().wait()), print)\n"
        "    await asyncio.to_thread(begun.wait)\n"
        "    threads.close()\n"
        "asyncio.run(main())\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, timeout=120)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")


async def test_more_or_fewer_threads_do_the_work_from_now_on() -> None:
    loop = asyncio.get_running_loop()
    threads = IoThreads(1, loop)
    together = [threading.Barrier(3), threading.Barrier(1)]

    async def run(count: int, barrier: threading.Barrier) -> set[object]:
        """The threads that did `count` pieces of work; the barrier lets go when so many are in it at once."""
        names: list[object] = []
        done = asyncio.Event()

        def work() -> str:
            barrier.wait(60)
            return threading.current_thread().name

        def told(name: object) -> None:
            names.append(name)
            if len(names) == count:
                done.set()

        for _ in range(count):
            threads.run(work, told)
        await done.wait()
        return set(names)

    threads.configure(3)
    assert len(await run(3, together[0])) == 3
    threads.configure(1)
    await run(3, together[1])  # by whichever are left when the surplus ones have ended
    assert len(await run(3, together[1])) == 1
    threads.close()
