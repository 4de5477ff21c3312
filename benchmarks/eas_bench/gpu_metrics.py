"""What an engine's metrics say of the cards of its machine (``eas_gpu_...``), card by card."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from prometheus_client.samples import Sample

from eas_bench.record import Card

PREFIX: Final = "eas_gpu_"
MOST: Final = 64  # cards and slices of a machine; what claims to have more isn't copied

_FIELDS: Final = {
    "eas_gpu_memory_bytes": "memory_bytes",
    "eas_gpu_memory_total_bytes": "memory_total_bytes",
    "eas_gpu_utilization_ratio": "utilization",
    "eas_gpu_power_watts": "watts",
    "eas_gpu_temperature_celsius": "celsius",
}


def cards(samples: Iterable[Sample]) -> list[Card]:
    """Those that are there, in the order of the metrics; other samples are passed over."""
    found: dict[str, dict[str, Any]] = {}
    for sample in samples:
        uuid = sample.labels.get("gpu", "")
        if not sample.name.startswith(PREFIX) or not uuid or (uuid not in found and len(found) >= MOST):
            continue
        figures = found.setdefault(uuid, {"throttles": []})
        if sample.name == "eas_gpu_present" and sample.value:
            figures["name"] = sample.labels.get("gpu_model", "")
        elif sample.name == "eas_gpu_clock_hertz" and sample.labels.get("clock") == "sm":
            figures["clock_hertz"] = sample.value
        elif sample.name == "eas_gpu_throttled" and sample.value:
            figures["throttles"].append(sample.labels.get("reason", ""))
        elif sample.name == "eas_gpu_xid_errors_total":
            figures["xid_errors"] = figures.get("xid_errors", 0.0) + sample.value
        elif sample.name in _FIELDS:
            figures[_FIELDS[sample.name]] = sample.value
    return [Card(uuid=uuid, **figures) for uuid, figures in found.items() if "name" in figures]
