"""A featured picture by topic. Whatever goes wrong here, the post goes on without one."""

from __future__ import annotations

from actors.clients.images import Image, Images
from actors.runners.base import JSON
from actors.stages.base import Run
from app.content import texts
from app.errors import JobError

BEGINS, ENDS = 25, 50


class FindImage:
    """Asks the services for which there are keys."""

    name = "image"

    def run(self, run: Run) -> JSON:
        """{image}: the picture, or None with the reason in the log."""
        images = Images(
            pexels_key=run.services.get("pexels_key") or "",
            unsplash_key=run.services.get("unsplash_key") or "",
            context=run.context,
            allow_private=bool(run.work.config.get("http_allow_private")),
        )
        if not images.configured or not run.leaves_us:
            return self._skipped(run, texts.NO_IMAGE_NEEDED if images.configured else texts.NO_IMAGE_KEY)
        run.context.stage(self.name, texts.SEARCHING)
        run.say(BEGINS, texts.SEARCHING)
        image = self._found(run, images)
        if image is None:
            run.say(ENDS, texts.NO_IMAGE)
            return {"image": None}
        run.log(texts.IMAGE_FOUND, "images", "image_found", url=image.url, credit=image.credit)
        run.say(ENDS, texts.IMAGE_FOUND)
        return {"image": image.document()}

    def _skipped(self, run: Run, why: str) -> JSON:
        run.context.stage(self.name, why)
        run.log(why, "images", "image_skipped")
        run.say(ENDS, why)
        return {"image": None}

    def _found(self, run: Run, images: Images) -> Image | None:
        why = "nothing fits the topic"
        try:
            if image := images.search(run.brief.topic):
                return image
        except JobError as error:
            run.context.checkpoint_due()  # a stop is no failure of the search
            why = error.message
        run.context.log(f"{texts.NO_IMAGE}: {why}", level="warning", source="images", type="image_missing")
        return None
