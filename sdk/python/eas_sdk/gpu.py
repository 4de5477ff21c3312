"""What an exception says about the GPU: that it is lost to this process, that its memory is full, or nothing.

Frameworks have no common exception for either. What they share are the words of the CUDA runtime and of the
driver, in texts of their own around them; so an exception is judged by its type and its text, and what
caused it by the same. No CUDA is needed for that, and nothing is asked of any device.

* ``FAULT``: an error that stays. Every further CUDA call of this process fails: only a new process helps.
* ``MEMORY``: there was no memory left. Nothing else has happened; less may fit.
* ``DOUBT``: an error of CUDA that may be either of these or none: somebody must ask the device.

Clients must not be able to say any of it. Messages often quote what was sent ("invalid literal: ..."), so
texts count only in exceptions of frameworks; a plain ``RuntimeError``, as PyTorch raises it, must *begin*
with the words, and other exceptions say nothing whatever their text is.
"""

from __future__ import annotations

import ctypes
import os
import re
from typing import Any, Final, Iterator, NamedTuple, Optional

FAULT: Final = "fault"
MEMORY: Final = "memory"
DOUBT: Final = "doubt"

_DRIVER: Final = "libcuda.so.1"
_IF_LOADED: Final = getattr(os, "RTLD_NOLOAD", 4)

_LONGEST = 500  # characters of the line that people read
_DEPTH = 16  # exceptions of a chain that are looked at
_SEARCHED = 16 * 1024  # characters of a text
_ORDER = (FAULT, MEMORY, DOUBT)

_FRAMEWORKS = frozenset(
    {
        "cupy",
        "cupy_backends",
        "jaxlib",
        "numba",
        "onnxruntime",
        "paddle",
        "pycuda",
        "tensorflow",
        "tensorrt",
        "torch",
        "xgboost",
    }
)
_PLAIN = frozenset({"RuntimeError", "MemoryError"})
"""Of Python itself: PyTorch before 2.8 raises the first for every error of CUDA, extensions do so, too."""

_CLIENTS = r"Invalid_?(?:Argument|Input)|NotFound|OutOfRange|NoSuchFile"
"""Exceptions of frameworks that are about what was sent, and quote it."""

_FOREIGN = ("eas_host.adapters", "Raised")
"""What a processor in another language threw: its text is as that of a ``RuntimeError``."""

_STAYS = (
    r"an illegal memory access was encountered|unspecified launch failure"
    r"|the launch timed out and was terminated|device-side assert triggered|hardware stack error"
    r"|an illegal instruction was encountered|misaligned address|invalid program counter"
    r"|operation not supported on global/shared address space"
    r"|uncorrectable (?:ECC|NVLink) error|GPU is lost|has fallen off the bus"
    r"|(?:cudaError|CUDA_ERROR_)(?:Illegal_?(?:Address|Instruction)|Launch_?(?:Failure|Failed|Timeout)|Assert"
    r"|Hardware_?Stack_?Error|Misaligned_?Address|Invalid_?(?:Pc|Address_?Space)|ECC_?Uncorrectable"
    r"|Nvlink_?Uncorrectable|Contained|External_?Device)\b"
)
_FULL = (
    r"CUDA out of memory|CUDA(?: driver)? error:? *(?:2: *)?out of memory|CUDA failure 2: *out of memory"
    r"|cudaErrorMemoryAllocation|CUDA_ERROR_OUT_OF_MEMORY|CU(?:BLAS|DNN)_STATUS_ALLOC_FAILED"
    r"|cuMemAlloc\w* failed: out of memory|Dst tensor is not initialized"
    r"|OOM when allocating tensor[^\n]*GPU|RESOURCE_EXHAUSTED: Out of memory"
)
_FULL_SOMEWHERE = (
    r"OOM when allocating tensor(?![^\n]*CPU)|Failed to allocate memory for requested buffer of size"
    r"|Available memory of \d+ is smaller than requested bytes of \d+|failed to allocate memory"
)
"""Of allocators that have memory of the host as well, and don't say which."""

_CUDA = (
    r"CUDA(?: driver)? error|CUDA failure|CUDA_ERROR_|cudaError"
    r"|CU(?:BLAS|DNN|SOLVER|SPARSE|FFT|RAND)_STATUS_\w+|cu(?:DNN|BLAS|FFT) error"
    r"|(?:Blas|cuBLAS)\w* (?:GEMM|GEMV) launch failed|cu[A-Z]\w+ failed: "
)
_BEGINS = (
    r"(?:RuntimeError: |parallel_for failed: |c10::\w+: |terminate called[^\n]*\n\s*what\(\): +)*"
    r"(?:CUDA (?:out of memory|error|driver error|failure)|cu(?:DNN|BLAS|FFT) error|cudaError|CUDA_ERROR_"
    r"|CU(?:BLAS|DNN|SOLVER|SPARSE|FFT|RAND)_STATUS_)"
)
_SCRIPTED = "The following operation failed in the TorchScript interpreter."
_RAISED_THERE = r"(?ms)^(?:RuntimeError|torch\.\w+(?:\.\w+)*): (?P<text>.*)"
# These are compiled when they are first used: most processes never are.


class Trouble(NamedTuple):
    """What an exception says about the GPU."""

    kind: str
    """``FAULT``, ``MEMORY`` or ``DOUBT``."""
    text: str
    """The framework's own words, one line: type and message."""


def driver() -> Any:
    """The driver's library, if this process has loaded it: whoever uses CUDA has. Else None."""
    try:
        return ctypes.CDLL(_DRIVER, mode=_IF_LOADED)
    except OSError:
        return None


def trouble(error: BaseException, *, cuda: bool = False) -> Optional[Trouble]:
    """What the exception, or one that led to it, says about the GPU; None: nothing.

    Args:
        error: what a processor raised.
        cuda: whether this process uses CUDA: then memory that a framework lacks is the GPU's where the
            framework doesn't say whose it is.
    """
    found = [said for each in _chain(error) for said in [_said(each, cuda=cuda)] if said is not None]
    return min(found, key=lambda said: _ORDER.index(said.kind), default=None)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception and those that led to it, nearest first."""
    each: Optional[BaseException] = error
    for _ in range(_DEPTH):
        if each is None:
            return
        yield each
        each = each.__cause__ or (None if each.__suppress_context__ else each.__context__)


def _said(error: BaseException, *, cuda: bool) -> Optional[Trouble]:
    text = _text_of(error)
    kind = _kind(error, text, cuda=cuda) if text is not None else None
    return None if kind is None else Trouble(kind, _line(error, text or ""))


def _text_of(error: BaseException) -> Optional[str]:
    """What of it may be searched for words; None: nothing of it says anything."""
    framework = _framework(type(error)) and not re.search(_CLIENTS, type(error).__name__)
    foreign = (type(error).__module__, type(error).__name__) == _FOREIGN
    if not (framework or foreign or type(error).__name__ in _PLAIN):
        return None
    try:
        text = str(error)[:_SEARCHED]
    except Exception:  # noqa: BLE001 - its __str__ is somebody else's code
        return None
    if framework:
        return text
    if text.startswith(_SCRIPTED):
        inner = re.search(_RAISED_THERE, text)
        text = inner["text"] if inner is not None else ""
    return text if re.match(_BEGINS, text) else None


def _framework(kind: type) -> bool:
    return any((each.__module__ or "").partition(".")[0] in _FRAMEWORKS for each in kind.__mro__)


def _kind(error: BaseException, text: str, *, cuda: bool) -> Optional[str]:
    name = type(error).__name__
    if re.search(_STAYS, text, re.IGNORECASE):
        return FAULT
    if name == "OutOfMemoryError" or re.search(_FULL, text) or (cuda and re.search(_FULL_SOMEWHERE, text)):
        return MEMORY
    return DOUBT if name == "AcceleratorError" or re.search(_CUDA, text) else None


def _line(error: BaseException, text: str) -> str:
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    name = type(error).__name__
    return f"{name}: {line}"[:_LONGEST] if line else name
