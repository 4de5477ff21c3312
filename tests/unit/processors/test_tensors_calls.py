"""How inputs reach the model: by name or in order, with the signature that the call means."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import numpy as np
import pytest

import eas_sdk
from eas_processors.tensors.model import Arrays, Call, Model, OutputFilter, Signature, Spec
from eas_processors.tensors.protocol import Protocol
from eas_processors.tensors.wire_onnx import ONNX
from eas_processors.tensors.wire_pytorch import PYTORCH
from support.proto import messages
from support.tensor_models import NumpyModel, NumpyPreset, preset

TWO = Signature(
    "main",
    (Spec("a", "DT_FLOAT", (None,)), Spec("b", "DT_FLOAT", (None,), optional=True)),
    (Spec("0", "", None), Spec("1", "", None)),
    batched=True,
)


class Seen:
    """A model that says what reached it."""

    def __init__(self, signature: Signature) -> None:
        self._signature = signature
        self.inputs: list[Arrays] = []
        self.filters: list[OutputFilter] = []

    def signature(self, name: str) -> Signature:
        return self._signature

    def run(self, signature: Signature, inputs: Arrays, output_filter: OutputFilter) -> Arrays:
        self.inputs.append(inputs)
        self.filters.append(output_filter)
        first = next(iter(inputs.values())) if isinstance(inputs, dict) else inputs[0]
        return [first, first + 1]


class Torch(NumpyPreset):
    protocol: ClassVar[Protocol] = PYTORCH


class Onnx(NumpyPreset):
    protocol: ClassVar[Protocol] = ONNX


def started(made: NumpyPreset, batching: eas_sdk.Batching | None = None) -> NumpyPreset:
    made.batching = batching
    made.initialize("", "")
    return made


def ask(processor: NumpyPreset, **value: Any) -> eas_sdk.Response:
    headers = {"Content-Type": "application/json"}
    answer = processor.process(eas_sdk.Request.build(json.dumps(value), headers=headers))
    assert isinstance(answer, eas_sdk.Response)
    return answer


def test_pytorch_gets_lists_as_lists_and_names_as_names() -> None:
    model = Seen(TWO)
    processor = started(Torch(model))
    ask(processor, inputs=[[1, 2]], output_filter=[1])
    ask(processor, inputs={"b": [3], "a": [4]})
    assert isinstance(model.inputs[0], list)
    assert [array.tolist() for array in model.inputs[0]] == [[1, 2]]
    assert isinstance(model.inputs[1], dict)
    assert {name: array.tolist() for name, array in model.inputs[1].items()} == {"a": [4], "b": [3]}
    assert model.filters == [(1,), ()]


def test_pytorch_protobuf_through_the_preset() -> None:
    proto = messages("pytorch_predict.proto")
    request = proto["PredictRequest"]()
    request.inputs.add(dtype="DT_FLOAT", float_val=[1, 2]).array_shape.dim.append(2)
    body = started(Torch(Seen(TWO))).process(eas_sdk.Request.build(request.SerializeToString()))
    assert isinstance(body, bytes)
    answer = proto["PredictResponse"].FromString(body)
    assert [list(output.float_val) for output in answer.outputs] == [[1, 2], [2, 3]]


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ({"inputs": []}, "0 inputs were sent, the model takes 1 to 2: 'a', 'b'"),
        (
            {"inputs": [[1]], "output_filter": [2]},
            "output_filter: unknown output 2; the model's outputs are '0', '1'",
        ),
        ({"inputs": [[1]], "output_filter": [-1]}, "output_filter: unknown output -1"),
        ({"inputs": [[1], [[2]]]}, "input 'b': sent DT_FLOAT [1, 1], the model wants DT_FLOAT [-1]"),
    ],
)
def test_inputs_in_order_are_checked(value: dict[str, Any], complaint: str) -> None:
    answer = ask(started(Torch(Seen(TWO))), **value)
    assert answer.status == 400
    assert complaint in bytes(answer.body).decode()


def test_other_families_get_names_for_inputs_in_order() -> None:
    model = Seen(TWO)
    ask(started(Onnx(model)), inputs=[[1], [2]])
    assert isinstance(model.inputs[0], dict)
    assert list(model.inputs[0]) == ["a", "b"]


def test_inputs_in_order_need_a_signature_that_knows_it() -> None:
    answer = ask(started(Onnx(Seen(Signature("", None, None, batched=False)))), inputs=[[1]])
    assert b"the inputs must be named" in bytes(answer.body)


def test_nothing_is_checked_where_nothing_is_known() -> None:
    model = Seen(Signature("", None, None, batched=True))
    processor = started(Torch(model), eas_sdk.Batching(4))
    ask(processor, inputs=[[1.5], True])
    ask(processor, inputs={"x": 7}, output_filter=["any"])
    assert [len(inputs) for inputs in model.inputs] == [2, 1]


class Graph(NumpyModel):
    """Any tensor may be fed: the signature is made for the call."""

    def __init__(self) -> None:
        super().__init__(Signature("", (), (), batched=False), dict)
        self.resolved: list[Call] = []

    def resolve(self, call: Call) -> Signature:
        self.resolved.append(call)
        assert isinstance(call.inputs, dict)
        return Signature("", tuple(Spec(name, "DT_INT32", None) for name in call.inputs), None, batched=False)


def test_a_model_without_signatures_makes_one_for_each_call() -> None:
    graph = Graph()
    model: Model = graph
    answer = ask(started(NumpyPreset(model)), inputs={"x:0": [1]}, output_filter=["x:0"])
    assert json.loads(bytes(answer.body)) == {"outputs": {"x:0": [1]}}
    assert graph.resolved[0].output_filter == ("x:0",)


def test_quantized_inputs_are_sent_as_plain_integers() -> None:
    processor, _ = preset(
        Signature("", (Spec("x", "DT_QINT8", (None,)),), None, batched=False),
        lambda inputs: {"y": inputs["x"].astype(np.int32) + 1},
    )
    assert json.loads(bytes(ask(processor, inputs={"x": [-128]}).body)) == {"outputs": {"y": [-127]}}
