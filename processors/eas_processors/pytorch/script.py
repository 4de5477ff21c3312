"""Models in TorchScript.

TorchScript knows the names of a model's arguments, but neither shapes nor types of elements: what doesn't
fit is torch's own error, raised when the model runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from eas_processors.pytorch import values
from eas_processors.pytorch.archive import NotServed
from eas_processors.tensors.errors import BadRequest
from eas_processors.tensors.model import Arrays, OutputFilter, Signature, Spec

_NUMBERS = frozenset(("FloatType", "IntType", "BoolType", "NumberType"))


class Script:
    """A loaded TorchScript model.

    Its arguments are tensors, numbers (a request sends a tensor of one element) and optional ones of both.
    A model whose one argument is a ``Dict[str, Tensor]`` gets all named inputs in it, one with a
    ``List[Tensor]`` all unnamed ones. Arguments of other types are left to their defaults.

    Attributes:
        alone: why its requests aren't joined, if they aren't and nobody has said so.

    Args:
        path: the file.
        device: where to run it.
        batched: whether requests may be joined; None: they may unless the model takes numbers, which joining
            would put side by side.

    Raises:
        NotServed: the model has no ``forward``, or one that requests can't call.
    """

    alone = "takes numbers"

    def __init__(self, path: Path, device: torch.device, *, batched: bool | None) -> None:
        load: Any = torch.jit.load  # without type hints
        self._module = load(str(path), map_location=device).eval()
        self._device = device
        if not hasattr(self._module, "forward"):
            raise NotServed("it has no forward()")
        schema = self._module.forward.schema
        arguments = schema.arguments[1:]
        needed = [argument for argument in arguments if not argument.has_default_value()]
        self._container = _container(needed[0]) if len(needed) == 1 else ""
        self._arguments = {
            argument.name: argument
            for argument in arguments
            if _element(argument.type) in {"TensorType", *_NUMBERS}
        }
        impossible = [argument.name for argument in needed if argument.name not in self._arguments]
        if impossible and not self._container:
            raise NotServed(f"requests have tensors only, and can't give {', '.join(impossible)} of {schema}")
        self._writes = self._container != "" or _writes(self._module)
        numbers = any(_element(argument.type) in _NUMBERS for argument in self._arguments.values())
        self._signature = Signature(
            "forward",
            None if self._container else tuple(_spec(argument) for argument in self._arguments.values()),
            None,
            not numbers if batched is None else batched,
        )

    def signature(self, name: str) -> Signature:
        """The only one."""
        if name not in {"", self._signature.name}:
            raise BadRequest(f"unknown signature {name!r}; TorchScript models have one: 'forward'")
        return self._signature

    def run(self, signature: Signature, inputs: Arrays, output_filter: OutputFilter) -> Arrays:
        """Call ``forward``."""
        positional, named = self._call(inputs)
        try:
            with torch.inference_mode():
                result = self._module(*positional, **named)
        except Exception as error:
            raise BadRequest(values.reason(error)) from error
        return values.outputs(result, output_filter)

    def _call(self, inputs: Arrays) -> tuple[list[object], dict[str, object]]:
        """The arguments of ``forward``, in order and by name."""
        if self._container == "DictType":
            if not isinstance(inputs, dict):
                raise BadRequest("the model takes its inputs by name: send map_inputs")
            return [{name: self._tensor(array, name) for name, array in inputs.items()}], {}
        if self._container == "ListType":
            if isinstance(inputs, dict):
                raise BadRequest("the model takes a list of unnamed inputs")
            return [[self._tensor(array, str(index)) for index, array in enumerate(inputs)]], {}
        given = inputs if isinstance(inputs, dict) else dict(zip(self._arguments, inputs, strict=False))
        named: dict[str, object] = {}
        for name, argument in self._arguments.items():
            if name in given:
                named[name] = self._argument(given[name], argument)
            elif not argument.has_default_value():
                named[name] = None  # optional: the signature let it pass
        return [], named

    def _argument(self, array: np.ndarray, argument: Any) -> object:
        """One argument of ``forward``."""
        kind = _element(argument.type)
        if kind not in _NUMBERS:
            return self._tensor(array, argument.name)
        if array.size != 1:
            raise BadRequest(f"input {argument.name!r} is one number, {array.size} were sent")
        number = array.reshape(-1)[0].item()
        return {"IntType": int, "BoolType": bool, "FloatType": float}.get(kind, lambda same: same)(number)

    def _tensor(self, array: np.ndarray, name: str) -> torch.Tensor:
        return values.tensor(array, name, self._device, writes=self._writes)


def _spec(argument: Any) -> Spec:
    optional = argument.has_default_value() or argument.type.kind() == "OptionalType"
    number = _element(argument.type) in _NUMBERS
    return Spec(argument.name, "", () if number else None, optional)


def _element(type_: Any) -> str:
    """The kind of a type, or of what is optional in it."""
    while type_.kind() == "OptionalType":
        type_ = type_.getElementType()
    return str(type_.kind())


def _container(argument: Any) -> str:
    """The kind of an argument that takes any number of tensors; empty for others."""
    type_ = argument.type
    if type_.kind() == "DictType":
        fits = type_.getKeyType().kind() == "StringType" and type_.getValueType().kind() == "TensorType"
    else:
        fits = type_.kind() == "ListType" and type_.getElementType().kind() == "TensorType"
    return str(type_.kind()) if fits else ""


def _writes(module: Any) -> bool:
    """Whether the model may write into its inputs. True when torch can't tell."""
    try:
        graph = module.forward.graph.copy()
        torch._C._jit_pass_inline(graph)  # noqa: SLF001 - calls hide what they write to
        if graph.findAllNodes("prim::SetAttr", True):
            return True  # it may keep an input, whose memory is someone else's after the call
        aliases = graph.alias_db()
        return any(aliases.has_writers(value) for value in list(graph.inputs())[1:])
    except (AttributeError, RuntimeError):
        return True
