"""Where something may be sent: said before it is kept, and for the network once more when it is sent.

The settings import this module, and so every process: what reads mail addresses is loaded when one is read.
"""

from __future__ import annotations

import socket
from urllib.parse import SplitResult, urlsplit

from app.addresses import is_public, mail_address, one_line
from app.notify import setup

LONGEST_URL = 2000


def check_url(url: str) -> str | None:
    """What is wrong with `url` as one that is called from here, in words; None: nothing.

    Names are not looked up: what they lead to is checked when they are called, by the connection that is used.
    """
    if len(url) > LONGEST_URL:
        return f"is longer than {LONGEST_URL} characters"
    try:
        parts = urlsplit(one_line(url, "it"))
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        return f"is no address: {error}"
    return _complaint(parts, host, url)


def check_email(text: str) -> str | None:
    """What is wrong with `text` as the mail address of one person, in words; None: nothing."""
    from email.utils import parseaddr

    try:
        mail_address("", parseaddr(one_line(text, "it"))[1], text, "it")
    except ValueError:
        return "is no mail address; write name@example.com"
    return None if parseaddr(text)[1] == text else "must be a plain address like name@example.com"


def lane(url: str) -> str:
    """Who is called: the host and port of `url`."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return "nobody"
    return f"{parts.hostname}:{port}"


def _complaint(parts: SplitResult, host: str, url: str) -> str | None:
    if parts.scheme not in ("http", "https") or not host:
        return "must begin with https:// or http:// and name a host"
    if parts.username is not None or parts.password is not None:
        return "must not carry a user or a password"
    if parts.fragment or " " in url:
        return "must not have a fragment or spaces"
    if not setup.present().allow_private and _is_private(host):
        return "is not an address of the public internet"
    return None


def _is_private(host: str) -> bool:
    """Whether `host` says so by itself: a number in any spelling, or this machine."""
    host = host.rstrip(".")  # which only ends a name
    if host == "localhost" or host.endswith((".localhost", ".local", ".internal")):
        return True
    try:
        return not is_public(socket.inet_ntoa(socket.inet_aton(host)))
    except OSError:
        return ":" in host and not is_public(host)
