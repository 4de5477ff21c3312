"""Units of work of several requests: what becomes of each, whatever happens to its host."""

from __future__ import annotations

import pytest

from eas_engine.errors import InstanceCrashed
from eas_host import wire
from support.batches import Making, ask, link_of, reasons, units


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
