"""Whatever is joined, padded and cut: every answer is the one that the request gets alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import eas_sdk
import eas_sdk._batches
from eas_processors.tensors.model import Arrays, Signature
from eas_processors.tensors.runner import Runner
from support.tensor_models import Function, NumpyModel, NumpyPreset, predict, preset, signature

VARIABLE: tuple[int | None, ...] = (None, None)


def twice(inputs: dict[str, np.ndarray]) -> Arrays:
    return {"y": inputs["x"] * 2}


def rowwise(inputs: dict[str, np.ndarray]) -> Arrays:
    """Outputs that keep the variable dimension, lose it, have a fixed one; 0 adds nothing to any."""
    x, k = inputs["x"], inputs["k"]
    if (x < 0).any():
        raise ValueError("negative")
    return {
        "same": x * 2 + 0 * k[:, None],
        "sum": x.sum(axis=1) + k,
        "fixed": np.stack([k, -k, k + 1], axis=1),
    }


def lossy(inputs: dict[str, np.ndarray]) -> Arrays:
    """One row, however many go in."""
    return {"total": inputs["x"].sum(axis=0, keepdims=True) + inputs["k"].sum()}


def constant(inputs: dict[str, np.ndarray]) -> Arrays:
    """Two rows, however many go in: right by chance for two."""
    return {"labels": np.array([[3], [4]]), "k": inputs["k"] + 1}


def longer(inputs: dict[str, np.ndarray]) -> Arrays:
    """A variable dimension that no input has."""
    x = inputs["x"]
    return {"wide": np.concatenate([x, x[:, :1]], axis=1) + inputs["k"][:, None]}


MODELS: dict[str, tuple[Signature, Function]] = {
    "rowwise": (
        signature({"x": VARIABLE, "k": (None,)}, {"same": VARIABLE, "sum": (None,), "fixed": (None, 3)}),
        rowwise,
    ),
    "outputs unknown": (signature({"x": VARIABLE, "k": (None,)}, None), rowwise),
    "not batched": (
        signature(
            {"x": VARIABLE, "k": (None,)},
            {"same": VARIABLE, "sum": (None,), "fixed": (None, 3)},
            batched=False,
        ),
        rowwise,
    ),
    "lossy": (signature({"x": VARIABLE, "k": (None,)}, {"total": VARIABLE}), lossy),
    "constant": (signature({"x": VARIABLE, "k": (None,)}, {"labels": VARIABLE, "k": (None,)}), constant),
    "longer": (signature({"x": VARIABLE, "k": (None,)}, {"wide": VARIABLE}), longer),
}


@st.composite
def requests(draw: st.DrawFn) -> dict[str, np.ndarray]:
    rows, length = draw(st.integers(0, 5)), draw(st.integers(1, 4))
    dtype = draw(st.sampled_from(["float32", "int64"]))
    low = -1 if draw(st.integers(0, 9)) == 0 else 0  # negative numbers are the poison of ``rowwise``
    values = draw(st.lists(st.integers(low, 9), min_size=rows * length, max_size=rows * length))
    keys = draw(st.lists(st.integers(0, 9), min_size=rows, max_size=rows))
    return {"x": np.array(values, dtype).reshape(rows, length), "k": np.array(keys, dtype)}


batchings = st.builds(
    lambda most, padding, sizes: eas_sdk.Batching(most, padding=padding, sizes=sorted(sizes)),
    st.integers(1, 8),
    st.booleans(),
    st.sets(st.integers(1, 8), max_size=3),
)


def shown(result: object) -> object:
    """Something that compares: an answer's bytes, an exception's type and text."""
    return (type(result), str(result)) if isinstance(result, Exception) else result


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=50)
@given(st.lists(st.lists(requests(), min_size=1, max_size=6), min_size=1, max_size=4), batchings)
def test_every_answer_is_the_one_the_request_gets_alone(
    name: str, batches: list[list[dict[str, np.ndarray]]], batching: eas_sdk.Batching
) -> None:
    spec, function = MODELS[name]
    alone, _ = preset(spec, function)
    together, model = preset(spec, function, batching)
    for batch in batches:
        expected = [shown(alone.process_batch([predict(inputs)])[0]) for inputs in batch]
        assert [shown(answer) for answer in together.process_batch(list(map(predict, batch)))] == expected
    largest = max(len(inputs["k"]) for batch in batches for inputs in batch)
    assert max(model.calls) <= max(batching.max_batch_size, largest, *batching.sizes)


def made(
    name: str, most: int = 4, *, padding: bool = False, sizes: tuple[int, ...] = (), proven: bool = True
) -> tuple[NumpyPreset, NumpyModel, eas_sdk.Batching]:
    """A batching preset of ``MODELS``; proven: it has seen what its outputs do."""
    batching = eas_sdk.Batching(most, padding=padding, sizes=sizes)
    processor, model = preset(*MODELS[name], batching)
    if proven:
        for rows in (1, 2):
            processor.process_batch([xk(rows)])
        model.calls.clear()
        batching.collect()
    return processor, model, batching


def xk(rows: int, length: int = 2, dtype: str = "int64", value: int = 1) -> eas_sdk.Request:
    return predict({"x": np.full((rows, length), value, dtype), "k": np.arange(rows, dtype=dtype)})


def test_calls_hold_at_most_max_batch_size_rows_and_no_request_is_split() -> None:
    processor, model, batching = made("rowwise")
    processor.process_batch([xk(rows) for rows in (1, 2, 2, 9, 3, 1, 0)])
    assert model.calls == [3, 2, 9, 4, 0]
    assert batching.collect() == (5, 18, 0)


def test_only_requests_of_the_same_type_and_shape_go_together() -> None:
    processor, model, _ = made("rowwise")
    processor.process_batch([xk(1), xk(1, length=3), xk(1, dtype="float32"), xk(1)])
    assert model.calls == [2, 1, 1]


def test_a_filter_keeps_requests_apart() -> None:
    processor, model, _ = made("rowwise", proven=False)
    wanted = predict({"x": np.ones((1, 2)), "k": np.ones(1)}, ("sum",))
    for _ in range(2):
        processor.process_batch([wanted, xk(1, dtype="float64"), wanted, xk(1, dtype="float64")])
    assert model.calls == [1, 1, 1, 1, 2, 2]


def test_a_signature_without_batches_runs_each_request() -> None:
    processor, model, batching = made("not batched")
    processor.process_batch([xk(1), xk(3)])
    assert model.calls == [1, 3]
    assert batching.collect() == (2, 2, 0)


def test_the_first_request_proves_that_outputs_follow_the_rows() -> None:
    processor, model, _ = made("rowwise", 8, proven=False)
    processor.process_batch([xk(1) for _ in range(6)])
    assert model.calls == [1, 5]
    processor.process_batch([xk(1) for _ in range(6)])
    assert model.calls == [1, 5, 6]


def test_a_call_of_as_many_rows_as_the_first_one_proves_nothing() -> None:
    processor, model, _ = made("constant", 8, proven=False)
    processor.process_batch([xk(2)])
    processor.process_batch([xk(1), xk(1)])
    assert model.calls == [2, 1, 1]  # both of 2 rows together would have been believed


def test_outputs_that_do_not_follow_the_rows_are_remembered() -> None:
    processor, model, _ = made("lossy", 8, proven=False)
    for _ in range(2):
        processor.process_batch([xk(1) for _ in range(3)])
    assert model.calls == [1, 2, 1, 1, 1, 1, 1]  # alone, the rest in vain, the rest; then nothing is tried


def test_what_one_shape_does_says_nothing_about_another() -> None:
    def reshaped(inputs: dict[str, np.ndarray]) -> Arrays:
        return {"y": inputs["x"].reshape(-1, 2)}

    processor, model = preset(signature({"x": VARIABLE}, {"y": VARIABLE}), reshaped, eas_sdk.Batching(8))
    for length in (4, 2, 4, 2):
        processor.process_batch([predict({"x": np.ones((1, length))}) for _ in range(3)])
    assert model.calls == [1, 1, 1, 1, 2, 1, 1, 1, 3]


def test_a_request_without_rows_goes_alone_and_says_nothing() -> None:
    def cautious(inputs: dict[str, np.ndarray]) -> Arrays:
        if not len(inputs["x"]):
            return {"y": np.zeros((1, 1))}
        return twice(inputs)

    processor, model = preset(signature({"x": VARIABLE}, {"y": VARIABLE}), cautious, eas_sdk.Batching(8))
    for _ in range(2):
        processor.process_batch([predict({"x": np.ones((rows, 1))}) for rows in (0, 1, 1, 1)])
    assert model.calls == [0, 1, 2, 0, 3]


def test_calls_are_filled_up_to_a_size_with_copies_of_the_last_row() -> None:
    seen: list[np.ndarray] = []

    def remember(inputs: dict[str, np.ndarray]) -> Arrays:
        seen.append(inputs["x"])
        return twice(inputs)

    batching = eas_sdk.Batching(4, sizes=(1, 4))
    processor, _ = preset(signature({"x": VARIABLE}, {"y": VARIABLE}), remember, batching)
    for rows in ([1], [1, 2], [0], [2], [9]):
        batching.collect()
        processor.process_batch([predict({"x": np.full((n, 1), n, "int32")}) for n in rows])
    assert [x[:, 0].tolist() for x in seen] == [[1], [1, 2, 2, 2], [], [2, 2, 2, 2], [9] * 9]
    batching.collect()
    processor.process_batch([predict({"x": np.zeros((3, 1), "int32")})])
    assert batching.collect() == (1, 4, 1)


def test_variable_dimensions_are_padded_and_cut_back() -> None:
    processor, model, batching = made("rowwise", padding=True)
    answers = processor.process_batch([xk(1, 1), xk(1, 5)])
    assert model.calls == [2]
    assert batching.collect() == (1, 2, 1)  # 4 of 12 elements: two thirds of a row
    alone, _ = preset(*MODELS["rowwise"])
    assert answers == [alone.process(xk(1, 1)), alone.process(xk(1, 5))]


def test_strings_are_padded_with_empty_ones() -> None:
    seen: list[list[list[bytes]]] = []

    def remember(inputs: dict[str, np.ndarray]) -> Arrays:
        seen.append(inputs["x"].tolist())
        return {"y": inputs["x"]}

    batching = eas_sdk.Batching(4, padding=True)
    processor, _ = preset(signature({"x": VARIABLE}, {"y": VARIABLE}), remember, batching)
    short, long = (predict({"x": np.array([words], object)}) for words in ([b"a"], [b"b", b"c"]))
    answers = processor.process_batch([short, short, short, long])
    assert seen == [[[b"a"]], [[b"a", b""], [b"a", b""], [b"b", b"c"]]]
    assert answers[0] == answers[1] == answers[2]


def test_two_inputs_that_explain_an_output_differently_are_not_joined() -> None:
    processor, model = preset(
        signature({"x": VARIABLE, "z": VARIABLE}, {"y": VARIABLE}), twice, eas_sdk.Batching(4, padding=True)
    )

    def two(x: int, z: int) -> eas_sdk.Request:
        return predict({"x": np.ones((1, x)), "z": np.ones((1, z))})

    processor.process_batch([two(1, 5), two(1, 5), two(1, 5)])
    model.calls.clear()
    processor.process_batch([two(1, 3), two(3, 2)])
    assert model.calls == [2, 1, 1]
    model.calls.clear()
    processor.process_batch([two(1, 3), two(2, 1)])  # 2 or 3: no doubt whose the output's length is
    assert model.calls == [2]


def test_the_bad_one_of_a_batch_fails_alone() -> None:
    processor, model, _ = made("rowwise", 8)
    answers = processor.process_batch([xk(1, value=-1 if index == 5 else 1) for index in range(8)])
    assert [isinstance(answer, ValueError) for answer in answers] == [index == 5 for index in range(8)]
    assert model.calls == [8, 4, 4, 2, 1, 1, 2]


def test_a_model_that_raises_because_requests_were_joined_is_spared() -> None:
    def one_row(inputs: dict[str, np.ndarray]) -> Arrays:
        return {"y": inputs["x"].reshape(1, -1)[:, :2] + inputs["x"].reshape(1, 2)}

    processor, model = preset(signature({"x": VARIABLE}, {"y": VARIABLE}), one_row, eas_sdk.Batching(8))
    for _ in range(2):
        answers = processor.process_batch([predict({"x": np.ones((1, 2))}) for _ in range(3)])
        assert {type(answer) for answer in answers} == {bytes}
    assert model.calls == [1, 2, 1, 1, 1, 1, 1]


def test_a_request_that_cannot_be_read_does_not_touch_the_others() -> None:
    processor, model, _ = made("rowwise", 8)
    answers = processor.process_batch([xk(1), eas_sdk.Request.build(b"{}"), xk(1)])
    assert [type(answer).__name__ for answer in answers] == ["bytes", "Response", "bytes"]
    assert model.calls == [2]


def test_withdrawn_requests_are_not_run() -> None:
    processor, model, _ = made("rowwise")
    gone = eas_sdk.Request.build(xk(1).body, cancelled=True)
    answers = processor.process_batch([xk(1), gone])
    assert model.calls == [1]
    assert isinstance(answers[1], eas_sdk.Response)
    assert answers[1].status == 499


def test_the_array_of_a_single_request_is_a_view_of_its_body() -> None:
    seen: list[np.ndarray] = []

    def remember(inputs: dict[str, np.ndarray]) -> Arrays:
        seen.append(inputs["x"])
        return twice(inputs)

    processor, _ = preset(signature({"x": VARIABLE}, {"y": VARIABLE}), remember, eas_sdk.Batching(4))
    request = predict({"x": np.ones((2, 2), "float32")})
    processor.process(request)
    assert np.shares_memory(seen[0], np.frombuffer(request.body, np.uint8))


def test_habits_do_not_pile_up() -> None:
    processor, _ = preset(signature({"x": VARIABLE}, None), twice, eas_sdk.Batching(4))
    for index in range(1500):
        processor.process(predict({"x": np.ones((1, 1))}, (str(index),)))
    assert len(processor._runner._habits) <= 1001


@pytest.mark.parametrize("name", ["rowwise", "lossy", "constant", "longer"])
def test_threads_that_share_a_preset_get_their_own_answers(name: str) -> None:
    spec, function = MODELS[name]
    alone, _ = preset(spec, function)
    together, _ = preset(spec, function, eas_sdk.Batching(6, padding=True, sizes=(2, 6)))
    kinds = [xk(rows, length, value=rows + length) for rows in range(4) for length in (1, 3)]
    expected = {id(request): shown(alone.process_batch([request])[0]) for request in kinds}

    def work(seed: int) -> bool:
        chosen = np.random.default_rng(seed)
        batches = [[kinds[i] for i in chosen.integers(0, len(kinds), 5)] for _ in range(40)]
        return all(
            [shown(answer) for answer in together.process_batch(batch)] == [expected[id(r)] for r in batch]
            for batch in batches
        )

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(work, range(4)))


def test_other_settings_hold_for_the_next_call() -> None:
    processor, model, batching = made("rowwise", 4)
    call = eas_sdk._batches.batch_call(processor)
    call([xk(1) for _ in range(4)])
    batching.change(2, sizes=[2])
    call([xk(1) for _ in range(3)])
    assert model.calls == [4, 2, 2]


def test_a_model_with_a_bound_of_its_own_is_never_joined_beyond_it() -> None:
    processor, model, batching = made("rowwise", 2)
    setattr(model, "most_rows", 2)  # noqa: B010 - only some models have it
    processor._runner = Runner(model, batching)
    for rows in (1, 2):
        processor.process_batch([xk(rows)])
    model.calls.clear()
    batching.change(8, sizes=[1, 8])
    batching.begin()
    processor.process_batch([xk(1) for _ in range(5)])
    assert model.calls == [2, 2, 1]
