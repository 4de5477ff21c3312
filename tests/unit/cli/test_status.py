"""``status`` and ``list`` find engines by their records and locks, and ask their admin port."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import socket
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from eas_engine.cli.output import duration, size
from eas_engine.state import StateDirectory
from eas_engine.telemetry.batches import Batches
from eas_engine.telemetry.status import InstanceStatus, Load, Readiness, ServiceStatus
from eas_engine.telemetry.window import Rates
from support.fleet import QuietService
from support.running import TOKEN, command, eas, engine


class Source(QuietService):
    """A service with one instance that crashed."""

    failing: Exception | None = None
    batches: Batches | None = None
    trial: dict[str, Any] | None = None
    rates = Rates(10, 5, 0, 0.001, 0.0125)
    printed: Sequence[str] = ("x", "Segmentation \x1b[2Jfault")

    def readiness(self) -> Readiness:
        return Readiness(ready=False, reasons=("digits-0 is CRASHED",))

    async def status(self) -> ServiceStatus:
        if self.failing:
            raise self.failing
        instance = InstanceStatus(
            name="digits-0",
            state="CRASHED",
            version=7,
            reason="[red]starts again in 1 s",
            pids=(os.getpid(),),
            restarts={"signal": 2},
            mounts="the kernel doesn't give this process a user namespace",
            log=("old", "Segmentation \x1b[2Jfault"),
            last_crash={
                "cause": "signal 11 (SIGSEGV)",
                "kind": "signal",
                "at": datetime(2026, 1, 31, 16, 40, 12).astimezone().timestamp(),
                "state": "READY",
                "lines": self.printed,
                "traceback": "",
            },
        )
        return ServiceStatus(
            name="digits",
            version="0.1.0",
            pid=os.getpid(),
            uptime=3700,
            url="http://127.0.0.1:8080/api/predict/digits",
            admin_url="",
            load=Load(queue_capacity=69, connections=12, connections_limit=948, instances=(instance,)),
            readiness=self.readiness(),
            rates=self.rates,
            statuses={200: 7},
            batches=self.batches,
            trial=self.trial,
            closed_for_room=3,
            configuration={"token": TOKEN},
        )


@pytest.mark.parametrize(
    ("batches", "shown"),
    [
        (Batches({"full": 0}), "batches +none yet"),
        (
            Batches({"full": 3, "age": 0, "idle": 1}, 50, 4, 60, 12.5, 15.0, 0.25),
            r"batches +12\.5 requests each \(full: 3, idle: 1\), 15\.0 rows a call, 25% padding",
        ),
        (None, "threads .*\n *clients "),
    ],
)
def test_status_shows_batches(tmp_path: Path, batches: Batches | None, shown: str) -> None:
    source = Source()
    source.batches = batches
    with engine(tmp_path, source):
        assert re.search(shown, eas(tmp_path, "status").output)


@pytest.mark.parametrize(
    ("more", "shown"),
    [
        (
            {"kind": "canary", "share": 0.125, "objective": "errors=1%,p99=2x"},
            r"canary +version 4, a canary of 12\.5% that must keep errors=1%,p99=2x;\s+1 of 2 ready *\n",
        ),
        (
            {"kind": "shadow", "share": 0.05, "objective": ""},
            r"shadow +version 4, a shadow of 5%; 1 of 2 ready *\n",
        ),
        ({}, r"trial +version 4, a trial; 1 of 2 ready *\n"),
        ({"kind": "canary", "state": "dismissed"}, r"\n *state +\S.*\n *URL"),
    ],
)
def test_status_shows_what_is_tried_out(tmp_path: Path, more: dict[str, Any], shown: str) -> None:
    source = Source()
    source.trial = {"version": 4, "state": "trying", "ready": 1, "wanted": 2} | more
    with engine(tmp_path, source):
        assert re.search(shown, eas(tmp_path, "status").output)


@pytest.mark.parametrize("name", ["status", "desc"])
def test_the_token_is_shown_to_a_person_alone(tmp_path: Path, name: str) -> None:
    """Into pipes, and so into logs, goes the name of its file, as when the engine starts."""
    with engine(tmp_path, Source()):
        leader, follower = pty.openpty()
        process = command(tmp_path, name, "digits", stdout=follower)
        os.close(follower)
        seen = b""
        with contextlib.suppress(OSError):  # the end of a terminal
            while piece := os.read(leader, 65536):
                seen += piece
        os.close(leader)
        assert process.wait() == 0
        piped = eas(tmp_path, name, "digits").output
    assert TOKEN in seen.decode()
    assert TOKEN not in piped
    assert re.search(rf"token +in {re.escape(str(tmp_path))}/digits/token\S* *\n", piped)


def test_status_shows_the_service(tmp_path: Path) -> None:
    with engine(tmp_path, Source()):
        result = eas(tmp_path, "status")
        assert result.exit_code == 0, result.output
        for shown in (
            "digits-0 is CRASHED",
            "p50 1 ms, p99 12.5 ms",
            "200: 7",
            "12 connected, room for 948 (so far 3 idle ones closed for others, 0 not taken;",
            "digits-0  CRASHED  7",
            "2 (signal)",
            "digits-0 | Segmentation \\x1b[2Jfault",
            "[red]starts again",
            "digits-0: last crash: signal 11 (SIGSEGV) at 2026-01-31 16:40:12 (it was READY)",
            "digits-0: /eas/workspace is not visible: the kernel doesn't give this process a user namespace",
            "1 h 1 min",
        ):
            assert shown in result.stdout
        assert "\x1b" not in result.stdout


def test_status_shows_what_a_fault_says_first(tmp_path: Path) -> None:
    source = Source()
    frames = [f'  File "lib.py", line {number} in run' for number in range(8)]
    source.printed = [
        "loaded",
        "Fatal Python error: Segmentation fault",
        "",
        "Current thread 0x1 (most ...",
        *frames,
    ]
    with engine(tmp_path, source):
        shown = eas(tmp_path, "status").stdout
    assert re.findall(r"digits-0 \| *(.*\S)", shown)[:3] == [
        "Fatal Python error: Segmentation fault",
        "Current thread 0x1 (most ...",
        'File "lib.py", line 0 in run',
    ]
    assert "line 7" not in shown


def test_status_for_machines(tmp_path: Path) -> None:
    with engine(tmp_path, Source()):
        status = json.loads(eas(tmp_path, "status", "--json", "--name", "digits").stdout)
    assert "token" not in status
    assert Path(status["token_file"]).read_text() == TOKEN
    assert status["queue"]["capacity"] == 69
    assert status["instances"][0]["workspace"]["visible"] is False
    assert status["instances"][0]["version"] == 7
    assert status["configuration"] == {"token": "********"}


def test_which_engine(tmp_path: Path) -> None:
    with (
        engine(tmp_path, Source(), "one"),
        engine(tmp_path, Source(), "two"),
        engine(tmp_path, Source(), "two", "ws"),
    ):
        unclear = eas(tmp_path, "status")
        assert unclear.exit_code == 2
        assert "one, two, ws/two" in unclear.stderr
        assert eas(tmp_path, "status", "--name", "one").exit_code == 0
        assert eas(tmp_path, "status", "--name", "two").exit_code == 2
        assert eas(tmp_path, "status", "--name", "two", "--workspace-id", "ws").exit_code == 0
        missing = eas(tmp_path, "status", "--name", "three")
        assert missing.exit_code == 1
        assert "no engine 'three' runs" in missing.stderr


@pytest.mark.parametrize(
    "words",
    [["list"], ["pools"], ["status"], ["versions"], ["crash", "show"], ["cache", "ls"], ["serve", "s.json"]],
)
def test_a_file_is_no_state_directory(tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "file").touch()
    done = eas(tmp_path / "file", *words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "is a file." in " ".join(done.stderr.replace("\u2502", " ").split())


def test_list_tells_running_from_stale(tmp_path: Path) -> None:
    with engine(tmp_path, Source(), "gone"):
        record = (tmp_path / "gone" / "engine.json").read_text()
    (tmp_path / "gone" / "engine.json").write_text(record)  # as if it had been killed
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "engine.json").write_text("{")
    with engine(tmp_path, Source(), "here", "ws"):
        listed = json.loads(eas(tmp_path, "list", "--json").stdout)
        assert [(one["name"], one["running"]) for one in listed] == [("gone", False), ("here", True)]
        result = eas(tmp_path, "list")
        assert result.exit_code == 0
        assert "broken" in result.stderr
        gone, here = (line.split() for line in result.stdout.splitlines()[1:])
        assert gone[1] == "stale"
        assert here[1:3] == ["ws", "running"]
        stale = eas(tmp_path, "status", "--name", "gone")
        assert stale.exit_code == 1
    assert eas(tmp_path / "nowhere", "list").stdout.strip() == "none"
    assert json.loads(eas(tmp_path / "nowhere", "list", "--json").stdout) == []


def test_an_engine_that_does_not_answer_is_said_not_traced(tmp_path: Path) -> None:
    with (
        StateDirectory.acquire(tmp_path, "digits") as state,
        socket.create_server(("127.0.0.1", 0)) as closed,
    ):
        port = closed.getsockname()[1]
        closed.close()
        with engine(tmp_path / "other", Source()):
            record = json.loads((tmp_path / "other" / "digits" / "engine.json").read_text())
        state.admin_token()
        record["admin_url"] = f"http://127.0.0.1:{port}"
        (state.path / "engine.json").write_text(json.dumps(record))
        result = eas(tmp_path, "status")
    assert result.exit_code == 1
    assert "doesn't answer" in result.stderr
    assert "Traceback" not in result.output


def test_an_engine_that_can_not_say_how_it_is(tmp_path: Path) -> None:
    source = Source()
    source.failing = TimeoutError("the loop is stuck")
    with engine(tmp_path, source):
        result = eas(tmp_path, "status")
    assert result.exit_code == 1
    assert "the loop is stuck" in result.stderr


def test_units() -> None:
    assert [size(count) for count in (0, 1023, 1536, 5 << 20, 3 << 40)] == [
        "0 B",
        "1023 B",
        "1.5 KiB",
        "5.0 MiB",
        "3.0 TiB",
    ]
    assert [duration(one) for one in (None, 0, 0.000123, 0.25, 59.94, 60, 3700, 200_000)] == [
        "",
        "0",
        "0.123 ms",
        "250 ms",
        "59.9 s",
        "1 min",
        "1 h 1 min",
        "2 days",
    ]


def test_a_latency_of_nothing_is_none(tmp_path: Path) -> None:
    source = Source()
    source.rates = Rates(10, 0, 0, 0, 0)
    with engine(tmp_path, source):
        assert re.search(
            r"latency +- +\(nothing was answered in the last 10 s\)", eas(tmp_path, "status").stdout
        )
