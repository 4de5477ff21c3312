"""``metadata.resource_rebalancing`` with real engines on this machine: an instance moves up under load."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from eas_engine.supervisor.pools.rebalance import PERIOD
from support import versioned
from support.client import PATIENCE
from support.engine import Engine, eventually
from support.engines import Engines
from support.keepalive import KeepAlive

CPUS = sorted(os.sched_getaffinity(0))


def service(name: str, **metadata: Any) -> dict[str, Any]:
    """One instance with a CPU of group fast."""
    return {
        "name": name,
        "token": "c2VjcmV0",
        "processor_type": "python",
        "processor_path": "package",
        "processor_entry": "versioned.py",
        "model_config": {"version": "one"},
        "metadata": {"cpu": 1, "resource": "fast", "rpc": {"keepalive": 60_000}, **metadata},
    }


class Machine:
    """Engines that share two groups of one CPU each."""

    def __init__(self, engines: Engines, directory: Path) -> None:
        self._engines = engines
        self._directory = directory
        self.settings = directory / "eas-engine.toml"
        self.settings.write_text(
            f'[groups.fast]\ncpus = "{CPUS[0]}"\npriority = 10\n\n[groups.slow]\ncpus = "{CPUS[1]}"\n'
        )

    def start(self, name: str, **metadata: Any) -> Engine:
        """Another engine, in the same state directory, that is ready."""
        directory = self._directory / name
        (directory / "package").mkdir(parents=True)
        shutil.copy(versioned.__file__, directory / "package")
        flags = ("--settings", str(self.settings))
        engine = Engine(directory, service(name, **metadata), *flags, state=self._directory / "state")
        self._engines.started.append(engine)
        engine.wait_ready()
        return engine

    def groups(self) -> dict[str, str]:
        """The group of each instance, by ``eas-engine pools``."""
        command = [sys.executable, "-m", "eas_engine", "pools", "--json"]
        flags = ["--settings", str(self.settings), "--state-dir", str(self._directory / "state")]
        done = subprocess.run(
            [*command, *flags], capture_output=True, text=True, timeout=PATIENCE, check=True
        )
        return {one["instance"]: one["group"] for one in json.loads(done.stdout)["instances"]}


@pytest.mark.timeout(PERIOD + 5 * PATIENCE)
@pytest.mark.skipif(len(CPUS) < 2, reason="two groups take two CPUs")
def test_who_had_to_start_in_the_lower_group_moves_up_when_there_is_room(
    engines: Engines, tmp_path: Path
) -> None:
    machine = Machine(engines, tmp_path)
    first = machine.start("first")
    moving = machine.start("moving", resource_rebalancing=True)
    assert machine.groups() == {"first-0": "fast", "moving-0": "slow"}
    with KeepAlive(moving) as load:
        assert first.stop() == 0
        eventually(
            lambda: machine.groups() == {"moving-1": "fast"}, "it has moved up", seconds=PERIOD + 2 * PATIENCE
        )
        before = load.count
        eventually(lambda: load.count > before + 50, "it answers there")
        (instance,) = moving.status()["instances"]
        assert (instance["name"], instance["state"]) == ("moving-1", "READY")
        assert psutil.Process(instance["pids"][0]).cpu_affinity() == CPUS[:1]
    assert load.wrong == []
    assert moving.metric("eas_requests_total", status="200") == load.count
