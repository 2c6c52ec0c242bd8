"""Saved views: whose they are, who sees them, and how many there can be."""

from __future__ import annotations

import pytest

from app.accounts import users, views
from app.accounts.permissions import Principal
from app.errors import Conflict, Forbidden, Invalid, NotFound


def somebody(role: str = "user", name: str = "ada", **more: object) -> Principal:
    made = users.create(f"{name}.{role}.views@example.org", None, role=role)
    return Principal(user_id=str(made["user_id"]), email=made["email"], role=role, **more)  # type: ignore[arg-type]


def names(who: Principal) -> list[str]:
    return [row["name"] for row in views.listing(who, "jobs")]


def save(who: Principal, name: str, query: str = "q=x", *, shared: bool = False) -> str:
    return str(views.save(who, page="jobs", name=name, query=query, shared=shared)["view_id"])


def test_a_view_is_its_owners_alone_until_it_is_shared() -> None:
    ada, bob, admin = somebody(), somebody(name="bob"), somebody("admin")
    mine, ours = save(ada, " My   own "), save(admin, "For all", shared=True)

    assert names(ada) == ["My own", "For all"]
    assert names(bob) == ["For all"]
    assert views.get(bob, ours)["owner"] == admin.email
    for who in (bob, admin):
        with pytest.raises(NotFound):
            views.get(who, mine)
        with pytest.raises(NotFound):
            views.delete(who, mine)
        with pytest.raises(NotFound):
            views.rename(who, mine, "Taken")
    assert names(ada) == ["My own", "For all"]


def test_only_those_who_may_share_share_and_change_what_is_shared() -> None:
    ada, admin, other = somebody(), somebody("admin"), somebody("admin", "bob")
    ours = save(admin, "For all", shared=True)

    with pytest.raises(Forbidden):
        save(ada, "Mine for all", shared=True)
    with pytest.raises(Forbidden):
        views.delete(ada, ours)
    with pytest.raises(Forbidden):
        views.rename(ada, ours, "Mine")
    assert views.rename(other, ours, "Still for all")["name"] == "Still for all"
    views.delete(other, ours)
    assert names(admin) == []


def test_the_same_name_again_replaces_what_was_saved() -> None:
    ada = somebody()
    first = save(ada, "A", "q=old")

    assert save(ada, "A", "q=new") == first
    assert [row["query"] for row in views.listing(ada, "jobs")] == ["q=new"]


def test_a_name_that_is_taken_cannot_be_taken_again() -> None:
    ada, bob = somebody(), somebody(name="bob")
    save(bob, "B")
    save(ada, "A")
    other = save(ada, "C")

    with pytest.raises(Conflict):
        views.rename(ada, other, "A")
    assert views.rename(ada, other, "B")["name"] == "B"
    assert views.rename(ada, other, "B")["name"] == "B"


def test_there_is_an_end_to_how_many_one_keeps() -> None:
    ada = somebody()
    for number in range(views.MOST):
        save(ada, f"view {number}")

    with pytest.raises(Conflict, match="50 views"):
        save(ada, "one more")
    save(ada, "view 7", "q=replaced")
    assert len(names(ada)) == views.MOST


@pytest.mark.parametrize("name", ["", "   ", "x" * 61, "a\x07b", "a\x00b"])
def test_a_name_is_something_to_be_read(name: str) -> None:
    with pytest.raises(Invalid):
        save(somebody(), name)


def test_what_is_too_long_or_of_no_list_is_refused() -> None:
    ada = somebody()
    with pytest.raises(Invalid):
        save(ada, "long", "q=" + "x" * views.LONGEST_QUERY)
    with pytest.raises(Invalid):
        views.save(ada, page="moons", name="x", query="q=x")


def test_a_key_that_only_reads_saves_nothing() -> None:
    reader = somebody(scopes=frozenset({"read"}))

    with pytest.raises(Forbidden):
        save(reader, "x")
    assert names(reader) == []


def test_viewers_keep_views_of_their_own() -> None:
    viewer = somebody("viewer")
    mine = save(viewer, "Mine")

    views.delete(viewer, mine)
    assert names(viewer) == []
