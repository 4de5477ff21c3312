"""LightGBM models through the preset, compared with calling LightGBM itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import eas_sdk
from support.rows import ask, refusal

np: Any = pytest.importorskip("numpy")
lightgbm: Any = pytest.importorskip("lightgbm")

from eas_processors.lightgbm import Preset  # noqa: E402 - needs lightgbm

ROWS = np.random.default_rng(0).random((80, 3))
HOLED = np.where(ROWS > 0.9, np.nan, ROWS)
SHARED = {"verbose": -1, "num_threads": 1, "min_data_in_leaf": 3, "num_leaves": 5}


def booster(objective: str = "binary", **more: object) -> Any:
    labels = (ROWS.sum(axis=1) * 3).astype(int) % 3 if objective == "multiclass" else ROWS.sum(axis=1) > 1.5
    data = lightgbm.Dataset(HOLED, labels.astype(float), feature_name=["age", "height", "weight"])
    return lightgbm.train({"objective": objective, **SHARED, **more}, data, 4)


def saved(directory: Path, model: Any) -> Path:
    model.save_model(directory / "model.txt")
    return directory / "model.txt"


def listed(rows: Any) -> list[list[float | None]]:
    return [[None if np.isnan(value) else float(value) for value in row] for row in rows]


@pytest.mark.parametrize(
    ("objective", "more"), [("binary", {}), ("regression", {}), ("multiclass", {"num_class": 3})]
)
def test_every_digit_is_the_frameworks(tmp_path: Path, objective: str, more: dict[str, object]) -> None:
    model = booster(objective, **more)
    (found,) = ask(Preset, saved(tmp_path, model), listed(HOLED))
    np.testing.assert_array_equal(np.array(found), model.predict(HOLED))


def test_batches_and_names_give_the_same_answers(tmp_path: Path) -> None:
    path = saved(tmp_path, booster())
    bodies = [listed(HOLED[at : at + 1 + at % 3]) for at in range(0, 40, 2)]
    named = [[dict(zip(("age", "height", "weight"), row, strict=True)) for row in body] for body in bodies]
    alone = ask(Preset, path, *bodies)
    assert ask(Preset, path, *bodies, batch=eas_sdk.Batching(8)) == alone
    assert ask(Preset, path, *named, batch=eas_sdk.Batching(8)) == alone


def test_settings(tmp_path: Path) -> None:
    model = booster()
    config = {"raw_score": True, "start_iteration": 1, "num_iteration": 2, "intra_op_threads": 2}
    (found,) = ask(Preset, saved(tmp_path, model), listed(ROWS), config=config)
    wanted = model.predict(ROWS, raw_score=True, start_iteration=1, num_iteration=2)
    np.testing.assert_array_equal(np.array(found), wanted)


def test_categories_of_pandas_are_taken_as_they_were_in_training(tmp_path: Path) -> None:
    pandas: Any = pytest.importorskip("pandas")
    numbers = np.random.default_rng(1).integers(0, 3, 80)
    frame = pandas.DataFrame(
        {
            "city": pandas.Categorical.from_codes(numbers, ["paris", "rome", "oslo"]),
            "size": ROWS[:, 0],
            "zone": pandas.Categorical(numbers[::-1] * 3 + 1),
        }
    )
    labels = (numbers == 1) | (numbers[::-1] == 0)
    model = lightgbm.train({"objective": "binary", **SHARED}, lightgbm.Dataset(frame, labels), 4)
    path = saved(tmp_path, model)
    rows = [[row.city, row.size_, row.zone] for row in frame.rename(columns={"size": "size_"}).itertuples()]
    (found,) = ask(Preset, path, rows)
    np.testing.assert_array_equal(np.array(found), model.predict(frame))
    unseen, missing, others, whole, signature = ask(
        Preset,
        path,
        [["berlin", 0.5, 11]],
        [[None, 0.5, None]],
        [["oslo", 0.5, "1"], ["oslo", 0.5, True]],
        [["oslo", 0.5, 1.0], ["oslo", 0.5, None], ["oslo", 0.5, 1]],
        b"",
    )
    assert unseen == missing
    assert whole[0] == whole[2] != whole[1]
    assert others == [whole[1]] * 2  # neither is the category 1
    assert [one["type"] for one in signature["inputs"]] == ["category", "double", "category"]
    assert 'column 1 ("size"): "x" is no number' in refusal(Preset, path, [["rome", "x", 1]])


def test_the_signature(tmp_path: Path) -> None:
    (told,) = ask(Preset, saved(tmp_path, booster("multiclass", num_class=3)), b"")
    assert told["inputs"][0] == {"name": "age", "type": "double"}
    assert told["outputs"] == [{"name": "prediction", "type": "double", "shape": [-1, 3]}]


def test_what_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "model.txt"
    path.write_text("nonsense")
    with pytest.raises(ValueError, match=f"is no model that LightGBM {lightgbm.__version__} reads"):
        ask(Preset, path, b"")
