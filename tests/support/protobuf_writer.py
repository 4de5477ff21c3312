"""Protobuf messages written by hand, for model files whose own packages tests do without."""

from __future__ import annotations

import struct
from typing import TypeAlias

Value: TypeAlias = "int | float | str | bytes | list[int] | list[float]"


def message(*fields: tuple[int, Value]) -> bytes:
    """A message of (field number, value) pairs.

    ``int`` is a varint, ``float`` four bytes; ``str``, ``bytes`` and messages are length-delimited; a list is
    a packed run of numbers.
    """
    return b"".join(_field(number, value) for number, value in fields)


def _field(number: int, value: Value) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    if isinstance(value, float):
        return _varint(number << 3 | 5) + struct.pack("<f", value)
    if isinstance(value, list):
        value = b"".join(_varint(one) if isinstance(one, int) else struct.pack("<f", one) for one in value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    value &= 0xFFFF_FFFF_FFFF_FFFF
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
