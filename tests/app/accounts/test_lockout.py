"""Too many wrong passwords, and what comes of it; time passes by moving what was written down into the past."""

from __future__ import annotations

import pytest

from app import clock
from app.accounts import lockout, users
from app.db import db
from app.errors import Locked, Unauthenticated

PASSWORD = "correct horse battery"
ADA, NOBODY = "ada@example.org", "nobody@example.org"


@pytest.fixture
def ada() -> str:
    return str(users.create(ADA, PASSWORD, role="user")["user_id"])


def wrong(email: str = ADA, times: int = 1) -> list[int]:
    """What each of so many wrong passwords is answered: 0 for "wrong", else for how many seconds it locks."""
    answers = []
    for _ in range(times):
        try:
            users.sign_in(email, "wrong horse battery")
        except Unauthenticated:
            answers.append(0)
        except Locked as locked:
            answers.append(locked.retry_after)
    return answers


def passes(minutes: float) -> None:
    for table in ("users", "unknown_names"):
        db.run(
            f"""UPDATE {table} SET failed_since = failed_since - %(minutes)s * interval '1 minute',
                                   locked_until = locked_until - %(minutes)s * interval '1 minute'""",
            minutes=minutes,
        )


def locks() -> int:
    return int(db.value("SELECT count(*) FROM audit_log WHERE action = 'auth.locked'"))


@pytest.mark.parametrize("email", [ADA, NOBODY])
def test_the_sixth_within_a_minute_locks_and_each_further_one_for_twice_as_long(ada: str, email: str) -> None:
    assert wrong(email, 6) == [0, 0, 0, 0, 0, pytest.approx(60, abs=2)]
    for minutes in (2, 4, 8, 15, 15):
        passes(15)
        (seconds,) = wrong(email)
        assert 60 * minutes - 2 <= seconds <= 60 * minutes


def test_while_it_is_locked_nobody_looks_at_the_password_and_the_time_does_not_grow(ada: str) -> None:
    wrong(times=6)

    with pytest.raises(Locked) as locked:
        users.sign_in(ADA, PASSWORD)
    assert not locked.value.counted
    assert "Try again in 1 minute" in locked.value.message
    assert db.value("SELECT failed_count FROM users WHERE user_id = %(id)s", id=ada) == 6
    passes(1.1)
    assert str(users.sign_in(ADA, PASSWORD)["user_id"]) == ada


def test_five_in_a_minute_are_forgiven_when_it_is_over(ada: str) -> None:
    for _ in range(3):
        assert wrong(times=5) == [0] * 5
        passes(1.1)


def test_the_right_password_forgets_the_wrong_ones(ada: str) -> None:
    for _ in range(2):
        assert wrong(times=5) == [0] * 5
        users.sign_in(ADA, PASSWORD)


def test_after_a_quiet_while_it_begins_with_a_minute_again(ada: str) -> None:
    wrong(times=6)
    passes(1 + lockout.LONGEST_MINUTES + 0.1)

    assert wrong(times=6) == [0, 0, 0, 0, 0, 60]


def test_a_lock_is_audited_once_and_one_of_a_name_that_nobody_has_is_not(ada: str) -> None:
    wrong(times=8)
    wrong(NOBODY, 8)

    assert locks() == 1
    assert db.value("SELECT subject FROM audit_log WHERE action = 'auth.locked'") == ada


def test_it_can_be_lifted(ada: str) -> None:
    assert not lockout.unlock(ada)
    wrong(times=6)

    assert lockout.unlock(ada)
    assert users.sign_in(ADA, PASSWORD)


def test_a_new_password_lifts_it_too(ada: str) -> None:
    wrong(times=6)
    users.change(ada, password="another battery", actor="boss")

    assert users.sign_in(ADA, "another battery")


def test_a_disabled_account_locks_like_any_other(ada: str) -> None:
    users.change(ada, enabled=False, actor="boss")

    assert wrong(times=6)[-1] == 60


def test_the_row_of_a_user_says_until_when(ada: str) -> None:
    wrong(times=6)
    row = db.row("SELECT locked_until FROM users WHERE user_id = %(id)s", id=ada)
    assert row is not None
    until = lockout.locked_until(row)
    assert until
    assert until > clock.now()

    passes(2)
    row = db.row("SELECT locked_until FROM users WHERE user_id = %(id)s", id=ada)
    assert row is not None
    assert lockout.locked_until(row) is None


def test_names_that_nobody_has_are_forgotten_after_a_day(ada: str) -> None:
    wrong(NOBODY, 6)
    assert lockout.prune() == 0
    passes(25 * 60)

    assert lockout.prune() == 1
