"""Fixtures for tests of a real engine; a failing test shows the logs of the engines that it used."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.engine import Engine
from support.engines import Engines, Latch

LOG_SHOWN = 8000  # characters


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[Engines]:
    """Starts engines for one test."""
    made = Engines(tmp_path)
    yield made
    made.end()


@pytest.fixture(scope="module")
def module_engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    """Starts engines that the tests of a module share."""
    made = Engines(tmp_path_factory.mktemp("engines"))
    yield made
    made.end()


@pytest.fixture
def latch(tmp_path: Path) -> Iterator[Latch]:
    """What requests wait for; opened at the end at the latest."""
    made = Latch(tmp_path / "latch")
    yield made
    made.open()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    if report.failed:
        for name, value in getattr(item, "funcargs", {}).items():
            used = (
                value.started if isinstance(value, Engines) else [value] if isinstance(value, Engine) else []
            )
            for engine in used:
                report.sections.append((f"log of {name} ({engine!r})", engine.log[-LOG_SHOWN:]))
    return report
