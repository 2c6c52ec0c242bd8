"""What a call uses, told while it streams.

Most providers count at the end only. Until then the count is a floor: no tokenizer makes fewer tokens than there are
words, so what is metered early is never above the final figure, and a budget still sees the spending as it happens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from actors.runners.base import Context, ProviderSpec
from app.budgets.usage import Billing, Usage

if TYPE_CHECKING:
    from pydantic_ai.usage import RequestUsage

LONGEST_TOKEN = 16
CHARS_PER_TOKEN = 4


def at_least(text: str) -> int:
    """Tokens that `text` surely has."""
    return sum(1 + len(word) // LONGEST_TOKEN for word in text.split())


def about(text: str) -> int:
    """Tokens that `text` has by the usual rule of thumb."""
    return max(at_least(text), len(text) // CHARS_PER_TOKEN)


@dataclass(frozen=True)
class Count:
    """Tokens of a call. `estimated`: the provider did not say."""

    input_tokens: int
    output_tokens: int
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False

    @property
    def prompt_tokens(self) -> int:
        """All that went in, cached or not."""
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens

    @property
    def told(self) -> dict[str, int]:
        """The same by the names of OpenTelemetry, whose input is all that went in; what is 0 is left out."""
        named = {
            "input_tokens": self.prompt_tokens,
            "output_tokens": self.output_tokens,
            "cache_read.input_tokens": self.cache_read_tokens,
            "cache_creation.input_tokens": self.cache_write_tokens,
            "reasoning.output_tokens": self.reasoning_tokens,
        }
        return {name: count for name, count in named.items() if count}


class Meter:
    """Follows one call."""

    def __init__(self, context: Context, spec: ProviderSpec, model: str, call_id: str, prompt: str) -> None:
        """`prompt` is everything that is sent, as text."""
        self.context, self.spec, self.model, self.call_id = context, spec, model, call_id
        self.prompt = prompt
        self.count = Count(0, 0, estimated=True)

    def streaming(self, usage: RequestUsage, said: str) -> None:
        """The model has said so much until now."""
        told = counted(usage)
        floor = at_least(self.prompt)
        self.count = Count(
            input_tokens=told.input_tokens
            or max(0, floor - told.cache_read_tokens - told.cache_write_tokens),
            output_tokens=max(told.output_tokens, at_least(said)),
            cache_read_tokens=told.cache_read_tokens,
            cache_write_tokens=told.cache_write_tokens,
            reasoning_tokens=told.reasoning_tokens,
            estimated=True,
        )
        self._tell(final=False)

    def ended(self, usage: RequestUsage, said: str) -> Count:
        """The call is over; answers the final figures, by the rule of thumb where the provider gave none."""
        told = counted(usage)
        silent = not (told.prompt_tokens or told.output_tokens)
        self.count = Count(about(self.prompt), about(said), estimated=True) if silent else told
        self._tell(final=True)
        return self.count

    def broken_off(self) -> None:
        """The call was stopped or cut: what is known by now stays."""
        if self.count.prompt_tokens or self.count.output_tokens:
            self._tell(final=True)

    def _tell(self, *, final: bool) -> None:
        billing: Billing = self.spec.billing if self.spec.billing in ("subscription", "local") else "api"  # type: ignore[assignment]
        self.context.meter(
            Usage(
                call_id=self.call_id,
                provider=self.spec.provider_id,
                model=self.model,
                input_tokens=self.count.input_tokens,
                output_tokens=self.count.output_tokens,
                cache_read_tokens=self.count.cache_read_tokens,
                cache_write_tokens=self.count.cache_write_tokens,
                reasoning_tokens=self.count.reasoning_tokens,
                billing=billing,
                final=final,
            )
        )


def counted(usage: RequestUsage) -> Count:
    """Usage as we count it: input without what the cache took."""
    cached = usage.cache_read_tokens + usage.cache_write_tokens
    return Count(
        input_tokens=max(0, usage.input_tokens - cached),
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        reasoning_tokens=int(usage.details.get("reasoning_tokens", 0)),
    )
