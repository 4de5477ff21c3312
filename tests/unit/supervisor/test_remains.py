"""What is left of a crash: core files, hs_err files, stacks of threads."""

from __future__ import annotations

import faulthandler
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from eas_engine.supervisor import core, jvm
from eas_engine.supervisor.causes import DUMP_SIGNAL
from eas_engine.supervisor.stacks import Dump, masks

HEAD = """#
# A fatal error has been detected by the Java Runtime Environment:
#
#  SIGSEGV (0xb) at pc=0x00007f6d1c0e9139, pid=4711, tid=4712
#
# JRE version: OpenJDK Runtime Environment (17.0.1+12)
# Problematic frame:
# C  [libfaults.so+0x1139]  crash+0x9
#
"""


def test_the_reason_in_an_hs_err() -> None:
    assert jvm.reason_of(HEAD) == "SIGSEGV (0xb) in C  [libfaults.so+0x1139]  crash+0x9"
    short = "#\n# There is insufficient memory for the Java Runtime Environment to continue.\n"
    assert jvm.reason_of(short).startswith("There is insufficient memory")
    assert jvm.reason_of("") == ""


def test_an_hs_err_is_found_where_it_says_or_where_it_lies_by_default(tmp_path: Path) -> None:
    assert jvm.find(7, str(tmp_path), (), 0.0) is None
    default = tmp_path / "hs_err_pid7.log"
    default.write_text(HEAD)
    assert jvm.find(7, str(tmp_path), (), 0.0) == default
    elsewhere = tmp_path / "elsewhere.log"
    elsewhere.write_text(HEAD)
    told = ("# An error report file with more information is saved as:", f"# {elsewhere}", "#")
    assert jvm.find(7, str(tmp_path), told, 0.0) == elsewhere
    written = default.stat().st_mtime
    assert jvm.find(7, str(tmp_path), (), written + 60) is None, "of an earlier process with this number"
    assert jvm.reason(tmp_path / "none") == ""


@pytest.mark.parametrize(
    ("pattern", "with_pid", "glob"),
    [
        ("core", False, "core"),
        ("core", True, "core.7"),
        ("core.%p", True, "core.7"),
        ("/var/cores/%e-%p-%t", False, "/var/cores/*-7-*"),
        ("100%%.[x]%", False, "100%.[[]x]"),
        ("c.%P", True, "c.*"),
    ],
)
def test_what_the_kernel_calls_a_core_file(pattern: str, with_pid: bool, glob: str) -> None:
    assert core.glob_of(pattern, 7, with_pid=with_pid) == glob


def test_an_end_that_leaves_no_core_file_says_so(tmp_path: Path) -> None:
    assert core.find(3, 7, tmp_path, 0.0) == (None, "such an end leaves none")
    assert core.find(-signal.SIGKILL, 7, tmp_path, 0.0)[0] is None
    path, why = core.find(-signal.SIGSEGV, 7, tmp_path, 0.0)
    assert path is None
    assert why


def test_signal_sets() -> None:
    seen = masks(
        "Name:\tx\nSigPnd:\t0000000000000001\nShdPnd:\t2000000000000000\nSigBlk:\t0000000000000000\n"
    )
    assert seen == {"SigPnd": 1, "ShdPnd": 1 << 61, "SigBlk": 0}


CHILD = """
import faulthandler, signal, sys, threading, time
sys.stderr.flush()
faulthandler.register({signal}, file=sys.stderr, all_threads=True)
threading.Thread(target=time.sleep, args=(3600,), daemon=True, name="asleep").start()
print("armed", flush=True)
time.sleep(3600)
"""


@pytest.mark.skipif(
    not hasattr(faulthandler, "register"), reason="this platform has no faulthandler.register"
)
def test_a_dump_is_over_when_its_handler_has_returned() -> None:
    """The handler can't get on while the pipe is full; whoever empties it sees all of it, then the end."""
    read, write = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-c", CHILD.replace("{signal}", str(DUMP_SIGNAL))],
        stdout=subprocess.PIPE,
        stderr=write,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"armed\n"
        os.set_blocking(write, False)
        filled = 0
        while True:
            try:
                filled += os.write(write, b"x" * 4096)
            except BlockingIOError:
                break
        os.set_blocking(write, True)
        dump = Dump(child.pid)
        assert not dump.going_on()
        os.kill(child.pid, DUMP_SIGNAL)
        assert dump.going_on()
        got = b""
        os.set_blocking(read, False)
        while dump.going_on():
            try:
                got += os.read(read, 65536)
            except BlockingIOError:
                continue
        try:
            while chunk := os.read(read, 65536):
                got += chunk
        except BlockingIOError:
            pass
        child.kill()
    os.close(read)
    os.close(write)
    assert got[filled:].count(b"most recent call first") == 2
    assert not dump.going_on()
