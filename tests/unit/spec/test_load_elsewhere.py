"""What else decides: flags, machine types, the environment; and files that are no service."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from eas_engine.spec import ConfigurationError, Loaded, load
from eas_engine.spec.engine.load import load as load_settings
from support.services import MACHINE, PYTHON, problems_of, python_service, read


def messages(loaded: Loaded) -> list[str]:
    return [str(one) for one in loaded.warnings]


class TestFlags:
    def test_a_flag_beats_the_file_in_any_spelling(self, tmp_path: Path) -> None:
        content = python_service(metadata={"rpc.max_queue_size": 1}, rpc={"keepalive": 1})
        flags = ["metadata.rpc.max_queue_size=128", "rpc.keepalive=9"]
        loaded = read(tmp_path, content, flags=flags)
        assert loaded.spec.metadata.rpc.max_queue_size == 128
        assert loaded.spec.metadata.rpc.keepalive == 9
        assert str(loaded.origins["metadata.rpc.keepalive"]) == "flag: -D rpc.keepalive=9"
        assert not loaded.warnings

    def test_the_last_of_two_flags_holds(self, tmp_path: Path) -> None:
        assert read(tmp_path, PYTHON, flags=["instance=2", "metadata.instance=3"]).spec.metadata.instance == 3

    def test_the_value_is_json_or_else_text(self, tmp_path: Path) -> None:
        flags = ["labels.team=a.b", 'labels.n="1"', 'model_config={"a": 1}', "token=a=b"]
        spec = read(tmp_path, PYTHON, flags=flags).spec
        assert spec.labels == {"team": "a.b", "n": "1"}
        assert spec.model_config_text == '{"a": 1}'
        assert spec.token == "a=b"

    def test_an_empty_value_unsets(self, tmp_path: Path) -> None:
        loaded = read(tmp_path, python_service(metadata={"cpu": 2}), flags=["metadata.cpu="])
        assert loaded.spec.metadata.cpu is None

    def test_single_items_of_a_list(self, tmp_path: Path) -> None:
        content = {"name": "a", "containers": [{"command": "x", "port": 1}]}
        loaded = read(
            tmp_path,
            content,
            flags=["containers[0].port=8001", "storage[0].mount_path=/a", "storage[0].local.path=/b"],
        )
        assert loaded.spec.containers[0].port == 8001
        assert loaded.spec.containers[0].command == "x"
        assert loaded.spec.storage[0].mount_path == "/a"
        assert loaded.origins["containers[0].port"].kind == "flag"
        assert loaded.origins["containers[0].command"].kind == "file"

    @pytest.mark.parametrize(
        ("flag", "words"),
        [
            ("x", "expected key=value"),
            ("=1", "expected key=value"),
            ("token=\udcff", "not UTF-8"),
            ("containers[7].port=1", "there are only 0"),
            ("metadata.instance=x", "given by -D metadata.instance=x"),
        ],
    )
    def test_wrong_flags(self, tmp_path: Path, flag: str, words: str) -> None:
        assert words in str(problems_of(tmp_path, PYTHON, flags=[flag]))


class TestMachineTypes:
    def test_gives_what_metadata_does_not(self, tmp_path: Path) -> None:
        content = python_service(**{"cloud.computing.instance_type": "ecs.g7.large"}, metadata={"cpu": 1})
        loaded = read(tmp_path, content)
        assert (loaded.spec.metadata.cpu, loaded.spec.metadata.memory) == (1, 8192)
        assert loaded.origins["metadata.memory"].kind == "instance_type"
        assert loaded.origins["metadata.cpu"].kind == "file"

    def test_is_clipped_to_the_machine(self, tmp_path: Path) -> None:
        content = python_service(**{"cloud.computing.instance_type": "ecs.gn6i-c24g1.6xlarge"})
        loaded = read(tmp_path, content)
        assert (loaded.spec.metadata.cpu, loaded.spec.metadata.memory, loaded.spec.metadata.gpu) == (
            4,
            8192,
            0,
        )
        assert "24 CPUs (here 4)" in messages(loaded)[0]
        assert "clipped" in str(problems_of(tmp_path, content, strict=True))

    def test_the_first_that_fits_is_taken(self, tmp_path: Path) -> None:
        types = [{"type": "ecs.g7.16xlarge"}, {"type": "ecs.c7.xlarge"}, {"type": "ecs.c7.large"}]
        loaded = read(tmp_path, python_service(**{"cloud.computing.instances": types}))
        assert (loaded.spec.metadata.cpu, loaded.spec.metadata.memory) == (4, 8192)
        assert loaded.origins["metadata.cpu"].detail == "ecs.c7.xlarge"

    def test_an_unknown_type_warns(self, tmp_path: Path) -> None:
        loaded = read(tmp_path, python_service(**{"cloud.computing.instance_type": "my.own"}))
        assert "not in the table" in messages(loaded)[0]
        assert loaded.spec.metadata.cpu is None


def test_the_environment_gives_the_oss_endpoint(tmp_path: Path) -> None:
    loaded = read(tmp_path, PYTHON, environ={"OSS_ENDPOINT": "oss.example.com"})
    assert loaded.spec.oss_endpoint == "oss.example.com"
    assert str(loaded.origins["oss_endpoint"]) == "environment: OSS_ENDPOINT"


class TestFiles:
    def test_a_byte_order_mark_is_skipped(self, tmp_path: Path) -> None:
        path = tmp_path / "s.json"
        path.write_bytes(b"\xef\xbb\xbf" + json.dumps(PYTHON).encode())
        assert load(path, machine=MACHINE).spec.name == "demo"

    @pytest.mark.parametrize(
        ("data", "words"),
        [
            (b'{\n"name": "\xff"}', "line 2: not UTF-8 (byte 0xff)"),
            ("{}".encode("utf-16"), "not UTF-8"),
            (b"[]", "expected an object"),
            (b"", "ends here"),
            (b'{\n"a": 1,}', "line 2: column 7: not JSON"),
            (b" " * (2**20 + 1), "larger than 1 MiB"),
            (b"{" + b'"a":{' * 10_000, "nested deeper"),
        ],
    )
    def test_what_is_no_service(self, tmp_path: Path, data: bytes, words: str) -> None:
        path = tmp_path / "s.json"
        path.write_bytes(data)
        with pytest.raises(ConfigurationError) as caught:
            load(path, machine=MACHINE)
        assert words in str(caught.value)

    def test_missing_directory_and_unreadable(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="no such file"):
            load(tmp_path / "none.json")
        with pytest.raises(ConfigurationError, match="can't be read: Is a directory"):
            load(tmp_path)
        with pytest.raises(ConfigurationError, match="can't be read"):
            load(tmp_path / ("x" * 300))

    @pytest.mark.parametrize("read", [load, load_settings])
    def test_a_pipe_that_nobody_writes_to_is_not_waited_for(self, tmp_path: Path, read: Any) -> None:
        path = tmp_path / "s.json"
        os.mkfifo(path)
        with pytest.raises(ConfigurationError, match="is a pipe that nobody writes to"):
            read(path, MACHINE, {}) if read is load_settings else read(path)

    def test_a_pipe_that_somebody_writes_to_is_read_to_its_end(self, tmp_path: Path) -> None:
        """As ``eas-engine check <(generate)`` in a shell."""
        path, text = tmp_path / "s.json", json.dumps({**PYTHON, "labels": {"x": "y" * 100_000}})
        os.mkfifo(path)
        kept = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # so that the writer needn't wait for the reader
        with ThreadPoolExecutor() as pool, path.open("w") as writer:
            loaded = pool.submit(load, path, machine=MACHINE)
            writer.write(text)
            writer.close()
            assert loaded.result().spec.labels == {"x": "y" * 100_000}
        os.close(kept)

    @pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
    def test_no_permission(self, tmp_path: Path) -> None:
        path = tmp_path / "s.json"
        path.write_text("{}")
        path.chmod(0)
        with pytest.raises(ConfigurationError, match="Permission denied"):
            load(path)
