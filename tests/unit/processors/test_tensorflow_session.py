"""Sessions: what they keep, what their errors become, and that batches change no answer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import eas_sdk

models = pytest.importorskip("support.tensorflow_models", reason="tensorflow isn't installed")
tf = models.tf

from eas_processors.tensorflow import Preset  # noqa: E402 - after the skip
from eas_processors.tensorflow.options import Options  # noqa: E402
from eas_processors.tensorflow.session import GraphSession  # noqa: E402
from eas_processors.tensors.errors import BadRequest  # noqa: E402

ONE = np.ones((2, 3), np.float32)


@pytest.fixture(scope="module")
def session() -> GraphSession:
    """``x`` -> ``y0`` ... ``y99``; ``checked`` is x if that is positive; ``scalar`` is its sum."""
    made = GraphSession(Options(), "cpu")
    with made.graph.as_default():
        x = tf.compat.v1.placeholder(tf.float32, [None, 3], "x")
        for n in range(100):
            tf.add(x, float(n), name=f"y{n}")
        tf.debugging.check_numerics(x, "no number", name="checked")
        tf.reduce_sum(x, name="scalar")
        tf.compat.v1.get_variable("unset", [2], use_resource=False)
        tf.compat.v1.placeholder(tf.string, [], "text")
    return made


def test_callables_are_kept_but_not_without_limit(session: GraphSession) -> None:
    for n in range(100):
        (found,) = session.run({"x:0": ONE}, [f"y{n}:0"])
        assert found.tolist() == (ONE + n).tolist()
    assert len(session._callables) == 64
    kept = session._callables[("x:0", None, "y99:0")]
    session.run({"x:0": ONE}, ["y99:0"])
    assert session._callables[("x:0", None, "y99:0")] is kept


def test_the_order_of_feeds_and_fetches_makes_no_second_callable(session: GraphSession) -> None:
    session._callables.clear()
    first = session.run({"x:0": ONE}, ["y1:0", "y2:0", "y1:0"])
    second = session.run({"x:0": ONE}, ["y2:0", "y1:0"])
    assert [each[0, 0] for each in (*first, *second)] == [2, 3, 2, 3, 2]
    assert len(session._callables) == 1


def test_outputs_are_arrays_even_when_they_are_scalars(session: GraphSession) -> None:
    (total,) = session.run({"x:0": ONE}, ["scalar:0"])
    assert total.shape == ()
    assert (total.dtype.name, float(total)) == ("float32", 6.0)


def test_what_is_fed_may_be_fetched(session: GraphSession) -> None:
    given, more = session.run({"x:0": ONE}, ["x:0", "y0:0"])
    assert given is ONE
    assert more.tolist() == ONE.tolist()


@pytest.mark.parametrize(
    "layout", [np.asfortranarray, lambda a: a.astype(">f4"), lambda a: np.repeat(a, 2, 1)[:, ::2]]
)
def test_arrays_of_any_layout(session: GraphSession, layout: Any) -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    (found,) = session.run({"x:0": layout(array)}, ["y1:0"])
    assert found.tolist() == (array + 1).tolist()


def test_values_that_dont_fit_are_the_clients_fault(session: GraphSession) -> None:
    with pytest.raises(BadRequest, match=r"^no number : Tensor had NaN values$"):
        session.run({"x:0": ONE * np.nan}, ["checked:0"])
    with pytest.raises(BadRequest, match=r"^Type mismatch: actual double vs\. expect float$"):
        session.run({"x:0": ONE.astype(np.float64)}, ["y0:0"])


def test_other_errors_say_what_they_are(session: GraphSession) -> None:
    with pytest.raises(
        RuntimeError, match=r"^FailedPreconditionError: Attempting to use uninitialized value unset$"
    ):
        session.run({}, ["unset:0"])


def test_tensors_are_found_by_their_own_name_or_their_operations(session: GraphSession) -> None:
    assert session.tensor("y1") is session.tensor("y1:0") is not None
    assert [session.tensor(name) for name in ("nobody", "y1:1", "y1:x", "", ":")] == [None] * 5


# -- batches


def preset(path: Path, batching: eas_sdk.Batching | None) -> Preset:
    made = Preset()
    made.batching = batching
    made.initialize(str(path), "")
    return made


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Preset, Preset]:
    """The same model without batching, and with batches of up to 8 rows."""
    folder = models.modern(tmp_path_factory.mktemp("models") / "modern")
    return preset(folder, None), preset(folder, eas_sdk.Batching(8, padding=True, sizes=(1, 4, 8)))


def body(call: tuple[str, Any, list[str]]) -> eas_sdk.Request:
    signature, inputs, wanted = call
    text = json.dumps({"signature_name": signature, "inputs": inputs, "output_filter": wanted})
    return eas_sdk.Request.build(text, headers={"Content-Type": "application/json"})


def table(value: st.SearchStrategy[Any], *, width: st.SearchStrategy[int]) -> st.SearchStrategy[Any]:
    """Rows of one width; none at all is no table that JSON can hold."""
    return width.flatmap(lambda n: st.lists(st.lists(value, min_size=n, max_size=n), min_size=1, max_size=5))


# Whole ones: their sums are the same in any order and beside padding, and none is -0.0, which a sum loses.
FLOATS = st.integers(-1000, 1000).map(float)
CALLS: st.SearchStrategy[tuple[str, Any, list[str]]] = st.one_of(
    st.tuples(
        st.just(""),
        table(FLOATS, width=st.integers(1, 3)).map(lambda rows: {"x": rows}),
        st.sampled_from([[], ["sums"], ["doubled", "sums"]]),
    ),
    st.tuples(
        st.just("look_up"),
        st.lists(st.sampled_from(["one", "two", "three", ""]), min_size=1, max_size=3).map(
            lambda words: {"word": words}
        ),
        st.just([]),
    ),
    st.tuples(
        st.just("bool"), table(st.booleans(), width=st.just(2)).map(lambda rows: {"value": rows}), st.just([])
    ),
    st.tuples(st.just("any_shape"), st.sampled_from([{"x": 1}, {"x": [1, 2]}]), st.just([])),
    st.tuples(st.just(""), st.sampled_from([{"y": [[1]]}, {"x": [1]}, {"x": [["a"]]}]), st.just([])),
)


def shown(answers: Sequence[object]) -> list[tuple[int, object]]:
    """Status and body of each."""
    assert all(isinstance(answer, eas_sdk.Response) for answer in answers), answers
    return [(a.status, bytes(a.body)) for a in answers if isinstance(a, eas_sdk.Response)]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=st.lists(CALLS, min_size=1, max_size=12))
def test_every_answer_of_a_batch_is_the_one_it_would_get_alone(
    pair: tuple[Preset, Preset], calls: list[tuple[str, Any, list[str]]]
) -> None:
    alone, together = pair
    one_by_one = [alone.process_batch([body(call)])[0] for call in calls]
    assert shown(together.process_batch([body(call) for call in calls])) == shown(one_by_one)


def test_requests_are_joined(pair: tuple[Preset, Preset]) -> None:
    _, together = pair
    assert together.batching is not None
    calls: list[tuple[str, Any, list[str]]] = [
        ("", {"x": [[float(n), 1.0]] * (1 + n % 2)}, []) for n in range(5)
    ]
    together.process_batch([body(call) for call in calls])  # whether outputs follow the rows is seen first
    together.batching.collect()
    together.process_batch([body(call) for call in calls])
    assert together.batching.collect() == (1, 8, 1)
