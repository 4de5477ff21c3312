"""The C++ SDK as a user takes it: the README's programs, the install of the headers, the CMake package."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from eas_host.adapters.cpp import Cpp
from eas_sdk import Request
from support import compiled
from support.repository import ROOT

SDK = ROOT / "sdk" / "cpp"


def blocks(language: str) -> list[str]:
    """The programs of the README in a language."""
    return re.findall(rf"```{language}\n(.*?)```", (SDK / "README.md").read_text(), re.DOTALL)


def processor(library: Path, config: str = "") -> Cpp:
    made = Cpp({"entry": str(library), "model_entry": "/m/", "model_config": config, "threads": None})
    made.initialize()
    return made


def run(*command: str) -> None:
    result = subprocess.run(command, check=False, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_class_of_the_readme() -> None:
    handle = processor(compiled.text_library(blocks("cpp")[0]), "> ").handle()
    assert handle(Request.build("hello")) == (200, b"> HELLO", b"Content-Type: text/plain\r\n")
    assert handle(Request.build()) == (422, b"there is nothing to do", b"")


def test_the_table_in_c_of_the_readme() -> None:
    handle = processor(compiled.text_library(blocks("c")[0], suffix=".c")).handle()
    assert handle(Request.build("x")) == (415, b"which type is it?", b"")
    assert handle(Request.build("x", headers={"Content-Type": "a/b"})) == (200, b"x", b"")


def test_the_batches_of_the_readme() -> None:
    call = processor(compiled.text_library(blocks("cpp")[1])).handle_batch()
    answers, _ = call([Request.build("hello"), Request.build()])
    assert answers == [(200, b"5", b""), (422, b"nothing to measure", b"")]


def test_the_plain_interface_of_the_readme() -> None:
    handle = processor(compiled.text_library(blocks("cpp")[2])).handle()
    assert handle(Request.build("same")) == (200, b"same", b"")


@pytest.mark.parametrize("tool", ["cmake", "make"])
def test_installed_headers_are_found(tmp_path: Path, tool: str) -> None:
    """By CMake's package, and by the compiler alone."""
    compiled.needs("g++", "g++")
    compiled.needs(tool, tool)
    prefix, user = tmp_path / "prefix", tmp_path / "user"
    user.mkdir()
    (user / "upper.cpp").write_text(blocks("cpp")[0])
    if tool == "cmake":
        run("cmake", "-S", str(SDK), "-B", str(tmp_path / "build"))
        run("cmake", "--install", str(tmp_path / "build"), "--prefix", str(prefix))
        (user / "CMakeLists.txt").write_text(blocks("cmake")[0])
        run("cmake", "-S", str(user), "-B", str(user), f"-DCMAKE_PREFIX_PATH={prefix}")
        run("cmake", "--build", str(user))
    else:
        run("make", "-C", str(SDK), "install", f"PREFIX={prefix}")
        flags = ["-std=c++17", "-fPIC", "-shared", f"-I{prefix}/include"]
        run("g++", *flags, "-o", str(user / "libupper.so"), str(user / "upper.cpp"))
    assert processor(user / "libupper.so").handle()(Request.build("a"))[1] == b"A"
