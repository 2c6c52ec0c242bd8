"""The courier: everything that is written down arrives, once it can; whoever is slow or dead holds up nobody."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from psycopg2 import OperationalError

from actors import delivery
from actors.channels import webhook
from actors.delivery import PER_LANE, PER_OWNER, THREADS, Courier
from app.approvals import answering
from app.approvals import asking as questions
from app.approvals.asking import Question
from app.db import Row, db
from app.jobs import lifecycle
from app.notify import deliveries, endpoints, rules, secrets, setup
from app.notify.setup import Setup
from app.settings import Settings
from app.workflows import asking
from tests import acting
from tests.app.notify.telling import only, sent, tell, user
from tests.services import libpq
from tests.smtp_server import Post as SmtpPost
from tests.smtp_server import mail_server
from tests.waiting import until
from tests.webhook_receiver import HANG, Answer, Receiver, receiving

MakeCourier = Callable[..., Courier]
KEY = "a key of at least thirty-two characters"
NOBODY = "01890000-0000-7000-8000-000000000000"
GUEST = "guest@elsewhere.example"


@pytest.fixture(autouse=True)
def clean(quick: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing of other tests; the process' setup and hook are put back."""
    monkeypatch.setattr(setup, "_wake", setup._nobody)
    before = setup.present()
    setup.use(Setup(allow_private=True))
    yield
    setup.use(before)


@pytest.fixture
def make_courier(settings: Settings) -> Iterator[MakeCourier]:
    """A courier that runs until the end of the test."""
    running: list[Courier] = []

    def make(**changes: Any) -> Courier:
        lease = changes.pop("lease_seconds", delivery.LEASE_SECONDS)
        changed = settings.model_copy(update={"http_allow_private": True} | changes)
        for remembered in ("public_url", "signing_key"):  # of the settings as they were
            vars(changed).pop(remembered, None)
        courier = Courier(changed, lease_seconds=lease)
        courier.start()
        running.append(courier)
        return courier

    yield make
    for courier in running:
        courier.stop()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


def secret_of(owner: str = "ada") -> str:
    with db.transaction():
        return secrets.of_callbacks(owner)


def statuses() -> list[str]:
    return [row["status"] for row in sent()]


def settled(*expected: str) -> None:
    until(lambda: statuses() == list(expected))


def attempts() -> list[Row]:
    with db.quick():
        return deliveries.attempts(str(only()["delivery_id"]))


def due_now() -> None:
    with db.quick():
        db.run("UPDATE deliveries SET next_at = now() WHERE status = 'pending'")


class TestCallbacks:
    def test_it_arrives_signed_with_the_owners_secret(
        self, make_courier: MakeCourier, receiver: Receiver
    ) -> None:
        receiver.secrets = [secret_of("ada"), secret_of("bob")]
        make_courier()
        tell(callback_url=receiver.url, callback_payload={"job_id": "1", "status": "completed"})
        settled("delivered")

        (got,) = receiver.got
        assert got.verified == (secret_of("ada"),)
        assert (got.json["type"], got.json["data"]) == (
            "job.completed",
            {"job_id": "1", "status": "completed"},
        )
        assert got.id == str(only()["delivery_id"])
        (attempt,) = attempts()
        assert (attempt["status_code"], attempt["error"]) == (204, None)
        assert attempt["duration_ms"] >= 1

    def test_after_a_rotation_the_old_secret_fits_for_a_day(
        self, make_courier: MakeCourier, receiver: Receiver
    ) -> None:
        old = secret_of()
        with db.transaction():
            new = secrets.rotate_callbacks("ada")
        receiver.secrets = [old, new]
        make_courier()
        tell(callback_url=receiver.url)
        settled("delivered")
        with db.quick():
            db.run("UPDATE callback_secrets SET previous_until = now() - interval '1 s'")
        tell(callback_url=receiver.url)
        settled("delivered", "delivered")

        assert [got.verified for got in receiver.got] == [(old, new), (new,)]

    def test_failures_are_tried_again_with_the_same_id_and_body(
        self, make_courier: MakeCourier, receiver: Receiver
    ) -> None:
        receiver.answer = Answer(500, body=b"oops")
        receiver.secrets = [secret_of()]
        courier = make_courier()
        tell(callback_url=receiver.url)
        until(lambda: only()["retries"] == 1)
        receiver.answer = Answer(200)
        due_now()
        settled("delivered")
        courier.stop()

        first, second = receiver.got
        assert (first.id, first.body, first.verified) == (second.id, second.body, second.verified)
        assert [(row["number"], row["status_code"], row["error"]) for row in attempts()] == [
            (1, 500, "It answered 500 Internal Server Error."),
            (2, 200, None),
        ]
        assert only()["reason"] is None

    def test_a_private_address_fails_at_once_and_says_why(
        self, make_courier: MakeCourier, receiver: Receiver
    ) -> None:
        make_courier(http_allow_private=False)
        tell(callback_url=receiver.url)
        settled("failed")

        assert receiver.got == []
        assert "is not an address of the public internet" in only()["reason"]

    def test_redelivered_it_comes_with_its_old_id(
        self, make_courier: MakeCourier, receiver: Receiver
    ) -> None:
        make_courier()
        tell(callback_url=receiver.url)
        settled("delivered")
        with db.transaction():
            deliveries.redeliver(str(only()["delivery_id"]))
        until(lambda: len(receiver.got) == 2)
        settled("delivered")

        assert len(set(receiver.ids)) == 1


class TestEndpoints:
    @pytest.fixture
    def endpoint(self, receiver: Receiver) -> Row:
        with db.transaction():
            made = endpoints.create(receiver.url + "/in", owner=user("ada"))
        receiver.secrets = [made["secret"]]
        return made

    def test_it_hears_signed_with_its_own_secret(
        self, make_courier: MakeCourier, receiver: Receiver, endpoint: Row
    ) -> None:
        make_courier()
        tell(audience=endpoint["owner"], title="Hello")
        settled("delivered")

        assert receiver.got[0].verified == (endpoint["secret"],)
        assert receiver.got[0].json["data"]["title"] == "Hello"

    def test_after_a_rotation_both_fit(
        self, make_courier: MakeCourier, receiver: Receiver, endpoint: Row
    ) -> None:
        with db.transaction():
            new = endpoints.rotate(endpoint["endpoint_id"])["secret"]
        receiver.secrets.append(new)
        make_courier()
        with db.transaction():
            endpoints.test(endpoint["endpoint_id"])
        settled("delivered")

        assert receiver.got[0].verified == (endpoint["secret"], new)
        assert receiver.got[0].json["type"] == "test"

    def test_410_switches_it_off_and_what_follows_is_skipped(
        self, make_courier: MakeCourier, receiver: Receiver, endpoint: Row
    ) -> None:
        receiver.answer = Answer(410)
        make_courier()
        tell(audience=endpoint["owner"])
        settled("failed")
        with db.transaction():
            endpoints.test(endpoint["endpoint_id"])
        settled("failed", "skipped")
        tell(audience=endpoint["owner"])

        assert len(receiver.got) == 1
        assert sent()[1]["reason"] == "The endpoint is switched off. It answered 410 Gone."
        assert len(sent()) == 2

    def test_what_was_on_its_way_to_a_deleted_one_is_not_signed_by_anything_else(
        self, make_courier: MakeCourier, receiver: Receiver, endpoint: Row
    ) -> None:
        tell(audience=endpoint["owner"])
        with db.transaction():
            endpoints.remove(endpoint["endpoint_id"])
        make_courier()
        settled("skipped")

        assert (receiver.got, only()["reason"]) == ([], "The endpoint was deleted.")


class TestOtherChannels:
    def test_mail(self, make_courier: MakeCourier) -> None:
        with mail_server() as post:
            make_courier(
                smtp_host="127.0.0.1",
                smtp_port=str(post.port),
                smtp_security="none",
                smtp_from="cb@example.org",
            )
            tell(title="Done", emails=["ada@example.org", "bob@example.org"])
            settled("delivered", "delivered")

            assert sorted(mail["To"] for mail in post.mails) == ["ada@example.org", "bob@example.org"]

    def test_what_is_not_configured_is_skipped_and_says_so(self, make_courier: MakeCourier) -> None:
        make_courier(smtp_host="")
        tell(emails=["ada@example.org"])
        settled("skipped")

        assert only()["reason"] == "not configured: set SMTP_HOST"

    def test_a_channel_that_breaks_is_a_failure_like_others(
        self, make_courier: MakeCourier, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: object, **__: object) -> None:
            raise KeyError("title")

        monkeypatch.setattr(webhook, "send", broken)
        make_courier()
        tell(callback_url="https://a.example/")
        until(lambda: only()["retries"] == 1)

        assert only()["reason"] == "Callboard failed: KeyError."


class TestWaking:
    def test_its_own_process_wakes_it_at_once(
        self, make_courier: MakeCourier, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(delivery, "LOOK_SECONDS", 3600.0)
        make_courier()
        for _ in range(3):
            tell(callback_url=receiver.url)
        settled("delivered", "delivered", "delivered")

    def test_what_others_wrote_is_found_by_looking(
        self, make_courier: MakeCourier, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(delivery, "LOOK_SECONDS", 0.05)
        make_courier()
        setup.wake_with(setup._nobody)
        tell(callback_url=receiver.url)
        settled("delivered")

    def test_it_goes_on_after_the_database_was_away(
        self, make_courier: MakeCourier, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(delivery, "LOOK_SECONDS", 0.05)
        away = {"take": 2, "settle": 2}

        def failing_first(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
            def do(*args: Any, **more: Any) -> Any:
                if away[name]:
                    away[name] -= 1
                    raise OperationalError("away")
                return real(*args, **more)

            return do

        for name in away:
            monkeypatch.setattr(deliveries, name, failing_first(name, getattr(deliveries, name)))
        make_courier()
        tell(callback_url=receiver.url)
        settled("delivered")

        assert away == {"take": 0, "settle": 0}
        assert len(receiver.got) == 1


class TestFairness:
    def test_a_thousand_to_a_dead_host_hold_up_nobody(
        self, make_courier: MakeCourier, receiver: Receiver
    ) -> None:
        with receiving() as dead:
            dead.answer = HANG
            tell(callback_url=dead.url)
            with db.quick():
                db.run(
                    """INSERT INTO deliveries (delivery_id, event, channel, target, lane, callback, owner, payload, next_at)
                       SELECT gen_random_uuid(), event, channel, target, lane, callback, owner, payload, next_at
                       FROM deliveries, generate_series(1, 999)"""
                )
            courier = make_courier()
            until(lambda: len(dead.got) == PER_LANE)
            for _ in range(30):
                tell(callback_url=receiver.url)
            until(lambda: len(receiver.got) == 30)

            assert len(dead.got) == PER_LANE
            courier.stop()

    def test_whoever_names_many_dead_hosts_holds_up_nobody_else(
        self, make_courier: MakeCourier, receiver: Receiver
    ) -> None:
        with ExitStack() as stack:
            dead = [stack.enter_context(receiving()) for _ in range(THREADS)]
            for one in dead:
                one.answer = HANG
                for _ in range(PER_LANE):
                    tell(callback_url=one.url, audience="eve")
            courier = make_courier()
            until(lambda: sum(len(one.got) for one in dead) == PER_OWNER)
            tell(callback_url=receiver.url, audience="ada")
            until(lambda: receiver.got)

            assert sum(len(one.got) for one in dead) == PER_OWNER
            courier.stop()

    def test_whoever_waits_for_dead_hosts_holds_up_nobodys_mail(
        self, make_courier: MakeCourier, receiver: Receiver
    ) -> None:
        receiver.answer = HANG
        with mail_server() as post, receiving() as other:
            other.answer = HANG
            for _ in range(PER_LANE):
                tell(callback_url=receiver.url, audience="eve")
                tell(callback_url=other.url, audience="eve")
            courier = make_courier(
                smtp_host="127.0.0.1",
                smtp_port=str(post.port),
                smtp_security="none",
                smtp_from="cb@example.org",
            )
            until(lambda: len(receiver.got) + len(other.got) == PER_OWNER)
            for number in range(PER_LANE):
                tell(emails=[f"eve{number}@example.org"], audience="eve")
            tell(emails=["ada@example.org"], audience="ada")
            until(lambda: post.mails)

            assert [mail["To"] for mail in post.mails] == ["ada@example.org"]
            courier.stop()


class TestEnding:
    def test_what_is_under_way_goes_back_at_once(self, make_courier: MakeCourier, receiver: Receiver) -> None:
        receiver.answer = HANG
        courier = make_courier()
        tell(callback_url=receiver.url)
        until(lambda: receiver.got)
        courier.stop()

        row = only()
        assert (row["status"], row["retries"], row["lease_id"]) == ("pending", 0, None)
        assert [attempt["error"] for attempt in attempts()] == ["Its process was stopped."]

        receiver.answer = Answer(204)
        make_courier()
        settled("delivered")
        assert len(set(receiver.ids)) == 1

    def test_nothing_is_taken_after_the_stop(self, make_courier: MakeCourier, receiver: Receiver) -> None:
        make_courier().stop()
        tell(callback_url=receiver.url)

        assert not threading_names() & {"courier", "delivery"}
        assert (statuses(), receiver.got) == (["pending"], [])

    def test_a_killed_couriers_delivery_is_taken_when_its_lease_ends(
        self, make_courier: MakeCourier, receiver: Receiver, settings: Settings
    ) -> None:
        receiver.answer = HANG
        receiver.secrets = [secret_of()]
        tell(callback_url=receiver.url)
        with other_courier(settings, lease_seconds=1.0) as other:
            until(lambda: receiver.got)
            os.kill(other.pid, signal.SIGKILL)
            other.wait()
        assert statuses() == ["pending"]
        receiver.answer = Answer(204)
        make_courier()
        settled("delivered")

        assert len(set(receiver.ids)) == 1
        *lost, last = [attempt["error"] for attempt in attempts()]
        assert (set(lost), last) == ({"The courier was lost."}, None)


class TestScheduler:
    def test_news_leaves_when_no_worker_is_left(
        self, receiver: Receiver, settings: Settings, redis_url: str
    ) -> None:
        tell(callback_url=receiver.url)
        environment = environ(settings) | {"REDIS_URL": redis_url, "CALLBOARD_HOME": str(settings.home)}
        with subprocess.Popen([sys.executable, "-m", "actors.clockwork"], env=environment) as scheduler:
            try:
                settled("delivered")
            finally:
                scheduler.terminate()
            assert scheduler.wait(20) == 0
        assert len(receiver.got) == 1


def threading_names() -> set[str]:
    import threading

    return {thread.name for thread in threading.enumerate()}


def other_courier(settings: Settings, *, lease_seconds: float) -> subprocess.Popen[bytes]:
    """A courier in a process of its own."""
    program = f"""
import threading
from actors.delivery import Courier
from app.db import db, make_engine
from app.secrets import sealing
from app.settings import load
settings = load()
sealing.use(settings.sealing_keys)
db.open(make_engine(settings.database_url))
Courier(settings, lease_seconds={lease_seconds}).start()
threading.Event().wait()
"""
    return subprocess.Popen([sys.executable, "-c", program], env=environ(settings))


def environ(settings: Settings) -> dict[str, str]:
    """What a process needs to deliver from this test's database."""
    return {
        **os.environ,
        "DATABASE_URL": libpq(settings.database_url),
        "CALLBOARD_ENV": "test",
        "SECRET_KEY": settings.secret_key,
        "HTTP_ALLOW_PRIVATE": "true",
        "LOG_LEVEL": "WARNING",
    }


class TestLinksInMails:
    """Whoever is asked by mail may answer by a link that stands in that mail and nowhere else."""

    @pytest.fixture
    def mails(self, make_courier: MakeCourier) -> Iterator[SmtpPost]:
        with mail_server() as post:
            make_courier(
                smtp_host="127.0.0.1",
                smtp_port=str(post.port),
                smtp_security="none",
                smtp_from="cb@example.org",
                base_url="https://board.example",
                secret_key=KEY,
            )
            yield post

    def token_in(self, mail: Any) -> str | None:
        found = re.search(r"https://board\.example/a/(\S+)", mail.get_content())
        return found and found[1]

    def test_it_answers_for_whom_it_was_sent_to(self, mails: SmtpPost) -> None:
        with db.transaction():
            job_id, approval_id = acting.asked("Send it?", approvers=(GUEST,))
        settled("delivered")

        (mail,) = mails.mails
        token = self.token_in(mail)
        assert token is not None
        assert f"/approvals/{approval_id}" in mail.get_content()
        with db.transaction():
            done = asking.answer_by_link(token, key=KEY, decision="approve")
            assert (done["approval_id"], done["answered_by"]) == (approval_id, GUEST)
            assert acting.status(job_id) == "queued"

    def test_it_stands_in_the_mail_and_nowhere_else(
        self, mails: SmtpPost, capfd: pytest.CaptureFixture[str]
    ) -> None:
        with db.transaction():
            acting.asked("Send it?", approvers=(GUEST,))
        settled("delivered")
        token = self.token_in(mails.mails[0])
        assert token is not None

        part, said = token[:20], capfd.readouterr()
        assert part not in said.out + said.err
        with db.quick():
            tables = db.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            assert len(tables) > 20
            for table in tables:
                found = f'SELECT count(*) FROM "{table["tablename"]}" t WHERE strpos(t::text, %(part)s) > 0'
                assert db.value(found, part=part) == 0

    def test_those_who_are_only_told_get_none(self, mails: SmtpPost) -> None:
        with db.transaction():
            rules.create(event="approval.*", channel="email", target="team@example.com", by="root")
            acting.asked("Send it?", approvers=(GUEST, "admin"))
        until(lambda: len(sent()) > 1 and set(statuses()) == {"delivered"})
        linked = {(mail["To"], self.token_in(mail) is not None) for mail in mails.mails}
        assert linked == {(GUEST, True), ("team@example.com", False)}

    def test_a_question_that_is_settled_meanwhile_has_none(self, mails: SmtpPost) -> None:
        with db.transaction():
            job_id, _ = acting.asked("Send it?", approvers=(GUEST,))
            lifecycle.cancel(job_id)
        settled("delivered")
        assert self.token_in(mails.mails[0]) is None
        with db.quick():
            assert db.value("SELECT count(*) FROM approval_links") == 0

    def test_news_of_several_has_none(self, mails: SmtpPost) -> None:
        of = {"requested_by": "ada", "workflow_id": NOBODY, "approvers": (GUEST,)}
        several = [Question(question=f"Item {n}?", step_id=f"ask[{n}]", **of) for n in range(3)]  # type: ignore[arg-type]
        with db.transaction():
            questions.ask_many(several)
        settled("delivered")
        assert "\n/approvals\n" in mails.mails[0].get_content().replace("\r\n", "\n")
        assert self.token_in(mails.mails[0]) is None

    def test_those_it_is_passed_on_to_get_theirs(self, mails: SmtpPost) -> None:
        with db.transaction():
            _, approval_id = acting.asked("Send it?", escalate_seconds=60, escalate_to=(GUEST,))
            db.run("UPDATE approvals SET escalate_at = now() - interval '1 s'")
            answering.escalate(approval_id)
        settled("delivered")
        assert self.token_in(mails.mails[0]) is not None
