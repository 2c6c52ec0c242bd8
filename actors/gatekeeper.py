"""The quality gate of a job: drafts are made, kept, judged and made better until one passes or nothing is left to try.

`result_of` stands where an attempt runs its runner. Whatever was done is kept at once, so a later attempt goes on from
there: a draft is never made twice, nor judged twice once its report is kept. What follows from a score is decided by
app/quality/decision.py; a check that could not be made is no score (actors/judges).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, cast

from actors.judges import Judges
from actors.runners.base import JSON, Answer, Context, Runner, Work
from actors.runners.worktree import is_end
from app.agents.definition import Definition
from app.budgets.usage import Usage
from app.db import db
from app.errors import Invalid, NotFound, PermanentError, StoppedByBudget
from app.jobs.claims import Claim
from app.quality import decision, gates
from app.quality.decision import Judged, Rules
from app.quality.definition import REFINEMENTS, Gate
from app.quality.report import Report
from app.quality.subject import USUAL, at, text_of

REFINES = ("llm", "cli", "pipeline")
"""Runners whose agents do better when told what was wrong; others do if their gate gives them refinements."""
OWN_LOOP = ("pipeline",)
"""Runners that go through the gate themselves, with a part of their work."""
PERCENT = 95.0
SHOWN_TEXT, SHOWN_INPUT = 20_000, 2_000
MOST_ISSUES = 20

Make = Callable[[JSON | None], JSON]
Checked = Callable[[Any], JSON]
Heard = Callable[[int, JSON], None]


def result_of(runner: Runner, work: Work, context: Context, gate: Gate | None, checked: Checked) -> JSON:
    """The result of an attempt: the runner's own, or the draft that the job's gate lets through.

    `checked` answers a result that may be kept, or raises. A runner with a loop of its own finds its gate by `gate_in`.
    """
    if gate is None or runner.name in OWN_LOOP:
        return checked(runner.run(with_gate(work, gate), context))
    refinements = refinements_of(gate, runner.name)
    try:
        result = through_gate(
            gate,
            drafting(runner, work, context, checked, more=refinements > 0),
            context,
            Judges(work, context),
            refinements=refinements,
        )
    except BaseException as error:
        if is_end(error) and not isinstance(error, StoppedByBudget):
            _forget(runner, work, context)
        raise
    _forget(runner, work, context)
    return result


def is_gated(definition: Definition, claim: Claim) -> bool:
    """Whether the job goes through a gate, whose checks may ask models."""
    return _wanted(definition, claim) is not None


def _wanted(definition: Definition, claim: Claim) -> str | JSON | None:
    """The job's own wish comes first; False is none."""
    wanted: str | JSON | Literal[False] | None = claim.options.get("gate", definition.ours.gate)
    return None if wanted is False else wanted


def gate_of(definition: Definition, claim: Claim, context: Context) -> Gate | None:
    """The gate of a job: the one its options name, or its agent's; None without one, or where the job is to have none.

    A job keeps the version of a named gate with which its first draft was judged. Raises PermanentError for a gate that
    is not there or cannot be read.
    """
    wanted = _wanted(definition, claim)
    if wanted is None:
        return None
    version = _version(context, wanted) if isinstance(wanted, str) else None
    try:
        with db.quick():
            return gates.gate(wanted, version)
    except (Invalid, NotFound) as wrong:
        raise PermanentError(f"The quality gate of this job cannot be used: {wrong.message}") from wrong


def with_gate(work: Work, gate: Gate | None) -> Work:
    """The work of a runner that goes through the gate itself."""
    if gate is None:
        return work
    kept = {"definition": gate.document(), "name": gate.name, "version": gate.version}
    return replace(work, config=work.config | {"gate": kept})


def gate_in(work: Work) -> Gate | None:
    """The gate that `with_gate` put into a work."""
    kept = work.config.get("gate")
    return Gate.read(kept["definition"], name=kept["name"], version=kept["version"]) if kept else None


def _version(context: Context, name: str) -> int | None:
    judged: JSON = next((draft["report"]["gate"] for draft in context.drafts() if draft["report"]), {})
    return judged.get("version") if judged.get("name") == name else None


def refinements_of(gate: Gate, runner: str) -> int:
    """How often a draft may be made better: as the gate says, else three times where that helps."""
    if gate.refinements is not None:
        return gate.refinements
    return REFINEMENTS if runner in REFINES else 0


def drafting(runner: Runner, work: Work, context: Context, checked: Checked, *, more: bool) -> Make:
    """What makes a draft: the runner, told what was wrong with the one before. `more`: there may be another one."""

    def make(feedback: JSON | None) -> JSON:
        number = feedback["next"] if feedback else 1
        told = replace(
            work,
            feedback=feedback,
            config=work.config | {"more_drafts": more},
            timeout_seconds=max(1.0, min(work.timeout_seconds, context.remaining_seconds)),
            idempotency_key=work.idempotency_key if number == 1 else f"{work.idempotency_key}:draft-{number}",
        )
        result = runner.run(told, cast("Context", OfDraft(context, number)) if number > 1 else context)
        return checked(result)

    return make


class OfDraft:
    """The context of a later draft: its model calls are others than the first one's, and the best draft stays kept."""

    def __init__(self, context: Context, number: int) -> None:
        """Everything else is as the attempt has it."""
        self._context, self._number = context, number

    def meter(self, usage: Usage) -> None:
        """As a call of this draft."""
        self._context.meter(replace(usage, call_id=f"draft {self._number}:{usage.call_id}"))

    def partial(self, result: JSON) -> None:
        """A job that is stopped keeps a whole draft rather than half of the next."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)


def through_gate(
    gate: Gate,
    make: Make,
    context: Context,
    judges: Judges,
    *,
    refinements: int = REFINEMENTS,
    percent: float = PERCENT,
    heard: Heard | None = None,
    settle: Heard | None = None,
) -> JSON:
    """The draft that `gate` lets through, with `quality` beside its other keys: {score, threshold, passed, verdict, …}.

    `make(feedback)` makes one draft; feedback is None for the first, later what Work.feedback is. `heard(number,
    report)` is called when a draft was judged, `settle(number, quality)` before the result is answered. Raises Asked
    while a person is to look at a draft. Of drafts that do not pass, the best is the answer, with passed false.
    """
    return Loop(gate, make, context, judges, refinements, percent, heard, settle).run()


class Loop:
    """The way of one job through its gate; its state is the drafts that are kept, nothing else."""

    def __init__(
        self,
        gate: Gate,
        make: Make,
        context: Context,
        judges: Judges,
        refinements: int,
        percent: float = PERCENT,
        heard: Heard | None = None,
        settle: Heard | None = None,
    ) -> None:
        """Go on from what earlier attempts kept."""
        self.gate, self.make, self.context, self.judges = gate, make, context, judges
        self.rules = Rules(refinements=refinements, min_gain=gate.min_gain, otherwise=gate.otherwise)
        self.percent, self.heard, self.settle = percent, heard, settle
        self.drafts = context.drafts()

    def run(self) -> JSON:
        """One step after the other until there is a result."""
        while True:
            self.context.checkpoint_due()
            if not self.drafts:
                self._make(None)
            elif self.drafts[-1]["report"] is None:
                self._judge()
            elif self._last["verdict"] == "revise":
                self._make(self._feedback(self.drafts[-1]["number"]))
            elif self._last["verdict"] != "needs_review":
                return self._result(self._last["verdict"] == "passed")
            elif (result := self._asked()) is not None:
                return result

    @property
    def _last(self) -> JSON:
        report: JSON = self.drafts[-1]["report"]
        return report

    def _make(self, feedback: JSON | None) -> None:
        began = time.monotonic()
        if feedback:
            self._step(f"Draft {feedback['next']}: being made")
        content = self.make(feedback)
        self._keep(content, seconds=round(time.monotonic() - began, 3), model=_model_of(content))

    def _keep(self, content: JSON, **made: Any) -> None:
        number = self.drafts[-1]["number"] + 1 if self.drafts else 1
        self.context.keep_draft(number, content, **made)
        self.drafts = self.context.drafts()

    def _judge(self) -> None:
        draft = self.drafts[-1]
        number, by_person = draft["number"], draft["source"] == "person"
        self._step(f"Draft {number}: being judged")
        content = self.context.draft(number)
        findings = self.judges.findings(self.gate, number, content, lenient=by_person)
        report = self._report(Report.of(self.gate, findings, attempt=number), by_person=by_person)
        self.context.judged_draft(number, report)
        self.drafts = self.context.drafts()
        self._tell(report)
        self.context.partial(self._content_of_best())

    def _report(self, report: Report, *, by_person: bool) -> JSON:
        """What is kept: the gate's report, what follows from it, and what the job used until then."""
        document = report.document()
        if not any(finding.ran for finding in report.findings):
            document |= {"score": None, "feedback": "No check of the gate could be made."}
        draft = Judged(report.attempt, document["score"], report.passed, "person" if by_person else "agent")
        verdict = decision.verdict_on(draft, self._judged()[:-1], self.rules)
        used = {"fence": self.judges.work.attempt, **getattr(self.context, "amounts", {})}
        return document | {"verdict": verdict, "used": used}

    def _judged(self) -> list[Judged]:
        return [_judged(draft) for draft in self.drafts]

    def _tell(self, report: JSON) -> None:
        number, verdict = report["attempt"], report["verdict"]
        told = {name: report[name] for name in ("attempt", "score", "threshold", "verdict")}
        self.context.event(
            "quality",
            report["feedback"],
            level="info" if verdict == "passed" else "warning",
            **told,
            issues=report["issues"][:MOST_ISSUES],
        )
        score = "not judged" if report["score"] is None else f"{report['score']:.1f}/10"
        self._step(f"Draft {number}: {score}")
        if self.heard:
            self.heard(number, report)

    def _step(self, words: str) -> None:
        self.context.progress(self.percent, words)

    def _feedback(self, number: int, answer: Answer | None = None) -> JSON:
        """What whoever makes the next draft is told about draft `number`."""
        report = self._report_of(number)
        content = self.context.draft(number)
        feedback = {
            "attempt": number,
            "next": self.drafts[-1]["number"] + 1,
            **{name: report[name] for name in ("score", "threshold", "issues", "feedback")},
            "suggestions": [
                f"{check['name']}: {check['suggestion']}"
                for check in report["checks"]
                if check.get("suggestion")
            ],
            "text": text_of(content, self.gate.of) or None,
            "draft": content,
        }
        return feedback | ({"comment": answer.comment or "", "by": answer.by} if answer else {})

    def _report_of(self, number: int) -> JSON:
        report: JSON = next(draft["report"] for draft in self.drafts if draft["number"] == number)
        return report

    def _asked(self) -> JSON | None:
        """Ask a person about the draft they have not seen; the result, or None if there is to be another draft."""
        number = decision.shown(self._judged()).number
        answer = self._answer(number)
        if answer.decision == "ask_back":
            self._make(self._feedback(number, answer))
        elif not answer.approved:
            return self._result(passed=False, number=number, answer=answer)
        elif answer.edited is None:
            return self._result(passed=True, number=number, answer=answer)
        else:
            content = edited(self.context.draft(number), self.gate.of, answer.edited)
            self._keep(content | {"edited_by": answer.by}, source="person")
        return None

    def _answer(self, number: int) -> Answer:
        """What the person says. All that is shown comes from what is kept, so that a later attempt asks the same."""
        gate, report = self.gate, self._report_of(number)
        content = self.context.draft(number)
        seconds = gate.deadline_minutes * 60 if gate.deadline_minutes else None
        escalate = gate.escalate_minutes * 60 if gate.escalate_minutes and gate.escalate_to else None
        return self.context.ask(
            _question(number, report),
            key=f"gate:{number}",
            shown=self._shown(content, report),
            options=decision.options(self._judged(), can_do_better=self.rules.refinements > 0),
            editable=_editable(content, gate.of),
            approvers=gate.approvers,
            deadline_seconds=seconds,
            on_timeout=gate.on_timeout,
            escalate_seconds=escalate,
            escalate_to=gate.escalate_to,
            kind="gate",
            draft_number=number,
        )

    def _shown(self, content: JSON, report: JSON) -> JSON:
        text = text_of(content, self.gate.of)
        return {
            "input": {name: _cut(value) for name, value in self.judges.work.parameters.items()},
            "draft": {
                "number": report["attempt"],
                "text": text[:SHOWN_TEXT],
                "characters": len(text),
                "of": len(self.drafts),
            },
            "quality": {name: value for name, value in report.items() if name != "used"},
            "used": sum_of_used(self.drafts),
        }

    def _result(self, passed: bool, number: int | None = None, answer: Answer | None = None) -> JSON:
        """The draft that the job ends with, and what the gate said of it."""
        known = self._judged()
        last = known[-1]
        chosen = number or (last.number if passed else decision.best(known).number)
        report = self._report_of(chosen)
        verdict = "passed" if passed else "rejected"
        content = self.context.draft(chosen)
        by = answer.by if answer else content.get("edited_by") if last.source == "person" else None
        quality = self._quality(report, verdict) | (
            {"decided_by": by, "comment": answer.comment if answer else None} if answer or by else {}
        )
        if self.settle:
            self.settle(chosen, quality)
        self.context.judged(verdict, report["score"])
        return content | {"quality": quality}

    def _quality(self, report: JSON, verdict: str) -> JSON:
        made = sum(draft["source"] == "agent" for draft in self.drafts)
        sent_back = decision.ask_backs(self._judged())
        return {
            **{name: report[name] for name in ("score", "threshold", "feedback")},
            "passed": verdict == "passed",
            "verdict": verdict,
            "issues": report["issues"][:MOST_ISSUES],
            "attempts": made,
            "refinements": made - 1 - sent_back,
            "sent_back": sent_back,
            "draft": report["attempt"],
            "gate": report["gate"],
            "drafts": [
                {
                    "attempt": draft["number"],
                    "source": draft["source"],
                    "score": draft["report"]["score"],
                    "passed": draft["report"]["passed"],
                    "issues": draft["report"]["issues"][:MOST_ISSUES],
                }
                for draft in self.drafts
            ],
        }

    def _content_of_best(self) -> JSON:
        return self.context.draft(decision.best(self._judged()).number)


def edited(content: JSON, path: str | None, what: Any) -> JSON:
    """A draft as a person made it: a text is put where the text was, anything else is the whole result."""
    return dict(what) if isinstance(what, dict) else with_text(content, path or _usual(content), str(what))


def with_text(content: JSON, path: str, text: str) -> JSON:
    """The same result with `text` at `path`."""
    first, _, rest = path.partition(".")
    if not rest:
        return content | {first: text}
    inner = content.get(first)
    if isinstance(inner, list):
        at_, _, below = rest.partition(".")
        place = int(at_)
        changed = with_text(inner[place], below, text) if below else text
        return content | {first: [*inner[:place], changed, *inner[place + 1 :]]}
    return content | {first: with_text(inner if isinstance(inner, dict) else {}, rest, text)}


def _usual(content: JSON) -> str:
    return next(
        (name for name in USUAL if isinstance(said := content.get(name), str) and said.strip()), USUAL[0]
    )


def _editable(content: JSON, path: str | None) -> JSON:
    """What a person may change: the text, or the whole result where the gate looks at no text."""
    text = at(content, path) if path else text_of(content)
    return {"text": text} if isinstance(text, str) and text else {"value": content}


def _question(number: int, report: JSON) -> str:
    issues = report["issues"][:3]
    told = f" Found: {', '.join(issues)}." if issues else ""
    return f"May draft {number} be taken as it is? {report['feedback']}.{told}".replace("..", ".")


def _judged(draft: JSON) -> Judged:
    report = draft["report"] or {}
    return Judged(
        draft["number"],
        report.get("score"),
        bool(report.get("passed")),
        draft["source"],
        report.get("verdict"),
    )


def sum_of_used(drafts: list[JSON]) -> JSON:
    """What the job used until its last draft was judged: of each attempt, what it had used by its last report."""
    by_fence: dict[int, JSON] = {}
    for draft in drafts:
        used = dict((draft["report"] or {}).get("used") or {})
        by_fence[used.pop("fence", 0)] = used
    total: dict[str, float] = {}
    for used in by_fence.values():
        for name, amount in used.items():
            if isinstance(amount, int | float) and not isinstance(amount, bool):
                total[name] = round(total.get(name, 0) + amount, 6)
    return total


def _model_of(content: JSON) -> str | None:
    model = content.get("model_used") or content.get("model")
    return model[:200] if isinstance(model, str) else None


def _cut(value: Any) -> Any:
    text = value if isinstance(value, str) else None
    if text is not None:
        return text if len(text) <= SHOWN_INPUT else f"{text[:SHOWN_INPUT]}…"
    return value if len(str(value)) <= SHOWN_INPUT else f"{str(value)[:SHOWN_INPUT]}…"


def _forget(runner: Runner, work: Work, context: Context) -> None:
    """Let a runner that kept something for another draft remove it."""
    if forget := getattr(runner, "forget", None):
        forget(work, context)
