"""Keras files (``.keras``, ``.h5``): exported as a SavedModel into a temporary folder, and loaded from there.

A session runs the exported graph some twenty times as often in a second as Keras would be called, and from
several threads. Keras' safe mode refuses files that hold code (Lambda layers): a model file must not run what
its author likes.

Inputs and outputs are called as their layers are, the names that ``model.summary()`` shows; the inputs or
outputs of a model that takes or returns a dict, by its keys.
"""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from eas_processors.tensorflow import saved_model
from eas_processors.tensorflow.errors import ModelUnusable, short
from eas_processors.tensorflow.options import Options
from eas_processors.tensorflow.runtime import tf

_CODE = (
    "there is Python code in it (a Lambda layer), which isn't run; model.export() makes a SavedModel of it"
)


def load(file: Path, options: Options, device: str) -> saved_model.SavedModel:
    """The model in the file; ``ModelUnusable`` says why it can't be loaded."""
    keras = tf.keras  # imported only now: it takes a second
    with tempfile.TemporaryDirectory(prefix="eas-keras-") as folder:
        try:
            _export(keras.models.load_model(str(file), compile=False, safe_mode=True), folder)
        except Exception as error:
            reason = _CODE if "safe_mode" in str(error) else short(error)
            raise ModelUnusable(f"{file} can't be loaded as a Keras file: {reason}") from error
        keras.backend.clear_session()
        gc.collect()  # the weights exist a second time in the session
        return saved_model.load(Path(folder), options, device)


def _export(model: Any, folder: str) -> None:
    """Writes the model as a SavedModel with the one signature ``serving_default``."""
    if not getattr(model, "inputs", None):
        raise ModelUnusable("it doesn't say what its inputs are: save a model that was built or called")
    names = _names(model.inputs, model._inputs_struct)  # noqa: SLF001 - Keras has no public way to ask
    given = {
        name: tf.TensorSpec(tensor.shape, tensor.dtype, name)
        for name, tensor in zip(names, model.inputs, strict=True)
    }
    archive = tf.keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(saved_model.DEFAULT, _endpoint(model, names), input_signature=[given])
    archive.write_out(folder, verbose=False)


def _endpoint(model: Any, names: list[str]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The model as a function of inputs by name that returns outputs by name."""
    outputs = _names(model.outputs, model._outputs_struct)  # noqa: SLF001 - see _export

    def serve(inputs: dict[str, Any]) -> dict[str, Any]:
        given = tf.keras.tree.pack_sequence_as(model._inputs_struct, [inputs[name] for name in names])  # noqa: SLF001
        return dict(zip(outputs, tf.keras.tree.flatten(model(given, training=False)), strict=True))

    return serve


def _names(tensors: Iterable[Any], structure: Any) -> list[str]:
    """The names of the tensors, in their order."""
    tensors = list(tensors)
    if isinstance(structure, dict):
        by_id = {id(tensor): str(key) for key, tensor in structure.items()}
        if all(id(tensor) in by_id for tensor in tensors):
            return [by_id[id(tensor)] for tensor in tensors]
    names: list[str] = []
    for tensor in tensors:
        base = name = str(tensor._keras_history.operation.name)  # noqa: SLF001 - see _export
        number = 0
        while name in names:
            number += 1
            name = f"{base}_{number}"
        names.append(name)
    return names
