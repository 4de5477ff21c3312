"""A card that is the processor: what a model of PyTorch does on a card, and what goes where, without one."""

from __future__ import annotations

import contextlib
import ctypes
import threading
from collections.abc import Callable, Iterator
from typing import Any

import torch

from eas_processors.pytorch.runtime import Replay


class ScriptedCard:
    """See ``Runtime``.

    Attributes:
        streams: how many were made.
        finished: the streams that were waited for, in order.
        settled: how often everything was waited for.
        pinned_bytes: how many bytes of pinned memory were asked for.
        captures: shapes of the results of captured calls.
        replays: how many calls were replayed.
        registered: sizes by address.
        refusal: what ``register`` says.
        uncapturable: what a capture raises; None: none does.
        in_graph: called inside of each replay, with the thread's current stream.
    """

    def __init__(self) -> None:
        self.device = torch.device("cpu")
        self.streams = 0
        self.finished: list[int] = []
        self.settled = 0
        self.pinned_bytes = 0
        self.captures: list[Any] = []
        self.replays = 0
        self.registered: dict[int, int] = {}
        self.refusal = ""
        self.uncapturable: Exception | None = None
        self.in_graph: Callable[[Any], None] = lambda _stream: None
        self._current = threading.local()

    @property
    def current(self) -> int | None:
        """This thread's stream; None: the one that all share."""
        stream: int | None = getattr(self._current, "stream", None)
        return stream

    def stream(self) -> int:
        self.streams += 1
        return self.streams

    @contextlib.contextmanager
    def on(self, stream: int) -> Iterator[None]:
        before, self._current.stream = self.current, stream
        try:
            yield
        finally:
            self._current.stream = before

    def finish(self, stream: int) -> None:
        self.finished.append(stream)

    def settle(self) -> None:
        self.settled += 1

    def pinned(self, size: int) -> torch.Tensor:
        self.pinned_bytes += size
        return torch.empty(size, dtype=torch.uint8)

    def pool(self) -> object:
        return object()

    def capture(self, call: Callable[[], object], stream: int, pool: object) -> tuple[object, Replay]:
        """A graph of one tensor, or of several in a list."""
        if self.uncapturable is not None:
            raise self.uncapturable
        result: Any = call()
        several = result if isinstance(result, list | tuple) else [result]
        self.captures.append([tuple(one.shape) for one in several])

        def replay() -> None:
            assert self.current == stream, "a graph runs in the stream it was captured in"
            self.replays += 1
            self.in_graph(stream)
            anew: Any = call()
            for one, new in zip(several, anew if isinstance(anew, list | tuple) else [anew], strict=True):
                one.copy_(new)

        return result, replay

    def register(self, address: int, size: int) -> str:
        if not self.refusal:
            ctypes.string_at(address, 1)  # it is mapped
            self.registered[address] = size
        return self.refusal

    def unregister(self, address: int) -> None:
        del self.registered[address]
