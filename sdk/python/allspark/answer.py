"""What ``process`` returned, as status and bytes.

The rules, wider than the documentation of EAS because code in the wild is:

* ``(body, status)`` is the documented form. A lone ``bytes``, ``bytearray``, ``memoryview`` or ``str`` is a
  body with status 200. Any other shape raises ``TypeError`` that says what came (``None``: a forgotten
  ``return``).
* Body: ``bytes``, ``bytearray`` and ``memoryview`` as they are, ``str`` as UTF-8, ``None`` as nothing, and
  numbers as ``str()`` of them. EAS documents no more; for what else comes, the least harmful is done, and
  said once for each type on stderr: ``dict``, ``list``, ``tuple`` and arrays (whatever has ``tolist``)
  become JSON, because Python's ``repr`` could be read by no client in another language and cuts large
  arrays short; other objects are sent as ``str()`` of them if their class says what that is, and raise
  ``TypeError`` if it doesn't.
* Status: 0 and 200 are 200; 201 to 599 pass; every other number is 400. Numbers are whatever has
  ``__index__`` (``int``, ``http.HTTPStatus``, NumPy's integers), integral floats, and the text of an
  integer. Bools are refused with ``TypeError``: ``False`` would be 0 and so mean success.
"""

from __future__ import annotations

import json
import numbers
import operator
import sys
from typing import Set, Tuple, Union

BytesLike = Union[bytes, bytearray, memoryview]

_told: Set[type] = set()
"""Types of bodies that stderr has been told of."""


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
    if body is None:
        return b""
    if isinstance(body, (str, numbers.Number)):
        return str(body).encode()
    return _converted(body)


def _converted(body: object) -> bytes:
    """What EAS doesn't document; ``TypeError`` when it can't be told how a client should read it."""
    kind = type(body)
    if isinstance(body, (dict, list, tuple)) or _is_array(body):
        try:
            text, how = json.dumps(body, ensure_ascii=False, default=_plain), "JSON"
        except (TypeError, ValueError) as error:
            raise TypeError(f"process() returned a {kind.__name__} that can't be JSON ({error})") from None
    elif kind.__str__ is object.__str__ and kind.__repr__ is object.__repr__:
        raise TypeError(f"process() returned a body of type {kind.__name__}; expected bytes or str")
    else:
        text, how = str(body), "str() of it"
    if kind not in _told:
        _told.add(kind)
        print(
            f"allspark: process() returned a body of type {kind.__name__}, which is sent as {how}; "
            "return bytes or str to choose what clients get",
            file=sys.stderr,
        )
    return text.encode()


def _is_array(body: object) -> bool:
    return hasattr(body, "tolist") and bool(getattr(body, "ndim", True))  # NumPy's scalars have it, too


def _plain(value: object) -> object:
    """NumPy's arrays and scalars as Python's own; for ``json.dumps``."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"there is a {type(value).__name__} in it")


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
