"""What one attempt may do without asking, by the approval policies in force (app/approvals/policies.py).

Asked at three moments: before the start, before an effect, and once the job has spent a policy's sum. An answer holds
for one job and for what it was given about: the agent's version, the parameters, the effect and what was shown. So a
later attempt of the same job is not asked again, and a yes for one input passes no other.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from typing import Any

from app.agents import registry, secrecy
from app.agents.definition import Definition
from app.approvals import asking, policies, queries
from app.approvals.policies import Policy
from app.budgets.amounts import exact, said
from app.db import AWAY, db, dumps
from app.errors import Asked, NotFound, NotPermitted
from app.jobs.claims import Claim

Spent = Callable[[], Decimal]

LARGEST_SO_FAR = 300_000
PAUSE_SECONDS = 1.0
"""After Postgres did not answer, what a job has spent is not looked at again sooner."""


class Clearance:
    """Of one attempt."""

    def __init__(
        self, claim: Claim, definition: Definition, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Nothing is asked yet; the policies are those in force now."""
        self.claim = claim
        self.definition = definition
        teams, self._effects = _standing(claim.agent_id, definition)
        self.policies = policies.covering(claim.agent_id, *teams)
        self._now, self._not_before = monotonic, 0.0
        self._sums = sorted(
            ((exact(each.over_usd), each) for each in self.policies if each.over_usd is not None),
            key=lambda pair: pair[0],
        )

    @property
    def minds_spending(self) -> bool:
        """Whether some policy asks at a sum that this job has not been allowed to pass yet."""
        return bool(self._sums)

    def before_start(self) -> None:
        """Ask what must be answered before the agent begins; raises Asked, or NotPermitted.

        For effects that the agent announces itself (Context.permit) the moment comes later.
        """
        for policy in self.policies:
            effects = self._unannounced(policy)
            if policy.asks_before_each_start:
                self._demand(policy, ["start"], policy.question or f"May {self._agent} run?", {})
            elif effects:
                question = f"May {self._agent} run? It has effects outside: {', '.join(effects)}."
                self._demand(policy, ["effects", effects], policy.question or question, {"effects": effects})

    def _unannounced(self, policy: Policy) -> list[str]:
        ours = self.definition.ours
        announced = set(ours.effects) if ours.runner == "pipeline" else set(ours.permits)
        return sorted(policy.effects & self._effects - announced)

    def permit(self, effect: str, question: str, shown: Any) -> None:
        """Ask what must be answered before this effect, of which `shown` tells; raises Asked, or NotPermitted."""
        for policy in self.policies:
            if effect in policy.effects:
                facts = {"effect": effect} | ({} if shown is None else {"what": shown})
                asked = f"{policy.question}\n\n{question}" if policy.question else question
                self._demand(policy, ["permit", effect, question, shown], asked, facts)

    def spending(self, spent: Spent, so_far: dict[str, Any] | None = None) -> None:
        """Ask if the job has spent more than a policy lets it; raises Asked, or NotPermitted. Cheap until then.

        They see the result `so_far`, and a NotPermitted of a later attempt carries it.
        """
        while self._sums and self._now() >= self._not_before and (used := spent()) > self._sums[0][0]:
            limit, policy = self._sums[0]
            amounts = f"spent {said('usd', used)}, which is more than {said('usd', limit)}"
            question = f"May this job of {self._agent} go on? It has {amounts}."
            facts: dict[str, Any] = {"spent_usd": float(used), "over_usd": float(limit)}
            if so_far is not None and len(dumps(so_far)) <= LARGEST_SO_FAR:
                facts["so_far"] = so_far
            try:
                self._demand(policy, ["over_usd", str(limit)], policy.question or question, facts)
            except AWAY:  # nobody could be asked either: a short outage is no reason to lose the work
                self._not_before = self._now() + PAUSE_SECONDS
                return
            self._sums.pop(0)

    @property
    def _agent(self) -> str:
        return self.definition.title

    def _demand(self, policy: Policy, moment: list[Any], question: str, facts: dict[str, Any]) -> None:
        claim = self.claim
        parameters = secrecy.hidden(self.definition.ours.parameters, claim.parameters)
        digest = asking.digest(
            "policy", policy.policy_id, moment, claim.agent_id, claim.agent_version, parameters
        )
        with db.quick():
            answer = asking.answer_to(claim.job_id, digest)
        if answer is None:
            shown = {"policy": policy.name, "agent": claim.agent_id, "parameters": parameters} | facts
            raise Asked(_question(policy, question, shown, digest))
        if answer["decision"] != "approve":
            refused = NotPermitted(_refusal(policy, answer), user_error=True, details={"policy": policy.name})
            with db.quick():
                refused.so_far = queries.get(answer["approval_id"])["shown"].get("so_far")
            raise refused


def _standing(agent_id: str, definition: Definition) -> tuple[set[str], set[str]]:
    """The teams and the effects of this version of an agent and of the present one.

    An old version that is replayed gets round no policy that covers the agent as it is now.
    """
    teams, effects = {definition.ours.team}, set(definition.ours.effects)
    if policies.in_force():
        with suppress(NotFound), db.quick():  # it was removed while its job waited
            now = registry.get(agent_id)
            teams, effects = teams | {now.team}, effects | set(now.effects)
    return teams, effects


def _question(policy: Policy, question: str, shown: dict[str, Any], digest: str) -> dict[str, Any]:
    return {
        "kind": "policy",
        "policy_id": policy.policy_id,
        "question": question,
        "shown": shown,
        "digest": digest,
        "approvers": policy.approvers,
        "on_timeout": policy.on_timeout,
        "deadline_seconds": policy.deadline_minutes and policy.deadline_minutes * 60,
        "escalate_seconds": policy.escalate_minutes and policy.escalate_minutes * 60,
        "escalate_to": policy.escalate_to,
    }


def _refusal(policy: Policy, answer: dict[str, Any]) -> str:
    who = f"{answer['by']} said no" if answer["by"] else "nobody answered in time"
    comment = f": {answer['comment']}" if answer["comment"] else ""
    return f"Not permitted by the policy {policy.name!r}: {who}{comment}"
