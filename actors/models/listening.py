"""One call of a model, streamed: what it says becomes progress, a partial result and metered usage (imports pydantic_ai)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic_ai.direct import model_request_stream
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.settings import ModelSettings

from actors.models.conversation import everything_of, text_of
from actors.models.faults import Fault, faults_of
from actors.models.metering import Meter
from actors.runners.base import JSON, Context, Work

T = TypeVar("T")

BEAT_SECONDS = 0.5
ALMOST_DONE_PERCENT = 95.0
WORD_COUNTS = ("word_count", "target_length", "words")


@dataclass
class Ear:
    """Passes on what a model says, at most twice a second."""

    context: Context
    meter: Meter
    facts: JSON
    wanted_words: int | None
    most_tokens: int
    percent: float = 0.0
    """Never goes down, also when another provider begins anew."""
    started: float = field(default_factory=time.monotonic)
    first_word_at: float | None = None
    _next_beat: float = 0.0

    def hears(self, stream: StreamedResponse) -> None:
        """Something came."""
        now = time.monotonic()
        if self.first_word_at is None:
            self.first_word_at = now
        if now >= self._next_beat:
            said = stream.get()
            everything = everything_of(said)
            self._next_beat = now + BEAT_SECONDS if everything else 0.0  # the first word is not kept waiting
            self.meter.streaming(said.usage, everything)
            self.passes_on(said)

    def passes_on(self, said: ModelResponse) -> None:
        """Tell everybody how far the answer is."""
        if text := text_of(said):
            words = len(text.split())
            of = f" / {self.wanted_words:,}" if self.wanted_words else ""
            self.percent = max(self.percent, self._share(words))
            self.context.progress(self.percent, f"{words:,}{of} {'word' if words == 1 else 'words'}")
            self.context.partial({"result": text, **self.facts})

    def _share(self, words: int) -> float:
        """Towards the words that were asked for, else towards the limit of the answer."""
        share = (
            words / self.wanted_words
            if self.wanted_words
            else self.meter.count.output_tokens / self.most_tokens
        )
        return min(ALMOST_DONE_PERCENT, 100 * share)


@dataclass(frozen=True)
class Question:
    """Everything one call needs."""

    title: str
    model: Model
    messages: list[ModelMessage]
    settings: ModelSettings
    parameters: ModelRequestParameters
    first_byte_seconds: float
    chunk_seconds: float


async def listen(question: Question, ear: Ear) -> ModelResponse:
    """Ask and hear the answer to its end; raises Fault. However it ends, the meter has it."""
    try:
        with faults_of(question.title):
            response = await _answer(question, ear)
    except BaseException:
        ear.meter.broken_off()
        raise
    ear.meter.ended(response.usage, everything_of(response))
    ear.passes_on(response)
    return response


async def _answer(question: Question, ear: Ear) -> ModelResponse:
    opening = model_request_stream(
        question.model,
        question.messages,
        model_settings=question.settings,
        model_request_parameters=question.parameters,
    )
    async with AsyncExitStack() as stack:
        first = f"sent nothing for {question.first_byte_seconds:g} s"
        stream = await _within(question.first_byte_seconds, first, stack.enter_async_context(opening))
        events = aiter(stream)
        patience, why = question.first_byte_seconds, first
        while await _more(events, patience, why):
            ear.hears(stream)
            patience = question.chunk_seconds
            why = f"sent nothing more for {patience:g} s in the middle of its answer"
        response = stream.get()
    if response.state != "complete" or response.finish_reason is None:
        raise Fault("transport", f"{question.title}: the answer broke off")
    return response


async def _more(events: AsyncIterator[Any], seconds: float, why: str) -> bool:
    return await _within(seconds, why, anext(events, None)) is not None


async def _within(seconds: float, why: str, awaited: Awaitable[T]) -> T:
    late = asyncio.timeout(seconds)
    try:
        async with late:
            return await awaited
    except TimeoutError as error:
        raise TimeoutError(why if late.expired() else str(error)) from error


def wanted_words(work: Work) -> int | None:
    """How many words the job asks for, if it says."""
    named = (work.parameters.get(name) for name in WORD_COUNTS)
    return next((count for count in named if isinstance(count, int) and count > 0), None)
