"""Sums the rows of matrices of any shape, many at a time: the answer tells whether anything was mixed up.

A body is two little-endian uint32, rows and columns, and as many int32; the answer is the two again, and the
sum of each row as an int32 (wrapping around).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

import eas_sdk

HEAD = 8  # bytes


class Shapes(eas_sdk.Processor):
    """Batches hold bodies of all shapes."""

    def process_batch(self, requests: Sequence[eas_sdk.Request]) -> list[bytes]:
        """All that came together."""
        return [_summed(request.body) for request in requests]


def _summed(body: bytes | memoryview) -> bytes:
    rows, columns = np.frombuffer(body[:HEAD], "<u4")
    matrix = np.frombuffer(body[HEAD:], "<i4").reshape(int(rows), int(columns))
    told: bytes = matrix.sum(axis=1, dtype="<i4").tobytes()
    return bytes(body[:HEAD]) + told
