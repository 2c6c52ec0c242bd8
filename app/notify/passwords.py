"""Mail with a link by which somebody chooses a password: asked for here, and made by the courier when it is sent.

So the link stands in the mail and nowhere else: neither in the outbox nor in the web process that asked for it.
"""

from __future__ import annotations

from app.accounts.links import Purpose
from app.notify import deliveries, messages
from app.notify.events import Event
from app.notify.messages import News

_TOLD: dict[str, tuple[Event, str, str]] = {
    # These are no news: no rule, chat or webhook can ask for them.
    "reset": (
        Event("account.reset", "A link to choose a new password"),
        "Choose a new password for Callboard",
        (
            "Somebody, probably you, asked for a new password at Callboard. The link works once, for an hour. "
            "If it was not you, there is nothing to do: the old password stays."
        ),
    ),
    "invite": (
        Event("account.invite", "An invitation"),
        "You are invited to Callboard",
        (
            "You have an account at Callboard. Choose a password by the link, and sign in with this address. "
            "The link works once, for seven days."
        ),
    ),
}


def send_link(user_id: str, email: str, purpose: Purpose) -> None:
    """Have a link mailed to a user, after the commit and without anybody waiting for it."""
    event, title, body = _TOLD[purpose]
    news = News(event=event, title=title, body=body, audience=user_id, subject=("user", user_id))
    deliveries.add([messages.mail(news, email)])


def purpose_of(event: str) -> Purpose | None:
    """What a delivery's link is for; None for one that needs none."""
    return {"account.reset": "reset", "account.invite": "invite"}.get(event)  # type: ignore[return-value]
