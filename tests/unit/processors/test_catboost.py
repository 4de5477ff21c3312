"""CatBoost models through the preset, compared with calling CatBoost itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import eas_sdk
from support.rows import ask, refusal

np: Any = pytest.importorskip("numpy")
catboost: Any = pytest.importorskip("catboost")

from eas_processors.catboost import Preset  # noqa: E402 - needs catboost

NUMBERS = np.random.default_rng(0).random((40, 2))
ROWS: list[list[Any]] = [
    [float(a), ["paris", "rome"][place % 2], float(b), place % 3] for place, (a, b) in enumerate(NUMBERS)
]
SHARED = {"iterations": 3, "depth": 2, "thread_count": 1, "verbose": 0, "allow_writing_files": False}


def saved(directory: Path, model: Any) -> Path:
    model.save_model(str(directory / "model.cbm"))
    return directory / "model.cbm"


def mixed(labels: Any, kind: Any = catboost.CatBoostClassifier) -> Any:
    """A model with two columns of categories, texts and numbers."""
    names = ["x", "city", "y", "zone"]
    pool = catboost.Pool(np.array(ROWS, object), labels, cat_features=[1, 3], feature_names=names)
    return kind(**SHARED).fit(pool)


def test_a_classifier_gives_probabilities(tmp_path: Path) -> None:
    model = mixed(NUMBERS[:, 0] > 0.5)
    (found,) = ask(Preset, saved(tmp_path, model), ROWS)
    np.testing.assert_array_equal(np.array(found), model.predict_proba(np.array(ROWS, object)))


def test_classes_that_are_texts(tmp_path: Path) -> None:
    labels = np.array(["low", "mid", "high"])[(NUMBERS[:, 0] * 3).astype(int)]
    model = mixed(labels)
    path = saved(tmp_path, model)
    (found, told) = ask(Preset, path, ROWS, b"", config={"prediction_type": "Class"})
    assert found == model.predict(np.array(ROWS, object))[:, 0].tolist()
    assert told["classes"] == sorted(set(labels))
    assert told["inputs"] == [
        {"name": "x", "type": "float"},
        {"name": "city", "type": "category"},
        {"name": "y", "type": "float"},
        {"name": "zone", "type": "category"},
    ]


@pytest.mark.parametrize("loss", ["RMSE", "Poisson", "RMSEWithUncertainty"])
def test_a_regressor_gives_what_its_own_predict_does(tmp_path: Path, loss: str) -> None:
    model = catboost.CatBoostRegressor(loss_function=loss, **SHARED).fit(NUMBERS, NUMBERS.sum(axis=1))
    (found,) = ask(Preset, saved(tmp_path, model), NUMBERS.tolist())
    np.testing.assert_array_equal(np.array(found), model.predict(NUMBERS))


def test_missing_numbers(tmp_path: Path) -> None:
    model = catboost.CatBoostRegressor(**SHARED).fit(NUMBERS, NUMBERS.sum(axis=1))
    (found,) = ask(Preset, saved(tmp_path, model), [[None, 0.5]])
    assert found == model.predict([[np.nan, 0.5]]).tolist()


def test_batches_and_names_give_the_same_answers(tmp_path: Path) -> None:
    path = saved(tmp_path, mixed(NUMBERS[:, 0] > 0.5))
    bodies = [ROWS[at : at + 1 + at % 3] for at in range(0, 30, 2)]
    named = [[dict(zip(("x", "city", "y", "zone"), row, strict=True)) for row in body] for body in bodies]
    alone = ask(Preset, path, *bodies)
    assert ask(Preset, path, *bodies, batch=eas_sdk.Batching(8)) == alone
    assert ask(Preset, path, *named, batch=eas_sdk.Batching(8)) == alone


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ([1, None, 1, 1], 'row 0, column 1 ("city"): None, a category is a text or a whole number'),
        ([1, "rome", 1, 1.5], 'column 3 ("zone"): 1.5'),
        ([1, True, 1, 1], 'column 1 ("city"): True'),
        (["1", "rome", 1, 1], 'column 0 ("x"): "1" is no number'),
    ],
)
def test_what_is_no_category(tmp_path: Path, row: list[Any], words: str) -> None:
    assert words in refusal(Preset, saved(tmp_path, mixed(NUMBERS[:, 0] > 0.5)), [row])


def test_a_whole_number_may_be_written_with_a_point(tmp_path: Path) -> None:
    path = saved(tmp_path, mixed(NUMBERS[:, 0] > 0.5))
    whole, pointed = ask(Preset, path, [[1, "rome", 1, 2]], b'[[1, "rome", 1, 2.0]]')
    assert whole == pointed


def test_what_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "model.cbm"
    path.write_text("nonsense")
    with pytest.raises(ValueError, match="is no CatBoost model"):
        ask(Preset, path, b"")


def test_a_prediction_type_that_the_model_cannot_give(tmp_path: Path) -> None:
    path = saved(tmp_path, catboost.CatBoostRegressor(**SHARED).fit(NUMBERS, NUMBERS.sum(axis=1)))
    with pytest.raises(catboost.CatBoostError):
        ask(Preset, path, b"", config={"prediction_type": "Nonsense"})
