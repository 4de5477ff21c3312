"""What batching is worth: a small network behind the engine, behind mosec, and behind nothing at all.

Figures: ``over-mosec``, requests a second over those of mosec with the same network and the same settings;
``over-alone``, over the rows a second of the network in a loop without a server, and ``net-of-wire``, the
same once the cost of the bytes' own way is taken off (``figures.net_of_wire``).
"""

from __future__ import annotations

import http.client
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec

from eas_bench import places, servers, watch
from eas_bench.machine import Missing, running_on
from eas_bench.scenarios.bars import Measured
from eas_bench.scenarios.figures import Pair, WrkRun, net_of_wire, wavering
from eas_bench.scenarios.files import Batching
from eas_bench.scenarios.setting import SMALL, WARM, Result, Setting
from eas_bench.scenarios.turns import Side, against, compared, failures, raw, requests_a_second, run_costed
from eas_bench.servers import NotServing, Target

ROW = bytes(784 * 4)
ANSWER = 10 * 4  # bytes
MOSEC = Target(0, "/inference", ())


def measure(scenario: Batching, setting: Setting) -> Result:
    """784-512-512-10, rows of float32 as raw bytes, one thread. Errors: as ``turns.measure``."""
    for package, how in (("mosec", "`make bench`"), ("torch", "`make test`")):
        if find_spec(package) is None:
            raise Missing(f"{package} isn't installed: {how} in a checkout does it")
    result = Result()
    cores = setting.cores.server
    with (
        servers.engine(setting.launch(cores), scenario.processor, result.faults) as engine,
        setting.reference("mlp_mosec", like=MOSEC, cores=cores) as mosec,
        setting.reference("echo", like=engine.target, cores=cores) as wire,
        watch.asking(engine.admin_port, "/metrics", watch.SCRAPE_EVERY) as scrapes,
    ):
        wire.expect(SMALL, SMALL)
        for server in (mosec, engine.target):
            _expect(server)
            setting.clients.run_wrk(server, ROW, scenario.connections, WARM)

        def run(side: Side) -> WrkRun:
            return run_costed(setting, side, ROW, scenario.connections)

        sides = Side("mosec", mosec, mosec.pid), Side("engine", engine.target, engine.pid)
        pairs = against(setting, f"{scenario.connections} connections", sides, run)
        parts = [_parts(setting, wire, pair, scenario.connections) for pair in pairs]
    result.raw = {"pairs": {str(scenario.connections): raw(pairs)}, "parts": parts}
    result.figures = {"over-mosec": compared(pairs, requests_a_second, scrapes.faults)}
    faults = [*scrapes.faults, *failures([pair.engine for pair in pairs])]
    result.figures.update(figures(parts, faults))
    return result


def figures(parts: Sequence[Mapping[str, float]], faults: Sequence[str]) -> dict[str, Measured]:
    """Of the rounds' parts. Pure."""
    steady = wavering([part["alone"] for part in parts])
    wire = max(steady, wavering([part["wire"] for part in parts]))
    odd = any(part["net_of_wire"] <= 0 for part in parts)
    doubts = ["the wire alone was slower than the engine"] if odd else []
    over, net = ([part[kind] for part in parts] for kind in ("over_alone", "net_of_wire"))
    return {
        "over-alone": Measured(samples=over, wavering=steady, faults=faults),
        "net-of-wire": Measured(samples=net, wavering=wire, faults=faults, doubts=doubts),
    }


def _parts(setting: Setting, wire: Target, pair: Pair[WrkRun], connections: int) -> dict[str, float]:
    """The network without a server, and the wire without the network."""
    alone = _alone(setting)
    bare = setting.clients.run_wrk(wire, ROW, connections, setting.seconds).rate
    over, net = pair.engine.rate / alone, net_of_wire(pair.engine.rate, alone, bare)
    setting.tell(
        f"{alone:,.0f}/s without a server, {bare:,.0f}/s without the network; "
        f"the engine keeps {over:.3f}, net of the wire {net:.3f}"
    )
    return {"alone": alone, "wire": bare, "over_alone": over, "net_of_wire": net}


def _alone(setting: Setting) -> float:
    """Rows a second in a loop."""
    command = [sys.executable, "-m", "reference.mlp_loop", str(setting.seconds)]
    with running_on(setting.cores.server):
        done = subprocess.run(command, cwd=places.BENCHMARKS, stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout)


def _expect(server: Target) -> None:
    """Is it the network? Errors: NotServing."""
    try:
        status, got = server.ask(ROW)
    except (OSError, http.client.HTTPException) as error:
        raise NotServing(f"{server.url}: {error!r}") from error
    if (status, len(got)) != (200, ANSWER):
        raise NotServing(f"{server.url} answered {status} and {len(got)} bytes ({got[:200]!r})")
