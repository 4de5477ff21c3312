"""Batches between line and hosts: who goes together, when and where."""

from __future__ import annotations

from dataclasses import replace

import pytest

from eas_engine.gateway.reply import server_timing
from eas_engine.request import Ticket
from eas_engine.workers.batch_link import AHEAD_US
from eas_host import wire
from support.batches import EAGER, PATIENT, Making, ask, link_of, make_short, reasons, units
from support.parts import Asker

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
