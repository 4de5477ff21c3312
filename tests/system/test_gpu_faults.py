"""A GPU fails, or its memory is full, below a real instance: what clients and the other instances see."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support import compiled
from support.client import Client
from support.engine import Engine, eventually
from support.engines import Engines, Latch
from support.repository import ROOT

ENTRY = f"{ROOT / 'tests/data/gpu_faults.py'}:Gpu"
GIB = 2**30
RPC: dict[str, object] = {"keepalive": 120_000, "worker_threads": 2}
ILLEGAL = "CUDA error: an illegal memory access was encountered"

Start = Callable[..., Engine]


@pytest.fixture
def start(engines: Engines) -> Start:
    """Starts an engine with the processor; ``variables`` are its environment, beside a card to be seen."""

    def start(
        rpc: dict[str, object] | None = None, variables: dict[str, object] | None = None, **more: Any
    ) -> Engine:
        seen = {"CUDA_VISIBLE_DEVICES": "0", **(variables or {})}
        return engines({**RPC, **(rpc or {})}, processor_entry=ENTRY, environment=seen, **more)

    return start


def post(engine: Engine, body: str) -> Client:
    client = engine.connect()
    client.post(body=body.encode())
    return client


def wait_ready(engine: Engine, restarts: dict[str, int]) -> None:
    """Until the first instance is ready again, after these restarts."""
    eventually(
        lambda: (engine.instance()["state"], engine.instance()["restarts"]) == ("READY", restarts),
        f"ready again after {restarts}",
    )


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("torch", f"AcceleratorError: {ILLEGAL}"),
        ("old torch", "RuntimeError: CUDA error: unspecified launch failure"),
        ("tensorflow", "InternalError: Failed to synchronize: CUDA_ERROR_ILLEGAL_ADDRESS"),
        ("onnx", "Fail: [ONNXRuntimeError] : 1 : FAIL : CUDA failure 700"),
        ("abort", "could not synchronize on CUDA context: CUDA_ERROR_ILLEGAL_ADDRESS"),
    ],
)
def test_a_fault_costs_the_request_its_instance_and_nothing_else(start: Start, body: str, words: str) -> None:
    engine = start()
    before = engine.host
    with engine.connect() as client:
        answer = client.ask(body=body.encode())
        assert (answer.status, answer.code, answer.closes) == (500, "gpu_fault", False)
        assert answer.headers["x-eas-retryable"] == "true"
        assert f"the GPU is lost to the instance that had this request: GPUFault: {words}" in answer.text
        assert client.ask(body=b"again").status == 200, "it waits for the next process"
    wait_ready(engine, {"gpu_fault": 1})
    assert engine.host != before
    crash = engine.instance()["last_crash"]
    assert (crash["kind"], words in crash["cause"]) == ("gpu_fault", True)
    assert engine.metric("eas_instance_restarts_total", cause="gpu_fault") == 1
    assert engine.metric("eas_in_flight") == 0


def test_readiness_tells_the_truth_meanwhile_and_who_waits_is_served(
    start: Start, latch: Latch, tmp_path: Path
) -> None:
    gate, begun = Latch(tmp_path / "gate"), []
    engine = start(variables={"LATCH": latch.path})
    begun.append(post(engine, f"wait {gate.path}"))
    eventually(lambda: engine.metric("eas_busy_threads") == 1, "it is in the processor")
    begun.append(post(engine, "torch"))
    assert {client.read().code for client in begun} == {"gpu_fault"}
    eventually(lambda: engine.get("/readyz")[0] == 503, "not ready")
    why = b"initialises again (before: GPUFault: AcceleratorError: CUDA error: an illegal memory access"
    eventually(lambda: why in engine.get("/readyz")[1], "it says why")
    assert engine.get("/readyz")[0] == 503
    waiting = post(engine, "later")
    latch.open()
    assert waiting.read().status == 200
    engine.wait_ready()


def test_the_other_instances_dont_notice(start: Start, latch: Latch) -> None:
    engine = start(metadata={"instance": 2})
    wait_all_ready(engine)
    pids = pids_of(engine)
    patient = [post(engine, f"wait {latch.path}") for _ in range(2)]
    eventually(lambda: engine.metric("eas_busy_threads") == 2, "each has one")
    assert engine.ask(body=b"torch").code == "gpu_fault"
    assert engine.get("/readyz")[0] == 200
    latch.open()
    answers = [client.read() for client in patient]
    assert Counter(answer.code for answer in answers) == {"gpu_fault": 1, "": 1}
    wait_all_ready(engine)
    assert len(pids & pids_of(engine)) == 1


def wait_all_ready(engine: Engine) -> None:
    eventually(
        lambda: [one["state"] for one in engine.status()["instances"]] == ["READY"] * 2, "both are ready"
    )


def pids_of(engine: Engine) -> set[int]:
    return {pid for one in engine.status()["instances"] for pid in one["pids"]}


def test_with_a_second_try_only_who_brings_it_about_fails(start: Start, latch: Latch) -> None:
    engine = start({"retry_on_crash": True})
    beside = post(engine, f"wait {latch.path}")
    eventually(lambda: engine.metric("eas_busy_threads") == 1, "it is in the processor")
    culprit = post(engine, "torch")
    engine.wait_metric("eas_suspects", 2)
    latch.open()
    assert beside.read().status == 200
    answer = culprit.read()
    assert (answer.status, answer.code) == (500, "poison_request")
    assert f"GPUFault: AcceleratorError: {ILLEGAL}" in answer.text


def test_a_client_cant_talk_an_instance_into_it(start: Start) -> None:
    engine = start()
    before = engine.host
    for words in (ILLEGAL, "CUDA out of memory", "RuntimeError: CUDA error: misaligned address"):
        answer = engine.ask(body=f"quote {words}".encode())
        assert (answer.status, answer.code, words in answer.text) == (400, "processor_exception", True)
    assert engine.host == before


def test_an_instance_that_sees_no_card_has_none_to_lose(start: Start) -> None:
    engine = start(variables={"CUDA_VISIBLE_DEVICES": ""})
    before = engine.host
    assert engine.ask(body=b"torch").code == "processor_exception"
    assert engine.host == before


class Driver:
    """A driver's library that answers as it is told."""

    def __init__(self, directory: Path) -> None:
        self._says = directory / "driver"
        self.library = compiled.library("libcuda.c", "-Wl,-soname,libcuda.so.1")
        self.variables = {"LIBCUDA": self.library, "FAKE_CUDA": self._says}
        self.says(0)

    def says(self, answer: int) -> None:
        self._says.write_text(f"{answer} {GIB} {8 * GIB}")


@pytest.mark.parametrize("body", ["torch", "doubt"])
def test_the_driver_has_the_last_word(start: Start, tmp_path: Path, body: str) -> None:
    driver = Driver(tmp_path)
    engine = start(variables=driver.variables)
    before = engine.host
    assert engine.ask(body=body.encode()).code == "processor_exception"
    assert engine.host == before, "its contexts are well"
    driver.says(719)
    answer = engine.ask(body=body.encode())
    assert (answer.status, answer.code) == (500, "gpu_fault")
    assert "(the driver says CUDA_ERROR_LAUNCH_FAILED)" in answer.text


def test_a_request_that_doesnt_fit_is_told_the_figures_and_the_instance_goes_on(
    start: Start, tmp_path: Path
) -> None:
    driver = Driver(tmp_path)
    engine = start(variables={**driver.variables, "EAS_GPU_MEMORY_BYTES": 4 * GIB})
    before = engine.host
    with engine.connect() as client:
        answer = client.ask(body=b"full")
        assert (answer.status, answer.code, answer.closes) == (500, "gpu_out_of_memory", False)
        assert answer.headers["x-eas-retryable"] == "false"
        assert (
            "no GPU memory left: OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 GiB"
            in answer.text
        )
        assert answer.text.strip().endswith("; free on the card: 1 GiB of 8 GiB; the instance may have 4 GiB")
        assert client.ask(body=b"").status == 200
    assert engine.host == before
    assert engine.metric("eas_rejects_total", reason="gpu_out_of_memory") == 1


def test_batches_that_dont_fit_are_halved_and_the_next_ones_are_smaller(
    start: Start, latch: Latch, tmp_path: Path
) -> None:
    calls = tmp_path / "calls"
    engine = start(
        {"batching": True, "max_batch_size": 8, "worker_threads": 1}, variables={"ROOM": 2, "CALLS": calls}
    )
    before = engine.host
    first = post(engine, f"wait {latch.path}")
    eventually(calls.exists, "the thread is busy")
    others = []
    for number in range(20):
        others.append(post(engine, "full" if number == 19 else ""))
        engine.wait_metric("eas_queue_depth", number + 1)
    latch.open()
    assert first.read().status == 200
    answers = [client.read() for client in others]
    assert [answer.status for answer in answers] == [200] * 19 + [500]
    assert answers[19].code == "gpu_out_of_memory"
    assert {answer.body for answer in answers[:18]} <= {b"1", b"2"}
    sizes = [int(line) for line in calls.read_text().split()]
    assert sizes[:2] == [1, 8]
    assert sizes.count(8) == 1, "from then on no batch was so large"
    assert sizes.count(4) == 2
    cap = engine.instance()["batch_cap"]
    assert cap in (1, 2), "and the status says so"
    assert engine.metric("eas_instance_batch_cap", instance=engine.instance()["name"]) == cap
    told = "a batch of 8 requests raised OutOfMemoryError: CUDA out of memory"
    eventually(lambda: told in engine.log, "the log says so")
    assert engine.host == before


def test_a_start_that_finds_the_card_full_is_tried_again(start: Start, tmp_path: Path) -> None:
    """What ended an engine at once that had nothing wrong with it: the process before was still leaving."""
    lacking = tmp_path / "lacking"
    lacking.write_text("2")
    engine = start(variables={"INITIALIZE": lacking})
    assert engine.ask(body=b"").status == 200
    assert engine.instance()["restarts"] == {"failed": 2}


def test_a_crash_of_the_gpu_can_be_kept(start: Start) -> None:
    engine = start(runtime={"enable_crash_block": True})
    assert engine.ask(body=b"torch").code == "gpu_fault"
    scene = eventually(lambda: engine.instance()["last_crash"]["scene"], "it is kept")
    kept = json.loads((Path(scene) / "crash.json").read_text())
    assert ILLEGAL in json.dumps(kept)


def test_an_escaping_exception_of_cpp_is_judged_by_its_words(engines: Engines) -> None:
    """Libtorch throws where nobody catches it: in a destructor, or in a thread of its own."""
    engine = engines(RPC, processor_type="cpp", processor_entry=str(compiled.library("faults.cpp")))
    answer = engine.ask(body=b"do=throw&message=CUDA error: misaligned address")
    assert (answer.status, answer.code) == (500, "gpu_fault")
    assert "GPUFault: what():  CUDA error: misaligned address" in answer.text
