"""Units of work over a real link: marks, answers, blame, and what the engine is told of each unit."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from eas_host import wire
from eas_host.batches import Batches
from eas_sdk import Batching, Processor, Request, Response
from eas_sdk._batches import batch_call
from support.engine_end import LONG, Answered, EngineEnd
from support.scripted_engine import SDK, find_python

Start = Callable[..., EngineEnd]
MODULE = Path(__file__)


@pytest.fixture
def start() -> Iterator[Start]:
    ends: list[EngineEnd] = []

    def start(
        run: Callable[[Sequence[Request]], Any],
        threads: int = 1,
        *,
        arenas: bool = True,
        batching: Batching | None = None,
    ) -> EngineEnd:
        made = processor(run)
        made.batching = batching
        ends.append(EngineEnd(Batches(batch_call(made)), threads, arenas=arenas))
        return ends[-1]

    yield start
    for end in ends:
        end.close()


def processor(run: Callable[[Sequence[Request]], Any]) -> Processor:
    """One whose batch call is `run`."""

    class Made(Processor):
        def process_batch(self, requests: Sequence[Request]) -> Any:
            return run(requests)

    return Made()


def echo(requests: Sequence[Request]) -> list[bytes]:
    return [bytes(request.body) + b" of %d" % len(requests) for request in requests]


def counted(answer: Answered) -> tuple[int, ...]:
    """Requests, calls, rows and padding of a unit."""
    assert (answer.kind, answer.slot, answer.status) == (wire.BATCHED, 0, 0)
    return wire.BATCH.unpack(answer.body)


def in_order(answers: Sequence[Answered]) -> list[Answered]:
    """Those that aren't plain come first."""
    return sorted(answers, key=lambda each: each.slot)


def plain(answers: Sequence[Answered]) -> list[tuple[int, int, int, bytes]]:
    return [(each.kind, each.slot, each.status, each.body) for each in answers]


def test_a_unit_is_one_call_and_its_answers_are_followed_by_its_counts(start: Start) -> None:
    end = start(echo)
    end.hand_batch(b"a", b"b", b"c", first=5)
    *answers, batched = end.take(4)
    assert plain(answers) == [
        (wire.REPLY, 5, 200, b"a of 3"),
        (wire.REPLY, 6, 200, b"b of 3"),
        (wire.REPLY, 7, 200, b"c of 3"),
    ]
    assert counted(batched) == (3, 1, 3, 0)
    assert {(each.us, each.began) for each in answers} == {(batched.us, batched.began)}
    assert batched.began > 0


def test_a_request_alone_is_a_unit_of_one(start: Start) -> None:
    end = start(echo)
    end.hand_batch(b"a")
    end.hand_batch(b"b", first=1)
    first, first_counts, second, second_counts = end.take(4)
    assert (first.body, second.body) == (b"a of 1", b"b of 1")
    assert counted(first_counts) == counted(second_counts) == (1, 1, 1, 0)


def test_what_the_processor_said_of_its_calls_is_told(start: Start) -> None:
    batching = Batching(16)

    def run(requests: Sequence[Request]) -> list[bytes]:
        batching.ran(10, 3)
        batching.ran(6)
        return echo(requests)

    end = start(run, batching=batching)
    end.hand_batch(b"a", b"b")
    assert counted(end.take(3)[2]) == (2, 2, 16, 3)


@pytest.mark.parametrize("arenas", [True, False])
def test_bodies_of_any_size_both_ways(start: Start, arenas: bool) -> None:
    end = start(lambda requests: [Response(bytes(r.body)[::-1], 201, {"A": "b"}) for r in requests])
    if not arenas:
        end = start(lambda requests: [bytes(r.body)[::-1] for r in requests], arenas=False)
    sizes = (0, 1, wire.SPILL_BYTES - 1, wire.SPILL_BYTES if arenas else 2, 700_000 if arenas else 3)
    bodies = [bytes(range(256)) * (size // 256) + bytes(size % 256) for size in sizes]
    end.hand_batch(*bodies)
    answers = in_order(end.take(6)[:5])
    assert [each.body for each in answers] == [body[::-1] for body in bodies]
    assert {each.headers for each in answers} == {b"A: b\r\n" if arenas else b""}
    assert {each.status for each in answers} == {201 if arenas else 200}


def test_long_answers_have_frames_of_their_own_and_the_others_come_in_one(start: Start) -> None:
    end = start(lambda requests: [bytes(int(request.body)) for request in requests])
    sizes = (5, wire.SEPARATE_BYTES, 0, wire.SEPARATE_BYTES - 1)
    end.hand_batch(*[b"%d" % size for size in sizes])
    answers = end.take(5)
    assert [(each.slot, len(each.body)) for each in answers[:4]] == [
        (1, sizes[1]),
        (0, sizes[0]),
        (2, sizes[2]),
        (3, sizes[3]),
    ]
    assert {each.kind for each in answers[:4]} == {wire.REPLY}


def test_what_the_processor_sees_of_each_request(start: Start) -> None:
    end = start(
        lambda requests: [repr((r.path, r.headers["a"], r.request_id, r.cancelled)) for r in requests]
    )
    head = b"POST /x%d HTTP/1.1\r\nA: %d\r\n\r\n"
    end.socket.sendall(end.unit(0x1F, b"", b"", heads=[head % (1, 1), head % (2, 2)]))
    assert [each.body.decode() for each in end.take(3)[:2]] == [
        "('/x1', '1', 'test-001f', False)",
        "('/x2', '2', 'test-0020', False)",
    ]


# -- marks


def test_all_are_marked_begun_before_the_first_is_seen_and_the_withdrawn_are_skipped(start: Start) -> None:
    seen: list[list[bool]] = []
    ends: list[EngineEnd] = []
    entered, released = threading.Event(), threading.Event()

    def run(requests: Sequence[Request]) -> list[bytes]:
        if requests[0].body == b"first":
            entered.set()
            assert released.wait(LONG)
        else:
            seen.append([ends[0].begun(slot) for slot in range(1, 5)])
        return echo(requests)

    end = start(run)
    ends.append(end)
    end.hand_batch(b"first")
    assert entered.wait(LONG)
    end.hand_batch(b"a", b"b", b"c", b"d", first=1)
    assert not any(end.begun(slot) for slot in range(1, 5))
    end.withdraw(2)
    end.withdraw(3)
    released.set()
    answers = end.take(7)
    assert seen == [[True] * 4]
    skipped, answered = answers[2:4], answers[4:6]
    assert plain(skipped) == [(wire.SKIPPED, 2, 0, b""), (wire.SKIPPED, 3, 0, b"")]
    assert plain(answered) == [(wire.REPLY, 1, 200, b"a of 2"), (wire.REPLY, 4, 200, b"d of 2")]
    assert counted(answers[6]) == (2, 1, 2, 0)


def test_a_unit_that_was_withdrawn_altogether_is_counted_as_nothing(start: Start) -> None:
    entered, released = threading.Event(), threading.Event()

    def run(requests: Sequence[Request]) -> list[bytes]:
        entered.set()
        assert released.wait(LONG)
        return echo(requests)

    end = start(run)
    end.hand_batch(b"first")
    assert entered.wait(LONG)
    end.hand_batch(b"a", b"b", first=1)
    end.withdraw(1)
    end.withdraw(2)
    released.set()
    answers = end.take(5)
    assert [each.kind for each in answers[2:4]] == [wire.SKIPPED] * 2
    assert counted(answers[4]) == (0, 0, 0, 0)


def test_whoever_is_cancelled_meanwhile_is_not_tried_again(
    start: Start, capfd: pytest.CaptureFixture[str]
) -> None:
    sizes: list[int] = []

    def run(requests: Sequence[Request]) -> list[bytes]:
        sizes.append(len(requests))
        if any(request.body == b"bad" for request in requests):
            end.withdraw(0)
            raise LookupError("bad")
        return echo(requests)

    end = start(run)
    end.hand_batch(b"bad", b"a", b"b", b"c")
    answers = end.take(5)
    assert sizes == [4, 1, 2]
    assert plain(answers[:1]) == [(wire.RAISED, 0, 400, b"")]
    assert "Traceback" not in capfd.readouterr().err
    assert [each.body for each in answers[1:4]] == [b"a of 1", b"b of 2", b"c of 2"]
    assert counted(answers[4]) == (4, 2, 3, 0)


# -- failures


def test_one_bad_request_fails_alone(start: Start, capfd: pytest.CaptureFixture[str]) -> None:
    def run(requests: Sequence[Request]) -> list[bytes]:
        for request in requests:
            if request.body == b"bad":
                raise LookupError("no such row")
        return echo(requests)

    end = start(run)
    end.hand_batch(b"a", b"b", b"c", b"bad", b"d")
    *answers, batched = end.take(6)
    assert plain(in_order(answers)) == [
        (wire.REPLY, 0, 200, b"a of 3"),
        (wire.REPLY, 1, 200, b"b of 3"),
        (wire.REPLY, 2, 200, b"c of 3"),
        (wire.RAISED, 3, 400, b"no such row"),
        (wire.REPLY, 4, 200, b"d of 1"),
    ]
    assert counted(batched) == (5, 2, 4, 0)
    log = capfd.readouterr().err
    assert "a batch of 5 requests raised LookupError: no such row" in log
    assert "request test-0003 raised" in log
    assert log.count("Traceback") == 1
    assert MODULE.name in log


def test_an_exception_object_fails_its_request_alone(start: Start, capfd: pytest.CaptureFixture[str]) -> None:
    end = start(lambda requests: [ValueError("mine"), b"fine", None])
    end.hand_batch(b"a", b"b", b"c")
    mine, fine, none = in_order(end.take(4)[:3])
    assert (mine.kind, mine.status, mine.body) == (wire.RAISED, 400, b"mine")
    assert fine.body == b"fine"
    assert none.kind == wire.RAISED
    assert none.body.startswith(b"process() returned None")
    assert "ValueError: mine" in capfd.readouterr().err


def test_a_list_of_another_length_is_everybodys_failure_at_last(start: Start) -> None:
    end = start(lambda requests: [b"one too many"] * (len(requests) + 1))
    end.hand_batch(b"a", b"b")
    *answers, batched = end.take(3)
    told = b"process_batch() must return a list of 1 results, not 2 results"
    assert [(each.kind, each.body) for each in answers] == [(wire.RAISED, told)] * 2
    assert counted(batched) == (2, 0, 0, 0)


def test_the_thread_lives_on_after_a_failure(start: Start) -> None:
    end = start(lambda requests: 1 / 0 if requests[0].body == b"bad" else echo(requests))
    end.hand_batch(b"bad")
    end.take(2)
    end.hand_batch(b"good")
    assert end.take(2)[0].body == b"good of 1"


# -- many at once


def test_units_of_many_threads_are_whole_and_every_request_is_answered_once(start: Start) -> None:
    end = start(echo, 4)
    units = [(first, 1 + first % 7) for first in range(0, 2000, 7)]
    sent = b"".join(end.unit(first, *[b"%d" % (first + n) for n in range(size)]) for first, size in units)
    sender = threading.Thread(target=end.socket.sendall, args=(sent,))
    sender.start()
    total = sum(size for _, size in units)
    answers = end.take(total + len(units))
    sender.join(LONG)
    replies = {each.slot: each.body for each in answers if each.kind == wire.REPLY}
    expected = {first + n: b"%d of %d" % (first + n, size) for first, size in units for n in range(size)}
    assert replies == expected
    told = [counted(each) for each in answers if each.kind == wire.BATCHED]
    assert sorted(told) == sorted((size, 1, size, 0) for _, size in units)


def test_a_slow_unit_does_not_keep_others_from_idle_threads(start: Start) -> None:
    both = threading.Barrier(2)

    def run(requests: Sequence[Request]) -> list[bytes]:
        both.wait(LONG)
        return echo(requests)

    end = start(run, 2)
    end.hand_batch(b"a", b"b")
    end.hand_batch(b"c", b"d", first=2)
    assert sum(each.kind == wire.REPLY for each in end.take(6)) == 4


# -- one alone, the oldest Python, and the end


def test_a_request_that_did_not_come_by_the_link_is_a_batch_of_one() -> None:
    batches = Batches(batch_call(processor(echo)))
    assert batches(Request.build(b"a")) == (200, b"a of 1", b"")
    failing = Batches(batch_call(processor(lambda _: [LookupError("mine")])))
    with pytest.raises(LookupError, match="mine"):
        failing(Request.build(b"a"))


HOST = """
import os, socket, struct, sys, tempfile
from eas_host import batches, wire, worker
from eas_sdk import Batching, Processor
from eas_sdk._batches import batch_call

class Echo(Processor):
    batching = Batching(4)
    def process_batch(self, requests):
        for request in requests:
            if request.body == b"bad":
                raise LookupError("bad")
            if request.body == b"exit":
                sys.exit(7)
        return [bytes(request.body) + b"!" for request in requests]

ours, theirs = socket.socketpair()
board = tempfile.TemporaryFile()
board.truncate(wire.BOARD_BYTES)
channel = {"link": theirs.detach(), "board": {"fd": board.fileno()}, "requests": None, "answers": None,
           "request_prefix": "test"}
server = worker.serve(batches.Batches(batch_call(Echo())), channel, 2)
bodies = [body.encode() for body in sys.argv[1:]]
n = len(bodies)
columns = wire.unit(n).pack(*range(n), *[0] * n, *range(n), *[1e9] * n, *map(len, bodies), *[-1] * n)
unit = columns + b"".join(bodies)
ours.sendall(wire.REQUEST.pack(wire.REQUEST.size + len(unit), wire.UNIT, n, 0, 0, 0.0) + unit)
inbox, answers = wire.Inbox(wire.ANSWER), []
while not answers or answers[-1][0][1] != wire.BATCHED:
    answers += inbox.feed(ours.recv_into(inbox.space()))
(_, _, count, *_), payload = answers.pop()
columns = wire.replies(count)
print([(fields[1], fields[2], text) for fields, text in answers])
print(columns.unpack_from(payload, wire.BATCH.size), payload[wire.BATCH.size + columns.size :])
print(wire.BATCH.unpack_from(payload))
server.stop()
server.join()
"""


@pytest.mark.parametrize("version", ["3.8", "3.13"])
def test_on_the_oldest_python_and_the_newest(version: str) -> None:
    python = find_python(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    ran = subprocess.run(
        [python, "-c", HOST, "a", "bad", "b"], cwd=SDK, check=False, capture_output=True, text=True
    )
    told = [f"[({wire.RAISED}, 1, b'bad')]", "(0, 2, 2, 2) b'a!b!'", "(3, 2, 2, 0)"]
    assert ran.stdout.splitlines() == told, ran.stderr


def test_sys_exit_ends_the_instance() -> None:
    ran = subprocess.run([sys.executable, "-c", HOST, "a", "exit"], cwd=SDK, check=False, capture_output=True)
    assert (ran.returncode, ran.stdout) == (7, b"")
