from __future__ import annotations

from app.accounts import key_ages
from app.db import db


def test_a_key_is_known_since_it_was_first_seen_and_by_its_fingerprint_alone() -> None:
    key_ages.note("signing", "a" * 40)
    db.run("UPDATE secret_keys SET first_seen_at = now() - interval '91 days'")
    key_ages.note("signing", "a" * 40)

    (row,) = key_ages.in_use()
    assert row["days"] > key_ages.OLD_DAYS
    assert "aaaa" not in str(db.rows("SELECT * FROM secret_keys"))


def test_another_key_retires_the_one_before_of_its_kind_only() -> None:
    key_ages.note("signing", "a" * 40)
    key_ages.note("tokens", "a" * 40)
    key_ages.note("signing", "b" * 40)

    assert [row["fingerprint"] for row in key_ages.in_use()] == [
        key_ages.fingerprint("signing", "b" * 40),
        key_ages.fingerprint("tokens", "a" * 40),
    ]
    key_ages.note("signing", "a" * 40)
    assert key_ages.in_use()[0]["fingerprint"] == key_ages.fingerprint("signing", "a" * 40)
