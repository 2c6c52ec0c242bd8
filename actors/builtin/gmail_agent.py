"""gmail-agent: sends a mail through the worker's SMTP server, or leaves it as a draft.

Sent once: the Message-ID comes from the job, and what the server took is kept in the checkpoint, so that a
later attempt writes only to those it has not reached.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from email.headerregistry import Address
from pathlib import Path

from actors.builtin import places
from actors.builtin.mail import MOST_RECIPIENTS, SETTINGS, Attachment, Letter, Server, addresses
from actors.builtin.text import markdown
from actors.runners.base import JSON, Context, Health, Work
from actors.runners.environment import asked_for
from app.addresses import one_line
from app.errors import PermanentError, TemporaryError

MOST_ATTACHED_BYTES = 20_000_000
MOST_BODY_CHARACTERS = 500_000


def health() -> Health:
    """Ready once a mail server is configured; without one only drafts can be made."""
    missing = _server().missing
    return Health("degraded", f"drafts only: {missing}") if missing else Health()


def run(work: Work, context: Context) -> JSON:
    """Send the mail, or keep it as `message.eml` for a person to send."""
    server = _server()
    context.stage("write", "Writing the mail")
    letter = _letter(work, server, context)
    draft = work.parameters.get("action", "send") == "draft"
    context.artifact("message.eml", letter.message(draft=draft).as_bytes(), "message/rfc822")
    if draft:
        if server.missing:
            context.log(f"No mail can be sent from here yet: {server.missing}.", level="warning")
        return _result(letter, context, action="draft", server=server)
    if server.missing:
        message = f"No mail can be sent: {server.missing}. Set {', '.join(SETTINGS)} for the worker, or choose `draft`."
        raise PermanentError(message)
    context.stage("send", "Handing the mail to the server")
    context.progress(50, "Handing the mail to the server")
    refused = _sent(letter, server, context)
    return _result(letter, context, action="send", server=server, refused=refused)


def _server() -> Server:
    return Server.from_settings(asked_for({"secrets": SETTINGS}, "secrets"))


def _letter(work: Work, server: Server, context: Context) -> Letter:
    """The mail as asked for; refuses what could not be sent or would smuggle a header in."""
    asked = work.parameters
    body = str(asked["body"])
    if len(body) > MOST_BODY_CHARACTERS:
        places.refuse(
            "body", f"`body` is longer than {MOST_BODY_CHARACTERS:,} characters; attach it as a file."
        )
    people = {name: _people(asked, name) for name in ("to", "cc", "bcc", "reply_to")}
    if not people["to"]:
        places.refuse("to", "Say who gets the mail with `to`.")
    letter = Letter(
        message_id=f"<{_job_of(work)}@{server.sender.domain if server.sender else 'callboard.invalid'}>",
        sender=server.sender,
        subject=_subject(asked),
        body=body,
        markdown=asked.get("format", "text") == "markdown",
        attachments=tuple(_attachments(work, context)),
        **people,
    )
    if len(letter.recipients) > MOST_RECIPIENTS:
        places.refuse("to", f"At most {MOST_RECIPIENTS} people get one mail; send several jobs.")
    return letter


def _job_of(work: Work) -> str:
    """The part of the idempotency key that all attempts of a job share."""
    key = work.idempotency_key.rpartition(":")[0] or work.idempotency_key
    return "".join(c if c.isalnum() or c in "-." else "-" for c in key)


def _people(asked: JSON, name: str) -> tuple[Address, ...]:
    written: str | Sequence[str] = asked.get(name) or ""
    try:
        return addresses(written, f"`{name}`")
    except ValueError as error:
        return places.refuse(name, f"{error}.")


def _subject(asked: JSON) -> str:
    try:
        return one_line(str(asked["subject"]), "`subject`")
    except ValueError as error:
        return places.refuse("subject", f"{error}.")


def _attachments(work: Work, context: Context) -> list[Attachment]:
    """The files named: artifacts of the same workflow or owner, else files from the workspace roots."""
    allowed = places.roots(work, places.READ)
    found, total = list[Attachment](), 0
    for raw in work.parameters.get("attachments") or []:
        path = context.fetch(str(raw)) or places.confined(
            str(raw), allowed, parameter="attachments", setting=places.READ
        )
        content = _read(path, MOST_ATTACHED_BYTES - total)
        total += len(content)
        found.append(Attachment(name=path.name, content=content))
    return found


def _read(path: Path, most: int) -> bytes:
    if not path.is_file():
        places.refuse("attachments", f"`{path.name}` is no file; only files can be attached.")
    if not path.name.isprintable():
        places.refuse("attachments", "A file with control characters in its name cannot be attached.")
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        limit = f"{MOST_ATTACHED_BYTES // 1_000_000} MB"
        places.refuse(
            "attachments", f"The attachments are larger than {limit} together; send a link instead."
        )
    return content


def _sent(letter: Letter, server: Server, context: Context) -> JSON:
    """Write to everybody who was not reached before; answers who was refused for good, and why."""
    kept = context.checkpoint()
    reached: list[str] = list(kept.get("reached", []))
    refused: JSON = dict(kept.get("refused", {}))
    waiting = [address for address in letter.recipients if address not in reached and address not in refused]
    if not waiting:
        context.log("An earlier attempt of this job has sent the mail; it is not sent again.")
        return refused
    people = markdown.count(len(letter.recipients), "recipient")
    context.permit("send", f"May this mail go out to {people}?", shown=_shown(letter))
    context.checkpoint_due()
    told = server.deliver(letter.message(), waiting, timeout=max(1.0, context.remaining_seconds))
    reached += [address for address in waiting if address not in told]
    refused |= {address: f"{code} {words}" for address, (code, words) in told.items() if code >= 500}
    context.checkpoint({"reached": reached, "refused": refused})
    later = {address: f"{code} {words}" for address, (code, words) in told.items() if code < 500}
    if later:
        address, words = next(iter(later.items()))
        raise TemporaryError(
            f"The mail server does not take mail for {address} now: {words}", details={"later": later}
        )
    if not reached:
        address, words = next(iter(refused.items()))
        raise PermanentError(f"The mail server refused every recipient; {address}: {words}", user_error=True)
    for address, words in refused.items():
        context.log(f"{address} was refused: {words}", level="warning")
    return refused


def _shown(letter: Letter) -> JSON:
    """The whole mail, for whoever must agree to it; files by what is in them."""
    return {
        **{name: [str(each) for each in getattr(letter, name)] for name in ("to", "cc", "bcc", "reply_to")},
        "sender": str(letter.sender),
        "subject": letter.subject,
        "body": letter.body,
        "attachments": [
            {
                "name": each.name,
                "bytes": len(each.content),
                "sha256": hashlib.sha256(each.content).hexdigest(),
            }
            for each in letter.attachments
        ],
    }


def _result(
    letter: Letter, context: Context, *, action: str, server: Server, refused: JSON | None = None
) -> JSON:
    refused = refused or {}
    sent_to = [] if action == "draft" else [each for each in letter.recipients if each not in refused]
    people = markdown.count(len(sent_to or letter.recipients), "recipient")
    said = f"Sent to {people}." if sent_to else f"A draft for {people}; nothing was sent."
    if refused:
        said += f" {len(refused)} refused."
    context.progress(100, said)
    return {
        "summary": said,
        "action": action,
        "sent": bool(sent_to),
        "message_id": letter.message_id,
        "recipients": letter.recipients,
        "refused": refused,
        "attachments": [{"name": each.name, "bytes": len(each.content)} for each in letter.attachments],
        "can_send": server.missing is None,
        "file_path": "message.eml",
        "report": _report(letter, said, server),
    }


def _report(letter: Letter, said: str, server: Server) -> str:
    rows = [("To", ", ".join(map(str, letter.to))), ("Cc", ", ".join(map(str, letter.cc)))]
    rows += [("Bcc", ", ".join(map(str, letter.bcc))), ("Subject", letter.subject)]
    rows += [
        ("Attached", ", ".join(each.name for each in letter.attachments)),
        ("Message-ID", letter.message_id),
    ]
    return markdown.report(
        [
            f"**{said}**",
            f"*No mail can be sent from here yet: {markdown.escape(server.missing, 300)}.*"
            if server.missing
            else "",
            markdown.table(("Field", "Value"), [row for row in rows if row[1]]),
        ]
    )
