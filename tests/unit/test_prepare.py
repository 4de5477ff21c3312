"""What is looked at before anything is fetched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from eas_engine.errors import ProcessorError
from eas_engine.prepare import _look_for_packages
from support.services import read


class Logs:
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.log = self

    def info(self, line: str, **_: object) -> None:
        self.lines.append(line)


def look(directory: Path, **more: Any) -> list[str]:
    content = {"name": "a", "token": "t", "processor": "xgboost", "model_path": "m", **more}
    logs: Any = Logs()
    _look_for_packages(read(directory, content), logs)
    lines: list[str] = logs.lines
    return lines


def test_a_presets_missing_packages_end_the_start_before_its_model_is_fetched(tmp_path: Path) -> None:
    with pytest.raises(ProcessorError) as caught:
        look(tmp_path)
    assert str(caught.value) == "processor xgboost needs xgboost, numpy: pip install 'eas-engine[xgboost]'"
    assert caught.value.exit_status == 4


def test_where_pythonpath_is_set_the_host_looks_instead(tmp_path: Path) -> None:
    assert look(tmp_path, processor_envs={"PYTHONPATH": "/opt/more"}) == ["served by XGBoost"]
