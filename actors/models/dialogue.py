"""A conversation from its first word to a result: turns, tools, one repair, the checkpoint (imports pydantic_ai)."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from actors.models import handing_out, output, person
from actors.models.chain import Chain, facts_of
from actors.models.conversation import Conversation, text_of, without
from actors.models.wish import Wish
from actors.runners.base import JSON, Context, ProviderSpec, Work
from actors.runners.feedback import draft_number, words_of
from app.errors import PermanentError

if TYPE_CHECKING:
    from pydantic_ai.messages import ToolCallPart
    from pydantic_ai.tools import ToolDefinition

    from actors.models.tools import Toolbox

TURN_CHARS = 200
SHOWN_CHARS = 2_000


def converse(work: Work, context: Context, wish: Wish, specs: list[ProviderSpec], prompt: str) -> JSON:
    """The result of the conversation that `prompt` opens; a finished turn of an earlier attempt is not paid again."""
    talk = taken_up(work, context, prompt)
    with tools_for(wish, work, context) as box:
        chain = Chain(work, context, wish, specs, work.config.get("output_schema"), offered(wish, box))
        while (text := talk.final_text) is None or (result := fitting(text, talk, chain)) is None:
            context.checkpoint_due()
            for call in talk.open_calls:
                ok, answer = used(call, wish, context, box)
                talk.answer(call, answer, ok=ok)
                talk.keep(context)
            take_turn(talk, chain)
    return result


def offered(wish: Wish, box: Toolbox | None) -> list[ToolDefinition]:
    """The tools that the model is told of."""
    ours = [person.DEFINITION] if wish.person else []
    return (
        (box.definitions if box else [])
        + ours
        + (handing_out.definitions(wish.agents) if wish.agents else [])
    )


def used(call: ToolCallPart, wish: Wish, context: Context, box: Toolbox | None) -> tuple[bool, str]:
    """What a tool says to the model, and whether it went well; raises Asked or WaitsForJobs if that is others' to say."""
    if wish.person and call.tool_name == person.NAME:
        return person.ask(call, wish.person, context)
    if wish.agents and call.tool_name in (handing_out.NAME, handing_out.WAIT):
        return handing_out.use(call, context)
    return box.use(call) if box else (False, "There are no tools here.")


def taken_up(work: Work, context: Context, prompt: str) -> Conversation:
    """The conversation an earlier attempt left, else a new one; about the draft that is wanted now."""
    instructions = str(work.config.get("instructions") or "")
    talk = Conversation.resumed(instructions, prompt, context)
    if work.feedback and (talk is None or talk.draft < draft_number(work)):
        return asked_again(talk, Conversation(instructions, prompt), work.feedback)
    if talk is None:
        return Conversation.begun(instructions, prompt)
    if talk.turns:
        message = f"Going on after {talk.turns} turns that an earlier attempt finished"
        context.event("turn", message, turns=talk.turns)
    return talk


def asked_again(talk: Conversation | None, anew: Conversation, feedback: JSON) -> Conversation:
    """The conversation with what was wrong with a draft as its next message; a new one opens with the task and that.

    A conversation that goes on is told the draft again where that was not its last answer.
    """
    if talk is None or talk.final_text is None:
        words = words_of(feedback, with_draft=True)
        anew.ask_for_draft(feedback["next"], f"{anew.prompt}\n\n---\n\n{words}")
        return anew
    words = words_of(feedback, with_draft=talk.draft != feedback["attempt"])
    talk.ask_for_draft(feedback["next"], words)
    return talk


def tools_for(wish: Wish, work: Work, context: Context) -> AbstractContextManager[Toolbox | None]:
    """The tools of the definition's servers; what they need is imported only where there are some."""
    if not wish.servers:
        return nullcontext()
    from actors.models.tools import toolbox

    return toolbox(wish, work, context)


def take_turn(talk: Conversation, chain: Chain) -> None:
    """One question and its answer, which is kept."""
    context, most = chain.context, chain.wish.max_turns
    if talk.turns >= most:
        forget(chain)
        raise PermanentError(f"The model took {most} turns and came to no end (llm.max_turns).")
    answer = chain.turn(talk)
    talk.heard(answer.response, answer.count, facts_of(answer.spec, answer.model))
    talk.keep(context)
    said = text_of(answer.response).strip()[:TURN_CHARS]
    calls = [call.tool_name for call in talk.open_calls]
    words = said or (f"wants {', '.join(calls)}" if calls else "said nothing")
    context.event("turn", f"Turn {talk.turns}: {words}", turn=talk.turns, of=most, tools=calls)
    if answer.response.finish_reason == "content_filter":
        raise PermanentError(f"{answer.spec.title} refused to answer: its content filter stopped the model.")


def fitting(text: str, talk: Conversation, chain: Chain) -> JSON | None:
    """The result, if the answer fits; None after asking for a better one. The second bad answer is the end."""
    cut = (last := talk.last_response) is not None and last.finish_reason == "length"
    try:
        result = output.fitted(text, chain.schema)
    except output.Misfit as misfit:
        complaints = misfit.complaints
    else:
        more: JSON = {"truncated": True} if cut else {}
        return talk.facts | {"usage": talk.totals} | more | result
    if cut or talk.repaired:
        forget(chain)
        raise unusable(complaints, text, cut=cut, most=chain.wish.max_output_tokens)
    talk.repaired = True
    talk.ask(output.repair_request(complaints))
    talk.keep(chain.context)
    chain.context.event(
        "turn",
        f"The answer cannot be used: {complaints[0]}; asking once more",
        level="warning",
        complaints=complaints,
    )
    return None


def unusable(complaints: list[str], text: str, *, cut: bool, most: int) -> PermanentError:
    """The end of a conversation without a result."""
    why = f"it was cut off at {most:,} tokens (llm.max_output_tokens)" if cut else complaints[0]
    details: JSON = {"complaints": complaints, "answer": text[:SHOWN_CHARS]}
    return PermanentError(f"The model's answer cannot be used: {why}", details=details)


def forget(chain: Chain) -> None:
    """Let the next attempt start anew: this conversation leads nowhere."""
    chain.context.checkpoint(without(chain.context.checkpoint()))
