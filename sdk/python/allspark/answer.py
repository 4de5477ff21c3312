"""What ``process`` returned, as status and bytes.

The rules, wider than the documentation of EAS because code in the wild is:

* ``(body, status)`` is the documented form. A lone ``bytes``, ``bytearray``, ``memoryview`` or ``str`` is a
  body with status 200. Any other shape raises ``TypeError`` that says what came (``None``: a forgotten
  ``return``).
* Body: ``bytes``, ``bytearray`` and ``memoryview`` as they are, ``str`` as UTF-8, ``None`` as nothing,
  anything else (numbers, lists, arrays) as ``str()`` of it.
* Status: 0 and 200 are 200; 201 to 599 pass; every other number is 400. Numbers are whatever has
  ``__index__`` (``int``, ``http.HTTPStatus``, NumPy's integers), integral floats, and the text of an
  integer. Bools are refused with ``TypeError``: ``False`` would be 0 and so mean success.
"""

from __future__ import annotations

import operator
from typing import Tuple, Union

BytesLike = Union[bytes, bytearray, memoryview]


def answer(result: object) -> Tuple[int, BytesLike, bytes]:
    """Status, body and (always empty) header lines for what ``process`` returned."""
    if isinstance(result, tuple) and len(result) == 2:
        body, status = result
        return http_status(status), as_bytes(body), b""
    if isinstance(result, (bytes, bytearray, memoryview, str)):
        return 200, as_bytes(result), b""
    raise TypeError(f"process() returned {result!r:.80} ({type(result).__name__}); expected (body, status)")


def as_bytes(body: object) -> BytesLike:
    """A body as the client gets it."""
    if isinstance(body, (bytes, bytearray)):
        return body
    if isinstance(body, memoryview):
        return body.cast("B") if body.c_contiguous else body.tobytes()
    return b"" if body is None else str(body).encode()


def http_status(status: object) -> int:
    """The HTTP status for the status that ``process`` returned."""
    number = _number(status)
    if number in {0, 200}:
        return 200
    return number if 201 <= number <= 599 else 400


def _number(status: object) -> int:
    """The status as an int, or ``TypeError``."""
    if isinstance(status, bool):
        raise TypeError(f"process() returned the status {status!r}; expected a number such as 200")
    try:
        return operator.index(status)  # type: ignore[arg-type]  # what has no __index__ is looked at next
    except TypeError:
        pass
    try:
        number = int(status)  # type: ignore[call-overload]  # as above
        if isinstance(status, str) or number == status:
            return int(number)
    except (TypeError, ValueError, OverflowError):
        pass
    raise TypeError(f"process() returned the status {status!r}; expected a number such as 200")
