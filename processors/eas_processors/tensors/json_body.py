"""JSON bodies of the tensor presets (ours: the cloud's processors take protobuf only)."""

from __future__ import annotations

import json

import numpy as np

from eas_processors.tensors import dtypes
from eas_processors.tensors.errors import BadRequest
from eas_processors.tensors.model import Arrays, Call, Form, Signature, Spec

CONTENT_TYPE = "application/json"


def parse(body: memoryview) -> dict[str, object]:
    """The body as a JSON object."""
    try:
        value = json.loads(bytes(body))
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"the body is not JSON: {error}") from None
    if not isinstance(value, dict) or "inputs" not in value:
        raise BadRequest('the body must be a JSON object {"inputs": {...}}')
    return value


def signature_name(value: dict[str, object]) -> str:
    """The signature that the body names; ``""``: the default."""
    name = value.get("signature_name", "")
    if not isinstance(name, str):
        raise BadRequest("signature_name must be a string")
    return name


def decode(value: dict[str, object], signature: Signature) -> Call:
    """The call; the types of the inputs are those of the signature."""
    inputs: Arrays
    sent = value["inputs"]
    specs = signature.inputs or ()
    if isinstance(sent, dict):
        known = {spec.name: spec for spec in specs}
        inputs = {name: _array(data, known.get(name, Spec(name, "", None))) for name, data in sent.items()}
    elif isinstance(sent, list):
        named = [*specs, *(Spec(str(i), "", None) for i in range(len(specs), len(sent)))]
        inputs = [_array(data, spec) for data, spec in zip(sent, named, strict=False)]
    else:
        raise BadRequest('"inputs" must be an object (by name) or a list (in order)')
    output_filter = value.get("output_filter", [])
    if not isinstance(output_filter, list):
        raise BadRequest("output_filter must be a list")
    return Call(signature.name, inputs, tuple(output_filter), form=Form.JSON)


def _array(data: object, spec: Spec) -> np.ndarray:
    try:
        return np.array(data, dtypes.numpy_dtype(spec.dtype) if spec.dtype else None)
    except (TypeError, ValueError, OverflowError) as error:
        raise BadRequest(f"input {spec.name!r}: {error}") from None


def encode(outputs: Arrays) -> bytes:
    """The answer's body."""
    if isinstance(outputs, dict):
        return json.dumps({"outputs": {name: array.tolist() for name, array in outputs.items()}}).encode()
    return json.dumps({"outputs": [array.tolist() for array in outputs]}).encode()
