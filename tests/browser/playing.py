"""Agents that only the browser tests have."""

from __future__ import annotations

import threading
from typing import Any

from actors.runners.base import Context, Work
from app.budgets.usage import Usage


def chatty(work: Work, context: Context) -> dict[str, Any]:
    """Say `lines` lines in `seconds`."""
    pause, lines = threading.Event(), int(work.parameters["lines"])
    for n in range(1, lines + 1):
        context.checkpoint_due()
        context.log(f"line {n} of the long talk", level="warning" if n % 50 == 0 else "info")
        pause.wait(float(work.parameters["seconds"]) / lines)
    return {"report": f"# Said\n\n{lines} lines."}


def teller(work: Work, context: Context) -> dict[str, Any]:
    """Tell a story: a turn, a call of `tool_seconds`, `tokens` metered, a silence of `quiet_seconds`, the end."""
    pause, told = threading.Event(), work.parameters
    context.pin(provider="house", model="plain-1")
    context.partial({"report": "# Half of it"})
    context.event("turn", "I will run the tests <b>now</b>.")
    context.tool_started("t1", "Bash", {"command": "npm test"}, "npm test")
    pause.wait(float(told["tool_seconds"]))
    context.tool_ended("t1", summary="42 passed, none failed")
    context.meter(
        Usage(call_id="c1", provider="house", model="plain-1", output_tokens=told["tokens"], final=True)
    )
    context.event("provider", "Switched from One to Two: overloaded", level="warning")
    for _ in range(int(float(told["quiet_seconds"]) / 0.05)):
        context.checkpoint_due()
        pause.wait(0.05)
    context.checkpoint_due()
    context.event("turn", "All is well.")
    return {"report": "# Told", "demo": True}


DRAFT = """# How bees find their way

They dance to *say* where the flowers are, and the others follow.

## The dance

- The angle is the direction.
- The length is the distance.

| Dance | Distance |
|---|---|
| round | near |
| waggle | far |

## The end

That is all.
"""


def asker(work: Work, context: Context) -> dict[str, Any]:
    """Ask about a draft as a gate does; whatever the answer is becomes the result."""
    told = work.parameters
    form = {"type": "object", "required": ["channel"], "properties": {"channel": {"type": "string"}}}
    answer = context.ask(
        f"May the draft about {told['topic']} be taken as it is?",
        kind="gate",
        shown={
            "input": {"topic": told["topic"], "tone": "warm <b>and</b> short"},
            "draft": {"number": 2, "of": 2, "text": DRAFT, "characters": len(DRAFT)},
            "quality": {
                "attempt": 2,
                "score": 6.5,
                "threshold": 7.0,
                "feedback": "✗ Content needs improvement (6.5/10, threshold: 7.0)",
                "issues": ["Missing examples"],
                "checks": [
                    _check("Length", 9.0),
                    _check("Examples", 2.0, issue="Missing examples", suggestion="Add one from a hive."),
                    _check("Facts", None, error="the judge did not answer"),
                ],
            },
        },
        form=form if told["has_form"] else None,
        editable={"text": DRAFT},
        options=("approve", "reject", "edit", "ask_back"),
        approvers=tuple(told["approvers"]),
        deadline_seconds=told["deadline_seconds"],
        draft_number=2,
    )
    return {
        "decision": answer.decision,
        "by": answer.by,
        "comment": answer.comment,
        "report": answer.edited or DRAFT,
    }


def _check(name: str, score: float | None, **more: Any) -> dict[str, Any]:
    said = {"issue": None, "suggestion": None, "error": None} | more
    passed = None if score is None else not said["issue"]
    return {"name": name, "kind": name.lower(), "score": score, "mode": "advisory", "passed": passed, **said}


def writer(work: Work, context: Context) -> dict[str, Any]:
    """Write about bees: draft n has as many of the four words that its gate wants as `steps` says, the last step stays."""
    pause, steps = threading.Event(), work.parameters["steps"]
    before = (work.feedback or {}).get("attempt", 0)
    pause.wait(float(work.parameters["seconds"]))
    words = ", ".join(("queen", "honey", "wax", "hive")[: steps[min(before, len(steps) - 1)]])
    content = (
        f"# Bees\n\nA <b>bee</b> knows much about {words}.\n\nIn short, look after your bees in spring.\n"
    )
    return {"content": content, "headline": {"text": "✓ Published", "url": "https://example.org/bees"}}
