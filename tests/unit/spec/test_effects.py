"""What a start refuses, and what it warns of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from eas_engine.spec import ConfigurationError, Machine, startable
from eas_engine.spec.effects import IN_EFFECT, LATER
from eas_engine.spec.engine.settings import EngineSettings, Group
from eas_engine.spec.machine import Gpu
from eas_engine.spec.parameters import parameter_at, settable
from support.services import GIB, PYTHON, python_service, read


def covered(path: str, listed: set[str]) -> bool:
    return any(path == one or path.startswith((f"{one}.", f"{one}[]")) for one in listed)


def test_every_parameter_is_in_effect_or_on_the_list_of_later_ones() -> None:
    listed = set(IN_EFFECT) | {one.path for one in LATER}
    assert [one.path for one in settable() if not covered(one.path, listed)] == []
    for path in listed:
        parameter_at(path)  # nothing on the lists is misspelled


def test_only_parameters_with_conditions_are_on_both_lists() -> None:
    assert {one.path for one in LATER if one.when is None} & IN_EFFECT == set()


def test_what_the_parameters_page_calls_a_restriction_refuses() -> None:
    refused = {one.path for one in LATER if one.outcome == "refuse"}
    assert refused == {
        "containers",
        "storage",
        "metadata.enable_grpc",
        "metadata.enable_webservice",
    }


def test_a_plain_python_service_starts_without_a_word(tmp_path: Path) -> None:
    assert startable(read(tmp_path, PYTHON)) == ([], [])


def test_a_cpp_service_starts_without_a_word(tmp_path: Path) -> None:
    content = python_service(processor_type="cpp", processor_entry="a.so", metadata={"rpc.cpp_batch": True})
    assert startable(read(tmp_path, content)) == ([], [])
    assert read(tmp_path, content).warnings == ()


def test_cpp_batch_of_a_python_service_is_warned_of(tmp_path: Path) -> None:
    loaded = read(tmp_path, python_service(metadata={"rpc.cpp_batch": True}))
    (warning,) = loaded.warnings
    assert (warning.path, warning.message) == (
        "metadata.rpc.cpp_batch",
        "no effect without processor_type cpp",
    )


def test_settings_of_batches_without_batching_are_warned_of(tmp_path: Path) -> None:
    given = {"max_batch_size": 8, "max_batch_timeout": 1, "batch_when_idle": False, "batch_padding": True}
    loaded = read(tmp_path, python_service(metadata={"rpc": {**given, "batch_sizes": [4]}}))
    assert {one.path: one.message for one in loaded.warnings} == {
        f"metadata.rpc.{name}": "no effect without metadata.rpc.batching" for name in [*given, "batch_sizes"]
    }


def test_batching_starts_without_a_word(tmp_path: Path) -> None:
    rpc = {"batching": True, "max_batch_size": 8, "batch_when_idle": False, "batch_sizes": [1, 4]}
    loaded = read(tmp_path, python_service(metadata={"rpc": rpc}))
    assert loaded.warnings == ()
    assert startable(loaded) == ([], [])
    assert loaded.spec.metadata.rpc.batch_rows == 4, "the largest size is the most that a batch has"


def test_defaults_written_out_are_no_reason_to_warn(tmp_path: Path) -> None:
    content = python_service(
        metadata={
            "rpc": {"batching": False, "max_batch_size": 16, "rate_limit": 0, "decompressor": ""},
            "gpu": 0,
            "gpu_memory": 0,
            "resource_rebalancing": "false",
            "enable_grpc": False,
            "scheduling.spread.policy": "default",
        },
        networking={"disable_internet_endpoint": False},
        storage=[],
    )
    assert startable(read(tmp_path, content)) == ([], [])


def test_what_comes_later_is_named_in_one_warning(tmp_path: Path) -> None:
    content = python_service(metadata={"rpc.proxy_path": "/x"})
    refusals, warnings = startable(read(tmp_path, content))
    assert refusals == []
    assert [str(one) for one in warnings] == ["not in effect yet: metadata.rpc.proxy_path"]


@pytest.mark.parametrize(
    ("content", "path"),
    [
        ({"enable_grpc": True}, "metadata.enable_grpc"),
        ({"enable_webservice": "true"}, "metadata.enable_webservice"),
        ({"storage": [{"mount_path": "/x", "empty_dir": {}}]}, "storage"),
    ],
)
def test_what_restricts_transforms_or_decides_refuses_the_start(
    tmp_path: Path, content: dict[str, Any], path: str
) -> None:
    refusals, _ = startable(read(tmp_path, python_service(**content)))
    assert [one.path for one in refusals] == [path]
    assert refusals[0].message.startswith("not yet: ")
    assert refusals[0].line == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"processor": "easyrec-2.4"}, "a bundle of the vendor that is not public; with the bundle at hand"),
        ({"processor": "parameter_sever"}, "not public"),
        ({"containers": [{"command": "x"}]}, "containers are not run"),
    ],
)
def test_other_things_to_run(tmp_path: Path, content: dict[str, Any], words: str) -> None:
    (refusal,), _ = startable(read(tmp_path, {"name": "a", **content}))
    assert words in refusal.message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"cpu": 5}, "5 CPUs asked for, this machine has 4"),
        ({"gpu": 1}, "1 GPU asked for, this machine has none"),
        ({"gpu_memory": 8}, "this machine has no GPU"),
        ({"cuda": "11.2"}, "CUDA 11.2 is not installed on this machine (installed: none)"),
        ({"type": "Async"}, '"Async": only services of type Standard'),
        ({"features.eas.aliyun.com/extra-ephemeral-storage": "51Gi"}, "51 GiB asked for, 50.0 GiB are free"),
        ({"model_path": "oss://b/m/"}, "needs oss_endpoint"),
        ({"model_path": "htp://h/m"}, '"htp://" is no scheme that is known here, did you mean http?'),
    ],
)
def test_what_does_not_fit_this_machine_is_refused_with_both_figures(
    tmp_path: Path, content: dict[str, Any], words: str
) -> None:
    refusals, _ = startable(read(tmp_path, python_service(**content)))
    assert any(words in one.message for one in refusals)


@pytest.mark.parametrize(
    ("given", "installed", "words"),
    [
        ("13", ("13.0",), "(installed: 13.0); did you mean 13.0?"),
        (13, ("12.4", "13.0", "13.1"), "; did you mean 13.0 or 13.1?"),
        (
            12.10,
            ("13.0",),
            '(installed: 13.0); if "12.10" is meant, write it in quotes: as a number it is 12.1',
        ),
        (12.10, ("12.10",), '; did you mean "12.10"? As a number it is 12.1: write it in quotes'),
        ("12.4", ("12.3",), "(installed: 12.3)"),
    ],
)
def test_a_toolkit_that_is_called_otherwise_is_suggested(
    tmp_path: Path, given: object, installed: tuple[str, ...], words: str
) -> None:
    machine = Machine(4, 8 * GIB, gpus=(Gpu("T4", 16 * GIB),), cuda_toolkits=installed)
    (refusal,), _ = startable(read(tmp_path, python_service(gpu=1, cuda=given), machine=machine))
    assert refusal.message.endswith(words)


def test_a_toolkit_brings_no_card(tmp_path: Path) -> None:
    machine = Machine(4, 8 * GIB, gpus=(Gpu("T4", 16 * GIB),), cuda_toolkits=("13.0",))
    refusals, (warning,) = startable(read(tmp_path, python_service(cuda="13.0"), machine=machine))
    assert refusals == []
    assert (warning.path, "no GPU" in warning.message) == ("metadata.cuda", True)


def test_why_there_is_no_card_is_said_to_who_asks_for_one(tmp_path: Path) -> None:
    machine = Machine(4, 8 * GIB, no_gpus="the driver is on holiday")
    for asked in ({"gpu": 1}, {"gpu_memory": 8}):
        (refusal,), _ = startable(read(tmp_path, python_service(**asked), machine=machine))
        assert refusal.message.endswith(": the driver is on holiday")


def test_a_machine_with_cards(tmp_path: Path) -> None:
    machine = Machine(4, 8 * GIB, gpus=(Gpu("T4", 16 * GIB),), cuda_toolkits=("11.2",))
    refusals, _ = startable(read(tmp_path, python_service(gpu=1, cuda="11.2"), machine=machine))
    assert refusals == []
    refusals, _ = startable(read(tmp_path, python_service(gpu_memory=20), machine=machine))
    assert "20 GB of GPU memory asked for, the largest card of this machine has 16 GB" in refusals[-1].message
    shared = python_service(gpu_memory=8, gpu_core_percentage=60, instance=3)
    refusals, warnings = startable(read(tmp_path, shared, machine=machine))
    assert refusals == []
    assert [one.message for one in warnings] == [
        "counted, but nothing enforces it: nvidia-cuda-mps-control isn't installed on this machine",
        "3 asked for, this machine can hold 1: the others stay pending",
    ]


def test_a_dev_shm_of_its_own_and_mps_are_not_to_be_had_together(tmp_path: Path) -> None:
    machine = Machine(4, 8 * GIB, gpus=(Gpu("T4", 16 * GIB),), mps="/usr/bin/nvidia-cuda-mps-control")
    content = python_service(gpu_memory=8, gpu_core_percentage=60, shm_size=1)
    refusals, warnings = startable(read(tmp_path, content, machine=machine))
    assert refusals == []
    assert [one.path for one in warnings] == ["metadata.shm_size"]
    assert "MPS" in warnings[0].message
    for fewer in (python_service(gpu_memory=8, shm_size=1), python_service(shm_size=1)):
        assert startable(read(tmp_path, fewer, machine=machine)) == ([], [])


def test_cards_that_are_cut_into_slices_are_no_two_cards(tmp_path: Path) -> None:
    slices = tuple(Gpu("A100 1g.5gb", 5 * GIB, f"MIG-{one}", "GPU-0") for one in range(2))
    machine = Machine(4, 8 * GIB, gpus=slices)
    assert startable(read(tmp_path, python_service(gpu=1), machine=machine)) == ([], [])
    (refusal,), _ = startable(read(tmp_path, python_service(gpu=2), machine=machine))
    assert refusal.message == (
        "2 GPUs asked for, this machine has none (and 2 MIG slices, of which a process sees one alone)"
    )


def test_cards_of_groups_are_held_against_the_services_own(tmp_path: Path) -> None:
    cards = (Gpu("T4", 16 * GIB, "GPU-a"), Gpu("T4", 16 * GIB, "GPU-b"))
    groups = (Group("fast", (0, 1), cards=("GPU-a",)), Group("slow", (2,), cards=()))
    machine = Machine(4, 8 * GIB, gpus=cards, settings=EngineSettings(groups))
    (refusal,), _ = startable(read(tmp_path, python_service(gpu=2, resource="fast"), machine=machine))
    assert refusal.message == "2 GPUs asked for, group fast has 1"
    (refusal,), _ = startable(read(tmp_path, python_service(gpu_memory=2, resource="slow"), machine=machine))
    assert refusal.message == "2 GB of GPU memory asked for, group slow has no GPU"
    assert startable(read(tmp_path, python_service(gpu=1), machine=machine)) == ([], [])


def test_which_cards_an_instance_sees_is_not_for_processor_envs(tmp_path: Path) -> None:
    content = python_service(processor_envs=[{"name": "CUDA_VISIBLE_DEVICES", "value": "0"}])
    assert startable(read(tmp_path, content)) == ([], []), "there is nothing to be seen"
    machine = Machine(4, 8 * GIB, gpus=(Gpu("T4", 16 * GIB, "GPU-a"),))
    _, (warning,) = startable(read(tmp_path, content, machine=machine))
    assert warning.path == "processor_envs"
    assert "instances see the GPUs that metadata.gpu or gpu_memory gives them" in warning.message


@pytest.mark.parametrize(
    "scaler",
    [{"strategies": {"gpu[util]": 50}}, {"scaleStrategies": [{"metricName": "gpu[util]", "threshold": 50}]}],
)
def test_an_autoscaler_without_gpus_to_go_by_is_warned_of(tmp_path: Path, scaler: dict[str, Any]) -> None:
    def warned(machine: Machine, **metadata: Any) -> list[str]:
        content = python_service(autoscaler={"min": 1, "max": 2, **scaler}, metadata=metadata)
        _, warnings = startable(read(tmp_path, content, machine=machine))
        return [one.message for one in warnings if "gpu[util]" in one.path or "metricName" in one.path]

    with_card = Machine(4, 8 * GIB, gpus=(Gpu("T4", 16 * GIB),))
    assert "this machine has none" in warned(Machine(4, 8 * GIB))[0]
    assert "the service asks for none" in warned(with_card)[0]
    assert warned(with_card, gpu=1) == []


def test_an_open_service_and_a_resource_group_are_warned_of(tmp_path: Path) -> None:
    _, warnings = startable(read(tmp_path, python_service(generate_token="false", resource="eas-r-1")))
    text = "\n".join(map(str, warnings))
    assert "an open service" in text
    assert "no resource groups are defined" in text


def test_figures_of_a_machine_type_do_not_refuse_by_themselves(tmp_path: Path) -> None:
    content = python_service(**{"cloud.computing.instance_type": "ecs.gn6i-c24g1.6xlarge"})
    machine = Machine(4, 8 * GIB, gpus=(Gpu("T4", 16 * GIB),))
    refusals, warnings = startable(read(tmp_path, content, machine=machine))
    assert refusals == []
    assert not [one for one in warnings if one.message.startswith("not in effect yet")]


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("m.zip#sha256=12", "expected 64 hex digits"),
        (f"oss://bucket/m/#sha256={'0' * 64}", "that ends with / is a folder"),
        ("https://host/models/", "a folder can't be fetched by http"),
    ],
)
def test_addresses_that_make_no_sense(tmp_path: Path, address: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        read(tmp_path, python_service(model_path=address, oss_endpoint="oss.example"))
    assert [one.path for one in caught.value.problems] == ["model_path"]


def test_addresses_of_every_kind_start(tmp_path: Path) -> None:
    for address in ("https://h/m.tar.gz?sig=1", "oss://bucket.oss-cn-hangzhou.aliyuncs.com/m/", "m.TAR.gz"):
        assert startable(read(tmp_path, python_service(model_path=address))) == ([], [])


def test_keeping_callers_of_the_internet_out_starts_without_a_word(tmp_path: Path) -> None:
    loaded = read(tmp_path, python_service(networking={"disable_internet_endpoint": True}))
    assert startable(loaded) == ([], [])
