"""Whether a call fits the signature: names, types, shapes, filter. All complaints are ``BadRequest``."""

from __future__ import annotations

import numpy as np

from eas_processors.tensors import dtypes
from eas_processors.tensors.dtypes import listed
from eas_processors.tensors.errors import BadRequest
from eas_processors.tensors.model import Arrays, OutputFilter, Signature, Spec
from eas_processors.tensors.stacked import Stacked


def by_name(inputs: Arrays, signature: Signature) -> dict[str, np.ndarray]:
    """The inputs by name; unnamed ones get the names of the signature in its order."""
    if isinstance(inputs, dict):
        return inputs
    if signature.inputs is None:
        raise BadRequest("the inputs must be named: the model doesn't say in which order it takes them")
    _check_count(inputs, signature.inputs)
    return {spec.name: array for spec, array in zip(signature.inputs, inputs, strict=False)}


def check(inputs: Arrays, output_filter: OutputFilter, signature: Signature) -> None:
    """Raises ``BadRequest`` unless the inputs and the filter fit the signature."""
    if signature.inputs is not None:
        if isinstance(inputs, dict):
            _check_named(inputs, signature.inputs)
        else:
            _check_count(inputs, signature.inputs)
            for spec, array in zip(signature.inputs, inputs, strict=False):
                _check_array(spec, array)
    _check_filter(output_filter, signature)


def _check_named(inputs: dict[str, np.ndarray], specs: tuple[Spec, ...]) -> None:
    known = {spec.name: spec for spec in specs}
    unknown = [name for name in inputs if name not in known]
    if unknown:
        raise BadRequest(f"unknown inputs: {listed(unknown)}; the model's inputs are {listed(known)}")
    missing = [spec.name for spec in specs if spec.name not in inputs and not spec.optional]
    if missing:
        raise BadRequest(f"missing inputs: {listed(missing)}; the model's inputs are {listed(known)}")
    for name, array in inputs.items():
        _check_array(known[name], array)


def _check_count(inputs: list[np.ndarray], specs: tuple[Spec, ...]) -> None:
    least = sum(not spec.optional for spec in specs)
    if not least <= len(inputs) <= len(specs):
        wanted = str(least) if least == len(specs) else f"{least} to {len(specs)}"
        names = listed(spec.name for spec in specs)
        raise BadRequest(f"{len(inputs)} inputs were sent, the model takes {wanted}: {names}")


def _check_array(spec: Spec, array: np.ndarray) -> None:
    sent = dtypes.name_of(array.dtype)
    if not fits(array.shape, spec.shape) or dtypes.QUANTIZED.get(spec.dtype, spec.dtype) not in {"", sent}:
        raise BadRequest(
            f"input {spec.name!r}: sent {described(array)}, the model wants {_wanted(spec.dtype, spec.shape)}"
        )


def fits(shape: tuple[int, ...], wanted: tuple[int | None, ...] | None) -> bool:
    """Whether a shape is one of those wanted."""
    if wanted is None:
        return True
    return len(shape) == len(wanted) and all(w is None or w == s for s, w in zip(shape, wanted, strict=True))


def described(array: np.ndarray | Stacked) -> str:
    """``DT_FLOAT [2, 3]``, for messages."""
    return _wanted(dtypes.name_of(array.dtype), array.shape)


def _wanted(dtype: str, shape: tuple[int | None, ...] | None) -> str:
    """``DT_FLOAT [-1, 3]``, for messages; -1 is an unknown dimension, as in the signature that GET shows."""
    dims = "of any shape" if shape is None else str([-1 if dim is None else dim for dim in shape])
    return f"{dtype or 'any type'} {dims}"


def _check_filter(output_filter: OutputFilter, signature: Signature) -> None:
    positions = [wanted for wanted in output_filter if isinstance(wanted, int)]
    if len(set(positions)) < len(positions):  # a few bytes would ask for any number of answers
        raise BadRequest("output_filter: a position stands there twice")
    if signature.outputs is None:
        return
    names = [spec.name for spec in signature.outputs]
    for wanted in output_filter:
        known = wanted in names if isinstance(wanted, str) else 0 <= wanted < len(names)
        if not known:
            raise BadRequest(
                f"output_filter: unknown output {wanted!r}; the model's outputs are {listed(names)}"
            )
