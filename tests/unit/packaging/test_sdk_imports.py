"""The host and the SDK: standard library only, in words that Python 3.8 understands."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.repository import ROOT

SDK = ROOT / "sdk/python"
OURS = {"allspark", "eas_sdk", "eas_host"}
# Only inside a function of the adapter that needs it.
LAZY = {"adapters/java_vm.py": {"jpype"}, "adapters/batch.py": {"numpy"}}
FILES = sorted(SDK.rglob("*.py"))
NEWER_THAN_38 = {"send_fds", "recv_fds", "memfd_create", "removeprefix", "removesuffix", "pidfd_open"}


def imported(nodes: Iterator[ast.AST]) -> set[str]:
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


def shown(path: Path) -> str:
    return str(path.relative_to(SDK))


@pytest.mark.parametrize("path", FILES, ids=shown)
def test_it_imports_the_standard_library_alone(path: Path) -> None:
    allowed = {name for place, names in LAZY.items() if shown(path).endswith(place) for name in names}
    foreign = imported(ast.walk(ast.parse(path.read_text()))) - sys.stdlib_module_names - OURS

    assert foreign <= allowed


@pytest.mark.parametrize("path", FILES, ids=shown)
def test_python_38_can_read_it(path: Path) -> None:
    ast.parse(path.read_text(), feature_version=(3, 8))


@pytest.mark.parametrize("path", FILES, ids=shown)
def test_python_38_has_what_it_calls(path: Path) -> None:
    calls = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}

    assert not calls & NEWER_THAN_38
