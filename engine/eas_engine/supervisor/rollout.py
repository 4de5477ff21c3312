"""How many instances of which release: the pure decision of scaling and of rolling updates.

It sees instances as ``Member``s and what is wanted as a ``Course``, and says which of them leave and which
releases new ones are started from. It is asked again after every change; those that it started or told to
leave are members of another kind then, so nothing is said twice.

Scaling is the same decision with one release: there are no old instances then, only too few or too many.
"""

from __future__ import annotations

from collections.abc import Sequence

from eas_engine.records import dataclass
from eas_engine.supervisor.lifecycle import State, badness
from eas_engine.supervisor.release import ONE_MORE, Bounds


@dataclass(frozen=True, slots=True)
class Member:
    """An instance, as far as the decision is concerned.

    Attributes:
        number: of its seat.
        release: number of the release that its hosts were started from.
        state: that of the host that is worst off.
        leaving: it was told to leave; it is a member until its last process is dead.
        marked: another instance is to take its place, whatever its release.
    """

    number: int
    release: int
    state: State
    leaving: bool = False
    marked: bool = False

    @property
    def ready(self) -> bool:
        """Whether it takes requests, and isn't about to stop."""
        return self.state is State.READY and not self.leaving


@dataclass(frozen=True, slots=True)
class Course:
    """Where the instances are to go.

    Attributes:
        wanted: instances that should be ready.
        release: that all of them are of in the end.
        base: the release that ran before; the same where nothing is rolled out.
        bounds: how far the way there may lead from what is wanted.
        rolling: a rollout is under way, so the bounds hold even while all present instances are new.
        trusted: an instance of ``release`` has been ready, so it is worth more than a try.
        probes: instances beside the wanted ones that stay until they are told to leave; nothing is promised
            of them.
    """

    wanted: int
    release: int
    base: int
    bounds: Bounds = ONE_MORE
    rolling: bool = False
    trusted: bool = True
    probes: int = 0

    @property
    def most(self) -> int:
        """Instances of ``release`` that stay in the end."""
        return self.wanted + self.probes

    @property
    def promised(self) -> int:
        """Ready instances below which nothing that is ready is told to leave."""
        return max(0, self.wanted - self.bounds.unavailable)


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now.

    Attributes:
        start: the release of each new instance.
        drain: numbers of the instances that are told to leave.
    """

    start: tuple[int, ...] = ()
    drain: tuple[int, ...] = ()


def decide(members: Sequence[Member], course: Course) -> Decision:
    """Which instances start and which leave now.

    *Guarantees*, with ``surge`` and ``unavailable`` of the course's bounds:

    * It never makes ready instances fewer than ``wanted - unavailable``: a ready one is told to leave only
      while more than that are ready. What dies by itself is another matter; until it is back, nothing that is
      ready leaves.
    * While a release takes another's place (``rolling``, or an old instance is still here) nothing is started
      that would be more than ``wanted + surge`` instances beside the probes, those that are leaving
      included, for their processes hold memory until they are dead.
    * Instances that aren't ready go first: among the old ones, and where there are too many new ones. Those
      of a release that was rolled back, or superseded, go at once.
    * It comes to an end: if every instance that is started becomes ready in the end, and every one that is
      told to leave does, then after finitely many decisions there are ``wanted`` ready ones of ``release``
      and the probes, and the decision is empty.
    * Before the release is trusted there are at most ``surge + unavailable`` instances of it, and what is
      lacking beside them, because more are wanted than before, is started of ``base``.
    """
    staying = [one for one in members if not one.leaving]
    new = _least_worth_first([one for one in staying if one.release == course.release and not one.marked])
    surplus = new[: max(0, len(new) - course.most)]
    new = new[len(surplus) :]
    old = [one for one in staying if one.release != course.release or one.marked]
    leave = _replaceable(new, old, course)
    stay = [one for one in old if one not in leave]
    return Decision(
        _lacking(members, len(new), len(stay), course), tuple(one.number for one in (*surplus, *leave))
    )


def _replaceable(new: Sequence[Member], old: Sequence[Member], course: Course) -> list[Member]:
    """The old instances that may leave now.

    Those that aren't ready go if that leaves ``promised`` instances that are ready or can become so without
    the new ones, which may never be; of a release that was given up they go at once, for nothing is hoped of
    them.
    """
    idle = _least_worth_first([one for one in old if not one.ready])
    hopeless = [one for one in idle if one.release not in (course.release, course.base)]
    idle = [one for one in idle if one not in hopeless]
    spare = len(old) - len(hopeless) + sum(one.ready for one in new) - course.promised
    serving = sorted((one for one in old if one.ready), key=lambda one: one.number)
    ready = len(serving) + sum(one.ready for one in new)
    return hopeless + idle[: max(0, spare)] + serving[: max(0, ready - course.promised)]


def _lacking(members: Sequence[Member], new: int, old: int, course: Course) -> tuple[int, ...]:
    """The release of each instance that is started now, given how many stay."""
    if not course.rolling and all(one.release == course.release and not one.marked for one in members):
        return (course.release,) * (course.most - new)
    bounds = course.bounds
    room = max(0, course.most + bounds.surge - len(members))
    if course.trusted:
        return (course.release,) * min(room, course.most - new)
    tries = max(0, min(room, course.most - new, bounds.surge + bounds.unavailable - new))
    grown = max(0, min(room - tries, course.promised - old))
    return (course.release,) * tries + (course.base,) * grown


def _least_worth_first(members: Sequence[Member]) -> list[Member]:
    """In the order in which they are told to leave: not ready, then the highest number."""
    return sorted(members, key=lambda one: (badness(one.state), -one.number))
