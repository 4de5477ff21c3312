"""Caffe nets through the preset, compared bit by bit with calling OpenCV itself."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import eas_sdk
from support.presets import asked, asked_json, batch, described, refusal, refusal_json, started
from support.proto import messages

np: Any = pytest.importorskip("numpy")
cv2: Any = pytest.importorskip("cv2")
pytest.importorskip("google.protobuf")

from eas_processors.caffe import Preset, prototxt  # noqa: E402
from support import caffe_models as models  # noqa: E402

PROTO = messages("caffe_predict.proto")


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    """OpenCV's number of threads is the process's."""
    before = cv2.getNumThreads()
    yield
    cv2.setNumThreads(before)


def request(*output_filter: str, **inputs: Any) -> bytes:
    """The body of a ``PredictRequest`` as the vendor's client makes it."""
    message = PROTO["PredictRequest"](input_name=inputs, output_filter=output_filter)
    for array in inputs.values():
        one = message.input_data.add(data=array.reshape(-1).tolist())
        one.shape.dim.extend(array.shape)
    body: bytes = message.SerializeToString()
    return body


def arrays(body: bytes | str) -> dict[str, Any]:
    """The outputs in an answer."""
    assert isinstance(body, bytes), body
    message = PROTO["PredictResponse"].FromString(body)
    values = [np.array(one.data, np.float32).reshape(one.shape.dim) for one in message.output_data]
    return dict(zip(message.output_name, values, strict=True))


def direct(directory: Path, layer: str, **inputs: Any) -> Any:
    """What OpenCV says without a server, of one of its layers."""
    net = cv2.dnn.readNetFromCaffe(str(directory / "net.prototxt"), str(directory / "net.caffemodel"))
    for name, array in inputs.items():
        net.setInput(array, name)
    return net.forward(layer)


def same(ours: Any, theirs: Any) -> None:
    """Equal in type, shape and every bit."""
    assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
    assert ours.tobytes() == theirs.tobytes()


def images(count: int, *, size: int = 8, seed: int = 3) -> Any:
    return np.random.default_rng(seed).standard_normal((count, 3, size, size), np.float32)


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith("eas_processors")]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_results_are_those_of_opencv_itself_bit_by_bit(tmp_path: Path, count: int) -> None:
    directory = models.convolutional(tmp_path)
    x = images(count)
    ours = arrays(asked(started(Preset, f"{directory}/"), request(image=x)))
    assert list(ours) == ["left", "right"]
    both = np.concatenate([ours["left"], ours["right"]], 1)
    same(both, direct(directory, "act", image=x))


def test_a_classifier_by_protobuf_json_and_unnamed(tmp_path: Path) -> None:
    directory = models.classifier(tmp_path)
    preset = started(Preset, f"{directory}/")
    x = images(2)
    (tmp_path / "net.prototxt").write_text(
        models.CLASSIFIER.rpartition("layer {")[0]
    )  # OpenCV runs what is in TRAIN
    wanted = direct(directory, "softmax", data=x)
    same(arrays(asked(preset, request(data=x)))["prob"], wanted)
    assert asked_json(preset, inputs={"data": x.tolist()}) == {"prob": wanted.tolist()}
    assert asked_json(preset, inputs=[x.tolist()], output_filter=[0]) == {"prob": wanted.tolist()}


def test_the_filter_names_any_blob_as_caffe_knows_it(tmp_path: Path) -> None:
    """``conv1`` is what the layer that works in place leaves, as in Caffe."""
    preset = started(Preset, f"{models.classifier(tmp_path)}/")
    x = images(2)
    blobs = arrays(asked(preset, request("fc1", "conv1", "prob", "fc1", data=x)))
    assert {name: array.shape for name, array in blobs.items()} == {
        "fc1": (2, 5),
        "conv1": (2, 4, 8, 8),
        "prob": (2, 5),
    }
    assert blobs["conv1"].min() == 0
    fc = blobs["fc1"] - blobs["fc1"].max(1, keepdims=True)
    np.testing.assert_allclose(
        blobs["prob"], np.exp(fc) / np.exp(fc).sum(1, keepdims=True), rtol=1e-5, atol=1e-7
    )
    assert refusal(preset, request("softmax", data=x)) == (
        "output_filter: unknown blob 'softmax'; the net's are conv1, pool1, fc1, prob"
    )
    assert "unknown blob 1" in refusal_json(preset, inputs=[x.tolist()], output_filter=[1])


def test_a_blob_before_and_after_an_activation(tmp_path: Path) -> None:
    preset = started(Preset, f"{models.convolutional(tmp_path)}/")
    x = images(1)
    blobs = arrays(asked(preset, request("before", "right", "after", image=x)))
    assert blobs["before"].min() < 0
    np.testing.assert_array_equal(blobs["after"], np.maximum(blobs["before"], 0))
    np.testing.assert_array_equal(blobs["right"], blobs["after"][:, 1:])
    np.testing.assert_array_equal(arrays(asked(preset, request(image=x)))["right"], blobs["right"])


def test_two_inputs_in_the_older_schema(tmp_path: Path) -> None:
    preset = started(Preset, f"{models.two_inputs(tmp_path)}/")
    a, b = np.ones((3, 2, 1, 1), np.float32), np.full((3, 2, 1, 1), 2, np.float32)
    same(arrays(asked(preset, request(b=b, a=a)))["sum"], a + b)
    assert refusal(preset, request(a=a)) == "missing inputs: 'b'; the model's inputs are 'a', 'b'"


def test_an_empty_batch_has_an_empty_answer(tmp_path: Path) -> None:
    preset = started(Preset, f"{models.classifier(tmp_path)}/")
    same(arrays(asked(preset, request(data=images(0))))["prob"], np.empty((0, 5), np.float32))
    free = started(Preset, f"{models.convolutional(tmp_path / 'free')}/")
    assert "an input without values" in refusal(free, request(image=images(2, size=0)))


def test_the_signature_shows_which_dimensions_are_free(tmp_path: Path) -> None:
    assert described(started(Preset, f"{models.classifier(tmp_path / 'a')}/")) == {
        "signature_name": "",
        "inputs": [{"name": "data", "shape": [-1, 3, 8, 8], "type": "DT_FLOAT"}],
        "outputs": [{"name": "prob", "shape": [-1, 5], "type": "DT_FLOAT"}],
    }
    assert described(started(Preset, f"{models.convolutional(tmp_path / 'b')}/")) == {
        "signature_name": "",
        "inputs": [{"name": "image", "shape": [-1, 3, -1, -1], "type": "DT_FLOAT"}],
        "outputs": [
            {"name": "left", "shape": [-1, 1, -1, -1], "type": "DT_FLOAT"},
            {"name": "right", "shape": [-1, 3, -1, -1], "type": "DT_FLOAT"},
        ],
    }


def test_a_net_of_convolutions_takes_images_of_any_size(tmp_path: Path) -> None:
    directory = models.convolutional(tmp_path)
    preset = started(Preset, f"{directory}/")
    for size in (8, 12, 3, 8):
        x = images(2, size=size)
        same(arrays(asked(preset, request("after", image=x)))["after"], direct(directory, "act", image=x))


def test_what_does_not_fit_names_input_sent_and_wanted(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    preset = started(Preset, f"{models.classifier(tmp_path)}/")
    assert refusal(preset, request(data=images(2, size=6))) == (
        "input 'data': sent DT_FLOAT [2, 3, 6, 6], the model wants DT_FLOAT [-1, 3, 8, 8]"
    )
    free = started(Preset, f"{models.convolutional(tmp_path / 'free')}/")
    assert "the model wants DT_FLOAT [-1, 3, -1, -1]" in refusal(free, request(image=images(2)[:, :2]))
    pair = started(Preset, f"{models.two_inputs(tmp_path / 'pair')}/")
    text = refusal(pair, request(a=np.zeros((1, 2, 1, 2), np.float32), b=np.zeros((1, 2, 1, 3), np.float32)))
    assert text.startswith("OpenCV: ")
    assert "'b': DT_FLOAT [1, 2, 1, 3]; the prototxt says 'a': [1, 2, 1, 1], 'b': [1, 2, 1, 1]" in text
    ones = np.ones((1, 2, 1, 1), np.float32)
    same(arrays(asked(pair, request(a=ones, b=ones)))["sum"], ones * 2)  # the net has survived it
    assert "ERROR" not in capfd.readouterr().err  # a client's mistake isn't the log's business


@pytest.mark.parametrize("nets", [1, 2])
def test_many_threads_get_their_own_answers(tmp_path: Path, nets: int) -> None:
    config = f'{{"nets": {nets}, "intra_op_threads": 1}}'
    ask = partial(asked, started(Preset, f"{models.classifier(tmp_path)}/", config))
    bodies = [request(data=images(1 + seed % 3, seed=seed)) for seed in range(30)]
    alone = [ask(body) for body in bodies]
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(ask, bodies)) == alone


def test_no_net_is_lost_to_errors(tmp_path: Path) -> None:
    preset = started(Preset, f"{models.two_inputs(tmp_path)}/")
    ones = np.ones((1, 2, 1, 1), np.float32)
    for _ in range(3):
        refusal(preset, request(a=np.ones((1, 2, 1, 2), np.float32), b=np.ones((1, 2, 1, 3), np.float32)))
    done = threading.Thread(target=asked, args=(preset, request(a=ones, b=ones)), daemon=True)
    done.start()
    done.join(60)
    assert not done.is_alive()


def test_joined_requests_get_what_they_would_get_alone(tmp_path: Path) -> None:
    directory = models.classifier(tmp_path)
    alone = started(Preset, f"{directory}/")
    together = started(Preset, f"{directory}/", batching=eas_sdk.Batching(8))
    bodies = [request(data=images(1 + seed % 3, seed=seed)) for seed in range(9)]
    bodies.insert(4, request(data=images(2, size=6)))
    for ours, body in zip(batch(together, bodies), bodies, strict=True):
        if body is bodies[4]:
            assert isinstance(ours, str)
            continue
        np.testing.assert_allclose(
            arrays(ours)["prob"], arrays(asked(alone, body))["prob"], rtol=1e-5, atol=1e-6
        )


FLAT = """
input: "data" input_shape { dim: 2 dim: 3 }
layer { name: "flat" type: "Reshape" bottom: "data" top: "flat" reshape_param { shape { dim: 1 dim: -1 } } }
"""


def test_a_net_that_does_not_keep_the_first_dimension_is_not_joined(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    directory = models.saved(tmp_path, FLAT, models.weights({}))
    batching = eas_sdk.Batching(8)
    assert not started(Preset, f"{directory}/", batching=batching).model.signature("").batched
    assert said(caplog) == ["requests are not joined: dimension 0 of net.prototxt is no batch"]
    keeps = models.classifier(tmp_path / "keeps")
    assert started(Preset, f"{keeps}/", batching=batching).model.signature("").batched
    assert (
        not started(Preset, f"{keeps}/", '{"batched": false}', batching=batching).model.signature("").batched
    )


def test_without_shapes_in_the_prototxt_anything_goes(tmp_path: Path) -> None:
    text = 'input: "d"\nlayer { name: "r" type: "ReLU" bottom: "d" top: "r" }'
    preset = started(Preset, f"{models.saved(tmp_path, text, models.weights({}))}/")
    assert described(preset)["inputs"] == [{"name": "d", "shape": None, "type": "DT_FLOAT"}]
    assert described(preset)["outputs"] == [{"name": "r", "shape": None, "type": "DT_FLOAT"}]
    for shape in ((2, 3), (1, 2, 3), (2, 1, 2, 3)):
        x = np.random.default_rng(0).standard_normal(shape, np.float32)
        np.testing.assert_array_equal(arrays(asked(preset, request(d=x)))["r"], np.maximum(x, 0))


def test_several_files_are_told_apart_by_model_entry_or_model_config(tmp_path: Path) -> None:
    models.classifier(tmp_path)
    (tmp_path / "train_val.prototxt").write_text("layer {")
    with pytest.raises(ValueError, match=r"several .*net\.prototxt, train_val\.prototxt; .* model_entry"):
        started(Preset, f"{tmp_path}/")
    started(Preset, f"{tmp_path}/net.prototxt")
    started(Preset, f"{tmp_path}/", '{"prototxt": "net.prototxt"}')
    (tmp_path / "older.caffemodel").write_bytes(b"")
    with pytest.raises(ValueError, match=r"several .*net\.caffemodel, older\.caffemodel"):
        started(Preset, f"{tmp_path}/net.prototxt")
    started(Preset, f"{tmp_path}/net.prototxt", '{"caffemodel": "net.caffemodel"}')
    started(Preset, f"{tmp_path}/net.caffemodel", '{"prototxt": "net.prototxt"}')


def test_files_that_are_no_net_end_the_start_in_one_line(tmp_path: Path) -> None:
    models.classifier(tmp_path)
    (tmp_path / "net.caffemodel").write_bytes(b"not a caffemodel")
    with pytest.raises(ValueError, match=r"^OpenCV can't load net\.prototxt with net\.caffemodel: "):
        started(Preset, f"{tmp_path}/")
    (tmp_path / "net.caffemodel").write_bytes(b"")  # which OpenCV takes without a word
    with pytest.raises(ValueError, match=r"^OpenCV can't run net\.prototxt with net\.caffemodel: ") as caught:
        started(Preset, f"{tmp_path}/")
    assert "\n" not in str(caught.value)
    (tmp_path / "net.prototxt").write_text('input: "x"\nlayer { bogus: 3 }')
    with pytest.raises(ValueError, match=r"^net\.prototxt has no output$"):
        started(Preset, f"{tmp_path}/")
    (tmp_path / "net.prototxt").write_text('layer { name: "d" type: "Data" top: "d" }')
    with pytest.raises(ValueError, match="has no input: it must be the net for deployment"):
        started(Preset, f"{tmp_path}/")
    (tmp_path / "net.caffemodel").unlink()
    with pytest.raises(ValueError, match=r"no file that is the weights of a Caffe net \(\.caffemodel\)"):
        started(Preset, f"{tmp_path}/")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("layer {", "line 1 of the prototxt: its end is unexpected"),
        ('input: "x"\nlayer } ', "line 2 of the prototxt: '}' is unexpected"),
        ("name: ]", "line 1 of the prototxt: ']' is unexpected"),
        ("name: [1, 2", "line 1 of the prototxt: its end is unexpected"),
        ("{}", "line 1 of the prototxt: '{' is unexpected"),
    ],
)
def test_a_text_that_is_no_prototxt_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(ValueError, match="is unexpected") as caught:
        prototxt.parse(text)
    assert str(caught.value) == message


def test_strings_comments_and_brackets_of_the_text_format() -> None:
    net = prototxt.parse(
        "input: 'a' \"b\"  # one name, a ' in a comment\n"
        'input: "say \\"x\\" # {"\n'
        "input_shape < dim: [1, 2] > input_shape { dim: 3; dim: 4, }\n"
        "layer { type: 'ReLU' bottom: \"ab\" top: 'c' } layer { bottom: 'c' top: 'c' bottom: 'z' }"
    )
    assert net.inputs == (prototxt.Input("ab", (1, 2)), prototxt.Input('say "x" # {', (3, 4)))
    assert net.outputs() == ["c"]


def test_layers_for_training_are_cut_out() -> None:
    net = prototxt.parse(models.CLASSIFIER)
    assert [layer.name for layer in net.layers] == ["conv", "relu", "pool", "fc", "softmax"]
    assert net.text == models.CLASSIFIER.rpartition("layer {")[0] + "\n"
    both = "layer { top: 't' include { phase: TRAIN } include { phase: TEST } }"
    assert [layer.tops for layer in prototxt.parse(both).layers] == [("t",)]
    always = "layer { top: 't' include { stage: 'deploy' } }"
    assert len(prototxt.parse(always).layers) == 1


def test_whether_a_net_takes_other_sizes() -> None:
    fixed = "layer { type: 'InnerProduct' }"
    assert not prototxt.parse(fixed).any_size()
    assert not prototxt.parse("layers { type: INNER_PRODUCT }").any_size()
    assert prototxt.parse(
        f"layer {{ type: 'Pooling' pooling_param {{ global_pooling: true }} }} {fixed}"
    ).any_size()
    assert prototxt.parse("layer { type: 'Convolution' }").any_size()


def test_a_gpu_that_is_not_there_is_said_loudly(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    if cv2.cuda.getCudaEnabledDeviceCount():
        pytest.skip("there is a GPU")

    class OnGpu(Preset):
        device = "gpu"

    preset = started(OnGpu, f"{models.classifier(tmp_path)}/")
    assert "the model runs on the CPU" in caplog.text
    assert arrays(asked(preset, request(data=images(1))))


def test_threads(tmp_path: Path) -> None:
    directory = models.classifier(tmp_path)
    started(Preset, f"{directory}/", '{"intra_op_threads": 1}')
    assert cv2.getNumThreads() == 1
    with pytest.raises(ValueError, match='"nets" is 0, expected at least 1'):
        started(Preset, f"{directory}/", '{"nets": 0}')
