from __future__ import annotations

import array
import decimal
import inspect
import json
import pathlib
import re
from http import HTTPStatus

import pytest

import allspark
from allspark.answer import answer
from allspark.processor import settings_of


class Number:
    def __index__(self) -> int:
        return 201


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ((b"x", 200), (200, b"x")),
        ((b"x", 0), (200, b"x")),
        ((bytearray(b"x"), 0), (200, b"x")),
        ((memoryview(b"x"), 0), (200, b"x")),
        ((memoryview(b"xaxb")[1::2], 0), (200, b"ab")),
        (("é", 0), (200, "é".encode())),
        ((2.5, 0), (200, b"2.5")),
        ((7, 0), (200, b"7")),
        ((True, 0), (200, b"True")),
        ((None, 0), (200, b"")),
        (([1, 2], 0), (200, b"[1, 2]")),
        (
            ({"digit": 7, "name": "sieben \u00fc", "sure": True, "other": None}, 200),
            (200, '{"digit": 7, "name": "sieben \u00fc", "sure": true, "other": null}'.encode()),
        ),
        ((({"a": (1, 2)}, [None]), 200), (200, b'[{"a": [1, 2]}, [null]]')),
        ((pathlib.PurePosixPath("/a"), 200), (200, b"/a")),
        ((decimal.Decimal("0.5"), 200), (200, b"0.5")),
        ((array.array("b", [1]), 0), (200, b"[1]")),
        ((b"x", 201), (201, b"x")),
        ((b"x", 599), (599, b"x")),
        ((b"x", HTTPStatus.NOT_FOUND), (404, b"x")),
        ((b"x", Number()), (201, b"x")),
        ((b"x", "404"), (404, b"x")),
        ((b"x", 404.0), (404, b"x")),
        ((b"x", 1), (400, b"x")),
        ((b"x", 199), (400, b"x")),
        ((b"x", 600), (400, b"x")),
        ((b"x", -1), (400, b"x")),
        (b"x", (200, b"x")),
        ("x", (200, b"x")),
        (memoryview(b"x"), (200, b"x")),
    ],
)
def test_results(result: object, expected: tuple[int, bytes]) -> None:
    status, body, headers = answer(result)
    assert (status, bytes(body), headers) == (*expected, b"")


@pytest.mark.parametrize("result", [None, 1.5, (b"x",), (b"x", 200, 1), [b"x", 200], {"a": 1}])
def test_results_of_another_shape(result: object) -> None:
    with pytest.raises(TypeError, match=r"process\(\) returned .* expected \(body, status\)"):
        answer(result)


@pytest.mark.parametrize("status", [True, False, None, "ok", 200.5, float("nan"), float("inf"), b"200"[:0]])
def test_statuses_that_are_no_numbers(status: object) -> None:
    with pytest.raises(TypeError, match="returned the status"):
        answer((b"x", status))


def test_numpy_integers_are_statuses() -> None:
    numpy = pytest.importorskip("numpy")
    assert answer((b"x", numpy.int64(200)))[0] == 200
    assert answer((numpy.float64(0.5), numpy.int32(0)))[:2] == (200, str(numpy.float64(0.5)).encode())


def test_the_constructor_is_the_documented_one() -> None:
    parameters = inspect.signature(allspark.BaseProcessor).parameters
    assert {name: each.default for name, each in parameters.items() if name != "unknown"} == {
        "worker_threads": 5,
        "worker_processes": 1,
        "endpoint": None,
        "io_threads": None,
    }
    positional = settings_of(allspark.BaseProcessor(7, 2, "0.0.0.0:8079"))
    assert (positional.worker_threads, positional.worker_processes, positional.endpoint) == (
        7,
        2,
        "0.0.0.0:8079",
    )


def test_five_given_is_not_five_by_default() -> None:
    assert not settings_of(allspark.BaseProcessor()).threads_given
    assert settings_of(allspark.BaseProcessor(5)).threads_given


@pytest.mark.parametrize("name", ["worker_threads", "worker_processes", "io_threads"])
def test_numbers_are_checked(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be at least 1"):
        allspark.BaseProcessor(**{name: 0})  # type: ignore[arg-type]
    for wrong in ("5", 1.5, True):
        with pytest.raises(TypeError, match=f"{name} is a number"):
            allspark.BaseProcessor(**{name: wrong})  # type: ignore[arg-type]


def test_hooks_do_nothing() -> None:
    processor = allspark.BaseProcessor()
    processor.initialize()
    assert processor.pre_proccess(b"x") is None
    assert processor.post_process(b"x") is None


def test_model_path_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MODEL_PATH", raising=False)
    assert allspark.BaseProcessor().get_model_path() == ""
    monkeypatch.setenv("MODEL_PATH", "/m")
    assert allspark.BaseProcessor().get_model_path() == "/m"


def test_properties() -> None:
    properties = allspark.Properties()
    properties.put("rpc.keepalive", 60000)
    properties.put("text", "x")
    properties.put("flag", True)
    assert properties.get("rpc.keepalive") == 60000
    assert properties.get("absent") is None
    assert properties.get("absent", "y") == "y"
    assert properties.as_text() == {"rpc.keepalive": "60000", "text": "x", "flag": "true"}
    assert allspark.default_properties() is allspark.default_properties()


@pytest.mark.parametrize(("key", "value"), [(1, "x"), ("a", None), ("a", [1])])
def test_properties_of_other_types(key: str, value: str) -> None:
    with pytest.raises(TypeError, match="a property is"):
        allspark.Properties().put(key, value)


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (object(), "a body of type object; expected bytes or str"),
        ({"a": object()}, "a dict that can't be JSON (there is a object in it)"),
        ({(1, 2): 3}, "a dict that can't be JSON"),
        ([{1, 2}], "a list that can't be JSON (there is a set in it)"),
    ],
)
def test_a_body_that_no_client_could_read_is_an_error(body: object, complaint: str) -> None:
    with pytest.raises(TypeError, match=re.escape(complaint)):
        answer((body, 200))


def test_arrays_are_json_whole_however_large() -> None:
    numpy = pytest.importorskip("numpy")
    large = numpy.arange(5000)  # its str() has three dots in the middle
    assert json.loads(bytes(answer((large, 200))[1])) == list(range(5000))
    nested = {"scores": numpy.array([0.5, 0.25], dtype=numpy.float32), "best": numpy.int64(3)}
    assert json.loads(bytes(answer((nested, 200))[1])) == {"scores": [0.5, 0.25], "best": 3}


def test_a_body_that_eas_does_not_document_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    class Digits(dict):  # type: ignore[type-arg]
        """A type of its own, so that nobody has told of it."""

    for _ in range(3):
        answer((Digits(a=1), 200))
    answer((b"x", 200))
    answer(("x", 200))
    answer((0.5, 200))
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "body of type Digits, which is sent as JSON" in told
