"""The network of ``processors/mlp`` behind mosec, as its documentation says how: batches of 16, at most 5 ms.

mosec takes its address from the command line and starts processes of its own; SIGTERM ends them all.
"""

from __future__ import annotations

import http.client
import sys
import threading
import time
from pathlib import Path
from typing import Any

from reference.listening import free_port

BATCH, WAIT_MS = 16, 5
_PATIENCE = 60.0  # seconds

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "processors" / "mlp"))

import mlp  # noqa: E402 - found by the line above
from mosec import Server, Worker  # noqa: E402 - together with it


class Mlp(Worker):  # type: ignore[misc]  # mosec may not be installed where types are checked
    """One process that computes."""

    def __init__(self) -> None:
        self._model = mlp.made()

    def deserialize(self, data: bytes) -> bytes:
        """The body as it came."""
        return data

    def serialize(self, data: bytes) -> bytes:
        """The answer as it goes."""
        return data

    def forward(self, data: list[bytes]) -> list[bytes]:
        """One batch."""
        return mlp.answers(self._model, data)


def _announce(port: int) -> None:
    """Say ``listening PORT`` when it answers."""
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("POST", "/inference", bytes(mlp.ROW))
            if connection.getresponse().status == 200:
                print(f"listening {port}", flush=True)  # noqa: T201 - the starter reads it
                return
        except OSError:
            time.sleep(0.05)
        finally:
            connection.close()
    print("not listening", flush=True)  # noqa: T201 - the same


def main() -> None:
    """Serve until a signal comes."""
    port = free_port()
    sys.argv[1:] = ["--address", "127.0.0.1", "--port", str(port), "--log-level", "error"]
    server: Any = Server()
    server.append_worker(Mlp, num=1, max_batch_size=BATCH, max_wait_time=WAIT_MS)
    threading.Thread(target=_announce, args=(port,), daemon=True).start()
    server.run()


if __name__ == "__main__":
    main()
