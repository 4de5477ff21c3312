"""The words behind a command for a running service: ``[SERVICE] N``, as eascmd takes them.

The service may be named first, or by ``--name``, or not at all when only one engine runs.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Annotated

import typer

LARGEST = 10**9
_WHICH = "The service may be named first when several run."
Service = Annotated[
    list[str] | None, typer.Argument(metavar="[SERVICE]", help="Which, when several run.", show_default=False)
]
ServiceAndCount = Annotated[
    list[str] | None, typer.Argument(metavar="[SERVICE] N", help=_WHICH, show_default=False)
]
ServiceAndVersion = Annotated[
    list[str] | None, typer.Argument(metavar="[SERVICE] [N]", help=_WHICH, show_default=False)
]
ServiceAndInstance = Annotated[
    list[str] | None, typer.Argument(metavar="[SERVICE] INSTANCE[,...]", help=_WHICH, show_default=False)
]
ServiceAndMaybeInstance = Annotated[
    list[str] | None, typer.Argument(metavar="[SERVICE] [INSTANCE]", help=_WHICH, show_default=False)
]


def service(ctx: typer.Context, words: Sequence[str] | None, name: str | None) -> str | None:
    """``[SERVICE]``: the service's name, if it was given. Errors: typer.BadParameter."""
    return _named(ctx, _at_most(ctx, words, 1), name)


def service_and_word(
    ctx: typer.Context, words: Sequence[str] | None, name: str | None, what: str
) -> tuple[str | None, str]:
    """``[SERVICE] WORD``. Errors: typer.BadParameter; ``what`` tells what is missing."""
    found = _at_most(ctx, words, 2)
    if not found:
        raise typer.BadParameter(f"{what}?", ctx=ctx)
    return _named(ctx, found[:-1], name), found[-1]


def service_and_number(
    ctx: typer.Context, words: Sequence[str] | None, name: str | None, what: str
) -> tuple[str | None, int]:
    """``[SERVICE] N``. Errors: typer.BadParameter."""
    meant, word = service_and_word(ctx, words, name, what)
    return meant, _number(ctx, word)


def service_and_maybe_number(
    ctx: typer.Context, words: Sequence[str] | None, name: str | None
) -> tuple[str | None, int | None]:
    """``[SERVICE] [N]``: one word alone is the number if it can be one. Errors: typer.BadParameter."""
    found = _at_most(ctx, words, 2)
    if len(found) == 2 or (found and (found[0].isdecimal() or name is not None)):
        return _named(ctx, found[:-1], name), _number(ctx, found[-1])
    return _named(ctx, found, name), None


def service_and_maybe_instance(
    ctx: typer.Context, words: Sequence[str] | None, name: str | None, running: Collection[str]
) -> tuple[str | None, str]:
    """``[SERVICE] [INSTANCE]``: one word alone is the service if one of that name runs.

    Errors: typer.BadParameter.
    """
    found = _at_most(ctx, words, 2)
    if len(found) == 2:
        return _named(ctx, found[:1], name), found[1]
    if found and (found[0] != name if name is not None else found[0] not in running):
        return name, found[0]
    return _named(ctx, found, name), ""


def _at_most(ctx: typer.Context, words: Sequence[str] | None, most: int) -> list[str]:
    found = list(words or ())
    if len(found) > most:
        raise typer.BadParameter(f"what is {' '.join(found[most:])!r}?", ctx=ctx)
    return found


def _named(ctx: typer.Context, words: Sequence[str], name: str | None) -> str | None:
    if words and name not in (None, words[0]):
        raise typer.BadParameter(f"{words[0]} and --name {name}: which of them?", ctx=ctx)
    return words[0] if words else name


def _number(ctx: typer.Context, word: str) -> int:
    if not (word.isascii() and word.isdecimal() and len(word) < len(str(LARGEST))):
        raise typer.BadParameter(f"{word!r} isn't a whole number", ctx=ctx)
    return int(word)
