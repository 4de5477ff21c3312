"""What the curves of costs are made of, without an engine."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest

from eas_bench.scenarios.bars import Bar, Verdict
from eas_bench.scenarios.crowds import idle_connections, room
from eas_bench.scenarios.curves import Curve, answers, ready, within
from eas_bench.scenarios.setting import SMALL
from eas_bench.servers import NotServing, Target, reference

METRICS = """# HELP eas_requests_total Answers by HTTP status
eas_requests_total{service="echo",status="200"} 1200
eas_requests_total{service="echo",status="450"} 34.0
eas_rejects_total{service="echo",reason="queue_full"} 34
eas_instance_state{service="echo",instance="0",state="READY"} 1
eas_instance_state{service="echo",instance="0",state="STARTING"} 0
eas_instance_state{service="echo",instance="1",state="READY"} 0
eas_instance_state{service="echo",instance="1",state="STARTING"} 1
eas_instance_state{service="echo",instance="2",state="READY"} 1.0
"""
BAR = Bar("cost-body", "CPU time a request", "at most", 1.2, "(exponent)")


def curve(rounds: list[list[float]]) -> Curve:
    told = Curve("bytes")
    for costs in rounds:
        for x, cost in zip((64, 1024, 16384), costs, strict=True):
            told.add(x, cost)
    return told


def test_answers_and_ready_instances_are_read_from_the_metrics() -> None:
    assert answers(METRICS) == 1234
    assert ready(METRICS) == 2
    assert (answers(""), ready("")) == (0, 0)


def test_each_round_gives_an_exponent_and_the_medians_the_shape() -> None:
    told = curve([[10, 10.2, 10.1], [10, 10.1, 10.2], [11, 10, 10]])
    assert len(told.measured().samples) == 3
    assert Verdict.of(BAR, told.measured()).met
    assert told.as_json()["shape"] == "flat"
    assert told.words == "bytes: 64: 10.0, 1,024: 10.1, 16,384: 10.1 (flat)"


def test_a_cost_that_grows_faster_than_what_is_asked_is_missed() -> None:
    told = curve([[1, 100, 10000]] * 3)
    verdict = Verdict.of(BAR, told.measured())
    assert verdict.value > 1.6
    assert not verdict.met


def test_rounds_that_waver_and_points_left_out_are_doubts() -> None:
    assert not Verdict.of(BAR, curve([[10, 10, 10], [10, 16, 10]]).measured()).reliable
    steady = curve([[10, 10, 10]])
    steady.doubts.append("no more than 500 connections may be open here")
    assert not Verdict.of(BAR, steady.measured()).reliable


@pytest.mark.parametrize(
    ("most", "told"), [(20_000, [0, 1000, 10_000]), (10_000, [0, 1000, 10_000]), (496, [0, 496])]
)
def test_more_connections_than_files_are_replaced_by_as_many_as_may_be(most: int, told: list[int]) -> None:
    assert within([0, 1000, 10_000], most) == told


def test_idle_connections_have_had_an_answer_and_stay_until_they_leave_at_once(tmp_path: Path) -> None:
    assert room() > 0
    like = Target(0, "/", ())
    every = frozenset(os.sched_getaffinity(0))
    with reference("echo", like=like, cores=every, log=tmp_path / "log") as bare:
        descriptors = Path(f"/proc/{bare.pid}/fd")
        before = len(list(descriptors.iterdir()))
        with idle_connections(bare) as crowd:
            for count in (5, 20):
                crowd.grow(count, SMALL)
                assert len(list(descriptors.iterdir())) == before + count
        bare.expect(SMALL, SMALL)  # its loop has run since they left
        assert len(list(descriptors.iterdir())) <= before + 1


def test_an_idle_connection_that_is_refused_ends_the_measurement() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 450 \r\nContent-Length: 0\r\n\r\n")

        server = threading.Thread(target=refuse)
        server.start()
        with idle_connections(Target(listener.getsockname()[1], "/", ())) as crowd:
            with pytest.raises(NotServing, match=r"connection 1 of 3 was answered b'HTTP/1\.1 450"):
                crowd.grow(3, SMALL)
            server.join()
