"""The versions of a service, kept on disk: every configuration that was accepted, and which of them holds.

``<state directory>/history/`` (0700) holds

* ``<number>.json`` (0600, for a file may have secrets in it): the text of service.json, the overrides, where
  they came from and what became of them,
* ``current``: the number of the version that holds. It is replaced atomically, once an update is done, so
  whoever starts after a crash finds the last complete version.

The caller holds the lock of the state directory. What can't be read is left alone and named in ``problems``:
an engine starts without its history rather than not at all.

What changes it waits for the disk, so a running engine calls that in its disk's thread (``disk``), one at a
time, while its loop reads: what is read is never changed, only replaced, once the disk has it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, Self

from eas_engine import private_files
from eas_engine.errors import ConfigurationError
from eas_engine.operations import Version
from eas_engine.records import dataclass

KEPT: Final = 1000
"""Versions that are kept; of more the oldest go, never the current one."""

_LIMIT: Final = 8 << 20  # bytes of a version's file: a service.json has at most 1 MiB, and escapes grow it
_DIGITS: Final = 6
_LEFT: Final = "the engine ended before it was complete"


@dataclass(frozen=True, slots=True)
class Kept:
    """A version and the text of its service.json."""

    version: Version
    text: str

    def overrides_with(self, key: str, value: object) -> tuple[str, ...]:
        """Its overrides, with this one in the place of an earlier one of the same key."""
        return (*self._overrides_but(key), f"{key}={json.dumps(value)}")

    def is_scaled(self, other: Kept) -> bool:
        """Whether nothing but ``scale`` lies between the two: they have the same files, too."""
        return (
            "scale" in (self.version.kind, other.version.kind)
            and self.version.files == other.version.files
            and self.is_alike(other)
        )

    def is_alike(self, other: Kept) -> bool:
        """Whether both have the same configuration, the number of instances aside."""
        same = self._overrides_but("metadata.instance") == other._overrides_but("metadata.instance")
        return same and self.text == other.text

    def _overrides_but(self, key: str) -> list[str]:
        return [one for one in self.version.overrides if one.partition("=")[0].strip() != key]


class History:
    """The versions in one directory, oldest first."""

    def __init__(
        self, directory: Path, kept: Mapping[int, Kept], current: int, problems: Sequence[str]
    ) -> None:
        self._directory = directory
        self._kept: Mapping[int, Kept] = dict(kept)  # replaced, never changed
        self._current = current
        self._latest = max(kept, default=0)  # number that was given; also to what can't be read
        self.problems = tuple(problems)
        """What couldn't be read, for a person."""

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Read what is there. Versions that an engine left half done have failed.

        Errors: ConfigurationError when the directory can't be used at all.
        """
        private_files.make_directory(directory)
        kept: dict[int, Kept] = {}
        problems: list[str] = []
        latest = 0
        for path in sorted(directory.glob("*.json")):
            latest = max(latest, _number(path.stem))
            try:
                one = _read(path)
            except (ConfigurationError, FileNotFoundError) as error:
                problems.append(str(error))
                continue
            kept[one.version.number] = one
        history = cls(directory, kept, _current(directory), problems)
        history._latest = latest
        history._agree_on_the_current_one()
        for one in [*history._kept.values()]:
            if one.version.state in ("preparing", "trying") and one.version.number != history._current:
                history.settle(one.version.number, "failed", _LEFT)
        return history

    def __repr__(self) -> str:
        return f"<History {len(self._kept)} versions, current {self._current or 'none'}>"

    @property
    def current(self) -> Kept | None:
        """The version that holds; None before the first one is complete."""
        return self._kept.get(self._current)

    @property
    def previous(self) -> Kept | None:
        """The version that held before the current one; None when there was none.

        One that differs by nothing but ``scale``'s number of instances isn't meant: who rolls back wants the
        model or the settings of before.
        """
        now = self.current
        replaced = [
            one
            for one in self._kept.values()
            if one.version.state == "replaced"
            and one.version.replaced_at
            and not (now and now.is_scaled(one))
        ]
        return max(replaced, key=lambda one: (one.version.replaced_at, one.version.number), default=None)

    @property
    def files_wanted(self) -> tuple[str, ...]:
        """Those that a rollback without a number would go to, now and once another version holds."""
        ends = (self.previous, self.current)
        return tuple(one.version.files for one in ends if one is not None and one.version.files)

    def versions(self) -> tuple[Version, ...]:
        """All, oldest first."""
        return tuple(one.version for _, one in sorted(self._kept.items(), key=itemgetter(0)))

    def find(self, number: int) -> Kept | None:
        """The version with this number."""
        return self._kept.get(number)

    def resumable(self, text: str, overrides: Sequence[str]) -> Kept | None:
        """What a start with this file and these flags goes on with; None: they are new.

        An engine that was updated while it ran is started again, as a rule by a service manager, with the
        file of its first start. As long as that says what it said then, the last complete version holds, and
        also where it was edited in place since, and says what holds or what was ``left``.
        """
        latest, now, given = self._latest_start(), self.current, digest(text, overrides)
        if latest is not None and given == (latest.version.given or latest.version.digest):
            is_new = latest.version.state == "failed" and not latest.version.given
            return None if is_new else now
        if now is not None and (
            now.version.digest == given or (now.text == text and self._is_same_call(overrides))
        ):
            return now
        return now if self.left(text, overrides) is not None else None

    def left(self, text: str, overrides: Sequence[str]) -> Kept | None:
        """The version that a file and flags are of, if it failed, or was gone back from; the latest of these.

        With the flags of the last start the file alone tells: an update from it may have had none.
        """
        given = digest(text, overrides)
        found = [one for one in self._kept.values() if one.version.digest == given]
        if not found and self._is_same_call(overrides):
            found = [one for one in self._kept.values() if one.text == text]
        return self._left_of(found)

    def left_with(self, files: Callable[[str], bool]) -> Kept | None:
        """The same of the version whose files these are; ``files`` is asked of each."""
        now = self.current
        kept = [one for one in self._kept.values() if one.version.files and one is not now]
        known = {one.version.files for one in kept}
        right = {one for one in known if (now is None or one != now.version.files) and files(one)}
        return self._left_of([one for one in kept if one.version.files in right])

    def _left_of(self, found: Sequence[Kept]) -> Kept | None:
        """The latest of these, if nobody wants it any more. A start that failed may be tried again."""
        latest = max(found, key=lambda one: one.version.number, default=None)
        if latest is None or latest is self.current:
            return None
        if latest.version.state == "failed":
            return latest if latest.version.kind != "start" else None
        later = (one for one in self._kept.values() if one.version.number >= latest.version.number)
        was_left = any(one.version.rejected and (one is latest or one.is_scaled(latest)) for one in later)
        return latest if was_left else None

    def begin(self, version: Version, text: str) -> Kept:
        """Keep that of a start. The same one, tried again after it failed, keeps its number.

        Errors: ConfigurationError.
        """
        latest = self._kept.get(max(self._kept, default=0))
        if (
            latest is None
            or (latest.version.state, latest.version.kind) != ("failed", version.kind)
            or latest.version.digest != digest(text, version.overrides)
        ):
            return self.add(version, text)
        number = latest.version.number
        return self._put(Kept(replace(version, number=number, digest=latest.version.digest), text))

    def add(self, version: Version, text: str) -> Kept:
        """Keep another one. Its number and digest are made here. Errors: ConfigurationError."""
        number = self._latest + 1
        one = Kept(replace(version, number=number, digest=digest(text, version.overrides)), text)
        self._put(one)
        self._latest = number
        self._forget()
        return one

    def settle(
        self,
        number: int,
        state: str,
        reason: str = "",
        *,
        at: float = 0.0,
        held: tuple[str, bool] | None = None,
    ) -> None:
        """What became of a version. ``current`` replaces the one before.

        ``held``: its ``files`` and ``pinned`` (see ``Version``), when it becomes known.

        Errors: ConfigurationError.
        """
        one = self._kept[number].version
        files, pinned = held or (one.files, one.pinned)
        if state == "current" and number != self._current:
            before = self._current
            if (files, pinned) != (one.files, one.pinned):  # known to whoever finds it current after a crash
                self._change(number, files=files, pinned=pinned)
            is_back = one.kind == "rollback" or (one.state == "replaced" and number < before)
            private_files.write(self._directory / "current", str(number).encode(), 0o600, durable=True)
            self._current = number
            if before in self._kept:
                self._change(before, state="replaced", replaced_at=at, rejected=is_back)
        rejected = one.rejected and state != "current"
        self._change(number, state=state, reason=reason, files=files, pinned=pinned, rejected=rejected)

    def _is_same_call(self, overrides: Sequence[str]) -> bool:
        latest = self._latest_start()
        return latest is not None and latest.version.overrides == tuple(overrides)

    def _agree_on_the_current_one(self) -> None:
        """What ``current`` names is so, also where the engine ended before the versions said it, too."""
        if self._current not in self._kept:
            return
        at = (self._directory / "current").stat().st_mtime
        for number, one in [*self._kept.items()]:
            if number == self._current and one.version.state != "current":
                self._change(number, state="current", reason="")
            elif number != self._current and one.version.state == "current":
                self._change(number, state="replaced", replaced_at=at)

    def _latest_start(self) -> Kept | None:
        starts = [one for one in self._kept.values() if one.version.kind == "start"]
        return max(starts, key=lambda one: one.version.number, default=None)

    def _change(self, number: int, **fields: Any) -> None:
        one = self._kept[number]
        self._put(Kept(replace(one.version, **fields), one.text))

    def _put(self, one: Kept) -> Kept:
        path = self._directory / f"{_stem(one.version.number)}.json"
        data = json.dumps({**asdict(one.version), "text": one.text}, indent=1).encode() + b"\n"
        private_files.write(path, data, 0o600, durable=True)
        self._kept = {**self._kept, one.version.number: one}
        return one

    def _forget(self) -> None:
        old = [number for number in sorted(self._kept)[:-KEPT] if number != self._current]
        for number in old:
            (self._directory / f"{_stem(number)}.json").unlink(missing_ok=True)
        if old:
            self._kept = {number: one for number, one in self._kept.items() if number not in old}


def digest(text: str, overrides: Sequence[str]) -> str:
    """SHA-256 (hex) of a file's text and the overrides."""
    return hashlib.sha256(json.dumps([text, *overrides]).encode()).hexdigest()


def _current(directory: Path) -> int:
    try:
        text = private_files.read_text(directory / "current", 64).strip()
    except (FileNotFoundError, ConfigurationError):
        return 0
    return int(text) if text.isascii() and text.isdigit() else 0


def _read(path: Path) -> Kept:
    """Errors: FileNotFoundError; ConfigurationError when it isn't a version's file."""
    text = private_files.read_text(path, _LIMIT)
    try:
        fields = json.loads(text)
        own = {name: fields[name] for name in Version.__dataclass_fields__ if name in fields}
        version = Version(**{**own, "overrides": tuple(fields["overrides"])})
        config = fields["text"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ConfigurationError(f"{path} isn't a version's file ({error!r}); delete it") from None
    right = type(version.number) is int and path.stem == _stem(version.number) and isinstance(config, str)
    if not right or not _is_well_formed(version):
        raise ConfigurationError(f"{path} isn't a version's file; delete it")
    return Kept(version, config)


def _is_well_formed(version: Version) -> bool:
    texts = (version.source, version.digest, version.kind, version.by, version.state, version.given)
    numbers = (version.time, version.instances, version.replaced_at or 0)
    return all(
        isinstance(one, str) for one in (*texts, version.reason, version.files, *version.overrides)
    ) and all(isinstance(one, int | float) for one in (*numbers, version.pinned, version.rejected))


def _number(stem: str) -> int:
    return int(stem) if stem.isascii() and stem.isdigit() and len(stem) == _DIGITS else 0


def _stem(number: int) -> str:
    return f"{number:0{_DIGITS}}"
