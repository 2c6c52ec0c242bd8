"""One turn of a conversation, asked of the first provider that answers (imports pydantic_ai).

Who answered last is asked first the next time; who failed moves to the end of the row. When nobody answers, what
the providers said decides: hold the job until one is back, try again later, or say what to configure.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pydantic_ai.messages import InstructionPart, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.tools import ToolDefinition

from actors.models import loop
from actors.models.conversation import Conversation
from actors.models.faults import Fault
from actors.models.listening import Ear, Question, listen, wanted_words
from actors.models.metering import Count, Meter, about
from actors.models.output import closable, told_schema
from actors.models.providers import model_for, settings_for
from actors.models.wish import Wish
from actors.runners.base import JSON, Context, Pass, ProviderSpec, Refused, Work
from actors.spans import model_span, tell_answer
from app import clock
from app.errors import Held, JobError, PermanentError, RateLimitError, TemporaryError
from app.observe.tracing import failed

USUAL_ANSWER_TOKENS = 1000
SOON = timedelta(seconds=5)  # a refusal for want of a place says no time
WAITS = ("open", "probing", "requests", "tokens", "places", "throttle", "quota")
WAYS_OUT = {
    "auth": "Set a valid key for {} in the environment of the workers.",
    "model": "Install the model at {}, or name another one under llm.models.",
    "disabled": "Switch {} on again.",
}


@dataclass(frozen=True)
class Failure:
    """Why one provider did not answer: a fault's kind or a refusal's reason."""

    spec: ProviderSpec
    why: str
    message: str
    until: datetime | None = None

    @property
    def lasting(self) -> bool:
        """Somebody has to do something about it."""
        return self.why in WAYS_OUT


@dataclass(frozen=True)
class Answer:
    """What came of one turn."""

    spec: ProviderSpec
    model: str
    response: ModelResponse
    count: Count

    @property
    def model_used(self) -> str:
        """As results carry it (RUN-05)."""
        return model_used(self.spec, self.model)


@dataclass
class Chain:
    """The providers of an attempt, in the order in which they are asked now."""

    work: Work
    context: Context
    wish: Wish
    specs: list[ProviderSpec]
    schema: JSON | None = None
    tools: list[ToolDefinition] = field(default_factory=list)
    calls: int = 0
    percent: float = 2.0
    _told_only: set[str] = field(default_factory=set)
    """Providers that cannot hold an answer to a schema."""

    def turn(self, talk: Conversation) -> Answer:
        """Ask until one answers; raises what it means that none did."""
        failures: list[Failure] = []
        row = list(self.specs)
        for following, spec in enumerate(row, start=1):
            outcome = self._ask(spec, talk)
            if isinstance(outcome, Answer):
                return outcome
            self._switch(outcome, row[following:])
            failures.append(outcome)
        raise nobody(failures)

    def _ask(self, spec: ProviderSpec, talk: Conversation) -> Answer | Failure:
        try:
            entered = self.context.providers.enter(
                spec.provider_id,
                tokens=about(talk.as_text) + min(self.wish.max_output_tokens, USUAL_ANSWER_TOKENS),
            )
        except Refused as refused:
            return Failure(spec, refused.reason, refused.message, refused.until)
        with entered:
            return self._converse(spec, talk, entered)

    def _converse(self, spec: ProviderSpec, talk: Conversation, entered: Pass) -> Answer | Failure:
        try:
            answer = self._call(spec, talk)
        except Fault as fault:
            if spec.api_key:  # some servers say it in full
                fault.message = fault.message.replace(spec.api_key, "(the key)")
            if fault.blames_the_schema and self.schema and spec.provider_id not in self._told_only:
                self._told_only.add(spec.provider_id)
                self.context.log(
                    f"{fault.message}; asking without a schema", level="warning", source="models"
                )
                return self._converse(spec, talk, entered)
            return self._judge(spec, fault, entered)
        entered.succeeded(input_tokens=answer.count.prompt_tokens, output_tokens=answer.count.output_tokens)
        return answer

    def _judge(self, spec: ProviderSpec, fault: Fault, entered: Pass) -> Failure:
        """Tell the desk, and stop here for what is our own fault."""
        if (
            fault.kind != "model"
        ):  # the definition may name a model that is not there: no fault of the provider
            entered.failed(fault.kind, fault.message, fault.retry_after)
        if fault.kind == "request":
            details: JSON = {"provider": spec.provider_id}
            # Not from the fault: its trace carries the answer in full, and some servers repeat the key in it.
            raise PermanentError(f"{fault.message}. {way_out(fault.message)}", details=details) from None
        until = clock.now() + timedelta(seconds=fault.retry_after) if fault.retry_after is not None else None
        return Failure(spec, fault.kind, fault.message, until)

    def _call(self, spec: ProviderSpec, talk: Conversation) -> Answer:
        self.calls += 1
        name = self.wish.model_of(spec.provider_id, spec.kind, spec.model)
        facts = facts_of(spec, name)
        self.context.pin(provider=spec.provider_id, model=name)
        self.context.log(
            f"Asking {spec.title}, model {name}", source="models", provider=spec.provider_id, model=name
        )
        meter = Meter(self.context, spec, name, f"call-{self.calls}", talk.as_text)
        ear = Ear(
            self.context, meter, facts, wanted_words(self.work), self.wish.max_output_tokens, self.percent
        )
        model = model_for(spec, name)
        question = Question(
            title=spec.title,
            model=model,
            messages=talk.messages,
            settings=settings_for(self.wish),
            parameters=self._parameters(spec, model, talk),
            first_byte_seconds=self.wish.first_byte_seconds,
            chunk_seconds=self.wish.chunk_seconds,
        )
        try:
            response = self._heard(spec, name, question, ear)
        finally:
            self.percent = ear.percent
        answer = Answer(spec, name, response, meter.count)
        self._report(answer, ear)
        return answer

    def _heard(self, spec: ProviderSpec, name: str, question: Question, ear: Ear) -> ModelResponse:
        """The answer, inside of a span of our own: pydantic_ai's would tell the messages of errors."""
        wish = self.wish
        output = "text" if self.schema is None else "json"
        with model_span(
            spec, name, max_tokens=wish.max_output_tokens, temperature=wish.temperature, output=output
        ) as span:
            try:
                response = loop.run(listen(question, ear), self.context.stop_due)
            except Fault as fault:
                failed(span, fault.kind)
                raise
            tell_answer(
                span,
                model=response.model_name,
                response_id=response.provider_response_id,
                finish_reason=response.finish_reason,
                tokens=ear.meter.count.told,
            )
        return response

    def _parameters(self, spec: ProviderSpec, model: Model, talk: Conversation) -> ModelRequestParameters:
        instructions = [InstructionPart(content=talk.instructions)] if talk.instructions else []
        if self.schema is None:
            return ModelRequestParameters(function_tools=self.tools, instruction_parts=instructions)
        if not self._holds(spec, self.schema):
            instructions.append(InstructionPart(content=told_schema(self.schema)))
            return ModelRequestParameters(function_tools=self.tools, instruction_parts=instructions)
        strict = None if closable(self.schema) else False
        return ModelRequestParameters(
            function_tools=self.tools,
            instruction_parts=instructions,
            output_mode="native" if model.profile.get("supports_json_schema_output") else "prompted",
            output_object=OutputObjectDefinition(json_schema=self.schema, name="result", strict=strict),
        )

    def _holds(self, spec: ProviderSpec, schema: JSON) -> bool:
        """Whether the provider is asked to hold the answer to the schema."""
        asked = self.wish.structured and spec.provider_id not in self._told_only
        return asked and schema.get("type") == "object" and (spec.kind == "openai" or closable(schema))

    def _report(self, answer: Answer, ear: Ear) -> None:
        """Say what the call took (RUN-04)."""
        count, spec = answer.count, answer.spec
        now = time.monotonic()
        seconds, silent = round(now - ear.started, 1), round((ear.first_word_at or now) - ear.started, 1)
        estimated = " (estimated)" if count.estimated else ""
        self.context.event(
            "provider",
            f"{spec.provider_id}, {answer.model}: {count.prompt_tokens:,} prompt tokens, "
            f"{count.output_tokens:,} response tokens{estimated}, {seconds} s"
            + (", demo model" if spec.demo else ""),
            provider=spec.provider_id,
            model=answer.model,
            prompt_tokens=count.prompt_tokens,
            response_tokens=count.output_tokens,
            cache_read_tokens=count.cache_read_tokens,
            reasoning_tokens=count.reasoning_tokens,
            estimated=count.estimated,
            seconds=seconds,
            seconds_to_first_word=silent,
            finish_reason=answer.response.finish_reason,
            demo=spec.demo,
        )
        self.context.log(
            f"Provider: {spec.provider_id}, Model: {answer.model}, Prompt tokens: {count.prompt_tokens:,}, "
            f"Response tokens: {count.output_tokens:,}{estimated}; first word after {silent} s",
            source="models",
        )

    def _switch(self, failure: Failure, following: list[ProviderSpec]) -> None:
        """Put who failed at the end of the row, and say who is next."""
        self.specs.remove(failure.spec)
        self.specs.append(failure.spec)
        message = (
            f"Switched from {failure.spec.title} to {following[0].title}: {plain(failure)}"
            if following
            else f"{failure.spec.title} did not answer: {plain(failure)}"
        )
        self.context.event(
            "provider",
            message,
            level="warning",
            provider=failure.spec.provider_id,
            reason=failure.why,
            until=failure.until.isoformat() if failure.until else None,
        )


def facts_of(spec: ProviderSpec, model: str) -> JSON:
    """What every result says of its origin."""
    facts: JSON = {"model_used": model_used(spec, model), "provider": spec.provider_id}
    return facts | {"demo": True} if spec.demo else facts


def model_used(spec: ProviderSpec, model: str) -> str:
    """A provider and its model in words."""
    return f"{spec.title} - {model} (demo model)" if spec.demo else f"{spec.title} - {model}"


def way_out(message: str) -> str:
    """What to do about a request that a provider refuses."""
    if "context" in message.lower() or "too long" in message.lower():
        return "Shorten the parameters or the files, or name a model with a larger context under llm.models."
    return "Another try would be refused as well: change the parameters or the agent's definition."


def nobody(failures: list[Failure]) -> JobError | Held:
    """What it means that no provider answered."""
    told = "; ".join(f"{failure.spec.title}: {plain(failure)}" for failure in failures)
    passing = [failure for failure in failures if not failure.lasting]
    if not passing:
        hints = " ".join(
            dict.fromkeys(WAYS_OUT[failure.why].format(failure.spec.title) for failure in failures)
        )
        return PermanentError(f"No model can be asked, and waiting does not help. {told}. {hints}")
    times = [until for failure in passing if (until := back_at(failure)) is not None]
    if len(times) == len(passing) and all(failure.why in WAITS for failure in passing):
        earliest = passing[times.index(min(times))]
        message = f"No provider takes calls now. {told}"
        subject = earliest.spec.provider_id
        return Held("provider_open", message, until=min(times), agent_wide=True, subject=subject)
    wait = (min(times) - clock.now()).total_seconds() if times else None
    kind = RateLimitError if all(failure.why in WAITS for failure in passing) else TemporaryError
    return kind(f"No provider answered. {told}", retry_after=None if wait is None else max(0.0, wait))


def plain(failure: Failure) -> str:
    """A failure's message without the name that is said anyway."""
    return failure.message.removeprefix(f"{failure.spec.title}: ")


def back_at(failure: Failure) -> datetime | None:
    """When to ask again, as far as it is known."""
    if failure.until is None and failure.why in ("probing", "places", "requests", "tokens"):
        return clock.now() + SOON
    return failure.until
