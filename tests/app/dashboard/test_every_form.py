"""Every form of every page: sent as it stands, sent empty, sent with nonsense, and sent by those who may not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar
from urllib.parse import parse_qs

import pytest
from bs4 import BeautifulSoup
from flask import Flask
from werkzeug.datastructures import ImmutableMultiDict
from werkzeug.test import TestResponse

from app.dashboard import PAGES
from app.errors import PermanentError
from app.jobs.states import Reason
from tests.app.dashboard import everything
from tests.app.dashboard.aside import claimed, lifecycle, submitted
from tests.app.dashboard.everything import Places, addresses, everywhere
from tests.app.dashboard.submitting import Fields, Form, forms
from tests.app.dashboard.test_pitfalls import Snapshot, changed, snapshot
from tests.app.dashboard.visiting import Visitor, words
from tests.turns import some

# Pages that take something, and that no form of a signed-in admin's pages sends to: who does.
BY_OTHERS = {
    "polling_report": "poll.js, by a beacon",
    "signing_in": "strangers",
    "jobs_act": "the menu of a row, which static/js/filter.js makes of a template",
    "forgetting": "the page for a forgotten password, once there is a mail server",
    "notify_test": "the settings, once a channel is configured",
    "blog_post_submit": "the form of the content pipeline, which these tests do not install",
}
# Deciding is what the form is for, and one reads and writes on it first: no second question.
NO_QUESTION = {"approval_answering", "approval_link_answering", "workflow_answer"}

# What others than admins may send; everything else is refused to them, and changes nothing.
VIEWERS = {"sign_out", "theme", "signing_in", "jobs_columns", "view_save", "view_rename", "view_delete", "notifications_read",
           "notification_read", "settings_password", "key_make", "key_revoke", "polling_report",
           "approval_link_answering", "forgetting", "choosing_password", "login_end", "logins_end"}  # fmt: skip
USERS = VIEWERS | {"submitting", "schedule_creating", "workflow_writing", "workflow_template_run", "endpoint_add", "bulk_create",
                   "blog_post_submit", "session_creating", "hook_adding"}  # fmt: skip
# Fields that their page need not look at: what stands beside a button that means something else, and
# whose password it is, which is there for password managers.
UNREAD = {
    "settings_password": {"username"},
    "choosing_password": {"username"},
    "view_delete": {"name"},
    "bulk_create": {"ask"},
    "schedule_changing": {"target"},
}
ALLOWED = {"viewer": VIEWERS, "user": USERS}
# Judging a text by a gate changes nothing and is for everybody; keeping the gate is not.
TRIES = {("gate_editing", "Check"), ("gate_editing", "Try")}
TRIED_BY = {name for name, _ in TRIES}
# Allowed with what is one's own: the admin's is not.
OTHERS_OWN = {"view_rename", "view_delete", "key_revoke", "notification_read", "login_end"}
# Written down whatever happens to a request: that somebody was refused.
OWN = {"audit_log"}


@pytest.fixture
def places(app: Flask, admin: Visitor) -> Places:
    """One of everything, the admin's."""
    return everything.made(app, admin.user_id)


@pytest.fixture(scope="module")
def kept() -> list[tuple[str, Form]]:
    """What `found` saw first."""
    return []


@pytest.fixture
def found(app: Flask, admin: Visitor, places: Places, kept: list[tuple[str, Form]]) -> list[tuple[str, Form]]:
    """`posts` of an admin."""
    seen = list(posts(app, admin, places))
    kept[:] = kept or seen
    return seen


@pytest.fixture
def looked(kept: list[tuple[str, Form]], request: pytest.FixtureRequest) -> list[tuple[str, Form]]:
    """The same for tests that send none of them: of another test, if there was one."""
    return kept or request.getfixturevalue("found")


def shown(visitor: Visitor, places: Places) -> list[Form]:
    """Every form that somebody sees anywhere, one for each address and button."""
    found: dict[tuple[str, str], Form] = {}
    for address in everywhere(places):
        answer = visitor.get(address)
        if answer.status_code < 400 and answer.mimetype == "text/html":
            for form in forms(address, BeautifulSoup(answer.text, "html.parser")):
                found.setdefault((form.path, form.label), form)
    return list(found.values())


def named(app: Flask, form: Form) -> str:
    """The page that takes the form, by its name in the table of contents; it must be there."""
    endpoint, _ = app.url_map.bind("localhost").match(form.path, method=form.method)
    return str(endpoint).partition(".")[2]


def posts(app: Flask, visitor: Visitor, places: Places) -> Iterator[tuple[str, Form]]:
    """(name, form) of every form that changes something; what removes things and what ends the session come last."""
    found = [(named(app, form), form) for form in shown(visitor, places) if form.method == "POST"]
    last = ("settings_password", "sign_out")
    return iter(sorted(found, key=lambda pair: (pair[0] in last, pair[0] == "sign_out", pair[1].confirm)))


def send(visitor: Visitor, form: Form, fields: Fields) -> TestResponse:
    return visitor.post(form.action, fields)


class Asked(ImmutableMultiDict[str, str]):
    """A form that remembers which of its fields somebody looked for."""

    names: ClassVar[set[str]] = set()

    def get(self, key: str, *rest: Any, **more: Any) -> Any:
        self.names.add(key)
        return super().get(key, *rest, **more)

    def __getitem__(self, key: str) -> Any:
        self.names.add(key)
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        self.names.add(str(key))
        return super().__contains__(key)

    def getlist(self, key: str, *rest: Any, **more: Any) -> Any:
        self.names.add(key)
        return super().getlist(key, *rest, **more)

    def items(self, *rest: Any, **more: Any) -> Any:
        self.names.update(self.keys())
        return super().items(*rest, **more)


def test_nobody_does_what_they_may_not_and_every_form_sends_what_its_page_reads(
    app: Flask,
    admin: Visitor,
    places: Places,
    found: list[tuple[str, Form]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In this order, because those who may not change nothing; so all pages are opened once for both."""
    _refused_to_others(app, admin, places, found)
    monkeypatch.setattr(app.request_class, "parameter_storage_class", Asked)
    assert _unread(admin, found) == UNREAD


def test_every_page_that_takes_something_has_a_form_and_every_form_its_page(
    looked: list[tuple[str, Form]],
) -> None:
    sent_to = {name for name, _ in looked}
    taking = {name for method, _, name, _ in PAGES if method == "POST"}

    assert taking - sent_to == set(BY_OTHERS)


def test_whatever_a_form_sends_it_is_answered(admin: Visitor, found: list[tuple[str, Form]]) -> None:
    tried = set()  # a list has the same form in each of its rows
    for name, form in found:
        alike = (name, *form.sent())
        if name in ("sign_out", "settings_password") or alike in tried:
            continue
        tried.add(alike)
        for kind, fields in some([*_strange(form).items()], len(tried), 3):
            answer = send(admin, form, fields)
            assert answer.status_code in ANSWERS, f"{kind} {name} {form.label}: {answer.status_code}"


ANSWERS = (200, 302, 303, 400, 404, 409, 410, 413, 422)


def _strange(form: Form) -> dict[str, Fields]:
    """The fields as nobody fills them in; what deletes comes too, and what is gone then answers so."""
    return {
        "nonsense": {each: ["\x00\ufffd %s {{7*7}} " + "9" * 30 for _ in values] for each, values in form.sent().items()},
        "brackets": {each: ["[" * 5000] for each in form.sent()},
        "twice": {each: [*values, *values, ""] for each, values in form.sent().items()},
        "empty": form.cleared(),
        "nothing": {},
        **{f"a NUL in {each}": form.sent() | {each: ["a\x00b"]} for each in form.sent()},
    }  # fmt: skip


def test_what_cannot_be_taken_back_asks_first(looked: list[tuple[str, Form]]) -> None:
    assert looked
    hasty = {
        (name, form.label)
        for name, form in looked
        if form.danger and not form.confirm and name not in NO_QUESTION
    }
    assert hasty == set()


def _unread(admin: Visitor, found: list[tuple[str, Form]]) -> dict[str, set[str]]:
    """Send each form as it stands there: what its page does not look at."""
    read: dict[str, set[str]] = {}
    sent: dict[str, set[str]] = {}
    for name, form in found:
        sent.setdefault(name, set()).update(form.sent())
        Asked.names = read.setdefault(name, set())
        answer = send(admin, form, form.sent())
        assert answer.status_code < 500, f"{name} {form.label}: {answer.status_code}"

    return {name: sent[name] - read[name] for name in sent if sent[name] - read[name]}


def _refused_to_others(app: Flask, admin: Visitor, places: Places, found: list[tuple[str, Form]]) -> None:
    others = {role: Visitor(app, role) for role in ALLOWED}
    before: Snapshot = snapshot()

    for name, form in found:  # as somebody whom another site sent here
        assert admin.client.post(form.action, data=form.sent()).status_code == 400, (
            f"{name} without its token"
        )
    for role, other in others.items():
        assert _lets_through(other, found, ALLOWED[role]) == {}, role
        for name, address in addresses("POST", places).items():
            if name not in ALLOWED[role] | TRIED_BY:
                assert other.post(address).status_code in (400, 403, 404), f"{role} {name} with an empty form"
        for name, form in found:
            if name in OTHERS_OWN:
                assert send(other, form, form.sent()).status_code in (403, 404), f"{role} {name} of others"
    assert changed(before, snapshot()) - OWN == set()
    for role, other in others.items():
        offered = {name for name, _ in posts(app, other, places)}
        assert offered - ALLOWED[role] - TRIED_BY == set(), role
        assert offered


def _lets_through(other: Visitor, found: list[tuple[str, Form]], allowed: set[str]) -> dict[str, int]:
    """Which of the admin's forms are not refused to somebody else."""
    answers = {
        f"{name} {form.label}": send(other, form, form.sent()).status_code
        for name, form in found
        if name not in allowed and (name, form.label) not in TRIES
    }
    return {what: status for what, status in answers.items() if status not in (403, 404)}


@pytest.mark.parametrize("verb", ["cancel", "retry", "priority"])
def test_what_is_refused_is_said_and_is_no_success(admin: Visitor, verb: str) -> None:
    """Each verb where it is not possible: nothing changes, and the answer does not say that it did."""
    if verb == "retry":
        job_id = submitted(submitted_by=admin.user_id)
    else:
        taken = claimed(submitted_by=admin.user_id)
        lifecycle.complete(taken, {"ok": True})
        job_id = taken.job_id
    before = snapshot()

    answer = admin.post(f"/jobs/{job_id}/{verb}", {"priority": "high"}, follow=True)

    assert changed(before, snapshot()) - OWN == set()
    assert BeautifulSoup(answer.text, "html.parser").select(".notice.green") == []
    assert answer.status_code == 409


def test_a_letter_is_sent_in_again_once_and_the_second_time_is_no_success(admin: Visitor) -> None:
    taken = claimed(submitted_by=admin.user_id)
    lifecycle.fail(taken, PermanentError("no"), Reason.PERMANENT)
    page = admin.soup("/dead-letters/" + taken.job_id)
    review = str(next(a["href"] for a in page.select("main a") if "review" in str(a["href"])))
    letter = parse_qs(review.partition("?")[2])["id"]
    assert admin.post("/dead-letters/resubmit", {"id": letter}).status_code == 303
    before = snapshot()

    again = admin.post("/dead-letters/resubmit", {"id": letter}, follow=True)

    assert changed(before, snapshot()) - OWN == set()
    soup = BeautifulSoup(again.text, "html.parser")
    assert soup.select(".notice.green") == []
    assert "sent in again already" in words(soup.select_one("#notices"))
