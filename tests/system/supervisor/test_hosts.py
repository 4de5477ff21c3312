"""Hosts as real processes that crash, hang, fork, flood and lie."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from eas_engine.errors import ProcessorError
from eas_engine.supervisor.causes import Condemned
from eas_engine.supervisor.control import Failed
from eas_engine.supervisor.launch import ExitWatch, Program, Running, execute
from eas_engine.supervisor.lifecycle import State
from eas_engine.supervisor.settings import Processor, Settings
from eas_engine.supervisor.usage import usage
from support.clock import FakeClock
from support.scripted import (
    HELLO,
    LOAD,
    READY,
    STOP,
    STOPPED,
    UP,
    Fleet,
    group,
    is_alive,
    running,
    settings,
    until_gone,
)


async def test_from_start_to_a_clean_stop(tmp_path: Path) -> None:
    script = [*UP, STOP, ["print", "closing\n"], STOPPED, ["exit", 0]]
    async with running(settings(tmp_path, *script)) as fleet:
        await fleet.supervisor.wait_ready()
        assert fleet.host.threads == 2
        await fleet.supervisor.stop(60)
        await fleet.running
        assert fleet.lines == ["closing"]
        assert fleet.channels.made[0].calls == ["started", "open 2", "drain", "lost"]


PHASES: dict[str, tuple[list[list[Any]], str]] = {
    "starting": ([["forever", 0]], "starting"),
    "warming": ([HELLO, LOAD, ["forever", 0]], "warming"),
    "ready": ([*UP, ["forever", 0]], "ready"),
}


@pytest.mark.parametrize("phase", PHASES)
async def test_kill_9_in_each_phase_starts_another(tmp_path: Path, phase: str) -> None:
    script, state = PHASES[phase]
    async with running(settings(tmp_path, *script)) as fleet:
        first = (await fleet.state(state)).pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        crash = await fleet.crash()
        assert (crash.cause, crash.state) == ("signal 9 (SIGKILL), not from the engine", State(state))
        second = await fleet.state(state, pid_not=first)
        assert second.restarts == {"killed": 1}
        assert not is_alive(first)


async def test_kill_9_while_draining_is_no_crash(tmp_path: Path) -> None:
    async with running(settings(tmp_path, *UP, ["forever", 0])) as fleet:
        pid = (await fleet.state("ready")).pid
        assert pid is not None
        fleet.channels.latest("s-0").busy()
        stopping = asyncio.ensure_future(fleet.supervisor.stop(600))
        await fleet.state("draining")
        os.kill(pid, signal.SIGKILL)
        await stopping
        await fleet.running
        assert len(fleet.channels.made) == 1


@pytest.mark.parametrize(
    ("step", "cause"),
    [
        (["exit", 0], "exit 0"),
        (["exit", 3], "exit 3"),
        (["signal", int(signal.SIGSEGV)], "signal 11 (SIGSEGV)"),
        (["signal", int(signal.SIGTERM)], "signal 15 (SIGTERM)"),
    ],
)
async def test_whoever_leaves_unasked_while_ready_has_crashed(
    tmp_path: Path, step: list[Any], cause: str
) -> None:
    async with running(settings(tmp_path, *UP, ["print", "last words"], step)) as fleet:
        crash = await fleet.crash()
        assert crash.cause == cause
        assert crash.lines == ("last words",)


async def test_death_is_seen_though_a_child_holds_every_descriptor_and_the_child_is_ended(
    tmp_path: Path,
) -> None:
    async with running(settings(tmp_path, *UP, ["fork", 0], ["print", "forked\n"], ["forever", 0])) as fleet:
        leader = (await fleet.state("ready")).pid
        assert leader is not None
        await fleet.line("forked")
        members = group(leader)
        assert len(members) == 2
        os.kill(leader, signal.SIGKILL)
        assert (await fleet.crash()).cause == "signal 9 (SIGKILL), not from the engine"
        await until_gone(members)


async def test_a_clean_stop_ends_the_children_too(tmp_path: Path) -> None:
    script = [["fork", 0], *UP, STOP, ["exit", 0]]
    async with running(settings(tmp_path, *script)) as fleet:
        leader = (await fleet.state("ready")).pid
        assert leader is not None
        members = group(leader)
        assert len(members) == 2
        await fleet.supervisor.stop(600)
        await until_gone(members)


async def test_a_flood_of_output_is_complete_and_holds_nobody_up(tmp_path: Path) -> None:
    async with running(
        settings(tmp_path, ["flood", 6000], *UP, ["print", "done\n"], ["forever", 0])
    ) as fleet:
        await fleet.line("done")
        assert fleet.lines == [*(f"line {number}" for number in range(6000)), "done"]
        assert len(fleet.supervisor.last_lines("s-0")) == 100


async def test_output_without_an_end_of_line(tmp_path: Path) -> None:
    async with running(settings(tmp_path, *UP, ["print", "x" * 200_000], ["exit", 1])) as fleet:
        await fleet.crash()
        assert "".join(fleet.lines) == "x" * 200_000
        assert max(map(len, fleet.lines)) == 65_536


async def test_an_initialize_that_fails_ends_the_engine_with_its_last_lines(tmp_path: Path) -> None:
    failed = [
        "say",
        {"type": "failed", "stage": "initialize", "message": "OSError: no", "traceback": "Trace"},
    ]
    fleet = Fleet(settings(tmp_path, HELLO, LOAD, ["print", "looking for it\n"], failed, ["exit", 1]))
    with pytest.raises(
        ProcessorError, match=r"s-0 failed to start: initialize: OSError: no\n.*\n  looking for"
    ):
        await fleet.supervisor.run()
    fleet.channels.check_books()


class Notes:
    """Implements ``launch.Listener``."""

    def __init__(self) -> None:
        self.heard: list[object] = []

    def on_message(self, message: object) -> None:
        self.heard.append(message)

    def on_control_end(self, why: str) -> None:
        self.heard.append(why)

    def on_line(self, stream: str, line: str) -> None:
        self.heard.append((stream, line))

    def on_over_limit(self, why: Condemned) -> None:
        self.heard.append(why)

    def on_exit(self, status: int) -> None:
        self.heard.append(status)


async def test_the_last_words_of_a_host_come_before_the_news_of_its_death(tmp_path: Path) -> None:
    script: list[list[Any]] = [
        ["print", "oh"],
        ["say", {"type": "failed", "stage": "s", "message": "m"}],
        ["exit", 1],
    ]
    wanted = settings(tmp_path, *script)
    notes = Notes()
    host = execute(wanted.program, (), notes)
    host.send({"type": "start", "model_config": wanted.processor.model_config})
    os.waitid(os.P_PID, host.pid, os.WEXITED | os.WNOWAIT)  # noqa: ASYNC222 - the loop stands still until it is dead
    assert notes.heard == []
    host.end()
    assert notes.heard == [Failed("s", "m"), ("stdout", "oh"), 1]
    host.end()
    assert len(notes.heard) == 3


async def test_three_crashes_before_the_first_ready_end_the_engine(tmp_path: Path) -> None:
    fleet = Fleet(settings(tmp_path, ["print", "boom\n"], ["exit", 9]))
    with pytest.raises(ProcessorError, match=r"3 times in a row: exit 9\n.*\n  boom"):
        await fleet.supervisor.run()
    assert fleet.lines == ["boom"] * 3


@pytest.mark.parametrize(
    ("interpreter", "words"), [("/no/such/python", "No such file"), (__file__, "denied")]
)
async def test_an_interpreter_that_is_none(tmp_path: Path, interpreter: str, words: str) -> None:
    wanted = Settings("s", Program(interpreter, tmp_path), Processor("app.py"))
    fleet = Fleet(wanted)
    with pytest.raises(ProcessorError, match=f"could not be executed: .*{words}"):
        await fleet.supervisor.run()
    fleet.channels.check_books()


async def test_a_host_that_never_says_hello_is_stopped_at_once(tmp_path: Path) -> None:
    async with running(settings(tmp_path, ["ignore SIGTERM", 0], ["forever", 0])) as fleet:
        pid = (await fleet.state("starting")).pid
        assert pid is not None
        await fleet.supervisor.stop(600)
        await fleet.running
        assert not is_alive(pid)


async def test_stop_in_the_very_moment_of_the_start(tmp_path: Path) -> None:
    fleet = Fleet(settings(tmp_path, *UP, ["forever", 0]), instances=3)
    fleet.running = asyncio.ensure_future(fleet.supervisor.run())
    await asyncio.sleep(0)
    await fleet.supervisor.stop(600)
    await fleet.running
    assert psutil.Process().children() == []


async def test_whoever_outstays_the_grace_period_is_killed(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running(settings(tmp_path, *UP, STOP, ["forever", 0]), clock) as fleet:
        pid = (await fleet.state("ready")).pid
        assert pid is not None
        stopping = asyncio.ensure_future(fleet.supervisor.stop(30))
        await clock.advance(29.9)
        assert is_alive(pid)
        await clock.advance(0.2)
        await stopping
        assert not is_alive(pid)


async def test_sigterm_reaches_the_main_process_when_it_is_wanted(tmp_path: Path) -> None:
    script = [["on SIGTERM exit", 0], *UP, ["forever", 0]]
    async with running(settings(tmp_path, *script, enable_sigterm=True)) as fleet:
        await fleet.state("ready")
        fleet.channels.latest("s-0").busy()
        await fleet.supervisor.stop(600)
        await fleet.running
        assert len(fleet.channels.made) == 1


async def test_a_stuck_host_is_replaced(tmp_path: Path) -> None:
    async with running(settings(tmp_path, *UP, ["forever", 0])) as fleet:
        pid = (await fleet.state("ready")).pid
        fleet.supervisor.stuck("s-0")
        assert (await fleet.crash()).kind == "stuck"
        await fleet.state("ready", pid_not=pid)


@pytest.mark.parametrize(
    ("step", "cause"),
    [
        (["hang up", 0], "closed its control socket"),
        (["say", {"type": "dance"}], "not a message of a host"),
        (READY, "'ready' in state 'ready'"),
    ],
)
async def test_a_host_that_breaks_the_conversation_is_ended(
    tmp_path: Path, step: list[Any], cause: str
) -> None:
    async with running(settings(tmp_path, *UP, step, ["forever", 0])) as fleet:
        assert cause in (await fleet.crash()).cause


async def test_what_a_host_inherits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSS_ACCESS_KEY_SECRET", "secret")
    monkeypatch.setenv("EAS_PORT", "8080")
    script = [["environment", 0], ["fds", 0], *UP, ["forever", 0]]
    wanted = settings(tmp_path, *script, environment={"MODEL_SIZE": "large"})
    async with running(wanted) as fleet:
        await fleet.state("ready")
        environment, fds = json.loads(fleet.lines[0]), json.loads(fleet.lines[1])
        assert environment["MODEL_SIZE"] == "large"
        assert not {name for name in environment if name.startswith(("OSS_", "EAS_"))}
        assert environment["PATH"] == os.environ["PATH"]
        assert len(fds) == 6  # stdin, stdout, stderr, control, lifeline, and the listing itself
        pid = fleet.host.pid
        assert pid is not None
        assert os.getsid(pid) == os.getpgid(pid) == pid
        assert psutil.Process(pid).cwd() == str(tmp_path)


async def test_usage_counts_the_children(tmp_path: Path) -> None:
    async with running(settings(tmp_path, ["fork", 0], *UP, ["forever", 0])) as fleet:
        pid = (await fleet.state("ready")).pid
        assert pid is not None
        seen = await asyncio.to_thread(usage, pid)
        assert seen is not None
        assert seen.processes == 2
        assert seen.memory_bytes > 1_000_000
        assert seen.cpu_seconds > 0
    assert usage(pid) is None


async def test_exit_is_seen_without_a_pidfd_and_left_to_be_reaped() -> None:
    def absent(pid: int) -> int:
        raise OSError

    child = await asyncio.to_thread(os.posix_spawn, sys.executable, [sys.executable, "-c", ""], os.environ)
    seen = asyncio.Event()
    watch = ExitWatch(child, seen.set, pidfd_open=absent)
    await seen.wait()
    watch.close()
    assert await asyncio.to_thread(os.waitpid, child, os.WNOHANG) == (child, 0)


ENGINE = """
import asyncio, json, sys
from pathlib import Path
import uvloop
from support.scripted import Fleet, settings

async def main():
    fleet = Fleet(settings(Path(sys.argv[1]), *json.loads(sys.argv[2])))
    fleet.running = asyncio.ensure_future(fleet.supervisor.run())
    await fleet.supervisor.wait_ready()
    print(fleet.host.pid, flush=True)
    await fleet.running

uvloop.run(main())
"""


@pytest.mark.parametrize(
    "script",
    [
        [["die with the engine", 0], *UP, ["forever", 0]],
        [*UP, ["hear", "stop"]],
        [["die with the engine", 0], ["fork", 0], *UP, ["forever", 0]],
    ],
    ids=["lifeline", "end of control", "lifeline and a child"],
)
async def test_nobody_outlives_an_engine_that_is_killed(tmp_path: Path, script: list[Any]) -> None:
    engine = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", ENGINE, str(tmp_path), json.dumps(script)),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert engine.stdout is not None
    await engine.stdout.readline()
    everyone = [child.pid for child in psutil.Process(engine.pid).children(recursive=True)]
    assert everyone  # the host, perhaps a child
    engine.kill()
    await engine.wait()
    await until_gone(everyone)


def descriptors_open() -> list[str]:
    return sorted(entry.name for entry in Path("/proc/self/fd").iterdir())


class Deaf:
    """A listener that only remembers the exit status."""

    status: int | None = None

    def on_message(self, message: object) -> None: ...

    def on_control_end(self, why: str) -> None: ...

    def on_line(self, stream: str, line: str) -> None: ...

    def on_over_limit(self, why: Condemned) -> None: ...

    def on_exit(self, status: int) -> None:
        self.status = status


def execute_with(descriptors: int, program: Program, listener: Deaf) -> Running | OSError:
    """Execute a host while this process may have only so many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, hard))
    try:
        return execute(program, (), listener)
    except OSError as error:
        return error
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_host_that_lacks_a_descriptor_is_not_executed(tmp_path: Path) -> None:
    """The pipes were duplicated when it ran already: where that failed, it ran on and nobody watched it."""
    (tmp_path / "eas_host.py").write_text("import time\ntime.sleep(3600)\n")
    before = descriptors_open()
    listener, lacking = Deaf(), 0
    for descriptors in range(len(before), len(before) + 60):
        host = execute_with(descriptors, Program(sys.executable, tmp_path), listener)
        if not isinstance(host, OSError):
            host.end()
            break
        lacking += 1
        assert host.errno == errno.EMFILE
        assert psutil.Process().children() == []
        assert descriptors_open() == before
    assert listener.status == -signal.SIGKILL
    assert lacking > 4
    assert descriptors_open() == before
