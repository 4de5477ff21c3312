"""Enters the control groups that hold the process within its limits, before anything is loaded."""

from __future__ import annotations

import os
from typing import Optional, Sequence


def join(arguments: Sequence[str]) -> Optional[str]:
    """Enters the groups of ``--groups FD,FD``, descriptors of their ``cgroup.procs``, which are closed.

    Why it isn't in them; empty when it is, None when there are none.
    """
    if "--groups" not in arguments:
        return None
    why = ""
    for fd in map(int, arguments[arguments.index("--groups") + 1].split(",")):
        try:
            os.write(fd, b"0")  # the process that writes
        except OSError as error:
            why = why or f"the kernel doesn't let the host into its control group: {error.strerror}"
        os.close(fd)
    return why
