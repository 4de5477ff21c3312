"""How the command line is read: what typer does, but for four things.

* Without a command, it is ``serve``: ``eas-engine --config FILE`` and ``eas-engine FILE.json``.
* The file may be given as an argument or as ``--config`` (or ``EAS_CONFIG``).
* A wrong value is explained in words of ours: pydantic's are for programmers.
* Help names what a value is, not its type in Python, and shows none for flags.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

_WORDS = {
    "int_parsing": "{input!r} isn't a whole number",
    "int_from_float": "{input!r} isn't a whole number",
    "bool_parsing": "{input!r} is neither true nor false",
    "greater_than_equal": "{input} is less than {ge}",
    "less_than_equal": "{input} is more than {le}",
}


_WORDED = re.compile(r"^\[(\[.*)\]\.\.\.$")


class Command(TyperCommand):
    """A command."""

    def get_params(self, ctx: Any) -> list[Any]:
        """See ``click.Command``."""
        return _without_types(super().get_params(ctx))

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """See ``click.Command``: words that say themselves what may be left out get no more brackets."""
        return [_WORDED.sub(r"\1", piece) for piece in super().collect_usage_pieces(ctx)]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See ``click.Command``."""
        try:
            rest: list[str] = super().parse_args(ctx, args)
        except typer.BadParameter as error:
            error.message = _explained(error) or error.message
            raise
        return rest


class Group(TyperGroup):
    """Commands with a name in common."""

    def get_params(self, ctx: Any) -> list[Any]:
        """See ``click.Group``."""
        return _without_types(super().get_params(ctx))


class ServeByDefault(Group):
    """A group whose unknown options are those of ``serve``, and whose other commands come when needed."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """See ``click.Group``."""
        if cmd_name not in self.commands:
            self._add_others()
        return super().get_command(ctx, cmd_name)

    def list_commands(self, ctx: Any) -> list[str]:
        """See ``click.Group``."""
        self._add_others()
        return list(super().list_commands(ctx))

    def _add_others(self) -> None:
        from eas_engine.cli.eascmd import aliases
        from eas_engine.cli.looking import looking
        from eas_engine.cli.machine import machine
        from eas_engine.cli.running import running

        for more in (machine, running, looking, aliases):
            for name, command in typer.main.get_group(more).commands.items():
                self.commands.setdefault(name, command)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See ``click.Group``."""
        own = {name for parameter in self.get_params(ctx) for name in parameter.opts}
        if not args:
            args = ["serve"] if os.environ.get("EAS_CONFIG") else ["--help"]
        elif args[0].startswith("-"):
            args = args if args[0].partition("=")[0] in own else ["serve", *args]
        elif args[0].endswith(".json"):
            args = ["serve", *args]
        rest: list[str] = super().parse_args(ctx, args)
        return rest

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """See ``click.Group``: an option may also be ``serve``'s."""
        found = super().shell_complete(ctx, incomplete)
        serving = self.get_command(ctx, "serve") if incomplete.startswith("-") else None
        return [*found, *(serving.shell_complete(ctx, incomplete) if serving is not None else [])]


class App(typer.Typer):
    """A typer application whose commands are ``Command``."""

    def __init__(self, **given: Any) -> None:
        """See ``typer.Typer``."""
        super().__init__(**{"cls": Group, **given})

    def command(self, name: str | None = None, **given: Any) -> Callable[[Any], Any]:
        """See ``typer.Typer``."""
        return super().command(name, **{"cls": Command, "options_metavar": "[OPTIONS]", **given})


def chosen(ctx: typer.Context, file: Path | None, config: Path | None) -> Path:
    """The service's file: the argument, or the option (its variable gives way to the argument).

    Raises:
        typer.BadParameter: neither was given, or both.
    """
    source = ctx.get_parameter_source("config")
    by_option = config is not None and getattr(source, "name", "") == "COMMANDLINE"
    if file is not None and by_option and file != config:
        raise typer.BadParameter(f"{file} and --config {config}: which of them?", ctx=ctx)
    path = file or config
    if path is None:
        raise typer.BadParameter(
            f"which service? {ctx.command_path} --config FILE (env var: EAS_CONFIG), or just FILE", ctx=ctx
        )
    return path


def _without_types(parameters: Sequence[Any]) -> list[Any]:
    """Help would show ``<bool>`` behind a flag, and ``<path>`` behind FILE."""
    for one in parameters:
        if one.param_type_name == "argument":
            one.display_type_rich = _no_type
        elif one.is_flag and one.metavar is None:
            one.metavar = ""
    return list(parameters)


def _no_type(*, ctx: Any) -> str:  # noqa: ARG001 - typer passes it
    return ""


def _explained(error: typer.BadParameter) -> str:
    """The first complaint of pydantic in words for a user; empty when there are none."""
    errors: Callable[[], list[dict[str, Any]]] = getattr(error.__cause__, "errors", list)
    for one in errors():
        if one["type"] == "value_error":
            return str(one["msg"]).removeprefix("Value error, ").rstrip(".")
        words = _WORDS.get(str(one["type"]))
        if words is not None:
            return words.format(input=one["input"], **one.get("ctx", {}))
    return ""
