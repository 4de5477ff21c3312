"""Servers of peers as processes: all of them found, measured, and ended; environments that can't be made."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from eas_bench.machine import Cores
from eas_bench.peers import catalogue, environments
from eas_bench.peers.environments import NotInstalled
from eas_bench.peers.peer import Environment
from eas_bench.peers.processes import started, usages

# A parent that waits, and a child in a session of its own that ignores SIGTERM.
FAMILY = """
import signal, subprocess, sys
code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); signal.pause()"
child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)
child.stdout.readline()
print("ready", flush=True)
signal.pause()
"""


def wait_ready(log: Path, process_is_alive: object) -> None:
    while "ready" not in log.read_text():
        assert process_is_alive()  # type: ignore[operator]


def test_a_family_is_found_and_ended_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eas_bench.peers.processes._ENDS_WITHIN", 3.0)
    cores = Cores.of_this_process()
    log = tmp_path / "log"
    command = [sys.executable, "-c", FAMILY]
    with started(command, environment={}, directory=tmp_path, cores=cores.server, log=log) as (
        family,
        process,
    ):
        wait_ready(log, lambda: process.poll() is None)
        members = family.members()
        assert len(members) == 2
        assert {member.pid for member in members} > {process.pid}
        assert family.beyond(cores.server) == []
        assert family.beyond(frozenset({max(cores.every) + 1}))
        (usage,) = usages([family])
        assert usage.resident > 0
        assert usage.since(usage) == 0
    assert not family.members()


def test_what_is_installed_already_is_left_alone(tmp_path: Path) -> None:
    peer = catalogue.PEERS["mosec"]
    place = tmp_path / "mosec"
    package = place / "lib" / "python3.11" / "site-packages" / "mosec-0.9.8.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: mosec\nVersion: 0.9.8\n")
    requirements = environments.REQUIREMENTS / "mosec.txt"
    (place / "installed").write_text(environments._stamp(requirements))
    found = environments.installed(peer, tmp_path, pytest.fail)
    assert found == Environment(place, {"mosec": "0.9.8"})


def test_what_can_t_be_installed_is_told_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requirements = tmp_path / "requirements"
    requirements.mkdir()
    (requirements / "mosec.txt").write_text("no requirement\n")  # nothing is asked of anybody for it
    monkeypatch.setattr(environments, "REQUIREMENTS", requirements)
    told: list[str] = []
    with pytest.raises(NotInstalled, match="not installed: ERROR: Invalid requirement"):
        environments.installed(catalogue.PEERS["mosec"], tmp_path / "peers", told.append)
    assert told
    assert not (tmp_path / "peers" / "mosec" / "installed").exists()
