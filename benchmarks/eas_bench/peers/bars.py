"""What is asked of the engine beside its peers, and whether it was met. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from eas_bench.peers.record import Figures, Record
from eas_bench.peers.sides import ENGINE
from eas_bench.scenarios.bars import Bar, Measured, Verdict
from eas_bench.scenarios.figures import Pair, median, ratios, wavering

CALM, FLOOD = 60, 256  # connections: all that fit, and too many
KEPT = 0.97  # of the calm's successes
SUCCESS_MS = 64 / 500 * 1000 + 30  # the queue's places over the sleepers' rate, and 30 ms
REFUSAL_MS = 10.0


def rate(run: Figures) -> float:
    """Good answers a second."""
    return run.rate


def p50(run: Figures) -> float:
    """Milliseconds."""
    return run.p50_ms


@dataclass(frozen=True, slots=True)
class Against:
    """A bar on a ratio of ours to one peer's."""

    bar: Bar
    scenario: str
    connections: int
    peer: str
    of: Callable[[Figures], float] = rate


def _over(peer: str, key: str, limit: float) -> Against:
    scenario, _, connections = key.partition("-")
    words = f"{connections} connections: requests/s, eas-engine over {peer}"
    bar = Bar(f"{key}-{peer}", words, "at least", limit)
    return Against(bar, scenario, int(connections), peer)


def _latency(peer: str) -> Against:
    bar = Bar(f"W1-1-{peer}", f"1 connection: p50, eas-engine over {peer}", "at most", 1.0)
    return Against(bar, "W1", 1, peer, p50)


RATIOS: Final = (
    _over("triton", "W1-64", 3.5),
    _over("mosec", "W1-64", 7.0),
    _over("triton", "W1-16", 2.3),
    _over("mosec", "W1-16", 5.0),
    _latency("triton"),
    _latency("mosec"),
    _over("triton", "W2-16", 3.0),
    _over("triton", "W3-64", 1.8),
    _over("mosec", "W3-64", 1.4),
)
HEALTH: Final = Bar("W4-health", "p99 of /healthz while the core computes", "under", 50, "ms")
KEEPS: Final = Bar("W5-kept", "successes/s in a flood, 256 connections over 60", "at least", KEPT)
SUCCESSES: Final = Bar("W5-success-p99", "p99 of successes in a flood", "at most", SUCCESS_MS, "ms")
REFUSALS: Final = Bar("W5-refusal-p99", "p99 of refusals in a flood", "at most", REFUSAL_MS, "ms")
ALL_THREE: Final = Bar("W5-peers", "peers that do all three of W5", "at most", 0, "", rounds=False)


def verdicts(record: Record, peers: Iterable[str]) -> Iterator[Verdict]:
    """Every bar that the record has figures for; ``peers``: whom W4 and W5 speak of."""
    there = list(peers)
    for against in RATIOS:
        pairs = record.pairs(against.scenario, against.connections, against.peer, ENGINE)
        if pairs:
            yield _ratio(against.bar, pairs, against.of)
    yield from _spinning(record, there)
    yield from _flooded(record, there)


def _ratio(bar: Bar, pairs: Sequence[Pair[Figures]], of: Callable[[Figures], float]) -> Verdict:
    steady = wavering([of(pair.reference) for pair in pairs])
    measured = Measured(samples=ratios(pairs, of), wavering=steady, faults=_failed(pairs))
    return Verdict.of(bar, measured).with_doubts(_taken(pairs), len(pairs))


def _spinning(record: Record, peers: Iterable[str]) -> Iterator[Verdict]:
    """Against the best of them, and how long health takes."""
    by_peer = {peer: record.pairs("W4", 16, peer, ENGINE) for peer in peers}
    held = {peer: median(ratios(pairs, rate)) for peer, pairs in by_peer.items() if pairs}
    if not held:
        return
    best = min(held, key=lambda peer: held[peer])
    bar = Bar("W4-best", f"requests/s, eas-engine over the best peer, {best}", "at least", 1.0)
    yield _ratio(bar, by_peer[best], rate)
    probes = [pair.engine.health_p99_ms for pair in by_peer[best]]
    measured = Measured(samples=[told for told in probes if told is not None] or [float("inf")])
    yield Verdict.of(HEALTH, measured).with_doubts(_taken(by_peer[best]), len(probes))


# --- the flood --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Flood:
    """What became of a server with more clients than there is room for; a sample a round each."""

    kept: tuple[float, ...]  # successes over those of the calm
    success_ms: tuple[float, ...]  # p99
    refusal_ms: tuple[float, ...]  # p99; 0 where nobody was refused
    taken: float  # cores that others took

    @property
    def passes(self) -> bool:
        """All three."""
        return (
            median(self.kept) >= KEPT
            and 0 < median(self.success_ms) <= SUCCESS_MS
            and median(self.refusal_ms) <= REFUSAL_MS
        )


def flood(record: Record, server: str, beside: str) -> Flood | None:
    """Of ``server`` in the rounds that it shared with ``beside`` last."""
    calm = [pair.engine for pair in record.pairs("W5", CALM, beside, server)]
    many = [pair.engine for pair in record.pairs("W5", FLOOD, beside, server)]
    if not calm or len(calm) != len(many):
        return None
    return Flood(
        kept=tuple(two.rate / one.rate if one.rate else 0.0 for one, two in zip(calm, many, strict=True)),
        success_ms=tuple(run.p99_ms for run in many),
        refusal_ms=tuple(run.refusals_p99_ms for run in many),
        taken=max(run.others for run in (*calm, *many)),
    )


def _flooded(record: Record, peers: Sequence[str]) -> Iterator[Verdict]:
    there = [peer for peer in peers if record.pairs("W5", FLOOD, peer, ENGINE)]
    ours = flood(record, ENGINE, there[0]) if there else None
    if ours is None:
        return
    rounds = record.pairs("W5", FLOOD, there[0], ENGINE)
    broken = _failed(rounds)
    nobody = [] if all(ours.refusal_ms) else ["nobody was refused: that was no overload"]
    for bar, samples in ((KEEPS, ours.kept), (SUCCESSES, ours.success_ms), (REFUSALS, ours.refusal_ms)):
        measured = Measured(samples=samples, faults=[*broken, *nobody])
        yield Verdict.of(bar, measured).with_doubts(ours.taken, len(samples))
    others = {peer: flood(record, peer, ENGINE) for peer in there}
    able = [peer for peer, one in others.items() if one is not None and one.passes]
    yield Verdict.of(
        ALL_THREE, Measured(samples=[float(len(able))], faults=[f"{peer} does" for peer in able])
    )


def _failed(pairs: Iterable[Pair[Figures]]) -> list[str]:
    broken = sum(pair.engine.broken for pair in pairs)
    return [f"{broken} requests of the engine failed"] if broken else []


def _taken(pairs: Sequence[Pair[Figures]]) -> float:
    """Cores that others took: the median, for a moment's visitor spoils one round, not the median of them."""
    return median([max(pair.reference.others, pair.engine.others) for pair in pairs])
