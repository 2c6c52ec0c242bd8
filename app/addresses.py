"""Addresses of the network and of mail: which may be called from here (no SSRF), and which can be written to.

The settings import this module, and so every process: what reads mail addresses is loaded when one is read.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from email.headerregistry import Address

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


_CONTROL = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]")
_DOMAIN = re.compile(r"(?=.{1,253}$)[^\W_](?:[\w-]*[^\W_])?(?:\.[^\W_](?:[\w-]*[^\W_])?)*")


def one_line(text: str, what: str) -> str:
    """The text; raises ValueError if it could begin another header."""
    if _CONTROL.search(text):
        raise ValueError(f"{what} must be one line without control characters")
    return text


def literal(text: str) -> str:
    """The text without the beginnings of encoded words: `=?utf-8?q?=0ABcc:_…?=` is a line break to whoever decodes it.

    The email package decodes what it is given as a header, and writes the line break down as one (Python 3.11).
    """
    return text.replace("=?", "=\u200b?")


def mail_address(name: str, address: str, text: str, what: str) -> Address:
    """One address as email.utils reads it out of `text`; raises ValueError that says what is wrong with it."""
    from email.headerregistry import Address

    user, _, domain = address.rpartition("@") if address in text else ("", "", "")
    if (
        not user
        or not _DOMAIN.fullmatch(domain)
        or len(address) > 254
        or "=?" in user
        or any(c in user for c in ' "()<>[]:;,\\')
    ):
        raise ValueError(f"`{text[:100]}` in {what} is no mail address; write name@example.com")
    try:
        domain = domain.encode("idna").decode() if not domain.isascii() else domain
        return Address(display_name=literal(name), username=user, domain=domain)
    except (ValueError, UnicodeError) as error:
        raise ValueError(f"`{text[:100]}` in {what} is no mail address: {error}") from error
