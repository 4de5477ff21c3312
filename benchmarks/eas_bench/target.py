"""What is asked, and of whom: everything that a request is made of.

The token and the key of the signature live here and in the requests; nowhere else, so that no record, no log
and no process list can show them.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import re
import socket
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import cached_property
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from eas_bench.record import Asked

TYPE: Final = "application/octet-stream"
_PATIENCE: Final = 5.0  # seconds for a connection to one of several addresses
_METHOD: Final = re.compile(r"/[A-Za-z0-9_.]+/[A-Za-z0-9_]+")
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # what RFC 9110 calls one


class NotWanted(Exception):
    """What is asked for can't be; the message says what to do instead."""


@dataclass(frozen=True)
class Wanted:
    """Requests of one kind to one place. ``bodies`` are sent in turns."""

    url: str
    method: str = "POST"
    headers: tuple[tuple[str, str], ...] = ()
    bodies: tuple[bytes, ...] = (b"",)
    token: str = field(default="", repr=False)
    signed: bool = False  # HMAC over the request with the token as key, instead of the token itself
    grpc: str = ""  # "/package.Service/Method": gRPC instead of HTTP/1.1
    cacert: str = ""  # a file of certificates, PEM, that are trusted instead of the system's
    insecure: bool = False  # whatever the server's certificate is, it is taken

    def __post_init__(self) -> None:
        """Raises NotWanted: it makes no request."""
        if "@" in self._parts.netloc:
            raise NotWanted(
                "a user name in a URL isn't sent: give -H 'Authorization: Basic ...', or --token-file"
            )
        if self._parts.scheme not in {"http", "https"} or not self._parts.hostname:
            raise NotWanted(f"{self.url!r} is no address: expected http://HOST[:PORT]/PATH, or https://...")
        if (self.cacert or self.insecure) and not self.tls:
            raise NotWanted(
                "--cacert and --insecure say which certificate is trusted: they need an https:// URL"
            )
        if self.insecure and (self.cacert or self.grpc):
            raise NotWanted(
                "--insecure trusts every certificate: give it without --cacert"
                if self.cacert
                else "gRPC doesn't trust every certificate: give --cacert FILE instead of --insecure"
            )
        if self.signed and not self.token:
            raise NotWanted("a signature needs the token as its key: give --token, --token-file or EAS_TOKEN")
        if self.grpc and not _METHOD.fullmatch(self.grpc):
            raise NotWanted(f"{self.grpc!r} is no method of gRPC: expected /package.Service/Method")
        if any(not 32 < ord(letter) < 127 for letter in self.path):
            raise NotWanted(
                f"{self.url!r}: a path has letters of ASCII only and no spaces; write others as %XX"
            )
        if not _TOKEN.fullmatch(self.method):
            raise NotWanted(f"{self.method!r} is no method of HTTP: expected a word such as POST")
        if any(not 32 <= ord(letter) < 127 for letter in self.token):
            raise NotWanted("the token has a character that none may have, such as the end of a line")
        if not self.bodies:
            raise NotWanted("there is no body to send: give at least one, be it empty")
        for name, value in self.headers:
            _check_header(name, value)

    @cached_property
    def _parts(self) -> SplitResult:
        try:
            parts = urlsplit(self.url)
            if parts.port == 0:
                raise ValueError("port 0 is none")  # noqa: TRY301 - as urlsplit tells others
        except ValueError as error:
            raise NotWanted(f"{self.url!r} is no address: {error}") from None
        return parts

    @property
    def host(self) -> str:
        """A name or an address."""
        return self._parts.hostname or ""

    @property
    def tls(self) -> bool:
        """Whether it is spoken."""
        return self._parts.scheme == "https"

    @property
    def port(self) -> int:
        """80, or 443 with TLS, unless the URL names one."""
        return self._parts.port or (443 if self.tls else 80)

    @property
    def path(self) -> str:
        """With the query."""
        query = f"?{self._parts.query}" if self._parts.query else ""
        return (self._parts.path or "/") + query

    @property
    def asked(self) -> Asked:
        """For the record: no token, no user name, no password."""
        authentication: Any = "signature" if self.signed else "token" if self.token else "none"
        return Asked(
            url=self._parts._replace(netloc=self._authority).geturl(),
            protocol="grpc" if self.grpc else "http",
            method=self.grpc or self.method,
            body_bytes=[len(body) for body in self.bodies],
            authentication=authentication,
        )

    @property
    def place(self) -> str:
        """Host and port, as they are written."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def address(self) -> tuple[int, tuple[Any, ...]]:
        """The family and the address of a socket: of several the first where somebody listens, or the last.

        Raises NotWanted: the name has none.
        """
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "no name can be like this"
            raise NotWanted(f"{self.host}: no such host: {why}") from None
        for family, _type, _protocol, _name, address in found[:-1]:  # localhost is ::1 first, as a rule
            with socket.socket(family, socket.SOCK_STREAM) as probe, contextlib.suppress(OSError):
                probe.settimeout(_PATIENCE)
                probe.connect(address)
                return family, address
        family, _type, _protocol, _name, address = found[-1]
        return family, address

    def requests(self, at: float) -> list[bytes]:
        """Whole requests, one a body; signed ones are dated ``at`` (seconds since the epoch)."""
        return [self._head(body, at) + body for body in self.bodies]

    @property
    def _authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self._parts.port}" if self._parts.port else host

    def _head(self, body: bytes, at: float) -> bytes:
        given = {name.lower() for name, _ in self.headers}
        fields = list(self.headers)
        if "host" not in given:
            fields.insert(0, ("Host", self._authority))
        if self.signed:
            fields += self._signature(body, at)
        elif self.token and "authorization" not in given:
            fields.append(("Authorization", self.token))
        if body or self.method not in {"GET", "HEAD", "DELETE"}:
            fields.append(("Content-Length", str(len(body))))
        lines = [f"{self.method} {self.path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields)]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def _signature(self, body: bytes, at: float) -> list[tuple[str, str]]:
        """As the vendor's clients sign: HMAC-SHA1 over method, MD5, type, date, path without query."""
        digest = hashlib.md5(body, usedforsecurity=False).hexdigest()
        date = formatdate(at, usegmt=True)
        given = [value for name, value in self.headers if name.lower() == "content-type"]
        kind = given[0] if given else TYPE
        told = "\n".join((self.method, digest, kind, date, self._parts.path or "/"))
        mac = hmac.new(self.token.encode(), told.encode("latin-1"), hashlib.sha1).digest()
        typed = [] if given else [("Content-Type", TYPE)]
        return [
            ("Content-MD5", digest),
            ("Date", date),
            *typed,
            ("Authorization", f"EAS {base64.b64encode(mac).decode()}"),
        ]


def _check_header(name: str, value: str) -> None:
    if not name or any(not 32 < ord(letter) < 127 or letter == ":" for letter in name):
        raise NotWanted(f"{name!r} is no name of a header field")
    if any(letter in "\r\n\0" or ord(letter) > 255 for letter in value):
        raise NotWanted(f"the value of the header field {name} has a character that none may have")
    if name.lower() in {"content-length", "transfer-encoding", "connection"}:
        raise NotWanted(
            f"{name} can't be given: the generator itself says how long bodies are and when it leaves"
        )
