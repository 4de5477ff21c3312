"""Every preset of rows answers a request as it would alone, whatever else is in its batch."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import eas_sdk
from support.jpmml import Jpmml
from support.pmml_models import MIXED

np: Any = pytest.importorskip("numpy")

NUMBERS = np.random.default_rng(0).random((60, 2))
CITIES = np.array(["paris", "rome", "oslo"], object)
NAMES = ("size", "city")
ROWS = [[float(size), CITIES[place % 3]] for place, (size, _) in enumerate(NUMBERS)]
LABELS = [float(size) + place % 3 for place, (size, _) in enumerate(NUMBERS)]

CELLS = st.one_of(
    st.none(),
    st.floats(-2, 2, width=32),
    st.integers(-2, 2),
    st.booleans(),
    st.sampled_from([*CITIES, "1", "", float("nan"), 2**70, 10**400, [1], {}]),
)
LISTED = st.lists(CELLS, min_size=2, max_size=2) | st.lists(CELLS, max_size=3)
OF_PMML = ("age", "visits", "city", "vip")
NAMED = st.dictionaries(st.sampled_from(NAMES), CELLS) | st.dictionaries(
    st.sampled_from([*NAMES, "x"]), CELLS
)
USUAL = st.tuples(st.none() | st.floats(0, 1), st.none() | st.sampled_from(CITIES.tolist())).map(list)
BODIES = st.lists(USUAL, min_size=1, max_size=3) | st.lists(LISTED, max_size=3) | st.lists(NAMED, max_size=3)


def xgboost(directory: Path) -> tuple[Any, object]:
    framework: Any = pytest.importorskip("xgboost")
    from eas_processors.xgboost import Preset

    data = framework.DMatrix(NUMBERS, LABELS, feature_names=list(NAMES))
    framework.train({"max_depth": 3, "nthread": 1}, data, 4).save_model(directory / "model.json")
    return Preset(), None


def lightgbm(directory: Path) -> tuple[Any, object]:
    framework: Any = pytest.importorskip("lightgbm")
    pandas: Any = pytest.importorskip("pandas")
    from eas_processors.lightgbm import Preset

    codes = np.arange(len(NUMBERS)) % 3
    frame = pandas.DataFrame({"size": NUMBERS[:, 0], "city": pandas.Categorical.from_codes(codes, CITIES)})
    how = {"verbose": -1, "num_threads": 1, "min_data_in_leaf": 3, "num_leaves": 5, "min_data_per_group": 1}
    framework.train(how, framework.Dataset(frame, LABELS), 4).save_model(directory / "model.txt")
    return Preset(), None


def catboost(directory: Path) -> tuple[Any, object]:
    framework: Any = pytest.importorskip("catboost")
    from eas_processors.catboost import Preset

    pool = framework.Pool(np.array(ROWS, object), LABELS, cat_features=[1], feature_names=list(NAMES))
    how = {"iterations": 3, "depth": 2, "thread_count": 1, "verbose": 0, "allow_writing_files": False}
    framework.CatBoostRegressor(**how).fit(pool).save_model(str(directory / "model.cbm"))
    return Preset(), None


def fitted(directory: Path, model: Any, config: dict[str, object]) -> tuple[Any, object]:
    skops: Any = pytest.importorskip("skops.io")
    from eas_processors.sklearn import Preset

    skops.dump(model, directory / "model.skops")
    trusted = skops.get_untrusted_types(file=directory / "model.skops")
    return Preset(), {"trusted": trusted, **config}


def sklearn_numbers(directory: Path) -> tuple[Any, object]:
    """Trees that take missing values; the columns are numbers."""
    ensemble: Any = pytest.importorskip("sklearn.ensemble")
    model = ensemble.HistGradientBoostingRegressor(max_iter=3, min_samples_leaf=2).fit(NUMBERS, LABELS)
    return fitted(directory, model, {})


def sklearn_texts(directory: Path) -> tuple[Any, object]:
    """Columns may hold anything, and come as one array."""
    preprocessing: Any = pytest.importorskip("sklearn.preprocessing")
    model = preprocessing.OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return fitted(directory, model.fit(np.array(ROWS, object)[:6]), {"method": "transform"})


def sklearn_missing(directory: Path) -> tuple[Any, object]:
    """The same, and what is missing is a category, too."""
    preprocessing: Any = pytest.importorskip("sklearn.preprocessing")
    model = preprocessing.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    rows = np.array([["paris", "a"], ["rome", None], [None, "b"]], object)
    return fitted(directory, model.fit(rows), {"method": "transform"})


def sklearn_frame(directory: Path) -> tuple[Any, object]:
    """A pipeline that was fitted with a DataFrame, one column of numbers and one of texts."""
    compose: Any = pytest.importorskip("sklearn.compose")
    pandas: Any = pytest.importorskip("pandas")
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import OneHotEncoder

    parts = [
        ("n", SimpleImputer(), ["size"]),
        ("c", OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["city"]),
    ]
    frame = pandas.DataFrame(ROWS, columns=list(NAMES))
    return fitted(directory, compose.ColumnTransformer(parts).fit(frame), {"method": "transform"})


MAKERS = (
    xgboost,
    lightgbm,
    catboost,
    sklearn_numbers,
    sklearn_texts,
    sklearn_missing,
    sklearn_frame,
)


@pytest.fixture(scope="module", params=MAKERS, ids=lambda maker: maker.__name__)
def preset(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A preset with a model of two columns."""
    maker: Callable[[Path], tuple[Any, object]] = request.param
    directory = tmp_path_factory.mktemp(maker.__name__)
    made, config = maker(directory)
    made.initialize(f"{directory}/", "" if config is None else json.dumps(config))
    return made


def told(preset: Any, bodies: Sequence[object]) -> list[object]:
    """What becomes of requests that come together: status and body, or the exception."""
    requests = [eas_sdk.Request.build(json.dumps(body)) for body in bodies]
    return [
        f"{type(one).__name__}: {one}" if isinstance(one, BaseException) else (one.status, bytes(one.body))
        for one in preset.process_batch(requests)
    ]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bodies=st.lists(BODIES, min_size=1, max_size=8), most=st.integers(1, 9))
def test_every_answer_is_the_one_alone(preset: Any, bodies: list[object], most: int) -> None:
    preset.batching = None
    alone = [one for body in bodies for one in told(preset, [body])]
    preset.batching = eas_sdk.Batching(most)
    assert told(preset, bodies) == alone


@pytest.mark.parametrize("company", [[["rome", "b"]], [[1, "b"]], [[None, "b"]], [[True, 2]]])
def test_what_is_missing_is_told_alike_alone_and_in_company(preset: Any, company: object) -> None:
    bodies = [[[None, None]], company, [[1, None]], [[None, None]]]
    preset.batching = None
    alone = [one for body in bodies for one in told(preset, [body])]
    preset.batching = eas_sdk.Batching(16)
    assert told(preset, bodies) == alone


@pytest.fixture(scope="module")
def jpmml() -> Iterator[Jpmml]:
    pytest.importorskip("jpype")
    pytest.importorskip("jpmml_evaluator")
    started = Jpmml()
    yield started
    started.end()


PMML_ROWS = st.dictionaries(st.sampled_from(OF_PMML), CELLS) | st.lists(CELLS, min_size=4, max_size=4)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(bodies=st.lists(st.lists(PMML_ROWS, max_size=3), min_size=1, max_size=8), most=st.integers(1, 9))
def test_every_answer_of_pmml_is_the_one_alone(
    jpmml: Jpmml, tmp_path_factory: pytest.TempPathFactory, bodies: list[object], most: int
) -> None:
    """The model echoes its inputs."""
    model = tmp_path_factory.getbasetemp() / "mixed.pmml"
    model.write_text(MIXED)
    alone = jpmml.ask(model, bodies)
    assert jpmml.ask(model, bodies, batch=most) == alone
    assert {status for status, _ in alone} <= {200, 400}
