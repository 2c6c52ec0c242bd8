"""A failure ended the actor's round; ring once more so that the rest of the queue does not wait for a sweep."""

from __future__ import annotations

from typing import Any

import dramatiq

from actors.execute import AttemptFailed


class Encore(dramatiq.Middleware):
    """Hears of a failure after it was decided."""

    def after_process_message(
        self, _broker: Any, message: Any, *, result: Any = None, exception: BaseException | None = None
    ) -> None:
        """Ring the pool of the bell that was just answered."""
        if isinstance(exception, AttemptFailed) and not exception.post.draining.is_set():
            exception.post.ringer.ring(message.queue_name)
