"""Lists of CPUs as the kernel writes them: ``0-3,8``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

HIGHEST: Final = 8191
"""The highest CPU number that Linux can be built for."""
_RANGE: Final = re.compile(r"([0-9]{1,4})(?:-([0-9]{1,4}))?")


@lru_cache(maxsize=256)  # a ledger has the same few lists again and again
def numbers(text: str) -> tuple[int, ...]:
    """The numbers of ``text``, ascending, each once.

    Errors: ValueError with the words "expected ...".
    """
    found: set[int] = set()
    for part in text.split(","):
        match = _RANGE.fullmatch(part.strip())
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not first <= last <= HIGHEST:
            raise ValueError('expected numbers and ranges of them, such as "0-3,8"')
        found.update(range(first, last + 1))
    return tuple(sorted(found))


def text(cpus: Iterable[int]) -> str:
    """The shortest list: ``0-3,8``; empty for no CPUs."""
    ranges: list[list[int]] = []
    for cpu in sorted(set(cpus)):
        if ranges and cpu == ranges[-1][1] + 1:
            ranges[-1][1] = cpu
        else:
            ranges.append([cpu, cpu])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)
