"""An engine on a machine with cards (of a scripted driver): its metrics, its events, the doctor's page."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from eas_engine.devices import has_driver
from support.engine import Engine, eventually
from support.nvml import Slice, card
from support.nvml_file import CardsFile


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CardsFile:
    """Two cards; all processes that are started from now on see them."""
    made = CardsFile(tmp_path, card(0, celsius=50), card(1, slices=[Slice(uuid="MIG-a"), None]))
    for name, value in made.environment().items():
        monkeypatch.setenv(name, value)
    return made


def test_an_engine_tells_of_cards_and_of_what_happens_to_them(tmp_path: Path, machine: CardsFile) -> None:
    engine = Engine.start(tmp_path / "engine")
    try:
        pid = engine.host
        machine.cards[0].processes[pid] = 3 << 30
        machine.cards[0].busy[pid] = 60
        machine.xid("GPU-0", 31)
        machine.write()
        engine.wait_metric("eas_gpu_xid_errors_total", 1, gpu="GPU-0", xid="31")
        engine.wait_metric("eas_gpu_memory_bytes", 3 << 30, gpu="GPU-0")
        assert engine.metric("eas_gpu_temperature_celsius", gpu="GPU-0") == 50
        assert engine.metric("eas_gpu_memory_total_bytes", gpu="MIG-a") == 10 << 30
        assert engine.metric("eas_instance_gpu_memory_bytes", gpu="GPU-0", instance="faulty-0") == 3 << 30
        assert engine.metric("eas_instance_gpu_utilization_ratio", gpu="GPU-0", instance="faulty-0") == 0.6
        machine.cards[1].lost = True
        machine.write()
        engine.wait_metric("eas_gpu_present", 0, gpu="GPU-1")
        eventually(lambda: len(faults(engine)) == 2, "both faults are events")
        xid, gone = faults(engine)
        assert xid.startswith("gpu GPU-0, fault Xid 31")
        assert gone == "gpu GPU-1, fault the card doesn't answer any more"
        assert engine.ask(body=b"x").status == 200
    finally:
        engine.kill()


def faults(engine: Engine) -> list[str]:
    """The texts of the events about cards."""
    (file,) = engine.state_dir.rglob("events.jsonl")
    told = [json.loads(line) for line in file.read_text().splitlines()]
    return [one["text"] for one in told if one["kind"] == "card_fault"]


def test_the_doctor_sees_the_cards(machine: CardsFile) -> None:
    machine.cards[0].lost = True
    machine.write()
    command = [sys.executable, "-m", "eas_engine", "doctor", "--json"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    found = json.loads(done.stdout)
    assert [one["uuid"] for one in found["cards"]] == ["GPU-1", "MIG-a"]
    assert found["driver"]["version"] == "570.86.15"
    assert found["troubles"][0].startswith("card 0: it fell off the bus")
    assert done.returncode == 1


def test_a_machine_is_its_cards_and_slices(machine: CardsFile) -> None:
    code = (
        "from eas_engine.spec.machine import this_machine; print(*(one.uuid for one in this_machine().gpus))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "GPU-0 MIG-a"


def test_a_machine_without_cards_knows_why(machine: CardsFile, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "from eas_engine.spec.machine import this_machine; print(this_machine().no_gpus)"

    def why() -> str:
        done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        return done.stdout.strip()

    assert why() == ""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "9")
    assert why() == "CUDA_VISIBLE_DEVICES=9 leaves the engine none"
    machine.cards[0].lost = machine.cards[1].lost = True
    machine.write()
    assert why() == "NVIDIA's driver shows none"
    monkeypatch.setenv("LD_LIBRARY_PATH", "")
    if not has_driver():
        assert why() == "NVIDIA's driver isn't installed (libnvidia-ml.so.1)"
