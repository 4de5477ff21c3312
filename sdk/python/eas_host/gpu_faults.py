"""What becomes of a processor's exceptions where a GPU is behind them.

Theory of operation
-------------------
Nothing here runs before something was raised. Then ``eas_sdk.gpu`` says what the exception looks like, and
the driver has the last word, if it is in this process: a context that doesn't answer, or answers with an
error, is lost whatever the exception said, and one that answers well isn't, whatever it said. The driver's
library is never loaded here, and no context is made: who doesn't use CUDA has none to lose.

* A *fault*: the engine is told, and this process ends at once, with all that it was working on. The engine
  answers that (500 ``gpu_fault``) and starts another process; every call of this one would fail.
* *Memory*: the exception is an answer of its own (500 ``gpu_out_of_memory``), with the figures of the card.
  Batches are halved before (``eas_sdk._batches``), and what they had is noted, for the engine to cut smaller
  ones (``too_large``).

Thread safety: ``look`` and ``in_part`` are called from all worker threads; what they note is kept by thread.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
import threading
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    Final,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
)

from eas_sdk import gpu

if TYPE_CHECKING:
    from eas_sdk.gpu import Trouble

_SUCCESS: Final = 0
_HARMLESS: Final = frozenset({2, 3, 4, 100, 101, 201, 600, *range(900, 909)})
"""Errors of the driver that aren't a context's: no memory, not (or not any more) initialised, no such device,
no context, not ready; and (from 900) that it can't be asked while a stream of it records a CUDA graph."""
_GIB: Final = 2**30
_MIB: Final = 2**20

VISIBLE: Final = "CUDA_VISIBLE_DEVICES"
"""Environment: the cards that CUDA shows to the process."""

SHARE: Final = "EAS_GPU_MEMORY_BYTES"
"""Environment: bytes of GPU memory that the instance may have (``metadata.gpu_memory``)."""


class Driver:
    """The driver's library, as far as this process has loaded it already.

    Args:
        library: with functions as of ``libcuda``; None: look for it whenever something is asked.
    """

    def __init__(self, library: Any = None) -> None:
        self._given = library

    @property
    def loaded(self) -> bool:
        """Whether this process uses CUDA."""
        return self._library() is not None

    def lost(self) -> Optional[str]:
        """What a context of this process has died of; empty: all are well; None: there is none to ask.

        Waits for what the device is at work on.
        """
        library = self._library()
        if library is None:
            return None
        answers = [code for code in _ask(library) if code not in _HARMLESS]
        bad = [code for code in answers if code != _SUCCESS]
        if bad:
            return _name(library, bad[0])
        return "" if answers else None

    def memory(self) -> Optional[Tuple[int, int]]:
        """Free and all bytes of the card of this thread's context; None: nobody knows."""
        library = self._library()
        if library is None:
            return None
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        try:
            code = library.cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total))
        except (AttributeError, OSError):  # an old driver
            return None
        return (free.value, total.value) if code == _SUCCESS else None

    def _library(self) -> Any:
        if self._given is not None:
            return self._given

        return gpu.driver()


def _ask(library: Any) -> List[int]:
    """What the contexts of this process answer: the calling thread's, and those that frameworks share."""
    answers: List[int] = []
    context, count = ctypes.c_void_p(), ctypes.c_int()
    try:
        if library.cuCtxGetCurrent(ctypes.byref(context)) == _SUCCESS and context.value:
            answers.append(library.cuCtxSynchronize())
        if library.cuDeviceGetCount(ctypes.byref(count)) == _SUCCESS:
            for device in range(count.value):
                answers += _ask_primary(library, device)
    except AttributeError:  # an old driver lacks one of these
        pass
    return answers


def _ask_primary(library: Any, device: int) -> List[int]:
    """What the device's primary context answers; nothing if this process has none there."""
    flags, active, context = ctypes.c_uint(), ctypes.c_int(), ctypes.c_void_p()
    code = library.cuDevicePrimaryCtxGetState(device, ctypes.byref(flags), ctypes.byref(active))
    if code != _SUCCESS or not active.value:
        return []
    code = library.cuDevicePrimaryCtxRetain(ctypes.byref(context), device)
    if code != _SUCCESS:
        return [code]
    try:
        code = library.cuCtxPushCurrent_v2(context)
        if code == _SUCCESS:
            code = library.cuCtxSynchronize()
            library.cuCtxPopCurrent_v2(ctypes.byref(context))
    finally:
        library.cuDevicePrimaryCtxRelease_v2(device)
    return [code]


def _name(library: Any, code: int) -> str:
    """``CUDA_ERROR_ILLEGAL_ADDRESS``, or the number."""
    text = ctypes.c_char_p()
    try:
        known = library.cuGetErrorName(code, ctypes.byref(text)) == _SUCCESS
    except AttributeError:
        known = False
    return text.value.decode() if known and text.value else f"error {code}"


class Verdict(NamedTuple):
    """What is to be done about an exception."""

    fault: str = ""
    """Not empty: the process is lost, and why."""
    memory: str = ""
    """Not empty: GPU memory lacked, in the framework's words."""


NEITHER: Final = Verdict()


def judge(said: Optional[Trouble], lost: Callable[[], Optional[str]]) -> Verdict:
    """What an exception means; ``lost`` is ``Driver.lost``, asked once if anything looks like CUDA."""
    if said is None:
        return NEITHER

    driver = lost()
    if driver:
        return Verdict(fault=f"{said.text} (the driver says {driver})")
    if said.kind == gpu.FAULT and driver is None:  # nobody there who knows better
        return Verdict(fault=said.text)
    return Verdict(memory=said.text) if said.kind == gpu.MEMORY else NEITHER


def too_large(requests: int, tried: Sequence[int], alone: int) -> int:
    """How many requests were too many for the memory of the GPU; 0: their number isn't to blame.

    Args:
        requests: of the unit of work.
        tried: the sizes of its calls that lacked memory, single requests left out.
        alone: how many of its requests lacked memory all by themselves.
    """
    if not tried or 0 < alone < requests:  # it may have been those few
        return 0
    return requests if alone else min(tried)


class Faults:
    """Looks at what a processor raised.

    Args:
        tell: tells the engine of a fault, its only argument.
        leave: ends the process; called after ``tell``.
        driver: who knows about contexts and memory.
        share: bytes of GPU memory that the instance may have; None: nobody has said.

    Attributes:
        tried: by thread, the sizes of calls of several requests that lacked memory.
        last_steps: called when the process is about to end: what was answered must not be lost with it.
    """

    def __init__(
        self,
        tell: Callable[[str], None],
        leave: Callable[[], None],
        *,
        driver: Optional[Driver] = None,
        share: Optional[int] = None,
    ) -> None:
        self._tell, self._leave = tell, leave
        self._driver = driver or Driver()
        self._share = share
        self.tried: Dict[int, List[int]] = {}
        self.last_steps: Callable[[], None] = lambda: None

    def look(self, error: BaseException) -> str:
        """The answer to the client if GPU memory lacked, with figures; empty: it is no matter of the GPU.

        A fault ends the process.
        """
        verdict = self._judge(error)
        return self._figures(verdict.memory) if verdict.memory else ""

    def in_part(self, error: BaseException, requests: int) -> None:
        """A call of several requests raised, which will be called in smaller parts; as ``look``."""
        if requests > 1 and self._judge(error).memory:
            self.tried.setdefault(threading.get_ident(), []).append(requests)

    def check(self, why: str) -> None:
        """Somebody else has seen an error of the card: is this process one that it hit?"""
        lost = self._driver.lost()
        if lost:
            self._end(f"{why} (the driver says {lost})")

    def collect(self, requests: int, alone: int) -> int:
        """``too_large`` of the unit that this thread has worked on."""
        return too_large(requests, self.tried.pop(threading.get_ident(), ()), alone)

    def _judge(self, error: BaseException) -> Verdict:

        try:
            said = gpu.trouble(error, cuda=self._driver.loaded)
            verdict = judge(said, self._driver.lost)
        except Exception as mistake:  # noqa: BLE001 - ours, or strange ones of a driver; nobody's request
            _print(f"what was raised can't be looked at: {mistake!r}")
            return NEITHER
        if verdict.fault:
            self._end(verdict.fault)
        return verdict

    def _end(self, why: str) -> None:
        _print(f"GPUFault: {why}; this process can't use the GPU any more")
        self.last_steps()
        self._tell(why)
        self._leave()

    def _figures(self, told: str) -> str:
        parts = [f"no GPU memory left: {told}"]
        memory = self._driver.memory()
        if memory is not None:
            parts.append(f"free on the card: {size(memory[0])} of {size(memory[1])}")
        if self._share is not None:
            parts.append(f"the instance may have {size(self._share)}")
        return "; ".join(parts)


def size(count: int) -> str:
    """Bytes for people."""
    return f"{count / _GIB:.4g} GiB" if count >= _GIB else f"{count / _MIB:.4g} MiB"


def sees_cards(environ: Mapping[str, str]) -> bool:
    """Whether this process may see a card at all: without one nothing that is raised is a matter of it."""
    return environ.get(VISIBLE, "all").strip() not in ("", "-1")


def share_of(environ: Mapping[str, str]) -> Optional[int]:
    """``EAS_GPU_MEMORY_BYTES``; None where it isn't set, or is no number."""
    told = environ.get(SHARE, "")
    return int(told) if told.isdigit() else None


def _print(line: str) -> None:
    with contextlib.suppress(Exception):  # the processor may have closed stderr
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
