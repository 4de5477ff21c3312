"""CUDA graphs: calls that were recorded once and are replayed without their hundred launches.

A graph computes from the same memory into the same memory each time, for one shape of inputs. So only calls
of ``rpc.batch_sizes`` rows are captured, which other calls are filled up to. The first call of a layout
(names, types, and shapes but for the rows) captures all sizes of it: in warm-up, if its data is what clients
send.

A graph runs once at a time. There are two *lanes*, each with a graph of every call and memory of its own, so
that one thread's inputs travel while the other's graph runs; a third thread waits for a lane.

What can't be captured (a model that looks at a value on the card to decide what to do) runs as it would have
without graphs, and the log says why.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import torch

from eas_processors.pytorch import values
from eas_processors.pytorch.places import Call, Feed
from eas_processors.pytorch.runtime import Replay, Runtime

_LOG = logging.getLogger(__name__)

LANES = 2
_MOST_LAYOUTS = 16
"""Clients choose shapes, and every graph keeps memory of the card."""
_RUNS_BEFORE = 2
"""Calls before one is captured: the first ones choose kernels and make workspaces."""


@dataclass(frozen=True, slots=True)
class Graph:
    """A captured call: fill ``inputs``, ``replay``, read ``result``, all in the lane's stream."""

    inputs: list[torch.Tensor]
    result: object
    replay: Replay


@dataclass(slots=True)
class _Track:
    """A stream, memory for graphs, and the graphs in it."""

    stream: Any
    pool: Any
    graphs: dict[Hashable, Graph] = field(default_factory=dict)


class Lane:
    """A captured call, to be entered for the time of one use: whoever comes later waits."""

    def __init__(self, free: queue.SimpleQueue[_Track], key: Hashable) -> None:
        self._free, self._key = free, key
        self._track: _Track | None = None

    def __enter__(self) -> tuple[Graph, Any]:
        self._track = self._free.get()
        return self._track.graphs[self._key], self._track.stream

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._track is not None:
            self._free.put(self._track)


class Graphs:
    """All that were captured.

    Args:
        runtime: the card.
        sizes: the numbers of rows.
    """

    def __init__(self, runtime: Runtime, sizes: Sequence[int]) -> None:
        self._runtime = runtime
        self._sizes = sorted(set(sizes), reverse=True)  # the largest first: the others use its memory again
        self._free: queue.SimpleQueue[_Track] = queue.SimpleQueue()
        for _ in range(LANES):
            self._free.put(_Track(runtime.stream(), runtime.pool()))
        self._layouts: dict[Hashable, bool] = {}
        self._capturing = threading.Lock()

    def find(self, feeds: Sequence[Feed]) -> Lane | None:
        """A captured call with inputs like these."""
        rows, layout = _layout(feeds)
        if rows in self._sizes and self._layouts.get(layout):
            return Lane(self._free, (rows, layout))
        return None

    def wants(self, feeds: Sequence[Feed]) -> bool:
        """Whether calls like this one should be captured and haven't been tried."""
        rows, layout = _layout(feeds)
        return bool(rows) and layout not in self._layouts and len(self._layouts) < _MOST_LAYOUTS

    def capture(self, feeds: Sequence[Feed], tensors: Sequence[torch.Tensor], call: Call) -> None:
        """Capture calls of all sizes that look like this one, in every lane.

        Args:
            feeds: of the call.
            tensors: the same on the card. Their first rows are what all sizes are captured with: values that
                the model can take.
            call: the model.
        """
        _, layout = _layout(feeds)
        with self._capturing:
            if layout in self._layouts:
                return
            tracks = [self._free.get() for _ in range(LANES)]
            try:
                for track in tracks:
                    for size in self._sizes:
                        track.graphs[size, layout] = self._captured(track, tensors, size, call)
                self._layouts[layout] = True
            except Exception as error:  # noqa: BLE001 - whatever torch says of it
                self._layouts[layout] = False
                for track in tracks:
                    for size in self._sizes:
                        track.graphs.pop((size, layout), None)
                names = ", ".join(f"{feed.name} {list(feed.value.shape[1:])}" for feed in feeds)
                _LOG.warning("calls with %s are not captured: %s", names, values.reason(error))
            finally:
                for track in tracks:
                    self._free.put(track)

    def _captured(self, track: _Track, tensors: Sequence[torch.Tensor], size: int, call: Call) -> Graph:
        with self._runtime.on(track.stream), torch.inference_mode():
            inputs = [
                one[:1].expand(size, *one.shape[1:]).clone(memory_format=torch.contiguous_format)
                for one in tensors
            ]
            for _ in range(_RUNS_BEFORE):
                call(inputs)
            self._runtime.finish(track.stream)
            record: Callable[[], object] = lambda: call(inputs)  # noqa: E731 - its type is what is meant
            result, replay = self._runtime.capture(record, track.stream, track.pool)
        return Graph(inputs, result, replay)


def _layout(feeds: Sequence[Feed]) -> tuple[int, Hashable]:
    """How many rows all inputs have, 0 if they differ; and everything else that a graph depends on."""
    rows = {feed.value.shape[0] if feed.value.shape else 0 for feed in feeds}
    alike = tuple((feed.name, feed.value.dtype, feed.dtype, feed.value.shape[1:]) for feed in feeds)
    return rows.pop() if len(rows) == 1 else 0, alike
