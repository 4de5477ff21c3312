"""Answers with the first 4096 bytes of a large body, through the native API, which doesn't copy bodies."""

from __future__ import annotations

import eas_sdk

ANSWER_SIZE = 4096


class Large(eas_sdk.Processor):
    """What remains is the way of 600 KB into this process."""

    def process(self, request: eas_sdk.Request) -> bytes:
        """One request."""
        return bytes(request.body[:ANSWER_SIZE])
