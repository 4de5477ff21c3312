"""Processors in Java, compiled when a test first asks for one, and kept by what they were made of."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from support.repository import ROOT

SOURCES = ROOT / "tests" / "data" / "java"
SDK_JAR = ROOT / "sdk" / "python" / "eas_host" / "eas-sdk.jar"
JDK = "openjdk-17-jdk-headless"


def needs_java() -> None:
    """Skip the test, saying why, on a machine without a JDK or without JPype."""
    if shutil.which("javac") is None:
        pytest.skip(f"javac isn't installed (apt-get install {JDK})")
    if importlib.util.find_spec("jpype") is None:
        pytest.skip("JPype isn't installed (pip install 'eas-engine[java]')")


def jar(name: str) -> Path:
    """A jar of ``tests/data/java/<name>``; skips without a JDK."""
    return jar_of({name: (SOURCES / name).read_text()})


def jar_of(sources: Mapping[str, str], *flags: str) -> Path:
    """A jar of sources by their names, ``Some.java``; skips without a JDK."""
    needs_java()
    return _made(tuple(sorted(sources.items())), flags)


def classes_of(sources: Mapping[str, str], into: Path, *flags: str) -> None:
    """Compiles sources by their names into a directory; skips without a JDK."""
    needs_java()
    with tempfile.TemporaryDirectory(prefix="eas-java-") as scratch:
        files = []
        for name, text in sources.items():
            file = Path(scratch) / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            files.append(str(file))
        command = [
            "javac",
            "-nowarn",
            "-encoding",
            "UTF-8",
            "-cp",
            str(SDK_JAR),
            "-d",
            str(into),
            *flags,
            *files,
        ]
        result = subprocess.run(command, check=False, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


@functools.cache
def _made(sources: tuple[tuple[str, str], ...], flags: Sequence[str]) -> Path:
    named = hashlib.sha256(repr((sources, flags)).encode()).hexdigest()[:16]
    classes = Path(_holder().name) / named
    classes.mkdir()
    classes_of(dict(sources), classes, *flags)
    made = classes.with_suffix(".jar")
    pack(classes, made)
    return made


def pack(classes: Path, target: Path) -> None:
    """A jar of a directory of classes."""
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(classes.rglob("*.class")):
            archive.write(path, path.relative_to(classes))


@functools.cache
def _holder() -> tempfile.TemporaryDirectory[str]:
    """Of this session; it goes when the interpreter does."""
    return tempfile.TemporaryDirectory(prefix="eas-java-")


PLAIN = """
public class {name} {{
    public {name}(String modelEntry, String modelConfig) {{ {construct} }}
    public void Load() throws Exception {{ {load} }}
    public {result} Process(byte[] data) throws Exception {{ {process} }}
}}
"""


def plain(name: str, process: str, *, result: str = "byte[]", load: str = "", construct: str = "") -> Path:
    """A jar of one class of the older contract, with these statements."""
    text = PLAIN.format(name=name, process=process, result=result, load=load, construct=construct)
    return jar_of({f"{name}.java": text})


def in_a_jvm(
    script: str, class_path: Sequence[Path], cwd: Path, **given: Any
) -> subprocess.CompletedProcess[str]:
    """Runs Python with ``start`` as the host gets it: a JVM can't be started twice in one process.

    ``given`` are fields of ``start``, and ``environment``.
    """
    environment = given.pop("environment", None)
    start = {
        "main_class": "Faults",
        "class_path": [str(path) for path in class_path],
        "java_opts": [],
        "memory_mb": None,
        "model_entry": "",
        "model_config": "",
        "threads": None,
        **given,
    }
    text = f"import json\nstart = json.loads({json.dumps(json.dumps(start))})\n{_PREAMBLE}{script}{_END}"
    return subprocess.run(
        [sys.executable, "-c", text], check=False, capture_output=True, text=True, cwd=cwd, env=environment
    )


def printed(script: str, tmp_path: Path, *class_path: Path, **given: object) -> str:
    """What the script prints with a Java adapter; it must end well."""
    ran = in_a_jvm(script, class_path, tmp_path, **given)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout.strip()


def failure(tmp_path: Path, *class_path: Path, **given: object) -> str:
    """Stage and message of a start that is refused."""
    script = """
try:
    made()
    print("it started")
except Failed as failed:
    assert "\\n" not in failed.message
    print(failed.stage + ": " + failed.message)
    print(failed.trace)
"""
    ran = in_a_jvm(script, class_path, tmp_path, **given)
    assert ran.stdout, ran.stderr
    return ran.stdout.strip()


_PREAMBLE = """
from eas_host.adapters import Raised
from eas_host.adapters.java import Java
from eas_host.load import Failed
from eas_sdk.request import Request

started = []

def made():
    java = Java(start)
    java.initialize()
    started.append(java)
    return java

"""
_END = """
for java in started:
    java.close()
"""
