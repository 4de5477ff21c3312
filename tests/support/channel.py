"""A data plane that only keeps books: implements ``eas_engine.supervisor.instance.Channel``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from eas_engine.errors import InstanceCrashed
from eas_engine.request import Held


class FakeChannel:
    """Records what it is told. ``busy()`` puts a request inside the host, ``done()`` takes it out.

    ``on_lost`` is called as its clients would be: with the answer that the host has died.
    """

    def __init__(self, host: str, release: int = 1, fds: tuple[int, ...] = ()) -> None:
        self.host = host
        self.release = release
        self.fds = fds
        self.calls: list[str] = []
        self.inside: list[Held] = []
        self.crash: InstanceCrashed | None = None
        self.on_lost: Callable[[], None] = lambda: None
        self._idle = asyncio.Event()
        self._idle.set()

    def __repr__(self) -> str:
        return f"<FakeChannel {self.host}: {' '.join(self.calls)}>"

    def busy(self) -> None:
        self._idle.clear()

    def done(self) -> None:
        self._idle.set()

    def describe(self) -> dict[str, object]:
        return {"fds": list(self.fds)}

    def started(self) -> None:
        self.calls.append("started")

    def open(self, threads: int) -> None:
        self.calls.append(f"open {threads}")

    def drain(self) -> None:
        if "drain" not in self.calls:
            self.calls.append("drain")

    def idle(self) -> bool:
        return self._idle.is_set()

    async def wait_idle(self) -> None:
        await self._idle.wait()

    def held(self, limit: int) -> list[Held]:
        left, copies = limit, []
        for one in self.inside:
            copies.append(one._replace(body=one.body[:left]))
            left = max(0, left - len(one.body))
        return copies

    def lost(self, crash: InstanceCrashed) -> None:
        self.crash = crash
        self.calls.append("lost")
        self._idle.set()
        self.on_lost()


class FakeChannels:
    """Makes them; ``latest(host)`` is the one of its present process."""

    def __init__(self) -> None:
        self.made: list[FakeChannel] = []

    def __call__(self, host: str, release: int) -> FakeChannel:
        channel = FakeChannel(host, release)
        self.made.append(channel)
        return channel

    def latest(self, host: str) -> FakeChannel:
        return next(channel for channel in reversed(self.made) if channel.host == host)

    def check_books(self) -> None:
        """Every channel was told ``started`` once, first, and ``lost`` once, last."""
        for channel in self.made:
            assert channel.calls[0] == "started", channel
            assert channel.calls[-1] == "lost", channel
            assert channel.calls.count("started") == channel.calls.count("lost") == 1, channel
