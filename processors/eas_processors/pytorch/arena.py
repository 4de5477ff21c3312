"""The arena of requests, which the card reads by itself where it was registered with it.

Only its beginning is, the part whose pages the engine never gives back to the system (``fixed``): a card
reads the pages that were there when they were registered, and would not notice that others came instead.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np

_LOG = logging.getLogger(__name__)

Register = Callable[[int, int], str]
"""An address and a size; empty, or why the card can't read it."""


class Arena:
    """Whether the card reads an array where it lies. Nothing is registered until ``adopt``.

    Args:
        register: see ``Runtime``.
        unregister: see ``Runtime``.
    """

    def __init__(self, register: Register, unregister: Callable[[int], None]) -> None:
        self._register, self._unregister = register, unregister
        self._begin = self._end = 0

    def __repr__(self) -> str:
        return f"<Arena {self._end - self._begin} bytes registered>"

    def adopt(self, view: memoryview, fixed: int) -> None:
        """Register the first ``fixed`` bytes of the arena; where that fails, bodies are copied as before."""
        self.close()
        if not fixed:
            return
        address = np.frombuffer(view[:fixed], np.uint8).ctypes.data
        why = self._register(address, fixed)
        if why:
            _LOG.warning("large bodies are copied once more on their way to the card: %s", why)
            return
        self._begin, self._end = address, address + fixed

    def holds(self, array: np.ndarray) -> bool:
        """Whether the card can read all of it by itself."""
        address = array.ctypes.data
        return self._begin <= address and address + array.nbytes <= self._end

    def close(self) -> None:
        """Unregister, before it is unmapped or another one takes its place."""
        begin, self._begin, self._end = self._begin, 0, 0
        if begin:
            self._unregister(begin)
