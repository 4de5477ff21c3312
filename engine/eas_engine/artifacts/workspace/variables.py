"""What a processor's environment says of the service and of where its files are."""

from __future__ import annotations

import json
from typing import Final

from eas_engine.artifacts.local import Artifacts

SERVICE_CONFIG: Final = "SERVICE_CONFIG"
LONGEST: Final = 1 << 16
"""Bytes of ``SERVICE_CONFIG``. The kernel takes twice as much in one variable (MAX_ARG_STRLEN), programs
that a processor starts may take less."""


def variables(artifacts: Artifacts) -> dict[str, str]:
    """``SERVICE_CONFIG``, ``EAS_WORKSPACE`` and ``EAS_MODEL_PATH``; what there isn't is absent."""
    found: dict[str, str] = {}
    config = json.dumps(artifacts.config)
    if len(config) <= LONGEST:
        found[SERVICE_CONFIG] = config
    if artifacts.workspace:
        found["EAS_WORKSPACE"] = str(artifacts.workspace.root)
    if artifacts.model_path:
        found["EAS_MODEL_PATH"] = artifacts.model_path
    return found


def notes(artifacts: Artifacts) -> tuple[str, ...]:
    """What an operator should know of what the processor doesn't get."""
    found = artifacts.workspace.notes if artifacts.workspace else ()
    if SERVICE_CONFIG in variables(artifacts):
        return found
    return (*found, f"{SERVICE_CONFIG} is not set, the configuration is too long; see config/config.json")
