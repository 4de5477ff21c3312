"""JSON and numpy bodies of the tensor presets."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import eas_sdk
from eas_processors.tensors import dtypes, json_body, numpy_body
from eas_processors.tensors.errors import BadRequest
from eas_processors.tensors.model import Arrays, Form, Signature, Spec
from support.tensor_models import preset


def read(inputs: Any, *specs: Spec, **more: Any) -> Arrays:
    """The inputs of a JSON body, for a model with such inputs (without any: they are not known)."""
    value = json_body.parse(memoryview(json.dumps({"inputs": inputs, **more}).encode()))
    signature = Signature("main", specs or None, None, batched=True)
    return json_body.decode(value, json_body.outline(value), signature).inputs


def read_x(value: Any, dtype: str = "", shape: tuple[int | None, ...] | None = None) -> np.ndarray:
    inputs = read({"x": value}, Spec("x", dtype, shape))
    assert isinstance(inputs, dict)
    return inputs["x"]


def written(array: np.ndarray) -> Any:
    return json.loads(json_body.encode({"x": array}))["outputs"]["x"]


@pytest.mark.parametrize("name", sorted(set(dtypes._NUMPY) - {"DT_STRING"}))
@settings(max_examples=30)
@given(st.data())
def test_every_type_is_read_as_it_was_written(name: str, data: st.DataObject) -> None:
    shape = hnp.array_shapes(min_dims=0, min_side=0, max_side=3)
    array = data.draw(hnp.arrays(dtypes.numpy_dtype(name), shape))
    back = read_x({"dtype": name, "shape": [*array.shape], "values": written(array)}, name)
    if array.dtype.kind == "c":
        back = back.reshape(array.shape)
    np.testing.assert_array_equal(back, array, strict=True)


@given(hnp.arrays(np.dtype(object), hnp.array_shapes(max_side=3), elements=st.binary(max_size=4)))
def test_strings_are_read_as_they_were_written(array: np.ndarray) -> None:
    assert read_x(written(array), "DT_STRING").tolist() == array.tolist()


def test_bfloat16_is_written_as_the_numbers_it_stands_for() -> None:
    array = np.array([1.5, -0.0, 3e38], pytest.importorskip("ml_dtypes").bfloat16)
    assert read_x(written(array), "DT_BFLOAT16").tolist() == array.tolist()
    body, _ = numpy_body.encode([array], Form.NPY)
    assert np.load(io.BytesIO(body)).tolist() == array.astype(np.float32).tolist()


def test_types_that_nobody_says_are_seen_from_the_values() -> None:
    values = {"f": [1, 2.5], "i": [1], "b": [[True]], "s": ["ä", {"b64": "/w=="}], "e": []}
    inputs = read(values)
    assert isinstance(inputs, dict)
    assert {name: (dtypes.name_of(a.dtype), a.tolist()) for name, a in inputs.items()} == {
        "f": ("DT_FLOAT", [1.0, 2.5]),
        "i": ("DT_INT64", [1]),
        "b": ("DT_BOOL", [[True]]),
        "s": ("DT_STRING", ["ä".encode(), b"\xff"]),
        "e": ("DT_FLOAT", []),
    }


def test_inputs_in_order_take_the_types_of_the_signature() -> None:
    inputs = read([[1], [2]], Spec("a", "DT_FLOAT", (None,)), Spec("b", "DT_INT8", (None,)))
    assert isinstance(inputs, list)
    assert [array.dtype for array in inputs] == [np.float32, np.int8]


@pytest.mark.parametrize(
    ("value", "shape", "found"),
    [([], (None, 3), (0, 3)), ([[], []], (None, None, 3), (2, 0, 3)), ([], None, (0,)), (1, (), ())],
)
def test_the_signature_says_what_empty_lists_cannot(
    value: Any, shape: tuple[int | None, ...] | None, found: tuple[int, ...]
) -> None:
    assert read_x(value, "DT_FLOAT", shape).shape == found


def test_nan_and_infinity_are_bare_words() -> None:
    body = json_body.encode({"x": np.array([np.nan, np.inf, -np.inf], np.float32)})
    assert body == b'{"outputs": {"x": [NaN, Infinity, -Infinity]}}'
    assert str(read_x([float("nan"), float("-inf")], "DT_FLOAT").tolist()) == "[nan, -inf]"


def test_bools_may_come_for_uint8() -> None:
    assert read_x([True, 0, 7], "DT_UINT8").tolist() == [1, 0, 7]


@pytest.mark.parametrize(
    ("value", "dtype", "complaint"),
    [
        ([[1, 2], [3]], "DT_FLOAT", "the lists are ragged"),
        ([[[1, 2]], [[1], [2]]], "DT_FLOAT", "the lists are ragged"),
        ([1, [2]], "", "the lists are ragged"),
        (["1.5"], "DT_FLOAT", '"1.5" is a string, the type wanted is DT_FLOAT'),
        ([True], "DT_FLOAT", "true is true or false, the type wanted is DT_FLOAT"),
        ([1.5], "DT_INT32", "1.5 is a number, the type wanted is DT_INT32"),
        ([1, None], "DT_INT32", "null is null, the type wanted is DT_INT32"),
        ([1], "DT_STRING", "1 is an integer, the type wanted is DT_STRING"),
        ([0], "DT_BOOL", "0 is an integer, the type wanted is DT_BOOL"),
        ([1, "a"], "", '"a" is a string, the type wanted is DT_INT64'),
        ([300], "DT_UINT8", "300 doesn't fit DT_UINT8"),
        ([-1], "DT_UINT64", "-1 doesn't fit DT_UINT64"),
        ([2**63], "", "9223372036854775808 doesn't fit DT_INT64"),
        ([1e300], "DT_FLOAT", "1e+300 doesn't fit DT_FLOAT"),
        ([10**400], "DT_FLOAT", "a number is too large for DT_FLOAT"),
        ([1.0], "DT_COMPLEX64", "DT_COMPLEX64 numbers are pairs"),
        ([{"b64": "!"}], "DT_STRING", '"b64" is no base64'),
        ([{"b64": 1}], "DT_STRING", "bytes are written"),
        ([{"x": 1}], "DT_STRING", "bytes are written"),
        ({"x": 1}, "", "an object must be"),
        ({"values": [1], "shape": 1}, "", '"shape" must be a list of integers'),
        ({"values": [1], "shape": [2]}, "", "the shape [2] wants 2 values, 1 were sent"),
        ({"values": [1], "dtype": 1}, "", '"dtype" must be a string'),
        ({"values": [1], "dtype": "DT_FLOT"}, "", "the type DT_FLOT is not supported"),
        (["\ud800"], "DT_STRING", "a lone surrogate"),
    ],
)
def test_values_that_are_refused(value: Any, dtype: str, complaint: str) -> None:
    with pytest.raises(BadRequest) as refused:
        read_x(value, dtype)
    assert str(refused.value).startswith("input 'x': ")
    assert complaint in str(refused.value)


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", "the body is no JSON"),
        (b"[" * 100_000, "the body is no JSON"),
        (b"\xff\xfe\xfd", "the body is no JSON"),
        (b"[1]", "the body must be a JSON object"),
        (b"{}", "the body must be a JSON object"),
        (b'{"inputs": {}, "input": 1}', "unknown fields: 'input'; known are 'inputs', "),
        (b'{"inputs": 1}', '"inputs" must be an object (by name) or a list'),
        (b'{"inputs": {}, "signature_name": 1}', "signature_name must be a string"),
        (b'{"inputs": {}, "output_filter": "y"}', "output_filter must be a list"),
        (b'{"inputs": {}, "output_filter": [true]}', "output_filter must be a list"),
        (b'{"inputs": {}, "debug_level": "1"}', "debug_level must be an integer"),
    ],
)
def test_json_bodies_that_are_refused(body: bytes, complaint: str) -> None:
    with pytest.raises(BadRequest) as refused:
        json_body.outline(json_body.parse(memoryview(body)))
    assert complaint in str(refused.value)


def test_a_list_of_rows_for_a_single_input_is_told_what_a_list_means() -> None:
    with pytest.raises(BadRequest, match="\"inputs\" has 2 values, one for each input; the model has 1: 'x'"):
        read([[1, 2], [3, 4]], Spec("x", "DT_FLOAT", (None, 2)))


def saved(array: np.ndarray, **more: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **more)
    return file.getvalue()


def zipped(*args: np.ndarray, **arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, *args, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


numeric = hnp.arrays(
    st.sampled_from(["f2", ">f4", "f8", "i1", ">i8", "u8", "?", "c8"]),
    hnp.array_shapes(min_dims=0, min_side=0, max_side=3),
    elements=None,
)


@given(numeric, st.booleans())
def test_npy_and_npz_are_read_in_native_order(array: np.ndarray, fortran: bool) -> None:
    array = np.asfortranarray(array) if fortran and array.ndim else array
    (read,) = numpy_body.decode(memoryview(saved(array)), Form.NPY)
    np.testing.assert_array_equal(read, array)
    assert isinstance(read, np.ndarray)
    assert read.dtype.isnative
    named = numpy_body.decode(memoryview(zipped(x=array, y=array)), Form.NPZ)
    assert isinstance(named, dict)
    np.testing.assert_array_equal(named["y"], array)
    body, form = numpy_body.encode({"y": read}, Form.NPY)
    assert form is Form.NPY
    np.testing.assert_array_equal(np.load(io.BytesIO(body)), array)


def test_an_npy_is_a_view_of_the_body() -> None:
    body = saved(np.ones((2, 2)))
    (read,) = numpy_body.decode(memoryview(body), Form.NPY)
    assert isinstance(read, np.ndarray)
    assert np.shares_memory(read, np.frombuffer(body, np.uint8))


def test_savez_without_names_is_in_order() -> None:
    arrays = numpy_body.decode(memoryview(zipped(*(np.array(i) for i in range(11)))), Form.NPZ)
    assert isinstance(arrays, list)
    assert [array.item() for array in arrays] == list(range(11))


def test_strings_in_npy() -> None:
    for array in (np.array(["ä", "b"]), np.array(["ä".encode(), b"b"])):
        (read,) = numpy_body.decode(memoryview(saved(array)), Form.NPY)
        assert isinstance(read, np.ndarray)
        assert read.tolist() == ["ä".encode(), b"b"]
    body, _ = numpy_body.encode([np.array([b"a", b"bc"], object)], Form.NPY)
    assert np.load(io.BytesIO(body)).tolist() == [b"a", b"bc"]
    with pytest.raises(BadRequest, match="end in NUL"):
        numpy_body.encode({"y": np.array([b"a\0"], object)}, Form.NPY)


def header(shape: str, descr: str = "'<f4'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (saved(np.array([{}], object), allow_pickle=True), "never pickles"),
        (saved(np.zeros(2, "i4,f4")), "only numbers, bools and strings"),
        (saved(np.zeros(2, "M8[s]")), "only numbers, bools and strings"),
        (header("(1000000000000,)"), "wants 1000000000000 values, 0 were sent"),
        (header("(1000000000000,)", "'S0'"), "only numbers, bools and strings"),
        (header("(2,)") + b"12345", "truncated"),
        (header("(-1,)") + b"1234", "negative dimension"),
        (header("x"), "the body is no .npy array"),
        (header("(1,)", "[" * 500), "the body is no .npy array"),
        (b"\x93NUMPY\x09\x00", "the body is no .npy array"),
        (b"\x93NUMPY", "the body is no .npy array"),
        (b"\x93NUMPY\x01\x00\xff\xff{", "the body is no .npy array"),
    ],
)
def test_npy_bodies_that_are_refused(body: bytes, complaint: str) -> None:
    with pytest.raises(BadRequest) as refused:
        numpy_body.decode(memoryview(body), Form.NPY)
    assert complaint in str(refused.value)


def archive(data: bytes, name: str = "x.npy") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr(name, data)
    return file.getvalue()


def lying(size: int) -> bytes:
    """An archive that says its member were of another size, in both places."""
    body = archive(saved(np.ones(4)))
    real = len(saved(np.ones(4))).to_bytes(4, "little")
    return body.replace(real, size.to_bytes(4, "little"))


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (lying(0xFFFF_FFF0), "the .npz unpacks to 4294967280 bytes; at most 1073741824 are read"),
        (lying(8), "no .npz archive that can be read: Bad CRC-32"),
        (archive(saved(np.ones(4)))[:-9], "no .npz archive that can be read"),
        (archive(b"text"), "'x.npy' of the .npz is no .npy array"),
        (archive(saved(np.array([{}], object), allow_pickle=True)), "never pickles"),
        (b"PK\x03\x04", "no .npz archive that can be read"),
    ],
)
def test_npz_bodies_that_are_refused(body: bytes, complaint: str) -> None:
    with pytest.raises(BadRequest) as refused:
        numpy_body.decode(memoryview(body), Form.NPZ)
    assert complaint in str(refused.value)


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for body, form in (
        (b"\x93NUMPY" + data, Form.NPY),
        (b"PK\x03\x04" + data, Form.NPZ),
        (header("(2,)")[:8] + data, Form.NPY),
    ):
        try:
            numpy_body.decode(memoryview(body), form)
        except BadRequest:
            continue


SPEC = Signature("main", (Spec("x", "DT_FLOAT", (None,)),), None, batched=True)


@pytest.mark.parametrize(
    ("body", "content_type", "answered"),
    [
        (b'{"inputs": {"x": [1]}}', "application/json; charset=utf-8", "application/json"),
        (saved(np.ones(1, "f4")), "application/x-npy", "application/x-npy"),
        (saved(np.ones(1, "f4")), "application/octet-stream", "application/x-npy"),
        (zipped(x=np.ones(1, "f4")), "", "application/x-npz"),
        (zipped(np.ones(1, "f4")), "application/x-npz", "application/x-npz"),
    ],
)
def test_the_answer_has_the_form_of_the_request(body: bytes, content_type: str, answered: str) -> None:
    processor, _ = preset(SPEC, lambda inputs: {"y": inputs["x"] + 1})
    answer = processor.process(eas_sdk.Request.build(body, headers={"Content-Type": content_type}))
    assert isinstance(answer, eas_sdk.Response)
    assert answer.headers == (("Content-Type", answered),)
    if answered == "application/json":
        assert json.loads(bytes(answer.body)) == {"outputs": {"y": [2.0]}}
    else:
        loaded = np.load(io.BytesIO(answer.body))
        assert (loaded if answered.endswith("npy") else loaded["y"]).tolist() == [2.0]


def test_several_outputs_for_an_npy_are_an_npz_and_the_query_may_choose_one() -> None:
    def both(inputs: dict[str, np.ndarray]) -> Arrays:
        return {"y": inputs["x"] + 1, "z": inputs["x"]}

    processor, _ = preset(SPEC, both)
    body = saved(np.ones(1, "f4"))
    for query, answered in (("", "npz"), ("signature_name=main&output_filter=y", "npy")):
        answer = processor.process(eas_sdk.Request.build(body, query=query))
        assert isinstance(answer, eas_sdk.Response)
        assert answer.headers == (("Content-Type", f"application/x-{answered}"),)
