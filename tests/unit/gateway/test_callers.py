"""``networking.disable_internet_endpoint``: who may call, and what others are told.

Every address of this machine's own is allowed, so those that aren't are told by a transport of the test's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_engine.gateway.callers import is_ours
from eas_engine.gateway.front import Rules
from support.parts import Parts
from support.transport import PATH, START, Browser, next_call, only, post

CLOSED = Rules("digits", "", 1 << 20, local_only=True)
OPEN = replace(CLOSED, local_only=False)
HERE, AWAY = ("127.0.0.1", 4711), ("192.0.2.7", 4711)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.9.9.9",
        "10.0.0.1",
        "10.255.255.255",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.0.1",
        "169.254.1.1",
        "::1",
        "fc00::1",
        "fdff:ffff::1",
        "fe80::1",
        "fe80::1%eth0",
        "febf::1",
        "::ffff:127.0.0.1",
        "::ffff:10.1.2.3",
    ],
)
def test_ours_are_loopback_private_and_link_local(host: str) -> None:
    assert is_ours((host, 1))
    assert is_ours((host, 1, 0, 2))


@pytest.mark.parametrize(
    "host",
    [
        "8.8.8.8",
        "11.0.0.1",
        "172.15.255.255",
        "172.32.0.1",
        "192.167.255.255",
        "192.169.0.1",
        "169.253.0.1",
        "100.64.0.1",
        "192.0.2.7",
        "2001:db8::1",
        "fec0::1",
        "fbff::1",
        "::ffff:8.8.8.8",
        "::ffff:172.32.0.1",
        "64:ff9b::a00:1",
        "::",
        "0.0.0.0",
        "localhost",
        "",
    ],
)
def test_others_are_not(host: str) -> None:
    assert not is_ours((host, 1))


@pytest.mark.parametrize("peer", [None, (), "", b"", 7])
def test_an_address_that_cannot_be_told_is_not(peer: object) -> None:
    assert not is_ours(peer)


@given(st.ip_addresses(v=4))
def test_an_address_and_its_mapped_form_are_judged_alike(address: IPv4Address) -> None:
    mapped = IPv6Address(int(ip_address("::ffff:0:0")) + int(address))
    assert is_ours((str(address), 1)) == is_ours((str(mapped), 1, 0, 0))


# -- what they are told


def test_a_caller_from_elsewhere_gets_403_before_its_body_is_read(make: Callable[..., Parts]) -> None:
    parts = make(local_only=True)
    host = parts.host()
    browser = Browser(parts, peer=AWAY)
    browser.send(START + b"Content-Length: 100\r\n\r\n")
    answer = only(browser)
    assert (answer.status, answer.code, answer.closes) == (403, "forbidden", False)
    assert parts.bodies.budget.used == 0
    browser.send(bytes(100) + post(b"again"))
    assert browser.statuses == [403, 403]
    assert host.read() == []
    assert parts.counters.refusals["forbidden"] == 2


def test_a_caller_from_here_is_answered_on_the_same_head(make: Callable[..., Parts]) -> None:
    """Heads are remembered for all connections; that a head is known lets no other caller in."""
    parts = make(local_only=True)
    host = parts.host()
    Browser(parts, peer=HERE).send(post(b"a"))
    host.answer(next_call(host))
    away = Browser(parts, peer=AWAY)
    away.send(post(b"a"))
    away.send(post(b"a"))
    assert away.statuses == [403, 403]


def test_it_comes_behind_404_and_before_401(make: Callable[..., Parts]) -> None:
    parts = make(local_only=True, token="secret")
    away = Browser(parts, peer=AWAY)
    away.send(post(b"").replace(b"digits", b"others"))
    away.send(post(b""))
    away.send(post(b"", b"Authorization: secret"))
    assert away.statuses == [404, 403, 403]


def test_connections_that_are_open_are_judged_when_it_changes(parts: Parts) -> None:
    host = parts.host()
    away, here = Browser(parts, peer=AWAY), Browser(parts, peer=HERE)
    for browser in (away, here):
        browser.send(post(b"a"))
        host.answer(next_call(host))
        parts.loop.turn()
    parts.front.configure(CLOSED)
    away.send(post(b"a"))
    assert away.statuses == [200, 403]
    here.send(post(b"a"))
    host.answer(next_call(host))
    parts.loop.turn()
    assert here.statuses == [200, 200]
    parts.front.configure(OPEN)
    away.send(post(b"a"))
    host.answer(next_call(host))
    parts.loop.turn()
    assert away.statuses == [200, 403, 200]


def test_nobody_from_elsewhere_is_told_that_the_queue_is_full(make: Callable[..., Parts]) -> None:
    parts = make(local_only=True, queue=0, threads=1)
    parts.host(threads=1)
    Browser(parts, peer=HERE).send(post(b"a"))
    request = START + b"Content-Length: 1\r\n\r\na"
    assert PATH in request
    assert parts.gate.full
    assert parts.front.turn_away(request, AWAY) is None
    refused = parts.front.turn_away(request, HERE)
    assert refused is not None
    assert refused.startswith(b"HTTP/1.1 450 ")
