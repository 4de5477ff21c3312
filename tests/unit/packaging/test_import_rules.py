"""The import rules themselves: that they speak of every part there is."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from support.repository import ROOT

ENGINE = ROOT / "engine/eas_engine"


def contracts() -> list[dict[str, Any]]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        rules: list[dict[str, Any]] = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    return rules


def test_every_part_of_the_engine_has_its_layer() -> None:
    parts = {
        path.stem for path in ENGINE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    (layers,) = (rule["layers"] for rule in contracts() if rule["type"] == "layers")

    assert parts - {"__init__", "__main__"} <= set(re.findall(r"\w+", " ".join(layers)))


def test_batching_is_unknown_to_the_gateway_and_the_control_plane() -> None:
    """The checker refuses rules about modules that don't exist; once this one does, they must be there."""
    if not (ENGINE / "batching").exists():
        return
    forbidden = {
        source
        for rule in contracts()
        if "eas_engine.batching" in rule.get("forbidden_modules", [])
        for source in rule["source_modules"]
    }
    assert forbidden >= {"eas_engine.gateway", "eas_engine.supervisor"}
