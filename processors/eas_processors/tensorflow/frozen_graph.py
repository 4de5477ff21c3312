"""Frozen graphs: a ``.pb`` file with operations and constants, without signatures.

Any tensor may be given and any may be asked for, by the name of the tensor (``x:0``) or of its operation
(``x``); answers use the name that the request used. Requests must say what they want (``output_filter``), as
with the cloud's processor. What they put into ``signature_name`` means nothing here, but clients have to put
something there.

GET shows the placeholders as inputs, and as outputs the tensors that no operation of the graph reads.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import cast

import numpy as np
from google.protobuf.message import DecodeError

from eas_processors.tensorflow.errors import ModelUnusable, short
from eas_processors.tensorflow.options import Options
from eas_processors.tensorflow.runtime import tf
from eas_processors.tensorflow.session import GraphSession
from eas_processors.tensorflow.specs import batched, spec
from eas_processors.tensors.errors import BadRequest
from eas_processors.tensors.model import Arrays, Call, OutputFilter, Signature, Spec

NO_TARGET = "Must specify at least one target to fetch or execute."
_LOG = logging.getLogger(__name__)
_PLACEHOLDERS = {"Placeholder", "PlaceholderV2", "PlaceholderWithDefault"}
_VARIABLES = {"Variable", "VariableV2", "VarHandleOp"}
_LISTED = 20  # names in a message


class FrozenGraph:
    """See ``tensors.model.Model``."""

    def __init__(self, session: GraphSession) -> None:
        """``session`` has the graph."""
        self._session = session
        operations = session.graph.get_operations()
        inputs = [each.outputs[0] for each in operations if each.type in _PLACEHOLDERS]
        given = {tensor.name for tensor in inputs}
        tensors = (tensor for each in operations for tensor in each.outputs)
        ends = [tensor for tensor in tensors if tensor.name not in given and not tensor.consumers()]
        described = _specs(inputs), _specs(ends)
        self._whole = Signature("", *described, batched=batched(*described))

    def signature(self, name: str) -> Signature:
        """What GET shows; any name will do."""
        return self._whole

    def resolve(self, call: Call) -> Signature:
        """The signature that this call amounts to."""
        if not call.output_filter:
            raise BadRequest(NO_TARGET)
        names = (
            call.inputs if isinstance(call.inputs, dict) else [each.name for each in self._whole.inputs or ()]
        )
        inputs = tuple(self._spec(name, "input") for name in names)
        outputs = tuple(self._spec(str(name), "output") for name in call.output_filter)
        return Signature("", inputs, outputs, batched(inputs, outputs))

    def run(self, signature: Signature, inputs: Arrays, output_filter: OutputFilter) -> Arrays:
        """Compute the tensors asked for, and only those."""
        feeds = {_full(name): array for name, array in cast("dict[str, np.ndarray]", inputs).items()}
        wanted = [str(name) for name in output_filter]
        values = self._session.run(feeds, [_full(name) for name in wanted])
        return dict(zip(wanted, values, strict=True))

    def close(self) -> None:
        """Gives back what the session holds."""
        self._session.close()

    def _spec(self, name: str, role: str) -> Spec:
        """The tensor that a request names."""
        tensor = self._session.tensor(name)
        if tensor is None:
            known = self._whole.inputs if role == "input" else self._whole.outputs
            raise BadRequest(f"the graph has no tensor {name!r}; its {role}s are {_listed(known or ())}")
        return spec(name, tensor.dtype, tensor.shape)


def load(file: Path, options: Options, device: str) -> FrozenGraph:
    """The graph in the file; ``ModelUnusable`` says why it can't be loaded."""
    definition = _definition(file)
    session = GraphSession(options, device)
    try:
        with session.graph.as_default():
            tf.import_graph_def(definition, name="")
    except Exception as error:
        session.close()
        raise ModelUnusable(f"{file} can't be loaded as a frozen graph: {short(error)}") from error
    variables = [each.name for each in session.graph.get_operations() if each.type in _VARIABLES]
    if variables:
        _LOG.warning(
            "%s isn't frozen: its variables have no values (%s)", file.name, ", ".join(variables[:_LISTED])
        )
    return FrozenGraph(session)


def _definition(file: Path) -> tf.compat.v1.GraphDef:
    """The file's message."""
    try:
        definition = tf.compat.v1.GraphDef.FromString(file.read_bytes())
    except DecodeError as error:
        raise ModelUnusable(f"{file} is no frozen graph: it can't be read as a GraphDef") from error
    if not definition.node:
        raise ModelUnusable(f"{file} is no frozen graph: there is no operation in it")
    return definition


def _specs(tensors: Iterable[tf.Tensor]) -> tuple[Spec, ...]:
    """By the names of their operations where that is unambiguous, in the order of the file."""
    return tuple(spec(each.name.removesuffix(":0"), each.dtype, each.shape) for each in tensors)


def _full(name: str) -> str:
    return name if ":" in name else f"{name}:0"


def _listed(specs: Iterable[Spec]) -> str:
    names = [repr(each.name) for each in specs]
    return ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")
