"""Real processes that share a machine's pools: racing, and dying with something in their hands."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import accumulate
from pathlib import Path

from eas_engine.state import StateDirectory
from eas_engine.supervisor.place import Limits, NoPlace, Place
from eas_engine.supervisor.pools.ledger import survey
from support import placing
from support.client import PATIENCE
from support.placing import CPUS, placer_of


def start(root: Path, name: str, what: str) -> subprocess.Popen[str]:
    """A process that has said its first word."""
    process = subprocess.Popen(
        [sys.executable, placing.__file__, str(root), name, str(root / "journal"), what],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() in ("ready", "True")
    return process


def test_a_race_gives_nobody_what_another_has(tmp_path: Path) -> None:
    racers = [start(tmp_path, name, "churn") for name in ("a", "b")]
    for one in racers:
        assert one.stdin is not None
        one.stdin.write("\n")
        one.stdin.flush()
    assert [one.wait(PATIENCE) for one in racers] == [0, 0]
    steps = [1 if line == "+" else -1 for line in (tmp_path / "journal").read_text().split()]
    assert len(steps) > placing.ROUNDS / 2, "they did come to something"
    assert max(accumulate(steps)) == CPUS, "the group was full, and never more than that"


def test_what_a_killed_engine_had_is_free_at_once(tmp_path: Path) -> None:
    holder = start(tmp_path, "holder", "hold")
    with StateDirectory.acquire(tmp_path, "other"):
        placer = placer_of(tmp_path, "other")
        refused = placer.place("other-0", Limits(cpu=1))
        assert isinstance(refused, NoPlace)
        assert "group fast: 4, of which holder-0 has 1" in refused.reason
        assert len(survey(tmp_path)[0]) == CPUS
        holder.kill()
        holder.wait(PATIENCE)
        assert survey(tmp_path) == ([], [])
        assert isinstance(placer.place("other-0", Limits(cpu=CPUS)), Place)
