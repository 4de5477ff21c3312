"""LitServe: raw bodies through FastAPI, raw answers through its Response. ``server.py PORT``.

Annotations stay objects here: LitServe reads that of ``decode_request`` as it is.
"""

import os
import sys
from typing import Annotated, Any

import litserve
from fastapi import Body, Response

from peers import work

BYTES = "application/octet-stream"


class Api(litserve.LitAPI):  # type: ignore[misc]  # not installed where types are checked
    """The four steps of a request."""

    def setup(self, device: str) -> None:
        """Once a worker."""
        self._answer: Any = work.many() if work.kind() == work.NETWORK else work.one()

    def decode_request(self, request: Annotated[bytes, Body(media_type=BYTES)]) -> bytes:
        """The body as it came."""
        return request

    def batch(self, inputs: list[bytes]) -> list[bytes]:
        """A list is a batch."""
        return inputs

    def predict(self, x: Any) -> Any:
        """One request, or one batch."""
        return self._answer(x)

    def unbatch(self, output: list[bytes]) -> list[bytes]:
        """A batch is a list."""
        return output

    def encode_response(self, output: bytes) -> Response:
        """The answer as it goes."""
        return Response(content=output, media_type=BYTES)


if __name__ == "__main__":
    batching = {"max_batch_size": work.BATCH, "batch_timeout": work.WAIT_MS / 1000}
    sleepers = work.SLEEPERS if work.kind() == "sleep" else 1
    server = litserve.LitServer(
        Api(**batching) if work.kind() == work.NETWORK else Api(),
        accelerator="cpu",
        devices=1,
        workers_per_device=sleepers,
        fast_queue=os.environ.get("PEER_FAST_QUEUE") == "1",
    )
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        log_level="warning",
        generate_client_file=False,
        num_api_servers=int(os.environ.get("PEER_API_SERVERS", "1")),
    )
