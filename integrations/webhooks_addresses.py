"""Which addresses of the network are the outside: webhooks go nowhere else, whatever name a platform gives."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

# Written out, since what `is_global` says differs between releases of Python. IANA's registries of special-purpose addresses (RFC 6890).
_INSIDE: Final = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",  # this network (RFC 791)
        "10.0.0.0/8",  # private (RFC 1918)
        "100.64.0.0/10",  # a provider's own (RFC 6598)
        "127.0.0.0/8",  # this machine (RFC 1122)
        "169.254.0.0/16",  # link-local (RFC 3927), where clouds serve their machines' keys
        "168.63.129.16/32",  # the one public address at which a cloud's own services answer its machines (Azure's WireServer)
        "172.16.0.0/12",  # private (RFC 1918)
        "192.0.0.0/24",  # protocol assignments (RFC 6890)
        "192.0.2.0/24",  # documentation (RFC 5737)
        "192.88.99.0/24",  # 6to4 relays (RFC 7526)
        "192.168.0.0/16",  # private (RFC 1918)
        "198.18.0.0/15",  # benchmarks (RFC 2544)
        "198.51.100.0/24",  # documentation (RFC 5737)
        "203.0.113.0/24",  # documentation (RFC 5737)
        "224.0.0.0/4",  # multicast (RFC 5771)
        "240.0.0.0/4",  # reserved, and broadcast (RFC 1112)
    )
)
# Of IPv6 only what is given out is the outside (RFC 4291, section 2.4): that leaves out loopback, link-local, unique local and multicast.
_GIVEN_OUT: Final = ip_network("2000::/3")
_INSIDE_GIVEN_OUT: Final = tuple(
    ip_network(text)
    for text in (
        "2001::/23",  # protocol assignments (RFC 2928), Teredo's tunnels to any IPv4 address among them (RFC 4380)
        "2001:db8::/32",  # documentation (RFC 3849)
        "2002::/16",  # 6to4: tunnels to any IPv4 address (RFC 3056)
        "3fff::/20",  # documentation (RFC 9637)
    )
)
# NAT64 puts an IPv4 address in the last 32 bits (RFC 6052): networks without IPv4 reach everything by it.
_NAT64: Final = ip_network("64:ff9b::/96")


def is_outside(address: str) -> bool:
    """Whether an address, as a resolver gives it, is on the public network. False for what is no address."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, IPv6Address):
        return _is_outside_6(found)
    return not any(found in network for network in _INSIDE)


def _is_outside_6(address: IPv6Address) -> bool:
    if address in _NAT64:
        return is_outside(str(IPv4Address(int(address) & 0xFFFF_FFFF)))
    if address.ipv4_mapped is not None:
        return is_outside(str(address.ipv4_mapped))
    return address in _GIVEN_OUT and not any(address in network for network in _INSIDE_GIVEN_OUT)
