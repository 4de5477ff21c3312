"""What a host died of: evidence in, one cause out. No I/O.

Every death has exactly one kind. The kinds are the label ``cause`` of the metric of restarts and what
programs look at; ``text`` is for people: logs, the status, the body of the answer to requests that were
begun.

| kind | it is |
|---|---|
| ``execute`` | the host could not be executed |
| ``failed`` | the processor can't be had: import, constructor or ``initialize`` raised or said no |
| ``warm_up`` | an answer of the warm-up wasn't 200, or never came |
| ``gpu_fault`` | the GPU is lost to its process: it said so, or CUDA's last words do; or the card is gone |
| ``stuck`` | a call took longer than ``rpc.stuck_timeout``, and the engine ended the host |
| ``link`` | the host closed the socket of requests, or sent nonsense on it, and the engine ended it |
| ``control`` | the same with the control socket |
| ``stopped`` | it was to leave (no crash) |
| ``jvm`` | the Java virtual machine died and left an ``hs_err`` file |
| ``oom`` | killed for want of memory: by the kernel, by the engine for its limit; a JVM's heap is full |
| ``ephemeral_storage`` | it wrote more than its limit, and the engine ended it |
| ``gpu_memory`` | it had more of its card's memory than its share, and the engine ended it |
| ``killed`` | SIGKILL by somebody else |
| ``cpp_exception`` | SIGABRT after ``std::terminate`` told of an exception |
| ``abort`` | any other SIGABRT |
| ``signal`` | any other signal |
| ``exit`` | ``sys.exit``, ``System.exit``, ``os._exit``, ``exit``, or the end of the program |

What the host said and what the engine itself did explain a death before its status does: a processor that
said ``failed`` exits with 1, and a stuck one dies of the engine's SIGKILL.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterable, Mapping
from typing import Final

from eas_engine import errors
from eas_engine.records import dataclass
from eas_engine.supervisor.control import Failed
from eas_engine.supervisor.limits.report import oom_text

DUMP_SIGNAL: Final = int(signal.SIGRTMAX) - 2
"""Hosts answer it with the stacks of their threads (``eas_host/dump.py``); who doesn't know it dies of it."""

ORDERLY: Final = frozenset({"execute", "failed", "warm_up"})
"""Starts that failed, as opposed to crashes: there is no process to look into, so it is never kept."""

_WIDTH = 300
_LATEST = re.compile(r"^\s*what\(\):\s*(?P<what>.*)$")
_TERMINATE = (
    re.compile(r"terminate called after throwing an instance of '(?P<type>.*)'"),
    re.compile(r"terminating (?:due to|with) uncaught (?:foreign )?exception(?: of type)? ?(?P<type>.*)"),
    re.compile(r"(?P<bare>terminate called (?:without an active exception|recursively))"),
)
_ABORTS = re.compile(
    r"Assertion [`'].*failed|stack smashing detected|buffer overflow detected|double free|free\(\):"
    r"|malloc\(\):|realloc\(\):|munmap_chunk\(\):|corrupted|pure virtual method called"
    r"|Fatal Python error: (?!Aborted)"
)
_GPU = re.compile(
    r"(?:CUDA|cuda).*(?:illegal memory access|unspecified launch failure|launch timed out|device-side assert"
    r"|hardware stack error|illegal instruction|misaligned address|invalid program counter|uncorrectable ECC"
    r"|ERROR_ILLEGAL_ADDRESS|ERROR_LAUNCH_FAILED|ERROR_LAUNCH_TIMEOUT|ERROR_ASSERT|ERROR_ECC_UNCORRECTABLE)"
)
"""What a framework says before it calls ``abort()`` because of the GPU; TensorFlow always does."""
_JAVA_HEAP = re.compile(r"^Terminating due to java\.lang\.OutOfMemoryError")


@dataclass(frozen=True, slots=True)
class Cause:
    """What a host died of."""

    kind: str
    text: str
    """One line, for people."""

    def refusal(self) -> errors.InstanceCrashed:
        """The answer to the requests that it had begun."""
        kind = _REFUSALS.get(self.kind, errors.InstanceCrashed)
        return kind(f"{kind.text}: {self.text}")


@dataclass(frozen=True, slots=True)
class Condemned:
    """Why a host can't go on. It is the cause of its crash if it takes our SIGKILL to end it."""

    kind: str
    cause: str
    answers_first: bool = False
    """Its other requests may finish, and then it is killed; otherwise only its time counts."""
    dump: bool = False
    """The stacks of its threads go into the log first."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known about a death.

    Attributes:
        status: as in ``Popen``: the exit status, or minus the signal.
        draining: it had been told to leave.
        killed: the engine sent SIGKILL.
        failure: what the host said last.
        gpu_fault: what it said of the GPU that is lost to it; ``""``: nothing.
        condemned: why the engine wanted it dead.
        lines: what it printed last, oldest first.
        hs_err: path of the file that a Java virtual machine left; ``""``: none.
        hs_err_reason: what that file says happened.
        oom_kills: how many processes of its cgroup the kernel has killed for want of memory since its start.
        memory: the most bytes that its instance had, and its limit, where a cgroup of its own enforces that.
        kernel: the kernel's own words about killing it, when they can be read.
    """

    status: int
    draining: bool = False
    killed: bool = False
    failure: Failed | None = None
    gpu_fault: str = ""
    condemned: Condemned | None = None
    lines: tuple[str, ...] = ()
    hs_err: str = ""
    hs_err_reason: str = ""
    oom_kills: int = 0
    memory: tuple[int, int] | None = None
    kernel: str = ""


def judge(evidence: Evidence) -> Cause:
    """The cause of a death."""
    return _by_word(evidence) or _by_us(evidence) or _by_status(evidence)


def _by_word(evidence: Evidence) -> Cause | None:
    if evidence.gpu_fault:
        return Cause("gpu_fault", _short(f"GPUFault: {evidence.gpu_fault}"))
    failed = evidence.failure
    if failed is None:
        return None
    if failed.stage == "warm_up":
        return Cause("warm_up", f"warm-up: {failed.message}")
    return Cause("failed", f"{failed.stage}: {failed.message}")


def _by_us(evidence: Evidence) -> Cause | None:
    status, condemned = evidence.status, evidence.condemned
    ended = (status == -signal.SIGKILL and evidence.killed) or status == -DUMP_SIGNAL
    if condemned is not None and ended:
        return Cause(condemned.kind, condemned.cause)
    if evidence.draining and (ended or status >= 0 or status == -signal.SIGTERM):
        return Cause("stopped", "its grace period was over" if ended else _outcome(status))
    return None


def _by_status(evidence: Evidence) -> Cause:
    number = -evidence.status
    if evidence.memory is not None and evidence.oom_kills:  # by its own group's counter
        return Cause("oom", oom_text(*evidence.memory, child=number != signal.SIGKILL))
    if number <= 0 and (heap := _last(_JAVA_HEAP, evidence.lines)):
        return Cause("oom", _short(f"out of memory: {heap}"))
    if evidence.hs_err:
        reason = evidence.hs_err_reason or _outcome(evidence.status)
        return Cause("jvm", _short(f"the Java virtual machine crashed: {reason}"))
    if number == signal.SIGKILL:
        return _killed(evidence)
    if number == signal.SIGABRT:
        return _aborted(evidence)
    return Cause("signal" if number > 0 else "exit", _outcome(evidence.status))


def _killed(evidence: Evidence) -> Cause:
    if evidence.kernel:
        return Cause("oom", _short(f"out of memory: {evidence.kernel}"))
    if evidence.oom_kills > 0:
        return Cause("oom", "out of memory: the kernel killed it")
    return Cause("killed", f"{_outcome(evidence.status)}, not from the engine")


def _aborted(evidence: Evidence) -> Cause:
    if gpu := _last(_GPU, evidence.lines):
        return Cause("gpu_fault", _short(f"GPUFault: {gpu}"))
    what = ""
    for line in reversed(evidence.lines):
        if found := _LATEST.match(line):
            what = found["what"]
        for pattern in _TERMINATE:
            if found := pattern.search(line):
                groups = found.groupdict()
                told = groups.get("bare") or ": ".join(filter(None, (groups.get("type"), what)))
                return Cause("cpp_exception", _short(f"escaping C++ exception: {told}"))
    reason = _last(_ABORTS, evidence.lines)
    return Cause("abort", _outcome(evidence.status) + (f": {reason}" if reason else ""))


def _last(pattern: re.Pattern[str], lines: Iterable[str]) -> str:
    """The last line that the pattern finds something in; ``""``: none."""
    told = [line for line in lines if pattern.search(line)]
    return _short(told[-1]) if told else ""


def _outcome(status: int) -> str:
    return f"exit {status}" if status >= 0 else f"signal {-status} ({signal_name(-status)})"


def signal_name(number: int) -> str:
    """``SIGSEGV``; ``unknown`` for numbers without a name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"


def _short(text: str) -> str:
    line = "".join(one if one.isprintable() else " " for one in text).strip()
    return line if len(line) <= _WIDTH else f"{line[:_WIDTH]} ..."


_REFUSALS: Final[Mapping[str, type[errors.InstanceCrashed]]] = {
    "abort": errors.InstanceAborted,
    "control": errors.InstanceControlBroken,
    "cpp_exception": errors.InstanceCppException,
    "ephemeral_storage": errors.InstanceStorageExceeded,
    "exit": errors.InstanceExited,
    "gpu_memory": errors.InstanceGpuMemoryExceeded,
    "gpu_fault": errors.GpuFault,
    "jvm": errors.InstanceJvmCrashed,
    "killed": errors.InstanceKilled,
    "link": errors.InstanceLinkBroken,
    "oom": errors.InstanceOutOfMemory,
    "signal": errors.InstanceCrashed,
    "stopped": errors.InstanceStopped,
    "stuck": errors.InstanceStuck,
}
"""The others die before they have requests."""
