"""The chunked coding (RFC 9112, 7.1): bytes in, the body out. Pure; strict as ``head`` is."""

from __future__ import annotations

import re

from eas_engine.errors import BadRequest, BodyTooLarge

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?")
_TRAILER = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*")
_LONGEST_LINE = 4096
_LONGEST_TRAILER = 16 * 1024


class Chunked:
    """Decodes one body into ``body``; done when ``rest`` isn't None, which is what followed the body."""

    def __init__(self, limit: int) -> None:
        self.body = bytearray()
        self.rest: bytes | None = None
        self._limit = limit
        self._left = 0  # of the chunk being read, its CRLF included
        self._line = b""
        self._trailer: int | None = None
        self._overhead = 0

    def __repr__(self) -> str:
        return f"<Chunked {len(self.body)} bytes, {'done' if self.rest is not None else 'open'}>"

    def feed(self, data: bytes) -> None:
        """Take `data`.

        Raises:
            BadRequest: it isn't the chunked coding, or the coding's own bytes are out of all proportion.
            BodyTooLarge: over the limit.
        """
        at, end = 0, len(data)
        while at < end:
            if self._left:
                at = self._data(data, at, end)
                continue
            stop = data.find(b"\n", at)
            if stop < 0:
                self._line += data[at:]
                self._bound(0)
                return
            line, self._line, at = self._line + data[at : stop + 1], b"", stop + 1
            self._bound(len(line))
            if not line.endswith(b"\r\n"):
                raise BadRequest("bare LF in a chunked body")
            if self._take_line(line[:-2]):
                self.rest = data[at:]
                return

    def _data(self, data: bytes, at: int, end: int) -> int:
        taken = min(self._left, end - at)
        payload = min(taken, self._left - 2)
        if payload > 0:
            self.body += data[at : at + payload]
        ending = b"\r\n"[2 - self._left + max(payload, 0) :] if payload < taken else b""
        given = data[at + max(payload, 0) : at + taken]
        if given != ending[: len(given)]:
            raise BadRequest("a chunk is longer than its size says")
        self._left -= taken
        return at + taken

    def _take_line(self, line: bytes) -> bool:
        """A size line or a line of the trailer; True: it was the end of the body."""
        if self._trailer is not None:
            self._trailer += len(line)
            if line and (not _TRAILER.fullmatch(line) or self._trailer > _LONGEST_TRAILER):
                raise BadRequest("malformed trailer")
            return not line
        match = _SIZE.fullmatch(line)
        if match is None:
            raise BadRequest("malformed chunk size")
        size = int(match[1], 16)
        if size > self._limit - len(self.body):
            raise BodyTooLarge
        if size:
            self._left = size + 2
        else:
            self._trailer = 0
        return False

    def _bound(self, line: int) -> None:
        """Size lines may cost as much as the body they carry, not more (a one-byte chunk takes six bytes)."""
        self._overhead += line
        if len(self._line) > _LONGEST_LINE or line > _LONGEST_LINE:
            raise BadRequest("a chunk's size line is too long")
        if self._overhead > 64 * 1024 + 8 * len(self.body):
            raise BadRequest("too many bytes of coding for so little body")
