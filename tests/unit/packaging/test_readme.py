"""The README: a test runs or compares every block, links lead somewhere, tables are current."""

from __future__ import annotations

import inspect
import json
import os
import re
import shlex
import subprocess
import sys

import pytest

from eas_engine import errors
from support.readme import README, block, blocks
from support.repository import ROOT

# tests/system/test_example_digits.py and test_readme_service.py run the services and compare what they say.
KNOWN = {
    "commands: make",
    "commands: service",
    "commands: container",
    "commands: load",
    "load output",
    "make serve output",
    "curl output",
    "client output: first",
    "client output: last",
    "file: app.py",
    "file: service.json",
}


def rows(heading: str) -> list[list[str]]:
    """The table whose first heading is that: its rows, as cells."""
    lines = iter(README.read_text().splitlines())
    for line in lines:
        if line.startswith(f"| {heading} "):
            next(lines)
            break
    found = []
    for line in lines:
        if not line.startswith("|"):
            break
        found.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return found


def help_of(*command: str, program: str = "eas_engine") -> str:
    said = subprocess.run(
        [sys.executable, "-m", program, *command, "--help"],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"},
    )
    return said.stdout


def commands() -> set[str]:
    """The engine's, by its own help."""
    listed = help_of().split("Commands", 1)[1]
    return set(re.findall(r"^[│| ]+([a-z]+)  ", listed, re.MULTILINE))


def test_every_block_is_known_to_a_test() -> None:
    names = [name for name, _, _ in blocks()]

    assert sorted(names) == sorted(KNOWN)
    assert len(names) == README.read_text().count("\n```") / 2


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_lead_somewhere(page: str) -> None:
    links = re.findall(r"\]\(([^)]+)\)", (ROOT / page).read_text())

    assert not [link for link in links if "://" not in link and not (ROOT / link.partition("#")[0]).exists()]


def test_the_make_commands_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for name in ("commands: make", "commands: container"):
        used = {line.split()[1] for line in block(name).splitlines() if line.startswith("make ")}
        assert used
        assert used <= targets


def test_the_table_has_every_command() -> None:
    described = {word for row in rows("command") for word in re.findall(r"`eas-engine ([a-z]+)", row[0])}

    assert described == commands() == {
        "serve", "check", "schema", "test", "status", "list", "doctor", "pools", "autoscale", "cache",
        "crash", "update", "rollback", "promote", "scale", "restart", "replace", "stop", "start", "drain",
        "instances", "versions", "operations", "canary", "events", "logs",
    }  # fmt: skip


def test_the_options_shown_exist() -> None:
    shown = [line.partition("#")[0] for line in block("commands: service").splitlines()]
    shown += [each for row in rows("command") for each in re.findall(r"`(eas-engine [^`]+)`", row[0])]
    for line in shown:
        words = shlex.split(line)[1:]
        command = words[0] if words and not words[0].startswith("-") else "serve"
        options = help_of(command)
        assert all(word in options for word in words if word.startswith("--")), line


def test_the_options_of_the_load_tester_exist() -> None:
    shown = [shlex.split(line, comments=True) for line in block("commands: load").splitlines()]
    assert shown
    for program, command, *words in shown:
        options = help_of(command, program=program.replace("-", "_"))
        assert all(word in options for word in words if word.startswith("--")), command


def test_the_status_codes_are_the_engines_own() -> None:
    refusals = [
        each
        for each in vars(errors).values()
        if inspect.isclass(each)
        and issubclass(each, errors.Refusal)
        and each is not errors.Refusal
        and errors.InstanceCrashed not in each.__bases__  # one of them stands for all
    ]
    expected = [
        [str(each.status), f"`{each.code}`", "yes" if each.retryable else "no", each.text]
        for each in refusals
    ]

    assert rows("status") == sorted(expected)


def test_the_container_is_run_as_the_dockerfile_says() -> None:
    (line,) = (line for line in block("commands: container").splitlines() if line.startswith("docker"))

    assert f"#   {line}\n" in (ROOT / "Dockerfile").read_text()


def test_the_example_file_is_json() -> None:
    assert json.loads(block("file: service.json"))["processor_entry"] == "app.py"
