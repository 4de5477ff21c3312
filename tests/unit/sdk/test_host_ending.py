"""How a host ends: told to, by itself, by the end of the engine."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

from support.processors import ALLSPARK, NATIVE
from support.scripted_engine import ScriptedEngine

Write = Callable[..., Path]


def test_stop_before_start(engine: ScriptedEngine) -> None:
    assert engine.stop() == 0


def test_stop_during_initialize_closes_without_serving(
    engine: ScriptedEngine, write: Write, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    engine.start(
        write(f"""
        import eas_sdk
        class P(eas_sdk.Processor):
            def initialize(self, entry, config):
                open({str(gate)!r}).read()
            def process(self, request):
                return b""
            def close(self):
                print("closed")
        """)
    )
    engine.expect("hello")
    engine.send("load", threads=1, keepalive_ms=1)
    with gate.open("w"):  # initialize has begun
        engine.send("stop")
        engine.send("unknown message")
    reply = engine.receive()
    if reply["type"] == "ready":  # the stop came a moment later than the end of initialize
        reply = engine.receive()
    assert reply["type"] == "stopped"
    assert engine.process.wait() == 0
    assert engine.receive()["log"] == b"closed\n"


def test_run_in_a_thread_of_the_script(engine: ScriptedEngine, write: Write) -> None:
    entry = write("""
        import allspark, threading
        class P(allspark.BaseProcessor):
            def process(self, data):
                return data, 0
        if __name__ == "__main__":
            p = P()
            threading.Thread(target=lambda: p.run()).start()
    """)
    engine.serve(entry)
    assert engine.call("x")["body"] == "x"
    assert engine.stop() == 0


def test_exit_status_of_a_script_after_run(engine: ScriptedEngine, write: Write) -> None:
    entry = write(ALLSPARK + "        raise SystemExit(7)\n")
    engine.serve(entry)
    assert engine.stop() == 7


def test_exception_in_close_is_shown(engine: ScriptedEngine, write: Write) -> None:
    entry = write(NATIVE.replace('print("closed")', "1 / 0"))
    engine.serve(entry)
    assert engine.stop() == 1
    assert b"ZeroDivisionError" in engine.receive()["log"]


def test_the_end_of_the_control_socket_kills_the_group(engine: ScriptedEngine, write: Write) -> None:
    engine.serve(write(NATIVE))
    engine.hang_up()
    assert engine.process.wait() == -signal.SIGKILL


def test_the_end_of_the_lifeline_kills_children_too(
    engine: ScriptedEngine, write: Write, tmp_path: Path
) -> None:
    """The control thread doesn't get to run: the processor holds the GIL for good."""
    child = tmp_path / "child"
    os.mkfifo(child)
    entry = write(f"""
        import os, eas_sdk
        class P(eas_sdk.Processor):
            def process(self, request):
                if os.fork() == 0:
                    alive = open({str(child)!r}, "w")
                    alive.write("x")
                    alive.flush()
                    sum(range(10**15))
                sum(range(10**15))
    """)
    engine.serve(entry)
    engine._link.sendall(b'{"body": "", "head": ""}\n')
    with child.open() as alive:
        assert alive.read(1) == "x"
        engine.lifeline.close()
        assert engine.process.wait() == -signal.SIGKILL
        assert alive.read() == ""  # the end: nobody holds it open any more


def test_ctrl_c_of_a_terminal_is_not_for_the_host(engine: ScriptedEngine, write: Write) -> None:
    engine.serve(write(NATIVE))
    os.kill(engine.process.pid, signal.SIGINT)
    assert engine.call("abc")["body"] == "ABC"


def test_the_processors_own_sigterm_handler_runs(engine: ScriptedEngine, write: Write) -> None:
    entry = write("""
        import allspark, signal, os
        class P(allspark.BaseProcessor):
            def process(self, data):
                return data, 0
        def leave(number, frame):
            os.write(1, b"bye")
            os._exit(5)
        if __name__ == "__main__":
            signal.signal(signal.SIGTERM, leave)
            P().run()
    """)
    engine.serve(entry)
    os.kill(engine.process.pid, signal.SIGTERM)
    assert engine.process.wait() == 5
