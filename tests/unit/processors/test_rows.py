"""Rows of a table: reading them, joining requests, and who is to blame when a call fails."""

from __future__ import annotations

import io
import json
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

import eas_sdk
from eas_sdk.testing import run

np: Any = pytest.importorskip("numpy")

from eas_processors.model_config import Key, read_config  # noqa: E402 - needs numpy
from eas_processors.rows import BadRows, Column, Columns, RowPreset, answer  # noqa: E402

THREE = Columns.numbers(("a", "b", "c"), 3)


class Summing:
    """The sum of each row; 13 in a row is more than it can bear."""

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self.calls: list[int] = []

    def signature(self) -> dict[str, Any]:
        return {"model": "sum"}

    def run(self, rows: Any) -> Any:
        self.calls.append(len(rows))
        if (rows == 13).any():
            raise RuntimeError("thirteen")
        if (rows == 14).any():
            place = int(np.argwhere(rows == 14)[0][0])
            raise BadRows(f"row {place}: fourteen")
        return np.nansum(rows, axis=1)


class Sums(RowPreset):
    """The preset of it; ``made`` is the model of the last one."""

    columns = Columns.numbers((), 2, np.float64)
    made: Summing

    def load(self, model_entry: str, model_config: str) -> Summing:
        type(self).made = Summing(self.columns)
        return self.made


def read(columns: Columns, value: object) -> Any:
    return columns.read(json.dumps(value).encode())


def complaint(columns: Columns, value: object) -> str:
    with pytest.raises(BadRows) as caught:
        read(columns, value)
    return str(caught.value)


def test_lists_and_objects_are_the_same_rows() -> None:
    by_position = read(THREE, [[1, 2.5, True], [None, 0, -1]])
    by_name = read(THREE, [{"b": 2.5, "a": 1, "c": True}, {"c": -1, "b": 0}])
    assert by_position.dtype == np.float32
    np.testing.assert_array_equal(by_position, [[1, 2.5, 1], [np.nan, 0, -1]])
    np.testing.assert_array_equal(by_name, by_position)


def test_no_rows_are_none() -> None:
    assert read(THREE, []).shape == (0, 3)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (5, "5, expected a list of rows"),
        ({"a": 1}, "expected a list of rows: [[...], ...] or [{...}, ...]"),
        ([1, 2, 3], "row 0: 1, expected a list of values or an object; a single row is written [[...]]"),
        ([[1, 2, 3], 4], "row 1: 4, expected a list of values or an object"),
        ([[1, 2, 3], [1, 2]], "row 1: 2 values, the model takes 3"),
        ([[1, 2, 3], [1, 2, 3, 4]], "row 1: 4 values, the model takes 3"),
        ([[1, 2, 3], [1, "2", 3]], 'row 1, column 1 ("b"): "2" is no number'),
        ([[1, 2, [3]]], 'row 0, column 2 ("c"): [3] is no number'),
        ([[[1], [2], [3]]], 'row 0, column 0 ("a"): [1] is no number'),
        ([[1, 2, {"x": 1}]], "is no number"),
        ([{"a": 1}, {"d": 1}], 'row 1: "d" is no column of the model; its columns: a, b, c'),
        ([{"a": "x"}], 'row 0, column 0 ("a"): "x" is no number'),
        ([{"a": 1}, [1, 2, 3]], "row 1: [1, 2, 3], where row 0 is an object"),
        ([[1, 2, 3], {"a": 1}], "row 1: an object, where row 0 is a list"),
        ([[10**400, 2, 3]], 'row 0, column 0 ("a"): 1000'),
        ([[1, 2, 3], [1, 1e39, 3]], 'row 1, column 1 ("b"): 1e+39 is infinite or too large for float32'),
        ([[1, 2, float("inf")]], 'row 0, column 2 ("c"): Infinity is infinite or too large for float32'),
        ([[1, None, -1e39]], 'row 0, column 2 ("c"): -1e+39 is infinite or too large for float32'),
        ([[1, None, 10**39]], "is infinite or too large for float32"),
    ],
)
def test_complaints_name_row_and_column(value: object, words: str) -> None:
    assert words in complaint(THREE, value)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b"[[1,2,3]]x"])
def test_what_is_no_json(body: bytes) -> None:
    with pytest.raises(BadRows, match="the body is no JSON"):
        THREE.read(body)


@pytest.mark.parametrize("value", [b"1e400", b"-1e400", b"Infinity", b"1" + b"0" * 400])
def test_no_number_becomes_infinite(value: bytes) -> None:
    mixed = Columns((Column("n"), Column("t", "text")))
    for columns, rest in ((Columns.numbers((), 2, np.float64), b"1"), (mixed, b'"x"')):
        with pytest.raises(
            BadRows, match=r'^row 0, column 0 \(".*"\): .* is infinite or too large for float'
        ):
            columns.read(b"[[" + value + b", " + rest + b"]]")


def test_objects_need_known_columns() -> None:
    assert "no names for its columns" in complaint(Columns(), [{"f0": 1}])
    assert read(Columns.numbers((), 2), [{"f1": 2, "f0": 1}]).tolist() == [[1, 2]]


@pytest.mark.parametrize("save", [np.save, np.savez])
def test_files_of_numpy_are_refused_by_name(save: Any) -> None:
    body = io.BytesIO()
    save(body, np.zeros((1, 3), np.float32))
    with pytest.raises(BadRows, match="file of numpy; this preset takes JSON only"):
        THREE.read(memoryview(body.getvalue()))


def test_long_lists_of_names_are_cut() -> None:
    names = [f"n{place}" for place in range(40)]
    assert complaint(Columns.numbers(names, 40), [{"x": 1}]).endswith("n11 and 28 more")


def test_texts_are_values_where_the_model_has_texts() -> None:
    columns = Columns((Column("n"), Column("t", "text")), dtype=np.float64)
    rows = read(columns, [[1, "x"], [None, 5], [True, None]])
    assert rows.dtype == object
    assert rows[:, 1].tolist() == ["x", 5, None]
    assert rows[0, 0] == 1.0
    assert np.isnan(rows[1, 0])
    assert 'row 0, column 0 ("n"): "x" is no number' in complaint(columns, [["x", "y"]])
    assert "expected a single value" in complaint(columns, [[1, ["y"]]])


def test_columns_of_anything_are_numbers_when_all_values_are() -> None:
    columns = Columns.anything(("a", "b"), 2)
    assert read(columns, [[1, 2]]).dtype == np.float64
    assert read(columns, [[1, None]]).tolist() == [[1, None]]
    assert read(columns, [[1, "x"]]).tolist() == [[1, "x"]]


def test_a_model_without_known_columns_takes_rows_of_one_length() -> None:
    assert read(Columns(dtype=np.float64), [[1, 2], [3, 4]]).shape == (2, 2)
    assert "row 1: 1 values, row 0 has 2" in complaint(Columns(), [[1, 2], [3]])


def test_defaults_and_names_that_are_passed_over() -> None:
    columns = Columns((Column("a", "text", 7), Column("b", "text", "")), lenient=True)
    assert read(columns, [{"c": 1}, {"a": None, "b": "x"}]).tolist() == [[7, ""], [None, "x"]]


@pytest.mark.parametrize(
    ("results", "text"),
    [
        (np.array([0.1], np.float32), b"[0.10000000149011612]"),
        (np.array([[1, 2], [3, 4]]), b"[[1,2],[3,4]]"),
        (np.array([1.5, np.nan, np.inf]), b"[1.5,null,null]"),
        (np.array(["a", "\u00e9"]), '["a","\u00e9"]'.encode()),
        (np.array(["a", None, np.float32(2), float("nan")], dtype=object), b'["a",null,2.0,null]'),
        ([{"y": float("nan"), "z": b"t"}], b'[{"y":null,"z":"t"}]'),
        (np.array([True, False]), b"[true,false]"),
        ([], b"[]"),
    ],
)
def test_results_as_json(results: Any, text: bytes) -> None:
    assert answer.encode(results) == text


ROWS = st.lists(st.lists(st.floats(-10, 10, width=32), min_size=2, max_size=2), max_size=5)
BODIES = st.lists(ROWS | st.sampled_from([[[1, "x"]], [[1]], [[13, 0]], [[14, 0]], {}]), max_size=12)


@given(BODIES, st.integers(1, 7))
def test_every_answer_equals_the_one_alone(bodies: list[Any], most: int) -> None:
    sent = [json.dumps(body) for body in bodies]
    alone = run(Sums, sent, failures=True)
    together = run(Sums, sent, batch=eas_sdk.Batching(most), failures=True)
    assert [(one.status, bytes(one.body)) for one in together] == [
        (one.status, bytes(one.body)) for one in alone
    ]


def test_calls_hold_at_most_the_batch_size_and_no_request_is_split() -> None:
    bodies = [json.dumps([[1, 1]] * rows) for rows in (2, 1, 3, 9, 1, 1)]
    run(Sums, bodies, batch=eas_sdk.Batching(4))
    assert Sums.made.calls == [3, 3, 9, 2]  # of four requests, and of the two that are left


def test_only_rows_whose_columns_hold_the_same_are_joined() -> None:
    class First(Summing):
        def run(self, rows: Any) -> Any:
            self.calls.append(len(rows))
            return rows[:, 0]

    class Firsts(RowPreset):
        model: First

        def load(self, model_entry: str, model_config: str) -> First:
            return First(Columns.anything((), 2))

    texts: list[list[object]] = [["a", 1]]
    missing: list[list[object]] = [[None, 1]]
    numbers: list[list[object]] = [[1, 2.5]]
    bodies = [texts, numbers, missing, texts, [], numbers, [["b", 2.5]], missing]
    preset = Firsts()
    preset.batching = eas_sdk.Batching(16)
    preset.initialize("", "")
    found = preset.process_batch([eas_sdk.Request.build(json.dumps(body)) for body in bodies])
    told = [json.loads(bytes(one.body)) for one in found if isinstance(one, eas_sdk.Response)]
    assert told == [[row[0] for row in body] for body in bodies]
    assert preset.model.calls == [3, 2, 2]


@pytest.mark.parametrize("value", [10**400, float("inf"), -1e400])
def test_columns_of_anything_hold_no_number_that_is_infinite(value: float) -> None:
    assert "is infinite or too large for float64" in complaint(Columns.anything((), 2), [["a", value]])


def test_the_culprit_fails_alone() -> None:
    good, bad, worse = json.dumps([[1, 1]]), json.dumps([[2, 2], [14, 0]]), json.dumps([[13, 0]])
    found = run(Sums, [good, bad, worse, good], batch=eas_sdk.Batching(16), failures=True)
    assert [one.status for one in found] == [200, 400, 400, 200]
    assert bytes(found[1].body) == b"row 1: fourteen\n"  # its own row, not the batch's
    assert bytes(found[2].body) == b"thirteen"


def test_a_call_that_fails_is_run_again_one_by_one_and_the_others_calls_are_not() -> None:
    preset = Sums()
    preset.batching = eas_sdk.Batching(2)
    preset.initialize("", "")
    bodies = [[[1, 1]], [[2, 2]], [[3, 3]], [[13, 0]]]
    found = preset.process_batch([eas_sdk.Request.build(json.dumps(body)) for body in bodies])
    assert [type(one) for one in found] == [*[eas_sdk.Response] * 3, RuntimeError]
    assert Sums.made.calls == [2, 2, 1, 1]


def test_the_host_is_told_how_many_rows_ran() -> None:
    class Watched(eas_sdk.Batching):
        said: ClassVar[list[int]] = []

        def ran(self, rows: int, padding: int = 0) -> None:
            self.said.append(rows)

    batching = Watched(4)
    run(Sums, [b"[[1,2]]", b"[]", b"nonsense", b"[[1,2],[3,4]]"], batch=batching, failures=True)
    assert batching.said == [3]


def test_get_and_an_empty_body_are_answered_with_the_signature() -> None:
    get = eas_sdk.Request.build(b"", "GET")
    for reply in run(Sums, [get, b""]):
        assert (reply.status, dict(reply.headers)) == (200, {"Content-Type": "application/json"})
        assert json.loads(bytes(reply.body)) == {"model": "sum"}


def test_too_few_results_are_no_answer() -> None:
    class Short(Sums):
        def load(self, model_entry: str, model_config: str) -> Any:
            model = super().load(model_entry, model_config)
            model.run = lambda rows: rows[:0]  # type: ignore[method-assign]
            return model

    with pytest.raises(RuntimeError, match="0 results for 1 rows"):
        run(Short, [b"[[1,2]]"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "model_config is no JSON"),
        ("[1]", "expected a JSON object"),
        ('{"x": 1}', '"x" is unknown; known: flag, list, number'),
        ('{"number": true}', '"number" is true, expected a whole number'),
        ('{"number": 0}', '"number" is 0, expected at least 1'),
        ('{"flag": 1}', '"flag" is 1, expected true or false'),
        ('{"list": "ab"}', '"list" is "ab", expected a list'),
        ('{"list": ["a", 1]}', '"list" is ["a", 1], expected a list of texts'),
        ('{"list": ["a"]}', '"list" is ["a"], expected 2 texts'),
    ],
)
def test_model_config_that_is_not_understood_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError) as caught:
        read_config(
            text, {"flag": Key(bool), "number": Key(int, least=1), "list": Key(list, items=str, length=2)}
        )
    assert words in str(caught.value)


def test_model_config() -> None:
    assert read_config(" ", {"a": Key(int)}) == {}
    assert read_config('{"a": 1}', {"a": Key(int)}) == {"a": 1}
