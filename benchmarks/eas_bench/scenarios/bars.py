"""What is asked of the engine, and whether it was met. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Self

from eas_bench.scenarios.figures import median

STEADY = 1.5  # a reference that wavers by more than this factor says nothing about what is held against it
QUIET = 0.2  # cores that others may take meanwhile
ROUNDS = 3  # fewer show nothing of how much the reference wavers

Sense = Literal["at least", "at most", "under"]


@dataclass(frozen=True, slots=True)
class Bar:
    """One figure, and what is asked of it.

    Attributes:
        key: names it wherever it is kept; never changed, so that results of different days can be compared.
        words: what it is.
        sense: on which side of ``limit`` is good; without a limit, which direction is.
        limit: None: nothing is asked, the figure is only told.
        unit: "" for a ratio.
        rounds: whether it has a sample a round, so that too few rounds are a doubt.
    """

    key: str
    words: str
    sense: Sense
    limit: float | None = None
    unit: str = ""
    rounds: bool = True

    def met_by(self, value: float) -> bool:
        """Is that good enough?"""
        if self.limit is None:
            return True
        if self.sense == "at least":
            return value >= self.limit
        return value <= self.limit if self.sense == "at most" else value < self.limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a scenario gave for one figure.

    Attributes:
        samples: one a round, as a rule; at least one.
        wavering: of the reference beside it (``figures.wavering``).
        faults: what went wrong meanwhile; a figure with faults meets no bar.
        doubts: why it may not be the engine's doing.
    """

    samples: Sequence[float]
    wavering: float = 1.0
    faults: Sequence[str] = ()
    doubts: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One bar, held against what was measured."""

    bar: Bar
    samples: tuple[float, ...]
    faults: tuple[str, ...] = ()
    doubts: tuple[str, ...] = field(default=())

    @classmethod
    def of(cls, bar: Bar, measured: Measured) -> Self:
        """Judge by the median of the samples."""
        unsteady = f"the reference itself wavers by a factor of {measured.wavering:.2f} (at most {STEADY})"
        return cls(
            bar=bar,
            samples=tuple(measured.samples),
            faults=tuple(measured.faults),
            doubts=(*measured.doubts, *([unsteady] if measured.wavering > STEADY else [])),
        )

    @property
    def value(self) -> float:
        """The median."""
        return median(self.samples)

    @property
    def met(self) -> bool:
        """Good enough, and nothing went wrong."""
        return not self.faults and self.bar.met_by(self.value)

    @property
    def reliable(self) -> bool:
        """Nothing speaks against believing it."""
        return not self.doubts

    def with_doubts(self, taken: float, rounds: int) -> Self:
        """Add those that lie in how it was measured.

        Args:
            taken: cores that others took meanwhile.
            rounds: how often reference and engine took turns.
        """
        few = self.bar.rounds and rounds < ROUNDS
        doubts = [
            *([f"others took {taken:.2f} cores meanwhile (at most {QUIET})"] if taken > QUIET else []),
            *([f"too few rounds: {rounds} (at least {ROUNDS})"] if few else []),
        ]
        return replace(self, doubts=(*self.doubts, *doubts))
