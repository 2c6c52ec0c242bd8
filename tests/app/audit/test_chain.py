"""Sealing entries and verifying the chain: whatever a superuser does to the log is found, and named."""

from __future__ import annotations

import io
from datetime import timedelta

import psycopg2
import pytest
from sqlalchemy import Engine

from app import audit, clock
from app.audit import chain, retention, verify
from app.audit.models import AuditEntry
from app.db import db
from app.errors import Invalid
from tests.app.audit.tampering import behind_its_back, written
from tests.services import libpq

pytestmark = pytest.mark.usefixtures("here")


def _breaks(**how: object) -> list[tuple[str, int | None]]:
    return [(each.kind, each.position) for each in verify.verify(**how).breaks]  # type: ignore[arg-type]


def _sealed(count: int) -> list[int]:
    ids = written(count)
    assert chain.seal() == count
    return ids


def test_every_column_of_an_entry_is_sealed() -> None:
    assert set(chain.COLUMNS) == set(AuditEntry.__table__.columns.keys())


def test_links_are_numbered_without_gaps_and_verify() -> None:
    audit.record("user.created", actor="ada", subject="eve", details={"role": "user", "n": 1e300})
    _sealed(5) if chain.seal() == 1 else pytest.fail("one entry makes one link")

    found = verify.verify()

    assert (found.ok, found.checked, found.first, found.head.position) == (True, 6, 1, 6)
    positions = [row["position"] for row in db.rows("SELECT position FROM audit_chain ORDER BY 1")]
    assert positions == [1, 2, 3, 4, 5, 6]
    assert chain.seal() == 0


def test_batches_go_on_where_the_one_before_ended() -> None:
    written(7)

    assert [chain.seal(3), chain.seal(3), chain.seal(3), chain.seal(3)] == [3, 3, 1, 0]
    assert verify.verify().ok


def test_an_entry_that_commits_after_a_later_one_is_sealed_too(quick: Engine, database_url: str) -> None:
    other = psycopg2.connect(libpq(database_url))
    with other.cursor() as cursor:
        cursor.execute("INSERT INTO audit_log (actor, action) VALUES ('slow', 'job.cancelled') RETURNING id")
        (early,) = cursor.fetchone() or (0,)
        (late,) = _sealed(1)
        assert early < late
        other.commit()
    other.close()

    assert chain.seal() == 1
    assert [row["audit_id"] for row in db.rows("SELECT audit_id FROM audit_chain ORDER BY position")] == [
        late,
        early,
    ]
    assert verify.verify().ok


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("actor", "'eve'"),
        ("action", "'job.retried'"),
        ("subject", "NULL"),
        ("details", """'{"n": 3, "rate": 1.1, "word": "Zürich"}'"""),
        ("details", "NULL"),
        ("ip", "'10.0.0.1'"),
        ("user_agent", "'curl'"),
        ("correlation_id", "'c'"),
        ("at", "at + interval '1 microsecond'"),
    ],
)
def test_a_changed_entry_is_named(column: str, value: str) -> None:
    ids = _sealed(5)

    assert behind_its_back(f"UPDATE audit_log SET {column} = {value} WHERE id = %(id)s", id=ids[2]) == 1

    assert _breaks() == [("changed", 3)]
    assert verify.verify().breaks[0].audit_id == ids[2]


def test_a_deleted_entry_is_named() -> None:
    ids = _sealed(5)
    behind_its_back("DELETE FROM audit_log WHERE id = %(id)s", id=ids[1])

    assert _breaks() == [("deleted", 2)]


def test_an_entry_deleted_with_its_link_is_named() -> None:
    ids = _sealed(5)
    behind_its_back("DELETE FROM audit_log WHERE id = %(id)s", id=ids[1])
    behind_its_back("DELETE FROM audit_chain WHERE position = 2")

    assert _breaks() == [("missing", 2)]


def test_closing_the_gap_does_not_help() -> None:
    ids = _sealed(5)
    behind_its_back("DELETE FROM audit_log WHERE id = %(id)s", id=ids[1])
    behind_its_back("DELETE FROM audit_chain WHERE position = 2")
    for position in (3, 4, 5):
        behind_its_back(
            "UPDATE audit_chain SET position = %(to)s WHERE position = %(at)s", at=position, to=position - 1
        )

    assert _breaks() == [("changed", 2)]


def test_links_in_another_order_are_named() -> None:
    _sealed(5)
    for before, after in ((3, 99), (4, 3), (99, 4)):
        behind_its_back(
            "UPDATE audit_chain SET position = %(to)s WHERE position = %(at)s", at=before, to=after
        )

    assert _breaks() == [("reordered", 3)]


def test_a_beginning_that_nobody_removed_by_retention_is_missed() -> None:
    _sealed(5)
    behind_its_back(
        "DELETE FROM audit_log WHERE id IN (SELECT audit_id FROM audit_chain WHERE position <= 2)"
    )
    behind_its_back("DELETE FROM audit_chain WHERE position <= 2")

    assert _breaks() == [("cut", 3)]


def test_what_is_put_in_later_is_found() -> None:
    _sealed(2)
    behind_its_back(
        "INSERT INTO audit_log (at, actor, action) VALUES (now() - interval '3 h', 'eve', 'job.cancelled')"
    )

    assert chain.seal() == 0
    assert _breaks() == [("inserted", None)]


def test_an_anchor_shows_that_the_end_was_cut_off() -> None:
    _sealed(5)
    anchor = verify.read_anchor(str(chain.head()))
    assert verify.verify(anchors=[anchor]).ok
    behind_its_back(
        "DELETE FROM audit_log WHERE id IN (SELECT audit_id FROM audit_chain WHERE position >= 4)"
    )
    behind_its_back("DELETE FROM audit_chain WHERE position >= 4")

    assert _breaks() == []  # nothing in the log itself tells of it
    assert _breaks(anchors=[anchor]) == [("anchor", 5)]


def test_an_anchor_shows_that_the_chain_was_written_anew() -> None:
    ids = _sealed(3)
    anchor = chain.head()
    behind_its_back("UPDATE audit_log SET actor = 'eve' WHERE id = %(id)s", id=ids[0])
    behind_its_back("DELETE FROM audit_chain")
    chain.seal()

    assert _breaks() == []
    assert _breaks(anchors=[anchor]) == [("anchor", 3)]


@pytest.mark.parametrize(
    "text", ["", "5", "0:" + 64 * "a", "5:abc", "x:" + 64 * "a", "5:" + 63 * "a" + "x", "²:" + 64 * "a"]
)
def test_what_is_no_anchor_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        verify.read_anchor(text)


def test_only_what_was_sealed_since_then_is_computed() -> None:
    _sealed(3)
    between = db.value("SELECT clock_timestamp()")
    _sealed(2)
    behind_its_back(
        "UPDATE audit_log SET actor = 'eve' WHERE id = (SELECT audit_id FROM audit_chain WHERE position = 1)"
    )

    assert verify.verify(since=between)[:2] == (2, 4)
    assert verify.verify(since=between).ok
    assert verify.verify(newest=2).ok
    assert _breaks() == [("changed", 1)]


def test_a_long_chain_is_read_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "PAGE", 4)
    _sealed(10)
    told: list[tuple[int, int]] = []

    assert verify.verify(tell=lambda done, of: told.append((done, of))).ok
    assert told == [(4, 10), (8, 10), (10, 10)]


# -- retention


def _age(position: int, days: int) -> None:
    """Let the entries up to a link be so old, sealed as such."""
    behind_its_back(
        """UPDATE audit_log SET at = now() - %(days)s * interval '1 day'
           WHERE id IN (SELECT audit_id FROM audit_chain WHERE position <= %(position)s)""",
        position=position,
        days=days,
    )
    behind_its_back("DELETE FROM audit_chain")
    while chain.seal():
        pass


def _trim(days: int, **how: int) -> int:
    with db.transaction():
        return retention.trim(days, **how)


def test_retention_leaves_a_chain_that_verifies() -> None:
    _sealed(10)
    _age(4, 400)

    assert _trim(365) == 4
    while chain.seal():
        pass

    found = verify.verify()
    assert found.breaks == ()
    assert (found.first, found.head.position) == (5, 11)
    assert db.value("SELECT min(position) FROM audit_chain") == 4
    assert db.value("SELECT details ->> 'entries' FROM audit_log WHERE action = 'audit.trimmed'") == "4"
    assert _trim(365) == 0


def test_retention_goes_on_from_where_it_ended() -> None:
    _sealed(10)
    _age(6, 400)

    assert [_trim(365, limit=2), _trim(365, limit=2), _trim(365, limit=2)] == [
        3,
        2,
        1,
    ]
    chain.seal()

    assert verify.verify().breaks == ()
    assert verify.verify().first == 7


def test_retention_never_removes_the_end_of_the_chain() -> None:
    _sealed(3)
    _age(3, 400)

    assert _trim(365) == 2
    chain.seal()

    assert verify.verify().breaks == ()
    assert db.value("SELECT count(*) FROM audit_log") == 2


def test_more_than_retention_took_is_missed() -> None:
    _sealed(10)
    _age(4, 400)
    _trim(365)
    chain.seal()
    behind_its_back(
        "DELETE FROM audit_log WHERE id IN (SELECT audit_id FROM audit_chain WHERE position <= 6)"
    )
    behind_its_back("DELETE FROM audit_chain WHERE position < 6")

    assert _breaks() == [("cut", 6)]


def test_an_anchor_from_before_retention_cannot_be_judged() -> None:
    _sealed(6)
    _age(4, 400)
    old = verify.read_anchor(f"2:{64 * 'a'}")
    _trim(365)

    with pytest.raises(Invalid, match="older than what retention kept"):
        verify.verify(anchors=[old])


# -- what does not change it


def test_a_dump_and_a_restore_leave_it_sound(quick: Engine, database_url: str, fresh_database: str) -> None:
    audit.record(
        "x.y", actor="ada", details={"big": 12345678901234567890, "text": 'a "quoted"\tline\n', "f": 0.1}
    )
    written(20)
    chain.seal()
    source, target = psycopg2.connect(libpq(database_url)), psycopg2.connect(libpq(fresh_database))
    with source.cursor() as reading, target.cursor() as writing:
        writing.execute("SET timezone = 'Asia/Kathmandu'")
        for table in ("audit_log", "audit_chain"):
            text = io.StringIO()
            reading.copy_expert(f"COPY {table} TO STDOUT", text)
            text.seek(0)
            writing.copy_expert(f"COPY {table} FROM STDIN", text)
        head = str(chain.head())
        writing.execute(
            "SELECT position || ':' || encode(digest, 'hex') FROM audit_chain ORDER BY position DESC LIMIT 1"
        )
        assert writing.fetchone() == (head,)
        writing.execute(
            f"SELECT {chain._AS_TEXT} FROM audit_log a JOIN audit_chain c ON c.audit_id = a.id ORDER BY c.position"
        )
        names = [column.name for column in writing.description or ()]
        before = chain.NOTHING
        for row in writing.fetchall():
            before = chain.digest(before, dict(zip(names, row, strict=True)))
    for connection in (source, target):
        connection.close()

    assert f"21:{before.hex()}" == head


def test_how_far_it_is_can_be_asked() -> None:
    assert chain.state() == {
        "position": 0, "digest": "", "sealed_at": None, "waiting": 0, "oldest_waiting_at": None,
    }  # fmt: skip
    _sealed(2)
    written(3)

    state = chain.state()

    assert (state["position"], state["waiting"]) == (2, 3)
    assert clock.now() - state["sealed_at"] < timedelta(minutes=1)
