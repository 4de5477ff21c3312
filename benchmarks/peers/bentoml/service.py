"""BentoML: raw bodies through a root ``bytes`` parameter."""

from __future__ import annotations

import os

import bentoml

from peers import work

SLEEPS = work.kind() == "sleep"
WORKERS = work.SLEEPERS if SLEEPS else 1
# Divided by the workers, each of which counts for itself and answers 503 to what is beyond its part.
ROOM = (
    {"max_concurrency": work.PLACES + work.SLEEPERS} if SLEEPS and os.environ["PEER_BOUNDED"] == "1" else {}
)


@bentoml.service(workers=WORKERS, traffic={"timeout": 60, **ROOM}, logging={"access": {"enabled": False}})
class Service:
    """As many processes as there are workers."""

    def __init__(self) -> None:
        self._answer = work.one()

    @bentoml.api(route="/predict")  # type: ignore[untyped-decorator]
    def predict(self, data: bytes, /) -> bytes:
        """One request."""
        return self._answer(data)
