"""What holds for every test."""

from __future__ import annotations

import signal

import pytest
from hypothesis import settings

# No time limit on one example: a slow machine, or a slow first example, is no failure.
settings.register_profile("eas", deadline=None, print_blob=True)
settings.load_profile("eas")


def pytest_configure(config: pytest.Config) -> None:
    """Tests send these signals, also to what they start, which inherits that they are ignored.

    Ignored they are under ``nohup`` and in the background of a shell without job control; whoever only hands
    the tests out (pytest-xdist) goes on doing so.
    """
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        return
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Bytes that aren't text name no test: what gzip writes has the second in it, anew in each process.

    Processes that share the tests (pytest-xdist) must give them the same names.
    """
    del config
    return argname if isinstance(val, bytes) and not val.isascii() else None
