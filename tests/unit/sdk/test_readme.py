"""The snippets of sdk/python/README.md are run as they stand there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.scripted_engine import SDK, ScriptedEngine


def snippets(directory: Path) -> list[Path]:
    """The Python blocks, each written under the name in its first line, in a folder of its own."""
    blocks = re.findall(r"```python\n# (\S+)\n(.*?)```", (SDK / "README.md").read_text(), re.DOTALL)
    paths = []
    for number, (name, text) in enumerate(blocks):
        path = directory / str(number) / name
        path.parent.mkdir()
        path.write_text(text)
        paths.append(path)
    return paths


@pytest.fixture
def written(tmp_path: Path) -> list[Path]:
    found = snippets(tmp_path)
    assert [each.name for each in found] == ["app.py", "app.py", "test_app.py", "batches.py"]
    return found


def test_allspark_snippet(engine: ScriptedEngine, written: list[Path]) -> None:
    hello = engine.serve(written[0])
    assert (hello["threads"], hello["properties"]) == (10, {"rpc.keepalive": "60000"})
    assert engine.call("1.5")["body"] == "3.0"


def test_native_snippet(engine: ScriptedEngine, written: list[Path]) -> None:
    engine.serve(written[1])
    answer = engine.call("[4, 5]")
    assert answer == {"status": 200, "body": "4.0", "headers": "Content-Type: application/json\r\n"}
    assert engine.call("?")["status"] == 422
    assert engine.stop() == 0


def test_test_snippet(written: list[Path]) -> None:
    path = os.pathsep.join((str(SDK), str(written[1].parent)))
    program = "import test_app; test_app.test_scorer()"
    subprocess.run(
        [sys.executable, "-c", program], cwd=written[2].parent, env={"PYTHONPATH": path}, check=True
    )


def test_batch_snippet(engine: ScriptedEngine, written: list[Path]) -> None:
    batching = {"max_batch_size": 16, "padding": False, "sizes": []}
    assert engine.serve(written[3], batching=batching)["batch"] is True
    assert engine.call("3")["body"] == "9.0"
    assert engine.call("?") == {"raised": "ValueError: a number, please"}
