"""What a scrape sees is what the counters and the load say, in both formats, under documented names."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from eas_engine.telemetry.counters import Counters
from eas_engine.telemetry.exposition import FAMILIES, refusal_codes
from eas_engine.telemetry.metrics import OWN_LABELS, Metrics, service_labels
from eas_engine.telemetry.status import InstanceStatus, Load
from eas_engine.telemetry.window import Window
from support.clock import FakeClock

DOCUMENT = Path(__file__).parents[3] / "docs" / "metrics.md"
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
INSTANCE = InstanceStatus(name="digits-0", state="READY", threads=5, busy_threads=2, restarts={"crash": 3})
LOAD = Load(ready=True, queue_depth=4, queue_capacity=69, in_flight=6, instances=(INSTANCE,))


def metrics(counters: Counters, load: Callable[[], Load] = lambda: LOAD) -> Metrics:
    labels = service_labels("digits", "", {"team": "vision"})
    return Metrics(counters, load, Window(FakeClock(), counters), version="0.1.0", labels=labels)


def scrape(counters: Counters) -> dict[str, float]:
    """Samples by name and own labels, such as ``eas_requests_total{status=200}``."""
    text, _ = metrics(counters).render()
    return flat(list(parse_text(text.decode())))


def flat(families: list[Metric]) -> dict[str, float]:
    result = {}
    for family in families:
        for sample in family.samples:
            own = {key: value for key, value in sample.labels.items() if key not in ("service", "team")}
            assert sample.labels["service"] == "digits"
            assert sample.labels["team"] == "vision"
            label = ",".join(f"{key}={value}" for key, value in sorted(own.items()))
            result[f"{sample.name}{{{label}}}" if label else sample.name] = sample.value
    return result


def test_counters_and_load_are_exported() -> None:
    counters = Counters()
    counters.statuses[200] = 10
    counters.statuses[450] = 2
    counters.refusals["queue_full"] = 2
    counters.bytes_in, counters.bytes_out, counters.connections, counters.client_gone = 100, 200, 3, 1
    samples = scrape(counters)
    assert samples["eas_requests_total{status=200}"] == 10
    assert samples["eas_requests_total{status=450}"] == 2
    assert samples["eas_rejects_total{reason=queue_full}"] == 2
    assert samples["eas_rejects_total{reason=rate_limited}"] == 0
    assert samples["eas_received_bytes_total"] == 100
    assert samples["eas_sent_bytes_total"] == 200
    assert samples["eas_connections"] == 3
    assert samples["eas_clients_gone_total"] == 1
    assert samples["eas_ready"] == 1
    assert samples["eas_queue_depth"] == 4
    assert samples["eas_queue_capacity"] == 69
    assert samples["eas_in_flight"] == 6
    assert samples["eas_busy_threads"] == 2
    assert samples["eas_worker_threads"] == 5
    assert samples["eas_instance_state{instance=digits-0,state=READY}"] == 1
    assert samples["eas_instance_state{instance=digits-0,state=CRASHED}"] == 0
    assert samples["eas_instance_restarts_total{cause=crash,instance=digits-0}"] == 3
    assert samples["eas_engine_memory_bytes"] > 1 << 20
    assert samples["eas_engine_cpu_seconds_total"] > 0


def test_what_memory_of_a_gpu_leaves_of_batches_is_exported_while_it_is_less() -> None:
    assert "eas_instance_batch_cap{instance=digits-0}" not in scrape(Counters())
    load = Load(instances=(replace(INSTANCE, batch_cap=4),))
    text, _ = metrics(Counters(), lambda: load).render()
    assert flat(list(parse_text(text.decode())))["eas_instance_batch_cap{instance=digits-0}"] == 4


def test_batches_are_exported() -> None:
    counters = Counters()
    counters.batches["full"] += 1
    counters.count_batch(3, 2, 8, 5)
    samples = scrape(counters)
    assert samples["eas_batches_total{reason=full}"] == 1
    assert samples["eas_batches_total{reason=drain}"] == 0
    assert samples["eas_batch_requests_bucket{le=2.0}"] == 0
    assert samples["eas_batch_requests_bucket{le=4.0}"] == samples["eas_batch_requests_count"] == 1
    assert samples["eas_batch_requests_sum"] == 3
    assert samples["eas_batch_calls_total"] == 2
    assert samples["eas_batch_rows_total"] == 8
    assert samples["eas_batch_padding_rows_total"] == 5


@given(st.lists(st.integers(0, 1 << 34), max_size=30))
def test_a_histogram_counts_each_duration_below_its_bounds(durations: list[int]) -> None:
    counters = Counters()
    for duration in durations:
        counters.process[duration.bit_length()] += 1
        counters.process_us += duration
    samples = scrape(counters)
    name = "eas_request_process_seconds"
    assert samples[f"{name}_count"] == samples[f"{name}_bucket{{le=+Inf}}"] == len(durations)
    assert samples[f"{name}_sum"] == pytest.approx(sum(durations) / 1e6)
    bounds = [1 << exponent for exponent in range(6, 27)]
    assert bounds[0] == 64
    assert bounds[-1] == pytest.approx(67e6, rel=0.01)
    for bound in bounds:
        assert samples[f"{name}_bucket{{le={bound / 1e6!r}}}"] == sum(one < bound for one in durations)


def test_both_formats_say_the_same() -> None:
    exported = metrics(Counters())
    text, text_type = exported.render("text/plain")
    openmetrics, openmetrics_type = exported.render(OPENMETRICS)
    assert text_type.startswith("text/plain")
    assert openmetrics_type.startswith("application/openmetrics-text")
    volatile = ("eas_engine_cpu", "eas_engine_memory", "eas_engine_open_fds")
    one, other = flat(list(parse_text(text.decode()))), flat(list(parse_openmetrics(openmetrics.decode())))  # type: ignore[no-untyped-call]
    for samples in (one, other):
        for name in [name for name in samples if name.startswith(volatile)]:
            del samples[name]
    assert one == other


def test_the_document_lists_exactly_what_is_exported() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]*) \|", DOCUMENT.read_text(), re.MULTILINE)
    documented = {(name, kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    text, _ = metrics(Counters()).render()
    kinds = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text.decode(), re.MULTILINE))
    own = {family.name: family.labels for family in FAMILIES}
    exported = set()
    for name, kind in kinds.items():
        info = name == "eas_engine_info"
        base = "eas_engine" if info else name.removesuffix("_total")
        exported.add((name, "info" if info else kind, own[base]))
    assert documented == exported
    assert len(exported) == len(FAMILIES)


def test_reasons_are_the_codes_of_the_page_of_errors() -> None:
    errors = DOCUMENT.with_name("errors.md").read_text()
    codes = set(re.findall(r"^\| \d{3} \| `([a-z_]+)` \|", errors, re.MULTILINE))
    assert "internal" in codes
    reasons = DOCUMENT.read_text().partition("\n## Reasons\n")[2].partition("\n## ")[0]
    assert codes == set(re.findall(r"`([a-z_]+)`", reasons)) - {"eas_rejects_total"}
    assert codes == set(refusal_codes())
    assert scrape(Counters())["eas_rejects_total{reason=internal}"] == 0


def test_our_own_labels_are_known() -> None:
    assert {label for family in FAMILIES for label in family.labels} | {
        "service",
        "workspace_id",
        "le",
    } == OWN_LABELS


def test_a_start_does_not_pay_for_prometheus() -> None:
    code = "import sys, eas_engine.telemetry.metrics; assert 'prometheus_client' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_labels_are_made_to_fit() -> None:
    labels = {"a.b": 1, "a-b": "x", "1st": "y", "__name__": "z", "service": "s", "le": "l", "": "e", "ä": "u"}
    assert service_labels("digits", "ws", labels) == {
        "service": "digits",
        "workspace_id": "ws",
        "a_b": "1",
        "a_b_2": "x",
        "label_1st": "y",
        "label_name__": "z",
        "label_service": "s",
        "label_le": "l",
        "label_": "e",
        "label__2": "u",
    }


@given(st.dictionaries(st.text(), st.text(), max_size=5), st.sampled_from(["", OPENMETRICS]))
def test_no_label_breaks_the_format(labels: dict[str, str], accept: str) -> None:
    counters = Counters()
    exported = Metrics(
        counters,
        lambda: LOAD,
        Window(FakeClock(), counters),
        version='"\n\\',
        labels=service_labels("digits", "", labels),
    )
    text, _ = exported.render(accept)
    parse = parse_openmetrics if accept else parse_text
    families = list(parse(text.decode()))
    (ready,) = [family for family in families if family.name == "eas_ready"]
    assert sorted(ready.samples[0].labels.values()) == sorted(["digits", *labels.values()])
