"""Clients that ask on and on over keep-alive connections, each answer being checked."""

from __future__ import annotations

import threading
from collections import Counter
from types import TracebackType
from typing import Self

from support.client import ConnectionEnded
from support.engine import Engine

_KEPT = 10  # descriptions of what went wrong


class KeepAlive:
    """So many connections until the end of the context.

    ``answers`` are counted by version; ``wrong`` are those that must not be.
    """

    def __init__(self, engine: Engine, clients: int = 4) -> None:
        self._engine = engine
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(clients)]
        self.answers: Counter[str] = Counter()
        self.wrong: list[str] = []

    @property
    def count(self) -> int:
        """Right answers so far."""
        with self._lock:
            return sum(self.answers.values())

    def since(self, version: str) -> int:
        """How many a version has given."""
        with self._lock:
            return self.answers[version]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int) -> None:
        with self._engine.connect() as client:
            turn = 0
            while not self._over.is_set():
                turn += 1
                body = f"{number}-{turn}"
                try:
                    answer = client.ask(body=body.encode())
                except (ConnectionEnded, OSError) as failed:
                    self._note(f"{body}: {failed!r}")
                    return
                version, _, echoed = answer.body.decode().partition(" ")
                if answer.status != 200 or echoed != body or answer.closes:
                    self._note(f"{body}: {answer.status} {answer.body!r} closes={answer.closes}")
                with self._lock:
                    self.answers[version] += 1

    def _note(self, what: str) -> None:
        with self._lock:
            if len(self.wrong) < _KEPT:
                self.wrong.append(what)
