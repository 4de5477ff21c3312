"""CRC-64/XZ against its check value, a plain implementation, and crcmod's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_engine.artifacts.sources.crc64 import Crc64
from support.oss_server import crc64 as plain


def crc(*pieces: bytes) -> int:
    made = Crc64()
    for piece in pieces:
        made.update(piece)
    return made.value


def test_the_check_value() -> None:
    assert crc(b"123456789") == 0x995DC9BBDF1939FA
    assert crc() == crc(b"") == 0


@given(st.lists(st.binary(max_size=600), max_size=8))
def test_pieces_make_no_difference(pieces: list[bytes]) -> None:
    assert crc(*pieces) == plain(b"".join(pieces))


@pytest.mark.parametrize("size", [7, 8, 8191, 8192, 8193, 64 * 8192, 65 * 8192 + 5])
def test_sizes_about_the_units(size: int) -> None:
    data = bytes(number * 7 % 251 for number in range(size))
    assert crc(data) == plain(data)
    assert crc(data[:5], data[5:]) == plain(data)


def test_against_an_implementation_of_others() -> None:
    crcmod = pytest.importorskip("crcmod")
    others = crcmod.mkCrcFun(0x142F0E1EBA9EA3693, initCrc=0, xorOut=2**64 - 1, rev=True)
    data = b"\xff\x00 some bytes " * 100_000
    assert crc(data) == others(data)


def test_the_value_can_be_read_in_between() -> None:
    made = Crc64()
    made.update(b"12345")
    assert made.value == plain(b"12345")
    made.update(b"6789")
    assert made.value == 0x995DC9BBDF1939FA
