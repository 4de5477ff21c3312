"""What happened to requests, as plain integers.

The predict path adds to these numbers and nothing else: no metrics library, no lock, no label look-up.
Scrapes and the status page read them from other threads; a torn read of one integer can't happen, and a sum
that is one request behind its histogram does no harm.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Final

BUCKETS: Final = 40
"""Latency bucket k counts durations of 2**(k-1) to 2**k - 1 microseconds (bucket 0: none at all)."""


class Counters:
    """Everything counted since the engine started."""

    __slots__ = (
        "accepted",
        "answers_cut",
        "batch",
        "batch_calls",
        "batch_padding",
        "batch_requests",
        "batch_rows",
        "batch_sizes",
        "batch_us",
        "batches",
        "bytes_in",
        "bytes_out",
        "client_gone",
        "closed_for_room",
        "compressed_from",
        "compressed_to",
        "connections",
        "inflated_from",
        "inflated_to",
        "process",
        "process_us",
        "queue",
        "queue_us",
        "refusals",
        "refused_connections",
        "retries",
        "statuses",
        "total",
        "total_us",
    )

    def __init__(self) -> None:
        self.statuses: defaultdict[int, int] = defaultdict(int)
        self.refusals: defaultdict[str, int] = defaultdict(int)
        self.queue = [0] * BUCKETS
        self.batch = [0] * BUCKETS
        self.process = [0] * BUCKETS
        self.total = [0] * BUCKETS
        self.queue_us = self.batch_us = self.process_us = self.total_us = 0
        self.bytes_in = self.bytes_out = 0
        self.inflated_from = self.inflated_to = 0  # bytes of requests: as they came, and inflated
        self.compressed_from = self.compressed_to = 0  # bytes of answers: the processor's, and compressed
        self.connections = self.accepted = self.client_gone = 0
        self.retries = 0  # requests whose instance had died, tried a second time
        self.batches: defaultdict[str, int] = defaultdict(
            int
        )  # by the reason that they went (`batching.cut`)
        self.batch_sizes = [0] * BUCKETS  # requests in a batch: bucket k has those of up to 2**k
        self.batch_requests = self.batch_calls = self.batch_rows = self.batch_padding = 0
        self.closed_for_room = self.refused_connections = self.answers_cut = 0

    def count_batch(self, requests: int, calls: int, rows: int, padding: int) -> None:
        """A host has worked on a batch; `padding` of the `rows` were nobody's."""
        self.batch_sizes[(requests - 1).bit_length()] += 1
        self.batch_requests += requests
        self.batch_calls += calls
        self.batch_rows += rows
        self.batch_padding += padding

    def __repr__(self) -> str:
        answered = sum(self.statuses.values())
        return f"<Counters {answered} answered, {self.connections} connections, {self.client_gone} left>"
