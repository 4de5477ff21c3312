"""The servers that take turns: the bare loop, the engine, and peers, each ready and answering rightly."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from eas_bench import places, servers
from eas_bench.machine import running_on
from eas_bench.peers.peer import Environment, Peer, Place
from eas_bench.peers.processes import Family, free_port, marked, started
from eas_bench.peers.work import ROW, Scenario
from eas_bench.servers import Launch, NotServing, Target

BARE: Final = "bare loop"
ENGINE: Final = "eas-engine"
STARTS_WITHIN = 150.0  # seconds: on one core, a cluster takes its time
_LOOK_EVERY = 0.05


@dataclass(frozen=True, slots=True)
class Side:
    """A server that has answered rightly once."""

    name: str
    target: Target
    body: bytes  # as this server wants it
    family: Family
    health: tuple[int, str] | None  # port and path
    seconds: float  # from its start to the first right answer


@contextlib.contextmanager
def bare(scenario: Scenario, like: Target, cores: frozenset[int], directory: Path) -> Iterator[Side]:
    """The bare loop. Errors: NotServing."""
    began, log = time.monotonic(), directory / f"bare-{scenario.name}.log"
    with contextlib.ExitStack() as running:
        with marked() as mark:
            target = running.enter_context(servers.reference(scenario.bare, like=like, cores=cores, log=log))
        yield Side(BARE, target, scenario.body, Family(mark), None, time.monotonic() - began)


@contextlib.contextmanager
def engine(scenario: Scenario, launch: Launch, network: bytes, faults: list[str]) -> Iterator[Side]:
    """Ours. What is wrong with its end goes to ``faults``. Errors: NotServing."""
    with contextlib.ExitStack() as running:
        with marked() as mark:
            server = running.enter_context(servers.engine(launch, scenario.processor, faults))
        status, got = server.target.ask(scenario.body)
        wrong = f"status {status}" if status != 200 else scenario.wrong(got, network)
        if wrong:
            raise NotServing(f"the engine ({scenario.processor}) answered with {wrong}")
        seconds = time.monotonic() - server.began
        health = (server.admin_port, "/healthz")
        yield Side(ENGINE, server.target, scenario.body, Family(mark), health, seconds)


@contextlib.contextmanager
def peer(
    peer: Peer, scenario: Scenario, place: Place, network: bytes, cores: frozenset[int]
) -> Iterator[Side]:
    """One of the others. Errors: NotServing."""
    began, log = time.monotonic(), place.directory / "log"
    try:
        start = peer.start(place)
    except (OSError, subprocess.CalledProcessError, LookupError, StopIteration) as error:
        raise NotServing(f"can't be prepared: {error}") from None
    surroundings = {**_surroundings(scenario.work), **start.environment}
    with started(
        start.command, environment=surroundings, directory=place.directory, cores=cores, log=log
    ) as (family, process):
        target, body = Target(place.port, start.path, start.headers), start.encode(scenario.body)

        def wrong() -> str | None:
            status, got = target.ask(body)
            if status != 200:
                return f"status {status}: {got[:200]!r}"
            try:
                return scenario.wrong(start.decode(got), network)
            except (ValueError, LookupError, TypeError) as error:
                return f"an answer that can't be read ({error}): {got[:60]!r}"

        _wait_right(wrong, process, log)
        strays = family.beyond(cores)
        if strays:
            raise NotServing(f"doesn't keep to its core: {', '.join(sorted(set(strays)))}")
        health = (place.port, start.health) if start.health else None
        yield Side(peer.name, target, body, family, health, time.monotonic() - began)


def _surroundings(work: str) -> dict[str, str]:
    paths = (places.BENCHMARKS, places.PROCESSORS / "mlp")
    return {
        "EAS_BENCH_WORK": work,
        "PYTHONPATH": ":".join(map(str, paths)),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }


def _wait_right(wrong: Callable[[], str | None], process: subprocess.Popen[bytes], log: Path) -> None:
    until, last = time.monotonic() + STARTS_WITHIN, "nothing"
    while time.monotonic() < until:
        try:
            last = wrong() or ""
            if not last:
                return
        except OSError as error:
            last = str(error)
        if process.poll() is not None:
            raise NotServing(f"exited with {process.returncode}: {servers.tail(log)}")
        time.sleep(_LOOK_EVERY)
    raise NotServing(f"no right answer within {STARTS_WITHIN:.0f} s, but {last}; {servers.tail(log)}")


def place_for(scenario: Scenario, environment: Environment, directory: Path) -> Place:
    """A free port and an empty directory for a peer."""
    directory.mkdir(parents=True)
    return Place(scenario.work, free_port(), directory, environment)


def network_says(cores: frozenset[int]) -> bytes:
    """What the network answers to ROW, computed without any server. Errors: NotServing."""
    command = [sys.executable, "-m", "reference.mlp_answer"]
    with running_on(cores):
        done = subprocess.run(command, cwd=places.BENCHMARKS, input=ROW, capture_output=True, check=False)
    if done.returncode:
        raise NotServing(f"the network can't be computed here: {done.stderr.decode(errors='replace')[-300:]}")
    return bytes.fromhex(done.stdout.decode())
