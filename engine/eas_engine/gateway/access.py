"""The access log: a line of JSON for each answer, when somebody wants one (``--access-log``).

Without it no line of this file runs, and answers go the short way. With it every answer goes the way of the
unusual ones (``Connection.answered``), and its line is written by a thread of its own; lines that find no
room because the disk is slow are counted in a line ``{"lost": ...}``.

* One line an answer, in the order of the answers; one with status 499 (nginx's) for a client that left before
  its answer.
* ``reopen`` (SIGUSR1, as for nginx) goes on in a new file of the same name: logrotate may move the old one.
* The service's token is never in it, even where a client has put it into the URL.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from eas_engine.errors import ConfigurationError
from eas_engine.telemetry.lines import LineWriter

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from eas_engine.clock import Clock
    from eas_engine.gateway.head import Head
    from eas_engine.request import Ticket

GONE = 499
"""The status of a client that left, as in nginx's logs."""
_LOST = b'{"lost": %d}\n'
_LAST_MOMENT = 2.0  # seconds for the disk to take what is left at the end
_HIDDEN_MINIMUM = 6  # characters; a shorter token would hide too much else


class AccessLog:
    """Writes to a file, or to stdout (``-``), between ``__enter__`` and ``__exit__``."""

    def __init__(self, place: str, clock: Clock, token: str = "") -> None:
        """Opens the file.

        Raises:
            ConfigurationError: it can't be opened.
        """
        self._path = None if place == "-" else Path(place).absolute()
        self._clock = clock
        try:
            self._fd = 1 if self._path is None else _open(self._path)
        except OSError as error:
            raise ConfigurationError(f"--access-log {place}: {error.strerror}") from None
        self._writer = LineWriter(self._fd, lost=_LOST)
        self._hidden: set[str] = set()
        self.hide(token)

    def __repr__(self) -> str:
        return f"<AccessLog {self._path or 'stdout'} {self._writer!r}>"

    def __enter__(self) -> Self:
        self._writer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        written = self._writer.close(_LAST_MOMENT)
        if self._path is not None and written:  # else the thread still uses the descriptor
            os.close(self._fd)

    def hide(self, token: str) -> None:
        """This is the service's token, too: lines to come are without it, and without those before."""
        if len(token) >= _HIDDEN_MINIMUM:
            self._hidden |= {token, quote(token, safe="")}

    def reopen(self) -> None:
        """Go on in a file of the same name: a new one, if the old one was moved away.

        Raises:
            OSError: it can't be opened; the old one goes on.
        """
        if self._path is not None:
            fresh = _open(self._path)
            os.dup2(fresh, self._fd, inheritable=False)  # at once, for the writing thread, too
            os.close(fresh)

    def note(  # noqa: PLR0917 - as the gateway calls it
        self,
        peer: object,
        head: Head | None,
        ticket: Ticket | None,
        status: int,
        sent: int,
        now: float,
        request_id: bytes,
        received: int,
        code: str = "",
    ) -> None:
        """One answer.

        Args:
            peer: the client's address as the transport tells it.
            head: of the request; None if it couldn't be read.
            ticket: None if it was never admitted.
            status: of the answer.
            sent: bytes of the answer's body.
            now: the monotonic clock's.
            request_id: the answer's ``X-Request-Id``.
            received: bytes of the request's body.
            code: ``X-EAS-Error``, if the engine made the answer.
        """
        queue = process = total = 0.0
        if ticket is not None:
            total = now - ticket.arrived
            queue = max(0.0, (ticket.begun or now) - ticket.queued)
            process = ticket.process_us / 1e6 if ticket.begun else 0.0
        line = {
            "time": datetime.fromtimestamp(self._clock.wall(), UTC).isoformat(timespec="milliseconds"),
            "client": peer[0] if isinstance(peer, tuple) and peer else str(peer or ""),
            "method": "" if head is None else _text(head.method),
            "target": "" if head is None else self._without_token(_text(head.target)),
            "status": status,
            "error": code,
            "bytes_in": received,
            "bytes_out": sent,
            "seconds": round(total, 6),
            "queue": round(queue, 6),
            "process": round(process, 6),
            "request_id": self._without_token(_text(request_id)),
        }
        self._writer.put(json.dumps(line).encode() + b"\n")

    def _without_token(self, text: str) -> str:
        for token in self._hidden:
            text = text.replace(token, "[hidden]")
        return text


def _open(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")
