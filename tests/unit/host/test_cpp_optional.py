"""The optional exports of the plain interface: async_process and batch_process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from eas_host.adapters.cpp import Cpp
from eas_host.adapters.cpp_plain import BatchFailed
from eas_host.load import Failed
from eas_sdk import Request
from support import compiled
from support.engine_end import EngineEnd

ASYNC = ("optional.cpp", "-DWITH_ASYNC")
BATCH = ("optional.cpp", "-DWITH_BATCH")


def make(name: str, *flags: str, **start: Any) -> Cpp:
    message = {
        "entry": str(compiled.library(name, *flags)),
        "model_entry": "",
        "model_config": "",
        "threads": None,
        **start,
    }
    processor = Cpp(message)
    processor.initialize()
    return processor


@pytest.fixture
def start() -> Iterator[Callable[..., EngineEnd]]:
    ends: list[EngineEnd] = []

    def start(processor: Cpp, threads: int) -> EngineEnd:
        ends.append(EngineEnd(processor.handle(), threads))
        return ends[-1]

    yield start
    for end in ends:
        end.close()


def ask(processor: Cpp, *bodies: bytes) -> list[tuple[int, bytes]]:
    handle = processor.handle()
    return [handle(Request.build(body))[:2] for body in bodies]


# -- async_process


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (b"hello", (200, b"hello")),
        (b"now", (200, b"now")),
        (b"parts", (200, b"one two three")),
        (b"null", (200, b"")),
        (b"error 429", (429, b"as told")),
        (b"error -1", (400, b"as told")),
        (b"bad", (500, b"the processor returned NULL with output_size 4")),
        (b"", (200, b"")),
    ],
)
def test_async_process_is_used_and_its_answer_is_whole(body: bytes, answer: tuple[int, bytes]) -> None:
    assert ask(make(*ASYNC), body) == [answer]


def test_a_second_answer_to_one_request_is_dropped_and_logged(
    start: Callable[..., EngineEnd], capfd: pytest.CaptureFixture[str]
) -> None:
    end = start(make(*ASYNC), 1)
    end.hand(b"twice", b"unknown", b"after", first=3)
    assert [answer.body for answer in end.take(3)] == [b"first", b"known", b"after"]
    assert "isn't waiting; dropped" in capfd.readouterr().err


def test_async_calls_run_beside_each_other(start: Callable[..., EngineEnd]) -> None:
    end = start(make(*ASYNC), 3)
    end.hand(b"meet", b"meet", b"meet")
    assert [answer.body for answer in end.take(3)] == [b"met"] * 3


def test_a_large_body_through_async_process(start: Callable[..., EngineEnd]) -> None:
    end = start(make(*ASYNC), 2)
    body = b"large " + bytes(range(256)) * 4096
    end.hand(body)
    assert end.take()[0].body == body


# -- batch_process


def test_batch_process_is_called_only_when_asked_for(capfd: pytest.CaptureFixture[str]) -> None:
    plain = make(*BATCH)
    assert not plain.batch
    assert ask(plain, b"200") == [(500, b"process was called")]


def test_a_batch_of_one_where_the_service_does_not_batch() -> None:
    processor = make(*BATCH, cpp_batch=True)
    assert processor.batch
    assert ask(processor, b"200 a", b"404 b") == [(200, b"1/1:200 a"), (404, b"1/1:404 b")]


def test_a_batch_carries_its_count_and_its_end() -> None:
    processor = make(*BATCH, cpp_batch=True)
    bodies = [b"200 first", b"", b"third"]
    answers, ran = processor.handle_batch()([Request.build(body) for body in bodies])
    assert answers == [(200, b"3/3:" + body, b"") for body in bodies]
    assert ran == (1, 3, 0)


def test_one_code_is_the_status_of_all_while_it_is_no_error() -> None:
    batch = make(*BATCH, cpp_batch=True).handle_batch()
    answers, _ = batch([Request.build(b"299"), Request.build(b"500")])
    assert answers == [(299, b"2/2:299", b""), (299, b"2/2:500", b"")]


@pytest.mark.parametrize("code", [b"400", b"503", b"7", b"-1"])
def test_an_error_of_several_is_about_a_request_that_is_to_be_found(code: bytes) -> None:
    batch = make(*BATCH, cpp_batch=True).handle_batch()
    with pytest.raises(BatchFailed, match=rf"batch_process\(\) returned {code.decode()}$"):
        batch([Request.build(code), Request.build(b"200")])
    (alone,), _ = batch([Request.build(code)])
    assert alone == (503 if code == b"503" else 400, b"1/1:" + code, b"")


def test_batches_of_several_threads() -> None:
    processor = make(*BATCH, cpp_batch=True)
    batch = processor.handle_batch()
    wrong: list[Any] = []

    def run(number: int) -> None:
        for size in range(1, 40):
            bodies = [b"%d" % (200 + number)] * size
            got, _ = batch([Request.build(body) for body in bodies])
            if got != [(200 + number, b"%d/%d:%d" % (size, size, 200 + number), b"")] * size:
                wrong.append(got)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_cpp_batch_without_the_export_names_it() -> None:
    with pytest.raises(Failed, match=r"it exports no batch_process\(\); its functions: .*process"):
        make("codes.cpp", cpp_batch=True)


def test_cpp_batch_beside_the_versioned_interface_is_warned_of() -> None:
    processor = make("versioned.cpp", cpp_batch=True)
    assert processor.batch
    (warning,) = processor.warnings
    assert "rpc.cpp_batch has no effect" in warning
