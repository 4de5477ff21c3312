"""Ray Serve: raw bodies through Starlette's Request. ``server.py PORT DIRECTORY``; SIGTERM ends it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import Any

import ray
from ray import serve
from ray.serve.config import HTTPOptions
from ray.serve.schema import LoggingConfig
from starlette.requests import Request
from starlette.responses import Response

from peers import work

SLEEPS = work.kind() == "sleep"
QUIET = LoggingConfig(enable_access_log=False, log_level="WARNING")


@serve.deployment(
    num_replicas=work.SLEEPERS if SLEEPS else 1,
    ray_actor_options={"num_cpus": 0.1},
    max_ongoing_requests=int(os.environ.get("PEER_ONGOING", "1" if SLEEPS else "100")),
    max_queued_requests=work.PLACES if SLEEPS else -1,
)
class Deployment:
    """One replica."""

    def __init__(self) -> None:
        self._batches = work.kind() == work.NETWORK
        self._answer: Any = work.many() if self._batches else work.one()

    @serve.batch(max_batch_size=work.BATCH, batch_wait_timeout_s=work.WAIT_MS / 1000)  # type: ignore[untyped-decorator]
    async def many(self, bodies: list[bytes]) -> list[bytes]:
        """One batch."""
        answers: list[bytes] = self._answer(bodies)
        return answers

    async def __call__(self, request: Request) -> Response:
        """One request."""
        body = await request.body()
        answer = await self.many(body) if self._batches else self._answer(body)
        return Response(answer, media_type="application/octet-stream")


def main(port: int, directory: str) -> None:
    """Serve until SIGTERM."""
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    ray.init(
        num_cpus=4,  # of the scheduler's own accounts: proxy, controller and replicas must fit
        include_dashboard=False,
        object_store_memory=200 << 20,
        _node_ip_address="127.0.0.1",
        _temp_dir=directory,
        log_to_driver=False,
        logging_level="warning",
    )
    serve.start(http_options=HTTPOptions(host="127.0.0.1", port=port), logging_config=QUIET)
    bound = Deployment.bind()  # type: ignore[attr-defined]  # the decorator's doing
    serve.run(bound, route_prefix="/", logging_config=QUIET)
    over.wait()
    serve.shutdown()
    ray.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
