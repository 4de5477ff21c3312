"""The package ``pynvml`` as a test's processes find it; what it says stands in ``EAS_TEST_CARDS``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from support.nvml_file import FileNvml

_SCRIPTED = FileNvml(Path(os.environ["EAS_TEST_CARDS"]))


def __getattr__(name: str) -> Any:
    return getattr(_SCRIPTED, name)
