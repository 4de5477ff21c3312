"""The supervisor's part of warm-up, stuck hosts and crashes that are kept, over fake hosts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eas_engine.errors import ProcessorError
from eas_engine.request import Held
from eas_engine.supervisor.causes import DUMP_SIGNAL
from eas_engine.supervisor.host import DUMP_SECONDS, OVERTIME
from eas_engine.supervisor.instance import Hooks
from eas_engine.supervisor.launch import Program
from eas_engine.supervisor.observe import Crash, HostSnapshot
from eas_engine.supervisor.reconcile import Supervisor
from eas_engine.supervisor.release import Release
from eas_engine.supervisor.scene import Scenes
from eas_engine.supervisor.settings import Processor, Settings
from support.channel import FakeChannels
from support.clock import FakeClock, settle
from support.hosts import FakeHost, FakeHosts


class World:
    """A supervisor, its hosts, and where it keeps crashes."""

    def __init__(self, directory: Path, **more: Any) -> None:
        wanted = Settings("s", Program("python", Path("/")), Processor("/p/app.py"))
        self.clock = FakeClock()
        self.hosts = FakeHosts()
        self.channels = FakeChannels()
        self.warned: list[str] = []
        self.scenes = Scenes(directory / "crashes", "0.1.0")
        self.changed = asyncio.Event()
        self.supervisor = Supervisor(
            Release(1, 1, replace(wanted, **more)),
            self.channels,
            clock=self.clock,
            execute=self.hosts,
            hooks=Hooks(
                warn=lambda event, **_fields: self.warned.append(event),
                on_change=lambda _fleet: self.changed.set(),
            ),
            scenes=self.scenes,
        )
        self.running: asyncio.Task[None]

    @property
    def host(self) -> HostSnapshot:
        return self.supervisor.snapshot().hosts[0]

    @property
    def crash(self) -> Crash:
        assert self.host.last_crash is not None
        return self.host.last_crash

    async def up(self) -> None:
        self.hosts.last.hello()
        self.hosts.last.ready()
        await settle()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for what a thread does."""
        while not condition():
            self.changed.clear()
            await self.changed.wait()


@pytest.fixture
def starting(tmp_path: Path) -> Callable[..., Any]:
    @asynccontextmanager
    async def start(**more: Any) -> AsyncIterator[World]:
        world = World(tmp_path, **more)
        world.running = asyncio.ensure_future(world.supervisor.run())
        await settle()
        yield world
        world.running.cancel()
        await asyncio.gather(world.running, return_exceptions=True)
        assert world.hosts.alive == []
        world.channels.check_books()

    return start


async def test_three_failed_warm_ups_end_an_engine_in_which_nothing_was_ever_ready(starting: Any) -> None:
    async with starting() as world:
        for _ in range(3):
            world.hosts.last.hello()
            world.hosts.last.failed("warm_up", "a.bin, try 1 of 5: answered 500: no")
            assert world.host.refused is False
            world.hosts.last.exits(1)
            assert world.crash.kind == "warm_up"
            assert "warm-up: a.bin, try 1 of 5: answered 500: no" in world.host.reason
            await world.clock.advance(1)
        with pytest.raises(ProcessorError, match=r"failed to start 3 times in a row: warm-up: a\.bin"):
            await world.running


async def test_who_is_told_of_a_crash_finds_it_in_the_status(starting: Any) -> None:
    """The pages of 9090 are made by another thread, which may look at any moment."""
    seen: list[tuple[str, str]] = []
    async with starting() as world:
        await world.up()
        world.channels.made[-1].on_lost = lambda: seen.append((world.host.state.name, world.crash.kind))
        world.hosts.last.exits(-9)
    assert seen == [("CRASHED", "killed")]


async def test_a_call_of_the_warm_up_that_only_sigkill_ends(starting: Any) -> None:
    """The interpreter's lock is held: the host can't give up, so the engine does, with the stacks."""
    async with starting() as world:
        host = world.hosts.last
        host.hello()
        host.warms(10.0)
        assert "is warmed up" in world.host.reason
        await world.clock.advance(5)
        host.warms(10.0)
        await world.clock.advance(10 + OVERTIME - 1)
        assert host.signals == []
        await world.clock.advance(2)
        assert host.signals == ["DUMP"]
        assert host.said[-1] == "dump"
        await world.clock.advance(DUMP_SECONDS)
        assert not host.alive
        assert world.crash.kind == "warm_up"
        assert "interpreter's lock" in world.crash.cause


async def test_a_warm_up_in_time_has_no_end_to_wait_for(starting: Any) -> None:
    async with starting() as world:
        world.hosts.last.hello()
        world.hosts.last.warms(1.0)
        world.hosts.last.ready()
        await world.clock.advance(86_400)
        assert world.host.state.value == "ready"
        assert world.clock.sleepers == 0


async def test_warming_out_of_turn_breaks_the_protocol(starting: Any) -> None:
    async with starting() as world:
        world.hosts.last.warms(1.0)
        await settle()
        assert world.crash.kind == "control"


async def test_the_stacks_come_before_the_kill_and_only_as_long_as_they_take(starting: Any) -> None:
    async with starting() as world:
        await world.up()
        host = world.hosts.last
        host.handling = True
        world.supervisor.stuck("s-0")
        await world.clock.advance(1)
        assert (host.signals, host.said[-1]) == (["DUMP"], "dump")
        host.dumped()
        await world.clock.advance(1)
        assert host.alive, "the signal is still at work"
        host.handling = False
        await world.clock.advance(0.1)
        assert host.signals == ["DUMP", "KILL"]
        assert world.crash.kind == "stuck"
        assert "stacks_of_all_threads" in world.warned


async def test_a_host_that_does_not_know_the_dump_signal_was_stuck_all_the_same(starting: Any) -> None:
    async with starting() as world:
        await world.up()
        world.supervisor.stuck("s-0")
        await settle()
        world.hosts.last.exits(-DUMP_SIGNAL)
        assert world.crash.kind == "stuck"
        await world.up()


def starved(host: FakeHost) -> None:
    host.oom = 1
    host.exits(-9)


@pytest.mark.parametrize(
    ("die", "code"),
    [
        (lambda host: host.exits(-11), "instance_crashed"),
        (lambda host: host.exits(3), "instance_exited"),
        (starved, "instance_out_of_memory"),
        (
            lambda host: (host.prints("terminate called without an active exception"), host.exits(-6)),
            "instance_cpp_exception",
        ),
    ],
)
async def test_the_data_plane_hears_what_it_died_of(starting: Any, die: Any, code: str) -> None:
    async with starting() as world:
        await world.up()
        channel = world.channels.latest("s-0")
        die(world.hosts.last)
        assert channel.crash.code == code
        assert str(channel.crash).endswith(world.crash.cause)


async def test_a_crash_that_is_kept_until_it_is_cleared(starting: Any) -> None:
    async with starting(crash_block=True, threads=1) as world:
        await world.up()
        world.channels.latest("s-0").inside = [
            Held(1, b"POST / HTTP/1.1\r\n\r\n", b"body", 4, begun=True, age=1.0)
        ]
        world.hosts.last.prints("last words")
        world.hosts.last.exits(-11)
        await settle()
        assert world.host.state.value == "blocked"
        assert world.supervisor.snapshot().admitting_or_starting_count == 0
        await world.until(lambda: world.crash.scene)
        place = Path(world.crash.scene)
        record = json.loads((place / "crash.json").read_text())
        assert (record["instance"], record["cause"]["kind"], record["pid"]) == ("s-0", "signal", 101)
        assert (place / "in-flight" / "0001.body").read_bytes() == b"body"
        assert (place / "log.txt").read_text() == "last words\n"
        await world.clock.advance(3600)
        assert len(world.hosts.made) == 1

        assert await world.supervisor.clear("another") == []
        assert await world.supervisor.clear(place.name) == ["s-0"]
        await settle()
        assert world.crash.scene == ""
        assert world.host.state.value == "starting"
        assert world.host.restarts == {"signal": 1}
        await world.up()
        assert await world.supervisor.clear() == []


async def test_a_crash_that_can_not_be_kept_blocks_and_can_be_cleared(starting: Any, tmp_path: Path) -> None:
    (tmp_path / "crashes").write_text("in the way")
    async with starting(crash_block=True) as world:
        await world.up()
        world.hosts.last.exits(-11)
        await world.until(lambda: "crash_not_kept" in world.warned and world.host.state.value == "blocked")
        assert await world.supervisor.clear() == ["s-0"]
        await world.up()


async def test_clearing_waits_until_the_crash_is_kept(starting: Any) -> None:
    async with starting(crash_block=True) as world:
        await world.up()
        world.hosts.last.exits(-11)
        await world.until(lambda: world.host.state.value == "blocked")
        assert await world.supervisor.clear() == ["s-0"]
        assert len(list(world.scenes.root.iterdir())) == 1
        await world.up()


@pytest.mark.parametrize("stage", ["warm_up", "initialize"])
async def test_a_start_that_fails_is_no_crash_to_keep(starting: Any, stage: str) -> None:
    async with starting(crash_block=True) as world:
        await world.up()
        world.hosts.last.exits(-11)
        await settle()
        await world.supervisor.clear()
        await settle()
        world.hosts.last.hello()
        world.hosts.last.failed(stage, "no")
        world.hosts.last.exits(1)
        await world.clock.advance(60)
        assert world.host.state.value == "starting"
        await world.up()


async def test_leaving_is_no_crash_to_keep(starting: Any) -> None:
    async with starting(crash_block=True) as world:
        await world.up()
        world.channels.latest("s-0").busy()
        stopping = asyncio.ensure_future(world.supervisor.stop(1))
        await world.clock.advance(1.1)
        await stopping
        assert world.channels.latest("s-0").crash.code == "instance_stopped"
        assert not world.scenes.root.exists()


async def test_the_traceback_of_a_failed_start_is_told_once(starting: Any) -> None:
    async with starting() as world:
        host = world.hosts.last
        host.hello()
        for line in ("loading", "Traceback ...", "goodbye"):
            host.prints(line)
        host.failed("initialize", "no such file")  # its traceback is the line `Traceback ...`
        host.exits(1)
        with pytest.raises(ProcessorError) as raised:
            await world.running
        assert "  loading\n  goodbye" in str(raised.value)
        assert "Traceback" not in str(raised.value)
