"""A processor whose GPU fails on demand, without a GPU: exceptions with the names and words of frameworks.

A request's body is what happens: ``torch``, ``old torch``, ``tensorflow``, ``onnx`` raise errors of CUDA that
stay; ``doubt`` one that may be anything; ``full`` has no memory; ``abort`` is what TensorFlow does;
``quote ...`` raises what any code raises that quotes its input; ``wait FILE`` until the file is there. The
answer is the size of the batch. Environment:

    ROOM       requests that fit into the GPU's memory together
    LIBCUDA    a library that is loaded as the driver's
    CALLS      a file that gets the size of each call
    INITIALIZE a file; while it says a number, that is counted down, and initialize has no memory
    LATCH      a file; from the second start on, initialize waits for it
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import eas_sdk

ILLEGAL = "CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be asynchronous"
FULL = "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 23.69 GiB"
BLAS = "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm( handle, opa)`"
ABORT = "could not synchronize on CUDA context: CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access"


def of(name: str) -> type[Exception]:
    """An exception that calls itself so."""
    module, _, short = name.rpartition(".")
    return type(short, (RuntimeError,), {"__module__": module})


FAULTS: dict[str, Exception] = {
    "torch": of("torch.AcceleratorError")(ILLEGAL),
    "old torch": RuntimeError("CUDA error: unspecified launch failure"),
    "tensorflow": of("tensorflow.python.framework.errors_impl.InternalError")(
        "Failed to synchronize: CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access was encountered"
    ),
    "onnx": of("onnxruntime.capi.onnxruntime_pybind11_state.Fail")(
        "[ONNXRuntimeError] : 1 : FAIL : CUDA failure 700: an illegal memory access was encountered ; GPU=0"
    ),
    "doubt": RuntimeError(BLAS),
    "full": of("torch.OutOfMemoryError")(FULL),
}


class Gpu(eas_sdk.Processor):
    """See above."""

    def initialize(self, model_entry: str, model_config: str) -> None:
        """See ``eas_sdk.Processor``."""
        if library := os.environ.get("LIBCUDA"):
            self.driver = ctypes.CDLL(library)
        lacking, latch = os.environ.get("INITIALIZE"), os.environ.get("LATCH")
        if lacking and (left := int(Path(lacking).read_text())):
            Path(lacking).write_text(str(left - 1))
            raise of("torch.OutOfMemoryError")(FULL)
        if latch:
            first = Path(f"{latch}.first")
            while first.exists() and not Path(latch).exists():
                time.sleep(0.002)
            first.touch()

    def process(self, request: eas_sdk.Request) -> bytes:
        """See ``eas_sdk.Processor``."""
        return self._answer(bytes(request.body).decode(), 1)

    def process_batch(self, requests: Sequence[eas_sdk.Request]) -> list[bytes]:
        """See ``eas_sdk.Processor``."""
        if calls := os.environ.get("CALLS"):
            with Path(calls).open("a", encoding="ascii") as file:
                file.write(f"{len(requests)}\n")
        if len(requests) > int(os.environ.get("ROOM", "1000")):
            raise FAULTS["full"]
        return [self._answer(bytes(request.body).decode(), len(requests)) for request in requests]

    def _answer(self, told: str, size: int) -> bytes:
        do, _, what = told.partition(" ")
        if told in FAULTS:
            raise FAULTS[told]
        if do == "quote":
            raise ValueError(f"no number: {what}")
        if do == "abort":
            print(ABORT, file=sys.stderr, flush=True)
            os.abort()
        while do == "wait" and not Path(what).exists():
            time.sleep(0.002)
        return b"%d" % size
