"""Which network addresses may be called from here: only those of the public internet (no SSRF)."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

# `is_global` says yes to these (Python 3.11): translations that carry a private IPv4 address, groups,
# documentation, site-local, segment routing, and the host agent of a large cloud.
REFUSED = tuple(
    ip_network(block)
    for block in (
        "::/96",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2001::/32",
        "2002::/16",
        "3fff::/20",
        "192.88.99.0/24",
        "168.63.129.16/32",
    )
)
ASSIGNED_V6 = ip_network("2000::/3")


def is_public(address: str) -> bool:
    """Whether `address` (as the resolver spells it, a zone allowed) lies in the public internet."""
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped is not None:
            return _ordinary(ip.ipv4_mapped)
        return ip in ASSIGNED_V6 and _ordinary(ip)
    return _ordinary(ip)


def _ordinary(ip: IPv4Address | IPv6Address) -> bool:
    if not ip.is_global or ip.is_multicast or ip.is_reserved or ip.is_unspecified:
        return False
    return not any(ip in block for block in REFUSED if block.version == ip.version)
