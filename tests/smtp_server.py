"""A real SMTP server for tests: what it took is kept, and it can be told to refuse."""

from __future__ import annotations

import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


@dataclass
class Post:
    """The server's side: envelopes taken, and the replies it gives instead of taking them."""

    taken: list[Envelope] = field(default_factory=list)
    refusals: dict[str, str] = field(default_factory=dict)
    """Recipient → reply, like `550 5.1.1 no such user`; taken out of the way by clearing it."""
    data_reply: str | None = None
    password: bytes | None = None
    tls_used: list[bool] = field(default_factory=list)
    port: int = 0

    @property
    def mails(self) -> list[EmailMessage]:
        """What was taken, parsed."""
        return [message_from_bytes(each.content, policy=policy.default) for each in self.taken]  # type: ignore[arg-type,type-var]

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if address in self.refusals:
            return self.refusals[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.data_reply:
            return self.data_reply
        self.tls_used.append(session.ssl is not None)
        self.taken.append(envelope)
        return "250 OK"

    def check(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, told: Any
    ) -> AuthResult:
        right = isinstance(told, LoginPassword) and told.password == self.password
        return AuthResult(success=right, handled=right)


@contextmanager
def mail_server(*, certificate: Path | None = None, password: str | None = None) -> Iterator[Post]:
    """A server on a free port of 127.0.0.1; with a certificate it demands STARTTLS, with a password a login."""
    post = Post(password=password.encode() if password else None)
    more: dict[str, Any] = {"decode_data": False}
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
        more |= {"tls_context": context, "require_starttls": True}
    if password:
        more |= {"authenticator": post.check, "auth_required": True, "auth_require_tls": bool(certificate)}
    post.port = _free_port()
    controller = Controller(post, hostname="127.0.0.1", port=post.port, **more)
    controller.start()
    try:
        yield post
    finally:
        controller.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_certificate(folder: Path) -> Path:
    """A certificate for `localhost` with its key in one file, signed by itself."""
    path, key = folder / "server.pem", folder / "key.pem"
    argv = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
    ]
    argv += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(path)]
    subprocess.run(argv, check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + key.read_bytes())
    return path
