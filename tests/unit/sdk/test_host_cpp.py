"""Libraries in hosts of every Python that the SDK promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from support import compiled
from support.scripted_engine import ScriptedEngine, find_python


def test_the_plain_interface_on_every_python(python: str) -> None:
    entry = compiled.library("codes.cpp")
    with ScriptedEngine(python) as engine:
        hello = engine.serve(entry, processor_type="cpp", model_entry="/m/", model_config="{}")
        assert (hello["kind"], hello["threads"], hello["processes"]) == ("cpp", 5, 1)
        assert (hello["batch"], hello["warnings"], hello["properties"]) == (False, [], {})
        assert engine.call("model") == {"status": 200, "body": "/m/|{}", "headers": ""}
        assert engine.call("404 copy") == {"status": 404, "body": "404 copy", "headers": ""}
        assert engine.call("0 negative")["status"] == 500
        assert engine.call("")["body"] == "empty"
        assert engine.stop() == 0
        assert b"the plain interface, process()" in engine.receive()["log"]


def test_async_process_on_every_python(python: str) -> None:
    entry = compiled.library("optional.cpp", "-DWITH_ASYNC")
    with ScriptedEngine(python) as engine:
        engine.serve(entry, processor_type="cpp", threads=2)
        assert engine.call("parts")["body"] == "one two three"
        assert engine.call("twice")["body"] == "first"
        assert engine.call("error 503")["status"] == 503
        assert engine.stop() == 0


def test_the_versioned_interface_on_every_python(python: str) -> None:
    with ScriptedEngine(python) as engine:
        hello = engine.serve(compiled.library("versioned.cpp"), processor_type="cpp")
        assert (hello["kind"], hello["batch"]) == ("cpp", True)
        told = engine.call("x", head="POST /a/tell?q HTTP/1.1\r\nX-A: 1")["body"]
        assert "path /a/tell\nquery q\nid p-0001\n" in told
        assert engine.call("x", head="POST /a/fields HTTP/1.1") == {
            "status": 201,
            "body": "with fields",
            "headers": "Content-Type: text/x-test\r\nX-Given: none\r\n",
        }
        assert engine.call("x", head="POST /a/throw HTTP/1.1") == {"raised": "Raised: ouch"}
        assert engine.stop() == 0
        log = engine.receive()["log"]
        assert b"destroyed\n" in log


@pytest.mark.parametrize("version", ["3.8", "3.13"])
def test_what_is_wrong_with_a_library_is_the_reason_of_the_failure(version: str, tmp_path: Path) -> None:
    python = find_python(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    entry = tmp_path / "libx.so"
    entry.write_bytes(b"not a library")
    with ScriptedEngine(python) as engine:
        engine.start(entry, processor_type="cpp")
        failed = engine.expect("failed")
        assert failed["stage"] == "construct"
        assert failed["message"] == "libx.so is no shared library (ELF): it begins with b'not a library'"


def test_modules_beside_a_library_are_not_the_hosts(tmp_path: Path) -> None:
    """A package may hold Python files with names of the standard library; nobody asked for them."""
    entry = tmp_path / "libx.so"
    entry.write_bytes(compiled.library("codes.cpp").read_bytes())
    for name in ("struct.py", "ctypes.py", "itertools.py", "json.py"):
        (tmp_path / name).write_text("raise SystemExit('the wrong one')\n")
    with ScriptedEngine() as engine:
        engine.serve(entry, processor_type="cpp")
        assert engine.call("0 copy")["body"] == "0 copy"
