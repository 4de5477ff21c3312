"""Which engine a command is for."""

from __future__ import annotations

from pathlib import Path

from eas_engine.errors import ConfigurationError
from eas_engine.records import dataclass
from eas_engine.state import Found


@dataclass(frozen=True, slots=True)
class Target:
    """Which engine a command is for, as it was said."""

    state_dir: Path | None = None
    name: str | None = None
    workspace_id: str | None = None

    def find(self) -> Found:
        """Errors: NoAnswerError, ConfigurationError (which of several?)."""
        from eas_engine.cli.engines import pick

        return pick(self.state_dir, self.name, self.workspace_id)

    def find_to_change(self) -> Found:
        """The same; one of a workspace must have been named by it.

        Errors: those of ``find``; ConfigurationError.
        """
        found = self.find()
        own = found.record.workspace_id
        if own and self.workspace_id is None:
            raise ConfigurationError(
                f"{found.record.name} is of workspace {own}; --workspace-id {own} says that it is meant"
            )
        return found
