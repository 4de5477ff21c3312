"""New versions take the old ones' place, under load, and nobody notices.

Figures: ``failed``, requests with another answer than 200; ``wrong``, answers that weren't to what was asked,
and updates that didn't succeed; ``slowest``, the longest that anybody waited, in ms.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from eas_bench import servers
from eas_bench.chaos.clients import Crowd
from eas_bench.scenarios.bars import Measured
from eas_bench.scenarios.files import Updates
from eas_bench.scenarios.setting import Result, Setting
from eas_bench.servers import Engine

_CALM: Final = 1.0  # seconds of load before the first update, and after each
_PATIENCE: Final = 120.0


def measure(scenario: Updates, setting: Setting) -> Result:
    """Run it. Errors: NotServing, OSError."""
    result = Result()
    config = setting.changed(scenario.processor, {})
    launch = setting.launch(setting.cores.every, config)
    with servers.engine(launch, scenario.processor, result.faults) as engine:
        crowd = Crowd(engine.target, clients=scenario.connections, poison=0.0)
        faults, seconds = asyncio.run(_live(scenario, setting, engine, crowd))
    tally = crowd.tally
    failed = sum(count for told, count in tally.answers.items() if told != "200")
    wrong = [*faults, *tally.faults]
    result.figures = {
        "failed": Measured(
            samples=[float(failed)], faults=[] if tally.answers["200"] else ["nothing was answered"]
        ),
        "wrong": Measured(samples=[float(len(faults) + tally.faulty)], faults=wrong[:5]),
        "slowest": Measured(samples=[tally.longest * 1000]),
    }
    result.raw = {"answers": dict(tally.answers), "update_seconds": seconds}
    return result


async def _live(
    scenario: Updates, setting: Setting, engine: Engine, crowd: Crowd
) -> tuple[list[str], list[float]]:
    """What went wrong with the updates, and how long each took."""
    loop = asyncio.get_running_loop()
    load = asyncio.create_task(crowd.run())
    faults: list[str] = []
    seconds: list[float] = []
    await asyncio.sleep(_CALM)
    for number in range(1, scenario.updates + 1):
        began = loop.time()
        file = setting.changed(scenario.processor, {"model_config": {"version": number}})
        status, told = await _update(setting, engine, file)
        seconds.append(loop.time() - began)
        faults += [f"update {number}: exit {status}: {told.strip()[-400:]}"] if status else []
        setting.tell(
            f"update {number} of {scenario.updates}: {seconds[-1]:.1f} s, {dict(crowd.tally.answers)}"
        )
        await asyncio.sleep(_CALM)
    crowd.stop()
    await load
    return faults, seconds


async def _update(setting: Setting, engine: Engine, file: Path) -> tuple[int, str]:
    """Exit status of the command, and what it printed."""
    process = await asyncio.create_subprocess_exec(
        *setting.engine,
        *("update", str(file), "--state-dir", str(engine.state)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(_PATIENCE):
            told, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return -1, f"no end after {_PATIENCE:.0f} s"
    return int(process.returncode or 0), told.decode(errors="replace")
