"""Takes memory of the card, more with every request, and gives nothing back."""

from __future__ import annotations

import torch

import eas_sdk

STEP = 1 << 30  # bytes


class Greedy(eas_sdk.Processor):
    """Keeps what it was given."""

    def initialize(self, model_entry: str, model_config: str) -> None:
        """Nothing yet."""
        self._kept: list[torch.Tensor] = []

    def process(self, request: eas_sdk.Request) -> bytes:
        """One step more, and what it has by now."""
        self._kept.append(torch.ones(STEP // 4, device="cuda"))
        return str(len(self._kept) * STEP).encode()
