"""``autoscaler``: the number of instances follows the load."""

from __future__ import annotations

from collections.abc import Mapping

from eas_engine.spec.values import Integer, Number, Section, Text, parameter, section

METRICS = ("qps", "qps1k", "cpu", "gpu[util]", "queue")
MOST = 3000
LONGEST = 7 * 24 * 3600


class ScaleStrategy(Section):
    """One metric and its wanted value per instance."""

    metricName: Text = parameter(  # noqa: N815
        ...,
        "Of an instance: `qps` (requests per second), `qps1k` (the same times 1000), `cpu` (percent of its "
        "CPUs), `gpu[util]` (percent), `queue` (requests that wait).",
    )
    threshold: Number = parameter(..., "The wanted value per instance.", gt=0)


class ScaleUp(Section):
    """Upwards."""

    stabilizationWindowSeconds: Integer = parameter(  # noqa: N815
        0,
        "How long the load must ask for more: the lowest number of this time counts.",
        unit="seconds",
        ge=0,
        le=LONGEST,
    )


class ScaleDown(Section):
    """Downwards."""

    stabilizationWindowSeconds: Integer = parameter(  # noqa: N815
        300,
        "How long the load must ask for less: the highest number of this time counts.",
        unit="seconds",
        ge=0,
        le=LONGEST,
    )


class OnZero(Section):
    """To no instance at all, and back."""

    scaleDownGracePeriodSeconds: Integer = parameter(  # noqa: N815
        600,
        "How long nothing must come before the last instance goes; with `min` 0 alone.",
        unit="seconds",
        ge=0,
        le=LONGEST,
    )
    scaleUpActivationReplicas: Integer = parameter(  # noqa: N815
        1, "Instances started by the first request at zero.", ge=1, le=MOST
    )


class Behavior(Section):
    """How fast it follows."""

    scaleUp: ScaleUp = section("Upwards.")  # noqa: N815
    scaleDown: ScaleDown = section("Downwards.")  # noqa: N815
    onZero: OnZero = section("To zero and back.")  # noqa: N815


class ScaleJob(Section):
    """A number of instances at a time of day."""

    name: Text = parameter("", "The job's name, for logs and `autoscale explain`.", shown_default="its place")
    schedule: Text = parameter(
        ...,
        "When, as a cron expression: six fields (second minute hour day month weekday), or five without the "
        "second; `@daily` and its like; `@date 2026-11-11 08:00:00`, once.",
        min_length=1,
    )
    targetSize: Integer = parameter(  # noqa: N815
        ...,
        "How many instances then, within `min`..`max`, until the next job. With metrics it is the fewest "
        "from then on.",
        ge=0,
        le=MOST,
    )
    timeZone: Text = parameter(  # noqa: N815
        "", "Of the schedule, as an IANA name.", shown_default="`autoscaler.timeZone`"
    )


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
        (), "The same as a list, `[{metricName, threshold}]`; both together are one set of metrics."
    )
    behavior: Behavior = section("How fast it follows.")
    scaleJobs: tuple[ScaleJob, ...] = parameter((), "Numbers of instances by time.")  # noqa: N815
    excludeDates: tuple[Text, ...] = parameter(  # noqa: N815
        (),
        "Days on which the jobs rest: dates (`2026-12-25`) or cron expressions of days (`* * * * * 0,6`). "
        "The size of the job before holds.",
    )
    timeZone: Text = parameter(  # noqa: N815
        "",
        "The time zone of the jobs, as an IANA name (`Asia/Shanghai`).",
        shown_default="the machine's own",
        ours=True,
    )
