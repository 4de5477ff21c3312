"""Says that the engine's loop is held, and by what, while it is.

One loop answers every request of a service: whatever keeps it for a moment keeps all clients. The heartbeat
(``window``) knows afterwards how late the loop was; a thread of its own looks at the same heartbeat while it
is late, and writes down where the loop's thread stands just then. On a machine without a free CPU that may be
anywhere: then the loop isn't held by what it does but by what else runs there.
"""

from __future__ import annotations

import sys
import threading
import traceback
from typing import TYPE_CHECKING, Final, Self

from eas_engine.telemetry.window import HELD, PERIOD

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, TracebackType

    from eas_engine.telemetry.window import Window

_FRAMES: Final = 6
"""That are told of, the innermost first."""


class Watch:
    """Watches the loop of the thread that enters it.

    ``warn`` is called from another thread, once while the loop is held; and on the loop (``told``), when that
    is over.
    """

    def __init__(self, window: Window, warn: Callable[..., object]) -> None:
        self._window, self._warn = window, warn
        self._ended = threading.Event()
        self._watched = threading.get_ident()
        self._thread = threading.Thread(target=self._run, name="loop-watch", daemon=True)

    def __repr__(self) -> str:
        return f"<Watch of {self._window!r}>"

    def __enter__(self) -> Self:
        self._watched = threading.get_ident()
        self._window.on_held = self.told
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def told(self, seconds: float) -> None:
        """The loop was held for that long."""
        self._warn("the engine's loop was held: no request was answered meanwhile", seconds=round(seconds, 3))

    def _run(self) -> None:
        told = -1
        while not self._ended.wait(PERIOD):
            window = self._window
            if window.beating and window.beats != told and window.heartbeat_age - PERIOD > HELD:
                told = window.beats
                frame = sys._current_frames().get(self._watched)  # noqa: SLF001 - the only door to it
                self._warn("the engine's loop is held", at=where(frame))


def where(frame: FrameType | None) -> str:
    """Where a thread stands, the innermost frame first: ``file:line function < file:line function``."""
    frames = traceback.extract_stack(frame)[::-1] if frame is not None else []
    return " < ".join(
        f"{one.filename.rpartition('/')[2]}:{one.lineno} {one.name}" for one in frames[:_FRAMES]
    )
