"""Libraries that can't be loaded, and what the operator is told."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from eas_host import elf
from eas_host.adapters.cpp import load
from eas_host.load import Failed
from support import compiled

PLAIN = """
extern "C" void* initialize(const char*, const char*, int* state) { *state = 0; return nullptr; }
extern "C" int process(void*, const void*, int, void**, int*) { return 0; }
"""


def complaint(entry: Path) -> str:
    """What making the adapter says."""
    from eas_host.adapters.cpp import Cpp

    with pytest.raises(Failed) as caught:
        Cpp({"entry": str(entry), "model_entry": "", "model_config": "", "threads": None})
    assert caught.value.stage == "construct"
    assert "\n" not in caught.value.message
    return caught.value.message


def patched(tmp_path: Path, at: int, value: bytes) -> Path:
    """A good library with other bytes in its header."""
    image = bytearray(compiled.text_library(PLAIN).read_bytes())
    image[at : at + len(value)] = value
    path = tmp_path / "libother.so"
    path.write_bytes(image)
    return path


def test_another_architecture_is_named_beside_our_own(tmp_path: Path) -> None:
    said = complaint(patched(tmp_path, 18, b"\x28\x00"))
    assert said.startswith("libother.so is built for arm, 64 bits; this host runs ")
    assert elf.kind_of("/proc/self/exe").name in said
    assert "machine 4660" in complaint(patched(tmp_path, 18, b"\x34\x12"))
    assert "32 bits" in complaint(patched(tmp_path, 4, b"\x01"))
    assert "big-endian" in complaint(patched(tmp_path, 5, b"\x02"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it is empty"),
        (b"!<arch>\n a static library", "no shared library (ELF): it begins with b'!<arch>"),
        (b"\x7fELF", "no shared library"),
        (b"#!/bin/sh\necho a script instead", "it begins with b'#!/bin/sh"),
    ],
)
def test_what_is_no_library_is_shown(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "libx.so"
    path.write_bytes(content)
    assert words in complaint(path)


def test_a_library_that_is_not_there_or_not_readable(tmp_path: Path) -> None:
    assert "No such file" in complaint(tmp_path / "nothing.so")
    assert "directory" in complaint(tmp_path)


def test_an_object_file_is_no_library(tmp_path: Path) -> None:
    compiled.needs("gcc", "gcc")
    source = tmp_path / "a.c"
    source.write_text("int process(void) { return 0; }\n")
    subprocess.run(["gcc", "-c", "-o", str(tmp_path / "a.o"), str(source)], check=True)
    assert "link it with -shared" in complaint(tmp_path / "a.o")


@pytest.mark.parametrize("kept", [40, 100, 3000, -1])
def test_a_library_that_is_cut_off_does_not_reach_the_loader(tmp_path: Path, kept: int) -> None:
    """The loader maps such a file without complaint and dies of SIGBUS."""
    whole = compiled.text_library(PLAIN).read_bytes()
    path = tmp_path / "libcut.so"
    path.write_bytes(whole[:kept] if kept > 0 else whole[: _end_of_segments(whole) - 1])
    assert "libcut.so is cut off: at least" in complaint(path)
    assert elf.missing_bytes(str(compiled.text_library(PLAIN))) == 0


def _end_of_segments(image: bytes) -> int:
    """Behind the last byte that is mapped (Elf64_Phdr: p_offset at 8, p_filesz at 32)."""
    (start,) = struct.unpack_from("<Q", image, 32)
    (count,) = struct.unpack_from("<H", image, 56)
    return max(int(sum(struct.unpack_from("<8xQ16xQ", image, start + at * 56))) for at in range(count))


def test_a_broken_symbol_table_gives_no_names(tmp_path: Path) -> None:
    path = tmp_path / "libcut.so"
    path.write_bytes(compiled.text_library(PLAIN).read_bytes()[:3000])
    assert elf.functions(str(path)) == []


def test_a_missing_dependency_is_named_with_where_it_was_looked_for(tmp_path: Path) -> None:
    compiled.needs("g++", "g++")
    dependency = tmp_path / "libgone.so"
    source = tmp_path / "gone.cpp"
    source.write_text('extern "C" int gone() { return 1; }\n')
    subprocess.run(["g++", "-shared", "-fPIC", "-o", str(dependency), str(source)], check=True)
    user = 'extern "C" int gone(); extern "C" int use() { return gone(); }\n' + PLAIN
    path = compiled.text_library(user, "-Wl,--no-as-needed", f"-L{tmp_path}", "-lgone")
    dependency.unlink()
    said = complaint(path)
    assert "libgone.so: cannot open shared object file: No such file or directory" in said
    assert "searched: LD_LIBRARY_PATH=" in said


def test_an_undefined_symbol_is_named() -> None:
    source = 'extern "C" int nowhere(); extern "C" int use() { return nowhere(); }\n' + PLAIN
    assert "undefined symbol: nowhere" in complaint(compiled.text_library(source))


def test_a_symbol_with_a_cpp_name_is_recognised() -> None:
    said = complaint(compiled.text_library(PLAIN.replace('extern "C" int process', "int process")))
    assert "process() is exported under its C++ name _Z7processPvPKviPS_Pi" in said
    assert 'declare it extern "C"' in said


def test_a_symbol_that_is_not_there_is_told_beside_those_that_are() -> None:
    source = PLAIN.replace(" process(", " predict(")
    assert "it exports no process(); its functions: initialize, predict" in complaint(
        compiled.text_library(source)
    )
    assert "it exports no initialize(); its functions: predict, process" in complaint(
        compiled.text_library(PLAIN.replace(" initialize(", " predict("))
    )
    hidden = PLAIN.replace('extern "C"', 'extern "C" __attribute__((visibility("hidden")))')
    assert "its functions: none" in complaint(compiled.text_library(hidden))


def test_functions_are_those_of_the_symbol_table() -> None:
    path = compiled.text_library(
        PLAIN + "int data = 5; static int local() { return 1; } int f() { return local(); }"
    )
    found = elf.functions(str(path))
    assert {"initialize", "process", "_Z1fv"} <= set(found)
    assert not {"data", "malloc", "_ZL5localv"} & set(found)
    assert elf.functions(sys.executable) is not None
    assert elf.functions(os.devnull) == []


@pytest.mark.parametrize(
    ("symbol", "name"),
    [
        ("_Z7processPvPKviPS_Pi", "process"),
        ("_ZN3foo3bar7processEPv", "process"),
        ("_ZNK3foo7processEv", "process"),
        ("process", None),
        ("_Z", None),
        ("_ZSt4cout", None),
    ],
)
def test_names_of_cpp(symbol: str, name: str | None) -> None:
    assert elf.plain_name(symbol) == name


def test_a_good_library_is_loaded() -> None:
    assert load(str(compiled.text_library(PLAIN))).process is not None
