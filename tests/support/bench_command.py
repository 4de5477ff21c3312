"""``eas-bench`` as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys

COMMAND = [sys.executable, "-c", "from eas_bench.cli import main; main()"]


def bench(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """One that ends by itself: what it printed, on lines of up to 200 characters, and its exit status."""
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
        env={**os.environ, "COLUMNS": "200", "EAS_TOKEN": "", **environment},
    )
