"""Requests that must be refused: built, not sent. Behind most of them lies one that must never be served."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from eas_bench.servers import Target

TOO_LARGE = 1 << 20
"""``rpc.max_body_size`` of the service."""
_REFUSED = frozenset({400, 411, 413, 431})


@dataclass(frozen=True, slots=True)
class Bad:
    """One request and how it must be answered."""

    name: str
    data: bytes
    statuses: frozenset[int] = _REFUSED
    closes: bool = True
    """Whether the connection must end behind the answer."""


def one(target: Target, request_id: str, chance: random.Random) -> Bad:
    """Any of them."""
    return chance.choice(_KINDS)(target, request_id, chance)


def head(target: Target, *fields: str, line: str = "", token: bool = True) -> bytes:
    """A head with these fields. ``line``: another request line; ``token``: whether it is allowed in."""
    known = (*target.headers,) if token else ()
    first = line or f"POST {target.path} HTTP/1.1"
    return "\r\n".join((first, f"Host: 127.0.0.1:{target.port}", *known, *fields, "", "")).encode()


def _two_readings(target: Target, request_id: str, chance: random.Random) -> Bad:
    """Lengths that two servers would read differently: what is smuggled behind them must not be served."""
    inner = head(target, f"X-Request-Id: {request_id}-smuggled", "Content-Length: 0")
    fields = chance.choice(
        [
            (f"Content-Length: {len(inner)}", "Transfer-Encoding: chunked"),
            ("Content-Length: 0", f"Content-Length: {len(inner)}"),
            ("Content-Length: 0, 0",),
            ("Content-Length: +0",),
            ("Content-Length: -1",),
            ("Content-Length: 0x10",),
            ("Content-Length: 1_0",),
            ("Content-Length: many",),
            (f"Content-Length: {10**30}",),
            ("Transfer-Encoding: xchunked", "Content-Length: 0"),
            ("Transfer-Encoding: chunked, chunked",),
        ]
    )
    return Bad("two readings of a length", head(target, *fields) + inner)


def _malformed(target: Target, request_id: str, chance: random.Random) -> Bad:
    """Heads that aren't HTTP/1.1."""
    inner = head(target, f"X-Request-Id: {request_id}-smuggled", "Content-Length: 0")
    line = f"POST {target.path} HTTP/1.1"
    wounded = chance.choice(
        [
            head(target, "Nonsense"),
            head(target, ": nameless"),
            head(target, "X-A: b\0c"),
            head(target, "X-A: b\rC: d"),
            head(target, "X-A: b\nContent-Length: 0"),
            head(target, "Content-Length : 0"),
            head(target, "X-A: b\r\n folded"),
            head(target, line=line.replace("POST ", "POST  ")),
            head(target, line=line.replace("HTTP/1.1", "HTTP/2.0")),
            head(target, line=line.replace("HTTP/1.1", "HTTP/1.10")),
            head(target, line="\x16\x03\x01\x02"),
            head(target, *(f"X-{number}: y" for number in range(400))),
            head(target, f"X-A: {'y' * 80_000}"),
        ]
    )
    return Bad("a malformed head", wounded + inner)


def _broken_chunks(target: Target, _request_id: str, chance: random.Random) -> Bad:
    """Chunks that say nonsense about themselves."""
    chunks = chance.choice(
        [b"+0\r\n\r\n", b"0x0\r\n\r\n", b"1\r\nab\r\n0\r\n\r\n", b"0\n\n", b"f" * 17 + b"\r\n", b"zz\r\n"]
    )
    return Bad("broken chunks", head(target, "Transfer-Encoding: chunked") + chunks)


def _too_large(target: Target, _request_id: str, chance: random.Random) -> Bad:
    """A body over the limit, announced; some of it comes."""
    length = TOO_LARGE + chance.randint(1, 1 << 40)
    data = head(target, f"Content-Length: {length}") + bytes(chance.randrange(100_000))
    return Bad("a body over the limit, announced", data, frozenset({413}))


def _too_large_chunked(target: Target, _request_id: str, chance: random.Random) -> Bad:
    """A body over the limit that says so by coming."""
    size = chance.randint(1_000, 200_000)
    chunk = f"{size:x}\r\n".encode() + bytes(size) + b"\r\n"
    data = head(target, "Transfer-Encoding: chunked") + chunk * (TOO_LARGE // size + 1)
    return Bad("a body over the limit, in chunks", data, frozenset({413}))


def _stranger(target: Target, _request_id: str, chance: random.Random) -> Bad:
    """Without the token, or with another."""
    fields = chance.choice(
        [
            (),
            ("Authorization: d3Jvbmc=",),
            ("Authorization: Bearer d3Jvbmc=",),
            ("Authorization: EAS AAAA",),
            ("Authorization:",),
        ]
    )
    body = chance.randbytes(chance.randrange(5_000))
    data = head(target, *fields, f"Content-Length: {len(body)}", token=False) + body
    return Bad("a wrong token", data, frozenset({401}), closes=False)


def _lost(target: Target, _request_id: str, chance: random.Random) -> Bad:
    """To a place or by a method that there isn't."""
    line = chance.choice(
        [f"POST {target.path}-other HTTP/1.1", f"TRACE {target.path} HTTP/1.1", "POST / HTTP/1.1"]
    )
    return Bad(
        "a wrong path or method",
        head(target, "Content-Length: 0", line=line),
        frozenset({404, 405}),
        closes=False,
    )


_KINDS: tuple[Callable[[Target, str, random.Random], Bad], ...] = (
    _two_readings,
    _malformed,
    _broken_chunks,
    _too_large,
    _too_large_chunked,
    _stranger,
    _lost,
)
