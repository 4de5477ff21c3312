"""What is asked of the engine on a card, and whether it holds. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from eas_bench.scenarios.bars import Bar, Measured, Verdict

Outcome = Literal["holds", "doesn't hold", "not measured", "told"]

_FROM_MEMORY: Final = "requests a second through HTTP, over those of the same model in a loop from memory"
_LATENCY: Final = "p99 at 80 % of that load, over twice the time of a batch plus 5 ms"
_COPIES: Final = "times a body is copied in the host's memory"

BARS: Final = (
    *(
        bar
        for name in ("G1", "G2", "G3")
        for bar in (
            Bar(f"{name}-rate", f"{name}: {_FROM_MEMORY}", "at least", 0.95),
            Bar(f"{name}-p99", f"{name}: {_LATENCY}", "at most", 1.0),
        )
    ),
    Bar("G1-copies", f"G1: {_COPIES}", "at most", 1.0, rounds=False),
    Bar("G2-copies", f"G2: {_COPIES}", "at most", 1.0, rounds=False),
    # Bodies under 64 KiB travel in frames: a card has nothing to gain from a few more copies of those.
    Bar("G3-copies", f"G3: {_COPIES}", "at most", None, rounds=False),
    Bar(
        "shares",
        "instances at 30 and 70 %: how far the first one's part of the throughput is from 30",
        "at most",
        10.0,
        "points",
        rounds=False,
    ),
    Bar("beside", "p99 beside a service that misuses memory, over p99 alone", "at most", 1.2, rounds=False),
    Bar("card", "parts of the PyTorch preset that failed on the card", "at most", 0.0, rounds=False),
)
"""In the order in which they are shown."""

LACKING: Final = "it was not measured"


@dataclass(frozen=True, slots=True)
class Line:
    """One bar of the table; ``verdict`` None: it wasn't measured, and ``why``."""

    bar: Bar
    verdict: Verdict | None
    why: str = ""

    @property
    def outcome(self) -> Outcome:
        """In words."""
        if self.verdict is None:
            return "not measured"
        if self.bar.limit is None:
            return "told"
        return "holds" if self.verdict.met else "doesn't hold"


def lines(
    figures: Mapping[str, Measured], unmeasured: Mapping[str, str], checks: Collection[str]
) -> list[Line]:
    """The bars of these checks, held against what was measured.

    Args:
        figures: by the bar's key.
        unmeasured: why others weren't, by the check: what stands before the ``-`` of the bar's key.
        checks: those that were to be run.
    """
    told = []
    for bar in BARS:
        check = bar.key.partition("-")[0]
        if check not in checks:
            continue
        measured, why = figures.get(bar.key), unmeasured.get(check, LACKING)
        told.append(Line(bar, None, why) if measured is None else Line(bar, Verdict.of(bar, measured)))
    return told


def status(told: Sequence[Line]) -> int:
    """Of the command: 0: all hold; 1: one doesn't; 2: one wasn't measured."""
    if any(line.outcome == "doesn't hold" for line in told):
        return 1
    return 2 if any(line.outcome == "not measured" for line in told) else 0


def throughput(served: Sequence[float], loop: Mapping[str, Any], errors: int) -> Measured:
    """Requests a second of the rounds, over those of the loop.

    Args:
        served: of each round.
        loop: as ``loop`` prints it; its ``rate`` is of the best batch.
        errors: requests of all rounds that had another end than a good answer.
    """
    faults = [f"{errors} requests failed"] if errors else []
    return Measured(samples=[rate / loop["rate"] for rate in served], faults=faults)


def latency(p99_ms: Sequence[float], batch_ms: float, errors: int, doubts: Sequence[str] = ()) -> Measured:
    """The rounds' p99 at 80 % of the load, over what is allowed."""
    faults = [f"{errors} requests failed"] if errors else []
    return Measured(samples=[one / (2 * batch_ms + 5) for one in p99_ms], faults=faults, doubts=doubts)


def copies(copied: int, body: int, *, in_arena: bool) -> Measured:
    """How often a body was copied, from the memory into which it was received to the card.

    Args:
        copied: bytes, by the preset.
        body: bytes.
        in_arena: whether it was received into the arena; else it went through a frame: into it, out of the
            inbox, and out of the frame.
    """
    return Measured(samples=[copied / body + (0 if in_arena else 3)])


def shares(thirty: float, seventy: float) -> Measured:
    """Of what two instances answered at the same time, in requests a second."""
    both = thirty + seventy
    faults = [] if thirty and seventy else ["one of the two answered nothing"]
    return Measured(samples=[abs(100 * thirty / both - 30) if both else 100.0], faults=faults)


def beside(alone_ms: float, beside_ms: float, errors: int) -> Measured:
    """The p99 of a service, without and with a neighbour that misuses memory."""
    faults = [f"{errors} requests failed beside it"] if errors else []
    return Measured(samples=[beside_ms / alone_ms if alone_ms else 0.0], faults=faults)


def parts(told: Mapping[str, str]) -> Measured:
    """Of the preset: what went wrong with each, empty for those that are right."""
    wrong = [f"{name}: {why}" for name, why in told.items() if why]
    return Measured(samples=[float(len(wrong))], faults=wrong)
