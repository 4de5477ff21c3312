"""From what an operator asks for to a configuration that can be prepared, or every reason why not.

Nothing here changes anything but the history, which ``keep`` adds a version to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from eas_engine.artifacts.resolve import files_here, is_made_of
from eas_engine.configuration import Checked, Configured, read
from eas_engine.operations import Effect, Plan, RefusedError, Update, Version
from eas_engine.records import dataclass
from eas_engine.spec import ConfigurationError, Machine, ServiceSpec

if TYPE_CHECKING:
    from eas_engine.clock import Clock
    from eas_engine.history import History, Kept

_UNSEEN: Final = (
    "nothing was fetched or unpacked to look at: if the files of the model or the processor are new, every "
    "instance is replaced"
)
_NOT_TAKEN: Final = (
    "the files of the model and the processor stay as they are: the same update once more takes new ones"
)
NEW: Final = "the files of the model or the processor are new"
_LOOKED_AT: Final = "the files of the model and the processor are the same: there is nothing to do"
_STAY: Final = (
    "the files of the model or the processor are new, and stay as they were: update FILE, or a restart, "
    "takes them"
)
_ON_ITS_WAY: Final = ("preparing", "trying")
_HELD: Final = ("current", "replaced")
_IN_PLACE: Final = (
    "processor_entry without processor_path is used where it lies, as it is now: only what processor_path "
    "and model_path name is kept"
)


@dataclass(frozen=True, slots=True)
class Target:
    """A configuration on its way. ``kept`` is None as long as nothing is known to be new.

    ``files``: of the model and the processor, as ``configuration.configured`` takes them. ``same``: whether
    those that lie at its addresses are the current ones; None: nobody has looked, or could.
    """

    checked: Checked
    plan: Plan
    version: Version
    text: str
    kept: Kept | None = None
    files: str = ""
    same: bool | None = None

    @property
    def is_on_its_way(self) -> bool:
        """Whether it is a version that hasn't held yet."""
        return self.kept is not None and self.kept.version.state in _ON_ITS_WAY

    @property
    def news(self) -> str:
        """Why it takes new processes, where no parameter says so."""
        return NEW if NEW in self.plan.notes else ""

    @property
    def warnings(self) -> tuple[str, ...]:
        """About the configuration, and files that it doesn't take."""
        left = (note for note in self.plan.notes if note in (_NOT_TAKEN, _STAY))
        return (*self.plan.warnings, *left)

    @property
    def number(self) -> int:
        """Of its version; 0 as long as it has none."""
        return self.kept.version.number if self.kept is not None else 0


class Targets:
    """Reads configurations for one service."""

    def __init__(self, history: History, clock: Clock, machine: Callable[[], Machine], root: Path) -> None:
        """``root``: of the state directories."""
        self._history = history
        self._clock = clock
        self._machine = machine
        self._root = root

    def asked(self, asked: Update, current: Configured) -> Target:
        """That of an update; local files are looked at. Errors: RefusedError; ArtifactError."""
        kept = self.kept(current)
        if asked.text is None:
            if not asked.overrides:
                raise RefusedError("nothing to update: give a file, or -D KEY=VALUE")
            text, source = kept.text, kept.version.source
            overrides = _merged(kept.version.overrides, asked.overrides)
        else:
            text, source, overrides = asked.text, asked.source or kept.version.source, asked.overrides
        target = self._target(text, source, overrides, current, strict=asked.strict)
        files = _pinned(target.checked, current) if asked.text is None else ""
        target = replace(target, version=replace(target.version, kind="update", by=asked.by), files=files)
        return self._looked_at(target, current, whole=asked.text is not None)

    def _looked_at(self, target: Target, current: Configured, *, whole: bool) -> Target:
        """Where no parameter takes new processes, files may; ``whole``: a file was given.

        What changes a setting or two of a service leaves its files alone.
        """
        plan = target.plan
        if plan.effect in (Effect.ROLLOUT, Effect.ENGINE) or target.files:
            return target
        same, is_all = self._is_same(target, current), plan.effect is Effect.NOTHING
        if same is False and (whole or is_all):
            plan = replace(plan, effect=Effect.ROLLOUT, notes=(NEW,))
        elif same is False:
            plan = replace(plan, notes=(_STAY,))
        elif same is None and (whole or is_all):
            plan = replace(plan, notes=(_UNSEEN if is_all else _NOT_TAKEN,))
        elif is_all:
            plan = replace(plan, notes=(_LOOKED_AT,))
        return replace(target, plan=plan, same=same)

    def _is_same(self, target: Target, current: Configured) -> bool | None:
        loaded, workspace = target.checked.loaded, current.artifacts.workspace
        if workspace is None:
            return None
        if loaded.base == current.loaded.base:
            return is_made_of(workspace.root, loaded.spec, loaded.source.absolute(), self._root)
        found = files_here(loaded.spec, loaded.base, self._root)
        return found == current.files if found else None

    def again(self, kept: Kept, current: Configured, *, by: str, new_files: bool) -> Target:
        """That of a version that an operator goes back to. Errors: RefusedError.

        It becomes that version again if it held, and has the files that it held with. Else it is a version of
        its own, so that what is known of the old one stays known.
        """
        files = "" if new_files else kept.version.files
        held = kept.version.state in _HELD
        if not (held or files or new_files) and current.files:
            _refuse_unknown_files(kept)
        target = self._target(kept.text, kept.version.source, kept.version.overrides, current)
        version = replace(target.version, kind="rollback", by=by)
        plan = target.plan
        if new_files or (files and files != current.files):
            plan = replace(plan, effect=Effect.ROLLOUT)
        elif files and plan.effect is Effect.NOTHING:
            plan = replace(plan, effect=Effect.AT_ONCE)
        spec = target.checked.loaded.spec
        if not spec.processor and not spec.processor_path:
            plan = replace(plan, warnings=(*plan.warnings, _IN_PLACE))
        again = kept if held and not new_files else None
        return replace(target, kept=again, version=version, plan=plan, files=files)

    def restarted(self, current: Configured, *, by: str) -> Target:
        """The current one in new processes. Errors: RefusedError."""
        kept = self.kept(current)
        target = self._target(kept.text, kept.version.source, kept.version.overrides, current)
        return replace(
            target,
            kept=kept,
            version=replace(target.version, kind="restart", by=by),
            plan=Plan(effect=Effect.ROLLOUT),
            files=_pinned(target.checked, current),
        )

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
        return Target(checked, replace(found, warnings=warnings), version, text)


def refuse_what_cannot_be(target: Target, asked: Update, current: Configured) -> None:
    """Errors: RefusedError for what no update can do, or not in that way."""
    other = [change.path for change in target.plan.changes if change.effect is Effect.ENGINE]
    if other:
        raise RefusedError(
            f"{', '.join(other)}: an update can't change that; stop this engine and start another one"
        )
    tried = "canary" if asked.canary is not None else "shadow" if asked.shadow is not None else ""
    if asked.canary is not None and asked.shadow is not None:
        raise RefusedError("a canary and a shadow at once: expected one of them")
    unseen = target.plan.effect is Effect.NOTHING and target.same is None and current.files
    if tried and target.plan.effect is not Effect.ROLLOUT and not unseen:
        raise RefusedError(f"nothing that a {tried} could try out: this change needs no new processes")
    if asked.objective and asked.canary is None:
        raise RefusedError("an objective (--slo) needs a canary (--canary 10%)")
    for share in (asked.canary, asked.shadow):
        if share is not None and not 0 < share < 1:
            raise RefusedError(f"a share of {share:.4g}: expected more than 0% and less than 100%")
    try:
        if asked.objective:
            from eas_engine.objective import parse  # noqa: PLC0415 - only canaries have one

            parse(asked.objective)
    except ValueError as error:
        raise RefusedError(f"--slo: {error}") from None


def _refuse_unknown_files(kept: Kept) -> NoReturn:
    """Errors: RefusedError."""
    number, state = kept.version.number, kept.version.state
    if state in _ON_ITS_WAY:
        raise RefusedError(f"version {number} is still under way", conflict=True)
    raise RefusedError(
        f"version {number} never held, and it isn't known which files it had: rollback {number} --new-files "
        "takes its configuration with the files of now"
    )


def _pinned(checked: Checked, current: Configured) -> str:
    """The files that what comes of the current version goes on with; empty: what lies at its addresses."""
    before, now = current.loaded, checked.loaded
    is_same = _addresses(before.spec) == _addresses(now.spec) and before.base == now.base
    return current.files if current.pinned and is_same else ""


def _addresses(spec: ServiceSpec) -> tuple[str, ...]:
    return spec.processor, spec.processor_path, spec.model_path


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
