"""Dead letters, budgets, API keys, users, queues and workers: `callboard.dlq`, `callboard.budgets`, and so on."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from app.client.calls import JSON, Calls
from app.client.jobs import listed
from app.client.shapes import DeadLetter, Page, Shape

Shapes = list[Shape]


class Group:
    """Calls that belong together."""

    def __init__(self, calls: Calls) -> None:
        """They are made by `calls`."""
        self._calls = calls

    def _json(self, method: str, path: str, body: Any = None, query: JSON | None = None) -> JSON:
        said: JSON = self._calls.call(method, path, body=body, query=query)
        return said

    def _listing(self, path: str, name: str, query: JSON | None = None) -> Page[Shape]:
        return Page[Shape].model_validate(listed(self._json("GET", path, query=query), name))


class DeadLetters(Group):
    """Jobs that ended failed, for admins."""

    def list(self, **filters: Any) -> Page[DeadLetter]:
        """A page of them, newest first; `filters`: agent_id, since, resubmitted, group_key, limit, cursor."""
        said = self._json("GET", "/api/v1/dlq/tasks", query=filters)
        return Page[DeadLetter].model_validate(
            {"items": said["tasks"]} | {k: said[k] for k in ("total", "next_cursor")}
        )

    def get(self, dlq_id: str) -> DeadLetter:
        """One of them, by its own id or its job's."""
        return DeadLetter.model_validate(self._json("GET", f"/api/v1/dlq/tasks/{dlq_id}"))

    def resubmit(self, dlq_id: str, **changes: Any) -> Shape:
        """Send it in again as a new job; `changes`: priority, override_parameters, force."""
        return Shape.model_validate(self._calls.create(f"/api/v1/dlq/tasks/{dlq_id}/resubmit", changes))

    def groups(self, **filters: Any) -> Shapes:
        """By cause, the most frequent first; `filters`: window, open_only, status."""
        said = self._json("GET", "/api/v1/dlq/groups", query=filters)
        return [Shape.model_validate(each) for each in said["groups"]]

    def resubmit_group(self, group_key: str, **how: Any) -> Shape:
        """Send a whole group in again; `how`: priority, limit."""
        path = f"/api/v1/dlq/groups/{quote(group_key, safe='')}/resubmit"
        return Shape.model_validate(self._calls.create(path, how))

    def say(self, group_key: str, what: str, *, note: str | None = None) -> Shape:
        """Say of a group what holds now: resolve, ignore or reopen."""
        path = f"/api/v1/dlq/groups/{quote(group_key, safe='')}/{what}"
        return Shape.model_validate(self._json("POST", path, {"note": note}))


class Budgets(Group):
    """How much may be used by whom, and what was."""

    def list(self) -> Page[Shape]:
        """All of them, the widest first."""
        return self._listing("/api/v1/budgets", "budgets")

    def get(self, budget_id: str) -> Shape:
        """One of them."""
        return Shape.model_validate(self._json("GET", f"/api/v1/budgets/{budget_id}"))

    def create(self, name: str, *, scope: str, unit: str, limit: float, **more: Any) -> Shape:
        """A new one; `more`: subject, period, rolling_days, warn_ratio, enabled."""
        body = {"name": name, "scope": scope, "unit": unit, "limit": limit} | more
        return Shape.model_validate(self._json("POST", "/api/v1/budgets", body))

    def change(self, budget_id: str, **change: Any) -> Shape:
        """Change name, limit, period, rolling_days, warn_ratio or enabled."""
        return Shape.model_validate(self._json("PATCH", f"/api/v1/budgets/{budget_id}", change))

    def delete(self, budget_id: str) -> None:
        """Take it away; work that it held goes on."""
        self._calls.call("DELETE", f"/api/v1/budgets/{budget_id}")

    def usage(self, **filters: Any) -> Shape:
        """What was used; `filters`: group_by, since, until."""
        return Shape.model_validate(self._json("GET", "/api/v1/usage", query=filters))


class Keys(Group):
    """API keys: one's own; an admin sees everybody's."""

    def list(self, **window: Any) -> Page[Shape]:
        """A page of them, newest first."""
        return self._listing("/api/v1/api-keys", "api_keys", window)

    def create(self, name: str, **more: Any) -> Shape:
        """A new one for yourself; its text (`api_key`) is told this once. `more`: scopes, expires_at."""
        return Shape.model_validate(self._json("POST", "/api/v1/api-keys", {"name": name} | more))

    def revoke(self, key_id: str) -> Shape:
        """It stops working at once, and for good."""
        return Shape.model_validate(self._json("DELETE", f"/api/v1/api-keys/{key_id}"))


class Users(Group):
    """Who may come in, for admins."""

    def list(self, **window: Any) -> Page[Shape]:
        """A page of them, by e-mail."""
        return self._listing("/api/v1/users", "users", window)

    def create(self, email: str, *, role: str = "user", **more: Any) -> Shape:
        """Add somebody; `more`: name, password, invite, send."""
        return Shape.model_validate(
            self._json("POST", "/api/v1/users", {"email": email, "role": role} | more)
        )

    def change(self, user_id: str, **change: Any) -> Shape:
        """Change role, enabled, name or password."""
        return Shape.model_validate(self._json("PATCH", f"/api/v1/users/{user_id}", change))

    def me(self) -> Shape:
        """Who you are."""
        return Shape.model_validate(self._json("GET", "/api/v1/me"))


class Queues(Group):
    """Pools: what waits and runs in each."""

    def list(self) -> Shapes:
        """All of them."""
        return list(self._listing("/api/v1/queues", "queues"))

    def stats(self) -> Shape:
        """Depth, speed and waiting time by priority."""
        return Shape.model_validate(self._json("GET", "/api/v1/queues/stats"))

    def pause(self, pool: str, *, reason: str | None = None, for_seconds: int | None = None) -> Shape:
        """Take nothing more from it; what runs goes on."""
        body = {"reason": reason, "for_seconds": for_seconds}
        return Shape.model_validate(self._json("POST", f"/api/v1/queues/{quote(pool, safe='')}/pause", body))

    def resume(self, pool: str) -> Shape:
        """Let it go on at once."""
        return Shape.model_validate(self._json("POST", f"/api/v1/queues/{quote(pool, safe='')}/resume"))


class Workers(Group):
    """Worker processes."""

    def list(self) -> Page[Shape]:
        """All of them, newest first; `summary` says how busy they are together."""
        return self._listing("/api/v1/workers", "workers")

    def steer(self, worker_id: str, what: str) -> Shape:
        """Let it rest (drain), work again (resume) or end (stop)."""
        return Shape.model_validate(self._json("POST", f"/api/v1/workers/{worker_id}/{what}"))
