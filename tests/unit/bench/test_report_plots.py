"""The plots of a report: pure functions of runs, so what is drawn can be read off them."""

from __future__ import annotations

from typing import Any

import pytest

from eas_bench import latency
from eas_bench.record import Generator, Interval, Process, Reading, Run
from eas_bench.report import cards, latencies, rates, server, several
from eas_bench.report.page import OF_A_RUN
from eas_bench.report.plot import POINTS, ROWS, Plot, marks, of_statuses
from support.bench_runs import a_curve, a_run, added, without_answers

OF_CARDS = (cards.utilization, cards.memory, cards.power, cards.temperature, cards.clock)
OF_THE_SERVER = (server.split, server.queue, server.cpu, server.memory, server.descriptors, *OF_CARDS)
FROM_ANSWERS = (latencies.through_the_run, latencies.curve)
HOSTILE = '<a href="http://evil.test">x</a>'


def drawn(plot: Plot | None) -> Plot:
    assert plot is not None
    return plot


def series(plot: Plot | None) -> dict[str, dict[float, Any]]:
    """What is drawn: name of the line -> x -> y."""
    return {trace.name: dict(zip(trace.x, trace.y, strict=True)) for trace in drawn(plot).figure.data}


def lasting(intervals: int) -> Run:
    """A long run, a second each."""
    two = a_run(seconds=2)
    whole = [two.intervals[at % 2].model_copy(update={"start": float(at)}) for at in range(intervals)]
    readings = [
        one.model_copy(update={"at": float(at)}) for at in range(intervals) for one in two.readings[:1]
    ]
    return two.model_copy(update={"intervals": whole, "seconds": float(intervals), "readings": readings})


def test_latency_over_time_has_each_seconds_percentiles_in_its_middle() -> None:
    run = a_run(seconds=3)
    lines = series(latencies.through_the_run(run))
    first = run.intervals[0].latency
    assert first is not None
    assert list(lines) == ["p50", "p90", "p99", "p99.9", "max"]
    assert lines["p99"][0.5] == pytest.approx(first.p99 / 1e6)
    assert lines["max"][0.5] == pytest.approx(first.max / 1e6)
    assert list(lines["p50"]) == [0.5, 1.5, 2.5]


def test_a_second_without_an_answer_is_a_gap() -> None:
    run = a_run(seconds=3)
    silent = run.intervals[1].model_copy(update={"latency": None})
    run = run.model_copy(update={"intervals": [run.intervals[0], silent, run.intervals[2]]})
    plot = drawn(latencies.through_the_run(run))
    assert series(plot)["p50"][1.5] is None
    assert plot.table.rows[1][1:] == ("-",) * 5


def test_the_percentile_curve_goes_by_nines_to_the_slowest_answer() -> None:
    run = a_run(lost=0, refused=0)
    histogram = latency.decoded(run.latency["200"])
    (curve,) = series(latencies.curve(run)).values()
    at = dict(curve)
    assert at[1.0] <= latency.percentile(histogram, 1) / 1e6
    nearest = min(at, key=lambda x: abs(x - 100))
    assert at[nearest] == pytest.approx(latency.percentile(histogram, 99) / 1e6, rel=0.05)
    assert at[max(at)] == histogram.get_max_value() / 1e6
    assert max(at) == pytest.approx(2000)  # one answer of as many
    assert sorted(at.values()) == list(at.values())


def test_a_curve_for_each_status_where_there_are_several() -> None:
    plot = drawn(latencies.curve(a_run()))
    assert list(series(plot)) == ["all answers", "200", "450"]
    assert plot.table.rows[4][0] == "99%"
    assert plot.table.rows[-1] == ("100%", "8.46 ms", "8.46 ms", "764 us")


def test_throughput_is_in_steps_that_cover_the_run() -> None:
    run = a_run(seconds=3, lost=0.1)
    lines = series(rates.throughput(run))
    assert lines["offered"] == {0: 200, 3: 200}
    assert list(lines["answered"]) == [0, 1, 2, 3]
    assert lines["answered"][1] == sum(run.intervals[1].tally.statuses.values())
    assert lines["with 2xx"][1] == run.intervals[1].tally.statuses["200"]
    assert lines["with 2xx"][3] == lines["with 2xx"][2]


def test_every_request_that_ended_is_in_the_stack() -> None:
    run = a_run(seconds=3, lost=0.1)
    plot = drawn(rates.ends(run))
    lines = series(plot)
    assert list(lines) == ["200", "450", "no answer: timeout"]
    for second in range(3):
        assert sum(values[second] for values in lines.values()) == 200
    counts = (*run.tally.statuses.values(), *run.tally.failures.values())
    assert plot.table.rows[-1] == ("whole run", *(f"{count:,}" for count in counts))


def test_good_is_green_wherever_it_stands_and_no_two_are_alike() -> None:
    given = of_statuses(["503", "200", "450", "408", "weird"])
    assert given["200"] == of_statuses(["200"])["200"]
    assert len(set(given.values())) == len(given)


def test_the_split_is_in_means_of_what_ended_between_two_looks() -> None:
    plot = drawn(server.split(a_run(seconds=4)))
    for line, expected in zip(series(plot).values(), (0.0003, 0.0006, 0.0012, 0.0001), strict=True):
        assert list(line.values()) == pytest.approx([expected] * 4)
    assert plot.table.rows[0] == ("1.0 s", "300 us", "600 us", "1.2 ms", "100 us")


def test_a_server_that_starts_anew_costs_one_point_of_the_split() -> None:
    run = a_run(seconds=6)
    before = run.readings[3].requests
    anew = [
        one.model_copy(update={"requests": {key: value - before[key] for key, value in one.requests.items()}})
        for one in run.readings
    ]
    anew[:3] = run.readings[:3]
    lines = series(server.split(run.model_copy(update={"readings": anew})))
    assert list(lines["in the processor"]) == [1, 2, 4, 5, 6]
    assert all(value >= 0 for line in lines.values() for value in line.values())


def test_so_does_one_that_has_already_done_more_than_before() -> None:
    run = a_run(seconds=3)
    busier = {**run.readings[2].requests, "queue_seconds_sum": 0.001, "process_seconds_count": 10_000.0}
    anew = [*run.readings[:2], run.readings[2].model_copy(update={"requests": busier})]
    assert list(series(server.split(run.model_copy(update={"readings": anew})))["in the processor"]) == [1]


def test_the_queue_is_what_the_gauges_said() -> None:
    run = a_run(seconds=4)
    lines = series(server.queue(run))
    assert list(lines) == ["waiting", "in the server", "ready instances"]
    assert lines["waiting"][2] == run.readings[2].gauges["queue_depth"]


def test_cpu_is_in_cores_and_memory_in_bytes_by_process() -> None:
    run = a_run(seconds=4)
    cores = series(server.cpu(run))
    assert {name: values[2] for name, values in cores.items()} == pytest.approx(
        {"engine": 0.3, "echo-0": 0.2, "echo-1": 0.25}
    )
    assert series(server.memory(run))["echo-0"][4] == 30_400_000
    assert series(server.descriptors(run))["engine"][0] == 80


def a_process(name: str, pid: int, cpu: float, memory: int = 1000) -> Process:
    return Process(name=name, pid=pid, cpu_seconds=cpu, memory_bytes=memory, threads=1)


def test_a_process_that_was_replaced_counts_from_nothing() -> None:
    readings = [
        Reading(at=0, processes=[a_process("echo-0", 1, 50)]),
        Reading(at=1, processes=[a_process("echo-0", 1, 50.5)]),
        Reading(at=2, processes=[a_process("echo-0", 2, 0.25)]),
        Reading(at=3, processes=[]),
        Reading(at=4, processes=[a_process("echo-0", 2, 1.25)]),
    ]
    run = a_run(seconds=4, readings=readings)
    assert series(server.cpu(run))["echo-0"] == pytest.approx({1: 0.5, 2: 0.25, 4: 0.5})


def test_of_many_processes_the_small_ones_are_one_and_nothing_is_lost() -> None:
    many = [a_process(f"p{number}", number + 1, 0, 1000 * (number + 1)) for number in range(40)]
    run = a_run(seconds=1, readings=[Reading(at=0, processes=many), Reading(at=1, processes=many)])
    lines = series(server.memory(run))
    assert len(lines) == server.MOST_PROCESSES + 1
    assert sum(values[1] for values in lines.values()) == sum(one.memory_bytes for one in many)
    assert "p39" in lines
    assert "p0" not in lines


@pytest.mark.parametrize("function", OF_A_RUN)
def test_a_run_without_answers_or_readings_has_the_plots_that_it_can_have(function: Any) -> None:
    plot = function(without_answers())
    assert (plot is None) == (function in {*OF_THE_SERVER, *FROM_ANSWERS})


@pytest.mark.parametrize("function", OF_A_RUN)
def test_one_interval_and_one_second_are_a_run_too(function: Any) -> None:
    plot = drawn(function(a_run(seconds=1)))
    assert plot.figure.data
    assert plot.table.rows


@pytest.mark.parametrize("function", OF_A_RUN)
def test_a_run_without_anything_is_no_error(function: Any) -> None:
    nothing = added([])
    assert function(a_run(intervals=[], readings=[], latency={}, tally=nothing)) is None


@pytest.mark.parametrize("function", OF_A_RUN)
def test_a_run_of_hours_has_no_more_points_than_can_be_seen(function: Any) -> None:
    plot = function(lasting(20_000))
    if plot is None:  # its readings are one that repeats, in which nothing ended
        assert function is server.split
        return
    assert all(len(trace.x) <= POINTS + 1 for trace in plot.figure.data)
    assert len(plot.table.rows) <= ROWS + 1
    if plot.key != "percentiles":
        assert plot.figure.layout.xaxis.ticksuffix == " h"
        assert max(max(trace.x) for trace in plot.figure.data) == pytest.approx(20_000 / 3600, rel=0.01)


@pytest.mark.parametrize(("seconds", "unit"), [(10, " s"), (1800, " min"), (40_000, " h"), (600_000, " d")])
def test_time_has_the_unit_that_fits(seconds: float, unit: str) -> None:
    run = a_run(seconds=1).model_copy(update={"seconds": seconds})
    assert drawn(latencies.through_the_run(run)).figure.layout.xaxis.ticksuffix == unit


def test_of_several_seconds_in_one_point_the_worst_is_shown() -> None:
    run = lasting(2 * POINTS)
    worst = max(one.latency.p99 for one in run.intervals if one.latency)
    lines = series(latencies.through_the_run(run))
    assert set(lines["p99"].values()) == {worst / 1e6}
    assert "the worst" in drawn(latencies.through_the_run(run)).caption


def test_latency_against_throughput_goes_by_load() -> None:
    runs = a_curve()
    plot = drawn(several.throughput_latency([runs[3], runs[0], runs[4], runs[1], runs[2]]))
    p50 = plot.figure.data[0]
    assert [trace.name for trace in plot.figure.data] == ["p50", "p99", "p99.9"]
    assert list(p50.customdata) == ["50/s", "100/s", "200/s", "300/s", "400/s"]
    assert list(p50.x) == [run.good / run.seconds for run in runs]
    assert list(p50.y) == sorted(p50.y)


def test_an_invalid_run_has_an_open_mark() -> None:
    runs = a_curve((50, 100))
    invalid = Generator(limit=1, late_p99=0, cpu_seconds=0, invalid=["at its limit"])
    plot = drawn(several.throughput_latency([runs[0], runs[1].model_copy(update={"generator": invalid})]))
    assert list(plot.figure.data[0].marker.symbol) == ["circle", "circle-open"]


def test_no_line_joins_different_targets() -> None:
    ours, theirs = a_curve((50, 100)), a_curve((50, 100, 200))
    asked = theirs[0].asked.model_copy(update={"url": "http://peer:8000/x"})
    runs = [*ours, *(run.model_copy(update={"asked": asked}) for run in theirs)]
    plot = drawn(several.throughput_latency(runs))
    assert [len(trace.x) for trace in plot.figure.data] == [2, 2, 2, 3, 3, 3]
    assert plot.figure.data[3].name == "p50 http://peer:8000/x"
    assert plot.figure.data[0].line.color != plot.figure.data[3].line.color


def on_ports(runs: list[Run], first: int, step: int = 1) -> list[Run]:
    """As if a server had been started for each of them."""
    return [
        run.model_copy(
            update={"asked": run.asked.model_copy(update={"url": f"http://127.0.0.1:{first + at * step}/x"})}
        )
        for at, run in enumerate(runs)
    ]


def test_a_server_that_is_started_anew_for_each_run_has_one_line() -> None:
    plot = drawn(several.throughput_latency(on_ports(a_curve((50, 100, 200)), 40_000)))
    assert [(trace.name, len(trace.x)) for trace in plot.figure.data] == [
        ("p50", 3),
        ("p99", 3),
        ("p99.9", 3),
    ]


def test_two_servers_under_the_same_load_have_lines_of_their_own() -> None:
    ours, theirs = (on_ports(a_curve((50, 100)), port, step=0) for port in (8001, 8002))
    plot = drawn(several.throughput_latency([*ours, *theirs]))
    assert [trace.name for trace in plot.figure.data][::3] == [
        "p50 http://127.0.0.1:8001/x",
        "p50 http://127.0.0.1:8002/x",
    ]


def test_a_short_end_in_which_nothing_is_sent_any_more_is_no_drop() -> None:
    run = a_run(seconds=3)
    tail = run.intervals[2].model_copy(update={"start": 3.0, "seconds": 0.1, "tally": added([])})
    run = run.model_copy(update={"intervals": [*run.intervals, tail], "seconds": 3.1})
    assert list(series(rates.throughput(run))["answered"]) == [0, 1, 2, 3]
    assert series(rates.throughput(run))["answered"][3] > 0
    assert 3.1 not in series(rates.ends(run))["200"]


@pytest.mark.parametrize(
    ("low", "high"),
    [(1e-6, 3600), (1e-4, 1), (0.002, 0.009), (0.14, 0.21), (0.0101, 0.0109), (0.5, 0.5), (5, 5.01)],
)
def test_an_axis_has_marks_enough_to_read_it_and_not_too_many(low: float, high: float) -> None:
    seen = [at for at in marks(low, high) if low * 0.7 <= at <= high * 1.4]
    assert 2 <= len(seen) <= 18
    assert all(round(at * 1e6) >= 1 for at in seen)
    assert seen == sorted(seen)


def test_one_run_has_no_curve_of_throughput() -> None:
    assert several.throughput_latency([a_run(), without_answers()]) is None


def test_runs_of_the_same_title_are_told_apart() -> None:
    runs = [a_run(seconds=1), a_run(seconds=1), a_run(seconds=1, title="")]
    assert several.names(runs) == ["1: echo, 64 B", "2: echo, 64 B", runs[0].asked.url]
    assert list(series(several.percentiles(runs))) == several.names(runs)


def test_what_a_record_says_is_no_markup_in_a_plot() -> None:
    run = a_run(seconds=2)
    interval: Interval = run.intervals[0]
    tally = interval.tally.model_copy(update={"statuses": {HOSTILE: 3}, "failures": {HOSTILE: 4}})
    readings = [Reading(at=at, processes=[a_process(HOSTILE, 1, at)]) for at in (0, 1)]
    run = run.model_copy(
        update={
            "tally": tally,
            "intervals": [interval.model_copy(update={"tally": tally})],
            "latency": {"all": run.latency["all"], HOSTILE: run.latency["200"], "450": run.latency["450"]},
            "readings": readings,
            "title": HOSTILE,
        }
    )
    plots = [function(run) for function in OF_A_RUN]
    plots += [several.throughput_latency([run, run]), several.percentiles([run, run])]
    texts = [plot.figure.to_json() for plot in plots if plot is not None]
    assert any("&lt;a href=" in text for text in texts)
    assert not any("<a" in text or "\\u003ca" in text for text in texts)
