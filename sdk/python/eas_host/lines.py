"""Lines of several threads, kept whole where no GIL does it.

``print("a", "b")`` writes four pieces. With a GIL nothing comes between them, because no thread gives it up
before the line's end is flushed. Without one every piece is a chance for another thread. So there each
thread's line is kept aside until it ends, is flushed, or is longer than ``_LONGEST``.
"""

from __future__ import annotations

import io
import sys
import threading
from typing import Dict

_LONGEST = 8192
"""Characters of an unfinished line that are kept; what a pipe takes at once is 4096 bytes anyway."""


def has_gil() -> bool:
    """Whether this interpreter runs one thread at a time."""
    ask = getattr(sys, "_is_gil_enabled", None)  # since Python 3.13
    return True if ask is None else bool(ask())


class WholeLines(io.TextIOWrapper):
    """Takes the place of ``sys.stdout`` or ``sys.stderr``, which it makes unusable.

    A thread that ends in the middle of a line leaves the beginning here, and the process may end without it.
    """

    mode = "w"

    def __init__(self, stream: io.TextIOWrapper) -> None:
        stream.flush()
        errors, encoding = stream.errors, stream.encoding
        super().__init__(stream.detach(), encoding=encoding, errors=errors, line_buffering=True)
        self._begun: Dict[int, str] = {}  # by thread

    def write(self, text: str) -> int:
        """Write the lines that are complete now, in one piece."""
        thread = threading.get_ident()
        whole = self._begun.pop(thread, "") + text
        end = len(whole) if len(whole) > _LONGEST else whole.rfind("\n") + 1
        if end:
            super().write(whole[:end])
        if end < len(whole):
            self._begun[thread] = whole[end:]
        return len(text)

    def flush(self) -> None:
        """Write what this thread has begun, too."""
        begun = self._begun.pop(threading.get_ident(), "")
        if begun:
            super().write(begun)
        super().flush()


def keep_whole() -> None:
    """Replace the standard streams, if there is no GIL."""
    if not has_gil():
        sys.stdout = sys.__stdout__ = WholeLines(sys.stdout)  # type: ignore[misc,arg-type]
        sys.stderr = sys.__stderr__ = WholeLines(sys.stderr)  # type: ignore[misc,arg-type]
