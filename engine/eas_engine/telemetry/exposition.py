"""The numbers of ``/metrics`` as metric families; the only importer of prometheus_client.

Nothing is observed per request. At each scrape ``ServiceCollector`` reads the plain ``Counters`` of the
predict path and one ``Load``, and makes metric families of them. ``FAMILIES`` is the list of everything
that is exported; ``docs/metrics.md`` lists the same, and a test compares them.

A latency bucket of ``Counters`` holds durations below a power of two of microseconds; the exported bounds
are 2**6 (64 us) to 2**26 us (67 s), in seconds.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import psutil
from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from eas_engine import errors
from eas_engine.telemetry.batches import Sizes, by_reason
from eas_engine.telemetry.cards import CARD_FAMILIES, card_values
from eas_engine.telemetry.counters import BUCKETS, Counters
from eas_engine.telemetry.family import COUNTER, GAUGE, HISTOGRAM, Family
from eas_engine.telemetry.processes import figures, of_one, open_files
from eas_engine.telemetry.status import InstanceStatus, InstanceUsage, Load
from eas_engine.telemetry.window import Window

if TYPE_CHECKING:  # loaded only where there are cards
    from eas_engine.devices.watch import View

BOUNDS = range(6, 27)  # exponents of the exported bucket bounds, in microseconds
STATES = ("PENDING", "STARTING", "WARMING", "READY", "DRAINING", "STOPPED", "CRASHED", "BLOCKED")


_C, _G, _H = COUNTER, GAUGE, HISTOGRAM
FAMILIES = (
    Family("eas_requests", _C, "Answers by HTTP status, those made by the engine included", ("status",)),
    Family("eas_rejects", _C, "Answers made by the engine itself, by their X-EAS-Error code", ("reason",)),
    Family("eas_clients_gone", _C, "Clients that left before their answer"),
    Family("eas_retries", _C, "Requests tried once more because their instance died"),
    Family("eas_request_seconds", _H, "From the first byte of a request to its answer"),
    Family("eas_request_queue_seconds", _H, "Waiting for a worker thread"),
    Family("eas_request_batch_wait_seconds", _H, "Waiting for a batch to fill"),
    Family("eas_request_process_seconds", _H, "In the processor"),
    Family("eas_batches", _C, "Batches, by why they went (rpc.batching)", ("reason",)),
    Family("eas_batch_requests", _H, "Requests in a batch"),
    Family("eas_batch_calls", _C, "Calls of the model that batches took"),
    Family("eas_batch_rows", _C, "Rows in these calls, padding included"),
    Family("eas_batch_padding_rows", _C, "Rows in these calls that were nothing but padding"),
    Family("eas_ready", _G, "1 when an instance is ready, else 0"),
    Family("eas_queue_depth", _G, "Requests that wait"),
    Family("eas_queue_capacity", _G, "Requests in the system at which 450 is answered"),
    Family("eas_in_flight", _G, "Requests in the system: uploading, waiting and in the processor"),
    Family("eas_suspects", _G, "Requests whose instance died, until their second try is over"),
    Family("eas_worker_threads", _G, "Worker threads of all instances"),
    Family("eas_busy_threads", _G, "Worker threads that are in the processor"),
    Family("eas_body_bytes", _G, "Bytes of request bodies in memory"),
    Family("eas_body_bytes_limit", _G, "The most of them (rpc.max_inflight_bytes)"),
    Family("eas_unread_bytes", _G, "Bytes of answers that wait for slow readers"),
    Family("eas_answers_cut", _C, "Answers cut off because slow readers kept too many bytes"),
    Family("eas_received_bytes", _C, "Bytes of requests"),
    Family("eas_sent_bytes", _C, "Bytes of answers"),
    Family("eas_inflated_from_bytes", _C, "Bytes of compressed requests as they came (rpc.decompressor)"),
    Family("eas_inflated_to_bytes", _C, "Bytes of the same requests, inflated"),
    Family("eas_compressed_from_bytes", _C, "Bytes of answers that were compressed, before"),
    Family("eas_compressed_to_bytes", _C, "Bytes of the same answers, compressed"),
    Family("eas_connections", _G, "Open connections of clients"),
    Family("eas_connections_limit", _G, "As many as there may be, by the limit of open files"),
    Family("eas_accepted_connections", _C, "Connections accepted since the start"),
    Family("eas_closed_for_room_connections", _C, "Idle connections closed to make room for new ones"),
    Family("eas_refused_connections", _C, "New connections closed unheard: no room, and none was idle"),
    Family("eas_instance_state", _G, "1 for the instance's state, else 0", ("instance", "state")),
    Family("eas_instance_restarts", _C, "Restarts of the instance, by cause", ("instance", "cause")),
    Family("eas_instance_memory_bytes", _G, "Memory of the instance's processes", ("instance",)),
    Family("eas_instance_memory_peak_bytes", _G, "The most that it was since its start", ("instance",)),
    Family("eas_instance_cpu_seconds", _C, "Processor time of the instance's processes", ("instance",)),
    Family("eas_instance_throttled_seconds", _C, "Time that it waited for its CPU share", ("instance",)),
    Family("eas_instance_scratch_bytes", _G, "Bytes that it wrote, if they are limited", ("instance",)),
    Family("eas_instance_batch_cap", _G, "Requests that its GPU's memory leaves a batch", ("instance",)),
    *CARD_FAMILIES,
    Family("eas_event_loop_lag_seconds", _G, "How late the gateway's loop wakes, moving average"),
    Family("eas_event_loop_lag_max_seconds", _G, "How late it woke at worst in the last minute"),
    Family("eas_event_loop_held", _C, "How often it woke more than 250 ms late"),
    Family("eas_event_loop_held_seconds", _C, "How late in all when it did"),
    Family("eas_engine_cpu_seconds", _C, "Processor time of the engine process"),
    Family("eas_engine_memory_bytes", _G, "Resident memory of the engine process"),
    Family("eas_engine_open_fds", _G, "Open file descriptors of the engine process"),
    Family("eas_engine_start_time_seconds", _G, "When the engine started, seconds since 1970"),
    Family("eas_engine", InfoMetricFamily, "The engine itself", ("version", "python", "pid")),
)  # fmt: skip


class ServiceCollector(Collector):
    """Reads at scrape, keeps nothing."""

    def __init__(
        self,
        counters: Counters,
        load: Callable[[], Load],
        window: Window,
        *,
        version: str,
        labels: Mapping[str, str],
        cards: Callable[[], View | None],
    ) -> None:
        self._counters = counters
        self._load = load
        self._window = window
        self._version = version
        self._labels = dict(labels)
        self._cards = cards
        self._process = psutil.Process()

    def collect(self) -> Iterator[Metric]:
        """All families, each once, in the order of ``FAMILIES``."""
        values = {**self._requests(), **self._instances(), **self._engine()}
        values |= card_values(self._cards(), self._load().instances)
        for family in FAMILIES:
            yield self._family(family, values[family.name])

    def _family(self, family: Family, value: object) -> Metric:
        names = [*self._labels, *family.labels]
        own = list(self._labels.values())
        if family.kind is InfoMetricFamily:
            info = InfoMetricFamily(family.name, family.text, labels=list(self._labels))
            info.add_metric(own, value)  # type: ignore[arg-type]
            return info
        if isinstance(value, _Latencies | Sizes):
            histogram = HistogramMetricFamily(family.name, family.text, labels=names)
            histogram.add_metric(own, value.buckets(), value.total)
            return histogram
        metric = family.kind(family.name, family.text, labels=names)  # type: ignore[call-arg]
        samples = value if isinstance(value, Mapping) else {(): value}
        for key, sample in samples.items():
            metric.add_metric([*own, *key], sample)  # type: ignore[attr-defined]
        return metric

    def _requests(self) -> dict[str, object]:
        counters, load = self._counters, self._load()
        return {
            "eas_requests": by_label({200: 0}, dict(counters.statuses)),
            "eas_rejects": by_label(dict.fromkeys(refusal_codes(), 0), dict(counters.refusals)),
            "eas_clients_gone": counters.client_gone,
            "eas_retries": counters.retries,
            "eas_request_seconds": _Latencies(counters.total, counters.total_us),
            "eas_request_queue_seconds": _Latencies(counters.queue, counters.queue_us),
            "eas_request_batch_wait_seconds": _Latencies(counters.batch, counters.batch_us),
            "eas_request_process_seconds": _Latencies(counters.process, counters.process_us),
            "eas_batches": by_label({}, by_reason(counters)),
            "eas_batch_requests": Sizes(counters.batch_sizes, counters.batch_requests),
            "eas_batch_calls": counters.batch_calls,
            "eas_batch_rows": counters.batch_rows,
            "eas_batch_padding_rows": counters.batch_padding,
            "eas_ready": int(load.ready),
            "eas_queue_depth": load.queue_depth,
            "eas_queue_capacity": load.queue_capacity,
            "eas_in_flight": load.in_flight,
            "eas_suspects": load.suspects,
            "eas_worker_threads": load.threads,
            "eas_busy_threads": load.busy_threads,
            "eas_body_bytes": load.body_bytes,
            "eas_body_bytes_limit": load.body_capacity,
            "eas_unread_bytes": load.unread_bytes,
            "eas_answers_cut": counters.answers_cut,
            "eas_received_bytes": counters.bytes_in,
            "eas_sent_bytes": counters.bytes_out,
            "eas_inflated_from_bytes": counters.inflated_from,
            "eas_inflated_to_bytes": counters.inflated_to,
            "eas_compressed_from_bytes": counters.compressed_from,
            "eas_compressed_to_bytes": counters.compressed_to,
            "eas_connections": counters.connections,
            "eas_connections_limit": load.connections_limit,
            "eas_accepted_connections": counters.accepted,
            "eas_closed_for_room_connections": counters.closed_for_room,
            "eas_refused_connections": counters.refused_connections,
        }

    def _instances(self) -> dict[str, object]:
        return instance_values(self._load().instances)

    def _engine(self) -> dict[str, object]:
        measured = of_one(self._process)
        return {
            "eas_event_loop_lag_seconds": self._window.lag,
            "eas_event_loop_lag_max_seconds": self._window.lag_max,
            "eas_event_loop_held": self._window.held,
            "eas_event_loop_held_seconds": self._window.held_seconds,
            "eas_engine_cpu_seconds": measured.cpu,
            "eas_engine_memory_bytes": measured.memory,
            "eas_engine_open_fds": open_files(self._process),
            "eas_engine_start_time_seconds": self._process.create_time(),
            "eas_engine": {
                "version": self._version,
                "python": platform.python_version(),
                "pid": str(os.getpid()),
            },
        }


class _Latencies:
    """One histogram of ``Counters``."""

    def __init__(self, counts: Sequence[int], microseconds: int) -> None:
        self._counts = list(counts)
        self.total = microseconds / 1e6

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative, with upper bounds in seconds, as the exposition formats want them."""
        cumulative = []
        below = 0
        start = 0
        for exponent in BOUNDS:
            below += sum(self._counts[start : exponent + 1])
            start = exponent + 1
            cumulative.append((repr((1 << exponent) / 1e6), float(below)))
        return [*cumulative, ("+Inf", float(below + sum(self._counts[start:BUCKETS])))]


def instance_values(instances: Iterable[InstanceStatus]) -> dict[str, object]:
    """The families with a label ``instance``."""
    states: dict[tuple[str, ...], int] = {}
    restarts: dict[tuple[str, ...], int] = {}
    memory: dict[tuple[str, ...], int] = {}
    cpu: dict[tuple[str, ...], float] = {}
    peak: dict[tuple[str, ...], float] = {}
    throttled: dict[tuple[str, ...], float] = {}
    scratch: dict[tuple[str, ...], float] = {}
    caps: dict[tuple[str, ...], float] = {}
    for instance in instances:
        states.update({(instance.name, state): 0 for state in STATES})
        states[instance.name, instance.state] = 1
        restarts.update({(instance.name, cause): count for cause, count in instance.restarts.items()})
        used = instance.used or InstanceUsage()
        if used.memory is None or used.cpu_seconds is None:
            measured = figures(instance.pids)
            memory[instance.name,], cpu[instance.name,] = measured.memory, measured.cpu
        else:
            memory[instance.name,], cpu[instance.name,] = used.memory, used.cpu_seconds
        for values, value in (
            (peak, used.peak),
            (throttled, used.throttled_seconds),
            (scratch, used.scratch),
            (caps, instance.batch_cap),
        ):
            if value is not None:
                values[instance.name,] = value
    return {
        "eas_instance_state": states,
        "eas_instance_restarts": restarts,
        "eas_instance_memory_bytes": memory,
        "eas_instance_memory_peak_bytes": peak,
        "eas_instance_throttled_seconds": throttled,
        "eas_instance_scratch_bytes": scratch,
        "eas_instance_batch_cap": caps,
        "eas_instance_cpu_seconds": cpu,
    }


def by_label(zeros: Mapping[Any, int], counts: Mapping[Any, int]) -> dict[tuple[str, ...], int]:
    """Counts by one label's value; those in ``zeros`` are there from the start: a rate sees the first."""
    return {(str(key),): count for key, count in {**zeros, **counts}.items()}


def refusal_codes() -> list[str]:
    """Every ``X-EAS-Error`` code the engine can answer."""
    return sorted({kind.code for kind in errors.kinds_of(errors.Refusal)})


def registry_of(collector: ServiceCollector) -> CollectorRegistry:
    """A registry of its own, with nothing else in it."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    return registry


def render(registry: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    """The text and its content type, for an ``Accept`` header."""
    encoder, content_type = choose_encoder(accept)
    return encoder(registry), content_type
