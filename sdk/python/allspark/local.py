"""``python app.py``: a whole engine in front of a script that was started by hand.

The process writes a service.json that names the script, and then *becomes* the engine (``execv``), which runs
the script a second time, behind itself. So Ctrl-C, exit status and pid are those of the engine.

The files live in one directory per user and script under the temporary directory, written anew at each
start, so that nothing piles up.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
import sys
import tempfile
from importlib.util import find_spec
from typing import Dict, List, NoReturn, Optional, Tuple

from allspark.processor import ENDPOINT

NO_ENGINE = (
    "allspark: run() needs the engine, but there is no module eas_engine and no command eas-engine here.\n"
    "Install it into this environment:\n\n    {python} -m pip install eas-engine\n\n"
    "or into one of its own (Python 3.11 or later) whose bin directory is on PATH."
)


def become_engine(endpoint: Optional[str]) -> NoReturn:
    """Replaces this process by an engine that serves the script; exits with 1 when there is no engine.

    Args:
        endpoint: ``"host:port"``, ``":port"``, or None for 127.0.0.1 and the port in EAS_PORT, else 8080.
    """
    host, port = parse_endpoint(endpoint or by_environment())
    script = main_script()
    start = engine_command()
    if start is None:
        sys.exit(NO_ENGINE.format(python=sys.executable or "python3"))
    if len(sys.argv) > 1:
        print(
            "allspark: the script's arguments are not passed on to its run behind the engine", file=sys.stderr
        )
    config = write_config(script, port, endpoint)
    command = [*start, "serve", "--config", config, "--any-path", "--host", host, "--port", str(port)]
    if port != 8080 and not os.environ.get("EAS_ADMIN_PORT"):
        command += ["--admin-port", "0"]  # 9090 belongs to the engine on 8080
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(command[0], command)


def by_environment() -> Optional[str]:
    """The endpoint for code that names none: the port in EAS_PORT, as for ``eas-engine serve``; None without.

    Exits with 2, as ``serve`` does, when that is no port.
    """
    port = os.environ.get("EAS_PORT", "")
    if not port:
        return None
    endpoint = f"127.0.0.1:{port}"
    try:
        parse_endpoint(endpoint)
    except ValueError:
        print(f"allspark: EAS_PORT must be a port (0 to 65535), not {port!r}", file=sys.stderr)
        sys.exit(2)
    return endpoint


def parse_endpoint(endpoint: Optional[str]) -> Tuple[str, int]:
    """Host and port to listen on; ``ValueError`` when the text is no endpoint."""
    if endpoint is None:
        return "127.0.0.1", 8080
    host, _, port = endpoint.rpartition(":")
    if not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError(f'endpoint must be "host:port" or ":port", not {endpoint!r}')
    return host.strip("[]") or "127.0.0.1", int(port)


def main_script() -> str:
    """Absolute path of the script that was started; exits with 1 when there is none (a prompt, ``-c``)."""
    path: Optional[str] = getattr(sys.modules["__main__"], "__file__", None)
    if path is None or not os.path.isfile(path):
        sys.exit("allspark: run() by hand works in a script file (python app.py)")
    return os.path.abspath(path)


def engine_command() -> Optional[List[str]]:
    """How the engine is started from here; None when it isn't installed.

    The engine on ``PATH`` lives in another environment, so it is told which Python has the script's packages.
    """
    if sys.executable and find_spec("eas_engine") is not None:
        return [sys.executable, "-m", "eas_engine"]
    found = shutil.which("eas-engine")
    if found is None:
        return None
    os.environ["EAS_PROCESSOR_PYTHON"] = sys.executable
    return [os.path.abspath(found)]


def service_name(script: str, port: int) -> str:
    """A name for the service: the file's, and the port unless it is 8080 (a machine has each name once)."""
    stem = os.path.splitext(os.path.basename(script))[0].lower()
    name = re.sub(r"[^a-z0-9_-]", "_", stem).lstrip("_-")[:100] or "processor"
    return name if port == 8080 else f"{name}-{port}"


def write_config(script: str, port: int, endpoint: Optional[str]) -> str:
    """Writes the service.json for ``script`` and returns its path."""
    service: Dict[str, object] = {
        "name": service_name(script, port),
        "processor_type": "python",
        "processor_entry": script,
        "generate_token": "false",
        "processor_envs": [{"name": ENDPOINT, "value": endpoint or ""}],
    }
    model = os.environ.get("MODEL_PATH", "")
    if model:
        service["model_path"] = os.path.abspath(model)
    path = os.path.join(private_directory(script), f"service-{port}.json")
    fresh = f"{path}.{os.getpid()}"
    with open(fresh, "w", encoding="utf-8") as file:
        json.dump(service, file, indent=2)
    os.replace(fresh, path)
    return path


def private_directory(script: str) -> str:
    """A directory that only this user can write to: the script's own, or a new one if that is taken."""
    key = hashlib.sha256(os.fsencode(script)).hexdigest()[:12]
    path = os.path.join(tempfile.gettempdir(), f"allspark-{os.getuid()}-{key}")
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        found = os.lstat(path)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            return tempfile.mkdtemp(prefix="allspark-")
    return path
