"""The base class of the presets for tensors: bytes in, batches through the model, bytes out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import ClassVar

import eas_sdk
from eas_processors.tensors import bodies, json_body
from eas_processors.tensors.check import by_name, check
from eas_processors.tensors.errors import BadRequest
from eas_processors.tensors.model import Model, Signature, Spec
from eas_processors.tensors.protocol import Protocol
from eas_processors.tensors.runner import Runner, Withdrawn, Work

Result = eas_sdk.Response | bytes

_LONGEST = 4096
"""Characters of a refusal."""


class TensorPreset(eas_sdk.Processor):
    """Derive ``Preset`` from it: set ``protocol``, write ``load``.

    Attributes:
        protocol: the protobuf format of the family.
        device: ``"cpu"`` or ``"gpu"``; the host sets it before ``initialize``.
        model: what ``load`` returned.
    """

    protocol: ClassVar[Protocol]
    device: str = "cpu"
    model: Model
    _resolve: bodies.Resolve
    _runner: Runner

    def load(self, model_entry: str, model_config: str) -> Model:
        """Load the model; arguments as those of ``initialize``. What it raises ends the start."""
        raise NotImplementedError  # every preset has its own framework

    def initialize(self, model_entry: str, model_config: str) -> None:
        """Load the model."""
        self.model = self.load(model_entry, model_config)
        self._resolve = bodies.resolver(self.model)
        self._runner = Runner(self.model, self.batching)

    def describe(self, signature: Signature) -> dict[str, object]:
        """What GET and empty bodies are answered, as JSON.

        -1 is an unknown dimension, null a shape of which not even the rank is known, ``""`` an unknown type.
        """
        return {
            "signature_name": signature.name,
            "inputs": [_described(spec) for spec in signature.inputs or ()],
            "outputs": [_described(spec) for spec in signature.outputs or ()],
        }

    def process_batch(self, requests: Sequence[eas_sdk.Request]) -> list[Result | BaseException]:
        """Answer the requests, joined where they can be; a bad one fails alone."""
        prepared = [self._prepare(request) for request in requests]
        self._runner.run([work for work in prepared if isinstance(work, Work)])
        return [_told(self._answer(work) if isinstance(work, Work) else work) for work in prepared]

    def _prepare(self, request: eas_sdk.Request) -> Work | Result | Exception:
        """The call that the request asks for, or its answer if that is clear already."""
        try:
            if not len(request.body):
                name, _ = bodies.asked(request)
                text = json.dumps(self.describe(self.model.signature(name)))
                return eas_sdk.Response(text, 200, {"Content-Type": json_body.CONTENT_TYPE})
            call, signature = bodies.decode(request, self.protocol, self._resolve)
            if not self.protocol.positional:
                call.inputs = by_name(call.inputs, signature)
            check(call.inputs, call.output_filter, signature)
        except Exception as error:  # noqa: BLE001 - it is this request's answer
            return error
        return Work(request, call, signature)

    def _answer(self, work: Work) -> Result | Exception:
        """A request's answer, once its call has run."""
        outputs = work.result
        if outputs is None:
            return RuntimeError("the call was not run")
        if isinstance(outputs, Exception):
            return outputs
        try:
            return bodies.encode(outputs, work.call.form, self.protocol)
        except Exception as error:  # noqa: BLE001 - it is this request's answer
            return error


def _described(spec: Spec) -> dict[str, object]:
    """One input or output for ``describe``."""
    shape = None if spec.shape is None else [-1 if dim is None else dim for dim in spec.shape]
    return {"name": spec.name, "shape": shape, "type": spec.dtype}


def _told(answer: Result | Exception) -> Result | Exception:
    """What a client did wrong is told to the client and not, with a traceback, to the log.

    What a framework raised for want of GPU memory, or because the GPU failed, is the host's matter.
    499, which nobody reads, is what the engine itself counts a client as that has left.
    """
    if isinstance(answer, BadRequest) and eas_sdk.is_gpu_trouble(answer):
        return answer
    if isinstance(answer, (BadRequest, Withdrawn)):
        status = 400 if isinstance(answer, BadRequest) else 499
        text = f"{str(answer)[:_LONGEST]}\n".encode(errors="replace")  # it may quote what was sent
        return eas_sdk.Response(text, status, {"Content-Type": "text/plain; charset=utf-8"})
    return answer
