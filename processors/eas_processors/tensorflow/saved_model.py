"""SavedModels of TensorFlow 1 and 2, all their signatures.

A SavedModel of TensorFlow 2 holds the graph that TensorFlow 1 would have written, too (TensorFlow Serving
runs nothing else), so one way of loading serves both: variables restored, tables initialised, reference
variables as they are.

A signature's inputs and outputs are offered in the order of their names: the file keeps no other.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from eas_processors.tensorflow.errors import ModelUnusable, short
from eas_processors.tensorflow.options import Options
from eas_processors.tensorflow.runtime import tf
from eas_processors.tensorflow.session import GraphSession
from eas_processors.tensorflow.specs import batched, spec
from eas_processors.tensors.errors import BadRequest
from eas_processors.tensors.model import Arrays, OutputFilter, Signature, Spec

DEFAULT = "serving_default"
_INTERNAL = {"__saved_model_init_op", "__saved_model_train_op"}
_UNSENDABLE = {tf.resource, tf.variant}


@dataclass(frozen=True, slots=True)
class Bound:
    """A signature and the tensors behind its names."""

    signature: Signature
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]


class SavedModel:
    """See ``tensors.model.Model``."""

    def __init__(
        self, session: GraphSession, bound: Mapping[str, Bound], unserved: Mapping[str, str]
    ) -> None:
        """For ``load``.

        Args:
            session: has the model's graph.
            bound: the signatures by name.
            unserved: the signatures that requests can't use, and why.
        """
        self._session = session
        self._bound = dict(bound)
        self._unserved = dict(unserved)
        self._default = DEFAULT

    def prefer(self, name: str) -> None:
        """Makes another signature the default one; ``ModelUnusable`` when there is none of this name."""
        if name not in self._bound:
            raise ModelUnusable(f"model_config: signature_name: {self._complaint(name)}")
        self._default = name

    def signature(self, name: str) -> Signature:
        """The signature of that name; ``""``: the default, or the only one."""
        return self._find(name).signature

    def run(self, signature: Signature, inputs: Arrays, output_filter: OutputFilter) -> Arrays:
        """Compute the outputs wanted, and only those."""
        bound = self._bound[signature.name]
        names = list(bound.outputs)
        wanted = [each if isinstance(each, str) else names[each] for each in output_filter] or names
        feeds = {bound.inputs[name]: array for name, array in cast("dict[str, np.ndarray]", inputs).items()}
        values = self._session.run(feeds, [bound.outputs[name] for name in wanted])
        return dict(zip(wanted, values, strict=True))

    def close(self) -> None:
        """Gives back what the session holds."""
        self._session.close()

    def _find(self, name: str) -> Bound:
        if not name:
            name = (
                self._default
                if self._default in self._bound or len(self._bound) != 1
                else next(iter(self._bound))
            )
        try:
            return self._bound[name]
        except KeyError:
            raise BadRequest(self._complaint(name)) from None

    def _complaint(self, name: str) -> str:
        reason = self._unserved.get(name)
        if reason:
            return f"the signature {name!r} can't be used: {reason}"
        known = ", ".join(map(repr, self._bound))
        return f"the model has no signature {name!r}; it has {known}"


def load(folder: Path, options: Options, device: str) -> SavedModel:
    """The SavedModel in the folder; ``ModelUnusable`` says why it can't be loaded."""
    session = GraphSession(options, device)
    try:
        with session.graph.as_default():
            meta = tf.compat.v1.saved_model.load(session.session, list(options.tags), str(folder))
    except Exception as error:
        session.close()
        raise ModelUnusable(f"{folder} can't be loaded as a SavedModel: {short(error)}") from error
    bound, unserved = _signatures(meta.signature_def, _optional(session.graph))
    if not bound:
        session.close()
        reasons = "".join(f"; {name!r}: {reason}" for name, reason in unserved.items())
        raise ModelUnusable(f"{folder} has no signature that requests could name{reasons}")
    model = SavedModel(session, bound, unserved)
    if options.signature_name:
        model.prefer(options.signature_name)
    return model


def _optional(graph: tf.Graph) -> set[str]:
    """The names of the tensors that have a default value."""
    return {op.outputs[0].name for op in graph.get_operations() if op.type == "PlaceholderWithDefault"}


def _signatures(
    definitions: Mapping[str, Any], optional: set[str]
) -> tuple[dict[str, Bound], dict[str, str]]:
    """Those that requests can use, and the others with the reason why not."""
    bound: dict[str, Bound] = {}
    unserved: dict[str, str] = {}
    for name in sorted(definitions.keys() - _INTERNAL):
        definition = definitions[name]
        reason = _unsendable({**definition.inputs, **definition.outputs})
        if reason:
            unserved[name] = reason
        elif not definition.outputs:
            unserved[name] = "it has no outputs"
        else:
            bound[name] = _bound(name, definition, optional)
    return bound, unserved


def _unsendable(tensors: Mapping[str, Any]) -> str:
    """Why a signature's tensors can't travel, ``""`` when they can."""
    for key, info in sorted(tensors.items()):
        kind = info.WhichOneof("encoding")
        if kind != "name":
            return f"{key!r} is {'a sparse tensor' if kind == 'coo_sparse' else 'no plain tensor'}"
        if tf.as_dtype(info.dtype).base_dtype in _UNSENDABLE:
            return f"{key!r} is of the type {tf.as_dtype(info.dtype).name}"
    return ""


def _bound(name: str, definition: Any, optional: set[str]) -> Bound:
    """A signature of the file."""
    inputs = tuple(_spec(key, definition.inputs[key], optional) for key in sorted(definition.inputs))
    outputs = tuple(_spec(key, definition.outputs[key]) for key in sorted(definition.outputs))
    return Bound(
        Signature(name, inputs, outputs, batched(inputs, outputs)),
        {key: info.name for key, info in definition.inputs.items()},
        {key: definition.outputs[key].name for key in sorted(definition.outputs)},
    )


def _spec(key: str, info: Any, optional: Container[str] = ()) -> Spec:
    """One input or output of the file."""
    described = spec(key, tf.as_dtype(info.dtype), tf.TensorShape(info.tensor_shape))
    return replace(described, optional=info.name in optional)
