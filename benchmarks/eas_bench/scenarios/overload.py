"""More clients than there is room for, at once back after each refusal, against as many as fit.

Figures: ``successes``, answers with 200 a second of the flood over those of the calm; ``success-p99`` and
``refusal-p99``, of the flood, in ms; ``broken``, connections that were reset, refused or cut, in the worst
round.
"""

from __future__ import annotations

from collections.abc import Sequence

from eas_bench import servers, watch
from eas_bench.scenarios.bars import Measured
from eas_bench.scenarios.figures import ClosedRun, Pair, ratios, take_turns, wavering
from eas_bench.scenarios.files import Overload
from eas_bench.scenarios.setting import SMALL, WARM, Result, Setting
from eas_bench.scenarios.turns import raw

REFUSED = 450  # the status of a full queue


def measure(scenario: Overload, setting: Setting) -> Result:
    """Run it. Errors: as ``turns.measure``."""
    result = Result()
    launch = setting.launch(setting.cores.server)
    with servers.engine(launch, scenario.processor, result.faults) as engine:
        target = engine.target
        target.expect(SMALL, SMALL)

        def run(connections: int) -> ClosedRun:
            done = setting.clients.run_closed(target, SMALL, connections, warm=WARM, seconds=setting.seconds)
            setting.tell(
                f"{connections} connections: {done.success_rate:,.0f} successes/s, "
                f"p99 {done.p99(200):.1f} ms; refusals p99 {done.p99(REFUSED):.1f} ms"
            )
            return done

        with watch.asking(engine.admin_port, "/metrics", watch.SCRAPE_EVERY) as scrapes:
            pairs = take_turns(setting.rounds, lambda: run(scenario.calm), lambda: run(scenario.flood))
    result.raw = {"pairs": {f"{scenario.calm}-{scenario.flood}": raw(pairs)}}
    result.figures = figures(pairs, scrapes.faults)
    return result


def figures(pairs: Sequence[Pair[ClosedRun]], faults: Sequence[str] = ()) -> dict[str, Measured]:
    """Of pairs of runs with few connections (``reference``) and with too many (``engine``)."""
    calm, flooded = [pair.reference for pair in pairs], [pair.engine for pair in pairs]
    steady = wavering([run.success_rate for run in calm])
    seen = list(faults)
    if any(set(run.statuses) != {200} or run.broken for run in calm):
        seen.append("in the calm not everything was answered with 200")
    strange = {status for run in flooded for status in run.statuses} - {200, REFUSED}
    if strange:
        seen.append(f"statuses other than 200 and 450: {sorted(strange)}")
    refused_at_all = all(REFUSED in run.statuses for run in flooded)
    nobody = [] if refused_at_all else ["nobody was refused: that was no overload"]
    return {
        "successes": Measured(
            samples=ratios(pairs, lambda run: run.success_rate), wavering=steady, faults=[*seen, *nobody]
        ),
        "success-p99": Measured(samples=[run.p99(200) for run in flooded], wavering=steady, faults=seen),
        "refusal-p99": Measured(samples=[run.p99(REFUSED) for run in flooded], faults=[*seen, *nobody]),
        "broken": Measured(samples=[float(max(run.broken for run in flooded))]),
    }
