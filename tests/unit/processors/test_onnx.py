"""ONNX models through the preset, compared bit by bit with calling ONNX Runtime itself."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import eas_sdk
from support.presets import asked, asked_json, batch, described, refusal, refusal_json, started
from support.proto import messages

np: Any = pytest.importorskip("numpy")
onnxruntime: Any = pytest.importorskip("onnxruntime")
pytest.importorskip("google.protobuf")

from eas_processors.onnx import Preset  # noqa: E402
from support import onnx_models as models  # noqa: E402

PROTO = messages("hie_processor_data.proto")
DTYPES = {name: number for name, number in models.TYPES.items() if name not in {"string", "bool", "bfloat16"}}
NAMES = {number: name for name, number in DTYPES.items()}


def request(*unnamed: Any, **inputs: Any) -> bytes:
    """The body of a request: a ``DataProto`` as the vendor's client makes it."""
    message = PROTO["DataProto"]()
    for name, array in [*(("", array) for array in unnamed), *inputs.items()]:
        message.tensors.add(
            name=name, dims=array.shape, data_type=DTYPES[array.dtype.name], raw_data=array.tobytes()
        )
    body: bytes = message.SerializeToString()
    return body


def arrays(body: bytes | str) -> dict[str, Any]:
    """The outputs in an answer."""
    assert isinstance(body, bytes), body
    return {
        tensor.name: np.frombuffer(tensor.raw_data, NAMES[tensor.data_type]).reshape(tensor.dims)
        for tensor in PROTO["DataProto"].FromString(body).tensors
    }


def direct(path: Path, **inputs: Any) -> dict[str, Any]:
    """What ONNX Runtime says without a server."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, inputs), strict=True))


def same(ours: Any, theirs: Any) -> None:
    """Equal in type, shape and every bit."""
    assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
    assert ours.tobytes() == theirs.tobytes()


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith("eas_processors")]


def rows(count: int, width: int = 6, seed: int = 3) -> Any:
    return np.random.default_rng(seed).standard_normal((count, width), np.float32)


@pytest.mark.parametrize("count", [1, 2, 7, 0])
def test_results_are_those_of_onnx_runtime_itself_bit_by_bit(tmp_path: Path, count: int) -> None:
    path = models.perceptron(tmp_path / "model.onnx")
    preset = started(Preset, path)
    x = rows(count)
    same(arrays(asked(preset, request(x=x)))["y"], direct(path, x=x)["y"])
    same(arrays(asked(preset, request(x)))["y"], direct(path, x=x)["y"])


@pytest.mark.parametrize("dtype", sorted(DTYPES))
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0, 2), (1, 1, 1, 2)])
def test_every_type_and_shape_of_the_protocol_survives(
    tmp_path: Path, dtype: str, shape: tuple[int, ...]
) -> None:
    x = np.arange(int(np.prod(shape))).astype(dtype).reshape(shape)
    preset = started(Preset, models.identity(tmp_path / "model.onnx", dtype, None))
    same(arrays(asked(preset, request(x=x)))["y"], x)


def test_unknown_dimensions_take_any_length(tmp_path: Path) -> None:
    preset = started(Preset, models.identity(tmp_path / "model.onnx", "float32", [None, "width", 3]))
    assert described(preset)["inputs"] == [{"name": "x", "shape": [-1, -1, 3], "type": "DT_FLOAT"}]
    for shape in ((1, 2, 3), (4, 1, 3), (0, 0, 3)):
        x = np.ones(shape, np.float32)
        same(arrays(asked(preset, request(x=x)))["y"], x)
    assert refusal(preset, request(x=np.ones((1, 2, 4), np.float32))) == (
        "input 'x': sent DT_FLOAT [1, 2, 4], the model wants DT_FLOAT [-1, -1, 3]"
    )


def test_the_signature(tmp_path: Path) -> None:
    preset = started(Preset, models.perceptron(tmp_path / "model.onnx"))
    assert described(preset) == {
        "signature_name": "serving_default",
        "inputs": [{"name": "x", "shape": [-1, 6], "type": "DT_FLOAT"}],
        "outputs": [{"name": "y", "shape": [-1, 3], "type": "DT_FLOAT"}],
    }
    with pytest.raises(ValueError, match="unknown signature 'other'"):
        preset.model.signature("other")


def test_what_does_not_fit_names_input_sent_and_wanted(tmp_path: Path) -> None:
    preset = started(Preset, models.perceptron(tmp_path / "model.onnx"))
    assert refusal(preset, request(x=rows(2).astype(np.float64))) == (
        "input 'x': sent DT_DOUBLE [2, 6], the model wants DT_FLOAT [-1, 6]"
    )
    assert "unknown inputs: 'z'" in refusal(preset, request(z=rows(2)))
    assert "missing inputs: 'b'" in refusal(
        started(Preset, models.sums(tmp_path / "sums.onnx")), request(a=rows(2))
    )


def test_errors_of_onnx_runtime_are_one_line_without_its_codes(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    preset = started(Preset, models.sums(tmp_path / "model.onnx"))
    text = refusal(preset, request(a=rows(2, 5), b=rows(2, 4)))
    assert "Attempting to broadcast an axis by a dimension other than 1. 4 by 5" in text
    assert "onnxruntime" not in text.lower()
    assert "\n" not in text
    assert "onnxruntime" not in capfd.readouterr().err.lower()  # a client's mistake isn't the log's business


def test_several_outputs_and_a_filter(tmp_path: Path) -> None:
    path = models.sums(tmp_path / "model.onnx")
    preset = started(Preset, path)
    a, b = rows(2, seed=1), rows(2, seed=2)
    ours, theirs = arrays(asked(preset, request(b=b, a=a))), direct(path, a=a, b=b)
    assert list(ours) == ["sum", "product", "less"]
    for name in ("sum", "product"):
        same(ours[name], theirs[name])
    same(ours["less"], theirs["less"].view(np.uint8))
    sent = {"a": a.tolist(), "b": b.tolist()}
    assert asked_json(preset, inputs=sent, output_filter=["product"]) == {"product": (a * b).tolist()}
    assert asked_json(preset, inputs=sent, output_filter=[2, "less"]) == {
        "less": (a < b).astype(int).tolist()
    }
    assert "unknown output 'quotient'" in refusal_json(preset, inputs=sent, output_filter=["quotient"])


def test_a_bool_input_is_uint8(tmp_path: Path) -> None:
    preset = started(Preset, models.where(tmp_path / "model.onnx"))
    assert described(preset)["inputs"][0] == {"name": "mask", "shape": [-1], "type": "DT_UINT8"}
    a = np.array([1.5, 2.5], np.float32)
    mask = np.array([0, 1], np.uint8)
    same(arrays(asked(preset, request(mask=mask, a=a)))["y"], np.array([0, 2.5], np.float32))
    assert asked_json(preset, inputs={"mask": [True, False], "a": a.tolist()}) == {"y": [1.5, 0.0]}


def test_strings_by_json(tmp_path: Path) -> None:
    preset = started(Preset, models.identity(tmp_path / "model.onnx", "string", ["n"]))
    assert asked_json(preset, inputs={"x": ["ü", ""]}) == {"y": ["ü", ""]}
    assert "input 'x': a string is not UTF-8" in refusal_json(preset, inputs={"x": [{"b64": "/w=="}]})


def test_a_list_of_maps_is_a_matrix_in_the_order_of_the_keys(tmp_path: Path) -> None:
    preset = started(Preset, models.zip_map(tmp_path / "model.onnx"))
    x = np.array([[0.25, 0.75], [0.5, 0.125]], np.float32)  # of the labels 7 and 3
    same(arrays(asked(preset, request(x=x)))["maps"], x[:, ::-1].copy())


def test_types_that_no_request_can_hold_end_the_start(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"model\.onnx: requests have tensors only, and can't give x \(tensor\(bf"
    ):
        started(Preset, models.identity(tmp_path / "model.onnx", "bfloat16", [2]))


def test_many_threads_get_their_own_answers(tmp_path: Path) -> None:
    ask = partial(asked, started(Preset, models.perceptron(tmp_path / "model.onnx")))
    bodies = [request(x=rows(1 + seed % 3, seed=seed)) for seed in range(40)]
    alone = [ask(body) for body in bodies]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, bodies)) == alone


def test_joined_requests_get_what_they_would_get_alone(tmp_path: Path) -> None:
    path = models.perceptron(tmp_path / "model.onnx", output_batch="Gemm_y_dim_0")
    alone = started(Preset, path)
    together = started(Preset, path, batching=eas_sdk.Batching(8))
    bodies = [request(x=rows(1 + seed % 3, seed=seed)) for seed in range(9)]
    bodies.insert(4, request(x=rows(2, 5)))
    for ours, body in zip(batch(together, bodies), bodies, strict=True):
        if body is bodies[4]:
            assert isinstance(ours, str)
            continue
        # The kernels for one row and for many may round differently in the last bit.
        np.testing.assert_allclose(arrays(ours)["y"], arrays(asked(alone, body))["y"], rtol=1e-5, atol=1e-6)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sent=st.lists(st.tuples(st.integers(0, 4), st.integers(1, 3), st.integers(1, 3)), min_size=1, max_size=8),
    most=st.integers(1, 8),
    padding=st.booleans(),
    sizes=st.sets(st.integers(1, 8), max_size=3),
)
def test_every_answer_of_any_batch_is_the_one_the_request_gets_alone(
    tmp_path: Path, sent: list[tuple[int, int, int]], most: int, padding: bool, sizes: set[int]
) -> None:
    """Rows, and the widths of two inputs: requests whose widths differ are bad ones."""
    path = models.sums(tmp_path / "model.onnx")
    batching = eas_sdk.Batching(most, padding=padding, sizes=sorted(sizes))
    alone, together = started(Preset, path), started(Preset, path, batching=batching)
    bodies = [
        request(a=rows(count, wide, seed), b=rows(count, other, -seed % 97))
        for seed, (count, wide, other) in enumerate(sent)
    ]
    expected = [batch(alone, [body])[0] for body in bodies]
    assert batch(together, bodies) == expected
    assert batch(together, bodies[::-1]) == expected[::-1]


@pytest.mark.parametrize(
    ("batch_size", "output_batch", "joined"),
    [
        ("batch", "batch", True),
        (None, None, True),
        ("batch", "other", True),
        (2, 2, False),
        ("batch", 2, False),
    ],
)
def test_requests_are_joined_when_dimension_0_is_unknown_everywhere(
    tmp_path: Path,
    batch_size: str | int | None,
    output_batch: str | int | None,
    joined: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = models.perceptron(tmp_path / "model.onnx", batch_size, output_batch)
    batching = eas_sdk.Batching(8)
    assert started(Preset, path, batching=batching).model.signature("").batched == joined
    assert said(caplog) == (
        [] if joined else ["requests are not joined: dimension 0 of model.onnx is no batch"]
    )
    assert not started(Preset, path, '{"batched": false}', batching=batching).model.signature("").batched


def test_inputs_whose_first_dimensions_have_different_names_are_not_joined(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    inputs = [models.value("a", "float32", ["n", 2]), models.value("b", "float32", ["m", 2])]
    outputs = [models.value("y", "float32", ["k", 2])]
    path.write_bytes(models.model([models.node("Add", ["a", "b"], ["y"])], inputs, outputs))
    assert not started(Preset, path).model.signature("").batched


def test_the_model_is_found_in_a_directory_and_threads_are_set(tmp_path: Path) -> None:
    models.perceptron(tmp_path / "model.onnx")
    preset = started(Preset, f"{tmp_path}/", '{"intra_op_threads": 2, "inter_op_threads": 2}')
    model: Any = preset.model
    options = model._session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (2, 2)
    assert options.execution_mode == onnxruntime.ExecutionMode.ORT_PARALLEL
    model = started(Preset, f"{tmp_path}/").model
    options = model._session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)


def test_a_gpu_that_is_not_there_is_said_loudly(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")

    class OnGpu(Preset):
        device = "gpu"

    preset = started(OnGpu, models.perceptron(tmp_path / "model.onnx"))
    assert "has no CUDA" in caplog.text
    assert "runs the model on the CPU" in caplog.text
    assert arrays(asked(preset, request(x=rows(1))))


def test_a_file_that_is_no_model_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"not a model")
    with pytest.raises(ValueError, match=r"^model\.onnx can't be loaded: ") as caught:
        started(Preset, path)
    assert "\n" not in str(caught.value)
    assert "ONNXRuntimeError" not in str(caught.value)
    with pytest.raises(ValueError, match=json.dumps("bacthed")):
        started(Preset, models.perceptron(path), '{"bacthed": true}')


def test_the_body_itself_is_the_models_input(tmp_path: Path) -> None:
    model: Any = started(Preset, models.perceptron(tmp_path / "model.onnx")).model
    x = rows(2)
    x.flags.writeable = False
    assert model._fed("x", x) is x
    unaligned = np.frombuffer(b"x" + x.tobytes(), np.uint8)[1:].view(np.float32).reshape(2, 6)
    assert not unaligned.flags.aligned
    assert model._fed("x", unaligned).flags.aligned
