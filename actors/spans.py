"""The span of an attempt, and those of what agents do, by OpenTelemetry's names where it has some.

https://opentelemetry.io/docs/specs/semconv/ - messaging for the attempt, http for calls, gen-ai for models and tools.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import PurePath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from opentelemetry.trace import Span, SpanKind

from actors.runners.base import ProviderSpec
from app.errors import JobError
from app.jobs.states import Priority
from app.observe import tracing

if TYPE_CHECKING:
    from app.jobs.claims import Claim

PROVIDER_NAMES = {"gemini": "gcp.gemini", "anthropic": "anthropic", "openai": "openai"}
"""The conventions' names of providers; the others are called as Callboard calls them."""


class AttemptSpan:
    """The span of one attempt, to be told how it ended."""

    def __init__(self, span: Span) -> None:
        """Nothing has ended yet."""
        self.span = span

    def ended(self, outcome: str, reason: str | None = None) -> None:
        """It ended without an error: completed, cancelled, released, held (with the reason), asked or lost."""
        self.span.set_attributes(
            tracing.known({"callboard.attempt.outcome": outcome, "callboard.status_reason": reason})
        )

    def failed(self, error: JobError) -> None:
        """It failed; the kind of the error says why, its message stays with the job."""
        self.ended("failed", error.code)
        tracing.failed(self.span, str(error.details.get("type") or type(error).__name__))


@contextmanager
def attempt_span(claim: Claim, worker_id: str) -> Iterator[AttemptSpan]:
    """Around an attempt, below the request, run or schedule that submitted its job."""
    attributes = {
        "messaging.system": "callboard",
        "messaging.operation.type": "process",
        "messaging.destination.name": claim.pool,
        "messaging.message.id": claim.job_id,
        "callboard.job.id": claim.job_id,
        "callboard.agent.id": claim.agent_id,
        "callboard.agent.version": claim.agent_version,
        "callboard.pool": claim.pool,
        "callboard.priority": Priority(claim.priority_rank).word,
        "callboard.attempt.number": claim.fence,
        "callboard.attempt.retries": claim.retry_count,
        "callboard.queue.wait_seconds": round(claim.waited_seconds, 3),
        "callboard.correlation_id": claim.correlation_id,
        "callboard.workflow.id": claim.workflow_id,
        "callboard.workflow.step": claim.step_id,
        "callboard.schedule.id": claim.schedule_id,
        "callboard.worker.id": worker_id,
    }
    name = f"process {claim.agent_id}"
    with tracing.span(name, attributes, kind=SpanKind.CONSUMER, parent=claim.traceparent) as span:
        yield AttemptSpan(span)


@contextmanager
def program_span(argv: Sequence[str]) -> Iterator[Span]:
    """Around a program; of its arguments only what it is called: the others may be somebody's parameters."""
    name = PurePath(argv[0]).name
    with tracing.span(f"run {name}", {"process.executable.name": name, "process.command": argv[0]}) as span:
        yield span


@contextmanager
def model_span(
    spec: ProviderSpec, model: str, *, max_tokens: int, temperature: float | None, output: str
) -> Iterator[Span]:
    """Around one call of a model; of what is sent and said nothing is told."""
    provider = PROVIDER_NAMES.get(spec.provider_id, spec.provider_id)
    at = urlsplit(spec.base_url)
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": provider,
        "gen_ai.system": provider,
        "gen_ai.request.model": model,
        "gen_ai.request.max_tokens": max_tokens,
        "gen_ai.request.temperature": temperature,
        "gen_ai.output.type": output,
        "server.address": at.hostname,
    }
    with tracing.span(f"chat {model}", attributes, kind=SpanKind.CLIENT) as span:
        yield span


def tell_answer(
    span: Span,
    *,
    model: str | None,
    response_id: str | None,
    finish_reason: str | None,
    tokens: dict[str, int],
) -> None:
    """What came of a call of a model; `tokens` by the conventions' last words: input_tokens, output_tokens, …"""
    span.set_attributes(
        tracing.known(
            {
                "gen_ai.response.model": model,
                "gen_ai.response.id": response_id,
                "gen_ai.response.finish_reasons": [finish_reason] if finish_reason else None,
                **{f"gen_ai.usage.{name}": count for name, count in tokens.items()},
            }
        )
    )


@contextmanager
def tool_span(name: str, call_id: str) -> Iterator[Span]:
    """Around the use of a tool by a model; neither its arguments nor its answer are told."""
    attributes = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": name,
        "gen_ai.tool.call.id": call_id,
        "gen_ai.tool.type": "extension",
    }
    with tracing.span(f"execute_tool {name}", attributes) as span:
        yield span
