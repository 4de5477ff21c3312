"""mosec: bodies as they come; its own options stand on the command line."""

from __future__ import annotations

import os

from mosec import Server, Worker

from peers import work


class One(Worker):  # type: ignore[misc]  # not installed where types are checked
    """One request at a time."""

    def __init__(self) -> None:
        self._answer = work.one()

    def deserialize(self, data: bytes) -> bytes:
        """The body as it came."""
        return data

    def serialize(self, data: bytes) -> bytes:
        """The answer as it goes."""
        return data

    def forward(self, data: bytes) -> bytes:
        """One request."""
        return self._answer(data)


class Many(One):
    """Batches."""

    def __init__(self) -> None:
        self._answers = work.many()

    def forward(self, data: list[bytes]) -> list[bytes]:  # type: ignore[override]  # mosec's own way
        """One batch."""
        return self._answers(data)


if __name__ == "__main__":
    server = Server()
    if work.kind() == work.NETWORK:
        server.append_worker(Many, num=1, max_batch_size=work.BATCH, max_wait_time=work.WAIT_MS)
    elif "PEER_BATCH" in os.environ:
        server.append_worker(Many, num=1, max_batch_size=int(os.environ["PEER_BATCH"]), max_wait_time=1)
    else:
        server.append_worker(One, num=work.SLEEPERS if work.kind() == "sleep" else 1)
    server.run()
