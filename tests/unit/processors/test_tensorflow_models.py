"""Every kind of model gives, bit for bit, what TensorFlow gives when it is called directly."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import eas_sdk
from support import proto

config_pb2 = pytest.importorskip("tensorflow.core.protobuf.config_pb2")
models = pytest.importorskip("support.tensorflow_models", reason="tensorflow isn't installed")
tf = models.tf

from eas_processors.tensorflow import Preset  # noqa: E402 - after the skip
from eas_processors.tensorflow.frozen_graph import NO_TARGET, FrozenGraph  # noqa: E402
from eas_processors.tensors.errors import BadRequest  # noqa: E402
from eas_processors.tensors.model import Call  # noqa: E402

RANDOM = np.random.default_rng(4)
X = RANDOM.normal(size=(5, 4)).astype(np.float32)


def loaded(path: Path, config: str = "") -> Preset:
    preset = Preset()
    preset.initialize(f"{path}/" if path.is_dir() else str(path), config)
    return preset


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def dense(folder: Path) -> Preset:
    return loaded(models.dense(folder / "dense"))


@pytest.fixture(scope="module")
def modern(folder: Path) -> Preset:
    return loaded(models.modern(folder / "modern"))


@pytest.fixture(scope="module")
def frozen(folder: Path) -> Preset:
    return loaded(models.frozen(folder / "frozen.pb"))


def run(preset: Preset, signature: str, inputs: dict[str, Any], *wanted: str) -> dict[str, np.ndarray]:
    found = preset.model.run(preset.model.signature(signature), inputs, wanted)
    assert isinstance(found, dict)
    return found


def assert_same(found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    assert found.keys() == expected.keys()
    for name, array in found.items():
        wanted = np.asarray(expected[name])
        assert (array.dtype, array.shape) == (wanted.dtype, wanted.shape), name
        assert (
            array.tolist() == wanted.tolist()
            if array.dtype == object
            else array.tobytes() == wanted.tobytes()
        )


def described(preset: Preset) -> dict[str, Any]:
    answer = preset.process(eas_sdk.Request.build(method="GET"))
    assert isinstance(answer, eas_sdk.Response)
    shown: dict[str, Any] = json.loads(bytes(answer.body))
    return shown


# -- SavedModels of TensorFlow 1


def test_a_saved_model_with_reference_variables(dense: Preset, folder: Path) -> None:
    assert_same(
        run(dense, "", {"x": X}), models.session_results(folder / "dense", "serving_default", {"x": X})
    )


def test_another_signature_of_it(dense: Preset, folder: Path) -> None:
    inputs = {"x": X, "scale": np.float32(0.3)}
    assert_same(
        run(dense, "both", {"x": X, "scale": np.array(0.3, np.float32)}),
        models.session_results(folder / "dense", "both", inputs),
    )


def test_an_input_with_a_default_need_not_be_sent(dense: Preset, folder: Path) -> None:
    assert [spec.optional for spec in dense.model.signature("both").inputs or ()] == [True, False]
    assert_same(run(dense, "both", {"x": X}), models.session_results(folder / "dense", "both", {"x": X}))


def test_a_filter_gives_only_what_it_names(dense: Preset, folder: Path) -> None:
    both = models.session_results(folder / "dense", "both", {"x": X})
    assert_same(run(dense, "both", {"x": X}, "z"), {"z": both["z"]})


def test_outputs_may_be_counted_in_the_order_of_their_names(dense: Preset, folder: Path) -> None:
    expected = models.session_results(folder / "dense", "both", {"x": X})
    found = dense.model.run(dense.model.signature("both"), {"x": X}, (1,))
    assert isinstance(found, dict)
    assert_same(found, {"z": expected["z"]})


def test_a_signature_of_another_name_is_refused_with_those_that_there_are(dense: Preset) -> None:
    with pytest.raises(BadRequest, match=r"no signature 'predict'; it has 'both', 'serving_default'"):
        dense.model.signature("predict")


def test_a_signature_that_no_request_can_fill_says_why(dense: Preset) -> None:
    with pytest.raises(BadRequest, match="'sparse' can't be used: 'words' is a sparse tensor"):
        dense.model.signature("sparse")


def test_requests_may_be_joined_where_dimension_0_of_everything_is_unknown(
    dense: Preset, modern: Preset
) -> None:
    assert dense.model.signature("").batched
    assert not dense.model.signature("both").batched  # scale is a scalar
    assert modern.model.signature("").batched
    assert not modern.model.signature("any_shape").batched


def test_get_shows_the_signature(dense: Preset) -> None:
    assert described(dense) == {
        "signature_name": "serving_default",
        "inputs": [{"name": "x", "shape": [-1, 4], "type": "DT_FLOAT"}],
        "outputs": [{"name": "y", "shape": [-1, 3], "type": "DT_FLOAT"}],
    }


def test_the_default_signature_can_be_set(folder: Path, dense: Preset) -> None:
    preset = loaded(folder / "dense", '{"signature_name": "both"}')
    assert preset.model.signature("").name == "both"
    preset.close()


# -- SavedModels of TensorFlow 2


@pytest.mark.parametrize("shape", [(3, 5), (3, 0), (0, 5), (1, 1000)])
def test_unknown_dimensions(modern: Preset, folder: Path, shape: tuple[int, int]) -> None:
    x = RANDOM.normal(size=shape).astype(np.float32)
    expected = models.function_results(folder / "modern", "serving_default", {"x": x})
    assert_same(run(modern, "", {"x": x}), expected)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 4)])
def test_an_unknown_rank(modern: Preset, folder: Path, shape: tuple[int, ...]) -> None:
    x = np.ones(shape, np.int32)
    expected = models.function_results(folder / "modern", "any_shape", {"x": x})
    assert_same(run(modern, "any_shape", {"x": x}), expected)


@pytest.mark.parametrize("words", [[b"two", "zwölf".encode(), b"\xff\x00"], []])
def test_strings_and_tables(modern: Preset, folder: Path, words: list[bytes]) -> None:
    given = np.array(words, object)
    expected = models.function_results(folder / "modern", "look_up", {"word": tf.constant(words, tf.string)})
    assert_same(run(modern, "look_up", {"word": given}), expected)


def test_a_scalar_string(modern: Preset) -> None:
    found = run(modern, "scalar", {"text": np.array(b"so\x00", object)})["text"]
    assert_same({"text": found}, {"text": np.array(b"so\x00!", object)})


def test_arrays_that_lie_in_a_body_read_only_and_unaligned(modern: Preset, folder: Path) -> None:
    body = b"!" + X.tobytes()
    given = np.frombuffer(body, np.float32, offset=1).reshape(X.shape)
    assert not given.flags.aligned
    expected = models.function_results(folder / "modern", "serving_default", {"x": X})
    assert_same(run(modern, "", {"x": given}), expected)


def test_loops_and_branches(modern: Preset, folder: Path) -> None:
    x = X[:, :3]
    expected = models.function_results(folder / "modern", "loops", {"x": x})
    assert_same(run(modern, "loops", {"x": x}), expected)


# -- types


def sample(name: str) -> tuple[np.ndarray, str]:
    """An array [2, 2] of a type, as the presets have it, and the slot of the protocol's message."""
    numbers = [[1, 2], [3, 100]]
    if name == "string":
        return np.array([[b"a", b""], [b"\xff", "ö".encode()]], object), "string_val"
    if name == "bool":
        return np.array([[True, False], [False, True]]), "bool_val"
    if name in {"float", "half", "bfloat16", "complex64", "double", "complex128"}:
        dtype = tf.as_dtype(models.DTYPES[name]).as_numpy_dtype
        values = np.array(numbers, np.float64) / -3
        slot = "double_val" if name in {"double", "complex128"} else "float_val"
        return (values + 1j if "complex" in name else values).astype(dtype), slot
    signed = np.array(numbers) * (1 if "u" in name else -1)
    return signed.astype(models.DTYPES[name].removeprefix("q")), "int64_val" if name == "int64" else "int_val"


def flat(array: np.ndarray) -> list[Any]:
    """The values as the messages' fields have them."""
    values = array.reshape(-1)
    if values.dtype.kind == "c":
        values = values.view(values.real.dtype)
    found: list[Any] = (
        values.astype(np.float32) if values.dtype.itemsize == 2 and values.dtype.kind not in "iu" else values
    ).tolist()
    return found


@pytest.mark.parametrize("name", models.DTYPES)
def test_every_type_passes_through(modern: Preset, name: str) -> None:
    array, _ = sample(name)
    assert_same(run(modern, name, {"value": array}), {"value": array})
    assert run(modern, name, {"value": array[:0]})["value"].shape == (0, 2)


@pytest.mark.parametrize("name", models.DTYPES)
def test_every_type_travels_as_protobuf(modern: Preset, name: str) -> None:
    array, slot = sample(name)
    messages = proto.messages("tf_predict.proto")
    request = messages["PredictRequest"](signature_name=name)
    sent = request.inputs["value"]
    sent.dtype = (
        messages["ArrayProto"]
        .DESCRIPTOR.fields_by_name["dtype"]
        .enum_type.values_by_name[f"DT_{name.upper()}"]
        .number
    )
    sent.array_shape.dim.extend(array.shape)
    getattr(sent, slot).extend(flat(array))

    answer = modern.process(eas_sdk.Request.build(request.SerializeToString()))

    assert isinstance(answer, bytes)
    found = messages["PredictResponse"].FromString(answer).outputs["value"]
    assert list(found.array_shape.dim) == [2, 2]
    assert list(getattr(found, slot)) == flat(array)


# -- frozen graphs


@pytest.mark.parametrize(("given", "wanted"), [("x", "y"), ("x:0", "y:0"), ("x", "parts:1")])
def test_a_frozen_graph_by_the_names_of_its_tensors(
    frozen: Preset, folder: Path, given: str, wanted: str
) -> None:
    graph = tf.Graph()
    with graph.as_default(), tf.compat.v1.Session() as session:
        definition = tf.compat.v1.GraphDef.FromString((folder / "frozen.pb").read_bytes())
        tf.import_graph_def(definition, name="")
        expected = session.run(wanted if ":" in wanted else f"{wanted}:0", {"x:0": X})
    assert_same(run(frozen, "whatever", {given: X}, wanted), {wanted: expected})


def test_a_tensor_that_is_given_and_wanted(frozen: Preset) -> None:
    assert_same(
        run(frozen, "", {"y": X[:, :3]}, "y", "sizes"), {"y": X[:, :3], "sizes": np.array([5, 3], np.int32)}
    )


def test_a_frozen_graph_wants_its_outputs_named(frozen: Preset) -> None:
    request = proto.messages("tf_predict.proto")["PredictRequest"](signature_name="anything")
    answer = frozen.process(eas_sdk.Request.build(request.SerializeToString()))
    assert isinstance(answer, eas_sdk.Response)
    assert (answer.status, bytes(answer.body).decode().strip()) == (400, NO_TARGET)


def test_requests_to_a_frozen_graph_may_be_joined_by_what_they_ask_for(frozen: Preset) -> None:
    def joined(*wanted: str) -> bool:
        assert isinstance(frozen.model, FrozenGraph)
        return frozen.model.resolve(Call("", {"x": X}, wanted)).batched

    assert joined("y", "parts:1")
    assert not joined("y", "sizes")


def test_that_is_what_tensorflow_says() -> None:
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        with pytest.raises(tf.errors.InvalidArgumentError) as caught:
            session._make_callable_from_options(config_pb2.CallableOptions())
        assert caught.value.message == NO_TARGET


def test_get_shows_placeholders_and_ends(frozen: Preset) -> None:
    shown = described(frozen)
    assert shown["inputs"] == [{"name": "x", "shape": [-1, 4], "type": "DT_FLOAT"}]
    assert [each["name"] for each in shown["outputs"]] == ["sizes", "parts", "parts:1"]


@pytest.mark.parametrize("given", ["x", "x:0"])
def test_a_frozen_graph_asked_in_json(frozen: Preset, given: str) -> None:
    def asked(**body: Any) -> eas_sdk.Response:
        text = json.dumps({"signature_name": "anything", "inputs": {given: X.tolist()}, **body})
        headers = {"Content-Type": "application/json"}
        answer = frozen.process(eas_sdk.Request.build(text, headers=headers))
        assert isinstance(answer, eas_sdk.Response)
        return answer

    found = asked(output_filter=["parts:1", "sizes"])
    assert found.status == 200, bytes(found.body)
    assert json.loads(bytes(found.body)) == {"outputs": {"parts:1": X[:, 2:].tolist(), "sizes": [5, 3]}}
    refused = [asked(), asked(output_filter=["nobody"]), asked(inputs={"y": [[1, 2]]}, output_filter=["y"])]
    assert [each.status for each in refused] == [400] * 3
    assert [bytes(each.body).decode().strip() for each in refused] == [
        NO_TARGET,
        "the graph has no tensor 'nobody'; its outputs are 'sizes', 'parts', 'parts:1'",
        "input 'y': sent DT_FLOAT [1, 2], the model wants DT_FLOAT [-1, 3]",
    ]


# -- Keras


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_a_keras_file(folder: Path, name: str) -> None:
    file = models.keras(folder / name)
    image, factor = X.reshape(5, 4, 1), X[:, :1]
    preset = loaded(file)
    expected = tf.keras.models.load_model(file, compile=False)([image, factor]).numpy()
    assert_same(run(preset, "", {"image": image, "factor": factor}), {"scores": expected})
    assert preset.model.signature("").batched
    preset.close()


def test_a_keras_file_with_a_dict_and_a_vocabulary(folder: Path) -> None:
    k = tf.keras
    word, number = k.Input((1,), dtype="string", name="w"), k.Input((1,), name="n")
    index = k.layers.StringLookup(vocabulary=["one", "two"])(word)
    model = k.Model({"word": word, "number": number}, {"index": index, "same": k.layers.Identity()(number)})
    model.save(folder / "dict.keras")
    preset = loaded(folder / "dict.keras")
    given = {"word": np.array([[b"two"], [b"else"]], object), "number": X[:2, :1]}
    assert_same(run(preset, "", given), {"index": np.array([[2], [0]]), "same": X[:2, :1]})
    preset.close()


def test_names_of_a_keras_model_are_those_of_its_layers(folder: Path) -> None:
    k = tf.keras
    shared = k.layers.Dense(2, name="shared")
    one, two = k.Input((4,), name="one"), k.Input((4,))
    k.Model([one, two], [shared(one), shared(two), one]).save(folder / "names.keras")
    preset = loaded(folder / "names.keras")
    signature = preset.model.signature("")
    assert [spec.name for spec in signature.inputs or ()] == ["input_layer", "one"]
    assert [spec.name for spec in signature.outputs or ()] == ["one", "shared", "shared_1"]
    dense = shared.get_weights()[0]
    found = run(preset, "", {"one": X, "input_layer": -X})
    assert np.allclose(found["shared"], X @ dense)
    assert np.allclose(found["shared_1"], -X @ dense)
    preset.close()


# -- threads


def test_threads_may_call_at_the_same_time(dense: Preset, modern: Preset) -> None:
    inputs = [RANDOM.normal(size=(1 + n % 3, 4)).astype(np.float32) for n in range(40)]
    expected = [run(dense, "", {"x": x})["y"] for x in inputs]
    found: list[Any] = [None] * len(inputs)
    at_once = threading.Barrier(4)

    def work(first: int) -> None:
        at_once.wait()
        for n in range(first, len(inputs), 4):
            found[n] = run(dense, "", {"x": inputs[n]})["y"]

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [each.tobytes() for each in found] == [each.tobytes() for each in expected]
