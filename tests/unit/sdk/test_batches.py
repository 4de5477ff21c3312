"""Who is to blame when a batch raises, and what a batch may return."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_sdk import Batching, Processor, Request, Response
from eas_sdk._batches import GivenUp, Outcome, Ran, answer_all, batch_call, checked

sizes = st.integers(1, 40)


class Bad(Exception):
    """What a bad item raises."""


class Calls:
    """A batch call of numbers that raises for bad ones, alone or together, and counts."""

    def __init__(self, bad: set[int], quarrel: frozenset[int] = frozenset()) -> None:
        self.bad, self.quarrel = bad, quarrel
        self.seen: Counter[int] = Counter()
        self.calls = 0

    def __call__(self, items: list[int]) -> tuple[list[str | BaseException], Ran]:
        self.calls += 1
        self.seen.update(items)
        for item in items:
            if item in self.bad:
                raise Bad(item)
        if self.quarrel and self.quarrel <= set(items):
            raise Bad("together")
        answers: list[str | BaseException] = [f"answer {item}" for item in items]
        rows = 10 * len(items)
        items.clear()  # it may
        return answers, (1, rows, 1)


@given(st.data(), sizes)
def test_each_bad_one_fails_alone_and_the_others_have_their_answers(data: st.DataObject, size: int) -> None:
    bad = data.draw(st.sets(st.integers(0, size - 1)))
    call = Calls(bad)
    outcomes, (calls, rows, padding) = answer_all(call, range(size))
    assert len(outcomes) == size
    for item, outcome in enumerate(outcomes):
        if item in bad:
            assert isinstance(outcome, Bad)
            assert outcome.args == (item,)
        else:
            assert outcome == f"answer {item}"
    assert rows == 10 * (size - len(bad))
    assert calls == padding <= call.calls


@given(st.data(), sizes)
def test_the_work_is_bounded(data: st.DataObject, size: int) -> None:
    call = Calls(data.draw(st.sets(st.integers(0, size - 1))))
    answer_all(call, range(size))
    assert call.calls <= 2 * size - 1
    assert max(call.seen.values()) <= 1 + math.ceil(math.log2(size))
    assert min(call.seen.values()) >= 1


@given(sizes, st.integers(0, 39))
def test_one_bad_one_costs_two_calls_a_halving(size: int, bad: int) -> None:
    call = Calls({bad % size})
    answer_all(call, range(size))
    assert call.calls <= 1 + 2 * math.ceil(math.log2(size))


@given(st.data(), st.integers(2, 40))
def test_those_that_only_fail_together_are_all_answered(data: st.DataObject, size: int) -> None:
    quarrel = data.draw(st.sets(st.integers(0, size - 1), min_size=2))
    outcomes, _ = answer_all(Calls(set(), frozenset(quarrel)), range(size))
    assert outcomes == [f"answer {item}" for item in range(size)]


@given(st.data(), st.integers(2, 40))
def test_whoever_is_not_waited_for_any_more_is_not_tried_again(data: st.DataObject, size: int) -> None:
    over = data.draw(st.sets(st.integers(0, size - 1)))
    call = Calls({data.draw(st.integers(0, size - 1))})
    outcomes, _ = answer_all(call, range(size), over.__contains__)
    for item, outcome in enumerate(outcomes):
        assert isinstance(outcome, GivenUp) is (item in over)
        if item in over:
            assert call.seen[item] == 1


def test_one_that_raises_alone_is_called_once() -> None:
    call = Calls({0})
    (outcome,), ran = answer_all(call, [0])
    assert isinstance(outcome, Bad)
    assert (call.calls, ran) == (1, (0, 0, 0))


@pytest.mark.parametrize("leaving", [SystemExit(3), KeyboardInterrupt()])
@pytest.mark.parametrize("when", [1, 2])
def test_what_ends_the_process_is_nobodys_answer(leaving: BaseException, when: int) -> None:
    calls: list[int] = []

    def call(items: list[int]) -> tuple[list[str | BaseException], Ran]:
        calls.append(len(items))
        if len(calls) == when:
            raise leaving
        raise Bad

    with pytest.raises(type(leaving)):
        answer_all(call, range(4))
    assert calls == [4, 2][:when]


class Unprintable(Exception):
    def __str__(self) -> str:
        raise ValueError


@pytest.mark.parametrize(
    ("raised", "line"),
    [
        (
            MemoryError("5 GB\nof the device"),
            "a batch of 4 requests raised MemoryError: 5 GB; its halves are called by themselves\n",
        ),
        (Unprintable(), ""),
    ],
)
def test_a_batch_whose_halves_succeed_leaves_a_line_in_the_log(
    capsys: pytest.CaptureFixture[str], raised: Exception, line: str
) -> None:
    def call(items: list[int]) -> tuple[list[str | BaseException], Ran]:
        if len(items) > 2:
            raise raised
        return ["answered"] * len(items), (1, len(items), 0)

    assert answer_all(call, range(4)) == (["answered"] * 4, (2, 4, 0))
    assert capsys.readouterr().err == line


# -- what a batch call may return


def test_results_of_all_kinds() -> None:
    error = ValueError("mine")
    good: list[object] = [b"a", "\u00e4", bytearray(b"c"), memoryview(b"dd").cast("H"), Response(b"e", 202)]
    outcomes = checked([*good, error], 6)
    sent = [(status, bytes(body), lines) for status, body, lines in map(_answered, outcomes[:5])]
    assert sent == [
        (200, b"a", b""),
        (200, "\u00e4".encode(), b""),
        (200, b"c", b""),
        (200, b"dd", b""),
        (202, b"e", b""),
    ]
    assert outcomes[5] is error


def _answered(outcome: Outcome) -> tuple[int, bytes | bytearray | memoryview, bytes]:
    assert not isinstance(outcome, BaseException)
    return outcome


def _released() -> memoryview:
    view = memoryview(b"gone")
    view.release()
    return view


@pytest.mark.parametrize("result", [None, 5, (b"a", 200), {"a": 1}, _released()])
def test_a_result_that_cannot_be_sent_fails_its_request_alone(result: object) -> None:
    first, second = checked([result, b"good"], 2)
    assert isinstance(first, (TypeError, ValueError))
    assert second == (200, b"good", b"")


@pytest.mark.parametrize(
    ("results", "told"),
    [
        ([b"a"], "a list of 2 results, not 1 results"),
        ([], "not 0 results"),
        (None, "not None"),
        (b"ab", "not b'ab'"),
        ({0: b"a", 1: b"b"}, "not {0:"),
        ((each for each in (b"a", b"b")), "not <generator"),
    ],
)
def test_results_whose_requests_are_not_known(results: object, told: str) -> None:
    with pytest.raises(TypeError, match=f"process_batch\\(\\) must return .*{told}"):
        checked(results, 2)


# -- the call of a processor


class Model(Processor):
    """Says of the last request's body how its calls are to be counted."""

    def process_batch(self, requests: Sequence[Request]) -> list[bytes]:
        assert self.batching is None or self.batching.max_batch_size == 4
        for request in requests:
            if request.body == b"ran" and self.batching is not None:
                self.batching.ran(3)
                self.batching.ran(8, padding=2)
            if request.body == b"raise":
                raise LookupError
        return [bytes(request.body) for request in requests]


def asked(*bodies: bytes) -> list[Request]:
    return [Request.build(body) for body in bodies]


def test_what_the_processor_says_of_its_calls_is_counted() -> None:
    model = Model()
    model.batching = Batching(4)
    call = batch_call(model)
    assert call(asked(b"ran", b"a"))[1] == (2, 11, 2)
    assert call(asked(b"a", b"b"))[1] == (1, 2, 0)
    with pytest.raises(LookupError):
        call(asked(b"ran", b"raise"))
    assert call(asked(b"a"))[1] == (1, 1, 0)  # nothing is left of the call that raised


@pytest.mark.parametrize(
    ("said", "error"),
    [((-1,), ValueError), ((1, -1), ValueError), ((1.5,), TypeError), ((1, None), TypeError)],
)
def test_counts_that_are_none_are_refused_where_they_are_said(said: tuple[Any, ...], error: type) -> None:
    batching = Batching(4)
    with pytest.raises(error):
        batching.ran(*said)
    assert batching.collect() == (0, 0, 0)


def test_a_processor_that_is_not_told_of_batching_is_counted_by_requests() -> None:
    assert batch_call(Model())(asked(b"ran", b"a"))[1] == (1, 2, 0)


def test_batching_shows_itself_and_keeps_its_sizes() -> None:
    batching = Batching(16, padding=True, sizes=[1, 4, 16])
    assert repr(batching) == "Batching(max_batch_size=16, padding=True, sizes=(1, 4, 16))"
    assert Processor.batching is None


# -- settings that change


def test_a_call_keeps_the_settings_with_which_it_began() -> None:
    seen: list[str] = []

    class Changing(Processor):
        def process_batch(self, requests: Sequence[Request]) -> list[bytes]:
            assert self.batching is not None
            seen.append(repr(self.batching))
            self.batching.change(8, padding=True, sizes=[2, 8])
            seen.append(repr(self.batching))
            return [b"" for _ in requests]

    model = Changing()
    model.batching = Batching(4)
    call = batch_call(model)
    call(asked(b"a"))
    call(asked(b"a"))
    old = "Batching(max_batch_size=4, padding=False, sizes=())"
    new = "Batching(max_batch_size=8, padding=True, sizes=(2, 8))"
    assert seen == [old, old, new, new]


def test_a_call_in_one_thread_holds_up_no_other() -> None:
    batching, seen = Batching(4), list[int]()
    batching.begin()
    batching.change(8)

    def call() -> None:
        seen.append(batching.max_batch_size)  # a thread of the processor's own, in which no call has begun
        batching.begin()
        seen.append(batching.max_batch_size)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    assert seen == [8, 8]
    assert batching.max_batch_size == 4
    batching.begin()
    assert batching.max_batch_size == 8
