"""XGBoost models through the preset, compared with calling XGBoost itself."""

from __future__ import annotations

import pickle
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import eas_sdk
from support.repository import ROOT
from support.rows import ask, everything, refusal

np: Any = pytest.importorskip("numpy")
xgboost: Any = pytest.importorskip("xgboost")

from eas_processors.xgboost import Preset  # noqa: E402 - needs xgboost

ROWS = np.random.default_rng(0).random((60, 4), dtype=np.float32)
HOLED = np.where(ROWS > 0.9, np.nan, np.where(ROWS < 0.3, 0, ROWS))
SHARED = {"max_depth": 3, "nthread": 1}


def booster(objective: str = "binary:logistic", names: list[str] | None = None, **more: object) -> Any:
    labels = (ROWS.sum(axis=1) * 2).astype(int) % 3 if "multi" in objective else ROWS.sum(axis=1) > 2
    data = xgboost.DMatrix(HOLED, labels.astype(float), feature_names=names)
    return xgboost.train({"objective": objective, **SHARED, **more}, data, 4)


def saved(directory: Path, model: Any, name: str = "model.json") -> Path:
    model.save_model(directory / name)
    return directory / name


def listed(rows: Any) -> list[list[float | None]]:
    return [[None if np.isnan(value) else float(value) for value in row] for row in rows]


@pytest.mark.parametrize("name", ["model.json", "model.ubj"])
@pytest.mark.parametrize("objective", ["binary:logistic", "reg:squarederror", "multi:softprob"])
def test_every_digit_is_the_frameworks(tmp_path: Path, name: str, objective: str) -> None:
    more: dict[str, Any] = {"num_class": 3} if "multi" in objective else {}
    model = booster(objective, **more)
    (found,) = ask(Preset, saved(tmp_path, model, name), listed(HOLED))
    np.testing.assert_array_equal(np.array(found, np.float32), model.predict(xgboost.DMatrix(HOLED)))


@pytest.mark.parametrize("kind", ["gblinear", "dart"])
def test_boosters_that_are_no_plain_trees(tmp_path: Path, kind: str) -> None:
    more = {"rate_drop": 0.5} if kind == "dart" else {}
    data = xgboost.DMatrix(ROWS, (ROWS.sum(axis=1) > 2).astype(float))
    model = xgboost.train({"objective": "binary:logistic", "booster": kind, "nthread": 1, **more}, data, 4)
    bodies = [listed(ROWS[at : at + 5]) for at in range(0, 60, 5)]
    found = ask(Preset, saved(tmp_path, model), *bodies, batch=eas_sdk.Batching(16))
    np.testing.assert_array_equal(np.concatenate(found).astype(np.float32), model.predict(data))


def test_batches_give_the_same_answers(tmp_path: Path) -> None:
    path = saved(tmp_path, booster())
    bodies = [listed(HOLED[at : at + 1 + at % 3]) for at in range(0, 40, 2)]
    assert ask(Preset, path, *bodies, batch=eas_sdk.Batching(8)) == ask(Preset, path, *bodies)


def test_objects_by_the_models_names(tmp_path: Path) -> None:
    model = booster(names=["a", "b", "c", "d"])
    path = saved(tmp_path, model)
    row = {"d": float(ROWS[0, 3]), "a": float(ROWS[0, 0])}
    by_name, by_position = ask(Preset, path, [row], [[row["a"], None, None, row["d"]]])
    assert by_name == by_position
    assert '"x" is no column of the model; its columns: a, b, c, d' in refusal(Preset, path, [{"x": 1}])
    nameless = saved(tmp_path, booster(), "n.json")
    assert ask(Preset, nameless, [{"f3": 0.5, "f0": 1}]) == ask(Preset, nameless, [[1, None, None, 0.5]])
    assert "its columns: f0, f1, f2, f3" in refusal(Preset, nameless, [{"a": 1}])


def test_one_bad_request_fails_alone(tmp_path: Path) -> None:
    good = listed(ROWS[:1])
    replies = everything(
        Preset, saved(tmp_path, booster()), good, [[1, "x", 3, 4]], good, batch=eas_sdk.Batching(4)
    )
    assert [reply.status for reply in replies] == [200, 400, 200]
    assert bytes(replies[1].body) == b'row 0, column 1 ("f1"): "x" is no number\n'


def test_the_signature(tmp_path: Path) -> None:
    (told,) = ask(Preset, saved(tmp_path, booster("multi:softprob", num_class=3)), b"")
    assert told["model"] == f"XGBoost {xgboost.__version__}"
    assert told["inputs"][3] == {"name": "f3", "type": "float"}
    assert told["outputs"] == [{"name": "prediction", "type": "float", "shape": [-1, 3]}]


def test_margins_and_a_part_of_the_rounds(tmp_path: Path) -> None:
    model = booster()
    config = {"output_margin": True, "iteration_range": [0, 2], "intra_op_threads": 2}
    (found,) = ask(Preset, saved(tmp_path, model), listed(HOLED), config=config)
    wanted = model.predict(xgboost.DMatrix(HOLED), output_margin=True, iteration_range=(0, 2))
    np.testing.assert_array_equal(np.array(found, np.float32), wanted)


def test_no_rows(tmp_path: Path) -> None:
    assert ask(Preset, saved(tmp_path, booster()), []) == [[]]


def test_a_directory_with_one_model(tmp_path: Path) -> None:
    saved(tmp_path, booster())
    assert len(ask(Preset, tmp_path, listed(ROWS[:2]))[0]) == 2


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"iteration_range": [1]}, "expected 2 whole numbers"),
        ({"intra_op_threads": 0}, '"intra_op_threads" is 0, expected at least 1'),
        ({"nthread": 2}, '"nthread" is unknown; known: intra_op_threads, iteration_range, output_margin'),
    ],
)
def test_settings_that_make_no_sense(tmp_path: Path, config: Any, words: str) -> None:
    path = saved(tmp_path, booster())
    with pytest.raises(ValueError) as caught:
        ask(Preset, path, b"", config=config)
    assert words in str(caught.value)


def test_what_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_text('{"learner": 1}')
    with pytest.raises(ValueError, match=f"is no model that XGBoost {xgboost.__version__} reads: [^\\[/]"):
        ask(Preset, path, b"")


def test_a_model_in_the_old_binary_format_comes_with_the_commands_that_convert_it(tmp_path: Path) -> None:
    """The file was made by XGBoost 3.0, the last one that writes it and reads it."""
    if tuple(map(int, xgboost.__version__.split(".")[:2])) < (3, 1):
        pytest.skip("this XGBoost still reads it")
    path = tmp_path / "my model.bin"
    shutil.copy(ROOT / "tests/data/xgboost/binary_of_3.0.deprecated", path)
    with pytest.raises(ValueError, match=r"old binary format, which XGBoost reads up to 3\.0; ") as caught:
        ask(Preset, path, b"")
    told = str(caught.value).partition("convert it once: ")[2]
    documented = re.sub(r"\\\n *", "", (ROOT / "docs/presets/rows.md").read_text())
    assert told.replace("'my model.bin'", "model.bin") in documented
    venv, pip, convert = told.split(" && ")
    assert (venv, pip) == ("python3 -m venv old", "old/bin/pip install 'xgboost-cpu<3.1'")
    shutil.copy(saved(tmp_path, booster()), path)  # what this XGBoost reads, for the last one
    (tmp_path / "model.json").unlink()
    subprocess.run([sys.executable, *shlex.split(convert)[1:]], cwd=tmp_path, check=True)
    assert len(ask(Preset, tmp_path / "model.json", listed(ROWS[:2]))[0]) == 2


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("model.pkl", pickle.dumps({"a": [1.5] * 9}), "it is a pickle; save the model with save_model"),
        ("model.bin", b"hello\xff", "it is neither JSON nor UBJSON"),
        ("model.json", b"", "it is neither JSON nor UBJSON"),
        ("model.ubj", b"{\xff\xff", r"it is damaged, or no model; .*\.ubj"),
    ],
)
def test_another_file_is_named_and_what_is_wanted(
    tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name} is no model that XGBoost .* reads: {words}"):
        ask(Preset, tmp_path / name, b"")
