"""GET /help: the keys, what states and errors mean, and how to do the same from a program."""

from __future__ import annotations

from flask import render_template

from app.dashboard import https, samples
from app.dashboard.words import PRIORITIES, STATES

# What each state means for whoever waits, in the order of a job's life.
MEANINGS = {
    "pending": "Accepted and kept; its time has not come yet.",
    "queued": "The next free worker of its pool takes it. The page of the job says what it waits for.",
    "running": "A worker has it, and says every few seconds that it still has.",
    "awaiting_input": "It asks a person. It holds no worker until somebody answers in the inbox.",
    "retry": "An attempt failed or its worker was lost; it starts again by itself at the time shown.",
    "completed": "Done; what came out is on its page.",
    "failed": "All attempts are used up, or trying again would not help. It lies in the dead letters.",
    "cancelled": "Somebody stopped it.",
}
# What kinds of errors there are, and what to do about each.
ERRORS = {
    "temporary": (
        "May pass by itself",
        "It was tried again by itself. If it failed all the same, try it later.",
    ),
    "rate_limit": (
        "A service was asked too often",
        "It waits as long as the service says. Lower the agent's rate.",
    ),
    "timeout": ("It ran out of time", "Give it a longer limit, or less to do at once."),
    "permanent": (
        "Trying again does not help",
        "Change the parameters, or what they point at, and send it in again.",
    ),
    "crash": ("The agent broke off", "Look at the last lines of its log and at its stack trace."),
    "lost": (
        "Its workers died",
        "Look at memory: three lost workers end a job, so that it does not take more down.",
    ),
    "stopped_budget": ("Its budget is spent", "Raise it by what is missing and resume; what it had is kept."),
    "rejected": ("The result was not good enough", "The drafts and their scores are kept on its page."),
}


def page() -> str:
    """GET /help."""
    return render_template(
        "help/page.html",
        states={name: (STATES[name], meaning) for name, meaning in MEANINGS.items()},
        priorities=PRIORITIES,
        errors=ERRORS,
        first_job=samples.first_job(),
        root=https.root(),
    )
