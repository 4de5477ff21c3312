"""``python app.py``: the script becomes an engine. Here a stand-in engine that says how it was called."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from allspark.local import NO_ENGINE, parse_endpoint, service_name
from support.scripted_engine import SDK

Write = Callable[..., Path]

SCRIPT = """
    import allspark
    class P(allspark.BaseProcessor):
        def process(self, data):
            return data, 200
    if __name__ == "__main__":
        P(endpoint={endpoint!r}).run()
"""
ENGINE = """
import json, os, sys
config = sys.argv[sys.argv.index("--config") + 1]
print(json.dumps({"argv": sys.argv[1:], "pid": os.getpid(), "config": json.load(open(config)), "path": config,
                  "mode": os.stat(os.path.dirname(config)).st_mode & 0o777,
                  "python": os.environ.get("EAS_PROCESSOR_PYTHON")}))
"""


def run(script: Path, *path: Path, **env: str) -> tuple[subprocess.Popen[str], str, str]:
    """Runs the script with this Python and these directories on its import path."""
    process = subprocess.Popen(
        [sys.executable, "-S", script.name],
        cwd=script.parent,
        env={"PYTHONPATH": os.pathsep.join(map(str, (SDK, *path))), "TMPDIR": str(script.parent), **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    out, err = process.communicate()
    return process, out, err


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A directory with a module ``eas_engine``."""
    package = tmp_path / "site" / "eas_engine"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(ENGINE)
    return tmp_path / "site"


def test_the_process_becomes_an_engine_in_front_of_the_script(write: Write, installed: Path) -> None:
    script = write(SCRIPT.format(endpoint=None))
    process, out, err = run(script, installed)
    assert process.returncode == 0, err
    told = json.loads(out)
    assert told["pid"] == process.pid
    assert told["argv"] == (
        ["serve", "--config", told["path"], "--any-path", "--host", "127.0.0.1", "--port", "8080"]
    )
    assert told["config"] == {
        "name": "app",
        "processor_type": "python",
        "processor_entry": str(script),
        "generate_token": "false",
        "processor_envs": [{"name": "ALLSPARK_ENDPOINT", "value": ""}],
    }
    assert told["mode"] == 0o700


def test_endpoint_and_model_path(write: Write, installed: Path) -> None:
    script = write(SCRIPT.format(endpoint="0.0.0.0:8079"))
    told = json.loads(run(script, installed, MODEL_PATH="m")[1])
    assert told["argv"][3:] == ["--any-path", "--host", "0.0.0.0", "--port", "8079", "--admin-port", "0"]
    assert told["config"]["name"] == "app-8079"
    assert told["config"]["processor_envs"] == [{"name": "ALLSPARK_ENDPOINT", "value": "0.0.0.0:8079"}]
    assert told["config"]["model_path"] == str(script.parent / "m")


@pytest.mark.parametrize(
    ("endpoint", "environment", "flags"),
    [
        (None, {"EAS_PORT": "8081"}, ["--port", "8081", "--admin-port", "0"]),
        (None, {"EAS_PORT": ""}, ["--port", "8080"]),
        (":8079", {"EAS_PORT": "8081"}, ["--port", "8079", "--admin-port", "0"]),
        (None, {"EAS_PORT": "8081", "EAS_ADMIN_PORT": "9091"}, ["--port", "8081"]),
    ],
)
def test_the_ports_of_the_environment(
    write: Write, installed: Path, endpoint: str | None, environment: dict[str, str], flags: list[str]
) -> None:
    out = run(write(SCRIPT.format(endpoint=endpoint)), installed, **environment)[1]
    assert json.loads(out)["argv"][6:] == flags


def test_a_port_of_the_environment_that_is_none(write: Write, installed: Path) -> None:
    process, _, err = run(write(SCRIPT.format(endpoint=None)), installed, EAS_PORT="x")
    assert (process.returncode, err) == (2, "allspark: EAS_PORT must be a port (0 to 65535), not 'x'\n")


def test_nothing_piles_up(write: Write, installed: Path) -> None:
    script = write(SCRIPT.format(endpoint=None))
    first, second = (json.loads(run(script, installed)[1])["path"] for _ in range(2))
    assert first == second
    assert [each.name for each in Path(first).parent.iterdir()] == ["service-8080.json"]


def test_a_directory_of_somebody_else_is_not_used(write: Write, installed: Path) -> None:
    script = write(SCRIPT.format(endpoint=None))
    usual = Path(json.loads(run(script, installed)[1])["path"]).parent
    usual.chmod(0o777)
    assert Path(json.loads(run(script, installed)[1])["path"]).parent != usual


def test_the_engine_of_another_environment_is_told_our_python(write: Write, tmp_path: Path) -> None:
    command = tmp_path / "bin" / "eas-engine"
    command.parent.mkdir()
    command.write_text(f"#!{sys.executable}\n{ENGINE}")
    command.chmod(0o755)
    told = json.loads(run(write(SCRIPT.format(endpoint=":80")), PATH=str(command.parent))[1])
    assert told["python"] == sys.executable
    assert told["argv"][4:8] == ["--host", "127.0.0.1", "--port", "80"]


def test_without_an_engine_it_says_how_to_get_one(write: Write) -> None:
    process, _, err = run(write(SCRIPT.format(endpoint=None)), PATH="/nowhere")
    assert process.returncode == 1
    assert err == NO_ENGINE.format(python=sys.executable) + "\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, ("127.0.0.1", 8080)),
        (":8079", ("127.0.0.1", 8079)),
        ("0.0.0.0:8079", ("0.0.0.0", 8079)),
        ("[::1]:1", ("::1", 1)),
        ("localhost:0", ("localhost", 0)),
    ],
)
def test_endpoints(text: str | None, expected: tuple[str, int]) -> None:
    assert parse_endpoint(text) == expected


@pytest.mark.parametrize("text", ["", "8080", "host:", "host:x", "host:65536", "host:-1", "h:\u0661"])
def test_endpoints_that_are_none(text: str) -> None:
    if text == "8080":
        assert parse_endpoint(text) == ("127.0.0.1", 8080)
        return
    with pytest.raises(ValueError, match="endpoint must be"):
        parse_endpoint(text)


@pytest.mark.parametrize(
    ("script", "name"),
    [
        ("/x/app.py", "app"),
        ("/x/My App.v2.py", "my_app_v2"),
        ("/x/_-.py", "processor"),
        ("/x/中.py", "processor"),
    ],
)
def test_names(script: str, name: str) -> None:
    assert service_name(script, 8080) == name
    assert service_name(script, 81) == f"{name}-81"
