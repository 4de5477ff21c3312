"""Bodies that were made to do harm: every one is a 400 of a readable length, and nobody else's."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pytest

import eas_sdk

np: Any = pytest.importorskip("numpy")

from eas_processors.json_text import loads  # noqa: E402 - needs numpy
from eas_processors.rows import Columns, RowPreset  # noqa: E402
from eas_processors.tensors import protobuf, shapes  # noqa: E402
from eas_processors.tensors.errors import BadRequest  # noqa: E402
from eas_processors.tensors.model import Model, Signature, Spec  # noqa: E402
from eas_processors.tensors.protocol import Protocol  # noqa: E402
from eas_processors.tensors.wire_caffe import CAFFE  # noqa: E402
from eas_processors.tensors.wire_onnx import ONNX  # noqa: E402
from eas_processors.tensors.wire_pytorch import PYTORCH  # noqa: E402
from eas_processors.tensors.wire_tensorflow import TENSORFLOW  # noqa: E402
from support.tensor_models import NumpyModel, NumpyPreset  # noqa: E402

MIB = 1 << 20
LONGEST = 5000
JSON, NPY, NPZ = "application/json", "application/x-npy", "application/x-npz"
LONE = "\\ud800"


def named(text: str) -> bytes:
    """A JSON request with this text as its input x."""
    return b'{"inputs": {"x": ' + text.encode() + b"}}"


def npy(header: str, values: bytes = b"") -> bytes:
    """An .npy file with any header."""
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + values


def npy_of(shape: str, values: bytes = b"", descr: str = "<f4") -> bytes:
    return npy(f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}", values)


def npz(*members: tuple[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return file.getvalue()


TENSORS: dict[str, tuple[str, bytes, str]] = {
    "nested lists of 10 MB": (JSON, named("[" * 5 * MIB + "]" * 5 * MIB), "the body is no JSON: "),
    "more lists than dimensions": (JSON, named("[" * 900 + "]" * 900), "input 'x': the lists are ragged"),
    "ragged": (JSON, named("[[1], [1, 2]]"), "input 'x': the lists are ragged"),
    "a name twice": (JSON, b'{"inputs": {"x": [1], "x": [2]}}', 'a name twice in one object: "x"'),
    "a lone surrogate": (JSON, named(f'["{LONE}"]'), "input 'x': a string has a lone surrogate"),
    "a name of one": (JSON, f'{{"inputs": {{"{LONE}": [1]}}}}'.encode(), "unknown inputs: '\\ud800'"),
    "a type of one": (JSON, named(f'{{"dtype": "{LONE}", "values": [1]}}'), "input 'x': \"dtype\" must be"),
    "a field of one": (JSON, f'{{"{LONE}": 1, "inputs": {{}}}}'.encode(), "unknown fields: '\\ud800'"),
    "text that is no UTF-8": (JSON, b'{"inputs": {"x": ["\xff"]}}', "the body is no JSON: "),
    "a long name": (JSON, b'{"inputs": {"' + b"x" * MIB + b'": [1]}}', "unknown inputs: 'xxx"),
    "many names": (JSON, json.dumps({"inputs": {f"x{at}": 1 for at in range(MIB // 8)}}).encode(), " more; "),
    "a number beyond all": (JSON, named("[" + "9" * 4000 + "]"), "input 'x': 9999"),
    "a number of too many digits": (JSON, named("[" + "9" * 5000 + "]"), "the body is no JSON: "),
    "a negative shape": (JSON, named('{"shape": [-1], "values": []}'), "has a negative dimension"),
    "a huge shape": (JSON, named(f'{{"shape": [{2**62}, 0], "values": []}}'), "input 'x': the shape "),
    "a position twice": (JSON, b'{"inputs": {"x": [1]}, "output_filter": [0, 0]}', "stands there twice"),
    "no bytes behind": (NPY, npy_of("(1000000000000,)"), "wants 1000000000000 values, 0 were sent"),
    "too large for nothing": (NPY, npy_of("(0, 1000000000000)"), "the shape [0, 1000000000000] is too large"),
    "a negative dimension": (NPY, npy_of("(-1,)"), "the shape [-1] has a negative dimension"),
    "parentheses": (NPY, npy("(" * 5000), "the body is no .npy array"),
    "signs": (NPY, npy_of("(" + "-" * 5000 + "1,)"), "the body is no .npy array"),
    "a string of surrogates": (NPY, npy_of("(1,)", b"\x00\xd8\x00\x00", "<U1"), "has a string with a lone"),
    "a long string": (NPY, npy_of("(1,)", b"", "<U100000000"), "the body"),
    "an object": (NPY, npy_of("(1,)", b"", "|O"), "never pickles"),
    "an array twice": (NPZ, npz(("x.npy", npy_of("()", bytes(4))), ("x", b"")), "the .npz has 'x' 2 times"),
    "an archive that is none": (NPZ, b"PK\x03\x04nothing", "the body is no .npz archive that can be read"),
    "protobuf that ends": ("", b"\x12\xff\xff\xff\xff\x0f", "truncated"),
    "protobuf of nothing": ("", bytes(MIB), "not a protobuf message"),
    "protobuf of ones": ("", b"\xff" * MIB, "not a protobuf message"),
}

SIGNATURE = Signature("main", (Spec("x", "", None),), (Spec("y", "", None),), batched=False)


def echo(protocol: Protocol) -> NumpyPreset:
    """A model that takes any array and gives it back."""

    class Echo(NumpyPreset):
        def __init__(self, model: Model) -> None:
            super().__init__(model)

    Echo.protocol = protocol
    made = Echo(NumpyModel(SIGNATURE, lambda inputs: {"y": next(iter(inputs.values()))}))
    made.initialize("", "")
    return made


def told(preset: eas_sdk.Processor, body: bytes, content_type: str = "") -> str:
    """The refusal of a body that comes with a good one, which must not notice."""
    bad = eas_sdk.Request.build(body, headers={"Content-Type": content_type} if content_type else {})
    good = eas_sdk.Request.build(b"")
    answers = preset.process_batch([good, bad, good])
    assert [one.status for one in answers if isinstance(one, eas_sdk.Response)] == [200, 400, 200], answers
    assert isinstance(answers[1], eas_sdk.Response)
    assert len(answers[1].body) < LONGEST
    return bytes(answers[1].body).decode()


@pytest.mark.parametrize("protocol", [TENSORFLOW, PYTORCH, ONNX, CAFFE], ids=lambda one: one.name)
@pytest.mark.parametrize("name", TENSORS)
def test_no_body_harms_a_preset_of_tensors(name: str, protocol: Protocol) -> None:
    content_type, body, words = TENSORS[name]
    assert words in told(echo(protocol), body, content_type)


def test_an_answer_of_too_many_empty_lists_is_refused() -> None:
    asked = named(f'{{"dtype": "float32", "shape": [{1 << 25}, 0], "values": []}}')
    assert "output 'y' of shape [33554432, 0] is too many empty lists" in told(echo(TENSORFLOW), asked, JSON)


def test_an_empty_batch_is_none_of_these() -> None:
    assert shapes.shaped(np.empty(0), (0, 3, 1024, 1024)).shape == (0, 3, 1024, 1024)
    with pytest.raises(BadRequest, match="too large for an array without elements"):
        shapes.shaped(np.empty(0), (0, 1 << 27))


def test_fields_that_nobody_knows_are_passed_over_however_many() -> None:
    unknown = b"\xf8\x07\x05" * 100_000
    one = protobuf.bytes_field(2, protobuf.bytes_field(1, b"\xff"))
    with pytest.raises(BadRequest, match="is not UTF-8"):
        TENSORFLOW.decode(memoryview(unknown + one))


class Rows(RowPreset):
    """Gives its first column back."""

    columns = Columns.anything(("a", "b"), 2)

    def load(self, model_entry: str, model_config: str) -> Any:
        return self

    def signature(self) -> dict[str, Any]:
        return {}

    def run(self, rows: Any) -> Any:
        return rows[:, 0]


class Numbers(Rows):
    """The same of numbers."""

    columns = Columns.numbers(("a", "b"), 2)


ROWS: dict[str, tuple[bytes, str]] = {
    "nested lists of 10 MB": (b"[" * 5 * MIB + b"]" * 5 * MIB, "the body is no JSON: "),
    "lists in lists": (b"[[[[1]], 2]]", 'row 0, column 0 ("a"): [[1]]'),
    "a name twice": (b'[{"a": 1, "a": 2}]', 'the body has a name twice in one object: "a"'),
    "a lone surrogate": (f'[["{LONE}", 1]]'.encode(), "a text with a lone surrogate"),
    "half a pair": (b'[["\\ud83d\\ud83d\\ude00", 1]]', "a text with a lone surrogate"),
    "a name of one": (f'[{{"{LONE}": 1}}]'.encode(), "a text with a lone surrogate"),
    "one in bytes": (b'[["\xed\xa0\x80", 1]]', "the body is no JSON: "),
    "text that is no UTF-8": (b'[["\xff", 1]]', "the body is no JSON: "),
    "a long name": (b'[{"' + b"x" * MIB + b'": 1}]', 'row 0: "xxx'),
    "a long row": (b"[[" + b"1," * MIB + b"1]]", f"row 0: {MIB + 1} values, the model takes 2"),
    "many rows of which one is short": (b"[" + b"[1,2]," * 10_000 + b"[1]]", "row 10000: 1 values"),
    "a number beyond all": (b"[[" + b"9" * 4000 + b", 1]]", 'row 0, column 0 ("a"): 999'),
    "a number of too many digits": (b"[[" + b"9" * 5000 + b", 1]]", "the body is no JSON: "),
    "infinity": (b'[[1e999, "x"]]', "row 0, column "),
}


@pytest.mark.parametrize("preset", [Rows, Numbers])
@pytest.mark.parametrize("name", ROWS)
def test_no_body_harms_a_preset_of_rows(name: str, preset: type[Rows]) -> None:
    body, words = ROWS[name]
    made = preset()
    made.initialize("", "")
    assert words in told(made, body)


def test_pairs_of_surrogates_are_characters() -> None:
    assert loads(b'["\\ud83d\\ude00", "\\u00e9"]') == ["\U0001f600", "\xe9"]


def test_results_that_json_cannot_say_fail_their_request_alone() -> None:
    class Sometimes(Rows):
        def run(self, rows: Any) -> Any:
            return [complex(1) if value == 1 else value for value in rows[:, 0]]

    made = Sometimes()
    made.batching = eas_sdk.Batching(4)
    made.initialize("", "")
    found = made.process_batch([eas_sdk.Request.build(body) for body in (b"[[1, 2]]", b"[[2, 2]]")])
    assert isinstance(found[0], TypeError)
    assert isinstance(found[1], eas_sdk.Response)
    assert bytes(found[1].body) == b"[2.0]"
