"""What the autoscaler goes by: ``autoscaler`` of service.json, merged, read and ready to be asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from types import MappingProxyType

from eas_engine.records import dataclass
from eas_engine.spec.autoscaler import METRICS, Autoscaler
from eas_engine.supervisor.autoscale.cron import Jobs


@dataclass(frozen=True, slots=True)
class AutoscaleSettings:
    """Times are seconds, thresholds the wanted values per instance."""

    low: int
    high: int
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """By metric, in the order in which ties are told."""
    up_window: float = 0.0
    down_window: float = 300.0
    zero_grace: float = 600.0
    activation: int = 1
    jobs: Jobs = field(default_factory=Jobs)
    cpus: float = 1.0
    """CPUs of one instance: what ``cpu`` is a percentage of."""

    @classmethod
    def of(cls, given: Autoscaler, cpus: float) -> AutoscaleSettings:
        """From the file, which the rules have found to be right.

        ``cpus``: of one instance, ``metadata.cpu`` or its share of the machine.
        """
        behavior = given.behavior
        return cls(
            low=given.min,
            high=given.max,
            thresholds=_thresholds(given),
            up_window=behavior.scaleUp.stabilizationWindowSeconds,
            down_window=behavior.scaleDown.stabilizationWindowSeconds,
            zero_grace=behavior.onZero.scaleDownGracePeriodSeconds,
            activation=behavior.onZero.scaleUpActivationReplicas,
            jobs=Jobs.of(given),
            cpus=cpus,
        )

    def bounded(self, instances: int) -> int:
        """That number within ``min``..``max``."""
        return max(self.low, min(instances, self.high))


def _thresholds(given: Autoscaler) -> Mapping[str, float]:
    """``strategies`` and ``scaleStrategies`` as one; where both name a metric they agree."""
    listed = {one.metricName: one.threshold for one in given.scaleStrategies}
    both = {**listed, **given.strategies}
    return MappingProxyType({name: both[name] for name in METRICS if name in both})
