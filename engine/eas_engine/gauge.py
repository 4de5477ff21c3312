"""What the autoscaler goes by, counted from the parts of an engine that runs. Called on its loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from eas_engine.supervisor.autoscale.sample import Count, Sample, between
from eas_engine.supervisor.lifecycle import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from eas_engine.clock import Clock
    from eas_engine.plane import Plane
    from eas_engine.supervisor.limits.report import Used
    from eas_engine.supervisor.observe import FleetSnapshot, InstanceSnapshot

_NO_WORK: Final = (
    "bad_request",
    "broken_body",
    "unauthorized",
    "forbidden",
    "not_found",
    "method_not_allowed",
    "length_required",
    "body_too_large",
    "head_too_large",
)
"""Codes of requests that are refused for what they are, however many instances there may be."""


class Gauge:
    """Samples of one service; each is about the time since the one before.

    ``measures_cpu``: CPU time is read from the kernel, a file or two for each instance, only while it is
    asked for; so is the use of GPUs (``measures_gpu``), which ``gpu`` tells of an instance in percent.
    """

    def __init__(
        self,
        plane: Plane,
        fleet: Callable[[], FleetSnapshot],
        usage: Callable[[str], Used | None],
        clock: Clock,
        *,
        gpu: Callable[[InstanceSnapshot], float | None] = lambda _: None,
    ) -> None:
        self._plane, self._fleet, self._usage, self._clock, self._gpu = plane, fleet, usage, clock, gpu
        self.measures_cpu = self.measures_gpu = False
        self._before = self.count()

    def __repr__(self) -> str:
        return f"<Gauge {self._before!r}>"

    def sample(self) -> Sample:
        """What was so since the last one."""
        before, self._before = self._before, self.count()
        return between(before, self._before)

    def count(self) -> Count:
        """Sums since the start, and what is so now."""
        plane, fleet = self._plane, self._fleet()
        counters, gate = plane.counters, plane.gate
        serving = [one for one in fleet.serving if not one.leaving]
        return Count(
            time=self._clock.now(),
            wall=self._clock.wall(),
            requests=gate.number - sum(counters.refusals.get(code, 0) for code in _NO_WORK),
            processed=sum(counters.process),
            process_seconds=counters.process_us / 1e6,
            cpu_seconds=dict(self._cpu(serving)) if self.measures_cpu else {},
            gpu_percent=dict(self._gpus(serving)) if self.measures_gpu else {},
            queue=plane.lanes.waiting(),
            in_flight=gate.count,
            ready=sum(one.state is State.READY for one in serving),
            starting=sum(one.state in (State.PENDING, State.STARTING, State.WARMING) for one in serving),
            wanted=fleet.wanted,
        )

    def _cpu(self, instances: list[InstanceSnapshot]) -> Iterator[tuple[str, float]]:
        """Of each ready instance: its cgroup's, else that of its processes and of their dead children."""
        for one in instances:
            if one.state is State.READY:
                used = self._usage(one.name)
                seconds = used.cpu_seconds if used is not None else None
                yield _key(one), sum(map(_cpu_seconds, one.pids)) if seconds is None else seconds

    def _gpus(self, instances: list[InstanceSnapshot]) -> Iterator[tuple[str, float]]:
        """Of each ready instance of which there is a figure."""
        for one in instances:
            percent = self._gpu(one) if one.state is State.READY else None
            if percent is not None:
                yield _key(one), percent


def _key(instance: InstanceSnapshot) -> str:
    """An instance that was restarted is another."""
    return f"{instance.name}/{'-'.join(map(str, instance.pids))}"


def _cpu_seconds(pid: int) -> float:
    import psutil  # noqa: PLC0415 - most services are not scaled by this

    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)
