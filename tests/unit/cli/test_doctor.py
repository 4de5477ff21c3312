"""One page on the machine: what is there, what is wrong with it, and what a service would miss."""

from __future__ import annotations

import json
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from eas_engine.cli.app import app
from eas_engine.cli.check import Engine
from eas_engine.cli.doctor import FINE, MISSING, TROUBLE, diagnosis, rows, show, status
from eas_engine.cli.facts import EXTRAS, Sources, facts, version_of
from eas_engine.devices import MPS
from eas_engine.devices import nvml as driver
from eas_engine.devices.inventory import Inventory
from eas_engine.spec.machine import Machine
from eas_engine.spec.packages import KnownPackages
from support.nvml import ScriptedNvml, Slice, card

ROOT = Path(__file__).parents[3]
ALL = KnownPackages(modules=frozenset(name for modules in EXTRAS.values() for name in modules))
PROGRAMS = {"java": "/usr/bin/java", MPS: "/usr/bin/mps", "podman": "/usr/bin/podman"}


def sources(nvml: ScriptedNvml | None = None, *, library: bool = True, **programs: str) -> Sources:
    return Sources(nvml, library, programs.get, lambda path: "17" if "java" in path else "", {})


def machine(nvml: ScriptedNvml | None = None, **more: Any) -> Machine:
    gpus = () if nvml is None else Inventory(nvml).gpus()
    return replace(Machine(4, 8 << 30, gpus, packages=ALL, disk_free_bytes=100 << 30), **more)


def diagnosed(
    tmp_path: Path, metadata: dict[str, Any], nvml: ScriptedNvml | None, **more: Any
) -> dict[str, Any]:
    """Of a Python service; ``kind``: of another."""
    config = tmp_path / "service.json"
    kind = more.pop("kind", {"processor_type": "python", "processor_entry": "app.py"})
    library, programs = more.pop("library", True), more.pop("programs", PROGRAMS)
    config.write_text(json.dumps({"name": "echo", **kind, "metadata": metadata}))
    (tmp_path / "app.py").write_text("")
    engine = Engine(None, tmp_path / "state")
    return diagnosis(config, (), engine, machine(nvml, **more), sources(nvml, library=library, **programs))


def test_a_machine_without_cards_is_in_order() -> None:
    found = facts(machine(), sources(library=False))
    assert (found["cards"], found["troubles"], found["driver"]["version"]) == ([], [], "")
    assert status({**found, "config": None}) == FINE
    assert dict(rows(found))["cards"] == "none"


def test_cards_slices_and_driver() -> None:
    parts = [Slice(uuid="MIG-a", processes={5_000_007: 1 << 30})]
    nvml = ScriptedNvml(card(0, celsius=60, utilization=37), card(1, slices=parts))
    found = facts(machine(nvml), sources(nvml))
    assert [one["uuid"] for one in found["cards"]] == ["GPU-0", "GPU-1", "MIG-a"]
    assert found["cards"][2]["processes"] == {"5000007": 1 << 30}
    assert (found["driver"]["version"], found["driver"]["cuda"]) == ("570.86.15", "12.8")
    shown = list(rows(found))
    assert ("NVIDIA driver", "570.86.15, up to CUDA 12.8") in shown
    named = dict(shown)
    assert named["card"].startswith("NVIDIA Scripted 100, 80.0 GiB")
    assert "1 processes" in named["  MIG slice"]
    assert any("37 % busy, 70 W, 60 degrees C" in value for _, value in shown)
    assert found["troubles"] == []


def test_what_is_wrong_with_cards() -> None:
    nvml = ScriptedNvml(card(0), card(1, uncorrected=3), card(2, compute_mode=driver.PROHIBITED))
    nvml.cards[0].lost = True
    found = facts(machine(nvml), sources(nvml))
    gone, errors, prohibited = found["troubles"]
    assert gone.startswith("card 0: it fell off the bus")
    assert errors == "GPU-1: 3 uncorrected ECC errors since the driver was loaded"
    assert prohibited.startswith("GPU-2: compute mode is PROHIBITED")
    assert status({**found, "config": None}) == TROUBLE


def test_a_driver_without_its_package_and_one_that_is_silent() -> None:
    without = facts(machine(packages=KnownPackages()), sources())
    assert without["troubles"][0].endswith("pip install 'eas-engine[gpu]'")
    silent = facts(machine(), sources())
    assert silent["troubles"] == ["NVIDIA's driver is here and doesn't answer: nvidia-smi says why"]
    assert dict(rows(silent))["NVIDIA driver"] == "doesn't answer"


def test_a_service_that_misses_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = diagnosed(tmp_path, {"gpu": 1}, ScriptedNvml(card(0)))
    assert (found["config"]["missing"], status(found)) == ([], FINE)
    show(found)
    assert "service.json: nothing is missing here" in capsys.readouterr().out


def test_a_service_is_not_to_blame_for_the_machine(tmp_path: Path) -> None:
    nvml = ScriptedNvml(card(0), card(1))
    nvml.cards[1].lost = True
    found = diagnosed(tmp_path, {}, nvml)
    assert found["troubles"]
    assert status(found) == FINE


@pytest.mark.parametrize(
    ("metadata", "more", "words"),
    [
        ({"gpu": 2}, {}, "GPUs: 2 asked for, this machine has 1"),
        ({"gpu": 1}, {"library": False}, "NVIDIA's driver: its library libnvidia-ml.so.1 is not"),
        ({"gpu": 1}, {"packages": KnownPackages()}, "pip install 'eas-engine[gpu]'"),
        (
            {"gpu_memory": 8, "gpu_core_percentage": 50},
            {"programs": {}},
            f"{MPS}: without it nothing enforces",
        ),
        ({"cuda": "13.0"}, {"cuda_toolkits": ("13.0",)}, "CUDA 13.0 asked for, this one can do 12.8"),
    ],
)
def test_what_a_service_misses(
    tmp_path: Path, metadata: dict[str, Any], more: dict[str, Any], words: str
) -> None:
    found = diagnosed(tmp_path, metadata, ScriptedNvml(card(0)), **more)
    assert [line for line in found["config"]["missing"] if words in line]
    assert status(found) == MISSING


def test_a_newer_toolkit_of_the_same_major_version_will_do(tmp_path: Path) -> None:
    found = diagnosed(tmp_path, {"cuda": "12.9"}, ScriptedNvml(card(0)), cuda_toolkits=("12.9",))
    assert found["config"]["missing"] == []


def test_java_is_missed_by_java(tmp_path: Path) -> None:
    kind = {"processor_type": "java", "processor_entry": "app.py", "processor_mainclass": "A"}
    assert "Java: neither" in diagnosed(tmp_path, {}, None, kind=kind, programs={})["config"]["missing"][0]
    assert diagnosed(tmp_path, {}, None, kind=kind)["config"]["missing"] == []


def test_a_file_that_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = diagnosed(tmp_path, {"gpu": "many"}, None)
    assert status(found) == MISSING
    show(found)
    assert "metadata.gpu" in capsys.readouterr().out


def test_warnings_of_the_file_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = diagnosed(tmp_path, {"rpc": {"batch_padding": True}}, None)
    assert status(found) == FINE
    show(found)
    out = capsys.readouterr().out
    assert "warnings of" in out
    assert "metadata.rpc.batch_padding: no effect without metadata.rpc.batching" in " ".join(out.split())


def test_bad_engine_settings_are_wrong_with_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(None, tmp_path)
    assert status(diagnosis(None, (), engine, machine(), sources(library=False))) == FINE
    monkeypatch.setenv("EAS_PORT", "many")
    found = diagnosis(None, (), engine, machine(), sources(library=False))
    assert "port" in found["troubles"][0]
    assert status(found) == TROUBLE
    monkeypatch.delenv("EAS_PORT")
    (tmp_path / "eas-engine.toml").write_text("[groups.fast]\ncpus = '99'\n")
    (trouble,) = diagnosis(None, (), engine, machine(), sources(library=False))["troubles"]
    assert trouble.startswith(f"engine settings ({tmp_path / 'eas-engine.toml'}): line 2: groups.fast.cpus: ")


def test_every_extra_is_looked_for() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(EXTRAS) == set(declared) - {"all", "examples"}


def test_what_a_program_says_of_its_version(tmp_path: Path) -> None:
    assert version_of(sys.executable) == f"Python {sys.version.split()[0]}"
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    assert version_of(str(broken)) == version_of(str(tmp_path / "absent")) == ""
    nvcc = "nvcc: a compiler driver\nCopyright (c) 2005-2025 NVIDIA\nCuda compilation tools, release 13.0"
    broken.write_text(f"#!/bin/sh\ncat << END\n{nvcc}\nEND\n")
    assert version_of(str(broken)) == "Cuda compilation tools, release 13.0"


def test_the_command(tmp_path: Path) -> None:
    config = tmp_path / "service.json"
    config.write_text(json.dumps({"name": "e", "processor_type": "python", "processor_entry": "no.py"}))
    done = CliRunner().invoke(app, ["doctor", "--json"], prog_name="eas-engine")
    found = json.loads(done.stdout)
    assert found["config"] is None
    assert done.exit_code == (TROUBLE if found["troubles"] else FINE)
    done = CliRunner().invoke(app, ["doctor", str(config)], prog_name="eas-engine")
    assert done.exit_code == MISSING
    assert "no.py is not there" in done.stdout
