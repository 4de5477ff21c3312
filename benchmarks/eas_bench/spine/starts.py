"""How long many instances take to start beside each other."""

from __future__ import annotations

import json
import time

from eas_bench import servers
from eas_bench.spine.bars import Bar, Verdict
from eas_bench.spine.scenarios import STARTS, Result, Setting

INSTANCES = 8
EIGHT = Bar("start-8", "exec to eight ready instances of a model that loads for 1 s", "under", 2.5, "s")
_PROCESSOR = "model_of_a_second"
_LOOK_EVERY = 0.02  # seconds; each look takes CPU from those that start


def eight(setting: Setting) -> Result:
    """From exec to eight ready instances, each time with a state directory that isn't there yet."""
    samples: list[float] = []
    faults: list[str] = []
    for _ in range(STARTS):
        engine = servers.Engine(setting.launch(setting.cores.every), _PROCESSOR)
        try:
            samples.append(wait_instances(engine, INSTANCES))
        finally:
            fault = engine.stop()
        faults += [fault] if fault else []
        setting.tell(f"starts: {samples[-1]:.3f} s")
    return Result([Verdict.of(EIGHT, samples)], {"starts_seconds": samples}, faults)


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
