"""Batches between line and hosts: who goes together, when, where, and what becomes of a unit of work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from eas_engine.batching.cut import Rules
from eas_engine.errors import InstanceCrashed
from eas_engine.gateway.reply import server_timing
from eas_engine.request import Ticket
from eas_engine.workers.batch_link import AHEAD_US, BatchLink
from eas_host import wire
from support.parts import Asker, Parts
from support.wire_host import WireHost

EAGER = Rules(4, 0.05, when_idle=True)
PATIENT = replace(EAGER, when_idle=False)

Making = Callable[..., Parts]


@pytest.fixture
def batching() -> Iterator[Making]:
    """Makes parts with these rules, and closes them."""
    made: list[Parts] = []

    def make(rules: Rules = EAGER, **more: Any) -> Parts:
        made.append(Parts(**{"queue": 50, "batching": rules, **more}))
        return made[-1]

    yield make
    for parts in made:
        parts.close()


def ask(parts: Parts, count: int = 1, body: bytes = b"") -> list[tuple[Asker, Ticket]]:
    """So many requests that come in one turn of the loop; it isn't over yet."""
    asked = []
    for _ in range(count):
        asker, ticket = parts.ask(body)
        assert isinstance(ticket, Ticket)
        asked.append((asker, ticket))
    return asked


def units(host: WireHost) -> list[int]:
    """The sizes of the units in the host, in the order in which they came."""
    host.read()
    return [len(unit.calls) for unit in host.units]


def reasons(parts: Parts) -> dict[str, int]:
    return dict(parts.counters.batches)


def link_of(host: WireHost) -> BatchLink:
    assert isinstance(host.link, BatchLink)
    return host.link


def make_short(parts: Parts) -> None:
    """A batch that takes little time, so that hosts take a full one ahead."""
    ask(parts)
    parts.serve_all()


# -- when


def test_who_comes_alone_goes_at_the_end_of_the_turn(batching: Making) -> None:
    parts = batching()
    host = parts.host()
    ask(parts)
    assert units(host) == []
    parts.loop.turn()
    assert units(host) == [1]
    parts.serve_all()
    assert reasons(parts) == {"idle": 1}
    parts.check_empty()


def test_those_that_come_in_one_turn_go_together(batching: Making) -> None:
    parts = batching()
    host = parts.host()
    ask(parts, 3)
    parts.loop.turn()
    assert units(host) == [3]


def test_a_full_batch_doesnt_wait_for_the_end_of_the_turn(batching: Making) -> None:
    parts = batching()
    host = parts.host()
    ask(parts, 5)
    assert units(host) == [4]
    parts.loop.turn()
    assert units(host) == [4, 1]
    parts.serve_all()
    assert reasons(parts) == {"full": 1, "idle": 1}


def test_while_every_thread_is_busy_the_next_batch_grows(batching: Making) -> None:
    parts = batching()
    host = parts.host(threads=1)
    for _ in range(4):
        ask(parts)
        parts.loop.turn()
    assert units(host) == [1]
    parts.serve_all()
    assert reasons(parts) == {"idle": 2}
    assert parts.counters.batch_sizes[:3] == [1, 0, 1]


def test_without_batch_when_idle_the_oldest_waits_until_the_timeout(batching: Making) -> None:
    parts = batching(PATIENT)
    host = parts.host()
    ask(parts)
    parts.loop.advance(0.030)
    ask(parts)
    parts.loop.advance(0.0199)
    assert units(host) == []
    assert parts.loop.timers == 2, "that of the deadlines and one of the batches"
    parts.loop.advance(0.0012)
    assert units(host) == [2]
    parts.serve_all()
    assert reasons(parts) == {"age": 1}


def test_the_arrival_of_the_first_byte_counts_not_that_of_the_whole_body(batching: Making) -> None:
    parts = batching(PATIENT)
    host = parts.host()
    ticket = parts.gate.admit(Asker(), b"", 0.0, parts.loop.now)
    assert isinstance(ticket, Ticket)
    parts.loop.advance(0.045)
    parts.upload(ticket, b"")
    parts.loop.advance(0.006)
    assert units(host) == [1]


def test_a_deadline_comes_before_the_timeout(batching: Making) -> None:
    parts = batching(replace(PATIENT, timeout=60.0), keepalive=5.0)
    host = parts.host()
    ask(parts)
    parts.loop.advance(1.0)
    ask(parts)
    parts.loop.advance(1.499)
    assert units(host) == []
    parts.loop.advance(0.002)
    assert units(host) == [2], "half of the first one's time is over, and nobody knows yet what a batch takes"
    for call in list(host.calls):
        host.begin(call)
        host.answer(call, us=1_000_000)
    ask(parts)
    parts.loop.advance(3.997)
    assert units(host) == []
    parts.loop.advance(0.002)
    assert units(host) == [1], "it lasts a second"
    parts.serve_all()
    assert reasons(parts) == {"deadline": 2}


def test_who_left_doesnt_make_the_others_go_earlier(batching: Making) -> None:
    parts = batching(PATIENT)
    host = parts.host()
    ((asker, ticket),) = ask(parts)
    parts.loop.advance(0.040)
    ask(parts)
    parts.loop.turn()
    parts.gone(asker, ticket)
    parts.loop.advance(0.020)
    assert units(host) == []
    parts.loop.advance(0.032)
    assert units(host) == [1]


def test_when_the_engine_drains_nobody_waits_for_company(batching: Making) -> None:
    parts = batching(PATIENT)
    host = parts.host()
    ask(parts, 2)
    parts.loop.turn()
    parts.pool.drain()
    assert units(host) == [2]
    ask(parts)
    parts.loop.turn()
    assert units(host) == [2, 1], "its body was on its way"
    parts.serve_all()
    assert reasons(parts) == {"drain": 2}


# -- how many


def test_it_learns_how_many_requests_fill_a_batch(batching: Making) -> None:
    parts = batching()
    host = parts.host(threads=1)
    host.rows = 2
    for _ in range(30):
        ask(parts)
        parts.serve_all()
    ask(parts, 5)
    assert units(host) == [2, 2]
    parts.serve_all()
    assert reasons(parts) == {"idle": 31, "full": 2}


def test_a_batch_never_has_more_requests_than_the_host_has_slots(batching: Making) -> None:
    parts = batching(replace(EAGER, max_batch_size=3 * wire.SLOTS))
    host = parts.host(threads=1)
    ask(parts, wire.SLOTS + 2)
    parts.loop.turn()
    assert units(host) == [wire.SLOTS]
    for call in list(host.read()):
        host.begin(call)
        host.answer(call)
        parts.loop.turn()
    parts.serve_all()
    assert link_of(host).places() == wire.SLOTS
    parts.check_empty()


@pytest.mark.parametrize("threads", [2, 5, 100])
def test_no_thread_is_idle_because_the_others_took_all_slots(batching: Making, threads: int) -> None:
    parts = batching(replace(EAGER, max_batch_size=3 * wire.SLOTS), queue=2 * wire.SLOTS)
    host = parts.host(threads=threads)
    ask(parts, wire.SLOTS + 3)
    parts.loop.turn()
    assert units(host) == [wire.SLOTS // threads] * threads
    assert link_of(host).free_threads() == 0


def test_what_goes_ahead_is_full_and_no_rest_of_the_slots(batching: Making) -> None:
    parts = batching(replace(EAGER, max_batch_size=wire.SLOTS), queue=2 * wire.SLOTS)
    host = parts.host(threads=3)
    make_short(parts)
    ask(parts, wire.SLOTS + 3)
    parts.loop.turn()
    assert units(host) == [wire.SLOTS // 3] * 3, "the one slot that is left makes no batch"
    assert not link_of(host).takes_one_ahead()


# -- where


def test_the_host_with_the_most_idle_threads_gets_the_batch(batching: Making) -> None:
    parts = batching()
    one, other = parts.host(threads=1), parts.host(threads=2)
    ask(parts, 12)
    assert (units(one), units(other)) == ([4], [4, 4])


def test_a_full_batch_goes_ahead_while_batches_are_short(batching: Making) -> None:
    parts = batching()
    host = parts.host(threads=1)
    make_short(parts)
    ask(parts, 4 + 4 + 3)
    parts.loop.turn()
    assert units(host) == [4, 4], "one ahead, and that is full"
    ask(parts, 5)
    parts.loop.turn()
    assert units(host) == [4, 4], "one is enough"
    parts.serve_all()
    parts.check_empty()


def test_nothing_goes_ahead_before_a_batch_was_seen_nor_while_they_are_long(batching: Making) -> None:
    parts = batching()
    host = parts.host(threads=1)
    for us in (AHEAD_US, AHEAD_US - 1):
        ask(parts, 8)
        parts.loop.turn()
        assert units(host) == [4]
        for _ in range(2):
            for call in list(host.read()):
                host.begin(call)
                host.answer(call, us=us)
            parts.loop.turn()
    ask(parts, 8)
    parts.loop.turn()
    assert units(host) == [4, 4]


def test_what_is_ahead_is_taken_back_when_another_host_has_a_thread_free(batching: Making) -> None:
    parts = batching()
    slow = parts.host(threads=1)
    make_short(parts)
    asked = ask(parts, 8)
    parts.loop.turn()
    for call in [call for call in slow.read() if call.unit is slow.units[0]]:
        assert slow.begin(call)
    assert units(slow) == [4, 4]
    other = parts.host(threads=1)
    parts.loop.advance(0.01)
    assert units(other) == [4]
    parts.hosts.remove(slow)
    parts.serve_all()
    parts.hosts.append(slow)
    assert [asker.code for asker, _ in asked] == [None] * 4 + [200] * 4
    assert parts.counters.batches == {"idle": 1, "full": 1}, "what was taken back did no work"
    parts.serve_all()
    parts.check_empty()


# -- what becomes of a unit


def test_a_unit_is_over_when_its_last_slot_is_back(batching: Making) -> None:
    parts = batching()
    host = parts.host(threads=1)
    asked = ask(parts, 3)
    parts.loop.turn()
    link = link_of(host)
    asker, ticket = asked[1]
    parts.gone(asker, ticket)
    assert parts.gate.count == 2, "its place is free at once"
    assert (link.count, link.busy(), link.units) == (3, 0, 1)
    for call in list(host.read()):
        host.begin(call)
    parts.loop.turn()
    assert (link.busy(), link.begun(), link.count) == (1, 2, 2)
    first, second = host.read()
    host.answer(first)
    parts.loop.turn()
    assert (link.units, link.free_threads()) == (1, 0)
    host.fail(second, b"no")
    parts.loop.turn()
    assert (link.units, link.free_threads(), link.count, link.busy()) == (0, 1, 0, 0)
    assert [asker.code for asker, _ in asked] == [200, "gone", "processor_exception"]
    counters = parts.counters
    assert (reasons(parts), counters.batch_requests, counters.batch_rows) == ({"idle": 1}, 2, 2)


def test_a_unit_that_everybody_left_counts_nowhere(batching: Making) -> None:
    parts = batching()
    host = parts.host(threads=1)
    asked = ask(parts, 2)
    parts.loop.turn()
    for asker, ticket in asked:
        parts.gone(asker, ticket)
    parts.serve_all()
    assert reasons(parts) == {}
    assert parts.counters.batch_calls == sum(parts.counters.batch_sizes) == 0
    assert link_of(host).free_threads() == 1
    parts.check_empty()


def test_a_host_that_dies_takes_along_what_it_had_begun_and_nothing_else(batching: Making) -> None:
    parts = batching()
    host = parts.host(threads=2)
    asked = ask(parts, 6)
    parts.loop.turn()
    assert units(host) == [4, 2]
    for call in host.units[0].calls:
        host.begin(call)
    parts.kill(host, InstanceCrashed())
    assert [asker.code for asker, _ in asked] == ["instance_crashed"] * 4 + [None] * 2
    assert [ticket for _, ticket in asked[4:]] == list(parts.backlog.line)
    assert reasons(parts) == {"full": 1}, "the other one did no work"
    parts.host()
    parts.serve_all()
    assert [asker.code for asker, _ in asked[4:]] == [200, 200]
    assert reasons(parts) == {"full": 1, "idle": 1}
    parts.check_empty()


def test_an_answer_that_left_before_its_host_died_makes_its_batch_count_once(batching: Making) -> None:
    parts = batching()
    host = parts.host()
    ((asker, _),) = ask(parts)
    parts.loop.turn()
    host.serve()
    parts.kill(host)
    assert asker.code == 200
    assert reasons(parts) == {"idle": 1}


def test_an_instance_that_leaves_gives_back_what_it_hasnt_begun(batching: Making) -> None:
    parts = batching()
    leaving = parts.host(threads=2)
    asked = ask(parts, 6)
    parts.loop.turn()
    assert units(leaving) == [4, 2]
    for call in list(leaving.units[0].calls):
        leaving.begin(call)
    leaving.link.drain()
    ask(parts, 2)
    other = parts.host(threads=1)
    parts.loop.advance(0.01)
    assert units(other) == [2], "who came later went first: the others were on their way back"
    parts.serve_all()
    assert {asker.code for asker, _ in asked} == {200}
    parts.check_empty()


def test_suspects_go_alone(batching: Making) -> None:
    parts = batching(retry=True)
    host = parts.host(threads=2)
    asked = ask(parts, 3)
    parts.loop.turn()
    for call in list(host.read()):
        host.begin(call)
    parts.kill(host, InstanceCrashed())
    again = parts.host(threads=2)
    ask(parts, 2)
    for _ in range(3):
        parts.loop.turn()
        assert units(again) == [1]
        again.serve()
    parts.serve_all()
    assert [asker.code for asker, _ in asked] == [200] * 3
    parts.check_empty()


def test_large_bodies_travel_in_memory_and_their_answers_memory_comes_back_between_batches(
    batching: Making,
) -> None:
    parts = batching()
    host = parts.host(threads=1)
    body = bytes(wire.SPILL_BYTES + 1)
    asked = ask(parts, 4, body) + ask(parts, 4, b"small")
    parts.loop.turn()
    assert {call.body for call in host.read()} == {body}
    for call in list(host.read()):
        host.begin(call)
        host.answer(call, body)
        parts.loop.turn()
    parts.serve_all()
    assert [asker.ending[2] for asker, _ in asked if asker.ending] == [body] * 4 + [b"small"] * 4
    assert len(host.released) == 4
    parts.check_empty()


def test_a_batch_that_failed_altogether_teaches_nothing(batching: Making) -> None:
    parts = batching()
    host = parts.host()
    ask(parts)
    parts.loop.turn()
    host.send(wire.BATCHED, 0, wire.BATCH.pack(4, 0, 0, 0), status=0, us=9_000_000)
    parts.loop.turn()
    assert parts.batcher is not None
    assert parts.batcher.pace.seconds is None
    assert (parts.counters.batch_requests, parts.counters.batch_calls) == (4, 0)


@pytest.mark.parametrize("payload", [b"", b"123", bytes(17)])
def test_a_report_that_is_none_ends_the_link(batching: Making, payload: bytes) -> None:
    parts = batching()
    host = parts.host()
    ask(parts)
    parts.loop.turn()
    host.send(wire.BATCHED, 0, payload, status=0)
    parts.loop.turn()
    assert parts.broken == [("digits-0", "digits-0 sent a malformed report of a batch")]


@pytest.mark.parametrize(
    ("sizes", "bodies"), [((1, 2), b"abcd"), ((1, 2), b"ab"), ((1,), b"abc"), ((2**32 - 1, 1), b"")]
)
def test_answers_that_arent_as_long_as_the_report_says_end_the_link(
    batching: Making, sizes: tuple[int, ...], bodies: bytes
) -> None:
    parts = batching()
    host = parts.host()
    asked = ask(parts, 2)
    parts.loop.turn()
    slots = [call.slot for call in host.read()]
    columns = wire.replies(len(sizes)).pack(*slots[: len(sizes)], *sizes)
    host.send(wire.BATCHED, len(sizes), wire.BATCH.pack(2, 1, 2, 0) + columns + bodies, status=0)
    parts.loop.turn()
    assert parts.broken == [("digits-0", "digits-0 sent a malformed report of a batch")]
    assert [asker.ending for asker, _ in asked] == [None, None]


@pytest.mark.parametrize("wrong", [7, wire.SLOTS, 65535, "again"])
def test_a_slot_of_a_report_that_isnt_taken_ends_the_link_and_nobody_is_told_twice(
    batching: Making, wrong: int | str
) -> None:
    parts = batching()
    host = parts.host()
    asked = ask(parts, 3)
    parts.loop.turn()
    first, second, _ = [call.slot for call in host.read() if host.begin(call)]
    slots = [first, first if isinstance(wrong, str) else wrong, second]
    columns = wire.replies(3).pack(*slots, 1, 1, 1)
    report = wire.BATCH.pack(3, 1, 3, 0) + columns + b"abc"
    host.send(wire.BATCHED, 3, report, status=0, begun=parts.loop.now)
    parts.loop.turn()
    assert len(parts.broken) == 1
    assert [asker.ending and asker.ending[2] for asker, _ in asked] == [b"a", None, None]
    parts.kill(host, InstanceCrashed())
    assert [asker.code for asker, _ in asked] == [200, "instance_crashed", "instance_crashed"]
    parts.check_empty()


@pytest.mark.parametrize("begun", [float("nan"), float("inf"), -float("inf")])
def test_an_instant_of_a_report_that_cant_be_one_ends_the_link(batching: Making, begun: float) -> None:
    parts = batching()
    host = parts.host()
    ask(parts)
    parts.loop.turn()
    (call,) = host.read()
    report = wire.BATCH.pack(1, 1, 1, 0) + wire.replies(1).pack(call.slot, 0)
    host.send(wire.BATCHED, 1, report, status=0, begun=begun)
    parts.loop.turn()
    assert len(parts.broken) == 1
    assert sum(parts.counters.statuses.values()) == 0


@pytest.mark.parametrize("slot", [7, wire.SLOTS, 65535])
def test_an_answer_for_a_slot_that_isnt_taken_ends_the_link(batching: Making, slot: int) -> None:
    parts = batching()
    host = parts.host()
    ask(parts)
    parts.loop.turn()
    host.send(wire.REPLY, slot, b"", begun=parts.loop.now)
    parts.loop.turn()
    assert len(parts.broken) == 1


# -- what it cost


def test_the_batch_wait_is_what_was_waited_beside_an_idle_thread(batching: Making) -> None:
    parts = batching(PATIENT)
    host = parts.host(threads=1)
    ((_, first),) = ask(parts)
    parts.loop.advance(0.030)
    ((_, second),) = ask(parts)
    parts.loop.advance(0.0205)
    assert first.batched == pytest.approx(0.050, abs=1e-3)
    assert second.batched == pytest.approx(0.020, abs=1e-3)
    ((_, third),) = ask(parts)
    parts.loop.advance(0.5)
    host.serve()
    parts.loop.turn()
    assert third.batched == 0.0, "there was no idle thread"
    assert sum(parts.counters.batch) == 3
    assert parts.counters.batch_us == pytest.approx(70_000, abs=2000)


def test_server_timing_tells_it() -> None:
    ticket = Ticket(Asker(), b"", 1, 10.0, 15.0)
    ticket.begun, ticket.process_us, ticket.batched = 10.5, 2000, 0.125
    assert b"queue;dur=375.000, batch;dur=125.000, process;dur=2.000" in server_timing(ticket, 11.0)
