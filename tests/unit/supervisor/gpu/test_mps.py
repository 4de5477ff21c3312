"""The daemons of the Multi-Process Service: for whom they run, and who stops them."""

from __future__ import annotations

import fcntl
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from eas_engine.supervisor.gpu.mps import Mps
from support.mps import ScriptedMps

CARD, OTHER = "GPU-11111111-2222", "GPU-33333333-4444"


class Engine(Mps):
    """One engine's, with what it was warned of."""

    def __init__(self, script: ScriptedMps, root: Path, patience: float = 10.0) -> None:
        self.warned: list[str] = []
        super().__init__(
            str(script.path),
            root,
            warn=lambda _, **fields: self.warned.append(fields["reason"]),
            environ={"PATH": os.environ["PATH"], "CUDA_VISIBLE_DEVICES": "7"},
            patience=patience,
        )

    def kill(self) -> None:
        """What the kernel does when an engine is killed."""
        for fd in self._held.values():
            os.close(fd)
        self._held.clear()


@pytest.fixture
def script(tmp_path: Path) -> ScriptedMps:
    return ScriptedMps(tmp_path)


@pytest.fixture
def root() -> Iterator[Path]:
    """Not ``tmp_path``, which is too long for sockets."""
    with tempfile.TemporaryDirectory(prefix="mps") as path:
        yield Path(path)


def test_a_daemon_runs_while_it_is_needed(script: ScriptedMps, root: Path) -> None:
    engine = Engine(script, root)
    assert engine.pipe(CARD) == "nobody has asked for its daemon"
    engine.hold([CARD])
    engine.hold([CARD])
    assert script.said == [f"start {CARD}"], "of that card alone, and once"
    pipe = engine.pipe(CARD)
    assert isinstance(pipe, Path)
    assert pipe.is_dir()
    assert pipe.stat().st_mode & 0o77 == 0
    engine.hold([OTHER])
    assert script.said == [f"start {CARD}", f"quit -t 5 {CARD}", f"start {OTHER}"]
    engine.hold([])
    assert script.said[-1] == f"quit -t 5 {OTHER}"
    assert engine.warned == []


def test_one_that_died_is_told_of_and_started_again(script: ScriptedMps, root: Path) -> None:
    """Whoever found no daemon would run without, and the status would say that MPS holds it."""
    engine = Engine(script, root)
    deaths: list[int] = []
    engine.on_death = lambda: deaths.append(1)
    engine.hold([CARD])
    pipe = engine.pipe(CARD)
    assert isinstance(pipe, Path)
    said = pipe / "nvidia-cuda-mps-control.pid"
    said.write_text(f"{os.getpid()}\n")
    assert engine.pipe(CARD) == pipe
    for nonsense in ("", "many", "-1" * 40):
        said.write_text(nonsense)
        assert engine.pipe(CARD) == pipe, "nobody knows"
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    said.write_text(f"{gone.pid}\n")
    (pipe / "running").unlink()
    assert "has died" in str(engine.pipe(CARD))
    assert deaths == [1]
    engine.renew()
    assert script.said == [f"start {CARD}", f"start {CARD}"]
    said.unlink()
    assert engine.pipe(CARD) == pipe


def test_engines_share_it_and_the_last_one_stops_it(script: ScriptedMps, root: Path) -> None:
    one, two = Engine(script, root), Engine(script, root)
    one.hold([CARD])
    two.hold([CARD])
    assert one.pipe(CARD) == two.pipe(CARD)
    one.hold([])
    assert script.said == [f"start {CARD}"]
    two.hold([])
    assert script.said[1:] == [f"quit -t 5 {CARD}"]


def test_one_that_a_killed_engine_left_is_used_or_stopped(script: ScriptedMps, root: Path) -> None:
    killed, heir = Engine(script, root), Engine(script, root)
    killed.hold([CARD, OTHER])
    killed.kill()
    heir.hold([CARD])
    heir.tidy()
    assert script.said == [f"start {CARD}", f"start {OTHER}", f"quit -t 5 {OTHER}"]
    assert isinstance(heir.pipe(CARD), Path)
    Engine(script, root).tidy()
    assert len(script.said) == 3, "somebody needs the other one"


def test_one_that_died_is_started_again(script: ScriptedMps, root: Path) -> None:
    engine = Engine(script, root)
    engine.hold([CARD])
    (Path(str(engine.pipe(CARD))) / "running").unlink()
    engine.hold([CARD])
    assert script.said == [f"start {CARD}"] * 2
    (Path(str(engine.pipe(CARD))) / "running").unlink()
    engine.hold([])
    assert engine.warned == [], "there is nothing to stop"


def test_one_that_does_not_start_is_told_of(script: ScriptedMps, root: Path) -> None:
    engine = Engine(script, root)
    script.refuse("Failed to start MPS: operation not supported")
    engine.hold([CARD])
    why = engine.pipe(CARD)
    assert str(why).endswith("doesn't start: Failed to start MPS: operation not supported")
    assert engine.warned == [why]
    engine.hold([])
    gone = Mps("/nowhere/control", root, warn=lambda *_, **__: None)
    gone.hold([CARD])
    assert "No such file" in str(gone.pipe(CARD))


def test_paths_that_no_socket_can_have(script: ScriptedMps, tmp_path: Path) -> None:
    engine = Engine(script, tmp_path / ("x" * 80))
    engine.hold([CARD])
    assert "is too long for its sockets" in str(engine.pipe(CARD))


def test_an_engine_that_was_stopped_in_its_turn_is_not_waited_for_without_end(
    script: ScriptedMps, root: Path
) -> None:
    first = Engine(script, root)
    first.hold([CARD])
    turn = os.open(Path(str(first.pipe(CARD))).parent / "turn", os.O_RDWR)
    fcntl.flock(turn, fcntl.LOCK_EX)
    late = Engine(script, root, patience=0.05)
    late.hold([CARD])
    os.close(turn)
    assert "another engine starts or stops MPS" in str(late.pipe(CARD))
    late.hold([CARD])
    assert isinstance(late.pipe(CARD), Path)
