"""One request before the others, so that a wrong address or a wrong token is told in words and at once."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from typing import Final

from eas_bench.client.answers import Answer, Malformed
from eas_bench.client.calls import channel, metadata_of, package
from eas_bench.client.measuring import NotMeasured
from eas_bench.client.tls import context
from eas_bench.target import Wanted

_HINTS: Final = {
    401: "the token is missing or wrong: --token-file FILE, or EAS_TOKEN",
    404: "nothing is served under this path",
    405: "this method isn't allowed there: --method",
    413: "the body is too large for the server",
}

_SECURE: Final = "; is it an https:// URL?"
"""Servers with TLS hang up on who speaks HTTP, each in its own way."""


def first_answer(wanted: Wanted, timeout: float) -> list[str]:
    """What a reader should know of it; nothing after a 2xx. Raises NotMeasured: nobody answers HTTP there."""
    if wanted.grpc:
        return _first_call(wanted, timeout)
    family, address = wanted.address()
    trust = context(wanted) if wanted.tls else None
    try:
        with socket.socket(family, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout)
            connection.connect(address)
            with _secured(connection, trust, wanted.host) as secured:
                status = _ask(secured, wanted.requests(time.time())[0], bodiless=wanted.method == "HEAD")
    except Malformed as error:
        hint = "" if wanted.tls else _SECURE
        raise NotMeasured(f"{wanted.place} doesn't speak HTTP/1.1: {error}{hint}") from None
    except ssl.SSLCertVerificationError as error:
        raise NotMeasured(
            f"the certificate of {wanted.place} isn't trusted ({error.verify_message.rstrip('.')}): "
            "--cacert FILE names the certificates that are, --insecure takes every one"
        ) from None
    except ssl.SSLError as error:
        raise NotMeasured(
            f"{wanted.place} doesn't speak TLS as we do ({error.reason or error}); is it an http:// URL?"
        ) from None
    except TimeoutError:
        return [f"the first request had no answer within {timeout:g} s"]
    except ConnectionRefusedError:
        raise NotMeasured(f"nobody listens at {wanted.place}; is the server up?") from None
    except OSError as error:
        hint = _SECURE if isinstance(error, ConnectionResetError) and not wanted.tls else ""
        raise NotMeasured(f"{wanted.place} can't be asked: {error.strerror or error}{hint}") from None
    if 200 <= status < 300:
        return []
    hint = f" ({_HINTS[status]})" if status in _HINTS else ""
    return [f"the first request was answered with {status}{hint}"]


def _first_call(wanted: Wanted, timeout: float) -> list[str]:
    grpc = package()
    with channel(wanted) as made:
        call = made.unary_unary(wanted.grpc)
        try:
            call(wanted.bodies[0], timeout=timeout, metadata=metadata_of(wanted))
        except grpc.RpcError as error:
            status, why = error.code().name, error.details()
            if status == "UNAVAILABLE":
                raise NotMeasured(f"nobody speaks gRPC at {wanted.place}: {why}") from None
            return [f"the first call was answered with {status}: {why}"]
    return []


def _secured(connection: socket.socket, trust: ssl.SSLContext | None, host: str) -> socket.socket:
    """With TLS where it is wanted."""
    return connection if trust is None else trust.wrap_socket(connection, server_hostname=host)


def _ask(connection: socket.socket, request: bytes, *, bodiless: bool) -> int:
    answer = Answer(bodiless=bodiless)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        connection.sendall(request)  # may be refused before its end; the answer is there all the same
    while True:
        data = connection.recv(1 << 16)
        if not data:
            if answer.end() and answer.head is not None:
                return answer.head.status
            raise Malformed("it closed the connection without an answer")
        if answer.feed(data) and answer.head is not None:
            return answer.head.status
