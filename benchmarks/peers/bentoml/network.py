"""The network on BentoML: rows as JSON, for its batching asks for an array as input."""

from __future__ import annotations

import bentoml
import numpy as np

from peers import work


@bentoml.service(workers=1, logging={"access": {"enabled": False}})
class Service:
    """Batches of rows."""

    def __init__(self) -> None:
        self._rows = work.rows()

    @bentoml.api(route="/predict", batchable=True, max_batch_size=work.BATCH, max_latency_ms=60_000)  # type: ignore[untyped-decorator]
    def predict(self, rows: np.ndarray) -> np.ndarray:
        """One batch."""
        answer: np.ndarray = self._rows(np.asarray(rows, dtype=np.float32))
        return answer
