"""TLS between the loop and its sockets: the same :class:`Wire`, at another address only.

The loop knows nothing of it. What it sends before the handshake is over is kept and sent then, and events
that belong to the handshake never reach it; bytes that the system doesn't take yet are sent on when it does.
The handshake is part of the latency of the request that opened the connection, as the connect is.

Guarantees
- ``receive`` brings all that there is, of any number of records, as far as it fits: so fewer bytes than fit
  mean, as with plain sockets, that more bytes are a new event.
- What goes wrong in the handshake is raised by the next ``receive``: an OSError with EPROTO when it was TLS.
"""

from __future__ import annotations

import contextlib
import errno
import os
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from eas_bench.client.wire import BUFFER, WRITABLE, Sockets
from eas_bench.target import NotWanted

if TYPE_CHECKING:
    from eas_bench.target import Wanted

_READ: Final = 256 * 1024  # bytes from the system at once


def context(wanted: Wanted) -> ssl.SSLContext:
    """How the server is known. Raises NotWanted: the file of certificates is none."""
    try:
        made = ssl.create_default_context(cafile=wanted.cacert or None)
    except ssl.SSLError:
        raise NotWanted(f"--cacert {wanted.cacert}: there are no certificates in it; expected PEM") from None
    except OSError as error:
        raise NotWanted(f"--cacert {wanted.cacert}: can't be read: {error.strerror}") from None
    if wanted.insecure:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    made.set_alpn_protocols(["http/1.1"])
    return made


@dataclass(slots=True)
class _Session:
    """One connection's."""

    tls: ssl.SSLObject
    incoming: ssl.MemoryBIO
    outgoing: ssl.MemoryBIO
    shaking: bool = True
    kept: list[bytes] = field(default_factory=list)  # to be sent after the handshake
    unsent: memoryview = field(default_factory=lambda: memoryview(b""))  # encrypted
    ended: bool = False
    fault: OSError | None = None


class TlsSockets(Sockets):
    """Real ones, to one address; ``host``: whose certificate it must be."""

    def __init__(
        self, family: int, address: tuple[Any, ...], start: int, *, context: ssl.SSLContext, host: str
    ) -> None:
        super().__init__(family, address, start)
        self._context, self._host = context, host
        self._sessions: dict[int, _Session] = {}
        self.send = self._send
        self.receive = self._receive

    def connect(self) -> int:
        """Without waiting for it, nor for the handshake."""
        descriptor = super().connect()
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self._context.wrap_bio(incoming, outgoing, server_hostname=self._host)
        self._sessions[descriptor] = session = _Session(tls, incoming, outgoing)
        self._shake(descriptor, session)
        return descriptor

    def close(self, descriptor: int) -> None:
        """And say so: an end without it could be somebody else's doing."""
        session = self._sessions.pop(descriptor)
        if not session.shaking and session.fault is None:
            with contextlib.suppress(OSError):
                session.tls.unwrap()
            self._flush(descriptor, session)
        super().close(descriptor)

    def wait(self, until: int) -> list[tuple[int, int]]:
        """As that of plain ones, but for what is between us and the server's TLS."""
        return [event for event in super().wait(until) if self._concerns_the_loop(*event)]

    def _concerns_the_loop(self, descriptor: int, mask: int) -> bool:
        session = self._sessions.get(descriptor)
        if session is None:
            return True
        if session.unsent and mask & WRITABLE:
            self._flush(descriptor, session)
        if not session.shaking or session.fault is not None:
            return True
        self._shake(descriptor, session)
        return session.fault is not None

    def _shake(self, descriptor: int, session: _Session) -> None:
        """As far as it goes now."""
        try:
            while True:
                with contextlib.suppress(ssl.SSLWantReadError):
                    session.tls.do_handshake()
                    session.shaking = False
                    break
                self._fetch(descriptor, session)  # at its end the handshake says what it misses
            for data in session.kept:
                self._encrypt(session, data)
            session.kept.clear()
        except BlockingIOError:
            pass  # more is to come, or the connection isn't there yet
        except OSError as error:
            session.fault = _told(error)
        self._flush(descriptor, session)

    def _send(self, descriptor: int, data: bytes | memoryview, /) -> int:
        session = self._sessions[descriptor]
        if session.shaking:
            session.kept.append(bytes(data))
        else:
            self._encrypt(session, data)
            self._flush(descriptor, session)
        return len(data)

    def _receive(self, descriptor: int, into: list[bytearray], /) -> int:
        session, view = self._sessions[descriptor], memoryview(into[0])
        if session.fault is not None:
            raise session.fault
        got, more = 0, True
        while got < BUFFER:
            try:
                size = _decrypted(session, view[got:])
            except OSError as error:
                if not got:
                    raise
                session.fault = error  # what came before it is an answer all the same
                break
            if size:
                got += size
            elif size is None and more:
                more = self._more(descriptor, session, got)
            else:
                break
        if session.outgoing.pending:
            self._flush(descriptor, session)  # TLS has an answer of its own
        if not got and not session.ended:
            raise BlockingIOError
        return got

    def _more(self, descriptor: int, session: _Session, got: int) -> bool:
        """Fetch; whether the system may have still more. Raises OSError, when nothing came before it."""
        try:
            size = self._fetch(descriptor, session)
        except BlockingIOError:
            return False
        except OSError as error:
            if not got:
                raise
            session.fault = error
            return False
        return size in {0, _READ}  # 0: TLS has to see the end, too

    def _fetch(self, descriptor: int, session: _Session) -> int:
        """What the system has; 0: the end. Raises OSError, BlockingIOError: nothing."""
        data = os.read(descriptor, _READ)
        if data:
            session.incoming.write(data)
        else:
            session.ended = True
            session.incoming.write_eof()
        return len(data)

    def _encrypt(self, session: _Session, data: bytes | memoryview) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[session.tls.write(rest) :]

    def _flush(self, descriptor: int, session: _Session) -> None:
        """What the system takes; the rest waits for an event."""
        made = session.outgoing.read()
        rest = memoryview(b"".join((session.unsent, made))) if session.unsent else memoryview(made)
        try:
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            pass
        except OSError as error:
            session.fault = session.fault or (error if session.shaking else None)
            rest = memoryview(b"")  # why, and whether there is an answer all the same, is told by an event
        session.unsent = rest


def _decrypted(session: _Session, into: memoryview) -> int | None:
    """How many bytes came of what was fetched; 0: the end; None: more must be fetched. Raises OSError."""
    try:
        size: Any = session.tls.read(len(into), into)  # given a buffer, it tells how many bytes there are
    except ssl.SSLWantReadError:
        return None
    except ssl.SSLEOFError:
        size = 0  # it ended without saying so: many servers do
    except ssl.SSLError as error:
        raise _told(error) from None
    session.ended = session.ended or not size
    return int(size)


def _told(error: OSError) -> OSError:
    """With an errno of the system's, not of OpenSSL's."""
    return OSError(errno.EPROTO, str(error)) if isinstance(error, ssl.SSLError) else error
