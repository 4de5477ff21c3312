"""``rpc.decompressor``: what each codec's bytes are, and how large they become. Pure; safe in any thread.

What is inflated goes straight into memory that the caller has made, and never over its end; so nothing here
allocates in proportion to what comes out. Where the format says how large it becomes, ``size`` says so before
any work is done; else the caller guesses, and makes more room when it is told ``TooSmall``.

Everything must be there and nothing else: a truncated body, bytes behind its end and a wrong checksum are
``Broken``. gzip may have several members, zstd, LZ4 and framed snappy several frames, one behind the other:
what programs write that append.

* ``zlib`` (RFC 1950), ``gzip`` (RFC 1952): the standard library's, which is as fast as cramjam's here and
  tells exactly where a stream ends.
* ``zstd`` (RFC 8878): frames. Most say their size.
* ``snappy``: a raw block, as the platform's clients send it, which begins with its size; or the framed
  format, which is known by its first ten bytes (no block can begin with them: they would copy what isn't
  there yet).
* ``lz4``: a raw block *without* its length, as the platform's Java client sends it; or frames, known by
  their magic number (no block can begin with it, for the same reason). Nothing in a block says how large it
  becomes, and the library doesn't tell a block that is broken from one that needs more room: see ``_walk``.

What costs more than its bytes is bounded: gzip members (20 bytes and some microseconds each), and the
sequences of an LZ4 block that are looked at one by one. ``Terms`` say how long the caller is willing to wait,
and whether it still does; a call into cramjam can't be broken off.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

import cramjam

from eas_engine.records import dataclass

Data = bytes | bytearray | memoryview

_FIRST: Final = 4 * 1024
"""Of a stream, when it begins: what isn't its own is copied."""
_PIECE: Final = 64 * 1024
_OUT: Final = 256 * 1024
_MARK: Final = bytes.fromhex("9c41e07b5ad283f61fb86cd4370ea952")
"""Lies at the end of the memory before it is written to: it is gone if there wasn't enough."""

_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_LZ4_MAGIC: Final = b"\x04\x22\x4d\x18"
_SNAPPY_MAGIC: Final = b"\xff\x06\x00\x00sNaPpY"

_GZIP_MAGIC: Final = b"\x1f\x8b"

# zlib's words for what it finds in a head and behind the end.
_HEADER_ERRORS: Final = frozenset(
    {
        "incorrect header check",
        "unknown compression method",
        "invalid window size",
        "unknown header flags set",
        "header crc mismatch",
    }
)
_CHECK_ERRORS: Final = {"incorrect data check": "checksum", "incorrect length check": "length"}

_MEMBERS: Final = 20_000
"""Of a gzip body: block-compressed gzip (BGZF) of 1 GiB has 16,500. They take 0.15 s at most."""
_FEW_MEMBERS: Final = 64

# What a byte can become at most.
_DEFLATE_RATIO: Final = 1032
_SNAPPY_RATIO: Final = 22  # a copy of 64 bytes takes three
_LZ4_RATIO: Final = 255

_LZ4_MOST: Final = 2**31 - 1
_NO_BLOCK: Final = "truncated, or no LZ4 block"
_SEQUENCES: Final = 1 << 16
_FEW_SEQUENCES: Final = 512
_NOT_255: Final = re.compile(rb"[^\xff]", re.DOTALL)


class Broken(Exception):
    """It isn't what the codec writes, or not all of it, or more than that."""


class TooSmall(Exception):
    """The memory was too small. ``needed`` bytes would be enough; 0: nobody knows how many."""

    def __init__(self, needed: int = 0) -> None:
        super().__init__(f"{needed or 'more'} bytes are needed")
        self.needed = needed


class Unfinished(Exception):
    """Broken off, as the terms want it: try again in a thread, or nobody waits any more."""


class Terms(NamedTuple):
    """How long the caller is willing to wait."""

    quick: bool = False
    """Less than about a millisecond."""
    gone: Callable[[], bool] = bool
    """Whether nobody wants it any more; asked now and then, from the thread that inflates."""


PATIENT: Final = Terms()
QUICK: Final = Terms(quick=True)


class Into(Protocol):
    """Fills memory with what data becomes, and says how much that is."""

    def __call__(self, data: Data, into: memoryview, terms: Terms = PATIENT, /) -> int:
        """Broken, TooSmall, Unfinished."""


@dataclass(frozen=True, slots=True)
class Size:
    """How large a body becomes. ``certain``: so large at least, or it is broken; else a hint, 0 for none."""

    value: int = 0
    certain: bool = False


@dataclass(frozen=True, slots=True)
class Codec:
    """One value of ``rpc.decompressor``."""

    name: str
    size: Callable[[Data], Size]
    """What the body says of itself. Broken: it can't be true."""
    inflate: Into
    """Not for an empty body."""


# -- zlib and gzip


def _inflate_zlib(data: Data, into: memoryview, terms: Terms = PATIENT) -> int:
    used, done = _stream(memoryview(data), into, zlib.MAX_WBITS, terms)
    if used < len(data):
        raise Broken(f"there are {len(data) - used} bytes behind its end")
    return done


def _inflate_gzip(data: Data, into: memoryview, terms: Terms = PATIENT) -> int:
    view = memoryview(data)
    at = done = members = 0
    while not members or at < len(view):
        if at and view[at] != _GZIP_MAGIC[0]:
            raise Broken(f"there are {len(view) - at} bytes behind its end")
        members += 1
        if members > _MEMBERS:
            raise Broken(f"it has more than {_MEMBERS} members")
        if terms.quick and members > _FEW_MEMBERS:
            raise Unfinished
        used, written = _stream(view[at:], into[done:], zlib.MAX_WBITS + 16, terms)
        at, done = at + used, done + written
    return done


def _stream(data: memoryview, into: memoryview, bits: int, terms: Terms) -> tuple[int, int]:
    """One stream: how many bytes it was, and how many it has become."""
    stream = zlib.decompressobj(bits)
    at = done = 0
    piece: Data = b""
    try:
        while not stream.eof:
            if terms.gone():
                raise Unfinished
            if not piece:
                if at == len(data):
                    raise Broken("it ends too early")
                piece = data[at : at + (_PIECE if at else _FIRST)]
                at += len(piece)
            # One byte more than there is room for shows that there is too little.
            out = stream.decompress(piece, min(_OUT, len(into) - done + 1))
            piece = stream.unconsumed_tail
            if len(out) > len(into) - done:
                raise TooSmall
            into[done : done + len(out)] = out
            done += len(out)
    except zlib.error as error:
        raise Broken(_in_words(str(error), data, "gzip" if bits > zlib.MAX_WBITS else "zlib")) from None
    return at - len(stream.unused_data), done


def _in_words(error: str, data: memoryview, name: str) -> str:
    """What zlib complains of, ``Error -3 while decompressing data: incorrect header check`` for instance."""
    detail = error.rpartition(": ")[2]
    if detail in _HEADER_ERRORS:
        return f"this is no {name} data: it begins with {bytes(data[:4]).hex(' ')}"
    if detail in _CHECK_ERRORS:
        return f"it is damaged: wrong {_CHECK_ERRORS[detail]}"
    return f"it is damaged: {detail}"


def _gzip_size(data: Data) -> Size:
    """The last member's, by its trailer: nearly always the only one, but bytes behind it look the same."""
    size = int.from_bytes(data[-4:], "little")
    return Size(size if size <= _DEFLATE_RATIO * len(data) else 0)


# -- frames


def _framed(call: Callable[[Data, memoryview], int]) -> Into:
    """`call` fills the memory to its last byte when there is too little; it says so in words alone."""

    def inflate(data: Data, into: memoryview, _: Terms = PATIENT) -> int:
        mark = _MARK[: len(into)]
        end = into[len(into) - len(mark) :]
        end[:] = mark
        try:
            return call(data, into)
        except cramjam.DecompressionError as error:
            if end != mark:
                raise TooSmall from None
            raise Broken(str(error)) from None

    return inflate


def _zstd_size(data: Data) -> Size:
    """The first frame's (RFC 8878, 3.1.1.1)."""
    if data[:4] != _ZSTD_MAGIC or len(data) < 6:
        return Size()
    descriptor = data[4]
    single = descriptor >> 5 & 1
    at = 5 + (not single) + (0, 1, 2, 4)[descriptor & 3]
    width = (single, 2, 4, 8)[descriptor >> 6]
    if not width or len(data) < at + width:
        return Size()
    size = int.from_bytes(data[at : at + width], "little") + (256 if width == 2 else 0)
    return Size(size, certain=True)


def _lz4_size(data: Data) -> Size:
    """The first frame's, where it says so; of a block nothing is known."""
    if data[:4] != _LZ4_MAGIC or len(data) < 15 or not data[4] & 8:
        return Size()
    size = int.from_bytes(data[6:14], "little")
    if size > _LZ4_RATIO * len(data):
        raise Broken("its frame says that it is larger than it can be")
    return Size(size, certain=True)


_inflate_lz4_frames: Final = _framed(cramjam.lz4.decompress_into)
_inflate_zstd: Final = _framed(cramjam.zstd.decompress_into)
_inflate_snappy_frames: Final = _framed(cramjam.snappy.decompress_into)


# -- blocks


def _snappy_size(data: Data) -> Size:
    if data[:10] == _SNAPPY_MAGIC:
        return Size()
    size = shift = 0
    for byte in bytes(data[:5]):
        size |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            if size > _SNAPPY_RATIO * len(data):
                raise Broken("its first bytes say that it is larger than it can be")
            return Size(size, certain=True)
    raise Broken("no size in its first bytes")


def _inflate_snappy(data: Data, into: memoryview, _: Terms = PATIENT) -> int:
    if data[:10] == _SNAPPY_MAGIC:
        return _inflate_snappy_frames(data, into)
    needed = _snappy_size(data).value
    if needed > len(into):
        raise TooSmall(needed)
    try:
        return cramjam.snappy.decompress_raw_into(data, into)
    except cramjam.DecompressionError as error:
        raise Broken(str(error)) from None


def _inflate_lz4(data: Data, into: memoryview, terms: Terms = PATIENT) -> int:
    if data[:4] == _LZ4_MAGIC:
        return _inflate_lz4_frames(data, into)
    try:
        size = cramjam.lz4.decompress_block_into(data, into, min(len(into), _LZ4_MOST))
        if not size and data[0]:  # the first byte of something else, very likely
            raise Broken(_NO_BLOCK)
        return size
    except cramjam.DecompressionError:
        needed = _walk(memoryview(data), _FEW_SEQUENCES if terms.quick else _SEQUENCES)
        if needed is None and terms.quick:
            raise Unfinished from None
        if len(into) >= (_LZ4_RATIO * len(data) if needed is None else needed):
            raise Broken(_NO_BLOCK) from None
        raise TooSmall(needed or 0) from None


def _walk(block: memoryview, most: int) -> int | None:
    """How large an LZ4 block becomes, by its sequences; None: it has more of them than are looked at.

    A sequence is a token, literals, and a copy of what came before; the last one has no copy. An interpreted
    loop is a hundred times as slow as inflating, but only blocks come here that are broken or become more
    than what was guessed: the more they become, the fewer sequences they have (long lengths are skipped at
    once).

    Raises:
        Broken: its sequences don't end where it does, or one copies what isn't there (what is something else
            altogether is known by its first ones).
    """
    at = size = 0
    end = len(block)
    for _ in range(most):
        if at >= end:
            break
        token = block[at]
        literals, at = _length(block, token >> 4, at + 1)
        at += literals
        size += literals
        if at == end:
            return size
        if at + 2 <= end and not 0 < block[at] | block[at + 1] << 8 <= size:
            raise Broken("it copies what isn't there")
        copied, at = _length(block, token & 15, at + 2)
        size += copied + 4
    else:
        return None
    raise Broken(_NO_BLOCK)


def _length(block: memoryview, nibble: int, at: int) -> tuple[int, int]:
    """A length that may go on behind the token, and where what follows it begins."""
    if nibble < 15:
        return nibble, at
    last = _NOT_255.search(block, at)
    if last is None:
        raise Broken(_NO_BLOCK)
    return 15 + 255 * (last.start() - at) + block[last.start()], last.start() + 1


CODECS: Final[Mapping[str, Codec]] = MappingProxyType(
    {
        codec.name: codec
        for codec in (
            Codec("zlib", lambda _: Size(), _inflate_zlib),
            Codec("gzip", _gzip_size, _inflate_gzip),
            Codec("snappy", _snappy_size, _inflate_snappy),
            Codec("zstd", _zstd_size, _inflate_zstd),
            Codec("lz4", _lz4_size, _inflate_lz4),
        )
    }
)
