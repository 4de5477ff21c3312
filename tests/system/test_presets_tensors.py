"""PyTorch, ONNX and Caffe models behind a real engine, in batches."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from support.client import Answer
from support.engine import TOKEN, Engine
from support.engines import Engines

np: Any = pytest.importorskip("numpy")

RPC = {
    "batching": True,
    "max_batch_size": 8,
    "max_batch_timeout": 100,
    "batch_when_idle": False,
    "worker_threads": 2,
    "keepalive": 60000,
}


def torch_model(directory: Path) -> Path:
    pytest.importorskip("torch")
    from support import torch_models as models

    return models.scripted(directory, models.Perceptron())


def onnx_model(directory: Path) -> Path:
    pytest.importorskip("onnxruntime")
    from support import onnx_models as models

    return models.perceptron(directory / "model.onnx")


def caffe_model(directory: Path) -> Path:
    pytest.importorskip("cv2")
    from support import caffe_models as models

    return models.classifier(directory)


MODELS: dict[str, tuple[str, Callable[[Path], Path], str, tuple[int, ...], int]] = {
    "torch": ("pytorch_cpu_1.10", torch_model, "x", (6,), 3),
    "onnx": ("onnx_cu100", onnx_model, "x", (6,), 3),
    "caffe": ("caffe_cpu", caffe_model, "data", (3, 8, 8), 5),
}
"""Code of the preset, model, input, shape of a row and number of results a row."""


@pytest.fixture(scope="module", params=MODELS)
def family(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def engine(family: str, module_engines: Engines, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    code, make, *_ = MODELS[family]
    model = make(tmp_path_factory.mktemp("model"))
    path = f"{model}/" if model.is_dir() else str(model)
    engine = module_engines.raw(
        {"name": "preset", "token": TOKEN, "processor": code, "model_path": path, "metadata": {"rpc": RPC}}
    )
    engine.wait_ready()
    return engine


def body(family: str, rows: int, seed: int = 0) -> bytes:
    _, _, name, shape, _ = MODELS[family]
    values = np.random.default_rng(seed).standard_normal((rows, *shape), np.float32)
    return json.dumps({"inputs": {name: values.tolist()}}).encode()


def ask(engine: Engine, content: bytes) -> Answer:
    return engine.ask(body=content, headers={"Content-Type": "application/json"})


def results(answer: Answer) -> Any:
    """The one output, which is a list for PyTorch and has a name elsewhere."""
    assert answer.status == 200, answer.text
    outputs = json.loads(answer.body)["outputs"]
    (only,) = outputs.values() if isinstance(outputs, dict) else outputs
    return np.array(only)


def test_batched_answers_are_those_of_single_requests_and_a_bad_one_fails_alone(
    engine: Engine, family: str
) -> None:
    bodies = [body(family, 1 + seed % 3, seed) for seed in range(24)]
    alone = [results(ask(engine, one)) for one in bodies[:6]]
    wrong = body(family, 2).replace(b'"inputs"', b'"output_filter": ["nothing"], "inputs"')
    with ThreadPoolExecutor(len(bodies) + 1) as pool:
        *together, refused = pool.map(lambda one: ask(engine, one), [*bodies, wrong])
    for one, answer in zip(alone, together, strict=False):
        np.testing.assert_allclose(results(answer), one, rtol=1e-5, atol=1e-6)
    assert [results(answer).shape for answer in together] == [
        (1 + n % 3, MODELS[family][4]) for n in range(24)
    ]
    assert (refused.status, "unknown" in refused.text) == (400, True)
    assert engine.metric("eas_batches_total") > 0


def test_get_describes_the_inputs(engine: Engine, family: str) -> None:
    with engine.connect() as client:
        client.send(client.head(method="GET"))
        told = json.loads(client.read().body)
    assert [one["name"] for one in told["inputs"]] == [MODELS[family][2]]


def test_a_pickle_ends_the_start_with_what_to_do(engines: Engines, tmp_path: Path) -> None:
    torch: Any = pytest.importorskip("torch")
    torch.save({"weights": torch.zeros(2)}, tmp_path / "model.pt")
    engine = engines.raw({"name": "a", "processor": "pytorch", "model_path": str(tmp_path / "model.pt")})
    assert engine.wait() == 4
    assert "model.pt: it was written by torch.save" in engine.log
    assert "torch.jit.script(model).save" in engine.log
