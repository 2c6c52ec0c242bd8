"""What goes wrong between us and a provider, in the six words that decide what happens next (imports pydantic_ai)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
from pydantic_ai import exceptions as raised

MOST_RETRY_AFTER = 31 * 86_400.0
SHOWN_CHARS = 300

# The first that fits; each more special than those after it.
KINDS: tuple[tuple[type[Exception], str], ...] = (
    (raised.ModelQuotaExceededError, "quota"),
    (raised.ModelRateLimitError, "throttle"),
    (raised.ModelAuthenticationError, "auth"),
    (raised.ModelNotFoundError, "model"),
    (raised.ModelRequestRejectedError, "request"),
    (raised.ModelUnavailableError, "overload"),
    (raised.ModelServerError, "overload"),
    (raised.ModelConnectionError, "transport"),
    (raised.ModelRequestTimeout, "transport"),
)
BY_STATUS = {408: "transport", 409: "overload", 425: "overload"}
WAIT_IN_BODY = re.compile(r"['\"]retryDelay['\"]: ['\"](\d+(?:\.\d+)?)s['\"]")
SCHEMA_WORDS = (
    "response_format",
    "schema",
    "output_config",
    "output_format",
    "structured output",
    "grammar",
)


class Fault(Exception):
    """One call failed.

    `kind`: throttle, quota, auth, overload or transport (another provider may do better), model (this one does not
    have the model) or request (our own fault). `retry_after` is in seconds.
    """

    def __init__(self, kind: str, message: str, retry_after: float | None = None) -> None:
        """`message` is for people."""
        super().__init__(message)
        self.kind, self.message, self.retry_after = kind, message, retry_after

    @property
    def blames_the_schema(self) -> bool:
        """The provider cannot hold an answer to a schema, or not to this one."""
        return self.kind == "request" and any(word in self.message.lower() for word in SCHEMA_WORDS)


@contextmanager
def faults_of(title: str) -> Iterator[None]:
    """Turn what clients of models raise into Faults."""
    try:
        yield
    except raised.AgentRunError as error:
        raise Fault(kind_of(error), f"{title}: {said(error)}", wait_of(error)) from error
    except raised.UserError as error:
        raise Fault("request", f"{title}: {error.message[:SHOWN_CHARS]}") from error
    except TimeoutError as error:
        raise Fault("transport", f"{title}: {error or 'timed out'}") from error
    except (httpx2.HTTPError, OSError) as error:
        raise Fault("transport", f"{title}: {error or type(error).__name__}"[:SHOWN_CHARS]) from error


def kind_of(error: raised.AgentRunError) -> str:
    """The word for an exception of pydantic_ai."""
    if isinstance(error, raised.ModelRateLimitError) and "PerDay" in str(getattr(error, "body", "")):
        return "quota"  # the daily quota of Gemini, which calls it a rate limit
    for kind, word in KINDS:
        if isinstance(error, kind):
            return word
    if isinstance(error, raised.ModelHTTPError):
        return BY_STATUS.get(error.status_code, "overload" if error.status_code >= 500 else "request")
    return "transport"  # an answer that breaks off, or cannot be read


def wait_of(error: raised.AgentRunError) -> float | None:
    """Seconds the provider asks to wait: from its headers, or the body where Gemini has it."""
    seconds = getattr(error, "retry_after", None)
    if seconds is None and (found := WAIT_IN_BODY.search(str(getattr(error, "body", "")))):
        seconds = float(found[1])
    return None if seconds is None else min(float(seconds), MOST_RETRY_AFTER)


def said(error: raised.AgentRunError) -> str:
    """What the provider said, with its status."""
    text = worded(getattr(error, "body", None)) or error.message
    text = " ".join(text.split())[:SHOWN_CHARS]
    return f"{error.status_code} {text}" if isinstance(error, raised.ModelHTTPError) else text


def worded(body: Any) -> str | None:
    """The sentence inside an error body, wherever a provider puts it."""
    if isinstance(body, list) and body:
        return worded(body[0])
    if isinstance(body, dict):
        inner = body.get("error", body.get("message"))
        return inner if isinstance(inner, str) else worded(inner)
    return body if isinstance(body, str) and body.strip() else None
