"""What happened is numbered, kept in memory and on disk, and bounded in both."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eas_engine.telemetry import events as events_module
from eas_engine.telemetry.events import Events
from eas_engine.telemetry.tail import CHARACTERS, LINES, Line, Tail
from support.clock import FakeClock


def test_events_are_numbered_and_those_behind_a_number_are_told() -> None:
    events = Events(FakeClock())
    for text in ("one", "two", "three"):
        events.tell("started", text, by="a@b")

    assert [(one.number, one.text) for one in events.since(1)] == [(2, "two"), (3, "three")]
    assert events.since(3) == ()


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_module, "REMEMBERED", 2)
    events = Events(FakeClock())
    for number in range(5):
        events.tell("started", str(number))

    assert [one.text for one in events.since(0)] == ["3", "4"]


def test_every_event_is_a_line_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    events = Events(FakeClock(), file)
    events.tell("scaled", "1 -> 2", by="a@b", before=1, after=2)

    [line] = [json.loads(one) for one in file.read_text().splitlines()]
    assert (line["kind"], line["by"], line["before"], line["after"]) == ("scaled", "a@b", 1, 2)
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_too_large_keeps_its_newer_half_in_whole_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_module, "LARGEST", 2000)
    file = tmp_path / "events.jsonl"
    events = Events(FakeClock(), file)
    for number in range(100):
        events.tell("started", str(number))

    numbers = [json.loads(one)["number"] for one in file.read_text().splitlines()]
    assert file.stat().st_size <= 2000
    assert numbers == list(range(numbers[0], 101))


def test_a_file_that_cannot_be_written_costs_nothing_else(tmp_path: Path) -> None:
    events = Events(FakeClock(), tmp_path)
    events.tell("started", "one")

    assert [one.text for one in events.since(0)] == ["one"]


def test_the_log_hears_of_it() -> None:
    heard: list[tuple[str, dict[str, object]]] = []
    events = Events(FakeClock(), log=lambda text, **fields: heard.append((text, fields)))
    events.tell("scaled", "1 -> 2", by="a@b")
    events.tell("rollout", "not ready")

    assert heard == [
        ("1 -> 2", {"event_kind": "scaled", "by": "a@b"}),
        ("not ready", {"event_kind": "rollout"}),
    ]


def test_lines_of_one_instance_or_of_all() -> None:
    tail = Tail()
    tail.add("digits-0", "stdout", "a")
    tail.add("digits-1", "stderr", "b")

    assert tail.since(0) == (2, (Line("digits-0", "stdout", "a"), Line("digits-1", "stderr", "b")))
    assert tail.since(0, "digits-1") == (2, (Line("digits-1", "stderr", "b"),))
    assert tail.since(2) == (2, ())


def test_lines_and_their_lengths_are_bounded() -> None:
    tail = Tail()
    for number in range(LINES + 5):
        tail.add("digits-0", "stdout", f"{number} " + "x" * CHARACTERS)

    last, lines = tail.since(0)
    assert (last, len(lines), len(lines[0].text)) == (LINES + 5, LINES, CHARACTERS)
