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
        settings="TODO",
        lacks="TODO",
    ),
    Peer(
        name="mosec",
        title="mosec",
        package="mosec",
        start=starting.mosec,
        near=True,
        settings="TODO",
        lacks="TODO",
    ),
    Peer(
        name="torchserve",
        title="TorchServe",
        package="torchserve",
        start=starting.torchserve,
        settings="TODO",
        lacks="TODO",
    ),
    Peer(
        name="litserve",
        title="LitServe",
        package="litserve",
        start=starting.litserve,
        settings="TODO",
        lacks="TODO",
    ),
    Peer(
        name="mlserver",
        title="MLServer",
        package="mlserver",
        start=starting.mlserver,
        settings="TODO",
        lacks="TODO",
    ),
    Peer(
        name="bentoml",
        title="BentoML",
        package="bentoml",
        start=starting.bentoml,
        settings="TODO",
        lacks="TODO",
    ),
    Peer(
        name="ray",
        title="Ray Serve",
        package="ray",
        start=starting.ray,
        settings="TODO",
        lacks="TODO",
    ),
    Peer(
        name="triton-batched",
        title="Triton, batches of up to 16",
        package="nvidia-pytriton",
        start=partial(starting.triton, batch=16),
        requirements="triton",
        variant_of="triton",
        only=("W1", "W2", "W4"),
        settings="max_batch_size 16 and dynamic_batching without a delay",
        lacks="",
    ),
    Peer(
        name="mosec-batched",
        title="mosec, batches of up to 16",
        package="mosec",
        start=partial(starting.mosec, batch=16),
        requirements="mosec",
        variant_of="mosec",
        only=("W1", "W2", "W4"),
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
)
PEERS: Final[Mapping[str, Peer]] = {peer.name: peer for peer in _EVERY}
DEFAULT: Final[Sequence[str]] = tuple(peer.name for peer in _EVERY if not peer.variant_of)
