"""The view of an operation while it goes on: on a terminal, after Ctrl-C, and when the engine ends."""

from __future__ import annotations

import io
import os
import pty
import re
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rich.console import Console

from eas_engine.cli import watching
from eas_engine.cli.engines import BusyError
from eas_engine.cli.progress import Live
from eas_engine.gateway.api import documents
from eas_engine.gateway.api.answers import plain
from eas_engine.operations import Effect, Operation, OperationState
from eas_engine.state import Found
from support.clock import FakeClock
from support.fleet import EPOCH, Fleet
from support.running import command, engine, line_of

ROLLING, DONE = OperationState.ROLLING, OperationState.DONE


def drawn(operation: Operation, instances: list[Mapping[str, Any]], width: int = 80) -> list[str]:
    file = io.StringIO()
    console = Console(file=file, width=width, height=50, force_terminal=True, highlight=False, markup=False)
    with Live("digits", console=console, clock=FakeClock(wall=EPOCH + 61)) as view:
        view.show(plain(documents.operation(operation)), instances)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", file.getvalue())
    last = text[text.rindex("digits: ") :]  # it is drawn once more at the end, over itself
    return [line.rstrip() for line in last.splitlines()]


def instance(number: int, state: str = "READY", **fields: Any) -> Mapping[str, Any]:
    return {"name": f"digits-{number}", "state": state, "reason": "", **fields}


OPERATION = Operation(
    number=1, kind="update", by="anna", state=ROLLING, effect=Effect.ROLLOUT, version=2, started=EPOCH
)


def test_what_is_fetched() -> None:
    fetching = {"model.tar.gz": (52 << 20, 104 << 20), "app.py": (5, None), "odd": (7, 5)}
    lines = drawn(
        Operation(
            number=1,
            kind="update",
            by="",
            state=OperationState.PREPARING,
            effect=Effect.ROLLOUT,
            started=EPOCH,
            fetching=fetching,
            wanted=4,
            updated=1,
            ready=4,
        ),
        [],
    )
    assert lines[0] == "digits: update, preparing, 1 min"
    assert re.fullmatch(r"  model\.tar\.gz +\S+ +52\.0 MiB of 104\.0 MiB", lines[1])
    assert lines[2].startswith("  app.py")
    assert lines[2].endswith(" 5 B")
    assert len(lines) == 4


def test_how_far_the_rollout_is() -> None:
    lines = drawn(
        replace(OPERATION, wanted=4, updated=1, ready=4),
        [instance(0), instance(4, "STARTING", reason="loads", version=2)],
    )
    assert lines[0] == "digits: update, rolling, 1 min"
    assert re.fullmatch(r"  instances +\S+ +1 of 4 instances new, 4 ready", lines[1])
    assert [line.split() for line in lines[2:]] == [
        ["digits-4", "version", "2", "STARTING", "loads"],
        ["digits-0", "READY"],
    ]


def test_many_instances_do_not_fill_the_screen_and_nothing_breaks_a_line() -> None:
    seats = [instance(n) for n in range(40)] + [instance(40, "CRASHED", reason="\x1b[2J\n" + "x" * 200)]
    lines = [line for line in drawn(OPERATION, seats) if line]
    assert len(lines) == 14
    assert lines[1].startswith("  digits-40")
    assert "\\x1b[2J\\n" in lines[1]
    assert lines[-1] == "  and 29 more"
    assert max(len(line) for line in lines) <= 80


def test_the_time_stands_still_when_it_has_ended() -> None:
    ended = Operation(number=1, kind="stop", by="", state=DONE, started=EPOCH, ended=EPOCH + 2.5)
    assert drawn(ended, [])[0] == "digits: stop, done, 2.5 s"


STEPS: list[dict[str, Any]] = [
    {"fetching": {"model.tar.gz": (10, 100)}},
    {"state": ROLLING, "fetching": {}, "wanted": 4, "updated": 1, "ready": 4},
    {"state": DONE, "updated": 4, "ended": EPOCH + 3},
]


@pytest.mark.parametrize("no_colour", ["", "1"])
def test_on_a_terminal_the_view_is_live(tmp_path: Path, no_colour: str) -> None:
    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "NO_COLOR": no_colour, "COLUMNS": "100"}
    with engine(tmp_path, Fleet(script={"restart": STEPS})):
        process = command(tmp_path, "restart", stdout=follower, stderr=follower, env=environment)
        os.close(follower)
        seen = b""
        try:
            while piece := os.read(leader, 65536):
                seen += piece
        except OSError:  # how Linux says that the other end is closed
            pass
        os.close(leader)
        assert process.wait() == 0
    text = seen.decode()
    for shown in ("preparing", "model.tar.gz", "rolling", "1 of 4 instances new, 4 ready", "digits-0"):
        assert shown in text
    assert "digits: every instance is new, 4 instances, 3.0 s" in text
    assert text.count("digits: restart, rolling") >= 1
    assert "\x1b[?25h" in text[text.rindex("\x1b[?25l") :]  # the cursor is back
    assert ("\x1b[32m" in text) == (not no_colour)


def test_ctrl_c_leaves_the_operation_running(tmp_path: Path) -> None:
    fleet = Fleet(script={"restart": [{"state": ROLLING, "wanted": 4, "ready": 4}]})
    with engine(tmp_path, fleet):
        process = command(tmp_path, "restart")
        while "rolling" not in line_of(process.stderr):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
        assert (process.returncode, out) == (130, "")
        assert err == (
            "eas-engine: operation 1 (restart) goes on; "
            f"`eas-engine operations 1 --wait --name digits --state-dir {tmp_path}` shows it\n"
        )
        again = command(tmp_path, "operations", "1", "--wait", "--json")
        assert "rolling" in line_of(again.stderr)
        again.send_signal(signal.SIGINT)
        again.communicate()
        assert again.returncode == 130


def test_an_engine_that_ends_meanwhile_is_said(tmp_path: Path) -> None:
    fleet = Fleet(script={"restart": [{"state": ROLLING, "wanted": 4}]})
    with engine(tmp_path, fleet):
        process = command(tmp_path, "restart")
        while "rolling" not in line_of(process.stderr):
            assert process.poll() is None
    out, err = process.communicate()
    assert (process.returncode, out) == (1, "")
    assert "doesn't answer" in err
    assert "Traceback" not in err


def test_an_engine_that_is_too_busy_to_say_how_it_is_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rolling, done = (
        plain(documents.operation(one)) for one in (OPERATION, replace(OPERATION, state=DONE, ended=EPOCH))
    )
    answers = iter([BusyError("the loop did not answer", 1), BusyError("the loop did not answer", 1), done])

    def get(_engine: Found, _path: str) -> Any:
        answer = next(answers)
        if isinstance(answer, BusyError):
            raise answer
        return answer

    monkeypatch.setattr(watching, "get", get)
    found = cast("Found", SimpleNamespace(path=tmp_path, record=SimpleNamespace(name="digits")))
    assert watching.watch(found, rolling) == done
