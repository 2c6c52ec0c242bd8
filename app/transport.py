"""What the settings say of TLS to Postgres and Redis, written into their URLs.

Every client takes its URL from the settings: SQLAlchemy, psycopg2, Dramatiq's broker, the rate limits and health. So
none of them can forget it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

REDIS_SCHEMES = ("redis", "rediss", "unix")


class Wanted(Protocol):
    """What is taken from the settings."""

    @property
    def db_sslmode(self) -> str: ...  # noqa: D102 - the setting of that name
    @property
    def db_sslrootcert(self) -> str: ...  # noqa: D102 - the setting of that name
    @property
    def redis_url(self) -> str: ...  # noqa: D102 - the setting of that name
    @property
    def redis_ssl_ca(self) -> str: ...  # noqa: D102 - the setting of that name
    @property
    def redis_ssl_verify(self) -> bool: ...  # noqa: D102 - the setting of that name


def postgres_url(wanted: Wanted, url: str) -> str:
    """An address of Postgres with `sslmode` and `sslrootcert`; who names an authority and no mode wants all of it checked."""
    authority = wanted.db_sslrootcert
    if authority not in ("", "system"):
        authority = _file("DB_SSLROOTCERT", authority)
    if authority == "system" and wanted.db_sslmode not in ("", "verify-full"):
        msg = "DB_SSLROOTCERT=system goes with DB_SSLMODE=verify-full only: whom the system trusts, anybody can be"
        raise ValueError(msg)
    said = {"sslmode": wanted.db_sslmode or ("verify-full" if authority else ""), "sslrootcert": authority}
    return _with_query(url, said)


def redis_url(wanted: Wanted) -> str:
    """REDIS_URL with the authority; without one `rediss://` trusts those of the system, and names must fit."""
    scheme = wanted.redis_url.partition("://")[0]
    if wanted.redis_url and scheme not in REDIS_SCHEMES:
        msg = "REDIS_URL: write an address like rediss://:password@host:6379/0; it begins with redis, rediss or unix"
        raise ValueError(msg)
    if not wanted.redis_ssl_verify:
        return _unchecked(wanted, scheme)
    if not wanted.redis_ssl_ca:
        return wanted.redis_url
    authority = _file("REDIS_SSL_CA", wanted.redis_ssl_ca)
    if scheme == "redis":
        msg = "REDIS_SSL_CA is set, and REDIS_URL is not encrypted: let it begin with rediss://, or take REDIS_SSL_CA away"
        raise ValueError(msg)
    return (
        _with_query(wanted.redis_url, {"ssl_ca_certs": authority}) if scheme == "rediss" else wanted.redis_url
    )


def _unchecked(wanted: Wanted, scheme: str) -> str:
    """REDIS_URL without any check of the certificate, whatever the platform changes REDIS_URL to."""
    if wanted.redis_ssl_ca:
        msg = "REDIS_SSL_VERIFY=false does not go with REDIS_SSL_CA: what an authority has signed can be checked"
        raise ValueError(msg)
    return (
        _with_query(wanted.redis_url, {"ssl_cert_reqs": "none"}) if scheme == "rediss" else wanted.redis_url
    )


def option(url: str, name: str) -> str:
    """What a URL says of an option behind its question mark; empty if nothing."""
    return dict(parse_qsl(urlsplit(url).query)).get(name, "")


def _with_query(url: str, said: dict[str, str]) -> str:
    chosen = {name: value for name, value in said.items() if value}
    if not url or not chosen:
        return url
    parts = urlsplit(url)
    before = [(name, value) for name, value in parse_qsl(parts.query) if name not in chosen]
    return urlunsplit(parts._replace(query=urlencode([*before, *chosen.items()], quote_via=quote)))


def _file(name: str, path: str) -> str:
    found = Path(path).expanduser().resolve()
    if not found.is_file():
        msg = f"{name}: there is no file {found}; it must hold the authority's certificate as PEM"
        raise ValueError(msg)
    return str(found)
