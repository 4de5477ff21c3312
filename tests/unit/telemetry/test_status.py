"""What /api/v1/service tells, and what it never does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_engine.telemetry.batches import Batches
from eas_engine.telemetry.processes import Figures, figures
from eas_engine.telemetry.report import document
from eas_engine.telemetry.status import (
    MASK,
    InstanceStatus,
    Load,
    Readiness,
    ServiceStatus,
    without_secrets,
)
from eas_engine.telemetry.window import Rates

CONFIGURATION = {
    "name": "digits",
    "token": "Tell-Nobody",
    "generate_token": True,
    "model_path": "http://user:Tell-Nobody@host/model.zip",
    "processor_envs": [{"name": "API_KEY", "value": "Tell-Nobody"}, {"name": "MODE", "value": "fast"}],
    "storage": [{"git": {"repo": "https://Tell-Nobody@git/x", "password": "Tell-Nobody"}}],
    "dockerAuth": "Tell-Nobody",
    "env": {"AWS_SECRET_ACCESS_KEY": "Tell-Nobody", "OMP_NUM_THREADS": "4"},
    "metadata": {"rpc": {"keepalive": 5000}},
}


def service(**changes: Any) -> ServiceStatus:
    instance = InstanceStatus(
        name="digits-0", state="READY", pids=(7, 8), uptime=5.0, threads=5, busy_threads=2, batch_cap=3,
        restarts={"crash": 1}, log=("a", "b"), last_crash={"exit": "SIGSEGV"},
    )  # fmt: skip
    fields: dict[str, Any] = {
        "name": "digits", "version": "0.1.0", "pid": 1, "uptime": 9.0,
        "url": "http://127.0.0.1:8080/api/predict/digits",
        "admin_url": "http://127.0.0.1:9090",
        "load": Load(ready=True, queue_depth=3, queue_capacity=69, instances=(instance,)),
        "readiness": Readiness(ready=True),
        "rates": Rates(10, 5, 0, 0.1, 0.2),
        "configuration": CONFIGURATION,
        "io_threads_requested": 4, "io_threads_reason": "why", "statuses": {450: 1, 200: 7},
    }  # fmt: skip
    return ServiceStatus(**(fields | changes))


def measured(pids: Any) -> Figures:
    pids = list(pids)
    return Figures(memory=100 if pids == [1] else 10 * len(pids), cpu=1.0 * len(pids), processes=len(pids))


def test_the_document() -> None:
    shown = json.loads(json.dumps(document(service(), measured)))
    assert shown["queue"] == {"depth": 3, "capacity": 69, "in_flight": 0}
    assert shown["threads"] == {"busy": 2, "all": 5}
    assert shown["io_threads"] == {"requested": 4, "effective": 1, "reason": "why", "for_bodies": 1}
    assert shown["answers"] == {"200": 7, "450": 1}
    (instance,) = shown["instances"]
    assert instance["pids"] == [7, 8]
    assert instance["memory_bytes"] == 20
    assert instance["log"] == ["a", "b"]
    assert instance["batch_cap"] == 3
    assert instance["last_crash"] == {"exit": "SIGSEGV"}
    assert shown["engine"]["memory_bytes"] == 80  # the instances are children of the engine


def test_batches_are_shown_where_there_are_any() -> None:
    assert document(service(), measured)["batches"] is None
    shown = json.loads(json.dumps(document(service(batches=Batches({"full": 2}, 32, 2, 32, 16.0)), measured)))
    assert shown["batches"] == {
        "reasons": {"full": 2},
        "requests": 32,
        "calls": 2,
        "rows": 32,
        "requests_per_batch": 16.0,
        "rows_per_call": 0.0,
        "padding_share": 0.0,
    }


def test_no_secret_is_in_the_document() -> None:
    text = json.dumps(document(service(), measured))
    assert "Tell-Nobody" not in text
    assert text.count(MASK) == 6
    for kept in (
        "fast",
        "OMP_NUM_THREADS",
        '"4"',
        "host/model.zip",
        '"keepalive": 5000',
        '"generate_token": true',
    ):
        assert kept in text


NAMES = st.sampled_from(
    ["token", "git.password", "OSS_ACCESS_KEY_SECRET", "authorization", "clientSecret", "db_passwd"]
)
PLAIN = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=3))


@given(
    st.recursive(
        PLAIN, lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(max_size=3), inner))
    ),
    st.lists(NAMES, min_size=1, max_size=3),
    st.sampled_from(["map", "variable", "list"]),
)
def test_a_secret_is_masked_however_deep(tree: object, names: list[str], shape: str) -> None:
    value: object = "Tell-Nobody"
    if shape == "variable":
        value = [{"name": names[0], "value": value}]
    elif shape == "list":
        value = {names[0]: [value, value]}
    else:
        value = {names[0]: value}
    for name in names[1:]:
        value = {name: tree, "in": [value]}
    assert "Tell-Nobody" not in json.dumps(without_secrets(value))


@pytest.mark.parametrize("name", ["model_path", "processor_path", "warm_up_data_path"])
def test_the_query_of_an_address_is_masked_for_it_may_be_a_signature(name: str) -> None:
    shown = without_secrets({name: "https://me:pass@host/model.tgz?Signature=Tell-Nobody&x=1#sha256=ab"})
    assert shown == {name: "https://host/model.tgz?...#sha256=ab"}
    assert without_secrets({name: "oss://bucket/what?.bin"}) == {name: "oss://bucket/what?.bin"}


def test_a_secret_in_the_json_of_model_config_is_masked() -> None:
    shown = without_secrets({"model_config": '{"db": {"password": "Tell-Nobody", "host": "h"}}'})
    assert shown == {"model_config": json.dumps({"db": {"password": MASK, "host": "h"}})}
    assert without_secrets({"model_config": "{not json"}) == {"model_config": "{not json"}


def test_values_that_are_not_secret_stay() -> None:
    assert without_secrets({"a": [1, 2.5, None, "x", ["y"]], "token": ""}) == {
        "a": [1, 2.5, None, "x", ["y"]],
        "token": "",
    }


def test_the_figures_of_a_process_count_its_children() -> None:
    code = "import subprocess as s; p = s.Popen(['cat']); print(p.pid, flush=True); p.wait()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        both, one = figures([parent.pid]), figures([child])
        assert both.processes == 2
        assert both.memory > one.memory > 0
    assert figures([parent.pid]) == Figures()
    assert figures([os.getpid()]).threads >= 1


@pytest.mark.parametrize("pids", [[], [2**22 + 1]])
def test_figures_of_nobody(pids: list[int]) -> None:
    assert figures(pids) == Figures()
