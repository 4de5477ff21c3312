"""Settings and releases that change under real clients and real hosts, in one process with the test.

The plane, the entrance and a supervisor for each release are joined as ``service.py`` joins them, so that the
test can do what operators do before there is a command for it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from eas_engine import assembly
from eas_engine.batching.cut import Rules as BatchRules
from eas_engine.clock import SystemClock
from eas_engine.gateway.entrance import Entrance
from eas_engine.options import ServeOptions
from eas_engine.plane import Plane, PlaneSettings, Reports
from eas_engine.prepare import Parts, prepare
from eas_engine.supervisor.instance import Hooks
from eas_engine.supervisor.observe import FleetSnapshot
from eas_engine.supervisor.reconcile import Supervisor
from eas_engine.supervisor.release import Release, Strategy
from eas_engine.supervisor.settings import Batching
from eas_engine.telemetry.comparison import Comparison, ShadowComparison
from eas_engine.telemetry.logs import Logs, StderrLogs
from eas_engine.workers.lane import Beside, Canary, Shadow
from support.client import PATIENCE
from support.engine import TOKEN, service

ECHO = """
import os
import eas_sdk

class Echo(eas_sdk.Processor):
    def process(self, request):
        return os.environ["SAYS"].encode() + bytes(request.body)

    def process_batch(self, requests):
        most = self.batching.max_batch_size if self.batching is not None else 0
        return [b"%d of %d" % (len(requests), most) for _ in requests]
"""


class Served:
    """One service, its first release 0."""

    def __init__(self, parts: Parts, logs: Logs) -> None:
        self.parts, self.settings = parts, assembly.settings(parts.first, parts.sdk)
        self.plane: Plane = assembly.plane(parts, logs, SystemClock())
        self.plane.report_to(Reports(lambda _: None, lambda _name, _why: None))
        self.supervisors: dict[int, Supervisor] = {}
        self._fleets: dict[int, FleetSnapshot] = {}
        self._entrance = Entrance(parts.listener, self.plane.front, SystemClock())
        self._running: list[asyncio.Task[None]] = []
        self._changed = asyncio.Condition()

    async def open(self) -> None:
        await self._entrance.open()
        await self.start(0)

    async def start(self, release: int, says: str = "old ", *, batching: Batching | None = None) -> None:
        """One host of the release, ready."""
        settings = self.settings
        program = replace(settings.program, environment={**settings.program.environment, "SAYS": says})
        processor = replace(settings.processor, batching=batching or settings.processor.batching)
        own = replace(settings, service=f"release{release}", program=program, processor=processor)
        supervisor = self.supervisors[release] = Supervisor(
            Release(1, 1, own),
            lambda name, _: self.plane.channel(name, release),
            hooks=Hooks(on_change=lambda fleet: self._see(release, fleet)),
        )
        self._running.append(asyncio.ensure_future(supervisor.run()))
        await asyncio.wait_for(supervisor.wait_ready(), PATIENCE)

    async def stop(self, release: int) -> None:
        await self.supervisors[release].stop(PATIENCE)

    def _see(self, release: int, fleet: FleetSnapshot) -> None:
        self._fleets[release] = fleet
        together = tuple(one for seen in self._fleets.values() for one in seen.instances)
        first = self._fleets[0]
        self.plane.observe(replace(first, instances=together))

    async def close(self) -> None:
        for supervisor in self.supervisors.values():
            await supervisor.stop(0)
        await asyncio.gather(*self._running)
        self._entrance.close()
        await self.plane.close()

    def configure(self, change: Callable[[PlaneSettings], PlaneSettings]) -> None:
        self.plane.configure(change(self.plane.settings))

    async def connect(self) -> Talk:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.parts.port)
        return Talk(reader, writer)

    async def ask(self, body: bytes = b"", *, token: str = TOKEN) -> tuple[int, bytes]:
        talk = await self.connect()
        answer = await talk.ask(body, token=token)
        talk.close()
        return answer


class Talk:
    """A client that keeps its connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def ask(self, body: bytes = b"", *, token: str = TOKEN) -> tuple[int, bytes]:
        head = f"POST /api/predict/live HTTP/1.1\r\nHost: h\r\nAuthorization: {token}\r\n"
        self._writer.write(head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        found = await asyncio.wait_for(self._reader.readuntil(b"\r\n\r\n"), PATIENCE)
        status = int(found.split()[1])
        (length,) = (line for line in found.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        return status, await asyncio.wait_for(self._reader.readexactly(int(length.split()[1])), PATIENCE)

    def close(self) -> None:
        self._writer.close()


@asynccontextmanager
async def served(directory: Path, rpc: dict[str, object] | None = None) -> AsyncIterator[Served]:
    entry = directory / "echo.py"
    entry.write_text(ECHO)
    content = service("live", rpc, processor_entry=f"{entry}:Echo", environment={"SAYS": "old "})
    path = directory / "service.json"
    path.write_text(json.dumps(content))
    options = ServeOptions(
        config=path, host="127.0.0.1", port=0, state_dir=directory / "state", announce=False
    )
    async with AsyncExitStack() as stack:
        logs = stack.enter_context(StderrLogs(SystemClock(), "json"))
        parts = stack.enter_context(prepare(options, logs, 20_000))
        found = Served(parts, logs)
        stack.push_async_callback(found.close)
        await found.open()
        yield found


async def test_another_token_is_asked_for_on_connections_that_are_open(tmp_path: Path) -> None:
    async with served(tmp_path) as live:
        talk = await live.connect()
        assert await talk.ask(b"a") == (200, b"old a")
        live.configure(lambda now: replace(now, rules=replace(now.rules, token="another")))
        assert (await talk.ask(b"a"))[0] == 401
        assert await talk.ask(b"a", token="another") == (200, b"old a")
        live.configure(lambda now: replace(now, rules=replace(now.rules, token="")))
        assert await talk.ask(b"a", token="whatever") == (200, b"old a")
        assert [host.restarts for host in live.supervisors[0].snapshot().hosts] == [{}]
        talk.close()


async def test_other_batches_reach_a_host_that_is_running(tmp_path: Path) -> None:
    async with served(tmp_path, {"batching": True, "max_batch_size": 4, "worker_threads": 1}) as live:
        assert await live.ask() == (200, b"1 of 4")
        processor = replace(live.settings.processor, batching=Batching(9))
        live.supervisors[0].adjust(Release(0, 2, replace(live.settings, processor=processor)), Strategy())
        async with asyncio.timeout(PATIENCE):
            while await live.ask() != (200, b"1 of 9"):
                pass
        live.configure(lambda now: replace(now, limits=replace(now.limits, queue=0, batch=9)))
        assert live.plane.gate.capacity == 9


async def test_a_canary_gets_its_share_and_is_promoted_without_a_lost_request(tmp_path: Path) -> None:
    async with served(tmp_path) as live:
        live.plane.open_lane(1, Canary(0.1), None)
        await live.start(1, "new ")
        answers = [await live.ask(b"%d" % n) for n in range(1, 41)]
        assert answers == [(200, b"%b %d" % (b"old" if n % 10 else b"new", n)) for n in range(1, 41)]
        found = live.plane.comparison(1)
        assert isinstance(found, Comparison)
        assert (found.canary.requests, found.others.requests, found.canary.errors) == (4, 36, 0)
        asking = [asyncio.ensure_future(live.ask(b"x")) for _ in range(50)]
        live.plane.merge_lane(1)
        await live.stop(0)
        assert {status for status, _ in await asyncio.gather(*asking)} == {200}
        assert await live.ask(b"x") == (200, b"new x")


async def test_a_canary_that_is_killed_costs_what_it_had_begun(tmp_path: Path) -> None:
    async with served(tmp_path, {"retry_on_crash": True}) as live:
        live.plane.open_lane(1, Canary(1.0), None)
        await live.start(1, "new ")
        assert await live.ask(b"x") == (200, b"new x")
        await live.supervisors[1].stop(0)
        assert await live.ask(b"x") == (200, b"old x")
        live.plane.close_lane(1)


async def test_a_shadow_answers_nobody_and_is_compared(tmp_path: Path) -> None:
    async with served(tmp_path) as live:
        live.plane.open_lane(1, Shadow(0.5), None)
        await live.start(1, "odd ")
        answers = [await live.ask(bytes(300_000)) for _ in range(10)]
        assert answers == [(200, b"old " + bytes(300_000))] * 10
        async with asyncio.timeout(PATIENCE):
            while True:
                found = live.plane.comparison(1)
                assert isinstance(found, ShadowComparison)
                if found.different == 5:
                    break
                await asyncio.sleep(0.01)
        assert (found.copies, found.same, found.failed, found.skipped) == (5, 0, 0, 0)
        assert [one.offset for one in found.differences] == [1] * 5
        live.plane.merge_lane(1)
        await live.stop(0)
        assert await live.ask(b"x") == (200, b"odd x")


@pytest.mark.parametrize("batching", [True, False])
async def test_a_release_that_batches_otherwise_takes_over(tmp_path: Path, batching: bool) -> None:
    rpc: dict[str, object] = {"batching": batching, "max_batch_size": 4} if batching else {}
    async with served(tmp_path, rpc) as live:
        now = live.plane.settings
        rules = None if batching else BatchRules(4, 0.01, when_idle=True)
        live.plane.open_lane(1, Beside(), rules)
        if batching:
            live.settings = replace(live.settings, processor=replace(live.settings.processor, batching=None))
        await live.start(1, "new ", batching=None if batching else Batching(4))
        asking = [asyncio.ensure_future(live.ask(b"x")) for _ in range(50)]
        await live.stop(0)
        answers = await asyncio.gather(*asking)
        assert {status for status, _ in answers} == {200}
        assert await live.ask(b"x") == (200, b"new x" if batching else b"1 of 4")
        live.plane.configure(replace(now, batching=rules))
