"""How a command ends: errors become one message on stderr and an exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from eas_engine.errors import StartError


@contextmanager
def told(*, debug: bool = False) -> Iterator[None]:
    """Errors become one message on stderr and an exit status; the trace only with ``debug``."""
    try:
        yield
    except StartError as error:
        if debug:
            raise
        complain(str(error))
        raise SystemExit(error.exit_status) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except BrokenPipeError:  # ``eas-engine list | head``
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except Exception as error:
        if debug:
            raise
        if isinstance(error, ExceptionGroup) and (reason := error.subgroup(StartError)) is not None:
            first = next(_leaves(reason))
            complain(str(first))
            raise SystemExit(first.exit_status) from None
        complain(f"{type(error).__name__}: {error} (a bug of eas-engine's; --debug shows the trace)")
        raise SystemExit(1) from None


def _leaves(group: ExceptionGroup[StartError]) -> Iterator[StartError]:
    for error in group.exceptions:
        if isinstance(error, ExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def complain(text: str) -> None:
    """On stderr, in the engine's name."""
    print(f"eas-engine: {text}", file=sys.stderr)
