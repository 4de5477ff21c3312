"""What batching is worth: a small network behind the engine, behind mosec, and behind nothing at all."""

from __future__ import annotations

import http.client
import subprocess
import sys

from eas_bench import places, servers, watch
from eas_bench.machine import running_on
from eas_bench.servers import NotServing, Target
from eas_bench.spine import bars
from eas_bench.spine.bars import Verdict
from eas_bench.spine.figures import net_of_wire
from eas_bench.spine.scenarios import SMALL, WARM, Result, Setting, Side, against, compared, rate, raw

ROW = bytes(784 * 4)
ANSWER = 10 * 4  # bytes
CONNECTIONS = 64
MOSEC = Target(0, "/inference", ())


def mlp(setting: Setting) -> Result:
    """784-512-512-10, rows of float32 as raw bytes, one thread, batches of 16, over 64 connections."""
    result = Result()
    cores = setting.cores.server
    with (
        servers.engine(setting.launch(cores), "mlp", result.faults) as engine,
        setting.reference("mlp_mosec", like=MOSEC, cores=cores) as mosec,
        setting.reference("echo", like=engine.target, cores=cores) as wire,
        watch.asking(engine.admin_port, "/metrics", watch.SCRAPE_EVERY) as scrapes,
    ):
        wire.expect(SMALL, SMALL)
        for server in (mosec, engine.target):
            _expect(server)
            setting.clients.run_wrk(server, ROW, CONNECTIONS, WARM)
        side = Side(mosec, engine.target, ROW, CONNECTIONS, ("mosec", "engine"))
        pairs = against(setting, "batching", side)
        alone, gross, net = [], [], []
        for pair in pairs:
            alone.append(_alone(setting))
            bare = setting.clients.run_wrk(wire, ROW, CONNECTIONS, setting.seconds).rate
            gross.append(pair.engine.rate / alone[-1])
            net.append(net_of_wire(pair.engine.rate, alone[-1], bare))
            setting.tell(
                f"batching: {alone[-1]:,.0f}/s without a server, {bare:,.0f}/s without the network; "
                f"the engine keeps {gross[-1]:.3f}, net of the wire {net[-1]:.3f}"
            )
    result.raw = {"pairs": {bars.MOSEC.key: raw(pairs)}, "alone": alone, "gross": gross, "net": net}
    result.verdicts = [
        compared(bars.MOSEC, pairs, rate, scrapes.faults),
        Verdict.of(bars.ALONE, net, faults=scrapes.faults),
    ]
    return result


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
