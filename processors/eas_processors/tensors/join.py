"""Requests joined into one call of a model, and its outputs cut into theirs. Pure functions on arrays.

*Rows.* Requests are joined along dimension 0. Their inputs must have the same names and types and the same
other dimensions; with padding, a dimension beyond 0 that the signature leaves unknown may differ, and is
filled up to the longest of the call with 0 (``False``, ``b""``). Rows that only fill the call up to a size
are copies of its last one: values that the model has seen cannot upset it.

*Un-padding.* An output's dimension is cut back to each request's own length when three things hold: the
signature leaves it unknown, it is as long as some padded dimension of an input, and all input dimensions of
that length agree on each request's own. An unknown output dimension of another length can't be explained by
the inputs: then requests of different lengths are not joined at all. Known output dimensions stay as they
are.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from eas_processors.tensors.model import Arrays, Signature, Spec
from eas_processors.tensors.stacked import Stacked, Stacks

T = TypeVar("T")

Key = str | int
"""The name of a tensor, or its position."""


class UnexplainedDimension(Exception):
    """An output has an unknown dimension that no input has: this signature's outputs can't be un-padded."""


class AmbiguousDimension(Exception):
    """This once, two input dimensions explain an output's, and they say different things."""


@dataclass(frozen=True, slots=True)
class Axis:
    """An input dimension that the signature leaves unknown.

    Attributes:
        lengths: its length in each of the joined requests.
    """

    lengths: tuple[int, ...]

    @property
    def longest(self) -> int:
        """Its length in the joined call."""
        return max(self.lengths)

    @property
    def padded(self) -> bool:
        """Whether it was filled up for any request."""
        return min(self.lengths) < self.longest


Cuts = dict[Key, dict[int, Axis]]
"""The dimensions of the outputs to be cut back, and the input dimensions that say to what."""


def items(arrays: Mapping[str, T] | Sequence[T]) -> Iterator[tuple[Key, T]]:
    """Names or positions, and arrays."""
    return iter(arrays.items()) if isinstance(arrays, Mapping) else enumerate(arrays)


def row_count(inputs: Arrays) -> int | None:
    """The length of dimension 0, which all inputs share; None if they don't."""
    counts = {array.shape[0] if array.ndim else -1 for _, array in items(inputs)}
    return counts.pop() if len(counts) == 1 and -1 not in counts else None


def join_key(inputs: Arrays, signature: Signature, *, padding: bool) -> Hashable:
    """Equal for inputs that can be joined (both of them batched, of the same signature)."""
    flexible = _flexible(inputs, signature) if padding else {}
    tensors = [
        (
            key,
            array.dtype,
            tuple(-1 if (key, i) in flexible else array.shape[i] for i in range(1, array.ndim)),
        )
        for key, array in items(inputs)
    ]
    return isinstance(inputs, dict), frozenset(tensors)


def _flexible(inputs: Arrays, signature: Signature) -> set[tuple[Key, int]]:
    """The dimensions beyond 0 that may be padded: unknown in the signature, which must know all ranks."""
    if not can_pad(signature):
        return set()
    by_key = _by_key(signature.inputs or (), named=isinstance(inputs, dict))
    return {
        (key, axis)
        for key, _ in items(inputs)
        if key in by_key
        for axis, dim in enumerate(by_key[key].shape or ())
        if axis and dim is None
    }


def can_pad(signature: Signature) -> bool:
    """Whether the signature says enough for un-padding: the rank of every output."""
    return signature.outputs is not None and all(spec.shape is not None for spec in signature.outputs)


def _by_key(specs: Sequence[Spec], *, named: bool) -> dict[Key, Spec]:
    return {spec.name if named else index: spec for index, spec in enumerate(specs)}


def axes(calls: Sequence[Arrays], signature: Signature) -> list[Axis]:
    """The unknown dimensions of the inputs of joined requests."""
    lengths = [dict(items(call)) for call in calls]
    return [
        Axis(tuple(arrays[key].shape[axis] for arrays in lengths))
        for key, axis in sorted(_flexible(calls[0], signature), key=str)
    ]


def stack(calls: Sequence[Arrays], total: int) -> Stacks:
    """The inputs of several requests as those of one call of ``total`` rows; nothing is copied yet."""
    first = calls[0]
    if isinstance(first, dict):
        return {name: Stacked.of([dict(items(call))[name] for call in calls], total) for name in first}
    return [Stacked.of([dict(items(call))[index] for call in calls], total) for index in range(len(first))]


def joined(stacks: Stacks) -> Arrays:
    """The same in arrays of their own: one copy of everything."""
    if isinstance(stacks, dict):
        return {name: stacked.array() for name, stacked in stacks.items()}
    return [stacked.array() for stacked in stacks]


def has_rows(outputs: Arrays, total: int) -> bool:
    """Whether dimension 0 of every output is the batch."""
    return all(array.ndim and array.shape[0] == total for _, array in items(outputs))


def cuts(outputs: Arrays, signature: Signature, known: list[Axis], *, filtered: bool) -> Cuts:
    """What is to be cut back in the outputs of a call.

    Args:
        outputs: the call's.
        signature: the call's; ``can_pad``.
        known: the unknown dimensions of its inputs.
        filtered: the call had a filter, so that outputs without names can't be told apart.

    Raises:
        UnexplainedDimension: see the class.
        AmbiguousDimension: see the class.
    """
    named = isinstance(outputs, dict)
    by_key = {} if filtered and not named else _by_key(signature.outputs or (), named=named)
    found: Cuts = {}
    for key, array in items(outputs):
        spec = by_key.get(key)
        if spec is None or spec.shape is None or len(spec.shape) != array.ndim:
            raise UnexplainedDimension(key)
        for axis, dim in enumerate(spec.shape):
            if axis and dim is None:
                found.setdefault(key, {})[axis] = _explained(key, array.shape[axis], known)
    return found


def _explained(key: Key, length: int, known: list[Axis]) -> Axis:
    """The input dimension that an output's is."""
    candidates = {axis for axis in known if axis.longest == length}
    if not candidates:
        raise UnexplainedDimension(key)
    if len(candidates) > 1:
        raise AmbiguousDimension(key)
    return candidates.pop()


def cut(outputs: Arrays, rows: slice, request: int, back: Cuts) -> Arrays:
    """One request's part of the outputs; views.

    Args:
        outputs: of the joined call.
        rows: where the request's stand.
        request: its position among the joined ones.
        back: what ``cuts`` found.
    """

    def part(key: Key, array: np.ndarray) -> np.ndarray:
        lengths = {axis: found.lengths[request] for axis, found in back.get(key, {}).items()}
        view: np.ndarray = array[(rows, *(slice(lengths.get(axis)) for axis in range(1, array.ndim)))]
        return view

    if isinstance(outputs, dict):
        return {name: part(name, array) for name, array in outputs.items()}
    return [part(index, array) for index, array in enumerate(outputs)]


def chunks(rows: Sequence[int], most: int) -> list[slice]:
    """Requests of so many rows each, in their order, cut into calls of at most ``most`` rows.

    A request is never split; one with more rows than that is alone.
    """
    found: list[slice] = []
    start = held = 0
    for index, count in enumerate(rows):
        if index > start and held + count > most:
            found.append(slice(start, index))
            start, held = index, 0
        held += count
    if rows:
        found.append(slice(start, len(rows)))
    return found


def padded_size(rows: int, sizes: Sequence[int]) -> int:
    """The rows that a call should have: the smallest of the sizes that holds them, or as many as they are."""
    return min((size for size in sizes if size >= rows), default=rows) if rows else 0


def padding_rows(calls: Sequence[Arrays], stacks: Stacks, total: int) -> int:
    """How many rows' worth of the joined elements are padding, rounded."""
    sent = sum(array.size for call in calls for _, array in items(call))
    made = sum(stacked.size for _, stacked in items(stacks))
    return round(total * (made - sent) / made) if made else 0
