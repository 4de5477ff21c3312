"""What ``Accept-Encoding`` fields ask for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_engine.gateway.accept import NONE, Coding, choose

CODINGS = {"", "gzip", "zstd", "lz4-raw"}


@pytest.mark.parametrize(
    ("field", "name"),
    [
        (None, ""),
        (b"", ""),
        (b"gzip", "gzip"),
        (b"GZip", "gzip"),
        (b"x-gzip", "gzip"),
        (b"zstd", "zstd"),
        (b"gzip, deflate, br, zstd", "zstd"),
        (b"gzip, deflate", "gzip"),
        (b"zstd;q=0.5, gzip;q=0.9", "gzip"),
        (b"zstd;q=0.5, gzip ; q=0.5", "zstd"),
        (b"gzip;q=0", ""),
        (b"gzip;q=0.000, zstd;q=0.001", "zstd"),
        (b"deflate, br", ""),
        (b"identity", ""),
        (b"identity, gzip;q=0.5", ""),
        (b"identity;q=0.5, gzip;q=0.5", "gzip"),
        (b"*", "gzip"),
        (b"*;q=0", ""),
        (b"*;q=0, zstd", "zstd"),
        (b"gzip;q=0, *", "zstd"),
        (b"*;q=0.1, zstd;q=0.2", "zstd"),
        (b"lz4-raw", "lz4-raw"),
        (b"lz4-raw, gzip;q=0.9", "lz4-raw"),
        (b"lz4", ""),
        (b"gzip;q=2, zstd;q=x, br;level=3", ""),
        (b",, gzip ,", "gzip"),
        (b"g\xffzip, \xff", ""),
    ],
)
def test_which_coding(field: bytes | None, name: str) -> None:
    assert choose(field).name == name


@pytest.mark.parametrize(
    ("field", "coding"),
    [
        (b"gzip, identity;q=0", Coding("gzip", always=True)),
        (b"zstd, *;q=0", Coding("zstd", always=True)),
        (b"gzip, identity;q=0.1, *;q=0", Coding("gzip", always=False)),
        (b"identity;q=0", NONE),  # nothing that we have: the answer is better than none
        (b"br, *;q=0", NONE),
    ],
)
def test_who_doesn_t_take_identity_gets_small_answers_coded_too(field: bytes, coding: Coding) -> None:
    assert choose(field) == coding


@given(st.binary(max_size=60))
def test_any_field_is_read(field: bytes) -> None:
    assert choose(field).name in CODINGS


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["gzip", "zstd", "lz4-raw", "identity", "*", "br"]),
            st.sampled_from(["", ";q=0", ";q=0.3", "; q=0.7", " ;\tq=1"]),
        ),
        max_size=6,
    )
)
def test_nothing_is_chosen_that_was_refused(members: list[tuple[str, str]]) -> None:
    chosen = choose(", ".join(name + quality for name, quality in members).encode())
    taken = {name for name, quality in members if quality != ";q=0"}
    assert not chosen.name or chosen.name in taken or ("*" in taken and chosen.name != "lz4-raw")
