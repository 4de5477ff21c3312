"""What comes back from a host: answers small and large, exceptions, and when they are read."""

from __future__ import annotations

from eas_host import wire
from support.asking import ask
from support.parts import HEAD, Parts


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


def test_answers_can_be_taken_without_waiting_for_the_loop(parts: Parts) -> None:
    host = parts.host()
    asker, _ = ask(parts)
    parts.loop.turn()
    host.serve(b"now")
    parts.pool.look()
    assert asker.ending == (200, b"", b"now")
    parts.pool.look()
    parts.check_empty()
