"""What must hold between the parameters of ``autoscaler``: the rules about it (see ``rules``)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from eas_engine.spec.autoscaler import METRICS, Autoscaler, OnZero, ScaleJob
from eas_engine.spec.problems import Complaint, shown
from eas_engine.spec.schedules import cron, days, zone

_EXPECTED: Final = f"expected one of {', '.join(METRICS)}"
_ZERO: Final = "autoscaler.behavior.onZero"


def complaints(scaler: Autoscaler) -> Iterator[Complaint]:
    """Every broken rule."""
    yield from _bounds(scaler)
    yield from _metrics(scaler)
    yield from _jobs(scaler)
    yield from _days(scaler)


def job_name(job: ScaleJob, index: int) -> str:
    """What a job is called: by its name, or its place in the list."""
    return job.name or f"scaleJobs[{index}]"


def _bounds(scaler: Autoscaler) -> Iterator[Complaint]:
    if scaler.min > scaler.max:
        yield Complaint(
            ("autoscaler.min", "autoscaler.max"),
            f"{scaler.min}: expected at most autoscaler.max, which is {scaler.max}",
        )
    zero = scaler.behavior.onZero
    if zero.scaleUpActivationReplicas > scaler.max:
        yield Complaint(
            (f"{_ZERO}.scaleUpActivationReplicas", "autoscaler.max"),
            f"{zero.scaleUpActivationReplicas}: expected at most autoscaler.max, which is {scaler.max}",
        )
    if scaler.min > 0:
        for name in OnZero.model_fields:
            if getattr(zero, name) != OnZero.model_fields[name].default:
                yield Complaint(
                    (f"{_ZERO}.{name}", "autoscaler.min"),
                    f"no effect: min is {scaler.min}, and only with min 0 the last instance goes",
                    "warning",
                )


def _metrics(scaler: Autoscaler) -> Iterator[Complaint]:
    held: dict[str, tuple[float, str]] = {}
    for name, threshold in scaler.strategies.items():
        path = f"autoscaler.strategies.{name}"
        held[name] = threshold, path
        if name not in METRICS:
            yield Complaint((path,), f"unknown metric; {_EXPECTED}")
        if threshold <= 0:
            yield Complaint((path,), f"{threshold:g}: expected a number above 0")
        yield from _beside(name, threshold, path)
    for index, one in enumerate(scaler.scaleStrategies):
        path = f"autoscaler.scaleStrategies[{index}]"
        if one.metricName not in METRICS:
            unknown = f"{shown(one.metricName)}: unknown metric; {_EXPECTED}"
            yield Complaint((f"{path}.metricName",), unknown)
        threshold, where = held.setdefault(one.metricName, (one.threshold, path))
        if threshold != one.threshold:
            two = f"{one.threshold:g}, but {where} says {threshold:g}: expected one threshold for a metric"
            yield Complaint((f"{path}.threshold", where), two)
        elif where == path:
            yield from _beside(one.metricName, one.threshold, f"{path}.metricName")
    if not held and not scaler.scaleJobs and scaler.min not in (0, scaler.max):
        nothing = "no metric and no job: nothing moves the number of instances between min and max"
        yield Complaint(("autoscaler.strategies", "autoscaler.scaleStrategies"), nothing, "warning")


def _beside(name: str, threshold: float, path: str) -> Iterator[Complaint]:
    """What is allowed and hardly meant."""
    if name == "cpu" and threshold > 100:
        hardly = f"{threshold:g}: percent of an instance's CPUs, which it hardly uses more than 100 of"
        yield Complaint((path,), hardly, "warning")


def _jobs(scaler: Autoscaler) -> Iterator[Complaint]:
    names: dict[str, int] = {}
    for index, job in enumerate(scaler.scaleJobs):
        path = f"autoscaler.scaleJobs[{index}]"
        first = names.setdefault(job_name(job, index), index)
        if first != index:
            twice = f"{shown(job.name)}: scaleJobs[{first}] has the same name"
            yield Complaint((f"{path}.name",), twice)
        yield from _zone(job.timeZone, f"{path}.timeZone")
        yield from _schedule(job, path)
        if not scaler.min <= job.targetSize <= scaler.max:
            bounded = max(scaler.min, min(job.targetSize, scaler.max))
            yield Complaint(
                (f"{path}.targetSize", "autoscaler.min", "autoscaler.max"),
                f"{job.targetSize} is outside of min..max ({scaler.min}..{scaler.max}): it will be {bounded}",
                "warning",
            )


def _schedule(job: ScaleJob, path: str) -> Iterator[Complaint]:
    """About the expression alone; a wrong zone is complained about where it stands."""
    known = not any(_zone(job.timeZone, path))
    try:
        cron(job.schedule, job.timeZone if known else "")
    except ValueError as error:
        yield Complaint((f"{path}.schedule",), str(error))


def _zone(name: str, path: str) -> Iterator[Complaint]:
    try:
        zone(name)
    except ValueError as error:
        yield Complaint((path,), str(error))


def _days(scaler: Autoscaler) -> Iterator[Complaint]:
    yield from _zone(scaler.timeZone, "autoscaler.timeZone")
    for one in scaler.excludeDates:
        try:
            days(one)
        except ValueError as error:
            yield Complaint(("autoscaler.excludeDates",), str(error))
    if not scaler.scaleJobs:
        for name in ("excludeDates", "timeZone"):
            if getattr(scaler, name):
                yield Complaint(
                    (f"autoscaler.{name}", "autoscaler.scaleJobs"), "no effect without scaleJobs", "warning"
                )
