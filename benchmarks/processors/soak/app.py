"""Echoes after a moment. Its ``model_config`` says how it starts: ``refuse`` raises, ``crash`` exits."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence

import eas_sdk

SECONDS = 0.005


class Soak(eas_sdk.Processor):
    """One version of many."""

    def initialize(self, model_entry: str, model_config: str) -> None:
        """See above."""
        start = json.loads(model_config).get("start", "")
        if start == "refuse":
            raise ValueError("this version refuses")
        if start == "crash":
            os._exit(7)

    def process(self, request: eas_sdk.Request) -> bytes:
        """One request."""
        time.sleep(SECONDS)
        return bytes(request.body)

    def process_batch(self, requests: Sequence[eas_sdk.Request]) -> list[bytes]:
        """Some at once."""
        time.sleep(SECONDS)
        return [bytes(request.body) for request in requests]
