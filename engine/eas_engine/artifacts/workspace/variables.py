"""What a processor's environment says of the service and of where its files are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from eas_engine.artifacts.local import Artifacts

SERVICE_CONFIG: Final = "SERVICE_CONFIG"
LONGEST: Final = 1 << 16
"""Bytes of ``SERVICE_CONFIG``. The kernel takes twice as much in one variable (MAX_ARG_STRLEN), programs
that a processor starts may take less."""


def variables(config: Mapping[str, object], artifacts: Artifacts) -> dict[str, str]:
    """``SERVICE_CONFIG``, ``EAS_WORKSPACE`` and ``EAS_MODEL_PATH``; what there isn't is absent.

    ``config`` is the effective configuration without secrets.
    """
    found: dict[str, str] = {}
    if fits(config):
        found[SERVICE_CONFIG] = json.dumps(config)
    if artifacts.workspace:
        found["EAS_WORKSPACE"] = str(artifacts.workspace.root)
    if artifacts.model_path:
        found["EAS_MODEL_PATH"] = artifacts.model_path
    return found


def fits(config: Mapping[str, object]) -> bool:
    """Whether it isn't too long for a variable."""
    return len(json.dumps(config)) <= LONGEST


def notes(config: Mapping[str, object], artifacts: Artifacts) -> tuple[str, ...]:
    """What an operator should know of what the processor doesn't get."""
    found = artifacts.workspace.notes if artifacts.workspace else ()
    if not fits(config):
        found = (
            *found,
            f"{SERVICE_CONFIG} is not set, the configuration is too long; see config/config.json",
        )
    return found
