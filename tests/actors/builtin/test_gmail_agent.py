from __future__ import annotations

from collections.abc import Callable, Iterator
from email import message_from_bytes, policy
from pathlib import Path

import jsonschema
import pytest

from actors.builtin import gmail_agent, mail
from actors.runners import python
from app.errors import NotPermitted, PermanentError, TemporaryError
from tests.actors.builtin.desk import Desk, definition
from tests.actors.runners.boxes import work_for
from tests.smtp_server import Post, mail_server, make_certificate

AGENT = "gmail-agent"
MAIL = {"to": "ann@example.com", "subject": "Tides", "body": "High water at nine.\n"}


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets SMTP_*, after taking away what the machine has."""
    for name in (*mail.SETTINGS, "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)

    def set_them(**values: object) -> None:
        for name, value in values.items():
            monkeypatch.setenv(f"SMTP_{name.upper()}", str(value))

    return set_them


@pytest.fixture
def post(settings: Callable[..., None]) -> Iterator[Post]:
    with mail_server() as server:
        settings(
            host="127.0.0.1", port=server.port, security="none", **{"from": "Harbour <desk@harbour.example>"}
        )
        yield server


def test_the_example_is_a_draft_that_needs_no_server(desk: Desk) -> None:
    result = desk.run(AGENT, **definition(AGENT).ours.example or {})

    assert (result["sent"], result["can_send"]) == (False, False)
    draft = message_from_bytes(desk.context.artifacts["message.eml"], policy=policy.default)
    assert draft["To"] == "Ann Lee <ann@example.com>"
    assert draft["X-Unsent"] == "1"
    [attached] = draft.iter_attachments()
    assert attached.get_filename() == "night-shift.md"
    assert "work queues" in attached.get_content()
    assert "SMTP_HOST is not set" in desk.context.said


def test_health_tells_what_is_missing(settings: Callable[..., None]) -> None:
    assert gmail_agent.health().status == "degraded"
    settings(host="mail.example")
    assert gmail_agent.health().reason == "drafts only: SMTP_FROM is not set"
    settings(security="ssl3", **{"from": "a@b.example"})
    assert gmail_agent.health().reason == "drafts only: SMTP_SECURITY must be one of starttls, tls, none"
    settings(security="none", user="ann")
    assert "in the clear" in str(gmail_agent.health().reason)
    settings(security="tls")
    assert python.own_health("actors.builtin.gmail_agent").status == "ready"


def test_sending_without_a_server_fails_for_good_and_names_the_settings(desk: Desk) -> None:
    with pytest.raises(PermanentError, match="SMTP_HOST is not set") as refused:
        desk.run(AGENT, **MAIL)
    assert all(name in refused.value.message for name in mail.SETTINGS)


def test_a_mail_arrives_whole(desk: Desk, post: Post) -> None:
    desk.write({"plan.csv": "day,tide\n1,2.4\n"})
    result = desk.run(
        AGENT,
        to="Ann Lee <ann@example.com>, bob@example.com",
        cc="carl@example.com",
        bcc="dora@example.com",
        reply_to="office@harbour.example",
        subject="Grüße – tides",
        body="# Tides\n\n<script>x</script> **High** water.\n\n![p](http://x.example/p.png)\n",
        format="markdown",
        attachments=["plan.csv"],
    )

    assert (result["sent"], result["refused"]) == (True, {})
    [envelope], [got] = post.taken, post.mails
    assert envelope.rcpt_tos == ["ann@example.com", "bob@example.com", "carl@example.com", "dora@example.com"]
    assert envelope.mail_from == "desk@harbour.example"
    assert got["Subject"] == "Grüße – tides"
    assert "dora" not in str(got)
    assert (got["Cc"], got["Reply-To"]) == ("carl@example.com", "office@harbour.example")
    assert got["Message-ID"] == result["message_id"] == "<job@harbour.example>"
    html = got.get_body(("html",)).get_content()  # type: ignore[union-attr]
    assert "<strong>High</strong>" in html
    assert "<script" not in html
    assert "<img" not in html
    assert next(got.iter_attachments()).get_content() == "day,tide\n1,2.4\n"


def test_what_an_earlier_step_left_is_attached_by_its_name(desk: Desk, post: Post) -> None:
    desk.context.others["card.png"] = b"\x89PNG"
    desk.run(AGENT, **MAIL, attachments=["card.png"])
    [attached] = post.mails[0].iter_attachments()
    assert (attached.get_filename(), attached.get_content()) == ("card.png", b"\x89PNG")


def test_a_retry_writes_only_to_those_who_were_not_reached(desk: Desk, post: Post) -> None:
    post.refusals = {"bob@example.com": "451 4.7.1 greylisted", "eve@example.com": "550 5.1.1 no such user"}
    asked = MAIL | {"to": "ann@example.com, bob@example.com, eve@example.com"}

    with pytest.raises(TemporaryError, match="bob@example.com now: 451 4.7.1 greylisted"):
        desk.run(AGENT, **asked)
    post.refusals.clear()
    result = desk.run(AGENT, **asked)
    again = desk.run(AGENT, **asked)

    assert [envelope.rcpt_tos for envelope in post.taken] == [["ann@example.com"], ["bob@example.com"]]
    assert len({got["Message-ID"] for got in post.mails}) == 1
    assert result["refused"] == again["refused"] == {"eve@example.com": "550 5.1.1 no such user"}
    assert "not sent again" in desk.context.said


@pytest.mark.parametrize(
    ("reply", "kind"),
    [("452 4.3.1 disk full", TemporaryError), ("554 5.7.1 looks like spam", PermanentError)],
)
def test_what_the_server_says_decides_about_another_try(
    desk: Desk, post: Post, reply: str, kind: type[Exception]
) -> None:
    post.data_reply = reply
    with pytest.raises(kind, match=reply):
        desk.run(AGENT, **MAIL)
    assert desk.context.kept == {}


def test_a_mail_that_nobody_takes_fails_for_good(desk: Desk, post: Post) -> None:
    post.refusals = {"ann@example.com": "550 no such user"}
    with pytest.raises(PermanentError, match="every recipient"):
        desk.run(AGENT, **MAIL)


def test_a_server_that_is_away_is_a_reason_to_try_again(desk: Desk, settings: Callable[..., None]) -> None:
    with mail_server() as server:
        port = server.port
    settings(host="127.0.0.1", port=port, security="none", **{"from": "a@b.example"})
    with pytest.raises(TemporaryError, match="cannot be reached"):
        desk.run(AGENT, **MAIL)


def test_login_and_mail_go_over_tls_to_a_trusted_server_only(
    desk: Desk, settings: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = make_certificate(tmp_path)
    with mail_server(certificate=certificate, password="low tide") as server:
        settings(host="localhost", port=server.port, user="desk@harbour.example", password="low tide")
        with pytest.raises(PermanentError, match="is not trusted"):
            desk.run(AGENT, **MAIL)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        desk.run(AGENT, **MAIL)
        desk.context.kept.clear()
        settings(password="high tide")
        with pytest.raises(PermanentError, match="refused the login"):
            desk.run(AGENT, **MAIL)

    assert server.tls_used == [True]
    assert server.mails[0]["From"] == "desk@harbour.example"
    assert "low tide" not in str(desk.context.logs)


def test_a_server_without_tls_is_not_given_a_password(desk: Desk, settings: Callable[..., None]) -> None:
    with mail_server() as server:
        settings(host="127.0.0.1", port=server.port, user="a@b.example", password="x", security="starttls")
        with pytest.raises(PermanentError, match="STARTTLS"):
            desk.run(AGENT, **MAIL)
    assert server.taken == []


@pytest.mark.parametrize("field", ["to", "subject", "cc", "bcc", "reply_to"])
@pytest.mark.parametrize("ending", ["\r\nBcc: spy@example.com", "\nX: y", "\rX: y", "\u2028X: y", "\x00"])
def test_nothing_can_become_a_header(desk: Desk, post: Post, field: str, ending: str) -> None:
    with pytest.raises((PermanentError, jsonschema.ValidationError)):
        desk.run(AGENT, **(MAIL | {field: "ann@example.com" + ending}))
    with pytest.raises(ValueError, match="one line"):
        mail.one_line("x" + ending, "`subject`")
    assert post.taken == []


def test_no_encoded_word_becomes_a_header(desk: Desk, post: Post) -> None:
    word = "=?utf-8?q?=0ABcc:_spy@example.com?="
    desk.run(AGENT, **(MAIL | {"subject": word, "to": f'"{word}" <ann@example.com>'}))
    [got] = post.mails
    assert got["Bcc"] is None
    assert got["Subject"].replace("\u200b", "") == word
    assert [address.addr_spec for address in got["To"].addresses] == ["ann@example.com"]
    named = mail.Attachment(name=f"{word}.txt", content=b"")
    letter = mail.Letter(
        message_id="<a@b>",
        sender=None,
        to=(),
        cc=(),
        bcc=(),
        reply_to=(),
        subject="Hi",
        body="",
        markdown=False,
        attachments=(named,),
    )
    assert b"\nBcc" not in letter.message().as_bytes()


def test_a_letter_in_the_body_is_no_header_and_a_lone_dot_is_no_end(desk: Desk, post: Post) -> None:
    desk.run(AGENT, **(MAIL | {"body": "Hello\r\n.\r\nRCPT TO:<spy@example.com>\r\nBcc: spy@example.com\n"}))
    [got] = post.mails
    assert got["Bcc"] is None
    assert ".\nRCPT TO:<spy@example.com>" in got.get_content().replace("\r\n", "\n")
    assert len(post.taken) == 1


@pytest.mark.parametrize(
    "to", ["nobody", "a@b@c", "@example.com", "a b@example.com", "a@-x-.", "<>", "a@exa mple.com"]
)
def test_what_is_no_address_is_the_submitters_error(desk: Desk, to: str) -> None:
    with pytest.raises((PermanentError, jsonschema.ValidationError)) as refused:
        desk.run(AGENT, **(MAIL | {"to": to, "action": "draft"}))
    assert getattr(refused.value, "user_error", True)


def test_attachments_come_from_the_roots_and_have_a_limit(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(PermanentError, match="outside the folders"):
        desk.run(AGENT, **MAIL, attachments=["/etc/passwd"], action="draft")
    monkeypatch.setattr(gmail_agent, "MOST_ATTACHED_BYTES", 10)
    desk.write({"a.txt": "12345678", "b.txt": "123"})
    with pytest.raises(PermanentError, match="together"):
        desk.run(AGENT, **MAIL, attachments=["a.txt", "b.txt"], action="draft")
    with pytest.raises(PermanentError, match="only files"):
        desk.run(AGENT, **MAIL, attachments=["examples/articles"], action="draft")


def test_in_its_box_it_gets_the_settings_by_name(desk: Desk, post: Post) -> None:
    """As a worker runs it: a process of its own, with the variables that the definition lists and no others."""
    config = definition(AGENT).ours.python or {}
    result = python.PythonRunner().run(work_for(config, MAIL, memory_mb=1024), desk.context)

    assert result["sent"]
    assert post.mails[0]["Subject"] == "Tides"
    assert desk.context.kept["reached"] == ["ann@example.com"]


def test_people_may_be_asked_before_it_goes_out_and_see_all_of_it(desk: Desk, post: Post) -> None:
    desk.write({"plan.csv": "day,tide\n1,2.4\n"})
    desk.run(AGENT, **MAIL, bcc="dora@example.com", attachments=["plan.csv"])

    ((effect, question, shown),) = desk.context.asked_permits
    assert (effect, question) == ("send", "May this mail go out to 2 recipients?")
    assert (shown["to"], shown["bcc"]) == (["ann@example.com"], ["dora@example.com"])
    assert (shown["subject"], shown["body"]) == ("Tides", "High water at nine.\n")
    assert [(each["name"], each["bytes"], len(each["sha256"])) for each in shown["attachments"]] == [
        ("plan.csv", 15, 64)
    ]


def test_a_no_sends_nothing_and_a_draft_asks_nobody(desk: Desk, post: Post) -> None:
    desk.context.refused_effects = ("send",)

    with pytest.raises(NotPermitted):
        desk.run(AGENT, **MAIL)
    assert post.taken == []
    assert desk.run(AGENT, **MAIL, action="draft")["sent"] is False
