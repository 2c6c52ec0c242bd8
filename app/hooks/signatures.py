"""Who may have sent a body: the secrets of a hook, and the signatures that they make.

GitHub signs the body as it goes over the wire, and no time; Standard Webhooks sign id, time and body. What came is
compared in constant time, and with each secret that counts now.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping

from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from app.db import Row
from app.secrets import sealing

OVERLAP_HOURS = 24
SHORTEST, LONGEST = 16, 200
GITHUB = "github"
_STANDARD = "whsec_"


def fresh(provider: str) -> str:
    """A new secret in the form that the other side takes: text for GitHub, `whsec_…` for Standard Webhooks."""
    if provider == GITHUB:
        return secrets.token_urlsafe(32)
    return _STANDARD + base64.b64encode(secrets.token_bytes(32)).decode()


def complaint(provider: str, secret: str) -> str | None:
    """What is wrong with a secret that somebody brings along."""
    if not SHORTEST <= len(secret) <= LONGEST or not secret.isprintable() or not secret.isascii():
        return f"must be {SHORTEST} to {LONGEST} printable ASCII characters"
    if provider != GITHUB and _key(secret) is None:
        return "must be `whsec_` and base64 of at least 16 bytes, as the Standard Webhooks have it"
    return None


def sealed(hook_id: str, secret: str) -> str:
    """A secret as it is written down."""
    return sealing.seal_one(secret, f"hooks/{hook_id}", "/secret")


def of(hook: Row) -> list[str]:
    """The secrets of a hook that count now, the newest first; `hook` has secret and previous."""
    kept = [each for each in (hook["secret"], hook["previous"]) if each]
    return [str(sealing.open_one(each, f"hooks/{hook['hook_id']}", "/secret")) for each in kept]


def why_not(provider: str, headers: Mapping[str, str], body: bytes, known: Iterable[str]) -> str | None:
    """Why nobody who knows one of the secrets can have sent this; None if one of them fits.

    The words are for the hook's owner alone: whoever calls learns only that it does not fit.
    """
    if provider == GITHUB:
        return _not_by_github(headers, body, known)
    return _not_standard(headers, body, known)


def _not_by_github(headers: Mapping[str, str], body: bytes, known: Iterable[str]) -> str | None:
    given = headers.get("x-hub-signature-256", "")
    if not given:
        sha1 = "x-hub-signature" in headers
        return "it is signed by SHA-1 only" if sha1 else "it has no X-Hub-Signature-256"
    fits = False
    for secret in known:  # all of them, so that the time tells nothing
        made = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        fits |= hmac.compare_digest(made.encode(), given.encode())
    return None if fits else "its signature does not fit"


def _not_standard(headers: Mapping[str, str], body: bytes, known: Iterable[str]) -> str | None:
    said = "its signature does not fit"
    for secret in known:
        try:
            Webhook(_key(secret) or secret.encode()).verify(body, dict(headers), json_parse=False)
        except WebhookVerificationError as wrong:
            said = f"{wrong}"
        except ValueError:  # base64, UTF-8 or the list of signatures cannot be read
            said = "its signature cannot be read"
        else:
            return None
    return said


def _key(secret: str) -> bytes | None:
    """The bytes of a `whsec_` secret; None for what is none."""
    if not secret.startswith(_STANDARD):
        return None
    try:
        key = base64.b64decode(secret.removeprefix(_STANDARD) + "==")
    except ValueError:
        return None
    return key if len(key) >= SHORTEST else None
