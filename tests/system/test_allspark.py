"""Processors as people have written them for EAS, unchanged, on a real engine and by hand."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from support.client import Client
from support.engine import TOKEN, Engine, end_process, eventually
from support.engines import Engines

APP = """
    import json, os, sys, time
    import allspark

    class Echo(allspark.BaseProcessor):
        def initialize(self):
            self.module = "loaded"
            print("model path", self.get_model_path())

        def pre_proccess(self, data):
            return data.decode()

        def post_process(self, data):
            return data

        def process(self, data):
            assert type(data) is bytes
            text = self.pre_proccess(data[:200])
            shape = text.split(":")[0]
            if shape == "bytes":
                return self.post_process(data), 200
            if shape == "str":
                return "äöü", 0
            if shape == "number":
                return 3.25, 0
            if shape == "array":
                return bytearray(b"array"), 0
            if shape == "lone":
                return b"lone"
            if shape == "none":
                return None
            if shape == "status":
                return "as told", int(text.split(":")[1])
            if shape == "raise":
                raise KeyError("no such column")
            if shape == "sleep":
                time.sleep(float(text.split(":")[1]))
                return b"", 0
            if shape == "tell":
                seen = dict(cwd=os.getcwd(), argv=sys.argv, python=list(sys.version_info[:2]), path=sys.path,
                            name=__name__, module=self.module, file=__file__)
                return json.dumps(seen), 0
            if shape == "size":
                return len(data), 200
            return data, 0

    if __name__ == "__main__":
        SETTINGS
        processor = Echo(ARGUMENTS)
        processor.run()
"""


def write(directory: Path, arguments: str = "", settings: str = "pass") -> Path:
    """The script."""
    directory.mkdir(exist_ok=True)
    text = textwrap.dedent(APP).replace("ARGUMENTS", arguments).replace("SETTINGS", settings)
    path = directory / "app.py"
    path.write_text(text)
    return path


def start(
    engines: Engines, tmp_path: Path, app: Path, rpc: dict[str, object] | None = None, **given: object
) -> Engine:
    """An engine that serves it."""
    config = {
        "name": "sparks",
        "token": TOKEN,
        "processor_type": "python",
        "processor_path": str(app.parent),
        "processor_entry": "./app.py",
        "metadata": {"rpc": rpc or {}},
        **given,
    }
    engine = engines.raw(config)
    engine.wait_ready()
    return engine


@pytest.fixture(scope="module")
def engine(module_engines: Engines, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    directory = tmp_path_factory.mktemp("shapes")
    model = directory / "model"
    model.mkdir()
    return start(module_engines, directory, write(directory / "package"), model_path=str(model))


@pytest.mark.parametrize(
    ("sent", "status", "body"),
    [
        (b"bytes:\x01", 200, b"bytes:\x01"),
        (b"str", 200, "äöü".encode()),
        (b"number", 200, b"3.25"),
        (b"array", 200, b"array"),
        (b"lone", 200, b"lone"),
        (b"", 200, b""),
        (b"status:0", 200, b"as told"),
        (b"status:200", 200, b"as told"),
        (b"status:201", 201, b"as told"),
        (b"status:599", 599, b"as told"),
        (b"status:204", 204, b""),
        (b"status:1", 400, b"as told"),
        (b"status:-1", 400, b"as told"),
        (b"status:600", 400, b"as told"),
        (b"raise", 400, b"'no such column'\n"),
    ],
)
def test_what_process_returns_is_answered(engine: Engine, sent: bytes, status: int, body: bytes) -> None:
    answer = engine.ask(body=sent)

    assert (answer.status, answer.body) == (status, body)


def test_a_forgotten_return_is_400_and_says_so(engine: Engine) -> None:
    answer = engine.ask(body=b"none")

    assert answer.status == 400
    assert "None" in answer.text


def test_large_bodies_arrive_as_bytes(engine: Engine) -> None:
    assert engine.ask(body=b"size:" + b"x" * (5 << 20)).body == b"%d" % ((5 << 20) + 5)


def test_the_script_runs_where_and_as_it_expects(engine: Engine) -> None:
    seen = json.loads(engine.ask(body=b"tell").body)
    package = engine.directory.parent

    assert seen["name"] == "__main__"
    assert seen["argv"] == [seen["file"]]
    assert seen["cwd"] == str(Path(seen["file"]).parent)
    assert seen["path"][0] == seen["cwd"]
    assert seen["module"] == "loaded"
    assert "model path" in engine.log
    assert package.exists()


def test_worker_processes_make_so_many_processes(engines: Engines, tmp_path: Path) -> None:
    """Each runs initialize once; the death of one restarts that one."""
    engine = start(engines, tmp_path, write(tmp_path / "package", "worker_threads=3, worker_processes=2"))
    pids = engine.instance()["pids"]
    assert len(pids) == 2
    eventually(lambda: engine.log.count("model path") == 2, "both have initialized")
    clients = [engine.connect() for _ in range(6)]
    for client in clients:
        client.post(body=b"sleep:0.3")
    eventually(lambda: engine.metric("eas_busy_threads") >= 2, "both work")
    for client in clients:
        assert client.read().status == 200
    end_process(pids[1])

    eventually(lambda: len(set(engine.instance()["pids"]) - set(pids)) == 1, "another one")
    assert pids[0] in engine.instance()["pids"]
    eventually(lambda: engine.instance()["state"] == "READY", "ready again")
    assert engine.ask(body=b"bytes:").status == 200


@pytest.mark.parametrize("value", ["500", "'500'"])
def test_keepalive_by_property(engines: Engines, tmp_path: Path, value: str) -> None:
    settings = f"allspark.default_properties().put('rpc.keepalive', {value})"
    engine = start(
        engines, tmp_path, write(tmp_path / "package", settings=settings), {"stuck_timeout": 600_000}
    )

    assert engine.ask(body=b"sleep:20").status == 408


def test_the_files_keepalive_beats_the_property(engines: Engines, tmp_path: Path) -> None:
    settings = "allspark.default_properties().put('rpc.keepalive', 100)"
    engine = start(engines, tmp_path, write(tmp_path / "package", settings=settings), {"keepalive": 60_000})

    assert engine.ask(body=b"sleep:0.5").status == 200
    assert "rpc.keepalive" in engine.log, "with a warning"


@pytest.mark.parametrize(("given", "threads"), [(None, 3), (2, 2)])
def test_worker_threads_of_the_file_beat_those_of_the_constructor(
    engines: Engines, tmp_path: Path, given: int | None, threads: int
) -> None:
    rpc: dict[str, object] = {} if given is None else {"worker_threads": given}
    engine = start(engines, tmp_path, write(tmp_path / "package", "worker_threads=3"), rpc)

    assert engine.instance()["threads"]["all"] == threads
    assert engine.metric("eas_queue_capacity") == 64 + threads
    if given is not None:
        assert "worker_threads" in engine.log


# -- by hand


def free_port() -> int:
    """A port that nobody has at the moment."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def up(port: int, process: subprocess.Popen[bytes]) -> bool:
    """Whether something answers there with a success."""
    assert process.poll() is None
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", b"bytes:", timeout=60) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, ConnectionError):
        return False


def test_python_app_py_starts_a_whole_engine_on_any_path(tmp_path: Path) -> None:
    port = free_port()
    app = write(tmp_path / "package", f"endpoint='127.0.0.1:{port}'")
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, str(app)],
            cwd=tmp_path,
            env={**os.environ, "EAS_STATE_DIR": str(tmp_path / "state")},
            stdout=log,
            stderr=log,
        )
    try:
        eventually(lambda: up(port, process), "it serves")
        with Client(port) as client:
            for path in ("/", "/test", "/api/predict/whatever/v1", "/api/predict/service_name"):
                assert client.ask(path=path, body=b"bytes:" + path.encode()).body == b"bytes:" + path.encode()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()


# -- interpreters of a package


def interpreters() -> list[str]:
    """Those under pyenv, by version."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = sorted(root.glob("3.*/bin/python3")) if root.is_dir() else []
    return [str(path) for path in found]


def version_of(interpreter: str) -> tuple[int, int]:
    """By the name of its directory."""
    found = re.search(r"/(\d+)\.(\d+)\.\d+/bin/", interpreter)
    assert found
    return int(found[1]), int(found[2])


def package(directory: Path, interpreter: str) -> Path:
    """A package that brings its Python."""
    app = write(directory)
    (directory / "ENV/bin").mkdir(parents=True)
    (directory / "ENV/bin/python").symlink_to(interpreter)
    return app


@pytest.mark.parametrize(
    "version", [(3, 8), (3, 9), (3, 10), (3, 12), (3, 13)], ids=lambda v: f"{v[0]}.{v[1]}"
)
def test_a_package_brings_its_own_python(engines: Engines, tmp_path: Path, version: tuple[int, int]) -> None:
    found = [path for path in interpreters() if version_of(path) == version]
    if not found:
        pytest.skip(f"there is no Python {version[0]}.{version[1]} under pyenv here")
    engine = start(engines, tmp_path, package(tmp_path / "package", found[0]))
    seen = json.loads(engine.ask(body=b"tell").body)

    assert tuple(seen["python"]) == version
    assert not [path for path in seen["path"] if ".venv" in path], "nothing of the engine's own packages"
    assert engine.ask(body=b"size:" + b"x" * (1 << 20)).body == b"%d" % ((1 << 20) + 5)
    assert engine.ask(body=b"raise").status == 400
    end_process(engine.host)
    assert engine.ask(body=b"bytes:again").body == b"bytes:again"
    assert engine.stop() == 0


@pytest.mark.parametrize("version", [(3, 6), (3, 7)], ids=lambda v: f"{v[0]}.{v[1]}")
def test_an_old_python_is_refused_by_name(engines: Engines, tmp_path: Path, version: tuple[int, int]) -> None:
    found = [path for path in interpreters() if version_of(path) == version]
    if not found:
        pytest.skip(f"there is no Python {version[0]}.{version[1]} under pyenv here")
    app = package(tmp_path / "package", found[0])
    config = {
        "name": "old",
        "processor_type": "python",
        "processor_path": str(app.parent),
        "processor_entry": "app.py",
    }
    engine = engines.raw(config)

    assert engine.wait() == 4
    assert f"Python {version[0]}.{version[1]}." in engine.log
    assert "too old" in engine.log
