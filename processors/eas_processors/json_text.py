"""Bodies in JSON, read more strictly than ``json.loads`` does: what it would pass over is an error here.

A name that stands twice in an object (of which the last would count), and texts that are no text: bytes that
aren't UTF-8, and lone surrogates, which no answer or log could hold. ``NaN`` and ``Infinity`` are numbers, as
Python has them.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

_SHOWN = 60
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
"""Half of an escaped pair, or a lone one."""


class Repeated(ValueError):
    """A name stands twice in one object."""


def loads(body: bytes | memoryview, *, surrogates: bool = False) -> Any:
    """The value of a body.

    Args:
        body: of a request.
        surrogates: lone ones are the caller's business, who can say in which input they are.

    Raises:
        ValueError: it is no JSON, or see above; the message says what is wrong with "the body".
    """
    raw = bytes(body)
    try:
        text = raw.decode(json.detect_encoding(raw))
        value = json.loads(text, object_pairs_hook=_object)
        if not surrogates and _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except Repeated as error:
        raise ValueError(f"the body has a name twice in one object: {error}") from None
    except UnicodeEncodeError:
        raise ValueError("the body has a text with a lone surrogate, which is no character") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the body is no JSON: {error}") from error
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        raise Repeated(shown(counts.most_common(1)[0][0]))
    return found


def shown(value: Any) -> str:
    """A value as JSON, cut to a readable length, that can be sent."""
    text = json.dumps(value[:_SHOWN] if isinstance(value, str) else value, ensure_ascii=False)
    text = text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
    return text.encode(errors="replace").decode()
