"""A processor dies, in every way and at every moment; clients, queue and engine live on."""

from __future__ import annotations

import signal
import time

import psutil
import pytest

from eas_engine.spec.loops import has_gil
from support.client import Answer
from support.engine import Engine, end_process, eventually, gone
from support.engines import Engines, Latch

PATIENT: dict[str, object] = {"keepalive": 60_000, "worker_threads": 2}


def assert_crashed(answer: Answer, code: str = "instance_killed") -> None:
    """The answer to what was begun when the instance died."""
    assert (answer.status, answer.code, answer.closes) == (500, code, False)
    assert answer.headers["x-eas-retryable"] == "true"


def wait_back(engine: Engine, before: int) -> None:
    """Until another process serves."""
    eventually(lambda: ready_pids(engine) not in ([], [before]), "it is back")


def ready_pids(engine: Engine) -> list[int]:
    """The processes of the first instance, if it is ready."""
    seen = engine.instance()
    return list(seen["pids"]) if seen["state"] == "READY" else []


def test_killed_while_loading(engines: Engines, latch: Latch) -> None:
    environment = {"FAULTS_AT_INITIALIZE": f"{latch.query}"}
    engine = engines(PATIENT, ready=False, environment=environment)
    eventually(lambda: engine.journal("initialize"), "it loads")
    refused = engine.ask()
    assert (refused.status, refused.code) == (503, "no_instance")
    assert refused.text.startswith("no healthy upstream")
    status, body = engine.get("/readyz")
    assert (status, b"initialises" in body) == (503, True)
    first = engine.host
    end_process(first)

    eventually(lambda: len(engine.journal("initialize")) == 2, "it loads again")
    latch.open()
    engine.wait_ready()
    assert engine.ask(body=b"up").body == b"up"
    assert engine.instance()["restarts"] == {"killed": 1}
    assert engine.instance()["last_crash"]["state"] == "WARMING"


def test_killed_while_idle(engines: Engines) -> None:
    """Requests that come while nothing is ready wait for the restart instead of failing."""
    engine = engines(PATIENT)
    before = engine.host
    end_process(before)
    answers = [engine.ask(body=b"%d" % number).body for number in range(10)]

    assert answers == [b"%d" % number for number in range(10)]
    wait_back(engine, before)
    crash = engine.instance()["last_crash"]
    assert (crash["kind"], crash["state"]) == ("killed", "READY")
    assert engine.metric("eas_instance_restarts_total", cause="killed") == 1


@pytest.mark.parametrize("ahead", [0, 500], ids=["", "handed out ahead"])
def test_killed_mid_request(engines: Engines, latch: Latch, ahead: int) -> None:
    """What was begun is answered at once; what wasn't is served by the next process, in order."""
    engine = engines(PATIENT)
    with engine.connect() as client:
        for _ in range(ahead):
            client.ask()
    reached = len(engine.reached())
    begun = [engine.connect() for _ in range(2)]
    for client in begun:
        client.post(latch.query)
    eventually(lambda: len(engine.reached()) == reached + 2, "both threads are busy")
    waiting = [engine.connect() for _ in range(10)]
    for number, client in enumerate(waiting):
        client.post(body=b"%d" % number, headers={"X-Request-Id": f"waiting-{number}"})
    eventually(lambda: engine.metric("eas_in_flight") == 12, "all are in")
    end_process(engine.host)

    for client in begun:
        assert_crashed(client.read())
    assert [client.read().body for client in waiting] == [b"%d" % number for number in range(10)]
    assert begun[0].ask(body=b"same connection").body == b"same connection"
    assert sorted(engine.reached()[reached + 2 : -1]) == [f"waiting-{number}" for number in range(10)]
    assert engine.metric("eas_in_flight") == 0


def test_killed_mid_upload(engines: Engines) -> None:
    """A request whose body is still on its way isn't in the host."""
    engine = engines(PATIENT)
    body = b"z" * (2 << 20)
    with engine.connect() as client:
        client.send(client.head(length=len(body)) + body[:1_000_000])
        eventually(lambda: engine.metric("eas_in_flight") == 1, "its place is taken")
        end_process(engine.host)
        client.send(body[1_000_000:])
        assert client.read().body == body


def test_killed_mid_answer(engines: Engines) -> None:
    """The client reads slowly; the process that made the answer is gone long before its last byte."""
    engine = engines(PATIENT)
    size = 64 << 20
    with engine.connect(receive_buffer=4096) as client:
        client.post(f"do=answer&size={size}&fill=a")
        engine.wait_metric("eas_requests_total", 1, status="200")
        before = engine.host
        end_process(before)
        wait_back(engine, before)
        assert client.read().body == b"a" * size
        assert client.ask(body=b"next").body == b"next"


@pytest.mark.skipif(
    not has_gil(), reason="without a GIL Python 3.13 frees large objects some allocations late"
)
def test_the_memory_of_large_answers_comes_back(engines: Engines) -> None:
    engine = engines(PATIENT)
    for megabytes in (100, 200, 400):
        assert len(engine.ask(f"do=answer&size={megabytes << 20}").body) == megabytes << 20
    host = psutil.Process(engine.host)

    eventually(lambda: host.memory_info().rss < 400 << 20, "the host keeps no more than its reserve")
    assert engine.memory < 200 << 20


@pytest.mark.parametrize(
    ("query", "cause", "code"),
    [
        ("do=exit&code=0", "exit 0", "instance_exited"),
        ("do=exit&code=3", "exit 3", "instance_exited"),
        ("do=vanish&code=7", "exit 7", "instance_exited"),
        ("do=segfault", "signal 11 (SIGSEGV)", "instance_crashed"),
        ("do=kill&signal=SIGABRT", "signal 6 (SIGABRT)", "instance_aborted"),
        ("do=kill&signal=SIGKILL", "signal 9 (SIGKILL), not from the engine", "instance_killed"),
        ("do=kill&signal=SIGTERM", "signal 15 (SIGTERM)", "instance_crashed"),
    ],
)
def test_a_processor_that_ends_its_process(
    engines: Engines, latch: Latch, query: str, cause: str, code: str
) -> None:
    engine = engines({"keepalive": 60_000, "worker_threads": 2})
    other, culprit, waiting = (engine.connect() for _ in range(3))
    other.post(latch.query)
    eventually(lambda: engine.metric("eas_busy_threads") == 1, "one is at work")
    culprit.post(query)
    waiting.post(body=b"waited")

    answer = culprit.read()
    assert_crashed(answer, code)
    assert answer.text.endswith(f": {cause}")
    assert_crashed(other.read(), code)
    assert waiting.read().body == b"waited"
    assert engine.instance()["last_crash"]["cause"] == cause
    if query == "do=segfault":
        assert "Segmentation fault" in engine.log
        assert any("segfault" in line for line in engine.instance()["last_crash"]["lines"])


def test_a_processor_that_dies_again_and_again_is_started_again_and_again(engines: Engines) -> None:
    engine = engines(PATIENT)
    for number in range(1, 4):
        assert_crashed(engine.ask("do=vanish"), "instance_exited")
        assert engine.ask(body=b"back").body == b"back"
        assert engine.instance()["restarts"] == {"exit": number}


@pytest.mark.parametrize("how", ["", "&raw=1", "&raw=1&session=1"], ids=["fork", "fork in C", "fork, setsid"])
def test_a_forked_child_does_not_hide_the_death_of_its_host(engines: Engines, how: str) -> None:
    """The child holds whatever the host had open; the death is seen all the same, and the group ends."""
    engine = engines(PATIENT)
    child = int(engine.ask(f"do=fork&seconds=600{how}").body)
    try:
        with engine.connect() as client:
            client.post("do=hang")
            eventually(lambda: engine.metric("eas_busy_threads") == 1, "begun")
            before = engine.host
            end_process(before)
            assert_crashed(client.read())
            assert client.ask(body=b"back").body == b"back"
        if "session" not in how:
            eventually(lambda: gone(child), "it went with the group of its host")
    finally:
        if not gone(child):
            end_process(child)


def test_a_hanging_call_ends_its_instance_after_the_stuck_timeout(engines: Engines) -> None:
    engine = engines({"keepalive": 500, "stuck_timeout": 1500, "worker_threads": 2})
    before = engine.host
    assert engine.ask("do=hang").status == 408

    wait_back(engine, before)
    assert engine.ask(body=b"again").body == b"again"
    assert engine.instance()["restarts"] == {"stuck": 1}
    assert engine.instance()["last_crash"]["kind"] == "stuck"
    assert engine.metric("eas_in_flight") == 0
    assert gone(before)


def test_the_others_in_a_stuck_instance_finish_first(engines: Engines) -> None:
    """One call hangs; calls beside it go on and on, and none of them is lost to the restart."""
    engine = engines({"keepalive": 60_000, "stuck_timeout": 3000, "worker_threads": 2})
    before = engine.host
    with engine.connect() as hanging, engine.connect() as other:
        hanging.post("do=hang")
        statuses = [200]
        while ready_pids(engine) in ([], [before]) and set(statuses) == {200}:
            statuses.append(other.ask("do=sleep&seconds=0.3").status)
        assert set(statuses) == {200}
        assert_crashed(hanging.read(), "instance_stuck")
    assert engine.instance()["restarts"] == {"stuck": 1}
    assert "in hang" in engine.log  # the stacks of its threads


def test_holding_the_gil_for_too_long_counts_as_stuck(engines: Engines) -> None:
    engine = engines({"keepalive": 500, "stuck_timeout": 1500, "worker_threads": 2})
    before = engine.host
    assert engine.ask("do=hold_gil&seconds=600").status == 408

    wait_back(engine, before)
    assert engine.instance()["restarts"] == {"stuck": 1}
    assert "in hold_gil" in engine.log  # the stacks, though no other Python code could run
    assert engine.ask(body=b"again").body == b"again"


def test_killing_one_of_two_instances_loses_only_what_it_had_begun(engines: Engines, latch: Latch) -> None:
    engine = engines({"keepalive": 60_000, "worker_threads": 1}, metadata={"instance": 2})
    eventually(lambda: [i["state"] for i in engine.status()["instances"]] == ["READY"] * 2, "both are ready")
    clients = [engine.connect() for _ in range(2)]
    for client in clients:
        client.post(latch.query, b"held")
    eventually(lambda: engine.metric("eas_busy_threads") == 2, "both are busy")
    waiting = [engine.connect() for _ in range(10)]
    for number, client in enumerate(waiting):
        client.post(body=b"%d" % number)
    eventually(lambda: engine.metric("eas_in_flight") == 12, "all are in")
    victim = engine.instance(1)["pids"][0]
    end_process(victim)

    eventually(lambda: not all(client.silent() for client in clients), "one is answered at once")
    latch.open()
    statuses = sorted(client.read().status for client in clients)
    assert statuses == [200, 500]
    assert [client.read().body for client in waiting] == [b"%d" % number for number in range(10)]
    eventually(lambda: engine.instance(1)["state"] == "READY", "it is back")
    assert engine.instance(0)["restarts"] == {}
    assert engine.instance(1)["restarts"] == {"killed": 1}


def test_under_load_a_crash_costs_no_more_than_what_was_begun(engines: Engines) -> None:
    """Forty connections ask on and on, while the process is killed three times."""
    engine = engines({"keepalive": 60_000, "worker_threads": 4})
    clients = [engine.connect() for _ in range(40)]
    failed = answered = 0
    for number in range(30):
        for client in clients:
            client.post("do=sleep&seconds=0.001")
        if number % 10 == 5:
            end_process(eventually(lambda: ready_pids(engine), "it is back")[0])
        statuses = [client.read().status for client in clients]
        assert set(statuses) <= {200, 500}
        failed += statuses.count(500)
        answered += len(statuses)
    assert answered == 1200
    assert failed <= 3 * 4, "four threads had begun one each, at most"
    assert engine.metric("eas_in_flight") == 0


def test_what_a_processor_prints_is_in_the_log_and_the_status(engines: Engines) -> None:
    engine = engines(model_config="some text")

    assert "model_entry='' model_config='some text'" in engine.instance()["log"]
    assert "faulty-0 | model_entry=''" in engine.log


def test_kill_9_of_the_engine_leaves_no_process_behind(engines: Engines) -> None:
    """Also a child that a processor has forked, and hosts that hold the GIL."""
    engine = engines({"keepalive": 60_000}, metadata={"instance": 2})
    eventually(lambda: [i["state"] for i in engine.status()["instances"]] == ["READY"] * 2, "both are ready")
    children = [int(engine.ask(f"do=fork&seconds=600{how}").body) for how in ("", "&raw=1")]
    with engine.connect() as client:
        client.post("do=hold_gil&seconds=600")
        eventually(lambda: engine.metric("eas_busy_threads") == 1, "begun")
        everything = [process.pid for process in engine.processes()]
        assert set(children) < set(everything)
        assert len(everything) >= 4
        engine.process.send_signal(signal.SIGKILL)
        assert engine.wait() == -signal.SIGKILL

    started = time.monotonic()
    eventually(lambda: all(gone(pid) for pid in everything), "everything is gone")
    assert time.monotonic() - started < 30


def test_an_engine_that_was_killed_starts_again_in_the_same_place(engines: Engines) -> None:
    engine = engines()
    engine.kill()
    again = engines.again(engine)

    assert again.ask(body=b"here").body == b"here"
