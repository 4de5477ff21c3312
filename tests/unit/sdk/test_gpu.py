"""What exceptions say about a GPU: in the words of each framework, and never in a client's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import eas_sdk
from eas_host.adapters import Raised
from eas_sdk.gpu import DOUBT, FAULT, MEMORY, trouble
from support import gpu_errors as of

ORT = "[ONNXRuntimeError] : 1 : FAIL : "
NODE = "Non-zero status code returned while running Conv node. Name:'c' Status Message: "
CUBLAS = "CUDA error: CUBLAS_STATUS_{} when calling `cublasCreate(handle)`"
SCRIPT = (
    "The following operation failed in the TorchScript interpreter.\n"
    "Traceback of TorchScript (most recent call last):\n  File 'x', line 1\nRuntimeError: {}\n"
)
SAID = [
    # PyTorch, from 2.8 on and before
    (of.TORCH_FAULT(of.ILLEGAL), FAULT),
    (of.TORCH_FAULT("CUDA error: device-side assert triggered"), FAULT),
    (of.TORCH_FAULT("CUDA error: no kernel image is available for execution on the device"), DOUBT),
    (of.TORCH_FAULT("something new"), DOUBT),
    (of.TORCH_FULL(of.FULL), MEMORY),
    (RuntimeError(of.ILLEGAL), FAULT),
    (RuntimeError("CUDA error: unspecified launch failure"), FAULT),
    (RuntimeError("CUDA error: uncorrectable ECC error encountered"), FAULT),
    (RuntimeError("CUDA error: misaligned address"), FAULT),
    (RuntimeError("CUDA error: the launch timed out and was terminated"), FAULT),
    (RuntimeError("CUDA driver error: an illegal instruction was encountered"), FAULT),
    (RuntimeError(of.FULL), MEMORY),
    (RuntimeError("CUDA error: out of memory"), MEMORY),
    (RuntimeError(CUBLAS.format("ALLOC_FAILED")), MEMORY),
    (RuntimeError(CUBLAS.format("EXECUTION_FAILED")), DOUBT),
    (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), DOUBT),
    (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), MEMORY),
    (RuntimeError(SCRIPT.format(of.ILLEGAL)), FAULT),
    (RuntimeError(SCRIPT.format(of.FULL)), MEMORY),
    (RuntimeError(SCRIPT.format("shape '[2]' is invalid")), None),
    (RuntimeError("mat1 and mat2 shapes cannot be multiplied (1x2 and 3x4)"), None),
    (RuntimeError("Expected all tensors to be on the same device, but found cuda:0 and cpu"), None),
    # TensorFlow
    (
        of.TENSORFLOW_FULL(
            "{{node m}} OOM when allocating tensor with shape[9] on device:GPU:0 by GPU_0_bfc"
        ),
        MEMORY,
    ),
    (of.TENSORFLOW_FULL("OOM when allocating tensor with shape[9] on device:CPU:0 by allocator cpu"), None),
    (of.TENSORFLOW_INTERNAL("Failed to synchronize: CUDA_ERROR_ILLEGAL_ADDRESS: an illegal"), FAULT),
    (of.TENSORFLOW_INTERNAL("could not synchronize: CUDA_ERROR_LAUNCH_FAILED"), FAULT),
    (of.TENSORFLOW_INTERNAL("Blas GEMM launch failed : a.shape=(1, 2)"), DOUBT),
    (of.TENSORFLOW_INTERNAL("Dst tensor is not initialized."), MEMORY),
    (of.TENSORFLOW_INTERNAL("no such thing"), None),
    # ONNX Runtime
    (of.ONNX_RAISED(ORT + NODE + "CUDA error cudaErrorIllegalAddress:an illegal memory access was"), FAULT),
    (of.ONNX_FAIL(ORT + "CUDA failure 700: an illegal memory access was encountered ; GPU=0 ; expr="), FAULT),
    (of.ONNX_FAIL(ORT + "CUDA failure 2: out of memory ; GPU=0 ; expr=cudaMalloc"), MEMORY),
    (of.ONNX_FAIL(ORT + "CUBLAS failure 13: CUBLAS_STATUS_EXECUTION_FAILED ; GPU=0"), DOUBT),
    (of.ONNX_RAISED(ORT + "an operator failed"), None),
    # others
    (
        of.kind_of("cupy.cuda.memory.OutOfMemoryError", MemoryError)("Out of memory allocating 8,000 bytes"),
        MEMORY,
    ),
    (of.kind_of("cupy_backends.cuda.api.runtime.CUDARuntimeError")("cudaErrorLaunchFailure: unspe"), FAULT),
    (of.kind_of("jaxlib.xla_extension.XlaRuntimeError")("RESOURCE_EXHAUSTED: Out of memory while"), MEMORY),
    (
        of.kind_of("xgboost.core.XGBoostError", ValueError)("bad_alloc: cudaErrorMemoryAllocation: out"),
        MEMORY,
    ),
    (
        of.kind_of("pycuda._driver.LogicError")(
            "cuMemcpyDtoH failed: an illegal memory access was encountered"
        ),
        FAULT,
    ),
    (Raised(of.ILLEGAL, "trace"), FAULT),
    # who is no framework, or doesn't begin with the words
    (ValueError(of.ILLEGAL), None),
    (ValueError(of.FULL), None),
    (RuntimeError(f"can't read {of.ILLEGAL!r}"), None),
    (Raised(f"bad input: {of.ILLEGAL}", "trace"), None),
    (of.TENSORFLOW_ARGUMENT(f"can't convert {of.ILLEGAL!r} to a number"), None),
    (of.ONNX_ARGUMENT(f"Invalid input name: {of.ILLEGAL}"), None),
    (of.kind_of("app.Mine")(of.ILLEGAL), None),
]
MAYBE = [
    of.ONNX_RAISED(ORT + "Failed to allocate memory for requested buffer of size 8589934592"),
    of.ONNX_RAISED(ORT + "Available memory of 0 is smaller than requested bytes of 256"),
    of.TENSORFLOW_FULL("failed to allocate memory [Op:Mul]"),
    of.TENSORFLOW_FULL("OOM when allocating tensor with shape[9]"),
]


@pytest.mark.parametrize(("error", "kind"), SAID, ids=[f"{type(e).__name__}: {e!s:.50}" for e, _ in SAID])
def test_what_a_framework_says(error: Exception, kind: str | None) -> None:
    said = trouble(error)
    assert (said.kind if said else None) == kind
    assert eas_sdk.is_gpu_trouble(error) is (kind in (FAULT, MEMORY))
    if said is not None:
        assert said.text.startswith(f"{type(error).__name__}: ")
        assert "\n" not in said.text


@pytest.mark.parametrize("error", MAYBE)
def test_memory_whose_the_framework_doesnt_say_is_the_gpus_where_there_is_one(error: Exception) -> None:
    assert trouble(error) is None
    said = trouble(error, cuda=True)
    assert said is not None
    assert said.kind == MEMORY


def test_a_preset_says_what_the_framework_said_in_other_words() -> None:
    wrapped = ValueError("can't run the model")
    wrapped.__cause__ = of.TORCH_FULL(of.FULL)
    said = trouble(wrapped)
    assert said is not None
    assert said.text.startswith("OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 GiB")


def test_the_worst_of_a_chain_counts() -> None:
    first, second = RuntimeError(of.ILLEGAL), of.TORCH_FULL(of.FULL)
    second.__context__ = first
    said = trouble(second)
    assert said is not None
    assert said.kind == FAULT


def test_what_was_hidden_says_nothing_and_a_circle_ends() -> None:
    hidden = ValueError("mine")
    hidden.__context__, hidden.__suppress_context__ = RuntimeError(of.ILLEGAL), True
    assert trouble(hidden) is None
    one, other = ValueError("a"), ValueError("b")
    one.__cause__, other.__cause__ = other, one
    assert trouble(one) is None


class Mute(of.kind_of("torch.Strange")):  # type: ignore[misc]
    """One whose text can't be had."""

    def __str__(self) -> str:
        raise ValueError


def test_an_exception_that_cant_be_read_says_nothing() -> None:
    assert trouble(Mute()) is None


@given(
    kind=st.sampled_from(
        [ValueError, KeyError, TypeError, OSError, UnicodeError, of.kind_of("json.JSONDecodeError")]
    ),
    words=st.sampled_from([of.ILLEGAL, of.FULL, "CUDA_ERROR_ILLEGAL_ADDRESS"]),
    before=st.text(max_size=20),
)
def test_no_client_can_say_it(kind: type[Exception], words: str, before: str) -> None:
    """An exception that quotes what was sent would let whoever sends it restart the instance."""
    assert trouble(kind(before + words)) is None
    if not before.isspace() and before:
        assert trouble(RuntimeError(before + words)) is None
