"""What texts mean, as a provider's embedding model has it: OpenAI's `POST {base_url}/embeddings`, which most speak.

    where = place("openai/text-embedding-3-small", settings.secret)
    vectors = where.vectors(["Hello"], seconds=20)      # of length 1, so that their product is their likeness

Nothing is kept here, neither keys nor texts.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx2
import orjson

from app.db import Row
from app.errors import NotFound
from app.providers import queries

LONGEST_TEXT = 6000
"""Characters of a text that are sent: about 1,500 tokens, which every usual model takes."""
MOST_BYTES = 50_000_000
MOST_NUMBERS = 8192
SAID_CHARS = 300
KINDS = {401: "auth", 403: "auth", 402: "quota", 408: "transport", 425: "overload", 429: "throttle"}


class NotEmbedded(Exception):
    """There is no answer. `kind` as in app/providers/breaker.py; `retry_after` in seconds, where the provider says so."""

    def __init__(self, kind: str, message: str, retry_after: float | None = None) -> None:
        """`message` is for people."""
        super().__init__(message)
        self.kind, self.message, self.retry_after = kind, message, retry_after


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a model can be asked."""

    provider_id: str
    title: str
    base_url: str
    model: str
    key: str | None = field(default=None, repr=False)

    def vectors(self, texts: list[str], *, seconds: float) -> list[list[float]]:
        """The meaning of each text, in their order, each of length 1; raises NotEmbedded, also after `seconds`."""
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        body = {
            "model": self.model,
            "input": [text[:LONGEST_TEXT] for text in texts],
            "encoding_format": "float",
        }
        end = time.monotonic() + seconds
        try:
            with (
                httpx2.Client(timeout=seconds, trust_env=False) as client,
                client.stream("POST", f"{self.base_url}/embeddings", json=body, headers=headers) as answer,
            ):
                status, wait, said = answer.status_code, answer.headers.get("Retry-After"), _read(answer, end)
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, UnicodeError) as error:
            raise NotEmbedded("transport", f"{self.title}: {error or type(error).__name__}") from error
        if status != 200:
            raise NotEmbedded(
                _kind(status), f"{self.title} answers {status}: {self._harmless(said)}", _seconds(wait)
            )
        return self._numbers(said, len(texts))

    def _harmless(self, said: bytes) -> str:
        text = " ".join(said.decode("utf-8", "replace").split())
        return (text.replace(self.key, "(the key)") if self.key else text)[:SAID_CHARS]

    def _numbers(self, said: bytes, wanted: int) -> list[list[float]]:
        try:
            found: dict[int, Any] = {each["index"]: each["embedding"] for each in orjson.loads(said)["data"]}
            vectors = [_of_length_1(found[index]) for index in range(wanted)]
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, OverflowError) as wrong:
            raise NotEmbedded(
                "request", f"{self.title} answers with something that is no list of embeddings"
            ) from wrong
        if len({len(vector) for vector in vectors}) > 1:
            raise NotEmbedded("request", f"{self.title} answers with embeddings of different sizes")
        return vectors


def place(name: str, secret: Callable[[str], str | None]) -> Place:
    """Where `provider/model` can be asked now; NotEmbedded says why it cannot. `secret` answers the key in a variable."""
    provider_id, _, model = name.partition("/")
    try:
        row = queries.get(provider_id)
    except NotFound as nobody:
        raise NotEmbedded("request", f"EMBEDDING_MODEL: {nobody.message}") from nobody
    if row["kind"] != "openai" or row["demo"]:
        raise NotEmbedded("request", f"EMBEDDING_MODEL: {row['title']} has no embeddings")
    key = secret(row["key_name"]) if row["key_name"] else None
    if row["key_name"] and not key:
        raise NotEmbedded("auth", f"{row['key_name']} is not set for this process")
    _demand_open(row)
    return Place(
        provider_id=provider_id,
        title=row["title"],
        base_url=row["base_url"].rstrip("/"),
        model=model,
        key=key,
    )


def _demand_open(row: Row) -> None:
    how = queries.condition(row, row["now"])
    if how in ("off", "open"):
        raise NotEmbedded(
            "overload", f"{row['title']} is {'switched off' if how == 'off' else 'left alone for a while'}"
        )


def _read(answer: httpx2.Response, end: float) -> bytes:
    body = bytearray()
    for chunk in answer.iter_bytes():
        body += chunk
        if time.monotonic() > end:
            raise httpx2.ReadTimeout("its answer takes too long")
        if len(body) > MOST_BYTES:
            break
    return bytes(body)


def _kind(status: int) -> str:
    return KINDS.get(status, "overload" if status >= 500 else "request")


def _seconds(wait: str | None) -> float | None:
    return float(wait) if wait and wait.isdecimal() else None


def _of_length_1(numbers: list[float]) -> list[float]:
    length = math.sqrt(sum(number * number for number in numbers))
    if not 0 < len(numbers) <= MOST_NUMBERS or not math.isfinite(length) or length == 0:
        raise ValueError
    return [number / length for number in numbers]
