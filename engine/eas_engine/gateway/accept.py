"""``Accept-Encoding``: which coding an answer may have (RFC 9110, 12.5.3). Pure.

Offered are ``zstd`` and ``gzip``, in this order where the client likes them equally, and ``lz4-raw``, which
is ours: the raw LZ4 block that the platform's Java client reads, with its length in a header field. That one
must be asked for by name.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_OFFERED: Final = ("zstd", "gzip", "lz4-raw")
_BY_STAR: Final = ("gzip", "zstd")
"""Who says ``*`` has named nothing; gzip is what everything reads."""
_MEMBER: Final = re.compile(
    r"([!#$%&'*+\-.^_`|~0-9a-z]+)(?:[ \t]*;[ \t]*q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?))?"
)


class Coding(NamedTuple):
    """What a request says of its answer's coding."""

    name: str = ""
    """Of the coding to use; empty: none."""
    always: bool = False
    """``identity`` isn't acceptable: small answers are coded, too."""


NONE: Final = Coding()


def choose(field: bytes | None) -> Coding:
    """The coding that an ``Accept-Encoding`` field asks for. What can't be read in it is passed over."""
    if not field:
        return NONE
    wanted: dict[str, float] = {}
    for part in field.decode("latin-1").lower().split(","):
        member = _MEMBER.fullmatch(part.strip(" \t"))
        if member is not None:
            name = "gzip" if member[1] == "x-gzip" else member[1]
            wanted[name] = max(wanted.get(name, 0.0), float(member[2] or 1))
    star = wanted.get("*")
    offers = [(wanted[name], name) for name in _OFFERED if name in wanted]
    if star is not None:
        offers += [(star, name) for name in _BY_STAR if name not in wanted]
    worth, best = max(offers, key=lambda offer: offer[0], default=(0.0, ""))  # of equals the first
    if not worth or wanted.get("identity", 0.0) > worth:
        return NONE
    return Coding(best, always=wanted.get("identity", star) == 0.0)
