"""Compressed answers, for clients that ask for them (``accept``).

The processor's bytes are compressed unless they are few (up to 1 KiB), or the processor says something about
them that would be wrong then: it has coded them itself, or they are a range, or it has put a checksum or a
strong validator on them. What doesn't become smaller is sent as it is, unless the client takes no such thing.

Small answers are compressed on the loop, larger ones by a thread; their connection waits, so its answers keep
their order. These threads inflate nothing: an answer doesn't wait for what other clients have sent. The
quickest useful levels are used: the answer is waited for.
"""

from __future__ import annotations

import re
import zlib
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from eas_engine.gateway.reply import BODILESS

if TYPE_CHECKING:
    from collections.abc import Callable

    from eas_engine.gateway.accept import Coding
    from eas_engine.gateway.threads import Threads
    from eas_engine.request import Body
    from eas_engine.telemetry.counters import Counters

WORTH: Final = 1024
"""Answers up to this size stay as they are."""
_SMALL: Final = 16 * 1024
_GZIP_LEVEL: Final = 1
_ZSTD_LEVEL: Final = 1
_LZ4_MOST: Final = 0x7E000000
_AS_IT_IS: Final = re.compile(
    rb"(?:^|\n)(?:content-encoding|content-range|content-md5|digest|content-digest|repr-digest|etag):"
    rb"|(?:^|\n)cache-control:[^\n]*no-transform",
    re.IGNORECASE,
)


class Compressed(NamedTuple):
    """An answer that has become smaller."""

    body: bytes
    lines: bytes
    """Of its head: what was done to it."""


class Compression:
    """Compresses the answers of one service."""

    def __init__(self, threads: Threads, counters: Counters) -> None:
        self._threads, self._counters = threads, counters
        self.busy = 0
        """Answers that threads are at work on."""

    def __repr__(self) -> str:
        return f"<Compression of {self.busy} answers>"

    def wanted(self, coding: Coding, status: int, headers: bytes, size: int) -> bool:
        """Whether an answer of `size` bytes with these header lines is to be compressed."""
        if not size or status in BODILESS or (size <= WORTH and not coding.always):
            return False
        if coding.name == "lz4-raw" and size > _LZ4_MOST:
            return False
        return not headers or _AS_IT_IS.search(headers) is None

    def start(self, coding: Coding, body: Body, then: Callable[[Compressed | None], None]) -> None:
        """Compress, and call `then`: at once, or when a thread is done. None: it didn't become smaller."""
        if len(body) <= _SMALL:
            self._done(len(body), then, compress(coding, body))
            return
        self.busy += 1
        self._threads.run(partial(compress, coding, body), partial(self._returned, len(body), then))

    def _returned(self, size: int, then: Callable[[Compressed | None], None], result: Any) -> None:
        self.busy -= 1
        self._done(size, then, result if isinstance(result, Compressed) else None)

    def _done(self, size: int, then: Callable[[Compressed | None], None], result: Compressed | None) -> None:
        if result is not None:
            self._counters.compressed_from += size
            self._counters.compressed_to += len(result.body)
        then(result)


def compress(coding: Coding, body: Body) -> Compressed | None:
    """In any thread: `body` in the coding, or None when that isn't smaller and needn't be."""
    lines = b"Content-Encoding: %b\r\nVary: Accept-Encoding\r\n" % coding.name.encode()
    if coding.name == "gzip":
        result = zlib.compress(body, _GZIP_LEVEL, zlib.MAX_WBITS + 16)
    else:
        import cramjam  # noqa: PLC0415 - most services never need it

        if coding.name == "zstd":
            result = bytes(cramjam.zstd.compress(body, _ZSTD_LEVEL))
        else:
            result = bytes(cramjam.lz4.compress_block(body, store_size=False))
            lines += b"X-LZ4-Original-Length: %d\r\n" % len(body)
    return Compressed(result, lines) if len(result) < len(body) or coding.always else None
