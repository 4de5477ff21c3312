"""PMML models through the preset, compared with the scikit-learn models that they are written from.

JPMML lives in a JVM: a process of its own answers (``support.jpmml``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.jpmml import Jpmml
from support.pmml_models import MIXED, linear_pmml, tree_pmml

np: Any = pytest.importorskip("numpy")
pytest.importorskip("sklearn")
pytest.importorskip("jpype")
pytest.importorskip("jpmml_evaluator")

from sklearn.linear_model import LinearRegression  # noqa: E402
from sklearn.tree import DecisionTreeClassifier  # noqa: E402

from eas_processors.pmml import Preset  # noqa: E402 - needs jpype

ROWS = np.random.default_rng(0).random((30, 2), dtype=np.float32).astype(float)
NAMES = ["width", "height"]
WHOLE = [{"age": 20, "visits": 1, "city": "rome", "vip": True}]


@pytest.fixture(scope="module")
def jpmml() -> Iterator[Jpmml]:
    started = Jpmml()
    yield started
    started.end()


def good(replies: Any) -> list[Any]:
    assert isinstance(replies, list), replies
    assert {status for status, _ in replies} == {200}, replies
    return [json.loads(body) for _, body in replies]


def named(rows: Any) -> list[dict[str, float]]:
    return [dict(zip(NAMES, map(float, row), strict=True)) for row in rows]


def test_a_tree_and_a_regression_give_what_scikit_learn_gives(jpmml: Jpmml, tmp_path: Path) -> None:
    labels = np.array(["low", "mid", "high"])[(ROWS.sum(axis=1) * 1.5).astype(int)]
    tree = DecisionTreeClassifier(max_depth=3, random_state=0).fit(ROWS, labels)
    line = LinearRegression().fit(ROWS, ROWS @ [2, -3])
    (tmp_path / "tree.pmml").write_text(tree_pmml(tree, NAMES, "size"))
    (tmp_path / "line.pmml").write_text(linear_pmml(line, NAMES, "y"))
    parts = [ROWS[at : at + 1 + at % 4] for at in range(0, 26, 2)]
    bodies = [named(ROWS), *map(named, parts)]
    alone = jpmml.ask(tmp_path / "tree.pmml", bodies)
    together = jpmml.ask(tmp_path / "tree.pmml", bodies, batch=8)
    by_position = jpmml.ask(
        tmp_path / "tree.pmml", [ROWS.tolist(), *(part.tolist() for part in parts)], batch=8
    )
    lines = jpmml.ask(tmp_path / "line.pmml", [named(ROWS)])
    assert together == alone == by_position
    found = good(alone)[0]
    assert list(found[0]) == ["size", *(f"p_{name}" for name in tree.classes_)]
    assert [row["size"] for row in found] == tree.predict(ROWS).tolist()
    shares = [[row[f"p_{name}"] for name in tree.classes_] for row in found]
    np.testing.assert_array_equal(shares, tree.predict_proba(ROWS))
    np.testing.assert_allclose([row["y"] for row in good(lines)[0]], line.predict(ROWS), rtol=1e-12)


def test_columns_of_every_type(jpmml: Jpmml, tmp_path: Path) -> None:
    """The model echoes its inputs, so that each answer says what reached it."""
    model = tmp_path / "mixed.pmml"
    model.write_text(MIXED)
    missing = {"age": None, "visits": None, "city": None, "vip": None}
    with_defaults = jpmml.ask(
        model, [WHOLE, [{}], [missing], [{"extra": [1], **WHOLE[0]}], [], '[{"age": NaN}]']
    )
    without = jpmml.ask(model, [[{}]], config={"defaults": False})
    signature = jpmml.ask(model, [""])
    bad = jpmml.ask(model, [WHOLE, [*WHOLE, {"age": "x"}], [{"age": [1]}], "nonsense", WHOLE], batch=5)
    said = good(with_defaults)
    everything = {"r_age": 20.0, "r_visits": 1, "r_city": "rome", "r_vip": True}
    nothing = dict.fromkeys(everything)
    assert said[0] == [{"y": 21.0, **everything}]
    assert said[1] == [{"y": 0.0, "r_age": 0.0, "r_visits": 0, "r_city": "", "r_vip": False}]
    assert said[2] == [{"y": None, **nothing}]
    assert said[3] == said[0]
    assert said[4] == []
    assert said[5][0]["r_age"] is None
    assert said[5][0]["r_visits"] == 0
    assert good(without) == [[{"y": None, **nothing}]]
    (told,) = good(signature)
    assert told["inputs"] == [
        {"name": "age", "type": "double"},
        {"name": "visits", "type": "integer"},
        {"name": "city", "type": "string"},
        {"name": "vip", "type": "boolean"},
    ]
    assert [one["name"] for one in told["outputs"]] == ["y", "r_age", "r_visits", "r_city", "r_vip"]
    assert [status for status, _ in bad] == [200, 400, 400, 400, 200]
    assert bad[1][1] == 'row 1: Field "age" cannot accept invalid value "x"\n'
    assert bad[2][1] == 'row 0, column 0 ("age"): [1], expected a single value\n'
    assert json.loads(bad[4][1]) == said[0]


def test_what_is_no_model(jpmml: Jpmml, tmp_path: Path) -> None:
    (tmp_path / "broken.pmml").write_text("<PMML")
    (tmp_path / "other.pmml").write_text("<html/>")
    assert "broken.pmml is no model that JPMML evaluates: " in jpmml.ask(tmp_path / "broken.pmml", [])
    assert "other.pmml is no model that JPMML evaluates: " in jpmml.ask(tmp_path / "other.pmml", [])
    unknown = jpmml.ask(tmp_path / "other.pmml", [], config={"x": 1})
    assert unknown == 'model_config: "x" is unknown; known: defaults'


def test_the_class_path_is_found_without_importing_the_package() -> None:
    jars = Preset.jars()
    assert any("pmml-evaluator" in jar for jar in jars)
    assert all(Path(jar).is_file() for jar in jars)
