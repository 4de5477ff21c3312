"""How many instances from now on: a pure function of settings, samples, the last decision, and the time.

In this order, the first that applies:

1. *Asleep* (none wanted): a request, a job, or a lower bound above 0 wakes the service; nothing else does.
2. *Idle*: the lower bound is 0 and no request was there for ``zero_grace`` seconds: none.
3. A *job* falls due and there are no metrics: its size. With metrics the size is the lower bound until the
   next job: the number rises to it at once and falls no lower. (EAS's CronHPA does the same beside its HPA,
   but moves ``min`` and ``max``, too; here they bound jobs as they bound everything.)
4. *Metrics*: the largest number that one of them asks for (``metrics``), steadied: up goes only what all of
   the last ``up_window`` seconds asked for, down only what none of the last ``down_window`` seconds exceeded.

All of it lies within ``min``..``max`` at once, whatever the windows say, and is 1 at least unless idle. A
number set by hand counts as a recommendation of that moment: metrics raise it at once, and lower it after the
window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from eas_engine.supervisor.autoscale.cron import Due
from eas_engine.supervisor.autoscale.decision import Cause, Decision, Moment, State
from eas_engine.supervisor.autoscale.metrics import TOLERANCE, Figure, figures, largest, near
from eas_engine.supervisor.autoscale.sample import ENOUGH, Sample, mean
from eas_engine.supervisor.autoscale.settings import AutoscaleSettings


def decide(
    settings: AutoscaleSettings,
    samples: Sequence[Sample],
    state: State,
    moment: Moment,
    *,
    woken: bool = False,
) -> Decision:
    """The number of instances from ``moment`` on.

    ``samples``: at least one, oldest first; the newest says how many are wanted, those of the last ``SPAN``
    seconds how large the load is. ``woken``: a request has come that no sample knows of.
    """
    newest = samples[-1]
    fell_due, state = _look_at_jobs(settings, state, moment)
    state = _begin(settings, state, newest, moment, woken=woken)
    low = _lower_bound(settings, state.due)
    facts = Decision(
        at=moment.wall,
        current=newest.wanted,
        wanted=newest.wanted,
        cause="none",
        reason="",
        low=low,
        high=settings.high,
        ready=newest.ready,
        starting=newest.starting,
        idle=max(0.0, moment.now - state.last_request),
        job=state.due,
        state=state,
    )
    decision = (
        _asleep(settings, facts, woken=woken or _busy(newest), fell_due=fell_due)
        or _idle(settings, facts)
        or _by_job(settings, facts, fell_due=fell_due)
        or _by_metrics(settings, facts, samples, moment)
    )
    return _settled(decision, moment)


def _look_at_jobs(settings: AutoscaleSettings, state: State, moment: Moment) -> tuple[bool, State]:
    """Whether another job holds than before, and the state with it. Asks the calendar only when it must."""
    if not settings.jobs:
        return False, state if state.due is None else replace(state, due=None, looked=None, until=None)
    wall = moment.wall
    if state.looked is not None and state.looked <= wall and (state.until is None or wall < state.until):
        return False, replace(state, looked=wall)
    due = settings.jobs.held(wall)
    fell_due = due is not None and due != state.due
    return fell_due, replace(state, due=due, looked=wall, until=settings.jobs.next_change(wall))


def _begin(
    settings: AutoscaleSettings, state: State, newest: Sample, moment: Moment, *, woken: bool
) -> State:
    """The state with this moment's news: what the settings say of windows, requests, a number set by hand."""
    up, down = state.up.lasting(settings.up_window), state.down.lasting(settings.down_window)
    if up is not state.up or down is not state.down:
        state = replace(state, up=up, down=down)
    if state.decided != newest.wanted:
        return _restarted(state, newest.wanted, moment)
    if woken or _busy(newest):
        return replace(state, last_request=moment.now)
    return state


def _restarted(state: State, instances: int, moment: Moment) -> State:
    """Forget what was recommended before: ``instances`` is where it goes on from."""
    return replace(
        state,
        last_request=moment.now,
        up=replace(state.up, entries=()).add(moment.now, instances),
        down=replace(state.down, entries=()).add(moment.now, instances),
    )


def _busy(newest: Sample) -> bool:
    return newest.qps > 0 or newest.in_flight > 0


def _lower_bound(settings: AutoscaleSettings, due: Due | None) -> int:
    return settings.bounded(due.size) if due is not None and settings.thresholds else settings.low


def _asleep(settings: AutoscaleSettings, facts: Decision, *, woken: bool, fell_due: bool) -> Decision | None:
    if facts.current > 0:
        return None
    if woken:
        wanted = max(facts.low, min(settings.activation, facts.high))
        why = f"a request has come to a service that was asleep: {wanted} to begin with"
        return replace(facts, wanted=wanted, cause="woken", reason=why)
    if facts.job is not None and (fell_due or settings.thresholds) and facts.job.size > 0:
        return replace(
            facts, wanted=settings.bounded(facts.job.size), cause="job", reason=_job_says(facts.job)
        )
    if facts.low > 0:
        return replace(facts, wanted=facts.low, cause="bound", reason=f"min is {facts.low}")
    return replace(facts, cause="asleep", reason="asleep: the next request wakes it")


def _idle(settings: AutoscaleSettings, facts: Decision) -> Decision | None:
    if facts.low > 0 or facts.idle < settings.zero_grace:
        return None
    why = f"no request for {settings.zero_grace:g} s, and min is 0"
    return replace(facts, wanted=0, cause="idle", reason=why)


def _by_job(settings: AutoscaleSettings, facts: Decision, *, fell_due: bool) -> Decision | None:
    if settings.thresholds or facts.job is None or not fell_due:
        return None
    wanted = max(1, settings.bounded(facts.job.size))
    return replace(facts, wanted=wanted, cause="job", reason=_job_says(facts.job))


def _by_metrics(
    settings: AutoscaleSettings, facts: Decision, samples: Sequence[Sample], moment: Moment
) -> Decision:
    if not settings.thresholds:
        return _bounded(settings, replace(facts, reason="no metric is set"), facts.current)
    load = mean(samples, moment.now)
    if load.seconds < ENOUGH:
        why = f"too little is known yet: {load.seconds:.0f} of {ENOUGH:g} s"
        return _bounded(settings, replace(facts, cause="blind", reason=why), facts.current)
    found = figures(settings, load, samples[-1], facts.current)
    facts, top = replace(facts, figures=found), largest(found, facts.current)
    if top is None:
        why = "; ".join(f"{one.metric}: {one.note}" for one in found)
        return _bounded(settings, replace(facts, cause="blind", reason=why), facts.current)
    return _steadied(settings, facts, top, moment)


def _steadied(settings: AutoscaleSettings, facts: Decision, top: Figure, moment: Moment) -> Decision:
    """What the windows make of what ``top`` asks for."""
    asked = top.desired or 0
    up, down = facts.state.up.add(moment.now, asked), facts.state.down.add(moment.now, asked)
    state = replace(facts.state, up=up, down=down)
    wanted = max(up.value, min(facts.current, down.value))
    says, cause = _asks(top), _cause(facts.current, asked, wanted)
    if cause == "steady" and top.value is not None and near(top.value, top.threshold):
        says = f"{says} as now: it is within {TOLERANCE:.0%}"
    if cause == "window" and asked > facts.current:
        says = f"{says}; only {up.value} all through the last {settings.up_window:g} s"
    elif cause == "window":
        says = f"{says}; up to {down.value} in the last {settings.down_window:g} s"
    facts = replace(
        facts,
        wanted=wanted,
        cause=cause,
        reason=says,
        recommended=asked,
        lowest=up.value,
        highest=down.value,
        state=state,
    )
    return _bounded(settings, facts, wanted)


def _cause(current: int, asked: int, wanted: int) -> Cause:
    if wanted == asked:
        return "steady" if wanted == current else "metric"
    return "window"


def _bounded(settings: AutoscaleSettings, facts: Decision, wanted: int) -> Decision:
    """The decision for ``wanted``, as far as the bounds allow it."""
    cause: Cause = "bound"
    if wanted > facts.high:
        bound, says = facts.high, f"max is {facts.high}"
    elif wanted >= max(1, facts.low):
        return facts if wanted == facts.wanted else replace(facts, wanted=wanted)
    elif facts.job is not None and facts.low > settings.low:
        bound, says, cause = facts.low, _job_says(facts.job), "job"
    elif facts.low > 0:
        bound, says = facts.low, f"min is {facts.low}"
    else:
        bound, says = 1, f"the last one goes after {settings.zero_grace:g} s without a request"
    return replace(facts, wanted=bound, cause=cause, reason="; ".join(filter(None, (facts.reason, says))))


def _settled(decision: Decision, moment: Moment) -> Decision:
    """With the state for the next one."""
    if decision.state.decided == decision.wanted:
        return decision
    state = replace(decision.state, decided=decision.wanted)
    if decision.current == 0 and decision.wanted > 0:
        state = _restarted(state, decision.wanted, moment)
    return replace(decision, state=state)


def _asks(figure: Figure) -> str:
    value = f"{figure.value:.4g} per instance" if figure.value is not None else "no figure"
    note = f" ({figure.note})" if figure.note else ""
    return f"{figure.metric}: {value}{note}, threshold {figure.threshold:g}, asks for {figure.desired}"


def _job_says(job: Due) -> str:
    return f"job {job.name} asks for {job.size}"
