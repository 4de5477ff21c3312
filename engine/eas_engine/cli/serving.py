"""``serve`` once its options are known, however they were read."""

from __future__ import annotations

from eas_engine.cli.importing import importing
from eas_engine.cli.told import told
from eas_engine.options import ServeOptions


def serving(options: ServeOptions) -> int:
    """Serve until told to stop; the exit status. What can't be served ends the process (``told``)."""
    with told(debug=options.debug):
        with importing():
            from eas_engine import service as engine

        return engine.serve(options)
