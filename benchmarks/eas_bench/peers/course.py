"""A sitting from its beginning to its end, with everything kept as it comes."""

from __future__ import annotations

import datetime as dt
import os
import shlex
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from eas_bench import machine, places
from eas_bench.machine import Cores
from eas_bench.peers import environments, record, sides, sitting
from eas_bench.peers.environments import NotInstalled
from eas_bench.peers.peer import Peer
from eas_bench.peers.record import Record
from eas_bench.peers.sitting import Setting
from eas_bench.peers.work import Scenario
from eas_bench.scenarios.load import Clients, prepare


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be measured, how, and where to keep it."""

    peers: Sequence[Peer]
    scenarios: Sequence[Scenario]
    rounds: int
    seconds: float
    engine: str  # a command line
    environments: Path
    kept: Path

    def wanted(self, scenario: Scenario) -> list[Peer]:
        """Who takes part; a variant only where it differs."""
        return [peer for peer in self.peers if not peer.only or scenario.name in peer.only]


def install(plan: Plan, tell: Callable[[str], None]) -> dict[str, str]:
    """All environments; the versions of the peers. What can't be installed is told."""
    versions = {}
    for peer in plan.peers:
        try:
            environment = environments.installed(peer, plan.environments, tell)
        except NotInstalled as error:
            tell(f"{peer.name}: {error}")
        else:
            versions[peer.package] = environment.versions.get(peer.package, "unknown")
            versions["torch"] = environment.versions.get("torch", "unknown")
    return versions


def run(plan: Plan, tell: Callable[[str], None]) -> Record:
    """Everything that this sitting hasn't measured yet.

    Errors: Missing; NotServing: the bare loop or the engine isn't there; NoRecord; OSError.
    """
    places.check()
    before = record.read(plan.kept)
    versions, cores = install(plan, tell), Cores.of_this_process()
    # A short name: sockets lie deep in it, and their paths may have 107 bytes.
    with tempfile.TemporaryDirectory(prefix="peers-") as folder:
        clients = prepare(Path(folder), cores.load)
        now = _begun(plan, before, {**machine.versions(clients.wrk), **versions}, cores)
        setting = _setting(plan, clients, cores, Path(folder), tell)
        os.sched_setaffinity(0, cores.load)  # the probes of this process belong to the load
        try:
            for latest in _measured(plan, now, setting):
                record.write(plan.kept, latest)
                now = latest
        finally:
            os.sched_setaffinity(0, cores.every)
    return now


def _measured(plan: Plan, now: Record, setting: Setting) -> Iterator[Record]:
    """The record after each batch, closed at last."""
    for scenario in plan.scenarios:
        for group in sitting.groups(plan.wanted(scenario)):
            left = now.missing(scenario.name, [peer.name for peer in group])
            if left:
                chosen = [peer for peer in group if peer.name in left]
                now = now.with_batch(sitting.measure(setting, scenario, chosen))
                yield now
            else:
                setting.tell(f"{scenario.name}: {', '.join(peer.name for peer in group)} measured already")
    yield now.model_copy(update={"open": False})


def _begun(plan: Plan, before: Record | None, versions: dict[str, str], cores: Cores) -> Record:
    """The sitting that was interrupted; else a new one, which replaces the figures of the last bit by bit."""
    if before and before.open and (before.rounds, before.seconds) == (plan.rounds, plan.seconds):
        return before.model_copy(update={"versions": {**before.versions, **versions}})
    return Record(
        begun=f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M:%S} UTC",
        machine=machine.describe(),
        versions={**(before.versions if before else {}), **versions},
        pinned=cores.text,
        rounds=plan.rounds,
        seconds=plan.seconds,
        batches=before.batches if before else [],
    )


def _setting(
    plan: Plan, clients: Clients, cores: Cores, folder: Path, tell: Callable[[str], None]
) -> Setting:
    network = sides.network_says(cores.server) if any(one.work == "mlp" for one in plan.scenarios) else b""
    return Setting(
        rounds=plan.rounds,
        seconds=plan.seconds,
        clients=clients,
        cores=cores,
        engine=shlex.split(plan.engine),
        directory=folder,
        environments=plan.environments,
        network=network,
        tell=tell,
    )
