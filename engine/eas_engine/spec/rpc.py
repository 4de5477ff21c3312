"""``metadata.rpc``: the network, the queue, the worker threads and batching."""

from __future__ import annotations

import os
from typing import Final, Literal

from eas_engine.spec.values import Boolean, Bytes, Integer, Number, Section, Text, parameter

KEEPALIVE_MS: Final = 5000
WORKER_THREADS: Final = 5
STUCK_FACTOR: Final = 10
LONGEST_MS: Final = 2**31 - 1
MOST_THREADS: Final = 1024
MOST_INSIDE: Final = 4096
"""Requests that one instance holds at a time; the engine's workers divide them among the threads."""


def quarter_of_the_ram() -> int:
    """The default of ``rpc.max_inflight_bytes``."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4


class Rpc(Section):
    """How requests come in, wait, and are handed to the processor."""

    batching: Boolean = parameter(
        False,
        "Server-side batching: for preset processors and for custom ones that define the batch call of the "
        "SDK. Asked for with a processor that has none: refused.",
    )
    keepalive: Integer | None = parameter(
        None,
        "The longest time from a request's first byte to its answer, the wait in the queue included. Over "
        "it: 408, and the connection closes. Where the file has no value, "
        "`allspark.default_properties().put('rpc.keepalive', ...)` counts; else the default.",
        unit="milliseconds",
        shown_default="5000",
        ge=1,
        le=LONGEST_MS,
    )
    io_threads: Integer = parameter(
        4,
        "In the cloud the threads that read and write the network. Here one event loop does that, with a GIL "
        "or without, because several cost more than they bring (docs/performance.md): the status shows the "
        "requested and the effective number, and why they differ. Up to as many threads, but no more than "
        "there are cores, inflate bodies, and as many again compress answers (docs/compression.md).",
        ge=1,
        le=MOST_THREADS,
    )
    max_batch_size: Integer = parameter(
        16,
        "The most rows in one call of the model; a request of a custom processor is one row unless it says "
        "otherwise. An instance holds at most 4096 requests, shared out among its worker threads, so a batch "
        "has no more of them than such a share. Only with batching.",
        ge=1,
        le=1_000_000,
    )
    max_batch_timeout: Integer = parameter(
        50,
        "How long a batch may wait to fill while a worker thread is idle, counted from its oldest request's "
        "arrival. Only with batching and without `batch_when_idle`.",
        unit="milliseconds",
        ge=0,
        le=LONGEST_MS,
    )
    max_queue_size: Integer = parameter(
        64,
        "Requests that may wait, per instance. Full: 450, and the connection closes after the answer is "
        "flushed.",
        ge=0,
        le=1_000_000,
    )
    worker_threads: Integer | None = parameter(
        None,
        "Threads that call the processor, per instance. For Python processors the file's value beats the "
        "constructor's, with a warning when they differ.",
        shown_default="5",
        ge=1,
        le=MOST_THREADS,
    )
    rate_limit: Number = parameter(
        0.0,
        "Requests per second that one instance takes; over it 429 with `Retry-After`, and the connection "
        "stays. A token bucket with a burst of max(1, rate / 10). 0: no limit.",
        unit="requests per second",
        ge=0,
        le=10_000_000,
    )
    enable_sigterm: Boolean = parameter(
        False,
        "Whether SIGTERM is sent to the processor's main process, at once when its instance begins to leave.",
    )
    decompressor: Literal["", "zlib", "gzip", "snappy", "zstd", "lz4"] = parameter(
        "",
        "Every request body is inflated with this codec before the processor sees it (docs/compression.md). "
        "One that becomes larger than `rpc.max_body_size`: 413. One that can't be inflated: 400 "
        "`broken_body`.",
    )
    proxy_path: Text = parameter(
        "",
        "With `containers`: the path that `/api/predict/<name>` is rewritten to.",
    )
    max_body_size: Bytes = parameter(
        2**30, "The largest request body. Over it: 413.", unit="bytes", ours=True, shown_default="1 GiB", ge=1
    )
    max_inflight_bytes: Bytes = parameter(
        meaning="Request bodies held at once, all together; over it reading pauses. As much again may wait "
        "for clients that read slowly; over it the slowest are cut off.",
        unit="bytes",
        ours=True,
        shown_default="a quarter of the RAM",
        default_factory=quarter_of_the_ram,
        ge=1,
    )
    stuck_timeout: Integer | None = parameter(
        None,
        "A call of the processor that takes longer than this ends its instance.",
        unit="milliseconds",
        ours=True,
        shown_default="10 x keepalive",
        ge=1,
        le=LONGEST_MS,
    )
    retry_on_crash: Boolean = parameter(
        False,
        "What was begun when an instance died is tried once more: suspects one at a time, alone on an "
        "instance. One that crashes it alone is poison and gets 500 `poison_request`. Only for processors "
        "that may see a request twice: what the first try has done to the world, the second does again.",
        ours=True,
    )
    batch_when_idle: Boolean = parameter(
        True,
        "A batch goes at once when a worker thread is idle, without waiting to fill up. `false`: it waits "
        "for company until `max_batch_timeout`, or a deadline, says that it must go.",
        ours=True,
    )
    batch_padding: Boolean = parameter(
        False,
        "Variable-length dimensions are padded to the batch's longest, and outputs cut back.",
        ours=True,
    )
    batch_sizes: tuple[Integer, ...] = parameter(
        (),
        "The only batch sizes the model sees, ascending, e.g. `[1, 4, 16]`; batches are padded up, and the "
        "largest is the most that a batch has.",
        ours=True,
    )
    cpp_batch: Boolean = parameter(False, "Use a C processor's exported `batch_process`.", ours=True)

    @property
    def batch_rows(self) -> int:
        """The most rows of a batch: ``max_batch_size``, or the largest of ``batch_sizes``."""
        return self.batch_sizes[-1] if self.batch_sizes else self.max_batch_size

    @property
    def batch_requests(self) -> int:
        """The most requests of a batch: what an instance holds, divided among the threads."""
        return MOST_INSIDE // self.threads

    @property
    def keepalive_ms(self) -> int:
        """``keepalive``, the default filled in; for whoever knows no allspark property."""
        return KEEPALIVE_MS if self.keepalive is None else self.keepalive

    @property
    def threads(self) -> int:
        """``worker_threads``, the default filled in; for whoever knows no constructor's value."""
        return WORKER_THREADS if self.worker_threads is None else self.worker_threads

    def stuck_timeout_ms(self, keepalive_ms: int) -> int:
        """When a call counts as stuck, for the keepalive in force (an allspark property may have set it)."""
        return STUCK_FACTOR * keepalive_ms if self.stuck_timeout is None else self.stuck_timeout
