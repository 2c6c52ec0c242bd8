"""One mail: built so that nothing in it can become a header, and handed to an SMTP server.

What the server says decides about another try: 4xx may pass, 5xx and a refused login will not.
"""

from __future__ import annotations

import mimetypes
import smtplib
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime, getaddresses, parseaddr

import nh3
from markdown_it import MarkdownIt

from app import clock
from app.addresses import literal, mail_address, one_line
from app.errors import PermanentError, TemporaryError

SETTINGS = ("SMTP_HOST", "SMTP_PORT", "SMTP_USER", "SMTP_PASSWORD", "SMTP_FROM", "SMTP_SECURITY")
PORTS = {"starttls": 587, "tls": 465, "none": 25}
LOGIN_REFUSED = (530, 534, 535, 538)
TIMEOUT_SECONDS = 30.0
MOST_RECIPIENTS = 100


@dataclass(frozen=True, kw_only=True)
class Attachment:
    """A file to send along."""

    name: str
    content: bytes

    @property
    def media_type(self) -> str:
        """By its name; unknown ones are plain bytes."""
        guessed, encoding = mimetypes.guess_type(self.name)
        return guessed if guessed and not encoding else "application/octet-stream"


@dataclass(frozen=True, kw_only=True)
class Letter:
    """What is to be sent, checked; build one with `letter`."""

    message_id: str
    sender: Address | None
    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    bcc: tuple[Address, ...]
    reply_to: tuple[Address, ...]
    subject: str
    body: str
    markdown: bool
    attachments: tuple[Attachment, ...]

    @property
    def recipients(self) -> list[str]:
        """Every address once, in order."""
        everybody = (*self.to, *self.cc, *self.bcc)
        return list(dict.fromkeys(address.addr_spec for address in everybody))

    def message(self, *, draft: bool = False) -> EmailMessage:
        """The mail itself. Blind copies are named in a draft only: what is sent must not tell of them."""
        message = EmailMessage(policy=SMTPUTF8 if self._needs_utf8 else SMTP)
        if self.sender:
            message["From"] = self.sender
        message["To"] = self.to
        for header, addresses in (
            ("Cc", self.cc),
            ("Reply-To", self.reply_to),
            ("Bcc", self.bcc if draft else ()),
        ):
            if addresses:
                message[header] = addresses
        message["Subject"] = literal(self.subject)
        message["Date"] = format_datetime(clock.now())
        message["Message-ID"] = self.message_id
        message["Auto-Submitted"] = "auto-generated"
        if draft:
            message["X-Unsent"] = "1"  # mail programs open such a file for editing
        message.set_content(self.body)
        if self.markdown:
            message.add_alternative(as_html(self.body), subtype="html")
        for attachment in self.attachments:
            main, _, sub = attachment.media_type.partition("/")
            name = literal(attachment.name)
            message.add_attachment(attachment.content, maintype=main, subtype=sub, filename=name)
        return message

    @property
    def _needs_utf8(self) -> bool:
        return not all(address.isascii() for address in self.recipients)


def as_html(markdown: str) -> str:
    """Markdown as a page of HTML without scripts, styles or pictures from elsewhere."""
    rendered = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)
    clean = nh3.clean(rendered, tags=nh3.ALLOWED_TAGS - {"img"}, url_schemes={"https", "http", "mailto"})
    return f"<!doctype html>\n<html><body>\n{clean}</body></html>\n"


def addresses(written: str | Sequence[str], what: str) -> tuple[Address, ...]:
    """The addresses in a text (separated by commas) or a list; raises ValueError that says which is wrong."""
    texts = [written] if isinstance(written, str) else [str(each) for each in written]
    for text in texts:
        one_line(text, what)
    found = [
        mail_address(name, address, text, what)
        for text in texts
        if text.strip()
        for name, address in getaddresses([text])
    ]
    return tuple({address.addr_spec: address for address in found}.values())


@dataclass(frozen=True, kw_only=True)
class Server:
    """Where mail is handed in; `missing` names what must be set before that works."""

    host: str
    port: int
    user: str
    password: str
    sender: Address | None
    security: str
    missing: str | None

    @classmethod
    def from_settings(cls, given: Mapping[str, str]) -> Server:
        """Read SMTP_*; wrong values are told in `missing`, never raised."""
        host, user = given.get("SMTP_HOST", "").strip(), given.get("SMTP_USER", "")
        security = given.get("SMTP_SECURITY", "starttls").strip().lower() or "starttls"
        port = given.get("SMTP_PORT", "").strip() or str(PORTS.get(security, 0))
        written = given.get("SMTP_FROM", "").strip() or (user if "@" in user else "")
        sender, wrong = _sender(written)
        return cls(
            host=host,
            port=int(port) if port.isdecimal() and int(port) < 65_536 else 0,
            user=user,
            password=given.get("SMTP_PASSWORD", ""),
            sender=sender,
            security=security,
            missing=_missing(host, port, security, user) or wrong,
        )

    def deliver(
        self, message: EmailMessage, recipients: Sequence[str], *, timeout: float
    ) -> dict[str, tuple[int, str]]:
        """Hand the mail in; answers the addresses refused, with code and words. Raises a JobError for the rest."""
        assert self.sender
        try:
            with self._connected(min(TIMEOUT_SECONDS, timeout)) as smtp:
                refused = smtp.send_message(message, self.sender.addr_spec, list(recipients))
        except smtplib.SMTPRecipientsRefused as error:
            refused = error.recipients
        except (smtplib.SMTPException, OSError) as error:
            raise judged(error, self) from error
        return {address: (code, _words(said)) for address, (code, said) in refused.items()}

    def _connected(self, timeout: float) -> smtplib.SMTP:
        trusted = ssl.create_default_context()
        if self.security == "tls":
            smtp: smtplib.SMTP = smtplib.SMTP_SSL(self.host, self.port, timeout=timeout, context=trusted)
        else:
            smtp = smtplib.SMTP(self.host, self.port, timeout=timeout)
        try:
            if self.security == "starttls":
                smtp.starttls(context=trusted)
            if self.user:
                smtp.login(self.user, self.password)
        except BaseException:
            smtp.close()
            raise
        return smtp


def judged(error: Exception, server: Server) -> PermanentError | TemporaryError:
    """What a failed conversation with the server means for another try."""
    where = f"{server.host}:{server.port}"
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return PermanentError(f"The mail server {where} cannot do what is asked of it: {error}")
    if isinstance(error, smtplib.SMTPResponseException):
        said = f"{error.smtp_code} {_words(error.smtp_error)}"
        details: dict[str, object] = {"smtp_code": error.smtp_code}
        if error.smtp_code in LOGIN_REFUSED:
            message = (
                f"The mail server {where} refused the login ({said}). Check SMTP_USER and SMTP_PASSWORD."
            )
            return PermanentError(message, details=details)
        kind = TemporaryError if 400 <= error.smtp_code < 500 or error.smtp_code < 0 else PermanentError
        return kind(f"The mail server {where} refused the mail: {said}", details=details)
    if isinstance(error, ssl.SSLCertVerificationError):
        return PermanentError(
            f"The certificate of the mail server {where} is not trusted: {error.verify_message}"
        )
    if isinstance(error, ssl.SSLError):
        return PermanentError(
            f"No TLS with the mail server {where}: {error.reason}. Check SMTP_SECURITY and SMTP_PORT."
        )
    return TemporaryError(f"The mail server {where} cannot be reached: {error}")


def _sender(written: str) -> tuple[Address | None, str | None]:
    """The sender, or what is wrong with it."""
    if not written:
        return None, "SMTP_FROM is not set"
    try:
        return mail_address(*parseaddr(one_line(written, "SMTP_FROM")), written, "SMTP_FROM"), None
    except ValueError as error:
        return None, f"SMTP_FROM is wrong: {error}"


def _missing(host: str, port: str, security: str, user: str) -> str | None:
    if not host:
        return "SMTP_HOST is not set"
    if security not in PORTS:
        return f"SMTP_SECURITY must be one of {', '.join(PORTS)}"
    if not port.isdecimal() or not 0 < int(port) < 65_536:
        return "SMTP_PORT must be a number up to 65535"
    if user and security == "none":
        return "SMTP_SECURITY=none would send the password in the clear; use starttls or tls"
    return None


def _words(said: bytes | str) -> str:
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    return " ".join(text.split())[:300]
