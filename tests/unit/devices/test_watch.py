"""The thread tells of each fault once, and what it has seen is what is there."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator

import pytest

from eas_engine.clock import SystemClock
from eas_engine.devices import Gpu
from eas_engine.devices import nvml as driver
from eas_engine.devices.inventory import Occupant
from eas_engine.devices.readings import Reading
from eas_engine.devices.watch import MOST_MISSES, Seen, View, Watch
from eas_engine.devices.xid import Fault, back, fault, lost
from support.nvml import ScriptedNvml, Slice, card

GPU = Gpu("a card", 1 << 30, "GPU-0")


class Watched:
    """A watch whose faults are waited for."""

    def __init__(self, nvml: ScriptedNvml) -> None:
        self.nvml = nvml
        self.told: queue.SimpleQueue[Fault] = queue.SimpleQueue()
        self.watch = Watch(nvml, self.told.put, SystemClock(), period=0.01)

    def next(self) -> Fault:
        return self.told.get(timeout=60)

    def until(self, asked: int) -> None:
        """The thread has looked so often more."""
        name = "nvmlDeviceGetCount"
        wanted = self.nvml.asked.count(name) + asked
        while self.nvml.asked.count(name) < wanted:
            self.watch._ended.wait(0.001)


@pytest.fixture
def watched() -> Iterator[Watched]:
    nvml = ScriptedNvml(card(0, processes={7: 5}), card(1, slices=[Slice(uuid="MIG-a")]))
    made = Watched(nvml)
    made.watch.start()
    made.until(2)
    yield made
    made.watch.close()
    assert nvml.opened == 0
    assert [one.freed for one in nvml.events] in ([True], [])


def test_an_xid_is_told_and_counted(watched: Watched) -> None:
    watched.nvml.xid("GPU-1", 31)
    watched.nvml.xid("GPU-1", 31)
    watched.nvml.xid("GPU-0", 48)
    assert [watched.next() for _ in range(3)] == [fault("GPU-1", 31), fault("GPU-1", 31), fault("GPU-0", 48)]
    assert watched.watch.view.faults == {("GPU-1", 31): 2, ("GPU-0", 48): 1}
    watched.until(2)
    assert watched.watch.view.faults == {("GPU-1", 31): 2, ("GPU-0", 48): 1}


def test_what_is_there_is_seen(watched: Watched) -> None:
    view = watched.watch.view
    assert list(view.seen) == ["GPU-0", "GPU-1", "MIG-a"]
    assert view.seen["GPU-0"].reading.memory == 5
    watched.nvml.cards[0].processes[8] = 6
    watched.until(2)
    assert watched.watch.view.seen["GPU-0"].reading.memory == 11
    assert [one.pid for one in watched.watch.view.seen["GPU-0"].occupants or ()] == [7, 8]


def test_a_card_that_is_lost_is_told_once_and_may_come_back(watched: Watched) -> None:
    watched.nvml.cards[0].lost = True
    gone = watched.next()
    assert (gone.uuid, gone.xid, gone.scope) == ("GPU-0", None, "gone")
    watched.until(3)
    assert watched.told.empty()
    assert watched.watch.view.lost == {"GPU-0"}
    assert "GPU-0" not in watched.watch.view.seen
    watched.nvml.cards[0].lost = False
    watched.until(2)
    assert watched.watch.view.lost == frozenset()
    assert watched.next() == back("GPU-0")
    watched.nvml.xid("GPU-0", 43)
    assert watched.next() == fault("GPU-0", 43)


def test_one_answer_that_fails_loses_no_card() -> None:
    nvml = ScriptedNvml(card(0), card(1))
    made = Watched(nvml)
    made.watch._look()
    for _ in range(MOST_MISSES - 1):
        nvml.cards[0].failing["nvmlDeviceGetMemoryInfo"] = driver.UNKNOWN
        for _ in range(MOST_MISSES - 1):
            made.watch._look()
        del nvml.cards[0].failing["nvmlDeviceGetMemoryInfo"]
        made.watch._look()
    assert made.told.empty()
    assert made.watch.view.lost == frozenset()
    nvml.failing["nvmlDeviceGetCount"] = driver.UNKNOWN  # the driver is out of its mind, the cards are there
    for _ in range(5 * MOST_MISSES):
        made.watch._look()
    assert made.told.empty()


def test_a_card_that_goes_on_failing_is_lost() -> None:
    nvml = ScriptedNvml(card(0), card(1))
    made = Watched(nvml)
    made.watch._look()
    nvml.cards[1].failing["nvmlDeviceGetMemoryInfo"] = driver.UNKNOWN
    for _ in range(MOST_MISSES):
        assert made.told.empty()
        made.watch._look()
    assert made.next() == lost("GPU-1")


def test_the_xid_of_a_lost_card_is_its_own(watched: Watched) -> None:
    watched.watch.period = 3600.0  # it isn't found lost before the driver tells
    watched.until(0)
    watched.nvml.cards[0].lost = True
    watched.nvml.xid("GPU-0", 79)
    told = {watched.next()}
    while fault("GPU-0", 79) not in told:  # one look may have been under way
        told.add(watched.next())


def test_a_wait_that_fails_is_tried_again(watched: Watched) -> None:
    watched.nvml.break_waiting(driver.GPU_IS_LOST)
    watched.nvml.xid("GPU-0", 13)
    assert watched.next() == fault("GPU-0", 13)


def test_without_events_cards_are_seen_all_the_same() -> None:
    nvml = ScriptedNvml(card(0))
    nvml.failing["nvmlEventSetCreate"] = driver.NOT_SUPPORTED
    made = Watched(nvml)
    made.watch.start()
    made.until(2)
    nvml.cards[0].lost = True
    assert made.next().xid is None
    made.watch.close()
    assert nvml.opened == 0


def test_nobody_is_left_to_be_told() -> None:
    nvml = ScriptedNvml(card(0))

    def closed(_: Fault) -> None:
        raise RuntimeError("Event loop is closed")

    watch = Watch(nvml, closed, SystemClock(), period=1.0)
    watch._report(fault("GPU-0", 13))
    assert watch.view.faults == {("GPU-0", 13): 1}


def test_a_driver_that_never_answers_keeps_no_engine_from_its_end() -> None:
    hangs, asked = threading.Event(), threading.Event()

    class Hangs(ScriptedNvml):
        def nvmlDeviceGetCount(self) -> int:  # noqa: N802 - the name is NVML's
            asked.set()
            hangs.wait()
            return 0

    nvml = Hangs(card(0))
    watch = Watch(nvml, lambda _: None, SystemClock(), period=1.0)
    watch.start()
    assert asked.wait(60)
    watch.close(patience=0.05)
    assert nvml.opened == 1, "nobody closes what somebody is still asking"
    hangs.set()


def seen(busy: dict[int, float] | None, *occupants: Occupant, uuid: str = "GPU-0") -> Seen:
    return Seen(Reading(gpu=Gpu("a card", 1 << 30, uuid)), occupants, busy)


PARENT, CHILD, OTHER = (
    Occupant(7, 5, frozenset({7, 1})),
    Occupant(8, 6, frozenset({8, 7, 1})),
    Occupant(9, None, frozenset({9, 1})),
)


def test_an_instance_has_what_its_processes_and_their_descendants_have() -> None:
    found = seen({7: 10.0, 9: 50.0}, PARENT, CHILD, OTHER)
    assert (found.memory_of([7]), found.memory_of([8]), found.memory_of([9])) == (11, 6, None)
    assert (found.percent_of([7]), found.percent_of([8]), found.percent_of([9])) == (10.0, 0.0, 50.0)
    assert found.percent_of([77]) is found.memory_of([77]) is None
    assert seen(None, PARENT).percent_of([7]) is None


def test_the_use_of_cards_is_their_mean_and_that_of_a_share_is_of_the_share() -> None:
    first, second = seen({7: 80.0}, PARENT), seen({}, uuid="GPU-1")
    view = View({"GPU-0": first, "GPU-1": second})
    assert view.percent_of([7], ["GPU-0"], None) == 80.0
    assert view.percent_of([7], ["GPU-0", "GPU-1"], None) == 40.0
    assert view.percent_of([7], ["GPU-1"], None) is None
    assert view.percent_of([7], [], None) == 80.0
    assert view.percent_of([70], [], None) is None
    assert view.percent_of([7], ["GPU-9"], 50) is None
    assert View({"GPU-0": seen({7: 15.0}, PARENT)}).percent_of([7], ["GPU-0"], 30) == 50.0
    assert view.percent_of([7], ["GPU-0"], 30) == 100.0


@pytest.mark.parametrize(
    ("xid", "scope"), [(13, "process"), (31, "process"), (79, "gone"), (63, "note"), (9999, "process")]
)
def test_what_xids_concern(xid: int, scope: str) -> None:
    assert fault("GPU-0", xid).scope == scope
    assert fault("GPU-0", xid).text.startswith(f"Xid {xid}: ")
