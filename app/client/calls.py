"""One request and its answer: what failed and why, and what may be said again by itself."""

from __future__ import annotations

import os
import random
from time import sleep
from typing import Any
from uuid import uuid4

import httpx2
import tenacity

JSON = dict[str, Any]
LOCAL = "http://127.0.0.1:8000"

AWAY_STATUSES = (502, 503, 504)
LONGEST_PAUSE = 65.0
"""A server that asks for more patience than this, in seconds, gets no second call: the caller hears it instead."""

_NEVER_ARRIVED = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)


class CallFailed(Exception):
    """The server refused, or could not be reached."""

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        problem: JSON | None = None,
        retry_after: float | None = None,
    ) -> None:
        """`status` is None when no answer came; `problem` is the server's problem document."""
        super().__init__(message)
        self.message = message
        self.status = status
        self.problem = problem or {}
        self.retry_after = retry_after

    @property
    def code(self) -> str:
        """The stable name of what is wrong, for programs; empty when the server said none."""
        return str(self.problem.get("code", ""))

    @property
    def errors(self) -> list[tuple[str, str]]:
        """What is wrong with the input: (JSON pointer, sentence)."""
        return [
            (str(each.get("pointer")), str(each.get("message"))) for each in self.problem.get("errors", ())
        ]

    def __str__(self) -> str:
        told = [f"  {pointer}: {message}" for pointer, message in self.errors if message not in self.message]
        return "\n".join([self.message, *told])


class NotFound(CallFailed):
    """There is no such thing, or it is somebody else's."""


class Refused(CallFailed):
    """The server does not know the key, or its owner may not do this."""


class Away(CallFailed):
    """No answer, or one from somebody who stands in for a server that is away; later it may work."""

    never_arrived = False
    """The server cannot have seen the request."""


_KINDS: dict[int, type[CallFailed]] = {404: NotFound, 401: Refused, 403: Refused} | dict.fromkeys(
    AWAY_STATUSES, Away
)


class Calls:
    """A connection to one server in one person's name."""

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        transport: httpx2.BaseTransport | None = None,
        timeout: float = 30.0,
        attempts: int = 4,
    ) -> None:
        """Left out, `url` is CALLBOARD_URL (else this machine) and `key` is CALLBOARD_API_KEY; `timeout` in seconds.

        Inside a running job both are there already: it speaks by its own token, CALLBOARD_JOB_TOKEN. Calls that do no harm when they arrive twice are tried so many times in all (`attempts`).
        """
        self.url = (url or os.environ.get("CALLBOARD_URL") or LOCAL).strip().rstrip("/")
        if not self.url.startswith(("http://", "https://")):
            raise CallFailed(f"{self.url} is no address of a server: it begins with http:// or https://")
        key = (
            key or os.environ.get("CALLBOARD_API_KEY") or os.environ.get("CALLBOARD_JOB_TOKEN") or ""
        ).strip()
        if not key.isascii() or not key.isprintable():
            raise CallFailed("the API key has characters that no key has: copy it again")
        headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
        self._http = httpx2.Client(base_url=self.url, headers=headers, transport=transport, timeout=timeout)
        self._attempts = attempts
        self._pause = sleep

    def close(self) -> None:
        """Close the connections; the client is not usable afterwards."""
        self._http.close()

    def rest(self, seconds: float) -> None:
        """Wait before asking again."""
        self._pause(seconds)

    def call(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: JSON | None = None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        """One request; answers the JSON of a good answer, None for an empty one. Raises CallFailed.

        Reads, and writes with an Idempotency-Key, are said again when the server is away; whatever was refused for
        its pace is said again after the pause that the server asks for.
        """
        return content(self.ask(method, path, body=body, query=query, headers=headers))

    def create(self, path: str, body: Any = None, *, key: str | None = None) -> Any:
        """POST under an Idempotency-Key (left out: a fresh one), so that a lost answer never does it twice."""
        return self.call("POST", path, body=body, headers={"Idempotency-Key": key or str(uuid4())})

    def ask(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: JSON | None = None,
        headers: dict[str, str] | None = None,
        attempts: int | None = None,
    ) -> httpx2.Response:
        """Like `call`, but answers the whole response, which may be a 304."""
        harmless = method.upper() in ("GET", "HEAD") or "Idempotency-Key" in (headers or {})
        again = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(attempts or self._attempts),
            retry=tenacity.retry_if_exception(lambda failure: _may_repeat(failure, harmless=harmless)),
            wait=_patience,
            sleep=self._pause,
            reraise=True,
        )
        answer: httpx2.Response = again(self._once, method, path, body, query, headers)
        return answer

    def _once(
        self, method: str, path: str, body: Any, query: JSON | None, headers: dict[str, str] | None
    ) -> httpx2.Response:
        params = {name: value for name, value in (query or {}).items() if value is not None}
        try:
            answer = self._http.request(method, path, json=body, params=params, headers=headers)
        except httpx2.HTTPError as failure:
            away = Away(f"no answer from {self.url}: {failure or type(failure).__name__}")
            away.never_arrived = isinstance(failure, _NEVER_ARRIVED)
            raise away from failure
        if answer.is_error:
            raise _refusal(answer)
        return answer


def _may_repeat(failure: BaseException, *, harmless: bool) -> bool:
    if not isinstance(failure, CallFailed) or (failure.retry_after or 0) > LONGEST_PAUSE:
        return False
    if failure.status == 429:
        return True
    return isinstance(failure, Away) and (harmless or failure.never_arrived)


def _patience(state: tenacity.RetryCallState) -> float:
    failure = state.outcome.exception() if state.outcome else None
    asked = (failure.retry_after or 0.0) if isinstance(failure, CallFailed) else 0.0
    return max(asked, backoff(state.attempt_number))


def backoff(failures: int) -> float:
    """Seconds to wait after so many failures in a row: 1, 2, 4, 8, 15, and up to a tenth more."""
    return float(min(15, 2 ** (min(failures, 5) - 1))) * random.uniform(1.0, 1.1)  # noqa: S311 - no secret


def content(answer: httpx2.Response) -> Any:
    """The JSON of a good answer, None for an empty one."""
    if not answer.content:
        return None
    try:
        return answer.json()
    except ValueError as strange:
        raise CallFailed(
            f"what answers at {answer.url} is no Callboard", status=answer.status_code
        ) from strange


def _refusal(answer: httpx2.Response) -> CallFailed:
    try:
        problem = answer.json()
    except ValueError:
        problem = {}
    problem = problem if isinstance(problem, dict) else {}
    said = problem.get("detail") or problem.get("title") or f"HTTP {answer.status_code} from {answer.url}"
    kind = _KINDS.get(answer.status_code, CallFailed)
    after = answer.headers.get("Retry-After", "")
    return kind(
        str(said),
        status=answer.status_code,
        problem=problem,
        retry_after=float(after) if after.isdigit() else None,
    )
