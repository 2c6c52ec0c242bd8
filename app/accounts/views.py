"""Saved views: a filter of a list under a name, one's own or shared with everybody."""

from __future__ import annotations

import uuid_utils

from app.accounts.permissions import Principal, demand, may
from app.db import Row, db
from app.errors import Conflict, Invalid, NotFound

PAGES = ("jobs",)
MOST = 50
LONGEST_NAME = 60
LONGEST_QUERY = 4000

_COLUMNS = (
    "v.view_id::text, v.user_id::text, v.page, v.name, v.query, v.shared, v.created_at, u.email AS owner"
)


def listing(who: Principal, page: str) -> list[Row]:
    """The views of a page that `who` can open, their own first: {view_id, name, query, shared, mine, owner, …}."""
    return db.rows(
        f"""SELECT {_COLUMNS}, v.user_id = %(user)s::uuid AS mine FROM saved_views v JOIN users u USING (user_id)
            WHERE v.page = %(page)s AND (v.user_id = %(user)s::uuid OR v.shared)
            ORDER BY mine DESC, lower(v.name), v.view_id LIMIT 500""",
        user=who.user_id,
        page=page,
    )


def get(who: Principal, view_id: str) -> Row:
    """One view that `who` can open; NotFound if there is none."""
    found = db.row(
        f"""SELECT {_COLUMNS}, v.user_id = %(user)s::uuid AS mine FROM saved_views v JOIN users u USING (user_id)
            WHERE v.view_id = %(view)s::uuid AND (v.user_id = %(user)s::uuid OR v.shared)""",
        user=who.user_id,
        view=view_id,
    )
    if found is None:
        raise NotFound("There is no such view.")
    return found


def save(who: Principal, *, page: str, name: str, query: str, shared: bool = False) -> Row:
    """Keep a view under a name; one of their own of this name is replaced.

    Raises Invalid for a name or query that cannot be, Conflict beyond MOST of them, Forbidden for sharing by those
    who may not.
    """
    demand(who, "save_view")
    if shared:
        demand(who, "share_view")
    name = _checked(name)
    if page not in PAGES:
        raise Invalid("Views are of lists.", [("/page", f"is one of {', '.join(PAGES)}")])
    if len(query) > LONGEST_QUERY:
        raise Invalid(
            "This filter is too long to be kept.", [("/filter", f"at most {LONGEST_QUERY} characters")]
        )
    # Two at once of the same person are counted one after the other.
    db.row("SELECT user_id FROM users WHERE user_id = %(user)s::uuid FOR NO KEY UPDATE", user=who.user_id)
    _leave_room(who, page, name)
    view_id = db.value(
        """INSERT INTO saved_views (view_id, user_id, page, name, query, shared)
           VALUES (%(view)s, %(user)s, %(page)s, %(name)s, %(query)s, %(shared)s)
           ON CONFLICT (user_id, page, name) DO UPDATE SET query = excluded.query, shared = excluded.shared
           RETURNING view_id::text""",
        view=str(uuid_utils.uuid7()),
        user=who.user_id,
        page=page,
        name=name,
        query=query,
        shared=shared,
    )
    return get(who, view_id)


def rename(who: Principal, view_id: str, name: str) -> Row:
    """Call it something else; Conflict if they have one of that name already."""
    _demand_mine(who, view_id)
    name = _checked(name)
    taken = db.value(
        """SELECT true FROM saved_views o JOIN saved_views v USING (user_id, page)
           WHERE v.view_id = %(view)s::uuid AND o.name = %(name)s AND o.view_id <> v.view_id""",
        view=view_id,
        name=name,
    )
    if taken:
        raise Conflict(f"There is a view {name!r} already.")
    db.run("UPDATE saved_views SET name = %(name)s WHERE view_id = %(view)s::uuid", name=name, view=view_id)
    return get(who, view_id)


def delete(who: Principal, view_id: str) -> None:
    """Forget it; NotFound if it is not theirs to forget."""
    _demand_mine(who, view_id)
    db.run("DELETE FROM saved_views WHERE view_id = %(view)s::uuid", view=view_id)


def changeable(who: Principal, view: Row) -> bool:
    """Whether `who` may rename and delete a view: their own, and whoever may share also those that are shared."""
    return bool(view["mine"] or (view["shared"] and may(who, "share_view")))


def _demand_mine(who: Principal, view_id: str) -> None:
    demand(who, "save_view")
    found = get(who, view_id)
    if not changeable(who, found):
        demand(who, "share_view")


def _checked(name: str) -> str:
    words = " ".join(name.split())
    if not words or len(words) > LONGEST_NAME or not words.isprintable():
        raise Invalid("A view needs a name.", [("/name", f"needs 1 to {LONGEST_NAME} characters")])
    return words


def _leave_room(who: Principal, page: str, name: str) -> None:
    others = db.value(
        "SELECT count(*) FROM saved_views WHERE user_id = %(user)s::uuid AND NOT (page = %(page)s AND name = %(name)s)",
        user=who.user_id,
        page=page,
        name=name,
    )
    if others >= MOST:
        raise Conflict(f"There are {MOST} views already; delete one first.")
