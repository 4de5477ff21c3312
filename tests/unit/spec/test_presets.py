"""The codes of `processor`: their families, what serves them here, and what can't be served."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from eas_engine.spec import ConfigurationError, Machine, presets, startable
from eas_engine.spec.check import report
from eas_engine.spec.machine import Gpu
from eas_engine.spec.packages import InstalledPackages, KnownPackages
from support.repository import ROOT
from support.services import GIB, read

HERE = Machine(
    4,
    8 * GIB,
    packages=KnownPackages(
        {"tensorflow-cpu": "2.21.0", "torch": "2.13.0+cpu", "xgboost-cpu": "3.2.0"},
        frozenset({"tensorflow", "torch", "xgboost", "numpy"}),
    ),
)
CARDS = Machine(4, 8 * GIB, gpus=(Gpu("T4", 16 * GIB),), packages=HERE.packages)


def service(code: str, **more: Any) -> dict[str, Any]:
    return {"name": "a", "token": "t", "processor": code, "model_path": "m", **more}


CONTRACT = {
    "tensorflow": "tensorflow tensorflow_cpu tensorflow_cpu_1.12 tensorflow_gpu_1.12 tensorflow_cpu_1.14 "
    "tensorflow_gpu_1.14 tensorflow_cpu_1.15 tensorflow_gpu_1.15 tensorflow_cpu_2.3 tensorflow_cpu_2.4 "
    "tensorflow_gpu_2.4 tensorflow_cpu_2.7 tensorflow_gpu_2.7",
    "pytorch": "pytorch pytorch_cpu_1.6 pytorch_gpu_1.6 pytorch_cpu_1.7 pytorch_gpu_1.7 pytorch_cpu_1.9 "
    "pytorch_gpu_1.9 pytorch_cpu_1.10 pytorch_gpu_1.10",
    "onnx": "onnx onnx_cu100 onnx_cpu onnx_gpu",
    "caffe": "caffe caffe_cpu caffe_gpu",
    "pmml": "pmml",
    "xgboost": "xgboost xgboost_cpu xgboost_gpu",
    "lightgbm": "lightgbm",
    "catboost": "catboost",
    "sklearn": "sklearn",
}


@pytest.mark.parametrize(("family", "codes"), CONTRACT.items())
def test_every_code_of_the_contract_has_its_family(family: str, codes: str) -> None:
    for code in codes.split():
        found = presets.find(code)
        assert found is not None
        assert (found.name, found.is_served) == (family, True), code


@pytest.mark.parametrize("family", CONTRACT)
def test_every_family_has_its_extra_and_module(family: str) -> None:
    preset = presets.find(family)
    assert preset is not None
    assert f"\n{preset.extra} = [" in (ROOT / "pyproject.toml").read_text()
    places = [ROOT / "processors/eas_processors" / name for name in (f"{family}.py", f"{family}/__init__.py")]
    assert any(place.is_file() for place in places)


REFUSED = (
    "easyrec easyrec-1.2 easyrec-2.4 easyrec-torch-1.0 easyrec_torch easyrec-torch-2.4 alink_pai_processor "
    "alink parameter_server parameter_sever blade_cpu blade_cuda10.0_beta mediaflow xnn_cpu easytransfer_cpu "
    "easytransfer_gpu easynlp easycv easy_vision_gpu_tf1.12_torch151 easy_vision triton"
)


@pytest.mark.parametrize("code", REFUSED.split())
def test_the_vendors_own_bundles_are_refused_with_what_to_do_instead(tmp_path: Path, code: str) -> None:
    loaded = read(tmp_path, {"name": "a", "processor": code}, machine=HERE)
    (refusal,), _ = startable(loaded)
    words, _, instead = refusal.message.partition("; ")
    assert words == f'"{code}" is a bundle of the vendor that is not public'
    assert len(instead) > 15
    assert f"processor {code} (line 1): can't be served here" in report(loaded)["summary"]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("tensorflow_cpu_1.12", "served by TensorFlow 2.21.0 in compatibility mode"),
        ("tensorflow_cpu_2.21", "served by TensorFlow 2.21.0"),
        ("tensorflow", "served by TensorFlow 2.21.0"),
        ("tensorflow_gpu_2.4", "served by TensorFlow 2.21.0 in compatibility mode on the CPU"),
        ("pytorch_cpu_2.13", "served by PyTorch 2.13.0+cpu"),
        ("pytorch_cpu_2.1", "served by PyTorch 2.13.0+cpu in compatibility mode"),
        ("onnx_cu100", "served by ONNX Runtime on the CPU"),
        ("xgboost", "served by XGBoost 3.2.0"),
    ],
)
def test_check_says_what_serves_the_model(tmp_path: Path, code: str, words: str) -> None:
    loaded = read(tmp_path, service(code), machine=HERE)
    assert report(loaded)["summary"][0] == f"processor {code} (line 1): {words}"


def test_another_version_than_was_asked_for_is_warned_of(tmp_path: Path) -> None:
    refusals, warnings = startable(read(tmp_path, service("tensorflow_cpu_1.12"), machine=HERE))
    assert refusals == []
    assert [str(one) for one in warnings] == [
        'line 1: processor: "tensorflow_cpu_1.12": served by TensorFlow 2.21.0 in compatibility mode'
    ]
    assert startable(read(tmp_path, service("xgboost"), machine=HERE)) == ([], [])


def test_a_code_for_gpus_runs_on_the_cpu_with_a_warning_unless_one_is_asked_for(tmp_path: Path) -> None:
    words = '"tensorflow_gpu_2.21" is for GPUs; this machine has none, so it runs on the CPU'
    code = "tensorflow_gpu_2.21"
    refusals, warnings = startable(read(tmp_path, service(code), machine=HERE))
    assert (refusals, [one.message for one in warnings]) == ([], [words])
    refusals, _ = startable(read(tmp_path, service(code, metadata={"gpu": 1}), machine=HERE))
    assert "1 GPU asked for, this machine has none" in [one.message for one in refusals]
    refusals, _ = startable(read(tmp_path, service(code, metadata={"gpu_memory": 4}), machine=HERE))
    assert any("this machine has no GPU" in one.message for one in refusals)
    _, warnings = startable(read(tmp_path, service(code), machine=CARDS))
    asks = "metadata.gpu and gpu_memory ask for none"
    assert [one.message for one in warnings] == [words.replace("this machine has none", asks)]


@pytest.mark.parametrize(
    ("code", "metadata", "machine", "device"),
    [
        ("tensorflow_gpu_1.12", {}, HERE, "cpu"),
        ("tensorflow_gpu_1.12", {}, CARDS, "cpu"),
        ("tensorflow_gpu_1.12", {"gpu_memory": 4}, CARDS, "gpu"),
        ("tensorflow_cpu_1.12", {"gpu": 1}, CARDS, "cpu"),
        ("tensorflow", {}, CARDS, "cpu"),
        ("tensorflow", {"gpu": 1}, CARDS, "gpu"),
        ("onnx_cu100", {"gpu": 1}, CARDS, "gpu"),
        ("pmml", {"gpu": 1}, CARDS, "cpu"),
    ],
)
def test_where_it_runs(
    tmp_path: Path, code: str, metadata: dict[str, Any], machine: Machine, device: str
) -> None:
    assert (
        presets.device(read(tmp_path, service(code, metadata=metadata), machine=machine).spec, machine)
        == device
    )


def test_a_gpu_for_a_framework_that_uses_none(tmp_path: Path) -> None:
    _, warnings = startable(read(tmp_path, service("lightgbm", metadata={"gpu": 1}), machine=CARDS))
    assert "no effect: LightGBM runs on the CPU here" in [one.message for one in warnings]
    _, warnings = startable(
        read(tmp_path, service("pytorch_cpu_1.6", metadata={"gpu_memory": 1}), machine=CARDS)
    )
    assert 'no effect: "pytorch_cpu_1.6" is for the CPU' in [one.message for one in warnings]


def test_a_preset_needs_a_model_and_has_code_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match='model_path: required with processor "pmml": the model'):
        read(tmp_path, {"name": "a", "processor": "pmml"})
    loaded = read(tmp_path, service("pmml", processor_entry="app.py"))
    assert [str(one) for one in loaded.warnings] == [
        'line 1: processor_entry: no effect: processor "pmml" brings its own code'
    ]


def test_options_of_the_jvm_are_for_pmml_too(tmp_path: Path) -> None:
    given = {"java_opts": ["-Xmx100m"]}
    assert read(tmp_path, service("pmml", metadata=given)).warnings == ()
    (warning,) = read(tmp_path, service("xgboost", metadata=given)).warnings
    assert "only Java processors and pmml have a JVM" in warning.message


def test_what_is_not_installed_is_missing_with_the_command(tmp_path: Path) -> None:
    assert report(read(tmp_path, service("xgboost"), machine=HERE))["missing"] == []
    assert report(read(tmp_path, service("pytorch"), machine=HERE))["missing"] == []
    assert report(read(tmp_path, service("pmml"), machine=HERE))["missing"] == [
        "packages of the preset pmml (jpmml_evaluator, jpype): pip install 'eas-engine[pmml]'"
    ]


def test_what_is_not_installed_can_not_be_started_here(tmp_path: Path) -> None:
    found = report(read(tmp_path, service("pmml"), machine=HERE))
    assert found["startable"] is False
    assert [one["path"] for one in found["refusals"]] == ["processor"]
    assert "pip install 'eas-engine[pmml]'" in found["refusals"][0]["message"]
    assert report(read(tmp_path, service("xgboost"), machine=HERE))["startable"] is True


def test_the_installed_packages_are_found_without_importing_them() -> None:
    packages = InstalledPackages()
    assert packages.version(["no-such-thing", "pytest"]) == pytest.__version__
    assert packages.version(["no-such-thing"]) == ""
    assert packages.lacking(["json", "no_such_module"]) == ("no_such_module",)


@pytest.mark.parametrize("preset", presets.PRESETS, ids=lambda preset: preset.name)
def test_the_page_names_every_code_with_what_serves_it_or_what_to_do_instead(preset: presets.Preset) -> None:
    page = (ROOT / "docs/presets.md").read_text()
    assert f"`{preset.name}" in page
    if preset.is_served:
        assert f"eas-engine[{preset.extra}]" in page


@pytest.mark.parametrize("name", ["presets.md", "presets/rows.md", "presets/pmml.md"])
def test_the_links_of_the_pages_lead_somewhere(name: str) -> None:
    file = ROOT / "docs" / name
    for target in re.findall(r"\]\(([^):#]+\.md)", file.read_text()):
        assert (file.parent / target).is_file(), target
