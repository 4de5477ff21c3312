"""The pinned files: exact, hashed, current, at one with each other, and free of any address."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from support.repository import ROOT

HASHED = ("build", "core", "dev", "example", "test", "vendor-client")
SUPPORTED = ("3.11", "3.12", "3.13")
HEAVY = {
    *("tensorflow", "tensorflow-cpu", "torch", "triton", "jpype1", "grpcio", "onnxruntime", "numpy"),
    *(
        "opencv-python-headless",
        "xgboost-cpu",
        "lightgbm",
        "catboost",
        "scikit-learn",
        "protobuf",
        "nvidia-ml-py",
    ),
}


def text_of(name: str) -> str:
    return (ROOT / "requirements" / f"{name}.txt").read_text()


def entries(name: str) -> Iterator[tuple[Requirement, list[str]]]:
    """Each requirement with its hashes."""
    joined = text_of(name).replace("\\\n", " ")
    for line in joined.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            requirement, *hashes = re.split(r"\s+--hash=", line.strip())
            yield Requirement(requirement), hashes


def pins(name: str, python: str) -> dict[str, str]:
    """Versions by name, as that Python would install them on Linux."""
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": "linux",
        "os_name": "posix",
    }
    wanted = [each for each, _ in entries(name) if not each.marker or each.marker.evaluate(environment)]
    found: dict[str, str] = {
        canonicalize_name(each.name): str(each.specifier).removeprefix("==") for each in wanted
    }
    assert len(found) == len(wanted), "one version of each"
    return found


def asked_for(*, extras: list[str], groups: list[str]) -> list[Requirement]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)
    lines = list(project["project"]["dependencies"])
    for extra in extras:
        lines += project["project"]["optional-dependencies"][extra]
    for group in groups:
        lines += [line for line in project["dependency-groups"][group] if isinstance(line, str)]
    return [Requirement(line) for line in lines]


EVERY_EXTRA = [
    *("tensorflow", "onnx", "caffe", "pmml", "xgboost", "lightgbm", "catboost", "sklearn"),
    *("java", "grpc", "oss", "gpu", "examples"),
]


@pytest.mark.parametrize("name", HASHED)
def test_every_version_is_exact_and_hashed(name: str) -> None:
    for requirement, hashes in entries(name):
        assert re.fullmatch(r"==[^*]+", str(requirement.specifier)), requirement
        assert hashes, requirement
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", each) for each in hashes), requirement


@pytest.mark.parametrize("name", [*HASHED, "torch"])
def test_no_file_says_where_packages_come_from(name: str) -> None:
    assert not re.search(
        r"://|--(find-links|index-url|extra-index-url|trusted-host)|@ |(^|\s)/\w", text_of(name)
    )


@pytest.mark.parametrize("python", SUPPORTED)
@pytest.mark.parametrize(
    ("name", "extras", "groups"),
    [
        ("core", [], []),
        ("example", ["examples"], ["build"]),
        ("dev", ["examples"], ["build", "dev"]),
        ("test", EVERY_EXTRA, ["build", "dev", "torch-runtime"]),
    ],
)
def test_a_file_is_what_pyproject_asks_for(
    name: str, extras: list[str], groups: list[str], python: str
) -> None:
    pinned = pins(name, python)
    for requirement in asked_for(extras=extras, groups=groups):
        version = pinned.get(canonicalize_name(requirement.name))
        assert version, f"{requirement} isn't in requirements/{name}.txt: run `make lock`"
        assert requirement.specifier.contains(version), (
            f"{requirement}, but {version} is pinned: run `make lock`"
        )


@pytest.mark.parametrize("python", SUPPORTED)
@pytest.mark.parametrize("name", ["build", "core", "dev", "example"])
def test_one_environment_can_hold_them_all(name: str, python: str) -> None:
    assert pins(name, python).items() <= pins("test", python).items()


@pytest.mark.parametrize("python", SUPPORTED)
def test_the_core_pulls_no_framework(python: str) -> None:
    assert not HEAVY & pins("core", python).keys()


def test_torch_stands_apart_with_its_exact_version() -> None:
    lines = [line for line in text_of("torch").splitlines() if not line.startswith("#")]

    assert lines == ["torch==2.13.0"]
    assert not [name for name in pins("test", "3.11") if name.startswith(("torch", "triton", "nvidia-c"))]


@pytest.mark.parametrize("python", SUPPORTED)
def test_the_vendors_client_has_the_protobuf_that_it_wants(python: str) -> None:
    pinned = pins("vendor-client", python)

    assert (pinned["eas-prediction"], pinned["protobuf"]) == ("0.36", "3.20.3")
