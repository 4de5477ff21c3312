"""How each peer is started for each kind of work: its files, its command line, the form of its requests."""

from __future__ import annotations

import base64
import json
import os
import shutil
import struct
import subprocess
from collections.abc import Callable
from typing import Any

from eas_bench.peers.peer import Place, Start
from eas_bench.peers.processes import free_port
from eas_bench.peers.work import CLASSES, LARGE, ROW, SMALL

JSON = ("Content-Type: application/json",)
BATCH, WAIT_MS, WAIT_US = 16, 5, 5000  # of the network
SLEEPERS, PLACES = 5, 64


def mosec(place: Place, *, batch: int = 0, bounded: bool = True) -> Start:
    """One process in Rust, one or five in Python. ``batch``: for other work than the network's, too."""
    # Its capacity counts those at work, too.
    room = ("--capacity", str(PLACES + SLEEPERS)) if place.work == "sleep" and bounded else ()
    command = (place.environment.program("python"), place.adapter("mosec", "server.py"))
    address = (
        "--address",
        "127.0.0.1",
        "--port",
        str(place.port),
        "--path",
        str(place.directory / "sockets"),
    )
    return Start(
        command=(*command, *address, "--log-level", "error", "--timeout", "30000", *room),
        path="/inference",
        health="/metrics",
        environment={"PEER_BATCH": str(batch)} if batch else {},
    )


def litserve(place: Place, *, fast_queue: bool = False, api_servers: int = 1) -> Start:
    """An HTTP process, a manager, and workers."""
    return Start(
        command=(
            place.environment.program("python"),
            place.adapter("litserve", "server.py"),
            str(place.port),
        ),
        path="/predict",
        health="/health",
        environment={"PEER_FAST_QUEUE": str(int(fast_queue)), "PEER_API_SERVERS": str(api_servers)},
    )


def bentoml(place: Place, *, bounded: bool = True) -> Start:
    """Workers that serve HTTP themselves; the network takes JSON."""
    network = place.work == "mlp"
    folder, module = place.adapter("bentoml"), "network" if network else "service"
    command = (place.environment.program("bentoml"), "serve", f"{module}:Service", "--working-dir", folder)
    return Start(
        command=(*command, "--host", "127.0.0.1", "--port", str(place.port)),
        path="/predict",
        health="/livez",
        headers=JSON if network else ("Content-Type: application/octet-stream",),
        environment={
            "BENTOML_DO_NOT_TRACK": "True",
            "BENTOML_HOME": str(place.directory),
            "PEER_BOUNDED": str(int(bounded)),
        },
        **(
            {
                "encode": lambda body: json.dumps({"rows": [_numbers(body)]}).encode(),
                "decode": lambda answer: _row(json.loads(answer)[0]),
            }
            if network
            else {}
        ),
    )


def torchserve(place: Place) -> Start:
    """A front in Java and workers in Python, one or five."""
    workers = SLEEPERS if place.work == "sleep" else 1
    batch, delay = (BATCH, WAIT_MS) if place.work == "mlp" else (1, 0)
    _write(
        place,
        "model.yaml",
        f"minWorkers: {workers}\nmaxWorkers: {workers}\nbatchSize: {batch}\nmaxBatchDelay: {delay}\n",
    )
    ports = {
        "inference_address": f"http://127.0.0.1:{place.port}",
        "management_address": f"http://127.0.0.1:{free_port()}",
        "metrics_address": f"http://127.0.0.1:{free_port()}",
        "grpc_inference_port": free_port(),
        "grpc_management_port": free_port(),
        "disable_token_authorization": "true",
        "enable_metrics_api": "false",
        "disable_system_metrics": "true",
        "number_of_gpu": 0,
        **({"job_queue_size": PLACES} if place.work == "sleep" else {}),
    }
    _write(place, "config.properties", "".join(f"{key}={value}\n" for key, value in ports.items()))
    _write(place, "log4j2.xml", _LOGGING_OF_TORCHSERVE)
    (place.directory / "store").mkdir()
    told = {
        "PATH": f"{place.environment.directory / 'bin'}:{os.environ['PATH']}",
        "LOG_LOCATION": str(place.directory),
        "METRICS_LOCATION": str(place.directory),
    }
    archive = (
        *(place.environment.program("torch-model-archiver"), "--model-name", "m", "--version", "1.0"),
        *("--handler", place.adapter("torchserve", "handler.py"), "--archive-format", "default"),
        *("--config-file", str(place.directory / "model.yaml"), "--export-path"),
        str(place.directory / "store"),
    )
    subprocess.run(archive, check=True, env={**os.environ, **told}, capture_output=True)
    return Start(
        command=(
            *(place.environment.program("torchserve"), "--foreground", "--ncs", "--disable-token-auth"),
            *("--model-store", str(place.directory / "store"), "--models", "m=m.mar"),
            *("--ts-config", str(place.directory / "config.properties")),
            *("--log-config", str(place.directory / "log4j2.xml")),
        ),
        path="/predictions/m",
        health="/ping",
        environment=told,
    )


_LOGGING_OF_TORCHSERVE = """<?xml version="1.0" encoding="UTF-8"?>
<Configuration status="WARN">
  <Appenders>
    <Console name="out" target="SYSTEM_OUT"><PatternLayout pattern="%p %c %m%n"/></Console>
  </Appenders>
  <Loggers>
    <Root level="warn"><AppenderRef ref="out"/></Root>
    <Logger name="ACCESS_LOG" level="off"/>
    <Logger name="TS_METRICS" level="off"/>
    <Logger name="MODEL_METRICS" level="off"/>
    <Logger name="MODEL_LOG" level="warn"/>
  </Loggers>
</Configuration>
"""


def mlserver(place: Place, *, workers: int = 1) -> Start:
    """An HTTP process and workers, one or five; 0: the HTTP process does the work itself."""
    _write(
        place,
        "settings.json",
        json.dumps(
            {
                "debug": False,
                "host": "127.0.0.1",
                "http_port": place.port,
                "grpc_port": free_port(),
                "metrics_port": free_port(),
                "metrics_endpoint": None,
                "metrics_dir": str(place.directory),
                "parallel_workers": SLEEPERS if place.work == "sleep" else workers,
            }
        ),
    )
    batching = {"max_batch_size": BATCH, "max_batch_time": WAIT_MS / 1000} if place.work == "mlp" else {}
    model = {"name": "m", "implementation": "runtime.Runtime", **batching}
    _write(place, "model-settings.json", json.dumps(model))
    shutil.copy(place.adapter("mlserver", "runtime.py"), place.directory)
    encode, decode = (_v2_row, _v2_row_answer) if place.work == "mlp" else (_v2_bytes, _v2_bytes_answer)
    return Start(
        command=(place.environment.program("mlserver"), "start", str(place.directory)),
        path="/v2/models/m/infer",
        health="/v2/health/live",
        headers=JSON,
        encode=encode,
        decode=decode,
    )


def ray(place: Place, *, throughput: bool = False, ongoing: int = 0) -> Start:
    """A cluster of one node."""
    optimised = {"RAY_SERVE_THROUGHPUT_OPTIMIZED": "1"} if throughput else {}
    return Start(
        command=(
            place.environment.program("python"),
            place.adapter("ray", "server.py"),
            str(place.port),
            str(place.directory),
        ),
        path="/",
        health="/-/healthz",
        environment={
            "PATH": f"{place.environment.directory / 'bin'}:{os.environ['PATH']}",
            "RAY_AUTH_MODE": "disabled",  # between its own processes
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_SERVE_LOG_TO_STDERR": "0",
            **({"PEER_ONGOING": str(ongoing)} if ongoing else {}),
            **optimised,
        },
    )


def triton(place: Place, *, batch: int = 0, bounded: bool = True) -> Start:
    """Triton's own server with its Python backend. ``batch``: for other work than the network's, too."""
    bundled = place.environment.packages / "pytriton" / "tritonserver"
    stub = bundled / "python_backend_stubs" / _version(place) / "triton_python_backend_stub"
    backend = place.directory / "backends" / "python"
    shutil.copytree(bundled / "backends" / "python", backend)
    shutil.copy(stub, backend)
    (backend / stub.name).chmod(0o755)
    model = place.directory / "models" / "m"
    (model / "1").mkdir(parents=True)
    shutil.copy(place.adapter("triton", "model.py"), model / "1")
    (model / "config.pbtxt").write_text(_config_of_triton(place.work, batch, bounded=bounded))
    libraries = (place.environment.interpreter / "lib", place.environment.packages / "nvidia_pytriton.libs")
    return Start(
        command=(
            *(str(bundled / "bin" / "tritonserver"), "--model-repository", str(model.parent)),
            *("--backend-directory", str(backend.parent), "--http-address", "127.0.0.1"),
            *("--http-port", str(place.port), "--allow-grpc", "false", "--allow-metrics", "false"),
            *("--log-info", "false"),
        ),
        path="/v2/models/m/infer",
        health="/v2/health/live",
        headers=("Content-Type: application/octet-stream", "Inference-Header-Content-Length: 0"),
        environment={
            # The stub takes the first python3 for its own, and must find the library that goes with it.
            "PATH": f"{place.environment.directory / 'bin'}:{os.environ['PATH']}",
            "LD_LIBRARY_PATH": ":".join(map(str, libraries)),
        },
        decode=_after_json,
    )


def _version(place: Place) -> str:
    return place.environment.packages.parent.name.removeprefix("python")


def _config_of_triton(work: str, batch: int, *, bounded: bool) -> str:
    kind, columns, outputs = {
        "mlp": ("FP32", len(ROW) // 4, CLASSES),
        "large": ("UINT8", len(LARGE), 4096),
    }.get(work, ("UINT8", len(SMALL), len(SMALL)))
    largest, delay, policy = batch, 0, ""
    if work == "mlp":
        largest, delay = BATCH, WAIT_US
    if work == "sleep" and bounded:  # the bounded queue belongs to its batcher
        largest, policy = 1, f"default_queue_policy {{ max_queue_size: {PLACES} }}"
    batcher = f"dynamic_batching {{ max_queue_delay_microseconds: {delay} {policy} }}\n" if largest else ""
    instances = SLEEPERS if work == "sleep" else 1
    return (
        f'name: "m"\nbackend: "python"\nmax_batch_size: {largest}\n'
        f'input [{{ name: "x" data_type: TYPE_{kind} dims: [{columns}] }}]\n'
        f'output [{{ name: "y" data_type: TYPE_{kind} dims: [{outputs}] }}]\n'
        f"instance_group [{{ kind: KIND_CPU count: {instances} }}]\n{batcher}"
    )


# --- the forms of requests and answers --------------------------------------------------------------------


def _write(place: Place, name: str, text: str) -> None:
    (place.directory / name).write_text(text)


def _numbers(body: bytes) -> list[float]:
    return list(struct.unpack(f"<{len(body) // 4}f", body))


def _row(numbers: list[float]) -> bytes:
    return struct.pack(f"<{len(numbers)}f", *numbers)


def _v2(kind: str, shape: list[int], data: list[Any]) -> bytes:
    tensor = {"name": "x", "shape": shape, "datatype": kind, "data": data}
    return json.dumps({"inputs": [tensor]}).encode()


def _v2_row(body: bytes) -> bytes:
    return _v2("FP32", [1, len(body) // 4], _numbers(body))


def _v2_bytes(body: bytes) -> bytes:
    return _v2("BYTES", [1], [base64.b64encode(body).decode()])


def _v2_data(answer: bytes) -> list[Any]:
    data: list[Any] = json.loads(answer)["outputs"][0]["data"]
    return data


def _v2_row_answer(answer: bytes) -> bytes:
    return _row(_v2_data(answer))


def _v2_bytes_answer(answer: bytes) -> bytes:
    return base64.b64decode(_v2_data(answer)[0])


def _after_json(answer: bytes) -> bytes:
    """What follows the JSON that Triton puts before raw tensors (its length stands in a header field)."""
    _, end = json.JSONDecoder().raw_decode(answer.decode("latin-1"))
    return answer[end:]


Starter = Callable[[Place], Start]
