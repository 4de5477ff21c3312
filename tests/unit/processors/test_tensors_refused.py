"""Requests that don't fit get a 400 that says which input, what was sent and what is wanted."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import eas_sdk
from eas_processors.tensors import array_proto, protobuf
from eas_processors.tensors import wire_caffe as caffe
from eas_processors.tensors import wire_onnx as onnx
from eas_processors.tensors import wire_pytorch as pytorch
from eas_processors.tensors import wire_tensorflow as tensorflow
from eas_processors.tensors.errors import BadRequest
from eas_processors.tensors.model import Arrays, Signature, Spec
from support.tensor_models import NumpyPreset, predict, preset

SIGNATURE = Signature(
    "main",
    (Spec("x", "DT_FLOAT", (None, 2)), Spec("n", "DT_INT32", None, optional=True)),
    (Spec("y", "DT_FLOAT", (None, 2)), Spec("z", "DT_FLOAT", None)),
    batched=True,
)


def double(inputs: dict[str, np.ndarray]) -> Arrays:
    return {"y": inputs["x"] * 2, "z": inputs["x"] * 0}


@pytest.fixture
def processor() -> NumpyPreset:
    made, _ = preset(SIGNATURE, double)
    return made


def refusal(processor: NumpyPreset, request: eas_sdk.Request) -> str:
    answer = processor.process(request)
    assert isinstance(answer, eas_sdk.Response), answer
    assert answer.status == 400
    assert answer.headers == (("Content-Type", "text/plain; charset=utf-8"),)
    return bytes(answer.body).decode().removesuffix("\n")


FLOATS = np.ones((3, 2), np.float32)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (
            {"x": np.ones((3, 4), np.float32)},
            "input 'x': sent DT_FLOAT [3, 4], the model wants DT_FLOAT [-1, 2]",
        ),
        (
            {"x": np.ones((3, 2), np.float64)},
            "input 'x': sent DT_DOUBLE [3, 2], the model wants DT_FLOAT [-1, 2]",
        ),
        (
            {"x": np.ones((), np.float32)},
            "input 'x': sent DT_FLOAT [], the model wants DT_FLOAT [-1, 2]",
        ),
        (
            {"x": FLOATS, "n": np.array([b"a"], object)},
            "input 'n': sent DT_STRING [1], the model wants DT_INT32 of any shape",
        ),
        ({"X": FLOATS}, "unknown inputs: 'X'; the model's inputs are 'x', 'n'"),
        ({"n": np.ones(1, np.int32)}, "missing inputs: 'x'; the model's inputs are 'x', 'n'"),
    ],
)
def test_what_does_not_fit_the_signature(
    processor: NumpyPreset, inputs: dict[str, np.ndarray], message: str
) -> None:
    assert refusal(processor, predict(inputs)) == message


def test_unknown_signatures_and_outputs(processor: NumpyPreset) -> None:
    unknown = "output_filter: unknown output 'w'; the model's outputs are 'y', 'z'"
    assert refusal(processor, predict({"x": FLOATS}, ("y", "w"))) == unknown
    body = bytes(predict({"x": FLOATS}).body) + protobuf.bytes_field(1, b"other")
    assert refusal(processor, eas_sdk.Request.build(body)) == "unknown signature 'other'; known are 'main'"


def test_json_without_its_content_type_is_told_so(processor: NumpyPreset) -> None:
    message = refusal(processor, eas_sdk.Request.build(b'{"inputs": {}}'))
    assert message.startswith("TensorFlow request: ")
    assert message.endswith("; JSON needs the header Content-Type: application/json")


def test_the_signature_answers_get_and_empty_bodies(processor: NumpyPreset) -> None:
    for request in (
        eas_sdk.Request.build(b"", method="GET"),
        eas_sdk.Request.build(b"", query="signature_name=main"),
    ):
        answer = processor.process(request)
        assert isinstance(answer, eas_sdk.Response)
        assert json.loads(bytes(answer.body)) == {
            "signature_name": "main",
            "inputs": [
                {"name": "x", "shape": [-1, 2], "type": "DT_FLOAT"},
                {"name": "n", "shape": None, "type": "DT_INT32"},
            ],
            "outputs": [
                {"name": "y", "shape": [-1, 2], "type": "DT_FLOAT"},
                {"name": "z", "shape": None, "type": "DT_FLOAT"},
            ],
        }
    unknown = refusal(processor, eas_sdk.Request.build(b"", query="signature_name=other"))
    assert unknown == "unknown signature 'other'; known are 'main'"


def test_what_the_model_raises_is_handed_on() -> None:
    def fail(inputs: dict[str, np.ndarray]) -> Arrays:
        raise ZeroDivisionError("in the model")

    processor, _ = preset(SIGNATURE, fail)
    with pytest.raises(ZeroDivisionError, match="in the model"):
        processor.process(predict({"x": FLOATS}))


def test_an_output_that_the_protobuf_cannot_carry_is_named() -> None:
    processor, _ = preset(SIGNATURE, lambda inputs: {"y": inputs["x"].astype(np.uint32)})
    message = "output 'y': this processor's protobuf message can't carry DT_UINT32; JSON and .npy can"
    assert refusal(processor, predict({"x": FLOATS})) == message


def test_debug_level_logs_each_call(capsys: pytest.CaptureFixture[str]) -> None:
    processor, _ = preset(SIGNATURE, double)
    body = json.dumps({"inputs": {"x": [[1, 2]]}, "debug_level": 1})
    headers = {"Content-Type": "application/json", "X-Request-Id": "mine"}
    processor.process(eas_sdk.Request.build(body, headers=headers))
    assert (
        "mine: inputs x: DT_FLOAT [1, 2]; outputs y: DT_FLOAT [1, 2], z: DT_FLOAT" in capsys.readouterr().out
    )


def field(number: int, data: bytes) -> bytes:
    return protobuf.bytes_field(number, data)


def array_message(dtype: int, dims: list[int], slot: int, run: bytes) -> bytes:
    shape = field(1, b"".join(map(protobuf.varint, dims)))
    return b"".join((protobuf.number_field(1, dtype), field(2, shape), field(slot, run) if run else b""))


ONE = struct.pack("<f", 1)


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        (array_message(1, [2], 3, ONE), "the shape [2] wants 2 values, 1 were sent"),
        (array_message(1, [], 3, ONE + ONE), "the shape [] wants 1 values, 2 were sent"),
        (array_message(1, [], 3, b""), "the shape [] wants 1 values, 0 were sent"),
        (array_message(1, [-1], 3, ONE), "the shape [-1] has a negative dimension"),
        (array_message(1, [2**62, 2**62], 3, ONE), "wants 21267647932558653966460912964485513216 values"),
        (array_message(1, [0, 2**63 - 1, 2**63 - 1], 3, b""), "is too large for an array without elements"),
        (array_message(1, [1] * 65, 3, ONE), "a shape of more than 64 dimensions is not supported"),
        (array_message(1, [1] * 100_000, 3, ONE), "a shape of more than 64 dimensions is not supported"),
        (array_message(1, [1], 3, ONE[:3]), "truncated: 3 bytes are no float32 numbers"),
        (array_message(1, [1], 5, b"\1"), "DT_FLOAT travels in float_val, but int_val was sent"),
        (array_message(8, [1], 3, ONE), "1 numbers are no pairs of real and imaginary parts"),
        (array_message(8, [2], 3, ONE + ONE), "the shape [2] wants 2 values, 1 were sent"),
        (array_message(4, [1], 5, b"\x80\x02"), "the value 256 doesn't fit DT_UINT8"),
        (array_message(6, [1], 5, protobuf.varint(-129)), "the value -129 doesn't fit DT_INT8"),
        (array_message(5, [1], 5, b"\x80"), "truncated inside a number"),
        (array_message(9, [1], 7, b"\x80" * 10 + b"\1"), "a number of more than 10 bytes"),
        (array_message(0, [1], 3, ONE), "the type DT_INVALID is not supported; supported are 'DT_"),
        (array_message(20, [1], 3, ONE), "the type DT_RESOURCE is not supported"),
        (array_message(21, [1], 3, ONE), "the type DT_VARIANT is not supported"),
        (array_message(22, [1], 3, ONE), "the type number 22 is not supported"),
        (b"\x0b", "wire type 3 in field 1"),
        (b"\x0c", "wire type 4 in field 1"),
        (b"\x0e", "wire type 6 in field 1"),
        (b"\x00\x00", "field number 0"),
        (b"\x80" * 10 + b"\1", "a number of more than 10 bytes"),
        (b"\xff\xff\xff\xff\x1f\x00", "field number"),
        (b"\x1a\xff\xff\xff\xff\x0f", "field 3 has 4294967295 bytes, 0 are left"),
        (b"\x1d\x00\x00", "field 3 has 4 bytes, 2 are left"),
        (b"\x08", "truncated inside a number"),
    ],
)
def test_an_array_that_cannot_be_read(message: bytes, complaint: str) -> None:
    body = field(2, field(1, b"x") + field(2, message))
    with pytest.raises(BadRequest) as refused:
        tensorflow.decode(memoryview(body))
    assert str(refused.value).startswith("input 'x': ")
    assert complaint in str(refused.value)


def test_unknown_fields_are_skipped() -> None:
    extra = b"\xf8\x07\x05" + field(200, b"more") + protobuf.varint(201 << 3 | 5) + ONE
    message = extra + array_message(1, [1], 3, ONE) + extra
    call = tensorflow.decode(memoryview(extra + field(2, extra + field(1, b"x") + field(2, message)) + extra))
    assert isinstance(call.inputs, dict)
    assert call.inputs["x"].tolist() == [1.0]


def test_of_two_inputs_of_one_name_the_last_counts_and_parts_of_a_message_are_merged() -> None:
    first, second = array_message(1, [1], 3, ONE), array_message(1, [2], 3, ONE + ONE)
    head, tail = protobuf.number_field(1, 1) + field(2, b""), field(2, field(1, b"\1")) + field(3, ONE)
    body = field(2, field(1, b"x") + field(2, first)) + field(2, field(1, b"x") + field(2, second))
    body += field(2, field(1, b"y") + field(2, head) + field(2, tail))
    call = tensorflow.decode(memoryview(body))
    assert isinstance(call.inputs, dict)
    assert {name: array.tolist() for name, array in call.inputs.items()} == {"x": [1.0, 1.0], "y": [1.0]}


NAMED = array_message(1, [1], 3, ONE)


@pytest.mark.parametrize(
    ("decode", "body", "complaint"),
    [
        (tensorflow.decode, field(1, b"\xff"), "the string b'\\xff' is not UTF-8"),
        (pytorch.decode, field(1, NAMED) + field(3, field(2, NAMED)), "both inputs and map_inputs"),
        (pytorch.decode, field(1, NAMED) + field(1, b""), "input 1: the type DT_INVALID"),
        (pytorch.decode, field(3, field(1, b"m") + field(2, b"")), "input 'm': the type DT_INVALID"),
        (caffe.decode, field(1, b"a"), "1 input names were sent, but 0 arrays"),
        (
            caffe.decode,
            (field(1, b"a") + field(2, field(2, ONE))) * 2,
            "the input 'a' was sent twice",
        ),
        (caffe.decode, field(1, b"a") + field(2, field(2, ONE[1:])), "input 'a': the protobuf"),
        (onnx.decode, field(1, field(1, b"a") + b"\x18\x08"), "input 'a': data_type 8 is not supported"),
        (onnx.decode, field(1, b"\x18\x09"), "input 0: data_type 9 is not supported"),
        (onnx.decode, field(1, b"\x18\x01" + field(5, b"abc")), "raw_data has 3 bytes, no multiple of the 4"),
        (onnx.decode, field(1, b"\x18\x02" + field(5, b"ab")), "the shape [] wants 1 values, 2 were sent"),
        (
            onnx.decode,
            field(1, field(1, b"a") + b"\x18\x02" + field(5, b"a")) * 2,
            "each input must have a name of its own; sent were 'a', 'a'",
        ),
    ],
)
def test_messages_that_contradict_themselves(
    decode: Callable[[memoryview], Any], body: bytes, complaint: str
) -> None:
    with pytest.raises(BadRequest) as refused:
        decode(memoryview(body))
    assert complaint in str(refused.value)


def test_inputs_of_onnx_without_names_are_in_order() -> None:
    call = onnx.decode(memoryview(field(1, b"\x18\x02" + field(5, b"a")) * 2))
    assert isinstance(call.inputs, list)
    assert len(call.inputs) == 2


@pytest.mark.parametrize(
    ("encode", "outputs", "complaint"),
    [
        (tensorflow.encode, {"s": np.ones(1, np.uint64)}, "output 's': "),
        (pytorch.encode, [np.ones(1, np.uint64)], "output 0: "),
        (pytorch.encode, {"s": np.ones(1, np.uint64)}, "output 's': "),
        (caffe.encode, {"s": np.array([b"x"], object)}, "output 's': "),
        (
            onnx.encode,
            {"s": np.array([b"x"], object)},
            "output 's': the ONNX protobuf message can't carry DT_STRING",
        ),
    ],
)
def test_outputs_that_a_format_lacks(
    encode: Callable[[Arrays], bytes], outputs: Arrays, complaint: str
) -> None:
    with pytest.raises(BadRequest, match=complaint):
        encode(outputs)


def test_half_beyond_its_range_is_infinity() -> None:
    message = array_message(19, [2], 3, struct.pack("<ff", 1e6, 0.5))
    assert array_proto.decode(memoryview(message)).tolist() == [float("inf"), 0.5]
