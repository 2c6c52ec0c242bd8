"""Pages of workflows: what is shown of runs, steps and templates, to whom, and what can be done; all without scripts."""

from __future__ import annotations

import re
from typing import Any

import pytest

from app.workflows import queries as _queries
from app.workflows import runs as _runs
from app.workflows import templates as _templates
from tests.acting import OWNER
from tests.app.dashboard.aside import Aside, agent, db, job
from tests.app.dashboard.visiting import Visitor, words
from tests.app.workflows import playing as _playing
from tests.app.workflows.playing import parallel, step

playing, runs, queries, templates = (Aside(room) for room in (_playing, _runs, _queries, _templates))


@pytest.fixture(autouse=True)
def anything() -> None:
    """The agent that takes anything and does nothing."""
    agent("anything")


HOSTILE = '<img src=x onerror="alert(1)">'
TWO_STEPS = """\
name: Two steps
inputs:
  type: object
  required: [word]
  properties:
    word: {type: string, title: The word, minLength: 2}
    often: {type: integer, default: 3}
steps:
  - id: say
    agent_id: test-echo
    parameters: {text: "{{inputs.word}}"}
  - id: end
    agent_id: test-noop
"""


def _run(of: Visitor | None = None, *steps: Any, **keys: Any) -> str:
    told = {"submitted_by": of.user_id if of else OWNER}
    return str(playing.started(*(steps or (step("first"), step("second"))), told=told, **keys))


def _asked(of: Visitor | None = None, **keys: Any) -> str:
    asks = {"step_id": "ask", "type": "approval", "question": "Send it?"} | keys
    return _run(of, asks, step("send"))


def _write(visitor: Visitor, verb: str, text: str = TWO_STEPS, **more: Any) -> Any:
    return visitor.post("/workflows/new", {"text": text, "verb": verb, **more})


def _text(soup: Any, selector: str) -> str:
    found = soup.select_one(selector)
    assert found is not None, selector
    return " ".join(found.text.split())


class TestTheList:
    """GET /workflows."""

    def test_without_runs_offers_templates(self, admin: Visitor) -> None:
        templates.save("two-steps", text=TWO_STEPS, by=None, visibility="shared")

        page = admin.soup("/workflows")

        assert page.select_one('#workflows a[href="/workflow-templates/two-steps"]')
        assert page.select_one('a[href="/workflows/new"]')

    def test_shows_runs_with_their_progress_under_tabs_that_count(self, admin: Visitor) -> None:
        run_id = _run(admin)
        playing.ends(run_id, "first")
        runs.cancel(_run(admin))

        page = admin.soup("/workflows")

        assert "1 of 2" in _text(page, f"#w-{run_id}")
        assert "Running" in _text(page, f"#w-{run_id}")
        assert [" ".join(tab.text.split()) for tab in page.select("#tabs a")] == [
            "All 2",
            "Running 1",
            "Paused 0",
            "Completed 0",
            "Failed 0",
            "Cancelled 1",
        ]

    @pytest.mark.parametrize(
        ("query", "count"),
        [("state=running", 1), ("state=failed", 0), ("q=trial", 1), ("q=nothing", 0), ("state=odd", 1)],
    )
    def test_is_filtered(self, admin: Visitor, query: str, count: int) -> None:
        _run(admin)

        assert len(admin.soup(f"/workflows?{query}").select("#workflows tbody tr")) == count

    def test_filters_by_template(self, admin: Visitor) -> None:
        templates.save("two-steps", text=TWO_STEPS, by=admin.user_id)
        _run(admin)
        admin.post("/workflow-templates/two-steps/run", {"p.word": "bees"})

        rows = admin.soup("/workflows?template=two-steps").select("#workflows tbody tr")

        assert [row.select_one("a").text for row in rows] == ["Two steps"]

    def test_goes_on_by_cursor(self, admin: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("app.dashboard.workflows.PAGE_SIZE", 2)
        ids = [_run(admin) for _ in range(3)]

        first = admin.soup("/workflows")
        older = first.select_one("a[rel=next]")
        assert older
        second = admin.soup(str(older["href"]))

        assert [row["id"] for row in first.select("#workflows tbody tr")] == [f"w-{ids[2]}", f"w-{ids[1]}"]
        assert [row["id"] for row in second.select("#workflows tbody tr")] == [f"w-{ids[0]}"]
        assert admin.get("/workflows?after=nonsense").status_code == 404

    def test_shows_users_their_own_and_viewers_all(
        self, admin: Visitor, user: Visitor, viewer: Visitor
    ) -> None:
        _run(admin)
        mine = _run(user)

        assert [row["id"] for row in user.soup("/workflows").select("#workflows tbody tr")] == [f"w-{mine}"]
        assert len(viewer.soup("/workflows").select("#workflows tbody tr")) == 2
        assert viewer.soup("/workflows").select_one('a[href="/workflows/new"]') is None

    def test_polls_cost_nothing_while_nothing_changes(self, admin: Visitor) -> None:
        run_id = _run(admin)
        first = admin.get("/ui/workflows/table")

        assert admin.get("/ui/workflows/table", **{"If-None-Match": first.headers["ETag"]}).status_code == 304
        playing.ends(run_id, "first")
        assert admin.get("/ui/workflows/table", **{"If-None-Match": first.headers["ETag"]}).status_code == 200


class TestARun:
    """GET /workflows/<id>."""

    def test_shows_its_steps_as_a_graph_with_states_in_words_and_links(self, admin: Visitor) -> None:
        run_id = _run(admin, parallel("both", step("left"), step("right")), step("after"))
        playing.ends(run_id, "left")

        page = admin.soup(f"/workflows/{run_id}")

        nodes = {str(node["id"]).removeprefix("n-"): node for node in page.select("svg.graph .g")}
        assert list(nodes) == ["both", "left", "right", "after"]
        assert "Completed" in nodes["left"].text
        assert "green" in nodes["left"]["class"]
        assert "Waiting" in nodes["after"].text
        assert nodes["left"].select_one("a")["href"] == f"/workflows/{run_id}/steps/left"
        assert "1 completed" in _text(page, "svg.graph desc")
        assert len(page.select("svg.graph path.l")) == 1

    def test_has_a_table_that_says_the_same(self, admin: Visitor) -> None:
        run_id = _run(admin)
        playing.breaks(run_id, "first", "no <ink>")

        page = admin.soup(f"/workflows/{run_id}")

        assert "Failed" in _text(page, "#s-first")
        assert "no <ink>" in _text(page, "#s-first")
        assert "step first failed" in _text(page, "#s-second")
        assert "no <ink>" in _text(page, "#run .notice.red")
        assert page.select_one("#b-first svg rect.span")

    def test_says_what_a_step_waits_for(self, admin: Visitor) -> None:
        run_id = _run(admin)

        assert "first" in _text(admin.soup(f"/workflows/{run_id}"), "#s-second td:last-child")

    def test_folds_a_map_of_many_items(self, admin: Visitor) -> None:
        each = {"step_id": "all", "type": "map", "over": "{{inputs.words}}", "step": step("one")}
        run_id = _run(admin, each, inputs={"words": list(range(40))})
        for number in range(3):
            playing.ends(run_id, f"one[{number}]")

        page = admin.soup(f"/workflows/{run_id}")

        assert len(page.select("svg.graph .g")) == 1
        assert "Running, 3 of 40" in _text(page, "#n-all")
        assert "3 of 40 done" in _text(page, "#s-all")
        assert len(page.select("#run tbody tr")) == 1
        assert "3 of 40" in _text(admin.soup(f"/workflows/{run_id}/steps/all"), "#step")

    def test_shows_the_items_of_a_short_map(self, admin: Visitor) -> None:
        each = {"step_id": "all", "type": "map", "over": [1, 2], "step": step("one")}
        page = admin.soup(f"/workflows/{_run(admin, each)}")

        assert [node["id"] for node in page.select("svg.graph .g")] == ["n-all", "n-one[0]", "n-one[1]"]

    def test_can_be_paused_resumed_and_cancelled(self, admin: Visitor) -> None:
        run_id = _run(admin)

        for verb, status in (("pause", "paused"), ("resume", "running"), ("cancel", "cancelled")):
            assert admin.post(f"/workflows/{run_id}/{verb}").status_code == 303
            assert queries.get(run_id)["status"] == status

        assert admin.post(f"/workflows/{run_id}/pause").status_code == 409
        assert admin.post(f"/workflows/{run_id}/explode").status_code == 404

    def test_offers_what_is_possible(self, admin: Visitor) -> None:
        run_id = _run(admin)

        def offered() -> list[str]:
            page = admin.soup(f"/workflows/{run_id}")
            return [
                str(b["formaction"]).rpartition("/")[2] for b in page.select("#run .actions [formaction]")
            ]

        assert offered() == ["pause", "cancel"]
        runs.pause(run_id)
        assert offered() == ["resume", "cancel"]
        runs.resume(run_id)
        playing.breaks(run_id, "first")
        assert offered() == ["again", "retry"]

    def test_retries_from_the_failed_step_and_keeps_what_was_done(self, admin: Visitor) -> None:
        run_id = _run(admin)
        playing.ends(run_id, "first")
        playing.breaks(run_id, "second")

        where = admin.post(f"/workflows/{run_id}/retry").headers["Location"]

        page = admin.soup(where)
        assert "kept from before" in _text(page, "#s-first")
        assert run_id[-8:] in _text(page, "main")

    def test_runs_again_from_the_beginning(self, admin: Visitor) -> None:
        run_id = _run(admin, inputs={"word": "bees"})
        runs.cancel(run_id)

        where = admin.post(f"/workflows/{run_id}/again").headers["Location"]

        assert queries.get(where.rpartition("/")[2], full=True)["inputs"] == {"word": "bees"}

    def test_is_polled_until_it_is_over(self, admin: Visitor) -> None:
        run_id = _run(admin)
        first = admin.get(f"/ui/workflows/{run_id}/status")
        tag = {"If-None-Match": first.headers["ETag"]}
        assert admin.get(f"/ui/workflows/{run_id}/status", **tag).status_code == 304

        runs.cancel(run_id)

        last = admin.get(f"/ui/workflows/{run_id}/status", **tag)
        assert (last.status_code, last.headers["HX-Poll"]) == (200, "stop")

    def test_shows_what_came_out(self, admin: Visitor) -> None:
        run_id = _run(admin, step("only"))
        playing.ends(run_id, "only", {"said": "the end"})

        assert "the end" in _text(admin.soup(f"/workflows/{run_id}"), "#answer")

    def test_is_nobody_elses_business(self, user: Visitor, admin: Visitor) -> None:
        run_id = _run(admin)

        for path in (
            f"/workflows/{run_id}",
            f"/ui/workflows/{run_id}/status",
            f"/workflows/{run_id}/steps/first",
        ):
            assert user.get(path).status_code == 404, path
        for verb in ("pause", "cancel", "again", "retry"):
            assert user.post(f"/workflows/{run_id}/{verb}").status_code == 404, verb
        assert user.get(f"/workflows/new?from={run_id}").status_code == 404
        assert queries.get(run_id)["status"] == "running"

    def test_shows_viewers_the_state_and_no_content(self, admin: Visitor, viewer: Visitor) -> None:
        run_id = _run(admin, step("first", parameters={"word": "secretword"}), inputs={"given": "secretword"})
        playing.ends(run_id, "first", {"out": "secretword"})

        for path in (f"/workflows/{run_id}", f"/workflows/{run_id}/steps/first"):
            page = viewer.get(path)
            assert page.status_code == 200
            assert "secretword" not in page.text
            assert "Completed" in page.text
        assert viewer.get(f"/ui/workflows/{run_id}/outcome").status_code == 403
        assert viewer.post(f"/workflows/{run_id}/again").status_code == 403
        assert viewer.get("/workflows/new").status_code == 403

    def test_quotes_what_a_condition_looked_at_only_to_those_who_see_content(
        self, admin: Visitor, viewer: Visitor
    ) -> None:
        run_id = _run(admin, step("first"), step("second", when='{{steps.first.output.mood}} == "glad"'))
        playing.ends(run_id, "first", {"mood": "secretmood"})

        for path in (f"/workflows/{run_id}", f"/workflows/{run_id}/steps/second"):
            assert "secretmood" in admin.get(path).text, path
            assert "secretmood" not in viewer.get(path).text, path

    @pytest.mark.parametrize(
        "path", ["/workflows/nonsense", "/workflows/019aa000-0000-7000-8000-000000000000"]
    )
    def test_that_is_not_there(self, admin: Visitor, path: str) -> None:
        assert admin.get(path).status_code == 404


class TestAStep:
    """GET /workflows/<id>/steps/<step_id>."""

    def test_shows_what_it_was_told_and_what_it_made(self, admin: Visitor) -> None:
        run_id = _run(
            admin, step("first", parameters={"topic": "{{inputs.topic}}"}), inputs={"topic": "bees"}
        )
        job_id = playing.ends(run_id, "first", {"text": "Buzz"})

        page = admin.soup(f"/workflows/{run_id}/steps/first")

        assert '"topic": "bees"' in _text(page, "#parameters")
        assert "Buzz" in _text(page, "#step-output")
        assert "{{inputs.topic}}" in _text(page, "#definition")
        assert page.select_one(f'#step a[href="/jobs/{job_id}"]')

    def test_that_is_not_there(self, admin: Visitor) -> None:
        assert admin.get(f"/workflows/{_run(admin)}/steps/nowhere").status_code == 404

    def test_is_run_again_with_all_after_it(self, admin: Visitor) -> None:
        run_id = _run(admin)
        playing.ends(run_id, "first")
        playing.ends(run_id, "second")

        where = admin.post(f"/workflows/{run_id}/retry", {"from_step": "second"}).headers["Location"]

        assert playing.statuses(where.rpartition("/")[2]) == {"first": "completed", "second": "running"}

    def test_that_asks_is_approved_with_its_form(self, admin: Visitor) -> None:
        form = {"type": "object", "required": ["to"], "properties": {"to": {"type": "string"}}}
        run_id = _asked(admin, form=form, shown={"draft": "Hello"})

        page = admin.soup(f"/workflows/{run_id}/steps/ask")
        assert "Send it?" in _text(page, "main")
        assert "Hello" in _text(page, "#shown")
        refused = admin.post(
            f"/workflows/{run_id}/steps/ask/answer", {"decision": "approve", "comment": "Typed"}
        )
        assert refused.status_code == 422
        assert "Typed" in refused.text
        assert 'id="f-to-wrong"' in refused.text
        done = admin.post(
            f"/workflows/{run_id}/steps/ask/answer", {"decision": "approve", "p.to": "all", "comment": "Go"}
        )

        assert done.status_code == 303
        assert playing.statuses(run_id) == {"ask": "completed", "send": "running"}
        assert playing.row(run_id, "ask")["output"]["answer"] == {"to": "all"}
        assert "Go" in _text(admin.soup(f"/workflows/{run_id}/steps/ask"), "main")

    def test_that_asks_is_rejected(self, admin: Visitor) -> None:
        run_id = _asked(admin)

        assert admin.post(f"/workflows/{run_id}/steps/ask/answer", {"decision": "maybe"}).status_code == 400
        assert queries.get(run_id)["status"] == "running"
        admin.post(f"/workflows/{run_id}/steps/ask/answer", {"decision": "reject"})

        assert queries.get(run_id)["status"] == "failed"
        assert admin.post(f"/workflows/{run_id}/steps/ask/answer", {"decision": "approve"}).status_code == 409

    def test_that_asks_somebody_else_has_no_form(self, user: Visitor) -> None:
        run_id = _asked(user, approvers=["boss@example.org"])

        page = user.soup(f"/workflows/{run_id}/steps/ask")

        assert "boss@example.org" in _text(page, "main")
        assert page.select_one("button[name=decision]") is None
        assert user.post(f"/workflows/{run_id}/steps/ask/answer", {"decision": "approve"}).status_code == 403

    def test_without_a_question_cannot_be_answered(self, admin: Visitor) -> None:
        assert (
            admin.post(f"/workflows/{_run(admin)}/steps/first/answer", {"decision": "approve"}).status_code
            == 404
        )


class TestTheEditor:
    """GET and POST /workflows/new."""

    def test_begins_with_something_that_shows_the_shape(self, admin: Visitor) -> None:
        assert "steps:" in _text(admin.soup("/workflows/new"), "#text")

    def test_says_what_is_wrong_with_the_line(self, admin: Visitor) -> None:
        answer = _write(admin, "check", TWO_STEPS.replace("test-echo", "test-ecko"))

        assert answer.status_code == 422
        assert 'href="#line-10"' in answer.text
        assert 'id="line-10" class="bad"' in answer.text
        assert "test-ecko" in answer.text
        assert "test-echo" in answer.text

    def test_says_where_it_stops_being_yaml(self, admin: Visitor) -> None:
        answer = _write(admin, "check", "name: [\nsteps: }\n")

        assert answer.status_code == 422
        assert 'href="#line-2"' in answer.text

    def test_says_that_nothing_is_wrong(self, admin: Visitor) -> None:
        answer = _write(admin, "check")

        assert answer.status_code == 200
        assert "Nothing is wrong" in answer.text
        assert 'name="p.word"' in answer.text
        assert "n-say" in answer.text

    @pytest.mark.parametrize("verb", ["check", "plan", "run", "save", "load", "nonsense"])
    def test_never_loses_what_was_typed(self, admin: Visitor, verb: str) -> None:
        typed = f"name: {HOSTILE}\nsteps: oops\n</textarea><script>1</script>\n"

        answer = _write(
            admin, verb, typed, **{"p.word": "kept one", "name": "Kept Two", "note": "kept three"}
        )

        page = answer.text
        assert "<script>1" not in page
        assert "<img" not in page
        for kept in ("kept one", "Kept Two", "kept three"):
            assert kept in page, kept
        area = re.search(r"<textarea[^>]*data-editor[^>]*>\n(.*?)</textarea>", page, re.DOTALL)
        assert area
        assert area[1].startswith("name: &lt;img")
        assert area[1].endswith("&lt;/script&gt;\n")

    def test_plans_in_waves_and_runs_nothing(self, admin: Visitor) -> None:
        answer = _write(admin, "plan", **{"p.word": "bees"})

        assert answer.status_code == 200
        assert "bees" in answer.text
        assert 'id="waves"' in answer.text
        assert queries.counts(None)["running"] == 0

    def test_runs_with_inputs(self, admin: Visitor) -> None:
        answer = _write(admin, "run", **{"p.word": "bees", "p.often": "5", "priority": "high"})

        assert answer.status_code == 303
        made = queries.get(answer.headers["Location"].rpartition("/")[2], full=True)
        assert made["inputs"] == {"word": "bees", "often": 5}
        assert made["submitted_by"] == admin.user_id
        assert made["priority_rank"] == 1

    @pytest.mark.parametrize(
        ("inputs", "said"),
        [({"p.word": "b"}, "f-word-wrong"), ({"p.word": "bees", "p.often": "x"}, "f-often-wrong")],
    )
    def test_says_at_the_field_which_input_does_not_fit(
        self, admin: Visitor, inputs: dict[str, str], said: str
    ) -> None:
        answer = _write(admin, "run", **inputs)

        assert answer.status_code == 422
        assert f'id="{said}"' in answer.text
        assert queries.counts(None)["running"] == 0

    def test_survives_inputs_that_are_no_schema(self, admin: Visitor) -> None:
        broken = TWO_STEPS.replace("type: object", "type: 7").replace("required: [word]", "required: no")

        for verb in ("check", "plan", "run"):
            assert _write(admin, verb, broken).status_code == 422, verb

    def test_keeps_it_as_a_template_and_then_as_its_next_version(self, admin: Visitor) -> None:
        first = _write(admin, "save", name="two-steps", title="Two of them", visibility="shared")
        second = _write(admin, "save", TWO_STEPS + "# more\n", name="two-steps", note="with more")

        assert first.headers["Location"] == second.headers["Location"] == "/workflow-templates/two-steps"
        kept = templates.get("two-steps")
        assert (kept["version"], kept["title"], kept["owner"]) == (2, "Two of them", admin.user_id)

    def test_does_not_keep_what_would_not_run_or_has_no_name(self, admin: Visitor) -> None:
        assert _write(admin, "save", name="Not A Name").status_code == 422
        assert _write(admin, "save", "name: x\nsteps: []\n", name="fine").status_code == 422
        assert templates.count(admin.user_id, True) == 0

    def test_does_not_overwrite_templates_of_others(self, admin: Visitor, user: Visitor) -> None:
        templates.save("two-steps", text=TWO_STEPS, by=admin.user_id)

        answer = _write(user, "save", TWO_STEPS + "# mine\n", name="two-steps")

        assert answer.status_code == 422
        assert "somebody else" in answer.text
        assert templates.get("two-steps")["version"] == 1

    def test_begins_with_a_template(self, admin: Visitor) -> None:
        templates.save("two-steps", text=TWO_STEPS, by=None, visibility="shared")

        by_link = admin.soup("/workflows/new?template=two-steps")
        by_button = _write(admin, "load", "", template="two-steps")

        assert "id: say" in _text(by_link, "#text")
        assert "id: say" in by_button.text

    def test_asks_before_a_template_replaces_what_was_typed(self, admin: Visitor) -> None:
        templates.save("two-steps", text=TWO_STEPS, by=None, visibility="shared")

        asked = _write(admin, "load", "name: Mine\n", template="two-steps")
        replaced = _write(admin, "replace", "name: Mine\n", template="two-steps")

        assert "name: Mine" in asked.text
        assert 'value="replace"' in asked.text
        assert "name: Mine" not in replaced.text

    def test_names_the_template_of_a_run_only_if_nothing_was_changed(self, admin: Visitor) -> None:
        templates.save("two-steps", text=TWO_STEPS, by=None, visibility="shared")

        same = _write(admin, "run", base="two-steps@1", **{"p.word": "bees"})
        changed = _write(admin, "run", TWO_STEPS + "# more\n", base="two-steps@1", **{"p.word": "bees"})

        names = [
            queries.get(a.headers["Location"].rpartition("/")[2])["template_name"] for a in (same, changed)
        ]
        assert names == ["two-steps", None]

    def test_begins_with_an_earlier_run(self, admin: Visitor) -> None:
        run_id = _write(admin, "run", **{"p.word": "bees"}).headers["Location"].rpartition("/")[2]

        page = admin.soup(f"/workflows/new?from={run_id}")

        assert "step_id: say" in _text(page, "#text")
        assert page.select_one("#f-word")["value"] == "bees"  # type: ignore[index]

    def test_does_not_show_private_templates_of_others(self, admin: Visitor, user: Visitor) -> None:
        templates.save("two-steps", text=TWO_STEPS, by=admin.user_id)

        assert user.get("/workflows/new?template=two-steps").status_code == 404
        assert _write(user, "load", "", template="two-steps").status_code == 404
        assert "two-steps" not in user.get("/workflows/new").text


class TestTemplates:
    """GET /workflow-templates and what is under it."""

    def test_are_listed_by_whose_they_are(self, admin: Visitor, user: Visitor) -> None:
        templates.save("shipped", text=TWO_STEPS, by=None, visibility="shared")
        templates.save("mine", text=TWO_STEPS, by=user.user_id)
        templates.save("shared", text=TWO_STEPS, by=admin.user_id, visibility="shared")
        templates.save("hidden", text=TWO_STEPS, by=admin.user_id)

        page = user.soup("/workflow-templates")

        assert [tile["id"] for tile in page.select(".tile")] == ["t-mine", "t-shared", "t-shipped"]
        assert user.get("/workflow-templates/hidden").status_code == 404
        assert len(user.soup("/workflow-templates?q=ship").select(".tile")) == 1

    def test_run_with_a_form_made_from_their_inputs(self, user: Visitor) -> None:
        templates.save("two-steps", text=TWO_STEPS, by=None, visibility="shared")

        page = user.soup("/workflow-templates/two-steps")
        assert page.select_one("#f-often")["value"] == "3"  # type: ignore[index]
        refused = user.post("/workflow-templates/two-steps/run", {"p.word": "b", "p.often": "9"})
        assert refused.status_code == 422
        assert 'id="f-word-wrong"' in refused.text
        assert 'value="9"' in refused.text
        started = user.post("/workflow-templates/two-steps/run", {"p.word": "bees", "p.often": "9"})

        made = queries.get(started.headers["Location"].rpartition("/")[2], full=True)
        assert (made["template_name"], made["template_version"]) == ("two-steps", 1)
        assert made["inputs"] == {"word": "bees", "often": 9}

    def test_show_what_changed_and_restore_it(self, admin: Visitor) -> None:
        templates.save("two-steps", text=TWO_STEPS, by=admin.user_id)
        templates.save("two-steps", text=TWO_STEPS + "# more\n", by=admin.user_id, note="with more")

        assert "+# more" in _text(admin.soup("/workflow-templates/two-steps/versions/2"), ".diff")
        assert "with more" in _text(admin.soup("/workflow-templates/two-steps"), "#v-2")
        assert admin.get("/workflow-templates/two-steps/versions/1?against=2").status_code == 200
        assert admin.get("/workflow-templates/two-steps/versions/9").status_code == 404
        assert admin.get("/workflow-templates/two-steps/versions/x").status_code == 404
        assert admin.post("/workflow-templates/two-steps/versions/1/restore").status_code == 303
        assert templates.get("two-steps")["source"] == TWO_STEPS

    def test_are_shared_unshared_and_archived_by_their_owner(self, user: Visitor, viewer: Visitor) -> None:
        templates.save("two-steps", text=TWO_STEPS, by=user.user_id)
        assert viewer.get("/workflow-templates/two-steps").status_code == 404

        user.post("/workflow-templates/two-steps/share")
        assert viewer.get("/workflow-templates/two-steps").status_code == 200
        user.post("/workflow-templates/two-steps/unshare")
        assert viewer.get("/workflow-templates/two-steps").status_code == 404
        assert templates.get("two-steps")["version"] == 1
        user.post("/workflow-templates/two-steps/archive")

        assert "Archived" in user.get("/workflow-templates/two-steps").text
        assert user.post("/workflow-templates/two-steps/run", {"p.word": "bees"}).status_code == 404
        assert user.soup("/workflow-templates").select(".tile") == []

    def test_are_not_changed_by_others(self, admin: Visitor, user: Visitor, viewer: Visitor) -> None:
        templates.save("two-steps", text=TWO_STEPS, by=admin.user_id, visibility="shared")

        for verb in ("unshare", "archive", "versions/1/restore"):
            assert user.post(f"/workflow-templates/two-steps/{verb}").status_code == 403, verb
            assert viewer.post(f"/workflow-templates/two-steps/{verb}").status_code == 403, verb
        assert user.soup("/workflow-templates/two-steps").select(".actions .danger") == []
        assert viewer.post("/workflow-templates/two-steps/run", {"p.word": "bees"}).status_code == 403
        assert admin.post("/workflow-templates/two-steps/explode").status_code == 404

    def test_say_if_they_would_not_run_as_they_stand(self, admin: Visitor) -> None:
        text = TWO_STEPS.replace("test-echo", "gone-agent")
        templates.save("two-steps", text=text, by=admin.user_id, checked=False)

        assert "gone-agent" in _text(admin.soup("/workflow-templates/two-steps"), ".notice.amber")


def test_analytics_count_and_time_runs_by_template(admin: Visitor, user: Visitor) -> None:
    done = _run(admin, step("slow"))
    playing.ends(done, "slow")
    playing.breaks(_run(admin, step("slow")), "slow")

    page = admin.soup("/workflows/analytics?days=7")

    row = _text(page, "#a-1")
    assert "Trial" in row
    assert "50 %" in row
    assert "slow" in row
    assert user.soup("/workflows/analytics").select("#a-1") == []
    assert admin.get("/workflows/analytics?days=soon").status_code == 200


def test_a_job_leads_to_its_step_and_run(admin: Visitor) -> None:
    run_id = _run(admin)
    job_id = playing.row(run_id, "first")["job_id"]

    page = admin.soup(f"/jobs/{job_id}")

    assert page.select_one(f'a[href="/workflows/{run_id}/steps/first"]')
    assert page.select_one(f'a[href="/workflows/{run_id}"]')
    assert job(job_id)["workflow_id"] == run_id


def test_jobs_are_filtered_by_run(admin: Visitor) -> None:
    run_id = _run(admin)
    _run(admin)

    assert len(admin.soup(f"/jobs?workflow={run_id}").select("#jobs tbody tr")) == 1
    assert "the whole id" in words(admin.soup("/jobs?workflow=nonsense").select_one("#q-wrong"))


def test_what_people_and_agents_wrote_is_shown_as_text(admin: Visitor) -> None:
    asks = {"step_id": "ask", "type": "approval", "question": HOSTILE, "shown": HOSTILE, "title": HOSTILE}
    run_id = _run(
        admin, step("first", title=HOSTILE), asks, inputs={"x": HOSTILE}, name=HOSTILE, description=HOSTILE
    )
    playing.ends(run_id, "first", {"text": HOSTILE})
    templates.save(
        "hostile",
        raw={"name": HOSTILE, "description": HOSTILE, "steps": [step("a", title=HOSTILE)]},
        by=admin.user_id,
        title=HOSTILE,
    )

    paths = [
        "/workflows",
        f"/workflows/{run_id}",
        f"/workflows/{run_id}/steps/first",
        f"/workflows/{run_id}/steps/ask",
        f"/workflows/new?from={run_id}",
        "/workflow-templates",
        "/workflow-templates/hostile",
        "/workflow-templates/hostile/versions/1",
        "/workflows/analytics",
    ]
    for path in paths:
        page = admin.get(path).text
        assert "<img src=x" not in page, path
        assert "style=" not in page, path
    assert "&lt;img" in admin.get(f"/workflows/{run_id}").text


def test_nothing_changes_without_the_token(admin: Visitor) -> None:
    run_id = _asked(admin)
    templates.save("two-steps", text=TWO_STEPS, by=admin.user_id)

    for path in (
        f"/workflows/{run_id}/cancel",
        f"/workflows/{run_id}/steps/ask/answer",
        "/workflows/new",
        "/workflow-templates/two-steps/run",
        "/workflow-templates/two-steps/archive",
        "/workflow-templates/two-steps/versions/1/restore",
    ):
        assert (
            admin.client.post(
                path, data={"decision": "approve", "verb": "run", "text": TWO_STEPS}
            ).status_code
            == 400
        )
    assert queries.get(run_id)["status"] == "running"
    assert db.value("SELECT count(*) FROM workflows") == 1


def test_strangers_are_sent_to_sign_in(stranger: Visitor) -> None:
    for path in ("/workflows", "/workflows/new", "/workflow-templates", "/workflows/analytics"):
        answer = stranger.get(path)
        assert (answer.status_code, answer.headers["Location"].startswith("/sign-in")) == (302, True), path
