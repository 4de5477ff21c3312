"""Commands that look at a running service: tables for people, JSON for machines, and what goes on."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from pathlib import Path

import pytest

from eas_engine.operations import Version
from eas_engine.telemetry.status import InstanceStatus
from support.fleet import EPOCH, Fleet
from support.running import command, eas, engine, line_of


def held() -> Fleet:
    fleet = Fleet()
    fleet.held = [
        Version(
            number=1, time=EPOCH, source="/srv/service.json", digest="ab" * 32, state="replaced", by="anna@a"
        ),
        Version(
            number=2,
            time=EPOCH + 60,
            source="/srv/service.json",
            digest="cd" * 32,
            overrides=("token=Tell-Nobody",),
            kind="update",
            state="failed",
            reason="digits-1: \x1b[2Jno model",
            files="6c761c3594103235",
            pinned=True,
            instances=4,
        ),
    ]
    return fleet


def test_versions(tmp_path: Path) -> None:
    with engine(tmp_path, held()):
        done = eas(tmp_path, "versions")
        listed = json.loads(eas(tmp_path, "versions", "digits", "--json").stdout)
    heading, first, second = done.stdout.splitlines()
    assert heading.split() == [
        "number",
        "time",
        "state",
        "kind",
        "by",
        "instances",
        "digest",
        "files",
        "file",
        "reason",
    ]
    assert re.split(r"  +", first)[0] == "1"
    assert "replaced" in first
    assert "abababababab " in first
    assert "ab" * 7 not in first
    assert " 6c761c359410 " in second
    assert second.rstrip().endswith("digits-1: \\x1b[2Jno model")
    assert [one["number"] for one in listed] == [1, 2]


def test_one_version_with_its_values(tmp_path: Path) -> None:
    with engine(tmp_path, held()):
        done = eas(tmp_path, "versions", "2")
        found = json.loads(eas(tmp_path, "versions", "digits", "2", "--json").stdout)
        missing = eas(tmp_path, "versions", "3")
    assert done.exit_code == 0
    assert "token=********" in done.stdout
    assert "6c761c3594103235 (it keeps them: it was gone back to)" in done.stdout
    assert "Tell-Nobody" not in done.output
    assert '"name": "digits"' in done.stdout
    assert found["configuration"]["name"] == "digits"
    assert (missing.exit_code, missing.stderr) == (2, "eas-engine: no version 3: there are 1 to 2\n")


def test_no_version_was_kept(tmp_path: Path) -> None:
    with engine(tmp_path, Fleet()):
        assert eas(tmp_path, "versions").stdout == "none\n"
        assert json.loads(eas(tmp_path, "versions", "--json").stdout) == []


@pytest.mark.parametrize("word", ["instances", "w", "showworkers"])
def test_instances(tmp_path: Path, word: str) -> None:
    fleet = Fleet()
    fleet.running.append(
        InstanceStatus(
            name="digits-1", state="STARTING", version=12, release=3, reason="loads", log=("hello",)
        )
    )
    with engine(tmp_path, fleet):
        done = eas(tmp_path, word, "digits")
        listed = json.loads(eas(tmp_path, word, "--json").stdout)
        fleet.running = []
        none = eas(tmp_path, word)
    assert [line.split()[:3] for line in done.stdout.splitlines()[1:3]] == [
        ["digits-0", "READY", "1"],
        ["digits-1", "STARTING", "12"],
    ]
    assert "digits-1 | hello" in done.stdout
    found = [(one["name"], one["version"], one["release"]) for one in listed]
    assert found == [("digits-0", 1, 1), ("digits-1", 12, 3)]
    assert none.stdout == "none\n"


def test_the_canary(tmp_path: Path) -> None:
    fleet = Fleet()
    with engine(tmp_path, fleet):
        none = eas(tmp_path, "canary")
        assert (none.exit_code, none.stderr) == (1, "eas-engine: there is no canary and no shadow\n")
        side = {"requests": 12, "measured": 12, "p50": 0.0123456789, "p99": 2.5, "x": None}
        nothing = {"requests": 0, "measured": 0, "p50": 0.0, "p99": 0.0}
        fleet.tried = {"kind": "canary", "share": 0.125, "seconds": 61.23, "canary": side, "others": nothing}
        shown = eas(tmp_path, "canary").stdout.splitlines()
        assert json.loads(eas(tmp_path, "canary", "--json").stdout) == fleet.tried
    assert [" ".join(line.split()) for line in shown] == [
        "kind canary",
        "share 12.5%",
        "seconds 61.23",
        "canary requests 12",
        "canary measured 12",
        "canary p50 12.3 ms",
        "canary p99 2.5 s",
        "canary x -",
        "others requests 0",
        "others measured 0",
        "others p50 -",
        "others p99 -",
    ]


@pytest.mark.parametrize("arguments", [["desc", "digits"], ["status"], ["status", "digits"]])
def test_desc_is_status(tmp_path: Path, arguments: list[str]) -> None:
    with engine(tmp_path, Fleet()):
        assert "digits (eas-engine 0.1.0)" in eas(tmp_path, *arguments).stdout
        assert "running" in eas(tmp_path, "ls").stdout


def happened() -> Fleet:
    fleet = Fleet()
    fleet.happened("started", "version 1")
    fleet.happened("scaled", "from 1 to 4\x1b[2J", by="anna@build", before=1, after=4)
    return fleet


def test_events(tmp_path: Path) -> None:
    with engine(tmp_path, happened()):
        done = eas(tmp_path, "events")
        listed = json.loads(eas(tmp_path, "events", "--json").stdout)
    first, second = done.stdout.splitlines()
    assert re.fullmatch(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d  started {14}version 1", first)
    assert second.endswith("scaled               from 1 to 4\\x1b[2J (anna@build)")
    assert [one["kind"] for one in listed] == ["started", "scaled"]


def test_events_are_followed_until_the_engine_ends(tmp_path: Path) -> None:
    fleet = happened()
    with engine(tmp_path, fleet):
        following = command(tmp_path, "events", "-f", "--json")
        assert json.loads(line_of(following.stdout))["kind"] == "started"
        assert json.loads(line_of(following.stdout))["kind"] == "scaled"
        fleet.happened("drained", "by hand")
        assert json.loads(line_of(following.stdout))["kind"] == "drained"
    out, err = following.communicate()
    assert (following.returncode, out, err) == (0, "", "eas-engine: digits has ended\n")


def printed() -> Fleet:
    fleet = Fleet()
    for number in range(5):
        fleet.printed(f"digits-{number % 2}", f"line {number}")
    fleet.printed("digits-1", "\x1b[2Jhöhe \udcff", "stderr")
    return fleet


def test_logs(tmp_path: Path) -> None:
    with engine(tmp_path, printed()):
        assert eas(tmp_path, "logs", "-n", "2").stdout == "digits-0 | line 4\ndigits-1 | \\x1b[2Jhöhe ?\n"
        assert eas(tmp_path, "logs", "digits-0", "--lines", "1").stdout == "digits-0 | line 4\n"
        assert len(eas(tmp_path, "logs").stdout.splitlines()) == 6
        assert eas(tmp_path, "logs", "-n", "0").stdout == ""
        (line,) = eas(tmp_path, "logs", "-n", "1", "--json").stdout.splitlines()
        assert json.loads(line) == {"instance": "digits-1", "stream": "stderr", "text": "\x1b[2Jhöhe \udcff"}
        missing = eas(tmp_path, "logs", "digits-7")
        assert (missing.exit_code, missing.stderr) == (
            2, "eas-engine: no instance 'digits-7'; there are: digits-0\n",
        )  # fmt: skip


def test_logs_of_one_of_several_services(tmp_path: Path) -> None:
    """As the other commands do, it takes the service's name first; alone it is one if it can be."""
    with engine(tmp_path, printed()), engine(tmp_path, printed(), "other"):
        for words in (["digits"], ["digits", "--name", "digits"], ["--name", "digits"]):
            assert len(eas(tmp_path, "logs", *words).stdout.splitlines()) == 6
        for words in (["digits", "digits-0"], ["digits-0", "--name", "digits"]):
            assert eas(tmp_path, "logs", *words, "-n", "1").stdout == "digits-0 | line 4\n"
        unclear = eas(tmp_path, "logs", "digits-0")
        assert (unclear.exit_code, "say which with --name" in unclear.stderr) == (2, True)
        both = eas(tmp_path, "logs", "digits", "digits-0", "--name", "other")
        assert (both.exit_code, "which of them?" in both.stderr) == (2, True)
        assert eas(tmp_path, "logs", "digits", "digits-0", "more").exit_code == 2


def test_logs_are_followed_until_the_engine_ends(tmp_path: Path) -> None:
    fleet = printed()
    with engine(tmp_path, fleet):
        following = command(tmp_path, "logs", "-f", "-n", "1", "digits-1")
        assert line_of(following.stdout) == "digits-1 | \\x1b[2Jhöhe ?\n"
        fleet.printed("digits-0", "not this one")
        fleet.printed("digits-1", "this one")
        assert line_of(following.stdout) == "digits-1 | this one\n"
        fleet.printed("digits-1", "and the last")
    out, err = following.communicate()
    assert (following.returncode, out, err) == (
        0, "digits-1 | and the last\n", "eas-engine: digits has ended\n",
    )  # fmt: skip


@pytest.mark.parametrize("word", ["logs", "events"])
def test_ctrl_c_ends_the_following_quietly(tmp_path: Path, word: str) -> None:
    fleet = happened()
    fleet.printed("digits-0", "hello")
    with engine(tmp_path, fleet):
        following = command(tmp_path, word, "-f")
        assert line_of(following.stdout)
        following.send_signal(signal.SIGINT)
        _, err = following.communicate()
    assert (following.returncode, err) == (130, "")


@pytest.mark.parametrize("word", ["logs", "events"])
def test_a_reader_that_leaves_ends_the_following_quietly(tmp_path: Path, word: str) -> None:
    fleet = happened()
    fleet.printed("digits-0", "hello")
    with engine(tmp_path, fleet):
        following = command(tmp_path, word, "-f")
        assert line_of(following.stdout)
        assert following.stdout is not None
        following.stdout.close()
        fleet.printed("digits-0", "again")
        fleet.happened("scaled", "again")
        assert following.stderr is not None
        assert following.stderr.read() == ""
        assert following.wait() == 1


def test_without_an_engine_it_says_so(tmp_path: Path) -> None:
    for arguments in (["logs"], ["events", "-f"], ["versions"], ["instances"], ["operations"], ["canary"]):
        done = eas(tmp_path, *arguments)
        assert (done.exit_code, "no engine runs" in done.stderr) == (1, True)


def test_the_streams_are_separate(tmp_path: Path) -> None:
    """``logs -f > file`` holds lines of the log alone."""
    fleet = printed()
    with engine(tmp_path, fleet):
        following = command(tmp_path, "logs", "-f", stderr=subprocess.DEVNULL)
        for _ in range(6):
            assert " | " in line_of(following.stdout)
    assert following.communicate()[0] == ""
