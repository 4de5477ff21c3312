"""What a warm-up sends, in which order, and what counts as its failure."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eas_host import dump, warm_up
from eas_host.load import Failed

LONG = 60_000  # milliseconds


def bodies(path: Path) -> list[bytes]:
    return [sample.body for sample in warm_up.samples(str(path))]


class Processor:
    """Remembers what it was called with; answers as the test says."""

    def __init__(self, answer: Any = (200, b"", b"")) -> None:
        self.answer = answer
        self.bodies: list[bytes] = []
        self.requests: list[Any] = []
        self.threads: set[str] = set()

    def __call__(self, request: Any) -> tuple[int, Any, bytes]:
        self.requests.append(request)
        self.bodies.append(bytes(request.body))
        self.threads.add(threading.current_thread().name)
        if isinstance(self.answer, BaseException):
            raise self.answer
        answer: tuple[int, Any, bytes] = self.answer
        return answer


def run(path: Path, processor: Any, *, times: int = 2, keepalive: int = LONG, **more: Any) -> list[float]:
    begun: list[float] = []
    warm_up.Run(warm_up.Plan(str(path), times, keepalive, "demo"), processor, begun.append, **more).run()
    return begun


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.bin", b"\x00\xff\r\n", [b"\x00\xff\r\n"]),
        ("a.bin", b"", [b""]),
        ("noname", b"a\nb", [b"a\nb"]),
        ("a.txt", b"one\ntwo\n", [b"one", b"two"]),
        ("a.txt", b"one\ntwo", [b"one", b"two"]),
        ("a.TXT", b"one\r\ntwo\r\n", [b"one", b"two"]),
        ("a.txt", b"\xef\xbb\xbfone\n\n\r\n \ntwo", [b"one", b" ", b"two"]),
        ("a.txt", b"\xff\xfe\xe4\n", [b"\xff\xfe\xe4"]),
        ("a.txt", b"one\rstill one\n", [b"one\rstill one"]),
        ("a.txt", b"\n\n", []),
        ("a.txt", b"", []),
    ],
)
def test_the_requests_of_a_file(tmp_path: Path, name: str, content: bytes, expected: list[bytes]) -> None:
    (tmp_path / name).write_bytes(content)
    assert bodies(tmp_path / name) == expected


def test_the_requests_of_a_directory_in_the_order_of_their_paths(tmp_path: Path) -> None:
    for name in ("b.bin", "a/z.txt", "a.bin", ".hidden", ".git/config", "__MACOSX/a.bin"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "c.bin").symlink_to(tmp_path / "b.bin")
    assert bodies(tmp_path) == [b"a.bin", b"a/z.txt", b"b.bin", b"b.bin"]
    assert [sample.name for sample in warm_up.samples(str(tmp_path))][1] == "a/z.txt, line 1"


def test_names_that_are_not_text(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.bin")).write_bytes(b"x")
    (sample,) = warm_up.samples(str(tmp_path))
    assert sample.name.isprintable()


def test_each_is_sent_so_often_in_one_thread_as_a_request(tmp_path: Path, capfd: Any) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    processor = Processor()
    begun = run(tmp_path / "a.txt", processor, times=3, keepalive=5000)
    assert processor.bodies == [b"one"] * 3 + [b"two"] * 3
    assert processor.threads == {"warm-up"}
    assert begun == [10.0] * 6
    request = processor.requests[0]
    assert (request.method, request.path) == ("POST", "/api/predict/demo")
    assert request.headers["x-eas-warm-up"] == "1"
    assert request.request_id == "warm-up-0001"
    assert not request.cancelled
    assert "warm-up: done, 2 requests, each 3 times, in " in capfd.readouterr().err


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((500, b"no\nsuch\ttensor", b""), "a.bin, try 1 of 2: answered 500: no such tensor"),
        ((201, b"", b""), "a.bin, try 1 of 2: answered 201: (empty)"),
        ((400, memoryview(b"x" * 300), b""), f"a.bin, try 1 of 2: answered 400: {'x' * 200} ..."),
        ((400, b"\xff\x1b[2J", b""), "a.bin, try 1 of 2: answered 400: \ufffd?[2J"),
        (ValueError("bad\nnews"), "a.bin, try 1 of 2: ValueError: bad"),
        (SystemExit(3), "a.bin, try 1 of 2: sys.exit(3) was called"),
        (KeyboardInterrupt(), "a.bin, try 1 of 2: KeyboardInterrupt: "),
    ],
)
def test_the_first_answer_that_is_not_200_ends_it(tmp_path: Path, answer: Any, message: str) -> None:
    (tmp_path / "a.bin").write_bytes(b"x")
    processor = Processor(answer)
    with pytest.raises(Failed) as raised:
        run(tmp_path / "a.bin", processor)
    assert raised.value.stage == "warm_up"
    assert raised.value.message.startswith(message)
    assert len(processor.requests) == 1
    assert bool(raised.value.trace) is isinstance(answer, BaseException)


def test_a_call_that_does_not_end(tmp_path: Path, capfd: Any) -> None:
    (tmp_path / "a.bin").write_bytes(b"x")
    goes_on, seen = threading.Event(), []

    def hang(request: Any) -> tuple[int, Any, bytes]:
        seen.append(request)
        goes_on.wait()
        return 200, b"", b""

    with pytest.raises(Failed, match=r"a\.bin, try 1 of 2: no answer within 0\.1 s \(twice rpc\.keepalive\)"):
        run(tmp_path / "a.bin", hang, keepalive=50, dump_threads=lambda: "java stacks")
    assert seen[0].cancelled
    goes_on.set()
    told = capfd.readouterr().err
    assert "in hang" in told
    assert told.endswith("java stacks\n")


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch], ids=["directory", "text"])
def test_no_request_at_all_is_a_failure(tmp_path: Path, make: Any) -> None:
    path = tmp_path / "empty.txt"
    make(path)
    with pytest.raises(Failed, match="there is no request in warm_up_data_path"):
        run(path, Processor())


def test_what_is_no_file_and_what_is_not_there(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.bin")
    with pytest.raises(Failed, match=r"can't read warm_up_data_path: .*neither a file nor a directory"):
        run(tmp_path, Processor())
    with pytest.raises(Failed, match="can't read warm_up_data_path"):
        run(tmp_path / "none", Processor())


def test_it_stops_between_calls_when_the_engine_stops(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    answers: Iterator[bool] = iter([False, False, False, True])
    processor = Processor()
    run(tmp_path / "a.txt", processor, stopping=lambda: next(answers))
    assert processor.bodies == [b"one", b"one", b"two"]


def test_an_adapter_whose_threads_can_not_be_shown(capfd: Any) -> None:
    def broken() -> str:
        raise RuntimeError("the virtual machine is gone")

    dump.more(broken)
    assert "can't be shown: RuntimeError: the virtual machine is gone" in capfd.readouterr().err
