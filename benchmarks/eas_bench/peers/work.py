"""What everybody is asked. Pure."""

from __future__ import annotations

import random
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

_RANDOM = random.Random(6)  # noqa: S311 - bodies that can't be guessed are of no use here
SMALL: Final = _RANDOM.randbytes(64)
LARGE: Final = _RANDOM.randbytes(3 * 224 * 224 * 4)  # 602112: a colour picture of 224 x 224 as floats
ROW: Final = struct.pack("<784f", *(_RANDOM.random() for _ in range(784)))
CLASSES: Final = 10
_CLOSE_ENOUGH = 1e-4  # of the network's answers: another batch is another order of additions


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One kind of work, and the loads it is asked for with."""

    name: str
    title: str
    work: str  # see benchmarks/peers/work.py
    processor: str  # of benchmarks/processors/
    bare: str  # of benchmarks/reference/; where it can't do the work it stands for the machine's speed
    body: bytes
    answer: bytes | None  # None: the network's, which is computed first
    connections: tuple[int, ...]
    client: Literal["wrk", "closed_loop"] = "wrk"
    probed: bool = False  # is the server's own health asked for meanwhile?

    def wrong(self, got: bytes, network: bytes) -> str | None:
        """What is wrong with an answer; ``network``: what the network says to ROW."""
        if self.answer is not None:
            return (
                None if got == self.answer else f"{len(got)} bytes that aren't the right ones: {got[:60]!r}"
            )
        if len(got) != CLASSES * 4:
            return f"{len(got)} bytes where {CLASSES} floats should be: {got[:60]!r}"
        pairs = zip(_floats(got), _floats(network), strict=True)
        apart = max(abs(one - other) for one, other in pairs)
        return None if apart <= _CLOSE_ENOUGH else f"floats that are {apart:.2g} away from the network's"


def _floats(data: bytes) -> tuple[float, ...]:
    return struct.unpack(f"<{CLASSES}f", data)


_EVERY = (
    Scenario(
        name="W1",
        title="64 bytes come back",
        work="echo",
        processor="echo",
        bare="echo",
        body=SMALL,
        answer=SMALL,
        connections=(64, 16, 1),
    ),
    Scenario(
        name="W2",
        title="602112 bytes in, 4096 out",
        work="large",
        processor="large",
        bare="large",
        body=LARGE,
        answer=LARGE[:4096],
        connections=(16,),
    ),
    Scenario(
        name="W3",
        title="a network, 784-512-512-10, in batches of 16, at most 5 ms",
        work="mlp",
        processor="mlp",
        bare="echo",
        body=ROW,
        answer=None,
        connections=(64,),
    ),
    Scenario(
        name="W4",
        title="a millisecond of pure Python",
        work="spin",
        processor="spin",
        bare="spin",
        body=SMALL,
        answer=SMALL,
        connections=(16,),
        probed=True,
    ),
    Scenario(
        name="W5",
        title="10 ms of sleep, five workers, 64 places in the queue where there are such",
        work="sleep",
        processor="sleep",
        bare="echo",
        body=SMALL,
        answer=SMALL,
        connections=(60, 256),
        client="closed_loop",
    ),
)
SCENARIOS: Final[Mapping[str, Scenario]] = {scenario.name: scenario for scenario in _EVERY}
