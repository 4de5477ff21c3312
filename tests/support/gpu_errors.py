"""Exceptions as frameworks raise them about GPUs, without the frameworks. Standard library only."""

from __future__ import annotations


def kind_of(name: str, base: type[Exception] = RuntimeError) -> type[Exception]:
    """A class that calls itself so, with its module: ``torch.OutOfMemoryError``."""
    module, _, short = name.rpartition(".")
    return type(short, (base,), {"__module__": module or "builtins"})


ILLEGAL = (
    "CUDA error: an illegal memory access was encountered\n"
    "CUDA kernel errors might be asynchronously reported at some other API call, so the stacktrace below "
    "might be incorrect.\nFor debugging consider passing CUDA_LAUNCH_BLOCKING=1\n"
)
FULL = (
    "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 23.69 GiB of which 6.12 "
    "GiB is free. Process 1234 has 17.57 GiB memory in use."
)
TORCH_FAULT = kind_of("torch.AcceleratorError")
TORCH_FULL = kind_of("torch.OutOfMemoryError")
TENSORFLOW_FULL = kind_of("tensorflow.python.framework.errors_impl.ResourceExhaustedError", Exception)
TENSORFLOW_INTERNAL = kind_of("tensorflow.python.framework.errors_impl.InternalError", Exception)
TENSORFLOW_ARGUMENT = kind_of("tensorflow.python.framework.errors_impl.InvalidArgumentError", Exception)
ONNX_FAIL = kind_of("onnxruntime.capi.onnxruntime_pybind11_state.Fail")
ONNX_RAISED = kind_of("onnxruntime.capi.onnxruntime_pybind11_state.RuntimeException")
ONNX_ARGUMENT = kind_of("onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument", ValueError)
