"""What the codecs of ``rpc.decompressor`` take and refuse, with memory that is exactly as large as it is."""

from __future__ import annotations

import contextlib
import gzip
import struct
import zlib
from collections.abc import Callable

import cramjam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_engine.gateway import codecs
from eas_engine.gateway.codecs import CODECS, QUICK, Broken, Terms, TooSmall, Unfinished

WRITERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "zlib": ("zlib", zlib.compress),
    "gzip": ("gzip", gzip.compress),
    "zstd": ("zstd", lambda data: bytes(cramjam.zstd.compress(data))),
    "snappy block": ("snappy", lambda data: bytes(cramjam.snappy.compress_raw(data))),
    "snappy frames": ("snappy", lambda data: bytes(cramjam.snappy.compress(data)) or b"\xff\x06\0\0sNaPpY"),
    "lz4 block": ("lz4", lambda data: bytes(cramjam.lz4.compress_block(data, store_size=False))),
    "lz4 frames": ("lz4", lambda data: bytes(cramjam.lz4.compress(data))),
}
"""How clients write: the codec's name, and the function."""
SEVERAL = ["gzip", "zstd", "snappy frames", "lz4 frames"]
TEXT = b"".join(b"line %d of many, more or less alike\n" % n for n in range(5000))
NOISE = b"".join(zlib.crc32(b"%d" % n).to_bytes(4, "big") for n in range(750))
BODIES = st.binary(max_size=300) | st.builds(
    lambda part, n: part * n, st.binary(max_size=40), st.integers(1, 999)
)

every_writer = pytest.mark.parametrize("writer", WRITERS)


def packed(writer: str, data: bytes) -> bytes:
    return WRITERS[writer][1](data)


def inflated(writer: str, body: bytes, room: int) -> bytes:
    """What comes out, into memory with a fence behind it."""
    memory = bytearray(b"F" * (room + 64))
    size = CODECS[WRITERS[writer][0]].inflate(body, memoryview(memory)[:room])
    assert memory[room:] == b"F" * 64
    return bytes(memory[:size])


@every_writer
@given(data=BODIES, more=st.integers(0, 5000))
def test_every_body_comes_back_into_memory_of_its_size_or_more(writer: str, data: bytes, more: int) -> None:
    assert inflated(writer, packed(writer, data), len(data) + more) == data


@every_writer
@pytest.mark.parametrize("data", [TEXT, NOISE, bytes(3_000_000)], ids=["text", "noise", "zeros"])
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_large_bodies_from_any_kind_of_memory(
    writer: str, data: bytes, kind: Callable[[bytes], bytes]
) -> None:
    assert inflated(writer, kind(packed(writer, data)), len(data)) == data


@every_writer
@given(data=BODIES.filter(lambda data: len(data) > 16), part=st.floats(0, 1, exclude_max=True))
def test_too_little_memory_is_told_from_broken(writer: str, data: bytes, part: float) -> None:
    room = max(16, int(part * len(data)))
    with pytest.raises(TooSmall) as told:
        inflated(writer, packed(writer, data), room)
    assert told.value.needed in {0, len(data)}


@every_writer
@pytest.mark.parametrize("data", [TEXT, NOISE, b"short"], ids=["text", "noise", "short"])
def test_a_body_that_ends_early_is_broken_and_never_a_smaller_one(writer: str, data: bytes) -> None:
    body = packed(writer, data)
    for end in {1, 2, 3, 5, len(body) // 3, len(body) // 2, len(body) - 5, len(body) - 1} & {
        *range(1, len(body))
    }:
        with pytest.raises(Broken):
            inflated(writer, body[:end], 2 * len(data) + 5000)


@pytest.mark.parametrize(
    ("writer", "body", "said"),
    [
        ("gzip", b"hello", "this is no gzip data: it begins with 68 65 6c 6c"),
        ("zlib", gzip.compress(TEXT), "this is no zlib data: it begins with 1f 8b 08 00"),
        ("gzip", gzip.compress(TEXT)[:-1], "it ends too early"),
        ("zlib", zlib.compress(TEXT)[:9], "it ends too early"),
        ("gzip", gzip.compress(TEXT) + b"xyz", "there are 3 bytes behind its end"),
        ("zlib", zlib.compress(TEXT) + b"xyz", "there are 3 bytes behind its end"),
        ("zlib", zlib.compress(TEXT)[:-4] + b"0000", "it is damaged: wrong checksum"),
        ("gzip", gzip.compress(TEXT)[:-4] + b"0000", "it is damaged: wrong length"),
        ("zlib", b"\x78\x9c\xff\xff", "it is damaged: invalid block type"),
    ],
)
def test_what_zlib_complains_of_is_said_in_words(writer: str, body: bytes, said: str) -> None:
    with pytest.raises(Broken) as broken:
        inflated(writer, body, len(TEXT) + 100)
    assert str(broken.value) == said


@every_writer
@pytest.mark.parametrize("behind", [b"\0", b"garbage!", bytes(100)])
def test_bytes_behind_the_end_are_broken(writer: str, behind: bytes) -> None:
    with pytest.raises(Broken):
        inflated(writer, packed(writer, TEXT) + behind, 2 * len(TEXT))


@pytest.mark.parametrize("writer", SEVERAL)
@given(parts=st.lists(BODIES, min_size=1, max_size=4))
def test_members_and_frames_one_behind_the_other_are_one_body(writer: str, parts: list[bytes]) -> None:
    body = b"".join(packed(writer, part) for part in parts)
    whole = b"".join(parts)
    assert inflated(writer, body, len(whole)) == whole


@pytest.mark.parametrize("writer", ["zlib", "snappy block"])  # an LZ4 block may happen to go on
def test_what_has_no_members_is_one(writer: str) -> None:
    with pytest.raises(Broken):
        inflated(writer, 2 * packed(writer, TEXT), 3 * len(TEXT))


@every_writer
@given(garbage=st.binary(min_size=1, max_size=2000))
def test_garbage_is_refused_or_fits(writer: str, garbage: bytes) -> None:
    with contextlib.suppress(Broken, TooSmall):
        assert len(inflated(writer, garbage, 8192)) <= 8192


@every_writer
@given(st.data())
def test_a_flipped_byte_never_writes_over_the_end(writer: str, data: st.DataObject) -> None:
    body = bytearray(packed(writer, TEXT[:4000]))
    at = data.draw(st.integers(0, len(body) - 1))
    body[at] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(Broken, TooSmall):
        inflated(writer, bytes(body), 4000)


@pytest.mark.parametrize("writer", ["zlib", "gzip", "snappy frames"])
def test_checksums_are_looked_at(writer: str) -> None:
    body = bytearray(packed(writer, NOISE))
    body[len(body) // 2] ^= 1
    with pytest.raises(Broken):
        inflated(writer, bytes(body), 4 * len(NOISE))


def test_each_codec_is_only_itself() -> None:
    for writer, (codec, _) in WRITERS.items():
        for other in set(CODECS) - {codec}:
            with pytest.raises((Broken, TooSmall)):
                CODECS[other].inflate(packed(writer, TEXT), memoryview(bytearray(2 * len(TEXT))))


# -- what bodies say of their size


@pytest.mark.parametrize("writer", ["zstd", "snappy block"])
@given(data=BODIES)
def test_formats_that_say_their_size_say_the_right_one(writer: str, data: bytes) -> None:
    size = CODECS[WRITERS[writer][0]].size(packed(writer, data))
    assert (size.value, size.certain) == (len(data), True)


def test_gzip_gives_a_hint_if_it_can_be_true() -> None:
    assert CODECS["gzip"].size(gzip.compress(TEXT)) == codecs.Size(len(TEXT))
    assert CODECS["gzip"].size(gzip.compress(TEXT) + b"\xff\xff\xff\xff") == codecs.Size(0)


def test_frames_of_lz4_say_their_size_when_they_have_one() -> None:
    head = b"\x04\x22\x4d\x18\x68\x40" + struct.pack("<Q", 123_456) + b"\0" * 900
    assert CODECS["lz4"].size(head) == codecs.Size(123_456, certain=True)
    assert CODECS["lz4"].size(b"\x04\x22\x4d\x18\x60\x40" + bytes(20)) == codecs.Size()
    with pytest.raises(Broken, match="larger than it can be"):
        CODECS["lz4"].size(head[:15])


@pytest.mark.parametrize("lie", [b"\xff\xff\xff\xff\x0f" + b"a" * 20, b"\xff" * 20, b"\x80" * 4])
def test_a_snappy_block_can_t_claim_more_than_22_times_itself(lie: bytes) -> None:
    with pytest.raises(Broken):
        CODECS["snappy"].size(lie)
    with pytest.raises(Broken):
        inflated("snappy block", lie, 5000)


@every_writer
@given(st.binary(max_size=30))
def test_whatever_it_is_its_size_can_be_asked_for(writer: str, start: bytes) -> None:
    codec, write = WRITERS[writer]
    for body in (start, write(b"some body")[: len(start)] + start):
        if body:
            with contextlib.suppress(Broken):
                assert CODECS[codec].size(body).value >= 0


# -- LZ4 blocks, which say nothing of themselves


@given(BODIES)
def test_the_walk_over_an_lz4_block_knows_its_size(data: bytes) -> None:
    block = packed("lz4 block", data)
    assert codecs._walk(memoryview(block), 1 << 16) == len(data)


def test_a_block_with_a_copy_of_what_isn_t_there_is_broken_at_once() -> None:
    # One literal, then a copy of 4 bytes from 9 bytes before; then five literals to end with.
    with pytest.raises(Broken, match="copies"):
        inflated("lz4 block", b"\x10a\x09\x00\x50bcdef", 5000)


def test_a_block_of_too_many_sequences_is_not_walked_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codecs, "_SEQUENCES", 100)
    block = packed("lz4 block", TEXT)
    with pytest.raises(TooSmall) as told:
        inflated("lz4 block", block, 1000)
    assert told.value.needed == 0


def test_a_bomb_of_lz4_is_known_by_its_few_sequences() -> None:
    with pytest.raises(TooSmall) as told:
        inflated("lz4 block", packed("lz4 block", bytes(50_000_000)), 1000)
    assert told.value.needed == 50_000_000


# -- what takes longer than its bytes should

EMPTY = gzip.compress(b"", mtime=0)
SEQUENCE = b"\x10a\x01\0"  # one literal, and a copy of 4 bytes from 1 byte before


def inflate(codec: str, body: bytes, terms: Terms, room: int = 64) -> int:
    return CODECS[codec].inflate(body, memoryview(bytearray(room)), terms)


def test_gzip_may_have_many_members_but_not_any_number() -> None:
    assert inflate("gzip", EMPTY * 20_000, Terms()) == 0
    with pytest.raises(Broken, match="it has more than 20000 members"):
        inflate("gzip", EMPTY * 20_001, Terms())


def test_a_member_copies_little_of_what_is_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    copied = 0
    begin = zlib.decompressobj

    class Watched:
        def __init__(self, bits: int) -> None:
            self.stream = begin(bits)

        def __getattr__(self, name: str) -> object:
            return getattr(self.stream, name)

        def decompress(self, data: memoryview, most: int) -> bytes:
            nonlocal copied
            out = self.stream.decompress(data, most)
            copied += len(self.stream.unused_data)
            return out

    monkeypatch.setattr(zlib, "decompressobj", Watched)
    assert inflate("gzip", EMPTY * 1000, Terms()) == 0
    assert copied < 1000 * 4096


@pytest.mark.parametrize(
    ("codec", "body"),
    [("gzip", EMPTY * 65), ("lz4", SEQUENCE * 513 + b"\0"), ("lz4", SEQUENCE * 4000 + b"\0")],
)
def test_who_is_in_a_hurry_is_told_what_takes_long(codec: str, body: bytes) -> None:
    with pytest.raises(Unfinished):
        inflate(codec, body, QUICK)
    with contextlib.suppress(TooSmall):
        assert inflate(codec, body, Terms()) == 0


@pytest.mark.parametrize("body", [EMPTY * 64, gzip.compress(b"a" * 64)])
def test_who_is_in_a_hurry_has_what_is_quick(body: bytes) -> None:
    assert inflate("gzip", body, QUICK) in {0, 64}


@pytest.mark.parametrize(("codec", "body"), [("gzip", EMPTY * 1000), ("zlib", zlib.compress(bytes(1 << 22)))])
def test_what_nobody_wants_any_more_is_broken_off(codec: str, body: bytes) -> None:
    asked = 0

    def gone() -> bool:
        nonlocal asked
        asked += 1
        return asked == 5

    with pytest.raises(Unfinished):
        inflate(codec, body, Terms(gone=gone), 1 << 22)
    assert asked == 5


def test_something_else_than_a_block_is_known_by_its_first_sequence() -> None:
    with pytest.raises(Broken, match="copies"):
        inflate("lz4", b"\x10a\x09\0" * 1_000_000, Terms())


def test_a_broken_block_of_many_sequences_is_broken_when_there_was_room_for_all_it_could_be() -> None:
    body = SEQUENCE * 70_000 + b"\0"
    with pytest.raises(TooSmall):
        inflate("lz4", body, Terms(), 255 * len(body) - 1)
    with pytest.raises(Broken):
        inflate("lz4", body, Terms(), 255 * len(body))
