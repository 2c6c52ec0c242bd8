from __future__ import annotations

import jsonschema
import pytest

from actors.builtin.text.scoring import CRITERIA
from app.errors import Cancelled, PermanentError
from app.quality.text.sentences import plain
from tests.actors.builtin.desk import EXAMPLES, Desk, definition

AGENT = "editor"
GOOD = (EXAMPLES / "articles" / "night-shift.md").read_text()
THIN = (EXAMPLES / "articles" / "thin-draft.md").read_text()


def test_the_example_passes_and_tells_every_check_in_the_log(desk: Desk) -> None:
    result = desk.run(AGENT, **definition(AGENT).ours.example or {})

    assert result["passed"]
    assert result["feedback"] == f"✓ Content approved ({result['score']}/10, threshold: 7.0)"
    told = [line["message"] for line in desk.context.logs if line["message"][0] in "✓✗"]
    assert len(told) == len(CRITERIA) + 1
    assert desk.context.artifacts["review.md"].decode() == result["report"]


def test_a_weak_draft_is_a_completed_job_with_a_low_score_and_named_issues(desk: Desk) -> None:
    result = desk.run(AGENT, content=THIN, topic="work queues", target_length=400)

    assert not result["passed"]
    assert result["score"] < 4
    assert {"Missing examples", "Weak conclusion", "Weak call-to-action", "Far too short"} <= set(
        result["issues"]
    )
    assert result["feedback"] == f"✗ Content needs improvement ({result['score']}/10, threshold: 7.0)"
    assert any("very unique" in (check["suggestion"] or "") for check in result["quality"]["checks"])


def test_the_same_draft_always_gets_the_same_score(desk: Desk) -> None:
    first = desk.run(AGENT, content=GOOD, topic="night work")
    assert desk.run(AGENT, content=GOOD, topic="night work")["quality"] == first["quality"]


@pytest.mark.parametrize(
    ("change", "issue"),
    [
        (lambda text: text.split("## What it cost us")[0].rsplit("\n\n", 1)[0], "Weak conclusion"),
        (
            lambda text: text.replace("# What the night shift taught us about work queues", ""),
            "Missing title",
        ),
        (lambda text: text.replace("## ", ""), "Too few headings"),
        (lambda text: text.replace("For example, on", "On"), "Missing examples"),
        (
            lambda text: text.replace("Start with", "Remember").replace("that starts", "of"),
            "Weak call-to-action",
        ),
        (lambda text: text[: text.rindex("coffee")], "Weak conclusion"),
        (lambda text: "# Queues\n\n" + " ".join(plain(text).split()), "Poor structure"),
        (lambda text: text.replace("the", "the utterly awesome guys of the"), "Too casual: awesome, guys"),
    ],
)
def test_taking_something_away_costs_points_and_is_named(desk: Desk, change, issue: str) -> None:  # type: ignore[no-untyped-def]
    before, after = desk.run(AGENT, content=GOOD), desk.run(AGENT, content=change(GOOD))
    assert issue not in before["issues"]
    assert issue in after["issues"]
    assert after["score"] < before["score"]


def test_words_count_whole_only(desk: Desk) -> None:
    text = GOOD.replace("Start with", "Restarted booking trying").replace("team that starts", "team")
    assert "Weak call-to-action" in desk.run(AGENT, content=text)["issues"]


def test_target_length_and_threshold_are_kept(desk: Desk) -> None:
    short = desk.run(AGENT, content=GOOD, target_length=2000)
    assert "Far too short" in short["issues"]
    long = desk.run(AGENT, content=GOOD, target_length=100)
    assert "Too long" in long["issues"]
    assert not desk.run(AGENT, content=GOOD, target_length=600, threshold=10)["passed"]


def test_the_topic_is_judged_only_if_given(desk: Desk) -> None:
    assert "keywords" not in [check["name"] for check in desk.run(AGENT, content=GOOD)["quality"]["checks"]]
    assert "Off topic" in desk.run(AGENT, content=GOOD, topic="mountain railway history")["issues"]


def test_a_brand_voice_bans_and_demands_phrases(desk: Desk) -> None:
    result = desk.run(
        AGENT, content=GOOD, brand_voice='Friendly and warm. Never say "coffee". Always say "good morning".'
    )
    tone = next(check for check in result["quality"]["checks"] if check["name"] == "tone")
    assert "“coffee” is used" in tone["suggestion"]
    assert "“good morning” never appears" in tone["suggestion"]


def test_a_fragment_cannot_score_well(desk: Desk) -> None:
    assert desk.run(AGENT, content="Finally, start today. For example, save 10 %.")["score"] < 3


def test_content_or_file_is_required_and_must_say_something(desk: Desk) -> None:
    with pytest.raises(jsonschema.ValidationError, match="'content' is a required property"):
        desk.run(AGENT, topic="queues")
    with pytest.raises(PermanentError, match="empty") as caught:
        desk.run(AGENT, content="\u202e\u200b \n")
    assert caught.value.user_error
    with pytest.raises(PermanentError, match="outside the folders"):
        desk.run(AGENT, file="/etc/passwd")


def test_markup_in_a_draft_is_harmless_in_the_report(desk: Desk) -> None:
    report = desk.run(AGENT, content="# <script>alert(1)</script>\n\nText | with a pipe.")["report"]
    assert "<script>" not in report


@pytest.mark.parametrize(
    "bomb",
    [
        "a" * 200_000,
        "(" * 200_000,
        "a. " * 66_000,
        "* " * 100_000,
        "[x](" * 50_000,
        "é́" * 90_000,
        "\"'" * 90_000,
        "```\n" * 50_000,
        "\n# " * 60_000,
    ],
)
def test_hostile_text_is_judged_in_bounded_time(desk: Desk, bomb: str) -> None:
    desk.context.timeout_seconds = 60
    assert 0 <= desk.run(AGENT, content=bomb, topic="anything")["score"] <= 10
    assert desk.context.remaining_seconds > 0


def test_it_stops_between_checks(desk: Desk) -> None:
    desk.context.cancel_at_progress = 40
    with pytest.raises(Cancelled):
        desk.run(AGENT, content=GOOD)
