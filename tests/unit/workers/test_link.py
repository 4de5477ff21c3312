"""One host and its link: its death, its nonsense, its silence, and when it is idle."""

from __future__ import annotations

import socket

import pytest

from eas_host import wire
from support.asking import ask, learn_that_it_is_fast
from support.parts import Parts


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
