"""One line for each event, and nothing in it that shouldn't be."""

from __future__ import annotations

import json
import logging
import os
import pty
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_engine.telemetry.logs import LINE_LIMIT, Logs, StderrLogs, printable
from support.clock import FakeClock


class Lines:
    """Where a ``Logs`` under test writes."""

    def __init__(self, **settings: Any) -> None:
        self.written: list[bytes] = []
        self.logs = Logs(self.written.append, FakeClock(wall=1_700_000_000.25), **settings)

    @property
    def text(self) -> str:
        return b"".join(self.written).decode()

    @property
    def json(self) -> dict[str, Any]:
        (line,) = self.written
        fields: dict[str, Any] = json.loads(line)
        return fields


def test_json_has_the_service_and_its_labels() -> None:
    lines = Lines(log_format="json")
    lines.logs.describe("digits", "ws-1", {"team": "vision", "level": "gold"})
    lines.logs.log.info("instance ready", instance="digits-0", seconds=0.5)
    assert lines.json == {
        "time": "2023-11-14T22:13:20.250Z",
        "level": "info",
        "service": "digits",
        "workspace_id": "ws-1",
        "team": "vision",
        "label_level": "gold",
        "instance": "digits-0",
        "seconds": 0.5,
        "event": "instance ready",
    }


def test_the_console_line(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = Lines()
    lines.logs.log.warning("slow start", instance="digits-0", why="it sleeps", of="")
    stamp, text = lines.text[:23], lines.text[23:]
    assert stamp[10:].replace(":", "").replace(".", "").strip().isdigit()
    assert text == ' warning slow start instance=digits-0 why="it sleeps" of=""\n'


def test_colours_only_when_asked() -> None:
    assert "\x1b[33m" in colourful(colours=True).text
    assert "\x1b" not in colourful(colours=False).text
    assert "\x1b" not in colourful(colours=True, log_format="json").text


def fail(message: str) -> None:
    raise ValueError(message)


def colourful(**settings: Any) -> Lines:
    lines = Lines(**settings)
    lines.logs.log.warning("w", a=1)
    return lines


def test_debug_lines_need_debug() -> None:
    quiet, loud = Lines(), Lines(debug=True)
    for lines in (quiet, loud):
        lines.logs.log.debug("detail")
    assert not quiet.written
    assert "detail" in loud.text


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_an_exception_comes_with_its_trace(log_format: str) -> None:
    lines = Lines(log_format=log_format)
    try:
        fail("no \x1b[2J such thing")
    except ValueError:
        lines.logs.log.exception("failed")
    assert "ValueError: no" in lines.text
    assert "test_logs.py" in lines.text
    assert "\x1b" not in lines.text


@pytest.mark.parametrize("log_format", ["json", "console"])
@given(event=st.text(), value=st.text(), output=st.text())
def test_no_text_forges_a_line_or_reaches_the_terminal(
    log_format: str, event: str, value: str, output: str
) -> None:
    lines = Lines(log_format=log_format)
    lines.logs.log.info(event, k=value)
    lines.logs.output("digits-0", [output])
    assert len(lines.written) == 2
    for line in lines.written:
        text = line.decode()
        assert text.endswith("\n")
        assert not any(ord(char) < 32 and char != "\t" for char in text[:-1])
        assert "\x7f" not in text
        assert "\x9b" not in text
        assert len(text.splitlines()) == 1
    if log_format == "json":
        first, second = (json.loads(line) for line in lines.written)
        assert (first["event"], first["k"], second["event"]) == (event, value, output)


def test_processor_lines_carry_their_instance() -> None:
    console, as_json = Lines(), Lines(log_format="json")
    console.logs.output("digits-0", ["one", "\x1b[31mred\x1b[0m\ttwo\r"], "stderr")
    assert [line[24:] for line in console.text.splitlines()] == ["digits-0 | one", "digits-0 | red\ttwo\\r"]
    as_json.logs.describe("digits")
    as_json.logs.output("digits-0", ["one"], "stderr")
    assert as_json.json["instance"] == "digits-0"
    assert as_json.json["stream"] == "stderr"
    assert as_json.json["service"] == "digits"


def test_a_processor_line_without_end_is_cut() -> None:
    lines = Lines()
    lines.logs.output("digits-0", ["x" * (1 << 20)])
    assert len(lines.text) < LINE_LIMIT + 100
    assert "(1048576 characters)" in lines.text


@pytest.mark.parametrize("log_format", ["json", "console"])
@pytest.mark.parametrize("secret", ["YTQ0ZTU2Nzg=", 'with "quotes"', "tökén-1"])
def test_a_secret_is_hidden_wherever_it_turns_up(log_format: str, secret: str) -> None:
    lines = Lines(log_format=log_format)
    lines.logs.hide(secret)
    lines.logs.hide(None)
    event = f"got {secret}"
    lines.logs.log.info(event, header=f"Bearer {secret}")
    lines.logs.output("digits-0", [f"Authorization: {secret}"])
    try:
        fail(secret)
    except ValueError:
        lines.logs.log.exception("failed")
    for spelling in (secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]):
        assert spelling not in lines.text
    assert "[hidden]" in lines.text


def test_libraries_that_use_logging_are_heard_while_we_listen() -> None:
    lines = Lines(log_format="json")
    logger = logging.getLogger("some.library")
    with lines.logs.capture_stdlib():
        logger.info("chatter")
        logger.error("%s broke", "it")
        logger.log(99, "custom level")
    logger.error("after the end")
    first, second = (json.loads(line) for line in lines.written)
    assert (first["level"], first["event"], first["logger"]) == ("error", "it broke", "some.library")
    assert second["level"] == "critical"


def test_values_of_any_type_can_be_logged() -> None:
    lines = Lines(log_format="json")
    lines.logs.log.info("odd", value=object, surrogate="\udcff")
    lines.logs.output("i", ["\udcff"])
    console = Lines()
    console.logs.log.info("odd", value=object, surrogate="\udcff")
    assert len(lines.written) == 2
    assert len(console.written) == 1


@given(st.text())
def test_printable_is_stable(text: str) -> None:
    assert printable(printable(text)) == printable(text)


def test_on_a_terminal_there_are_colours_unless_the_user_says_no(monkeypatch: pytest.MonkeyPatch) -> None:
    leader, follower = pty.openpty()
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    with os.fdopen(follower, "w") as terminal:
        with StderrLogs(FakeClock(), "console", stream=terminal) as logs:
            logs.log.info("hello")
        assert b"\x1b[32m" in os.read(leader, 1000)
        monkeypatch.setenv("NO_COLOR", "1")
        with StderrLogs(FakeClock(), "console", stream=terminal) as logs:
            logs.log.info("hello")
        assert b"\x1b" not in os.read(leader, 1000)
    os.close(leader)


def test_the_log_does_not_cost_the_import_of_rich() -> None:
    code = "import sys, eas_engine.telemetry.logs; assert 'rich' not in sys.modules; import rich"
    subprocess.run([sys.executable, "-c", code], check=True)
