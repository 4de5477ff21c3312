"""What is kept of a crash on the disk."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eas_engine.request import Held
from eas_engine.supervisor.causes import Cause, Evidence
from eas_engine.supervisor.scene import MOST, Remains, Scenes, scenes, without_credentials

HEAD = (
    b"POST /x HTTP/1.1\r\nAuthorization: tell-nobody\r\nX-Api-Key: tell-nobody\r\n"
    b"Cookie: tell-nobody\r\nA: b\r\n\r\n"
)


def remains(name: str = "20260101T000000Z-s-0-7", **more: Any) -> Remains:
    made = Remains(
        name=name,
        service="s",
        instance="s-0",
        host="s-0",
        state="ready",
        cause=Cause("signal", "signal 11 (SIGSEGV)"),
        evidence=Evidence(-11, lines=("one", "two")),
        pid=7,
        started_at=1_767_225_600.0,
        died_at=1_767_225_660.5,
        python="3.11.7",
        program=("python", "-m", "eas_host"),
        processor={"entry": "/p/app.py"},
        directory="/nowhere",
        environment={"HOME": "/root", "DB_PASSWORD": "tell-nobody"},
        held=(
            Held(1, HEAD, b"waits", 5, begun=False, age=0.5),
            Held(2, HEAD, b"cut", 300, begun=True, age=0.1),
        ),
    )
    return replace(made, **more)


@pytest.fixture
def kept(tmp_path: Path) -> Scenes:
    (tmp_path / "state").mkdir(mode=0o700)
    return Scenes(tmp_path / "state" / "crashes", "0.1.0")


def test_everything_is_there_and_private(kept: Scenes) -> None:
    place = kept.keep(remains(stacks=("Thread 1",)))
    assert place == kept.root / "20260101T000000Z-s-0-7"
    record = json.loads((place / "crash.json").read_text())
    assert record["cause"] == {"kind": "signal", "text": "signal 11 (SIGSEGV)"}
    assert (record["error"], record["status"], record["lived_seconds"]) == ("instance_crashed", -11, 60.5)
    assert record["time"] == "2026-01-01T00:01:00.500+00:00"
    assert record["core"]["path"] is None
    assert record["core"]["why_none"]
    assert (place / "log.txt").read_text() == "one\ntwo\n"
    assert (place / "stacks.txt").read_text() == "Thread 1\n"
    first, second = record["in_flight"]
    assert (first["begun"], first["size"], first["kept"]) == (True, 300, 3), "the begun ones first"
    assert (place / second["body"]).read_bytes() == b"waits"
    everything = "".join(path.read_text() for path in place.rglob("*") if path.is_file())
    assert "tell-nobody" not in everything
    assert "A: b" in everything
    for path in (kept.root, place, *place.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_an_hs_err_is_copied_and_one_that_is_gone_is_named(kept: Scenes, tmp_path: Path) -> None:
    file = tmp_path / "hs_err_pid7.log"
    file.write_text("# SIGSEGV\n")
    place = kept.keep(remains(evidence=Evidence(-6, hs_err=str(file))))
    assert (place / "hs_err.log").read_text() == "# SIGSEGV\n"
    gone = str(tmp_path / "gone")
    place = kept.keep(remains("b", evidence=Evidence(-6, hs_err=gone)))
    assert json.loads((place / "crash.json").read_text())["hs_err"] == gone


def test_the_oldest_go_but_not_those_that_block(kept: Scenes) -> None:
    names = [f"{number:03d}" for number in range(MOST + 5)]
    for name in names:
        kept.keep(remains(name), spared={"000"})
    left = [one.name for one in scenes(kept.root)]
    assert left == ["000", *names[-MOST:]]


def test_one_that_is_not_whole_does_not_count_and_goes(kept: Scenes) -> None:
    kept.keep(remains("a"))
    (kept.root / ".b.new").mkdir()
    (kept.root / "c").mkdir()
    assert [one.name for one in scenes(kept.root)] == ["a"]
    kept.keep(remains("d"))
    assert not (kept.root / ".b.new").exists()


def test_nothing_is_left_of_one_that_could_not_be_written(kept: Scenes) -> None:
    kept.keep(remains("a"))
    with pytest.raises(OSError, match="a"):
        kept.keep(remains("a"))
    assert [path.name for path in kept.root.iterdir()] == ["a"]


def test_clearing(kept: Scenes) -> None:
    for name in "abc":
        kept.keep(remains(name))
    assert kept.clear("b") == ["b"]
    assert kept.clear("b") == []
    assert kept.clear("../../state") == []
    assert kept.clear() == ["a", "c"]
    assert list(kept.root.iterdir()) == []


def test_names_sort_by_time(kept: Scenes) -> None:
    assert kept.name("s-0.1", 7, 1_767_225_600.0) == "20260101T000000Z-s-0.1-7"


def test_a_head_without_fields_stays_as_it_is() -> None:
    assert without_credentials(b"GET /token HTTP/1.1") == b"GET /token HTTP/1.1"
