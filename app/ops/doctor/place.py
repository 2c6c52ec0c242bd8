"""What is examined: the settings, and the way to Redis; the way to Postgres is `app.db.db`, opened by the door."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from app.settings import Settings

PATIENCE_SECONDS = 1.0


@dataclass(frozen=True)
class Place:
    """One installation, as its settings describe it."""

    settings: Settings
    release: str = "of an unknown version"

    @cached_property
    def redis(self) -> redis.Redis:
        """A client that does not wait."""
        return redis.Redis.from_url(
            self.settings.redis_url,
            socket_timeout=PATIENCE_SECONDS,
            socket_connect_timeout=PATIENCE_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )

    @property
    def in_production(self) -> bool:
        """Whether this is meant to be so in earnest."""
        return self.settings.environment == "production"

    @property
    def is_public(self) -> bool:
        """Whether people come from other machines, as far as the settings tell."""
        host = urlsplit(self.settings.base_url).hostname
        return not is_here(host or "") if host else not is_here(self.settings.host)


def is_here(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in ("", "localhost") or host.endswith(".localhost")


def is_private(host: str) -> bool:
    """Whether a host lies in a network of one's own: by its address, or because its name has no dots or says so."""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return "." not in host or host.endswith((".internal", ".local", ".lan"))
