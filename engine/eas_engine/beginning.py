"""The version that an engine starts with: what holds, or what its file says, and with which files.

What an operator went back from, and what failed, doesn't come back because it still lies in its place when a
machine loses its power: a start goes on with what holds, and says so. ``--fresh`` takes what lies there.
"""

from __future__ import annotations

import contextlib
import getpass
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from eas_engine import spec
from eas_engine.artifacts.resolve import Places, is_kept, lies_here
from eas_engine.configuration import Checked, Configured, read
from eas_engine.history import History, Kept, digest
from eas_engine.operations import Version
from eas_engine.records import dataclass

if TYPE_CHECKING:
    from eas_engine.options import ServeOptions
    from eas_engine.telemetry.logs import Logs

_TAKES: Final = (
    "it goes on with the version that holds; --fresh, or eas-engine update FILE, takes what lies there"
)
_UPDATED: Final = (
    "the service was updated since it was started with this file: it goes on with that version; "
    "--fresh takes the file instead"
)


@dataclass(frozen=True, slots=True)
class First:
    """What to start with. ``files``: as for ``configuration.configured``; ``resumed``: it held before."""

    kept: Kept
    checked: Checked
    resumed: bool = False
    files: str = ""


class Beginning:
    """Finds it, once. ``text`` and ``asked``: the file of the start."""

    def __init__(
        self, options: ServeOptions, text: str, asked: Checked, history: History, logs: Logs
    ) -> None:
        self._options, self._text, self._asked = options, text, asked
        self._history, self._logs = history, logs

    def __repr__(self) -> str:
        return f"<Beginning of {self._history!r}>"

    def first(self, places: Places) -> First:
        """Errors: ConfigurationError; ArtifactError: its files can't be looked at."""
        log, history = self._logs.log, self._history
        for problem in history.problems:
            log.warning("a version of the service can't be read", reason=problem)
        resumed = None if self._options.fresh else history.resumable(self._text, self._options.overrides)
        checked = self._read(resumed) if resumed is not None else None
        if resumed is None or checked is None:
            return First(history.begin(self._started(), self._text), self._asked)
        return First(resumed, checked, resumed=True, files=self._files(resumed.version, checked, places))

    def made(self, first: First, configured: Configured) -> Configured:
        """What was made of it. Files that are new are a version of its own. Errors: ConfigurationError."""
        version = first.kept.version
        configured = replace(configured, pinned=version.pinned)
        if not first.resumed:
            self._history.settle(version.number, "preparing", held=(configured.files, False))
        if not first.resumed or not version.files or configured.files in ("", version.files):
            return configured
        started = replace(
            self._started(),
            source=version.source,
            overrides=version.overrides,
            instances=version.instances,
            files=configured.files,
            given=digest(self._text, self._options.overrides),
        )
        number = self._history.begin(started, first.kept.text).version.number
        self._logs.log.warning(
            "the files of the model or the processor are new: they are a version of their own; eas-engine "
            "rollback goes back to those of before",
            version=number,
            before=version.number,
        )
        return replace(configured, version=number)

    def _read(self, resumed: Kept) -> Checked | None:
        """What holds, as it can be served here; None: it can't be any more."""
        text, overrides, log = self._text, self._options.overrides, self._logs.log
        version = resumed.version
        if version.digest == digest(text, overrides):
            return self._asked
        with contextlib.suppress(spec.ConfigurationError):
            machine = self._asked.loaded.machine
            checked = read(resumed.text, Path(version.source), version.overrides, machine=machine)
            left = self._history.left(text, overrides) if resumed.text != text else None
            told = f"the file says what {_told(left)}: {_TAKES}" if left is not None else _UPDATED
            log.warning(told, version=version.number, source=version.source)
            return checked
        log.warning("the version before can't be served any more: the file is taken", version=version.number)
        return None

    def _files(self, version: Version, checked: Checked, places: Places) -> str:
        """Those that it goes on with; empty: what lies at its addresses."""
        log, service, source = self._logs.log, checked.loaded.spec, checked.loaded.source.absolute()
        if not version.files or places.by_hand:
            return ""
        if version.pinned:
            log.warning(
                "an operator went back to this version: it has the files that it had; an update from a file, "
                "or --fresh, takes those that lie at its addresses now",
                version=version.number,
            )
            return version.files
        if not is_kept(service, places, version.files):
            return ""
        if lies_here(service, source, places, version.files):
            return version.files
        left = self._history.left_with(lambda files: lies_here(service, source, places, files))
        if left is None:
            return ""
        told = f"the files at its addresses are those that {_told(left)}: {_TAKES}"
        log.warning(told, version=version.number)
        return version.files

    def _started(self) -> Version:
        return Version(
            number=0,
            time=self._logs.clock.wall(),
            source=str(self._options.config.absolute()),
            digest="",
            overrides=self._options.overrides,
            kind="start",
            by=whoever_starts(),
            instances=self._asked.loaded.spec.metadata.instance,
        )


def _told(left: Kept) -> str:
    number = left.version.number
    failed = left.version.state == "failed"
    return f"version {number} failed with" if failed else f"an operator went back from (version {number})"


def whoever_starts() -> str:
    """The user's name, for the history; a number where it has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
