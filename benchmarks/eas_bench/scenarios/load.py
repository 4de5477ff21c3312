"""The load clients: wrk, and our own in C for what wrk can't tell apart."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from eas_bench import places
from eas_bench.machine import running_on, tool
from eas_bench.scenarios.figures import ClosedRun, NoFigures, WrkRun
from eas_bench.servers import Target

_MARGIN = 60.0  # seconds that a client may take beyond its run


@dataclass(frozen=True, slots=True)
class Clients:
    """Found and built once; see ``prepare``."""

    wrk: str
    closed_loop: str
    directory: Path  # for bodies and requests
    cores: frozenset[int]

    def run_wrk(self, target: Target, body: bytes, connections: int, seconds: float) -> WrkRun:
        """One run with one thread. Errors: NoFigures."""
        file = self._file(f"body-{len(body)}", body)
        script = str(places.NATIVE / "wrk_post.lua")
        command = [
            *(self.wrk, "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "10s"),
            *("-s", script, target.url, "--", str(file), *target.headers),
        ]
        return WrkRun.parse(self._run(command, seconds))

    def run_closed(
        self, target: Target, body: bytes, connections: int, *, warm: float, seconds: float
    ) -> ClosedRun:
        """One run, counted after ``warm`` seconds. Errors: NoFigures."""
        file = self._file(f"request-{target.port}", target.request(body))
        times = (f"{warm:.3f}", f"{seconds:.3f}")
        command = [self.closed_loop, str(target.port), str(file), str(connections), *times]
        return ClosedRun.parse(self._run(command, warm + seconds))

    def _run(self, command: list[str], seconds: float) -> str:
        with running_on(self.cores):
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            output, _ = process.communicate(timeout=seconds + _MARGIN)
        except subprocess.TimeoutExpired:
            raise NoFigures(f"{command[0]} didn't end within {seconds + _MARGIN:.0f} s") from None
        finally:
            process.kill()
            process.wait()
        return output

    def _file(self, name: str, content: bytes) -> Path:
        path = self.directory / name
        path.write_bytes(content)
        return path


def prepare(directory: Path, cores: frozenset[int]) -> Clients:
    """Find wrk, compile the client in C into ``directory``. Errors: Missing."""
    wrk = tool("wrk", "wrk")
    program = directory / "closed_loop"
    build(program)
    return Clients(wrk, str(program), directory, cores)


def build_echo(processor: str) -> None:
    """Compile a processor in C++ into the ``build`` folder that its service.json names.

    Errors: Missing; CalledProcessError when the compiler refuses it.
    """
    compiler, source = tool("g++", "g++"), places.PROCESSORS / processor / "echo.cpp"
    library = source.parent / "build" / "libecho.so"
    library.parent.mkdir(exist_ok=True)
    flags = ["-std=c++17", "-O2", "-Wall", "-fPIC", "-shared", f"-I{places.HEADERS}"]
    subprocess.run([compiler, *flags, "-o", str(library), str(source)], check=True)


def build_java_echo(processor: str) -> None:
    """Compile a processor in Java into the ``build`` folder that its service.json names.

    Errors: as ``build_echo``.
    """
    compiler, source = tool("javac", "openjdk-17-jdk-headless"), places.PROCESSORS / processor / "Echo.java"
    subprocess.run([compiler, "-d", str(source.parent / "build"), str(source)], check=True)


def build(program: Path) -> None:
    """Compile ``native/closed_loop.c``. Errors: Missing; CalledProcessError when the compiler refuses it."""
    compiler = tool("cc", "gcc libc6-dev")
    source = places.NATIVE / "closed_loop.c"
    subprocess.run([compiler, "-O2", "-Wall", "-o", str(program), str(source)], check=True)
