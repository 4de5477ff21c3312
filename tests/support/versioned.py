"""A processor that says which version answered: its ``model_config`` is ``{"version": ..., "start": ...}``.

``start`` says how its start goes: ``refuse`` raises, ``crash`` exits, ``slow`` takes until a file is there.
"""

from __future__ import annotations

import json
import os
import time

import eas_sdk


class Versioned(eas_sdk.Processor):
    """Answers ``<version> <body>``."""

    def initialize(self, model_entry: str, model_config: str) -> None:
        """See above."""
        config = json.loads(model_config)
        self.version = config["version"]
        start = config.get("start", "")
        if start == "refuse":
            raise ValueError(f"version {self.version} refuses")
        if start == "crash":
            os._exit(7)
        while start.startswith("/") and not os.path.exists(start):  # noqa: PTH110
            time.sleep(0.01)

    def process(self, request: eas_sdk.Request) -> bytes:
        """Answers; ``die`` ends the instance."""
        if bytes(request.body) == b"die":
            os._exit(9)
        return f"{self.version} ".encode() + bytes(request.body)
