"""The content pipeline: the stages of one post in one job, each kept in the checkpoint once it is finished.

    generate (draft, assess, refine) → image → publish → finalize

An attempt goes on after the last finished stage. What a stage may have done before a crash, it finds out by looking:
drafts are in their table, the post carries its key in the CMS.
"""

from __future__ import annotations

from actors.models.health import health_of
from actors.models.wish import Wish
from actors.runners.base import JSON, Context, Health, Work
from actors.stages.base import Run, Stage
from actors.stages.finalize import Finalize
from actors.stages.generate import Generate, judged_before
from actors.stages.image import FindImage
from actors.stages.publish import Publish
from app.errors import JobError, PermanentError
from app.observe import tracing

NO_CMS = "Nothing is published: STRAPI_URL is not set for the workers."
STAGES: tuple[Stage, ...] = (Generate(), FindImage(), Publish(), Finalize())


class PipelineRunner:
    """Writes a post, judges it, finds a picture and publishes it.

    `config`: the keys of actors/models/wish.py for the conversation, and `content`, the services of this worker.
    """

    name = "pipeline"

    def run(self, work: Work, context: Context) -> JSON:
        """The result document (app/content/result.py)."""
        run = Run.of(work, context)
        if finished := [stage.name for stage in STAGES if stage.name in run.done]:
            context.log(f"Going on after: {', '.join(finished)}", source="worker", stages=finished)
            judged_before(run)
        for stage in STAGES:
            if stage.name not in run.done:
                context.checkpoint_due()
                run.done[stage.name] = told(run, stage)
                run.keep()
        result: JSON = run.done["finalize"]["result"]
        return result

    def health(self, config: JSON) -> Health:
        """Whether there is a model to ask and a CMS to publish in; without them it makes outlines, or dry runs."""
        try:
            Wish.of(config)
        except PermanentError as wrong:
            return Health("unavailable", wrong.message)
        found = health_of(config.get("provider_specs") or [], has_offline=True)
        if config.get("publishes", True):
            return found
        return Health("degraded", " ".join(filter(None, (found.reason, NO_CMS))))


def told(run: Run, stage: Stage) -> JSON:
    """What a stage leaves; its failure is said in the log before it is dealt with."""
    try:
        with tracing.span(f"stage {stage.name}", {"callboard.stage": stage.name}):
            return stage.run(run)
    except JobError as error:
        run.context.log(
            f"{stage.name}: {error.message}",
            level="error",
            source=stage.name,
            type="error",
            error=error.message,
        )
        raise
