"""The access log: what is in it, in which order, and what never is."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eas_engine.errors import ConfigurationError
from eas_engine.gateway.access import AccessLog
from support.clock import FakeClock
from support.parts import Parts
from support.transport import PATH, START, Browser, chunked, next_call, post

TOKEN = "c2VjcmV0LXRva2Vu="
ALLOWED = b"Authorization: " + TOKEN.encode()


class Logged:
    """A data plane with an access log."""

    def __init__(self, parts: Parts, file: Path) -> None:
        self.parts, self.file = parts, file
        self.log = AccessLog(str(file), FakeClock(), TOKEN)
        parts.front.access = self.log
        self.log.__enter__()

    def lines(self) -> list[dict[str, Any]]:
        """All of it; the log is closed then."""
        self.log.__exit__(None, None, None)
        assert TOKEN not in self.file.read_text()
        return [json.loads(line) for line in self.file.read_text().splitlines()]


@pytest.fixture
def logged(make: Callable[..., Parts], tmp_path: Path) -> Logged:
    return Logged(make(token=TOKEN, keepalive=5.0), tmp_path / "access.log")


def test_every_kind_of_answer_has_its_line(logged: Logged) -> None:
    parts = logged.parts
    host = parts.host()
    browser = Browser(parts)
    browser.send(post(b"four", ALLOWED))
    parts.loop.now += 0.25
    call = next_call(host)
    parts.loop.now += 0.5
    host.answer(call, b"answer", us=500_000)
    parts.loop.turn()
    browser.send(post(b"x", ALLOWED, b"X-Request-Id: mine"))
    host.answer(next_call(host), b"", status=204, headers=b"A: b\r\n")
    parts.loop.turn()
    browser.send(post(b"x", ALLOWED))
    host.fail(next_call(host), b"no such digit")
    parts.loop.turn()
    browser.send(START + b"\r\n")
    browser.send(b"GET /elsewhere?a=1 HTTP/1.1\r\nHost: h\r\n\r\n")
    browser.send(chunked(b"ab", b"cde").replace(b"Host: h", b"Host: h\r\n" + ALLOWED))
    host.serve(b"z" * 20_000)
    parts.loop.turn()
    browser.send(b"\x00\r\n\r\n")
    assert browser.statuses == [200, 204, 400, 401, 404, 200, 400]
    lines = logged.lines()
    shown = [(one["status"], one["error"], one["method"], one["bytes_in"], one["bytes_out"]) for one in lines]
    assert shown == [
        (200, "", "POST", 4, 6),
        (204, "", "POST", 1, 0),
        (400, "processor_exception", "POST", 1, len("no such digit\n")),
        (401, "unauthorized", "POST", 0, len("missing or invalid token\n")),
        (404, "not_found", "GET", 0, len("no such service\n")),
        (200, "", "POST", 5, 20_000),
        (400, "bad_request", "", 0, lines[-1]["bytes_out"]),
    ]
    first = lines[0]
    assert first["process"] == 0.5
    assert first["queue"] == pytest.approx(0.75, abs=0.1)
    assert first["seconds"] == pytest.approx(0.75, abs=0.1)
    assert first["target"] == PATH.decode()
    assert lines[4]["target"] == "/elsewhere?a=1"
    ids = [answer.headers["x-request-id"] for answer in browser.answers()]
    assert [one["request_id"] for one in lines] == ids
    assert first["time"].endswith("+00:00")
    assert first["client"] == "192.0.2.7"


def test_who_leaves_before_the_answer_is_499(logged: Logged) -> None:
    host = logged.parts.host()
    browser = Browser(logged.parts)
    browser.send(post(b"x", ALLOWED))
    call = next_call(host)
    browser.leave()
    host.answer(call, b"late")
    logged.parts.loop.turn()
    assert [(one["status"], one["bytes_out"]) for one in logged.lines()] == [(499, 0)]


def test_a_token_in_the_url_is_hidden(logged: Logged) -> None:
    browser = Browser(logged.parts)
    for text in (TOKEN, TOKEN.replace("=", "%3D")):
        browser.send(b"GET /x?token=%b HTTP/1.1\r\nHost: h\r\n\r\n" % text.encode())
    assert [one["target"] for one in logged.lines()] == ["/x?token=[hidden]"] * 2


def test_one_connection_says_the_same_with_and_without_it(make: Callable[..., Parts], tmp_path: Path) -> None:
    answers = []
    for log in (False, True):
        parts = make()
        if log:
            Logged(parts, tmp_path / "log")
        host, browser = parts.host(), Browser(parts)
        for body in (b"a", b"b" * 300_000, b"c"):
            browser.send(post(body))
            host.serve()
            parts.loop.turn()
        answers.append([(one.status, one.headers, one.body) for one in browser.answers()])
        parts.loop.turn()
        parts.check_empty()
    assert answers[0] == answers[1]


def test_rotated_it_goes_on_in_a_new_file(logged: Logged) -> None:
    browser = Browser(logged.parts)
    browser.send(b"GET /one HTTP/1.1\r\nHost: h\r\n\r\n")
    while not logged.file.read_text():  # its thread writes it
        os.sched_yield()
    moved = logged.file.rename(logged.file.with_suffix(".1"))
    logged.log.reopen()
    browser.send(b"GET /two HTTP/1.1\r\nHost: h\r\n\r\n")
    assert [one["target"] for one in logged.lines()] == ["/two"]
    assert json.loads(moved.read_text())["target"] == "/one"
    assert logged.file.stat().st_mode & 0o777 == 0o640


def test_a_file_that_can_not_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"--access-log .*/none/log: No such file or directory"):
        AccessLog(str(tmp_path / "none" / "log"), FakeClock())
