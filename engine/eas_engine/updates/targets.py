"""From what an operator asks for to a configuration that can be prepared, or every reason why not.

Nothing here changes anything but the history, which ``keep`` adds a version to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from eas_engine.configuration import Checked, Configured, read
from eas_engine.objective import parse
from eas_engine.operations import Effect, Plan, RefusedError, Update, Version
from eas_engine.records import dataclass
from eas_engine.spec import ConfigurationError, Machine

if TYPE_CHECKING:
    from eas_engine.clock import Clock
    from eas_engine.history import History, Kept

_UNSEEN: Final = "files were not looked at: if those of the model or the processor are new, it is a rollout"


@dataclass(frozen=True, slots=True)
class Target:
    """A configuration on its way. ``kept`` is None as long as nothing is known to be new."""

    checked: Checked
    plan: Plan
    version: Version
    text: str
    kept: Kept | None = None

    @property
    def number(self) -> int:
        """Of its version; 0 as long as it has none."""
        return self.kept.version.number if self.kept is not None else 0


class Targets:
    """Reads configurations for one service."""

    def __init__(self, history: History, clock: Clock, machine: Callable[[], Machine]) -> None:
        self._history = history
        self._clock = clock
        self._machine = machine

    def asked(self, asked: Update, current: Configured) -> Target:
        """That of an update. Errors: RefusedError."""
        kept = self.kept(current)
        if asked.text is None:
            if not asked.overrides:
                raise RefusedError("nothing to update: give a file, or -D KEY=VALUE")
            text, source = kept.text, kept.version.source
            overrides = _merged(kept.version.overrides, asked.overrides)
        else:
            text, source, overrides = asked.text, asked.source or kept.version.source, asked.overrides
        target = self._target(text, source, overrides, current, strict=asked.strict)
        return replace(target, version=replace(target.version, kind="update", by=asked.by))

    def again(self, kept: Kept, current: Configured, *, kind: str, by: str) -> Target:
        """That of a version that is kept. Errors: RefusedError."""
        version = kept.version
        target = self._target(kept.text, version.source, version.overrides, current)
        return replace(target, kept=kept, version=replace(version, kind=kind, by=by))

    def scaled(self, current: Configured, key: str, value: object, *, by: str) -> Target:
        """The current one with another value. Errors: RefusedError."""
        kept = self.kept(current)
        overrides = kept.overrides_with(key, value)
        target = self._target(kept.text, kept.version.source, overrides, current)
        return replace(target, version=replace(target.version, kind="scale", by=by))

    def kept(self, current: Configured) -> Kept:
        """The version that ``current`` is. Errors: RefusedError."""
        found = self._history.find(current.version)
        if found is None:
            raise RefusedError(f"version {current.version} is no longer kept: update from a file")
        return found

    def keep(self, target: Target) -> Target:
        """The same, as a version of its own. Errors: ConfigurationError."""
        if target.kept is not None:
            return target
        return replace(target, kept=self._history.add(target.version, target.text))

    def _target(
        self, text: str, source: str, overrides: Sequence[str], current: Configured, *, strict: bool = False
    ) -> Target:
        from eas_engine.spec.changes import plan  # noqa: PLC0415 - no start needs it

        try:
            checked = read(text, Path(source), overrides, strict=strict, machine=self._machine())
        except ConfigurationError as error:
            raise RefusedError(str(error), problems=tuple(_problems(error))) from None
        version = Version(
            number=0,
            time=self._clock.wall(),
            source=source,
            digest="",
            overrides=tuple(overrides),
            instances=checked.loaded.spec.metadata.instance,
        )
        found = plan(current.loaded, checked.loaded)
        warnings = tuple(str(problem) for problem in checked.warnings)
        notes = (_UNSEEN,) if found.effect is Effect.NOTHING else ()
        return Target(checked, replace(found, warnings=warnings, notes=notes), version, text)


def refuse_what_cannot_be(target: Target, asked: Update) -> None:
    """Errors: RefusedError for what no update can do, or not in that way."""
    other = [change.path for change in target.plan.changes if change.effect is Effect.ENGINE]
    if other:
        raise RefusedError(
            f"{', '.join(other)}: an update can't change that; stop this engine and start another one"
        )
    tried = "canary" if asked.canary is not None else "shadow" if asked.shadow is not None else ""
    if asked.canary is not None and asked.shadow is not None:
        raise RefusedError("a canary and a shadow at once: expected one of them")
    if tried and target.plan.effect is not Effect.ROLLOUT:
        raise RefusedError(f"nothing that a {tried} could try out: this change needs no new processes")
    if asked.objective and asked.canary is None:
        raise RefusedError("an objective (--slo) needs a canary (--canary 10%)")
    for share in (asked.canary, asked.shadow):
        if share is not None and not 0 < share < 1:
            raise RefusedError(f"a share of {share:.4g}: expected more than 0% and less than 100%")
    try:
        if asked.objective:
            parse(asked.objective)
    except ValueError as error:
        raise RefusedError(f"--slo: {error}") from None


def _merged(before: Sequence[str], more: Sequence[str]) -> tuple[str, ...]:
    """Overrides, the later one of each key."""
    found: dict[str, str] = {}
    for one in (*before, *more):
        key = one.partition("=")[0].strip()
        found.pop(key, None)
        found[key] = one
    return tuple(found.values())


def _problems(error: ConfigurationError) -> list[Mapping[str, object]]:
    return [{"path": one.path, "line": one.line, "message": one.message} for one in error.problems]
