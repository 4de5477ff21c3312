"""Serves ``mlp``: what batching is worth."""

from __future__ import annotations

from collections.abc import Sequence

import mlp

import eas_sdk


class Mlp(eas_sdk.Processor):
    """As a user would write it."""

    def initialize(self, model_entry: str, model_config: str) -> None:
        """The weights come out of the air."""
        self._model = mlp.made()

    def process_batch(self, requests: Sequence[eas_sdk.Request]) -> list[bytes]:
        """One call of the network for all of them."""
        return mlp.answers(self._model, [request.body for request in requests])
