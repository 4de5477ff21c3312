"""Values of service.json: their types, their limits, and what must hold between them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from eas_engine.errors import ConfigurationError as StartConfigurationError
from eas_engine.spec import Loaded
from eas_engine.spec.parameters import value_of
from support.services import GIB, PYTHON, problems_of, python_service, read


def messages(loaded: Loaded) -> list[str]:
    return [str(one) for one in loaded.warnings]


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("metadata.instance", "3", 3),
        ("metadata.instance", 3.0, 3),
        ("metadata.rpc.rate_limit", "0.5", 0.5),
        ("metadata.rpc.enable_sigterm", "True", True),
        ("metadata.rpc.enable_sigterm", 1, True),
        ("metadata.workspace_id", 140500, "140500"),
        ("metadata.cuda", 11.2, "11.2"),
        ("metadata.rpc.max_body_size", "64Mi", 64 * 2**20),
        ("metadata.rpc.max_body_size", "1.5G", 3 * 2**29),
        ("metadata.rpc.max_body_size", 1000, 1000),
        ("features.eas.aliyun.com/extra-ephemeral-storage", "100Gi", 100 * GIB),
        ("features.eas.aliyun.com/extra-ephemeral-storage", "30", 30 * GIB),
        ("metadata.rolling_strategy.max_surge", "5", 5),
        ("model_config", "text", "text"),
        ("model_config", [1, "é"], '[1, "é"]'),
        ("generate_token", "false", False),
    ],
)
def test_values_are_coerced(tmp_path: Path, path: str, value: object, expected: object) -> None:
    assert value_of(read(tmp_path, python_service(**{path: value})).spec, path) == expected


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("metadata.instance", True, "true: expected an integer"),
        ("metadata.instance", "1_0", "expected an integer"),
        ("metadata.instance", 1.5, "expected an integer"),
        ("metadata.instance", 0, "expected at least 1"),
        ("metadata.instance", 10**30, "expected an integer"),
        ("metadata.rpc.keepalive", "abc", '"abc": expected an integer'),
        ("metadata.rpc.keepalive", 0, "expected at least 1"),
        ("metadata.rpc.enable_sigterm", "yes", "expected true or false"),
        ("metadata.gpu_core_percentage", 101, "expected at most 100"),
        ("metadata.qos", "Guaranteed", "\"Guaranteed\": expected 'BestEffort'"),
        ("metadata.cpu", 0, "expected more than 0"),
        ("metadata.rolling_strategy.max_surge", "2.5%", "percentage"),
        ("metadata.rpc", 5, "5: expected an object"),
        ("metadata.rpc.batch_sizes", [0], "at least 1"),
        ("metadata.rpc.batch_sizes", [4, 1], "[4, 1]: expected each size once, ascending"),
        ("metadata.rpc.batch_sizes", [4, 4], "each size once"),
        (
            "metadata.rpc.batch_sizes",
            [1, 17],
            "17: expected at most metadata.rpc.max_batch_size, which is 16",
        ),
        ("metadata.rpc.decompressor", "rar", "expected"),
        ("processor_type", "ruby", "expected 'cpp', 'java' or 'python'"),
        ("processor_type", "pyton", "expected 'cpp', 'java' or 'python', did you mean python?"),
        ("processor_envs", 5, "expected a list"),
        ("processor_envs", [5], "expected an object"),
        ("processor_envs", [{"value": "x"}], "required, and not set"),
        ("labels", [], "expected an object"),
        ("name", "Demo", "expected text that matches"),
        ("autoscaler", {"min": 3, "max": 2}, "expected at most autoscaler.max"),
        ("autoscaler", {"min": 3}, "required"),
        ("autoscaler", {"min": 1, "max": 2, "strategies": {"rps": 1}}, "unknown metric"),
        ("storage", [{"mount_path": "/x"}], "exactly one of oss"),
        ("storage", [{"mount_path": "x", "empty_dir": {}}], "matches ^/"),
        ("features.eas.aliyun.com/extra-ephemeral-storage", 2001, "at most"),
    ],
)
def test_wrong_values_are_refused(tmp_path: Path, path: str, value: object, words: str) -> None:
    error = problems_of(tmp_path, python_service(**{path: value}))
    assert words in str(error)
    assert all(one.line == 1 for one in error.problems)


def test_all_errors_come_at_once_each_with_its_line(tmp_path: Path) -> None:
    text = """{
  "name": "Bad Name",
  "processor_type": "python",
  "metadata": {
    "instance": "many",
    "rpc": {"keepalive": -1},
    "cpu": [],
    "max_que": 1
  },
  "containers": [{
    "port": 8080
  }]
}"""
    error = problems_of(tmp_path, text)
    found = {one.path: one.line for one in error.problems}
    assert found == {
        "name": 2,
        "processor_entry": None,
        "metadata.instance": 5,
        "metadata.rpc.keepalive": 6,
        "metadata.cpu": 7,
        "containers": 10,
        "containers[0].command": 10,
        "containers[0].port": 11,
    }
    assert [one.path for one in error.warnings] == ["metadata.max_que"]
    assert isinstance(error, StartConfigurationError)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"name": "a"}, "exactly one of"),
        ({**PYTHON, "processor": "pmml"}, "both given"),
        ({"name": "a", "processor_type": "python"}, "required with processor_type python"),
        ({"name": "a", "processor_type": "cpp"}, "required with processor_type cpp"),
        (
            {"name": "a", "processor_type": "java", "processor_entry": "a.jar"},
            "required with processor_type java",
        ),
        ({"name": "a", "processor": "tensorfow"}, "no such preset; there are: tensorflow"),
        ({"name": "a", "containers": [{"command": "x", "script": "y"}]}, "both given"),
        ({"name": "a", "containers": [{"image": "x"}]}, "required: command or script"),
        ({"name": "a", "containers": [{"command": "x", "port": "9090"}]}, "the engine's own"),
        ({"name": "a", "containers": [{"command": "x"}, {"command": "y"}]}, "expected one container"),
        (
            {
                "name": "a",
                "containers": [{"command": "x", "readiness_check": {"http_get": {}, "tcp_socket": {}}}],
            },
            "expected one of http_get",
        ),
        (python_service(processor_entry="app.so"), "expected a .py file"),
        ({"processor_type": "python", "processor_entry": "a.py"}, "name: required"),
    ],
)
def test_rules_between_parameters(tmp_path: Path, content: dict[str, Any], words: str) -> None:
    assert words in str(problems_of(tmp_path, content))


def test_gpu_settings_without_effect_warn(tmp_path: Path) -> None:
    loaded = read(tmp_path, python_service(gpu=1, gpu_memory=4))
    assert "ignored: gpu is 1" in messages(loaded)[0]
    loaded = read(tmp_path, python_service(gpu_core_percentage=10))
    assert "no effect without gpu_memory" in messages(loaded)[0]


def test_environment_variables_as_list_and_as_object(tmp_path: Path) -> None:
    as_list = [{"name": "A.B", "value": ""}, {"name": "C", "value": 1}, {"name": "D", "value": True}]
    spec = read(tmp_path, python_service(processor_envs=as_list)).spec
    assert [(one.name, one.value) for one in spec.processor_envs] == [("A.B", ""), ("C", "1"), ("D", "true")]
    assert read(tmp_path, python_service(processor_envs={"A.B": "", "C": 1, "D": True})).spec == spec


def test_several_broken_items_of_one_list_are_each_named(tmp_path: Path) -> None:
    error = problems_of(tmp_path, python_service(processor_envs=[5, {"name": "A"}, 6, {"name": "B=C"}]))
    assert [one.path for one in error.problems] == [
        "processor_envs[0]",
        "processor_envs[2]",
        "processor_envs[3].name",
    ]


def test_a_list_of_nonsense_is_refused_in_bounded_time(tmp_path: Path) -> None:
    error = problems_of(tmp_path, python_service(containers=[1] * 200_000))
    assert "more that can't be read" in str(error)
