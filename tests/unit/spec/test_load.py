"""Reading service.json: spellings, precedence, values, complaints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eas_engine.spec import ConfigurationError, Loaded, ServiceSpec
from eas_engine.spec.parameters import Kind, all_parameters, settable
from support.services import GIB, JSON, PYTHON, problems_of, python_service, read

UNCHANGED = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60
)


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
