"""The test rig gives every worker its own migrated database and its own empty Redis database."""

from __future__ import annotations

import psycopg2
import pytest
import redis

from tests.services import libpq


def test_a_fresh_database_has_the_newest_schema_and_no_jobs(
    connection: psycopg2.extensions.connection,
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM jobs")

        assert cursor.fetchone() == (0,)


def test_each_database_is_a_copy_of_its_own(database_url: str, fresh_database: str) -> None:
    with psycopg2.connect(libpq(fresh_database)) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE only_here ()")
    connection.close()
    with psycopg2.connect(libpq(database_url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('only_here')")
        found = cursor.fetchone()
    connection.close()

    assert found == (None,)


@pytest.mark.parametrize("time", ["first", "second"])
def test_redis_is_empty_whatever_the_test_before_wrote(redis_url: str, time: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        keys = client.dbsize()
        client.set("litter", time)

    assert keys == 0
