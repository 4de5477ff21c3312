"""What a host died of: every kind of evidence, and that none hides another."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_engine.errors import InstanceCrashed, kinds_of
from eas_engine.supervisor.causes import DUMP_SIGNAL, ORDERLY, Cause, Condemned, Evidence, judge
from eas_engine.supervisor.control import Failed
from eas_host import dump

TERMINATE = (
    "terminate called after throwing an instance of 'std::runtime_error'",
    "  what():  no such tensor",
    "Fatal Python error: Aborted",
    "Thread 0x00007f25a8d8d6c0 (most recent call first):",
)
CONDEMNED = Condemned("stuck", "stuck: a call")


KILLED = "OOMKilled: 512 MB used, 512 MB allowed"
CHILD_KILLED = "OOMKilled (a process that it had started): 512 MB used, 512 MB allowed"


@pytest.mark.parametrize(
    ("evidence", "cause"),
    [
        (Evidence(0), Cause("exit", "exit 0")),
        (Evidence(3), Cause("exit", "exit 3")),
        (Evidence(-11), Cause("signal", "signal 11 (SIGSEGV)")),
        (Evidence(-50), Cause("signal", "signal 50 (unknown)")),
        (Evidence(-6), Cause("abort", "signal 6 (SIGABRT)")),
        (
            Evidence(-6, lines=("x", "free(): invalid pointer", "Fatal Python error: Aborted")),
            Cause("abort", "signal 6 (SIGABRT): free(): invalid pointer"),
        ),
        (
            Evidence(-6, lines=TERMINATE),
            Cause("cpp_exception", "escaping C++ exception: std::runtime_error: no such tensor"),
        ),
        (
            Evidence(-6, lines=("terminate called without an active exception",)),
            Cause("cpp_exception", "escaping C++ exception: terminate called without an active exception"),
        ),
        (
            Evidence(
                -6,
                lines=(
                    "could not synchronize on CUDA context: CUDA_ERROR_ILLEGAL_ADDRESS: bad",
                    "Unexpected Event status: 1",
                ),
            ),
            Cause(
                "gpu_fault",
                "GPUFault: could not synchronize on CUDA context: CUDA_ERROR_ILLEGAL_ADDRESS: bad",
            ),
        ),
        (
            Evidence(70, draining=True, gpu_fault="AcceleratorError: CUDA error: misaligned address"),
            Cause("gpu_fault", "GPUFault: AcceleratorError: CUDA error: misaligned address"),
        ),
        (
            Evidence(-9, lines=("CUDA error: misaligned address",)),
            Cause("killed", "signal 9 (SIGKILL), not from the engine"),
        ),
        (
            Evidence(
                -6, lines=("libc++abi: terminating due to uncaught exception of type std::out_of_range: v",)
            ),
            Cause("cpp_exception", "escaping C++ exception: std::out_of_range: v"),
        ),
        (
            Evidence(
                -6,
                hs_err="/w/hs_err_pid7.log",
                hs_err_reason="SIGSEGV (0xb) in C  [libc.so.6+0x1]",
                lines=TERMINATE,
            ),
            Cause("jvm", "the Java virtual machine crashed: SIGSEGV (0xb) in C  [libc.so.6+0x1]"),
        ),
        (
            Evidence(3, lines=("Terminating due to java.lang.OutOfMemoryError: Java heap space",)),
            Cause("oom", "out of memory: Terminating due to java.lang.OutOfMemoryError: Java heap space"),
        ),
        (Evidence(-9), Cause("killed", "signal 9 (SIGKILL), not from the engine")),
        (Evidence(-9, oom_kills=1), Cause("oom", "out of memory: the kernel killed it")),
        (Evidence(-9, oom_kills=1, memory=(512 << 20, 512 << 20)), Cause("oom", KILLED)),
        (Evidence(1, oom_kills=1, memory=(512 << 20, 512 << 20)), Cause("oom", CHILD_KILLED)),
        (Evidence(-9, memory=(1, 2)), Cause("killed", "signal 9 (SIGKILL), not from the engine")),
        (
            Evidence(-9, kernel="Memory cgroup out of memory: Killed process 7 (python)"),
            Cause("oom", "out of memory: Memory cgroup out of memory: Killed process 7 (python)"),
        ),
        (Evidence(-9, killed=True, condemned=CONDEMNED), Cause("stuck", "stuck: a call")),
        (Evidence(-DUMP_SIGNAL, condemned=CONDEMNED), Cause("stuck", "stuck: a call")),
        (Evidence(-11, killed=True, condemned=CONDEMNED), Cause("signal", "signal 11 (SIGSEGV)")),
        (Evidence(5, condemned=CONDEMNED), Cause("exit", "exit 5")),
        (Evidence(1, failure=Failed("initialize", "no file")), Cause("failed", "initialize: no file")),
        (Evidence(-9, killed=True, failure=Failed("warm_up", "500")), Cause("warm_up", "warm-up: 500")),
        (Evidence(-9, draining=True, killed=True), Cause("stopped", "its grace period was over")),
        (Evidence(-15, draining=True), Cause("stopped", "signal 15 (SIGTERM)")),
        (Evidence(0, draining=True), Cause("stopped", "exit 0")),
        (Evidence(-11, draining=True), Cause("signal", "signal 11 (SIGSEGV)")),
    ],
)
def test_each_death_has_its_cause(evidence: Evidence, cause: Cause) -> None:
    assert judge(evidence) == cause


def test_what_was_said_of_another_exception_before_does_not_count() -> None:
    lines = ("  what():  old", "terminate called after throwing an instance of 'int'")
    assert judge(Evidence(-6, lines=lines)).text == "escaping C++ exception: int"


@given(
    status=st.integers(-64, 255),
    lines=st.lists(st.text(max_size=40) | st.sampled_from(TERMINATE), max_size=6),
    draining=st.booleans(),
    killed=st.booleans(),
    oom_kills=st.integers(0, 2),
)
def test_there_is_always_one_and_it_fits_on_a_line(
    status: int, lines: list[str], draining: bool, killed: bool, oom_kills: int
) -> None:
    found = Evidence(status, draining=draining, killed=killed, lines=tuple(lines), oom_kills=oom_kills)
    cause = judge(found)
    assert cause.text.isprintable()
    assert cause.kind not in ORDERLY
    assert cause == judge(replace(found))


def test_every_kind_that_requests_can_meet_has_a_code_of_its_own() -> None:
    kinds = ["abort", "control", "cpp_exception", "ephemeral_storage", "exit", "gpu_fault", "gpu_memory"]
    kinds += ["jvm", "killed", "link", "oom", "signal", "stopped", "stuck"]
    refusals = [Cause(kind, "why").refusal() for kind in kinds]
    codes = {one.code for one in refusals}
    assert len(codes) == len(kinds)
    assert codes == {kind.code for kind in kinds_of(InstanceCrashed)}
    assert all(str(one).endswith(": why") for one in refusals)


def test_engine_and_host_mean_the_same_signal() -> None:
    assert DUMP_SIGNAL == dump.SIGNAL
