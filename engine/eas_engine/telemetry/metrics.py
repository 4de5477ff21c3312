"""``/metrics`` of one service, without the price of it at the start.

prometheus_client is imported (50 ms) at the first ``render``, which the admin thread does while the first
instance starts. The families are in ``exposition``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from eas_engine.telemetry.counters import Counters
from eas_engine.telemetry.status import Load
from eas_engine.telemetry.window import Window

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from eas_engine.devices.watch import View

OWN_LABELS = frozenset(
    {
        "service",
        "workspace_id",
        "le",
        "status",
        "reason",
        "instance",
        "state",
        "cause",
        "version",
        "python",
        "pid",
        "gpu",
        "gpu_model",
        "gpu_card",
        "clock",
        "xid",
        "ecc",
    }
)


class Metrics:
    """A registry with one service in it, rendered as text or OpenMetrics. Thread-safe: it only reads."""

    def __init__(
        self,
        counters: Counters,
        load: Callable[[], Load],
        window: Window,
        *,
        version: str,
        labels: Mapping[str, str],
        cards: Callable[[], View | None] = lambda: None,
    ) -> None:
        """``labels``: of ``service_labels``; ``cards``: how they are, None where there are none."""
        self._counters = counters
        self._load = load
        self._window = window
        self._version = version
        self._labels = dict(labels)
        self._cards = cards
        self._registry: CollectorRegistry | None = None

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """The text and its content type, for an ``Accept`` header."""
        from eas_engine.telemetry import exposition  # noqa: PLC0415 - see above

        if self._registry is None:
            self._registry = exposition.registry_of(
                exposition.ServiceCollector(
                    self._counters,
                    self._load,
                    self._window,
                    version=self._version,
                    labels=self._labels,
                    cards=self._cards,
                )
            )
        return exposition.render(self._registry, accept)


def service_labels(service: str, workspace_id: str, labels: Mapping[str, object]) -> dict[str, str]:
    """The labels of every metric: the service's name, its workspace, and ``labels`` of service.json.

    A name is made to fit Prometheus (letters, digits, underscores); one that we use ourselves gets ``label_``
    before it, and of two that become the same the second gets a number behind it.
    """
    result = {"service": service} | ({"workspace_id": workspace_id} if workspace_id else {})
    for name, value in labels.items():
        clean = re.sub(r"[^a-zA-Z0-9_]", "_", name)
        if clean in OWN_LABELS or not clean[:1].isalpha():
            clean = f"label_{clean.lstrip('_')}"
        unique, number = clean, 2
        while unique in result:
            unique, number = f"{clean}_{number}", number + 1
        result[unique] = str(value)
    return result
