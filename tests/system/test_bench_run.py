"""eas-bench run, as a user runs it: against the sink, against nobody, and with an engine that it starts."""

from __future__ import annotations

import json
import os
import pty
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from eas_bench import client, latency, record
from eas_bench.client.limit import sink
from eas_bench.served import running
from eas_bench.target import NotWanted, Wanted
from support import bench_command
from support.engine import eventually, gone

ECHO = Path(__file__).parents[2] / "benchmarks" / "processors" / "echo" / "service.json"
COMMAND = [*bench_command.COMMAND, "run"]
QUICK = ["--duration", "500ms", "--warm-up", "100ms", "--no-own-limit"]


@pytest.fixture
def small_sink() -> Iterator[str]:
    """The URL of a sink for requests of ``Wanted(url, bodies=(b"hello",))``."""
    with sink() as (port, size):
        url = f"http://127.0.0.1:{port}/"
        size(len(Wanted(url, bodies=(b"hello",)).requests(0)[0]))
        yield url


def a_load(**changes: Any) -> record.Load:
    usual = {"kind": "closed", "connections": 4, "duration": 0.5, "warm_up": 0.1, "timeout": 60}
    return record.Load.model_validate({**usual, **changes})


def bench(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return bench_command.bench("run", *arguments, **environment)


@pytest.mark.parametrize("processes", [1, 3])
def test_an_open_load_makes_every_request_of_its_schedule(small_sink: str, processes: int) -> None:
    seen: list[record.Interval] = []
    load = a_load(kind="open", rate=201, arrivals="constant", connections=60, duration=1, processes=processes)
    run = client.measure(Wanted(small_sink, bodies=(b"hello",)), load, on_interval=seen.append)
    assert run.tally.sent == run.good == 201
    assert (run.errors, run.tally.failures) == (0, {})
    assert sum(interval.tally.sent for interval in seen) == 201
    whole = latency.decoded(run.latency["all"])
    assert whole.get_total_count() == 201
    assert run.generator.cpu_seconds > 0


@pytest.mark.parametrize("processes", [1, 2])
def test_a_closed_load_counts_each_of_its_answers(small_sink: str, processes: int) -> None:
    run = client.measure(Wanted(small_sink, bodies=(b"hello",)), a_load(processes=processes))
    assert run.tally.sent == run.good > 0
    assert run.seconds == 0.5
    assert set(run.latency) == {"all", "200"}


def test_more_connections_than_a_process_may_have_are_refused(
    small_sink: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, 100))
    wanted = Wanted(small_sink, bodies=(b"hello",))
    with pytest.raises(client.NotMeasured, match=r"100 connections are more than 1 .* raise the limit"):
        client.measure(wanted, a_load(connections=100))
    assert client.measure(wanted, a_load(connections=100, processes=2)).good


def test_answers_are_checked_in_this_process(small_sink: str) -> None:
    wanted = Wanted(small_sink, bodies=(b"hello",))
    checked = client.measure(wanted, a_load(), checking=lambda body, answer: f"{body!r} became {answer!r}")
    assert checked.good == 0
    assert checked.tally.failures == {"wrong": checked.tally.sent}
    assert checked.notes[0] == "wrong: b'hello' became b'ok'"


def test_the_own_limit_is_a_figure_whatever_the_requests_are() -> None:
    assert client.own_limit(a_load(), b"x" * 600_000, seconds=0.3) > 0
    assert client.own_limit(a_load(processes=2), wanted=Wanted("http://h/a?b", bodies=(b"", b"1234"))) > 0


def test_grpc_calls_are_counted(tmp_path: Path) -> None:
    pytest.importorskip("grpc")
    with sink("/a.B/C") as (port, size):
        size(0)
        wanted = Wanted(f"http://127.0.0.1:{port}", bodies=(b"one", b"three"), grpc="/a.B/C", token="t")
        assert client.first_answer(wanted, 60) == []
        run = client.measure(
            wanted, a_load(kind="open", rate=50, arrivals="poisson", connections=9, duration=1)
        )
        assert run.tally.sent == run.good > 0
        assert run.asked.protocol == "grpc"
        closed = client.measure(wanted, a_load())
        assert closed.tally.sent == closed.good > 0
    refused = client.measure(wanted, a_load(connections=1))
    assert set(refused.tally.failures) <= {"refused", "timeout"}
    assert refused.good == 0


def test_grpc_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "grpc", None)
    with pytest.raises(NotWanted, match=r"pip install 'eas-engine\[grpc\]'"):
        client.measure(Wanted("http://127.0.0.1:1", grpc="/a.B/C"), a_load())


# --- the command ----------------------------------------------------------------------------------------


def test_an_engine_is_started_asked_with_its_token_and_stopped(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    done = bench("--config", str(ECHO), "--text", "hello", "-c", "2", *QUICK, "--sign", "--json", str(file))
    assert done.returncode == 0, done.stderr
    run = record.read(file)
    assert set(run.tally.statuses) == {"200"}
    assert run.asked.authentication == "signature"
    assert run.readings
    assert run.readings[-1].processes
    assert "closed loop" in done.stdout


def test_a_running_engine_is_asked_and_the_token_shows_nowhere(tmp_path: Path) -> None:
    with running(ECHO) as served:
        token_file = tmp_path / "token"
        token_file.write_text(served.token)
        common = [served.url, "--rows", "4x4:float32:raw", "--rate", "50", *QUICK, "--json", "-"]
        by_file = bench(*common, "--token-file", str(token_file), EAS_TOKEN="")
        by_environment = bench(*common, EAS_TOKEN=served.token)
        without = bench(*common, EAS_TOKEN="")
        for done in (by_file, by_environment):
            run = record.Run.model_validate_json(done.stdout)
            assert set(run.tally.statuses) == {"200"}, done.stderr
            assert run.asked.body_bytes == [64]
            assert served.token not in done.stdout + done.stderr
        assert without.returncode in {1, 2}  # 2: the machine was too busy for an open load
        run = record.Run.model_validate_json(without.stdout)
        assert set(run.tally.statuses) == {"401"}
        assert any("EAS_TOKEN" in note for note in run.notes)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(served.url.split(":")[2].split("/")[0])), timeout=60)


def test_another_engines_record_among_the_processors_files_is_not_taken_for_its_own(tmp_path: Path) -> None:
    """It once measured whatever engine had its state below the processor's directory."""
    service = json.loads(ECHO.read_text()) | {"processor_path": "."}
    for file in ECHO.parent.glob("*.py"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "service.json").write_text(json.dumps(service))
    with running(ECHO) as other:
        told = {"url": other.url, "admin_url": other.admin_url, "pid": other.pid}
        (tmp_path / "state" / "echo").mkdir(parents=True)
        (tmp_path / "state" / "echo" / "engine.json").write_text(json.dumps(told))
        with running(tmp_path / "service.json") as served:
            assert served.pid != other.pid
            assert served.url != other.url


def test_an_engine_that_doesnt_start_is_told_with_its_own_words(tmp_path: Path) -> None:
    config = tmp_path / "service.json"
    config.write_text(
        json.dumps({"name": "x", "processor_path": "/nowhere/at/all", "processor_entry": "a.py"})
    )
    done = bench("--config", str(config), *QUICK)
    assert done.returncode == 2
    assert "ended" in done.stderr
    assert "processor" in done.stderr
    assert bench("--config", str(tmp_path / "none.json"), *QUICK).returncode == 2


@pytest.mark.parametrize(("slo", "status", "word"), [("p99=50s", 0, "met"), ("p99=1us", 1, "missed")])
def test_an_objective_decides_and_a_page_is_written(
    small_sink: str, tmp_path: Path, slo: str, status: int, word: str
) -> None:
    page, file = tmp_path / "run.html", tmp_path / "run.json"
    files = ["--report", str(page), "--json", str(file)]
    done = bench(small_sink, "--text", "hello", "-c", "1", *QUICK, "--slo", f"{slo},errors=0%", *files)
    assert done.returncode == status, done.stdout + done.stderr
    told = [line.split() for line in done.stdout.splitlines() if line.startswith(("met", "missed"))]
    assert [words[:2] for words in told] == [[word, "p99"], ["met", "errors"]]
    assert page.read_text().lower().startswith("<!doctype html>")
    assert record.read(file).good > 0


def test_with_json_on_stdout_the_rest_is_on_stderr(small_sink: str, tmp_path: Path) -> None:
    page = tmp_path / "run.html"
    arguments = [
        "--text",
        "hello",
        "-c",
        "1",
        *QUICK,
        "--slo",
        "p99=1us",
        "--report",
        str(page),
        "--json",
        "-",
    ]
    done = bench(small_sink, *arguments)
    assert done.returncode == 1
    assert record.Run.model_validate_json(done.stdout).good > 0
    assert "missed  p99" in done.stderr
    assert page.exists()


def test_a_page_that_can_t_be_written_costs_no_record(small_sink: str, tmp_path: Path) -> None:
    """A full disk can't be seen before."""
    file = tmp_path / "run.json"
    arguments = ["--text", "hello", "-c", "1", *QUICK, "--report", "/dev/full", "--json", str(file)]
    done = bench(small_sink, *arguments)
    assert done.returncode == 2
    assert "/dev/full: can't be written: No space left on device" in done.stderr
    assert record.read(file).good > 0


@pytest.mark.parametrize("option", ["--json", "--report"])
def test_a_place_that_takes_no_file_is_told_before_anybody_is_asked(option: str, tmp_path: Path) -> None:
    other = {"--json": "--report", "--report": "--json"}[option]
    done = bench("http://127.0.0.1:1/", other, str(tmp_path / "other"), option, "/proc/run")
    assert done.returncode == 2
    assert "/proc/run: can't be written: no file can be made there" in done.stderr
    assert "nobody listens" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(params=[["--no-own-limit"], []], ids=["warming up", "measuring its own limit"])
def unfinished(
    request: pytest.FixtureRequest, small_sink: str, tmp_path: Path
) -> Iterator[subprocess.Popen[str]]:
    """A run in its warm-up, or before it, whose record would be ``run.json``."""
    file = str(tmp_path / "run.json")
    usual = ["--text", "hello", "-c", "1", "--warm-up", "1h", "--json", file]
    command = [*COMMAND, small_sink, *usual, *request.param]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    await_child(process)
    yield process
    process.kill()
    process.communicate()


def test_ctrl_c_before_the_measured_part_ends_the_command(
    unfinished: subprocess.Popen[str], tmp_path: Path
) -> None:
    """Neither is the generator's own limit cut short, nor is there a record of nothing."""
    unfinished.send_signal(signal.SIGINT)
    _, errors = unfinished.communicate(timeout=100)
    assert unfinished.returncode == 130, errors
    assert not (tmp_path / "run.json").exists()


def test_nothing_that_it_started_outlives_a_killed_command(unfinished: subprocess.Popen[str]) -> None:
    command = psutil.Process(unfinished.pid)

    def connected() -> list[psutil.Process]:
        children: list[psutil.Process] = command.children(recursive=True)
        return children if any("ESTABLISHED" in connections(child) for child in children) else []

    children = eventually(connected, "it makes requests")
    unfinished.kill()
    for child in children:
        eventually(lambda child=child: gone(child.pid), "it has noticed")  # type: ignore[misc]


def connections(process: psutil.Process) -> list[str]:
    try:
        return [one.status for one in process.net_connections()]
    except psutil.NoSuchProcess:
        return []


def await_child(process: subprocess.Popen[str]) -> None:
    """Until a generator process says nothing more to import: it reads its orders."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while not children.read_text().split():
        assert process.poll() is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_a_run_early_with_what_there_is(
    small_sink: str, tmp_path: Path, number: signal.Signals
) -> None:
    file = tmp_path / "run.json"
    command = [
        *COMMAND,
        small_sink,
        "--text",
        "hello",
        "-c",
        "1",
        "-d",
        "1h",
        "--no-own-limit",
        "--json",
        str(file),
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert "200" in process.stderr.readline()  # a second is over
    process.send_signal(number)
    _, errors = process.communicate(timeout=100)
    run = record.read(file)
    assert "stopped after" in run.notes[0], errors
    assert run.tally.sent == run.good > 0
    assert run.seconds < 3600


def test_the_end_of_the_terminal_costs_no_record(small_sink: str, tmp_path: Path) -> None:
    """Nobody is there to be told any more, and what is written to a terminal that has gone is an error."""
    file = tmp_path / "run.json"
    arguments = [small_sink, "--text", "hello", "-c", "1", "-d", "1h", "--no-own-limit", "--json", str(file)]
    pid, terminal = pty.fork()
    if not pid:
        os.execv(COMMAND[0], [*COMMAND, *arguments])
    seen = b""
    while b"200: " not in seen:
        seen += os.read(terminal, 1 << 16)
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert record.read(file).notes[0].startswith("stopped after")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "one of the two"),
        (["http://127.0.0.1:1/"], "nobody listens"),
        (["http://h/", "--rate", "1", "-c", "1"], "exclude each other"),
        (["http://h/", "-c", "1", "--arrivals", "poisson"], "open loop"),
        (["http://h/", "-c", "1", "--processes", "2"], "each process"),
        (["http://h/", "--burst", "3"], "--arrivals bursts"),
        (["http://h/", "-d", "0s"], "more than nothing"),
        (["http://h/", "-d", "1y"], "no duration"),
        (["http://h/", "-H", "nonsense"], "Name: value"),
        (["http://h/", "--rows", "x"], "SHAPE:TYPE"),
        (["http://h/", "--sign"], "--token"),
        (["http://h/", "--body", "/nowhere"], "can't be read"),
        (["http://h/", "--token-file", "/nowhere"], "can't be read"),
        (["http://h/", "--json", "/nowhere/a.json"], "there is no folder /nowhere"),
        (["http://h/", "--report", "/tmp"], "it is a folder"),
        (["http://h/", "--report", "-"], "a page for a browser"),
        (["http://h/", "--report", "a", "--json", "a"], "name another file"),
        (["http://h/", "--slo", "p99=soon"], "is no term of an objective"),
        (["http://h/", "--rate", "nan"], "expected a number"),
        (["http://h/", "--rate", "1e9"], "1,000,000 at most"),
        (["http://h/", "--metrics", "ftp://h"], "admin plane"),
        (["http://h/", "-d", "99999999h"], "longer than a year"),
        (["http://h/", "--token", "a\nb"], "end of a line"),
        (["http://h/", "--method", "GE T"], "no method of HTTP"),
        (["http://u:p@h/"], "user name"),
        (["http://h/\u00e9"], "%XX"),
        (["http://h/", "--grpc", "Method"], "/package.Service/Method"),
    ],
)
def test_bad_usage_is_told_with_what_to_do(arguments: list[str], says: str) -> None:
    done = bench(*arguments, EAS_TOKEN="")
    assert done.returncode == 2
    assert says in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.stderr


def test_a_server_that_speaks_something_else_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            connection, _ = listener.accept()
            connection.sendall(b"SSH-2.0-Nothing\r\n")
            connection.close()

        thread = threading.Thread(target=greet)
        thread.start()
        done = bench(f"http://127.0.0.1:{listener.getsockname()[1]}/", *QUICK)
        thread.join()
    assert done.returncode == 2
    assert "doesn't speak HTTP" in done.stderr
