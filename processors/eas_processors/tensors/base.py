"""The base class of the presets for tensors: bytes in, batches through the model, bytes out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import ClassVar

import eas_sdk
from eas_processors.tensors import json_body
from eas_processors.tensors.check import by_name, check
from eas_processors.tensors.model import Arrays, Call, Form, Model, Signature, Spec
from eas_processors.tensors.protocol import Protocol

Result = eas_sdk.Response | bytes


class TensorPreset(eas_sdk.Processor):
    """Derive ``Preset`` from it: set ``protocol``, write ``load``.

    Attributes:
        protocol: the protobuf format of the family.
        device: ``"cpu"`` or ``"gpu"``; the host sets it before ``initialize``.
    """

    protocol: ClassVar[Protocol]
    device: str = "cpu"
    model: Model

    def load(self, model_entry: str, model_config: str) -> Model:
        """Load the model; arguments as those of ``initialize``. What it raises ends the start."""
        raise NotImplementedError

    def initialize(self, model_entry: str, model_config: str) -> None:
        """Load the model."""
        self.model = self.load(model_entry, model_config)

    def process_batch(self, requests: Sequence[eas_sdk.Request]) -> list[Result | BaseException]:
        """Answer the requests, joined where they can be."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: eas_sdk.Request) -> Result | BaseException:
        try:
            if not len(request.body):
                return _json(described(self.model.signature("")))
            call, signature = self._decoded(request)
            if not self.protocol.positional:
                call.inputs = by_name(call.inputs, signature)
            check(call.inputs, call.output_filter, signature)
            outputs = self.model.run(signature, call.inputs, call.output_filter)
            return self._encoded(call, outputs)
        except Exception as error:  # noqa: BLE001 - one request's answer is its own
            return error

    def _decoded(self, request: eas_sdk.Request) -> tuple[Call, Signature]:
        """The call of a request and the signature it names."""
        body = memoryview(request.body)
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if content_type == json_body.CONTENT_TYPE:
            value = json_body.parse(body)
            signature = self.model.signature(json_body.signature_name(value))
            return json_body.decode(value, signature), signature
        call = self.protocol.decode(body)
        return call, self.model.signature(call.signature_name)

    def _encoded(self, call: Call, outputs: Arrays) -> Result:
        """The answer in the form of the request."""
        if call.form is Form.JSON:
            return eas_sdk.Response(json_body.encode(outputs), 200, {"Content-Type": json_body.CONTENT_TYPE})
        return self.protocol.encode(outputs)


def described(signature: Signature) -> dict[str, object]:
    """The signature as GET answers it; -1 is an unknown dimension, null a shape that is not known at all."""
    return {
        "signature_name": signature.name,
        "inputs": [_described(spec) for spec in signature.inputs or ()],
        "outputs": [_described(spec) for spec in signature.outputs or ()],
    }


def _described(spec: Spec) -> dict[str, object]:
    shape = None if spec.shape is None else [-1 if dim is None else dim for dim in spec.shape]
    return {"name": spec.name, "shape": shape, "type": spec.dtype}


def _json(value: object) -> eas_sdk.Response:
    """An answer in JSON."""
    return eas_sdk.Response(json.dumps(value), 200, {"Content-Type": json_body.CONTENT_TYPE})
