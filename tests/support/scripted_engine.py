"""The engine's side of a processor host, played by a test step by step with a real host process."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

SDK = Path(__file__).parents[2] / "sdk" / "python"
STAND_IN = Path(__file__).with_name("stand_in_host.py")


def find_python(version: str) -> str | None:
    """A Python of this minor version: the running one, one of pyenv's, or one on PATH."""
    if version == f"{sys.version_info[0]}.{sys.version_info[1]}":
        return sys.executable
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = sorted(root.glob(f"versions/{version}.*/bin/python"))
    return str(found[-1]) if found else shutil.which(f"python{version}")


class ScriptedEngine:
    """Starts a host and talks to it. Use it as a context manager: at the end nothing of it is left."""

    def __init__(self, python: str = sys.executable, *, program: list[str] | None = None) -> None:
        self._control, control = socket.socketpair()
        self._link, self._host_link = socket.socketpair()
        self.lifeline, lifeline = socket.socketpair()
        passed = (control, self._host_link, lifeline)
        arguments = ["--control", str(control.fileno()), "--lifeline", str(lifeline.fileno())]
        self.process = subprocess.Popen(
            [python, "-u", *(program or [str(STAND_IN)]), *arguments],
            cwd=SDK,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            pass_fds=[each.fileno() for each in passed],
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )
        self._link_fd = self._host_link.fileno()
        for each in passed:
            each.close()
        self._incoming = self._control.makefile("rb")
        self._answers = self._link.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()
        for each in (self._incoming, self._answers, self._control, self._link, self.lifeline):
            each.close()

    def send(self, kind: str, **fields: object) -> None:
        self._control.sendall(json.dumps({"type": kind, **fields}).encode() + b"\n")

    def start(self, entry: Path, **fields: object) -> None:
        """Sends ``start`` for an entry; ``fields`` replace the defaults of the message."""
        message: dict[str, object] = {
            "service": "demo",
            "instance": "demo-0",
            "entry": str(entry),
            "entry_class": None,
            "processor_type": "python",
            "processor_dir": str(entry.parent),
            "model_path": "",
            "model_entry": "",
            "model_config": "",
            "warm_up": "",
            "warm_up_count": 5,
            "threads": None,
            "keepalive_ms": None,
            "channel": {"fd": self._link_fd},
        }
        self.send("start", **{**message, **fields})

    def receive(self) -> dict[str, Any]:
        """The next message; at the end of the stream ``{"type": "end", "log": what it wrote}``."""
        try:
            line = self._incoming.readline()
        except ConnectionResetError:  # it died with something unread
            line = b""
        if line:
            message: dict[str, Any] = json.loads(line)
            return message
        out, err = self.process.communicate()
        return {"type": "end", "log": out + err}

    def expect(self, kind: str) -> dict[str, Any]:
        """The next message, which must be of this type."""
        message = self.receive()
        assert message["type"] == kind, message
        return message

    def serve(self, entry: Path, **fields: object) -> dict[str, Any]:
        """Goes on until the host is ready; returns its hello."""
        self.start(entry, **fields)
        hello = self.expect("hello")
        self.send("load", threads=hello["threads"], keepalive_ms=5000)
        self.expect("ready")
        return hello

    def call(self, body: str = "", head: str = "POST / HTTP/1.1") -> dict[str, Any]:
        """One request and its answer; an answer that never comes is ``{"end": True}``."""
        self._link.sendall(json.dumps({"body": body, "head": head}).encode() + b"\n")
        line = self._answers.readline()
        answer: dict[str, Any] = json.loads(line) if line else {"end": True}
        return answer

    def stop(self) -> int:
        """Says stop, awaits ``stopped`` and the exit; the exit status."""
        self.send("stop")
        self.expect("stopped")
        return self.process.wait()

    def hang_up(self) -> None:
        """What the host sees of an engine's death on the control socket."""
        self._incoming.close()
        self._control.close()
