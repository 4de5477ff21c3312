"""Frames: the same out as in, however the bytes are cut; and nothing but frames."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_host import wire

payloads = st.lists(st.one_of(st.binary(max_size=60), st.binary(min_size=900, max_size=1100)), max_size=12)
sizes = st.lists(st.integers(1, 400), min_size=1, max_size=30)
HEADERS = st.sampled_from([wire.REQUEST, wire.ANSWER])


def frame(header: struct.Struct, number: int, payload: bytes) -> bytes:
    size = header.size + len(payload)
    if header is wire.REQUEST:
        return wire.REQUEST.pack(size, wire.CALL, number, 3, 1 << 40 | number, 1.5) + payload
    return wire.ANSWER.pack(size, wire.REPLY, number, 599, 0xFFFFFFFF, 1.5) + payload


def feed(inbox: wire.Inbox, data: bytes) -> list[wire.Frame]:
    frames = []
    while data:
        space = inbox.space()
        assert len(space) > 0
        now, data = data[: len(space)], data[len(space) :]
        space[: len(now)] = now
        frames += inbox.feed(len(now))
    return frames


@given(
    payloads, HEADERS, st.lists(st.integers(1, 400), min_size=1, max_size=30), st.sampled_from([32, 64, 4096])
)
def test_frames_come_out_as_they_went_in_under_any_split(
    bodies: list[bytes], header: struct.Struct, cuts: list[int], capacity: int
) -> None:
    inbox = wire.Inbox(header, capacity=capacity)
    data = b"".join(frame(header, n, body) for n, body in enumerate(bodies))
    frames: list[wire.Frame] = []
    n = 0
    while data:
        cut = cuts[n % len(cuts)]
        frames += feed(inbox, data[:cut])
        data = data[cut:]
        n += 1
    assert [payload for _, payload in frames] == bodies
    assert [fields[2] for fields, _ in frames] == list(range(len(bodies)))
    assert all(
        header.pack(*fields) == frame(header, fields[2], payload)[: header.size] for fields, payload in frames
    )
    assert repr(inbox).startswith("<Inbox 0 of")


@given(payloads)
def test_payloads_are_copies(bodies: list[bytes]) -> None:
    inbox = wire.Inbox(wire.ANSWER, capacity=4096)
    first = feed(inbox, b"".join(frame(wire.ANSWER, 0, body) for body in bodies))
    feed(inbox, frame(wire.ANSWER, 1, b"\xff" * 4000))
    assert [payload for _, payload in first] == bodies


@given(st.binary(max_size=3000), HEADERS)
def test_garbage_is_refused_or_waited_for_but_takes_no_memory(garbage: bytes, header: struct.Struct) -> None:
    inbox = wire.Inbox(header, capacity=64, limit=1 << 16)
    try:
        frames = feed(inbox, garbage)
    except wire.CorruptFrame:
        frames = []
    assert sum(header.size + len(payload) for _, payload in frames) <= len(garbage)
    assert len(inbox.space().obj) <= 1 << 16  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [0, 1, wire.ANSWER.size - 1])
def test_a_frame_smaller_than_its_header_is_corrupt(size: int) -> None:
    with pytest.raises(wire.CorruptFrame, match="smaller"):
        feed(wire.Inbox(wire.ANSWER), struct.pack("<I", size) + bytes(wire.ANSWER.size))


def test_a_frame_over_the_limit_is_corrupt_before_memory_is_taken_for_it() -> None:
    inbox = wire.Inbox(wire.ANSWER, capacity=64, limit=1000)
    with pytest.raises(wire.CorruptFrame, match="over the limit"):
        feed(inbox, struct.pack("<I", 1001) + bytes(wire.ANSWER.size))
    assert len(inbox.space().obj) == 64  # type: ignore[arg-type]


def test_room_is_made_for_what_has_come_and_not_for_what_a_header_promises() -> None:
    inbox = wire.Inbox(wire.ANSWER, capacity=64)
    header = wire.ANSWER.pack((1 << 31) - 1, wire.REPLY, 0, 200, 0, 0.0)
    inbox.space()[: len(header)] = header
    assert inbox.feed(len(header)) == []
    assert len(inbox.space()) < 1024


def test_a_frame_of_exactly_the_limit_and_of_exactly_the_buffer() -> None:
    inbox = wire.Inbox(wire.ANSWER, capacity=64, limit=128)
    assert len(feed(inbox, frame(wire.ANSWER, 0, b"x" * (64 - wire.ANSWER.size)))) == 1
    assert len(feed(inbox, frame(wire.ANSWER, 0, b"x" * (128 - wire.ANSWER.size)))) == 1


def test_the_buffer_grows_to_the_largest_frame_and_is_used_again() -> None:
    inbox = wire.Inbox(wire.ANSWER, capacity=64)
    big = frame(wire.ANSWER, 0, b"x" * 5000)
    feed(inbox, big)
    memory = inbox.space().obj
    feed(inbox, big * 3)
    assert inbox.space().obj is memory


def test_the_headers_are_what_the_text_says() -> None:
    assert (wire.REQUEST.size, wire.ANSWER.size, wire.EXTENT.size, wire.LINES.size) == (28, 24, 16, 4)
    assert wire.BATCH.size == 16
    assert (wire.unit(16).size, wire.replies(16).size) == (16 * (2 + 4 + 8 + 8 + 8 + 8), 16 * (2 + 4))
    assert wire.BOARD_BYTES == 3 * wire.SLOTS <= 3 * 65536
    kinds = [wire.REPLY, wire.FULL, wire.FULL_AT, wire.RAISED, wire.SKIPPED, wire.BATCHED]
    assert len(set(kinds)) == 6
    assert len({wire.CALL, wire.CALL_AT, wire.RELEASE, wire.UNIT}) == 4
