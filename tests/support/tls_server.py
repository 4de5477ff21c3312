"""Servers that speak TLS, or should; the certificate is for 127.0.0.1, of an authority that nobody knows."""

from __future__ import annotations

import contextlib
import http.server
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

DATA = Path(__file__).parents[1] / "data" / "tls"
CA, CERTIFICATE, KEY = DATA / "ca.pem", DATA / "server.pem", DATA / "key.pem"


class Echo(http.server.BaseHTTPRequestHandler):
    """Every body comes back. By path: ``/close`` ends the connection, ``/cut`` in the midst of the answer."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        if self.path == "/close":
            self.send_header("Connection", "close")
        self.end_headers()
        if self.path == "/cut":
            self.wfile.write(body[:-1])
            self.close_connection = True
        else:
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Nobody reads it."""


class Server(http.server.ThreadingHTTPServer):
    """Each connection in a thread of its own, its handshake too."""

    daemon_threads = True
    request_queue_size = 128

    def get_request(self) -> tuple[ssl.SSLSocket, object]:
        made, address = super().get_request()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE, KEY)
        return context.wrap_socket(made, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that doesn't trust us, or has gone."""


@contextlib.contextmanager
def echoing() -> Iterator[str]:
    """The URL of an :class:`Echo`."""
    with Server(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"https://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """The URL of a server that does this to each connection, and closes it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    made, _ = listener.accept()
                except OSError:
                    return
                with made, contextlib.suppress(OSError):
                    answer(made)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}/"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
