"""A model that takes a second to load, as one on a disk does: without a CPU."""

from __future__ import annotations

import time

import eas_sdk

LOADS = 1.0  # seconds


class Model(eas_sdk.Processor):
    """Eight of these start beside each other."""

    def initialize(self, _entry: str, _config: str) -> None:
        """Load it."""
        time.sleep(LOADS)

    def process(self, request: eas_sdk.Request) -> bytes:
        """One request."""
        return bytes(request.body)
