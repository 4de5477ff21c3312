"""Processors in C and C++, compiled when a test first asks for one, and kept by what they were made of."""

from __future__ import annotations

import functools
import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from support.repository import ROOT

SOURCES = ROOT / "tests" / "data" / "cpp"
INCLUDE = ROOT / "sdk" / "cpp" / "include"
_FLAGS = ("-O1", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-pthread", f"-I{INCLUDE}")
_LANGUAGES = {".c": ("gcc", "-std=c99"), ".cpp": ("g++", "-std=c++17")}


def needs(command: str, package: str) -> None:
    """Skip the test, saying why, on a machine without this command."""
    if shutil.which(command) is None:
        pytest.skip(f"{command} isn't installed (apt-get install {package})")


def library(name: str, *flags: str) -> Path:
    """The shared library of ``tests/data/cpp/<name>``, compiled; skips without a compiler."""
    return compiled(SOURCES / name, *flags)


def compiled(source: Path, *flags: str) -> Path:
    """The shared library made of one source file; skips without a compiler."""
    command, standard = _LANGUAGES[source.suffix]
    needs(command, command)
    text = source.read_bytes() + b"".join(path.read_bytes() for path in sorted(INCLUDE.rglob("*.h*")))
    return _made(source, hashlib.sha256(text).hexdigest(), (command, standard, *_FLAGS, *flags))


def text_library(text: str, *flags: str, suffix: str = ".cpp") -> Path:
    """The shared library made of a source in a test."""
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    source = _directory() / f"{digest}{suffix}"
    source.write_text(text)
    return compiled(source, *flags)


@functools.cache
def _made(source: Path, digest: str, command: Sequence[str]) -> Path:
    """``digest`` and ``command`` are what the result is kept by."""
    named = hashlib.sha256(repr((str(source), digest, command)).encode()).hexdigest()[:16]
    made = _directory() / f"lib{source.stem}-{named}.so"
    result = subprocess.run(
        [command[0], "-o", str(made), str(source), *command[1:]], check=False, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    return made


@functools.cache
def _directory() -> Path:
    """Of this session; it goes when the interpreter does."""
    return Path(_holder().name)


@functools.cache
def _holder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="eas-compiled-")
