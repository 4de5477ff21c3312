"""Echoes after a moment; but a body that begins with ``poison`` ends the process, as bad native code does."""

from __future__ import annotations

import ctypes
import time

import eas_sdk

SECONDS = 0.005
"""So that requests are inside whenever the process is killed."""


class Chaos(eas_sdk.Processor):
    """An innocent, unless it is told otherwise."""

    def process(self, request: eas_sdk.Request) -> bytes:
        """One request."""
        if bytes(request.body[:6]) == b"poison":
            ctypes.string_at(0)
        time.sleep(SECONDS)
        return bytes(request.body)
