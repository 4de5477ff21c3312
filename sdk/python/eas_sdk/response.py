"""An answer with a status and header fields of its own, and how any result becomes bytes.

Everything is checked when a ``Response`` is made, so that the traceback shows the line that made it. The
engine frames the answer itself: fields about the connection, the length or its own verdict are refused.
"""

from __future__ import annotations

import operator
import re
from functools import lru_cache
from typing import Iterable, Mapping, Optional, Tuple, Union

Body = Union[bytes, bytearray, memoryview, str]
"""A body: bytes-like objects are sent as they are, ``str`` as UTF-8."""

BytesLike = Union[bytes, bytearray, memoryview]
Fields = Union[Mapping[str, str], Iterable[Tuple[str, str]]]
Answer = Tuple[int, BytesLike, bytes]
"""Status, body, and the encoded header lines (each ends in CRLF; no blank line)."""

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # token, RFC 9110 section 5.6.2
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")  # field-value with obs-text, RFC 9110 section 5.5

ENGINE_FIELDS = frozenset(
    (
        "connection",
        "content-length",
        "date",
        "keep-alive",
        "proxy-authenticate",
        "proxy-connection",
        "server",
        "server-timing",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-eas-error",
        "x-eas-retryable",
        "x-request-id",
    )
)
"""Header fields that belong to the engine: framing and hop-by-hop (RFC 9110 section 7.6.1), and its own."""


class Response:
    """An answer: body, status and header fields. Immutable.

    Args:
        body: bytes-like (sent as it is) or ``str`` (sent as UTF-8).
        status: 200 to 599. EAS clients treat only exactly 200 as success; 204 and 304 go without a body.
        headers: a mapping, or pairs when a name repeats (``Set-Cookie``). Values are Latin-1 text.

    Raises:
        TypeError: a body, status, name or value of a wrong type.
        ValueError: a status out of range, a name or value that HTTP doesn't allow, or a field in
            ``ENGINE_FIELDS``.
    """

    __slots__ = ("_body", "_head", "_status")

    def __init__(self, body: Body = b"", status: int = 200, headers: Optional[Fields] = None) -> None:
        self._body = encode_body(body)
        self._status = _checked_status(status)
        self._head = b"" if headers is None else encode_headers(headers)

    @property
    def body(self) -> BytesLike:
        """The body as it is sent."""
        return self._body

    @property
    def status(self) -> int:
        """The HTTP status, 200 to 599."""
        return self._status

    @property
    def headers(self) -> Tuple[Tuple[str, str], ...]:
        """The header fields as (name, value) pairs, in the order given."""
        lines = self._head.decode("latin-1").split("\r\n")[:-1]
        return tuple((name, value) for name, _, value in (line.partition(": ") for line in lines))

    def encoded(self) -> Answer:
        """Status, body and header lines as the engine sends them."""
        return self._status, self._body, self._head

    def __repr__(self) -> str:
        return f"Response({len(self._body)} bytes, status={self._status}, headers={dict(self.headers)!r})"


def answer(result: object) -> Answer:
    """What a native processor returned, as the engine sends it; ``TypeError`` for what it can't send."""
    if isinstance(result, Response):
        return result.encoded()
    if isinstance(result, (bytes, bytearray, memoryview, str)):
        return 200, encode_body(result), b""
    hint = "; for another status return eas_sdk.Response(body, status)" if isinstance(result, tuple) else ""
    raise TypeError(
        f"process() returned {result!r:.80} ({type(result).__name__}); expected bytes, str or Response{hint}"
    )


def encode_body(body: object) -> BytesLike:
    """A body as flat bytes; a ``memoryview`` of another shape or item size is flattened in memory order."""
    if isinstance(body, (bytes, bytearray)):
        return body
    if isinstance(body, str):
        return body.encode()
    if isinstance(body, memoryview):
        if not body.c_contiguous:
            return body.tobytes()
        return body if body.ndim == 1 and body.format == "B" else body.cast("B")
    raise TypeError(f"a body is bytes, bytearray, memoryview or str, not {type(body).__name__}")


def encode_headers(headers: Fields) -> bytes:
    """Header fields as lines that end in CRLF; raises as ``Response`` does."""
    # dict first: the look at an abstract class costs as much as all the rest
    pairs = headers.items() if isinstance(headers, (dict, Mapping)) else headers
    return b"".join([_line(name, value) for name, value in pairs])


@lru_cache(maxsize=128)
def _line(name: object, value: object) -> bytes:
    """One encoded field. Cached: a service sends the same few fields with every answer."""
    if not isinstance(name, str) or not isinstance(value, str):
        raise TypeError(f"header fields are str, not {name!r}: {value!r}")
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a valid header name")
    if name.lower() in ENGINE_FIELDS:
        raise ValueError(f"the header {name!r} is set by the engine and can't be set by a processor")
    if not _VALUE.fullmatch(value):
        raise ValueError(f"{value!r} is not a valid value for the header {name!r}")
    return f"{name}: {value.strip()}\r\n".encode("latin-1")


def _checked_status(status: object) -> int:
    """The status as an int; bools are refused, because ``True`` is 1 and means nothing here."""
    if type(status) is int and 200 <= status <= 599:
        return status
    if isinstance(status, bool) or not hasattr(status, "__index__"):
        raise TypeError(f"a status is a number, not {status!r}")
    number = operator.index(status)
    if not 200 <= number <= 599:
        raise ValueError(f"a status is 200 to 599, not {number}")
    return number
