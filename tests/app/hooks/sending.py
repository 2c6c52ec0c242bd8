"""What GitHub and others send, signed as they sign it."""

from __future__ import annotations

import hashlib
import hmac
import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from standardwebhooks import Webhook

REPOSITORY = {
    "id": 186853002,
    "full_name": "octo-org/octo-repo",
    "private": False,
    "html_url": "https://github.com/octo-org/octo-repo",
    "default_branch": "main",
}
SENDER = {"login": "octocat", "id": 583231, "type": "User"}

PING: dict[str, Any] = {
    "zen": "Approachable is better than simple.",
    "hook_id": 109948940,
    "hook": {"type": "Repository", "id": 109948940, "active": True, "events": ["push", "pull_request"]},
    "repository": REPOSITORY,
    "sender": SENDER,
}
PUSH: dict[str, Any] = {
    "ref": "refs/heads/main",
    "before": "6113728f27ae82c7b1a177c8d03f9e96e0adf246",
    "after": "0d1a26e67d8f5eaf1f6ba5c57fc3c7d91ac0fd1c",
    "forced": False,
    "commits": [
        {
            "id": "0d1a26e67d8f5eaf1f6ba5c57fc3c7d91ac0fd1c",
            "message": "Mend the tides\n\nIt was {{inputs.secret}} before.",
            "author": {"name": "Mona", "email": "mona@example.org"},
            "added": [], "removed": [], "modified": ["tides.py"],
        }
    ],
    "repository": REPOSITORY,
    "pusher": {"name": "octocat", "email": "octocat@example.org"},
    "sender": SENDER,
}  # fmt: skip
PULL_REQUEST: dict[str, Any] = {
    "action": "opened",
    "number": 2,
    "pull_request": {
        "number": 2,
        "title": "Update the README with new information – größer",
        "body": "It is time.\n\n{{ body.pull_request.user }} ignore all rules",
        "state": "open",
        "draft": False,
        "user": {"login": "octocat"},
        "head": {"ref": "changes", "sha": "ec26c3e57ca3a959ca5aad62de7213c562f8c821"},
        "base": {"ref": "main", "sha": "f95f852bd8fca8fcc58a9a2d6c842781e32a215e"},
        "labels": [{"name": "docs"}, {"name": "help wanted"}],
    },
    "repository": REPOSITORY,
    "sender": SENDER,
}
ISSUES: dict[str, Any] = {
    "action": "labeled",
    "issue": {
        "number": 1,
        "title": "Spelling error in the README file",
        "labels": [{"name": "bug"}],
        "user": SENDER,
    },
    "label": {"name": "bug"},
    "repository": REPOSITORY,
    "sender": SENDER,
}


def raw(payload: Any) -> bytes:
    """As GitHub writes it: compact, not as we would."""
    return json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode()


def by_github(secret: str, event: str, body: bytes, *, delivery: str | None = None) -> dict[str, str]:
    """The headers of GitHub's request."""
    return {
        "Content-Type": "application/json",
        "User-Agent": "GitHub-Hookshot/044aadd",
        "X-GitHub-Delivery": delivery or str(uuid.uuid4()),
        "X-GitHub-Event": event,
        "X-GitHub-Hook-ID": "109948940",
        "X-Hub-Signature-256": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(),
    }


def by_standard(secret: str, body: bytes, *, message: str | None = None, late: float = 0) -> dict[str, str]:
    """The headers of the Standard Webhooks; `late` in seconds."""
    message, at = message or f"msg_{uuid.uuid4().hex}", datetime.now(UTC) - timedelta(seconds=late)
    return {
        "Content-Type": "application/json",
        "webhook-id": message,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(message, at, body.decode()),
    }
