"""The admin plane: answers while the gateway's loop doesn't, and shows no more than it should."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from contextlib import ExitStack

import pytest

from eas_engine.errors import ConfigurationError
from eas_engine.gateway.admin import AdminServer
from eas_engine.gateway.admin_app import admin_app, is_local_name
from eas_engine.gateway.api.page import has_token
from eas_engine.telemetry.status import Cleared, Readiness, ServiceStatus
from support.admin import TOKEN, ask, call, serving
from support.fleet import QuietService

PAGES = ["/healthz", "/readyz", "/metrics", "/api/v1/service"]


class Source(QuietService):
    """A service that is as its fields say."""

    def __init__(self) -> None:
        self.ready = Readiness(ready=True)
        self.status_thread: str | None = None
        self.failing: Exception | None = None
        self.cleared: list[tuple[str | None, str]] = []

    def readiness(self) -> Readiness:
        return self.ready

    async def clear_crashes(self, scene: str | None) -> Cleared:
        self.cleared.append((scene, threading.current_thread().name))
        return Cleared(("a",), ("s-0",)) if scene in (None, "a") else Cleared()

    async def status(self) -> ServiceStatus:
        self.status_thread = threading.current_thread().name
        if self.failing:
            raise self.failing
        return await super().status()


def test_the_pages() -> None:
    source = Source()
    with serving(source) as port:
        assert ask(port, "/healthz") == (200, {"status": "ok", "heartbeat_age_seconds": 0.25})
        assert ask(port, "/readyz") == (200, {"ready": True, "reasons": []})
        assert ask(port, "/metrics", Accept="text/x") == (200, b"# for text/x\n")
        status, body = ask(port, "/api/v1/service")
        assert (status, body["name"]) == (200, "digits")
        assert "Tell-Nobody" not in json.dumps(body)
        assert ask(port, "/healthz", "HEAD") == (200, b"")
        assert ask(port, "/nothing")[0] == 404
        assert ask(port, "/healthz", "POST")[0] == 405


def test_not_ready_says_why() -> None:
    source = Source()
    source.ready = Readiness(ready=False, reasons=("digits-0 is STARTING",))
    with serving(source) as port:
        assert ask(port, "/readyz") == (503, {"ready": False, "reasons": ["digits-0 is STARTING"]})


def test_the_status_comes_from_the_loop_that_started_the_server() -> None:
    source = Source()

    async def main() -> int:
        server = AdminServer(source, "127.0.0.1", 0, TOKEN)
        port = server.start()
        try:
            return (await asyncio.to_thread(ask, port, "/api/v1/service"))[0]
        finally:
            await asyncio.to_thread(server.stop)

    assert asyncio.run(main()) == 200
    assert source.status_thread == threading.main_thread().name


async def test_health_is_answered_while_the_gateway_loop_hangs() -> None:
    """This test's own loop is the gateway's; it doesn't run between start and stop."""
    server = AdminServer(Source(), "127.0.0.1", 0, TOKEN)
    port = server.start()
    try:
        for path in ("/healthz", "/readyz", "/metrics"):
            assert ask(port, path)[0] == 200
        status, body = ask(port, "/api/v1/service")
        assert status == 503
        assert "did not answer" in body["error"]
        assert "0.2 s ago" in body["error"]
    finally:
        server.stop()


async def test_a_closed_gateway_loop_is_said() -> None:
    closed = asyncio.new_event_loop()
    closed.close()
    app = admin_app(Source(), asked=closed, token=None)
    status, body = await call(app, "/api/v1/service")
    assert status == 503
    assert b"the engine is ending" in body


@pytest.mark.parametrize("path", PAGES)
def test_beyond_loopback_only_health_and_metrics_are_open(path: str) -> None:
    with serving(Source(), "0.0.0.0") as port:
        is_open = path != "/api/v1/service"
        assert ask(port, path)[0] == (200 if is_open else 401)
        assert ask(port, path, Authorization=f"Bearer {TOKEN}")[0] == 200
        assert ask(port, path, Authorization="Bearer wrong")[0] == (200 if is_open else 401)
        assert ask(port, path, Host="monitoring.example")[0] == (200 if is_open else 401)
        assert ask(port, f"{path}/../../api/v1/service")[0] in (401, 404)


@pytest.mark.parametrize("path", PAGES)
def test_on_loopback_a_foreign_page_that_rebinds_its_name_sees_nothing(path: str) -> None:
    with serving(Source()) as port:
        assert ask(port, path, Host="evil.example")[0] == 403
        assert ask(port, path, Host=f"localhost:{port}")[0] == 200


def test_no_request_that_changes_something_from_another_origin() -> None:
    with serving(Source()) as port:
        assert ask(port, "/healthz", "POST", Origin="http://evil.example")[0] == 403
        assert ask(port, "/healthz", "POST", Origin=f"http://127.0.0.1:{port}")[0] == 405


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("", True), ("127.0.0.1", True), ("127.0.0.1:9090", True), ("[::1]:9090", True), ("[::1]", True),
        ("localhost:1", True), ("LOCALHOST.", True), ("app.localhost", True), ("10.0.0.5:9090", True),
        ("evil.example", False), ("evil.example:9090", False), ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False), ("127.0.0.1:x", False), ("evillocalhost", False),
    ],
)  # fmt: skip
def test_names_of_this_machine(host: str, local: bool) -> None:
    assert is_local_name(host) is local


@pytest.mark.parametrize(
    ("values", "good"),
    [
        ([f"Bearer {TOKEN}"], True), ([f"bearer  {TOKEN}"], True), ([TOKEN], False), ([], False),
        ([""], False),
        ([f"Bearer {TOKEN}", f"Bearer {TOKEN}"], False), ([f"Basic {TOKEN}"], False), (["Bearer"], False),
        ([f"Bearer {TOKEN}x"], False), (["Bearer ü"], False),
    ],
)  # fmt: skip
def test_the_admin_token(values: list[str], good: bool) -> None:
    assert has_token(values, TOKEN) is good


def test_a_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=rf"port {port} is taken .*--admin-port"):
            AdminServer(Source(), "127.0.0.1", port, TOKEN).start()


@pytest.mark.parametrize(
    ("host", "port"), [("no such host", 0), ("256.256.256.256", 0), ("127.0.0.1", 70000), ("192.0.2.1", 0)]
)
def test_an_address_that_can_not_be_had(host: str, port: int) -> None:
    with pytest.raises(ConfigurationError):
        AdminServer(Source(), host, port, TOKEN).start()


def test_stopped_it_lets_the_port_go() -> None:
    server = AdminServer(Source(), "127.0.0.1", 0, TOKEN)
    port = server.start()
    with socket.create_connection(("127.0.0.1", port)) as idle:  # keeps its connection open
        assert ask(port, "/healthz")[0] == 200
        server.stop()
        server.stop()
        assert idle.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    assert not [thread for thread in threading.enumerate() if thread.name == "admin"]


def test_stopped_before_it_served() -> None:
    server = AdminServer(Source(), "127.0.0.1", 0, TOKEN)
    server.start()
    server.stop()
    assert "idle" in repr(server)


def test_one_connection_too_many_takes_the_place_of_the_longest_idle() -> None:
    """Who holds connections to the admin plane takes no descriptors that instances need."""
    server = AdminServer(Source(), "127.0.0.1", 0, "t", connections=3)
    port = server.start()
    with ExitStack() as stack:
        stack.callback(server.stop)
        first, second, third, fourth = (
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60)) for _ in range(4)
        )
        assert first.recv(1) == b""
        second.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert second.recv(12) == b"HTTP/1.1 200"
        fifth = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60))
        assert third.recv(1) == b""
        for one in (second, fourth, fifth):
            one.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert one.recv(1)


def test_clearing_crashes_wants_the_token_also_on_loopback() -> None:
    source = Source()
    page = "/api/v1/crashes/clear"
    with serving(source) as port:
        assert ask(port, page)[0] == 405
        assert ask(port, page, "POST")[0] == 401
        assert ask(port, page, "POST", Authorization="Bearer another")[0] == 401
        assert source.cleared == []
        mine = {"Authorization": f"Bearer {TOKEN}"}
        assert ask(port, page, "POST", None, **mine) == (200, {"deleted": ["a"], "restarted": ["s-0"]})
        assert ask(port, f"{page}?id=b", "POST", None, **mine) == (
            404,
            {"error": "no such crash was kept", "problems": []},
        )
        assert [scene for scene, _ in source.cleared] == [None, "b"]
