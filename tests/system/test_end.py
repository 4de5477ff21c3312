"""How an engine ends: by a signal, losing nothing; and how it doesn't begin, with the right exit status."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from support.client import Client, ConnectionEnded
from support.engine import COMMAND, Engine, end_process, eventually, gone, service
from support.engines import Engines, Latch

PATIENT: dict[str, object] = {"keepalive": 60_000}


# -- the end


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_is_in_flight_and_queued_is_answered_and_new_ones_get_503(
    engines: Engines, latch: Latch, number: signal.Signals
) -> None:
    engine = engines({"keepalive": 60_000, "worker_threads": 2})
    idle, uploading = engine.connect(), engine.connect()
    assert idle.ask().status == 200
    clients = [engine.connect() for _ in range(10)]
    for client in clients:
        client.post(latch.query, b"kept")
    uploading.send(uploading.head(length=10) + b"01234")
    eventually(lambda: engine.metric("eas_in_flight") == 11, "two run, eight wait, one uploads")
    engine.signal(number)
    eventually(lambda: engine.get("/readyz")[0] == 503, "the drain has begun")

    for refused in (idle, engine.connect()):
        answer = refused.ask()
        assert (answer.status, answer.code, answer.closes) == (503, "draining", True)
        assert refused.closed()
    uploading.send(b"56789")
    latch.open()
    for client in clients:
        answer = client.read()
        assert (answer.status, answer.body, answer.closes) == (200, b"kept", True)
        assert client.rest() == b"", "a clean end"
    assert uploading.read().body == b"0123456789"
    assert engine.wait() == 0
    assert len(engine.reached()) == 12
    assert not (engine.state_dir / engine.name / "engine.json").exists()


class Load:
    """One keep-alive client that asks on and on until its connection ends; counts what it saw."""

    def __init__(self, engine: Engine) -> None:
        self.seen: Counter[str] = Counter()
        self._engine = engine
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def join(self) -> None:
        """Until the service is gone."""
        self._thread.join(60)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        with self._engine.connect() as client:
            while self._request(client):
                pass

    def _request(self, client: Client) -> bool:
        """One request; False when the connection is over. A clean end without a byte says: not begun."""
        try:
            client.post("do=sleep&seconds=0.002", b"load")
            answer = client.read()
        except ConnectionEnded as ended:
            self.seen["cut off" if ended.received else "closed"] += 1
            return False
        except OSError as error:
            self.seen[type(error).__name__] += 1
            return False
        self.seen[f"{answer.status}"] += 1
        assert answer.body == b"load" or answer.code == "draining"
        return not answer.closes


def test_a_drain_under_keep_alive_load_loses_nothing(engines: Engines) -> None:
    engine = engines({"keepalive": 60_000, "worker_threads": 4})
    load = [Load(engine) for _ in range(16)]
    eventually(lambda: sum(one.seen["200"] for one in load) > 500, "load")
    engine.signal(signal.SIGTERM)
    assert engine.wait() == 0

    for one in load:
        one.join()
    seen: Counter[str] = sum((one.seen for one in load), Counter())
    assert seen["200"] == len(engine.reached()), "every request that reached the processor was answered"
    assert set(seen) <= {"200", "503", "closed"}, seen


def test_a_second_signal_ends_it_at_once(engines: Engines) -> None:
    engine = engines({"keepalive": 600_000})
    with engine.connect() as client:
        client.post("do=hang")
        eventually(lambda: engine.metric("eas_busy_threads") == 1, "begun")
        pids = [process.pid for process in engine.processes()]
        engine.signal(signal.SIGTERM)
        eventually(lambda: engine.get("/readyz")[0] == 503, "the drain has begun")
        assert engine.process.poll() is None
        engine.signal(signal.SIGTERM)
        assert engine.wait() == 128 + signal.SIGTERM
    eventually(lambda: all(gone(pid) for pid in pids), "the hosts went with it")


def test_when_the_grace_period_is_over_it_ends_all_the_same(engines: Engines) -> None:
    metadata = {"eas": {"termination_grace_period": 1}}
    engine = engines({"keepalive": 600_000}, metadata=metadata)
    with engine.connect() as client:
        client.post("do=hang")
        eventually(lambda: engine.metric("eas_busy_threads") == 1, "begun")
        pids = [process.pid for process in engine.processes()]
        engine.signal(signal.SIGTERM)
        answer = client.read()
        assert (answer.status, answer.code) == (500, "instance_stopped")
        assert engine.wait() == 0
    assert all(gone(pid) for pid in pids)
    assert "the grace period is over" in engine.log


def test_who_still_waits_when_the_grace_period_is_over_is_answered(engines: Engines) -> None:
    """Their connections were once ended without a word."""
    metadata = {"eas": {"termination_grace_period": 1}}
    engine = engines({"keepalive": 600_000, "worker_threads": 1}, metadata=metadata)
    with engine.connect() as begun, engine.connect() as waiting, engine.connect() as uploading:
        begun.post("do=hang")
        eventually(lambda: engine.metric("eas_busy_threads") == 1, "begun")
        waiting.post()
        uploading.send(uploading.head(length=10) + b"01234")
        eventually(lambda: engine.metric("eas_in_flight") == 3, "all are in")
        engine.signal(signal.SIGTERM)
        assert begun.read().status == 500
        for client in (waiting, uploading):
            answer = client.read()
            assert (answer.status, answer.code, answer.closes) == (503, "draining", True)
            assert "has ended before" in answer.text
        assert engine.wait() == 0


def test_what_would_have_been_tried_again_is_answered_at_the_end(engines: Engines) -> None:
    metadata = {"eas": {"termination_grace_period": 2}}
    rpc: dict[str, object] = {"keepalive": 600_000, "worker_threads": 2, "retry_on_crash": True}
    engine = engines(rpc, metadata=metadata)
    with engine.connect() as first, engine.connect() as second:
        for client in (first, second):
            client.post("do=hang")
        eventually(lambda: engine.metric("eas_busy_threads") == 2, "begun")
        end_process(engine.host)
        eventually(lambda: engine.metric("eas_suspects") == 2, "suspects")
        engine.signal(signal.SIGTERM)
        codes = {client.read().code for client in (first, second)}
        assert codes <= {"instance_stopped", "instance_crashed"}
        assert engine.wait() == 0


def test_a_signal_while_it_loads_ends_it(engines: Engines) -> None:
    engine = engines(PATIENT, ready=False, environment={"FAULTS_AT_INITIALIZE": "do=hang"})
    eventually(lambda: engine.journal("initialize"), "it loads")

    assert engine.stop() == 0


def test_close_is_called_at_the_end(engines: Engines) -> None:
    engine = engines(PATIENT, environment={"FAULTS_AT_CLOSE": "do=echo"})

    assert engine.stop() == 0
    assert len(engine.journal("close")) == 1


def test_a_close_that_hangs_is_ended_with_the_grace_period(engines: Engines) -> None:
    metadata = {"eas": {"termination_grace_period": 1}}
    engine = engines(PATIENT, metadata=metadata, environment={"FAULTS_AT_CLOSE": "do=hang"})

    assert engine.stop() == 0
    assert len(engine.journal("close")) == 1


def test_large_answers_on_their_way_are_finished(engines: Engines) -> None:
    """A client that reads slowly when the end comes gets its last byte."""
    engine = engines(PATIENT)
    size = 32 << 20
    with engine.connect(receive_buffer=65536) as client:
        client.post(f"do=answer&size={size}&fill=b")
        engine.wait_metric("eas_requests_total", 1, status="200")
        engine.signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            engine.process.wait(3)  # as long as it is read, and the grace period isn't over, it stays
        assert client.read().body == b"b" * size
    assert engine.wait() == 0


# -- no beginning


def run(directory: Path, config: dict[str, Any], *flags: str) -> subprocess.CompletedProcess[str]:
    """An engine that is expected to end by itself."""
    path = directory / "service.json"
    path.write_text(json.dumps(config))
    command = [*COMMAND, "--config", str(path), "--state-dir", str(directory / "state"), *flags]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


def assert_clear(done: subprocess.CompletedProcess[str], status: int) -> None:
    """One message, no traceback of ours."""
    assert done.returncode == status, done.stderr
    assert "eas_engine/" not in done.stderr, "no trace of the engine's own code"
    assert done.stdout == ""


def test_2_for_a_wrong_parameter(tmp_path: Path) -> None:
    done = run(tmp_path, service("wrong", {"keepalive": "soon"}))

    assert_clear(done, 2)
    assert "keepalive" in done.stderr


def test_2_for_a_file_that_is_not_there(tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "--config", str(tmp_path / "none.json")], check=False, capture_output=True, text=True
    )

    assert_clear(done, 2)
    assert "none.json" in done.stderr


def test_2_for_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for flag in ("--port", "--admin-port"):
            done = run(tmp_path, service("taken"), flag, str(port))
            assert_clear(done, 2)
            assert str(port) in done.stderr


def test_2_for_a_second_engine_of_the_same_name(engines: Engines, tmp_path: Path) -> None:
    first = engines()
    done = run(tmp_path, service(first.name), "--state-dir", str(first.state_dir))

    assert_clear(done, 2)
    assert str(first.process.pid) in done.stderr
    assert first.ask(body=b"unharmed").body == b"unharmed"
    assert json.loads((first.state_dir / first.name / "engine.json").read_text())["pid"] == first.process.pid


def test_two_engines_with_names_of_their_own_share_a_state_directory(
    engines: Engines, tmp_path: Path
) -> None:
    first = engines(name="one")
    second = engines.raw(service("two"), state=first.state_dir)
    second.wait_ready()

    assert first.ask(body=b"1").body == b"1"
    assert second.ask(body=b"2").body == b"2"


@pytest.mark.parametrize("missing", ["processor_entry", "model_path"])
def test_3_for_what_is_not_there(tmp_path: Path, missing: str) -> None:
    done = run(tmp_path, {**service("missing"), missing: str(tmp_path / "absent.py")})

    assert_clear(done, 3)
    assert str(tmp_path / "absent.py") in done.stderr


@pytest.mark.parametrize("moment", ["IMPORT", "CONSTRUCT", "INITIALIZE"])
def test_4_at_once_for_a_processor_that_refuses(tmp_path: Path, moment: str) -> None:
    variables = {f"FAULTS_AT_{moment}": "do=fail&message=no+such+model"}
    done = run(tmp_path, service("refuses", journal=tmp_path / "journal", environment=variables))

    assert done.returncode == 4
    assert done.stdout == ""
    assert "failed to start" in done.stderr
    assert "ValueError: no such model" in done.stderr.split("failed to start")[1]
    assert len((tmp_path / "journal").read_text().splitlines()) == 1, "once"


def test_4_with_the_last_log_lines(tmp_path: Path) -> None:
    entry = tmp_path / "chatty.py"
    entry.write_text(
        "import eas_sdk\n"
        "class Chatty(eas_sdk.Processor):\n"
        "    def initialize(self, entry, config):\n"
        "        for number in range(200): print('line', number)\n"
        "        raise RuntimeError('that was all')\n"
        "    def process(self, request): return b''\n"
    )
    done = run(tmp_path, {**service("chatty"), "processor_entry": str(entry)})

    assert done.returncode == 4
    cause, told = done.stderr.split("its last log lines:")
    assert "RuntimeError: that was all (chatty.py, line 5)" in cause.splitlines()[-1]
    assert "line 199" in told
    assert "eas_engine/" not in done.stderr


@pytest.mark.parametrize(("action", "cause"), [("do=vanish&code=9", "exit 9"), ("do=segfault", "SIGSEGV")])
def test_4_after_three_tries_for_a_processor_that_dies_at_start(
    tmp_path: Path, action: str, cause: str
) -> None:
    variables = {"FAULTS_AT_INITIALIZE": action}
    done = run(tmp_path, service("dies", journal=tmp_path / "journal", environment=variables))

    assert done.returncode == 4
    assert "failed to start 3 times in a row" in done.stderr
    assert cause in done.stderr
    assert len((tmp_path / "journal").read_text().splitlines()) == 3


def test_4_for_an_entry_without_a_processor(tmp_path: Path) -> None:
    entry = tmp_path / "empty.py"
    entry.write_text("class Other: pass\n")
    done = run(tmp_path, {**service("empty"), "processor_entry": str(entry)})

    assert done.returncode == 4
    assert "no processor" in done.stderr
