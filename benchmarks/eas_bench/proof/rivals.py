"""wrk beside our own closed loop: the same requests to the same server."""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from eas_bench import latency, places, record
from eas_bench.client import measure
from eas_bench.machine import Cores, running_on, tool
from eas_bench.target import Wanted


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one run in closed loop; times in microseconds."""

    rate: float
    p50: int
    p99: int
    max: int
    cpu: float = 0.0  # microseconds of processor time a request; 0: unknown
    invalid: bool = False


def by_wrk(wanted: Wanted, connections: int, seconds: float, cores: Cores) -> Figures:
    """One thread. Raises Missing: there is no wrk."""
    wrk = tool("wrk", "wrk")
    with tempfile.TemporaryDirectory(prefix="eas-bench-") as directory:
        body = Path(directory, "body")
        body.write_bytes(wanted.bodies[0])
        script = str(places.NATIVE / "wrk_post.lua")
        options = ("-t1", f"-c{connections}", f"-d{round(seconds)}s", "--timeout", "10s", "-s", script)
        with running_on(cores.load):
            told = subprocess.run(
                [wrk, *options, wanted.url, "--", str(body), *(f"{a}: {b}" for a, b in wanted.headers)],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
    line = next(line for line in told.splitlines() if line.startswith("figures "))
    found = json.loads(line.removeprefix("figures "))
    rate = found["requests"] / found["duration_us"] * 1e6
    return Figures(rate, found["p50_us"], found["p99_us"], found["max_us"])


def by_us(wanted: Wanted, connections: int, seconds: float, cores: Cores) -> Figures:
    """One process."""
    load = record.Load(kind="closed", connections=connections, duration=round(seconds), timeout=10)
    with running_on(cores.load):
        return of(measure(wanted, load))


def of(run: record.Run) -> Figures:
    """A run's."""
    found = latency.summary(latency.decoded(run.latency["all"]))
    if found is None:
        raise ValueError("there was no answer")
    cpu = run.generator.cpu_seconds / run.answers * 1e6
    return Figures(
        run.answers / run.seconds, found.p50, found.p99, found.max, cpu, bool(run.generator.invalid)
    )
