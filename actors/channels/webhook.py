"""News to machines: signed by the Standard Webhooks, to public addresses only, without following anybody.

https://www.standardwebhooks.com
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx2
import orjson
from standardwebhooks import Webhook

from actors.runners import outbound
from actors.runners.outbound import BlockedAddress, Patrol
from app import clock
from app.db import Row
from app.errors import JobError, TemporaryError
from app.notify.deliveries import MOST_EXCERPT, Outcome

TIMEOUT_SECONDS = 10.0
GONE = 410


def send(taken: Row, keys: Sequence[str], *, patrol: Patrol, allow_private: bool) -> Outcome:
    """POST the payload, signed with every key; `patrol` may end the call from its own thread."""
    body = orjson.dumps(taken["payload"])
    late = outbound.deadline(TIMEOUT_SECONDS, _too_slow)

    def watch() -> None:
        patrol()
        late()

    try:
        with (
            outbound.client(patrol=watch, timeout=TIMEOUT_SECONDS, allow_private=allow_private) as client,
            client.stream(
                "POST", taken["target"], content=body, headers=headers(taken["delivery_id"], body, keys)
            ) as response,
        ):
            return _judged(response, _excerpt(response))
    except BlockedAddress as blocked:
        return Outcome(error=f"{blocked.message} Only public addresses are called.", final=True)
    except httpx2.InvalidURL as wrong:
        return Outcome(error=f"This is no address: {wrong}", final=True)
    except JobError as slow:
        return Outcome(error=slow.message)
    except (httpx2.HTTPError, OSError, UnicodeError) as error:
        return Outcome(error=str(error) or type(error).__name__)


def headers(message_id: str, body: bytes, keys: Sequence[str]) -> dict[str, str]:
    """Id, time and signatures; the id stays the same at every try, time and signatures do not."""
    now = datetime.now(UTC)
    signatures = [Webhook(key).sign(message_id, now, body.decode()) for key in keys]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
        "Content-Type": "application/json",
        "Accept-Encoding": "identity",
    }


def retry_after(value: str | None) -> float | None:
    """The seconds that a Retry-After asks for, as a number or a date; None for none or nonsense."""
    if not value:
        return None
    if value.strip().isascii() and value.strip().isdecimal():
        return float(value)
    with suppress(ValueError):
        moment = parsedate_to_datetime(value)
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return max(0.0, (aware - clock.now()).total_seconds())
    return None


def _judged(response: httpx2.Response, excerpt: str) -> Outcome:
    code = response.status_code
    if response.is_success:
        return Outcome(delivered=True, status_code=code, response=excerpt)
    if response.is_redirect:
        error = "It answered with a redirect, which is not followed."
    else:
        error = f"It answered {code} {response.reason_phrase}".rstrip() + "."
    return Outcome(
        error=error,
        status_code=code,
        response=excerpt,
        final=code == GONE,
        gone=code == GONE,
        retry_after=retry_after(response.headers.get("retry-after")),
    )


def _excerpt(response: httpx2.Response) -> str:
    """The beginning of the answer; what follows, or does not come, changes nothing."""
    body = bytearray()
    with suppress(httpx2.HTTPError, OSError, TemporaryError):
        for chunk in response.iter_raw():
            body += chunk
            if len(body) >= MOST_EXCERPT:
                break
    return bytes(body[:MOST_EXCERPT]).decode("utf-8", "replace")


def _too_slow() -> Exception:
    return TemporaryError(f"It did not answer within {TIMEOUT_SECONDS:.0f} seconds.")
