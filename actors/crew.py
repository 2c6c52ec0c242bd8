"""A worker process put together: broker, actor, middleware and the post they share."""

from __future__ import annotations

import app
from actors import jobs
from actors.broker import Bell, Ringer, make_client
from actors.middleware.context import LogContext
from actors.middleware.dead_letter import DeadLetters
from actors.middleware.encore import Encore
from actors.middleware.retry import Retry
from actors.middleware.shift import Shift
from actors.post import Post
from app import settings as configuration
from app.jobs import dispatch


def make_worker(settings: configuration.Settings) -> tuple[Bell, Post]:
    """The broker with actor and middleware, and the post they share. Opens no connection."""
    broker = Bell(make_client(settings.redis_url, timeout_seconds=5.0), [])
    post = Post(settings=settings, ringer=Ringer(broker))
    broker.deaf = post.resting
    # after_* hooks run from the last to the first: Retry speaks before DeadLetters, Encore after both.
    for middleware in (Shift(post), LogContext(post.worker_id), Encore(), DeadLetters(), Retry()):
        broker.add_middleware(middleware)
    jobs.declare(broker, post)
    dispatch.use(post.ringer.ring)
    app.seal_by(settings)
    app.tell_by(settings)
    return broker, post
