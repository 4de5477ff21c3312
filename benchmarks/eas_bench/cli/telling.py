"""How a command of minutes or hours tells that it goes on: a bar on a terminal, some lines in a pipe."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

LINE_EVERY = 30.0  # seconds, in a pipe


class Telling:
    """``with Telling(console, title, seconds) as telling: run(..., telling.now)``."""

    def __init__(
        self, console: Console, title: str, seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._console, self._clock = console, clock
        self._said = clock()
        self._bar: Progress | None = None
        self._task = TaskID(0)
        if console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=24),
                TimeElapsedColumn(),
                TextColumn("{task.fields[text]}", markup=False),
                console=console,
                transient=True,
            )
            self._task = self._bar.add_task(title, total=seconds, text="")
        else:
            console.print(f"{title}, {seconds:.0f} s", markup=False)

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def now(self, seconds: float, text: str) -> None:
        """So far it has gone, and that is how it stands."""
        if self._bar is not None:
            self._bar.update(self._task, completed=seconds, text=text)
        elif self._clock() - self._said >= LINE_EVERY:
            self._said = self._clock()
            self._console.print(f"{seconds:.0f} s: {text}", markup=False)


def tell_faults(faults: Sequence[str], console: Console) -> None:
    """Each in red; one line in green when there is none."""
    for fault in faults:
        console.print(Text.assemble(("fault: ", "red"), fault), soft_wrap=True)
    if not faults:
        console.print("[green]nothing happened that must not[/]")
