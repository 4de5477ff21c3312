"""Reading and writing the wire format of Protocol Buffers, without a package for it.

The presets' messages are few and small in structure and large in numbers, so this file knows the wire format
(https://protobuf.dev/programming-guides/encoding/) and no descriptors: ``fields`` cuts a message into its
fields, ``integers`` and ``fixed`` turn runs of numbers into arrays without a loop over elements and, where
the wire format allows it, without a copy; messages are written as lists of parts that are joined once.

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
_SHORT = [bytes((value,)) for value in range(0x80)]
_WIDTHS = {FIXED64: 8, FIXED32: 4}

Field = tuple[int, int, int, memoryview]
"""Number, wire type, the value if it is a varint (else 0), the bytes of the value without tag and length."""


def fields(message: memoryview) -> Iterator[Field]:
    """The fields of a message (flat, format "B") in the order in which they stand."""
    at, end = 0, len(message)
    while at < end:
        tag, at = _varint(message, at)
        if tag > _MAX_TAG or tag < 8:
            raise BadRequest(f"not a protobuf message: field number {tag >> 3}")
        wire = tag & 7
        if wire == VARINT:
            first = at
            value, at = _varint(message, at)
            yield tag >> 3, wire, value, message[first:at]
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
    if at < len(message) and message[at] < 0x80:
        return message[at], at + 1
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


def int32(value: int) -> int:
    """The value of an int32 or enum field: its low 32 bits, signed."""
    return (value + 0x8000_0000 & 0xFFFF_FFFF) - 0x8000_0000


def integers(runs: list[memoryview], bits: int = 64) -> np.ndarray:
    """The values of a repeated int64, int32 (``bits=32``: the low ones) or bool field, as int64 or int32.

    uint8 when all are below 128, and then, if there is one run, a view of it.

    Args:
        runs: what ``fields`` gave: packed runs and single numbers, in any mixture.
        bits: 64 or 32.
    """
    for run in runs:
        if len(run) and run[-1] >= 0x80:
            raise BadRequest("the protobuf message is truncated inside a number")
    numbers = _varints(np.frombuffer(_joined(runs), np.uint8))
    if numbers.dtype == np.uint8:
        return numbers
    signed = numbers.view(np.int64)
    return signed if bits == 64 else signed.astype(np.int32)


def few_integers(runs: list[memoryview]) -> Iterator[int]:
    """The values of a repeated int64 field one by one: quicker than ``integers`` where they are a handful."""
    for run in runs:
        at = 0
        while at < len(run):
            value, at = _varint(run, at)
            yield (value + 0x8000_0000_0000_0000 & 0xFFFF_FFFF_FFFF_FFFF) - 0x8000_0000_0000_0000


def fixed(runs: list[memoryview], dtype: np.dtype) -> np.ndarray:
    """The values of a repeated float or double field; a view if there is one packed run."""
    for run in runs:
        if len(run) % dtype.itemsize:
            raise BadRequest(
                f"the protobuf message is truncated: {len(run)} bytes are no {dtype.name} numbers"
            )
    return np.frombuffer(_joined(runs), dtype.newbyteorder("<"))


def _joined(runs: list[memoryview]) -> memoryview | bytes:
    """Several runs as one; the run itself if it is the only one."""
    return runs[0] if len(runs) == 1 else b"".join(runs)


def _varints(raw: np.ndarray) -> np.ndarray:
    """The numbers of bytes that end with the end of a number, as uint64; the bytes if all are below 128."""
    last = np.flatnonzero(raw < 0x80)  # the last byte of each number
    if len(last) == len(raw):
        return raw
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


def varint(value: int) -> bytes:
    """One varint; negative numbers in two's complement of 64 bits."""
    if 0 <= value < 0x80:
        return _SHORT[value]
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


Part = bytes | memoryview
"""A piece of a message that is being written."""


def header(number: int, size: int) -> bytes:
    """Tag and length of a field of bytes, a string, a message or a packed run."""
    return varint(number << 3 | LEN) + varint(size)


def number_field(number: int, value: int) -> bytes:
    """A varint field; nothing for 0, the default of proto3."""
    return varint(number << 3 | VARINT) + varint(value) if value else b""


def bytes_field(number: int, value: bytes) -> bytes:
    """A field of bytes, a string or a message, written even when it is empty."""
    return header(number, len(value)) + value


def packed_field(number: int, run: Part) -> list[Part]:
    """A packed run, or raw bytes; nothing when there are none."""
    return [header(number, len(run)), run] if len(run) else []


def message_field(number: int, parts: list[Part]) -> list[Part]:
    """A field that holds a message, written even when it is empty."""
    return [header(number, sum(map(len, parts))), *parts]


def raw(array: np.ndarray) -> memoryview:
    """The bytes of an array in C order, little endian; a view of it if it has them so already."""
    flat = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(-1)
    return flat.view(np.uint8).data
