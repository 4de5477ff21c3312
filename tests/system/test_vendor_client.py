"""The vendor's own client for Python against real engines: requests, signatures, what it does on failure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support import vendor_client as vendor
from support.client import Client
from support.engine import TOKEN, Engine, eventually
from support.engines import Engines, Latch

X = (np.arange(8, dtype=np.float32).reshape(2, 4) - 3) / 7


@pytest.fixture(scope="module", autouse=True)
def client() -> None:
    vendor.installed()


def preset(engines: Engines, code: str, model: Path, rpc: dict[str, Any] | None = None) -> Engine:
    """A service of a preset."""
    config = {
        "name": "vendor_test",
        "token": TOKEN,
        "processor": code,
        "model_path": str(model),
        "metadata": {"rpc": {"keepalive": 60_000, **(rpc or {})}},
    }
    engine = engines.raw(config)
    engine.wait_ready()
    return engine


# -- TensorFlow


@pytest.fixture(scope="module")
def tensorflow(module_engines: Engines, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    models = pytest.importorskip("support.tensorflow_models", reason="tensorflow isn't installed")
    folder = models.modern(tmp_path_factory.mktemp("model") / "1").parent
    return preset(module_engines, "tensorflow_cpu_1.12", folder, {"batching": True})


TYPES = {
    "DT_FLOAT": np.float32,
    "DT_DOUBLE": np.float64,
    "DT_INT8": np.int8,
    "DT_INT16": np.int16,
    "DT_INT32": np.int32,
    "DT_INT64": np.int64,
    "DT_UINT8": np.uint8,
    "DT_UINT16": np.uint16,
    "DT_QINT8": np.int8,
    "DT_QUINT8": np.uint8,
    "DT_QINT16": np.int16,
    "DT_QUINT16": np.uint16,
    "DT_QINT32": np.int32,
    "DT_BOOL": np.bool_,
    "DT_STRING": np.object_,
}
"""Every type that TFRequest offers."""

UNKNOWN = {"DT_UINT8", "DT_UINT16", "DT_QUINT8", "DT_QUINT16"}
"""Types that the client sends, but doesn't read."""


def sample(dtype: str) -> np.ndarray:
    if dtype == "DT_STRING":
        return np.array([[b"a", b""], [b"\xff\x00", b"long" * 99]], object)
    signed = 1 if "UINT" in dtype or dtype == "DT_BOOL" else -1
    return (np.array([[0, 1], [2, 100]]) * signed).astype(TYPES[dtype])


def test_tensorflow_request_with_every_type_of_the_client(tensorflow: Engine) -> None:
    arrays = {dtype: sample(dtype) for dtype in TYPES}
    found = vendor.ask(
        tensorflow,
        *[
            vendor.tensorflow(dtype.removeprefix("DT_").lower(), {"value": vendor.feed(array, dtype)})
            for dtype, array in arrays.items()
        ],
    )
    for dtype, answer in zip(arrays, found, strict=True):
        expected = vendor.tensor(arrays[dtype])
        assert answer == {"value": expected | ({"values": None} if dtype in UNKNOWN else {})}, dtype


def test_tensorflow_request_with_and_without_a_filter(tensorflow: Engine) -> None:
    feeds = {"x": vendor.feed(X, "DT_FLOAT")}
    sums, doubled = vendor.tensor(X.sum(axis=1)), vendor.tensor(X * 2)
    found = vendor.ask(
        tensorflow,
        vendor.tensorflow("serving_default", feeds),
        vendor.tensorflow("", feeds, "doubled"),
        vendor.tensorflow("", feeds, "sums", "doubled"),
    )
    assert found == [
        {"sums": sums, "doubled": doubled},
        {"doubled": doubled},
        {"sums": sums, "doubled": doubled},
    ]


def test_what_is_wrong_with_a_tensorflow_request_reaches_its_sender_at_once(tensorflow: Engine) -> None:
    found = vendor.ask(
        tensorflow,
        vendor.tensorflow("serving_default", {"x": vendor.feed(X, "DT_DOUBLE")}),
        vendor.tensorflow("serving_default", {"z": vendor.feed(X, "DT_FLOAT")}),
        vendor.tensorflow("predict", {"x": vendor.feed(X, "DT_FLOAT")}),
        vendor.tensorflow("serving_default", {"x": vendor.feed(X, "DT_FLOAT")}, "nothing"),
    )
    assert [answer["status"] for answer in found] == [400] * 4
    for answer, words in zip(found, ("'x' DT_DOUBLE DT_FLOAT", "'z'", "'predict'", "'nothing'"), strict=True):
        assert all(word in answer["text"] for word in words.split()), answer


def test_the_signature_as_the_platforms_sdk_reads_it(tensorflow: Engine) -> None:
    with tensorflow.connect() as connection:
        connection.send(connection.head(method="GET", length=None))
        answer = connection.read()
    assert answer.status == 200
    assert json.loads(answer.body) == {
        "signature_name": "serving_default",
        "inputs": [{"name": "x", "shape": [-1, -1], "type": "DT_FLOAT"}],
        "outputs": [
            {"name": "doubled", "shape": [-1, -1], "type": "DT_FLOAT"},
            {"name": "sums", "shape": [-1], "type": "DT_FLOAT"},
        ],
    }


# -- PyTorch


@pytest.fixture(scope="module")
def torch_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch = pytest.importorskip("torch")
    module = torch.jit.ScriptModule()
    module.define("def forward(self, x):\n    return x * 2.5, x.sum(1)\n")
    path = tmp_path_factory.mktemp("torch") / "model.pt"
    module.save(str(path))
    return path


def torch_answers() -> list[dict[str, Any]]:
    return [vendor.tensor(X * np.float32(2.5)), vendor.tensor(X.sum(axis=1))]


def test_torch_request(module_engines: Engines, torch_model: Path) -> None:
    engine = preset(module_engines, "pytorch_cpu_1.10", torch_model)
    found = vendor.ask(
        engine,
        vendor.torch(vendor.feed(X, "DT_FLOAT")),
        vendor.torch(vendor.feed(X, "DT_FLOAT"), fetch=(1,)),
        vendor.torch(x=vendor.feed(X, "DT_FLOAT")),
        vendor.torch(vendor.feed(X, "DT_FLOAT"), vendor.feed(X, "DT_FLOAT")),
    )
    everything = {"outputs": torch_answers()}
    assert found[:3] == [everything, {"outputs": torch_answers()[1:]}, everything]
    assert found[3]["status"] == 400


def test_torch_request_that_is_compressed(module_engines: Engines, torch_model: Path) -> None:
    engine = preset(module_engines, "pytorch", torch_model, {"decompressor": "snappy"})
    found = vendor.ask(
        engine,
        vendor.torch(vendor.feed(X, "DT_FLOAT"), compressed=True),
        vendor.torch(vendor.feed(np.tile(X, (5000, 1)), "DT_FLOAT"), compressed=True),
        vendor.torch(vendor.feed(X, "DT_FLOAT")),
    )
    assert found[0] == {"outputs": torch_answers()}
    assert found[1]["outputs"][0] == vendor.tensor(np.tile(X, (5000, 1)) * np.float32(2.5))
    assert found[2]["status"] == 400  # this service takes nothing uncompressed


# -- any processor: signatures, retries


@pytest.fixture(scope="module")
def faulty(module_engines: Engines) -> Engine:
    return module_engines({"keepalive": 60_000})


def test_string_request_with_the_signature_of_the_token(faulty: Engine) -> None:
    found = vendor.ask(faulty, vendor.string("hello"), vendor.string("zwölf"), vendor.string(""))
    assert found == [{"text": "hello"}, {"text": "zwölf"}, {"text": ""}]

    (seen,) = vendor.ask(faulty, vendor.string("do=tell"))
    assert json.loads(seen["text"])["headers"]["authorization"].startswith("EAS ")


@pytest.mark.parametrize("token", ["", "d3Jvbmc="])
def test_without_the_right_token_it_is_refused_at_once(faulty: Engine, token: str) -> None:
    refused = faulty.metric("eas_rejects_total", reason="unauthorized")
    (found,) = vendor.ask(faulty, vendor.string("hello"), token=token)
    assert found["status"] == 401
    assert faulty.metric("eas_rejects_total", reason="unauthorized") == refused + 1


def test_500_is_tried_five_times(faulty: Engine) -> None:
    before = len(faulty.reached())
    (found,) = vendor.ask(faulty, vendor.string("do=answer&status=500&size=3"))
    assert found == {"status": 500, "text": "xxx"}
    assert len(faulty.reached()) == before + 5


def test_a_500_that_passes_is_no_failure(faulty: Engine, tmp_path: Path) -> None:
    before = len(faulty.reached())
    told = f"do=answer&status=500&once={tmp_path / 'once'}"
    assert vendor.ask(faulty, vendor.string(told)) == [{"text": told}]
    assert len(faulty.reached()) == before + 2


@pytest.mark.parametrize("status", [400, 404, 502, 503])
def test_other_statuses_are_raised_at_once(faulty: Engine, status: int) -> None:
    before = len(faulty.reached())
    (found,) = vendor.ask(faulty, vendor.string(f"do=answer&status={status}&size=1"))
    assert found == {"status": status, "text": "x"}
    assert len(faulty.reached()) == before + 1


def test_450_of_a_full_queue_is_raised_at_once(module_engines: Engines, latch: Latch) -> None:
    engine = module_engines({"max_queue_size": 1, "worker_threads": 1, "keepalive": 60_000})
    waiting: list[Client] = [engine.connect() for _ in range(2)]
    for connection in waiting:
        connection.post(latch.query)
    eventually(lambda: engine.metric("eas_in_flight") == 2, "full")

    (found,) = vendor.ask(engine, vendor.string("hello"))

    assert found["status"] == 450
    assert engine.metric("eas_rejects_total", reason="queue_full") == 1
    latch.open()
    assert [connection.read().status for connection in waiting] == [200, 200]
