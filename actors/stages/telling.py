"""A conversation with a model, told in the words of the pipeline: within its share of the way, and who writes what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from actors.runners.base import Context, ProviderSpec
from app.content import texts


class Telling:
    """The attempt's own Context, but for how far it is and who is asked; everything else goes to it as it is."""

    def __init__(
        self, context: Context, specs: list[ProviderSpec], number: int, begins: float, ends: float
    ) -> None:
        """`number` is the draft's; its share of the way goes from `begins` to `ends` percent."""
        self._context = context
        self._titles = {spec.provider_id: spec.title for spec in specs}
        self._number, self._begins, self._ends = number, begins, ends

    def progress(self, percent: float, step: str | None = None) -> None:
        """So far within the share: `Generating blog content (856 / 2,000 words)`."""
        share = self._begins + (self._ends - self._begins) * percent / 100
        self._context.progress(share, f"Generating blog content ({step})" if step else None)

    def pin(self, **ran_with: str) -> None:
        """A provider is asked now: that is the step."""
        self._context.pin(**ran_with)
        if "provider" in ran_with and "model" in ran_with:
            title = self._titles.get(ran_with["provider"], ran_with["provider"])
            text = texts.generation(self._number, title, ran_with["model"])
            self._context.log(text, source=ran_with["provider"], draft=self._number)
            self._context.progress(self._begins, text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)


class AtPercent:
    """The attempt's own Context, for somebody who says steps and does not know how far the whole is."""

    def __init__(self, context: Context, percent: Callable[[], float]) -> None:
        """`percent` answers where the stage is."""
        self._context, self._percent = context, percent

    def progress(self, percent: float, step: str | None = None) -> None:  # noqa: ARG002 - as Context has it
        """The step only."""
        self._context.progress(self._percent(), step)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)
