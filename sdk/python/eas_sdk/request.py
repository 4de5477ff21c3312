"""A request as the processor sees it.

The host makes one for every call, a hundred thousand times a second, so the constructor only stores what it
gets: the client's raw head is parsed when a field of it is first asked for, and the body is never copied.

A request is valid during the call that got it. Afterwards the engine reuses the memory of a large body, and
``cancelled`` may speak about somebody else: keep ``bytes(request.body)``, not the request.
"""

from __future__ import annotations

import re
import time
from typing import Dict, Iterator, Mapping, NamedTuple, Optional, Tuple, Union

_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")


class Headers(Mapping[str, str]):
    """Header fields: immutable, names in lower case, look-ups in any case, repeated fields joined by ", "."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Dict[str, str]) -> None:
        """``fields``: the values by lower-case name; kept, not copied."""
        self._fields = fields

    def __getitem__(self, name: str) -> str:
        return self._fields[name.lower()]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._fields

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"Headers({self._fields!r})"


class _Head(NamedTuple):
    """The parsed head of a request."""

    method: str
    path: str
    query: str
    headers: Headers


class Request:
    """One HTTP request. Made by the engine; for tests use ``Request.build``.

    Attributes:
        body: the client's bytes, unchanged: ``bytes``, or a read-only ``memoryview`` (flat, format "B") when
            the body is large. ``len``, slices, ``numpy.frombuffer``, ``struct`` and ``bytes(body)`` work on
            both. Empty for GET and HEAD.
        deadline: the instant of ``time.monotonic()``, in seconds, at which the engine answers 408 by itself.
    """

    __slots__ = ("_flags", "_head", "_number", "_parsed", "_prefix", "_slot", "body", "deadline")
    _parsed: _Head

    def __init__(  # noqa: PLR0917 - positional, because the one caller is the hot path
        self,
        head: bytes,
        body: Union[bytes, memoryview],
        deadline: float,
        request_id_prefix: str,
        number: int,
        flags: Union[memoryview, bytes, bytearray],
        slot: int,
    ) -> None:
        """For the host.

        Args:
            head: request line and header lines as the client sent them, separated by CRLF; what follows the
                last line, the blank line included, may be missing. ``b""``: nothing is known.
            body: the body, whole.
            deadline: see the class.
            request_id_prefix: first part of a made ``request_id``.
            number: second part of it.
            flags: one byte a slot, not 0 = cancelled; shared with the engine.
            slot: the index of this request in ``flags``.
        """
        self._head = head
        self.body = body
        self.deadline = deadline
        self._prefix = request_id_prefix
        self._number = number
        self._flags = flags
        self._slot = slot

    @classmethod
    def build(
        cls,
        body: Union[bytes, bytearray, memoryview, str] = b"",
        method: str = "POST",
        path: str = "/",
        headers: Optional[Mapping[str, str]] = None,
        *,
        query: str = "",
        timeout: float = 5.0,
        cancelled: bool = False,
    ) -> Request:
        """A request for a test.

        Args:
            body: ``str`` is encoded as UTF-8.
            method: as the property.
            path: as the property.
            headers: field values by name, in any case.
            query: as the property.
            timeout: seconds from now to the deadline.
            cancelled: what ``cancelled`` says.
        """
        target = f"{path}?{query}" if query else path
        lines = [
            f"{method} {target} HTTP/1.1",
            *(f"{name}: {value}" for name, value in (headers or {}).items()),
        ]
        content = body.encode() if isinstance(body, str) else body
        if not isinstance(content, (bytes, memoryview)):
            content = bytes(content)
        head = "\r\n".join(lines).encode("latin-1")
        return cls(head, content, time.monotonic() + timeout, "test", 1, bytes((cancelled,)), 0)

    @property
    def method(self) -> str:
        """``"POST"``, ``"GET"`` or ``"HEAD"``."""
        return self._parse().method

    @property
    def path(self) -> str:
        """The path of the URL, ``/api/predict/<name>[/suffix]``, percent-encoded as the client sent it."""
        return self._parse().path

    @property
    def query(self) -> str:
        """What follows the ``?`` of the URL, percent-encoded, without the ``?``; ``""`` without one."""
        return self._parse().query

    @property
    def headers(self) -> Headers:
        """The header fields; names in lower case, values decoded as Latin-1."""
        return self._parse().headers

    @property
    def request_id(self) -> str:
        """The client's ``X-Request-Id`` if it is 1 to 128 visible ASCII characters, else one made here.

        It is what the answer's ``X-Request-Id`` and the engine's log say.
        """
        given = self._parse().headers.get("x-request-id", "")
        return given if _REQUEST_ID.fullmatch(given) else f"{self._prefix}-{self._number:04x}"

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for the answer any more (the client left, or was answered 408).

        Cheap; long computations may look at it now and then and give up by raising anything.
        """
        return self._flags[self._slot] != 0

    def received(self) -> Tuple[bytes, str, int, Union[memoryview, bytes, bytearray], int]:
        """For the host: what the constructor got as ``head`` and behind ``deadline``."""
        return self._head, self._prefix, self._number, self._flags, self._slot

    def remaining(self) -> float:
        """Seconds until the deadline; negative when it is over."""
        return self.deadline - time.monotonic()

    def _parse(self) -> _Head:
        """The head, parsed once. Two threads that race here do the same work twice, nothing worse."""
        try:
            return self._parsed
        except AttributeError:  # not parsed yet; setting it to None for each request would cost every request
            self._parsed = _parsed(self._head)
            return self._parsed

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.path} {len(self.body)} bytes>"


def _parsed(head: bytes) -> _Head:
    """The parts of a head that the gateway has already found to be valid HTTP/1.1."""
    start, *lines = head.decode("latin-1").split("\r\n")
    method, _, rest = start.partition(" ")
    path, _, query = _origin_form(rest.partition(" ")[0]).partition("?")
    fields: Dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            continue  # the blank line at the end, if it was sent along
        key, text = name.lower(), value.strip(" \t")
        fields[key] = f"{fields[key]}, {text}" if key in fields else text
    return _Head(method, path, query, Headers(fields))


def _origin_form(target: str) -> str:
    """The target without scheme and authority (absolute-form, RFC 9112 section 3.2.2)."""
    if target.startswith("/") or "://" not in target:
        return target
    authority_and_path = target.partition("://")[2]
    cut = min((i for i in map(authority_and_path.find, "/?") if i >= 0), default=len(authority_and_path))
    path = authority_and_path[cut:]
    return path if path.startswith("/") else "/" + path
