"""The bare loop several times in threads of one process: why ``rpc.io_threads`` is as it is.

Figure: ``two-over-one``, requests a second of the second number of loops over the first's, on one core.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

from eas_bench.scenarios.bars import Measured
from eas_bench.scenarios.figures import median, wavering
from eas_bench.scenarios.files import Loops
from eas_bench.scenarios.setting import SMALL, WARM, Result, Setting
from eas_bench.servers import Target


def measure(scenario: Loops, setting: Setting) -> Result:
    """Run it, in runs half as long. Errors: as ``turns.measure``."""
    setting = replace(setting, seconds=max(1.0, setting.seconds / 2))
    places = {"one_core": setting.cores.server, "every_core": setting.cores.every}
    rates: dict[str, dict[str, list[float]]] = {
        place: {str(number): [] for number in scenario.loops} for place in places
    }
    with ExitStack() as running:
        bares = {
            (place, number): running.enter_context(
                setting.reference("loops", str(number), like=Target(0, "/", ()), cores=cores)
            )
            for place, cores in places.items()
            for number in scenario.loops
        }
        for bare in bares.values():
            setting.clients.run_wrk(bare, SMALL, 64, WARM)
        for _ in range(setting.rounds):
            for (place, number), bare in bares.items():
                run = setting.clients.run_wrk(bare, SMALL, 64, setting.seconds)
                rates[place][str(number)].append(run.rate)
    for place, counts in rates.items():
        medians = ", ".join(f"{number}: {median(samples):,.0f}/s" for number, samples in counts.items())
        setting.tell(f"loops, {place.replace('_', ' ')}: {medians}")
    one, two = (rates["one_core"][str(number)] for number in scenario.loops[:2])
    ratio = [after / before for before, after in zip(one, two, strict=True)]
    return Result({"two-over-one": Measured(samples=ratio, wavering=wavering(one))}, {"loops": rates})
