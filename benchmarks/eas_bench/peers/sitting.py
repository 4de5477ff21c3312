"""The rounds: servers of a group started, warmed and asked in turns, and what they gave kept."""

from __future__ import annotations

import contextlib
import datetime as dt
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from eas_bench import watch
from eas_bench.machine import Cores, Ours, taken_by_others
from eas_bench.peers import environments, sides
from eas_bench.peers.environments import NotInstalled
from eas_bench.peers.peer import Peer
from eas_bench.peers.processes import usages
from eas_bench.peers.record import Batch, Began, Figures
from eas_bench.peers.sides import Side
from eas_bench.peers.work import Scenario
from eas_bench.scenarios.figures import NoFigures, percentile
from eas_bench.scenarios.load import Clients
from eas_bench.servers import Launch, NotServing

SETTLES = 0.3  # seconds after a run, in which a server comes to rest


@dataclass(frozen=True, slots=True)
class Setting:
    """How it is measured."""

    rounds: int
    seconds: float
    clients: Clients
    cores: Cores
    engine: Sequence[str]  # the command
    directory: Path
    environments: Path
    network: bytes  # what the network says to ROW
    tell: Callable[[str], None]


def groups(peers: Sequence[Peer]) -> Iterator[list[Peer]]:
    """Who takes turns together: those that bars are held against; the others; each that never rests, alone."""
    near = [peer for peer in peers if peer.near]
    far = [peer for peer in peers if not peer.near and not peer.restless]
    yield from (group for group in (near, far) if group)
    yield from ([peer] for peer in peers if peer.restless and not peer.near)


def measure(setting: Setting, scenario: Scenario, peers: Sequence[Peer]) -> Batch:
    """One scenario with one group. Errors: NotServing: the bare loop or the engine isn't there."""
    taken = f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M:%S} UTC"
    seconds = setting.seconds if any(peer.near for peer in peers) else max(1.0, setting.seconds / 2)
    absent: dict[str, str] = {}
    faults: list[str] = []
    with contextlib.ExitStack() as running:
        there = _start(setting, scenario, peers, running, absent, faults)
        turns = {
            connections: _turns(setting, scenario, there, connections, seconds, faults)
            for connections in scenario.connections
        }
        began = {
            side.name: Began(
                seconds=round(side.seconds, 2),
                resident_mb=round(usage.resident / 1e6, 1),
                processes=len(usage.seconds),
            )
            for side, usage in zip(there, usages([side.family for side in there]), strict=True)
        }
    return Batch(
        scenario=scenario.name,
        taken=taken,
        rounds=setting.rounds,
        seconds=seconds,
        absent=absent,
        faults=faults,
        began=began,
        turns=turns,
    )


def _start(
    setting: Setting,
    scenario: Scenario,
    peers: Sequence[Peer],
    running: contextlib.ExitStack,
    absent: dict[str, str],
    faults: list[str],
) -> list[Side]:
    cores, directory = setting.cores.server, setting.directory
    launch = Launch(setting.engine, directory, cores)
    engine = running.enter_context(sides.engine(scenario, launch, setting.network, faults))
    bare = running.enter_context(sides.bare(scenario, engine.target, cores, directory))
    there = [bare, engine]
    for peer in peers:
        try:
            environment = environments.installed(peer, setting.environments, setting.tell)
            place = sides.place_for(scenario, environment, directory / f"{peer.name}-{time.monotonic_ns()}")
            there.append(running.enter_context(sides.peer(peer, scenario, place, setting.network, cores)))
        except (NotInstalled, NotServing) as error:
            absent[peer.name] = " ".join(str(error).split())[:400]
            setting.tell(f"{scenario.name}: {peer.name} isn't there: {absent[peer.name]}")
    for side in there:
        warm = max((peer.warm for peer in peers if peer.name == side.name), default=1.0)
        with contextlib.suppress(NoFigures):
            setting.clients.run_wrk(side.target, side.body, scenario.connections[0], warm)
    return there


def _turns(
    setting: Setting,
    scenario: Scenario,
    there: Sequence[Side],
    connections: int,
    seconds: float,
    faults: list[str],
) -> list[dict[str, Figures]]:
    rounds: list[dict[str, Figures]] = []
    for number in range(setting.rounds):
        told: dict[str, Figures] = {}
        for side in there:
            try:
                told[side.name] = _run(setting, scenario, side, there, connections, seconds)
            except NoFigures as error:
                faults.append(f"{side.name}, {connections} connections: {error}"[:400])
        rounds.append(told)
        rates = ", ".join(f"{name} {figures.rate:,.0f}" for name, figures in told.items())
        setting.tell(
            f"{scenario.name}, {connections} connections, round {number + 1} of {setting.rounds}: {rates} /s"
        )
    return rounds


def _run(
    setting: Setting,
    scenario: Scenario,
    side: Side,
    there: Sequence[Side],
    connections: int,
    seconds: float,
) -> Figures:
    """One run, and what everybody used meanwhile. Errors: NoFigures."""
    families = [one.family for one in there]
    before, ours = usages(families), Ours.now()
    with _probed(side if scenario.probed else None) as probes:
        figures, answers = _load(setting, scenario, side, connections, seconds)
    taken, elapsed = taken_by_others(ours), time.monotonic() - ours.at
    after = usages(families)
    time.sleep(SETTLES)
    used = [now.since(then) for now, then in zip(after, before, strict=True)]
    own = used[list(there).index(side)]
    return figures.model_copy(
        update={
            "cpu_us": round(own / answers * 1e6, 1) if answers else None,
            "others": round(max(0.0, taken - sum(used) / elapsed), 3),
            "health_p99_ms": round(percentile(probes.seconds, 0.99) * 1000, 2) if probes.seconds else None,
        }
    )


def _load(
    setting: Setting, scenario: Scenario, side: Side, connections: int, seconds: float
) -> tuple[Figures, int]:
    """What the client saw, and the answers that all of the server's time went into; 0: that isn't known."""
    if scenario.client == "wrk":
        run = setting.clients.run_wrk(side.target, side.body, connections, seconds)
        return Figures.of_wrk(run), run.requests
    closed = setting.clients.run_closed(side.target, side.body, connections, warm=1.0, seconds=seconds)
    return Figures.of_closed(closed), 0


@contextlib.contextmanager
def _probed(side: Side | None) -> Iterator[watch.Seen]:
    if side is None or side.health is None:
        yield watch.Seen()
        return
    port, path = side.health
    with watch.asking(port, path, watch.PROBE_EVERY) as seen:
        yield seen
