"""What a processor with ``process_batch`` is told about batching, and what it tells back."""

from __future__ import annotations

import operator
import threading
import traceback
from typing import Callable, NamedTuple, Optional, Sequence, Tuple

_DEPTH = 16  # exceptions of a chain


class Batching:
    """How the service batches (``rpc.batching`` and what belongs to it in service.json).

    The host puts one onto the processor (``Processor.batching``) before ``initialize``. The engine has
    already cut the batches by it; a processor needs it only where one request may hold several of the rows
    that a call of its model takes.

    An operator may change the settings while the service runs. A ``process_batch`` that is under way sees
    those with which it began, in the thread that called it.

    Attributes:
        max_batch_size: the most rows that one call of the model should hold (``rpc.max_batch_size``). A
            request that holds more by itself is called alone.
        padding: whether rows of different lengths should be joined, each padded to the longest of the batch
            (``rpc.batch_padding``).
        sizes: the only numbers of rows that calls should have, ascending; the rest is filled up with rows
            that nobody sees (``rpc.batch_sizes``). Empty: any number will do.
    """

    def __init__(self, max_batch_size: int, *, padding: bool = False, sizes: Sequence[int] = ()) -> None:
        self._newest = Terms(max_batch_size, padding, tuple(sizes))
        self._thread = _Thread()
        self._watching: Optional[Callable[[BaseException, int], None]] = None

    def __repr__(self) -> str:
        return f"Batching(max_batch_size={self.max_batch_size}, padding={self.padding}, sizes={self.sizes})"

    @property
    def max_batch_size(self) -> int:
        """See above."""
        return self._terms.max_batch_size

    @property
    def padding(self) -> bool:
        """See above."""
        return self._terms.padding

    @property
    def sizes(self) -> Tuple[int, ...]:
        """See above."""
        return self._terms.sizes

    @property
    def _terms(self) -> Terms:
        return self._thread.terms or self._newest

    def change(self, max_batch_size: int, *, padding: bool = False, sizes: Sequence[int] = ()) -> None:
        """Other settings for the calls that begin from now on. For the host, from any thread."""
        self._newest = Terms(max_batch_size, padding, tuple(sizes))

    def begin(self) -> None:
        """A call begins in this thread: it keeps the settings of this moment. For the host."""
        self._thread.terms = self._newest

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
        counts = self._thread
        counts.calls += 1
        counts.rows += rows
        counts.filled += padding

    def raised(self, error: BaseException, requests: int) -> None:
        """Say that a call of the model for so many requests raised, and that they are tried in smaller ones.

        Only for a ``process_batch`` that does that by itself: what it raises itself the host sees. If the
        memory of a GPU was too small for them, the next batches are smaller; if the GPU is lost to this
        process, this doesn't return. Call it in the thread in which ``process_batch`` runs. It frees the
        local variables of the frames that the exception went through: tensors, say.
        """
        release(error)
        if self._watching is not None:
            self._watching(error, requests)

    def watch(self, look: Callable[[BaseException, int], None]) -> None:
        """``look`` is called with what ``raised`` is told. For the host."""
        self._watching = look

    def collect(self) -> Tuple[int, int, int]:
        """Calls, rows and padding that this thread has said since it was asked last. For the host."""
        counts = self._thread
        said = (counts.calls, counts.rows, counts.filled)
        counts.calls = counts.rows = counts.filled = 0
        return said


def release(error: BaseException) -> None:
    """Free what the frames that an exception, or one that led to it, went through still hold.

    The next call may need that memory. Its traceback can be printed as before.
    """
    each: Optional[BaseException] = error
    for _ in range(_DEPTH):
        if each is None:
            return
        traceback.clear_frames(each.__traceback__)
        each = each.__cause__ or each.__context__


class Terms(NamedTuple):
    """The settings at one moment."""

    max_batch_size: int
    padding: bool
    sizes: Tuple[int, ...]


class _Thread(threading.local):
    """What one thread goes by, and what it has said."""

    terms: Optional[Terms] = None
    calls = 0
    rows = 0
    filled = 0
