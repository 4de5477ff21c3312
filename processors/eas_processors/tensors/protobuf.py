"""Reading and writing the wire format of Protocol Buffers, without a package for it.

The presets' messages are few and small in structure and large in numbers, so this file knows the wire format
(https://protobuf.dev/programming-guides/encoding/) and no descriptors: ``fields`` cuts a message into its
fields, ``varints`` and ``fixed`` turn runs of numbers into arrays without a loop over elements and, where the
wire format allows it, without a copy.

As any reader of protobuf should: fields of unknown number or unexpected wire type are the caller's to skip,
repeated numbers may come packed, unpacked or in several packed runs. Refused with ``BadRequest``: truncated
messages, varints of more than 10 bytes, groups (obsolete; none of the presets' messages has one), field
number 0. No size is believed before the bytes for it are there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from eas_processors.tensors.errors import BadRequest

VARINT: Final = 0
FIXED64: Final = 1
LEN: Final = 2
FIXED32: Final = 5

_MAX_TAG = 0xFFFF_FFFF  # field numbers have 29 bits
_VARINT_BYTES = 10
_WIDTHS = {FIXED64: 8, FIXED32: 4}

Field = tuple[int, int, int, memoryview]
"""Number, wire type, the value of a varint (else 0), the bytes of any other (else empty)."""

_NOTHING = memoryview(b"")


def fields(message: memoryview) -> Iterator[Field]:
    """The fields of a message (flat, format "B") in the order in which they stand."""
    at, end = 0, len(message)
    while at < end:
        tag, at = _varint(message, at)
        if tag > _MAX_TAG or tag < 8:
            raise BadRequest(f"not a protobuf message: field number {tag >> 3}")
        wire = tag & 7
        if wire == VARINT:
            number, at = _varint(message, at)
            yield tag >> 3, wire, number, _NOTHING
            continue
        if wire == LEN:
            size, at = _varint(message, at)
        elif wire in _WIDTHS:
            size = _WIDTHS[wire]
        else:
            raise BadRequest(f"not a protobuf message: wire type {wire} in field {tag >> 3}")
        if size > end - at:
            raise BadRequest(
                f"the protobuf message is truncated: field {tag >> 3} has {size} bytes, {end - at} are left"
            )
        yield tag >> 3, wire, 0, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """The varint at a position, as an unsigned number of 64 bits, and the position behind it."""
    value = 0
    for index, byte in enumerate(message[at : at + _VARINT_BYTES]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at + index + 1
    if len(message) - at < _VARINT_BYTES:
        raise BadRequest("the protobuf message is truncated inside a number")
    raise BadRequest("not a protobuf message: a number of more than 10 bytes")


def text(value: memoryview) -> str:
    """A ``string`` field, which is UTF-8."""
    try:
        return str(value, "utf-8")
    except UnicodeDecodeError:
        raise BadRequest(f"not a protobuf message: the string {bytes(value[:40])!r} is not UTF-8") from None


def varints(run: memoryview) -> np.ndarray:
    """The numbers of a packed run of varints, as uint64 (signed ones in two's complement).

    uint8 when all are below 128: then the run itself is the array.
    """
    raw = np.frombuffer(run, np.uint8)
    last = np.flatnonzero(raw < 0x80)  # the last byte of each number
    if len(last) == len(raw):
        return raw
    if not len(last) or last[-1] != len(raw) - 1:
        raise BadRequest("the protobuf message is truncated inside a number")
    first = np.empty_like(last)
    first[0] = 0
    first[1:] = last[:-1] + 1
    lengths = last - first + 1
    longest = int(lengths.max())
    if longest > _VARINT_BYTES:
        raise BadRequest("not a protobuf message: a number of more than 10 bytes")
    values = (raw[first] & 0x7F).astype(np.uint64)
    for index in range(1, longest):
        longer = np.flatnonzero(lengths > index)
        part = (raw[first[longer] + index] & 0x7F).astype(np.uint64)
        values[longer] |= part << np.uint64(7 * index)
    return values


def fixed(run: memoryview, dtype: np.dtype) -> np.ndarray:
    """The numbers of a packed run of little-endian floats or doubles: a view of the run."""
    if len(run) % dtype.itemsize:
        raise BadRequest(f"the protobuf message is truncated: {len(run)} bytes are no {dtype.name} numbers")
    return np.frombuffer(run, dtype.newbyteorder("<"))


def varint(value: int) -> bytes:
    """One varint; negative numbers in two's complement of 64 bits."""
    value &= 0xFFFF_FFFF_FFFF_FFFF
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def packed_varints(values: np.ndarray) -> bytes:
    """A packed run of integers or bools; negative ones have 10 bytes, as in int32 and int64 fields."""
    flat = values.reshape(-1)
    if not flat.size:
        return b""
    if flat.dtype.kind == "b" or (flat.min() >= 0 and flat.max() < 0x80):
        return flat.astype(np.uint8).tobytes()
    unsigned = flat.astype(np.int64).view(np.uint64) if flat.dtype.kind == "i" else flat.astype(np.uint64)
    lengths = np.ones(len(unsigned), np.intp)
    for index in range(1, _VARINT_BYTES):
        longer = unsigned >= np.uint64(1 << (7 * index))
        if not longer.any():
            break
        lengths += longer
    behind = np.cumsum(lengths)
    first = behind - lengths
    out = np.empty(int(behind[-1]), np.uint8)
    for index in range(int(lengths.max())):
        has = np.flatnonzero(lengths > index)
        part = (unsigned[has] >> np.uint64(7 * index)).astype(np.uint8)
        out[first[has] + index] = part | 0x80
    out[behind - 1] &= 0x7F
    return out.tobytes()


def header(number: int, size: int) -> bytes:
    """Tag and length of a field of bytes, a string, a message or a packed run."""
    return varint(number << 3 | LEN) + varint(size)


def number_field(number: int, value: int) -> bytes:
    """A varint field; nothing for 0, the default of proto3."""
    return varint(number << 3 | VARINT) + varint(value) if value else b""


def bytes_field(number: int, value: bytes) -> bytes:
    """A field of bytes, a string or a message, written even when it is empty."""
    return header(number, len(value)) + value


def packed_field(number: int, run: bytes) -> bytes:
    """A packed run; nothing when it is empty."""
    return header(number, len(run)) + run if run else b""
