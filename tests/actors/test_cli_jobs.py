"""CLI agents as jobs: from the claim over a failed attempt to the result, with a real database."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.execute import AttemptFailed, run_next
from actors.post import Post
from app.db import db
from app.jobs import artifacts, lifecycle, timeline
from tests import acting
from tests.actors.runners.playing_cli import ALL, Stage


def test_a_failed_attempt_is_gone_on_with_and_the_story_is_told(post: Post, tmp_path: Path) -> None:
    refused = [{"write": "made.txt", "text": "hi"}, {"play": "claude-refused-529.jsonl"}, {"exit": 1}]
    stage = Stage(tmp_path / "stage", [refused, [ALL]])
    config = stage.work().config
    with db.quick():
        acting.agent("cli-agent", runner="cli", cli=config)
        job_id = acting.submitted("cli-agent", parameters={"task": "Count the files."})
    with pytest.raises(AttemptFailed) as failed:
        run_next(post)
    assert failed.value.error.code == "temporary_error"
    with db.quick():
        lifecycle.retry_later(failed.value.claim, failed.value.error, 0.0)
        acting.make_due(job_id)

    assert run_next(post) is True

    with db.quick():
        row = acting.job(job_id)
        kinds = [event["kind"] for event in timeline.events(job_id)]
        kept = sorted(artifact["name"] for artifact in artifacts.listing(job_id))
    assert row["status"] == "completed"
    assert row["result"]["result"] == "Done: one file."
    assert row["result"]["files_changed"] == ["made.txt"]
    assert {"turn", "tool", "tool_result"} <= set(kinds)
    assert kept == ["made.txt", "transcript.jsonl", "transcript.jsonl"]
    argv = stage.call(1)["argv"]
    assert argv[argv.index("--resume") + 1] == row["result"]["session_id"]
    assert row["usage"]["cost_usd"] == pytest.approx(0.00822)
