"""The audit and the artifacts in an object store, through the real client and the real protocol."""

from __future__ import annotations

import base64
import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import Engine

from actors import auditor
from app import audit, clock
from app.db import db
from app.settings import ROOT, Settings
from tests.app.audit.tampering import behind_its_back
from tests.slow import real_s3
from tests.slow.real_s3 import Store

BUCKET = "callboard-tests"
READ = "import s3fs, base64; print(base64.b64encode(s3fs.S3FileSystem().cat_file({path!r})).decode())"


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with real_s3.store() as made:
        made.python(f"import s3fs; s3fs.S3FileSystem().mkdir({BUCKET!r})")
        yield made


@pytest.fixture
def day(quick: Engine) -> str:
    """Yesterday, on which something was done."""
    with db.transaction():
        audit.record("user.created", actor="ada", subject="eve")
        behind_its_back("UPDATE audit_log SET at = at - interval '1 day'")
    auditor.seal(Settings())
    return (clock.now().date() - timedelta(days=1)).isoformat()


def callboard(store: Store, app: Flask, *words: str) -> subprocess.CompletedProcess[str]:
    settings = app.config["CALLBOARD"]
    return subprocess.run(
        [sys.executable, "-m", "app", *words],
        cwd=ROOT,
        env={
            **os.environ,
            **store.environ,
            "DATABASE_URL": settings.database_url,
            "REDIS_URL": settings.redis_url,
            "SECRET_KEY": settings.signing_key,
            "CALLBOARD_ENV": "test",
        },
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_day_of_the_audit_lies_in_the_bucket_as_in_a_folder(
    store: Store, app: Flask, day: str, tmp_path: Path
) -> None:
    there = callboard(store, app, "audit", "export", "--day", day, "--to", f"s3://{BUCKET}/audit", "--json")
    assert there.returncode == 0, there.stderr
    said = json.loads(there.stdout)
    here = callboard(store, app, "audit", "export", "--day", day, "--to", f"file://{tmp_path}", "--json")
    assert here.returncode == 0, here.stderr

    name = f"audit-{day}.jsonl.gz"
    assert said["to"] == f"s3://{BUCKET}/audit/{name}"
    in_bucket = _entries(_read(store, f"{BUCKET}/audit/{name}"))
    in_folder = _entries((tmp_path / name).read_bytes())
    assert in_bucket
    assert in_bucket == in_folder[: len(in_bucket)]


def test_what_is_there_is_left_alone_and_a_bucket_that_is_not_there_says_so(
    store: Store, app: Flask, day: str
) -> None:
    words = ("audit", "export", "--day", day, "--to", f"s3://{BUCKET}/twice")
    assert callboard(store, app, *words).returncode == 0

    again = callboard(store, app, *words)
    assert again.returncode == 1
    assert "--again" in again.stderr or "already" in again.stderr
    wrong = callboard(store, app, "audit", "export", "--day", day, "--to", "s3://callboard-tests-b@d/x")
    assert wrong.returncode == 1
    assert "Traceback" not in wrong.stderr


def test_artifacts_are_kept_opened_and_removed(store: Store, app: Flask, quick: Engine) -> None:
    code = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from app.jobs.artifacts import Store
store = Store("s3://{BUCKET}/artifacts")
row = store.keep("01a20112-1787-72fb-bb87-4d2ba469b8e3", 1, "report.md", b"# Report", None)
print(store.open(row["location"]).read().decode())
store.remove_job("01a20112-1787-72fb-bb87-4d2ba469b8e3")
try:
    store.open(row["location"])
except Exception as gone:
    print(type(gone).__name__)
"""
    assert store.python(code).split("\n") == ["# Report", "NotFound", ""]


def _read(store: Store, path: str) -> bytes:
    return base64.b64decode(store.python(READ.format(path=path)))


def _entries(packed: bytes) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in gzip.decompress(packed).splitlines()]
    return [line for line in lines if line["kind"] != "manifest" and line["event_type"] != "audit.exported"]
