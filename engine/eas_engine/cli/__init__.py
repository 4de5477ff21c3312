"""The command line ``eas-engine``: one file a command, each imported when it is called.

``serve`` must answer its first request within a second of exec, so this path imports typer (40 ms beside
what the engine needs anyway) and never rich, which only help, errors and tables need.
"""

from __future__ import annotations

from eas_engine.cli.importing import importing


def main() -> None:
    """The entry point; doesn't return."""
    with importing():
        from eas_engine.cli.app import app

    app(prog_name="eas-engine")
