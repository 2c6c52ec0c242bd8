"""A kept delivery once more, by the rules as they are now."""

from __future__ import annotations

from app.db import Row
from app.errors import Conflict, NotFound
from app.hooks import keeping, queries, reading, rules


def replay(delivery_id: str, *, by: str) -> Row:
    """Run the rules again for a delivery: a new one that names it, which the relay hands on as well.

    Raises NotFound, and Conflict for commands to sessions: those have their own request_id.
    """
    old = queries.whole(delivery_id)
    if old is None:
        raise NotFound(f"There is no delivery {delivery_id}.")
    hook = queries.get(old["hook_id"])
    if hook["provider"] == reading.SESSION:
        raise Conflict("a session's command is not replayed; send it again with another webhook-id")
    message = reading.again(old["event"], old["headers"], old["body"], old["external_id"])
    fresh = keeping.new_id()
    status, results = rules.run(hook, message, fresh)
    keeping.keep(
        fresh, hook, message, headers=old["headers"], body=old["body"], status=status, results=results,
        ip=old["ip"], replay_of=old["replay_of"] or delivery_id, replayed_by=by,
    )  # fmt: skip
    return queries.delivery(hook["hook_id"], fresh)
