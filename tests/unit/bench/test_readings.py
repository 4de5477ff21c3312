"""What is read off a server, and how the readings become a record's."""

from __future__ import annotations

import json
import math
import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_bench import readings
from eas_bench.readings import Watcher, names, parse
from support.bench_runs import a_run
from support.clock import FakeClock

ENGINE = """\
# HELP eas_requests_total Answers by HTTP status
# TYPE eas_requests_total counter
eas_requests_total{service="echo",status="200"} 90.0
eas_requests_total{service="echo",status="450"} 10.0
# TYPE eas_request_seconds histogram
eas_request_seconds_bucket{le="6.4e-05",service="echo"} 3.0
eas_request_seconds_bucket{le="+Inf",service="echo"} 100.0
eas_request_seconds_count{service="echo"} 100.0
eas_request_seconds_sum{service="echo"} 0.5
# TYPE eas_request_queue_seconds histogram
eas_request_queue_seconds_bucket{le="+Inf",service="echo"} 90.0
eas_request_queue_seconds_count{service="echo"} 90.0
eas_request_queue_seconds_sum{service="echo"} 0.2
# TYPE eas_queue_depth gauge
eas_queue_depth{service="echo"} 4.0
# TYPE eas_instance_state gauge
eas_instance_state{instance="echo-0",service="echo",state="READY"} 1.0
eas_instance_state{instance="echo-0",service="echo",state="CRASHED"} 0.0
eas_instance_state{instance="echo-1",service="echo",state="READY"} 1.0
eas_instance_state{instance="echo-1",service="echo",state="CRASHED"} 0.0
# TYPE eas_engine_info gauge
eas_engine_info{pid="4321",python="3.12",service="echo",version="0.1.0"} 1.0
"""


class Server:
    """Answers what it is told to; ``asked`` has the addresses."""

    def __init__(self, metrics: str | Exception = ENGINE, service: str = "{}") -> None:
        self.metrics, self.service = metrics, service
        self.asked: list[str] = []
        self.twice = threading.Event()

    def __call__(self, url: str) -> bytes:
        self.asked.append(url)
        if len(self.asked) == 2:
            self.twice.set()
        if isinstance(self.metrics, Exception):
            raise self.metrics
        return (self.service if url.endswith("/service") else self.metrics).encode()


def test_an_engines_metrics_lose_their_prefix_and_labels_are_added_up() -> None:
    scrape = parse(ENGINE)
    assert scrape.requests == {
        "requests_total": 100,
        "request_seconds_count": 100,
        "request_seconds_sum": 0.5,
        "queue_seconds_count": 90,
        "queue_seconds_sum": 0.2,
    }
    assert scrape.gauges == {"queue_depth": 4, "instances_ready": 2, "instances_crashed": 0}
    assert scrape.pid == 4321


def test_of_another_server_counters_and_gauges_are_taken() -> None:
    scrape = parse(
        "# TYPE nv_inference_count counter\nnv_inference_count{model='a'} 3\n".replace("'", '"')
        + "# TYPE up gauge\nup 1\nunknown_thing 2\n"
        + '# TYPE rpc summary\nrpc{quantile="0.5"} 7\nrpc_sum 9\nrpc_count 3\n'
        + "# TYPE odd gauge\nodd NaN\n# TYPE huge gauge\nhuge +Inf\n"
    )
    assert scrape.requests == {"nv_inference_count_total": 3, "rpc_sum": 9, "rpc_count": 3}
    assert scrape.gauges == {"up": 1, "unknown_thing": 2}
    assert scrape.pid is None


def test_a_server_with_a_metric_for_everybody_isnt_copied() -> None:
    many = "".join(f"# TYPE of_{number} gauge\nof_{number} 1\n" for number in range(1000))
    assert len(parse(many).gauges) == readings.NAMES


@given(
    st.one_of(
        st.text(),
        st.text(alphabet='ab{}=",\\ \n#1.e_TYPE'),
        st.sampled_from(ENGINE.splitlines()).map(lambda line: line[:-3]),
    )
)
def test_what_is_no_exposition_is_an_error_that_is_expected(text: str) -> None:
    try:
        scrape = parse(text)
    except ValueError:
        return
    assert all(map(math.isfinite, [*scrape.requests.values(), *scrape.gauges.values()]))


def test_instances_have_the_names_that_the_engine_gives_them() -> None:
    service = {"instances": [{"name": "echo-0", "pids": [7, 8]}, {"name": "echo-1", "pids": []}, {}]}
    assert names(service) == {7: "echo-0", 8: "echo-0"}
    assert names([]) == {}


def test_a_watcher_reads_at_once_again_and_at_the_end() -> None:
    server = Server()
    with Watcher("http://127.0.0.1:9090", every=0.001, fetch=server) as watcher:
        assert server.twice.wait(60)
        taken = watcher.readings()
    assert len(taken) >= 2
    assert set(server.asked) == {"http://127.0.0.1:9090/metrics"}
    assert taken[0].gauges["queue_depth"] == 4
    assert [one.at for one in taken] == sorted(one.at for one in taken)
    assert watcher.notes == []


def test_times_count_from_the_start_of_the_measured_part() -> None:
    clock = FakeClock()
    with Watcher("http://localhost:1", warm_up=3, fetch=Server(), clock=clock.now, every=1e6) as watcher:
        clock.jump(5)
        assert watcher.readings()[-1].at == pytest.approx(2)
        clock.jump(1)
        watcher.note(a_run(seconds=4).intervals[3])  # four seconds ended now, which began at 2
        assert watcher.readings()[-1].at == pytest.approx(4)
        clock.jump(1)
        watcher.note(a_run(seconds=4).intervals[3])  # it came late
        assert watcher.readings()[-1].at == pytest.approx(5)


def test_a_long_run_leaves_no_more_readings_than_can_be_looked_at() -> None:
    clock = FakeClock()
    with Watcher("http://localhost:1", fetch=Server(), clock=clock.now, every=1e6) as watcher:
        for _ in range(readings.MOST + 500):
            clock.jump(1)
            watcher._take()
        taken = watcher.readings()
        assert len(taken) <= readings.MOST
        assert taken[0].at <= 1
        assert taken[-1].at == pytest.approx(readings.MOST + 500)


def test_a_server_without_metrics_is_told_once_in_the_notes() -> None:
    with Watcher(
        "http://localhost:1", fetch=Server(OSError("HTTP Error 404: Not Found")), every=1e6
    ) as watcher:
        assert watcher.readings() == []
    assert watcher.notes[0].startswith("the server's metrics couldn't be read: HTTP Error 404: Not Found")
    assert len(watcher.notes) == 1


def test_an_address_with_a_path_is_that_of_the_metrics() -> None:
    server = Server("# TYPE up gauge\nup 1\n")
    with Watcher("https://peer:8002/its/metrics", fetch=server, every=1e6, pid=os.getpid()) as watcher:
        (*_, last) = watcher.readings()
    assert set(server.asked) == {"https://peer:8002/its/metrics"}
    assert last.processes[0].name == "server"
    assert last.processes[0].pid == os.getpid()


def test_processes_are_read_without_any_metrics() -> None:
    with Watcher(None, pid=os.getpid(), every=1e6) as watcher:
        (*_, last) = watcher.readings()
    assert last.requests == {}
    assert last.processes[0].memory_bytes > 1_000_000
    assert last.processes[0].threads >= 2


def test_a_server_elsewhere_has_no_processes_here() -> None:
    mine = ENGINE.replace("4321", str(os.getpid()))
    with Watcher("http://gpu-17:9090", fetch=Server(mine), every=1e6) as watcher:
        assert watcher.readings()[-1].processes == []


def test_nor_has_one_in_a_container_whose_pid_is_another_process_here() -> None:
    mine = ENGINE.replace("4321", str(os.getpid()))
    with Watcher("http://127.0.0.1:9090", fetch=Server(mine), every=1e6) as watcher:
        assert watcher.readings()[-1].processes == []


@pytest.mark.parametrize("url", ["file:///etc/passwd", "localhost:9090", "ftp://x/metrics"])
def test_metrics_are_read_over_http_alone(url: str) -> None:
    with pytest.raises(ValueError, match="http or https"):
        Watcher(url)


def test_names_are_asked_for_when_there_is_a_new_process() -> None:
    server = Server(service=json.dumps({"instances": []}))
    with Watcher("http://127.0.0.1:9090", fetch=server, every=1e6, pid=os.getpid()) as watcher:
        assert watcher.readings()[-1].processes[0].name == "engine"
