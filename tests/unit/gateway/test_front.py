"""What connections share: heads that were seen before, the log, and the second hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from eas_engine.errors import Unauthorized
from eas_engine.gateway import front as module
from eas_engine.gateway.auth import sign
from support.parts import Parts
from support.transport import PATH, START, Browser, next_call, post

HEAD = START + b"Authorization: secret\r\n\r\n"
SIGNATURE = sign(b"secret", PATH, b"", b"", b"")


def test_a_head_that_passed_is_read_once_for_all_connections(make: Callable[..., Parts]) -> None:
    front = make(token="secret").front
    head, refusal = front.read_head(HEAD)
    assert refusal is None
    assert front.read_head(HEAD)[0] is head


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"Authorization: wrong", id="refused"),
        pytest.param(b"Authorization: EAS " + SIGNATURE, id="signed"),
        pytest.param(b"Authorization: secret\r\nX-Request-Id: mine", id="with an id"),
        pytest.param(b"Authorization: secret\r\nX: " + b"x" * 5000, id="long"),
    ],
)
def test_heads_that_would_not_come_again_are_not_remembered(make: Callable[..., Parts], line: bytes) -> None:
    front = make(token="secret").front
    raw = START + line + b"\r\n\r\n"
    assert front.read_head(raw)[0] is not front.read_head(raw)[0]
    assert not front._known


def test_what_is_remembered_is_bounded(make: Callable[..., Parts]) -> None:
    front = make().front
    for n in range(3 * module._REMEMBERED):
        assert front.read_head(START + b"X: %d\r\n\r\n" % n)[1] is None
        assert len(front._known) <= module._REMEMBERED


def test_a_head_that_is_refused_is_refused_again(make: Callable[..., Parts]) -> None:
    front = make(token="secret").front
    for _ in range(3):
        assert isinstance(front.read_head(START + b"\r\n")[1], Unauthorized)


def test_under_a_flood_of_refusals_answers_are_taken_in_between(parts: Parts) -> None:
    """The loop reads the hosts once a turn, and a turn of a flood is hundreds of refusals long."""
    host = parts.host(threads=1)
    served = Browser(parts)
    served.send(post(b"a"))
    host.serve()
    while not served.got:
        other = Browser(parts)
        data = START.replace(b"digits", b"others") + b"\r\n"
        other.connection.get_buffer(-1)[: len(data)] = data
        other.connection.buffer_updated(len(data))  # all within one turn
        assert len(parts.front.connections) < 200
    assert served.statuses == [200]


def test_ten_lines_a_second_are_logged_and_the_others_counted(parts: Parts) -> None:
    host = parts.host(threads=1)
    for _ in range(25):
        Browser(parts).send(post(b"a"))
        host.fail(next_call(host), b"no")
        parts.loop.turn()
    assert parts.log.lines == []  # the host logs what the processor raises
    for _ in range(13):
        Browser(parts).send(post(b"a"))
        parts.loop.turn()
        assert host.begin(host.read()[0])
        parts.kill(host)
        host = parts.host(threads=1)
    assert len(parts.log.lines) == 10
    assert {event for event, _ in parts.log.lines} == {"the instance crashed while it had this request"}
    parts.front.tick()
    assert parts.log.lines[10:] == [("requests failed, not logged one by one", {"count": 3})]
    parts.front.tick()
    assert len(parts.log.lines) == 11
