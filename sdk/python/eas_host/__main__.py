"""Refuses a Python that is too old, in words; else ``eas_host.main``.

Until the version is known this file must be understood by any Python, so it is written in what 2.7 and 3.6
have in common, and it imports nothing of ours first.
"""

import sys

if __name__ == "__main__" and sys.version_info < (3, 8):
    import json
    import os

    control = int(sys.argv[sys.argv.index("--control") + 1])
    received = b"-"
    while received and not received.endswith(
        b"\n"
    ):  # the engine's "start": what is unread would reset the socket
        received = os.read(control, 65536)
    text = "Python {0} ({1}) is too old for a processor: 3.8 or later is needed"
    message = text.format(".".join(map(str, sys.version_info[:3])), sys.executable)
    failed = {"type": "failed", "stage": "python", "message": message, "traceback": ""}
    os.write(control, json.dumps(failed).encode("ascii") + b"\n")
    sys.exit(1)

if __name__ == "__main__":
    bare = frozenset(sys.modules)  # what any Python has imported by now; see eas_host.environment
    from eas_host.groups import join

    joined = join(sys.argv)
    from eas_host.main import main

    sys.exit(main(sys.argv[1:], bare, joined=joined))
