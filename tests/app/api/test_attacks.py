"""Attacks with a name: bombs, injections, forged fields and foreign addresses, each by the door it would come through."""

from __future__ import annotations

import base64
import io
import stat
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest
from flask import Flask

from actors.runners import outbound
from app.agents import registry
from app.api.glue import OPERATIONS, Operation
from app.db import Base, db
from app.errors import PermanentError
from app.notify import setup
from app.notify.setup import Setup
from tests.actors.runners.test_outbound import PRIVATE
from tests.app.api import flowing, world
from tests.app.api.calling import Caller
from tests.app.api.test_access import MATRIX
from tests.app.api.test_hostile_input import _example, _left, _path
from tests.app.dashboard.test_pitfalls import snapshot

IMPORT = "/api/v1/agents/import"
ECHO = {"agent_id": "test-echo", "parameters": {"text": "x"}}


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """Nobody remembers agents of other tests, and private addresses are refused."""
    registry.forget()
    before = setup.present()
    setup.use(Setup(public_url="https://callboard.example"))
    yield
    setup.use(before)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fail if the block works for longer, or waits for much longer: what bombs cost."""
    worked, started = time.thread_time(), time.perf_counter()
    yield
    assert time.thread_time() - worked < seconds
    assert time.perf_counter() - started < 10 * seconds


def refused(caller: Caller, path: str, body: Any, *pointers: str) -> dict[str, Any]:
    """The problem; the request must be unprocessable and store nothing."""
    before = snapshot()
    answer = caller.post(path, json=body)
    assert answer.status_code == 422, answer.get_data(as_text=True)[:300]
    assert answer.json is not None
    if pointers:
        assert {error["pointer"] for error in answer.json["errors"]} == set(pointers)
    assert _left(before, snapshot()) == set()
    return dict(answer.json)


class TestTime:
    @pytest.mark.parametrize(
        "bomb",
        [
            "* * * * * *", "0-999999999 * * * *", "*/1000000000 * * * *", "0 0 30 2 *", "0 0 31 4,6,9,11 *", "@reboot", "@every 1s",
            "0 0 * * 1#6", "0,".join(["0"] * 5000) + " * * * *", "* " * 5000, "1-59/0 * * * *", "0 0 L-99 * *", "$(id) * * * *", "\u0660 * * * *",
        ],
        ids=lambda text: text[:20],
    )  # fmt: skip
    def test_an_expression_that_never_comes_or_always_is_refused_at_once(
        self, bomb: str, owner: Caller
    ) -> None:
        with within(2):
            refused(owner, "/api/v1/schedules", ECHO | {"cron_expression": bomb}, "/cron_expression")
            refused(owner, "/api/v1/schedules/preview", {"cron_expression": bomb}, "/cron_expression")

    @pytest.mark.parametrize(
        "zone", ["../../etc/passwd", "/etc/localtime", "Europe/Berlin\x00", "a" * 9000, "posixrules"]
    )
    def test_a_zone_is_no_file(self, zone: str, owner: Caller) -> None:
        refused(
            owner, "/api/v1/schedules", ECHO | {"cron_expression": "0 2 * * *", "timezone": zone}, "/timezone"
        )


def imported(admin: Caller, **files: str) -> list[dict[str, Any]]:
    """What an import of these texts says of each."""
    sent = [{"path": f"{name}.md", "content": text} for name, text in files.items()]
    answer = admin.post(IMPORT, json={"files": sent})
    assert answer.status_code == 200, answer.get_data(as_text=True)[:300]
    assert answer.json is not None
    return list(answer.json["items"])


def agents() -> set[str]:
    with db.quick():
        return {row["agent_id"] for row in db.rows("SELECT agent_id FROM agents")}


def page(front: str) -> str:
    return f"---\nname: x\ndescription: y\n{front}\n---\nBody.\n"


YAML = {
    "laughs": page("a: &a [x,x,x,x,x,x,x,x,x]\n" + "\n".join(f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]" for n in range(9))),
    "merge": page("base: &base {k: v}\nother:\n  <<: *base"),
    "loop": page("a: &a [*a]"),
    "python": page("x: !!python/object/apply:os.system ['touch /tmp/never']"),
    "tag": page("x: !include /etc/passwd"),
    "deep": page("x: " + "[" * 5000 + "]" * 5000),
    "control": page('x: "\\0"'),
    "reference": page("x-callboard:\n  parameters: {$ref: 'file:///etc/passwd'}"),
}  # fmt: skip


class TestImports:
    @pytest.mark.parametrize("bomb", YAML)
    def test_yaml_that_grows_runs_or_reads_files_is_told_and_not_taken(
        self, bomb: str, admin: Caller
    ) -> None:
        before = agents()
        with within(2):
            (item,) = imported(admin, writer=YAML[bomb])
        assert (item["action"], bool(item["errors"])) == ("broken", True)
        assert agents() == before

    def test_an_archive_with_ways_out_of_it_brings_only_what_lies_in_it(self, admin: Caller) -> None:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in (
                "../../evil-up.md",
                "/etc/evil-absolute.md",
                "C:\\evil-drive.md",
                "a/../../evil-middle.md",
            ):
                archive.writestr(name, page(""))
            link = zipfile.ZipInfo("evil-link.md")
            link.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(link, "/etc/passwd")
            archive.writestr("evil-bomb.md", b"\0" * 20_000_000)
            archive.writestr("harmless.md", page(""))
        with within(3):
            answer = admin.post(IMPORT, json={"archive": base64.b64encode(packed.getvalue()).decode()})
        text = answer.get_data(as_text=True)
        assert answer.status_code in (200, 422), text[:500]
        assert "root:" not in text
        assert not {name for name in agents() if name.startswith("evil")}

    def test_a_pattern_that_others_match_for_ever_is_matched_in_linear_time_or_refused(
        self, admin: Caller, owner: Caller
    ) -> None:
        schema = "x-callboard: {parameters: {type: object, properties: {text: {type: string, pattern: '^(a+)+$'}}}}"
        (item,) = imported(admin, redos=page(schema))
        registry.forget()
        assert item["action"] == "new", item
        with within(1):
            refused(
                owner,
                "/api/v1/jobs",
                {"agent_id": item["agent_id"], "parameters": {"text": "a" * 50_000 + "!"}},
                "/parameters/text",
            )
        looking = schema.replace("^(a+)+$", "^(?=(a+)+$)")
        assert imported(admin, looking=page(looking))[0]["action"] == "broken"


class TestTemplates:
    @pytest.mark.parametrize(
        "text",
        ["{{7*7}}", "{{''.__class__.__mro__}}", "{{steps.first.output.__class__}}", "{{steps.first|attr('x')}}", "{{config}}",
         "{{steps.first.output()}}", "{{request.application}}", "{{inputs.x or 1}}", "{{ {{steps.first.output}} }}"],
    )  # fmt: skip
    def test_a_placeholder_names_a_value_and_computes_nothing(self, text: str, owner: Caller) -> None:
        steps = [
            flowing.ECHO["steps"][0],
            {"step_id": "second", "agent_id": "test-echo", "parameters": {"text": text}},
        ]  # type: ignore[index]
        answer = owner.post("/api/v1/workflows", json=flowing.ECHO | {"steps": steps})
        if answer.status_code == 201:  # a path into an output: found as data, or not at all
            flowing.complete({"text": "x"})
            with db.quick():
                assert "class" not in str(
                    db.rows("SELECT parameters FROM jobs WHERE parameters ->> 'text' LIKE '%%<%%'")
                )
            assert text == "{{steps.first.output.__class__}}"

    @pytest.mark.parametrize(
        "said", ["{{steps.first.job_id}}", "{{inputs}}", "{% raw %}{{7*7}}", "${7*7} #{7*7}"]
    )
    def test_what_a_step_answers_is_never_read_as_a_template(self, said: str, owner: Caller) -> None:
        flowing.started(owner.id)
        flowing.complete({"text": said})

        assert flowing.claimed().parameters == {"text": said}


class TestAddresses:
    @pytest.mark.parametrize("host", [*PRIVATE, "0x7f.0.0.0x1", "LOCALHOST", "localhost."])
    def test_no_spelling_of_a_private_address_is_kept_as_one_to_call(self, host: str, owner: Caller) -> None:
        for scheme in ("http", "https"):
            refused(owner, "/api/v1/jobs", ECHO | {"callback_url": f"{scheme}://{host}/x"}, "/callback_url")
            refused(owner, "/api/v1/webhook-endpoints", {"url": f"{scheme}://{host}:8080/x"}, "/url")

    @pytest.mark.parametrize(
        "host", ["%6c%6f%63alhost", "①②⑦.⓪.⓪.①", "127。0。0。1", "127.0.0.1.", "[::ffff:7f00:1%25lo]"]
    )
    def test_what_only_a_name_server_makes_private_is_refused_when_it_is_called(
        self, host: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        called: list[object] = []
        monkeypatch.setattr(outbound, "connect", lambda *arguments: called.append(arguments))
        with (
            outbound.client(patrol=lambda: None, timeout=3, allow_private=False) as client,
            pytest.raises((PermanentError, httpx2.InvalidURL, httpx2.ConnectError)),
        ):
            client.get(f"http://{host}:8080/")
        assert called == []

    @pytest.mark.parametrize(
        "url",
        ["file:///etc/passwd", "gopher://a.example/", "javascript:alert(1)", "//a.example/", "https://user:pw@a.example/",
         "https://a.example\\@127.0.0.1/", "https://127.0.0.1#@a.example/", "https://a.example/\r\nX: y", "http+unix://%2Ftmp%2Fs/",
         "https://a.example/" + "x" * 9000, "HTTPS://", "https:///etc"],
    )  # fmt: skip
    def test_what_is_no_web_address_is_refused(self, url: str, owner: Caller) -> None:
        refused(owner, "/api/v1/jobs", ECHO | {"callback_url": url}, "/callback_url")
        refused(owner, "/api/v1/webhook-endpoints", {"url": url}, "/url")

    @pytest.mark.parametrize(
        "mail",
        [
            "a@b.example\r\nBcc: c@d.example",
            "a@b.example,c@d.example",
            "<a@b.example>",
            "a@[127.0.0.1]",
            "@",
            "a@b\x00.example",
        ],
    )
    def test_a_mail_address_is_one_address(self, mail: str, owner: Caller) -> None:
        refused(owner, "/api/v1/jobs", ECHO | {"notification_email": mail}, "/notification_email")


# Names of columns that Callboard alone writes; whoever could would be somebody else, or free of charge.
COLUMNS = sorted(
    {column.name for table in Base.metadata.tables.values() for column in table.columns}
    | {"is_admin", "permissions"}
)


def known(operation: Operation) -> set[str]:
    """The fields that a body may have, with their other names."""
    names: set[str] = set()
    assert operation.body is not None
    for name, field in operation.body.model_fields.items():
        other = field.validation_alias
        names |= {name, *(map(str, getattr(other, "choices", [other] if other else [])))}
    return names


class TestMassAssignment:
    def test_no_operation_takes_a_column_that_is_no_field_of_it(
        self, admin: Caller, owner: Caller, app: Flask
    ) -> None:
        taken = []
        for number, operation in enumerate(each for each in OPERATIONS if each.body and each.name in MATRIX):
            path, example = _path(operation, owner, app), _example(operation, f"m{number}") or {}
            before, foreign = snapshot(), [name for name in COLUMNS if name not in known(operation)]
            for some in range(0, len(foreign), 40):
                names = foreign[some : some + 40]
                answer = admin.call(operation.method, path, json={**example, **dict.fromkeys(names, "1")})
                told = {error["pointer"].strip("/") for error in (answer.json or {}).get("errors", ())}
                taken += [
                    f"{operation.name}: {name}"
                    for name in names
                    if answer.status_code != 422 or name not in told
                ]
            if left := _left(before, snapshot()):
                taken.append(f"{operation.name} stored {left}")
        assert taken == []

    def test_each_of_many_submissions_is_held_to_the_same(self, owner: Caller) -> None:
        tasks = [ECHO | {name: 1} for name in ("status", "submitted_by", "fence", "priority_rank", "job_id")]
        answer = owner.post("/api/v1/jobs/bulk", json={"tasks": tasks}).json

        assert answer is not None
        assert (answer["accepted"], answer["rejected"]) == (0, 5)

    def test_nobody_makes_themselves_an_admin_by_what_they_may_change(self, owner: Caller) -> None:
        for path in ("/api/v1/me", f"/api/v1/users/{owner.id}", "/api/v1/auth/password"):
            for method in ("PATCH", "PUT", "POST"):
                assert owner.call(method, path, json={"role": "admin"}).status_code in (403, 404, 405, 422)
        with db.quick():
            assert db.value("SELECT role FROM users WHERE user_id = %(id)s::uuid", id=owner.id) == "user"


class TestSql:
    PROBES = (
        "' OR '1'='1",
        "1) OR (1=1",
        "'||pg_sleep(3)||'",
        "x'; SELECT pg_sleep(3); --",
        "%' OR submitted_by LIKE '%",
        "\\' OR 1=1--",
        "%",
        "_",
    )

    def test_no_question_widens_what_one_sees_or_makes_the_database_wait(
        self, owner: Caller, other: Caller
    ) -> None:
        world.submitted(owner.id, task_name="zimtschnecke", tags=("zimtschnecke",))
        flowing.started(owner.id, flowing.ECHO | {"name": "zimtschnecke"})
        asked, slept = 0, []
        for operation in (each for each in OPERATIONS if each.query and each.is_safe):
            path = MATRIX.get(operation.name, (operation.path,))[0].partition("?")[0]
            if "{" in path or "<" in path:
                continue
            assert operation.query is not None
            for name in operation.query.model_fields:
                for probe in self.PROBES:
                    began = time.monotonic()
                    answer = other.get(path, query_string={name: probe})
                    if "pg_sleep(3)" in probe and time.monotonic() - began >= 3:
                        slept.append(f"{path} {name} {probe}")
                    assert answer.status_code < 500
                    assert "zimtschnecke" not in answer.get_data(as_text=True), f"{path} {name} {probe}"
                    asked += 1
        assert slept == []
        assert asked > 300

    def test_what_is_stored_is_what_was_said(self, owner: Caller) -> None:
        for probe in self.PROBES:
            made = owner.post(
                "/api/v1/jobs",
                json=ECHO | {"task_name": probe, "tags": [probe], "parameters": {"text": probe}},
            ).json
            assert made is not None
            shown = owner.get(f"/api/v1/jobs/{made['job_id']}").json
            assert shown is not None
            assert (shown["task_name"], shown["tags"], shown["parameters"]) == (
                probe,
                [probe],
                {"text": probe},
            )


def test_nothing_that_is_said_becomes_a_header(owner: Caller, app: Flask) -> None:
    evil = "x\r\nSet-Cookie: evil=1\r\n\r\n<script>"
    job_id = world.submitted(owner.id, task_name=evil)
    artifact = world.artifact(owner.id, app.config["CALLBOARD"].artifact_store, name=evil, content=b"x")

    for path in (
        f"/api/v1/jobs/{job_id}",
        f"/api/v1/artifacts/{artifact}",
        f"/api/v1/jobs/{job_id}/logs?level=info",
    ):
        answer = owner.get(path)
        assert answer.status_code == 200
        assert "Set-Cookie" not in answer.headers
        assert not [value for _, value in answer.headers if "\r" in value or "\n" in value]


def test_a_host_that_somebody_claims_stands_in_no_answer(owner: Caller) -> None:
    made = owner.post(
        "/api/v1/jobs", json=ECHO, headers={"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
    )

    assert made.status_code == 201
    assert "evil.example" not in made.get_data(as_text=True) + str(made.headers)
