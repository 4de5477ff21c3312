"""What is known of a peer, and of how it is started."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from eas_bench import places


def as_it_is(body: bytes) -> bytes:
    """For peers that take bytes and give bytes."""
    return body


@dataclass(frozen=True, slots=True)
class Environment:
    """A peer's installation: a virtual environment."""

    directory: Path
    versions: Mapping[str, str]  # of everything in it, by normalised name

    def program(self, name: str) -> str:
        """The path of one of its commands."""
        return str(self.directory / "bin" / name)

    @property
    def packages(self) -> Path:
        """Where its packages lie."""
        return next((self.directory / "lib").glob("python3.*")) / "site-packages"

    @property
    def interpreter(self) -> Path:
        """The installation of Python that it was made from."""
        lines = (self.directory / "pyvenv.cfg").read_text().splitlines()
        fields = dict(line.split(" = ", 1) for line in lines if " = " in line)
        return Path(fields["home"]).parent


@dataclass(frozen=True, slots=True)
class Place:
    """Where a peer is to serve what."""

    work: str  # see benchmarks/peers/work.py
    port: int
    directory: Path  # of its own, empty
    environment: Environment

    def adapter(self, peer: str, name: str = "") -> str:
        """A file of ours for it, or their folder."""
        return str(places.BENCHMARKS / "peers" / peer / name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """How a server is started and asked."""

    command: tuple[str, ...]
    path: str
    health: str | None = None  # GET on the same port
    headers: tuple[str, ...] = ("Content-Type: application/octet-stream",)
    environment: Mapping[str, str] = field(default_factory=dict)
    encode: Callable[[bytes], bytes] = as_it_is  # what is to be sent for a body
    decode: Callable[[bytes], bytes] = as_it_is  # what an answer's body says. Errors: ValueError, LookupError


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One server."""

    name: str
    title: str
    package: str  # whose version is told
    start: Callable[[Place], Start]
    settings: str  # that differ from its own defaults, for the documentation
    lacks: str  # what it can't do, for the documentation
    requirements: str = ""  # of benchmarks/peers/requirements/, where the name isn't its own
    near: bool = False  # a bar is held against it: it is measured in the smaller group, for longer
    restless: bool = False  # it uses the core without requests, too: nobody shares its rounds
    warm: float = 1.0  # seconds of load before the first counted run
    variant_of: str = ""  # the peer that it is another setting of: measured when asked for by name
    always: bool = False  # but this one with the rest: the server that it is a setting of does less without
    only: tuple[str, ...] = ()  # scenarios in which a variant differs at all

    @property
    def installation(self) -> str:
        """The name of its environment and of its requirements."""
        return self.requirements or self.name
