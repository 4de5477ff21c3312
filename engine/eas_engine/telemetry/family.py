"""What a metric is called and how it is told: one value for each that is exported."""

from __future__ import annotations

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from eas_engine.records import dataclass

COUNTER, GAUGE, HISTOGRAM = CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily


@dataclass(frozen=True, slots=True)
class Family:
    """One exported metric: its name without ``_total``, ``_bucket`` and so on, and its own labels."""

    name: str
    kind: type[Metric]
    text: str
    labels: tuple[str, ...] = ()
