from __future__ import annotations

import pytest
from argon2 import PasswordHasher

from app.accounts import passwords
from app.errors import Invalid


def test_a_password_matches_only_itself() -> None:
    stored = passwords.hashed("correct horse battery")

    assert passwords.matches("correct horse battery", stored)
    assert not passwords.matches("correct horse batterz", stored)


def test_the_figures_are_owasps() -> None:
    assert passwords.hashed("correct horse battery").startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_nobody_has_any_password() -> None:
    assert not passwords.matches("nobody has this password", None)


def test_a_broken_hash_matches_nothing() -> None:
    assert not passwords.matches("correct horse battery", "plain text")


@pytest.mark.parametrize("password", ["short", "x" * 201])
def test_too_short_and_too_long_are_refused_with_the_field(password: str) -> None:
    with pytest.raises(Invalid) as refused:
        passwords.hashed(password)

    assert [pointer for pointer, _ in refused.value.fields] == ["/password"]


def test_a_hash_made_with_weaker_figures_is_renewed() -> None:
    weak = PasswordHasher(memory_cost=1024, time_cost=1, parallelism=1).hash("abc")
    renewed = passwords.renewed("abc", weak)

    assert renewed is not None
    assert passwords.matches("abc", renewed)
    assert passwords.renewed("abc", renewed) is None
