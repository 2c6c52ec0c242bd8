"""What every log line of a worker carries."""

from __future__ import annotations

from typing import Any

import dramatiq
import structlog

from app.observe import correlation


class LogContext(dramatiq.Middleware):
    """Binds who works and for which pool; cleared after each message so that nothing leaks into the next."""

    def __init__(self, worker_id: str) -> None:
        """`worker_id` as it stands in the table of workers."""
        self.worker_id = worker_id

    def before_process_message(self, _broker: Any, message: Any) -> None:
        """Bind."""
        structlog.contextvars.bind_contextvars(worker_id=self.worker_id, pool=message.queue_name)

    def after_process_message(
        self, _broker: Any, _message: Any, *, result: Any = None, exception: BaseException | None = None
    ) -> None:
        """Forget."""
        correlation.bind(None)
        structlog.contextvars.clear_contextvars()
