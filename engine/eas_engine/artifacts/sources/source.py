"""What a transfer asks of wherever a file lies: ``http``, ``oss`` and ``schemes`` answer it."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import Protocol, runtime_checkable

from eas_engine.artifacts.sources.checks import NO_DIGESTS, Expected, Version
from eas_engine.records import dataclass


class Outcome(Enum):
    """What the answer to ``RemoteFile.open`` brings."""

    WHOLE = auto()
    """The file from its first byte, whatever offset was asked for."""
    REST = auto()
    """The file from the offset on."""
    UNCHANGED = auto()
    """It is still the version in ``unless``; no bytes."""
    CHANGED = auto()
    """It isn't the version in ``same`` any more, or ranges don't work: begin again; no bytes."""


@dataclass(frozen=True, slots=True)
class Opened:
    """An answer. ``read(most)`` gives what is there, nothing at the end; ``close`` must be called."""

    outcome: Outcome
    read: Callable[[int], bytes]
    close: Callable[[], None]
    version: Version
    total: int | None = None
    """Bytes of the whole file, None when the other side doesn't say."""
    expected: Expected = NO_DIGESTS


class RemoteFile(Protocol):
    """One file somewhere else."""

    @property
    def label(self) -> str:
        """Its address without secrets, for messages."""
        ...

    def open(self, offset: int = 0, *, same: Version | None = None, unless: Version | None = None) -> Opened:
        """Ask for it from ``offset`` on, if it is still the ``same``; not at all if it is still ``unless``.

        Errors: TransferError.
        """
        ...


@dataclass(frozen=True, slots=True)
class Member:
    """A file of a folder. ``name`` is its path in it, checked by ``folder.checked``."""

    name: str
    size: int
    version: Version
    file: RemoteFile


@runtime_checkable
class RemoteFolder(Protocol):
    """A folder somewhere else."""

    @property
    def label(self) -> str:
        """Its address without secrets."""
        ...

    def members(self) -> list[Member]:
        """Every file below it. Errors: TransferError; ArtifactError when there is none."""
        ...
