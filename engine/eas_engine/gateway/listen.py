"""Listening sockets, and the descriptors for who comes."""

from __future__ import annotations

import errno
import resource
import socket

from eas_engine.errors import ConfigurationError
from eas_engine.gateway.room import fewest_descriptors

BACKLOG = 4096
"""Connections that wait to be accepted; the kernel cuts it to ``net.core.somaxconn``.

Give it to the loop, too: it calls ``listen`` once more, with 100 unless told.
"""


def listen(host: str, port: int, *, option: str = "", instead: str = "") -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Args:
        host: address or name of this machine.
        port: 0 to 65535.
        option: which flags were meant: ``""`` for --host and --port, ``"admin-"`` for --admin-host ...
        instead: how to choose another port for who has no such flag.

    Raises:
        ConfigurationError: the address can't be had, with what to do.
    """
    if not 0 <= port <= 65535:  # getaddrinfo would wrap it round
        raise ConfigurationError(f"--{option}port {port}: not a port (0 to 65535)")
    name = host.encode() if host.isascii() else host  # of text Python asks IDNA, whose tables take 300 KB
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        raise ConfigurationError(f"--{option}host {host}: not an address of this machine ({error})") from None
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigurationError(_refused(host, port, instead or f"--{option}port", error)) from None
    listener.setblocking(False)
    return listener


def raise_descriptor_limit() -> int:
    """Every connection is a descriptor: take as many as the system allows. The limit that is in force now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard if hard != resource.RLIM_INFINITY else 1 << 30


def check_descriptors(limit: int, hosts: int) -> None:
    """Whether `limit` open files are enough for a service with so many hosts.

    Raises:
        ConfigurationError: they aren't; it says how many are needed.
    """
    needed = fewest_descriptors(hosts)
    if limit < needed:
        raise ConfigurationError(
            f"this process may open {limit} files at once (ulimit -n); "
            f"a service with {hosts} instance{'s' * (hosts != 1)} needs at least {needed}"
        )


def _refused(host: str, port: int, how: str, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is taken by another program; choose another with {how} (0: any free)"
    if error.errno == errno.EACCES:
        return f"port {port} needs privileges; choose one above 1023 with {how}"
    return f"can't listen on {host} port {port}: {error.strerror}"
