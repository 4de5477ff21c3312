"""scikit-learn models through the preset, compared with calling scikit-learn itself."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

import eas_sdk
from eas_sdk.testing import run
from support.rows import ask, refusal

np: Any = pytest.importorskip("numpy")
pytest.importorskip("sklearn")
skops: Any = pytest.importorskip("skops.io")

from sklearn.compose import ColumnTransformer  # noqa: E402
from sklearn.feature_extraction.text import TfidfVectorizer  # noqa: E402
from sklearn.linear_model import LinearRegression, LogisticRegression  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import OneHotEncoder, StandardScaler  # noqa: E402
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor  # noqa: E402

from eas_processors.sklearn import Preset  # noqa: E402 - needs scikit-learn

TRUSTED = {"trusted": ["sklearn.tree._tree.Tree"]}
ROWS = np.random.default_rng(0).random((40, 3))
LABELS = (ROWS.sum(axis=1) * 2).astype(int) % 3


def saved(directory: Path, model: Any) -> Path:
    skops.dump(model, directory / "model.skops")
    return directory / "model.skops"


def test_every_digit_is_the_frameworks(tmp_path: Path) -> None:
    model = LinearRegression().fit(ROWS, ROWS.sum(axis=1))
    (found,) = ask(Preset, saved(tmp_path, model), ROWS.tolist())
    np.testing.assert_array_equal(np.array(found), model.predict(ROWS))


@pytest.mark.parametrize("method", ["predict", "predict_proba", "predict_log_proba", "decision_function"])
def test_the_methods_of_a_classifier(tmp_path: Path, method: str) -> None:
    model = LogisticRegression().fit(ROWS, LABELS)
    (found,) = ask(Preset, saved(tmp_path, model), ROWS.tolist(), config={"method": method})
    np.testing.assert_array_equal(np.array(found), getattr(model, method)(ROWS))


def test_trees_must_be_trusted_by_name(tmp_path: Path) -> None:
    model = DecisionTreeRegressor(max_depth=3, random_state=0).fit(ROWS, ROWS[:, 0])
    path = saved(tmp_path, model)
    with pytest.raises(ValueError, match=r"doesn't trust: sklearn\.tree\._tree\.Tree; .*\"trusted\""):
        ask(Preset, path, b"")
    (found,) = ask(Preset, path, ROWS.tolist(), config=TRUSTED)
    np.testing.assert_array_equal(np.array(found), model.predict(ROWS))


def test_batches_give_the_same_answers(tmp_path: Path) -> None:
    path = saved(tmp_path, DecisionTreeClassifier(max_depth=3, random_state=0).fit(ROWS, LABELS))
    bodies = [ROWS[at : at + 1 + at % 3].tolist() for at in range(0, 30, 2)]
    together = ask(Preset, path, *bodies, config=TRUSTED, batch=eas_sdk.Batching(8))
    assert together == ask(Preset, path, *bodies, config=TRUSTED)


def test_several_outputs(tmp_path: Path) -> None:
    labels = np.stack([LABELS, LABELS[::-1] > 0], axis=1)
    model = DecisionTreeClassifier(max_depth=2, random_state=0).fit(ROWS, labels)
    path = saved(tmp_path, model)
    config = {"method": "predict_proba", **TRUSTED}
    (found, told) = ask(Preset, path, ROWS[:2].tolist(), b"", config=config)
    first, second = model.predict_proba(ROWS[:2])
    assert found == [[first[0].tolist(), second[0].tolist()], [first[1].tolist(), second[1].tolist()]]
    assert told["classes"] == [[0, 1, 2], [0, 1]]


def test_a_pipeline_that_was_fitted_with_a_frame(tmp_path: Path) -> None:
    pandas: Any = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"size": [1.0, 2, 3, 4], "city": ["paris", "rome", "paris", "rome"]})
    parts = [("c", OneHotEncoder(), ["city"]), ("n", StandardScaler(), ["size"])]
    model = make_pipeline(ColumnTransformer(parts), LogisticRegression())
    model.fit(frame, ["no", "yes", "no", "yes"])
    path = saved(tmp_path, model)
    rows = [{"city": "rome", "size": 1}, {"size": 4, "city": "paris"}]
    named, listed, told = ask(Preset, path, rows, [[1, "rome"], [4, "paris"]], b"")
    assert named == listed == model.predict(pandas.DataFrame(rows)).tolist()
    assert [one["name"] for one in told["inputs"]] == ["size", "city"]
    assert told["classes"] == ["no", "yes"]
    assert "unknown categories ['oslo']" in refusal(Preset, path, [[1, "oslo"]])
    assert refusal(Preset, path, [{"city": "rome"}]) == (
        'row 0, column 0 ("size"): a missing value; Input X contains NaN.\n'
    )
    assert [one["type"] for one in told["inputs"]] == ["any", "any"]  # zeros are no known city
    (reply,) = run(Preset, [b'[{"city": "rome"}]'], model_entry=str(path))  # an answer, nothing raised
    assert reply.status == 400
    assert '"town" is no column of the model; its columns: size, city' in refusal(Preset, path, [{"town": 1}])


def test_numbers_are_told_from_texts(tmp_path: Path) -> None:
    path = saved(tmp_path, make_pipeline(StandardScaler(), LinearRegression()).fit(ROWS, ROWS[:, 0]))
    (told,) = ask(Preset, path, b"")
    assert told["inputs"][1] == {"name": "f1", "type": "number"}
    assert ask(Preset, path, [{"f2": 3, "f0": 1, "f1": 2}]) == ask(Preset, path, [[1, 2, 3]])
    for text in ("a", "2"):
        said = refusal(Preset, path, [[1, 2, 3], [1, text, 3]])
        assert said == f'row 1, column 1 ("f1"): "{text}" is no number\n'
    for row in ([1, None, 3], {"f0": 1, "f2": 3}):
        said = refusal(Preset, path, [row])
        assert said == 'row 0, column 1 ("f1"): a missing value; Input X contains NaN.\n'


def test_a_transformer_of_some_columns_is_asked_for_each(tmp_path: Path) -> None:
    parts = [("c", OneHotEncoder(handle_unknown="ignore"), [1]), ("n", StandardScaler(), [0])]
    model = ColumnTransformer(parts).fit(np.array([[1, "rome"], [2, "oslo"]], object))
    path = saved(tmp_path, model)
    config = {"method": "transform"}
    told, found = ask(Preset, path, b"", [[1, "rome"]], config=config)
    assert [one["type"] for one in told["inputs"]] == ["number", "any"]
    assert found == [[0, 1, -1]]
    assert 'column 0 ("f0"): "1" is no number' in refusal(Preset, path, [["1", "rome"]], config=config)


def test_what_trees_cannot_hold(tmp_path: Path) -> None:
    model = DecisionTreeRegressor(max_depth=3, random_state=0).fit(ROWS, ROWS[:, 0])
    said = refusal(Preset, saved(tmp_path, model), [[1, 1e39, 3]], config=TRUSTED)
    assert said.startswith('row 0, column 1 ("f1"): 1e+39; Input X contains infinity')
    assert said.count("\n") == 1


def test_texts(tmp_path: Path) -> None:
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(["good day", "bad day"], [1, 0])
    path = saved(tmp_path, model)
    by_position, by_name = ask(Preset, path, [["good"], ["bad"]], [{"text": "good"}, {"text": "bad"}])
    assert by_position == by_name == [1, 0]


def test_a_transformer(tmp_path: Path) -> None:
    model = OneHotEncoder().fit([["a", 1], ["b", 2]])
    (found,) = ask(Preset, saved(tmp_path, model), [["b", 1]], config={"method": "transform"})
    assert found == [[0, 1, 1, 0]]


class Trap:
    """Executes something when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["model.pkl", "model.pickle", "model.joblib", "MODEL.PKL"])
def test_a_pickle_is_not_opened_unless_it_is_allowed(tmp_path: Path, name: str) -> None:
    sprung = tmp_path / "sprung"
    (tmp_path / name).write_bytes(pickle.dumps(Trap(sprung)))
    with pytest.raises(ValueError, match=r"is a pickle.*\"allow_pickle\": true"):
        ask(Preset, tmp_path / name, b"")
    assert not sprung.exists()


def test_a_pickle_that_is_allowed(tmp_path: Path) -> None:
    model = LinearRegression().fit(ROWS, ROWS.sum(axis=1))
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(model))
    (found,) = ask(Preset, tmp_path / "model.pkl", ROWS[:3].tolist(), config={"allow_pickle": True})
    np.testing.assert_array_equal(np.array(found), model.predict(ROWS[:3]))


def test_a_method_that_the_model_does_not_have(tmp_path: Path) -> None:
    path = saved(tmp_path, LinearRegression().fit(ROWS, ROWS[:, 0]))
    with pytest.raises(ValueError, match='"method" is "transform"; LinearRegression has: predict'):
        ask(Preset, path, b"", config={"method": "transform"})
    with pytest.raises(ValueError, match='"method" is "__init__", expected one of predict, '):
        ask(Preset, path, b"", config={"method": "__init__"})
