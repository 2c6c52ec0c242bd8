"""News by mail, through the server that gmail-agent uses too."""

from __future__ import annotations

from actors.builtin.mail import Letter, Server, addresses
from app.db import Row
from app.errors import JobError
from app.notify.deliveries import Outcome
from app.settings import Settings

# So short that a slow server's last word comes before the delivery's lease ends.
TIMEOUT_SECONDS = 8.0
ANSWER = "Answer without signing in (works once, and only for you; do not pass it on):"
WHY = "You get this mail because somebody asked Callboard to tell you."


def send(taken: Row, settings: Settings, *, answer_at: str | None = None) -> Outcome:
    """Hand the mail to the server. Its Message-ID is the delivery's, so that one that came twice is known.

    `answer_at` is where its reader answers without signing in.
    """
    server = Server.from_settings(settings.smtp)
    if server.missing:
        return Outcome(skipped=f"not configured: {_to_do(server.missing)}")
    assert server.sender
    try:
        letter = _letter(taken, server, answer_at)
    except ValueError as error:
        return Outcome(error=str(error), final=True)
    try:
        refused = server.deliver(letter.message(), letter.recipients, timeout=TIMEOUT_SECONDS)
    except JobError as error:
        return Outcome(error=error.message, final=not error.retryable, status_code=_code(error))
    for code, words in refused.values():
        said = f"The mail server does not take mail for this address: {code} {words}"
        return Outcome(error=said, final=code >= 500, status_code=code)
    return Outcome(delivered=True)


def _letter(taken: Row, server: Server, answer_at: str | None) -> Letter:
    told = taken["payload"]
    link = f"{ANSWER}\n{answer_at}" if answer_at else None
    assert server.sender
    return Letter(
        message_id=f"<{taken['delivery_id']}@{server.sender.domain}>",
        sender=server.sender,
        to=addresses(taken["target"], "the address"),
        cc=(),
        bcc=(),
        reply_to=(),
        subject="".join(c if c.isprintable() else " " for c in told["title"]),
        body="\n\n".join(
            part for part in (told["body"] or told["title"], told["link"], link, f"-- \n{WHY}") if part
        ),
        markdown=False,
        attachments=(),
    )


def _to_do(missing: str) -> str:
    name = missing.removesuffix(" is not set")
    return missing if name == missing else f"set {name}"


def _code(error: JobError) -> int | None:
    code = error.details.get("smtp_code")
    return code if isinstance(code, int) and 0 < code < 1000 else None
