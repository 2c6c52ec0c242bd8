"""The tool by which a model asks a person (imports pydantic_ai).

The call stays open in the conversation that is kept, and the attempt ends; the one that goes on finds the answer and
gives it to the model as the tool's result. No turn is paid twice.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_ai.messages import ToolCallPart
from pydantic_ai.tools import ToolDefinition

from actors.models.conversation import KEPT_AS
from actors.models.wish import Person
from actors.runners.base import JSON, Answer, Context
from app.db import storable

NAME = "ask_person"
SUMMARY_CHARS = 200
LONGEST_QUESTION, LONGEST_CHOICE, LONGEST_ANSWER = 4_000, 200, 10_000
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Asking(BaseModel):
    """What the model says when it asks."""

    model_config = ConfigDict(extra="ignore")

    question: Annotated[Text, Field(max_length=LONGEST_QUESTION)]
    choices: list[Annotated[Text, Field(max_length=LONGEST_CHOICE)]] | None = Field(None, max_length=20)


DEFINITION = ToolDefinition(
    name=NAME,
    description="Ask the person you work for, when you cannot go on well without them: for a decision that is theirs,"
    " or for something only they know. It may take hours until they answer, so ask rarely, and all at once.",
    parameters_json_schema={
        "type": "object",
        "properties": {
            "question": {
                "type": "string",
                "description": "The question, with all that is needed to answer it.",
            },
            "choices": {
                "type": "array",
                "items": {"type": "string"},
                "description": "The answers to choose from; left out: they write what they like.",
            },
        },
        "required": ["question"],
        "additionalProperties": False,
    },
    strict=False,
)


def ask(call: ToolCallPart, person: Person, context: Context) -> tuple[bool, str]:
    """What the person said, as a tool's result; raises Asked while they have said nothing."""
    try:
        asking = Asking.model_validate(call.args_as_dict(raise_if_invalid=True))
    except ValidationError as wrong:
        first = wrong.errors()[0]
        return False, f"This cannot be asked: {'.'.join(map(str, first['loc']))}: {first['msg']}"
    except ValueError as wrong:
        return False, f"The arguments are no JSON object: {wrong}"
    if KEPT_AS not in context.checkpoint():
        return False, "This conversation has grown too long to wait for a person; go on without asking."
    answer = context.ask(
        storable(asking.question),
        key=f"{NAME} {call.tool_call_id}",
        form=form_of(asking.choices),
        approvers=tuple(person.approvers),
        deadline_seconds=person.deadline_minutes and person.deadline_minutes * 60,
    )
    told = worded(answer)
    context.tool_started(call.tool_call_id, NAME, asking.model_dump(), asking.question[:SUMMARY_CHARS])
    context.tool_ended(call.tool_call_id, ok=True, summary=told[:SUMMARY_CHARS])
    return True, told


def form_of(choices: list[str] | None) -> JSON:
    """What they fill in: one of the choices, else a text."""
    field: JSON = {"type": "string", "title": "Answer"}
    field |= (
        {"enum": list(dict.fromkeys(map(storable, choices)))}
        if choices
        else {"minLength": 1, "maxLength": LONGEST_ANSWER}
    )
    return {
        "type": "object",
        "properties": {"answer": field},
        "required": ["answer"],
        "additionalProperties": False,
    }


def worded(answer: Answer) -> str:
    """An answer as the model is told it."""
    if answer.by is None:
        return "Nobody answered in time. Go on as well as you can, and say in your result what was left open."
    said: Any = (answer.answer or {}).get("answer")
    words = f"They answered: {said}" if answer.approved and said else "They would not answer this."
    return f"{words}\nThey added: {answer.comment}" if answer.comment else words
