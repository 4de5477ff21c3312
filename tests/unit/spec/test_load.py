"""Reading service.json: spellings, precedence, values, complaints."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eas_engine.errors import ConfigurationError as StartConfigurationError
from eas_engine.spec import ConfigurationError, Loaded, ServiceSpec, load
from eas_engine.spec.parameters import Kind, all_parameters, settable, value_of
from support.services import GIB, JSON, MACHINE, PYTHON, python_service, read

UNCHANGED = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60
)


def problems_of(directory: Path, content: object, **options: Any) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        read(directory, content, **options)
    return caught.value


def messages(loaded: Loaded) -> list[str]:
    return [str(one) for one in loaded.warnings]


def test_a_minimal_service_gets_every_default(tmp_path: Path) -> None:
    loaded = read(tmp_path, PYTHON)
    spec = loaded.spec
    assert spec.name == "demo"
    assert spec.metadata.rpc.keepalive is None
    assert spec.metadata.rpc.keepalive_ms == 5000
    assert spec.metadata.rpc.worker_threads is None
    assert spec.metadata.rpc.threads == 5
    assert spec.metadata.rpc.stuck_timeout_ms(2000) == 20_000
    assert spec.metadata.rpc.max_inflight_bytes == 2 * GIB
    assert spec.metadata.eas.termination_grace_period == 30
    assert loaded.origins["name"].line == 1
    assert loaded.origins["metadata.rpc.keepalive"].kind == "default"
    assert not loaded.warnings


_SETTINGS: dict[str, Any] = {
    "metadata.rpc.keepalive": 1234,
    "metadata.rpc.max_queue_size": "7",
    "metadata.rpc.enable_sigterm": "true",
    "metadata.eas.termination_grace_period": 60,
    "metadata.instance": 3,
    "metadata.cpu": 2,
    "metadata.scheduling.spread.policy": "host",
    "metadata.rolling_strategy.max_surge": "10%",
    "runtime.enable_crash_block": True,
    "cloud.computing.instance_type": "ecs.c7.large",
    "networking.disable_internet_endpoint": "true",
    "features.eas.aliyun.com/extra-ephemeral-storage": "20Gi",
    "labels": {"a.b": "1", "team": "x"},
    "model_config": {"deep.er": {"x.y": 1}},
    "autoscaler.min": 1,
    "autoscaler.max": 4,
    "autoscaler.strategies": {"qps": 10, "gpu[util]": 50},
    "autoscaler.behavior.scaleDown.stabilizationWindowSeconds": 10,
}
_DOTTED_KEY = "eas.aliyun.com/extra-ephemeral-storage"


def spelled(path: str, draw: st.DrawFn) -> list[str]:
    """One of the spellings of a parameter, as keys from the outside in."""
    keys = [_DOTTED_KEY if key == "@" else key for key in path.replace(_DOTTED_KEY, "@").split(".")]
    if keys[0] == "metadata" and draw(st.booleans()):
        keys = keys[1:]
    result = [keys[0]]
    for key in keys[1:]:
        if draw(st.booleans()):
            result.append(key)
        else:
            result[-1] += "." + key
    return result


@st.composite
def spellings(draw: st.DrawFn) -> dict[str, Any]:
    """The settings above in any mixture of spellings and any order."""
    content: dict[str, Any] = dict(PYTHON)
    for path in draw(st.permutations(list(_SETTINGS))):
        keys = spelled(path, draw)
        inner = content
        for key in keys[:-1]:
            inner = inner.setdefault(key, {})
        inner[keys[-1]] = _SETTINGS[path]
    return content


@UNCHANGED
@given(content=spellings())
def test_dotted_nested_and_mixed_spellings_mean_the_same(tmp_path: Path, content: dict[str, Any]) -> None:
    plain = read(tmp_path, {**PYTHON, **_SETTINGS}).spec
    assert read(tmp_path, content).spec == plain
    assert plain.labels == {"a.b": "1", "team": "x"}
    assert plain.metadata.rpc.keepalive == 1234
    assert plain.features.extra_ephemeral_storage == 20 * GIB
    assert json.loads(plain.model_config_text) == {"deep.er": {"x.y": 1}}


@st.composite
def any_value_for_any_key(draw: st.DrawFn) -> dict[str, Any]:
    known = [one.path for one in all_parameters() if "[]" not in one.path]
    paths = st.sampled_from([*known, *(path.removeprefix("metadata.") for path in known)]) | st.text(
        max_size=8
    )
    items = st.sampled_from(["containers", "storage", "processor_envs", "autoscaler.scaleJobs"])
    inner = [one.parts[-1] for one in all_parameters() if "[]" in one.path]
    item = st.lists(st.dictionaries(st.sampled_from(inner), JSON, max_size=3), max_size=2)
    content: dict[str, Any] = {**PYTHON, **draw(st.dictionaries(paths, JSON, max_size=4))}
    return {**content, **draw(st.dictionaries(items, item, max_size=2))}


@UNCHANGED
@given(content=any_value_for_any_key() | JSON, flags=st.lists(st.text(max_size=20), max_size=2))
def test_whatever_the_file_holds_only_a_configuration_error_comes_out(
    tmp_path: Path, content: object, flags: list[str]
) -> None:
    try:
        loaded = read(tmp_path, content, flags=flags)
    except ConfigurationError as error:
        complaints = [str(one) for one in error.problems]
    else:
        complaints = ["none"]
        assert isinstance(loaded.spec, ServiceSpec)
    assert complaints
    assert all(complaints)


def test_metadata_beats_the_top_level_and_says_so(tmp_path: Path) -> None:
    what = '"processor_type": "python", "processor_entry": "a.py"'
    text = f'{{"name": "top",\n "metadata": {{"name": "demo"}}, {what}}}'
    loaded = read(tmp_path, text)
    assert loaded.spec.name == "demo"
    (warning,) = messages(loaded)
    assert "line 2: name: given as name" in warning
    assert '"top"' in warning


def test_an_empty_metadata_value_leaves_the_word_to_the_top_level(tmp_path: Path) -> None:
    loaded = read(tmp_path, python_service(metadata={"name": ""}))
    assert loaded.spec.name == "demo"
    assert not loaded.warnings


def test_dotted_and_nested_in_one_object_the_last_holds_with_a_warning(tmp_path: Path) -> None:
    loaded = read(tmp_path, python_service(metadata={"rpc.keepalive": 1, "rpc": {"keepalive": 2}}))
    assert loaded.spec.metadata.rpc.keepalive == 2
    assert len(loaded.warnings) == 1


def test_empty_and_null_mean_not_set(tmp_path: Path) -> None:
    loaded = read(
        tmp_path,
        python_service(
            model_path="", metadata={"cpu": "", "rpc": {"keepalive": None}}, runtime="", cloud=None
        ),
    )
    assert loaded.spec.metadata.cpu is None
    assert loaded.spec.metadata.rpc.keepalive is None
    assert set(loaded.emptied) == {"model_path", "metadata.cpu", "metadata.rpc.keepalive"}
    assert not loaded.warnings


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
    ("content", "path", "hint"),
    [
        ({"metadata": {"rpc.max_que_size": 1}}, "metadata.rpc.max_que_size", "did you mean max_queue_size?"),
        ({"metadata": {"rpc": {"keep_alive": 1}}}, "metadata.rpc.keep_alive", "did you mean keepalive?"),
        ({"proccessor_path": "x"}, "proccessor_path", "did you mean processor_path?"),
        ({"metadata": {"keepalive": 1}}, "metadata.keepalive", "did you mean metadata.rpc.keepalive?"),
        ({"zzz": 1}, "zzz", "unknown"),
        ({"labels.": 1, "": 2}, "", "unknown"),
    ],
)
def test_unknown_keys_warn_with_the_nearest_name(
    tmp_path: Path, content: dict[str, Any], path: str, hint: str
) -> None:
    loaded = read(tmp_path, python_service(**content))
    assert any(one.path == path and hint in one.message for one in loaded.warnings)
    with pytest.raises(ConfigurationError, match="unknown"):
        read(tmp_path, python_service(**content), strict=True)


def test_a_file_of_unknown_keys_is_read_in_bounded_time(tmp_path: Path) -> None:
    loaded = read(tmp_path, python_service(**{f"unknown_key_{number}": 1 for number in range(20_000)}))
    assert len(loaded.warnings) == 20_000


@pytest.mark.parametrize(
    "content",
    [
        {"metadata": {"group": "a", "region": "b"}},
        {"dockerAuth": "x"},
        {"cloud": {"networking": {"vpc_id": "x"}}},
        {"networking": {"gateway": "x"}},
        {"networking": {"gateway_policy": {"rate_limit": {"enable": True}}}},
        {"metadata.rpc.enable_jemalloc": 1},
        {"unit.size": 2},
        {"storage": [{"mount_path": "/x", "empty_dir": {}, "properties": {"resource_type": "code"}}]},
    ],
)
def test_keys_of_the_cloud_have_no_effect_here_and_are_no_error_under_strict(
    tmp_path: Path, content: dict[str, Any]
) -> None:
    loaded = read(tmp_path, python_service(**content), strict=True)
    assert loaded.warnings
    assert all("no effect here" in one.message for one in loaded.warnings)


def test_strict_makes_errors_of_warnings(tmp_path: Path) -> None:
    text = '{"name": "a", "name": "b", "processor_type": "python", "processor_entry": "a.py"}'
    assert read(tmp_path, text).spec.name == "b"
    error = problems_of(tmp_path, text, strict=True)
    assert "stands on line 1" in str(error)


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

    @pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
    def test_no_permission(self, tmp_path: Path) -> None:
        path = tmp_path / "s.json"
        path.write_text("{}")
        path.chmod(0)
        with pytest.raises(ConfigurationError, match="Permission denied"):
            load(path)


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


def test_every_parameter_is_described_and_keys_are_unique() -> None:
    assert not [one.path for one in all_parameters() if not one.info.description]
    keys = [one.key for one in settable() if "[]" not in one.path]
    assert len(keys) == len(set(keys))
    assert {one.path for one in all_parameters() if one.kind is Kind.MAP} == {
        "labels",
        "model_config",
        "autoscaler.strategies",
    }


def test_a_key_of_a_map_that_is_given_twice_warns(tmp_path: Path) -> None:
    loaded = read(tmp_path, python_service(**{"labels": {"team": "a"}, "labels.team": "b"}))
    assert loaded.spec.labels == {"team": "b"}
    assert [str(one) for one in loaded.warnings] == ['line 1: labels.team: given twice: "b" holds']
    assert not read(tmp_path, python_service(labels={"team": "a"}), flags=["labels.team=b"]).warnings


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
