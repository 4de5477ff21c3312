"""A real processor host whose requests come as JSON lines instead of frames.

Started by ``support.scripted_engine`` in any interpreter, with the SDK directory as its working directory:
``python stand_in_host.py --control FD``. The channel of the start message is ``{"fd": N}``, a stream socket.

Engine to host: ``{"body": "...", "head": "..."}``; host to engine: ``{"status", "body", "headers"}``, or
``{"raised": "Type: text"}``. All texts are Latin-1.
"""

# Runs on every Python from 3.8 on; BARE comes before all else, as in eas_host.
# ruff: noqa: UP006, UP035, PTH109, E402
from __future__ import annotations

import sys

BARE = frozenset(sys.modules)

import json
import os
import socket
import threading
from typing import Any, Callable, Dict, Tuple

Handle = Callable[[Any], Tuple[int, Any, bytes]]


class Server:
    """One thread that answers line by line."""

    def __init__(self, handle: Handle, channel: Dict[str, Any]) -> None:
        self._handle = handle
        self._socket = socket.socket(fileno=channel["fd"])
        self._thread = threading.Thread(target=self._answer_all, name="worker-0", daemon=True)
        self._thread.start()

    def watch_gpu(self, faults: Any) -> None:
        pass

    def stop(self) -> None:
        self._socket.shutdown(socket.SHUT_RD)

    def join(self) -> None:
        self._thread.join()

    def _answer_all(self) -> None:
        with self._socket.makefile("rb") as lines:
            for line in lines:
                self._socket.sendall(json.dumps(self._answer(json.loads(line))).encode() + b"\n")

    def _answer(self, message: Dict[str, str]) -> Dict[str, Any]:
        from eas_sdk.request import Request

        body = memoryview(message["body"].encode("latin-1"))
        request = Request(message["head"].encode("latin-1"), body, 1.0, "p", 1, b"\0", 0)
        try:
            status, body, headers = self._handle(request)
        except Exception as error:  # noqa: BLE001 - the processor's
            return {"raised": f"{type(error).__name__}: {error}"}
        return {"status": status, "body": bytes(body).decode("latin-1"), "headers": headers.decode("latin-1")}


def serve(handle: Handle, channel: Dict[str, Any], threads: int) -> Server:
    assert threads >= 1
    return Server(handle, channel)


if __name__ == "__main__":
    sys.path[0] = os.getcwd()
    from eas_host.main import main

    sys.exit(main(sys.argv[1:], BARE, serve))
