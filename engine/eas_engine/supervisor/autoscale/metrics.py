"""What each metric asks for: desired = ceil(instances x metric / threshold), no change within 10 %.

``instances`` are those wanted, as in Kubernetes' HPA. Of requests (``qps``, ``qps1k``, ``queue``) the sum
over all instances is known, whoever is ready, so instances x metric is that sum. Of ``cpu`` and ``gpu[util]``
only instances that are ready have a figure; those that start, crash or have none are *absent*, and counted so
that they never lead away from what is:

* where the others ask for more, as idle: those on their way are not ordered twice;
* where the others ask for less, as busy at 100 % (at the threshold, if that is larger): nobody goes because
  somebody can't be seen. (Kubernetes does this for pods without metrics and leaves out those that start.)
* if that turns one into the other, nothing changes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from eas_engine.records import dataclass
from eas_engine.supervisor.autoscale.sample import Load, Sample
from eas_engine.supervisor.autoscale.settings import AutoscaleSettings

TOLERANCE = 0.1
"""So far from the threshold nothing changes, up or down."""
_CLOSE = 1e-9  # sums of floats: 3 x 0.1 is three tenths


@dataclass(frozen=True, slots=True)
class Figure:
    """One metric at one moment."""

    metric: str
    threshold: float
    """The wanted value per instance."""
    value: float | None
    """Per instance, as compared with the threshold; ``None`` = there is no figure."""
    desired: int | None
    """The instances that it asks for; ``None`` = it can't say."""
    note: str = ""
    """What a person should know: why there is no figure, or how many instances are absent."""


def figures(settings: AutoscaleSettings, load: Load, newest: Sample, instances: int) -> tuple[Figure, ...]:
    """Every metric of the settings; ``instances`` are those wanted now, at least one."""
    return tuple(_figure(settings, name, load, newest, instances) for name in settings.thresholds)


def near(value: float, threshold: float) -> bool:
    """Whether so little lies between them that nothing changes."""
    return abs(value / threshold - 1.0) <= TOLERANCE + _CLOSE


def largest(found: Sequence[Figure], instances: int) -> Figure | None:
    """The one that asks for most; ``None`` when none can say.

    One without a figure never lets the number fall: then it is the one that decides.
    """
    able = [one for one in found if one.desired is not None]
    if not able:
        return None
    top = max(able, key=lambda one: one.desired or 0)
    mute = next((one for one in found if one.desired is None), None)
    if mute is not None and top.desired is not None and top.desired < instances:
        return Figure(mute.metric, mute.threshold, None, instances, mute.note)
    return top


def _figure(settings: AutoscaleSettings, name: str, load: Load, newest: Sample, instances: int) -> Figure:
    threshold = settings.thresholds[name]
    if name == "cpu":
        used = 100.0 * load.cpu / settings.cpus
        return _of_instances(Figure(name, threshold, used, None), newest.measured, instances)
    if name == "gpu[util]":
        return _of_instances(Figure(name, threshold, load.gpu, None), newest.gpus, instances)
    total = {"qps": load.qps, "qps1k": 1000.0 * load.qps, "queue": load.queue}[name]
    return Figure(name, threshold, total / instances, _desired(total, threshold, instances))


def _desired(total: float, threshold: float, instances: int) -> int:
    """For a sum over all instances."""
    if near(total / instances, threshold):
        return instances
    return math.ceil(total / threshold - _CLOSE)


def _of_instances(total: Figure, measured: int, instances: int) -> Figure:
    """``total.value`` is the sum over ``measured`` instances; see the head of this file."""
    if total.value is None or measured == 0:
        return Figure(total.metric, total.threshold, None, None, "no instance has a figure")
    used, threshold = total.value, total.threshold
    absent = max(0, instances - measured)
    more = used > threshold * measured
    counted = used if more else used + absent * max(100.0, threshold)
    desired = _desired(counted, threshold, instances)
    if absent and more != (counted > threshold * instances):
        desired = instances
    note = f"{absent} without a figure, counted as {'idle' if more else 'busy'}" if absent else ""
    return Figure(total.metric, threshold, used / measured, desired, note)
