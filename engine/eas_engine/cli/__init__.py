"""The command line ``eas-engine``: one file a command, each imported when it is called.

``serve`` must answer its first request within 0.7 s of exec, so its words are read without typer where they
are plain (``plain``), and never with rich, which only help, errors and tables need.
"""

from __future__ import annotations

import os
import sys

from eas_engine.cli.importing import importing


def main() -> None:
    """The entry point; doesn't return."""
    with importing():
        from eas_engine.cli.plain import plain
        from eas_engine.cli.serving import serving
    options = plain(sys.argv[1:], os.environ)
    if options is not None:
        raise SystemExit(serving(options))
    with importing():
        from eas_engine.cli.app import app
    app(prog_name="eas-engine")
