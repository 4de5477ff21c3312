"""How a host finds a preset, and what it says when it can't."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from eas_host.main import Host
from support.scripted_engine import ScriptedEngine

GOOD = """
    import eas_sdk

    class Preset(eas_sdk.Processor):
        device = ""

        def initialize(self, model_entry, model_config):
            self.told = f"{self.device}|{model_entry}|{model_config}|{self.batching}"

        def process_batch(self, requests):
            return [self.told for _ in requests]

        def close(self):
            print("closed")
"""
LACKS = "import no_such_framework"
LACKS_LATER = """
    import eas_sdk

    class Preset(eas_sdk.Processor):
        def initialize(self, model_entry, model_config):
            import no_such_framework

        def process_batch(self, requests):
            return []
"""
BROKEN = """
    raise ImportError("libGL.so.1: cannot open shared object file")
"""


@pytest.fixture
def presets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Writes ``eas_processors/made_up.py`` and puts it where hosts look first."""
    package = tmp_path / "site" / "eas_processors"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(package.parent) + os.pathsep + os.environ.get("PYTHONPATH", ""))

    def write(text: str) -> None:
        lines = text.strip("\n").splitlines()
        indent = len(lines[0]) - len(lines[0].lstrip())
        (package / "made_up.py").write_text("\n".join(line[indent:] for line in lines) + "\n")

    return write


def start(directory: Path, family: str = "made_up") -> dict[str, Any]:
    told = {
        "code": "made_up_gpu_1.2",
        "family": family,
        "device": "gpu",
        "served_by": "MadeUp",
        "install": "pip install 'eas-engine[made_up]'",
    }
    return {"processor_type": "preset", "processor_dir": str(directory), "preset": told}


def failure(tmp_path: Path, family: str = "made_up") -> tuple[str, str]:
    with ScriptedEngine() as engine:
        engine.start(tmp_path / "nothing.py", **start(tmp_path, family))
        said = engine.receive()
        if said["type"] == "hello":
            engine.send("load", threads=1, keepalive_ms=5000)
            said = engine.receive()
        assert said["type"] == "failed", said
        assert engine.process.wait() == 1
        return said["stage"], said["message"]


def test_a_preset_is_a_native_processor_with_a_device(tmp_path: Path, presets: Any) -> None:
    presets(GOOD)
    with ScriptedEngine() as engine:
        hello = engine.serve(
            tmp_path / "nothing.py", **start(tmp_path), model_entry="/m/x", model_config="{}", threads=3
        )
        assert (hello["kind"], hello["threads"], hello["batch"]) == ("preset", 3, True)
        assert engine.call("x")["body"] == "gpu|/m/x|{}|None"
        assert engine.stop() == 0
        assert engine.receive()["log"] == b"closed\n"


@pytest.mark.parametrize(("text", "stage"), [(LACKS, "import"), (LACKS_LATER, "initialize")])
def test_a_missing_package_is_named_with_the_command(
    tmp_path: Path, presets: Any, text: str, stage: str
) -> None:
    presets(text)
    where, message = failure(tmp_path)
    assert where == stage
    assert message.startswith(
        "processor made_up_gpu_1.2 needs MadeUp: pip install 'eas-engine[made_up]' (for "
    )
    assert message.endswith("No module named 'no_such_framework'")


def test_a_package_that_is_there_but_broken_is_something_else(tmp_path: Path, presets: Any) -> None:
    presets(BROKEN)
    stage, message = failure(tmp_path)
    assert stage == "import"
    assert "a package of MadeUp is there but can't be imported: libGL.so.1: cannot open" in message


def test_a_module_of_ours_that_is_missing_is_our_fault(tmp_path: Path, presets: Any) -> None:
    presets(GOOD)
    _, message = failure(tmp_path, "nowhere")
    assert "this installation is incomplete, reinstall eas-engine" in message


def test_what_else_goes_wrong_is_shown_with_its_place(tmp_path: Path, presets: Any) -> None:
    presets("raise RuntimeError('boom')")
    assert failure(tmp_path) == (
        "import",
        "RuntimeError: boom (site/eas_processors/made_up.py, line 1)",
    )


class Shown:
    """A server and a preset in one, of which the host knows only what it asks for."""

    bodies = memoryview(b"where bodies lie")

    def __init__(self) -> None:
        self.told: list[tuple[bytes, int]] = []

    def arena(self, view: memoryview, fixed: int) -> None:
        self.told.append((bytes(view), fixed))


@pytest.mark.parametrize(
    ("channel", "told"),
    [
        ({"requests": {"fd": 3, "size": 16, "fixed": 8}}, [(b"where bodies lie", 8)]),
        ({"requests": {"fd": 3, "size": 16, "fixed": 0}}, []),
        ({"requests": None}, []),
    ],
)
def test_a_preset_is_shown_the_arena_where_some_of_it_stays(channel: Any, told: Any) -> None:
    shown = Shown()
    control: Any = None
    host = Host(control, {"channel": channel}, serve=lambda *_: None)
    adapter: Any = shown
    host._show_arena(adapter, shown)
    other: Any = object()  # an adapter that doesn't want to know
    host._show_arena(other, shown)
    assert shown.told == told
