"""Files that jobs leave: plain names, bounded size, bytes first."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.db import db
from app.errors import NotFound, PermanentError
from app.jobs import artifacts, lifecycle
from app.jobs.artifacts import LONGEST_NAME, Store, plain_name
from tests import acting

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("report.html", "report.html"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("/absolute/x.txt", "x.txt"),
        ("..", "artifact"),
        ("", "artifact"),
        ("a\x00b\n.txt", "ab.txt"),
        ("evil\u202etxt.exe", "eviltxt.exe"),
        (".hidden", "hidden"),
        ("x" * 300 + ".txt", "x" * (LONGEST_NAME - 4) + ".txt"),
    ],
)
def test_a_name_is_one_plain_file_name(name: str, plain: str) -> None:
    assert plain_name(name) == plain


@given(TEXT)
def test_no_name_leaves_its_folder(name: str) -> None:
    plain = plain_name(name)
    assert plain
    assert len(plain) <= LONGEST_NAME
    assert not set(plain) & {"/", "\\", "\x00", "\n"}
    assert plain not in (".", "..")


@pytest.mark.usefixtures("here")
class TestKeeping:
    def test_what_is_kept_is_found_again(self, store: Store) -> None:
        claim = acting.claimed()
        row = store.keep(claim.job_id, 1, "x.html", b"<p>", None)
        artifacts.record(row)
        (listed,) = artifacts.listing(claim.job_id)
        assert (listed["name"], listed["media_type"], listed["size_bytes"]) == ("x.html", "text/html", 3)
        assert listed["sha256"] == hashlib.sha256(b"<p>").hexdigest()
        found = artifacts.get(listed["artifact_id"])
        assert found["submitted_by"] == acting.OWNER
        with store.open(found["location"]) as file:
            assert file.read() == b"<p>"

    def test_a_file_of_an_attempt_that_lost_its_job_is_not_recorded(self, store: Store) -> None:
        claim = acting.claimed()
        acting.rescue(claim)
        acting.claim("w2")
        artifacts.record(store.keep(claim.job_id, claim.fence, "late", b"x", None))
        assert artifacts.listing(claim.job_id) == []

    def test_the_limit_is_exact_for_bytes_and_files(self, store: Store, tmp_path: Path) -> None:
        job_id = lifecycle.new_id()
        assert store.keep(job_id, 1, "a", b"x" * 1000, None)["size_bytes"] == 1000
        (tmp_path / "big").write_bytes(b"x" * 1001)
        for content in (b"x" * 1001, tmp_path / "big"):
            with pytest.raises(PermanentError, match="1000"):
                store.keep(job_id, 1, "big", content, None)

    def test_bytes_that_are_gone_are_said_to_be_gone(self, store: Store) -> None:
        row = store.keep(lifecycle.new_id(), 1, "a", b"x", None)
        store.remove_job(row["job_id"])
        with pytest.raises(NotFound, match="gone"):
            store.open(row["location"])
        store.remove_job(row["job_id"])

    def test_a_job_reaches_its_owners_files_by_id_and_its_workflows_by_name(self, store: Store) -> None:
        def left(name: str, **job: Any) -> tuple[str, str]:
            claim = acting.claimed(**job)
            row = store.keep(claim.job_id, 1, name, name.encode(), None)
            artifacts.record(row)
            lifecycle.complete(claim, {})
            return claim.job_id, row["artifact_id"]

        run, other = lifecycle.new_id(), lifecycle.new_id()
        _, older = left("card.png", workflow_id=run, step_id="draft")
        _, newer = left("card.png", workflow_id=run, step_id="draw")
        _, elsewhere = left("plan.csv", workflow_id=other, step_id="draw")
        _, theirs = left("secret.txt", submitted_by="eve@example.com", workflow_id=run, step_id="x")
        asking = acting.claimed(workflow_id=run, step_id="send").job_id

        def reached(reference: str) -> str | None:
            found = artifacts.reachable(reference, job_id=asking)
            return found["artifact_id"] if found else None

        assert reached("card.png") == newer
        assert reached(older.upper()) == older
        assert reached(elsewhere) == elsewhere
        assert [reached(name) for name in ("plan.csv", "secret.txt", theirs, "no such", "a\x00")] == [
            None
        ] * 5

    def test_an_unknown_artifact_is_not_found(self) -> None:
        with pytest.raises(NotFound):
            artifacts.get(lifecycle.new_id())


@pytest.mark.usefixtures("quick")
def test_without_a_shared_disk_the_bytes_lie_in_postgres() -> None:
    store = Store("postgres:")
    with db.quick():
        row = store.keep("0190-x", 1, "x.bin", b"\x00\xff", None)
        with store.open(row["location"]) as file:
            assert file.read() == b"\x00\xff"
        store.remove_job("0190-x")
        with pytest.raises(NotFound, match="gone"):
            store.open(row["location"])
