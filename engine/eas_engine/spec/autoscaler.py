"""``autoscaler``: the number of instances follows the load."""

from __future__ import annotations

from collections.abc import Mapping

from eas_engine.spec.values import Integer, Number, Section, Text, parameter, section

MOST = 3000
LONGEST = 7 * 24 * 3600


class ScaleStrategy(Section):
    """One metric and its wanted value per instance."""

    metricName: Text = parameter(..., "`qps`, `qps1k`, `cpu`, `gpu[util]` or `queue`.")  # noqa: N815
    threshold: Number = parameter(..., "The wanted value per instance.", gt=0)


class ScaleUp(Section):
    """Upwards."""

    stabilizationWindowSeconds: Integer = parameter(  # noqa: N815
        0, "How long the load must ask for more.", unit="seconds", ge=0, le=LONGEST
    )


class ScaleDown(Section):
    """Downwards."""

    stabilizationWindowSeconds: Integer = parameter(  # noqa: N815
        300, "How long the load must ask for less.", unit="seconds", ge=0, le=LONGEST
    )


class OnZero(Section):
    """To no instance at all, and back."""

    scaleDownGracePeriodSeconds: Integer = parameter(  # noqa: N815
        600, "How long nothing must come before the last instance goes.", unit="seconds", ge=0, le=LONGEST
    )
    scaleUpActivationReplicas: Integer = parameter(  # noqa: N815
        1, "Instances started by the first request.", ge=1, le=MOST
    )


class Behavior(Section):
    """How fast it follows."""

    scaleUp: ScaleUp = section("Upwards.")  # noqa: N815
    scaleDown: ScaleDown = section("Downwards.")  # noqa: N815
    onZero: OnZero = section("To zero and back.")  # noqa: N815


class ScaleJob(Section):
    """A number of instances at a time of day."""

    name: Text = parameter(..., "The job's name.", min_length=1)
    schedule: Text = parameter(..., "When, as a cron expression.", min_length=1)
    targetSize: Integer = parameter(..., "How many instances then.", ge=0, le=MOST)  # noqa: N815


class Autoscaler(Section):
    """Start count = ``metadata.instance`` clamped to ``min``..``max``."""

    min: Integer = parameter(..., "The fewest instances; 0 = scale to zero.", ge=0, le=MOST)
    max: Integer = parameter(..., "The most instances.", ge=1, le=MOST)
    strategies: Mapping[str, Number] = parameter(
        default_factory=dict,
        meaning="Metric -> wanted value per instance. desired = ceil(instances x metric / threshold), the "
        "largest over the metrics; within 10 % nothing changes.",
        shown_default="none",
    )
    scaleStrategies: tuple[ScaleStrategy, ...] = parameter(  # noqa: N815
        (), "The same as a list, `[{metricName, threshold}]`."
    )
    behavior: Behavior = section("How fast it follows.")
    scaleJobs: tuple[ScaleJob, ...] = parameter((), "Numbers of instances by time.")  # noqa: N815
    excludeDates: tuple[Text, ...] = parameter((), "Days on which the jobs rest.")  # noqa: N815
