"""From nothing to the first answer; and what an engine holds that has nothing to do.

Figures: ``start``, seconds from exec to the first 200, each time with a state directory that isn't there yet;
``idle``, resident megabytes (10^6 bytes) of the engine process, its hosts apart, after a request and a rest.
"""

from __future__ import annotations

import time
from pathlib import Path

from eas_bench import servers
from eas_bench.scenarios.bars import Measured
from eas_bench.scenarios.files import Cold
from eas_bench.scenarios.setting import SMALL, Result, Setting

SETTLE = 3.0  # seconds without a request before an engine counts as idle


def measure(scenario: Cold, setting: Setting) -> Result:
    """Run it. Errors: as ``turns.measure``."""
    result = Result()
    starts = [_start(scenario, setting, result) for _ in range(scenario.starts)]
    memory = _idle(scenario, setting, result)
    idle = (memory["RssAnon"] + memory["RssFile"]) / 1e6
    setting.tell(f"idle: {idle:.1f} MB")
    result.figures = {"start": Measured(samples=starts), "idle": Measured(samples=[idle])}
    result.raw = {"start_seconds": starts, "idle_bytes": memory}
    return result


def resident(status: str) -> dict[str, int]:
    """The resident bytes by kind from the text of ``/proc/PID/status`` (proc(5)). Pure."""
    kinds = ("RssAnon", "RssFile", "RssShmem")
    lines = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return {kind: int(lines[kind].split()[0]) * 1024 for kind in kinds}


def _start(scenario: Cold, setting: Setting, result: Result) -> float:
    engine = servers.Engine(setting.launch(setting.cores.every), scenario.processor)
    try:
        took = engine.wait_answer(SMALL)
    finally:
        fault = engine.stop()
    result.faults += [fault] if fault else []
    setting.tell(f"first answer after {took:.3f} s")
    return took


def _idle(scenario: Cold, setting: Setting, result: Result) -> dict[str, int]:
    launch = setting.launch(setting.cores.every)
    with servers.engine(launch, scenario.processor, result.faults) as engine:
        engine.target.expect(SMALL, SMALL)
        engine.admin("/metrics")
        time.sleep(SETTLE)
        return resident(Path(f"/proc/{engine.pid}/status").read_text())
