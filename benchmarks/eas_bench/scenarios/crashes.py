"""An instance dies every so often, under load; first without trying again what was begun, then with.

Figures: ``wrong``, what happened that must not: an answer that is wrong, missing or undocumented, an engine
that grows; ``lost-a-kill``, requests that were answered with the death of their instance, a kill; ``kills``,
how many there were; ``lost-with-retry``, requests with another answer than 200 where what was begun is tried
again.
"""

from __future__ import annotations

import shlex

from eas_bench.chaos.run import Outcome, Plan, run
from eas_bench.machine import running_on
from eas_bench.scenarios.bars import Measured
from eas_bench.scenarios.files import Crashes
from eas_bench.scenarios.setting import Result, Setting

_GROWTH = 32 << 20  # bytes within so short a time: caches and buffers still fill


def measure(scenario: Crashes, setting: Setting) -> Result:
    """Run it. Errors: NotServing, OSError."""
    plain, again = (_tormented(scenario, setting, retry=retry) for retry in (False, True))
    result = Result(raw={"plain": _raw(plain), "retry": _raw(again)})
    lost = sum(count for told, count in again.answers.items() if told != "200")
    faults = [*plain.faults, *again.faults]
    result.figures = {
        "wrong": Measured(samples=[float(len(faults))], faults=faults[:5]),
        "lost-a-kill": Measured(samples=[plain.interrupted / max(1, plain.kills)]),
        "kills": Measured(samples=[float(plain.kills + again.kills)]),
        "lost-with-retry": Measured(samples=[float(lost)]),
    }
    return result


def _tormented(scenario: Crashes, setting: Setting, *, retry: bool) -> Outcome:
    plan = Plan(
        seconds=(scenario.kills + 0.5) * scenario.every,
        every=scenario.every,
        retry=retry,
        instances=scenario.instances,
        clients=scenario.connections,
        memory=_GROWTH,
        descriptors=2 * scenario.instances,
        pace=False,
    )
    with running_on(setting.cores.every):  # it takes for the engine what this process may use
        outcome = run(plan, shlex.join(setting.engine))
    setting.tell(
        f"{plan.name}: {outcome.kills} kills, {outcome.requests:,} answers, "
        f"{outcome.interrupted} lost, slowest {outcome.longest:.2f} s"
    )
    return outcome


def _raw(outcome: Outcome) -> dict[str, object]:
    return {
        "seconds": outcome.seconds,
        "kills": outcome.kills,
        "answers": dict(outcome.answers),
        "retries": outcome.retries,
        "slowest_seconds": outcome.longest,
    }
