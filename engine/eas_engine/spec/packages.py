"""Which Python packages are installed beside the engine, found out without importing any of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from types import MappingProxyType
from typing import Protocol

from eas_engine.records import dataclass


class Packages(Protocol):
    """What can be asked about installed packages."""

    def version(self, distributions: Sequence[str]) -> str:
        """The version of the first of them that is installed; empty: none is, as far as is known."""
        ...

    def lacking(self, modules: Sequence[str]) -> tuple[str, ...]:
        """Those of these top-level modules that can't be imported because they aren't there."""
        ...


class InstalledPackages:
    """Those of this interpreter, which presets run with."""

    def version(self, distributions: Sequence[str]) -> str:
        """See ``Packages``."""
        from importlib import metadata  # noqa: PLC0415 - only where a preset is asked for

        for name in distributions:
            try:
                return metadata.version(name)
            except metadata.PackageNotFoundError:
                continue
        return ""

    def lacking(self, modules: Sequence[str]) -> tuple[str, ...]:
        """See ``Packages``."""
        from importlib.util import find_spec  # noqa: PLC0415 - as above

        return tuple(name for name in modules if find_spec(name) is None)


@dataclass(frozen=True, slots=True)
class KnownPackages:
    """A made-up installation: versions by distribution, and the modules that can be imported."""

    versions: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    modules: frozenset[str] = frozenset()

    def version(self, distributions: Sequence[str]) -> str:
        """See ``Packages``."""
        return next((self.versions[name] for name in distributions if name in self.versions), "")

    def lacking(self, modules: Sequence[str]) -> tuple[str, ...]:
        """See ``Packages``."""
        return tuple(name for name in modules if name not in self.modules)
