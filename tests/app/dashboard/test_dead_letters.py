"""What ended failed, and sending it in again."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from app.agents.secrecy import MASK
from app.dashboard import bulk_actions
from app.errors import PermanentError
from app.jobs import error_groups
from app.jobs.states import Reason
from app.secrets import sealing
from tests.app.dashboard.aside import agent, claimed, db, dead_letters, job, lifecycle
from tests.app.dashboard.submitting import forms
from tests.app.dashboard.visiting import Visitor, words


def _dead(message: str = "no such file", **wish: object) -> str:
    """The id of a fresh dead letter."""
    taken = claimed("test-flaky", **wish)
    lifecycle.fail(taken, PermanentError(message), Reason.PERMANENT, "Traceback")
    return str(dead_letters.get(taken.job_id)["dlq_id"])


def test_failures_of_one_kind_stand_together(admin: Visitor) -> None:
    _dead("row 17 is odd")
    _dead("row 18 is odd")
    _dead("the door is locked")

    groups = admin.soup("/dead-letters").select("#groups tbody tr")

    counts = [[words(cell) for cell in group.select("td.num")] for group in groups]
    assert counts == [["2"] * 6, ["1"] * 6]


def test_the_page_says_which_part_of_all_jobs_ends_here(admin: Visitor) -> None:
    assert not admin.soup("/dead-letters").select("#share")
    for _ in range(39):
        lifecycle.complete(claimed("test-noop"), {})
    _dead()
    (few,) = admin.soup("/dead-letters").select("#share")
    assert (words(few)[:3], few.select(".badge.red")) == ("2 %", [])

    for _ in range(3):
        _dead()

    (many,) = admin.soup("/dead-letters").select("#share .badge.red")
    assert words(many) == "9 %"


def test_one_letter_is_shown_whole(admin: Visitor) -> None:
    dlq_id = _dead("row 17 is odd", parameters={"failures": 4})

    text = admin.soup(f"/dead-letters/{dlq_id}").text

    assert "row 17 is odd" in text
    assert '"failures": 4' in text
    assert "Traceback" in text


def test_one_is_sent_in_again_with_changes(admin: Visitor) -> None:
    dlq_id = _dead(parameters={"failures": 4, "kind": "permanent"})
    form = {
        "id": dlq_id,
        "parameters": '{"failures": 0, "kind": "permanent"}',
        "priority": "critical",
        "timeout": "60",
    }

    answer = admin.post("/dead-letters/resubmit", form)

    made = job(answer.headers["Location"].rsplit("/", 1)[1])
    assert made["parameters"] == {"failures": 0, "kind": "permanent"}
    assert (made["priority_rank"], made["options"]) == (0, {"timeout": 60})
    assert dead_letters.get(dlq_id)["resubmitted"] is True


def test_a_parameter_taken_away_gets_its_default(admin: Visitor) -> None:
    dlq_id = _dead(parameters={"failures": 4, "kind": "permanent"})

    answer = admin.post("/dead-letters/resubmit", {"id": dlq_id, "parameters": '{"kind": "permanent"}'})

    assert job(answer.headers["Location"].rsplit("/", 1)[1])["parameters"] == {
        "failures": 1,
        "kind": "permanent",
    }


def test_a_group_is_sent_in_again_together(admin: Visitor) -> None:
    ids = [_dead(f"row {n} is odd") for n in range(3)]
    group = dead_letters.get(ids[0])["group_key"]
    assert "Retry 3 dead letters" in admin.get(f"/dead-letters/review?group={group}").text

    answer = admin.post(
        "/dead-letters/resubmit", {"group": group, "parameters": '{"failures": 0}'}, follow=True
    )

    assert "3 jobs sent in again." in answer.text
    assert all(dead_letters.get(dlq_id)["resubmitted"] for dlq_id in ids)
    assert {job(str(dead_letters.get(i)["new_job_id"]))["parameters"]["failures"] for i in ids} == {0}


def _secretive() -> str:
    """The group of the one dead letter of an agent with a secret."""
    properties = {"failures": {}, "token": {"type": "string", "writeOnly": True}}
    agent("test-secretive", parameters={"type": "object", "properties": properties})
    taken = claimed("test-secretive", parameters={"failures": 4, "token": "abracadabra"})
    lifecycle.fail(taken, PermanentError("no"), Reason.PERMANENT, "Traceback")
    return _group(str(dead_letters.get(taken.job_id)["dlq_id"]))


def test_a_group_of_one_keeps_its_secret(admin: Visitor) -> None:
    page = admin.soup(f"/dead-letters/review?group={_secretive()}")
    form = next(f for f in forms("/dead-letters/review", page) if f.path == "/dead-letters/resubmit")
    assert "abracadabra" not in str(page)
    assert MASK in str(form.sent()["parameters"])

    answer = admin.post(form.path, form.sent())

    made = job(answer.headers["Location"].rsplit("/", 1)[1])
    opened = sealing.opened(made["parameters"], lifecycle.owner_of(made["job_id"]), "/parameters")
    assert opened == {"failures": 4, "token": "abracadabra"}


def test_a_mask_is_never_sent_in_as_a_value(admin: Visitor) -> None:
    group = _secretive()
    masked = f'{{"token": "{MASK}"}}'

    answer = admin.post("/dead-letters/resubmit", {"group": group, "parameters": masked})

    assert answer.status_code == 422
    assert "type it anew" in answer.text


def test_the_ticked_are_reviewed_and_sent_in_again(admin: Visitor) -> None:
    ids = [_dead("one"), _dead("two")]
    assert "Retry 2 dead letters" in admin.post("/dead-letters/review", {"id": ids}).text

    answer = admin.post("/dead-letters/resubmit", {"id": ids}, follow=True)

    assert "2 jobs sent in again." in answer.text


def test_the_second_time_makes_no_second_job(admin: Visitor) -> None:
    dlq_id = _dead()
    admin.post("/dead-letters/resubmit", {"id": dlq_id})
    new_id = dead_letters.get(dlq_id)["new_job_id"]

    answer = admin.post("/dead-letters/resubmit", {"id": dlq_id}, follow=True)

    assert "had been sent in again already" in answer.text
    assert dead_letters.get(dlq_id)["new_job_id"] == new_id


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"parameters": "{"}, "not valid JSON"),
        ({"parameters": "[1]"}, "must be an object"),
        ({"parameters": '{"failures": "many"}'}, "integer"),
        ({"parameters": '{"failures": 1, "odd": 2}'}, "odd"),
        ({"parameters": '{"failures": 1}', "timeout": "soon"}, "number of seconds"),
        ({"parameters": '{"failures": 1}', "timeout": "0"}, "timeout"),
        ({"priority": "urgent"}, "priority"),
    ],
)
def test_what_cannot_be_sent_in_is_said_and_nothing_changes(
    admin: Visitor, form: dict[str, str], words: str
) -> None:
    dlq_id = _dead(parameters={"failures": 4})

    answer = admin.post("/dead-letters/resubmit", {"id": dlq_id, **form})

    assert answer.status_code == 422
    assert words in answer.text
    assert dead_letters.get(dlq_id)["resubmitted"] is False


def test_one_that_does_not_fit_keeps_all_of_them_back(admin: Visitor) -> None:
    ids = [_dead("one"), _dead("two")]

    answer = admin.post("/dead-letters/resubmit", {"id": ids, "parameters": '{"odd": 1}'})

    assert answer.status_code == 422
    assert [dead_letters.get(i)["resubmitted"] for i in ids] == [False, False]


def test_reviewing_nothing_says_so(admin: Visitor) -> None:
    assert admin.post("/dead-letters/review").status_code == 400
    assert admin.get("/dead-letters/review?id=x").status_code == 404


def test_the_window_leaves_older_ones_out(admin: Visitor) -> None:
    dlq_id = _dead("long ago")
    db.run("UPDATE dead_letters SET failed_at = now() - interval '3 days' WHERE dlq_id = %(id)s", id=dlq_id)

    def listed(window: str) -> bool:
        return "long ago" in admin.soup(f"/dead-letters?window={window}").select_one("#letters").text

    assert not listed("24h")
    assert listed("7d")
    counts = admin.soup("/dead-letters").select("#groups tbody tr td.num")
    assert [words(cell) for cell in counts] == ["–", "–", "–", "–", "1", "1"]
    assert admin.get("/dead-letters?window=odd&page=odd").status_code == 200


ODD = 'a/b?c#d%2F é "<b>&'


def _group(dlq_id: str) -> str:
    return str(dead_letters.get(dlq_id)["group_key"])


class TestGroups:
    """What people say of a kind of failure."""

    def _states(self, admin: Visitor) -> dict[str, int]:
        error_groups.forget()
        links = admin.soup("/dead-letters").select("#group-states a")
        return {words(link).split()[0].lower(): int(words(link).split()[1]) for link in links}

    def test_a_resolved_one_leaves_the_list_and_comes_back_by_itself(self, admin: Visitor) -> None:
        key = _group(_dead("row 1 is odd"))

        admin.post("/dead-letters/groups", {"group": key, "verb": "resolve", "note": "mended in v2"})

        assert self._states(admin) == {"open": 0, "resolved": 1, "ignored": 0}
        assert "row 1 is odd" not in admin.get("/dead-letters").text
        assert "mended in v2" in admin.get("/dead-letters?state=resolved").text

        _dead("row 2 is odd")
        assert self._states(admin) == {"open": 1, "resolved": 0, "ignored": 0}
        (group,) = admin.soup("/dead-letters").select("#groups tbody tr")
        assert "came back" in words(group)
        assert [words(cell) for cell in group.select("td.num")] == ["1"] * 6  # what came since

    def test_an_ignored_one_stays_away_until_it_is_opened(self, admin: Visitor) -> None:
        key = _group(_dead("row 1 is odd"))
        admin.post("/dead-letters/groups", {"group": key, "verb": "ignore"})
        _dead("row 2 is odd")
        assert self._states(admin) == {"open": 0, "resolved": 0, "ignored": 1}

        admin.post("/dead-letters/groups", {"group": key, "verb": "reopen"})

        assert self._states(admin) == {"open": 1, "resolved": 0, "ignored": 0}

    def test_the_menu_counts_open_ones_only(self, admin: Visitor) -> None:
        def counted() -> str:
            found = admin.soup("/agents").select_one('a[href="/dead-letters"] .count')
            return "".join(filter(str.isdigit, words(found))) if found else ""

        key = _group(_dead("row 1 is odd"))
        _dead("the door is locked")
        before = counted()
        admin.post("/dead-letters/groups", {"group": key, "verb": "ignore"})
        assert (before, counted()) == ("2", "1")

    def test_its_page_tells_all_of_it(self, admin: Visitor) -> None:
        key = _group(_dead("row 1 is odd"))
        text = words(admin.soup("/dead-letters?" + urlencode({"group": key})).select_one("main"))
        for said in (
            "row 1 is odd",
            "First seen",
            "Last seen",
            "test-flaky v1",
            "Retry it",
            "Resolve",
            "Ignore",
        ):
            assert said in text

    def test_keys_with_odd_characters_hold(self, admin: Visitor) -> None:
        dlq_id = _dead("row 1 is odd")
        db.run("UPDATE dead_letters SET group_key = %(key)s WHERE dlq_id = %(id)s", key=ODD, id=dlq_id)

        link = admin.soup("/dead-letters").select_one("#groups tbody a")
        page = admin.soup(str(link["href"]))
        form = {"verb": "resolve", "group": page.select_one(".saying input[name=group]")["value"]}
        admin.post("/dead-letters/groups", form)

        assert self._states(admin)["resolved"] == 1
        assert db.value("SELECT group_key FROM error_groups") == ODD

    def test_only_admins_say_something_and_only_of_what_is_there(self, admin: Visitor, user: Visitor) -> None:
        key = _group(_dead())
        assert user.post("/dead-letters/groups", {"group": key, "verb": "ignore"}).status_code == 403
        assert admin.post("/dead-letters/groups", {"group": "x", "verb": "ignore"}).status_code == 404
        assert admin.post("/dead-letters/groups", {"group": key, "verb": "fly"}).status_code == 400
        assert admin.get("/dead-letters?group=x").status_code == 404

    def test_more_than_a_few_are_a_bulk_action(self, admin: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(bulk_actions, "FEW", 1)
        ids = [_dead(f"row {n} is odd") for n in range(2)]
        review = admin.soup("/dead-letters/review?" + urlencode({"group": _group(ids[0])}))
        form = {
            field["name"]: field["value"] for field in review.select("form[data-keep] input[type=hidden]")
        }

        _dead("row 9 is odd")  # after the look
        answer = admin.post("/dead-letters/resubmit", form | {"priority": "high"})

        assert answer.headers["Location"].startswith("/bulk-actions/")
        row = db.row("SELECT * FROM bulk_actions")
        assert (row["matched"], row["options"], row["verb"]) == (2, {"priority": "high"}, "resubmit")

    def test_what_grew_since_the_look_is_shown_again(self, admin: Visitor) -> None:
        key = _group(_dead("row 1 is odd"))
        _dead("row 2 is odd")
        answer = admin.post("/dead-letters/resubmit", {"group": key, "count": "1"})
        assert "More failed so since you looked" in answer.text
        assert db.value("SELECT count(*) FROM bulk_actions") == 0
