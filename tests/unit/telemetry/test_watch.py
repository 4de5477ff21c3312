"""A loop that is held: counted, and told of with the place where it stands."""

from __future__ import annotations

import asyncio
import sys
import threading

from eas_engine.clock import SystemClock
from eas_engine.telemetry.counters import Counters
from eas_engine.telemetry.watch import Watch, where
from eas_engine.telemetry.window import HELD, Window
from support.clock import FakeClock


def test_a_beat_that_is_late_is_counted_and_told_of() -> None:
    window, told = Window(FakeClock(), Counters()), list[float]()
    window.on_held = told.append
    for late in (0.0, HELD, HELD + 0.1, 2.0):
        window.beat(late)
    assert told == [HELD + 0.1, 2.0]
    assert (window.beats, window.held) == (4, 2)
    assert round(window.held_seconds, 6) == HELD + 2.1


async def test_who_holds_the_loop_is_named_while_it_does() -> None:
    window = Window(SystemClock(), Counters())
    said: list[tuple[str, dict[str, object]]] = []
    named = threading.Event()

    def warn(event: str, **fields: object) -> None:
        said.append((event, fields))
        named.set()

    def hold_it() -> None:
        assert named.wait(60)

    with Watch(window, warn):
        beating = asyncio.ensure_future(window.run())
        async with asyncio.timeout(60):
            while not window.beating:  # noqa: ASYNC110 - it begins with the first beat
                await asyncio.sleep(0.01)
        hold_it()
        async with asyncio.timeout(60):
            while len(said) < 2:  # noqa: ASYNC110 - the next beat tells
                await asyncio.sleep(0.01)
        beating.cancel()

    assert [event for event, _ in said[:2]] == [
        "the engine's loop is held",
        "the engine's loop was held: no request was answered meanwhile",
    ]
    assert "hold_it" in str(said[0][1]["at"])
    seconds = said[1][1]["seconds"]
    assert isinstance(seconds, float)
    assert seconds > HELD


def test_where_a_thread_stands_is_told_from_within() -> None:
    told = where(sys._getframe())
    assert told.startswith("test_watch.py:")
    assert told.split(" ")[1] == "test_where_a_thread_stands_is_told_from_within"
    assert where(None) == ""
