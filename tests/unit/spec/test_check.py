"""What check says, of the reference's own example above all."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from eas_engine.spec import ConfigurationError, Machine, load
from eas_engine.spec.cgroups import NONE, Base, Cgroups
from eas_engine.spec.check import effective, failure, image_is_here, report
from eas_engine.spec.machine import this_machine
from eas_engine.spec.problems import HIDDEN
from support.services import GIB, MACHINE, REFERENCE, python_service, read


def by_path(data: dict[str, object], key: str) -> dict[str, dict[str, object]]:
    found = data[key]
    assert isinstance(found, list)
    return {one["path"]: one for one in found}


def test_the_reference_example_in_words() -> None:
    loaded = load(REFERENCE, machine=MACHINE, environ={})
    data = report(loaded)
    assert data["startable"] is False
    assert (
        "\n".join(data["summary"])
        == """\
processor: "tensorflow_cpu_1.12" (line 4) is overridden by the later empty value (line 9), \
so processor is not set
empty, so not set: model_entry, model_config, processor_path, processor_entry, processor_mainclass, \
processor_type, warm_up_data_path, metadata.qos
a container is given (line 81): it decides what runs: command 'python app.py', port 8000, \
in the image registry-vpc.cn-shanghai.aliyuncs.com/xxx/yyy:zzz
1 processor process(es) at the start, clamped by the autoscaler's bounds to 2"""
    )
    assert (
        "\n".join(data["missing"])
        == """\
image registry-vpc.cn-shanghai.aliyuncs.com/xxx/yyy:zzz: neither podman nor Docker is installed
OSS credentials: neither OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET nor ~/.ossutilconfig is there; \
only what is public can be read
GPU memory: 10 GB asked for, this machine has no GPU
CUDA 11.2: not installed (installed: none)"""
    )
    assert set(by_path(data, "refusals")) == {
        "containers",
        "containers[0].image",
        "features.eas.aliyun.com/extra-ephemeral-storage",
        "metadata.cuda",
        "metadata.gpu_memory",
        "storage",
    }
    json.dumps(data)


def test_the_image_is_asked_for_where_there_is_a_tool() -> None:
    machine = Machine(4, 8 * GIB, container_tool="/usr/bin/podman", oss_credentials="environment")
    loaded = load(REFERENCE, machine=machine, environ={})
    asked: list[tuple[str, str]] = []

    def has_image(tool: str, image: str) -> bool:
        asked.append((tool, image))
        return len(asked) > 1

    image = "registry-vpc.cn-shanghai.aliyuncs.com/xxx/yyy:zzz"
    assert report(loaded, has_image=has_image)["missing"][0].startswith(f"image {image}: not on this machine")
    assert not any("image" in one or "OSS" in one for one in report(loaded, has_image=has_image)["missing"])
    assert asked[0] == ("/usr/bin/podman", image)


def test_a_tool_that_does_not_answer_counts_as_no() -> None:
    assert not image_is_here("/bin/false", "x")
    assert not image_is_here("/nowhere/podman", "x")
    assert image_is_here("/bin/true", "x")


def test_every_value_has_its_origin(tmp_path: Path) -> None:
    content = python_service(metadata={"cpu": 1}, **{"cloud.computing.instance_type": "ecs.c7.large"})
    loaded = read(tmp_path, content, flags=["rpc.keepalive=7"], environ={"OSS_ENDPOINT": "e"})
    found = by_path(report(loaded), "parameters")
    kinds = {
        path: found[path]["origin"]["kind"]  # type: ignore[index]
        for path in (
            "name",
            "metadata.cpu",
            "metadata.memory",
            "metadata.rpc.keepalive",
            "oss_endpoint",
            "labels",
        )
    }
    assert kinds == {
        "name": "file",
        "metadata.cpu": "file",
        "metadata.memory": "instance_type",
        "metadata.rpc.keepalive": "flag",
        "oss_endpoint": "environment",
        "labels": "default",
    }
    assert (
        found["metadata.rpc.keepalive"]["here"] == "a request not answered 7 ms after its first byte gets 408"
    )


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    envs = [{"name": "DB_PASSWORD", "value": "hunter2"}, {"name": "MODE", "value": "fast"}]
    content = (
        '{"token": "t0ps3cret", ' + json.dumps(python_service(token="t0ps3cret", processor_envs=envs))[1:]
    )
    data = report(read(tmp_path, content))
    text = json.dumps(data)
    assert "hunter2" not in text
    assert "t0ps3cret" not in text
    assert by_path(data, "parameters")["token"]["value"] == HIDDEN
    assert "fast" in text


def test_effects_are_told_apart(tmp_path: Path) -> None:
    loaded = read(tmp_path, python_service(metadata={"cpu": 1, "rpc.proxy_path": "/x", "enable_grpc": True}))
    effects = {one["path"]: one["effect"] for one in effective(loaded)}
    assert effects["name"] == "in effect"
    assert effects["metadata.cpu"] == "in effect"
    assert effects["metadata.rpc.proxy_path"] == "not in effect yet"
    assert effects["metadata.enable_grpc"] == "not yet: refused"
    assert effects["metadata.enable_webservice"] == "not asked for"


BOTH = Cgroups((Base(1, Path("/m"), ("memory",)), Base(2, Path("/c"), ("cpu",))))
SIZES = {"cpu": 1.5, "memory": 100, "shm_size": 0.5, "qos": "BestEffort"}


@pytest.mark.parametrize(
    ("cgroups", "cpu", "memory"),
    [
        (BOTH, "at most 1.5 of this machine's 4 CPUs, by cgroup v2", ", by cgroup v1"),
        (NONE, "by affinity, so 2 whole CPUs (cgroups are turned off (EAS_CGROUPS))", "by a watchdog ("),
    ],
)
def test_what_enforces_a_limit_is_said_before_the_start(
    tmp_path: Path, cgroups: Cgroups, cpu: str, memory: str
) -> None:
    machine = replace(MACHINE, cgroups=cgroups)
    features = {"eas.aliyun.com/extra-ephemeral-storage": "1Gi"}
    data = report(read(tmp_path, python_service(metadata=SIZES, features=features), machine=machine))
    said = {path: str(one["here"]) for path, one in by_path(data, "parameters").items()}
    assert cpu in said["metadata.cpu"]
    assert memory in said["metadata.memory"]
    assert said["metadata.shm_size"].startswith("a /dev/shm of its own of 0.5 GiB")
    assert ("not here" in said["metadata.qos"]) is (cgroups is NONE)
    assert said["features.eas.aliyun.com/extra-ephemeral-storage"].startswith("each instance may write 1 GiB")
    warned = by_path(data, "warnings")["metadata.shm_size"]
    assert "counts in metadata.memory (100 MB)" in str(warned)
    assert data["startable"]


def test_a_file_that_cannot_be_read_has_a_report_too(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, {"name": "X", "zzz": 1})
    data = failure(caught.value)
    assert {one["path"] for one in data["errors"]} == {"name", "processor_type"}
    assert data["warnings"][0]["path"] == "zzz"


def test_this_machine_can_be_looked_at() -> None:
    machine = this_machine({"OSS_ACCESS_KEY_ID": "a", "OSS_ACCESS_KEY_SECRET": "b"})
    assert machine.cpus >= 1
    assert machine.memory_bytes > 0
    assert machine.oss_credentials == "environment"


def test_a_start_imports_neither_schema_nor_terminal() -> None:
    code = (
        "import sys, eas_engine.spec; heavy = {'rich', 'typer', 'difflib', 'eas_engine.spec.check', "
        "'eas_engine.spec.schema', 'eas_engine.spec.suggest'}; print(*heavy & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_a_secret_flag_is_not_shown(tmp_path: Path) -> None:
    loaded = read(tmp_path, python_service(), flags=["token=t0ps3cret", 'processor_envs={"A": "hunter2"}'])
    assert loaded.spec.token == "t0ps3cret"
    text = json.dumps([one["origin"] for one in effective(loaded)])
    assert "t0ps3cret" not in text
    assert "hunter2" not in text


def test_addresses_are_shown_without_what_may_be_secret(tmp_path: Path) -> None:
    loaded = read(tmp_path, python_service(model_path="https://me:hush@h/m.zip?sig=hush"))
    shown = {one["path"]: one["value"] for one in effective(loaded)}
    assert shown["model_path"] == "https://h/m.zip?..."


def words_of(directory: Path, rpc: dict[str, object], **more: object) -> dict[str, str]:
    """What check says happens here, by parameter."""
    spec = {**python_service(), **more, "metadata": {"rpc": rpc}}
    return {one["path"].rpartition(".")[2]: one["here"] for one in effective(read(directory, spec))}


@pytest.mark.parametrize("asked", [{"gpu": 1}, {"gpu_memory": 8, "gpu_core_percentage": 30}])
def test_a_machine_without_gpus_gives_no_part_of_one(tmp_path: Path, asked: dict[str, int]) -> None:
    loaded = read(tmp_path, python_service(metadata=asked), machine=replace(MACHINE, gpus=()))
    words = {one["path"]: one["here"] for one in effective(loaded)}
    for name in asked:
        assert words[f"metadata.{name}"].startswith("impossible: this machine has no GPU")


def test_the_words_follow_the_values(tmp_path: Path) -> None:
    asked = {"batching": True, "batch_when_idle": False, "max_batch_timeout": 70, "worker_threads": 1}
    words = words_of(tmp_path, {**asked, "batch_sizes": [2, 8]}, processor_entry="app.py")
    assert words["batching"] == "up to 8 rows are one call of the model"
    assert words["batch_when_idle"] == (
        "a batch waits for company until 70 ms are over, or a deadline is near"
    )
    assert words["max_batch_timeout"].startswith("a batch waits up to 70 ms")
    assert words["batch_sizes"] == "the model sees batches of 2, 8 rows only, padded up"
    assert words["batch_padding"] == "nothing is padded: tensors whose rows differ in shape aren't joined"
    assert words["worker_threads"] == "1 thread per instance calls the processor"
    assert words["processor_entry"] == "the Python file that is run, beside service.json"
    assert words["retry_on_crash"].endswith("isn't tried again")
    eager = words_of(tmp_path, {"batching": True, "batch_padding": True, "retry_on_crash": True})
    assert eager["batch_when_idle"].startswith("a batch goes at once")
    assert eager["max_batch_timeout"].startswith("no effect")
    assert eager["batch_padding"].startswith("variable-length dimensions are padded")
    assert eager["batch_sizes"] == "batches of any size"
    assert "tried once more" in eager["retry_on_crash"]
    assert words_of(tmp_path, {})["batch_when_idle"] == "no batching: every request is a call of its own"


def test_a_sentence_does_not_end_at_an_abbreviation(tmp_path: Path) -> None:
    words = words_of(tmp_path, {})
    assert words["enable_crash_block"].count("(") == words["enable_crash_block"].count(")")
    assert not any(text.endswith(("e.g", "..")) for text in words.values())


def test_warnings_stand_beside_the_errors(tmp_path: Path) -> None:
    path = tmp_path / "service.json"
    path.write_text('{"name": "a", "procesor": "xgboost"}')
    with pytest.raises(ConfigurationError) as raised:
        load(path, environ={})
    text = str(raised.value)
    assert "nothing says what to run" in text.partition("\n")[0]
    assert "warning: line 1: procesor: " in text.partition("\n")[2]
    assert "did you mean processor?" in text
