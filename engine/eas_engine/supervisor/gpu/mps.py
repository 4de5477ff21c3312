"""NVIDIA's Multi-Process Service: one daemon for each card whose compute is shared by percent.

Engines share a card, so they share its daemon, or their percentages would be of different wholes: what MPS
servers of one card get of it is time in turn. ``<state root>/.mps/<card>/`` has the daemon's pipe and log
directories and two locks. ``users`` is held shared by every engine that needs the daemon; the kernel drops
that however the engine ends. ``turn`` is held while one starts or stops it. Who lets go last stops it; one
that a killed engine has left is used by the next, or stopped when an engine starts (``tidy``).

A slice of a card (MIG) has a daemon of its own, as the vendor's documentation wants it.

Everything waits for processes, so it is for a thread, one call at a time; ``pipe`` is for any.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Final

from eas_engine import private_files
from eas_engine.devices import VISIBLE
from eas_engine.errors import ConfigurationError

DIRECTORY: Final = ".mps"
"""In the state root; no service can be called so."""
_NAME: Final = 12
"""Characters of a UUID that name its directory: a socket's whole path has 107 at most."""
_LONGEST: Final = 107 - len("/control_privileged")
_PATIENCE: Final = 10.0
"""Seconds that a command of the daemon may take, and that another engine may take for its turn."""
_PAUSE: Final = 0.02
_PID: Final = "nvidia-cuda-mps-control.pid"
"""In the pipe directory, by the daemon."""
_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


class Mps:
    """The daemons, as one engine needs them.

    Args:
        control: the path of ``nvidia-cuda-mps-control``.
        root: of the state directories.
        warn: told what goes wrong: an event and its fields.
        environ: what the daemon's environment begins with.

    Attributes:
        on_death: called by ``pipe`` when a daemon that is needed has died; it should have ``renew`` called.
    """

    def __init__(
        self,
        control: str,
        root: Path,
        *,
        warn: Callable[..., None],
        environ: Mapping[str, str] | None = None,
        patience: float = _PATIENCE,
    ) -> None:
        self._control, self._warn, self._patience = control, warn, patience
        self._path = root.absolute() / DIRECTORY
        self._environ = dict(os.environ if environ is None else environ)
        self._held: dict[str, int] = {}  # descriptors of ``users``, by card
        self._why: dict[str, str] = {}
        self.on_death: Callable[[], object] = lambda: None

    def __repr__(self) -> str:
        return f"<Mps {', '.join(self._held) or 'for no card'}>"

    def pipe(self, uuid: str) -> Path | str:
        """The directory by which processes reach a card's daemon; text: why there is none."""
        if uuid in self._held:
            pipe = self._place(uuid) / "pipe"
            if not _has_died(pipe):
                return pipe
            self.on_death()
            return "its daemon has died; the next process of the instance will have another"
        return self._why.get(uuid, "nobody has asked for its daemon")

    def hold(self, cards: Collection[str]) -> None:
        """These cards' daemons are needed, and no others. Those that can't be had are told of, not raised."""
        for uuid in [one for one in self._held if one not in cards]:
            self._attempt(uuid, self._release)
        for uuid in cards:
            self._attempt(uuid, self._need)

    def renew(self) -> None:
        """Start those of the daemons that are needed and don't answer."""
        self.hold(tuple(self._held))

    def tidy(self) -> None:
        """Stop the daemons that nobody needs any more: engines that were killed have left them."""
        for place in sorted(self._path.glob("*/users")):
            name = place.parent.name
            if all(not uuid.startswith(name) for uuid in self._held):
                self._attempt(name, self._stop_unused)

    # -- one card

    def _attempt(self, uuid: str, action: Callable[[str], None]) -> None:
        try:
            action(uuid)
            self._why.pop(uuid, None)
        except (OSError, ConfigurationError, subprocess.SubprocessError) as error:
            self._why[uuid] = str(error)
            self._warn("mps", gpu=uuid, reason=str(error))

    def _need(self, uuid: str) -> None:
        place = self._place(uuid)
        if len(str(place / "pipe")) > _LONGEST:
            raise ConfigurationError(
                f"the path {place / 'pipe'} is too long for its sockets: shorten --state-dir"
            )
        for one in (self._path, place, place / "pipe", place / "log"):
            private_files.make_directory(one)
        with self._turn(place):
            if not self._answers(place):
                self._start(uuid, place)
            if uuid not in self._held:
                users = os.open(place / "users", _FLAGS, 0o600)
                fcntl.flock(users, fcntl.LOCK_SH | fcntl.LOCK_NB)
                self._held[uuid] = users

    def _release(self, uuid: str) -> None:
        users = self._held.pop(uuid)
        try:
            with self._turn(self._place(uuid)):
                self._stop_without(users, self._place(uuid))
        finally:
            os.close(users)

    def _stop_unused(self, name: str) -> None:
        place = self._path / name
        users = os.open(place / "users", _FLAGS, 0o600)
        try:
            with self._turn(place):
                self._stop_without(users, place)
        finally:
            os.close(users)

    def _stop_without(self, users: int, place: Path) -> None:
        """Stop it if nobody else needs it."""
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if self._answers(place):
                self._command(place, "quit -t 5")

    # -- the daemon

    def _answers(self, place: Path) -> bool:
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            return self._run(place, "get_server_list").returncode == 0
        return False

    def _start(self, uuid: str, place: Path) -> None:
        with tempfile.TemporaryFile() as said:  # not a pipe: the daemon would hold it open
            done = subprocess.run(
                [self._control, "-d"],
                env={**self._variables(place), VISIBLE: uuid},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                timeout=self._patience,
                start_new_session=True,
                check=False,
            )
            said.seek(0)
            words = said.read(1000).decode(errors="replace").strip()
        if done.returncode or not self._answers(place):
            raise ConfigurationError(f"{self._control} doesn't start: {words or f'exit {done.returncode}'}")

    def _command(self, place: Path, line: str) -> None:
        done = self._run(place, line)
        if done.returncode:
            raise ConfigurationError(f"{self._control} ({line}): exit {done.returncode}")

    def _run(self, place: Path, line: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [self._control],
            env=self._variables(place),
            input=line.encode() + b"\n",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=self._patience,
            check=False,
        )

    def _variables(self, place: Path) -> dict[str, str]:
        own = {"CUDA_MPS_PIPE_DIRECTORY": str(place / "pipe"), "CUDA_MPS_LOG_DIRECTORY": str(place / "log")}
        return {name: value for name, value in self._environ.items() if not name.startswith("CUDA_")} | own

    # -- places and turns

    def _place(self, uuid: str) -> Path:
        return self._path / uuid[:_NAME]

    @contextlib.contextmanager
    def _turn(self, place: Path) -> Iterator[None]:
        """Nobody else starts or stops it meanwhile."""
        turn = os.open(place / "turn", _FLAGS, 0o600)
        try:
            until = time.monotonic() + self._patience
            while True:
                try:
                    fcntl.flock(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > until:
                        raise ConfigurationError(f"another engine starts or stops MPS ({place})") from None
                    time.sleep(_PAUSE)
            yield
        finally:
            os.close(turn)


def _has_died(pipe: Path) -> bool:
    """Whether a daemon has said there which process it is, and that one is no more. Quick."""
    try:
        os.kill(int((pipe / _PID).read_text()), 0)
    except ProcessLookupError:
        return True
    except (OSError, ValueError, OverflowError):  # it hasn't said, or it is somebody else's
        return False
    return False
