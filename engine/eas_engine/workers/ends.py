"""What the engine and one host share: the link's socketpair, the board, and the arena of answers.

Made by the engine before the host is executed, inherited by it, mapped once by each side.
"""

from __future__ import annotations

import mmap
import os
import socket
from typing import TYPE_CHECKING

from eas_engine.workers.bodies import make_shared
from eas_host import wire
from eas_host.arena import map_read_only

if TYPE_CHECKING:
    from eas_engine.workers.bodies import Bodies

_ANSWERS_BYTES = 64 << 30  # address space, not memory: the file is sparse
_SOCKET_BYTES = 1 << 20


class Ends:
    """Both ends, until the host has its own."""

    def __init__(self, bodies: Bodies, request_prefix: str) -> None:
        self.socket, self._theirs = socket.socketpair()
        for end in (self.socket, self._theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BYTES)
        self.socket.setblocking(False)
        self._board = make_shared("eas-board", wire.BOARD_BYTES)
        self.marks = memoryview(mmap.mmap(self._board, wire.BOARD_BYTES))
        """The board (``wire``): begun and withdrawn of each slot, then cancelled of each."""
        self.words = self.marks.cast("H")
        """The same; begun and withdrawn of a slot at once."""
        self._answers, self.answers = _make_answers()
        own = (self._theirs.fileno(), self._board, self._answers, bodies.fd)
        self.fds = tuple(fd for fd in own if fd >= 0)  # what the host inherits
        self._description: dict[str, object] = {
            "link": self._theirs.fileno(),
            "board": {"fd": self._board},
            "requests": bodies.describe(),
            "answers": {"fd": self._answers, "size": _ANSWERS_BYTES} if self._answers >= 0 else None,
            "request_prefix": request_prefix,
        }

    def __repr__(self) -> str:
        return f"<Ends {self.fds}>"

    def describe(self) -> dict[str, object]:
        """What the host must know of ``fds``."""
        return dict(self._description)

    def started(self) -> None:
        """The host has its copies; ours would keep the link open after its death. May be called twice."""
        self._theirs.close()
        for fd in (self._board, self._answers):
            if fd >= 0:
                os.close(fd)
        self._board = self._answers = -1

    def close(self) -> None:
        """The host is gone."""
        self.socket.close()
        self.started()


def _make_answers() -> tuple[int, memoryview]:
    try:
        fd = make_shared("eas-answers", _ANSWERS_BYTES)
        return fd, map_read_only(fd, _ANSWERS_BYTES)
    except OSError:
        return -1, memoryview(b"")
