"""Prompts: ways of working that a person picks by name."""

from __future__ import annotations

from typing import Annotated, Any

from mcp.server.mcpserver import MCPServer
from pydantic import Field


def register(server: MCPServer[Any]) -> None:
    """Offer every prompt of this module."""
    server.prompt(title="Have an agent do it")(do_it)
    server.prompt(title="Hold a morning meeting")(morning_meeting)
    server.prompt(title="Look into a failed task")(look_into)


def do_it(work: Annotated[str, Field(description="What is to be done, in your own words.")]) -> str:
    """Find the right agent, give it the work, follow it, and bring the result."""
    return f"""\
Have one of Callboard's agents do this:

{work}

1. Choose with list_agents, then read get_agent of your choice: its parameters and an example.
2. Submit with create_task. Give an idempotency_key of your own, so that a repeated call makes no second task.
3. Call wait_for_task until `done`. Tell me of its progress only when the stage changes.
4. If it asks something (awaiting_input), show me the question and its options, and answer with answer_input what I decide.
5. If it fails, say why in one sentence (get_task_logs with level=warning) and suggest what to change; retry only if I agree.
6. When it is done, read get_task_result and give me the result in short, with its page.
"""


def morning_meeting(
    session_id: Annotated[str, Field(description="Like morning_meeting_001.")],
    participants: Annotated[str, Field(description="Names or e-mail addresses, with commas.")] = "",
) -> str:
    """Take the notes of a meeting in a session, delegate what comes up, and sum up."""
    with_whom = f" with participants {participants}" if participants else ""
    return f"""\
We hold our morning meeting; keep it in the Callboard session {session_id}.

1. get_session first; create_session{with_whom} if there is none. Read its memories (query_memories): what was decided lately?
2. While we speak, add what is said with add_conversation, every few minutes, in one call for several pieces.
3. When something is decided or worth knowing later, store_memory it: a short key, one sentence, type decision, fact or task.
4. When somebody wants work done, name the agent you would take (list_agents) and delegate_task it after a yes. Do not wait for it.
5. Look into get_session_events from your cursor on when there is a pause: report results of delegated work as they come.
6. At the end summarize_session, read the action items aloud, and complete the session (update_session, status completed).
"""


def look_into(task_id: Annotated[str, Field(description="The failed task.")]) -> str:
    """Find out why a task failed, and what to do about it."""
    return f"""\
Find out why task {task_id} failed.

Read get_task_status, then get_task_logs with everything=true. Distinguish: wrong parameters (say which and the right ones),
something outside that was away (retry_task is enough), limits or budgets (explain_task), or a defect of the agent.
Give the cause in one sentence, the evidence as two or three quoted lines, and one suggestion. Change nothing without my yes.
"""
