"""Of what a process printed last, people see what says why it died."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from eas_engine.telemetry.last_words import dump_begin, telling

DYING = """
import faulthandler, os, signal, threading
faulthandler.enable()
def process():
    os.kill(os.getpid(), signal.SIGSEGV)
resting = threading.Event()
for _ in range(3):
    threading.Thread(target=resting.wait, daemon=True).start()
print("loaded", flush=True)
process()
"""
THREAD = "Thread 0x00007f71dbbaf6c0 (most recent call first):"
FRAMES = ['  File "/lib/threading.py", line 982 in run', '  File "/lib/runpy.py", line 88 in _run_code']


def test_of_a_fault_the_error_and_the_frames_that_met_it_are_told(tmp_path: Path) -> None:
    """The real thing: the interpreter's own dump, of several threads."""
    app = tmp_path / "app.py"
    app.write_text(DYING)
    done = subprocess.run([sys.executable, app], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGSEGV
    told = telling([*done.stdout.splitlines(), *done.stderr.splitlines()], 4)
    assert told[0] == "Fatal Python error: Segmentation fault"
    assert told[1].startswith("Current thread 0x")
    assert told[2:4] == [
        f'  File "{app}", line {line} in {where}' for line, where in ((5, "process"), (10, "<module>"))
    ]


def test_the_thread_that_met_the_error_comes_first() -> None:
    current = THREAD.replace("Thread", "Current thread")
    lines = [
        "out",
        "Fatal Python error: Aborted",
        "",
        THREAD,
        *FRAMES,
        "",
        current,
        '  File "app.py", line 3 in f',
    ]
    assert telling(lines, 3) == ["Fatal Python error: Aborted", current, '  File "app.py", line 3 in f']


def test_stacks_that_were_asked_for_begin_at_their_first_thread() -> None:
    """As of a call that never ends: nothing is fatal there."""
    lines = ["loaded", "at work", THREAD, *FRAMES, "", THREAD, *FRAMES]
    assert dump_begin(lines) == 2
    assert telling(lines, 2) == [THREAD, FRAMES[0]]
    assert dump_begin([THREAD, *FRAMES, "at work", *lines[2:]]) == 4


@given(st.lists(st.text(alphabet="ab \n", max_size=5)), st.integers(1, 5))
def test_without_a_dump_it_is_the_last_lines(lines: list[str], count: int) -> None:
    assert telling(lines, count) == lines[-count:]
