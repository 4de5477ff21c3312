"""eas-bench sweep, soak and chaos as a user runs them, on real servers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from eas_bench.record import Run
from support.bench_command import COMMAND, bench

PROCESSORS = Path(__file__).parents[2] / "benchmarks" / "processors"
ECHO = PROCESSORS / "echo" / "service.json"
QUICK = ["--duration", "300ms", "--warm-up", "0"]

LEAKY = """
import http.server

kept = []


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        kept.append((open("/dev/null"), b"x" * 200_000))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""


@pytest.fixture
def leaky() -> Iterator[tuple[int, int]]:
    """Port and pid of a server that keeps 200 kB and a descriptor of every request."""
    process = subprocess.Popen([sys.executable, "-c", LEAKY], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield int(process.stdout.readline()), process.pid
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_sweep_finds_that_an_engine_holds_what_is_asked_at_most(tmp_path: Path) -> None:
    """An objective that any machine meets: so the ceiling is the answer."""
    written, page = tmp_path / "sweep.json", tmp_path / "sweep.html"
    told = bench(
        *("sweep", "--config", str(ECHO), "--text", "hello", "--slo", "p50=60s,errors=0%", *QUICK),
        *("--timeout", "60s", "--from", "20", "--to", "30", "--json", str(written), "--report", str(page)),
    )
    assert told.returncode == 0, told.stdout + told.stderr
    assert "30/s meets p50=60s,errors=0%" in told.stdout
    document = json.loads(written.read_text())
    assert (document["rate"], document["end"]) == (30, "ceiling")
    assert [trial["rate"] for trial in document["trials"]] == [20, 30, 30]
    runs = [Run.model_validate(run) for run in document["runs"]]
    assert all(run.good > 0 and run.readings for run in runs)
    assert page.read_text().lower().startswith("<!doctype html>")


def test_an_objective_that_nothing_meets_is_1(leaky: tuple[int, int]) -> None:
    told = bench(
        *("sweep", f"http://127.0.0.1:{leaky[0]}/", "--text", "hello", "--slo", "max=1us", *QUICK),
        *("--from", "1", "--json", "-"),
    )
    document = json.loads(told.stdout)
    assert document["rate"] is None
    assert document["end"] in {"nothing", "generator"}, "the second on a machine that is busy"
    assert told.returncode == (1 if document["end"] == "nothing" else 2)


def test_a_soak_sees_a_server_grow(leaky: tuple[int, int], tmp_path: Path) -> None:
    port, pid = leaky
    written, page = tmp_path / "soak.json", tmp_path / "soak.html"
    told = bench(
        *("soak", f"http://127.0.0.1:{port}/", "--pid", str(pid), "--text", "hello", "--rate", "40"),
        *("--hours", "0.003", "--json", str(written), "--report", str(page)),
    )
    assert told.returncode == 1, told.stdout + told.stderr
    document = json.loads(written.read_text())
    grew = {growth["figure"] for growth in document["growths"] if growth["grew"]}
    assert {"memory", "descriptors"} <= grew
    assert "an hour; 16 is allowed" in told.stdout
    assert page.exists()


def test_a_soak_of_a_healthy_engine_finds_nothing() -> None:
    """In seconds: a few connections more, on a busy machine, would be thousands of descriptors an hour."""
    generous = ("--memory", "1e5", "--descriptors", "1e6", "--threads", "1e6")
    told = bench("soak", "--config", str(ECHO), "--text", "hello", "--hours", "0.003", *generous)
    assert told.returncode == 0, told.stdout + told.stderr
    assert "is drawn from" in told.stdout
    assert "echo-0" in told.stdout
    assert "nothing happened that must not" in told.stdout


def test_the_life_of_a_service_in_three_deeds(tmp_path: Path) -> None:
    written = tmp_path / "life.json"
    told = bench(
        *("soak", "--hours", "0.02", "--most", "3", "--only", "kill,scale,settings", "--clients", "2"),
        *("--json", str(written)),
    )
    assert told.returncode == 0, told.stdout + told.stderr
    document = json.loads(written.read_text())
    assert sum(document["deeds"].values()) == 3
    assert document["answers"]["200"] > 0
    assert "No such process" not in told.stderr


def test_chaos_tells_and_writes_what_happened(tmp_path: Path) -> None:
    written = tmp_path / "chaos.json"
    told = bench(
        *("chaos", "--only", "clients", "--minutes", "0.15", "--instances", "2", "--clients", "4"),
        *("--rogues", "8", "--json", str(written)),
    )
    (run,) = json.loads(written.read_text())["runs"]
    assert run["answers"]["200"] == run["requests"] > 0
    assert run["misdeeds"]["bad input"] == sum(run["refusals"].values())
    # So short a run may not get round to every deed on a slow machine; nothing else may be wrong.
    assert run["faults"] == []
    assert all(one.startswith("never done") for one in run["not_shown"])
    assert told.returncode == (3 if run["not_shown"] else 0)


def test_an_engine_that_doesn_t_start_is_2_with_words() -> None:
    told = bench("chaos", "--only", "kills", "--engine", f"{sys.executable} -c exit(3)")
    assert told.returncode == 2
    assert "the engine exited with 3" in told.stderr


def test_sigterm_leaves_no_engine_behind(tmp_path: Path) -> None:
    written = tmp_path / "chaos.json"
    command = [
        *(*COMMAND, "chaos", "--only", "clients", "--minutes", "5", "--instances", "1"),
        *("--json", str(written)),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    assert "clients that behave badly" in process.stdout.readline()
    while not (hosts := [host for engine in children(process.pid) for host in children(engine)]):
        assert process.poll() is None
    engines = children(process.pid)
    process.send_signal(signal.SIGTERM)
    assert process.wait(100) == 128 + signal.SIGTERM
    process.stdout.close()
    assert not [pid for pid in engines + hosts if Path(f"/proc/{pid}").exists()]
    assert json.loads(written.read_text())["stopped"] is True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_sweep_that_is_ended_keeps_the_runs_that_were_over(
    leaky: tuple[int, int], tmp_path: Path, number: signal.Signals
) -> None:
    written, page = tmp_path / "sweep.json", tmp_path / "sweep.html"
    process = begun(
        *(
            "sweep",
            f"http://127.0.0.1:{leaky[0]}/",
            "--text",
            "hello",
            "--slo",
            "p50=60s,errors=100%",
            *QUICK,
        ),
        *("--timeout", "60s", "--from", "1", "--json", str(written), "--report", str(page)),
    )
    assert process.stdout is not None
    while not (line := process.stdout.readline()).startswith("met"):
        assert line, "it ended by itself"
    ended(process, number, 128 + number)
    document = json.loads(written.read_text())
    assert document["end"] == "stopped"
    assert [Run.model_validate(run).good > 0 for run in document["runs"]] == [True] * len(document["trials"])
    assert document["trials"]
    assert "it was stopped before it was over" in page.read_text()


def test_a_sweep_that_is_ended_in_its_first_run_has_no_page(leaky: tuple[int, int], tmp_path: Path) -> None:
    written, page = tmp_path / "sweep.json", tmp_path / "sweep.html"
    process = begun(
        *("sweep", f"http://127.0.0.1:{leaky[0]}/", "--text", "hello", "--slo", "p50=60s", "--warm-up", "1h"),
        *("--json", str(written), "--report", str(page)),
    )
    assert process.stdout is not None
    while "the generator itself can do" not in (line := process.stdout.readline()):
        assert line, "it ended by itself"
    while not children(process.pid):
        assert process.poll() is None
    ended(process, signal.SIGTERM, 143)
    assert json.loads(written.read_text())["trials"] == []
    assert not page.exists()


def test_a_soak_that_is_ended_keeps_what_it_saw(leaky: tuple[int, int], tmp_path: Path) -> None:
    """And doesn't say that hours were well of which it saw seconds."""
    port, pid = leaky
    written, page = tmp_path / "soak.json", tmp_path / "soak.html"
    process = begun(
        *("soak", f"http://127.0.0.1:{port}/", "--pid", str(pid), "--text", "hello", "--rate", "5"),
        *("--memory", "1e9", "--descriptors", "1e9", "--json", str(written), "--report", str(page)),
    )
    assert process.stdout is not None
    while "200: " not in (line := process.stdout.readline()):
        assert line, "it ended by itself"
    ended(process, signal.SIGTERM, 143)
    document = json.loads(written.read_text())
    assert document["stopped"] is True
    assert document["run"]["notes"][0].startswith("stopped after")
    assert page.exists()


def begun(*arguments: str) -> subprocess.Popen[str]:
    """A command whose stdout has everything that it says."""
    return subprocess.Popen(
        [*COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    )


def ended(process: subprocess.Popen[str], number: signal.Signals, status: int) -> None:
    process.send_signal(number)
    said, _ = process.communicate(timeout=100)
    assert process.returncode == status, said


def children(pid: int) -> list[int]:
    """Of a process; none when it has ended."""
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []
