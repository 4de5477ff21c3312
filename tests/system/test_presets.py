"""Presets behind a real engine: started by their code, batched, and refused with what to do."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from support.client import Answer
from support.engine import TOKEN, Engine
from support.engines import Engines
from support.pmml_models import MIXED

np: Any = pytest.importorskip("numpy")

ROWS = np.random.default_rng(0).random((40, 4), dtype=np.float32)
BODIES = [ROWS[at : at + 1 + at % 3].tolist() for at in range(0, 36, 2)]


def xgboost_model(directory: Path) -> Path:
    xgboost: Any = pytest.importorskip("xgboost")
    data = xgboost.DMatrix(ROWS, (ROWS.sum(axis=1) > 2).astype(float))
    booster = xgboost.train({"objective": "binary:logistic", "max_depth": 3, "nthread": 1}, data, 4)
    path = directory / "model.json"
    booster.save_model(path)
    return path


def served(engines: Engines, code: str, model: Path, **more: Any) -> Engine:
    engine = engines.raw(
        {"name": "preset", "token": TOKEN, "processor": code, "model_path": str(model), **more}
    )
    engine.wait_ready()
    return engine


@pytest.fixture(scope="module")
def plain(module_engines: Engines, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """XGBoost without batching."""
    return served(module_engines, "xgboost", xgboost_model(tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="module")
def batching(module_engines: Engines, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """XGBoost with batches that wait until they are full."""
    rpc = {"batching": True, "max_batch_size": 6, "max_batch_timeout": 100, "batch_when_idle": False}
    model = xgboost_model(tmp_path_factory.mktemp("model"))
    return served(module_engines, "xgboost", model, metadata={"rpc": {**rpc, "keepalive": 60000}})


def answers(engine: Engine, bodies: list[Any]) -> list[Answer]:
    """All at the same time, each on a connection of its own."""
    with ThreadPoolExecutor(len(bodies)) as pool:
        return list(pool.map(lambda body: engine.ask(body=json.dumps(body).encode()), bodies))


def test_a_model_is_served_by_its_code_alone(plain: Engine) -> None:
    found = answers(plain, BODIES)
    assert {one.status for one in found} == {200}
    assert {one.headers["content-type"] for one in found} == {"application/json"}
    assert [len(json.loads(one.body)) for one in found] == [len(body) for body in BODIES]
    assert "served by XGBoost" in plain.log
    (command,) = [line for line in plain.log.splitlines() if line.startswith("  try ")]
    assert "--data" not in command  # GET: the signature


def test_batched_answers_are_those_of_single_requests(plain: Engine, batching: Engine) -> None:
    bodies = [*BODIES, [[1, "x", 3, 4]]]
    alone, together = answers(plain, bodies), answers(batching, bodies)
    assert [(one.status, one.body) for one in together] == [(one.status, one.body) for one in alone]
    assert batching.metric("eas_batches_total") > 0
    assert together[-1].status == 400
    assert together[-1].text == 'row 0, column 1 ("f1"): "x" is no number'


def test_the_signature_is_what_get_answers(plain: Engine) -> None:
    with plain.connect() as client:
        client.send(client.head(method="GET"))
        told = json.loads(client.read().body)
    assert told["model"].startswith("XGBoost ")
    assert [one["name"] for one in told["inputs"]] == ["f0", "f1", "f2", "f3"]


def test_a_model_that_is_none_ends_the_start_with_exit_status_4(engines: Engines, tmp_path: Path) -> None:
    pytest.importorskip("xgboost")
    (tmp_path / "model.json").write_text("nonsense")
    engine = engines.raw({"name": "a", "processor": "xgboost", "model_path": str(tmp_path / "model.json")})
    assert engine.wait() == 4
    assert "model.json is no model that XGBoost" in engine.log


def test_a_package_that_is_missing_in_the_host_ends_the_start_too(engines: Engines, tmp_path: Path) -> None:
    (tmp_path / "xgboost.py").write_text(
        "raise ModuleNotFoundError('No module named xgboost', name='xgboost')"
    )
    (tmp_path / "model.json").write_text("{}")
    engine = engines.raw(
        {
            "name": "a",
            "processor": "xgboost",
            "model_path": str(tmp_path / "model.json"),
            "processor_envs": {"PYTHONPATH": str(tmp_path)},
        }
    )
    assert engine.wait() == 4
    assert "processor xgboost needs XGBoost: pip install 'eas-engine[xgboost]'" in engine.log


def test_pmml_is_served_by_a_jvm_that_leaves_with_its_instance(engines: Engines, tmp_path: Path) -> None:
    pytest.importorskip("jpype")
    pytest.importorskip("jpmml_evaluator")
    (tmp_path / "model.pmml").write_text(MIXED)
    metadata = {
        "java_opts": ["-Xmx256m"],
        "rpc": {"batching": True, "max_batch_size": 4, "keepalive": 60000},
    }
    engine = served(engines, "pmml", tmp_path / "model.pmml", metadata=metadata)
    found = answers(engine, [[{"age": age, "visits": 1}] for age in range(12)])
    assert [json.loads(one.body)[0]["y"] for one in found] == [age + 1.0 for age in range(12)]
    bad = engine.ask(body=b'[{"age": "x"}]')
    assert (bad.status, bad.text) == (400, 'row 0: Field "age" cannot accept invalid value "x"')
    assert engine.stop() == 0
    assert 'cause="exit 0"' in engine.log


def check(directory: Path, content: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    path = directory / "service.json"
    path.write_text(json.dumps({"name": "a", "token": "t", **content}))
    command = [sys.executable, "-m", "eas_engine", "check", "--json", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    told: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, told


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"processor": "easyrec-2.4"}, "processor_type cpp and its .so"),
        ({"processor": "alink_pai_processor"}, "use pmml"),
        ({"processor": "xgboost"}, 'required with processor "xgboost"'),
        ({"processor": "xgbost", "model_path": "."}, "no such preset"),
        ({"processor": "pytorch_gpu_1.10", "model_path": ".", "metadata": {"gpu": 99}}, "99 GPUs asked for"),
    ],
)
def test_check_refuses_what_cannot_be_served(tmp_path: Path, content: dict[str, Any], words: str) -> None:
    status, told = check(tmp_path, content)
    complaints = [one["message"] for one in (*told.get("refusals", ()), *told.get("errors", ()))]
    assert (status, told["startable"]) == (2, False)
    assert any(words in one for one in complaints), complaints
