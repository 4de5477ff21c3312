"""Where a model runs, and how its inputs get there and its outputs back.

A model says what it is fed with (``Feed``) and how it is called with these tensors; a place does the rest.
``Processor`` is here, ``Card`` in cards.py.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from eas_processors.pytorch import values
from eas_processors.tensors.model import Arrays, OutputFilter
from eas_processors.tensors.stacked import Stacked, Stacks

Call = Callable[[list[torch.Tensor]], object]
"""The model itself: its result for the tensors of the feeds, in their order."""

Read = Callable[[object, values.Fetch], Arrays]
"""What of a result is the answer."""


Value = np.ndarray | Stacked
"""An input as it was sent, by one request or by several."""


@dataclass(frozen=True, slots=True)
class Feed:
    """One tensor that a model takes.

    Attributes:
        name: for messages.
        value: as it was sent, by one request or by several.
        dtype: what the model takes it in; None: as it was sent.
        writes: whether the model may write into it.
    """

    name: str
    value: Value
    dtype: torch.dtype | None = None
    writes: bool = False


class Copies(threading.local):
    """Bytes of requests copied in the machine's memory, of each thread."""

    bytes = 0


class Place(Protocol):
    """Where a model runs.

    Attributes:
        device: torch's name of it.
        copies: what was copied in memory on the way there.
    """

    device: torch.device
    copies: Copies

    def run(self, feeds: Sequence[Feed], call: Call, read: Read) -> Arrays:
        """Bring the inputs there, call the model in inference mode, bring back what is read of its result.

        Raises:
            BadRequest: the model complained.
        """
        ...


class Processor:
    """The processor: a model reads requests where they lie, if it may."""

    def __init__(self) -> None:
        self.device = torch.device("cpu")
        self.copies = Copies()

    def run(self, feeds: Sequence[Feed], call: Call, read: Read) -> Arrays:
        """See ``Place``."""
        tensors = [self._tensor(feed) for feed in feeds]
        return read(called(call, tensors), values.at_hand)

    def _tensor(self, feed: Feed) -> torch.Tensor:
        value = feed.value
        if isinstance(value, Stacked):
            value = value.array()
            self.copies.bytes += value.nbytes
        tensor = values.tensor(value, feed.name, self.device, writes=feed.writes)
        if tensor.data_ptr() != value.ctypes.data:
            self.copies.bytes += value.nbytes
        return tensor if feed.dtype is None else tensor.to(feed.dtype)


def called(call: Call, tensors: list[torch.Tensor]) -> object:
    """The model's result. Errors: see ``values.refusal``."""
    try:
        with torch.inference_mode():
            return call(tensors)
    except Exception as error:
        told = values.refusal(error)
        if told is error:
            raise
        raise told from error


class Placed:
    """What models of both formats have in common: they are called at a place, with arrays or stacks.

    Derive from it: say ``feeds`` and ``call``.
    """

    def __init__(self, place: Place) -> None:
        self.place = place

    @property
    def copied(self) -> int:
        """See ``CountingModel``."""
        return self.place.copies.bytes

    @copied.setter
    def copied(self, count: int) -> None:
        self.place.copies.bytes = count

    def run(self, signature: Any, inputs: Arrays, output_filter: OutputFilter) -> Arrays:
        """See ``Model``."""
        return self.run_at(inputs, output_filter)

    def run_joined(self, signature: Any, inputs: Stacks, output_filter: OutputFilter) -> Arrays:
        """See ``JoiningModel``."""
        return self.run_at(inputs, output_filter)

    def run_at(self, inputs: Arrays | Stacks, output_filter: OutputFilter) -> Arrays:
        """Call the model at its place."""
        raise NotImplementedError  # each format calls its models in a way of its own
