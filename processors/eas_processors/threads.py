"""How many threads one call of a model may use."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from eas_processors.model_config import Key

INTRA = {"intra_op_threads": Key(int, least=1)}
KEYS = {**INTRA, "inter_op_threads": Key(int, least=1)}
"""What ``model_config`` may say, for ``read_config``."""


def threads(config: Mapping[str, Any], name: str = "intra_op_threads", default: int = 1) -> int:
    """The number that ``model_config`` says, else OMP_NUM_THREADS (for intra_op_threads), else ``default``.

    The default is 1, because the service's worker threads already call the model at the same time.
    """
    if name in config:
        return int(config[name])
    environment = os.environ.get("OMP_NUM_THREADS", "") if name == "intra_op_threads" else ""
    return int(environment) if environment.isdigit() and int(environment) else default
