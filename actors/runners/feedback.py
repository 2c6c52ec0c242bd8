"""What was wrong with the draft before, as each runner hands it on to its agent.

`Work.feedback` is {attempt, next, score, threshold, issues, suggestions, feedback, text, draft, comment?, by?}: the
number of the draft that was judged and of the one to be made, what the gate said of it, the draft itself (the agent's
result, and the text in it that was judged), and what a person who sent it back wrote.

    llm      the conversation goes on with it as the next message
    cli      the session goes on with it; without a session it follows the task
    python   `work.feedback`
    command  a JSON file whose path is in CALLBOARD_FEEDBACK, and under `callboard_feedback` on standard input
    http     under `callboard_feedback` in the body
"""

from __future__ import annotations

import json
from pathlib import Path

from actors.runners.base import JSON, Work

KEY = "callboard_feedback"
VARIABLE = "CALLBOARD_FEEDBACK"
DRAFT_VARIABLE = "CALLBOARD_DRAFT"
MOST_ISSUES = 20


def draft_number(work: Work) -> int:
    """Which draft is to be made; the first is 1."""
    return int(work.feedback["next"]) if work.feedback else 1


def words_of(feedback: JSON, *, with_draft: bool) -> str:
    """The feedback as a model is told it; `with_draft` where it does not know the draft any more."""
    parts = [f"Draft {feedback['attempt']} is not good enough yet. {feedback.get('feedback') or ''}".strip()]
    if with_draft:
        parts.append(f"<draft>\n{_shown(feedback)}\n</draft>")
    if issues := [str(issue) for issue in feedback.get("issues") or ()][:MOST_ISSUES]:
        parts.append("What was found:\n" + _listed(issues))
    if suggestions := [str(each) for each in feedback.get("suggestions") or ()][:MOST_ISSUES]:
        parts.append("What would help:\n" + _listed(suggestions))
    if comment := feedback.get("comment"):
        parts.append(f"A person who read it says:\n{comment}")
    parts.append(
        "Keep what is good, mend what is named above, and give the whole result again in the same form as before,"
        " without a word about the changes."
    )
    return "\n\n".join(parts)


def with_feedback(work: Work) -> JSON:
    """The parameters as a program or an endpoint gets them: from the second draft on with the feedback among them."""
    return work.parameters | {KEY: work.feedback} if work.feedback else work.parameters


def variables(work: Work, temporary: Path) -> dict[str, str]:
    """What a program's environment says of the feedback; nothing for the first draft."""
    if work.feedback is None:
        return {}
    place = temporary / "feedback.json"
    place.write_text(json.dumps(work.feedback), encoding="ascii")
    return {VARIABLE: str(place), DRAFT_VARIABLE: str(draft_number(work))}


def _shown(feedback: JSON) -> str:
    text = feedback.get("text")
    return text if isinstance(text, str) else json.dumps(feedback.get("draft"), ensure_ascii=False, indent=2)


def _listed(lines: list[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
