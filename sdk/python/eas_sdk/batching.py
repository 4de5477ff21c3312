"""What a processor with ``process_batch`` is told about batching, and what it tells back."""

from __future__ import annotations

import operator
import threading
from typing import Sequence, Tuple


class Batching:
    """How the service batches (``rpc.batching`` and what belongs to it in service.json).

    The host puts one onto the processor (``Processor.batching``) before ``initialize``. The engine has
    already cut the batches by it; a processor needs it only where one request may hold several of the rows
    that a call of its model takes.

    Attributes:
        max_batch_size: the most rows that one call of the model should hold (``rpc.max_batch_size``). A
            request that holds more by itself is called alone.
        padding: whether rows of different lengths should be joined, each padded to the longest of the batch
            (``rpc.batch_padding``).
        sizes: the only numbers of rows that calls should have, ascending; the rest is filled up with rows
            that nobody sees (``rpc.batch_sizes``). Empty: any number will do.
    """

    def __init__(self, max_batch_size: int, *, padding: bool = False, sizes: Sequence[int] = ()) -> None:
        self.max_batch_size = max_batch_size
        self.padding = padding
        self.sizes: Tuple[int, ...] = tuple(sizes)
        self._counts = _Counts()

    def __repr__(self) -> str:
        return f"Batching(max_batch_size={self.max_batch_size}, padding={self.padding}, sizes={self.sizes})"

    def ran(self, rows: int, padding: int = 0) -> None:
        """Say that the model was called once; for the service's metrics, where batches are counted.

        Call it in the thread in which ``process_batch`` runs. A ``process_batch`` that never does counts as
        one call, with as many rows as it got requests.

        Args:
            rows: how many rows the call held, padding included.
            padding: how many of them were there only to fill it up. Where rows were made longer, too, it is
                the rows that what was added would have filled.

        Raises:
            TypeError: a number that is no integer.
            ValueError: a negative one.
        """
        rows, padding = operator.index(rows), operator.index(padding)
        if rows < 0 or padding < 0:
            raise ValueError(f"ran() was told of {rows} rows and {padding} of padding")
        counts = self._counts
        counts.calls += 1
        counts.rows += rows
        counts.padding += padding

    def collect(self) -> Tuple[int, int, int]:
        """Calls, rows and padding that this thread has said since it was asked last. For the host."""
        counts = self._counts
        said = (counts.calls, counts.rows, counts.padding)
        counts.calls = counts.rows = counts.padding = 0
        return said


class _Counts(threading.local):
    """One thread's share."""

    calls = 0
    rows = 0
    padding = 0
