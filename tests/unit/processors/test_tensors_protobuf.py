"""Our reader and writer of protobuf against google.protobuf's, with the .proto files that are shipped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eas_processors.tensors import array_proto, dtypes, protobuf
from eas_processors.tensors import wire_caffe as caffe
from eas_processors.tensors import wire_onnx as onnx
from eas_processors.tensors import wire_pytorch as pytorch
from eas_processors.tensors import wire_tensorflow as tensorflow
from eas_processors.tensors.errors import BadRequest
from support.proto import messages

ml_dtypes = pytest.importorskip("ml_dtypes")  # bfloat16
pytest.importorskip("google.protobuf")

SLOTS = {
    array_proto.FLOAT: "float_val",
    array_proto.DOUBLE: "double_val",
    array_proto.INT: "int_val",
    array_proto.STRING: "string_val",
    array_proto.INT64: "int64_val",
    array_proto.BOOL: "bool_val",
}
TF = messages("tf_predict.proto")
TORCH = messages("pytorch_predict.proto")
CAFFE = messages("caffe_predict.proto")
HIE = messages("hie_processor_data.proto")

few = settings(max_examples=40)  # of each type and message
TYPES = {name: array_proto._SLOTS[name] for name in sorted(array_proto._SLOTS)}
shapes = st.lists(st.integers(0, 4), max_size=4).map(tuple)


def elements(dtype: np.dtype) -> st.SearchStrategy[Any]:
    """Values of a type, the edges included."""
    if dtype.kind == "O":
        return st.binary(max_size=5)
    if dtype.kind == "b":
        return st.booleans()
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return st.integers(int(limits.min), int(limits.max)) | st.integers(0, min(127, int(limits.max)))
    if dtype.kind == "c":
        return st.complex_numbers(allow_nan=False, width=64 if dtype.itemsize == 8 else 128)
    widths: dict[int, Literal[16, 32, 64]] = {2: 16, 4: 32, 8: 64}
    return st.floats(width=widths[dtype.itemsize], allow_nan=False)


@st.composite
def arrays(draw: st.DrawFn, name: str) -> np.ndarray:
    """An array of a type, of any small shape."""
    dtype, shape = dtypes.numpy_dtype(name), draw(shapes)
    count = int(np.prod(shape))
    values = draw(st.lists(elements(dtype), min_size=count, max_size=count))
    array = np.empty(count, dtype)
    array[:] = values
    return array.reshape(shape)


def same(one: np.ndarray, other: np.ndarray) -> None:
    assert one.shape == other.shape
    assert one.dtype == other.dtype
    assert one.tolist() == other.tolist()


def numbers(array: np.ndarray, slot: int) -> list[Any]:
    """The values as they stand in a slot."""
    flat = array.reshape(-1)
    if flat.dtype.kind == "b" and slot == array_proto.INT:
        flat = flat.astype(np.int32)
    if flat.dtype.kind == "c":
        flat = flat.view(flat.real.dtype)
    return (
        flat.astype(np.float32).tolist() if flat.dtype.kind in "fV" and flat.itemsize == 2 else flat.tolist()
    )


def google(message: Any, array: np.ndarray, slot: int, number: int) -> Any:
    """The array in google's ``ArrayProto``."""
    message.dtype = number
    message.array_shape.dim.extend(array.shape)
    getattr(message, SLOTS[slot]).extend(numbers(array, slot))
    return message


@pytest.mark.parametrize("name", TYPES)
@few
@given(st.data())
def test_every_type_of_tensorflow_goes_both_ways(name: str, data: st.DataObject) -> None:
    array = data.draw(arrays(name))
    theirs = google(TF["ArrayProto"](), array, TYPES[name], dtypes.NUMBERS[name])
    same(array_proto.decode(memoryview(theirs.SerializeToString())), array)
    theirs.dtype = dtypes.NUMBERS[dtypes.QUANTIZED.get(name, name)]
    assert b"".join(array_proto.encode(array)) == theirs.SerializeToString()


@pytest.mark.parametrize("name", TYPES)
@few
@given(st.data())
def test_every_type_of_pytorch_goes_both_ways(name: str, data: st.DataObject) -> None:
    array = data.draw(arrays(name))
    slot = array_proto.INT if name == "DT_BOOL" else TYPES[name]
    theirs = google(TORCH["ArrayProto"](), array, slot, dtypes.NUMBERS[name])
    same(array_proto.decode(memoryview(theirs.SerializeToString()), bool_slot=array_proto.INT), array)
    told = dtypes.QUANTIZED | {"DT_BOOL": "DT_UINT8", "DT_HALF": "DT_FLOAT", "DT_BFLOAT16": "DT_FLOAT"}
    answer = TORCH["PredictResponse"].FromString(pytorch.encode([array]))
    assert answer.outputs[0] == google(
        TORCH["ArrayProto"](), array, slot, dtypes.NUMBERS[told.get(name, name)]
    )


@pytest.mark.parametrize("name", sorted(onnx._NUMBERS))
@few
@given(st.data())
def test_every_type_of_onnx_goes_both_ways(name: str, data: st.DataObject) -> None:
    array = data.draw(arrays(name))
    theirs = HIE["DataProto"]()
    theirs.tensors.add(
        name="x",
        dims=array.shape,
        data_type=onnx._NUMBERS[name],
        raw_data=array.astype(array.dtype).tobytes(),
    )
    serialised = theirs.SerializeToString()
    if name != "DT_BOOL":
        inputs = onnx.decode(memoryview(serialised)).inputs
        assert isinstance(inputs, dict)
        same(inputs["x"], array)
    assert HIE["DataProto"].FromString(onnx.encode({"x": array})) == theirs


@few
@given(arrays("DT_FLOAT"), arrays("DT_FLOAT"), st.lists(st.text(), max_size=2))
def test_caffe_goes_both_ways(one: np.ndarray, two: np.ndarray, wanted: list[str]) -> None:
    request, answer = CAFFE["PredictRequest"](output_filter=wanted), CAFFE["PredictResponse"]()
    for name, array in (("data", one), ("other", two)):
        request.input_name.append(name)
        answer.output_name.append(name)
        for message in (request.input_data.add(), answer.output_data.add()):
            message.shape.dim.extend(array.shape)
            message.data.extend(array.reshape(-1))
    call = caffe.decode(memoryview(request.SerializeToString()))
    assert call.output_filter == tuple(wanted)
    assert isinstance(call.inputs, dict)
    same(call.inputs["data"], one)
    same(call.inputs["other"], two)
    assert CAFFE["PredictResponse"].FromString(caffe.encode({"data": one, "other": two})) == answer


@few
@given(st.text(), st.dictionaries(st.text(), arrays("DT_INT32")), st.lists(st.text(), max_size=3))
def test_a_tensorflow_request_is_read_whole(
    name: str, inputs: dict[str, np.ndarray], wanted: list[str]
) -> None:
    request = TF["PredictRequest"](signature_name=name, output_filter=wanted)
    for key, array in inputs.items():
        google(request.inputs[key], array, array_proto.INT, 3)
    call = tensorflow.decode(memoryview(request.SerializeToString()))
    assert (call.signature_name, call.output_filter) == (name, tuple(wanted))
    assert isinstance(call.inputs, dict)
    assert call.inputs.keys() == inputs.keys()
    for key, array in inputs.items():
        same(call.inputs[key], array)
    answer = TF["PredictResponse"].FromString(tensorflow.encode(inputs))
    assert answer.outputs == request.inputs


@given(
    st.lists(arrays("DT_INT64"), max_size=3), st.lists(st.integers(-(2**31), 2**31 - 1)), st.integers(-3, 9)
)
def test_a_pytorch_request_is_read_whole(inputs: list[np.ndarray], wanted: list[int], level: int) -> None:
    request = TORCH["PredictRequest"](output_filter=wanted, debug_level=level)
    for array in inputs:
        google(request.inputs.add(), array, array_proto.INT64, 9)
    call = pytorch.decode(memoryview(request.SerializeToString()))
    assert (call.output_filter, call.debug_level) == (tuple(wanted), level)
    assert isinstance(call.inputs, list)
    for sent, read in zip(inputs, call.inputs, strict=True):
        same(read, sent)
    named = TORCH["PredictRequest"]()
    for index, array in enumerate(inputs):
        google(named.map_inputs[str(index)], array, array_proto.INT64, 9)
    if inputs:
        call = pytorch.decode(memoryview(named.SerializeToString()))
        assert isinstance(call.inputs, dict)
        assert sorted(call.inputs) == [str(index) for index in range(len(inputs))]
    answer = TORCH["PredictResponse"].FromString(pytorch.encode({str(i): a for i, a in enumerate(inputs)}))
    assert answer.map_outputs == named.map_inputs


@pytest.mark.parametrize("name", ["DT_FLOAT", "DT_DOUBLE", "DT_INT32", "DT_INT64", "DT_BOOL"])
@few
@given(st.data())
def test_numbers_may_come_in_several_runs_and_unpacked(name: str, data: st.DataObject) -> None:
    array = data.draw(arrays(name)).reshape(-1)
    slot = TYPES[name]
    parts, at = [b"\x08" + bytes([dtypes.NUMBERS[name]])], 0
    while at < len(array):
        size = data.draw(st.integers(1, len(array) - at))
        if data.draw(st.booleans()):
            run = array_proto._run(slot, array[at : at + size])
            parts.append(b"".join(protobuf.packed_field(slot, run)))
        else:
            parts += [_unpacked(slot, value) for value in array[at : at + size]]
        at += size
    half = len(parts) // 2
    shape = protobuf.bytes_field(2, b"\x08" + protobuf.varint(len(array)))  # the dimension unpacked, too
    order = [*parts[:half], shape, *parts[half:]] if half and not len(parts) % 2 else [*parts, shape]
    message = b"".join(order)
    theirs = TF["ArrayProto"].FromString(message)
    assert list(getattr(theirs, SLOTS[slot])) == array.tolist()
    same(array_proto.decode(memoryview(message)), array)


def _unpacked(slot: int, value: Any) -> bytes:
    wire = array_proto._WIRES[slot]
    data = protobuf.varint(int(value)) if wire == protobuf.VARINT else value.tobytes()
    return protobuf.varint(slot << 3 | wire) + data


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_varints_are_googles(values: list[int]) -> None:
    theirs = TF["ArrayShape"](dim=values).SerializeToString()
    run = protobuf.packed_varints(np.array(values, np.int64))
    assert b"".join(protobuf.packed_field(1, run)) == theirs
    assert protobuf.integers([memoryview(run)]).tolist() == values
    assert list(protobuf.few_integers([memoryview(run)])) == values


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1))
def test_the_low_bits_of_a_long_number_count_in_an_int32(values: list[int]) -> None:
    run = b"".join(map(protobuf.varint, values))
    theirs = TF["ArrayProto"].FromString(b"".join(protobuf.packed_field(5, run)))
    assert protobuf.integers([memoryview(run)], 32).tolist() == list(theirs.int_val)


READERS: dict[str, tuple[Callable[[memoryview], Any], Any]] = {
    "tensorflow": (tensorflow.decode, TF["PredictRequest"]),
    "pytorch": (pytorch.decode, TORCH["PredictRequest"]),
    "caffe": (caffe.decode, CAFFE["PredictRequest"]),
    "onnx": (onnx.decode, HIE["DataProto"]),
}


@pytest.mark.parametrize("family", READERS)
@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(family: str, body: bytes) -> None:
    decode, theirs = READERS[family]
    try:
        decode(memoryview(body))
    except BadRequest:
        return
    theirs.FromString(body)  # what we read, google reads


@pytest.mark.parametrize("cut", range(1, 47))
def test_a_truncated_message_is_refused_or_another_message(cut: int) -> None:
    request = TF["PredictRequest"](signature_name="main")
    google(request.inputs["x"], np.array([1.5, 2.5], np.float32), array_proto.FLOAT, 1)
    google(request.inputs["y"], np.array([300, -1], np.int32), array_proto.INT, 3)
    body = request.SerializeToString()[:-cut]
    try:
        read = tensorflow.decode(memoryview(body))
    except BadRequest:
        return
    assert len(TF["PredictRequest"].FromString(body).inputs) == len(read.inputs) < 2
