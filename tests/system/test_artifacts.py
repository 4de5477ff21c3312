"""Engines whose model and processor lie elsewhere: by HTTP, in OSS, in archives; broken, killed, offline."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.archives import Entry, tar_gz
from support.engine import TOKEN, Engine, eventually
from support.engines import Engines
from support.oss_server import Fault, OssServer

PROCESSOR = b"""
import os
import allspark

class Reader(allspark.BaseProcessor):
    def initialize(self):
        self.model = os.environ["MODEL"]

    def process(self, data):
        with open(os.path.join("..", "..", "model", data.decode()), "rb") as file:
            return file.read(), 200

if __name__ == "__main__":
    Reader(worker_threads=1).run()
"""
LARGE = bytes(number % 251 for number in range(4_000_000))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[OssServer]:
    """A store with a processor and a model; engines find its credentials in their environment."""
    with OssServer() as made:
        made.plain["processor.tar.gz"] = tar_gz([Entry("app.py", PROCESSOR)])
        made.objects = {"m/small": b"of OSS", "m/deep/large": LARGE}
        for name, value in made.environ().items():
            monkeypatch.setenv(name, value)
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HOME", str(tmp_path))
        yield made


def service(server: OssServer, name: str = "remote", **given: Any) -> dict[str, Any]:
    return {
        "name": name,
        "token": TOKEN,
        "processor_type": "python",
        "processor_path": server.url("processor.tar.gz"),
        "processor_entry": "app.py",
        "processor_envs": [{"name": "MODEL", "value": "x"}],
        "model_path": "oss://bucket/m/",
        "oss_endpoint": server.endpoint,
        **given,
    }


def cache(state: Path, *arguments: str) -> Any:
    command = [sys.executable, "-m", "eas_engine", "cache", *arguments, "--json", "--state-dir", str(state)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def downloads(server: OssServer) -> int:
    """Bytes of content that were sent."""
    return sum(one.bytes for one in server.requests if "list-type" not in one.query)


def test_a_service_from_elsewhere_and_its_second_start(engines: Engines, server: OssServer) -> None:
    engine = engines.raw(service(server))
    engine.wait_ready()
    assert engine.ask(body=b"small").body == b"of OSS"
    assert engine.ask(body=b"deep/large").body == LARGE
    assert "fetched" in engine.log
    assert engine.stop() == 0
    sent = downloads(server)
    again = engines.again(engine)
    assert again.ask(body=b"small").body == b"of OSS"
    assert downloads(server) == sent
    assert again.stop() == 0
    server.stop()
    offline = engines.again(engine)
    assert offline.ask(body=b"small").body == b"of OSS"
    assert "the copy in the cache is used" in offline.log


def test_a_model_as_a_plain_file_and_a_log_in_json(engines: Engines, server: OssServer) -> None:
    server.plain["weights.bin"] = b"weights"
    config = service(server, model_path=server.url("weights.bin"))
    engine = engines.raw(config, "--log-format", "json")
    engine.wait_ready()
    assert engine.ask(body=b"weights.bin").body == b"weights"
    lines = [json.loads(line) for line in engine.log.splitlines() if line.startswith("{")]
    fetched = [line for line in lines if line["event"] == "fetched"]
    assert [line["parameter"] for line in fetched] == ["processor_path", "model_path"]
    assert fetched[1]["bytes"] == 7


def test_faults_on_the_way_cost_nothing(engines: Engines, server: OssServer) -> None:
    server.faults = [
        Fault(on="processor", status=503, headers={"Retry-After": "0"}),
        Fault(on="large", cut=1_000_000),
        Fault(on="large", headers={"x-oss-hash-crc64ecma": "7"}),
    ]
    engine = engines.raw(service(server))
    engine.wait_ready()
    assert engine.ask(body=b"deep/large").body == LARGE
    assert engine.log.count("fetching failed, trying again") == 2


@pytest.mark.parametrize(
    ("given", "status", "words"),
    [
        ({"model_path": "oss://bucket/n/"}, 3, "in oss://bucket/ there is: m/"),
        ({"model_path": "oss://bucket/m/", "model_entry": "none"}, 3, "there is: deep/, small"),
        ({"model_path": "http://127.0.0.1:1/x.zip"}, 3, "Connection refused"),
        ({"processor_entry": "main.py"}, 3, "there is: app.py"),
        ({"model_path": "oss://bucket/m/", "oss_endpoint": "ftp://x"}, 2, "oss_endpoint"),
        ({"model_path": f"oss://bucket/m/small#sha256={'0' * 64}"}, 3, "the address says 0000"),
        ({"model_path": "htp://bucket/x"}, 2, "did you mean http?"),
    ],
)
def test_what_can_not_be_had_ends_the_start(
    engines: Engines, server: OssServer, given: dict[str, Any], status: int, words: str
) -> None:
    engine = engines.raw(service(server, **given))
    assert engine.wait() == status
    assert words in engine.log
    assert "Traceback" not in engine.log


def held(server: OssServer) -> threading.Event:
    """The large object stops after a million bytes, until the event is set."""
    hold = threading.Event()
    server.faults = [Fault(on="large", hold=hold, hold_after=1_000_000)]
    return hold


def sizes(folder: Path) -> list[int]:
    """Of all files in it that are still there when looked at: what is finished moves away meanwhile."""
    found = []
    for where, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                found.append((Path(where) / name).stat().st_size)
    return found


def wait_for_the_middle(engine: Engine, server: OssServer) -> None:
    def arrived() -> bool:
        assert engine.process.poll() is None, engine.log
        return 1_000_000 in sizes(engine.state_dir / "cache" / "scratch")

    eventually(arrived, "a million bytes have come")


def test_killed_in_the_middle_the_next_start_goes_on(engines: Engines, server: OssServer) -> None:
    hold = held(server)
    engine = engines.raw(service(server))
    wait_for_the_middle(engine, server)
    engine.kill()
    hold.set()
    again = engines.again(engine)
    assert again.ask(body=b"deep/large").body == LARGE
    rest = [one for one in server.requests if "large" in one.path][-1]
    assert (rest.status, rest.bytes) == ([206], len(LARGE) - 1_000_000)
    assert cache(engine.state_dir, "ls")["unfinished"] == []


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_download_at_once(
    engines: Engines, server: OssServer, number: signal.Signals, status: int
) -> None:
    hold = held(server)
    engine = engines.raw(service(server))
    wait_for_the_middle(engine, server)
    engine.signal(number)
    assert engine.wait() == status
    hold.set()
    assert f"stopped by {number.name} while the artifacts were being fetched" in engine.log
    assert "Traceback" not in engine.log
    again = engines.again(engine)
    assert again.ask(body=b"deep/large").body == LARGE


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_ended_while_unpacking_the_next_start_fetches_nothing_again(
    engines: Engines, server: OssServer, number: signal.Signals
) -> None:
    server.plain["m.tgz"] = tar_gz(Entry(f"{one % 50}/{one}", b"of an archive") for one in range(10_000))
    engine = engines.raw(service(server, model_path=server.url("m.tgz")))
    scratch = engine.state_dir / "cache" / "scratch"
    eventually(lambda: any(scratch.glob("*.unpacked/*/*")), "it is being unpacked")
    engine.signal(number)
    assert engine.wait() == (143 if number == signal.SIGTERM else -number)
    assert [path.suffix for path in sorted(scratch.glob("*.part*"))] == [".part", ".json"]
    again = engines.again(engine)
    assert again.ask(body=b"7/7").body == b"of an archive"
    assert [one.status for one in server.asked("m.tgz")] == [[200], [304]]
    assert cache(engine.state_dir, "ls")["unfinished"] == []


def test_two_engines_fetch_the_same_thing_once(engines: Engines, server: OssServer) -> None:
    hold = held(server)
    first = engines.raw(service(server, "first"))
    wait_for_the_middle(first, server)
    second = engines.raw(service(server, "second"), state=first.state_dir)
    eventually(lambda: "waiting: another engine is fetching it" in second.log, "the second waits")
    assert f"pid={first.process.pid}" in second.log
    hold.set()
    for engine in (first, second):
        engine.wait_ready()
        assert engine.ask(body=b"deep/large").body == LARGE
    assert [len([one for one in server.requests if part in one.path]) for part in ("large", "small")] == [
        1,
        1,
    ]


def test_the_second_takes_over_when_the_first_is_killed(engines: Engines, server: OssServer) -> None:
    hold = held(server)
    first = engines.raw(service(server, "first"))
    wait_for_the_middle(first, server)
    second = engines.raw(service(server, "second"), state=first.state_dir)
    eventually(lambda: "waiting: another engine is fetching it" in second.log, "the second waits")
    first.kill()
    second.wait_ready()
    hold.set()
    assert second.ask(body=b"deep/large").body == LARGE


def test_pruning_spares_what_is_in_use(engines: Engines, server: OssServer) -> None:
    engine = engines.raw(service(server))
    engine.wait_ready()
    found = cache(engine.state_dir, "ls")
    assert [one["in_use"] for one in found["entries"]] == [True, True]
    assert {one["addresses"][0] for one in found["entries"]} == {
        "oss://bucket/m/",
        server.url("processor.tar.gz"),
    }
    assert cache(engine.state_dir, "prune", "--all") == {"freed_bytes": 0, "deleted": [], "in_use": 2}
    assert engine.ask(body=b"small").body == b"of OSS"
    assert engine.stop() == 0
    gone = cache(engine.state_dir, "prune", "--all")
    assert len(gone["deleted"]) == 2
    assert cache(engine.state_dir, "ls")["entries"] == []
    again = engines.again(engine)
    assert again.ask(body=b"small").body == b"of OSS"


def test_a_cache_that_is_too_small_keeps_what_is_needed(engines: Engines, server: OssServer) -> None:
    engine = engines.raw(service(server), "--cache-size", "1000")
    engine.wait_ready()
    assert len(cache(engine.state_dir, "ls")["entries"]) == 2
    assert engine.stop() == 0
    server.objects = {"n/small": b"other"}
    other = engines.raw(
        service(server, model_path="oss://bucket/n/"), "--cache-size", "1000", state=engine.state_dir
    )
    other.wait_ready()
    found = [one["addresses"] for one in cache(engine.state_dir, "ls")["entries"]]
    assert ["oss://bucket/m/"] not in found
