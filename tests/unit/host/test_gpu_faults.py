"""What the host makes of exceptions of GPUs: with the driver's word, and over a real link."""

from __future__ import annotations

import ctypes
import threading
import traceback
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_host import gpu_faults, wire
from eas_host.batches import Batches
from eas_host.gpu_faults import Driver, Faults, Verdict, judge, sees_cards, share_of, size, too_large
from eas_sdk import Batching, Processor, Request
from eas_sdk._batches import Ran, answer_all, batch_call
from eas_sdk.gpu import DOUBT, FAULT, MEMORY, Trouble
from support import gpu_errors as of
from support.engine_end import Answered, EngineEnd
from support.libcuda import LibCuda

GIB = 2**30


class Left(BaseException):
    """The process would have ended."""


class Told:
    """What the engine was told; whoever tells it leaves."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.left = threading.Event()

    def leave(self) -> None:
        self.left.set()
        raise Left


def faults(library: LibCuda | None = None, share: int | None = None) -> tuple[Faults, Told]:
    told = Told()
    return Faults(told.lines.append, told.leave, driver=Driver(library), share=share), told


# -- the driver


def test_a_process_without_cuda_has_nobody_to_ask() -> None:
    driver = Driver()
    assert (driver.loaded, driver.lost(), driver.memory()) == (False, None, None)


def test_a_process_that_has_no_context_has_nothing_to_lose() -> None:
    assert Driver(LibCuda(devices=2)).lost() is None


@pytest.mark.parametrize(("current", "primary"), [(True, ()), (False, (1,)), (True, (0, 1))])
def test_contexts_that_answer_are_well(current: bool, primary: tuple[int, ...]) -> None:
    library = LibCuda(devices=2, current=current, primary=primary)
    assert Driver(library).lost() == ""
    assert library.stack == [], "what was pushed is popped"
    assert library.retained == 0


@pytest.mark.parametrize(("current", "primary"), [(True, ()), (False, (1,)), (True, (0, 1))])
def test_one_that_doesnt_is_lost(current: bool, primary: tuple[int, ...]) -> None:
    library = LibCuda(devices=2, current=current, primary=primary, answer=700)
    assert Driver(library).lost() == "CUDA_ERROR_ILLEGAL_ADDRESS"
    library.answer = 4711
    assert Driver(library).lost() == "error 4711"
    library.answer = 909  # a wait that timed out, among the errors of graphs
    assert Driver(library).lost() == "error 909"
    assert (library.stack, library.retained) == ([], 0)


@pytest.mark.parametrize("code", [600, 900, 901, 907, 908])
def test_a_context_that_records_a_graph_in_another_thread_is_not_lost(code: int) -> None:
    library = LibCuda(primary=(0,), answer=code)
    assert Driver(library).lost() is None, "nobody can say now"
    watch, told = faults(library)
    watch.check("Xid 45: words")
    assert told.lines == []
    assert watch.look(RuntimeError("CUDA error: operation not permitted when stream is capturing")) == ""
    assert told.lines == []


def test_a_context_that_cant_even_be_taken_is_lost() -> None:
    assert Driver(LibCuda(devices=1, primary=(0,), retain=700)).lost() == "CUDA_ERROR_ILLEGAL_ADDRESS"


def test_an_old_driver_is_asked_what_it_knows() -> None:
    library = LibCuda(
        devices=1, current=True, answer=700, lacks=("cuDevicePrimaryCtxGetState", "cuGetErrorName")
    )
    assert Driver(library).lost() == "error 700"
    assert Driver(LibCuda(lacks=("cuMemGetInfo_v2",))).memory() is None


def test_the_memory_of_the_card() -> None:
    assert Driver(LibCuda(free=3 * GIB, total=8 * GIB)).memory() == (3 * GIB, 8 * GIB)
    assert Driver(LibCuda(answer=201)).memory() is None


# -- the verdict


@pytest.mark.parametrize("kind", [FAULT, MEMORY, DOUBT])
@pytest.mark.parametrize("lost", [None, "", "CUDA_ERROR_ASSERT"])
def test_the_driver_has_the_last_word(kind: str, lost: str | None) -> None:
    verdict = judge(Trouble(kind, "E: words"), lambda: lost)
    if lost:
        assert verdict == Verdict(fault="E: words (the driver says CUDA_ERROR_ASSERT)")
    elif kind == MEMORY:
        assert verdict == Verdict(memory="E: words")
    else:
        assert verdict == Verdict(fault="E: words" if kind == FAULT and lost is None else "")


def test_who_says_nothing_of_cuda_costs_no_call_of_the_driver() -> None:
    def asked() -> str:
        raise AssertionError

    assert judge(None, asked) == Verdict()


@given(st.integers(1, 64), st.lists(st.integers(2, 64), max_size=5), st.integers(0, 64))
def test_how_many_were_too_many(requests: int, tried: list[int], alone: int) -> None:
    tried, alone = [min(each, requests) for each in tried if requests > 1], min(alone, requests)
    found = too_large(requests, tried, alone)
    assert 0 <= found <= requests
    if not tried or 0 < alone < requests:
        assert found == 0
    elif alone:
        assert found == requests
    else:
        assert found == min(tried)


# -- what is done about it


def test_a_fault_is_told_and_ends_the_process(capsys: pytest.CaptureFixture[str]) -> None:
    watch, told = faults()
    with pytest.raises(Left):
        watch.look(of.TORCH_FAULT(of.ILLEGAL))
    assert told.lines == ["AcceleratorError: CUDA error: an illegal memory access was encountered"]
    assert "GPUFault: AcceleratorError" in capsys.readouterr().err


def test_of_a_context_that_is_well_it_is_an_exception_like_any_other() -> None:
    watch, told = faults(LibCuda(current=True))
    assert watch.look(of.TORCH_FAULT(of.ILLEGAL)) == ""
    assert told.lines == []


def test_an_exception_behind_which_the_context_is_lost_is_a_fault() -> None:
    watch, told = faults(LibCuda(current=True, answer=719))
    with pytest.raises(Left):
        watch.look(RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED"))
    assert told.lines[0].endswith("(the driver says CUDA_ERROR_LAUNCH_FAILED)")


def test_memory_is_told_with_all_figures() -> None:
    watch, told = faults(LibCuda(free=GIB // 2, total=8 * GIB), share=4 * GIB)
    text = watch.look(of.TORCH_FULL(of.FULL))
    assert text.startswith(
        "no GPU memory left: OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 GiB"
    )
    assert text.endswith("; free on the card: 512 MiB of 8 GiB; the instance may have 4 GiB")
    assert told.lines == []
    assert faults()[0].look(ValueError("no")) == ""


def test_asked_about_an_event_only_who_was_hit_leaves() -> None:
    for library in (None, LibCuda(), LibCuda(current=True)):
        watch, told = faults(library)
        watch.check("Xid 31")
        assert told.lines == []
    watch, told = faults(LibCuda(current=True, answer=700))
    with pytest.raises(Left):
        watch.check("Xid 31")
    assert told.lines == ["Xid 31 (the driver says CUDA_ERROR_ILLEGAL_ADDRESS)"]


def test_a_mistake_of_the_drivers_is_nobodys_request(capsys: pytest.CaptureFixture[str]) -> None:
    class Broken:
        def __getattr__(self, name: str) -> Any:
            raise OSError(name)

    watch = Faults(lambda _: None, lambda: None, driver=Driver(Broken()))
    assert watch.look(of.TORCH_FAULT(of.ILLEGAL)) == ""
    assert "can't be looked at" in capsys.readouterr().err


def test_a_process_that_sees_no_card_and_its_share() -> None:
    assert [sees_cards({gpu_faults.VISIBLE: told}) for told in ("", "-1", "GPU-1", "0,1")] == [
        False,
        False,
        True,
        True,
    ]
    assert sees_cards({})
    assert [share_of({gpu_faults.SHARE: told}) for told in ("1024", "", "1 GB")] == [1024, None, None]
    assert share_of({}) is None
    assert (size(1536 * 2**20), size(2**20)) == ("1.5 GiB", "1 MiB")


# -- over a link


@pytest.fixture
def ends() -> Iterator[list[EngineEnd]]:
    made: list[EngineEnd] = []
    yield made
    for end in made:
        end.close()


class Card(Processor):
    """Rows of a batch that fit at once, and what single bodies ask for."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.calls: list[int] = []

    def process_batch(self, requests: Sequence[Request]) -> Any:
        self.calls.append(len(requests))
        bodies = [bytes(request.body) for request in requests]
        if len(requests) > self.room or b"huge" in bodies:
            raise of.TORCH_FULL(of.FULL)
        return bodies


def served(ends: list[EngineEnd], processor: Card, watch: Faults) -> EngineEnd:
    ends.append(EngineEnd(Batches(batch_call(processor))))
    ends[-1].server.watch_gpu(watch)
    return ends[-1]


def tail(answers: Sequence[Answered]) -> tuple[int, int]:
    """Kind of the last frame, and what it says was too large."""
    return answers[-1].kind, answers[-1].status


def test_a_batch_that_doesnt_fit_is_halved_and_the_engine_hears_at_what_size(ends: list[EngineEnd]) -> None:
    processor = Card(2)
    end = served(ends, processor, faults()[0])
    end.hand_batch(*[b"%d" % n for n in range(8)])
    answers = end.take(9)
    assert sorted(each.body for each in answers[:8]) == [b"%d" % n for n in range(8)]
    assert {each.status for each in answers[:8]} == {200}
    assert tail(answers) == (wire.BATCHED, 4)
    assert processor.calls == [8, 4, 2, 2, 4, 2, 2]
    end.hand_batch(b"a", b"b")
    assert tail(end.take(3)) == (wire.BATCHED, 0), "what was, was told"


def test_one_that_cant_fit_fails_alone_and_makes_nobodys_batches_smaller(ends: list[EngineEnd]) -> None:
    end = served(ends, Card(8), faults(share=GIB)[0])
    end.hand_batch(b"a", b"huge", b"b")
    taken = end.take(4)
    answers = {each.slot: each for each in taken[:3]}
    assert [answers[n].status for n in range(3)] == [200, 500, 200]
    assert (answers[1].kind, b"the instance may have 1 GiB" in answers[1].body) == (wire.RAISED, True)
    assert tail(taken) == (wire.BATCHED, 0)


def test_where_none_fits_the_next_batches_are_smaller(ends: list[EngineEnd]) -> None:
    end = served(ends, Card(0), faults()[0])
    end.hand_batch(b"a", b"b", b"c")
    assert tail(end.take(4)) == (wire.BATCHED, 3)


def test_a_processor_that_halves_by_itself_says_so(ends: list[EngineEnd]) -> None:
    processor, (watch, _) = Card(8), faults()
    processor.batching = Batching(8)
    processor.batching.raised(of.TORCH_FULL(of.FULL), 5)  # nobody watches yet
    processor.batching.watch(watch.in_part)

    class Halving(Card):
        def process_batch(self, requests: Sequence[Request]) -> Any:
            assert processor.batching is not None
            processor.batching.raised(of.TORCH_FULL(of.FULL), 3)
            return [b""] * len(requests)

    end = served(ends, Halving(8), watch)
    end.hand_batch(b"a", b"b", b"c", b"d")
    assert tail(end.take(5)) == (wire.BATCHED, 3)


def test_without_batches_memory_has_its_status_and_other_failures_theirs(ends: list[EngineEnd]) -> None:
    def handle(request: Any) -> tuple[int, Any, bytes]:
        raise of.TORCH_FULL(of.FULL) if request.body == b"huge" else ValueError("no")

    ends.append(EngineEnd(handle))
    ends[0].server.watch_gpu(faults()[0])
    ends[0].hand(b"huge", b"bad")
    full, bad = ends[0].take(2)
    assert (full.kind, full.status, bad.status, bad.body) == (wire.RAISED, 500, 400, b"no")
    assert full.body.startswith(b"no GPU memory left: OutOfMemoryError: ")


def test_who_was_hit_by_a_fault_is_not_answered_and_who_was_answered_before_is(ends: list[EngineEnd]) -> None:
    """The engine does that when the process is dead: an answer of 400 would be wrong."""
    told = Told()
    stays = threading.Event()

    def leave() -> None:
        told.left.set()
        stays.wait()  # a real one never comes back

    def handle(request: Any) -> tuple[int, Any, bytes]:
        if request.body == b"torch":
            raise of.TORCH_FAULT(of.ILLEGAL)
        return 200, bytes(request.body), b""

    ends.append(EngineEnd(handle))
    ends[0].server.watch_gpu(Faults(told.lines.append, leave))
    answers: list[Answered] = []
    for n in range(300):  # it is fast, and holds answers back while there is more to do
        ends[0].hand(b"a", b"torch" if n == 299 else b"b", b"never", first=3 * n)
        answers = ends[0].take(1 if n == 299 else 3)
    assert [each.body for each in answers] == [b"a"]
    told.left.wait()
    assert len(told.lines) == 1
    assert not ends[0].begun(3 * 299 + 2), "it goes to another instance"
    ends[0].socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        ends[0].take()
    ends[0].socket.setblocking(True)
    stays.set()


def test_what_failed_keeps_no_tensors_while_the_halves_run() -> None:
    """An exception holds the frames that it went through, and these what fills the memory."""
    alive: list[int] = []
    held = [0]

    class Tensor:
        def __init__(self) -> None:
            held[0] += 1

        def __del__(self) -> None:
            held[0] -= 1

    def run(items: list[int]) -> tuple[list[Any], Ran]:
        alive.append(held[0])
        tensor = Tensor()
        try:
            fill(tensor)
        except of.TORCH_FULL as error:
            raise ValueError("the model can't be run") from error
        return items, (1, len(items), 0)

    def fill(tensor: Tensor | None) -> None:
        if tensor is not None:
            raise of.TORCH_FULL(of.FULL)

    outcomes, _ = answer_all(run, range(4))
    assert {type(each) for each in outcomes} == {ValueError}
    assert alive == [0] * 7
    assert "in fill" in "".join(traceback.format_exception(outcomes[0])), "the log still says where"


def test_the_fakes_numbers_are_the_drivers() -> None:
    text = ctypes.c_char_p()
    assert LibCuda().cuGetErrorName(719, ctypes.byref(text)) == 0
    assert text.value == b"CUDA_ERROR_LAUNCH_FAILED"
