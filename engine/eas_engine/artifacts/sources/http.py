"""GET over HTTP(S): connections that are kept, proxies, redirects, TLS; nothing is retried here.

The standard library's ``http.client`` below: it is in the core anyway, streams, and lets us see and shut down
the socket. What a download needs above it (ranges, conditions, digests, retries) is in ``transfer``.

Rules: certificates are verified (``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` name others than the system's).
``http_proxy``, ``https_proxy``, ``all_proxy`` and ``no_proxy`` are honoured. A redirect to another origin
takes no credentials along, and one from https to http isn't followed. Errors show neither user, password nor
query.
"""

from __future__ import annotations

import base64
import http.client
import select
import socket
import ssl
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import field
from email.utils import parsedate_to_datetime
from typing import Final

from eas_engine.artifacts.sources.retry import TransferError
from eas_engine.artifacts.sources.stopping import Stop
from eas_engine.errors import ConfigurationError
from eas_engine.records import dataclass
from eas_engine.secrecy import redacted
from eas_engine.telemetry.logs import printable

Authorise = Callable[[], Mapping[str, str]]
"""The header fields that prove who asks; called for each request, for its date is in it."""

_REDIRECTS: Final = (301, 302, 303, 307, 308)
_MOST_REDIRECTS: Final = 10
_UNRESERVED: Final = "/%:@!$&'()*+,;=~-._?"
_AGAIN: Final = (408, 425, 429, 500, 502, 503, 504)
_DEAD_NAMES: Final = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))
ERROR_BODY: Final = 64 << 10  # bytes read of an answer that is an error


@dataclass(frozen=True, slots=True)
class Settings:
    """How connections are made; seconds."""

    connect_timeout: float = 20.0
    stall_timeout: float = 60.0  # without a single byte
    proxies: Mapping[str, str] = field(default_factory=urllib.request.getproxies)
    tls: ssl.SSLContext | None = None  # None: the system's certificates


class Answer:
    """A status, header fields, and a body that is read as it comes."""

    def __init__(self, url: str, response: http.client.HTTPResponse, done: Callable[[bool], None]) -> None:
        self.url = redacted(url)
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers  # type: ignore[assignment] # a mapping but for its name
        self._response = response
        self._done = done
        length = response.headers.get("Content-Length", "")
        chunked = response.chunked or not length.isdecimal()
        self.length: int | None = None if chunked else int(length)
        self._left = self.length
        self._whole = False

    def read(self, most: int) -> bytes:
        """What is there, at least a byte; nothing at the end. Errors: TransferError, also when cut short."""
        if self._left is not None:
            most = min(most, self._left)
            if most == 0:
                self._whole = True
                return b""
        try:
            data = self._response.read1(most)
        except (OSError, http.client.HTTPException) as error:
            raise _trouble(error, self.url) from None
        if self._left is not None:
            if not data:
                raise TransferError(
                    f"{self.url}: the connection ended {self._left} bytes before the end", again=True
                )
            self._left -= len(data)
        elif not data:
            self._whole = True
        return data

    def text(self) -> str:
        """The body of an error, as much as is sensible."""
        data = b""
        with suppress(TransferError):
            while len(data) < ERROR_BODY and (more := self.read(ERROR_BODY)):
                data += more
        return data.decode("utf-8", "replace")

    def close(self) -> None:
        """Keep the connection when everything of it was read, else close it."""
        if not self._whole and self._left == 0:
            self._whole = True
        again = self._whole and not self._response.will_close
        self._response.close()
        self._done(again)

    def retry_after(self) -> float | None:
        """Seconds that the server asks to wait."""
        value = self.headers.get("Retry-After", "").strip()
        if value.isdecimal():
            return float(value)
        try:
            sent = parsedate_to_datetime(self.headers.get("Date", ""))
            return max(0.0, (parsedate_to_datetime(value) - sent).total_seconds())
        except (ValueError, TypeError, IndexError):
            return None


def refusal(answer: Answer, label: str, said: str) -> TransferError:
    """An answer that isn't what was asked for; ``said`` is what the server says about it."""
    status, phrase = answer.status, http.client.responses.get(answer.status, "")
    words = f" ({said})" if said else ""
    return TransferError(
        f"{label}: {status} {phrase}{words}",
        again=status in _AGAIN,
        answered=status < 500 and status not in _AGAIN,
        after=answer.retry_after(),
        status=status,
    )


class Session:
    """One thread's connections; each request goes out on a kept one if there is one to its host."""

    def __init__(self, settings: Settings, stop: Stop) -> None:
        self._settings = settings
        self._stop = stop
        self._kept: dict[tuple[str, str, int], http.client.HTTPConnection] = {}

    def close(self) -> None:
        """All connections."""
        for origin in tuple(self._kept):
            self._drop(self._kept.pop(origin))

    def get(self, url: str, headers: Mapping[str, str], authorise: Authorise | None = None) -> Answer:
        """The answer, redirects followed; whoever asked closes it.

        Errors: TransferError; ConfigurationError for an address that can't be one; StoppedError.
        """
        parts = split(url)
        first = _origin(parts)
        for _ in range(_MOST_REDIRECTS + 1):
            own = dict(headers)
            if _origin(parts) == first and authorise is not None:
                own.update(authorise())
            answer = self._ask(parts, own)
            if answer.status not in _REDIRECTS or not answer.headers.get("Location"):
                return answer
            target = answer.headers["Location"]
            answer.text()
            answer.close()
            parts = _redirected(parts, target)
        raise TransferError(
            f"{redacted(url)}: redirected more than {_MOST_REDIRECTS} times", again=False, answered=True
        )

    def _ask(self, parts: urllib.parse.SplitResult, headers: Mapping[str, str]) -> Answer:
        url, origin = urllib.parse.urlunsplit(parts), _origin(parts)
        proxy = _proxy(parts, self._settings.proxies)
        for kept in (self._usable(origin), None):
            self._stop.check()
            connection = kept or self._connection(parts, proxy)
            try:
                if kept is None:
                    self._connect(connection)
                connection.request("GET", _target(parts, proxy), headers=_all_headers(parts, proxy, headers))
                response = connection.getresponse()
            except (OSError, http.client.HTTPException, ValueError) as error:
                self._drop(connection)
                self._stop.check()
                if kept is not None:
                    continue  # the server had closed it meanwhile: once more on a fresh one
                raise _trouble(error, redacted(url)) from None
            return Answer(url, response, lambda whole: self._give_back(origin, connection, whole=whole))  # noqa: B023
        raise AssertionError("the second connection is a fresh one")

    def _connection(
        self, parts: urllib.parse.SplitResult, proxy: _Proxy | None
    ) -> http.client.HTTPConnection:
        _, host, port = _origin(parts)
        wait = self._settings.connect_timeout
        if parts.scheme != "https":
            at = (proxy.host, proxy.port) if proxy else (host, port)
            return http.client.HTTPConnection(*at, timeout=wait)
        tls = self._settings.tls or ssl.create_default_context()
        if proxy is None:
            return http.client.HTTPSConnection(host, port, timeout=wait, context=tls)
        tunnel = http.client.HTTPSConnection(proxy.host, proxy.port, timeout=wait, context=tls)
        tunnel.set_tunnel(host, port, proxy.headers())
        return tunnel

    def _connect(self, connection: http.client.HTTPConnection) -> None:
        connection.connect()
        connection.sock.settimeout(self._settings.stall_timeout)
        self._stop.watch(connection.sock)

    def _usable(self, origin: tuple[str, str, int]) -> http.client.HTTPConnection | None:
        """A kept connection, unless it was closed, or bytes came on it that nobody asked for."""
        connection = self._kept.pop(origin, None)
        if connection is None:
            return None
        if connection.sock is None or select.select([connection.sock], [], [], 0)[0]:
            self._drop(connection)
            return None
        return connection

    def _give_back(
        self, origin: tuple[str, str, int], connection: http.client.HTTPConnection, *, whole: bool
    ) -> None:
        if whole and connection.sock is not None and origin not in self._kept:
            self._kept[origin] = connection
        else:
            self._drop(connection)

    def _drop(self, connection: http.client.HTTPConnection) -> None:
        if connection.sock is not None:
            self._stop.forget(connection.sock)
        connection.close()


def split(url: str) -> urllib.parse.SplitResult:
    """The parts of an ``http(s)`` address, quoted as they go over the wire; no fragment.

    Errors: ConfigurationError.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        usable = bool(parts.hostname) and parts.port != 0 and parts.scheme in ("http", "https")
    except ValueError:
        parts, usable = urllib.parse.urlsplit(""), False
    if not usable:
        raise ConfigurationError(f"{redacted(url)}: this is no address that can be fetched")
    path = urllib.parse.quote(parts.path or "/", safe=_UNRESERVED.replace("?", ""))
    return parts._replace(path=path, query=urllib.parse.quote(parts.query, safe=_UNRESERVED), fragment="")


def basic(user: str, password: str) -> str:
    """A field value of HTTP's basic authentication."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def userinfo(parts: urllib.parse.SplitResult) -> dict[str, str]:
    """The ``Authorization`` that an address with user and password asks for."""
    if parts.username is None:
        return {}
    user, password = (urllib.parse.unquote(one or "") for one in (parts.username, parts.password))
    return {"Authorization": basic(user, password)}


@dataclass(frozen=True, slots=True)
class _Proxy:
    host: str
    port: int
    authorization: str

    def headers(self) -> dict[str, str]:
        return {"Proxy-Authorization": self.authorization} if self.authorization else {}


def _proxy(parts: urllib.parse.SplitResult, proxies: Mapping[str, str]) -> _Proxy | None:
    address = proxies.get(parts.scheme) or proxies.get("all")
    _, host, port = _origin(parts)
    given = {"no": proxies.get("no", "")}
    if not address or urllib.request.proxy_bypass_environment(f"{host}:{port}", given):  # type: ignore[attr-defined,unused-ignore]
        return None
    proxy = urllib.parse.urlsplit(address if "://" in address else f"http://{address}")
    if proxy.scheme != "http" or not proxy.hostname:
        raise ConfigurationError(
            f"the proxy {redacted(address)}: only http:// proxies can be used; "
            f"set {parts.scheme}_proxy or no_proxy"
        )
    return _Proxy(proxy.hostname, proxy.port or 80, userinfo(proxy).get("Authorization", ""))


def _target(parts: urllib.parse.SplitResult, proxy: _Proxy | None) -> str:
    path = urllib.parse.urlunsplit(("", "", parts.path, parts.query, ""))
    if proxy is not None and parts.scheme == "http":
        return f"http://{_host_field(parts)}{path}"
    return path


def _all_headers(
    parts: urllib.parse.SplitResult, proxy: _Proxy | None, headers: Mapping[str, str]
) -> dict[str, str]:
    result = {
        "Host": _host_field(parts),
        "User-Agent": "eas-engine",
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        **headers,
    }
    if proxy is not None and parts.scheme == "http":
        result.update(proxy.headers())
    return result


def _host_field(parts: urllib.parse.SplitResult) -> str:
    host = parts.netloc.rpartition("@")[2]
    return host if host.isascii() else host.encode("idna").decode()


def _origin(parts: urllib.parse.SplitResult) -> tuple[str, str, int]:
    return parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _redirected(before: urllib.parse.SplitResult, target: str) -> urllib.parse.SplitResult:
    try:
        target = urllib.parse.urljoin(urllib.parse.urlunsplit(before), target)
        after = split(target)
    except ValueError:  # a Location may be anything
        shown = printable(redacted(target))
        raise TransferError(
            f"{redacted(before.geturl())}: redirected to {shown}: this is no address that can be fetched",
            again=False,
            answered=True,
        ) from None
    except ConfigurationError as error:
        raise TransferError(f"redirected to {error}", again=False, answered=True) from None
    if before.scheme == "https" and after.scheme == "http":
        raise TransferError(
            f"redirected from https to {redacted(target)}: not followed, anyone on the way could change it",
            again=False,
            answered=True,
        )
    return after


def _trouble(error: Exception, url: str) -> TransferError:
    """What the network or the library says, as one for a person."""
    if isinstance(error, ssl.SSLCertVerificationError):
        text = f"{url}: its certificate isn't trusted ({error.verify_message}); SSL_CERT_FILE can name yours"
        return TransferError(text, again=False)
    if isinstance(error, socket.gaierror):
        return TransferError(f"{url}: {error.strerror}", again=error.errno not in _DEAD_NAMES)
    if isinstance(error, TimeoutError):
        return TransferError(f"{url}: the server says nothing any more", again=True)
    if isinstance(error, OSError):
        return TransferError(f"{url}: {error.strerror or error}", again=True)
    return TransferError(f"{url}: no proper HTTP ({type(error).__name__})", again=True)
