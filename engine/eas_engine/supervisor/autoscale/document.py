"""The autoscaler as JSON: what ``GET /api/v1/autoscale`` answers, and ``autoscale explain`` shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from eas_engine.supervisor.autoscale.decision import Decision
from eas_engine.supervisor.autoscale.driver import Kept
from eas_engine.supervisor.autoscale.metrics import Figure
from eas_engine.supervisor.autoscale.sample import Sample
from eas_engine.supervisor.autoscale.settings import AutoscaleSettings


def document(
    settings: AutoscaleSettings | None, decisions: Sequence[Kept], samples: Sequence[Sample]
) -> dict[str, object]:
    """Everything that ``Scaler`` tells: ``settings``, ``decisions()`` and ``samples()``, oldest first.

    Times are seconds since the epoch. The samples are a load trace (``trace``).
    """
    return {
        "settings": None if settings is None else _settings(settings),
        "decisions": [_kept(one) for one in decisions],
        "samples": [sampled(one) for one in samples],
    }


def sampled(sample: Sample) -> dict[str, object]:
    """A line of a load trace; ``seconds`` is the end of its time on the engine's own clock."""
    return {
        "seconds": round(sample.time, 3),
        "wall": round(sample.wall, 3),
        "qps": round(sample.qps, 6),
        "service_time": None if sample.service_time is None else round(sample.service_time, 6),
        "queue": sample.queue,
        "in_flight": sample.in_flight,
        "cpu": round(sample.cpu, 6),
        "ready": sample.ready,
        "starting": sample.starting,
        "wanted": sample.wanted,
    }


def _settings(settings: AutoscaleSettings) -> dict[str, object]:
    return {
        "min": settings.low,
        "max": settings.high,
        "thresholds": dict(settings.thresholds),
        "scale_up_window_seconds": settings.up_window,
        "scale_down_window_seconds": settings.down_window,
        "zero_grace_seconds": settings.zero_grace,
        "activation_replicas": settings.activation,
        "cpus_per_instance": settings.cpus,
        "jobs": [
            {"name": one.name, "schedule": one.when.text, "time_zone": str(one.when.zone), "size": one.size}
            for one in settings.jobs.jobs
        ],
        "excluded_dates": [one.text for one in settings.jobs.excluded],
    }


def _kept(kept: Kept) -> dict[str, object]:
    return {"since": round(kept.since, 3), "count": kept.count, **_decision(kept.newest)}


def _decision(decision: Decision) -> dict[str, object]:
    return {
        "at": round(decision.at, 3),
        "instances_before": decision.current,
        "instances": decision.wanted,
        "cause": decision.cause,
        "reason": decision.reason,
        "lower_bound": decision.low,
        "upper_bound": decision.high,
        "ready": decision.ready,
        "starting": decision.starting,
        "idle_seconds": round(decision.idle, 3),
        "metrics": [_figure(one) for one in decision.figures],
        "recommended": decision.recommended,
        "lowest_in_up_window": decision.lowest,
        "highest_in_down_window": decision.highest,
        "job": None if decision.job is None else asdict(decision.job),
    }


def _figure(figure: Figure) -> dict[str, object]:
    return {
        "metric": figure.metric,
        "per_instance": None if figure.value is None else round(figure.value, 6),
        "threshold": figure.threshold,
        "desired": figure.desired,
        "note": figure.note,
    }
