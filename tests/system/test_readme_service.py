"""The README's own service, copied out of it: every command shown there is run."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from support.readme import block


@pytest.fixture
def place(tmp_path: Path) -> Path:
    directory = tmp_path / "shout"
    directory.mkdir()
    for name in ("app.py", "service.json"):
        (directory / name).write_text(block(f"file: {name}") + "\n")
    return directory


def environment(place: Path) -> dict[str, str]:
    """The commands of this environment first on PATH, no fixed port, state beside the service."""
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "EAS_PORT": "0",
        "EAS_ADMIN_PORT": "0",
        "EAS_STATE_DIR": str(place / "state"),
    }


def command(word: str) -> list[str]:
    """The README's line that has this word."""
    lines = [shlex.split(line, comments=True) for line in block("commands: service").splitlines()]
    (found,) = (words for words in lines if words[1] == word)
    return found


def run(words: list[str], place: Path) -> str:
    said = subprocess.run(
        words, check=False, capture_output=True, text=True, cwd=place, env=environment(place)
    )
    assert said.returncode == 0, said.stdout + said.stderr
    return said.stdout


def test_the_file_can_be_started_here(place: Path) -> None:
    assert "service.json: can be started here" in run(command("check"), place)


def test_the_test_command_prints_the_answer(place: Path) -> None:
    assert run(command("test"), place).strip() == "HELLO"


def test_status_speaks_of_the_running_service(place: Path) -> None:
    with subprocess.Popen(
        command("--config"), cwd=place, env=environment(place), stdout=subprocess.PIPE, text=True
    ) as engine:
        try:
            assert engine.stdout
            assert any("shout is ready" in line for line in engine.stdout), "it ended"
            assert "shout" in run(command("status"), place)
        finally:
            engine.terminate()
        engine.stdout.read()
    assert engine.returncode == 0


def shape(output: str) -> list[str]:
    """Its lines without figures and their units, which each run has its own of."""
    figure = r"\d[\d,.]*%?(?: ?(?:us|ms|s|kB/s|MB/s|B/s)\b)?"
    return [re.sub(r"\s+", " ", re.sub(figure, "#", line)).strip() for line in output.splitlines()]


def test_the_load_tester_says_what_the_service_holds(place: Path) -> None:
    shown = shlex.split(block("commands: load").splitlines()[0])
    gentle = {"10s": "5s", "p99=250ms": "p99=60s"}  # for a machine that has much else to do
    said = subprocess.run(
        [gentle.get(word, word) for word in shown],
        check=False,
        capture_output=True,
        text=True,
        cwd=place,
        env=environment(place) | {"COLUMNS": "200"},
    )

    lines = shape(said.stdout)
    invalid = [line for line in lines if line.startswith("INVALID")]
    assert said.returncode == (2 if invalid else 0), said.stdout + said.stderr
    assert [line for line in lines if line not in invalid] == shape(block("load output"))
    assert json.loads((place.parent / "before.json").read_text())["tally"]["sent"] == 1000
    assert "<html" in (place.parent / "before.html").read_text()


def test_what_it_writes_is_no_new_processor(place: Path) -> None:
    written = re.findall(r"[\w./-]+\.(?:json|html)", block("commands: load"))
    results = [place / one for one in written if one != "service.json"]
    assert len(results) == 4
    assert not [one for one in results if one.resolve().is_relative_to(place)]
