"""How long many instances take to start beside each other.

Figure: ``ready``, seconds from exec until all of them are, each time with a state directory that isn't there
yet.
"""

from __future__ import annotations

import json
import time

from eas_bench import servers
from eas_bench.scenarios.bars import Measured
from eas_bench.scenarios.files import Starts
from eas_bench.scenarios.setting import Result, Setting

_LOOK_EVERY = 0.02  # seconds; each look takes CPU from those that start


def measure(scenario: Starts, setting: Setting) -> Result:
    """Run it. Errors: as ``turns.measure``."""
    result = Result()
    samples: list[float] = []
    for _ in range(scenario.starts):
        engine = servers.Engine(setting.launch(setting.cores.every), scenario.processor)
        try:
            samples.append(wait_instances(engine, scenario.instances))
        finally:
            fault = engine.stop()
        result.faults += [fault] if fault else []
        setting.tell(f"{scenario.instances} instances are ready after {samples[-1]:.3f} s")
    result.figures = {"ready": Measured(samples=samples)}
    result.raw = {"ready_seconds": samples}
    return result


def wait_instances(engine: servers.Engine, count: int) -> float:
    """Until so many instances are ready; the seconds since the engine was started. Errors: NotServing."""
    engine.wait_ready()
    while (ready := _ready(engine)) < count:
        if time.monotonic() > engine.began + servers.READY_WITHIN:
            raise servers.NotServing(f"{ready} of {count} instances are ready: {servers.READY_WITHIN:.0f} s")
        time.sleep(_LOOK_EVERY)
    return time.monotonic() - engine.began


def _ready(engine: servers.Engine) -> int:
    status, body = engine.admin("/api/v1/instances")
    if status != 200:
        raise servers.NotServing(f"the engine answers {status} when it is asked for its instances")
    return sum(one["state"] == "READY" for one in json.loads(body)["instances"])
