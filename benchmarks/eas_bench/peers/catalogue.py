"""The peers: who they are, how they are set, and what they can't do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from eas_bench.peers import starting
from eas_bench.peers.peer import Peer

_EVERY = (
    Peer(
        name="triton",
        title="Triton, Python backend",
        package="nvidia-pytriton",
        start=starting.triton,
        near=True,
        settings=(
            "python_backend, started directly as `tritonserver` from the wheel of PyTriton; raw binary "
            "requests; gRPC and metrics off, no log. W3: `max_batch_size 16`, "
            "`max_queue_delay_microseconds 5000`; W5: 5 instances, `max_queue_size 64` in the queue "
            "policy of the dynamic batcher."
        ),
        lacks=(
            "A full queue is 503, and bounded only in the dynamic batcher (without a bound by default). "
            "`--rate-limit` schedules models, it doesn't limit requests; access is a fixed header value "
            "(`--http-restricted-api`)."
        ),
    ),
    Peer(
        name="mosec",
        title="mosec",
        package="mosec",
        start=starting.mosec,
        near=True,
        settings=(
            "bytes in and out (`serialize` and `deserialize` overridden), 1 worker, `--timeout 30000`, "
            "log at error. W3: `max_batch_size=16`, `max_wait_time=5`; W5: 5 workers, `--capacity 69` (it "
            "counts those at work, too)."
        ),
        lacks=(
            "A full queue is 429. Among its options are neither a token nor a rate limit; its health is "
            "taken from `/metrics`."
        ),
    ),
    Peer(
        name="torchserve",
        title="TorchServe",
        package="torchserve",
        start=starting.torchserve,
        warm=4.0,  # until Java has compiled itself
        settings=(
            "1 worker, raw bodies, batches of 1, metrics, access and model logs off, token authorisation "
            "off. W3: `batchSize 16`, `maxBatchDelay 5`; W5: 5 workers, `job_queue_size 64`."
        ),
        lacks=(
            "A full queue is 503, and the connection is closed with it. No rate limit among its options. "
            "Needs Java; its makers no longer maintain it."
        ),
    ),
    Peer(
        name="litserve",
        title="LitServe",
        package="litserve",
        start=starting.litserve,
        settings=(
            "raw bodies through FastAPI, 1 HTTP process, 1 worker. W3: `max_batch_size=16`, "
            "`batch_timeout=0.005`; W5: 5 workers."
        ),
        lacks=(
            "No bound of the queue and no rate limit among the options of `LitServer`: whoever comes "
            "waits. One fixed key as access control."
        ),
    ),
    Peer(
        name="mlserver",
        title="MLServer",
        package="mlserver",
        start=starting.mlserver,
        settings=(
            "V2 protocol in JSON, bodies as base64 text (W2: 803 KB on the wire), rows as numbers; "
            "`parallel_workers 1`, metrics and debug off, uvloop below 0.22 (it doesn't start with 0.23). "
            "W3: adaptive batching `16`, `0.005`; W5: 5 workers."
        ),
        lacks=(
            "No bound of the queue, no rate limit and no token among its settings; bytes only inside JSON."
        ),
    ),
    Peer(
        name="bentoml",
        title="BentoML",
        package="bentoml",
        start=starting.bentoml,
        settings=(
            "raw bodies through a root `bytes` parameter, 1 worker, access log off. W3: JSON to a "
            "batchable endpoint, `max_batch_size=16`, its own wait; W5: 5 workers, `max_concurrency=69`."
        ),
        lacks=(
            "A full house is 429, counted in each worker by itself, so that one refuses while others have "
            "room. Batching asks for arrays, not bytes. No rate limit and no token among the settings of "
            "a service."
        ),
    ),
    Peer(
        name="ray",
        title="Ray Serve",
        package="ray",
        start=starting.ray,
        restless=True,
        settings=(
            "1 replica, raw bodies through Starlette's request, `max_ongoing_requests=100`, access log "
            "and dashboard off. W3: `@serve.batch` 16, 5 ms; W5: 5 replicas, `max_ongoing_requests=1`, "
            "`max_queued_requests=64`."
        ),
        lacks=(
            "A full queue is 503, counted at each proxy. No rate limit and no token among the options of "
            "a deployment. It uses the core without requests, too."
        ),
    ),
    Peer(
        name="triton-batched",
        title="Triton, batches of up to 16",
        package="nvidia-pytriton",
        start=partial(starting.triton, batch=16),
        requirements="triton",
        near=True,
        variant_of="triton",
        always=True,
        only=("W1", "W2"),
        settings="max_batch_size 16 and dynamic_batching without a delay",
        lacks="",
    ),
    Peer(
        name="mosec-batched",
        title="mosec, batches of up to 16",
        package="mosec",
        start=partial(starting.mosec, batch=16),
        requirements="mosec",
        near=True,
        variant_of="mosec",
        always=True,
        only=("W1", "W2"),
        settings="max_batch_size 16, max_wait_time 1 ms",
        lacks="",
    ),
    Peer(
        name="mlserver-inline",
        title="MLServer, no worker process",
        package="mlserver",
        start=partial(starting.mlserver, workers=0),
        requirements="mlserver",
        variant_of="mlserver",
        only=("W1", "W2", "W3", "W4"),
        settings="parallel_workers 0",
        lacks="",
    ),
    Peer(
        name="litserve-zmq",
        title="LitServe, fast_queue",
        package="litserve",
        start=partial(starting.litserve, fast_queue=True),
        requirements="litserve",
        variant_of="litserve",
        settings="fast_queue=True",
        lacks="",
    ),
    Peer(
        name="litserve-servers",
        title="LitServe, five HTTP processes",
        package="litserve",
        start=partial(starting.litserve, api_servers=5),
        requirements="litserve",
        variant_of="litserve",
        only=("W5",),
        settings="num_api_servers 5, as it chooses for five workers",
        lacks="",
    ),
    Peer(
        name="ray-throughput",
        title="Ray Serve, optimised for throughput",
        package="ray",
        start=partial(starting.ray, throughput=True),
        requirements="ray",
        variant_of="ray",
        settings="RAY_SERVE_THROUGHPUT_OPTIMIZED=1",
        lacks="",
    ),
    Peer(
        name="ray-ongoing",
        title="Ray Serve, 100 requests a replica",
        package="ray",
        start=partial(starting.ray, ongoing=100),
        requirements="ray",
        variant_of="ray",
        only=("W5",),
        settings="max_ongoing_requests 100",
        lacks="",
    ),
    Peer(
        name="triton-unbounded",
        title="Triton, queue without a bound",
        package="nvidia-pytriton",
        start=partial(starting.triton, bounded=False),
        requirements="triton",
        variant_of="triton",
        only=("W5",),
        settings="no dynamic batcher, as without W5",
        lacks="",
    ),
    Peer(
        name="mosec-unbounded",
        title="mosec, its own capacity",
        package="mosec",
        start=partial(starting.mosec, bounded=False),
        requirements="mosec",
        variant_of="mosec",
        only=("W5",),
        settings="--capacity 1024, the default",
        lacks="",
    ),
    Peer(
        name="bentoml-unbounded",
        title="BentoML, no bound",
        package="bentoml",
        start=partial(starting.bentoml, bounded=False),
        requirements="bentoml",
        variant_of="bentoml",
        only=("W5",),
        settings="no max_concurrency, the default",
        lacks="",
    ),
)
PEERS: Final[Mapping[str, Peer]] = {peer.name: peer for peer in _EVERY}
DEFAULT: Final[Sequence[str]] = tuple(peer.name for peer in _EVERY if peer.always or not peer.variant_of)
