"""Running the llm runner in a test, and waiting for what it does meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from actors.runners.base import JSON, ProviderSpec
from actors.runners.llm import LlmRunner
from app.budgets.usage import Usage
from tests.actors.models.desk import ListedDesk
from tests.actors.runners.boxes import work_for
from tests.doubles import RecordingContext


def ask(
    context: RecordingContext, *specs: ProviderSpec, parameters: JSON | None = None, **config: Any
) -> JSON:
    """The result of one attempt with these providers; `context.desk` is made if it is not there."""
    context.desk = context.desk or ListedDesk(list(specs))
    work = work_for(
        {"instructions": "Be brief."} | config, {"task": "Say hello."} if parameters is None else parameters
    )
    return LlmRunner().run(work, context)


@dataclass
class Running:
    """An attempt in a thread of its own."""

    thread: threading.Thread | None = None
    result: JSON | None = None
    raised: BaseException | None = None
    errors: list[str] = field(default_factory=list)


@contextmanager
def asked_aside(context: RecordingContext, *specs: ProviderSpec, **config: Any) -> Iterator[Running]:
    """An attempt that runs while the test goes on; it is over at the end of the block."""
    running = Running()

    def run() -> None:
        try:
            running.result = ask(context, *specs, **config)
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            running.raised = error

    running.thread = threading.Thread(target=run)
    running.thread.start()
    try:
        yield running
    finally:
        running.thread.join(20)
        assert not running.thread.is_alive(), "the attempt goes on and on"


@dataclass(kw_only=True)
class EveryFigure(RecordingContext):
    """Keeps every figure that was metered, in order."""

    figures: list[Usage] = field(default_factory=list)

    def meter(self, usage: Usage) -> None:
        super().meter(usage)
        self.figures.append(usage)
