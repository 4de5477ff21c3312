"""Engines where the driver is scripted: who gets which card, what is told of it, and who has too much."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.card_machine import GIB, CardMachine
from support.engine import TOKEN, Engine, eventually
from support.engines import Engines

PROCESSOR = """
import json, os
import eas_sdk

WORDS = ("CUDA", "EAS_GPU", "PATH", "LD_LIBRARY")


class Processor(eas_sdk.Processor):
    def process(self, request):
        return json.dumps({k: v for k, v in os.environ.items() if k.startswith(WORDS)}).encode()
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CardMachine:
    return CardMachine(tmp_path, monkeypatch)


@pytest.fixture
def directory() -> Iterator[Path]:
    """Short: MPS has sockets in the state directory."""
    with tempfile.TemporaryDirectory(prefix="gpu") as path:
        yield Path(path)


@pytest.fixture
def engines(directory: Path) -> Iterator[Engines]:
    (directory / "app.py").write_text(PROCESSOR)
    made = Engines(directory)
    yield made
    made.end()


def serve(engines: Engines, directory: Path, name: str = "demo", **metadata: Any) -> Engine:
    config = {
        "name": name,
        "token": TOKEN,
        "processor_type": "python",
        "processor_entry": str(directory / "app.py"),
        "processor_envs": [{"name": "CUDA_VISIBLE_DEVICES", "value": "0,1,2"}],
        "metadata": {"rpc": {"keepalive": 100_000}, **metadata},
    }
    engine = engines.raw(config, state=directory / "state")
    engine.wait_ready()
    return engine


def seen(engine: Engine) -> dict[str, str]:
    answer = engine.ask(body=b"see")
    assert answer.status == 200, answer
    found: dict[str, str] = json.loads(answer.body)
    return found


def ready(engine: Engine) -> list[dict[str, Any]]:
    return [one for one in engine.status()["instances"] if one["state"] == "READY"]


def test_whole_cards_and_who_waits_for_one(machine: CardMachine, engines: Engines, directory: Path) -> None:
    whole = serve(engines, directory, "whole", gpu=1)
    assert seen(whole)["CUDA_VISIBLE_DEVICES"] == "GPU-0"
    assert whole.instance()["limits"]["gpu"] == "CUDA_VISIBLE_DEVICES"
    none = serve(engines, directory, "none")
    assert seen(none)["CUDA_VISIBLE_DEVICES"] == "", "whatever processor_envs say"
    both = serve(engines, directory, "both", instance=2, gpu=1)
    words = "needs 1 GPU; this machine: 2, of which whole-0 has 1, both-0 has 1"
    eventually(lambda: words in both.status()["instances"][1]["reason"], "one of them waits")
    assert whole.stop() == 0
    eventually(lambda: len(ready(both)) == 2, "the card of the one that left is taken")


def test_a_share_is_enforced_and_told(machine: CardMachine, engines: Engines, directory: Path) -> None:
    engine = serve(engines, directory, gpu_memory=2, gpu_core_percentage=30)
    told = seen(engine)
    assert told["CUDA_VISIBLE_DEVICES"] == "GPU-0"
    assert told["EAS_GPU_MEMORY_BYTES"] == str(2 * GIB)
    assert told["CUDA_MPS_ACTIVE_THREAD_PERCENTAGE"] == "30"
    assert told["CUDA_MPS_PINNED_DEVICE_MEM_LIMIT"] == "0=2048M"
    assert told["CUDA_MPS_PIPE_DIRECTORY"].startswith(str(directory / "state" / ".mps"))
    limits = engine.instance()["limits"]
    assert limits["gpu_core_percentage"] == "MPS"
    assert limits["gpu_memory"].startswith("MPS and watchdog")
    assert machine.mps.said == ["start GPU-0"]
    assert engine.stop() == 0
    assert machine.mps.said == ["start GPU-0", "quit -t 5 GPU-0"]


def test_who_has_more_than_its_share_ends_with_both_figures(
    machine: CardMachine, engines: Engines, directory: Path
) -> None:
    engine = serve(engines, directory, gpu_memory=2)
    (pid,) = engine.instance()["pids"]
    machine.use(0, {pid: 2 * GIB})
    eventually(lambda: engine.instance()["limits"]["gpu_memory"] == "watchdog", "it was seen on the card")
    machine.use(0, {pid: 3 * GIB})
    crash = eventually(lambda: engine.instance()["last_crash"], "it was ended")
    assert crash["kind"] == "gpu_memory"
    assert "GPUMemoryExceeded: 3072 MB used, 2048 MB allowed" in crash["cause"]
    eventually(lambda: ready(engine) and engine.instance()["pids"] != [pid], "another one came")


def test_large_bodies_lie_where_a_card_can_read_them_also_when_it_came_with_an_update(
    machine: CardMachine, engines: Engines, directory: Path
) -> None:
    pytest.importorskip("onnxruntime")
    from support import onnx_models as models

    model = str(models.perceptron(directory / "model.onnx"))

    def file(code: str, **metadata: Any) -> dict[str, Any]:
        service = {"name": "demo", "token": TOKEN, "processor": code, "model_path": model}
        return {**service, "metadata": {"rpc": {"keepalive": 100_000}, **metadata}}

    engine = engines.raw(file("onnx_cpu"), state=directory / "state")
    engine.wait_ready()
    assert engine.ask(body=b"x" * 100_000).status == 400
    assert arena_bytes(engine) == 0, "they travel in frames"
    update = directory / "next.json"
    update.write_text(json.dumps(file("onnx_gpu", gpu=1)))
    command = [
        sys.executable,
        "-m",
        "eas_engine",
        "update",
        str(update),
        "--state-dir",
        str(engine.state_dir),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + engine.log
    assert engine.ask(body=b"x" * 100_000).status == 400
    assert arena_bytes(engine) >= 100_000


def arena_bytes(engine: Engine) -> int:
    """What the arena of requests has in memory."""
    files = Path(f"/proc/{engine.process.pid}/fd").iterdir()
    return max(one.stat().st_blocks for one in files if "eas-requests" in str(one.readlink())) * 512


def test_the_instance_of_a_lost_card_goes_to_another_and_then_waits_for_one(
    machine: CardMachine, engines: Engines, directory: Path
) -> None:
    engine = serve(engines, directory, gpu=1)
    assert seen(engine)["CUDA_VISIBLE_DEVICES"] == "GPU-0"

    first = engine.host
    machine.lose(0)
    eventually(lambda: ready(engine) and engine.instance()["pids"] not in ([], [first]), "it has moved")
    assert seen(engine)["CUDA_VISIBLE_DEVICES"] == "GPU-1"

    machine.lose(1)
    eventually(lambda: "needs 1 GPU" in json.dumps(engine.status()["instances"]), "it waits")
    assert ready(engine) == []

    machine.lose(0, lost=False)
    eventually(lambda: ready(engine), "the card is back, and used")
    assert seen(engine)["CUDA_VISIBLE_DEVICES"] == "GPU-0"
