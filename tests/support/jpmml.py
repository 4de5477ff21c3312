"""A process with a JVM of its own that answers for the PMML preset.

A process has only one JVM and never gets rid of it: so it isn't that of the tests.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

_ANSWER = """
import json, sys
from eas_sdk.testing import run
from eas_processors.pmml import Preset
for line in sys.stdin:
    model, config, batch, bodies = json.loads(line)
    try:
        found = run(Preset, bodies, model_entry=model, model_config=config, batch=batch, failures=True)
        told = [[one.status, bytes(one.body).decode()] for one in found]
    except ValueError as error:
        told = str(error)
    print("ANSWER", json.dumps(told), flush=True)
"""


class Jpmml:
    """The process with the JVM."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _ANSWER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, model: Path, bodies: Sequence[object], *, config: object = None, batch: int = 0) -> Any:
        """Statuses and bodies of the answers, or why the model wasn't loaded."""
        texts = [body if isinstance(body, str) else json.dumps(body) for body in bodies]
        question = [str(model), json.dumps(config) if config else "", batch, texts]
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(question), file=self.process.stdin, flush=True)
        for line in self.process.stdout:  # JPMML prints there, too
            if line.startswith("ANSWER "):
                return json.loads(line.removeprefix("ANSWER "))
        pytest.fail(f"the process ended with {self.process.wait()}")

    def end(self) -> None:
        """It ends when nobody asks any more."""
        self.process.communicate()
