"""``model_config`` of presets: found wrong when the file is read, all of it at once."""

from __future__ import annotations

import dataclasses
import importlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_engine.spec import ConfigurationError
from eas_engine.spec.model_config import KEYS, what_is_wrong
from eas_engine.spec.presets import PRESETS
from support.repository import ROOT
from support.services import JSON, read

HEADINGS = {
    "tensorflow": ("tensorflow", "model_config"),
    "pytorch": ("pytorch", "model_config"),
    "onnx": ("onnx", "model_config"),
    "caffe": ("caffe", "Batches and threads"),
    "pmml": ("pmml", "Requests"),
    "xgboost": ("rows", "XGBoost"),
    "lightgbm": ("rows", "LightGBM"),
    "catboost": ("rows", "CatBoost"),
    "sklearn": ("rows", "scikit-learn"),
}


def service(processor: str, config: object) -> dict[str, object]:
    return {"name": "demo", "processor": processor, "model_path": "model/", "model_config": config}


def complaints(directory: Path, processor: str, config: object) -> dict[str, str]:
    """What the start says, by parameter."""
    with pytest.raises(ConfigurationError) as caught:
        read(directory, service(processor, config))
    return {one.path: one.message for one in caught.value.problems}


def preset_keys(family: str) -> Any:
    """What the preset's own module reads."""
    pytest.importorskip("numpy")
    try:
        module = importlib.import_module(f"eas_processors.{family}")
    except ImportError as error:
        pytest.skip(str(error))
    if family == "tensorflow":
        module = importlib.import_module("eas_processors.tensorflow.options")
    return module.KEYS


def test_every_preset_that_is_served_has_its_keys_here() -> None:
    assert set(KEYS) == set(HEADINGS) == {preset.name for preset in PRESETS if preset.is_served}


@pytest.mark.parametrize("family", KEYS)
def test_what_the_preset_reads_is_what_the_engine_knows(family: str) -> None:
    told = {name: dataclasses.asdict(key) for name, key in preset_keys(family).items()}
    assert told == {name: dataclasses.asdict(key) for name, key in KEYS[family].items()}


@pytest.mark.parametrize("family", KEYS)
def test_every_key_is_on_its_page_and_no_other(family: str) -> None:
    page, heading = HEADINGS[family]
    text = (ROOT / f"docs/presets/{page}.md").read_text()
    section = re.split(r"^#+ ", text.partition(f"# {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    rows = re.findall(r"^\| (`\w+`.*?) \|", section, re.MULTILINE)
    assert {key for row in rows for key in re.findall(r"`(\w+)`", row)} - {"model_config"} == set(
        KEYS[family]
    )


VALUES = JSON | st.sampled_from(
    [True, 0, 1, -1, [], ["a"], [0, 1], [1], [-1, 2], [True, 1], "predict", "x", 1.0]
)


@pytest.mark.parametrize("family", KEYS)
@given(st.data())
def test_the_engine_and_the_preset_take_the_same(family: str, data: st.DataObject) -> None:
    keys = st.sampled_from([*KEYS[family], "x", "Batched", ""])
    text = json.dumps(data.draw(st.dictionaries(keys, VALUES, max_size=4) | JSON))
    known = preset_keys(family)
    from eas_processors.model_config import read_config

    errors = [one for one in what_is_wrong(family, text) if one.severity == "error"]
    if family == "tensorflow":
        assert all(one.severity == "error" for one in what_is_wrong(family, text) if one.key in known)
        given = json.loads(text)
        if isinstance(given, dict):
            text = json.dumps({key: value for key, value in given.items() if key in known})
    if errors:
        with pytest.raises(ValueError, match="model_config"):
            read_config(text, known)
    else:
        read_config(text, known)


def test_all_complaints_come_at_once_each_by_its_path(tmp_path: Path) -> None:
    config = {"batchd": True, "zzz": 1, "batched": "yes", "intra_op_threads": 0, "inter_op_threads": 2}
    assert complaints(tmp_path, "onnx", config) == {
        "model_config.batchd": "unknown, did you mean batched?",
        "model_config.zzz": "unknown; the preset onnx knows batched, inter_op_threads, intra_op_threads",
        "model_config.batched": '"yes": expected true or false',
        "model_config.intra_op_threads": "0: expected a whole number, at least 1",
    }


@pytest.mark.parametrize(
    ("processor", "key", "value", "words"),
    [
        ("xgboost", "iteration_range", [1], "[1]: expected a list of 2 whole numbers, at least 0"),
        ("xgboost_gpu", "iteration_range", [0, -1], "[0, -1]: expected a list of 2 whole numbers"),
        ("xgboost", "iteration_range", 3, "3: expected a list of 2 whole numbers"),
        ("xgboost", "output_margin", 1, "1: expected true or false"),
        ("sklearn", "method", "predictt", '"predictt": expected one of predict, predict_proba'),
        ("sklearn", "trusted", [1], "[1]: expected a list of texts"),
        ("sklearn", "allow_pickle", None, "null: expected true or false"),
        ("lightgbm", "num_iteration", 1.5, "1.5: expected a whole number"),
        ("catboost", "prediction_type", {}, "{}: expected a text"),
        ("pmml", "default", True, "unknown, did you mean defaults?"),
        ("caffe_cpu", "nets", True, "true: expected a whole number"),
        ("tensorflow_cpu_1.12", "tags", "serve", '"serve": expected a list of texts'),
        ("pytorch_gpu_1.10", "batched", [], "[]: expected true or false"),
    ],
)
def test_what_may_not_stand_there(
    tmp_path: Path, processor: str, key: str, value: object, words: str
) -> None:
    for config in ({key: value}, json.dumps({key: value})):
        said = complaints(tmp_path, processor, config)
        assert list(said) == [f"model_config.{key}"]
        assert words in said[f"model_config.{key}"]


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("{", "the preset pmml takes a JSON object: Expecting property name"),
        ([1], "[...]: the preset pmml takes a JSON object"),
        (5, "5: the preset pmml takes a JSON object"),
        ("[" * 5000, "the preset pmml takes a JSON object: "),
    ],
)
def test_what_is_no_object(tmp_path: Path, config: object, words: str) -> None:
    said = complaints(tmp_path, "pmml", config)
    assert said["model_config"].startswith(words)


def test_keys_of_the_clouds_own_processor_are_warned_of(tmp_path: Path) -> None:
    loaded = read(tmp_path, service("tensorflow", {"session_num": 4, "signature_nam": "x"}))
    assert {one.path: one.message.partition(";")[0] for one in loaded.warnings} == {
        "model_config.session_num": "no effect: unknown",
        "model_config.signature_nam": "no effect: unknown, did you mean signature_name?",
    }


def test_a_flag_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, service("onnx", {"batched": True}), flags=["model_config.batched=7"])
    (problem,) = caught.value.problems
    assert str(problem) == (
        "model_config.batched: 7: expected true or false (given by -D model_config.batched=7)"
    )


@pytest.mark.parametrize("config", ["", " ", {}, None])
def test_none_is_none(tmp_path: Path, config: object) -> None:
    assert not read(tmp_path, service("onnx", config)).warnings


def test_a_processor_of_ones_own_may_have_anything(tmp_path: Path) -> None:
    own = {"name": "demo", "processor_type": "python", "processor_entry": "app.py", "model_config": "{"}
    assert not read(tmp_path, own).warnings


def test_many_unknown_keys_cost_little(tmp_path: Path) -> None:
    said = complaints(tmp_path, "onnx", {f"batche{number}": 1 for number in range(20_000)})
    assert len(said) == 20_000
    assert sum("did you mean" in one for one in said.values()) == 30
