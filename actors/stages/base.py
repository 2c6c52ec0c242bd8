"""What every stage gets, and what it may leave for the stages after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from actors.runners.base import JSON, Context, Work
from app.content.article import Article
from app.content.brief import Brief, key_of
from app.content.result import Made

KEPT_AS = "pipeline"


@dataclass(frozen=True, kw_only=True)
class Run:
    """One attempt at one post."""

    work: Work
    context: Context
    brief: Brief
    key: str
    """What the post is known by in the CMS; the same for every attempt and every retry by hand."""
    done: JSON
    """What the finished stages left, by their names."""
    notes: JSON
    """What a stage wrote down on its way, for the case that it has to begin again."""

    @classmethod
    def of(cls, work: Work, context: Context) -> Run:
        """Go on where an earlier attempt stopped, if it was about the same post."""
        key = key_of(work.root_job_id or work.job_id, work.parameters)
        kept = context.checkpoint().get(KEPT_AS)
        mine = kept if isinstance(kept, dict) and kept.get("key") == key else {}
        return cls(
            work=work,
            context=context,
            brief=Brief.of(work.parameters),
            key=key,
            done=dict(mine.get("done") or {}),
            notes=dict(mine.get("notes") or {}),
        )

    def keep(self) -> None:
        """Leave all of it for a later attempt."""
        state = {"key": self.key, "done": self.done, "notes": self.notes}
        self.context.checkpoint(self.context.checkpoint() | {KEPT_AS: state})

    def note(self, **facts: object) -> None:
        """Write down what the present stage must not do or decide twice."""
        self.notes.update(facts)
        self.keep()

    def say(self, percent: float, text: str) -> None:
        """Say how far the post is, on its card."""
        self.context.progress(percent, text)

    def log(self, text: str, source: str, kind: str, **facts: Any) -> None:
        """Add the entry `kind` to the job's log (CONT-15)."""
        self.context.log(text, source=source, type=kind, **facts)

    @property
    def made(self) -> Made:
        """What the first stages made."""
        return made_of(self.done["generate"])

    @property
    def leaves_us(self) -> bool:
        """The draft goes into the CMS, if there is one; a rejected one only where the job asks for it."""
        brief = self.brief
        return self.made.passed or brief.publish_below_threshold or brief.keep_rejected_as_draft

    @property
    def services(self) -> JSON:
        """The keys and addresses of this worker."""
        return dict(self.work.config.get("content") or {})


class Stage(Protocol):
    """One part of the way."""

    name: str

    def run(self, run: Run) -> JSON:
        """Do it and answer what is kept of it; raises what ends or fails an attempt."""


def made_of(kept: JSON) -> Made:
    """What `generate` left, as it stands in a checkpoint."""
    return Made(**kept | {"article": Article.of(kept["article"])})
