"""Models on a card.

Theory of operation
-------------------
Each worker thread has a stream of its own: its copies and kernels run in their order, beside those of other
threads, so that one thread's inputs travel while another's model computes. A thread waits once, for its
outputs; until then nothing of a request may go away, and nothing does: requests are valid during the call.

*Inputs* are sent as they came (an image as bytes, not as floats) and converted and joined on the card. What
lies in the registered arena is read by the card where it lies. Other parts, bodies under 256 KiB and arenas
that couldn't be registered, are copied side by side into pinned memory, one copy, and go over together.

*Outputs* are widened on the card, and come back into pinned memory, all before the thread waits.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from eas_processors.pytorch import values
from eas_processors.pytorch.arena import Arena
from eas_processors.pytorch.graphs import Graphs, Lane
from eas_processors.pytorch.places import Call, Copies, Feed, Read, called
from eas_processors.pytorch.runtime import Runtime
from eas_processors.tensors.model import Arrays
from eas_processors.tensors.stacked import Stacked


class Card:
    """A card; see ``Place``.

    Args:
        runtime: the card itself.
        sizes: numbers of rows whose calls are captured as graphs (graphs.py); empty: none are.
    """

    def __init__(self, runtime: Runtime, sizes: Sequence[int] = ()) -> None:
        self.device = runtime.device
        self.copies = Copies()
        self.arena = Arena(runtime.register, runtime.unregister)
        self._runtime = runtime
        self._graphs = Graphs(runtime, sizes) if sizes else None
        self._mine = threading.local()

    def settle(self) -> None:
        """A model was loaded: what was begun for it is done, before threads with streams of their own use it.

        Their streams don't wait for the one in which it was put on the card and converted there.
        """
        self._runtime.settle()

    def run(self, feeds: Sequence[Feed], call: Call, read: Read) -> Arrays:
        """See ``Place``."""
        lane = self._lane(feeds, call)
        if lane is None:
            with self._streaming(self._stream()) as stream:
                tensors = [self._sent(feed) for feed in feeds]
                return read(called(call, tensors), lambda outputs: self._fetched(outputs, stream))
        with lane as (graph, stream), self._streaming(stream):
            for feed, there in zip(feeds, graph.inputs, strict=True):
                there.copy_(self._sent(feed))
            graph.replay()
            return read(graph.result, lambda outputs: self._fetched(outputs, stream))

    def _lane(self, feeds: Sequence[Feed], call: Call) -> Lane | None:
        """A captured call like this one; None: there is none."""
        if self._graphs is None:
            return None
        lane = self._graphs.find(feeds)
        if lane is None and self._graphs.wants(feeds):
            with self._streaming(self._stream()) as stream:
                tensors = [self._sent(feed) for feed in feeds]
                self._runtime.finish(stream)
            self._graphs.capture(feeds, tensors, call)
            lane = self._graphs.find(feeds)
        return lane

    def _stream(self) -> Any:
        """This thread's."""
        if not hasattr(self._mine, "stream"):
            self._mine.stream = self._runtime.stream()
        return self._mine.stream

    @contextlib.contextmanager
    def _streaming(self, stream: Any) -> Iterator[Any]:
        """Everything in the block goes into the stream; none of it is on its way any more when it raises."""
        with self._runtime.on(stream), torch.inference_mode():
            try:
                yield stream
            except BaseException:
                with contextlib.suppress(RuntimeError):  # what is raised says what is wrong
                    self._runtime.finish(stream)
                raise

    def _sent(self, feed: Feed) -> torch.Tensor:
        """An input on the card, before the card has it: only what follows in the stream may read it."""
        value = feed.value
        stacked = value if isinstance(value, Stacked) else Stacked((value,), value.shape)
        dtype = values.dtype(stacked.dtype, feed.name)
        if stacked.even:
            there = self._side_by_side([_flat(part) for part in stacked.parts], stacked, dtype)
        elif all(self.arena.holds(part) for part in stacked.parts):
            there = self._filled_up(stacked, dtype)
        else:
            there = self._side_by_side([_flat(stacked.array())], stacked, dtype)
        return there if feed.dtype is None else there.to(feed.dtype)

    def _side_by_side(
        self, parts: Sequence[np.ndarray], stacked: Stacked, dtype: torch.dtype
    ) -> torch.Tensor:
        """Parts that are the joined array when they stand one behind the other, and its last row below."""
        there = torch.empty(stacked.shape, dtype=dtype, device=self.device)
        flat, at = there.reshape(-1).view(torch.uint8), 0
        for here, several in itertools.groupby(parts, self.arena.holds):
            for source in several if here else [self._pinned(list(several))]:
                bytes_ = torch.from_numpy(source) if isinstance(source, np.ndarray) else source
                flat[at : at + len(bytes_)].copy_(bytes_, non_blocking=True)
                at += len(bytes_)
        if at < len(flat) and stacked.rows:
            there[stacked.rows :] = there[stacked.rows - 1].clone()
        return there

    def _filled_up(self, stacked: Stacked, dtype: torch.dtype) -> torch.Tensor:
        """Parts of different lengths, put into their places on the card."""
        there = torch.zeros(stacked.shape, dtype=dtype, device=self.device)
        for part, place in stacked.places():
            there[place] = self._side_by_side([_flat(part)], Stacked((part,), part.shape), dtype)
        if stacked.rows < stacked.shape[0]:
            there[stacked.rows :] = there[stacked.rows - 1].clone()
        return there

    def _pinned(self, parts: Sequence[np.ndarray]) -> torch.Tensor:
        """The bytes of parts behind each other in memory that the card reads by itself."""
        staging = self._runtime.pinned(sum(part.nbytes for part in parts))
        if parts:
            np.concatenate(parts, out=staging.numpy())
        self.copies.bytes += len(staging)
        return staging

    def _fetched(self, outputs: Sequence[torch.Tensor], stream: Any) -> list[np.ndarray]:
        """Outputs in memory of the machine, when the stream is done."""
        arrived = []
        for output in outputs:
            plain = output.resolve_conj().resolve_neg().contiguous()
            here = self._runtime.pinned(plain.nbytes).view(plain.dtype).reshape(plain.shape)
            here.copy_(plain, non_blocking=True)
            arrived.append(here)
        self._runtime.finish(stream)
        return [here.numpy() for here in arrived]


def _flat(part: np.ndarray) -> np.ndarray:
    """Its bytes, where they lie unless they are scattered."""
    return np.ascontiguousarray(part).reshape(-1).view(np.uint8)
