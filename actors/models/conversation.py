"""A conversation with a model, kept after every turn so that a later attempt goes on from there (imports pydantic_ai).

What is kept belongs to one prompt: when the agent's definition or the job's parameters differ, it starts anew.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError
from pydantic_ai.messages import (
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    ModelResponsePart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)

from actors.models.metering import Count
from actors.runners.base import JSON, Context
from app.db import storable

KEPT_AS = "conversation"
MOST_KEPT_BYTES = 400_000


@dataclass
class Conversation:
    """What was said until now, and what it took."""

    instructions: str
    prompt: str
    messages: list[ModelMessage] = field(default_factory=list)
    turns: int = 0
    repaired: bool = False
    totals: dict[str, int] = field(default_factory=dict)
    facts: JSON = field(default_factory=dict)
    """Where the last answer came from."""
    draft: int = 1
    """Which draft of the result it is about now."""

    @classmethod
    def begun(cls, instructions: str, prompt: str) -> Conversation:
        """A new one."""
        talk = cls(instructions, prompt)
        talk.ask(prompt)
        return talk

    def ask_for_draft(self, number: int, request: str) -> None:
        """Ask for another draft of what was answered: it has turns of its own, and one repair."""
        self.ask(request)
        self.draft, self.turns, self.repaired = number, 0, False

    @classmethod
    def resumed(cls, instructions: str, prompt: str, context: Context) -> Conversation | None:
        """The one that an earlier attempt left; None if there is none, or none that fits."""
        kept = context.checkpoint().get(KEPT_AS)
        if not isinstance(kept, dict) or kept.get("of") != mark(instructions, prompt):
            return None
        try:
            messages = ModelMessagesTypeAdapter.validate_json(kept["messages"])
        except (ValidationError, KeyError):
            return None  # written by another version of the library
        state = {name: kept[name] for name in ("turns", "repaired", "totals", "facts")}
        return cls(instructions, prompt, messages, **state, draft=kept.get("draft", 1))

    def keep(self, context: Context) -> None:
        """Leave it for a later attempt; one that has grown too long is not kept."""
        written = ModelMessagesTypeAdapter.dump_json(self.messages).decode()
        if len(written) > MOST_KEPT_BYTES:
            context.checkpoint(without(context.checkpoint()))
            return
        kept: JSON = {
            "of": mark(self.instructions, self.prompt),
            "messages": written,
            "turns": self.turns,
            "repaired": self.repaired,
            "totals": self.totals,
            "facts": self.facts,
            "draft": self.draft,
        }
        context.checkpoint(context.checkpoint() | {KEPT_AS: kept})

    def ask(self, text: str) -> None:
        """Say something to the model."""
        self.messages.append(
            ModelRequest([UserPromptPart(storable(text))], instructions=self.instructions or None)
        )

    def heard(self, response: ModelResponse, count: Count, facts: JSON) -> None:
        """The model answered: one more turn."""
        self.facts = facts
        self.messages.append(cleaned(response))
        self.turns += 1
        amounts = {
            "input_tokens": count.prompt_tokens,
            "output_tokens": count.output_tokens,
            "cache_read_tokens": count.cache_read_tokens,
            "calls": 1,
        }
        for unit, amount in amounts.items():
            self.totals[unit] = self.totals.get(unit, 0) + amount

    @property
    def last_response(self) -> ModelResponse | None:
        """What the model said last."""
        return next((said for said in reversed(self.messages) if isinstance(said, ModelResponse)), None)

    @property
    def open_calls(self) -> list[ToolCallPart]:
        """The tool calls of the last answer that nobody has dealt with."""
        response = self.last_response
        if response is None:
            return []
        following = self.messages[-1]
        parts = following.parts if isinstance(following, ModelRequest) else ()
        dealt = {part.tool_call_id for part in parts if isinstance(part, ToolReturnPart)}
        asked = any(isinstance(part, UserPromptPart) for part in parts)
        calls = [part for part in response.parts if isinstance(part, ToolCallPart)]
        return [] if asked else [call for call in calls if call.tool_call_id not in dealt]

    @property
    def final_text(self) -> str | None:
        """What the model said last, if it waits for nothing."""
        response = self.messages[-1]
        if not isinstance(response, ModelResponse) or self.open_calls:
            return None
        return text_of(response)

    def answer(self, call: ToolCallPart, content: str, *, ok: bool) -> None:
        """Give the model what a tool said."""
        answer = ToolReturnPart(
            call.tool_name, content, call.tool_call_id, outcome="success" if ok else "failed"
        )
        last = self.messages[-1]
        if isinstance(last, ModelRequest):
            last.parts = [*last.parts, answer]
        else:
            self.messages.append(ModelRequest([answer], instructions=self.instructions or None))

    @property
    def as_text(self) -> str:
        """All that is sent with the next turn, for counting."""
        return "\n".join(
            [self.instructions, *(str(part_text(part)) for said in self.messages for part in said.parts)]
        )


def text_of(response: ModelResponse) -> str:
    """The text of an answer."""
    return storable("".join(part.content for part in response.parts if isinstance(part, TextPart)))


def cleaned(response: ModelResponse) -> ModelResponse:
    """An answer that can be written down: a character that two chunks shared is whole again, and NUL is none."""
    return replace(response, parts=[cleaned_part(part) for part in response.parts])


def cleaned_part(part: ModelResponsePart) -> ModelResponsePart:
    """One part of it."""
    if isinstance(part, TextPart | ThinkingPart):
        return replace(part, content=storable(part.content))
    if isinstance(part, ToolCallPart) and isinstance(part.args, str):
        return replace(part, args=storable(part.args))
    return part


def everything_of(response: ModelResponse) -> str:
    """All that a model wrote: text, thoughts and tool calls."""
    return " ".join(str(part_text(part)) for part in response.parts)


def part_text(part: Any) -> Any:
    """What a part of a message holds, as text."""
    if isinstance(part, ToolCallPart):
        return f"{part.tool_name} {part.args_as_json_str()}"
    return getattr(part, "content", "")


def without(kept: JSON) -> JSON:
    """A checkpoint that forgets the conversation."""
    return {name: value for name, value in kept.items() if name != KEPT_AS}


def mark(instructions: str, prompt: str) -> str:
    """What tells one conversation's beginning from another's."""
    return hashlib.sha256(f"{instructions}\0{prompt}".encode()).hexdigest()
