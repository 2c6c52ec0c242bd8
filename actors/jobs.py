"""The actor: heard a bell, works until there is nothing left to claim.

One bell may stand for many jobs, so a full queue drains without a message for each. A failed attempt leaves the
actor as AttemptFailed, because deciding about it is the middleware's business; the encore rings again.
"""

from __future__ import annotations

import dramatiq

from actors.broker import ACTOR
from actors.execute import AttemptFailed, run_next
from actors.post import Post
from app.db import AWAY
from app.observe import logs

log = logs.get("jobs")


def declare(broker: dramatiq.Broker, post: Post) -> dramatiq.Actor[[str], None]:
    """Declare the actor on `broker`, and a queue for each pool this process serves."""
    for pool in post.settings.pools:
        broker.declare_queue(pool)

    @dramatiq.actor(
        broker=broker, actor_name=ACTOR, queue_name=post.settings.pools[0], throws=(AttemptFailed,)
    )
    def work(_pool: str) -> None:
        """See jobs through until none is left, the process takes no more, or one fails."""
        work_until_empty(post)

    return work


def work_until_empty(post: Post) -> None:
    """Claim and run until nothing is eligible. Raises AttemptFailed for the middleware to decide."""
    with post.seat():
        try:
            while post.takes_work and run_next(post):
                pass
        except AWAY as away:
            # The claim could not be made: Postgres is away. The lookout tries again; nothing is in our hands.
            log.warning("claim.waits", error=type(away).__name__)
