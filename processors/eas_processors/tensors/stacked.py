"""One input of several requests, side by side and not joined yet.

Where the model runs on the processor, joining is a copy in its memory (``array``). Where it runs on a card,
the parts go there from wherever they lie, and are joined on their way: see pytorch/cards.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

Place = tuple[slice, ...]
"""Where a part stands in the joined array."""


@dataclass(frozen=True, slots=True)
class Stacked:
    """One input of several requests.

    Attributes:
        parts: one array a request, at least one; alike but for the lengths of their dimensions.
        shape: of what they are joined to: as long as the longest part in every dimension but 0.
    """

    parts: tuple[np.ndarray, ...]
    shape: tuple[int, ...]

    @classmethod
    def of(cls, parts: Sequence[np.ndarray], rows: int) -> Stacked:
        """Of so many rows: those of the parts, and copies of the last one."""
        trailing = tuple(max(dims) for dims in zip(*(part.shape[1:] for part in parts), strict=True))
        return cls(tuple(parts), (rows, *trailing))

    @property
    def dtype(self) -> np.dtype:
        """Of all of them."""
        return self.parts[0].dtype

    @property
    def size(self) -> int:
        """Elements of the joined array."""
        count = 1
        for length in self.shape:
            count *= length
        return count

    @property
    def even(self) -> bool:
        """Whether no part is filled up in any dimension but 0."""
        return all(part.shape[1:] == self.shape[1:] for part in self.parts)

    @property
    def rows(self) -> int:
        """Of the parts: what is behind them are copies of their last row."""
        return sum(len(part) for part in self.parts)

    def places(self) -> Iterator[tuple[np.ndarray, Place]]:
        """The parts, and where they stand."""
        at = 0
        for part in self.parts:
            yield part, (slice(at, at + len(part)), *map(slice, part.shape[1:]))
            at += len(part)

    def array(self) -> np.ndarray:
        """Joined: a copy, filled up with zeros (``b""``) beside the parts and the last row below them."""
        joined: np.ndarray
        if self.even:
            joined = np.empty(self.shape, self.dtype)
        elif self.dtype == object:
            joined = np.full(self.shape, b"", object)
        else:
            joined = np.zeros(self.shape, self.dtype)
        for part, place in self.places():
            joined[place] = part
        if self.rows < self.shape[0]:
            joined[self.rows :] = joined[self.rows - 1]
        return joined


Stacks = dict[str, Stacked] | list[Stacked]
"""The inputs of several requests by name, or in order."""
