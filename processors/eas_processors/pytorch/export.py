"""Models of ``torch.export``: graphs with the shapes and types of their inputs and outputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.export.graph_signature import ConstantArgument, InputKind, OutputKind, TensorArgument
from torch.export.passes import move_to_device_pass
from torch.utils import _pytree as pytree

from eas_processors.pytorch import values
from eas_processors.pytorch.archive import NotServed
from eas_processors.tensors import dtypes
from eas_processors.tensors.errors import BadRequest
from eas_processors.tensors.model import Arrays, OutputFilter, Signature, Spec

_WIDENED = {"float16": "DT_FLOAT", "bfloat16": "DT_FLOAT", "bool": "DT_UINT8"}
"""Types that the protocol of PyTorch services lacks: what clients send and get instead."""


@dataclass(frozen=True, slots=True)
class _Leaf:
    """One value that the exported graph takes: a tensor of the request's, or a constant from the export."""

    name: str
    tensor: torch.Tensor | None
    constant: object = None


class Exported:
    """A loaded program of ``torch.export``.

    Attributes:
        alone: why its requests aren't joined, if they aren't and nobody has said so.
        most_rows: that one call may have; None: it isn't known that there is a limit.

    Args:
        path: the file.
        device: where to run it.
        batched: whether requests may be joined; None: if the first dimension of all inputs and outputs is the
            same dynamic one, and may be as large as ``rows``.
        rows: the most rows that joined requests will have.

    Raises:
        NotServed: it takes something other than tensors.
    """

    def __init__(self, path: Path, device: torch.device, *, batched: bool | None, rows: int) -> None:
        program = torch.export.load(path)
        if device.type != "cpu":
            program = move_to_device_pass(program, device)
        self.alone = f"was exported without a dynamic dimension 0, up to {rows}, of all inputs and outputs"
        self._device = device
        self._module = program.module()
        self._in_spec = program.call_spec.in_spec
        self._leaves = _leaves(program)
        self._writes = _writes(program)
        inputs = {leaf.name: leaf.tensor for leaf in self._leaves if leaf.tensor is not None}
        self._named, outputs = _outputs(program)
        bound = _common_bound(program, [*inputs.values(), *outputs.values()])
        self.most_rows = int(bound) if 0 < bound < math.inf else None
        self._signature = Signature(
            "forward",
            tuple(_spec(name, tensor) for name, tensor in inputs.items()),
            tuple(_spec(name, tensor) for name, tensor in outputs.items()),
            bound >= rows if batched is None else batched,
        )

    def signature(self, name: str) -> Signature:
        """The only one."""
        if name not in {"", self._signature.name}:
            raise BadRequest(f"unknown signature {name!r}; exported programs have one: 'forward'")
        return self._signature

    def run(self, signature: Signature, inputs: Arrays, output_filter: OutputFilter) -> Arrays:
        """Call the graph."""
        positional, named = pytree.tree_unflatten(self._values(inputs), self._in_spec)
        try:
            with torch.inference_mode():
                result = self._module(*positional, **named)
        except Exception as error:
            raise BadRequest(values.reason(error)) from error
        if not self._named:
            result = pytree.tree_leaves(result)
        return values.outputs(result, output_filter)

    def _values(self, inputs: Arrays) -> list[object]:
        """What the graph takes, in its order."""
        names = (leaf.name for leaf in self._leaves if leaf.tensor is not None)
        given = inputs if isinstance(inputs, dict) else dict(zip(names, inputs, strict=True))
        return [
            leaf.constant
            if leaf.tensor is None
            else self._tensor(given[leaf.name], leaf.name, leaf.tensor.dtype)
            for leaf in self._leaves
        ]

    def _tensor(self, array: np.ndarray, name: str, dtype: torch.dtype) -> torch.Tensor:
        return values.tensor(array, name, self._device, writes=self._writes).to(dtype)


def _leaves(program: Any) -> list[_Leaf]:
    """What the graph takes, in its order: the leaves of its positional and keyword arguments."""
    tensors = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
    taken = [spec.arg for spec in program.graph_signature.input_specs if spec.kind == InputKind.USER_INPUT]
    keys = _dict_keys(program.call_spec.in_spec, len(taken))
    leaves = []
    for argument, key in zip(taken, keys, strict=True):
        if isinstance(argument, TensorArgument):
            leaves.append(_Leaf(key or argument.name, tensors[argument.name]))
        elif isinstance(argument, ConstantArgument):
            leaves.append(_Leaf(argument.name, None, argument.value))
        else:
            raise NotServed(f"requests have tensors only, and can't give its input {argument.name!r}")
    return leaves


def _dict_keys(in_spec: pytree.TreeSpec, count: int) -> Sequence[str]:
    """The keys of the dict that is the program's one argument; empty strings if that isn't what it takes."""
    example = pytree.tree_unflatten(range(count), in_spec)
    paths: list[Any] = [path for path, _ in pytree.tree_leaves_with_path(example)]
    in_one_dict = len({path[:2] for path in paths}) == 1 and all(
        len(path) == 3 and isinstance(path[2], pytree.MappingKey) for path in paths
    )
    return [str(path[2].key) if in_one_dict else "" for path in paths]


def _outputs(program: Any) -> tuple[bool, dict[str, torch.Tensor | None]]:
    """Whether the outputs are a dict; their names and tensors, None for those that are no tensors."""
    node = next(node for node in program.graph.nodes if node.op == "output")
    wanted = [
        getattr(value, "meta", {}).get("val")
        for value, spec in zip(node.args[0], program.graph_signature.output_specs, strict=True)
        if spec.kind == OutputKind.USER_OUTPUT
    ]
    tensors = [value if isinstance(value, torch.Tensor) else None for value in wanted]
    example = pytree.tree_unflatten(range(len(tensors)), program.call_spec.out_spec)
    named = isinstance(example, dict) and len(example) == len(tensors)
    names = map(str, example) if named else (f"output_{index}" for index in range(len(tensors)))
    return named, dict(zip(names, tensors, strict=True))


def _spec(name: str, tensor: torch.Tensor | None) -> Spec:
    """What clients send or get for a tensor of the graph."""
    if tensor is None:
        return Spec(name, "", None)
    torch_name = str(tensor.dtype).removeprefix("torch.")
    dtype = _WIDENED.get(torch_name) or dtypes.name_of(np.dtype(torch_name))
    shape: tuple[Any, ...] = tuple(tensor.shape)
    return Spec(name, dtype, tuple(None if isinstance(dim, torch.SymInt) else dim for dim in shape))


def _common_bound(program: Any, tensors: Sequence[torch.Tensor | None]) -> float:
    """How large the first dimension of all tensors may be, if it is one and the same dynamic one; else 0."""
    firsts = set()
    for tensor in tensors:
        first: Any = tensor.shape[0] if tensor is not None and tensor.shape else 0
        if not isinstance(first, torch.SymInt):
            return 0
        firsts.add(first.node.expr)
    bounds = [limits.upper for symbol, limits in program.range_constraints.items() if firsts == {symbol}]
    if not bounds:
        return 0  # none, several, or an expression such as 2 * batch
    return int(bounds[0]) if getattr(bounds[0], "is_Integer", False) else math.inf


def _writes(program: Any) -> bool:
    """Whether an operator of the graph writes into a tensor; it might be an input."""
    schemas = [
        getattr(node.target, "_schema", None) for node in program.graph.nodes if node.op == "call_function"
    ]
    return (
        any(schema is not None and schema.is_mutable for schema in schemas)
        or len(list(program.graph_module.modules())) > 1
    )
