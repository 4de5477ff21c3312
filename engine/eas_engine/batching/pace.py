"""What the batches lately were like: how many rows a request has, and how long a batch takes.

The engine never looks into bodies; the hosts say it after every batch.
"""

from __future__ import annotations

from typing import Final

from eas_engine.batching.cut import requests_in_full

_WEIGHT: Final = 0.2
_SAME: Final = 0.01
"""An average that is as near to the last value as this (of it) has reached it: 15.9 rows don't fill 16."""


class Pace:
    """The averages of one service. ``full``: how many requests fill a batch; ``seconds``: what one takes.

    Rows are averaged evenly. The time follows a slower batch at once and quicker ones little by little: who
    promises to meet a deadline must not be surprised twice.
    """

    __slots__ = ("_most", "full", "rows", "seconds")

    def __init__(self, max_batch_size: int) -> None:
        self._most = max_batch_size
        self.rows = 1.0
        self.seconds: float | None = None
        self.full = requests_in_full(max_batch_size, 1.0)

    def __repr__(self) -> str:
        return f"<Pace {self.rows:.2f} rows a request, {self.full} in a full batch of {self.seconds} s>"

    def resize(self, max_batch_size: int) -> None:
        """So many rows fill a batch from now on."""
        self._most = max_batch_size
        self.full = requests_in_full(max_batch_size, self.rows)

    def learn(self, requests: int, rows: int, seconds: float) -> None:
        """A batch of so many requests (at least one) with so many rows, padding left out, took so long."""
        last = max(1.0, rows / requests)
        self.rows += (last - self.rows) * _WEIGHT
        if abs(self.rows - last) <= _SAME * last:
            self.rows = last
        self.full = requests_in_full(self._most, self.rows)
        if self.seconds is None or seconds >= self.seconds:
            self.seconds = seconds
        else:
            self.seconds += (seconds - self.seconds) * _WEIGHT
