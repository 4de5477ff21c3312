"""The workspace as a processor finds it: from its working directory, and by the old paths and the new."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eas_engine.artifacts.workspace.placing import LARGE
from support import engine as engines
from support.archives import Entry, tar_gz, zipped
from support.engine import Engine, eventually, gone

PROCESSOR = b"""
import json
import os
import allspark


def read(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError as error:
        return error.strerror


def write(path):
    try:
        with open(path, "r+b") as file:
            file.write(b"spoilt")
    except OSError as error:
        return error.strerror
    return "written"


class Processor(allspark.BaseProcessor):
    def initialize(self):
        self.model = self.get_model_path()

    def process(self, data):
        if data.startswith(b"write "):
            return write(data[6:].decode()), 200
        found = {
            "cwd": os.getcwd(),
            "model_path": self.model,
            "by model path": read(self.model + "/x"),
            "from the working directory": read("../../model/x"),
            "new": read("/eas/workspace/model/x"),
            "new, relative": read("/eas/workspace/predictor/processor/../../model/x"),
            "old": read("/home/admin/docker_ml/workspace/model/x"),
            "old, configuration": read("/home/admin/docker_ml/workspace/config/config.json"),
            "environment": {name: os.environ.get(name, "")
                            for name in ("SERVICE_CONFIG", "EAS_WORKSPACE", "EAS_MODEL_PATH")},
            "own": sorted(os.listdir(".")),
        }
        return json.dumps(found), 200


if __name__ == "__main__":
    Processor().run()
"""
ENTRIES = {"processor_path": "p.tar.gz", "processor_entry": "app.py", "model_path": "m.zip"}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where service.json lies, with what it names."""
    (tmp_path / "p.tar.gz").write_bytes(tar_gz([Entry("app.py", PROCESSOR), Entry("lib/data", b"1")]))
    (tmp_path / "m.zip").write_bytes(
        zipped([Entry("x", b"the model"), Entry("large", os.urandom(2 * LARGE))])
    )
    (tmp_path / "package").mkdir()
    (tmp_path / "package/app.py").write_bytes(PROCESSOR)
    (tmp_path / "model").mkdir()
    (tmp_path / "model/x").write_text("the model")
    return tmp_path


@pytest.fixture(autouse=True)
def _nothing_is_left_on_the_machine() -> Iterator[None]:
    yield
    mounts = Path("/proc/self/mountinfo").read_text()
    assert "/eas/" not in mounts
    assert "docker_ml" not in mounts
    assert not Path("/eas").exists()
    assert not Path("/home/admin/docker_ml").exists()


def visible() -> bool:
    """Whether this kernel gives this user a mount namespace; found out in a child."""
    child = os.fork()
    if not child:
        os._exit(ctypes.CDLL(None).unshare(0x20000 | (0x10000000 if os.geteuid() else 0)) != 0)
    return os.waitpid(child, 0)[1] == 0


@pytest.fixture
def _visible() -> None:
    if not visible():
        pytest.skip("the kernel gives this user no mount namespace")


def seen(engine: Engine) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(engine.ask().body)
    return found


def started(directory: Path, **given: Any) -> Engine:
    return Engine.start(directory, **{**ENTRIES, **given})


@pytest.mark.usefixtures("_visible")
@pytest.mark.parametrize("addresses", [{}, {"processor_path": "package", "model_path": "model/"}])
def test_every_path_leads_to_the_model(directory: Path, addresses: dict[str, str]) -> None:
    engine = started(directory, environment={"MY_TOKEN": "s3cret"}, **addresses)
    try:
        found, instance = seen(engine), engine.instance()
    finally:
        assert engine.stop() == 0
    root = Path(found["environment"]["EAS_WORKSPACE"])
    for way in ("by model path", "from the working directory", "new", "new, relative", "old"):
        assert found[way] == "the model", way
    assert found["cwd"] == str(root / "predictor/processor")
    assert found["model_path"] == found["environment"]["EAS_MODEL_PATH"] == str(root / "model")
    assert root.is_relative_to(engine.state_dir / "faulty/versions")
    config = json.loads(found["old, configuration"])
    assert config == json.loads(found["environment"]["SERVICE_CONFIG"])
    assert config["name"] == "faulty"
    assert engines.TOKEN not in found["old, configuration"]
    assert "s3cret" not in found["old, configuration"]
    assert instance["workspace"] == {"visible": True, "reason": ""}


def test_a_second_start_finds_the_workspace_and_a_changed_model_gets_another(directory: Path) -> None:
    roots = []
    for text in ("the model", "the model", "a newer model"):
        (directory / "model/x").write_text(text)
        os.utime(directory / "model/x", (1_000_000_000, 1_000_000_000))
        engine = started(directory, model_path="model", processor_path="package")
        try:
            found = seen(engine)
        finally:
            engine.stop()
        assert found["from the working directory"] == text
        roots.append(found["environment"]["EAS_WORKSPACE"])
    assert roots[0] == roots[1] != roots[2]


@pytest.mark.usefixtures("_visible")
def test_a_processor_that_writes_into_its_model_spoils_nothing_but_its_own(directory: Path) -> None:
    engine = started(directory)
    try:
        root = seen(engine)["environment"]["EAS_WORKSPACE"]
        large, small = f"{root}/model/large", f"{root}/model/x"
        shared = Path(large).stat().st_nlink > 1
        said = {
            path: engine.ask(body=f"write {path}".encode()).body.decode()
            for path in (
                large,
                "/eas/workspace/model/large",
                "/home/admin/docker_ml/workspace/model/large",
                small,
            )
        }
    finally:
        engine.stop()
    assert said.pop(small) == "written"
    refusal = "Read-only file system" if os.geteuid() == 0 else "Permission denied"
    assert set(said.values()) == {refusal if shared else "written"}
    cached = list((engine.state_dir / "cache").rglob("tree/x"))
    assert [path.read_bytes() for path in cached] == [b"the model"]
    again = started(directory)
    try:
        assert seen(again)["new"] == "the model"  # made anew, for its file wasn't what it was
    finally:
        again.stop()


@pytest.mark.usefixtures("_visible")
def test_a_killed_engine_leaves_nothing_on_the_machine(directory: Path) -> None:
    engine = started(directory, metadata={"instance": 2})
    hosts = [pid for one in engine.status()["instances"] for pid in one["pids"]]
    engine.kill()
    for pid in hosts:
        eventually(lambda pid=pid: gone(pid), f"host {pid} is gone")  # type: ignore[misc]
    again = started(directory)
    try:
        assert seen(again)["new"] == "the model"
    finally:
        again.stop()


@pytest.mark.usefixtures("_visible")
def test_a_restarted_instance_sees_it_too(directory: Path) -> None:
    engine = started(directory)
    try:
        first = engine.host
        os.kill(first, 9)
        eventually(lambda: engine.instance()["restarts"] == {"killed": 1}, "it is restarted")
        engine.wait_ready()
        assert seen(engine)["new"] == "the model"
    finally:
        engine.stop()


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv")
def test_where_the_kernel_refuses_the_status_says_so_and_all_else_works(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container: root, without CAP_SYS_ADMIN."""
    limited = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"]
    monkeypatch.setattr(engines, "COMMAND", [*limited, *engines.COMMAND])
    engine = started(directory)
    try:
        found, instance = seen(engine), engine.instance()
    finally:
        engine.stop()
    assert found["new"] == found["old"] == "No such file or directory"
    assert found["from the working directory"] == found["by model path"] == "the model"
    assert Path(found["environment"]["EAS_WORKSPACE"], "model/x").read_text() == "the model"
    assert instance["workspace"]["visible"] is False
    assert "CAP_SYS_ADMIN" in instance["workspace"]["reason"]


def test_what_somebody_starts_by_hand_is_used_where_it_lies(directory: Path) -> None:
    engine = started(directory, processor_path="package", model_path="model", flags=("--any-path",))
    try:
        found, instance = seen(engine), engine.instance()
    finally:
        engine.stop()
    assert (found["cwd"], found["model_path"]) == (str(directory / "package"), str(directory / "model"))
    assert found["environment"]["EAS_WORKSPACE"] == ""
    assert instance["workspace"] == {"visible": None, "reason": ""}
    assert not (engine.state_dir / "faulty/versions").exists()


def test_without_a_processor_path_the_processor_is_used_where_it_lies(directory: Path) -> None:
    entry = str(directory / "package/app.py")
    engine = Engine.start(directory, processor_entry=entry, model_path="model")
    try:
        found = seen(engine)
    finally:
        engine.stop()
    assert found["cwd"] == str(directory / "package")
    assert Path(found["model_path"]).is_relative_to(engine.state_dir)
    assert found["by model path"] == "the model"
