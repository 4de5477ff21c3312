"""The bare loop that computes for a millisecond itself, as ``processors/spin`` does behind an engine."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import uvloop

from reference.echo import Echo
from reference.listening import BACKLOG, announce, listen

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "processors" / "spin"))

import spinning


class Spin(Echo):
    """Computes before it answers."""

    def on_message_complete(self) -> None:
        """Parser: the request is whole."""
        spinning.spin()
        super().on_message_complete()


async def main() -> None:
    """Serve until killed."""
    listener = listen()
    server = await asyncio.get_running_loop().create_server(Spin, sock=listener, backlog=BACKLOG)
    announce(listener)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
