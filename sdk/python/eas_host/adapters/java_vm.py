"""The JVM of this process: found, given its options, started once, and left as ``System.exit`` leaves it.

What it prints goes to this process's output, which is the instance's log. ``-Xrs`` leaves the signals to the
host (and so SIGQUIT doesn't print stacks: ``Java.dump_threads`` does). A JVM that ends while it starts (it
calls ``exit``) looks to the engine like any host that ended, with the JVM's words as last lines.
"""

from __future__ import annotations

import atexit
import faulthandler
import os
import subprocess
import sys
import threading
from typing import Any, Dict, List, NoReturn, Optional, Sequence

from eas_host.load import Failed

SDK = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "eas-sdk.jar")
"""Interfaces for processors, and the Java side of the lanes; first on every class path."""

_INSTALL = "install one (apt-get install openjdk-17-jre-headless), or set JAVA_HOME to where one is"
_HEADROOM = 256  # MB, and at least a quarter: what a JVM needs beside its heap
_PATIENCE = 60.0  # seconds


class Machine:
    """A running JVM. ``status`` is what the process will exit with."""

    def __init__(self, start: Dict[str, Any]) -> None:
        """Starts it; ``Failed`` when it can't."""
        _look_at(start["class_path"])
        self.jpype = _jpype()
        library = _library(self.jpype)
        given = options(start["memory_mb"], start["java_opts"], os.getcwd(), start.get("cpus"))
        self.status = 1
        faulthandler.disable()  # the JVM would leave a fault to it, and write no hs_err file
        try:
            self.jpype.startJVM(
                *given, jvmpath=library, classpath=[SDK, *start["class_path"]], interrupt=True
            )
        except Exception as error:
            raise Failed("construct", _refused(library, given, error)) from error
        atexit.register(self._leave)

    def ending(self) -> bool:
        """Whether the JVM ends this process as soon as its shutdown hooks have run."""
        return not self.jpype.isJVMStarted()

    def outlast(self) -> NoReturn:
        """Waits for the end of this process; what it ends with is for the JVM to say."""
        while True:
            threading.Event().wait()

    def _leave(self) -> None:
        """Ends the process as ``System.exit`` does: shutdown hooks run, threads aren't waited for."""
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        if self.ending():
            self.outlast()
        self.jpype.JClass("java.lang.Runtime").getRuntime().exit(self.status)


def heap(memory: int) -> int:
    """MB of heap in an instance of ``memory`` MB: three quarters, or less 256 MB, but at least half.

    The rest is for classes, compiled code, stacks, direct buffers, and the host.
    """
    return max(memory // 2, min(memory * 3 // 4, memory - _HEADROOM))


def options(memory: Any, more: Sequence[str], directory: str, cpus: Optional[int] = None) -> List[str]:
    """All of the JVM's options but the class path; of two that contradict each other the later one holds."""
    ours = [
        "-Xrs",
        "-Dfile.encoding=UTF-8",
        "-Dsun.stdout.encoding=UTF-8",
        "-Dsun.stderr.encoding=UTF-8",
        f"-XX:ErrorFile={directory}/hs_err_pid%p.log",
        # After an OutOfMemoryError any thread may be gone: better a new instance than half of one.
        "-XX:+ExitOnOutOfMemoryError",
        # No file in /tmp that stays when the JVM is killed.
        "-XX:+PerfDisableSharedMem",
    ]
    limit = [f"-Xmx{heap(memory)}m"] if memory else []
    threads = [f"-XX:ActiveProcessorCount={cpus}"] if cpus else []
    return [*ours, *limit, *threads, *more]


def _look_at(class_path: Sequence[str]) -> None:
    """The JVM passes over what isn't there or is broken, and then says only that a class is missing."""
    import zipfile

    for path in class_path:
        if os.path.isfile(path) and not zipfile.is_zipfile(path):
            raise Failed("construct", f"{path} is no jar (it isn't a zip file)")


def _jpype() -> Any:
    try:
        import jpype
    except ImportError as error:
        advice = f"pip install 'eas-engine[java]' (for {sys.executable})"
        raise Failed("construct", f"Java processors need JPype: {advice}; {error}") from error
    return jpype


def _library(jpype: Any) -> str:
    """Where libjvm.so is."""
    home = os.environ.get("JAVA_HOME")
    try:
        found = str(jpype.getDefaultJVMPath())
    except ValueError as error:  # JPype's own errors derive from it
        raise Failed("construct", f"no Java is installed: {_INSTALL}") from error
    if home and not os.path.realpath(found).startswith(os.path.realpath(home) + os.sep):
        raise Failed("construct", f"JAVA_HOME is {home}, and no JVM (libjvm.so) is in it: {_INSTALL}")
    return found


def _refused(library: str, given: Sequence[str], error: Exception) -> str:
    """Why the JVM didn't start: what its command says to the same options, else what JPype says."""
    why = str(error).strip().split("\n")[0]
    java = os.path.join(os.path.dirname(library), "..", "..", "bin", "java")
    try:
        said = subprocess.run(
            [java, *given, "-version"],
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_PATIENCE,
        )
    except (OSError, subprocess.TimeoutExpired):
        said = None
    if said is not None and said.returncode:
        lines = [one for one in said.stdout.decode("utf-8", "replace").splitlines() if one.strip()]
        why = next((one for one in lines if not one.startswith(("Picked up", "Error: Could not"))), why)
    return f"the JVM {library} didn't start: {why}"
