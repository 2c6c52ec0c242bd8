"""Who may do what: one table of verbs by roles, asked by every door and every room.

`YES` on anything, `OWNER` on what is one's own, `NO`. The last column is the scope an API key needs
for the verb; people who signed in have all scopes. Deny by default: an unknown verb is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import EllipsisType
from typing import Any, NamedTuple, Protocol

from app.errors import Forbidden, NotFound

ROLES = ("admin", "user", "viewer")
SCOPES = ("read", "write", "admin")

# What a key of each role can be given at most.
SCOPES_OF_ROLE = {
    "admin": frozenset({"read", "write", "admin"}),
    "user": frozenset({"read", "write"}),
    "viewer": frozenset({"read"}),
}


class Access(StrEnum):
    """How far a role's permission for a verb reaches."""

    YES = "yes"
    OWNER = "owner"
    NO = "no"


YES, OWNER, NO = Access.YES, Access.OWNER, Access.NO


class Rule(NamedTuple):
    """One row of the table."""

    admin: Access
    user: Access
    viewer: Access
    scope: str


TABLE: dict[str, Rule] = {
    #                          admin user   viewer scope
    # jobs
    "submit_task":        Rule(YES, YES,   NO,    "write"),
    "cancel_task":        Rule(YES, OWNER, NO,    "write"),
    "retry_task":         Rule(YES, OWNER, NO,    "write"),
    "change_priority":    Rule(YES, OWNER, NO,    "write"),
    "view_task":          Rule(YES, OWNER, YES,   "read"),
    "view_task_content":  Rule(YES, OWNER, NO,    "read"),  # parameters, result, logs, artifacts, stack trace
    "run_bulk_actions":   Rule(YES, OWNER, NO,    "write"),  # and what is done to each: the verb for one of them
    "view_bulk_actions":  Rule(YES, OWNER, NO,    "read"),
    "view_dlq":           Rule(YES, NO,    NO,    "admin"),
    "resubmit_dlq":       Rule(YES, NO,    NO,    "admin"),
    # what runs them
    "view_agents":        Rule(YES, YES,   YES,   "read"),
    "configure_agent":    Rule(YES, NO,    NO,    "admin"),
    "view_queues":        Rule(YES, YES,   YES,   "read"),
    "manage_queues":      Rule(YES, NO,    NO,    "admin"),
    "view_workers":       Rule(YES, YES,   YES,   "read"),
    "manage_workers":     Rule(YES, NO,    NO,    "admin"),
    "view_providers":     Rule(YES, YES,   YES,   "read"),
    "manage_providers":   Rule(YES, NO,    NO,    "admin"),
    "view_metrics":       Rule(YES, YES,   YES,   "read"),
    "view_budgets":       Rule(YES, YES,   YES,   "read"),
    "manage_budgets":     Rule(YES, NO,    NO,    "admin"),
    "exceed_budget":      Rule(YES, NO,    NO,    "write"),  # give a job more than its agent's definition does
    # more than one job
    "submit_workflow":    Rule(YES, YES,   NO,    "write"),
    "manage_workflow":    Rule(YES, OWNER, NO,    "write"),
    "view_workflow":      Rule(YES, OWNER, YES,   "read"),
    "view_workflow_content": Rule(YES, OWNER, NO, "read"),  # definition, inputs, outputs, what an error says
    "view_templates":     Rule(YES, YES,   YES,   "read"),  # which of them: app/workflows/templates.py
    "manage_template":    Rule(YES, OWNER, NO,    "write"),
    "view_approvals":     Rule(YES, YES,   YES,   "read"),  # which of them: app/approvals/queries.py
    "answer_approval":    Rule(YES, YES,   YES,   "write"),  # which of them: may_answer, below
    "manage_policies":    Rule(YES, NO,    NO,    "admin"),  # rules by which jobs ask people
    "view_gates":         Rule(YES, YES,   YES,   "read"),  # and judge a text by one
    "manage_gates":       Rule(YES, NO,    NO,    "admin"),  # what results of agents must be like
    "create_schedule":    Rule(YES, YES,   NO,    "write"),
    "manage_schedule":    Rule(YES, OWNER, NO,    "write"),
    "view_schedule":      Rule(YES, OWNER, YES,   "read"),
    "create_session":     Rule(YES, YES,   NO,    "write"),
    "join_session":       Rule(YES, OWNER, NO,    "write"),  # say, remember, make, hand out; participants as the owner
    "manage_session":     Rule(YES, OWNER, NO,    "write"),  # pause, complete, delete, say who takes part
    "view_session":       Rule(YES, OWNER, YES,   "read"),   # that it is there; participants as the owner
    "view_session_content": Rule(YES, OWNER, NO,  "read"),   # what was said, remembered and made
    # what comes in from outside
    "view_hooks":         Rule(YES, OWNER, NO,    "read"),   # and what came in, also by the relay
    "manage_hooks":       Rule(YES, OWNER, NO,    "write"),
    # news
    "view_notifications": Rule(YES, YES,   YES,   "read"),   # one's own, and mark them as read
    "view_deliveries":    Rule(YES, OWNER, NO,    "read"),
    "manage_webhooks":    Rule(YES, OWNER, NO,    "write"),  # endpoints and their secrets, sending again
    "manage_notify":      Rule(YES, NO,    NO,    "admin"),  # rules and channels
    # people
    "view_self":          Rule(YES, YES,   YES,   "read"),
    "save_view":          Rule(YES, YES,   YES,   "write"),  # one's own filters of lists, under a name
    "share_view":         Rule(YES, NO,    NO,    "admin"),
    "manage_api_keys":    Rule(YES, OWNER, OWNER, "write"),
    "manage_logins":      Rule(YES, OWNER, OWNER, "write"),  # see where somebody is signed in, and sign them out there
    "manage_users":       Rule(YES, NO,    NO,    "admin"),
    "view_audit":         Rule(YES, NO,    NO,    "admin"),
    "view_alerts":        Rule(YES, NO,    NO,    "admin"),  # and how polling goes
    "manage_alerts":      Rule(YES, NO,    NO,    "admin"),
    "manage_backups":     Rule(YES, NO,    NO,    "admin"),  # see that they are there, and make one; never read them
}  # fmt: skip


# All that a running job's token is good for, by the names of operations (app/api); deny by default. Which jobs and which
# session they may be done to, app/api/bounds.py says: its own tree, and the session it works for.
OF_A_RUN = frozenset({
    "submit_job",
    "get_job", "get_job_status", "get_job_logs", "get_job_events", "get_job_history", "explain_job", "get_job_tree",
    "cancel_job", "cancel_job_by_post",
    "list_agents", "get_agent", "get_agent_schema", "get_agent_docs",
    "get_session", "get_session_summary", "list_session_events",
    "list_session_messages", "add_session_messages",
    "list_session_memories", "get_session_memory", "store_session_memory",
    "list_session_artifacts", "get_session_artifact", "add_session_artifact",
})  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Principal:
    """Who is asking, for the length of one request."""

    user_id: str
    email: str
    role: str
    scopes: frozenset[str] = frozenset(SCOPES)
    key_id: str | None = None
    """The API key they came with; None for people who signed in."""
    session_id: str | None = None
    """The login that their cookie or access token belongs to."""
    job_id: str | None = None
    """The running job whose agent asks, by the token of its attempt; what it may do is OF_A_RUN and no more."""
    job_fence: int = 0
    """Which attempt of that job."""

    @property
    def is_admin(self) -> bool:
        """May see and do everything their scopes allow."""
        return self.role == "admin"

    @property
    def credential(self) -> str:
        """What limits are counted by: the key, else the person."""
        if self.job_id:
            return f"job:{self.job_id}"
        return f"key:{self.key_id}" if self.key_id else f"user:{self.user_id}"


def access(principal: Principal, verb: str) -> Access:
    """How far `principal` may `verb`; raises KeyError for a verb that is not in the table."""
    rule = TABLE[verb]
    granted: Access = getattr(rule, principal.role)
    return granted if rule.scope in principal.scopes else NO


def may(principal: Principal, verb: str, owner_id: str | EllipsisType | None = ...) -> bool:
    """Whether `principal` may `verb` something of `owner_id`.

    Without `owner_id` the question is whether they may do it to anything at all; None means that
    the thing belongs to nobody, so only those may who need not own it.
    """
    granted = access(principal, verb)
    if granted is OWNER:
        return owner_id is ... or owner_id == principal.user_id
    return granted is YES


def demand(principal: Principal, verb: str, owner_id: str | EllipsisType | None = ...) -> None:
    """Return if `may`; else raise Forbidden, or NotFound where even knowing of it would tell something."""
    if may(principal, verb, owner_id):
        return
    if access(principal, verb) is OWNER:
        raise NotFound
    raise Forbidden(_why_not(principal, verb))


def demand_operation(principal: Principal, operation: str) -> None:
    """Raise Forbidden if a running job's token is not good for this operation; for everybody else it says nothing."""
    if principal.job_id and operation not in OF_A_RUN:
        raise Forbidden(
            "The token of a running job only lets its agent delegate jobs, look at them and cancel them, read agents, "
            "and use the job's own session. For anything else use an API key."
        )


def own_only(principal: Principal, verb: str) -> str | None:
    """The owner to narrow a list to; None for those who may see all.

    Raises Forbidden for those who may not see any.
    """
    demand(principal, verb)
    return principal.user_id if access(principal, verb) is OWNER else None


class Answering(Protocol):
    """Who answers a question; a Principal is one, and so is whoever holds a link."""

    @property
    def user_id(self) -> str: ...  # noqa: D102 - as a Principal has it
    @property
    def email(self) -> str: ...  # noqa: D102
    @property
    def role(self) -> str: ...  # noqa: D102


def may_answer(question: Mapping[str, Any], who: Answering) -> bool:
    """Whether they may answer: admins always, those it names, and after its escalation those named for that.

    A question that names nobody is for whoever's work asks it. Viewers only look, unless a question names them by
    e-mail. `question` has approvers, requested_by, escalated_at and escalate_to. app/approvals/queries.py says the
    same in SQL.
    """
    if who.role == "admin":
        return True
    named = list(question["approvers"])
    if not named and who.role == "user" and question["requested_by"] == who.user_id:
        return True
    if question["escalated_at"] is not None:
        named += question["escalate_to"]
    return who.email.lower() in named or who.role in named


def _why_not(principal: Principal, verb: str) -> str:
    if getattr(TABLE[verb], principal.role) is NO:
        return f"Insufficient permissions: the role {principal.role} does not include {verb}."
    return f"Insufficient permissions: this API key lacks the scope {TABLE[verb].scope}."
