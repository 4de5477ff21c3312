"""A processor with a batch call that says with whom each request went, and does what bodies ask for.

``wait FILE`` until the file is there; ``refuse`` and ``raise``: an exception for that request alone, or out
of the whole call; ``exit``: the process is gone. Every answer is the size of its batch.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

import eas_sdk


class Batches(eas_sdk.Processor):
    """See above. ``CALLS`` names a file that gets the size of each call."""

    def process_batch(self, requests: Sequence[eas_sdk.Request]) -> list[str | BaseException]:
        """See ``eas_sdk.Processor``."""
        with Path(os.environ["CALLS"]).open("a", encoding="ascii") as calls:
            calls.write(f"{len(requests)}\n")
        return [self._answer(bytes(request.body).decode(), len(requests)) for request in requests]

    def _answer(self, told: str, size: int) -> str | BaseException:
        do, _, what = told.partition(" ")
        if do == "refuse":
            return ValueError("refused alone")
        if do == "raise":
            raise ValueError("raised out of the call")
        if do == "exit":
            os._exit(3)
        while do == "wait" and not Path(what).exists():
            time.sleep(0.002)
        return str(size)
