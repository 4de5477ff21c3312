"""What `pip install eas-engine` brings: exactly our packages, typed, with the commands, and a small core."""

from __future__ import annotations

import configparser
import email.parser
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from support.repository import ROOT

PACKAGES = {
    "eas_engine": ROOT / "engine",
    "eas_processors": ROOT / "processors",
    "eas_bench": ROOT / "benchmarks",
    "allspark": ROOT / "sdk/python",
    "eas_sdk": ROOT / "sdk/python",
    "eas_host": ROOT / "sdk/python",
}
CORE = {
    "cramjam",
    "cronsim",
    "httptools",
    "prometheus-client",
    "psutil",
    "pydantic",
    "rich",
    "starlette",
    "structlog",
    "typer",
    "uvicorn",
    "uvloop",
}
EXTRAS = {
    *("tensorflow", "torch", "onnx", "caffe", "pmml", "xgboost", "lightgbm", "catboost", "sklearn"),
    *("java", "grpc", "oss", "gpu", "bench", "examples", "all"),
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    directory = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)]
    # Compiling takes half a minute; `make compiled` tests what comes of it.
    environment = {**os.environ, "EAS_ENGINE_COMPILE": "0"}
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, env=environment)
    (path,) = directory.glob("*.whl")
    return zipfile.ZipFile(path)


def metadata(wheel: zipfile.ZipFile, name: str) -> str:
    (path,) = (path for path in wheel.namelist() if path.endswith(f".dist-info/{name}"))
    return wheel.read(path).decode()


def requirements(wheel: zipfile.ZipFile) -> list[Requirement]:
    head = email.parser.Parser().parsestr(metadata(wheel, "METADATA"))
    return [Requirement(line) for line in head.get_all("Requires-Dist", [])]


def sources(package: str) -> set[str]:
    folder = PACKAGES[package]
    files = (path for path in (folder / package).rglob("*") if path.is_file())
    return {str(path.relative_to(folder)) for path in files if path.suffix != ".pyc"}


def test_it_holds_exactly_our_packages(wheel: zipfile.ZipFile) -> None:
    assert {name.split("/")[0] for name in wheel.namelist() if ".dist-info/" not in name} == set(PACKAGES)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_is_whole_and_typed(wheel: zipfile.ZipFile, package: str) -> None:
    packed = {name for name in wheel.namelist() if name.startswith(f"{package}/")}

    assert packed == sources(package)
    assert f"{package}/py.typed" in packed


def test_it_brings_the_command_and_the_license(wheel: zipfile.ZipFile) -> None:
    commands = configparser.ConfigParser()
    commands.read_string(metadata(wheel, "entry_points.txt"))

    assert dict(commands["console_scripts"]) == {
        "eas-engine": "eas_engine.cli:main",
        "eas-bench": "eas_bench.cli:main",
    }
    assert "Apache License" in metadata(wheel, "licenses/LICENSE")


def test_the_core_is_small(wheel: zipfile.ZipFile) -> None:
    assert {each.name for each in requirements(wheel) if each.marker is None} == CORE


def test_there_is_an_extra_for_every_ability(wheel: zipfile.ZipFile) -> None:
    head = email.parser.Parser().parsestr(metadata(wheel, "METADATA"))

    assert set(head.get_all("Provides-Extra", [])) == EXTRAS


def test_all_is_all_but_the_examples(wheel: zipfile.ZipFile) -> None:
    def needs(extra: str) -> set[str]:
        return {
            need.name
            for need in requirements(wheel)
            if need.marker and need.marker.evaluate({"extra": extra})
        } - CORE

    singles = EXTRAS - {"all", "examples"}
    assert needs("all") == {name for extra in singles for name in needs(extra)}


def test_a_checkout_is_no_source_of_strays(wheel: zipfile.ZipFile) -> None:
    assert not [name for name in wheel.namelist() if Path(name).suffix in {".pyc", ".so", ".npz", ".json"}]
