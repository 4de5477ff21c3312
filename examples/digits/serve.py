"""Serve the digits example: ``python examples/digits/serve.py [eas-engine options]``; `make serve` runs this.

It becomes ``eas-engine --config service.json``: the same process, so that signals and the exit status are the
engine's own. Before that it leaves next_steps.py behind, which prints what to try once the service is ready.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main(arguments: list[str]) -> None:
    """Never returns."""
    announcer = [sys.executable, str(HERE / "next_steps.py"), str(os.getpid()), *arguments]
    # By way of a shell that ends at once: the engine finds no child that it doesn't know, and Ctrl-C, which
    # the terminal sends to all, leaves the announcer alone (it ends with the engine).
    subprocess.run(["/bin/sh", "-c", '"$@" &', "sh", *announcer], check=True)
    engine = [str(Path(sys.executable).with_name("eas-engine")), "--config", str(HERE / "service.json")]
    os.execv(engine[0], [*engine, "--no-announce", *arguments])  # next_steps.py says it all, and more


if __name__ == "__main__":
    main(sys.argv[1:])
