"""numpy arrays to tensors and back, and what is common to both kinds of models.

The memory of a request's arrays may be the request's body: read-only, and shared with whoever looks at the
body again. torch has no read-only tensors, so a model that writes into its inputs gets a copy; others get
the memory itself, if it begins where torch's own would. Elsewhere some kernels (MKL on AMD) round otherwise:
the same request would have answers that differ in their last bits with where in the body a tensor lies.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
import torch

from eas_processors.tensors.errors import BadRequest
from eas_processors.tensors.model import Arrays, OutputFilter

_TO_FLOAT = frozenset(
    getattr(torch, name)
    for name in ("float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz")
    if hasattr(torch, name)
)

_CARDS = tuple(
    getattr(torch, name) for name in ("OutOfMemoryError", "AcceleratorError") if hasattr(torch, name)
)
"""What torch raises when the card has failed, or has no memory left."""

_OF_CARD = re.compile(
    r"CUDA error|CUDA out of memory|"
    r"(?:CUBLAS|CUDNN)_STATUS_(?:EXECUTION_FAILED|INTERNAL_ERROR|ALLOC_FAILED|NOT_INITIALIZED)"
)
"""The same where it is only said: in TorchScript, and in torch before 2.8."""

_ALIGNMENT = 64
"""Bytes: of the memory that torch allocates."""

_ERROR = re.compile(r"[A-Za-z_.]*(?:Error|Exception): ")
_PREFIX = re.compile(r"^(?:RuntimeError: )+|^builtins\.")
_LONGEST = 400


Fetch = Callable[[Sequence[torch.Tensor]], list[np.ndarray]]
"""Brings outputs to the memory of the machine."""


def dtype(of: np.dtype, name: str) -> torch.dtype:
    """The type in torch for one of dtypes.py. ``BadRequest`` for strings; ``name`` is for the message."""
    if of.hasobject:
        raise BadRequest(f"input {name!r}: DT_STRING, which PyTorch has no type for")
    if of.kind == "V":  # bfloat16, which numpy has no kind for
        return torch.bfloat16
    return torch.from_numpy(np.empty(0, of)).dtype


def tensor(array: np.ndarray, name: str, device: torch.device, *, writes: bool) -> torch.Tensor:
    """An input as the model gets it.

    Args:
        array: of any type of dtypes.py.
        name: for messages.
        device: where the model is.
        writes: whether the model may write into it.
    """
    if dtype(array.dtype, name) == torch.bfloat16:
        return _placed(array.view(np.uint16), writes=writes).view(torch.bfloat16).to(device)
    return _placed(array, writes=writes).to(device)


def _placed(array: np.ndarray, *, writes: bool) -> torch.Tensor:
    """The array's own memory where the model may have it, else a copy in memory of torch's."""
    there = array.ctypes.data % _ALIGNMENT == 0 and array.flags.c_contiguous
    if there and (array.flags.writeable or not writes):
        return torch.from_numpy(array)
    own = torch.empty(array.shape, dtype=torch.from_numpy(np.empty(0, array.dtype)).dtype)
    own.numpy()[...] = array
    return own


def _output(value: object, name: str) -> torch.Tensor:
    """One output, where it is. Numbers and booleans count as tensors without dimensions.

    What the answer's format can't say is widened: half, bfloat16 and the 8-bit floats to float, bool to
    uint8.
    """
    if isinstance(value, bool | int | float):
        value = torch.tensor(value)
    if not isinstance(value, torch.Tensor):
        raise BadRequest(
            f"{name} of the model is {type(value).__name__}, not a tensor; "
            "leave it out with output_filter, or export the model without it"
        )
    value = value.detach()
    if value.is_quantized:
        value = value.dequantize()
    if value.layout != torch.strided:
        value = value.to_dense()
    if value.dtype in _TO_FLOAT:
        value = value.to(torch.float32)
    elif value.dtype == torch.bool:
        value = value.to(torch.uint8)
    return value


def at_hand(outputs: Sequence[torch.Tensor]) -> list[np.ndarray]:
    """Outputs of models that run on the processor (``Fetch``)."""
    return [output.cpu().resolve_conj().resolve_neg().numpy() for output in outputs]


def outputs(result: object, output_filter: OutputFilter, fetch: Fetch = at_hand) -> Arrays:
    """A model's result as arrays.

    A dict stays named; its outputs are counted in its own order. Anything else is a list: lists and
    tuples in it are laid end to end. With a filter the answer holds what the filter names, in the filter's
    order.
    """
    if isinstance(result, dict):
        names = [str(key) for key in result]
        values = list(result.values())
        wanted = _wanted(output_filter, names)
        asked = [_output(values[index], f"output {names[index]!r}") for index in wanted]
        return dict(zip((names[index] for index in wanted), fetch(asked), strict=True))
    flat = list(_flattened(result))
    wanted = _wanted(output_filter, [f"output_{index}" for index in range(len(flat))])
    return fetch([_output(flat[index], f"output {index}") for index in wanted])


def _flattened(result: object) -> Sequence[object]:
    """The leaves of nested lists and tuples."""
    if not isinstance(result, list | tuple):
        return [result]
    return [leaf for part in result for leaf in _flattened(part)]


def _wanted(output_filter: OutputFilter, names: list[str]) -> Sequence[int]:
    """The positions of the outputs that a filter names; all without one."""
    if not output_filter:
        return range(len(names))
    positions = {name: index for index, name in enumerate(names)}
    wanted = [positions.get(which, -1) if isinstance(which, str) else which for which in output_filter]
    for which, index in zip(output_filter, wanted, strict=True):
        if not 0 <= index < len(names):
            raise BadRequest(f"output_filter: unknown output {which!r}; the model has {_counted(names)}")
    return wanted


def _counted(names: list[str]) -> str:
    return f"{len(names)} outputs: {', '.join(f'{index} ({name!r})' for index, name in enumerate(names))}"


def refusal(error: Exception) -> Exception:
    """What a model's complaint is to the client; what is wrong with the card is nobody's request's."""
    of_card = isinstance(error, _CARDS) or _OF_CARD.search(str(error))
    return error if of_card else BadRequest(reason(error))


def reason(error: BaseException) -> str:
    """What torch complains of, without TorchScript's and C++'s traces.

    TorchScript puts two traces of the model's code before the message, c10 the stack of C++ behind it.
    """
    text = str(error).partition("\nException raised from")[0].partition("\nC++ CapturedTraceback")[0]
    in_script = "TorchScript" in text.partition("\n")[0]
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [type(error).__name__]
    if not in_script:
        return " ".join(lines)[:_LONGEST]
    last = max((at for at, line in enumerate(lines) if _ERROR.match(line)), default=len(lines) - 1)
    return _PREFIX.sub("", " ".join(lines[last:]))[:_LONGEST]
