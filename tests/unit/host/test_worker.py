"""The threads of a host, over a real link: who works when, and that no answer is kept from its client."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from time import monotonic, sleep
from typing import Any

import pytest

from eas_host import wire
from eas_host.worker import _SLOW
from support.engine_end import LONG, EngineEnd

Handle = Callable[[Any], tuple[int, Any, bytes]]


@pytest.fixture
def start() -> Iterator[Callable[..., EngineEnd]]:
    ends: list[EngineEnd] = []

    def start(handle: Handle, threads: int = 1, **options: Any) -> EngineEnd:
        ends.append(EngineEnd(handle, threads, **options))
        return ends[-1]

    yield start
    for end in ends:
        end.close()


def echo(request: Any) -> tuple[int, Any, bytes]:
    return 200, bytes(request.body), b""


def learn_that_it_is_fast(end: EngineEnd, *, reads: int = 300) -> None:
    """Short calls, one by one, until the reader keeps its role while it works."""
    for n in range(reads):
        end.hand(b"fast", first=n % wire.SLOTS)
        end.take()


def test_what_the_processor_sees_and_says(start: Callable[..., EngineEnd]) -> None:
    def handle(request: Any) -> tuple[int, Any, bytes]:
        seen = (request.method, request.path, request.headers["a"], request.request_id, request.cancelled)
        return 201, repr((seen, request.body)).encode(), b"X-A: b\r\n"

    end = start(handle)
    end.socket.sendall(end.frame(0x1F, b"body", head=b"POST /x?y HTTP/1.1\r\nA: b\r\n\r\n"))
    (answer,) = end.take()
    assert (answer.status, answer.headers, answer.slot) == (201, b"X-A: b\r\n", 0x1F)
    request_id = "test-001f"
    assert answer.body == repr((("POST", "/x", "b", request_id, False), b"body")).encode()


@pytest.mark.parametrize("size", [0, 1, wire.SPILL_BYTES - 1, wire.SPILL_BYTES, 3 * wire.SPILL_BYTES + 1])
@pytest.mark.parametrize("headers", [b"", b"A: b\r\n"])
def test_bodies_of_any_size_both_ways(start: Callable[..., EngineEnd], size: int, headers: bytes) -> None:
    end = start(lambda request: (200, bytes(request.body)[::-1], headers))
    body = bytes(range(256)) * (size // 256) + bytes(size % 256)
    end.hand(body)
    (answer,) = end.take()
    assert answer.body == body[::-1]
    assert answer.headers == headers
    assert (answer.offset >= 0) is (size >= wire.SPILL_BYTES)


def test_a_large_body_is_the_engines_own_memory_and_read_only(start: Callable[..., EngineEnd]) -> None:
    def handle(request: Any) -> tuple[int, Any, bytes]:
        return 200, f"{type(request.body).__name__} {request.body.readonly}".encode(), b""

    end = start(handle)
    end.hand(bytes(wire.SPILL_BYTES))
    assert end.take()[0].body == b"memoryview True"


def test_without_memory_to_share_everything_goes_through_the_socket(start: Callable[..., EngineEnd]) -> None:
    end = start(lambda request: (200, bytes(2 * wire.SPILL_BYTES), b"A: b\r\n"), arenas=False)
    end.hand(b"")
    (answer,) = end.take()
    assert (answer.kind, len(answer.body), answer.headers) == (wire.FULL, 2 * wire.SPILL_BYTES, b"A: b\r\n")


@pytest.mark.parametrize("answer", [bytearray(b"abcd"), memoryview(b"abcd"), memoryview(b"abcd").cast("H")])
def test_an_answer_may_be_anything_like_bytes(start: Callable[..., EngineEnd], answer: Any) -> None:
    end = start(lambda request: (200, answer, b""))
    end.hand(b"")
    assert end.take()[0].body == b"abcd"


def test_the_memory_of_answers_is_used_again_once_it_is_released(start: Callable[..., EngineEnd]) -> None:
    end = start(lambda request: (200, bytes(wire.SPILL_BYTES), b""))
    end.hand(b"", b"")
    first, second = end.take(2)
    assert first.offset != second.offset
    end.release(first.offset)
    end.hand(b"")
    assert end.take()[0].offset == first.offset


# -- exceptions


def test_an_exception_is_its_message_and_its_trace_is_in_the_log_with_the_id(
    start: Callable[..., EngineEnd], capfd: pytest.CaptureFixture[str]
) -> None:
    def handle(request: Any) -> tuple[int, Any, bytes]:
        raise LookupError("no such digit: sch\u00f6n")

    end = start(handle)
    end.hand(b"", first=7)
    (answer,) = end.take()
    assert (answer.kind, answer.status) == (wire.RAISED, 400)
    assert answer.body == "no such digit: sch\u00f6n".encode()
    log = capfd.readouterr().err
    assert "request test-0007 raised" in log
    assert "LookupError" in log
    assert "in handle" in log


class Unprintable(Exception):
    """An exception of a processor's own whose message can't be had."""

    def __str__(self) -> str:
        return None  # type: ignore[return-value]  # noqa: PLE0307 - that is what is wrong with it


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError(), b"ValueError"),
        (ValueError("x" * 100_000), b"x" * 16384),
        (ValueError("\udcff"), b"?"),
        (MemoryError("m"), b"m"),
        (StopIteration("s"), b"s"),
        (GeneratorExit("g"), b"g"),
        (Unprintable(), b"Unprintable"),
    ],
)
def test_whatever_is_raised_has_a_message(
    start: Callable[..., EngineEnd], error: BaseException, message: bytes
) -> None:
    """One that can't be printed ended its thread unnoticed, and five of them the service."""

    def handle(request: Any) -> tuple[int, Any, bytes]:
        raise error

    end = start(handle, threads=1)
    for _ in range(2):
        end.hand(b"")
        assert end.take()[0].body == message


@pytest.mark.parametrize("answer", [(200, "text", b""), (200, None, b""), None, (200, b"")])
def test_an_answer_that_is_none_is_an_exception_and_the_thread_lives_on(
    start: Callable[..., EngineEnd], answer: Any
) -> None:
    answers = [answer, (200, b"good", b"")]
    end = start(lambda request: answers.pop(0))
    end.hand(b"", b"")
    bad, good = end.take(2)
    assert bad.kind == wire.RAISED
    assert good.body == b"good"


# -- who works when


@pytest.mark.parametrize("fast", [0, 1, 300])
def test_slow_requests_that_follow_fast_ones_run_on_all_threads_at_once(
    start: Callable[..., EngineEnd], fast: int
) -> None:
    """They meet at a barrier: no number of them less than four would ever get past it."""
    together = threading.Barrier(4, timeout=LONG)

    def handle(request: Any) -> tuple[int, Any, bytes]:
        if request.body == b"slow":
            together.wait()
        return 200, bytes(request.body), b""

    end = start(handle, threads=4)
    for n in range(3):
        learn_that_it_is_fast(end, reads=fast)
        end.hand(*[b"fast"] * fast, *[b"slow"] * 4, first=1000 * n)
        answers = end.take(fast + 4)
        assert sum(answer.body == b"slow" for answer in answers) == 4


def test_slow_requests_that_come_one_by_one_run_at_once_too(start: Callable[..., EngineEnd]) -> None:
    together = threading.Barrier(3, timeout=LONG)

    def handle(request: Any) -> tuple[int, Any, bytes]:
        if request.body == b"slow":
            together.wait()
        return 200, bytes(request.body), b""

    end = start(handle, threads=3)
    learn_that_it_is_fast(end)
    for n in range(3):
        end.hand(b"slow", first=200 + n)
    assert [answer.body for answer in end.take(3)] == [b"slow"] * 3


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_a_fast_answer_is_not_held_back_behind_a_slow_request(
    start: Callable[..., EngineEnd], threads: int
) -> None:
    """All threads are inside the processor, and none of them returns before the fast answers are here."""
    read = threading.Event()

    def handle(request: Any) -> tuple[int, Any, bytes]:
        if request.body == b"slow":
            assert read.wait(LONG)
        return 200, bytes(request.body), b""

    end = start(handle, threads)
    for n in range(5):
        learn_that_it_is_fast(end, reads=100 * n)
        read.clear()
        end.hand(b"fast", b"fast", *[b"slow"] * threads, b"last", first=20 * n)
        assert [answer.body for answer in end.take(2)] == [b"fast"] * 2
        read.set()
        assert len(end.take(threads + 1)) == threads + 1


def test_nothing_is_watched_while_every_answer_leaves_at_once(start: Callable[..., EngineEnd]) -> None:
    """Calls that take long enough for that follow each other, and another is always waiting."""

    def handle(request: Any) -> tuple[int, Any, bytes]:
        if request.body == b"slow":
            sleep(10 * _SLOW)
        return 200, b"", b""

    ahead = 100  # a tenth of a second

    def watched() -> bool:
        return end.server._watching

    end = start(handle)
    while not watched():
        learn_that_it_is_fast(end)
    end.hand(*[b"slow"] * ahead)
    until = monotonic() + LONG
    while watched():
        assert monotonic() < until
        (answer,) = end.take()
        end.hand(b"slow", first=answer.slot)
    end.take(ahead)
    while not watched():
        learn_that_it_is_fast(end)


def test_a_request_that_was_withdrawn_is_never_begun(start: Callable[..., EngineEnd]) -> None:
    inside, go_on = threading.Event(), threading.Event()
    seen = []

    def handle(request: Any) -> tuple[int, Any, bytes]:
        seen.append(bytes(request.body))
        inside.set()
        assert go_on.wait(LONG)
        return 200, b"", b""

    end = start(handle)
    end.hand(b"a", b"b", b"c")
    assert inside.wait(LONG)
    assert end.begun(0)
    assert not end.begun(1)
    end.withdraw(1)
    go_on.set()
    kinds = {answer.slot: answer.kind for answer in end.take(3)}
    assert kinds == {0: wire.REPLY, 1: wire.SKIPPED, 2: wire.REPLY}
    assert seen == [b"a", b"c"]


def test_a_request_sees_that_it_is_cancelled(start: Callable[..., EngineEnd]) -> None:
    inside, cancelled = threading.Event(), threading.Event()

    def handle(request: Any) -> tuple[int, Any, bytes]:
        before = request.cancelled
        inside.set()
        assert cancelled.wait(LONG)
        return 200, repr((before, request.cancelled)).encode(), b""

    end = start(handle)
    end.hand(b"")
    assert inside.wait(LONG)
    end.withdraw(0)
    cancelled.set()
    assert end.take()[0].body == b"(False, True)"


def test_one_that_was_begun_while_the_engine_took_it_back_is_not_cancelled(
    start: Callable[..., EngineEnd],
) -> None:
    end: EngineEnd

    def handle(request: Any) -> tuple[int, Any, bytes]:
        end.board[2 * 0 + 1] = 1  # withdrawn, but just too late
        return 200, repr(request.cancelled).encode(), b""

    end = start(handle)
    end.hand(b"")
    assert end.take()[0].body == b"False"


@pytest.mark.parametrize("threads", [1, 8])
def test_many_threads_send_whole_frames_and_every_answer_once(
    start: Callable[..., EngineEnd], threads: int
) -> None:
    """Sizes from nothing to the arena, in batches, while answers are read in between."""
    sizes = [0, 1, 100, 5_000, 70_000, wire.SPILL_BYTES]
    end = start(echo, threads)
    total = 0
    for batch in range(20):
        bodies = [bytes([n % 256]) * sizes[(n * 7 + batch) % len(sizes)] for n in range(60)]
        sender = threading.Thread(target=end.hand, args=bodies)
        sender.start()
        answers = end.take(60)
        sender.join(LONG)
        assert sorted(answer.slot for answer in answers) == list(range(60))
        for answer in answers:
            assert answer.body == bodies[answer.slot]
            if answer.offset >= 0:
                end.release(answer.offset)
        for offset in tuple(end.requests._out):
            end.requests.give(offset)
        total += len(answers)
    assert total == 1200


# -- the end


def test_stopping_lets_running_calls_end_and_their_answers_leave(start: Callable[..., EngineEnd]) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def handle(request: Any) -> tuple[int, Any, bytes]:
        inside.set()
        assert go_on.wait(LONG)
        return 200, b"done", b""

    end = start(handle, threads=3)
    end.hand(b"")
    assert inside.wait(LONG)
    end.server.stop()
    go_on.set()
    assert end.take()[0].body == b"done"
    end.stop()


def test_stopping_right_behind_an_answer_loses_nothing(start: Callable[..., EngineEnd]) -> None:
    for _ in range(20):
        end = start(echo, threads=2)
        end.hand(b"a", b"b", b"c")
        answers = end.take(3)
        end.stop()
        assert sorted(answer.body for answer in answers) == [b"a", b"b", b"c"]


def test_idle_threads_end_when_the_engine_is_gone(start: Callable[..., EngineEnd]) -> None:
    end = start(echo, threads=3)
    end.hand(b"")
    end.take()
    end.socket.close()
    end.server.join(LONG)
    assert not any(thread.is_alive() for thread in end.server._threads)


def test_an_answer_to_an_engine_that_is_gone_ends_the_thread_quietly(
    start: Callable[..., EngineEnd], monkeypatch: pytest.MonkeyPatch
) -> None:
    unhandled: list[object] = []
    monkeypatch.setattr(threading, "excepthook", unhandled.append)
    inside, go_on = threading.Event(), threading.Event()

    def handle(request: Any) -> tuple[int, Any, bytes]:
        inside.set()
        assert go_on.wait(LONG)
        return 200, b"", b""

    end = start(handle)
    end.hand(b"", b"")
    assert inside.wait(LONG)
    end.socket.close()
    go_on.set()
    end.server.join(LONG)
    assert not any(thread.is_alive() for thread in end.server._threads)
    assert unhandled == []


def test_it_shows_itself(start: Callable[..., EngineEnd]) -> None:
    assert "2 threads" in repr(start(echo, threads=2).server)
