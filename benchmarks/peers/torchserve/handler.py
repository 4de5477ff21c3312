"""TorchServe's handler on raw bodies; sizes of batches and of the queue stand in its configuration."""

from __future__ import annotations

from typing import Any

from peers import work


class Handler:
    """Loaded once a worker."""

    def initialize(self, context: Any) -> None:
        """The worker has begun."""
        self._answers = work.many()

    def handle(self, data: list[dict[str, Any]], context: Any) -> list[bytes]:
        """One batch."""
        return self._answers([bytes(one.get("body") or one["data"]) for one in data])
