"""Deliveries: taken once, fairly, under a lease; settled by what came back; tried for a day."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from app.db import Row, db
from app.errors import NotFound
from app.notify import deliveries, endpoints
from app.notify.deliveries import PAUSES, Outcome
from tests.app.notify.telling import only, tell, user

FAILED = Outcome(error="It answered 500.", status_code=500, response="oops", duration_ms=12)


def take(limit: int = 100, *, per_lane: int = 100, busy: dict[str, int] | None = None) -> list[Row]:
    with db.quick():
        return deliveries.take(limit=limit, lease_seconds=60, per_lane=per_lane, busy=busy or {})


def settle(taken: Row, outcome: Outcome) -> str | None:
    with db.transaction():
        return deliveries.settle(taken, outcome)


def callbacks(*urls: str) -> None:
    for url in urls:
        tell(callback_url=url)


def due_now() -> None:
    with db.quick():
        db.run("UPDATE deliveries SET next_at = now() WHERE status = 'pending'")


def waits() -> float:
    with db.quick():
        return float(db.value("SELECT extract(epoch FROM next_at - clock_timestamp()) FROM deliveries"))


def attempts() -> list[Row]:
    with db.quick():
        return deliveries.attempts(str(only()["delivery_id"]))


class TestTaking:
    def test_what_is_taken_is_not_taken_again_before_its_lease_ends(self) -> None:
        callbacks("https://a.example/")
        (taken,) = take()
        assert (taken["attempts"], taken["target"]) == (1, "https://a.example/")
        assert take() == []

        due_now()  # the lease is over
        (again,) = take()
        assert (again["delivery_id"], again["attempts"]) == (taken["delivery_id"], 2)
        assert [row["error"] for row in attempts()] == ["The courier was lost.", None]

    def test_the_one_whose_lease_was_lost_settles_nothing(self) -> None:
        callbacks("https://a.example/")
        (lost,) = take()
        due_now()
        (mine,) = take()

        assert settle(lost, FAILED) is None
        assert settle(mine, Outcome(delivered=True)) == "delivered"
        assert only()["status"] == "delivered"

    def test_many_couriers_never_take_the_same(self) -> None:
        callbacks(*[f"https://h{n % 7}.example/" for n in range(70)])
        with ThreadPoolExecutor(8) as many:
            taken = [row["delivery_id"] for rows in many.map(lambda _: take(20), range(8)) for row in rows]

        taken += [row["delivery_id"] for row in take()]  # what two of them looked at while it was locked

        assert len(taken) == len(set(taken)) == 70

    def test_a_lane_gets_no_more_than_its_share(self) -> None:
        callbacks(*["https://dead.example/"] * 50, "https://b.example/", "https://c.example/")

        taken = take(12, per_lane=3, busy={"dead.example:443": 1})

        assert sorted(row["lane"] for row in taken) == [
            "b.example:443",
            "c.example:443",
            *["dead.example:443"] * 2,
        ]
        full = {"dead.example:443": 3, "b.example:443": 9}
        assert take(12, per_lane=3, busy=full) == []

    def test_what_was_never_tried_goes_first(self) -> None:
        callbacks("https://old.example/")
        settle(take()[0], FAILED)
        due_now()
        callbacks("https://new.example/")

        assert [row["lane"] for row in take(1)] == ["new.example:443"]
        assert [row["lane"] for row in take(1)] == ["old.example:443"]


class TestSettling:
    def test_delivered(self) -> None:
        callbacks("https://a.example/")
        assert settle(take()[0], Outcome(delivered=True, status_code=204, duration_ms=7)) == "delivered"

        row = only()
        assert (row["status"], row["reason"], row["next_at"]) == ("delivered", None, None)
        assert row["finished_at"] is not None
        (attempt,) = attempts()
        assert (attempt["number"], attempt["status_code"], attempt["duration_ms"]) == (1, 204, 7)

    def test_failures_are_tried_for_about_a_day_and_then_given_up(self) -> None:
        callbacks("https://a.example/")
        total = 0.0
        for pause in PAUSES:
            assert settle(take()[0], FAILED) == "pending"
            assert 0.8 * pause - 1 <= waits() <= 1.2 * pause
            total += pause
            due_now()
        assert settle(take()[0], FAILED) == "failed"

        assert 20 * 3600 < total < 28 * 3600
        assert only()["reason"] == "It answered 500."
        assert [row["number"] for row in attempts()] == list(range(1, len(PAUSES) + 2))
        assert {(row["status_code"], row["response"]) for row in attempts()} == {(500, "oops")}

    def test_pauses_are_spread(self) -> None:
        assert len({deliveries.pause_after(5, None) for _ in range(20)}) > 10

    @pytest.mark.parametrize(
        ("asked", "least", "most"), [(600, 599, 600), (1, 3, 6), (10**9, 86_399, 86_400)]
    )
    def test_retry_after_is_honoured(self, asked: float, least: float, most: float) -> None:
        callbacks("https://a.example/")
        settle(take()[0], Outcome(error="slow down", status_code=429, retry_after=asked))
        assert least <= waits() <= most

    def test_what_will_not_pass_is_not_tried_again(self) -> None:
        callbacks("https://a.example/")
        assert settle(take()[0], Outcome(error="blocked", final=True)) == "failed"

    def test_skipped(self) -> None:
        tell(emails=["a@example.org"])
        assert settle(take()[0], Outcome(skipped="not configured: set SMTP_HOST")) == "skipped"
        assert only()["reason"] == "not configured: set SMTP_HOST"

    def test_an_interrupted_one_is_due_at_once_and_costs_no_try(self) -> None:
        callbacks("https://a.example/")
        assert settle(take()[0], Outcome(interrupted=True, error="stopped")) == "pending"

        (again,) = take()
        assert (again["retries"], again["attempts"]) == (0, 2)


class TestEndpoints:
    @pytest.fixture
    def endpoint(self) -> Row:
        ada = user("ada")
        with db.transaction():
            made = endpoints.create("https://a.example/", owner=ada)
        tell(audience=ada)
        return made

    def now(self, endpoint: Row) -> Row:
        with db.quick():
            return endpoints.get(endpoint["endpoint_id"])

    def test_gone_switches_it_off(self, endpoint: Row) -> None:
        settle(take()[0], Outcome(error="gone", status_code=410, final=True, gone=True))

        now = self.now(endpoint)
        assert (now["enabled"], now["disabled_reason"]) == (False, "It answered 410 Gone.")

    def test_five_days_without_success_switch_it_off(self, endpoint: Row) -> None:
        settle(take()[0], FAILED)
        assert self.now(endpoint)["enabled"]
        with db.quick():
            db.run("UPDATE webhook_endpoints SET failing_since = now() - interval '5 days 1 minute'")
        due_now()
        settle(take()[0], FAILED)

        now = self.now(endpoint)
        assert not now["enabled"]
        assert now["disabled_reason"] == "Nothing got through for 5 days; the last error: It answered 500."

    def test_a_success_in_between_starts_anew(self, endpoint: Row) -> None:
        settle(take()[0], FAILED)
        with db.quick():
            db.run("UPDATE webhook_endpoints SET failing_since = now() - interval '6 days'")
        due_now()
        settle(take()[0], Outcome(delivered=True))

        assert (self.now(endpoint)["failing_since"], self.now(endpoint)["enabled"]) == (None, True)

    def test_switched_on_again_it_begins_anew(self, endpoint: Row) -> None:
        settle(take()[0], Outcome(error="gone", final=True, gone=True))
        with db.transaction():
            now = endpoints.change(endpoint["endpoint_id"], enabled=True)

        assert (now["enabled"], now["disabled_reason"], now["failing_since"]) == (True, None, None)


class TestLooking:
    def test_pages_are_narrowed_and_go_on(self) -> None:
        tell(audience="ada", emails=["a@example.org"], subject=("job", "1"))
        tell(audience="bob", callback_url="https://b.example/", subject=("workflow", "2"))
        tell(audience="ada", callback_url="https://c.example/", subject=("job", "3"))

        def found(**wanted: Any) -> list[str]:
            with db.quick():
                return [row["target"] for row in deliveries.page(**wanted)]

        assert found() == ["https://c.example/", "https://b.example/", "a@example.org"]
        assert found(owner="ada") == ["https://c.example/", "a@example.org"]
        assert found(channel="email") == ["a@example.org"]
        assert found(subject=("workflow", "2")) == ["https://b.example/"]
        assert found(status="failed") == []
        with db.quick():
            last = deliveries.page(limit=1)[0]["delivery_id"]
            assert deliveries.counts()["pending"] == 3
            assert deliveries.counts(owner="bob") == {"pending": 1, "delivered": 0, "failed": 0, "skipped": 0}
        assert found(before=last) == ["https://b.example/", "a@example.org"]

    def test_redelivered_it_keeps_its_id_and_gets_all_its_tries(self) -> None:
        callbacks("https://a.example/")
        settle(take()[0], Outcome(error="no", final=True))
        name = str(only()["delivery_id"])
        with db.transaction():
            assert deliveries.redeliver(name)["status"] == "pending"

        (again,) = take()
        assert (again["delivery_id"], again["attempts"], again["retries"]) == (name, 2, 0)

    def test_what_is_under_way_is_not_sent_twice(self) -> None:
        callbacks("https://a.example/")
        (taken,) = take()
        with db.transaction():
            deliveries.redeliver(taken["delivery_id"])

        assert take() == []
        assert settle(taken, Outcome(delivered=True)) == "delivered"

    def test_what_is_not_there(self) -> None:
        nothing = "00000000-0000-7000-8000-000000000000"
        with db.quick():
            for look in (deliveries.get, deliveries.redeliver):
                with pytest.raises(NotFound):
                    look(nothing)
