"""Models in TorchScript.

TorchScript knows the names of a model's arguments, but neither shapes nor types of elements: what doesn't
fit is torch's own error, raised when the model runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from eas_processors.pytorch import values
from eas_processors.pytorch.archive import NotServed
from eas_processors.pytorch.places import Feed, Place, Placed, Value
from eas_processors.pytorch.precision import convert, of_input
from eas_processors.tensors.errors import BadRequest
from eas_processors.tensors.model import Arrays, OutputFilter, Signature, Spec
from eas_processors.tensors.stacked import Stacked, Stacks

_NUMBERS = frozenset(("FloatType", "IntType", "BoolType", "NumberType"))


class Script(Placed):
    """A loaded TorchScript model.

    Its arguments are tensors, numbers (a request sends a tensor of one element) and optional ones of both.
    A model whose one argument is a ``Dict[str, Tensor]`` gets all named inputs in it, one with a
    ``List[Tensor]`` all unnamed ones. Arguments of other types are left to their defaults.

    Attributes:
        numbers: whether it has arguments that are numbers.
        alone: why its requests aren't joined, if they aren't and nobody has said so.

    Args:
        path: the file.
        place: where to run it.
        batched: whether requests may be joined; None: they may unless the model takes numbers, which joining
            would put side by side.
        precision: the floating type to compute in; None: that of its weights.
        compiled: refused: torch compiles no TorchScript.

    Raises:
        NotServed: it is to be compiled; the model has no ``forward``, or one that requests can't call.
    """

    alone = "takes numbers"

    def __init__(
        self,
        path: Path,
        place: Place,
        *,
        batched: bool | None,
        precision: torch.dtype | None = None,
        compiled: bool = False,
    ) -> None:
        super().__init__(place)
        if compiled:
            raise NotServed(
                "torch.compile takes no TorchScript: leave out compile, or export with torch.export.save"
            )
        load: Any = torch.jit.load  # without type hints
        self._module = load(str(path), map_location=place.device).eval()
        self._precision = precision
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
        if precision is not None:
            convert(self._module, precision)
        self.numbers = numbers = any(
            _element(argument.type) in _NUMBERS for argument in self._arguments.values()
        )
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

    def run_at(self, inputs: Arrays | Stacks, output_filter: OutputFilter) -> Arrays:
        """Call ``forward``."""
        feeds, named = self._fed(inputs)

        def call(tensors: list[torch.Tensor]) -> object:
            if self._container == "ListType":
                return self._module(tensors)
            by_name = dict(zip((feed.name for feed in feeds), tensors, strict=True))
            return self._module(by_name) if self._container else self._module(**named, **by_name)

        return self.place.run(feeds, call, lambda result, fetch: values.outputs(result, output_filter, fetch))

    def _fed(self, inputs: Arrays | Stacks) -> tuple[list[Feed], dict[str, object]]:
        """The tensors that it takes, and its other arguments by name."""
        if self._container == "DictType":
            if not isinstance(inputs, dict):
                raise BadRequest("the model takes its inputs by name: send map_inputs")
            return [self._feed(name, value) for name, value in inputs.items()], {}
        if self._container == "ListType":
            if isinstance(inputs, dict):
                raise BadRequest("the model takes a list of unnamed inputs")
            unnamed: Sequence[Value] = inputs
            return [self._feed(str(index), value) for index, value in enumerate(unnamed)], {}
        given: Mapping[str, Value] = (
            inputs if isinstance(inputs, dict) else dict(zip(self._arguments, inputs, strict=False))
        )
        feeds: list[Feed] = []
        named: dict[str, object] = {}
        for name, argument in self._arguments.items():
            if name not in given:
                if not argument.has_default_value():
                    named[name] = None  # optional: the signature let it pass
            elif _element(argument.type) in _NUMBERS:
                named[name] = _number(given[name], argument)
            else:
                feeds.append(self._feed(name, given[name]))
        return feeds, named

    def _feed(self, name: str, value: Value) -> Feed:
        sent = values.dtype(value.dtype, name)
        dtype = of_input(sent, self._precision)
        return Feed(name, value, None if dtype == sent else dtype, self._writes)


def _number(value: Value, argument: Any) -> object:
    """One argument that is a number."""
    array = value.array() if isinstance(value, Stacked) else value
    if array.size != 1:
        raise BadRequest(f"input {argument.name!r} is one number, {array.size} were sent")
    number = array.reshape(-1)[0].item()
    kind = {"IntType": int, "BoolType": bool, "FloatType": float}.get(_element(argument.type))
    return number if kind is None else kind(number)


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
