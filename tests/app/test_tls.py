"""TLS to Postgres and Redis over real connections: asked for, checked, and not given up (SEC-10)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import psycopg2
import pytest
import redis
from limits.storage import storage_from_string
from pydantic import ValidationError
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from actors.broker import NAMESPACE, make_client, make_ringer
from app.cli.database import connect
from app.db import make_engine
from app.errors import Unavailable
from app.settings import Settings
from tests.tls import Authority, Gate, gate

HOST = "127.0.0.1"


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority that signed the servers' certificates."""
    return Authority(tmp_path_factory.mktemp("ours"), "ours")


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Another one, that signed nothing of ours."""
    return Authority(tmp_path_factory.mktemp("strangers"), "strangers")


@pytest.fixture
def postgres(database_url: str, ours: Authority) -> Iterator[Callable[..., tuple[Gate, str]]]:
    """Open a gate before Postgres: (gate, DATABASE_URL); `named` is whom its certificate names, None: no TLS."""
    found = urlsplit(database_url)
    folder = unquote(parse_qs(found.query)["host"][0])
    opened: list[Gate] = []

    def make(named: str | None = HOST) -> tuple[Gate, str]:
        made = Gate(f"{folder}/.s.PGSQL.5432", ours.server(named) if named else None, postgres=True)
        opened.append(made)
        return made, f"postgres://{found.username}@{HOST}:{made.port}{found.path}"

    yield make
    for each in opened:
        each.close()


@pytest.fixture
def broker(redis_url: str, ours: Authority) -> Iterator[tuple[Gate, str]]:
    """A gate before Redis with our certificate, and its address without a scheme."""
    found = urlsplit(redis_url)
    with gate(unquote(found.path), ours.server(HOST), postgres=False) as opened:
        yield opened, f"{HOST}:{opened.port}/{parse_qs(found.query)['db'][0]}"


def _asks(url: str) -> bool:
    """Whether SQLAlchemy and the command line both get an answer there."""
    engine = make_engine(url)
    try:
        with engine.connect() as line:
            answered = line.execute(text("SELECT 1")).scalar() == 1
    finally:
        engine.dispose()
    with closing(connect(url)) as plain, plain.cursor() as cursor:
        cursor.execute("SELECT 1")
        return answered and cursor.fetchone() == (1,)


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full", ""])
def test_postgres_is_reached_encrypted(
    postgres: Callable[..., tuple[Gate, str]], ours: Authority, mode: str
) -> None:
    opened, url = postgres()
    settings = Settings(DATABASE_URL=url, DB_SSLMODE=mode, DB_SSLROOTCERT=str(ours.file))

    assert _asks(settings.database_url)
    assert opened.encrypted == 2


def test_postgres_that_somebody_else_vouches_for_is_refused(
    postgres: Callable[..., tuple[Gate, str]], strangers: Authority
) -> None:
    _, url = postgres()
    settings = Settings(DATABASE_URL=url, DB_SSLROOTCERT=str(strangers.file))

    with pytest.raises(OperationalError, match="certificate verify failed"):
        _asks(settings.database_url)
    with pytest.raises(Unavailable, match="certificate verify failed"):
        connect(settings.database_url)


def test_postgres_under_another_name_is_refused(
    postgres: Callable[..., tuple[Gate, str]], ours: Authority
) -> None:
    _, url = postgres("db.example.org")
    wanted = {"DATABASE_URL": url, "DB_SSLROOTCERT": str(ours.file)}

    with pytest.raises(OperationalError, match="does not match host name"):
        _asks(Settings(**wanted, DB_SSLMODE="verify-full").database_url)
    assert _asks(Settings(**wanted, DB_SSLMODE="verify-ca").database_url)


def test_postgres_without_tls_is_refused_where_it_is_wanted(
    postgres: Callable[..., tuple[Gate, str]],
) -> None:
    opened, url = postgres(None)

    assert _asks(Settings(DATABASE_URL=url).database_url)
    with pytest.raises(OperationalError, match="does not support SSL"):
        _asks(Settings(DATABASE_URL=url, DB_SSLMODE="require").database_url)
    with pytest.raises(psycopg2.OperationalError, match="does not support SSL"):
        psycopg2.connect(f"{url}?sslmode=require")
    assert opened.encrypted == 0


def test_every_client_of_redis_is_encrypted(broker: tuple[Gate, str], ours: Authority) -> None:
    opened, address = broker
    url = Settings(REDIS_URL=f"rediss://{address}", REDIS_SSL_CA=str(ours.file)).redis_url

    with make_client(url, timeout_seconds=2) as client:
        assert client.ping()
        make_ringer(url).ring("general")
        assert client.llen(f"{NAMESPACE}:general") == 1
    assert storage_from_string(url).incr("calls", 60) == 1
    with redis.Redis.from_url(url) as health:
        assert health.ping()
    assert opened.encrypted >= 4


def test_redis_that_somebody_else_vouches_for_is_refused(
    broker: tuple[Gate, str], strangers: Authority
) -> None:
    _, address = broker
    for settings in (
        Settings(REDIS_URL=f"rediss://{address}", REDIS_SSL_CA=str(strangers.file)),
        Settings(REDIS_URL=f"rediss://{address}"),  # checked without being told so
    ):
        with (
            make_client(settings.redis_url, timeout_seconds=2) as client,
            pytest.raises(redis.ConnectionError, match="CERTIFICATE_VERIFY_FAILED"),
        ):
            client.ping()


def test_every_client_takes_any_certificate_where_that_is_wished(broker: tuple[Gate, str]) -> None:
    opened, address = broker
    url = Settings(REDIS_URL=f"rediss://{address}", REDIS_SSL_VERIFY="false").redis_url
    before = opened.encrypted

    with make_client(url, timeout_seconds=2) as client:
        assert client.ping()
    make_ringer(url).ring("general")
    assert storage_from_string(url).incr("calls", 60) == 1
    with redis.Redis.from_url(url) as health:
        assert health.ping()
    assert opened.encrypted >= before + 4


def test_redis_under_another_name_is_refused(redis_url: str, ours: Authority) -> None:
    with gate(unquote(urlsplit(redis_url).path), ours.server("redis.example.org"), postgres=False) as opened:
        url = Settings(REDIS_URL=f"rediss://{HOST}:{opened.port}/0", REDIS_SSL_CA=str(ours.file)).redis_url
        with (
            make_client(url, timeout_seconds=2) as client,
            pytest.raises(redis.ConnectionError, match="CERTIFICATE_VERIFY_FAILED"),
        ):
            client.ping()


def test_plain_text_gets_nothing_from_an_encrypted_redis(broker: tuple[Gate, str]) -> None:
    opened, address = broker
    with make_client(f"redis://{address}", timeout_seconds=2) as client, pytest.raises(redis.ConnectionError):
        client.ping()
    assert opened.encrypted == 0


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"REDIS_URL": "redis://h:1", "REDIS_SSL_CA": "{here}"}, "let it begin with rediss://"),
        ({"REDIS_URL": "rediss://h:1", "REDIS_SSL_CA": "/nowhere.pem"}, "there is no file /nowhere.pem"),
        (
            {"DATABASE_URL": "postgres://h/d", "DB_SSLROOTCERT": "/nowhere.pem"},
            "there is no file /nowhere.pem",
        ),
        ({"DB_SSLMODE": "require", "DB_SSLROOTCERT": "system"}, "goes with DB_SSLMODE=verify-full only"),
        ({"DB_SSLMODE": "always"}, "verify-full"),
        (
            {"REDIS_URL": "rediss://h:1", "REDIS_SSL_CA": "{here}", "REDIS_SSL_VERIFY": "no"},
            "does not go with",
        ),
        ({"REDIS_URL": "http://h:1"}, "begins with redis, rediss or unix"),
    ],
)
def test_what_does_not_fit_together_is_refused(variables: dict[str, str], words: str) -> None:
    told = {name: value.format(here=Path(__file__)) for name, value in variables.items()}
    with pytest.raises(ValidationError, match=re.escape(words)):
        Settings(**told)


def test_sockets_of_this_machine_need_no_tls(database_url: str, redis_url: str, ours: Authority) -> None:
    settings = Settings(
        DATABASE_URL=database_url, DB_SSLMODE="require", REDIS_URL=redis_url, REDIS_SSL_CA=str(ours.file)
    )

    assert _asks(settings.database_url)
    assert settings.redis_url == redis_url


def test_what_is_said_twice_is_said_the_same(ours: Authority) -> None:
    """A process that was started with another's URLs, as those of `make run` are, says the same again."""
    told = {"DB_SSLMODE": "verify-full", "DB_SSLROOTCERT": str(ours.file), "REDIS_SSL_CA": str(ours.file)}
    once = Settings(DATABASE_URL="postgres://h/d?sslmode=disable", REDIS_URL="rediss://h:1/0", **told)
    again = Settings(DATABASE_URL=once.database_url, REDIS_URL=once.redis_url, **told)

    assert "sslmode=verify-full" in once.database_url
    assert "sslmode=disable" not in once.database_url
    assert (again.database_url, again.redis_url) == (once.database_url, once.redis_url)
