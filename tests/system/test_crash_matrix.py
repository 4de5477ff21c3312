"""Three languages, six moments, four ways to die: what clients see of each, and that nothing is left behind.

Moments: while the processor loads, while it is warmed up, idle, with requests inside, while an answer is on
its way to a slow client, and while the engine drains. Ways: SIGKILL, SIGSEGV, the processor ends its own
process, and a hang, which the engine ends (``rpc.stuck_timeout``). What all ways of a moment can share is one
engine.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support import compiled, java
from support.client import Answer
from support.engine import Engine, eventually
from support.engines import Engines, Latch
from support.leftovers import Leftovers, descriptors

NO_CHANCE = 4
"""Exit status of an engine whose processor never started."""
STUCK_MS = 3000
RPC: dict[str, object] = {"keepalive": 120_000, "stuck_timeout": STUCK_MS, "worker_threads": 2}


@dataclass(frozen=True)
class Way:
    """How a processor dies, and what that is called.

    Attributes:
        name: of the test.
        told: what the processor is told, in a request's body.
        code: ``X-EAS-Error`` of what was begun.
        kind: label ``cause`` of the metric of restarts.
        words: what the log of an engine that gives up says of it.
    """

    name: str
    told: str
    code: str
    kind: str
    words: str


KILL = Way("SIGKILL", "do=kill&signal=SIGKILL", "instance_killed", "killed", "SIGKILL")
SEGFAULT = Way("SIGSEGV", "do=segfault", "instance_crashed", "signal", "SIGSEGV")
EXIT = Way("exit", "do=exit&code=3", "instance_exited", "exit", "3")
HANG = Way("hang", "do=hang", "instance_stuck", "stuck", "")
PYTHON_EXIT = Way("exit", "do=vanish&code=3", "instance_exited", "exit", "3")
"""While it starts, ``sys.exit`` is told like an exception; this ends the process without a word."""
JAVA_SEGFAULT = Way("SIGSEGV", "do=segfault", "instance_jvm_crashed", "jvm", "SIGSEGV")
WAYS = (KILL, SEGFAULT, EXIT, HANG)
LANGUAGES = ("python", "cpp", "java")
all_languages = pytest.mark.parametrize("language", LANGUAGES)
all_ways = pytest.mark.parametrize("way", WAYS, ids=[way.name for way in WAYS])


def of(way: Way, language: str) -> Way:
    """The way as it is called in that language."""
    return {("java", SEGFAULT): JAVA_SEGFAULT, ("python", EXIT): PYTHON_EXIT}.get((language, way), way)


def processor(language: str) -> dict[str, Any]:
    """Fields of a service.json; skips without a compiler for the language."""
    if language == "cpp":
        return {"processor_type": "cpp", "processor_entry": str(compiled.library("faults.cpp"))}
    if language == "java":
        return {
            "processor_type": "java",
            "processor_path": str(java.jar("Faults.java")),
            "processor_entry": "",
            "processor_mainclass": "Faults",
        }
    return {}


@pytest.fixture(scope="module", autouse=True)
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the engines of this module put temporary files."""
    directory = tmp_path_factory.mktemp("scratch")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(directory))
        yield directory


@pytest.fixture
def leftovers(scratch: Path) -> Leftovers:
    """Has looked before anything of the test runs."""
    return Leftovers(scratch)


def wait_restarted(engine: Engine, way: Way, count: int) -> None:
    """Until the death of the instance is known under its name."""
    eventually(
        lambda: engine.metric("eas_instance_restarts_total", cause=way.kind) == count,
        f"restart {count} because of {way.kind} (now: {engine.instance()['restarts']})",
    )


def stop_all_threads(pid: int) -> None:
    """SIGSTOP, and until every thread has heard of it."""
    os.kill(pid, signal.SIGSTOP)
    tasks = Path(f"/proc/{pid}/task")
    eventually(
        lambda: all(
            (task / "stat").read_text().rpartition(")")[2].split()[0] == "T" for task in tasks.iterdir()
        ),
        "it has stopped",
    )


def assert_crashed(answer: Answer, way: Way) -> None:
    """The answer to what was begun when the instance died."""
    assert (answer.status, answer.code, answer.closes) == (500, way.code, False)
    assert answer.headers["x-eas-retryable"] == "true"


def assert_same_descriptors(engine: Engine, before: dict[str, int]) -> None:
    """What was opened for dead hosts is closed again. At the start a client may not have gone yet."""
    eventually(
        lambda: all(count <= before.get(kind, 0) for kind, count in descriptors(engine).items()),
        f"no more than at the start: {before}, now {descriptors(engine)}",
    )


def end(engine: Engine, leftovers: Leftovers) -> None:
    """Stop the engine and look."""
    leftovers.note(engine)
    assert engine.stop() == 0
    leftovers.check(engine)


# -- before there is an instance


@all_ways
@all_languages
def test_load(engines: Engines, leftovers: Leftovers, language: str, way: Way) -> None:
    """It never starts: clients get 503, the engine tells why and ends; a load that hangs is waited for."""
    way = of(way, language)
    environment = {"FAULTS_AT_INITIALIZE": way.told}
    engine = engines(RPC, ready=False, environment=environment, **processor(language))
    leftovers.note(engine)
    if way is HANG:
        eventually(lambda: "do=hang" in engine.log or engine.instance()["state"] == "WARMING", "it loads")
        answer = engine.ask()
        assert (answer.status, answer.code) == (503, "no_instance")
        end(engine, leftovers)
    else:
        assert engine.wait() == NO_CHANCE
        assert way.words in engine.log.partition("failed to start")[2]
        leftovers.check(engine)


@all_ways
@all_languages
def test_warm_up(engines: Engines, leftovers: Leftovers, tmp_path: Path, language: str, way: Way) -> None:
    """The first process dies of a warm-up request; the second one serves."""
    way = of(way, language)
    sample = tmp_path / "sample.bin"
    sample.write_bytes(f"{way.told}&once={tmp_path / 'once'}".encode())
    rpc = {**RPC, "keepalive": STUCK_MS}
    engine = engines(
        rpc,
        ready=False,
        warm_up_data_path=str(sample),
        metadata={"warm_up_count": 1},
        **processor(language),
    )
    leftovers.note(engine)
    engine.wait_ready()
    assert engine.ask(body=b"warm").body == b"warm"
    assert engine.instance()["restarts"] == {"warm_up" if way is HANG else way.kind: 1}
    end(engine, leftovers)


# -- one engine for all ways of a moment


@all_languages
def test_idle(engines: Engines, leftovers: Leftovers, language: str) -> None:
    """Nobody notices: who comes next waits for the restart."""
    engine = engines(RPC, **processor(language))
    assert engine.ask(body=b"first").body == b"first"
    before = descriptors(engine)
    for number, way in enumerate(of(way, language) for way in WAYS):
        leftovers.note(engine)
        if way is HANG:
            stop_all_threads(engine.host)  # what comes now is handed out, and never begun
            assert engine.ask(body=b"stopped").body == b"stopped"
        elif way is KILL:
            os.kill(engine.host, signal.SIGKILL)
        else:
            action = "vanish&code=3" if way.kind == "exit" else way.told.removeprefix("do=")
            told = f"do=later&seconds=0.01&then={action}".encode()
            assert engine.ask(body=told).body == told
        wait_restarted(engine, way, 1)
        body = b"again %d" % number
        assert engine.ask(body=body).body == body
    assert set(engine.status()["answers"]) == {"200"}
    assert_same_descriptors(engine, before)
    end(engine, leftovers)


@all_languages
def test_mid_request(engines: Engines, leftovers: Leftovers, tmp_path: Path, language: str) -> None:
    """500 at once to what was begun; what waited is answered by the next process."""
    engine = engines(RPC, **processor(language))
    assert engine.ask(body=b"first").body == b"first"
    before = descriptors(engine)
    for way in (of(way, language) for way in WAYS):
        leftovers.note(engine)
        latch = Latch(tmp_path / way.name)
        with engine.connect() as beside, engine.connect() as culprit, engine.connect() as waiting:
            beside.post(body=latch.query.encode())
            eventually(lambda: engine.metric("eas_busy_threads") == 1, "one is at work")
            culprit.post(body=way.told.encode())
            waiting.post(body=b"waited")
            if way is HANG:
                latch.open()  # who is beside one that hangs may finish
                assert beside.read().body == latch.query.encode()
            else:
                assert_crashed(beside.read(), way)
            assert_crashed(culprit.read(), way)
            assert waiting.read().body == b"waited"
            assert culprit.ask(body=b"same connection").body == b"same connection"
        wait_restarted(engine, way, 1)
    assert engine.metric("eas_in_flight") == engine.metric("eas_body_bytes") == 0
    assert_same_descriptors(engine, before)
    end(engine, leftovers)


@all_languages
def test_mid_answer(engines: Engines, leftovers: Leftovers, language: str) -> None:
    """An answer that the engine has got is sent to its last byte, whatever becomes of who made it."""
    engine = engines(RPC, **processor(language))
    assert engine.ask(body=b"first").body == b"first"
    before = descriptors(engine)
    size = 16 << 20
    for number, way in enumerate(of(way, language) for way in WAYS):
        leftovers.note(engine)
        with engine.connect(receive_buffer=4096) as slow:
            answered = engine.metric("eas_requests_total", status="200")
            slow.post(body=b"do=answer&size=%d&fill=%d" % (size, number))
            engine.wait_metric("eas_requests_total", answered + 1, status="200")
            assert_crashed(engine.ask(body=way.told.encode()), way)
            wait_restarted(engine, way, 1)
            assert slow.read().body == b"%d" % number * size
            assert slow.ask(body=b"same connection").body == b"same connection"
    assert_same_descriptors(engine, before)
    end(engine, leftovers)


# -- the end


@all_ways
@all_languages
def test_drain(engines: Engines, leftovers: Leftovers, latch: Latch, language: str, way: Way) -> None:
    """The engine was told to end: it restarts the instance for those that still wait, and then ends well."""
    way = of(way, language)
    engine = engines({**RPC, "worker_threads": 1}, **processor(language))
    leftovers.note(engine)
    first, culprit, waiting, late = (engine.connect() for _ in range(4))
    first.post(body=latch.query.encode())
    eventually(lambda: engine.metric("eas_busy_threads") == 1, "one is at work")
    culprit.post(body=way.told.encode())
    eventually(lambda: engine.metric("eas_in_flight") == 2, "the culprit waits")
    waiting.post(body=b"waited")
    eventually(lambda: engine.metric("eas_in_flight") == 3, "all are in")
    engine.signal(signal.SIGTERM)
    eventually(lambda: engine.get("/readyz")[0] == 503, "the drain has begun")

    assert late.ask().code == "draining"
    latch.open()
    assert first.read().status == 200
    answer = culprit.read()
    assert (answer.status, answer.code, answer.closes) == (500, way.code, True)
    leftovers.note(engine)
    answer = waiting.read()
    assert (answer.status, answer.body, answer.closes) == (200, b"waited", True)
    assert engine.wait() == 0
    leftovers.check(engine)
