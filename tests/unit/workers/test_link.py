"""One host's requests: handed out, answered, withdrawn, taken back, lost."""

from __future__ import annotations

import socket

import pytest

from eas_engine.request import Ticket
from eas_host import wire
from support.parts import HEAD, Asker, Parts


def ask(parts: Parts, body: bytes = b"") -> tuple[Asker, Ticket]:
    asker, ticket = parts.ask(body)
    assert isinstance(ticket, Ticket)
    return asker, ticket


def learn_that_it_is_fast(parts: Parts) -> None:
    """Short answers, until the link gives work ahead."""
    host = parts.hosts[0]
    for _ in range(60):
        asker, _ = ask(parts)
        parts.loop.turn()
        (call,) = host.read()
        assert host.begin(call)
        host.answer(call, us=5)
        parts.loop.turn()
        assert asker.code == 200
    assert host.link.limit > host.link.credit.threads


def test_a_request_and_its_answer(parts: Parts) -> None:
    host = parts.host()
    asker, ticket = ask(parts, b"body")
    parts.loop.turn()
    (call,) = host.read()
    assert (call.head, call.body, call.number, call.deadline) == (
        HEAD,
        b"body",
        ticket.number,
        ticket.deadline,
    )
    assert host.begin(call)
    assert host.link.begun() == 1
    host.answer(call, b"answer")
    parts.loop.turn()
    assert asker.ending == (200, b"", b"answer")
    parts.check_empty()


def test_an_answer_with_status_and_header_lines(parts: Parts) -> None:
    host = parts.host()
    asker, _ = ask(parts)
    parts.loop.turn()
    host.answer(host.read()[0], b"answer", status=207, headers=b"X-A: b\r\n")
    parts.loop.turn()
    assert asker.ending == (207, b"X-A: b\r\n", b"answer")
    assert parts.counters.statuses == {207: 1, 200: 0}


def test_large_bodies_go_through_memory_both_ways_and_are_given_back(parts: Parts) -> None:
    host = parts.host()
    body = bytes(range(256)) * (wire.SPILL_BYTES // 256) + b"end"
    asker, ticket = ask(parts, body)
    assert ticket.offset >= 0
    parts.loop.turn()
    (call,) = host.read()
    assert call.body == body
    host.answer(call, body[::-1], headers=b"X-A: b\r\n")
    parts.loop.turn()
    assert asker.ending == (200, b"X-A: b\r\n", body[::-1])
    host.read()
    assert len(host.released) == 1
    parts.check_empty()


def test_a_large_answer_that_nobody_waits_for_gives_its_memory_back(parts: Parts) -> None:
    host = parts.host()
    asker, ticket = ask(parts)
    parts.loop.turn()
    (call,) = host.read()
    assert host.begin(call)
    parts.gone(asker, ticket)
    assert parts.gate.count == 1  # the processor is still at it
    host.answer(call, bytes(wire.SPILL_BYTES))
    parts.loop.turn()
    host.read()
    parts.check_empty()


def test_an_exception_is_a_refusal_with_its_message(parts: Parts) -> None:
    host = parts.host()
    asker, _ = ask(parts)
    parts.loop.turn()
    host.fail(host.read()[0], "schön \udcff".encode("utf-8", "replace") + b"\xff")
    parts.loop.turn()
    assert asker.ending == ("processor_exception", "schön ?\ufffd")
    parts.check_empty()


def test_a_client_that_leaves_before_the_processor_begins_is_never_seen_by_it(parts: Parts) -> None:
    host = parts.host()
    asker, ticket = ask(parts)
    parts.loop.turn()
    (call,) = host.read()
    parts.gone(asker, ticket)
    assert parts.gate.count == 0  # its place is free at once
    assert host.link.count == 1  # its slot isn't
    assert not host.begin(call)
    parts.loop.turn()
    parts.check_empty()


def test_nobody_waits_behind_a_slow_host_while_another_has_a_free_thread(parts: Parts) -> None:
    slow = parts.host(threads=1)
    learn_that_it_is_fast(parts)
    askers = [ask(parts)[0] for _ in range(4)]
    parts.loop.turn()
    assert len(slow.read()) == 4
    assert slow.begin(slow.calls[0])  # and it never returns
    quick = parts.host(threads=1)
    parts.loop.advance(0.01)  # the pool looks, takes back, and is certain
    while quick.serve():
        parts.loop.advance(0.01)
    assert [asker.code for asker in askers] == [None, 200, 200, 200]
    for call in slow.calls[1:]:
        assert not slow.begin(call)
    slow.serve()
    parts.loop.turn()
    assert askers[0].code == 200
    parts.check_empty()


def test_what_is_taken_back_goes_to_a_free_thread_not_ahead_to_a_busy_one(parts: Parts) -> None:
    """It once went to the first link in the list that had room, though that was room *ahead*."""
    parts.host(threads=1)
    learn_that_it_is_fast(parts)
    first = parts.hosts[0]
    ask(parts)
    second, third = parts.host(threads=1), parts.host(threads=1)
    ask(parts)
    parts.loop.turn()
    assert [host.link.count for host in (first, second, third)] == [1, 1, 0]
    second.link.drain()
    parts.loop.advance(0.01)
    assert [host.link.count for host in (first, second, third)] == [1, 1, 1]
    assert len(third.read()) == 1


def test_a_host_that_skips_before_the_engine_collects_loses_nobody(parts: Parts) -> None:
    """The slot came back while its client still waited: the ticket was dropped, and ended as a 408."""
    host = parts.host(threads=1)
    learn_that_it_is_fast(parts)
    askers = [ask(parts)[0] for _ in range(3)]
    parts.loop.turn()
    first, *others = host.read()
    assert host.begin(first)
    host.link.drain()
    for call in others:
        assert not host.begin(call)
    parts.loop.turn()
    assert len(parts.backlog) == 2
    assert parts.gate.count == 3
    successor = parts.host()
    parts.loop.advance(0.01)
    assert [call.number for call in successor.read()] == [call.number for call in others]
    successor.serve()
    host.answer(first)
    parts.loop.turn()
    assert [asker.code for asker in askers] == [200, 200, 200]
    parts.check_empty()


def test_taking_back_twice_runs_nothing_twice(parts: Parts) -> None:
    """A ticket that was in the same host again, in another slot, was taken from it by the first timer."""
    host = parts.host(threads=1)
    learn_that_it_is_fast(parts)
    askers = [ask(parts)[0] for _ in range(3)]
    parts.loop.turn()
    host.read()
    host.link.take_back()
    parts.loop.advance(wire.SETTLE_SECONDS)
    host.link.take_back()
    parts.loop.advance(wire.SETTLE_SECONDS)  # the first timer: they go out again, to the same host
    parts.loop.advance(wire.SETTLE_SECONDS)  # the second
    parts.loop.turn()
    calls = list(host.read())
    began = [call.number for call in calls if host.begin(call)]
    assert len(began) == len(set(began)) == 3
    host.serve()
    parts.loop.turn()
    assert [asker.code for asker in askers] == [200, 200, 200]
    parts.check_empty()


def test_a_skipped_request_that_is_back_in_the_same_slot_is_not_collected_from_it(parts: Parts) -> None:
    host = parts.host(threads=1)
    asker, _ = ask(parts)
    parts.loop.turn()
    (call,) = host.read()
    host.link.take_back()
    assert not host.begin(call)
    parts.loop.turn()  # it is in the host again
    (again,) = host.read()
    assert again.slot == call.slot
    parts.loop.advance(0.01)
    assert host.link.count == 1
    assert host.begin(again)
    host.answer(again)
    parts.loop.turn()
    assert asker.code == 200
    parts.check_empty()


def test_only_a_client_that_leaves_cancels(parts: Parts) -> None:
    host = parts.host(threads=1)
    asker, ticket = ask(parts)
    parts.loop.turn()
    (call,) = host.read()
    host.link.take_back()
    assert host.board[2 * call.slot + 1]
    assert not host.board[wire.CANCELLED + call.slot]
    parts.gone(asker, ticket)
    assert host.board[wire.CANCELLED + call.slot]
    assert not host.begin(call)
    parts.loop.advance(0.01)
    second, _ = ask(parts)
    parts.loop.turn()
    (again,) = host.read()
    assert not host.board[wire.CANCELLED + again.slot]
    host.serve()
    parts.loop.turn()
    assert second.code == 200
    parts.check_empty()


def test_a_client_that_leaves_while_its_request_is_taken_back(parts: Parts) -> None:
    host = parts.host()
    asker, ticket = ask(parts)
    parts.loop.turn()
    (call,) = host.read()
    host.link.drain()
    parts.gone(asker, ticket)
    parts.loop.advance(0.01)
    assert not host.begin(call)
    parts.loop.turn()
    parts.check_empty()


def test_death_answers_what_was_begun_and_queues_what_was_not_in_its_order(parts: Parts) -> None:
    host = parts.host(threads=2)
    learn_that_it_is_fast(parts)
    askers = [ask(parts, b"x" * wire.SPILL_BYTES)[0] for _ in range(4)]
    left, ticket = ask(parts)
    parts.loop.turn()
    calls = list(host.read())
    waiting, _ = parts.ask()
    assert host.begin(calls[1])
    parts.gone(left, ticket)
    parts.kill(host)
    assert [asker.code for asker in askers] == [None, "instance_crashed", None, None]
    successor = parts.host(threads=5)
    parts.loop.turn()
    numbers = [calls[n].number for n in (0, 2, 3)]
    assert [call.number for call in successor.read()[:3]] == numbers
    parts.serve_all()
    assert {asker.code for asker in (*askers[2:], askers[0], waiting)} == {200}
    parts.check_empty()


def test_answers_that_left_before_the_death_still_count(parts: Parts) -> None:
    host = parts.host()
    done, _ = ask(parts)
    begun, _ = ask(parts)
    parts.loop.turn()
    first, second = host.read()
    assert host.begin(first)
    assert host.begin(second)
    host.answer(first, b"in time")
    parts.kill(host)
    assert done.ending == (200, b"", b"in time")
    assert begun.code == "instance_crashed"
    parts.check_empty()


def test_a_host_that_dies_before_it_was_ready_and_lost_again(parts: Parts) -> None:
    host = parts.host(opened=False)
    parts.kill(host)
    host.link.lost()
    assert parts.pool.links == []


def test_a_small_socket_carries_everything_in_pieces(parts: Parts) -> None:
    host = parts.host(threads=40)
    host.link._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    parts.gate.capacity = 100
    askers = [ask(parts, bytes([n]) * 100_000)[0] for n in range(40)]
    parts.loop.turn()
    assert host.link._unsent is not None
    while len(host.read()) < 40:
        parts.loop.turn()
    assert [call.body for call in host.calls] == [bytes([n]) * 100_000 for n in range(40)]
    host.serve(b"done")
    parts.loop.turn()
    assert {asker.code for asker in askers} == {200}
    assert not parts.loop.writers
    parts.check_empty()


def test_writing_to_a_host_that_is_dying_is_left_to_its_death(parts: Parts) -> None:
    host = parts.host()
    asker, _ = ask(parts)
    host.socket.close()
    parts.loop.turn()
    assert parts.broken == [("digits-0", "the link was closed")]
    parts.hosts.remove(host)
    host.link.lost()
    assert len(parts.backlog) == 1
    parts.host()
    parts.serve_all()
    assert asker.code == 200


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(wire.ANSWER.pack(24, wire.REPLY, 4096, 200, 1, 1.0), id="a slot that can't be"),
        pytest.param(wire.ANSWER.pack(24, wire.REPLY, 65535, 200, 1, 1.0), id="the last slot there might be"),
        pytest.param(wire.ANSWER.pack(24, wire.REPLY, 9, 200, 1, 1.0), id="a slot that is free"),
        pytest.param(wire.ANSWER.pack(24, wire.REPLY, 1, 200, 1, float("nan")), id="no instant"),
        pytest.param(wire.ANSWER.pack(24, wire.REPLY, 1, 200, 1, float("-inf")), id="long ago"),
        pytest.param(wire.ANSWER.pack(24, wire.REPLY, 1, 200, 1, 1e300), id="never"),
        pytest.param(wire.ANSWER.pack(24, wire.SKIPPED, 1, 0, 0, 0.0), id="skipped without being withdrawn"),
        pytest.param(wire.ANSWER.pack(24, 99, 1, 200, 1, 1.0), id="a kind that isn't"),
        pytest.param(wire.ANSWER.pack(24, wire.FULL, 1, 200, 1, 1.0), id="no size of the lines"),
        pytest.param(wire.ANSWER.pack(27, wire.FULL_AT, 1, 200, 1, 1.0) + b"abc", id="half an extent"),
    ],
)
def test_a_host_that_talks_nonsense_is_reported_and_everybody_ends_once(parts: Parts, frame: bytes) -> None:
    """A processor may write anywhere in its process. What came before the nonsense stays answered."""
    assert wire.ANSWER.size == 24
    host = parts.host()
    good, _ = ask(parts)
    bad, _ = ask(parts)
    parts.loop.turn()
    first, second = host.read()
    assert (first.slot, second.slot) == (0, 1)
    assert host.begin(first)
    assert host.begin(second)
    begun = parts.loop.now
    whole = wire.ANSWER.pack(26, wire.REPLY, first.slot, 200, 50, begun) + b"ok" + frame
    host.socket.sendall(whole)
    parts.loop.turn()
    host.socket.sendall(wire.ANSWER.pack(24, wire.REPLY, second.slot, 200, 1, 1.0))
    later, _ = ask(parts)
    parts.pool.look()
    parts.loop.turn()
    assert len(parts.broken) == 1  # and nothing is read, or handed out, any more
    assert good.code == 200
    assert later.ending is None
    assert len(parts.backlog) == 1
    parts.kill(host)
    assert bad.code in ("instance_crashed", 200)  # what it said at last may count, or not
    parts.host()
    parts.serve_all()
    assert later.code == 200
    parts.loop.advance(60)
    parts.check_empty()


@pytest.mark.parametrize("size", [0, 23, (1 << 31) + 1])
def test_a_host_whose_frames_have_impossible_sizes_is_reported(parts: Parts, size: int) -> None:
    host = parts.host()
    asker, _ = ask(parts)
    parts.loop.turn()
    (call,) = host.read()
    assert host.begin(call)
    host.socket.sendall(wire.ANSWER.pack(size, wire.REPLY, call.slot, 200, 1, 1.0))
    parts.loop.turn()
    assert len(parts.broken) == 1
    assert not parts.loop.readers
    parts.kill(host)
    assert asker.code == "instance_crashed"
    parts.check_empty()


def test_answers_can_be_taken_without_waiting_for_the_loop(parts: Parts) -> None:
    host = parts.host()
    asker, _ = ask(parts)
    parts.loop.turn()
    host.serve(b"now")
    parts.pool.look()
    assert asker.ending == (200, b"", b"now")
    parts.pool.look()
    parts.check_empty()


def test_a_long_call_is_found_and_a_slot_that_is_used_again_is_no_long_call(parts: Parts) -> None:
    host = parts.host(threads=1)
    for _ in range(5):
        ask(parts)
        parts.loop.turn()
        (call,) = host.read()
        assert call.slot == 0
        assert host.begin(call)
        assert not host.link.find_stuck(parts.loop.now, 10.0)
        parts.loop.advance(4.0)
        host.answer(call)
        parts.loop.turn()
    ask(parts)
    parts.loop.turn()
    (call,) = host.read()
    assert host.begin(call)
    assert not host.link.find_stuck(parts.loop.now, 10.0)
    parts.loop.advance(9.9)
    assert not host.link.find_stuck(parts.loop.now, 10.0)
    parts.loop.advance(0.2)
    assert host.link.find_stuck(parts.loop.now, 10.0)
    assert host.link.idle()
    host.answer(call)
    parts.loop.turn()
    assert not host.link.find_stuck(parts.loop.now, 10.0)
    parts.check_empty()


def test_a_host_that_begins_nothing_is_stuck_and_its_requests_go_elsewhere(parts: Parts) -> None:
    """Stopped by a signal, or its interpreter's lock is held by a thread of the processor's own."""
    host = parts.host(threads=2)
    asker, _ = ask(parts)
    parts.loop.turn()
    assert not host.link.find_stuck(parts.loop.now, 10.0)
    parts.loop.advance(4.0)
    assert not host.link.find_stuck(parts.loop.now, 10.0)
    assert host.link.find_stuck(parts.loop.now + 10.0, 10.0)
    assert host.link.idle(), "nothing is to be waited for"
    host.link.drain()
    waiting = host.link.wait_idle()
    with pytest.raises(StopIteration):
        waiting.send(None)
    parts.loop.advance(0.01)
    assert host.link.idle(), "nor when it went elsewhere: it once was waited for until the grace period ended"
    parts.kill(host)
    parts.host()
    parts.serve_all()
    assert asker.code == 200


def test_what_waits_behind_busy_threads_is_not_stuck(parts: Parts) -> None:
    host = parts.host(threads=1)
    learn_that_it_is_fast(parts)
    for _ in range(2):
        ask(parts)
    parts.loop.turn()
    first, second = host.read()
    assert host.begin(first)
    assert not host.link.find_stuck(0.0, 10.0)
    host.answer(first)
    parts.loop.turn()
    assert host.begin(second)
    assert not host.link.find_stuck(10.0, 10.0)


def test_a_stuck_call_that_has_ended_after_all_does_not_hide_another(parts: Parts) -> None:
    host = parts.host(threads=2)
    ask(parts)
    parts.loop.turn()
    (stuck,) = host.read()
    assert host.begin(stuck)
    host.link.find_stuck(parts.loop.now, 1.0)
    parts.loop.advance(2.0)
    assert host.link.find_stuck(parts.loop.now, 1.0)
    ask(parts)
    parts.loop.turn()
    assert not host.link.idle()
    assert host.begin(host.read()[1])
    host.answer(stuck)
    parts.loop.turn()
    assert not host.link.idle()


@pytest.mark.parametrize("how", ["answer", "death", "stuck"])
def test_waiting_until_a_host_is_idle(parts: Parts, how: str) -> None:
    host = parts.host()
    idle = host.link.wait_idle()
    with pytest.raises(StopIteration):
        idle.send(None)  # at once
    asker, _ = ask(parts)
    parts.loop.turn()
    (call,) = host.read()
    assert host.begin(call)
    idle = host.link.wait_idle()
    future = idle.send(None)
    parts.loop.turn()
    assert not future.done()
    if how == "answer":
        host.answer(call)
        parts.loop.turn()
    elif how == "death":
        parts.kill(host)
        assert asker.code == "instance_crashed"
    else:
        host.link.find_stuck(parts.loop.now, 1.0)
        host.link.find_stuck(parts.loop.now + 1.0, 1.0)
    assert future.done()
    with pytest.raises(StopIteration):
        idle.send(None)
