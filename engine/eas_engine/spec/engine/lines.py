"""Where the keys of a TOML file stand: ``tomllib`` doesn't say.

Only for files that ``tomllib`` has read, so this doesn't check anything. What stands inside an inline table
has the line of the key in front of it, which is where it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_PART: Final = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_PATH: Final = rf"{_PART}(?:\s*\.\s*{_PART})*"
_TABLE: Final = re.compile(rf"\s*\[\s*({_PATH})\s*\]")
_KEY: Final = re.compile(rf"\s*({_PATH})\s*=(.*)")
_EACH: Final = re.compile(_PART)
_LONG: Final = re.compile(r'"""|\'\'\'')
_CLOSED: Final = re.compile(r""""(?:[^"\\]|\\.)*"|'[^']*'|\#.*""")


def lines(text: str) -> dict[tuple[str, ...], int]:
    """The line of every table and key, counted from 1, by its path."""
    found: dict[tuple[str, ...], int] = {}
    above: tuple[str, ...] = ()
    for number, line in _outside_values(text):
        if table := _TABLE.match(line):
            above = _parts(table[1])
            found.setdefault(above, number)
        elif key := _KEY.match(line):
            path = (*above, *_parts(key[1]))
            for length in range(len(above) + 1, len(path) + 1):
                found.setdefault(path[:length], number)
    return found


def _outside_values(text: str) -> Iterator[tuple[int, str]]:
    """The lines that begin outside of a value: not inside a long string, nor a list over several lines."""
    quotes, depth = "", 0
    for number, line in enumerate(text.split("\n"), start=1):
        if not quotes and depth == 0:
            yield number, line
        rest = line
        while True:
            if quotes:
                _, closing, rest = rest.partition(quotes)
                if not closing:
                    break
                quotes = ""
            opening = _LONG.search(rest)
            if opening is None:
                break
            quotes, rest = opening[0], rest[opening.end() :]
        if not quotes and (depth or "=" in line):
            bare = _CLOSED.sub("", line)
            depth = max(0, depth + bare.count("[") - bare.count("]"))


def _parts(path: str) -> tuple[str, ...]:
    return tuple(one.strip("\"'") for one in _EACH.findall(path))
