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

RESTS = 0.1  # seconds after a run, in which a server answers what is left
WARM = 1.0
_LONGEST = 400  # characters of a reason; a traceback says most at its end


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
    """Who takes turns together: those that bars are held against; the others; the restless, each alone."""
    near = [peer for peer in peers if peer.near]
    far = [peer for peer in peers if not peer.near and not peer.restless]
    yield from (group for group in (near, far) if group)
    yield from ([peer] for peer in peers if peer.restless and not peer.near)


def measure(setting: Setting, scenario: Scenario, peers: Sequence[Peer]) -> Batch:
    """One scenario with one group. Errors: NotServing: the bare loop or the engine isn't there."""
    taken = f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M:%S} UTC"
    group = _Group(setting, scenario, peers)
    with contextlib.ExitStack() as running:
        group.start(running)
        group.warm_up()
        loads = scenario.connections if len(group.absent) < len(peers) else ()  # nobody: nothing to compare
        turns = {connections: group.turns(connections) for connections in loads}
        began = group.began()
    return Batch(
        scenario=scenario.name,
        taken=taken,
        rounds=group.rounds,
        seconds=group.seconds,
        absent=group.absent,
        faults=group.faults,
        began=began,
        turns=turns,
    )


class _Group:
    """The servers of one batch, and what is wrong with them."""

    def __init__(self, setting: Setting, scenario: Scenario, peers: Sequence[Peer]) -> None:
        self._setting, self._scenario, self._peers = setting, scenario, peers
        self._there: list[Side] = []
        near = any(peer.near for peer in peers)
        self.seconds = setting.seconds if near else max(1.0, setting.seconds / 2)
        self.rounds = setting.rounds if near else max(1, setting.rounds - 1)
        self.absent: dict[str, str] = {}
        self.faults: list[str] = []

    def start(self, running: contextlib.ExitStack) -> None:
        """All of them, to be ended by ``running``. Errors: as ``measure``."""
        setting, scenario, cores = self._setting, self._scenario, self._setting.cores.server
        launch = Launch(setting.engine, setting.directory, cores)
        engine = running.enter_context(sides.engine(scenario, launch, setting.network, self.faults))
        bare = running.enter_context(sides.bare(scenario, engine.target, cores, setting.directory))
        self._there = [bare, engine]
        for peer in self._peers:
            try:
                environment = environments.installed(peer, setting.environments, setting.tell)
                directory = setting.directory / f"{peer.name}-{scenario.name}"
                place = sides.place_for(scenario, environment, directory)
                side = running.enter_context(sides.peer(peer, scenario, place, setting.network, cores))
            except (NotInstalled, NotServing) as error:
                self.absent[peer.name] = " ".join(str(error).split())[-_LONGEST:]
                setting.tell(f"{scenario.name}: {peer.name} isn't there: {self.absent[peer.name]}")
            else:
                self._there.append(side)

    def warm_up(self) -> None:
        """Some load for each, uncounted."""
        seconds = {peer.name: peer.warm for peer in self._peers}
        for side in self._there:
            with contextlib.suppress(NoFigures):  # whoever is broken will be so when it counts
                self._setting.clients.run_wrk(
                    side.target, side.body, self._scenario.connections[0], seconds.get(side.name, WARM)
                )

    def began(self) -> dict[str, Began]:
        """How they are now."""
        all_used = usages([side.family for side in self._there])
        return {
            side.name: Began(
                seconds=round(side.seconds, 2),
                resident_mb=round(used.resident / 1e6, 1),
                processes=len(used.seconds),
            )
            for side, used in zip(self._there, all_used, strict=True)
        }

    def turns(self, connections: int) -> list[dict[str, Figures]]:
        """The rounds. A server that gives no figures is left out of its round, which is a fault."""
        rounds: list[dict[str, Figures]] = []
        for number in range(self.rounds):
            told: dict[str, Figures] = {}
            for side in self._there:
                try:
                    told[side.name] = self._run(side, connections)
                except NoFigures as error:
                    self.faults.append(f"{side.name}, {connections} connections: {error}"[:_LONGEST])
            rounds.append(told)
            rates = ", ".join(f"{name} {figures.rate:,.0f}" for name, figures in told.items())
            self._setting.tell(
                f"{self._scenario.name}, {connections} connection{'s' if connections > 1 else ''}, "
                f"round {number + 1} of {self.rounds}: {rates} /s"
            )
        return rounds

    def _run(self, side: Side, connections: int) -> Figures:
        """One run, and what everybody used meanwhile. Errors: NoFigures."""
        families = [one.family for one in self._there]
        before, ours = usages(families), Ours.now()
        with _probed(side if self._scenario.probed else None) as probes:
            figures, answers = self._load(side, connections)
        taken, elapsed = taken_by_others(ours), time.monotonic() - ours.at
        after = usages(families)
        used = [now.since(then) for now, then in zip(after, before, strict=True)]
        own = used[self._there.index(side)]
        time.sleep(RESTS)
        return figures.model_copy(
            update={
                "cpu_us": round(own / answers * 1e6, 1) if answers else None,
                "others": round(max(0.0, taken - sum(used) / elapsed), 3),
                "health_p99_ms": round(percentile(probes.seconds, 0.99) * 1000, 2)
                if probes.seconds
                else None,
            }
        )

    def _load(self, side: Side, connections: int) -> tuple[Figures, int]:
        """What the client saw, and how many answers the server's time went into; 0: that isn't known."""
        clients = self._setting.clients
        if self._scenario.client == "wrk":
            run = clients.run_wrk(side.target, side.body, connections, self.seconds)
            return Figures.of_wrk(run), run.requests
        closed = clients.run_closed(side.target, side.body, connections, warm=WARM, seconds=self.seconds)
        return Figures.of_closed(closed), 0


@contextlib.contextmanager
def _probed(side: Side | None) -> Iterator[watch.Seen]:
    if side is None or side.health is None:
        yield watch.Seen()
        return
    port, path = side.health
    with watch.asking(port, path, watch.PROBE_EVERY) as seen:
        yield seen
