"""The draft: written by a model, judged by the gate, written again with what was wrong, until it passes or is given up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from actors.gatekeeper import OfDraft, gate_in, refinements_of, sum_of_used, through_gate
from actors.judges import Judges
from actors.models.wish import Wish
from actors.runners.base import JSON, Context, ProviderSpec
from actors.runners.llm import askable
from actors.stages.base import Run, made_of
from actors.stages.telling import AtPercent, Telling
from app.content import texts
from app.content.article import Article
from app.content.outline import outline
from app.errors import PermanentError

BEGINS, ENDS = 0, 25
FACTS = ("provider", "usage", "demo", "truncated", "produced_by")
"""What a draft says of its origin that the result says as well."""


class Generate:
    """Asks the first model that answers; without any, lays out the brief and says so."""

    name = "generate"

    def run(self, run: Run) -> JSON:
        """The keys of app.content.result.Made."""
        run.context.stage(self.name, texts.GENERATING)
        run.say(BEGINS, texts.GENERATING)
        writer = Writer(run)
        gate = gate_in(run.work)
        if gate is None:
            raise PermanentError("The content pipeline needs a quality gate: name one under `gate`.")
        chosen = through_gate(
            gate,
            writer.draft,
            cast("Context", AtPercent(run.context, lambda: writer.percent)),
            Judges(run.work, run.context),
            refinements=refinements_of(gate, "pipeline") if writer.specs else 0,
            heard=writer.heard,
        )
        kept = left(run, chosen)
        made = made_of(kept)
        run.log(
            texts.GENERATED,
            "validator",
            "generation_complete",
            quality_score=made.score,
            issues=made.issues,
            attempts=len(made.validations),
            model_used=made.model_used,
        )
        run.say(ENDS, texts.GENERATED)
        if writer.specs:
            forget_conversation(run.context)
        return kept


class Writer:
    """Makes one draft after the other."""

    def __init__(self, run: Run) -> None:
        """Whom to ask is found out once."""
        self.run = run
        wanted = run.work.config.get("providers")
        self.specs: list[ProviderSpec] = askable(run.context.providers.chain(wanted), wanted)
        self.wish = Wish.of(run.work.config)
        self.percent = float(BEGINS)

    def draft(self, feedback: JSON | None) -> JSON:
        """A draft as it is judged and kept: the article, and where it came from."""
        number = int(feedback["next"]) if feedback else 1
        run, begins, ends = self.run, share_of(number - 1), share_of(number)
        if feedback:
            run.context.stage("refine", texts.GENERATING)
            text = f"{texts.draft(number)}: {feedback['feedback']}"
            run.context.log(
                text, source="refinement", issues=feedback["issues"], comment=feedback.get("comment")
            )
        self.percent = ends
        if not self.specs:
            return self._laid_out()
        prompt = run.brief.prompt_again(feedback) if feedback else run.brief.prompt()
        context: Any = run.context if number == 1 else OfDraft(run.context, number)
        said = self._answer(cast("Context", Telling(context, self.specs, number, begins, ends)), prompt)
        run.context.stage("assess", f"{texts.draft(number)}: being judged")
        facts = {name: said[name] for name in (*FACTS, "model_used") if name in said}
        return Article.read(said["result"], run.brief).document() | facts

    def _answer(self, context: Context, prompt: str) -> JSON:
        """What the model wrote, in markdown: weak models spoil JSON around a long text, and none spoils a heading."""
        from actors.models.dialogue import converse  # takes seconds to import, and not every job needs it

        work = replace(self.run.work, config=self.run.work.config | {"output_schema": None})
        return converse(work, context, self.wish, self.specs, prompt)

    def _laid_out(self) -> JSON:
        self.run.context.event(
            "provider", f"Produced by {texts.OFFLINE}: no provider is configured", level="warning"
        )
        article = Article.read(outline(self.run.brief), self.run.brief)
        return article.document() | {"model_used": texts.OFFLINE, "produced_by": texts.OFFLINE}

    def heard(self, number: int, report: JSON) -> None:
        """A draft was judged."""
        if report["score"] is None:
            return
        text = texts.generated(number, report["score"])
        told = {name: report[name] for name in ("score", "threshold", "passed", "issues")}
        self.run.context.log(text, source="validator", draft=number, **told)
        self.run.say(self.percent, text)


def left(run: Run, chosen: JSON) -> JSON:
    """What is kept of the draft that the gate chose, and of the others what was said of them."""
    rows = [draft for draft in run.context.drafts() if draft["report"]]
    # Whoever edited the text may have written another title as well.
    article = Article.read(chosen["content"], run.brief) if chosen.get("edited_by") else Article.of(chosen)
    return {
        "article": article.document(),
        "model_used": chosen["model_used"],
        "quality": chosen["quality"],
        "validations": [validation(draft) for draft in rows],
        "seconds": round(sum(draft["seconds"] or 0.0 for draft in rows), 3),
        "used": sum_of_used(rows),
        "facts": {name: chosen[name] for name in FACTS if name in chosen},
    }


def validation(draft: JSON) -> JSON:
    """What was said of one draft (CONT-08)."""
    report, names = draft["report"], ("score", "threshold", "passed", "issues", "feedback")
    return {"attempt": draft["number"], "model": draft["model"], "source": draft["source"]} | {
        name: report[name] for name in names
    }


def share_of(drafts: int) -> float:
    """How much of the way is done after so many drafts: each takes half of what is left of the stage."""
    return BEGINS + (ENDS - BEGINS) * (1 - 0.5**drafts)


def judged_before(run: Run) -> None:
    """Say again what the gate said, to an attempt that finds the draft finished."""
    if "generate" in run.done:
        made = run.made
        run.context.judged(str(made.quality["verdict"]), made.quality["score"])


def forget_conversation(context: Context) -> None:
    """The draft is kept; what was said on the way to it is not needed any more."""
    from actors.models.conversation import without  # is loaded: there was a conversation

    context.checkpoint(without(context.checkpoint()))
