"""Events and logs: what is there, what comes, how many may follow, and that the engine's end ends them."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import ExitStack
from urllib.parse import quote

import pytest

from eas_engine.gateway.admin import AdminServer
from eas_engine.gateway.admin_app import admin_app
from eas_engine.operations import Event, OperationState
from support.admin import TOKEN, ask, asking, call, serving
from support.clock import FakeClock
from support.engine import eventually
from support.fleet import Fleet

ROOT = "/api/v1"


def test_events_after_a_number() -> None:
    fleet = Fleet()
    with serving(fleet) as port:
        assert ask(port, f"{ROOT}/events") == (200, {"events": [], "next": 0})
        fleet.happened("started", "version 1")
        fleet.happened("scaled", "from 1 to 4", by="anna", before=1, after=4)
        first = ask(port, f"{ROOT}/events")[1]
        assert [one["kind"] for one in first["events"]] == ["started", "scaled"]
        assert (first["events"][1]["before"], first["events"][1]["after"]) == (1, 4)
        assert ask(port, f"{ROOT}/events?since=1")[1]["events"] == first["events"][1:]
        assert ask(port, f"{ROOT}/events?since={first['next']}")[1] == {"events": [], "next": 2}
        assert ask(port, f"{ROOT}/events?since=99&wait=0.1")[1] == {"events": [], "next": 99}


def test_an_event_is_waited_for() -> None:
    looked = threading.Event()

    class Watched(Fleet):
        def events(self, since: int) -> tuple[Event, ...]:
            looked.set()
            return super().events(since)

    fleet = Watched()
    with serving(fleet) as port:
        got: list[object] = []
        asker = threading.Thread(target=lambda: got.append(ask(port, f"{ROOT}/events?since=0&wait=60")[1]))
        asker.start()
        assert looked.wait(60)
        fleet.happened("scaled", "from 1 to 4")
        asker.join(60)
        (answer,) = got
        assert isinstance(answer, dict)
        assert answer["next"] == 1


def printed() -> Fleet:
    fleet = Fleet()
    for number in range(5):
        fleet.printed(f"digits-{number % 2}", f"line {number}")
    fleet.printed("digits-1", "\x1b[2J\ttab höhe \udcff", "stderr")
    return fleet


def test_the_last_lines_of_the_log() -> None:
    with serving(printed()) as port:
        assert ask(port, f"{ROOT}/logs?lines=2")[1].decode() == (
            "digits-0 | line 4\ndigits-1 | \\x1b[2J\ttab höhe ?\n"
        )
        assert (
            ask(port, f"{ROOT}/logs?instance=digits-0&lines=2")[1]
            == b"digits-0 | line 2\ndigits-0 | line 4\n"
        )
        assert len(ask(port, f"{ROOT}/logs")[1].splitlines()) == 6
        assert ask(port, f"{ROOT}/logs?lines=0") == (200, b"")
        assert ask(port, f"{ROOT}/logs?lines=100001")[0] == 400


def test_the_log_for_machines_is_as_it_was_printed() -> None:
    with serving(printed()) as port:
        lines = ask(port, f"{ROOT}/logs?lines=2", Accept="application/x-ndjson")[1].splitlines()
    assert [json.loads(line) for line in lines] == [
        {"instance": "digits-0", "stream": "stdout", "text": "line 4"},
        {"instance": "digits-1", "stream": "stderr", "text": "\x1b[2J\ttab höhe \udcff"},
    ]


def test_an_instance_that_there_is_not() -> None:
    with serving(Fleet()) as port:
        assert ask(port, f"{ROOT}/logs?instance=digits-0") == (200, b"")  # it has printed nothing
        status, answer = ask(port, f"{ROOT}/logs?instance={quote('digits-7')}&follow=1")
        assert (status, answer["error"]) == (404, "no instance 'digits-7'; there are: digits-0")


def test_the_log_is_followed_until_the_engine_ends() -> None:
    fleet = printed()
    server = AdminServer(fleet, "127.0.0.1", 0, TOKEN)
    port = server.start()
    with asking(port, f"{ROOT}/logs?follow=1&lines=1&instance=digits-1") as response:
        assert response.readline().startswith(b"digits-1 | ")
        fleet.printed("digits-0", "not this one")
        fleet.printed("digits-1", "another")
        assert response.readline() == b"digits-1 | another\n"
        fleet.printed("digits-1", "the last word")
        server.stop()
        assert response.read() == b"digits-1 | the last word\n"


@pytest.mark.parametrize("page", ["events?wait=60", "logs?follow"])
def test_a_head_is_answered_at_once(page: str) -> None:
    with serving(Fleet()) as port:
        assert ask(port, f"{ROOT}/{page}", "HEAD") == (200, b"")


def test_who_waits_does_not_hold_up_the_end() -> None:
    server = AdminServer(Fleet(), "127.0.0.1", 0, TOKEN)
    port = server.start()
    got: list[object] = []
    asker = threading.Thread(target=lambda: got.append(ask(port, f"{ROOT}/events?wait=60")))
    with asking(port, f"{ROOT}/logs?follow=1") as response:
        asker.start()
        eventually(
            lambda: len(server._server.server_state.connections) == 2 if server._server else None, "asked"
        )
        server.stop()
        assert response.read() == b""
        asker.join(60)
    assert not server._thread.is_alive()
    assert len(got) <= 1


def test_so_many_may_follow_and_health_still_finds_a_connection() -> None:
    fleet = Fleet()
    with serving(fleet, connections=8) as port, ExitStack() as followers:
        for _ in range(2):
            followers.enter_context(asking(port, f"{ROOT}/logs?follow=1"))
        for page in ("logs?follow=1", "events?wait=60"):
            status, answer = ask(port, f"{ROOT}/{page}")
            assert (status, "2 others follow" in answer["error"]) == (503, True)
        assert ask(port, f"{ROOT}/events")[0] == ask(port, f"{ROOT}/logs")[0] == 200
        assert ask(port, "/healthz")[0] == 200
        followers.close()
        assert eventually(lambda: _follows(port), "a place is free again")


def _follows(port: int) -> bool:
    with asking(port, f"{ROOT}/logs?follow=1") as response:
        return response.status == 200


@pytest.mark.parametrize(("page", "query"), [("events", "wait=60"), ("operations/1", "wait=60")])
async def test_who_waits_and_hangs_up_is_waited_for_no_longer(page: str, query: str) -> None:
    clock, hung_up, fleet = FakeClock(), asyncio.Event(), Fleet()
    fleet.began(kind="restart", by="", state=OperationState.ROLLING)
    app = admin_app(fleet, asked=None, token=None, clock=clock, followers=1)
    waiting = asyncio.ensure_future(call(app, f"{ROOT}/{page}", query, hung_up=hung_up))
    await clock.advance(1)
    assert not waiting.done()
    if page == "events":
        assert (await call(app, f"{ROOT}/events", "wait=1"))[0] == 503
    hung_up.set()
    await clock.advance(0.3)
    assert waiting.done()
    again = asyncio.ensure_future(call(app, f"{ROOT}/events", "wait=1"))
    await clock.advance(1.1)
    assert (await again)[0] == 200


async def test_the_time_to_wait_is_the_clocks() -> None:
    clock = FakeClock()
    app = admin_app(Fleet(), asked=None, token=None, clock=clock)
    task = asyncio.ensure_future(call(app, f"{ROOT}/events", query="wait=60"))
    await clock.advance(59.9)
    assert not task.done()
    await clock.advance(0.2)
    assert (await task)[0] == 200
