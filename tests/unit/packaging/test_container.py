"""The Dockerfile: what can be told from its text; the image itself where there is a tool to build it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import pytest

from support.repository import ROOT

Instruction = tuple[str, str]


def stages() -> list[list[Instruction]]:
    """The instructions of each stage, continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace(
        "\\\n", " "
    )
    found: list[list[Instruction]] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            found.append([])
        found[-1].append((word, rest.strip()))
    return found


def last(word: str) -> str:
    """The argument that counts: the last one of the last stage."""
    return [rest for name, rest in stages()[-1] if name == word][-1]


def environment() -> dict[str, str]:
    pairs = [pair.partition("=") for name, rest in stages()[-1] if name == "ENV" for pair in rest.split()]
    return {key: value for key, _, value in pairs}


def test_the_entry_point_is_the_engine() -> None:
    assert json.loads(last("ENTRYPOINT")) == ["eas-engine"]
    assert json.loads(last("CMD")) == ["--config", "/service/service.json"]


def test_it_does_not_run_as_root() -> None:
    user = last("USER")

    assert user == "eas"
    (creation,) = (rest for name, rest in stages()[-1] if name == "RUN" and "useradd" in rest)
    assert "--uid 10001" in creation
    assert stages()[-1].index(("USER", user)) > stages()[-1].index(("RUN", creation))


def test_the_admin_plane_is_reachable_and_the_state_survives() -> None:
    assert environment()["EAS_ADMIN_HOST"] == "0.0.0.0"
    assert environment()["EAS_STATE_DIR"] == last("VOLUME") == "/var/lib/eas-engine"
    assert last("EXPOSE").split() == ["8080", "9090"]


def test_its_health_is_asked_of_the_admin_plane() -> None:
    health = last("HEALTHCHECK")
    python, option, script = json.loads(health[health.index("CMD") + 3 :])

    assert (python, option) == ("python", "-c")
    compile(script, "HEALTHCHECK", "exec")
    assert "'EAS_ADMIN_PORT', '9090'" in script
    assert "/healthz" in script


def test_the_build_tools_stay_behind() -> None:
    build, final = stages()

    assert build[0] == ("FROM", "python:3.12-slim AS build")
    assert final[0] == ("FROM", "python:3.12-slim")
    assert [rest for name, rest in final if name == "COPY"] == [
        "--from=build /opt/eas-engine /opt/eas-engine"
    ]
    assert not [rest for _, rest in final if "pip" in rest]


def test_whatever_is_installed_is_pinned() -> None:
    installs = [
        command
        for name, rest in stages()[0]
        if name == "RUN"
        for command in rest.split("&&")
        if "pip install" in command
    ]

    assert len(installs) == 3
    assert all("--require-hashes -r" in command or "--no-deps --no-index" in command for command in installs)


def test_what_is_copied_exists_and_is_not_ignored() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for name, rest in stages()[0]:
        if name == "COPY":
            for source in rest.split()[:-1]:
                assert (ROOT / source).exists(), source
                assert source.split("/")[0] in allowed, source


def container_tool() -> str | None:
    """Docker or podman, if it is more than a client without an engine."""
    for tool in ("docker", "podman"):
        path = shutil.which(tool)
        if path and subprocess.run([path, "info"], check=False, capture_output=True).returncode == 0:
            return path
    return None


@pytest.mark.timeout(900)
def test_the_image_builds_and_knows_its_command() -> None:
    tool = container_tool()
    if tool is None:
        pytest.skip("neither Docker nor podman works here")
    base = subprocess.run([tool, "image", "inspect", "python:3.12-slim"], check=False, capture_output=True)
    if base.returncode:
        pytest.skip("the base image python:3.12-slim isn't on this machine, and tests pull nothing")
    subprocess.run([tool, "build", "--tag", "eas-engine-test", "."], cwd=ROOT, check=True)
    said = subprocess.run(
        [tool, "run", "--rm", "eas-engine-test", "--help"], check=True, capture_output=True, text=True
    )
    assert "--config" in said.stdout
