"""Which of a process's last lines say what it died of. No I/O.

Python's ``faulthandler`` tells it at the top: first the error, then the frames of the thread that met it, the
innermost first. The last lines of such a dump are the ground that all programs stand on.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_FATAL: Final = re.compile(r"Fatal Python error: ")
_THREAD: Final = re.compile(r"(?:Current thread|Thread) 0x[0-9a-f]+ .*\(most recent call first\)")
_CURRENT: Final = "Current thread 0x"
_INSIDE: Final = ("  File ", "  ...", "  <", "  Binary file ")


def telling(lines: Sequence[str], count: int) -> list[str]:
    """At most ``count`` of them: the last ones, or the first ones that tell of a dump, if there is one.

    Of a dump with several threads those of the one that met the error come behind the error itself.
    """
    begin = dump_begin(lines)
    if begin is None:
        return list(lines[-count:])
    dump = [line for line in lines[begin:] if line.strip()]
    current = next((at for at, line in enumerate(dump) if line.startswith(_CURRENT)), 0)
    head = dump[:1] if current and _FATAL.match(dump[0]) else []
    return (head + dump[current:])[:count]


def dump_begin(lines: Sequence[str]) -> int | None:
    """The place of the first line of the last dump; None: there is none."""
    places = range(len(lines) - 1, -1, -1)
    if (fatal := next((at for at in places if _FATAL.match(lines[at])), None)) is not None:
        return fatal
    begin = next((at for at in places if _THREAD.match(lines[at])), None)
    while begin is not None:
        above = begin - 1
        while above >= 0 and (not lines[above].strip() or lines[above].startswith(_INSIDE)):
            above -= 1
        if above < 0 or not _THREAD.match(lines[above]):
            return begin
        begin = above
    return None
