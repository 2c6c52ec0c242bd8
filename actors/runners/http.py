"""Run an HTTP endpoint as an agent: POST the parameters, take the JSON answer as the result.

`fetch_public` is what agents use to read a page whose address somebody typed in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC
from email.utils import parsedate_to_datetime
from ipaddress import ip_address

import httpx2

from actors.runners import outbound
from actors.runners.base import JSON, Context, Health, Work
from actors.runners.environment import asked_for
from actors.runners.feedback import draft_number, with_feedback
from actors.runners.output import clean_block
from app import clock
from app.addresses import is_public
from app.errors import (
    AttemptTimeout,
    JobError,
    PermanentError,
    RateLimitError,
    TemporaryError,
)

MAX_ANSWER_BYTES = 5_000_000
MAX_RETRY_AFTER_SECONDS = 86_400.0
MAX_REDIRECTS = 5
SHOWN_CHARS = 2_000
SLACK_SECONDS = 5.0  # more for one wait than for all, so that it is the patrol that ends a call
METHODS = ("POST", "PUT", "PATCH", "GET")
SECRET = re.compile(r"\{\{\s*secret\.(\w+)\s*\}\}")
HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,200}")
VALUE = re.compile(r"[\t\x20-\x7e]*")
FRAMING = frozenset({"content-length", "transfer-encoding", "connection", "host"})
"""Headers that say how the message is sent, and where."""


class HttpRunner:
    """Calls `config.url`.

    `config`: url, method (`POST`; GET sends the parameters as query), headers (`{{secret.NAME}}` stands
    for a variable that `secrets` lists), secrets, timeout (seconds of this call), http_allow_private.
    """

    name = "http"

    def run(self, work: Work, context: Context) -> JSON:
        """Answer the JSON object the endpoint sent, `{"result": ...}` for anything else."""
        config = work.config
        refusal = refused(config)
        if refusal:
            raise PermanentError(refusal)
        seconds = min(float(config.get("timeout") or work.timeout_seconds), work.timeout_seconds)
        patrol = patrol_for(work, context, seconds)
        private = bool(config.get("http_allow_private"))
        with (
            translated(config["url"]),
            outbound.client(patrol=patrol, timeout=seconds + SLACK_SECONDS, allow_private=private) as client,
            closing(client.send(request_for(work, client), stream=True)) as response,
        ):
            context.log(f"{response.status_code} {response.reason_phrase}", source="runner")
            return judged(response, outbound.read_body(response, MAX_ANSWER_BYTES))

    def health(self, config: JSON) -> Health:
        """`ready` if the definition is sound; nothing is called."""
        reason = refused(config)
        return Health("unavailable", reason) if reason else Health()


def fetch_public(
    url: str, *, max_bytes: int, timeout: float, allow_private: bool = False, context: Context | None = None
) -> tuple[str, str, bytes]:
    """GET a page: its final address, its media type, its content.

    Up to five redirects are followed, each checked like the first. `timeout` is for all of it. Raises
    JobErrors; with a `context` also what its checkpoint raises.
    """
    message = f"{shown(url)} did not answer within {timeout:g} s."
    late = outbound.deadline(timeout, lambda: TemporaryError(message))

    def patrol() -> None:
        late()
        if context:
            context.checkpoint_due()

    with outbound.client(
        patrol=patrol, timeout=timeout + SLACK_SECONDS, allow_private=allow_private, carries=False
    ) as client:
        for _ in range(MAX_REDIRECTS + 1):
            target = checked_url(url)
            with translated(url), client.stream("GET", target) as response:
                if response.has_redirect_location:
                    url = str(target.join(response.headers["location"]))
                    continue
                body = outbound.read_body(response, max_bytes)
                if response.status_code >= 400:
                    raise failure(response, body, user_error=True)
                media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
                return url, media_type or "application/octet-stream", body
    raise PermanentError(f"More than {MAX_REDIRECTS} redirects.", user_error=True)


def refused(config: JSON) -> str | None:
    """Why this definition cannot work, or None."""
    try:
        target = checked_url(str(config.get("url", "")))
        asked_for(config, "secrets")
    except PermanentError as error:
        return error.message
    if config.get("method", "POST") not in METHODS:
        return f"`method` must be one of {', '.join(METHODS)}."
    if not config.get("http_allow_private") and is_literal(target.host) and not is_public(target.host):
        return f"{target.host} is not an address of the public internet."
    return None


def checked_url(url: str) -> httpx2.URL:
    """`url` if it is one of http or https with a host and no password; raises PermanentError otherwise."""
    try:
        parsed = httpx2.URL(url)
    except (httpx2.InvalidURL, TypeError) as error:
        raise PermanentError(f"`{url[:200]}` is not a URL: {error}", user_error=True) from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise PermanentError("Only http:// and https:// addresses can be called.", user_error=True)
    if parsed.userinfo:
        raise PermanentError("A URL must not hold a password; use a header.", user_error=True)
    return parsed


def is_literal(host: str) -> bool:
    """Whether `host` is an address rather than a name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def request_for(work: Work, client: httpx2.Client) -> httpx2.Request:
    """The parameters as a request."""
    config = work.config
    method = config.get("method", "POST")
    secrets = asked_for(config, "secrets")
    given = config.get("headers") or {}
    headers = {name: with_secrets(str(value), secrets) for name, value in given.items()}
    demand_sendable(headers)
    headers |= {
        "Idempotency-Key": work.idempotency_key,
        "X-Callboard-Job-Id": work.job_id,
        "X-Callboard-Attempt": str(work.attempt),
    }
    if work.feedback:
        headers["X-Callboard-Draft"] = str(draft_number(work))
    if method == "GET":
        return client.build_request(method, config["url"], headers=headers, params=work.parameters)
    return client.build_request(method, config["url"], headers=headers, json=with_feedback(work))


def demand_sendable(headers: dict[str, str]) -> None:
    """Raise PermanentError for a header that HTTP does not take; its value, which may be a secret, is not said."""
    for name, value in headers.items():
        if not HEADER.fullmatch(name) or name.lower() in FRAMING:
            raise PermanentError(f"`{name[:100]}` cannot be set as a header.")
        if not VALUE.fullmatch(value):
            raise PermanentError(
                f"The value of the header `{name}` has line ends, or letters that are not ASCII."
            )


def with_secrets(value: str, secrets: dict[str, str]) -> str:
    """A header's value with its secrets; raises PermanentError for one the worker does not have."""

    def secret(match: re.Match[str]) -> str:
        if match[1] not in secrets:
            raise PermanentError(f"The worker has no `{match[1]}`; set it there and list it in `secrets`.")
        return secrets[match[1]]

    return SECRET.sub(secret, value)


def patrol_for(work: Work, context: Context, seconds: float) -> outbound.Patrol:
    """What ends a call: somebody's wish, the worker's end, the job's time limit, the call's own."""
    kind = TemporaryError if seconds < work.timeout_seconds else AttemptTimeout
    late = outbound.deadline(seconds, lambda: kind(f"The endpoint did not answer within {seconds:g} s."))

    def patrol() -> None:
        context.checkpoint_due()
        late()

    return patrol


def judged(response: httpx2.Response, body: bytes) -> JSON:
    """The result of a 2xx answer; raises what any other status means."""
    if not response.is_success:
        raise failure(response, body)
    if not body:
        return {}
    if "json" not in response.headers.get("content-type", ""):
        return {"result": clean_block(body.decode("utf-8", "replace"))}
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        details = facts(response, body)
        raise TemporaryError("The endpoint said it sent JSON, and did not.", details=details) from error
    return value if isinstance(value, dict) else {"result": value}


def failure(response: httpx2.Response, body: bytes, *, user_error: bool = False) -> JobError:
    """The error that an HTTP status means."""
    status = response.status_code
    message = f"The endpoint answered {status} {response.reason_phrase}".rstrip() + "."
    details = facts(response, body)
    if status == 429:
        return RateLimitError(message, retry_after=retry_after(response), details=details)
    if status >= 500 or status == 408:
        return TemporaryError(message, retry_after=retry_after(response), details=details)
    if response.is_redirect:
        message = f"The endpoint answered {status}, a redirect; those are not followed."
    return PermanentError(message, user_error=user_error or status in (400, 422), details=details)


def facts(response: httpx2.Response, body: bytes) -> dict[str, object]:
    """What is kept of an answer that was no success."""
    text = clean_block(body[: 4 * SHOWN_CHARS].decode("utf-8", "replace"))
    return {"status": response.status_code, "body": text[:SHOWN_CHARS]}


def retry_after(response: httpx2.Response) -> float | None:
    """Seconds the server asks to wait, from a number or a date, at most a day; None if it does not say."""
    value = response.headers.get("retry-after", "").strip()
    if value.isdecimal():
        return min(float(value[:9]), MAX_RETRY_AFTER_SECONDS)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError):
        return None
    seconds = (moment.replace(tzinfo=moment.tzinfo or UTC) - clock.now()).total_seconds()
    return min(max(0.0, seconds), MAX_RETRY_AFTER_SECONDS)


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Turn what the client raises into JobErrors."""
    try:
        yield
    except (httpx2.UnsupportedProtocol, httpx2.LocalProtocolError, httpx2.InvalidURL) as error:
        raise PermanentError(f"{shown(url)} cannot be called: {error}") from error
    except httpx2.TimeoutException as error:
        raise TemporaryError(f"{shown(url)} did not answer in time.") from error
    except httpx2.RequestError as error:
        raise TemporaryError(f"{shown(url)} could not be reached: {error}") from error


def shown(url: str) -> str:
    """A URL for messages: without the query, which may hold a secret."""
    return url.partition("?")[0][:200]
