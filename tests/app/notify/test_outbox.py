"""Telling: one record, one delivery for everybody who is to hear of it, and one of a group."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from app import clock
from app.db import db
from app.notify import deliveries, endpoints, inbox, messages, outbox, rules, setup
from app.notify.setup import Setup
from tests.app.notify.telling import notifications, only, sent, targets, tell, user


def test_news_is_recorded_and_read_by_its_audience() -> None:
    told = tell(
        title="Done", body="42 words", severity="success", link="/jobs/1", subject=("job", "1"), data={"n": 1}
    )

    with db.quick():
        (row,) = inbox.page("ada", is_admin=False)
        assert inbox.page("bob", is_admin=True) == []
    assert row["notification_id"] == told
    assert (row["event"], row["title"], row["body"], row["severity"]) == (
        "job.completed",
        "Done",
        "42 words",
        "success",
    )
    assert (row["link"], row["subject_type"], row["subject_id"], row["data"]) == (
        "/jobs/1",
        "job",
        "1",
        {"n": 1},
    )
    assert (row["count"], row["unread"]) == (1, True)
    assert sent() == []


def test_an_unknown_event_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match=r"no event 'job\.done'"):
        tell("job.done")
    assert notifications() == []


def test_nothing_is_told_by_a_transaction_that_fails(woken: list[bool]) -> None:
    class Away(Exception):
        pass

    with pytest.raises(Away), db.transaction():
        outbox.tell("job.completed", title="Done", audience="ada", emails=["ada@example.org"])
        raise Away

    assert (notifications(), sent(), woken) == ([], [], [])


def test_the_courier_is_woken_after_the_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    monkeypatch.setattr(setup, "_wake", lambda: seen.append(len(sent())))

    tell(emails=["ada@example.org"])

    assert seen == [1]


def test_what_postgres_refuses_does_not_stop_the_news() -> None:
    tell(title="a\x00b", body="\ud800", data={"x": "\x00"}, emails=["ada@example.org"])

    (row,) = notifications()
    assert (row["title"], row["data"]) == ("a\N{REPLACEMENT CHARACTER}b", {"x": "\N{REPLACEMENT CHARACTER}"})


class TestGroups:
    def test_the_second_of_a_group_counts_up_and_sends_nothing(self) -> None:
        first = tell(group_key="g", emails=["ada@example.org"])
        second = tell(group_key="g", emails=["ada@example.org"])

        assert first == second
        assert [row["count"] for row in notifications()] == [2]
        assert len(sent()) == 1

    def test_a_callback_is_sent_though_it_is_counted(self) -> None:
        for n in (1, 2):
            tell(group_key="g", callback_url=f"https://a.example/{n}", callback_payload={"n": n})

        assert [row["payload"]["data"] for row in sent()] == [{"n": 1}, {"n": 2}]
        assert len({row["notification_id"] for row in sent()}) == 1

    def test_other_groups_and_other_people_are_told_by_themselves(self) -> None:
        for group, audience in (("g", "ada"), ("h", "ada"), ("g", "bob"), (None, "ada"), (None, "ada")):
            tell(group_key=group, audience=audience, emails=["x@example.org"])

        assert [row["count"] for row in notifications()] == [1] * 5
        assert len(sent()) == 5

    def test_the_window_begins_with_the_first_and_ends(self) -> None:
        tell(group_key="g", group_minutes=15)
        with db.quick():
            db.run("UPDATE notifications SET created_at = created_at - interval '14 minutes'")
        tell(group_key="g", group_minutes=15)
        with db.quick():
            db.run("UPDATE notifications SET created_at = created_at - interval '61 s'")
        tell(group_key="g", group_minutes=15)

        assert [row["count"] for row in notifications()] == [2, 1]

    def test_the_window_is_the_setting_unless_told(self) -> None:
        setup.use(Setup(group_minutes=0))
        tell(group_key="g")
        tell(group_key="g")
        tell(group_key="g", group_minutes=15)

        assert [row["count"] for row in notifications()] == [1, 2]

    def test_a_hundred_at_once_make_one(self) -> None:
        with ThreadPoolExecutor(16) as many:
            told = set(many.map(lambda _: tell(group_key="g", emails=["ada@example.org"]), range(100)))

        assert len(told) == 1
        assert [row["count"] for row in notifications()] == [100]
        assert len(sent()) == 1

    def test_what_counts_up_is_unread_again(self) -> None:
        told = tell(group_key="g")
        with db.transaction():
            inbox.mark_read(told, "ada", is_admin=False)
        with db.quick():
            assert inbox.unread("ada", is_admin=False) == 0
        tell(group_key="g")

        with db.quick():
            assert inbox.unread("ada", is_admin=False) == 1
            assert [row["count"] for row in inbox.page("ada", is_admin=False, unread=True)] == [2]

    def test_only_the_newest_are_counted_so_that_asking_stays_cheap(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(inbox, "MOST_COUNTED", 3)
        with db.transaction():
            told = [outbox.tell("job.completed", title="A", audience=who) for who in ("ada", "admins") * 3]
            inbox.mark_read(told[-1], "ada", is_admin=True)
        with db.quick():
            counts = [inbox.unread("ada", is_admin=admin) for admin in (False, True)]

        assert counts == [3, 2]


class TestWho:
    def test_each_address_once(self) -> None:
        with db.transaction():
            rules.create(event="job.*", channel="email", target="ada@example.org", by="root")
            rules.create(event="*", channel="email", target="ops@example.org", by="root")
        tell(emails=["ada@example.org", "ada@example.org", "team@example.org"])

        assert targets() == [("email", f"{name}@example.org") for name in ("ada", "ops", "team")]

    @pytest.mark.parametrize(
        ("rule", "heard"),
        [
            ({"event": "workflow.failed"}, True),
            ({"event": "workflow.*"}, True),
            ({"event": "*"}, True),
            ({"event": "workflow.completed"}, False),
            ({"event": "job.*"}, False),
            ({"event": "*", "enabled": False}, False),
            ({"event": "*", "agent_id": "writer"}, True),
            ({"event": "*", "agent_id": "reader"}, False),
        ],
    )
    def test_rules_choose_by_event_and_agent(self, rule: dict[str, Any], heard: bool) -> None:
        setup.use(Setup(channels=("team",)))
        with db.transaction():
            rules.create(**{"channel": "chat", "target": "team", "by": "root"} | rule)

        tell("workflow.failed", agent_id="writer")

        assert targets() == ([("chat", "team")] if heard else [])

    @pytest.mark.parametrize(
        ("event", "audience"),
        [("dead_letter", "admins"), ("schedule.failed", "ada"), ("schedule.missed", "ada")],
    )
    def test_alerts_go_to_the_alert_addresses_whoever_is_told(self, event: str, audience: str) -> None:
        setup.use(Setup(alert_emails=("ops@example.org",), alert_channels=("slack",), channels=("slack",)))

        tell(event, audience=audience)
        tell("job.failed", audience="admins")

        assert targets() == [("chat", "slack"), ("email", "ops@example.org")]
        assert {row["owner"] for row in sent()} == {None}

    def test_nobody_floods_others_with_mail(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(outbox, "MOST_MAILS_AN_HOUR", 3)
        with db.transaction():
            rules.create(event="job.*", channel="email", target="rule@example.org", by="root")
        for name in ("one", "two"):
            tell(emails=[f"{name}{n}@example.org" for n in (1, 2)], audience="eve")
        tell(emails=["three@example.org"], audience="eve")
        tell(emails=["friend@example.org"], audience="ada")

        skipped = [(row["target"], row["reason"]) for row in sent() if row["status"] == "skipped"]
        assert skipped == [("two2@example.org", outbox.TOO_MANY), ("three@example.org", outbox.TOO_MANY)]
        assert targets().count(("email", "rule@example.org")) == 4

    def test_what_was_asked_for_an_hour_ago_counts_no_more(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(outbox, "MOST_MAILS_AN_HOUR", 1)
        monkeypatch.setattr(clock, "now", lambda: datetime.now(UTC) + timedelta(minutes=61))
        for name in ("one", "two"):
            tell(emails=[f"{name}@example.org"])

        assert [row["status"] for row in sent()] == ["pending", "pending"]

    def test_an_alert_that_nobody_gets_says_so(self) -> None:
        tell("dead_letter", audience="admins")

        row = only()
        assert (row["status"], row["target"]) == ("skipped", "admins")
        assert row["reason"].startswith("not configured: set ALERT_EMAILS")
        assert row["next_at"] is None

    def test_endpoints_hear_what_their_owner_may(self) -> None:
        ada, bob, root = user("ada"), user("bob"), user("root", "admin")
        with db.transaction():
            for owner, events in ((ada, []), (bob, []), (root, ["job.*"]), (root, ["budget.*"])):
                endpoints.create(f"https://{owner}.example/{len(events)}", owner=owner, wanted=events)

        tell("job.failed", audience=ada)
        assert sorted(row["owner"] for row in sent()) == sorted([ada, root])

    def test_endpoints_that_are_off_or_whose_owner_is_gone_hear_nothing(self) -> None:
        ada = user("ada")
        with db.transaction():
            endpoints.create("https://off.example/", owner=ada, enabled=False)
            endpoints.create("https://gone.example/", owner=ada)
            db.run("UPDATE users SET enabled = false WHERE user_id = %(id)s", id=ada)

        tell(audience=ada)

        assert sent() == []

    def test_a_test_goes_to_nobody_who_did_not_ask(self) -> None:
        ada = user("ada")
        with db.transaction():
            endpoints.create("https://all.example/", owner=ada)
            rules.create(event="*", channel="email", target="ops@example.org", by="root")

        tell("test", audience=ada)

        assert sent() == []

    def test_the_owner_of_deliveries(self) -> None:
        tell(emails=["ada@example.org"], callback_url="https://a.example/")
        assert {row["owner"] for row in sent()} == {"ada"}
        assert {row["lane"] for row in sent()} == {"email", "a.example:443"}


class TestPayloads:
    def test_of_an_endpoint(self) -> None:
        ada = user("ada")
        with db.transaction():
            endpoints.create("https://a.example:8443/in", owner=ada)
        told = tell(
            "job.failed", audience=ada, title="No", link="/jobs/1", subject=("job", "1"), data={"a": [1]}
        )

        row = only()
        assert row["lane"] == "a.example:8443"
        assert row["payload"]["type"] == "job.failed"
        assert row["payload"]["timestamp"].endswith("Z")
        assert row["payload"]["data"] == {
            "notification_id": told,
            "title": "No",
            "body": "",
            "severity": "info",
            "link": "https://board.example/jobs/1",
            "subject": {"type": "job", "id": "1"},
            "agent_id": None,
            "data": {"a": [1]},
        }

    def test_the_largest_parts_are_left_out_and_named(self) -> None:
        payload = {"job_id": "1", "result": "x" * 30_000, "logs": ["y" * 15_000], "error": None}

        made = messages.envelope("job.completed", payload)

        assert made["data"] == {"job_id": "1", "logs": ["y" * 15_000], "error": None, "left_out": ["result"]}

    def test_it_never_grows_over_the_limit(self) -> None:
        for payload in ({f"k{n}" * 60: "z" * n for n in range(300)}, {"x": "ä" * 40_000}, {"k" * 30_000: 1}):
            made = messages.envelope("job.completed", payload)
            assert len(orjson.dumps(made)) <= messages.MOST_PAYLOAD_BYTES


def test_what_is_old_is_forgotten() -> None:
    old, new = tell(emails=["a@example.org"]), tell(emails=["b@example.org"])
    with db.quick():
        for table in ("notifications", "deliveries"):
            db.run(
                f"UPDATE {table} SET created_at = now() - interval '31 days' WHERE notification_id = %(id)s",
                id=old,
            )
    with db.transaction():
        assert deliveries.purge(30) == 2

    assert [str(row["notification_id"]) for row in notifications()] == [new]
    assert targets() == [("email", "b@example.org")]
