"""The frames between the engine and a processor host, and the marks both keep in shared memory.

Nothing here touches a socket: bytes in, frames out (:class:`Inbox`), and packers that return bytes. Both
sides import this file, so the two can't drift apart; it is standard library only and runs on Python 3.8.

Every frame begins with a fixed header whose first field is the size of the whole frame in bytes. All numbers
are little-endian. Times are seconds of ``CLOCK_MONOTONIC``, which all processes of a machine share.

Engine to host (:data:`REQUEST`)::

    size u32 | kind u8 | pad u8 | slot u16 | head_size u32 | number u64 | deadline f64

    CALL      head_size bytes of the client's head as it came, then the body
    CALL_AT   an EXTENT (where the body lies in the arena of requests), then the head
    RELEASE   an EXTENT: the answer that lay there was sent, its memory may be used again
    UNIT      a *unit of work*, the requests of one batch: the columns of :func:`unit`, then the heads, then
              the bodies that aren't in the arena. The field of the slot says how many requests they are, at
              least one. Only where a service batches, and then there is no CALL and no CALL_AT

Host to engine (:data:`ANSWER`)::

    size u32 | kind u8 | pad u8 | slot u16 | status u16 | pad u16 | process_us u32 | begun f64

    REPLY     the body; no header lines
    FULL      u32 size of the header lines, the lines (each ending in CRLF), then the body
    FULL_AT   an EXTENT (where the body lies in the host's arena), then the header lines
    RAISED    the processor raised: the exception's text. Status 400; 500: the memory of the GPU was too small
    SKIPPED   nothing: the request was withdrawn before it was begun
    BATCHED   a BATCH, the columns of :func:`replies`, and the bodies of these: the plain answers of one unit
              of work (REPLY, status 200, less than SEPARATE_BYTES), all others of which were sent before.
              The field of the slot says how many they are; process_us is the whole unit's, and begun its
              beginning. The status says how many requests were too many for the memory of the GPU in one
              call; 0: it sufficed. Only where a service batches, and then after every unit, of one request or
              of none left (all withdrawn), too

An :data:`EXTENT` is ``offset u64 | size u64``. A :data:`BATCH` is ``requests u32 | calls u32 | rows u32 |
padding u32``: how many requests were begun, with how many calls of the model they were answered, how many
rows these held, and how many of them only as padding; calls that raised don't count. The answers of a unit
all carry the unit's ``begun`` and ``process_us``.

Units have columns, one number of each request after the other, because what both sides do for each request
is what small requests cost: a whole column is packed or unpacked at once, without Python.

The *board* is one shared page range with two bytes a slot. The host writes the first (*begun*) just before it
calls the processor (of all requests of a unit just before it begins the unit), the engine writes the second
(*withdrawn*) when the request must not be begun any more. Each side writes its own byte first and reads the
other's afterwards; so when the engine looks again a little later (see ``SETTLE_SECONDS``) and begun is still
0, the host has seen the withdrawal or will see it, and never begins.

Behind these pairs each slot has a third byte (at :data:`CANCELLED` + slot), which the engine alone writes:
*cancelled*, nobody waits for the answer. Processors may read it at any time. A withdrawal doesn't say that:
what the engine takes back, still has its client, and may have been begun just then.
"""

from __future__ import annotations

import mmap
import struct
from functools import lru_cache
from typing import Any, Final, List, Tuple

REQUEST: Final[struct.Struct] = struct.Struct("<IBxHIQd")
ANSWER: Final[struct.Struct] = struct.Struct("<IBxHHxxId")
EXTENT: Final[struct.Struct] = struct.Struct("<QQ")
LINES: Final[struct.Struct] = struct.Struct("<I")
BATCH: Final[struct.Struct] = struct.Struct("<IIII")

# Kinds of frames, engine to host.
CALL: Final = 1
CALL_AT: Final = 2
RELEASE: Final = 3
UNIT: Final = 4

# Kinds of frames, host to engine.
REPLY: Final = 1
FULL: Final = 2
FULL_AT: Final = 3
RAISED: Final = 4
SKIPPED: Final = 5
BATCHED: Final = 6

SLOTS: Final = 4096  # requests that one host can hold; a slot is a request's place on the board
CANCELLED: Final = 2 * SLOTS  # where the third bytes of the board begin, one a slot
BOARD_BYTES: Final = 3 * SLOTS

#: After this time a begun mark that raced with a withdrawal is visible to the engine: processors drain their
#: store buffers within microseconds, and at every context switch.
SETTLE_SECONDS: Final = 0.001

#: Bodies from this size on go through shared memory. Below it a copy through the socket is cheaper.
SPILL_BYTES: Final = 256 * 1024

#: Answers of a unit from this size on have frames of their own: the first client's needn't wait for the last.
SEPARATE_BYTES: Final = 16 * 1024

Frame = Tuple[Tuple[Any, ...], bytes]  # the header's fields, and what follows the header


class CorruptFrame(Exception):
    """The peer sent a frame that can't be one; the link is unusable."""


@lru_cache(maxsize=64)
def unit(count: int) -> struct.Struct:
    """The columns of a UNIT of so many requests.

    Slots, sizes of heads, numbers, deadlines, sizes of bodies, and where these lie in the arena of requests
    (-1: in the frame).
    """
    return struct.Struct(f"<{count}H{count}I{count}Q{count}d{count}Q{count}q")


@lru_cache(maxsize=64)
def replies(count: int) -> struct.Struct:
    """The columns of so many plain answers of a unit: slots, and sizes of bodies."""
    return struct.Struct(f"<{count}H{count}I")


class Inbox:
    """Collects received bytes and cuts them into frames, whatever the reads looked like.

    Read into :meth:`space`, then say how many bytes came with :meth:`feed`. The buffer grows to hold the
    largest frame seen and is reused, so steady traffic allocates nothing but the payloads. It is a mapping
    because a slice of one is bytes, at a fraction of what a slice of anything else costs.
    """

    def __init__(self, header: struct.Struct, capacity: int = 256 * 1024, limit: int = 1 << 31) -> None:
        self._unpack = header.unpack_from
        self._header_size = header.size
        self._limit = limit
        self._fill = 0
        self._replace(capacity)

    def __repr__(self) -> str:
        return f"<Inbox {self._fill} of {len(self._buffer)} bytes>"

    def space(self) -> memoryview:
        """Where the next bytes go; never empty."""
        return self._view[self._fill :] if self._fill else self._view

    def feed(self, count: int) -> List[Frame]:
        """`count` bytes were put into :meth:`space`; the frames that are complete now, in order."""
        end = self._fill + count
        frames: List[Frame] = []
        append, unpack, buffer, header = frames.append, self._unpack, self._buffer, self._header_size
        at = 0
        while end - at >= header:
            fields = unpack(buffer, at)
            size: int = fields[0]
            if end - at < size:
                break
            if size < header:
                raise CorruptFrame(f"a frame of {size} bytes is smaller than its header")
            append((fields, buffer[at + header : at + size]))
            at += size
        self._keep(at, end)
        return frames

    def _keep(self, at: int, end: int) -> None:
        """Move the unfinished rest to the front, into a larger buffer when it fills this one.

        The buffer grows with what has come, not with what a header promises: making room for 2 GiB would stop
        the engine for seconds, and a header is easily wrong.
        """
        rest = self._fill = end - at
        if not rest:
            return
        wanted = self._unpack(self._buffer, at)[0] if rest >= self._header_size else 0
        if wanted > self._limit:
            raise CorruptFrame(f"a frame of {wanted} bytes is over the limit of {self._limit}")
        if at:
            self._buffer.move(0, at, rest)
        elif rest == len(self._buffer):
            full = self._view
            self._replace(2 * rest)
            self._view[:rest] = full

    def _replace(self, capacity: int) -> None:
        self._buffer = mmap.mmap(-1, capacity, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._view = memoryview(self._buffer)
