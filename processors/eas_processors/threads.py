"""How many threads one call of a model may use."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

KEYS: dict[str, type] = {"intra_op_threads": int, "inter_op_threads": int}
"""What ``model_config`` may say, for ``read_config``."""


def threads(config: Mapping[str, Any], name: str = "intra_op_threads", default: int = 1) -> int:
    """The number that ``model_config`` says, else OMP_NUM_THREADS (for intra_op_threads), else ``default``.

    The default is 1, because the service's worker threads already call the model at the same time.

    Raises:
        ValueError: the number is less than 1.
    """
    if name in config:
        if config[name] < 1:
            raise ValueError(f'model_config: "{name}" is {config[name]}, expected at least 1')
        return int(config[name])
    environment = os.environ.get("OMP_NUM_THREADS", "") if name == "intra_op_threads" else ""
    return int(environment) if environment.isdigit() and int(environment) else default
