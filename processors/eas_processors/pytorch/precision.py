"""``model_config.dtype``: a model that computes in another floating type than it was made in.

Parameters and buffers are converted, float inputs are converted where the model runs, and what it answers is
widened to float as ever (values.py). In a ``.pt2`` the types that its graph names are changed with it:
``x.to(torch.float32)`` in the model was the type of its weights when it was exported. TorchScript's graphs
stay as they are, so a model with ``x.float()`` in it meets weights of another type, and says so.
"""

from __future__ import annotations

from typing import Any

import torch

DTYPES = ("float32", "float16", "bfloat16")
"""What ``model_config`` may say."""

_ASSERTS = "aten._assert_tensor_metadata"


def wanted(name: str | None) -> torch.dtype | None:
    """The type that ``model_config`` names; None: the model's own."""
    return None if name is None else getattr(torch, name)


def of_input(dtype: torch.dtype, precision: torch.dtype | None) -> torch.dtype:
    """The type in which the model gets what it was made to take in ``dtype``."""
    return dtype if precision is None or not _is_float(dtype) else precision


def convert(module: Any, precision: torch.dtype) -> None:
    """Convert parameters and buffers of floats."""
    module.to(precision)


def retype(module: Any, precision: torch.dtype) -> None:
    """Convert an exported module: its parameters, its buffers and the types that its graph names."""
    convert(module, precision)
    graph = module.graph
    for node in list(graph.nodes):
        if node.op != "call_function":
            continue
        if str(node.target).startswith(_ASSERTS):
            graph.erase_node(node)  # they say what types were when the model was exported
            continue
        node.args = tuple(_retyped(one, precision) for one in node.args)
        node.kwargs = {key: _retyped(one, precision) for key, one in node.kwargs.items()}
        if _makes_floats(node):
            node.kwargs = {**node.kwargs, "dtype": precision}
    module.recompile()


def _retyped(argument: Any, precision: torch.dtype) -> Any:
    return precision if isinstance(argument, torch.dtype) and _is_float(argument) else argument


def _makes_floats(node: Any) -> bool:
    """Whether it makes a tensor of floats from nothing, in the type that is the default (``torch.ones``)."""
    schema = getattr(node.target, "_schema", None)
    if schema is None or "dtype" not in {argument.name for argument in schema.arguments}:
        return False
    value = node.meta.get("val")
    made = isinstance(value, torch.Tensor) and _is_float(value.dtype)
    named = any(isinstance(one, torch.dtype) for one in (*node.args, *node.kwargs.values()))
    return made and not named and not node.all_input_nodes


def _is_float(dtype: torch.dtype) -> bool:
    """Of those that a model computes in; not double, whose digits somebody needs, nor those of 8 bits."""
    return dtype in {torch.float32, torch.float16, torch.bfloat16}
