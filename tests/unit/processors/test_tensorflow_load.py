"""What ``model_entry`` and ``model_config`` may say, and why a model can't be served."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest

models = pytest.importorskip("support.tensorflow_models", reason="tensorflow isn't installed")
tf = models.tf

from eas_processors.tensorflow import Preset, options, runtime  # noqa: E402 - after the skip
from eas_processors.tensorflow.errors import ModelUnusable, short  # noqa: E402
from eas_processors.tensorflow.locate import Format, locate  # noqa: E402


def touch(directory: Path, *names: str) -> Path:
    for name in names:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).touch()
    return directory


# -- which one is the model


@pytest.mark.parametrize("entry", ["", "1/", "1/saved_model.pb"])
@pytest.mark.parametrize("suffix", ["pb", "pbtxt"])
def test_a_saved_model_may_be_named_by_folder_version_or_file(
    tmp_path: Path, entry: str, suffix: str
) -> None:
    touch(tmp_path, f"1/saved_model.{suffix}", "1/variables/variables.index", "labels.txt")
    entry = entry.replace("pb", suffix)
    assert locate(f"{tmp_path}/{entry}") == (Format.SAVED_MODEL, tmp_path / "1")


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("frozen.pb", Format.FROZEN_GRAPH),
        ("net.keras", Format.KERAS),
        ("net.H5", Format.KERAS),
        ("net.hdf5", Format.KERAS),
    ],
)
def test_a_file_may_be_named_or_be_the_only_one(tmp_path: Path, name: str, wanted: Format) -> None:
    touch(tmp_path, name, "labels.txt")
    assert locate(str(tmp_path / name)) == locate(f"{tmp_path}/") == (wanted, tmp_path / name)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["1/saved_model.pb", "2/saved_model.pb"], r"several models in .*: 1, 2; name one with model_entry"),
        (["1/saved_model.pb", "net.keras"], r"several models in .*: 1, net.keras; name"),
        (["labels.txt"], r"no model in .*: it must hold a SavedModel \(a folder with saved_model.pb\)"),
        (["1/2/saved_model.pb"], r"no model in"),
    ],
)
def test_none_or_several_are_refused(tmp_path: Path, names: list[str], message: str) -> None:
    with pytest.raises(ModelUnusable, match=message):
        locate(f"{touch(tmp_path, *names)}/")


def test_what_isnt_there_or_of_another_kind_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "net.onnx")
    with pytest.raises(ModelUnusable, match="no model: model_path must lead to a SavedModel"):
        locate("")
    with pytest.raises(ModelUnusable, match=r"gone.pb doesn't exist \(model_path, model_entry\)"):
        locate(str(tmp_path / "gone.pb"))
    with pytest.raises(
        ModelUnusable, match=r"net.onnx is of no known format: the model must be a SavedModel"
    ):
        locate(str(tmp_path / "net.onnx"))


# -- model_config


def test_what_model_config_may_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    text = '{"intra_op_threads": 3, "inter_op_threads": 2, "signature_name": "s", "tags": ["serve", "gpu"]}'
    assert options.read(text) == options.Options(3, 2, "s", ("serve", "gpu"))
    assert options.read("") == options.read(" {} ") == options.Options(1, 1, "", ("serve",))


def test_keys_of_others_are_named_in_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    assert options.read('{"session_num": 2, "intra_op_threads": 2, "a": 1}').intra_op_threads == 2
    assert caplog.messages == ["these keys of model_config have no effect: 'a', 'session_num'"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("threads=4", "no JSON"),
        ("[]", "JSON object"),
        ('{"intra_op_threads": 0}', "expected at least 1"),
        ('{"inter_op_threads": "2"}', "expected a whole number"),
        ('{"tags": "serve"}', "expected a list"),
        ('{"tags": [1]}', "expected a list of texts"),
        ('{"signature_name": null}', "expected a text"),
    ],
)
def test_values_of_the_wrong_kind_are_refused(text: str, message: str) -> None:
    with pytest.raises((ValueError, ModelUnusable), match=message):
        options.read(text)


def test_one_inter_op_thread_means_the_callers_own() -> None:
    alone = runtime.session_config(options.Options(intra_op_threads=3), "cpu")
    assert (alone.intra_op_parallelism_threads, alone.inter_op_parallelism_threads) == (3, -1)
    assert alone.device_count["GPU"] == 0
    assert (
        runtime.session_config(options.Options(inter_op_threads=2), "gpu").inter_op_parallelism_threads == 2
    )


def test_a_gpu_that_isnt_there_is_a_loud_warning(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("there is a GPU")
    preset = Preset()
    preset.device = "gpu"
    preset.initialize(str(models.frozen(tmp_path / "frozen.pb")), "")
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "NO GPU" in caplog.text
    assert "RUNS ON THE CPU" in caplog.text
    preset.close()


# -- models that can't be loaded


def unusable(path: Path, config: str = "") -> str:
    """Why it can't be served, in one line."""
    with pytest.raises(ModelUnusable) as caught:
        Preset().initialize(str(path), config)
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = models.dense(tmp_path_factory.mktemp("saved") / "dense")
    return folder


def test_a_saved_model_without_its_variables(saved: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(saved, tmp_path / "copy"))
    shutil.rmtree(copy / "variables")
    assert "can't be loaded as a SavedModel: " in unusable(copy)


def test_a_saved_model_that_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"\xff" * 40)
    assert "can't be loaded as a SavedModel: " in unusable(tmp_path)


def test_tags_that_arent_there_are_answered_with_those_that_are(saved: Path) -> None:
    assert "available tags '[{'serve'}]'" in unusable(saved, '{"tags": ["train"]}')


def test_a_default_signature_that_isnt_there(saved: Path) -> None:
    reason = unusable(saved, '{"signature_name": "predict"}')
    assert reason == (
        "model_config: signature_name: the model has no signature 'predict'; it has 'both', 'serving_default'"
    )


@pytest.mark.parametrize("content", [b"", b"\xff" * 40, b"no graph"])
def test_a_frozen_graph_that_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "frozen.pb").write_bytes(content)
    assert "is no frozen graph" in unusable(tmp_path / "frozen.pb")


def test_an_operation_that_this_tensorflow_doesnt_have(tmp_path: Path) -> None:
    definition = tf.compat.v1.GraphDef()
    definition.node.add(name="a", op="NobodyHasThis")
    (tmp_path / "frozen.pb").write_bytes(definition.SerializeToString())
    assert "Op type not registered 'NobodyHasThis'" in unusable(tmp_path / "frozen.pb")


def test_a_graph_with_variables_is_told_of_in_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with tf.Graph().as_default() as graph:
        tf.compat.v1.get_variable("weights", [2], use_resource=False)
        (tmp_path / "frozen.pb").write_bytes(graph.as_graph_def().SerializeToString())
    preset = Preset()
    preset.initialize(str(tmp_path / "frozen.pb"), "")
    assert caplog.messages == ["frozen.pb isn't frozen: its variables have no values (weights)"]
    with pytest.raises(RuntimeError, match=r"^FailedPreconditionError: .*weights"):
        preset.model.run(preset.model.signature(""), {}, ("weights",))
    preset.close()


def test_keras_files_must_not_run_code(tmp_path: Path) -> None:
    k = tf.keras
    model = k.Sequential([k.Input((2,)), k.layers.Lambda(lambda x: x * 2)])
    model.save(tmp_path / "net.keras")
    reason = unusable(tmp_path / "net.keras")
    assert "can't be loaded as a Keras file: there is Python code in it (a Lambda layer)" in reason


def test_a_keras_file_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "net.keras").write_bytes(b"no zip")
    assert "can't be loaded as a Keras file: " in unusable(tmp_path / "net.keras")


# -- TensorFlow's errors


@pytest.mark.parametrize(
    ("message", "wanted"),
    [
        ("In[0]: [1,3]\n\t [[{{node MatMul}}]]", "In[0]: [1,3]"),
        ("bad [[{{node a}}]] [[b/_3]]", "bad"),
        ("2 root error(s) found.\n  (0) INVALID_ARGUMENT: bad\n\t [[{{node a}}]]\n  (1) ...", "bad"),
        ("", "InvalidArgumentError"),
    ],
)
def test_errors_are_their_first_line(message: str, wanted: str) -> None:
    assert short(tf.errors.InvalidArgumentError(None, None, message)) == wanted
