"""What a Callboard process knows stays with it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from actors.runners.environment import NEVER, asked_for, environment
from app.errors import PermanentError
from app.settings import ROOT
from tests.actors.runners.boxes import shell, work_for
from tests.doubles import RecordingContext

CANARY = "canary-5d1f"

# As root first, because nobody may not be able to read Python; a plain exec would make it dumpable again.
STAND_IN = """
import ctypes, os, subprocess, sys
sys.path.append("actors/runners")  # without the packages above it, whose import takes a second
from privacy import hide_process
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
if sys.argv[1] == "hidden":
    hide_process()
subprocess.run(["/bin/sh", "-c", "tr '\\\\0' '\\\\n' < /proc/$PPID/environ"], cwd="/", env={})
"""


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")
@pytest.mark.parametrize(("mode", "seen"), [("open", True), ("hidden", False)])
def test_a_child_of_the_same_user_cannot_read_a_hidden_process(mode: str, seen: bool) -> None:
    said = subprocess.run(
        [sys.executable, "-c", STAND_IN, mode],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": CANARY},
        capture_output=True,
        text=True,
        check=True,
    )

    assert (CANARY in said.stdout) is seen


def test_an_agent_gets_only_what_it_names(context: RecordingContext, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "CALLBOARD_ADMIN_API_KEY", "SOME_OTHER_KEY"):
        monkeypatch.setenv(name, CANARY)
    monkeypatch.setenv("THE_KEY", "k1")
    work = work_for({"env": ["THE_KEY", "NOT_SET"], "secrets": {"GIVEN": "v1"}})

    said = shell(
        "env; tr '\\0' '\\n' < /proc/$PPID/environ; tr '\\0' ' ' < /proc/$PPID/cmdline", context, work
    ).stdout

    assert CANARY not in said
    names = {line.partition("=")[0] for line in said.split("\n") if "=" in line and " " not in line}
    ours = {"CALLBOARD_JOB_ID", "CALLBOARD_ATTEMPT", "CALLBOARD_IDEMPOTENCY_KEY"}
    assert (
        names - {"PWD", "OLDPWD", "SHLVL", "_"}
        == {"PATH", "HOME", "TMPDIR", "LANG", "THE_KEY", "GIVEN"} | ours
    )
    assert f"HOME={context.workspace}\n" in said


@pytest.mark.parametrize("name", sorted(NEVER))
def test_callboards_own_keys_cannot_be_named(name: str) -> None:
    with pytest.raises(PermanentError, match=name):
        asked_for({"env": [name]}, "env")


def test_the_jobs_identity_cannot_be_overwritten(context: RecordingContext) -> None:
    work = work_for({"env": {"CALLBOARD_JOB_ID": "another"}})

    assert environment(work, context.workspace)["CALLBOARD_JOB_ID"] == work.job_id
