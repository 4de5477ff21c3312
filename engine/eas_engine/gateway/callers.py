"""``networking.disable_internet_endpoint``: which callers are of this machine, or of a network of ours?

Decided by the address alone, once per connection. Behind a proxy it is the proxy's.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

_OURS: Final = tuple(
    ip_network(network)
    for network in (
        "127.0.0.0/8",  # loopback
        "::1/128",
        "10.0.0.0/8",  # private: RFC 1918, and RFC 4193 for IPv6
        "172.16.0.0/12",
        "192.168.0.0/16",
        "fc00::/7",
        "169.254.0.0/16",  # link-local
        "fe80::/10",
    )
)


def is_ours(peer: object) -> bool:
    """Whether a caller with this address (as a socket tells it) is loopback, private or link-local.

    An address that can't be told is nobody's: it isn't.
    """
    host = peer[0] if isinstance(peer, tuple) and peer else peer
    try:
        address = ip_address(str(host).partition("%")[0])
    except ValueError:
        return False
    plain: IPv4Address | IPv6Address = address
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        plain = address.ipv4_mapped
    return any(plain in network for network in _OURS)
