"""What is looked at before anything is fetched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from eas_engine.configuration import Checked, look_around, read
from eas_engine.errors import ArtifactError, ProcessorError
from eas_engine.spec import ConfigurationError
from support import services


def look(directory: Path, **more: Any) -> str:
    (directory / "m").touch()
    content = {"name": "a", "token": "t", "processor": "xgboost", "model_path": "m", **more}
    return look_around(Checked(services.read(directory, content), ()))


def test_a_presets_missing_packages_end_the_start_before_its_model_is_fetched(tmp_path: Path) -> None:
    with pytest.raises(ProcessorError) as caught:
        look(tmp_path)
    assert str(caught.value) == "processor xgboost needs xgboost, numpy: pip install 'eas-engine[xgboost]'"
    assert caught.value.exit_status == 4


def test_where_pythonpath_is_set_the_host_looks_instead(tmp_path: Path) -> None:
    assert look(tmp_path, processor_envs={"PYTHONPATH": "/opt/more"}) == "served by XGBoost"


def test_what_lies_here_is_looked_for_first(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="model_path"):
        look(tmp_path, model_path="not-there")


def test_what_this_machine_cannot_serve_is_refused_with_every_reason(tmp_path: Path) -> None:
    text = '{"name": "a", "processor_type": "python", "processor_entry": "app.py", "enable_grpc": true}'
    with pytest.raises(ConfigurationError) as caught:
        read(text, tmp_path / "service.json", ["metadata.enable_webservice=true"])

    told = [problem.path for problem in caught.value.problems]
    assert told == ["metadata.enable_grpc", "metadata.enable_webservice"]


def test_warnings_of_the_file_and_of_this_machine_are_kept_together(tmp_path: Path) -> None:
    text = '{"name": "a", "processor_type": "python", "processor_entry": "app.py", "x": 1}'

    checked = read(text, tmp_path / "service.json", ["generate_token=false"])
    told = [problem.path for problem in checked.warnings]

    assert told == ["x", "generate_token"]
