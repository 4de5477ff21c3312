"""One file from somewhere else to the disk: resumed, checked, retried, bounded.

An attempt asks for what is missing of the part on disk, under the condition that the file is still the same
version, and appends what comes. A part that is whole already (an earlier start ended before it had used it)
is taken when the server says that the file is still that version, or when it has the pinned digest. A digest
that doesn't agree throws the part away. The size that was announced is what is taken: less is a broken
transfer, more is never read.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import field
from pathlib import Path
from typing import Final, TypeVar

from eas_engine.artifacts.fetching.part import Begun, Part
from eas_engine.artifacts.fetching.progress import Bar
from eas_engine.artifacts.sources.checks import Digests, Expected, Version
from eas_engine.artifacts.sources.retry import QUICK, Attempts, Policy, TransferError
from eas_engine.artifacts.sources.source import Opened, Outcome, RemoteFile
from eas_engine.artifacts.sources.stopping import Stop
from eas_engine.clock import Clock
from eas_engine.records import dataclass

T = TypeVar("T")
CHUNK: Final = 256 << 10  # bytes read at once
_PACE_WINDOW: Final = 30.0  # seconds
_PACE_BYTES: Final = 30 << 10  # a transfer that brings less in a window is as good as dead


@dataclass(frozen=True, slots=True)
class Means:
    """What every transfer of an engine uses. ``room(count)``: ArtifactError when the disk can't hold so much.

    ``chance`` is from 0 to 1, for the pauses: engines that lost a server together don't come back together.
    """

    stop: Stop
    clock: Clock
    room: Callable[[int], None]
    policy: Policy = field(default_factory=Policy)
    chance: Callable[[], float] = random.random  # noqa: S311 - no secret


@dataclass(frozen=True, slots=True)
class Received:
    """A whole file, checked and on disk; ``part.forget(path)`` when it has been used."""

    path: Path
    sha256: str
    size: int
    version: Version


def receive(
    file: RemoteFile, path: Path, means: Means, bar: Bar, *, pin: str = "", unless: Version | None = None
) -> Received | None:
    """Fetch ``file`` to ``path``; None when it is still the version ``unless``.

    The part stays on disk when it fails, unless its bytes were wrong.

    Raises:
        TransferError: the last attempt's.
        ArtifactError: no room on the disk.
        StoppedError: the stop was set.
        OSError: the disk.
    """
    attempts = Attempts(QUICK if unless is not None else means.policy, means.chance)
    part = Part(path)
    transfer = _Transfer(file, part, means, bar, pin)
    try:
        transfer.resume()
        while True:
            before = part.size
            try:
                return transfer.attempt(unless)
            except TransferError as error:
                if part.size or error.spoilt:
                    attempts.policy = means.policy  # it is being fetched: no copy in the cache will do
                _wait(error, attempts.failed(error, part.size - before), means, bar)
    finally:
        part.leave()


def patiently(ask: Callable[[], T], means: Means, bar: Bar, *, quick: bool) -> T:
    """What ``ask`` returns, tried again while that may help; ``quick``: a copy will do when it doesn't.

    Errors: TransferError, the last attempt's; StoppedError.
    """
    attempts = Attempts(QUICK if quick else means.policy, means.chance)
    while True:
        try:
            return ask()
        except TransferError as error:
            _wait(error, attempts.failed(error, 0), means, bar)


def _wait(error: TransferError, pause: float | None, means: Means, bar: Bar) -> None:
    """Before the next attempt, if there is to be one. Errors: ``error``, StoppedError."""
    means.stop.check()
    if pause is None:
        raise error
    bar.retries(str(error), pause)
    means.stop.pause(pause)


class _Transfer:
    """The attempts at one file share the part and the digests of what is in it."""

    def __init__(self, file: RemoteFile, part: Part, means: Means, bar: Bar, pin: str) -> None:
        self._file, self._part, self._means, self._bar, self._pin = file, part, means, bar, pin
        self._begun: Begun | None = None
        self._digests = Digests(Expected())

    def resume(self) -> None:
        """Take up what an earlier start left."""
        self._begun = self._part.open()
        if self._begun is None:
            return
        self._digests = Digests(self._begun.expected)
        offset = 0
        while data := self._part.read_from(offset, CHUNK):
            self._means.stop.check()
            self._digests.update(data)
            offset += len(data)
        self._bar.expects(self._begun.total)
        self._bar.moved(offset)

    def attempt(self, unless: Version | None) -> Received | None:
        """Bring what is missing. Errors: see ``receive``."""
        begun = self._begun
        if begun is not None and begun.total is not None and begun.total == self._part.size:
            return self._again(begun)
        resumable = begun is not None and begun.version.strong and begun.total is not None
        offset = self._part.size if resumable else 0
        same = begun.version if begun is not None and offset else None
        opened = self._file.open(offset, same=same, unless=None if offset else unless)
        try:
            if opened.outcome is Outcome.UNCHANGED:
                return None
            if opened.outcome is Outcome.CHANGED:
                self._forget()
                raise TransferError(f"{self._file.label}: it was changed meanwhile", again=True, spoilt=True)
            begun = self._continue(opened, offset)
            self._copy(opened, begun.total)
        finally:
            opened.close()
        return self._complete(begun)

    def _again(self, begun: Begun) -> Received:
        """All of it is there since an earlier start: is it still the version that is wanted?"""
        if self._pin and self._digests.sha256 == self._pin:
            return self._complete(begun)
        opened = self._file.open(unless=begun.version if begun.version.known else None)
        try:
            sizes_agree = opened.total in (None, begun.total)
            told = opened.outcome is Outcome.UNCHANGED
            if not told and not (sizes_agree and begun.version.is_same(opened.version)):
                begun = self._continue(opened, 0)
                self._copy(opened, begun.total)
        finally:
            opened.close()
        return self._complete(begun)

    def _continue(self, opened: Opened, offset: int) -> Begun:
        if opened.outcome is Outcome.REST and self._begun is not None and opened.total == self._begun.total:
            return self._begun
        if opened.outcome is Outcome.REST:
            self._forget()
            raise TransferError(
                f"{self._file.label}: its size was changed meanwhile", again=True, spoilt=True
            )
        self._forget()
        begun = Begun(opened.version, opened.total, opened.expected)
        self._means.room(opened.total or 0)
        self._part.begin(begun)
        self._begun, self._digests = begun, Digests(opened.expected)
        self._bar.expects(opened.total)
        return begun

    def _copy(self, opened: Opened, total: int | None) -> None:
        pace = _Pace(self._means.clock, self._file.label)
        unasked = 0  # bytes since the disk was last asked
        while total is None or self._part.size < total:
            most = CHUNK if total is None else min(CHUNK, total - self._part.size)
            data = opened.read(most)
            self._means.stop.check()  # before it is written: the lock may be somebody else's by now
            if not data:
                break
            unasked += len(data)
            if unasked >= 64 * CHUNK:
                self._means.room(0 if total is None else total - self._part.size)
                unasked = 0
            self._part.write(data)
            self._digests.update(data)
            self._bar.moved(len(data))
            pace.moved(len(data))
        if total is not None and self._part.size < total:
            missing = total - self._part.size
            raise TransferError(f"{self._file.label}: it ended {missing} bytes too early", again=True)

    def _complete(self, begun: Begun) -> Received:
        wrong = self._digests.wrong(self._pin)
        if wrong:
            self._forget()
            raise TransferError(f"{self._file.label}: {wrong}", again=True, answered=True, spoilt=True)
        size, digest = self._part.size, self._digests.sha256
        return Received(self._part.finish(begun), digest, size, begun.version)

    def _forget(self) -> None:
        """What is in the part is worth nothing."""
        self._bar.moved(-self._part.size)
        self._begun, self._digests = None, Digests(Expected())
        self._part.begin(Begun(Version(), None, Expected()))


class _Pace:
    """A server that sends a byte now and then never times out; below a modem's speed it counts as stalled."""

    def __init__(self, clock: Clock, label: str) -> None:
        self._clock, self._label = clock, label
        self._since, self._count = clock.now(), 0

    def moved(self, count: int) -> None:
        self._count += count
        now = self._clock.now()
        if now - self._since < _PACE_WINDOW:
            return
        if self._count < _PACE_BYTES:
            raise TransferError(
                f"{self._label}: only {self._count} bytes came in {now - self._since:.0f} s", again=True
            )
        self._since, self._count = now, 0
