"""Models of ``torch.export``: graphs with the shapes and types of their inputs and outputs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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
from eas_processors.pytorch.places import Feed, Place, Placed, Value
from eas_processors.pytorch.precision import of_input, retype
from eas_processors.tensors import dtypes
from eas_processors.tensors.errors import BadRequest
from eas_processors.tensors.model import Arrays, OutputFilter, Signature, Spec
from eas_processors.tensors.stacked import Stacks

_WIDENED = {"float16": "DT_FLOAT", "bfloat16": "DT_FLOAT", "bool": "DT_UINT8"}
"""Types that the protocol of PyTorch services lacks: what clients send and get instead."""


@dataclass(frozen=True, slots=True)
class _Leaf:
    """One value that the exported graph takes: a tensor of the request's, or a constant from the export."""

    name: str
    tensor: torch.Tensor | None
    constant: object = None


class Exported(Placed):
    """A loaded program of ``torch.export``.

    Attributes:
        alone: why its requests aren't joined, if they aren't and nobody has said so.
        most_rows: that one call may have; None: it isn't known that there is a limit.

    Args:
        path: the file.
        place: where to run it.
        batched: whether requests may be joined; None: if the first dimension of all inputs and outputs is the
            same dynamic one, and may be as large as ``rows``.
        rows: the most rows that joined requests will have.
        precision: the floating type to compute in; None: those of its graph.
        compiled: whether to compile it (``torch.compile``).

    Raises:
        NotServed: it takes something other than tensors.
    """

    def __init__(
        self,
        path: Path,
        place: Place,
        *,
        batched: bool | None,
        rows: int,
        precision: torch.dtype | None = None,
        compiled: bool = False,
    ) -> None:
        super().__init__(place)
        program = torch.export.load(path)
        if place.device.type != "cpu":
            program = move_to_device_pass(program, place.device)
        self.alone = f"was exported without a dynamic dimension 0, up to {rows}, of all inputs and outputs"
        self._precision = precision
        self._module: Any = program.module()
        if precision is not None:
            retype(self._module, precision)
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
        if compiled:
            self.compile(program.example_inputs)

    def compile(self, example: Any) -> None:
        """Compile the graph, and call it once so that it is done before the first request.

        Args:
            example: ``example_inputs`` of the program; None: it has none, and the first request waits.

        Raises:
            NotServed: it can't be compiled, or there is no compiler.
        """
        self._module = torch.compile(self._module, dynamic=True)
        if example is None:
            return
        leaves = zip(self._leaves, pytree.tree_leaves(example), strict=True)
        feeds = [
            one.to(self.place.device, of_input(one.dtype, self._precision)).clone()
            for leaf, one in leaves
            if leaf.tensor is not None
        ]
        try:
            with torch.inference_mode():
                self._call(feeds)
        except Exception as error:
            raise NotServed(f"it can't be compiled: {values.reason(error)}") from error

    def signature(self, name: str) -> Signature:
        """The only one."""
        if name not in {"", self._signature.name}:
            raise BadRequest(f"unknown signature {name!r}; exported programs have one: 'forward'")
        return self._signature

    def run_at(self, inputs: Arrays | Stacks, output_filter: OutputFilter) -> Arrays:
        """Call the graph."""
        tensors = [leaf for leaf in self._leaves if leaf.tensor is not None]
        names = [leaf.name for leaf in tensors]
        given: Mapping[str, Value] = (
            inputs if isinstance(inputs, dict) else dict(zip(names, inputs, strict=True))
        )
        feeds = [self._feed(leaf, given[leaf.name]) for leaf in tensors]
        return self.place.run(
            feeds, self._call, lambda result, fetch: self._read(result, output_filter, fetch)
        )

    def _feed(self, leaf: _Leaf, value: Value) -> Feed:
        wanted = None if leaf.tensor is None else of_input(leaf.tensor.dtype, self._precision)
        return Feed(leaf.name, value, wanted, self._writes)

    def _call(self, tensors: list[torch.Tensor]) -> object:
        """The graph's result for its tensors, in its order."""
        rest = iter(tensors)
        leaves = [leaf.constant if leaf.tensor is None else next(rest) for leaf in self._leaves]
        positional, named = pytree.tree_unflatten(leaves, self._in_spec)
        return self._module(*positional, **named)

    def _read(self, result: object, output_filter: OutputFilter, fetch: values.Fetch) -> Arrays:
        return values.outputs(result if self._named else pytree.tree_leaves(result), output_filter, fetch)


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
