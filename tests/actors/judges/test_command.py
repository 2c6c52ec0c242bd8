"""Checks that are programs: real processes over real drafts."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import psutil
import pytest

from app.errors import Cancelled, TemporaryError
from tests.actors.judges.conftest import MakeCheck
from tests.doubles import RecordingContext


def shell(script: str, **more: Any) -> dict[str, Any]:
    return {"check": "command", "argv": ["sh", "-c", script]} | more


def test_exit_code_zero_is_ten(check: MakeCheck) -> None:
    found = check(**shell("exit 0"))
    assert (found.score, found.passed, found.issue) == (10.0, True, None)


def test_any_other_is_nothing_and_the_last_words_are_the_issue(check: MakeCheck) -> None:
    found = check(**shell("echo no heading >&2; exit 3"))
    assert (found.score, found.passed, found.issue, found.evidence) == (
        0.0,
        False,
        "no heading",
        "exit code 3",
    )


def test_the_draft_is_on_standard_input(check: MakeCheck) -> None:
    assert check("Größe – and more\n", **shell("grep -q Größe")).passed is True
    assert check("Something else", **shell("grep -q Größe")).passed is False


def test_the_draft_is_in_a_file(check: MakeCheck) -> None:
    spec = {"check": "command", "argv": ["grep", "-q", "needle", "{file}"]}
    assert check("a needle here", **spec).passed is True
    assert check("nothing here", **spec).passed is False


def test_a_result_without_text_is_given_as_json(check: MakeCheck) -> None:
    script = "import json, sys; sys.exit(0 if json.load(sys.stdin) == {'n': 1} else 1)"
    spec = {"check": "command", "argv": [sys.executable, "-c", script]}
    assert check(result={"n": 1}, **spec).passed is True


@pytest.mark.parametrize("code", [0, 1])
def test_a_program_may_print_a_score(check: MakeCheck, code: int) -> None:
    told = json.dumps({"score": 6.5, "issues": ["Too dry", "Too long"], "suggestion": "Add a story."})
    found = check(**shell(f"echo reading; echo '{told}'; exit {code}", reads="json", threshold=6))
    assert (found.score, found.passed) == (6.5, True)
    assert (found.issue, found.suggestion) == ("Too dry; Too long", "Add a story.")


@pytest.mark.parametrize("spec", [
    {"check": "command", "argv": ["no-such-program-here"]},
    shell("exit 127"),
    shell("kill -9 $$"),
    shell("sleep 60", timeout=0.5),
    shell("echo fine", reads="json"),
    shell("""echo '{"score": 11}'""", reads="json"),
    shell("""echo '{"score": true}'""", reads="json"),
    shell("""echo '{"score": "9"}'""", reads="json"),
    shell("head -c 6000000 /dev/zero | tr '\\\\0' x"),
], ids=lambda spec: " ".join(spec["argv"])[:30])  # fmt: skip
def test_what_could_not_be_made_is_no_score(check: MakeCheck, spec: dict[str, Any]) -> None:
    with pytest.raises(TemporaryError, match="The check command could not be made"):
        check(**spec)
    found = check(**spec | {"on_error": "skip"})
    assert (found.score, found.passed) == (None, None)
    assert found.error


def test_it_has_no_secrets_and_a_folder_of_its_own(check: MakeCheck, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "hush")
    found = check(
        **shell('test -z "$SOME_KEY" && test "$CALLBOARD_DRAFT" = 1 && ls && pwd && test "$HOME" = "$PWD"')
    )
    assert found.passed is True
    assert "draft.md" in found.evidence


def test_it_is_made_again_and_then_counts(check: MakeCheck, context: RecordingContext) -> None:
    flag = context.workspace / "tried"
    found = check(**shell(f"test -e {flag} && exit 0; touch {flag}; exit 127"), pauses=(0.01,))
    assert found.score == 10.0
    assert any("made again" in line["message"] for line in context.logs)


def test_a_job_that_is_cancelled_meanwhile_stops(check: MakeCheck, context: RecordingContext) -> None:
    context.timeout_seconds = 100
    began = time.monotonic()

    class Later:
        """Becomes true a moment after the check has begun."""

        def __bool__(self) -> bool:
            return time.monotonic() - began > 0.5

    context.cancelled = Later()  # type: ignore[assignment]
    with pytest.raises(Cancelled):
        check(**shell("sleep 61", on_error="skip"))
    assert time.monotonic() - began < 20
    assert not [p for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == ["sleep", "61"]]


def test_it_is_told_as_a_tool_call_that_the_watchdog_waits_for(
    check: MakeCheck, context: RecordingContext
) -> None:
    check(**shell("exit 1"))
    check(**shell("exit 127", on_error="skip", name="other"))
    assert [(tool["name"], tool["ok"], tool["answer"]) for tool in context.tools] == [
        ("check command", True, "0 of 10"),
        ("check other", False, "not made"),
    ]


def test_what_it_prints_is_not_the_agents_log(check: MakeCheck, context: RecordingContext) -> None:
    check(**shell("echo chatter; echo more >&2"))
    assert "chatter" not in context.said
    assert context.pids == []
