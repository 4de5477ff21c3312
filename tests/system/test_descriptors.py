"""Few descriptors: clients that hold connections and do nothing keep no instance and no client out."""

from __future__ import annotations

import socket
from contextlib import ExitStack, suppress

from support.client import ConnectionEnded
from support.engine import Engine, end_process, eventually
from support.engines import Engines, Latch

FEW = 64
PATIENT: dict[str, object] = {"keepalive": 60_000, "worker_threads": 20}


def come_back(engine: Engine) -> None:
    """The instance dies and serves again."""
    before = engine.host
    end_process(before)

    def is_back() -> bool:  # by one look: between two it may have changed
        seen = engine.instance()
        return bool(seen["state"] == "READY" and seen["pids"] != [before])

    eventually(is_back, "it is back")


def test_idle_clients_hold_everything_and_a_crashed_host_comes_back(engines: Engines) -> None:
    engine = engines(PATIENT, descriptors=FEW)
    room = int(engine.metric("eas_connections_limit"))
    assert 8 <= room < FEW / 2
    with ExitStack() as stack:
        idle = [stack.enter_context(engine.connect()) for _ in range(2 * FEW)]
        eventually(lambda: engine.metric("eas_accepted_connections_total") == len(idle), "all were taken")
        for _ in range(3):
            come_back(engine)
        assert engine.metric("eas_connections") == room
        with engine.connect() as client:
            assert client.ask(body=b"new").body == b"new"
            assert client.ask(body=b"kept").body == b"kept"
        assert idle[0].closed()
        assert idle[-1].ask(body=b"the last that came").status == 200
    assert engine.metric("eas_closed_for_room_connections_total") == 2 * FEW - room + 1
    assert engine.metric("eas_refused_connections_total") == 0
    status = engine.status()["connections"]
    assert (status["limit"], status["refused"]) == (room, 0)
    assert engine.log.count("raise the limit of open files") == 1
    assert "Too many open files" not in engine.log


def test_nobody_is_idle_so_a_newcomer_is_closed_unheard(engines: Engines, latch: Latch) -> None:
    engine = engines(PATIENT, descriptors=FEW)
    room = int(engine.metric("eas_connections_limit"))
    with ExitStack() as stack:
        busy = [stack.enter_context(engine.connect()) for _ in range(room)]
        for client in busy:
            client.post(latch.query)
        engine.wait_metric("eas_in_flight", room)
        for _ in range(2):
            with engine.connect() as newcomer, suppress(ConnectionEnded, ConnectionError):
                newcomer.post()
                raise AssertionError(newcomer.read())
        latch.open()
        assert [client.read().status for client in busy] == [200] * room
        assert engine.ask(body=b"again").body == b"again"
    assert engine.metric("eas_refused_connections_total") == 2
    assert engine.metric("eas_closed_for_room_connections_total") == 1


def test_idle_connections_to_the_admin_plane_are_limited_too(engines: Engines) -> None:
    engine = engines(PATIENT, descriptors=FEW)
    port = int(engine.record["admin_url"].rpartition(":")[2])
    with ExitStack() as stack:
        for _ in range(2 * FEW):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        come_back(engine)
        assert engine.ask(body=b"served").body == b"served"
    assert "Too many open files" not in engine.log


def test_a_limit_that_is_too_low_is_said(engines: Engines) -> None:
    engine = engines.raw({"name": "a", "processor_type": "python", "processor_entry": "a.py"}, descriptors=40)
    assert engine.wait() == 2
    assert "may open 40 files at once (ulimit -n); a service with 1 instance needs at least 60" in engine.log
