"""The result document."""

from __future__ import annotations

from actors.runners.base import JSON
from actors.stages.base import Run
from app import clock
from app.content import texts
from app.content.result import Outcome, result

PERCENT = 100


class Finalize:
    """Puts together what the other stages left."""

    name = "finalize"

    def run(self, run: Run) -> JSON:
        """{result}."""
        run.context.stage(self.name, texts.COMPLETE)
        kept = dict(run.done["publish"])
        image = kept.pop("image") if "image" in kept else run.done["image"]["image"]
        document = result(
            run.brief, run.made, Outcome(**kept), image=image, completed_at=clock.now().isoformat()
        )
        run.say(PERCENT, texts.COMPLETE)
        return {"result": document}
